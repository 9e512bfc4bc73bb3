//! Tool servers of a loop type, good and bad ones. Each is a shell script that reads and writes lines.

use std::fs;

use serde_json::{Value, json};
use taskd_model::Status;

use super::has;
use crate::{
    provider::{Answer, Provider, Seen, Step},
    support::{Door, World},
};

const KEY: &str = "sk-sentinel-90d1fe";

/// A server that lists these tools and does `call` when it is called.
pub(super) fn server(world: &World, name: &str, tools: &Value, call: &str) -> String {
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
        "serverInfo": {"name": name, "version": "1"}});
    let list = json!({"tools": tools}).to_string();
    let list = world.aside(&format!("{name}.list"), &list);
    let log = world.dir.path().join(format!("{name}.log"));
    let log = log.display();
    let script = format!(
        "env >>{log}.env\nwhile read -r line; do\n\
         id=$(expr \"$line\" : '.*\"id\":\\([0-9]*\\)')\n\
         reply() {{ echo \"{{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":$id,\\\"result\\\":$1}}\"; }}\n\
         case $line in\n\
         *'\"initialize\"'*) reply '{hello}';;\n\
         *'\"tools/list\"'*) echo listed >>{log}; reply \"$(cat {list})\";;\n\
         *'\"tools/call\"'*) echo called >>{log}; {call};;\nesac; done\n"
    );
    world.aside(&format!("{name}.sh"), &script)
}

