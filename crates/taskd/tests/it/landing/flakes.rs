//! Gates that say both red and green of one tree: told, repeated as the policy says, and listed.

use std::fs;

use serde_json::Value;
use taskd_model::{Event, Outcome, QueueEnd, Seq, Status};

use super::{agent, plan, until_landed};
use crate::support::World;

/// A gate that is red the first time it sees `mine.txt`, naming a test, and green after that.
fn flaky_gate(world: &World) -> String {
    let dir = world.dir.path().display().to_string();
    let script = format!(
        "#!/bin/sh\nsh test.sh || exit 1\necho run >> {dir}/runs\n[ -f mine.txt ] || exit 0\n\
         [ ! -f {dir}/seen ] || exit 0\ntouch {dir}/seen\n\
         echo 'test limit::refill ... FAILED'\n\
         echo 'test result: FAILED. 3 passed; 1 failed; 0 ignored'\nexit 1\n"
    );
    format!("sh {}", world.aside("gate.sh", &script))
}

fn flakes(world: &World) -> Vec<(Vec<String>, Option<Seq>)> {
    let of = |event| {
        let Event::GateFlaked { tests, other, .. } = event else { return None };
        Some((tests, other))
    };
    world.events().into_iter().filter_map(|it| of(it.event)).collect()
}

fn listed(world: &World, args: &[&str]) -> Value {
    let args: Vec<&str> = ["flakes", "--json"].iter().chain(args).copied().collect();
    serde_json::from_str(&world.taskd(&args).ok()).expect("JSON")
}

/// Proves P-24: a red gate is run again on the same tree as often as `retries` says; that the two
/// runs disagree is an event with the test's name, the commit that lands says so, and `flakes` lists
/// the test, how often, and the loop.
#[test]
fn a_gate_that_disagrees_with_itself_is_told_and_listed() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    let gate = flaky_gate(&world);
    world.start();
    let text = plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]);
    world
        .submit(&text.replace("gate: sh test.sh", &format!("gate: {{run: '{gate}', retries: 1}}")));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.row("p1.one").iteration, 1, "no iteration was spent on it");
    assert_eq!(flakes(&world), [(vec!["limit::refill".to_owned()], None)]);
    let message = world.git(&["log", "-1", "--format=%B", &landed]);
    assert!(message.contains("FLAKY: red once on this tree"), "{message}");
    let answer = listed(&world, &[]);
    let row = &answer["flakes"][0];
    assert_eq!((&row["name"], &row["times"]), (&"limit::refill".into(), &1.into()));
    assert_eq!((&row["active"], &row["loops"][0]), (&true.into(), &"p1.one".into()));
    let told = world.taskd(&["flakes"]).ok();
    assert!(told.contains("limit::refill") && told.contains("active"), "{told}");
    let receipt: Value =
        serde_json::from_str(&world.taskd(&["costs", "p1", "--json"]).ok()).expect("JSON");
    assert_eq!(receipt["flaky_gates"], 1);
    // What was seen too long ago has expired.
    assert_eq!(listed(&world, &["--within", "1ms"])["flakes"][0]["active"], false);
    let told = world.taskd(&["flakes", "--within", "1ms"]).ok();
    assert!(told.starts_with("nothing was flaky"), "{told}");
}

/// Proves P-24: without retries a red gate is red, and its loop goes on; a later gate that is green
/// on the very same tree is told of as flaky, and what was red before does not pass by itself.
#[test]
fn the_same_tree_with_another_result_is_told_later_too() {
    let mut world = World::new();
    let run = agent(
        &world,
        "agent.sh",
        "[ $TASKD_ITERATION != 2 ] || { rm mine.txt; exit 0; }\necho x > mine.txt",
    );
    let gate = flaky_gate(&world);
    world.start();
    let text = plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]);
    world.submit(&text.replace("gate: sh test.sh", &format!("gate: '{gate}'")));
    until_landed(&world, "p1.one");
    assert_eq!(world.row("p1.one").iteration, 3);
    let events = world.events();
    let red = events.iter().find_map(|it| {
        let Event::EffectEnded { outcome, .. } = &it.event else { return None };
        let Outcome::Gated { report: Some(report), .. } = outcome else { return None };
        (!report.green).then_some(it.seq)
    });
    assert_eq!(flakes(&world), [(vec!["limit::refill".to_owned()], red)]);
    let done = |event: &Event| matches!(event, Event::QueueLeft { end: QueueEnd::Done { .. }, .. });
    assert_eq!(events.iter().filter(|it| done(&it.event)).count(), 1);
    assert_eq!(world.row("p1.one").status, Status::Complete);
    assert!(fs::read_to_string(world.dir.path().join("runs")).is_ok());
}
