//! Tool servers handed to agents that take them: to a script that does as they do, and to the real
//! programs where they are installed.

use std::fs;

use serde_json::{Value, json};
use taskd_model::Status;

use super::{
    has,
    offered::{own_type, says, server, tool},
};
use crate::{
    provider::{Answer, Provider, Step, header},
    support::{World, is_here},
};

const KEY: &str = "sk-sentinel-2277ac";

fn preset(world: &World, name: &str, text: &str) {
    let dir = world.dir.path().join("home/.config/taskd/agents");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join(format!("{name}.toml")), text).expect("ours");
}

/// A loop type with one server `docs`, whose tool `add` says "four".
fn served(world: &World, more: &str) {
    let docs = server(world, "docs", &json!([tool("add")]), &says("four"));
    own_type(world, "served", &format!("  docs: {{command: [sh, {docs}]{more}}}\n"));
}

fn plan(agent: &str) -> String {
    format!(
        "---\nplan: Handed\nagent: {agent}\ntype: served\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: A\n"
    )
}

fn log(world: &World, name: &str) -> String {
    fs::read_to_string(world.dir.path().join(name)).unwrap_or_default()
}

/// Proves MCP-6: an agent whose preset says how is told of the loop type's servers by a file
/// only its owner reads and that is gone after the run; the file holds no key; to an agent that takes
/// none they are not handed, and the submission says so.
#[test]
fn an_agent_that_takes_servers_is_handed_them() {
    let mut world = World::new();
    served(&world, ", env: [ANTHROPIC_API_KEY]");
    let seen = world.dir.path().join("seen");
    let agent = world.aside(
        "agent.sh",
        &format!(
            "cp \"$2\" {0}.json; ls -l \"$2\" >{0}.mode; echo \"$2\" >{0}.path\n\
             echo \"$ANTHROPIC_API_KEY\" >{0}.key; echo b >b.txt\n",
            seen.display()
        ),
    );
    let text = |mcp: &str| {
        format!(
            "name = \"own\"\nargv = [\"sh\", \"{agent}\"]\nprompt = \"stdin\"\nformat = \"text\"\n{mcp}"
        )
    };
    preset(
        &world,
        "own",
        &text("[mcp]\nformat = \"claude-json\"\nargs = [\"--mcp\", \"{mcp_file}\"]\n"),
    );
    preset(&world, "deaf", &text("").replace("own", "deaf"));
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.start();
    world.submit(&plan("own"));
    world.until_status("p1.a", &[Status::Complete]);
    let file: Value = serde_json::from_str(&log(&world, "seen.json")).expect("JSON");
    let docs = &file["mcpServers"]["docs"];
    assert_eq!(
        (&docs["command"], &docs["env"]["TASKD_LOOP"]),
        (&json!("sh"), &json!("${TASKD_LOOP}"))
    );
    assert_eq!(docs["env"]["ANTHROPIC_API_KEY"], "${ANTHROPIC_API_KEY}");
    assert!(!log(&world, "seen.json").contains(KEY));
    assert_eq!(log(&world, "seen.key").trim(), KEY, "the person named it for this type");
    assert!(log(&world, "seen.mode").starts_with("-rw------- "), "{}", log(&world, "seen.mode"));
    assert!(!fs::exists(log(&world, "seen.path").trim()).expect("readable"), "it is removed");

    fs::remove_file(seen.with_extension("json")).expect("ours");
    let deaf = world.aside("deaf.md", &plan("deaf"));
    let told = world.taskd(&["plan", "submit", &deaf, "-q"]);
    has(&told.err, &["the agent `deaf` is told nothing of `mcp`"]);
    world.until_status("p2.a", &[Status::Complete]);
    assert_eq!(log(&world, "seen.json"), "");
}

/// Claude Code calls a tool of a loop type's server, which has the loop's name and not its key.
#[test]
fn the_real_claude_calls_a_handed_server() {
    if !is_here("claude") {
        return;
    }
    let provider = Provider::new(|seen| {
        let offered = seen.body.contains("\"mcp__docs__add\"");
        let step = match seen.body.matches("\"tool_result\"").count() {
            0 if offered => Step::Tool("mcp__docs__add", json!({"a": "2 and 2"}).to_string()),
            1 => Step::Tool(
                "Bash",
                json!({"command": "echo b >b.txt", "description": "x"}).to_string(),
            ),
            _ => Step::Text("Done.".into()),
        };
        Answer::Stream(vec![step])
    });
    let mut world = World::new();
    served(&world, "");
    let set = format!("\n[set]\nIS_SANDBOX = \"1\"\nANTHROPIC_BASE_URL = \"{}\"\n", provider.url());
    let text = include_str!("../../../../taskd-tools/presets/claude.toml");
    preset(&world, "claude", &(text.to_owned() + &set));
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.start();
    world.submit(&plan("claude"));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    let bodies: Vec<String> = provider.seen().into_iter().map(|it| it.body).collect();
    assert_eq!(it.status, Status::Complete, "{}\n{bodies:#?}", world.transcript());
    has(&log(&world, "docs.log"), &["listed", "called"]);
    let env = log(&world, "docs.log.env");
    has(&env, &["TASKD_LOOP=p1.a"]);
    assert!(!env.contains(KEY), "{env}");
    assert!(bodies.iter().any(|it| it.contains("four")));
}

/// Codex calls a tool of a loop type's server, which has the loop's name and not its key.
#[test]
fn the_real_codex_calls_a_handed_server() {
    if !is_here("codex") {
        return;
    }
    let provider = Provider::new(|seen| {
        let outputs = seen.body.matches("function_call_output").count();
        let call = |name: &str, args: Value| {
            json!({"type": "function_call", "id": "f1", "call_id": format!("c{outputs}"),
                "name": name, "arguments": args.to_string()})
        };
        let item = match outputs {
            0 => {
                let mut it = call("add", json!({"a": "2 and 2"}));
                it["namespace"] = "mcp__docs".into();
                it
            }
            1 => call("exec_command", json!({"cmd": "echo b >b.txt"})),
            _ => json!({"type": "message", "role": "assistant", "id": "m1",
                "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}),
        };
        let usage = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
        let events = [
            json!({"type": "response.created", "response": {"id": "r1"}}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.completed", "response": {"id": "r1", "usage": usage}}),
        ];
        let line = |it: &Value| {
            format!("event: {}\ndata: {it}\n\n", it["type"].as_str().unwrap_or_default())
        };
        let body = events.iter().map(line).collect();
        Answer::Plain(200, header("content-type", "text/event-stream"), body)
    });
    let mut world = World::new();
    served(&world, "");
    let text = include_str!("../../../../taskd-tools/presets/codex.toml");
    let text = text.replace("\"workspace-write\"", "\"danger-full-access\"");
    let model = "\"{gateway}\", \"-c\", \"model=gpt-5\", ";
    preset(&world, "codex", &text.replace("\"{gateway}\", ", model));
    world.env.insert("OPENAI_BASE_URL".to_owned(), format!("{}/v1", provider.url()));
    world.env.insert("OPENAI_API_KEY".to_owned(), KEY.to_owned());
    world.start();
    world.submit(&plan("codex"));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    let bodies: Vec<String> = provider.seen().into_iter().map(|it| it.body).collect();
    assert_eq!(it.status, Status::Complete, "{}\n{bodies:#?}", world.transcript());
    has(&log(&world, "docs.log"), &["listed", "called"]);
    let env = log(&world, "docs.log.env");
    has(&env, &["TASKD_LOOP=p1.a"]);
    assert!(!env.contains(KEY), "{env}");
    assert!(bodies.iter().any(|it| it.contains("four")));
}
