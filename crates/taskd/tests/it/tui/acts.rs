//! Keys that change what the daemon does, and what the monitor says about it.

use taskd_model::{Actor, Event, Reason, Status, Via};

use super::{Monitor, asking, plan};
use crate::{
    inbox::until_asked,
    support::{Door, World},
};

/// Waits until a stop is seen, and its answer too: until then no other key is sent on.
#[track_caller]
fn stopped(monitor: &mut Monitor) {
    monitor.until("stopped", |it| {
        it.contains("stopped; its work is kept") && it.contains("p1.poem: stops; its work is kept")
    });
}

/// Proves T3.2d: pause, resume and stop from the keyboard change the running engine, and what is typed
/// for it is told to it; stop asks first, and who did it, and from where, is in the log.
#[test]
fn keys_pause_resume_and_stop_what_runs() {
    let mut world = World::new();
    world.start();
    let door = Door::new(&world, "agent");
    let script = format!("{}\necho $$ >> poem.txt\nexit 1", door.sh());
    world.submit(&plan(&world, &script, "ask"));
    door.reached();
    let mut monitor = Monitor::attach(&world, 80, 24);
    monitor.shows("poem");
    monitor.keys("G");
    monitor.shows(">   poem");
    monitor.keys("tmake it short\r");
    let note = world.until_event("a note", |it| matches!(it.event, Event::NoteAdded { .. }));
    assert!(matches!(note.actor, Actor::Person { via: Some(Via::Tui), .. }), "{note:?}");
    monitor.shows("p1.poem: ");
    monitor.keys("p");
    monitor.shows("pausing");
    door.open();
    world.until_status("p1.poem", &[Status::Paused]);
    monitor.shows("paused");
    monitor.keys("r");
    world.until_status("p1.poem", &[Status::Running]);
    // Its answer comes before what is said of the next key.
    monitor.shows("p1.poem: resumed");
    monitor.keys("s");
    monitor.shows("Stop p1.poem?");
    monitor.keys("n");
    monitor.shows("not done");
    monitor.keys("s");
    monitor.shows("Stop p1.poem?");
    monitor.keys("y");
    world.until_status("p1.poem", &[Status::Stopped]);
    stopped(&mut monitor);
    let log = world.events();
    let asked = log.iter().find(|it| matches!(it.event, Event::StopAsked)).expect("it was asked");
    assert!(matches!(asked.actor, Actor::Person { via: Some(Via::Tui), .. }), "{asked:?}");
    // A refusal says why.
    monitor.keys("p");
    monitor.shows("p1.poem: p1.poem is stopped already");
    monitor.detach();
}

/// Proves MON-1: passed work is sent back with a reason that is typed, and landed, from the keyboard;
/// the diff and what the gate said are read before.
#[test]
fn work_is_read_sent_back_and_landed() {
    let world = asking("echo roses >> poem.txt");
    let mut monitor = Monitor::attach(&world, 100, 30);
    monitor.shows("ready to land");
    monitor.keys("j\r");
    monitor.shows("[talk]");
    monitor.keys("\t\t");
    monitor.shows("gate GREEN");
    monitor.keys("\t");
    monitor.shows("+roses");
    monitor.keys("\t\t");
    monitor.shows("Write one.");
    monitor.keys("xthe second line is missing\r");
    world.until("a second iteration", |view| {
        view.loops.values().any(|it| it.iteration == 2 && it.approval_asked.is_some())
    });
    let notes = world.client();
    let show = taskd_api::v1::ShowRequest { id: "p1.poem".to_owned(), at: None };
    let show = world.runtime.block_on(notes.show(show)).expect("it is shown");
    assert_eq!(show.notes, ["the second line is missing"]);
    monitor.until("asked again", |it| it.contains("iteration 2/") && it.contains("ready to land"));
    monitor.keys("ay");
    world.until_status("p1.poem", &[Status::Complete]);
    assert_eq!(world.git(&["show", "main:poem.txt"]), "roses\nroses");
    monitor.shows("landed ");
    monitor.detach();
}

