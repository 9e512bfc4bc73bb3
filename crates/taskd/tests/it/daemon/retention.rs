//! The log stays bounded: what ended long ago is cut, and nothing else is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use taskd_model::{Event, Record, Status, View};

use super::{Foreground, signal};
use crate::{
    landing::{agent, plan, until_landed},
    support::{Door, World, files_that_say},
};

const LINE: &str = "a line that only the first agent says";

/// What people see of a loop.
fn seen(view: &View, name: &str) -> String {
    let it = view.loops.values().find(|it| it.name == name).expect("there");
    serde_json::to_string(it).expect("plain data")
}

/// The files of the state directory with this text in them.
fn stored(world: &World, text: &str) -> Vec<PathBuf> {
    files_that_say(&world.state(), text)
}

/// A daemon that keeps nothing of what ended, once it has cut.
pub(super) fn cut(world: &World) -> String {
    let mut command = world.command(&["daemon", "run"]);
    command.env("TASKD_GC__HISTORY", "0s");
    let daemon = Foreground::start(command);
    let said = daemon.until("old events are cut");
    signal(daemon.pid(), Signal::SIGKILL);
    daemon.ended();
    said
}

/// Files of the store with this ending.
fn snapshots(dir: &Path, ending: &str) -> usize {
    let files = fs::read_dir(dir).expect("there").flatten();
    files.filter(|it| it.file_name().to_string_lossy().ends_with(ending)).count()
}

/// Proves T2.1d: events of a plan that ended before `gc.history` go, and with them the texts that
/// only they name; a plan that has not ended keeps every event, and what people see of the other one
/// stays: through `kill -9`, and for a daemon that has nothing but what the cut left.
#[test]
fn what_ended_long_ago_is_cut_and_nothing_else() {
    let mut world = World::new();
    let long = format!("{LINE}\n").repeat(2_000);
    let door = Door::new(&world, "second");
    let said = world.aside("said.txt", &long);
    let body = format!(
        "case $TASKD_LOOP in\n  p1.*) cat {said} ;;\n  *) echo said by the second; {} ;;\nesac\n\
         echo x > $TASKD_LOOP.txt",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let head = format!("agent: {run}\nland: on-gate");
    world.submit(&plan(&head, &[("done", "")]));
    until_landed(&world, "p1.done");
    world.until("its end", |it| it.plans.values().any(|it| it.ended_at.is_some()));
    world.submit(&plan(&head, &[("open", "")]));
    door.reached();
    let (whole, before) = (world.events(), seen(&world.view(), "p1.done"));
    let of_open = |it: &&Record| it.loop_id.is_some_and(|it| it.plan().0 == 2);
    let open: Vec<Record> = whole.iter().filter(of_open).cloned().collect();
    world.stop();
    assert!(!stored(&world, LINE).is_empty());

    cut(&world);
    let dir = world.state().join("snapshots");
    assert_eq!(snapshots(&dir, ".base"), 1);
    world.start();
    let kept = world.events();
    let submitted =
        |it: &Record| matches!(it.event, Event::PlanSubmitted { plan, .. } if plan.0 == 2);
    let at = whole.iter().find(|it| submitted(it)).expect("it was submitted").seq;
    assert!(kept[0].seq <= at && whole.len() / 3 < at.0 as usize, "{} {at}", kept[0].seq);
    assert!(
        kept.iter().all(|it| it.loop_id.is_none_or(|it| it.plan().0 != 1)),
        "none of the first"
    );
    assert!(open.iter().all(|it| kept.contains(it)), "all of the second");
    assert_eq!(seen(&world.view(), "p1.done"), before);
    let told = world.taskd(&["logs", "p1.done"]).fails(5);
    assert!(told.contains("p1.done is older than what the log keeps (gc.history)"), "{told}");
    assert!(world.taskd(&["show", "p1.done"]).ok().contains("landed"));

    // Without any cache the base alone is where it begins.
    world.stop();
    let left = stored(&world, LINE);
    assert!(left.is_empty(), "{left:?}");
    for it in fs::read_dir(&dir).expect("there").flatten() {
        if !it.file_name().to_string_lossy().ends_with(".base") {
            fs::remove_file(it.path()).expect("ours");
        }
    }
    world.start();
    assert_eq!(seen(&world.view(), "p1.done"), before);
    world.taskd(&["resume", "--all"]).ok();
    door.reached();
    door.open();
    until_landed(&world, "p2.open");
    assert_eq!(world.row("p2.open").status, Status::Complete);
    assert!(world.taskd(&["logs", "p2.open"]).ok().contains("said by the second"));
    world.taskd(&["undo", "p1.done"]).ok();
    let undone = |it: &View| it.queue.is_empty() && seen(it, "p1.done") != before;
    let before = seen(&world.until("the revert", undone), "p1.done");
    world.stop();

    // What was open has ended: the next cut takes it too.
    cut(&world);
    world.start();
    assert!(world.events().iter().all(|it| it.loop_id.is_none()), "{}", world.transcript());
    assert_eq!(seen(&world.view(), "p1.done"), before);
}
