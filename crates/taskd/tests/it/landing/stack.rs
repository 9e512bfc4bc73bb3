//! Several candidates gated in one, and a person's word about the landing queue.

use std::fs;

use taskd_model::{Event, Status, View, Work};

use super::{
    agent, candidate_gates, line_of_main, person_commits, plan, prompt, until_landed, until_loop,
};
use crate::support::{Door, World};

/// A gate outside of the repository that counts its runs. Work of `bad` is red beside `strict.txt`.
fn gate(world: &World, bad: &str, more: &str) -> String {
    let count = world.dir.path().join("gates");
    let quarrel = format!("[ -f strict.txt ] && [ -f {bad}.txt ] && [ ! -f mended.txt ]");
    let body = format!(
        "echo run >> {}\n{more}\nif {quarrel}; then echo 'not ok 1 - {bad} quarrels'; exit 1; fi\n\
         echo '1 passed, 0 failed'\n",
        count.display()
    );
    world.aside("gate.sh", &body)
}

fn gate_runs(world: &World) -> usize {
    fs::read_to_string(world.dir.path().join("gates")).expect("it ran").lines().count()
}

/// Waits until so many entries are in the landing queue.
fn until_queued(world: &World, count: usize) -> View {
    world.until(&format!("{count} to be queued"), |view| {
        view.queue.values().map(|it| it.len()).sum::<usize>() == count
    })
}

/// Proves A-12, P-25: of ten candidates that wait to land one is red on the new main. Six runs of
/// the gate are enough: nine land, each as a commit of its own, and the tenth goes back to its loop
/// with what the gate said.
#[test]
fn of_ten_with_one_bad_nine_land_with_six_gates() {
    let mut world = World::new();
    let door = Door::new(&world, "mending");
    let gate = gate(&world, "p1.s06", "");
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo x > \"$TASKD_LOOP.txt\"; \
         else echo x > mended.txt; {}; fi",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.taskd(&["projects", "add", "."]).ok();
    world.taskd(&["queue", "hold", "--all"]).ok();
    let names: Vec<String> = (0..10).map(|n| format!("s{n:02}")).collect();
    let specs: Vec<(&str, &str)> = names.iter().map(|it| (it.as_str(), "")).collect();
    let text = plan(&format!("agent: {run}\nland: on-gate"), &specs);
    world.submit(&text.replace("gate: sh test.sh", &format!("gate: sh {gate}")));
    until_queued(&world, 10);
    person_commits(&world, "strict.txt", "1\n");
    let before = gate_runs(&world);
    world.taskd(&["queue", "release", "--all"]).ok();
    door.reached();
    let others: Vec<&String> = names.iter().filter(|it| *it != "s06").collect();
    let commits: Vec<String> =
        others.iter().map(|it| until_landed(&world, &format!("p1.{it}"))).collect();
    let gates = candidate_gates(&world).len();
    assert_eq!(gate_runs(&world) - before, gates, "{}", world.transcript());
    assert!((2..=6).contains(&gates), "{gates} gates\n{}", world.transcript());
    assert_eq!(line_of_main(&world).len(), 2 + 9, "one commit each");
    for (name, commit) in others.iter().zip(&commits) {
        let made = world.git(&["show", "--name-only", "--format=", commit]);
        assert_eq!(made.trim(), format!("p1.{name}.txt"));
    }
    assert!(prompt(&world, "p1.s06", 2).contains("p1.s06 quarrels"));
    door.open();
    until_landed(&world, "p1.s06");
    assert_eq!(line_of_main(&world).len(), 2 + 10);
}

