//! `taskd branch`: a branch of a loop's work.

use super::{agent, plan, refs, until_landed, until_ready};
use crate::support::{Door, World};

/// Proves PE-5: `taskd branch` makes a branch of a loop's work, named after the loop or as asked: the
/// commit that is to land, or one clean commit of what was last saved. No other ref of the person's
/// changes, and a branch that exists is refused and stays where it is.
#[test]
fn a_branch_is_made_and_none_is_moved() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!(
        "case $TASKD_LOOP-$TASKD_ITERATION in p1.two-1) echo x > bad.txt; echo y > y.md ;;\n\
         p1.two-2) {} ;; *) echo x > mine.txt ;; esac",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", ""), ("two", "")]));
    let ready = until_ready(&world, "p1.one").integrated.expect("just seen").to_string();
    door.reached();
    let theirs = |world: &World| {
        let mut all = refs(world);
        all.retain(|name, _| !name.starts_with("refs/taskd/"));
        all
    };
    let mut before = theirs(&world);
    let said = world.taskd(&["branch", "p1.one"]).ok();
    assert!(said.contains("branch taskd/p1.one at "), "{said}");
    before.insert("refs/heads/taskd/p1.one".to_owned(), ready.clone());
    assert_eq!(theirs(&world), before);

    // What is not done yet: one commit of what was saved, on its base.
    world.taskd(&["branch", "p1.two", "wip/two"]).ok();
    let wip = world.git(&["rev-parse", "wip/two"]);
    before.insert("refs/heads/wip/two".to_owned(), wip);
    assert_eq!(theirs(&world), before);
    let view = world.view();
    let two = view.loops.values().find(|it| it.name == "p1.two").expect("it works");
    let base = two.base.commit;
    let on_base = format!("{base}..wip/two");
    assert_eq!(world.git(&["rev-list", "--count", &on_base]), "1");
    assert_eq!(world.git(&["show", "wip/two:y.md"]), "y");
    let message = world.git(&["log", "-1", "--format=%an: %B", "wip/two"]);
    assert!(message.starts_with("Pat Person: Work on two"), "{message}");
    assert!(message.contains("Taskd-Loop: p1.two"), "{message}");

    for args in [&["branch", "p1.one"][..], &["branch", "p1.two", "main"]] {
        let ran = world.taskd(args);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("there is one already"), "{}", ran.err);
    }
    assert_ne!(world.taskd(&["branch", "p1.one", "a..b"]).code, 0);
    assert_eq!(theirs(&world), before);
    door.open();
    world.taskd(&["land", "p1.one"]).ok();
    let landed = until_landed(&world, "p1.one");
    world.taskd(&["branch", "p1.one", "landed"]).ok();
    assert_eq!(world.git(&["rev-parse", "landed"]), landed);
}
