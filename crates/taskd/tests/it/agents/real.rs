//! The real programs, where they are installed, against a provider on loopback. Where one is not,
//! the test says `NOT RUN` and its name.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use taskd_model::{Depth, Status};

use super::{acp::processes, has, own_preset, plan};
use crate::{
    provider::{Answer, Gate, Provider, Seen, Step, header},
    support::{World, is_here},
};

fn listed(world: &World, name: &str) -> Value {
    let told = world.taskd(&["agents", "show", name, "--json"]).ok();
    let told: Value = serde_json::from_str(&told).expect("JSON");
    told["agents"][0].clone()
}

/// What Claude Code is answered with: a command first, then that it is done.
fn claude_is_told(seen: &Seen, command: &str) -> Answer {
    let command = json!({"command": command, "description": "Work"}).to_string();
    let works = seen.body.contains("\"Bash\"") && !seen.body.contains("tool_result");
    let step = if works { Step::Tool("Bash", command) } else { Step::Text("Done.".into()) };
    Answer::Stream(vec![step])
}

/// The same for Codex CLI, in the words of the Responses interface.
fn codex_is_told(seen: &Seen, command: &str) -> Answer {
    let item = if seen.body.contains("function_call_output") {
        json!({"type": "message", "role": "assistant", "id": "m1",
            "content": [{"type": "output_text", "text": "Done.", "annotations": []}]})
    } else {
        json!({"type": "function_call", "id": "f1", "call_id": "c1",
            "name": "exec_command", "arguments": json!({"cmd": command}).to_string()})
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

/// Claude Code as it runs here: as root, against this provider.
fn claude(world: &mut World, provider: &Provider) {
    let set = format!("\n[set]\nIS_SANDBOX = \"1\"\nANTHROPIC_BASE_URL = \"{}\"\n", provider.url());
    let preset = include_str!("../../../../taskd-tools/presets/claude.toml");
    own_preset(world, "claude", &(preset.to_owned() + &set));
}

/// Codex CLI as it runs here.
fn codex(world: &mut World, provider: &Provider) {
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
    own_preset(world, "codex", &preset.replace("\"exec\", ", &format!("\"exec\", {settings}")));
    world.env.insert("OPENAI_API_KEY".to_owned(), "sk-nobody".to_owned());
}

/// Claude Code does a spec: its tools run, its session, tokens and money are known.
#[test]
fn claude_does_a_spec() {
    if !is_here("claude") {
        return;
    }
    let provider = Provider::new(|seen| claude_is_told(seen, "echo b >b.txt"));
    let mut world = World::new();
    claude(&mut world, &provider);
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
    let provider = Provider::new(|seen| codex_is_told(seen, "echo b >b.txt"));
    let mut world = World::new();
    codex(&mut world, &provider);
    world.start();
    world.submit(&plan("codex", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!((it.spent.input, it.spent.cache_read, it.spent.output), (1_400, 600, 100));
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
}

/// opencode does a spec through its own protocol: one process, a session for each iteration, its tokens
/// counted, and what it asks is allowed.
#[test]
fn opencode_does_a_spec_over_acp() {
    if !is_here("opencode") {
        return;
    }
    // The first iteration leaves what the gate refuses; the second mends it.
    let provider = Provider::new(|seen| {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105});
        let works = seen.body.contains("\"tools\"") && !seen.body.contains("\"role\":\"tool\"");
        let command = "if [ -e bad ]; then rm bad; echo b >b.txt; else echo x >bad; fi";
        let args = json!({"command": command, "description": "Write b"}).to_string();
        let (delta, finish) = if works {
            let function = json!({"name": "bash", "arguments": args});
            let call = json!({"index": 0, "id": "c1", "type": "function", "function": function});
            (json!({"role": "assistant", "tool_calls": [call]}), "tool_calls")
        } else {
            (json!({"role": "assistant", "content": "Done."}), "stop")
        };
        let chunk = |delta: &Value, finish: Option<&str>, usage: &Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            let it = json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [choice], "usage": usage});
            format!("data: {it}\n\n")
        };
        let body = chunk(&delta, None, &Value::Null) + &chunk(&json!({}), Some(finish), &usage);
        let body = body + "data: [DONE]\n\n";
        Answer::Plain(200, header("content-type", "text/event-stream"), body)
    });
    let mut world = World::new();
    let options = json!({"baseURL": format!("{}/v1", provider.url()), "apiKey": "nobody"});
    let near = json!({"npm": "@ai-sdk/openai-compatible", "name": "near", "options": options,
        "models": {"m": {"name": "m", "tool_call": true}}});
    let config = json!({"model": "near/m", "small_model": "near/m", "autoupdate": false,
        "share": "disabled", "permission": {"bash": "ask"}, "provider": {"near": near}});
    std::fs::create_dir_all(world.dir.path().join("home/.config/opencode")).expect("ours");
    world.aside("home/.config/opencode/opencode.json", &config.to_string());
    let shown = listed(&world, "opencode-acp");
    assert_eq!((&shown["prompt"], &shown["long_lived"]), (&"acp".into(), &true.into()));
    world.start();
    world.submit(&plan("opencode-acp", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert!(0 < it.spent.input && 0 < it.spent.output, "{:?}", it.spent);
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
    let known = processes(&world);
    assert_eq!(known.len(), 2, "{}", world.transcript());
    assert_eq!(known[0].0, known[1].0, "one process");
    assert_ne!(known[0].1, known[1].1, "two sessions");
}

/// Claude Code behind its adapter does a spec over ACP: it asks a person, and its tokens and money are
/// counted.
#[test]
fn claude_does_a_spec_over_acp() {
    if !is_here("claude-agent-acp") {
        return;
    }
    let provider = Provider::new(|seen| {
        let command = json!({"command": "echo b >b.txt", "description": "Write b"}).to_string();
        let works = seen.body.contains("\"Bash\"") && !seen.body.contains("tool_result");
        let step = if works { Step::Tool("Bash", command) } else { Step::Text("Done.".into()) };
        Answer::Stream(vec![step])
    });
    let mut world = World::new();
    let set = format!("\n[set]\nANTHROPIC_BASE_URL = \"{}\"\n", provider.url());
    let preset = include_str!("../../../../taskd-tools/presets/claude-acp.toml");
    own_preset(&world, "claude-acp", &format!("{preset}permissions = \"ask\"\n{set}"));
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), "sk-ant-nobody".to_owned());
    world.start();
    world.submit(&plan("claude-acp", &["a"]));
    let view = world.until("a question", |view| {
        let asks = |it: &taskd_model::LoopView| it.open_questions().next().is_some();
        view.loops.values().any(|it| asks(it) || it.status == Status::Blocked)
    });
    let it = view.loops.values().next().expect("one");
    let asked = it.open_questions().next().unwrap_or_else(|| panic!("{}", world.transcript()));
    assert_eq!(asked.text, "echo b >b.txt");
    world.taskd(&["answer", &asked.id.to_string(), "allow"]).ok();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert!(0 < it.spent.micros && 0 < it.spent.output, "{:?}", it.spent);
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
}