/// Proves A-12: a daemon that is killed while several candidates are gated in one, and again while
/// they are published, lands each of them once.
#[test]
fn a_kill_around_a_batch_lands_each_once() {
    let mut world = World::new();
    let door = Door::new(&world, "gate");
    let together = format!("if [ -f strict.txt ]; then {}; fi", door.sh());
    let gate = gate(&world, "nobody", &together);
    let run = agent(&world, "agent.sh", "echo x > \"$TASKD_LOOP.txt\"");
    world.start();
    world.taskd(&["projects", "add", "."]).ok();
    world.taskd(&["queue", "hold", "--all"]).ok();
    let names = ["a", "b", "c", "d"];
    let text = plan(&format!("agent: {run}\nland: on-gate"), &names.map(|it| (it, "")));
    world.submit(&text.replace("gate: sh test.sh", &format!("gate: sh {gate}")));
    until_queued(&world, 4);
    person_commits(&world, "strict.txt", "1\n");
    world.taskd(&["queue", "release", "--all"]).ok();
    door.reached();
    world.kill();
    world.start();
    door.reached();
    door.open();
    world.until_event("the landing to be under way", |it| {
        matches!(&it.event, Event::EffectStarted { work: Work::Publish { .. }, .. })
    });
    world.kill();
    world.start();
    for name in names {
        until_landed(&world, &format!("p1.{name}"));
    }
    let trailers = world.git(&["log", "--format=%(trailers:key=Taskd-Loop,valueonly)", "main"]);
    for name in names {
        assert_eq!(trailers.matches(&format!("p1.{name}")).count(), 1, "{trailers}");
    }
    assert_eq!(line_of_main(&world).len(), 2 + 4);
    assert_eq!(candidate_gates(&world), [Some(true)], "the one that was killed has no end");
}

/// Proves P-25: a person holds what waits to land, gives it another turn and releases it; who is
/// held is in nobody's way, and `why` says who holds it.
#[test]
fn a_person_holds_moves_and_releases() {
    let mut world = World::new();
    world.env.insert("TASKD_LAND__BATCH".to_owned(), "1".to_owned());
    let door = Door::new(&world, "work");
    let body = format!("{}; echo x > \"$TASKD_LOOP.txt\"", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let specs = ["a", "b", "c"].map(|it| (it, ""));
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &specs));
    for _ in specs {
        door.reached();
    }
    let held = world.taskd(&["queue", "hold", "p1"]).ok();
    assert!(held.contains("p1.a  held: not brought anywhere until taskd queue release"), "{held}");
    let early = world.taskd(&["queue", "move", "p1.c", "--first"]).fails(1);
    assert!(early.contains("p1.c does not wait in the landing queue"), "{early}");
    for _ in specs {
        door.open();
    }
    until_queued(&world, 3);
    let moved = world.taskd(&["queue", "move", "p1.c", "--first"]).ok();
    assert_eq!(moved.trim(), "p1.c  its turn comes next");
    world.taskd(&["queue", "move", "p1.a", "--before", "p1.b"]).ok();
    world.taskd(&["queue", "release", "p1.b", "p1.c"]).ok();
    until_landed(&world, "p1.b");
    until_landed(&world, "p1.c");
    let order: Vec<String> = line_of_main(&world).into_iter().take(2).collect();
    assert_eq!(order, ["b: Work on b", "c: Work on c"], "c went first, and a is in nobody's way");
    let queue = world.taskd(&["queue"]).ok();
    let row = queue.lines().find(|it| it.starts_with("p1.a ")).expect("it waits");
    assert!(row.contains("held by user"), "{queue}");
    let why = world.taskd(&["why", "p1.a"]).ok();
    assert!(why.contains("p1.a is held in the landing queue"), "{why}");
    assert!(why.contains("taskd queue release p1.a"), "{why}");
    world.kill();
    world.start();
    let it = until_loop(&world, "p1.a", "to be there", |_| true);
    assert_eq!((it.status, it.landed), (Status::Running, None), "a hold outlives the daemon");
    world.taskd(&["queue", "release", "p1.a"]).ok();
    until_landed(&world, "p1.a");
    let again = world.taskd(&["queue", "release", "p1.a"]).fails(1);
    assert!(again.contains("p1.a is complete already"), "{again}");
}
