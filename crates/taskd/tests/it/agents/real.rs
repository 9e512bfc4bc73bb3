//! The real programs, where they are installed, against a provider on loopback. Where one is not,
//! the test says `NOT RUN` and its name.

use std::io::Write as _;

use serde_json::{Value, json};
use taskd_model::{Depth, Status};

use super::{has, own_preset, plan};
use crate::{
    provider::{Answer, Provider, Seen, Step, header},
    support::World,
};

/// Whether a program can be run; says so if not.
fn is_here(name: &str) -> bool {
    let path = std::env::var_os("PATH").expect("PATH is set");
    let here = std::env::split_paths(&path).any(|it| it.join(name).is_file());
    if !here {
        writeln!(std::io::stdout(), "NOT RUN {name}").ok();
    }
    here
}

fn listed(world: &World, name: &str) -> Value {
    let told = world.taskd(&["agents", "show", name, "--json"]).ok();
    let told: Value = serde_json::from_str(&told).expect("JSON");
    told["agents"][0].clone()
}

/// Claude Code does a spec: its tools run, its session, tokens and money are known.
#[test]
fn claude_does_a_spec() {
    if !is_here("claude") {
        return;
    }
    let provider = Provider::new(claude_answer);
    let mut world = World::new();
    let set = format!("\n[set]\nIS_SANDBOX = \"1\"\nANTHROPIC_BASE_URL = \"{}\"\n", provider.url());
    let preset = include_str!("../../../../taskd-tools/presets/claude.toml");
    own_preset(&world, "claude", &(preset.to_owned() + &set));
    let without = listed(&world, "claude");
    assert_eq!((&without["logged_in"], &without["billed_to"]), (&false.into(), &"nobody".into()));
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), "sk-ant-nobody".to_owned());
    assert_eq!(listed(&world, "claude")["billed_to"], "ANTHROPIC_API_KEY");
    world.start();
    world.submit(&plan("claude", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert!(0 < it.spent.micros && 0 < it.spent.output, "{:?}", it.spent);
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
    has(&world.taskd(&["events"]).ok(), &["session"]);
}

/// Codex CLI does a spec through the provider its preset names.
#[test]
fn codex_does_a_spec() {
    if !is_here("codex") {
        return;
    }
    let provider = Provider::new(codex_answer);
    let mut world = World::new();
    let settings = [
        "model_provider=near".to_owned(),
        "model_providers.near.name=near".to_owned(),
        format!("model_providers.near.base_url={}/v1", provider.url()),
        "model_providers.near.wire_api=responses".to_owned(),
        "model_providers.near.env_key=OPENAI_API_KEY".to_owned(),
        "model=gpt-5".to_owned(),
    ];
    let settings: String = settings.iter().map(|it| format!("\"-c\", \"{it}\", ")).collect();
    let preset = include_str!("../../../../taskd-tools/presets/codex.toml");
    // Its calls go straight to where the preset says.
    let (preset, _) = preset.split_once("[gateway]").expect("it is at the end");
    // The sandbox is the machine's business, and not every one that runs tests has one.
    let preset = preset.replace("\"workspace-write\"", "\"danger-full-access\"");
    own_preset(&world, "codex", &preset.replace("\"exec\", ", &format!("\"exec\", {settings}")));
    world.env.insert("OPENAI_API_KEY".to_owned(), "sk-nobody".to_owned());
    world.start();
    world.submit(&plan("codex", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!((it.spent.input, it.spent.cache_read, it.spent.output), (1_400, 600, 100));
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
}

/// A run of one command, then its last word, as the Responses interface says them.
fn codex_answer(seen: &Seen) -> Answer {
    let done = seen.body.contains("function_call_output");
    let args = json!({"cmd": "echo b >b.txt"}).to_string();
    let item = if done {
        json!({"type": "message", "role": "assistant", "id": "m1",
            "content": [{"type": "output_text", "text": "Done.", "annotations": []}]})
    } else {
        json!({"type": "function_call", "id": "f1", "call_id": "c1",
            "name": "exec_command", "arguments": args})
    };
    let usage = json!({"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 300},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 1050});
    let events = [
        json!({"type": "response.created", "response": {"id": "r1"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"id": "r1", "usage": usage}}),
    ];
    let line =
        |it: &Value| format!("event: {}\ndata: {it}\n\n", it["type"].as_str().unwrap_or_default());
    let body = events.iter().map(line).collect();
    Answer::Plain(200, header("content-type", "text/event-stream"), body)
}

/// A run of one command, then its last word, as the Messages interface says them.
fn claude_answer(seen: &Seen) -> Answer {
    let command = json!({"command": "echo b >b.txt", "description": "Write b"}).to_string();
    let works = seen.body.contains("\"Bash\"") && !seen.body.contains("tool_result");
    let step = if works { Step::Tool("Bash", command) } else { Step::Text("Done.".into()) };
    Answer::Stream(vec![step])
}

/// Proves W-2: Claude Code does a spec with its calls passed on one by one: the provider gets the key, and
/// what is booked is what it said of each call.
#[test]
fn claude_calls_through_the_daemon() {
    if !is_here("claude") {
        return;
    }
    let provider = Provider::new(claude_answer);
    let mut world = World::new();
    let preset = include_str!("../../../../taskd-tools/presets/claude.toml");
    own_preset(&world, "claude", &(preset.to_owned() + "\n[set]\nIS_SANDBOX = \"1\"\n"));
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), "sk-ant-nobody".to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    world.start();
    world.submit(&plan("claude", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let calls = provider.seen();
    assert!(
        2 <= calls.len() && calls.iter().all(|it| it.header("x-api-key") == Some("sk-ant-nobody"))
    );
    let said = (1_000 * calls.len() as u64, 200 * calls.len() as u64);
    assert_eq!((it.spent.input, it.spent.output), said, "{}", world.transcript());
    assert_eq!((it.counted, it.spent.estimated), (Some(Depth::ByCall), 0));
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
}

/// Proves W-2: the same of Codex CLI.
#[test]
fn codex_calls_through_the_daemon() {
    if !is_here("codex") {
        return;
    }
    let provider = Provider::new(codex_answer);
    let mut world = World::new();
    let preset = include_str!("../../../../taskd-tools/presets/codex.toml");
    let preset = preset.replace("\"workspace-write\"", "\"danger-full-access\"");
    let model = "\"{gateway}\", \"-c\", \"model=gpt-5\", ";
    own_preset(&world, "codex", &preset.replace("\"{gateway}\", ", model));
    world.env.insert("OPENAI_API_KEY".to_owned(), "sk-nobody".to_owned());
    world.env.insert("OPENAI_BASE_URL".to_owned(), format!("{}/v1", provider.url()));
    world.start();
    world.submit(&plan("codex", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let of_key = |it: &Seen| it.header("authorization") == Some("Bearer sk-nobody");
    assert!(provider.seen().iter().all(of_key));
    assert_eq!((it.spent.input, it.spent.cache_read, it.spent.output), (1_400, 600, 100));
    assert_eq!((it.counted, it.spent.estimated), (Some(Depth::ByCall), 0));
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
}
