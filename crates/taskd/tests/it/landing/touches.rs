//! Specs that say they touch the same files: one after another, unless nobody wants that.

use taskd_model::Status;

use super::{agent, plan, until_landed};
use crate::support::{Door, World};

/// Three specs: two of them on the same crate, one on the documentation.
fn submit(world: &World, run: &str) {
    let specs = [
        ("first", "touches: crates/limit/**"),
        ("second", "touches: crates/limit/src/lib.rs, docs/b.md"),
        ("docs", "touches: docs/a.md"),
    ];
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &specs));
}

/// Proves P-5: a spec whose `touches` overlap those of one that works waits for it, and `ls` and
/// `why` name that one and the files; one that touches others works meanwhile; it begins by itself
/// when the first has landed, and not before.
#[test]
fn what_touches_the_same_files_waits_with_the_reason() {
    let mut world = World::new();
    let door = Door::new(&world, "first");
    let body =
        format!("echo x > $TASKD_LOOP.txt\ncase $TASKD_LOOP in *.first) {} ;; esac", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    submit(&world, &run);
    door.reached();
    until_landed(&world, "p1.docs");
    assert_eq!(world.row("p1.second").status, Status::Pending);
    let why = world.taskd(&["why", "p1.second"]).ok();
    assert!(why.contains(" for p1.first, which works on crates/limit/src/lib.rs"), "{why}");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("p1.first works on crates/limit/src/lib.rs"), "{ls}");
    door.open();
    until_landed(&world, "p1.first");
    until_landed(&world, "p1.second");
    let first = world.row("p1.first").passed.expect("it passed").at;
    let second = world.row("p1.second").started_at.expect("it began");
    assert!(first <= second, "{}", world.transcript());
}

/// Proves P-5: with `plan.touches = "ignore"` nobody waits for whoever touches the same files.
#[test]
fn who_does_not_mind_works_beside_it() {
    let mut world = World::new();
    let [first, second] = ["first", "second"].map(|it| Door::new(&world, it));
    let body = format!(
        "echo x > $TASKD_LOOP.txt\ncase $TASKD_LOOP in *.first) {} ;; *.second) {} ;; esac",
        first.sh(),
        second.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.env.insert("TASKD_PLAN__TOUCHES".to_owned(), "ignore".to_owned());
    world.start();
    submit(&world, &run);
    first.reached();
    second.reached();
    first.open();
    second.open();
    until_landed(&world, "p1.first");
    until_landed(&world, "p1.second");
}
