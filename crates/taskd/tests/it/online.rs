//! Loops whose model is behind a provider's wire: only a key in the environment, real bytes, real
//! refusals. The provider is the test's own and shares no code with the product.

mod exact;
mod fallback;
mod faults;
mod garbage;
mod own;
mod sent;
mod silence;
mod streams;
mod tape;
mod window;

use std::{fs, time::Duration};

use serde_json::json;
use taskd_model::{EffectId, Event, LoopView, Record, Status, Work};

use crate::{
    provider::{Answer, Gate, Provider, Seen, Step, header},
    support::{World, files_that_say},
};

/// Must be in the header of a request and nowhere else.
const KEY: &str = "sk-sentinel-4be7c1";
const SONNET: &str = "anthropic/claude-sonnet-4-5";

fn tool(name: &'static str, args: &serde_json::Value) -> Step {
    Step::Tool(name, args.to_string())
}

/// The reply that does the work.
fn work() -> Answer {
    Answer::Stream(vec![
        Step::Text("I write it.".to_owned()),
        tool("write", &json!({"path": "b.txt", "content": "b\n"})),
        tool("finish", &json!({"summary": "wrote b.txt"})),
    ])
}

/// A shell that has a key for Anthropic and knows where to find it.
fn with_key(world: &mut World, provider: &Provider, key: &str) {
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), key.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
}

/// A daemon and one loop, `p1.a`, of a plan that lands nothing.
fn one_loop(provider: &Provider, head: &str) -> World {
    let mut world = World::new();
    world.start();
    with_key(&mut world, provider, KEY);
    submit(&world, head);
    world
}

fn submit(world: &World, head: &str) {
    world.submit(&format!(
        "---\nplan: Online\nmodel: {SONNET}\ngate: sh test.sh\nland: never\n{head}\n---\n\n\
         ## spec a: A\n\nWrite b.txt.\n"
    ));
}

fn over(world: &World) -> LoopView {
    world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked])
}

fn reason(it: &LoopView) -> String {
    it.reason.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

/// Started work of this kind, with what it is.
fn started<'a>(events: &'a [Record], verb: &str) -> Vec<(&'a Record, &'a Work)> {
    let work = |it: &'a Record| {
        let Event::EffectStarted { work, .. } = &it.event else { return None };
        (work.verb() == verb).then_some((it, work))
    };
    events.iter().filter_map(work).collect()
}

/// Where in the log an effect ended.
fn ended(events: &[Record], id: EffectId) -> Option<usize> {
    events
        .iter()
        .position(|it| matches!(&it.event, Event::EffectEnded { effect, .. } if *effect == id))
}

/// Programs whose command line says `text`.
fn command_lines_that_say(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    let lines = entries.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
    let lines = lines.map(|it| String::from_utf8_lossy(&it).replace('\0', " "));
    lines.filter(|it| it.contains(text)).collect()
}

/// One command in a fresh repository, with nothing but a key in the environment: a file is written,
/// the gate is green, `taskd land` lands it.
fn only_a_key(model: &str, variables: [&str; 2], usage: [u64; 4], micros: u64) {
    let look = vec![
        Step::Text("I look first.".to_owned()),
        tool("read", &json!({"path": "a.txt"})),
        tool("run", &json!({"command": "env; tr '\\0' '\\n' </proc/self/environ"})),
    ];
    let provider = Provider::with(usage, None, move |seen| {
        assert_eq!(command_lines_that_say(KEY), Vec::<String>::new());
        if seen.n == 0 { Answer::Stream(look.clone()) } else { work() }
    });
    let mut world = World::new();
    let url = if model.starts_with("anthropic") { "" } else { "/v1" };
    let url = provider.url() + url;
    world.env.extend(variables.map(str::to_owned).into_iter().zip([KEY.to_owned(), url]));
    let run = ["run", "Write b.txt", "--model", model, "--gate", "sh test.sh"];
    let ran = world.taskd(&run);
    assert_eq!(ran.code, 4, "it asks before it lands: {ran:?}");
    world.taskd(&["land", "p1"]).ok();
    let loops = world
        .until("the landing", |view| view.loops.values().all(|it| it.status == Status::Complete));
    assert_eq!(world.git(&["show", "main:b.txt"]), "b");

    let seen = provider.seen();
    assert_eq!(seen.len(), 2, "one turn that looks, one that writes");
    let sent = |it: &Seen| {
        let bearer = it.header("authorization") == Some(&format!("Bearer {KEY}"));
        bearer || it.header("x-api-key") == Some(KEY)
    };
    assert!(seen.iter().all(sent), "{}", seen[0].head);
    // What the tools gave is in the second request, and the key is not.
    has(&seen[1].body, &["call_0_0", "call_0_1", "TASKD_", "[exit 0]"]);
    assert!(seen.iter().all(|it| !it.body.contains(KEY)));

    let it = loops.loops.values().next().expect("one loop");
    let [input, output, read, written] = usage.map(|it| it * 2);
    let spent = &it.spent;
    assert_eq!((spent.input, spent.output), (input, output));
    assert_eq!((spent.cache_read, spent.cache_write, spent.micros), (read, written, micros));
    let costs = world.taskd(&["costs"]).ok();
    let daemon = world.taskd(&["daemon", "status", "--json"]).ok();
    assert!(!costs.contains(KEY) && !daemon.contains(KEY));
    world.taskd(&["daemon", "stop"]).ok();
    assert!(world.state().join("daemon.log").exists(), "there is a log to look at");
    assert_eq!(files_that_say(world.dir.path(), KEY), Vec::<std::path::PathBuf>::new());
}

