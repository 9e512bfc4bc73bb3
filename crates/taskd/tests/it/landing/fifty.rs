//! Fifty loops in one file of one repository, at once.

use taskd_model::Status;

use super::{
    checkout::{assert_same, make_dirty, persons},
    line_of_main, plan,
};
use crate::support::{Door, World};

/// How many.
const LOOPS: usize = 50;

/// Proves S-2.2.4: fifty loops change the same file at once, each in a worktree of its own, and all
/// of them land with every change. The two that change the same line meet a conflict, one of them,
/// when its work is moved; the others never iterate twice. The person's dirty checkout stays as it
/// is, byte for byte.
#[test]
fn fifty_loops_change_one_file_and_all_land() {
    let mut world = World::new();
    for (name, value) in [("BURST", "1000"), ("CALLS", "100"), ("LOOPS", "50")] {
        world.env.insert(format!("TASKD_LIMITS__{name}"), value.to_owned());
    }
    let lines: Vec<String> = (1..=LOOPS * 5).map(|n| format!("line {n}\n")).collect();
    world.write("shared.list", &lines.concat());
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a file for everybody"]);
    make_dirty(&world);
    let before = persons(&world);
    let door = Door::new(&world, "all");
    // With a conflict both sides stay.
    let edit = world.aside(
        "edit.sh",
        "if grep -q '^<<<<<<< ' shared.list; then\n\
         sed -i -e '/^<<<<<<< /d' -e '/^|||||||/,/^=======/d' -e '/^>>>>>>> /d' shared.list\n\
         else grep -q \" by $1\\$\" shared.list || sed -i \"$2s/\\$/ by $1/\" shared.list; fi\n",
    );
    let names: Vec<String> = (0..LOOPS).map(|n| format!("s{n:02}")).collect();
    let mut script = String::from("loops:\n");
    for (n, name) in names.iter().enumerate() {
        // The first two share a line.
        let line = if n < 2 { 1 } else { n * 5 };
        let turns = |then: &str| {
            format!(
                "turns:\n        - tools: [{{run: {{command: 'sh {edit} {name} {line}{then}'}}}}]\n        \
                 - tools: [{{finish: {{summary: done}}}}]\n"
            )
        };
        let (first, later) = (turns(&format!("; {}", door.sh())), turns(""));
        script.push_str(&format!("  {name}:\n    - iteration: 1\n      {first}    - {later}"));
    }
    let model = world.aside("model.yaml", &script);
    world.start();
    let specs: Vec<(&str, &str)> = names.iter().map(|it| (it.as_str(), "")).collect();
    let head = format!("model: scripted:{model}\nland: on-gate\ntarget: main");
    world.submit(&plan(&head, &specs));
    names.iter().for_each(|_| door.reached());
    names.iter().for_each(|_| door.open());
    let mut twice = Vec::new();
    for name in &names {
        let name = format!("p1.{name}");
        let it = world.until_status(&name, &[Status::Complete, Status::Blocked, Status::Failed]);
        assert!(it.landed.is_some(), "{name}: {:?}\n{}", it.reason, world.transcript());
        if 1 < it.iteration {
            twice.push(name);
        }
    }
    assert!(["p1.s00", "p1.s01"].contains(&twice.join(" ").as_str()), "{twice:?}");
    let landed = world.git(&["show", "main:shared.list"]);
    for name in &names {
        let end = format!(" by {name}");
        assert_eq!(landed.lines().filter(|it| it.ends_with(&end)).count(), 1, "{name}:\n{landed}");
    }
    assert_eq!(landed.lines().count(), lines.len() + 1, "{landed}");
    assert_eq!(line_of_main(&world).len(), LOOPS + 2);
    assert_same(&before, &persons(&world));
    world.git(&["fsck", "--strict"]);
}
