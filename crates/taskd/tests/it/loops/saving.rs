//! What a tool wrote is saved beside the next call; what may lose it waits.

use taskd_model::{PrepareMode, Status};

use super::*;

const VERBS: [&str; 5] = ["tool", "save", "compose", "call", "gate"];

/// What of these began and ended, in the order of the log, from the first tool on.
fn told(world: &World) -> Vec<String> {
    let events = world.events();
    let verb = |effect: taskd_model::EffectId| {
        let began = events.iter().find(|it| it.seq == effect.0).expect("it began");
        work_of(began).expect("work").verb()
    };
    let line = |it: &Record| {
        let over = if let Event::EffectEnded { effect, .. } = &it.event {
            Some((verb(*effect), " over"))
        } else {
            None
        };
        over.or_else(|| work_of(it).map(|work| (work.verb(), "")))
    };
    let lines = events.iter().filter_map(line).filter(|it| VERBS.contains(&it.0));
    let lines = lines.map(|(verb, over)| format!("{verb}{over}"));
    lines.skip_while(|it| it != "tool").collect()
}

/// A loop that writes a file, asks again, runs a command, and passes.
fn submit(world: &World) {
    let turns = "[{tools: [{write: {path: b.txt, content: b}}]}, \
                  {tools: [{run: {command: 'cat b.txt >c.txt'}}, {finish: {summary: x}}]}]";
    let model = replies(world, "m.yaml", &format!("loops: {{a: [{{turns: {turns}}}]}}\n"));
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\nland: never\ngate: sh test.sh\n---\n## spec a: A\n"
    ));
}

fn place_at(at: usize, lines: &[String], what: &str) -> usize {
    at + lines[at..].iter().position(|it| it == what).unwrap_or_else(|| panic!("{what}: {lines:?}"))
}

/// While what a tool wrote is being saved the next call is made and answered; the
/// command it asks for begins when that is saved, and so does the gate.
#[test]
fn the_next_call_does_not_wait_until_files_are_saved() {
    let mut world = World::new();
    let door = Door::new(&world, "save");
    world.env.insert("TASKD_FAULT".to_owned(), door.fault("save", "p1.a"));
    world.start();
    submit(&world);
    door.reached();
    // The second reply is there, and what it asks for waits.
    let replied = |it: &Record| matches!(outcome_of(it), Some(Outcome::Replied { .. }));
    let first = world.until_event("the first reply", replied).seq;
    world.until_event("the next reply", |it| replied(it) && first < it.seq);
    let ran = |world: &World| world.row("p1.a").checkpoint.is_some();
    assert!(!ran(&world), "saved: {}", world.transcript());
    door.open();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let lines = told(&world);
    let saved = place_at(0, &lines, "save over");
    let replied = place_at(0, &lines, "call over");
    assert!(place_at(0, &lines, "save") < replied && replied < saved, "{lines:?}");
    let ran = place_at(1, &lines, "tool");
    let saved_again = place_at(ran, &lines, "save over");
    let gated = place_at(ran, &lines, "gate");
    assert!(saved < ran && saved_again < gated, "{lines:?}");
    let work = it.passed.expect("passed").checkpoint.to_string();
    assert_eq!(world.git(&["show", &format!("{work}:c.txt")]), "b");
    let table = world.taskd(&["checkpoints", "p1.a"]).ok();
    assert!(table.contains("write") && table.contains("run"), "{table}");
}

/// Killed while what a tool wrote is being saved and the next call is under way, the
/// daemon's next life saves it before the loop does anything else, and no tool runs twice.
#[test]
fn killed_while_files_are_saved_nothing_is_lost() {
    let mut world = World::new();
    let door = Door::new(&world, "save");
    world.env.insert("TASKD_FAULT".to_owned(), door.fault("save", "p1.a"));
    world.start();
    submit(&world);
    door.reached();
    world.kill();
    world.env.remove("TASKD_FAULT");
    assert!(world.state().exists());
    world.start();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let events = world.events();
    let life = |it: &Record| matches!(it.event, Event::DaemonStarted { .. });
    let second = events.iter().rposition(life).expect("it lives");
    let did: Vec<&Work> = events[second..].iter().filter_map(work_of).take(2).collect();
    let [Work::Prepare { mode: PrepareMode::Keep(_), .. }, Work::Save { wrote: None }] = did[..]
    else {
        panic!("{did:?}")
    };
    assert_eq!(started(&world, it.id, "tool"), 2, "{}", world.transcript());
    let work = it.passed.expect("passed").checkpoint.to_string();
    assert_eq!(world.git(&["show", &format!("{work}:c.txt")]), "b");
}