pub(super) fn tool(name: &str) -> Value {
    json!({"name": name, "description": format!("The tool {name}."),
        "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}})
}

/// What a call answers: this text.
pub(super) fn says(text: &str) -> String {
    let result = json!({"content": [{"type": "text", "text": text}], "isError": false});
    format!("reply '{result}'")
}

/// The person's own loop type.
pub(super) fn own_type(world: &World, name: &str, mcp: &str) {
    let dir = world.dir.path().join("home/.config/taskd/types");
    fs::create_dir_all(&dir).expect("ours");
    let text = format!("extends: ralph\nmcp:\n{mcp}");
    fs::write(dir.join(format!("{name}.yaml")), text).expect("ours");
}

/// One loop of that type whose model asks for one tool after another, and then does the work.
fn run(world: &mut World, type_name: &str, calls: Vec<(&'static str, Value)>) -> Vec<Seen> {
    let provider = Provider::new(move |seen| {
        let step = match calls.get(seen.n) {
            Some((name, args)) => vec![Step::Tool(name, args.to_string())],
            None => vec![
                Step::Tool("write", json!({"path": "b.txt", "content": "b\n"}).to_string()),
                Step::Tool("finish", json!({"summary": "wrote b.txt"}).to_string()),
            ],
        };
        Answer::Stream(step)
    });
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    world.start();
    world.submit(&format!(
        "---\nplan: Served\nmodel: anthropic/claude-sonnet-4-5\ntype: {type_name}\n\
         gate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    provider.seen()
}

/// Names of the tools a request offers.
fn offered(seen: &Seen) -> Vec<String> {
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    let tools = body["tools"].as_array().expect("tools").iter();
    tools.map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
}

/// What the last tool of a request's conversation said, and whether that was an error.
fn last_result(seen: &Seen) -> (String, bool) {
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    let message = body["messages"].as_array().and_then(|it| it.last()).expect("a message");
    let parts = message["content"].as_array().expect("parts");
    let result = parts.iter().find(|it| it["type"] == "tool_result").expect("a result");
    let text = result["content"].as_str().or_else(|| result["content"][0]["text"].as_str());
    (text.expect("a text").to_owned(), result["is_error"].as_bool().unwrap_or(false))
}

/// Proves MCP-4: a tool server of a loop type is offered to a native loop, its tools called in
/// the worktree; what the type does not list is neither offered nor called; it is asked once what it
/// has in an iteration; only what the person named of the keys that are held reaches it.
#[test]
fn a_native_loop_calls_a_tool_server() {
    let mut world = World::new();
    let call = format!("pwd >>c.txt; echo $line >>c.txt; {}", says("four"));
    let docs = server(&world, "docs", &json!([tool("add"), tool("secret")]), &call);
    let keyed = server(&world, "keyed", &json!([tool("get")]), &says("got"));
    own_type(
        &world,
        "served",
        &format!(
            "  docs: {{command: [sh, {docs}], tools: [add]}}\n  \
             keyed: {{command: [sh, {keyed}], env: [ANTHROPIC_API_KEY]}}\n"
        ),
    );
    let calls = vec![
        ("docs__add", json!({"a": "two and two"})),
        ("docs__secret", json!({})),
        ("keyed__get", json!({})),
    ];
    let seen = run(&mut world, "served", calls);
    assert_eq!(seen.len(), 4);
    for it in &seen {
        let names = offered(it);
        assert!(names.ends_with(&["docs__add".to_owned(), "keyed__get".to_owned()]), "{names:?}");
    }
    has(&seen[0].body, &["The tool add."]);
    assert_eq!(last_result(&seen[1]), ("four\n".to_owned(), false));
    let (refused, is_error) = last_result(&seen[2]);
    assert!(is_error);
    has(&refused, &["there is no tool `docs__secret` here", "docs__add"]);
    assert_eq!(last_result(&seen[3]).0, "got\n");

    let log = |name: &str| fs::read_to_string(world.dir.path().join(name)).expect("it ran");
    assert_eq!(log("docs.log"), "listed\ncalled\n");
    assert_eq!(log("keyed.log"), "listed\ncalled\n");
    has(&log("docs.log.env"), &["TASKD_LOOP=p1.a"]);
    assert!(!log("docs.log.env").contains(KEY));
    has(&log("keyed.log.env"), &[&format!("ANTHROPIC_API_KEY={KEY}")]);
    // It worked in the worktree, and what it wrote is the loop's work.
    let work = world.row("p1.a").checkpoint.expect("its work").to_string();
    let written = world.git(&["show", &format!("{work}:c.txt")]);
    has(&written, &["/p1-a-", "two and two"]);
}

/// What an iteration is offered is asked once, also when the daemon dies in the middle of it.
#[test]
fn another_life_of_the_daemon_offers_the_same() {
    let mut world = World::new();
    let door = Door::new(&world, "tool");
    let wait = format!("sh {}", world.aside("wait.sh", &door.sh()));
    let docs = server(&world, "docs", &json!([tool("add")]), &says("four"));
    own_type(&world, "served", &format!("  docs: {{command: [sh, {docs}]}}\n"));
    let work = "{write: {path: b.txt, content: x}}, {finish: {summary: x}}";
    let script = format!(
        "loops:\n  a: [{{turns: [{{tools: [{{run: {{command: '{wait}'}}}}]}}, \
         {{tools: [{{docs__add: {{a: x}}}}, {work}]}}]}}]\n"
    );
    let model = format!("scripted:{}", world.aside("m.yaml", &script));
    world.start();
    world.submit(&format!(
        "---\nplan: Twice\nmodel: {model}\ntype: served\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: A\n"
    ));
    door.reached();
    world.kill();
    world.start();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(it.iteration, 1);
    let log = fs::read_to_string(world.dir.path().join("docs.log")).expect("it ran");
    assert_eq!(log, "listed\ncalled\n");
}

/// Proves MCP-5: a server that hangs, dies, floods, babbles, offers a thousand tools or is
/// not there is a result the model reads, or tools that are left out; the loop goes on, and the
/// daemon stays small.
#[test]
fn bad_tool_servers_are_results_the_model_reads() {
    let mut world = World::new();
    let one = json!([tool("go")]);
    let many: Vec<Value> = (0..1_000).map(|n| tool(&format!("t{n}"))).collect();
    let hang = server(&world, "hang", &one, "sleep 1000");
    let dies = server(&world, "dies", &one, "echo no disk left >&2; exit 3");
    let flood = server(&world, "flood", &one, "yes x | tr -d '\\n' | head -c 400000000");
    let babble = server(&world, "babble", &one, "yes babble");
    let errs = server(
        &world,
        "errs",
        &one,
        r#"echo '{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"not today"}}'"#,
    );
    let many = server(&world, "many", &json!(many), &says("one of many"));
    let of =
        |name: &str, file: &str, more: &str| format!("  {name}: {{command: [sh, {file}]{more}}}\n");
    let servers = [
        "  absent: {command: [no-such-server]}\n".to_owned(),
        of("babble", &babble, ""),
        of("dies", &dies, ""),
        of("errs", &errs, ""),
        of("flood", &flood, ""),
        of("hang", &hang, ", timeout: 1s"),
        of("many", &many, ""),
    ];
    own_type(&world, "bad", &servers.concat());
    let names = ["hang__go", "dies__go", "flood__go", "babble__go", "errs__go", "many__t7"];
    let seen = run(&mut world, "bad", names.map(|it| (it, json!({}))).into());
    let tools = offered(&seen[0]);
    let of_many = tools.iter().filter(|it| it.starts_with("many__")).count();
    assert_eq!(tools.iter().filter(|it| it.contains("__")).count(), 128, "{tools:?}");
    assert!(of_many < 128 && !tools.iter().any(|it| it.starts_with("absent")), "{tools:?}");
    let said: Vec<(String, bool)> = seen[1..].iter().map(last_result).collect();
    for ((text, is_error), part) in said.iter().zip([
        "the tool server `hang` did not answer within 1 s",
        "the tool server `dies` ended before it answered (exit 3: no disk left)",
        "the tool server `flood` cannot be used: it printed a message of more than",
        "the tool server `babble` cannot be used: what it prints is not MCP",
        "error: not today (-32000)",
        "one of many",
    ]) {
        has(text, &[part]);
        assert_eq!(*is_error, part != "one of many", "{text}");
    }
    let log = fs::read_to_string(world.dir.path().join("daemon.log")).expect("a log");
    has(&log, &["`absent`", "tools of the tool server `many` are left out"]);
    let pid = world.daemon.as_ref().expect("it runs").id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < 300_000, "{peak} KiB");
}
