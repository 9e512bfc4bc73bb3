//! A person edits in a loop's worktree while it rests.

use std::fs;

use taskd_model::{Actor, Event, Record, Status};

use super::{agent, plan, prompt, until_landed, until_ready, worktree};
use crate::support::{Door, World};

/// Notes in the log, each by a person.
fn notes(world: &World) -> usize {
    let is_note = |it: &&Record| {
        let by_person = matches!(it.actor, Actor::Person { .. });
        matches!(it.event, Event::NoteAdded { .. }) && by_person
    };
    world.events().iter().filter(is_note).count()
}

/// Proves PE-11: what a person changes by hand in the worktree of a loop that rests is kept: it is
/// saved under a ref, in the log in their name, and told to the loop in its next prompt; the loop goes
/// on from it and its gate judges it. Work that passed is sent back with it. Nothing is said of what
/// nobody changed.
#[test]
fn changes_by_hand_are_the_persons_and_are_kept() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; echo a > mine.md; {}; fi\n\
         echo $TASKD_ITERATION > count.md",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    door.reached();
    world.taskd(&["pause", "p1.one"]).ok();
    door.open();
    world.until_status("p1.one", &[Status::Paused]);
    let dir = worktree(&world, "p1.one");
    fs::remove_file(dir.join("bad.txt")).expect("it is there");
    fs::write(dir.join("mine.md"), "by hand\n").expect("writable");
    fs::create_dir(dir.join("new")).expect("writable");
    fs::write(dir.join("new/fix.md"), "fixed\n").expect("writable");
    world.taskd(&["resume", "p1.one"]).ok();
    // The gate that was to come judged it, and finds what the agent left mended.
    let ready = until_ready(&world, "p1.one");
    assert_eq!((ready.iteration, notes(&world)), (1, 1));
    assert!(world.taskd(&["show", "p1.one"]).ok().contains("by hand"));
    let all = super::refs(&world);
    let saved = all.keys().find(|it| it.contains("/by-hand/")).expect("it was saved");
    assert_eq!(world.git(&["show", &format!("{saved}:new/fix.md")]), "fixed");

    // Passed work: sent back with what was changed.
    fs::write(dir.join("more.md"), "more\n").expect("writable");
    world.taskd(&["reject", "p1.one", "-m", "with mine"]).ok();
    world.until("it to be ready again", |view| {
        view.loops.values().any(|it| it.iteration == 2 && it.approval_asked.is_some())
    });
    let told = prompt(&world, "p1.one", 2);
    for file in ["by hand", "- bad.txt", "- mine.md", "- new/fix.md", "- more.md"] {
        assert!(told.contains(file), "{file} in {told}");
    }
    assert!(!told.contains("- count.md"), "{told}");
    world.taskd(&["reject", "p1.one", "-m", "again"]).ok();
    world.until("it to be ready a third time", |view| {
        view.loops.values().any(|it| it.iteration == 3 && it.approval_asked.is_some())
    });
    assert_eq!(notes(&world), 2, "nothing was changed the last time");
    world.taskd(&["land", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    for (file, text) in [("mine.md", "by hand"), ("new/fix.md", "fixed"), ("more.md", "more")] {
        assert_eq!(world.git(&["show", &format!("main:{file}")]), text);
    }
    assert!(!world.has("main:bad.txt"));
}