/// Proves W-2: Claude Code does a spec with its calls passed on one by one: the provider gets the key, and
/// what is booked is what it said of each call.
#[test]
fn claude_calls_through_the_daemon() {
    if !is_here("claude") {
        return;
    }
    let provider = Provider::new(|seen| claude_is_told(seen, "echo b >b.txt"));
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
    let provider = Provider::new(|seen| codex_is_told(seen, "echo b >b.txt"));
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

/// Three specs, two of Claude Code and one of Codex, `kill -9` while both have written something:
/// nothing of them lives on, the next life goes on when it has the keys, and all of it lands.
#[test]
fn a_plan_of_real_agents_is_killed_goes_on_and_lands() {
    if !is_here("claude") || !is_here("codex") {
        return;
    }
    let gate = Gate::default();
    let go_on = gate.clone();
    let provider = Provider::new(move |seen| {
        let command = seen.number().map_or("true".to_owned(), |n| format!("echo {n} >n{n}.txt"));
        let has_written = ["tool_result", "function_call_output"].map(|it| seen.body.contains(it));
        if has_written.contains(&true) {
            go_on.wait();
        }
        match seen.path().starts_with("/v1/responses") {
            true => codex_is_told(seen, &command),
            false => claude_is_told(seen, &command),
        }
    });
    let mut world = World::new();
    claude(&mut world, &provider);
    codex(&mut world, &provider);
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), "sk-ant-nobody".to_owned());
    world.start();
    world.submit(
        "---\nplan: Three\nagent: claude\ngate: sh test.sh\nland: on-gate\n---\n\n\
         ## spec one: One\n\nNumber 1\n\n\
         ## spec two: Two\nagent: codex\n\nNumber 2\n\n\
         ## spec three: Three\nneeds: one, two\n\nNumber 3\n",
    );
    // Both have written and wait for what comes next.
    provider.until("two agents that have written", |seen| {
        let wrote = |it: &&Seen| {
            it.body.contains("tool_result") || it.body.contains("function_call_output")
        };
        let numbers: BTreeSet<_> = seen.iter().filter(wrote).filter_map(Seen::number).collect();
        numbers == BTreeSet::from([1, 2])
    });
    world.kill();
    gate.open();
    world.start();
    for name in ["p1.one", "p1.two"] {
        let it = world.until_status(name, &[Status::Blocked, Status::Complete]);
        assert_eq!(it.status, Status::Blocked, "its key is gone\n{}", world.transcript());
    }
    world.taskd(&["resume", "p1"]).ok();
    world.until("the plan to be on main", |view| view.loops.values().all(|it| it.landed.is_some()));
    for n in 1..=3 {
        assert_eq!(world.git(&["show", &format!("main:n{n}.txt")]), n.to_string());
    }
    assert_eq!(world.git(&["log", "--format=%s", "main"]).lines().count(), 4);
}
