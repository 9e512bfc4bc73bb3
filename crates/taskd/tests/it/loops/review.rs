//! A second reader of work whose gate is green.

use serde_json::Value;
use taskd_model::{LoopView, Status, Verdict};

use super::*;

const OVER: &[Status] = &[Status::Complete, Status::Blocked, Status::Failed];

/// A type whose loops are read by `reader`.
fn read_by(world: &World, reader: &str, blocks: bool) {
    let review = format!("{{model: '{reader}', prompt: Find the ports., blocks: {blocks}}}");
    world.write(".taskd/types/read.yaml", &format!("extends: ralph\nreview: {review}\n"));
}

fn plan(worker: &str) -> String {
    format!(
        "---\nplan: One\n{worker}\ngate: sh test.sh\nland: never\ntype: read\n---\n\
         ## spec a: A server\n\nIt listens.\n"
    )
}

/// What one call of each iteration says.
fn says(world: &World, name: &str, of_iterations: &[&str]) -> String {
    let entry = |(n, turn): (usize, &&str)| format!("    - {{iteration: {n}, turns: [{turn}]}}\n");
    let entries: String = (1..).zip(of_iterations).map(entry).collect();
    replies(world, name, &format!("loops:\n  a:\n{entries}"))
}

fn verdicts(it: &LoopView) -> Vec<Option<Verdict>> {
    it.iterations.iter().map(|it| it.verdict).collect()
}

/// The requests of the reader, as they were sent.
fn read(world: &World, reader: &str) -> Vec<Value> {
    let request = |it: &Record| {
        let Some(Work::Call { request, bucket, .. }) = work_of(it) else { return None };
        (bucket == reader).then(|| request.to_string())
    };
    let all: Vec<String> = world.events().iter().filter_map(request).collect();
    all.iter().map(|it| serde_json::from_str(&large_blob(world, it)).expect("a request")).collect()
}

/// Proves TY-8: what a second reader finds goes into the next iteration, as text; it is sent the task
/// and the change and no tools; what finds nothing passes; the loop pays for both calls, by the name of
/// the model that was called.
#[test]
fn what_a_second_reader_finds_is_mended() {
    let mut world = World::new();
    let long = "Every port is checked before it is used.\n".repeat(900);
    let write = "{tools: [{write: {path: b.txt, content: \"port\\n\"}}, {finish: {summary: x}}]}";
    let again = "{tools: [{read: {path: b.txt}}]}, {tools: [{write: {path: b.txt, \
                 content: \"checked\\n\"}}, {finish: {summary: x}}]}";
    let worker = says(&world, "worker.yaml", &[write, again]);
    let finds = "{say: \"Two.\\n- b.txt:1 the port is never checked\\n- there is no test\", \
                 usage: {input: 9, output: 1, micros: 700}}";
    let nothing = "{say: NO FINDINGS, usage: {input: 9, output: 1, micros: 300}}";
    let reader = says(&world, "reader.yaml", &[finds, nothing]);
    read_by(&world, &reader, true);
    world.start();
    world.submit(&plan(&format!("model: {worker}")).replace("It listens.", &long));
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(verdicts(&it), [Some(Verdict::Objected), Some(Verdict::Green)]);
    assert_eq!(it.iterations[0].summary, "2 findings: b.txt:1 the port is never checked");

    let asked = read(&world, &reader);
    assert_eq!(asked.len(), 2, "{}", world.transcript());
    let first = asked[0].to_string();
    for part in ["Find the ports.", "Every port is checked", "+port", "b.txt"] {
        assert_says(&first, part);
    }
    assert_eq!(asked[0]["tools"], serde_json::json!([]));
    assert_says(&asked[1].to_string(), "+checked");
    let told = composed(&world, it.id);
    let second = told.iter().find(|it| it.contains("iteration 2 of")).expect("it was composed");
    assert_says(second, "- there is no test");

    assert_eq!(it.spent.micros, 1_000, "the loop pays");
    let costs = world.taskd(&["costs", "--by", "model", "--json"]).ok();
    let costs: Value = serde_json::from_str(&costs).expect("JSON");
    let rows = costs["rows"].as_array().expect("rows");
    let of_reader = rows.iter().find(|it| it["model"] == reader.as_str()).expect("it is named");
    assert_eq!(of_reader["cost_micros"], 1_000);
    let shown = world.taskd(&["show", "p1.a"]).ok();
    assert_says(&shown, "no findings, iteration 2");
    assert_says(&world.taskd(&["logs", "p1.a"]).ok(), "the port is never checked");
    let shown = world.taskd(&["show", "p1.a", "--json"]).ok();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let review = &shown["loops"][0]["review"];
    assert_eq!((&review["findings"], &review["blocks"]), (&0.into(), &true.into()), "{shown}");
    assert_eq!(shown["loops"][0]["iterations"][0]["verdict"], "objected");
}

