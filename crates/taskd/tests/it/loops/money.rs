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

/// Proves N19 P-8 S-1.1.6 W-14 IN-1: a plan whose money has run out waits for a person and says so; with
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
    let inbox = world.taskd(&["inbox"]).ok();
    let told = "budget: limit reached: the plan's budget";
    assert!(inbox.contains(told) && inbox.contains("taskd budget set p1 AMOUNT"), "{inbox}");
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

/// What a day's budget has left in the log: how often it was spent, and whether anybody was blocked.
fn spent_days(world: &World) -> (usize, bool) {
    let events = world.events();
    let spent = events.iter().filter(|it| matches!(it.event, Event::BudgetSpent { .. })).count();
    let blocked = events
        .iter()
        .any(|it| matches!(it.event, Event::StatusChanged { to: Status::Blocked, .. }));
    (spent, blocked)
}

/// Proves W-4: what everything may spend in a day holds all loops, and blocks none; everybody is
/// told until when and why, and with more of it they go on by themselves.
#[test]
fn a_days_money_that_is_spent_holds_everything_until_there_is_more() {
    let mut world = World::new();
    world.start();
    let shown = world.taskd(&["budget", "set", "all", "$0.05"]).ok();
    assert_eq!(shown, "everything  may spend $0.05 a day\n");
    let plan = plan(&world).replace("budget: $0.05", "budget: $5");
    world.submit(&plan);
    world.until("the day is spent", |view| view.day.closed.is_some());
    let waits =
        |view: &taskd_model::View| view.loops.values().all(|it| view.waits_for_day(it).is_some());
    world.until("both wait for money", waits);

    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("everything  today's budget is spent until"), "{ls}");
    assert!(ls.contains("tomorrow's money of everything"), "{ls}");
    let why = world.taskd(&["why", "p1.one"]).ok();
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(why.contains("for money: today's budget of everything is spent"), "{why}");
    assert!(why.contains("it did not pay for the next call"), "{why}");
    let row = json(&world, &["budget", "show", "all", "--json"]);
    assert_eq!((&row["level"], &row["closed"]), (&"all".into(), &true.into()), "{row}");
    assert_eq!(row["budget_micros"], 50_000, "{row}");
    assert!(row["renewed"].as_str().is_some_and(|it| it.ends_with("T00:00:00Z")), "{row}");
    let nothing = world.taskd(&["budget", "set", "all", "$0"]);
    assert!(
        nothing.code != 0 && nothing.err.contains("a budget of nothing is none"),
        "{nothing:?}"
    );

    // Another life of the daemon the same day has no more money.
    world.kill();
    world.start();
    world.until("they wait again", waits);
    world.taskd(&["budget", "set", "all", "$9"]).ok();
    world.until("both complete", |view| view.totals.of(Status::Complete) == 2);
    assert_eq!(spent_days(&world), (1, false), "{}", world.transcript());
    let text = world.taskd(&["budget", "show"]).ok();
    assert!(text.contains("everything") && text.contains("renewed "), "{text}");
}

/// Proves W-4: tokens of all classes of a project are counted against its day, and what is taken
/// away holds nobody.
#[test]
fn a_projects_tokens_are_counted_each_day() {
    let mut world = World::new();
    world.start();
    world.taskd(&["projects", "add", "."]).ok();
    let unread = world.taskd(&["budget", "set", "project", "2 million"]);
    assert!(unread.code == 2 && unread.err.contains("`2Mtok`"), "{unread:?}");
    let shown = world.taskd(&["budget", "set", "project", "20ktok"]).ok();
    assert_eq!(shown, "repo  may spend 20k tokens a day\n");
    let usage = "usage: {input: 1000, output: 500, cache_read: 4000, cache_write: 500, micros: 1}";
    let turn = |tools: &str| format!("{{{usage}, tools: [{tools}]}}");
    let (write, read) = (turn("{write: {path: b.txt, content: x}}"), turn("{read: {path: a.txt}}"));
    let script = format!(
        "loops:\n  one: [{{turns: [{write}, {read}, {}]}}]\n",
        turn("{finish: {summary: x}}")
    );
    let model = replies(&world, "script.yaml", &script);
    let head = format!("plan: Tokens\nmodel: {model}\ngate: 'true'\nland: never");
    world.submit(&format!("---\n{head}\n---\n## spec one: First\n"));
    world
        .until("the day is spent", |view| view.projects.values().any(|it| it.day.closed.is_some()));
    // Two calls of six thousand; with the reply it may get, a third would be too much.
    let row = json(&world, &["budget", "show", "project", "--json"]);
    assert_eq!((&row["tokens"], &row["left_tokens"]), (&12_000.into(), &8_000.into()), "{row}");
    let shown = world.taskd(&["budget", "set", "project", "none"]).ok();
    assert_eq!(shown, "repo  no budget of money, no budget of tokens\n");
    world.until("complete", |view| view.totals.of(Status::Complete) == 1);
    assert_eq!(spent_days(&world), (1, false), "{}", world.transcript());
}

/// Proves W-4: a plan and a loop have budgets of tokens too, and a call that comes to its cap while
/// it streams is a matter of money: the loop asks for more and then goes on.
#[test]
fn a_call_that_streams_beyond_its_money_asks_for_more() {
    let mut world = World::new();
    world.start();
    let usage = "usage: {input: 1000, output: 500, micros: 70000}";
    let turn = |tools: &str| format!("{{{usage}, tools: [{tools}]}}");
    let script = format!(
        "loops:\n  one: [{{turns: [{}, {}]}}]\n",
        turn("{write: {path: b.txt, content: x}}"),
        turn("{finish: {summary: x}}"),
    );
    let model = replies(&world, "script.yaml", &script);
    let head = format!("plan: Cap\nmodel: {model}\ngate: 'true'\nland: never");
    world.submit(&format!("---\n{head}\nlimits: {{budget: $0.10}}\n---\n## spec one: First\n"));
    world.until("out of money", |view| view.totals.of(Status::Blocked) == 1);
    let row = world.row("p1.one");
    let why = row.reason.expect("a reason").to_string();
    assert_eq!(why, "limit reached: the plan's budget", "{}", world.transcript());
    assert_eq!(row.spent.micros, 140_000, "what it came to is booked");
    world.taskd(&["budget", "set", "p1", "$9"]).ok();
    world.taskd(&["budget", "set", "p1", "4ktok"]).ok();
    // The next request with its reply is more than four thousand.
    let refused = world.taskd(&["resume", "p1"]);
    assert!(refused.err.contains("has no money left (the plan's budget)"), "{refused:?}");
    world.taskd(&["budget", "set", "p1", "none"]).ok();
    world.taskd(&["resume", "p1"]).ok();
    world.until("complete", |view| view.totals.of(Status::Complete) == 1);
}