/// Proves MON-1: a loop that was stopped is tried again, and one that asks to land goes back to a state
/// that is chosen from a list, after a question.
#[test]
fn a_loop_goes_back_and_is_tried_again() {
    let world = asking("echo roses >> poem.txt");
    let mut monitor = Monitor::attach(&world, 100, 30);
    monitor.shows("ready to land");
    monitor.keys("G");
    monitor.shows(">   poem");
    monitor.keys("b");
    monitor.shows("back to which state?");
    monitor.keys("j\r");
    monitor.shows("Rewind p1.poem to its base");
    monitor.keys("y");
    world.until_event("it is back", |it| matches!(it.event, Event::Rewound { .. }));
    world.until("it asks again", |view| {
        view.loops.values().any(|it| it.approval_asked.is_some() && it.iteration >= 1)
    });
    monitor.until("back, and asked again", |it| {
        it.contains("p1.poem: back at state") && it.contains("ready to land")
    });
    monitor.keys("sy");
    world.until_status("p1.poem", &[Status::Stopped]);
    stopped(&mut monitor);
    monitor.keys("R");
    world.until_event("it is tried again", |it| matches!(it.event, Event::Retried { .. }));
    monitor.detach();
}

/// A script whose loop asks, and then writes what it shall.
const ASKS: &str = "\
loops:
  poem:
    - turns:
        - tools: [{ask: {question: \"Which colour?\", choices: [red, blue]}}]
        - tools: [{write: {path: poem.txt, content: x}}, {finish: {summary: done}}]
";

/// Proves MON-3: what waits for a person is in the inbox pane as it comes, is answered there by a
/// choice, and the answer is known to be the monitor's; what waits to land is listed and approved
/// there; queue, costs and grid show the same loops.
#[test]
fn the_inbox_is_answered_from_the_monitor() {
    let mut world = World::new();
    world.start();
    let mut monitor = Monitor::attach(&world, 100, 30);
    monitor.shows("nothing here yet");
    monitor.keys("2");
    monitor.shows("nothing waits for you");
    let model = format!("scripted:{}", world.aside("script.yaml", ASKS));
    world.submit(&format!(
        "---\nplan: Poem\nmodel: {model}\ngate: sh test.sh\nland: ask\n---\n\
         ## spec poem: A poem\n\nWrite one.\n"
    ));
    let item = until_asked(&world, "p1.poem");
    monitor.until("the item", |it| it.contains(&item) && it.contains("Which colour?"));
    monitor.shows("2  blue");
    monitor.keys("\r");
    monitor.shows("other words");
    monitor.keys("2");
    let said = |it: &taskd_model::Record| {
        matches!(it.event, Event::QuestionAnswered { choice: Some(1), .. })
    };
    let answer = world.until_event("the answer", said);
    assert!(matches!(answer.actor, Actor::Person { via: Some(Via::Tui), .. }), "{answer:?}");
    let landing =
        |view: &taskd_model::View| view.loops.values().any(|it| it.approval_asked.is_some());
    world.until("it asks to land", landing);
    monitor.shows("landing: ");
    monitor.keys("4");
    monitor.until("the costs", |it| it.contains("in all $0.00") && it.contains("A poem"));
    monitor.keys("5");
    monitor.until("the grid", |it| it.contains("p1.poem  ready to land"));
    monitor.keys("3");
    monitor.shows("no landing queue has an entry");
    monitor.keys("2a");
    monitor.shows("Land p1.poem on main?");
    monitor.keys("y");
    let row = world.until_status("p1.poem", &[Status::Complete]);
    assert_eq!(row.reason, Some(Reason::Done));
    monitor.until("an empty inbox", |it| it.contains("nothing waits for you"));
    monitor.keys("A");
    monitor.until("who answered", |it| it.contains("from tui"));
    monitor.detach();
}