/// Prompts of a loop, in order.
fn composed(world: &World, id: LoopId) -> Vec<String> {
    let text = |it: &Record| {
        let Some(Outcome::Composed { request, .. }) = outcome_of(it) else { return None };
        (it.loop_id == Some(id)).then(|| request.to_string())
    };
    let all: Vec<String> = world.events().iter().filter_map(text).collect();
    all.iter().map(|it| large_blob(world, it)).collect()
}

/// Proves TY-8: a reader whose word does not block is heard, and the work passes; whoever works, an
/// agent too.
#[test]
fn what_does_not_block_is_shown() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo port > b.txt\n");
    let reader = says(&world, "reader.yaml", &["{say: \"- b.txt:1 the port is never checked\"}"]);
    read_by(&world, &reader, false);
    world.start();
    world.submit(&plan(&format!("agent: {agent}")));
    let it = world.until_status("p1.a", OVER);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    assert_eq!(verdicts(&it), [Some(Verdict::Green)]);
    let shown = world.taskd(&["show", "p1.a"]).ok();
    assert_says(&shown, "1 finding: b.txt:1 the port is never checked");
}

/// Proves TY-8: a daemon that is killed while the reader is asked asks once more; nothing passes before
/// the answer, and no iteration is lost.
#[test]
fn a_kill_while_it_is_read_passes_nothing_unread() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo port > b.txt\n");
    let reader = says(&world, "reader.yaml", &["{say: NO FINDINGS, fail: [{hang: 0}, {hang: 0}]}"]);
    read_by(&world, &reader, true);
    world.start();
    world.submit(&plan(&format!("agent: {agent}")));
    let calls = |world: &World| {
        let is_call = |it: &Record| matches!(work_of(it), Some(Work::Call { .. }));
        world.events().iter().filter(|it| is_call(it)).count()
    };
    let last = std::cell::Cell::new(taskd_model::Seq(0));
    for _ in 1..=2 {
        let asked = world.until_event("the reader to be asked", |it| {
            matches!(work_of(it), Some(Work::Call { .. })) && last.get() < it.seq
        });
        last.set(asked.seq);
        let passed = world.row("p1.a").passed;
        assert!(passed.is_none(), "{}", world.transcript());
        world.kill();
        world.start_with(&["--resume"]);
    }
    let it = world.until_status("p1.a", OVER);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    assert_eq!(calls(&world), 3);
    let events = world.events();
    let at = |is: &dyn Fn(&Record) -> bool| events.iter().position(is).expect("it is there");
    let said = at(&|it| matches!(outcome_of(it), Some(Outcome::Replied { found: Some(_), .. })));
    assert!(said < at(&|it| matches!(it.event, Event::Passed { .. })), "{}", world.transcript());
}

/// Proves TY-8: the same findings on the same tree are no progress, and are not paid for twice; a
/// reader who cannot answer is a person's to see to, and nothing passes meanwhile; one that nobody can
/// call is refused before anything is stored.
#[test]
fn a_reader_that_objects_for_ever_or_cannot_answer_asks_a_person() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo port > b.txt\n");
    let objects = says(&world, "reader.yaml", &["{say: \"- never checked\"}"]);
    read_by(&world, &objects, true);
    world.start();
    world.submit(&plan(&format!("agent: {agent}")));
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert_eq!(it.reason, Some(taskd_model::Reason::NoProgress(3)));
    assert_eq!(verdicts(&it), [Some(Verdict::Objected); 3]);
    assert_eq!(started(&world, it.id, "call"), 1, "the same tree is read once");

    let mute = replies(&world, "mute.yaml", "loops: {b: [{turns: [{say: x}]}]}\n");
    read_by(&world, &mute, true);
    world.submit(&plan(&format!("agent: {agent}")).replace("plan: One", "plan: Two"));
    let it = world.until_status("p2.a", OVER);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert!(it.passed.is_none());
    let why = it.reason.map(|it| it.to_string()).unwrap_or_default();
    assert_says(&why, "mute.yaml");

    read_by(&world, "nobody/knows", true);
    let file = world.aside("three.md", &plan(&format!("agent: {agent}")).replace("One", "Three"));
    let said = world.taskd(&["plan", "submit", &file, "-q"]).fails(2);
    assert_says(&said, "review by nobody/knows");
    assert_eq!(world.view().plans.len(), 2);
}
