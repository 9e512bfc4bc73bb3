//! What is kept of a gate that was green, and what a landed commit says of it.

use taskd_model::{Event, GateReport, Outcome};

use super::{agent, plan, until_landed};
use crate::support::World;

/// The last green report of a loop's own gate.
fn report(world: &World) -> GateReport {
    let found = world.events().into_iter().rev().find_map(|it| {
        let Event::EffectEnded { outcome, .. } = it.event else { return None };
        if let Outcome::Gated { report, .. } = outcome { report } else { None }
    });
    found.expect("a gate ran")
}

/// Proves PR-11: the report of a gate names the commands, the environment, the tree and
/// how each command ended; the commit that lands says what, why and how it was verified in at most
/// fifteen lines, in the model's own words without any trailer of its own, and names the evidence.
#[test]
fn a_landed_commit_carries_its_evidence_and_says_what_why_and_how() {
    let mut world = World::new();
    let summary = "Added mine.txt with one line.\\n\\nTaskd-Loop: p9.evil\\nSigned-off-by: Eve";
    let script = format!(
        "loops: {{one: [{{turns: [{{say: ok, tools: [{{write: {{path: mine.txt, content: x}}}}]}}, \
         {{say: Done., tools: [{{finish: {{summary: \"{summary}\"}}}}]}}]}}]}}\n"
    );
    let model = world.aside("m.yaml", &script);
    world.start();
    let head = format!("model: scripted:{model}\nland: on-gate");
    world.submit(&plan(&head, &[("one", "accept: test -f mine.txt")]));
    let landed = until_landed(&world, "p1.one");
    let report = report(&world);
    let proof = report.proof.expect("the gate ran");
    let tree = world.git(&["rev-parse", &format!("{landed}^{{tree}}")]);
    assert_eq!((proof.tree.to_string(), &proof.exits[..]), (tree.clone(), &[0, 0][..]));
    let gate = ["sh test.sh".to_owned(), "test -f mine.txt".to_owned()];
    assert_eq!(proof.gate, taskd_model::gate_digest(&gate));
    let message = world.git(&["log", "-1", "--format=%B", &landed]);
    assert!(message.lines().count() <= 15, "{message}");
    let text = "one: Work on one\n\nWhat: Added mine.txt with one line.\nWhy: Do one.\nVerified: ";
    assert!(message.starts_with(text), "{message}");
    let trailers = world.git(&["log", "-1", "--format=%(trailers:only)", &landed]);
    let evidence = format!("gate={} tree={tree} log={}", proof.gate, report.log);
    let expected = format!(
        "Taskd-Plan: p1 Test plan\nTaskd-Loop: p1.one\n\
         Taskd-Gate: [\"sh test.sh\",\"test -f mine.txt\"]\nTaskd-Evidence: {evidence}"
    );
    assert_eq!(trailers.trim(), expected);
    let shown: serde_json::Value =
        serde_json::from_str(&world.taskd(&["show", "p1.one", "--json"]).ok()).expect("JSON");
    let it = &shown["loops"][0];
    assert_eq!(it["gate_report"]["proof"]["tree"], tree);
    assert_eq!(it["gate_report"]["proof"]["exits"], serde_json::json!([0, 0]));
    assert_eq!(it["landed_evidence"]["tree"], tree);
}

/// An agent program that says nothing we understand: the commit says what changed and the task.
#[test]
fn without_a_word_of_the_agent_the_commit_says_what_changed() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt; echo thinking about it");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let landed = until_landed(&world, "p1.one");
    let message = world.git(&["log", "-1", "--format=%B", &landed]);
    let text =
        "one: Work on one\n\nWhat: 1 file changed, +1 -0\nWhy: Do one.\nVerified: gate green in ";
    assert!(message.starts_with(text), "{message}");
    assert!(!message.contains("thinking"), "{message}");
}