/// Proves PR-1 for Anthropic's wire. $3 a million read, $15 written, $0.30 from the
/// cache, $3.75 into it.
#[test]
fn only_a_key_for_anthropic() {
    let usage = [1_000, 200, 10_000, 2_000];
    // Twice 3,000 + 3,000 + 3,000 + 7,500 micro-dollars.
    let variables = ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"];
    only_a_key(SONNET, variables, usage, 33_000);
}

/// The same for Chat Completions. A model of a local server has no price.
#[test]
fn only_a_key_for_chat() {
    let usage = [1_000, 200, 500, 0];
    only_a_key("local/qwen3", ["TASKD_LOCAL_KEY", "TASKD_LOCAL_URL"], usage, 0);
}

/// Proves AY-4.1: ten reads that are asked for early in a reply run while it goes on.
#[test]
fn reads_run_while_the_reply_streams() {
    const READS: usize = 10;
    let gate = Gate::default();
    let go_on = gate.clone();
    let provider = Provider::new(move |seen| {
        if 0 < seen.n {
            return work();
        }
        let mut steps: Vec<Step> = (0..READS)
            .map(|n| tool("grep", &json!({"pattern": format!("no{n}"), "path": "a.txt"})))
            .collect();
        // Nothing of the reply's end is sent before the test has seen every read end.
        steps.extend([Step::Until(go_on.clone()), Step::Text("Now I know.".to_owned())]);
        Answer::Stream(steps)
    });
    let world = one_loop(&provider, "");
    let done = std::cell::Cell::new(0);
    world.until_event("every read to end while the reply goes on", |it| {
        let Event::EffectEnded { outcome, .. } = &it.event else { return false };
        let is_read = matches!(
            outcome,
            taskd_model::Outcome::ToolDone { checkpoint: None, unsaved: None, .. }
        );
        done.set(done.get() + usize::from(is_read));
        done.get() == READS
    });
    gate.open();
    assert_eq!(over(&world).status, Status::Complete, "{}", world.transcript());
    let events = world.events();
    let (call, _) = started(&events, "call")[0];
    let call_ended = ended(&events, EffectId(call.seq)).expect("it ended");
    let tools = started(&events, "tool");
    let early = tools.iter().filter(|(it, _)| it.seq < events[call_ended].seq).count();
    assert_eq!(early, READS, "{}", world.transcript());
    // In the order they were asked for, in one message.
    let second = &provider.seen()[1].body;
    let at = |n: usize| second.find(&format!("\"tool_use_id\":\"call_0_{n}\"")).expect("a result");
    assert!((1..READS).all(|n| at(n - 1) < at(n)), "{second}");
}

/// Proves T1.1a: a stop in the middle of a reply closes the connection within 2 s.
#[test]
fn a_stop_closes_the_connection() {
    let provider = Provider::new(|_| {
        Answer::Stream(vec![tool("read", &json!({"path": "a.txt"})), Step::Hang])
    });
    let world = one_loop(&provider, "");
    world.until_event("the reply to be under way", |it| {
        matches!(
            it.event,
            Event::EffectObserved { fact: taskd_model::Observation::ToolCalled { .. }, .. }
        )
    });
    let asked = std::time::Instant::now();
    world.taskd(&["stop", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Stopped]);
    let seen = provider.until("the connection to close", |it| it[0].gone.is_some());
    let took = seen[0].gone.expect("just seen") - asked;
    assert!(took < Duration::from_secs(2), "{took:?}");
    println!("closed {took:?} after the stop was asked for");
    assert_eq!(seen.len(), 1);
    let spent = world.row("p1.a").spent;
    assert_eq!((spent.input, spent.cache_read), (1_000, 0), "what was read is owed");
}
