//! What happens is on the screen: once, soon, and whole, however one came to look.

use std::time::{Duration, Instant};

use taskd_api::v1;
use taskd_model::{Event, Record, Status};

use super::{Monitor, plan};
use crate::support::{Door, World};

/// The numbers of the events that the open tab shows, as they stand there.
fn shown(text: &str) -> Vec<u64> {
    let number = |line: &str| {
        let (number, rest) = line.trim_start().split_once(' ')?;
        // A number, and a time behind it.
        rest.trim_start().split(' ').next()?.contains(':').then(|| number.parse().ok())?
    };
    text.lines().filter_map(number).collect()
}

/// The numbers of a loop's events in the log.
fn logged(world: &World) -> Vec<u64> {
    let id = world.row("p1.poem").id;
    let of_it = |it: &Record| (it.loop_id == Some(id)).then_some(it.seq.0);
    world.events().iter().filter_map(of_it).collect()
}

/// Opens the events of the only loop.
fn open_events(monitor: &mut Monitor) {
    monitor.shows("poem");
    monitor.keys("G\r");
    monitor.shows("[talk]");
    monitor.keys("\t\t\t\t");
    monitor.shows("[events]");
}

/// Waits until the screen shows the events of the log: each, once, in order.
fn until_whole(world: &World, monitor: &mut Monitor) {
    let log = logged(world);
    let last = *log.last().expect("events");
    let text = monitor.until("the last event", |it| shown(it).last() == Some(&last));
    assert_eq!(shown(&text), log, "{text}");
}

/// Begins the poem of a loop that says this first, stops at the door that is given, and asks before it lands.
fn begin(world: &World, first: &str, behind: &str) -> Door {
    let door = Door::new(world, "agent");
    let script = format!("{first}{}\n{behind}echo roses > poem.txt", door.sh());
    world.submit(&plan(world, &script, "ask"));
    door.reached();
    door
}

/// Lets it go on, and waits until the screen shows that it asks.
fn end(world: &World, door: &Door, monitor: &mut Monitor) {
    door.open();
    world
        .until("it asks to land", |view| view.loops.values().any(|it| it.approval_asked.is_some()));
    until_whole(world, monitor);
}

/// Proves T3.2b, AY-1.10: a monitor that is attached while a loop works shows what was before and what
/// comes, each event of the loop once and in the order of the log, and what its agent says.
#[test]
fn a_look_from_the_middle_misses_and_repeats_nothing() {
    let mut world = World::new();
    world.start();
    let door = begin(&world, "echo before\n", "echo after\n");
    let mut monitor = Monitor::attach(&world, 100, 100);
    monitor.shows("poem");
    monitor.keys("G\r");
    // Said before anybody looked, and streaming by.
    let text = monitor.until("the agent's words", |it| it.contains("before"));
    assert!(!text.contains("after"), "{text}");
    monitor.keys("\t\t\t\t");
    monitor.shows("[events]");
    until_whole(&world, &mut monitor);
    end(&world, &door, &mut monitor);
    monitor.keys("\t\t");
    monitor.shows("[talk]");
    let text = monitor.until("the rest", |it| it.contains("after"));
    for word in ["before", "after"] {
        let n = text.lines().filter(|it| it.trim() == word).count();
        assert_eq!(n, 1, "{word} once:\n{text}");
    }
    monitor.detach();
}

/// Proves T3.2c, AY-1.10: while the daemon is gone a banner says so; when there is one again the
/// monitor goes on by itself, with each event once, those of the time between among them.
#[test]
fn a_daemon_that_was_killed_is_waited_for() {
    let mut world = World::new();
    world.start();
    let door = begin(&world, "", "");
    let mut monitor = Monitor::attach(&world, 100, 100);
    open_events(&mut monitor);
    until_whole(&world, &mut monitor);
    world.kill();
    let text = monitor.shows("reconnecting (try ");
    assert!(text.contains("p1.poem"), "what was known stays:\n{text}");
    world.start();
    door.reached();
    monitor.until("no banner", |it| !it.contains("reconnecting"));
    end(&world, &door, &mut monitor);
    monitor.detach();
}

/// Proves T3.2a, E11: an event is on the screen of the monitor, a real one at a real daemon, at most
/// 500 ms after it is durable (the middle of nine), and stands there once.
#[test]
fn an_event_is_soon_on_the_screen_and_once() {
    let mut world = World::new();
    world.start();
    let door = begin(&world, "", "");
    let mut monitor = Monitor::attach(&world, 100, 60);
    open_events(&mut monitor);
    until_whole(&world, &mut monitor);
    let client = world.client();
    let mut took = Vec::new();
    for n in 0..9 {
        let request = v1::ActRequest {
            verb: v1::Verb::Note.into(),
            ids: vec!["p1.poem".to_owned()],
            text: format!("word {n}"),
            ..v1::ActRequest::default()
        };
        let seq = world.runtime.block_on(client.act(request)).expect("it is told").seq;
        let durable = Instant::now();
        monitor.until("the event", |it| shown(it).contains(&seq));
        took.push(durable.elapsed());
    }
    took.sort_unstable();
    assert!(took[4] <= Duration::from_millis(500), "{took:?}");
    until_whole(&world, &mut monitor);
    let notes = |it: &&Record| matches!(it.event, Event::NoteAdded { .. });
    assert_eq!(world.events().iter().filter(notes).count(), 9);
    door.open();
    world.until_status("p1.poem", &[Status::Running]);
    monitor.detach();
}
