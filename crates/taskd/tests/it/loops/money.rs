//! Money as its owner meets it: it runs out, more is given, and every cent is on the receipt.

use super::*;

use taskd_model::{Status, Usage};

/// Two loops of three calls each, every call for two and a half cents.
fn plan(world: &World) -> String {
    let usage = "usage: {input: 1000, output: 20, cache_read: 7, cache_write: 3, micros: 25000}";
    let turn = |tools: &str| format!("{{{usage}, tools: [{tools}]}}");
    let turns = |name: &str| {
        let write = turn(&format!("{{write: {{path: {name}.txt, content: x}}}}"));
        let (read, finish) = (turn("{read: {path: a.txt}}"), turn("{finish: {summary: x}}"));
        format!("  {name}: [{{turns: [{write}, {read}, {finish}]}}]\n")
    };
    let script = format!("loops:\n{}{}", turns("one"), turns("two"));
    let model = replies(world, "script.yaml", &script);
    let head = format!("plan: Money\nmodel: {model}\ngate: 'true'\nland: never");
    format!(
        "---\n{head}\nlimits: {{budget: $0.05}}\n---\n## spec one: First\n\n## spec two: Second\n\n"
    )
}

/// What the log says was used, effect by effect.
fn of_log(world: &World) -> Usage {
    let mut sum = Usage::default();
    for record in world.events() {
        if let Some(outcome) = outcome_of(&record) {
            sum.add(&outcome.usage());
        }
    }
    sum
}

fn json(world: &World, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&world.taskd(args).ok()).expect("one object")
}

/// Proves N19 P-8 S-1.1.6 W-14: a plan whose money has run out waits for a person and says so; with
/// more of it and `resume` it ends well, and its receipt comes to what the log says was used.
#[test]
fn money_that_has_run_out_is_given_and_all_of_it_is_on_the_receipt() {
    let mut world = World::new();
    world.start();
    world.submit(&plan(&world));
    world.until("both out of money", |view| view.totals.of(Status::Blocked) == 2);
    let why = world.row("p1.one").reason.expect("a reason").to_string();
    assert_eq!(why, "limit reached: the plan's budget");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("taskd budget set p1"), "{ls}");
    let refused = world.taskd(&["resume", "p1"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.err.contains("has no money left (the plan's budget)"), "{refused:?}");
    assert_eq!(world.view().totals.of(Status::Blocked), 2);

    let shown = world.taskd(&["budget", "set", "p1", "$9"]).ok();
    assert_eq!(shown, "p1  may spend $9.00 in all\n");
    world.taskd(&["resume", "p1"]).ok();
    world.until("both complete", |view| view.totals.of(Status::Complete) == 2);

    let used = of_log(&world);
    assert_eq!((used.micros, used.input), (150_000, 6_000), "{}", world.transcript());
    let receipt = json(&world, &["costs", "p1", "--json"]);
    for (field, value) in [
        ("cost_micros", used.micros),
        ("input", used.input),
        ("output", used.output),
        ("cache_read", used.cache_read),
        ("cache_write", used.cache_write),
        ("budget_micros", 9_000_000),
        ("calls", 6),
        ("iterations", 2),
    ] {
        assert_eq!(receipt[field], value, "{field} of {receipt}");
    }
    assert!(receipt["person_ms"].as_u64() > Some(0), "it waited for a person: {receipt}");
    for by in ["plan", "loop", "model", "class", "day"] {
        let table = json(&world, &["costs", "--by", by, "--json"]);
        let rows = table["rows"].as_array().expect("rows");
        let sum: u64 = rows.iter().filter_map(|it| it["cost_micros"].as_u64()).sum();
        assert_eq!(sum, used.micros, "{table}");
    }
    let text = world.taskd(&["costs", "p1"]).ok();
    assert!(text.contains("$0.15") && text.contains("waiting for you"), "{text}");
    let warnings =
        world.events().into_iter().filter(|it| matches!(it.event, Event::BudgetWarned { .. }));
    assert_eq!(warnings.count(), 1, "{}", world.transcript());
    let over = world.taskd(&["budget", "set", "p1", "$10"]);
    assert_ne!(over.code, 0, "{over:?}");
}
