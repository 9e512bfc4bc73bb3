//! `taskd mcp` as an interactive agent meets it.

use std::fs;

use serde_json::json;
use taskd_model::{Actor, Event, Status, Via};

use super::{Talk, has};
use crate::{
    provider::{Answer, Provider, Step},
    support::{Door, World},
};

const LOOKING: [&str; 6] = ["list", "get", "wait", "why", "events", "plan_check"];

/// An agent that keeps its prompts, waits at the door in its first iteration, and needs two.
fn two_tries(world: &World, door: &Door) -> String {
    let kept = world.dir.path().join("prompt-$TASKD_ITERATION").display().to_string();
    let script = format!(
        "cat >{kept}\nif [ $TASKD_ITERATION = 1 ]; then {}; echo x >bad.txt; else \
         rm bad.txt; echo b >b.txt; fi\n",
        door.sh()
    );
    format!("sh {}", world.aside("agent.sh", &script))
}

/// Proves MCP-1 W-27: submit, wait, get, steer, approve through `taskd mcp`, with the words
/// of the protocol written by hand: the work lands.
#[test]
fn an_interactive_agent_drives_the_fleet() {
    let mut world = World::new();
    let door = Door::new(&world, "first");
    let agent = two_tries(&world, &door);
    world.start();
    let mut talk = Talk::new(&world, &["--allow", "submit,steer,approve"]);
    assert_eq!(talk.tools(), [&LOOKING[..], &["plan_submit", "steer", "approve"]].concat());

    let bad = json!({"document": "---\nplan: X\nagnet: x\n---\n## spec a: A\n", "agent": agent});
    for tool in ["plan_check", "plan_submit"] {
        let (text, object, is_error) = talk.call(tool, &bad);
        assert!(is_error && object["plan"].is_null());
        has(&text, &["agnet", "did you mean `agent`?", "\"line\":3"]);
    }
    let plan = json!({"request": "Write b", "agent": agent, "gate": "sh test.sh", "key": "k1"});
    assert!(talk.ok("plan_check", &plan)["plan"].is_null());
    assert_eq!(talk.ok("plan_submit", &plan)["plan"], "p1");
    let again = talk.ok("plan_submit", &plan);
    assert_eq!((&again["plan"], &again["already_known"]), (&json!("p1"), &json!(true)));

    door.reached();
    let waited = talk.ok("wait", &json!({"ids": ["p1"], "timeout_s": 0}));
    assert_eq!(
        (&waited["timed_out"], &waited["verdicts"]["p1"]),
        (&json!(true), &json!("pending"))
    );
    let steered = talk.ok("steer", &json!({"id": "p1", "text": "mind the gap"}));
    assert_eq!(steered["results"][0]["done"], true);
    door.open();
    let args = json!({"name": "wait", "arguments": {"ids": ["p1"], "timeout_s": 600},
        "_meta": {"progressToken": "t7"}});
    let waited = talk.ask("tools/call", &args);
    assert_eq!(waited["structuredContent"]["verdicts"]["p1"], "needs_you", "{waited}");
    let told = talk.told.iter().filter(|it| it["method"] == "notifications/progress");
    assert!(told.clone().all(|it| it["params"]["progressToken"] == "t7"));
    assert!(0 < told.count(), "it was told on the way");
    let prompt = fs::read_to_string(world.dir.path().join("prompt-2")).expect("a second prompt");
    has(&prompt, &["mind the gap"]);

    let listed = talk.ok("list", &json!({}));
    assert_eq!(listed["plans"][0]["name"], "p1");
    let name = listed["loops"][0]["name"].as_str().expect("a name").to_owned();
    let got = talk.ok("get", &json!({"id": name}));
    assert_eq!(got["loops"][0]["iterations"].as_array().map(Vec::len), Some(2));
    has(got["diff_stat"].as_str().expect("a stat"), &["b.txt"]);
    has(got["gate_said"].as_str().expect("a log"), &["passed, 0 failed"]);
    assert!(got["loops"][0]["cost_micros"].is_number());
    has(&talk.ok("why", &json!({"id": "p1"})).to_string(), &["taskd land"]);
    let events = talk.ok("events", &json!({"ids": ["p1"], "max": 3}));
    assert_eq!(events["events"].as_array().map(Vec::len), Some(3));
    assert!(0 < events["earlier"].as_u64().expect("a number"));

    let landed = talk.ok("approve", &json!({"id": "p1", "decision": "land"}));
    assert_eq!(landed["results"][0]["done"], true);
    let approved = world.until_event("a yes", |it| matches!(it.event, Event::Approved));
    assert!(matches!(approved.actor, Actor::Person { via: Some(Via::Mcp), .. }), "{approved:?}");
    let waited = talk.ok("wait", &json!({"ids": ["p1"], "timeout_s": 600}));
    assert_eq!(waited["verdicts"]["p1"], "landed");
    assert_eq!(world.git(&["show", "main:b.txt"]), "b");
    let listed = talk.ok("list", &json!({}));
    assert_eq!((&listed["plans"], &listed["loops"]), (&json!([]), &json!([])));
    assert_eq!(talk.ok("list", &json!({"all": true}))["plans"][0]["name"], "p1");
    talk.end();
}

/// Proves MCP-2: without `--allow` nothing that changes anything is listed, and what is
/// called all the same is refused by name with what a person can do; nothing happens.
#[test]
fn what_is_not_allowed_is_not_listed_and_refused_by_name() {
    let mut world = World::new();
    world.start();
    let mut talk = Talk::new(&world, &[]);
    assert_eq!(talk.tools(), LOOKING);
    let plan = json!({"request": "x", "agent": "true", "gate": "true"});
    let (text, object, is_error) = talk.call("plan_submit", &plan);
    assert!(is_error);
    assert_eq!(object["error"]["code"], "denied");
    has(&text, &["`plan_submit` is not allowed", "taskd mcp --allow submit"]);
    assert!(world.view().plans.is_empty());

    let mut talk = Talk::new(&world, &["--allow", "steer"]);
    assert_eq!(talk.tools(), [&LOOKING[..], &["steer"]].concat());
    has(&talk.call("approve", &json!({"id": "p1", "decision": "land"})).0, &["--allow approve"]);
    // What is wrong is said in our words, with our code.
    let (text, object, is_error) = talk.call("get", &json!({"id": "p9"}));
    assert!(is_error && object["error"]["code"] == "not_found", "{text}");
    has(&talk.call("get", &json!({"ID": "p9"})).0, &["unknown field `ID`"]);
    has(&talk.call("fly", &json!({})).0, &["there is no tool \"fly\"", "plan_check"]);
    for (line, code) in [
        ("nonsense", -32_700),
        ("[]", -32_600),
        (r#"{"jsonrpc":"2.0","id":"x","method":"resources/list"}"#, -32_601),
    ] {
        talk.say(line);
        assert_eq!(talk.hear()["error"]["code"], code, "{line}");
    }
    assert_eq!(talk.ask("ping", &json!({})), json!({}));
    talk.end();
}

/// Proves MCP-2: in the environment of a loop it is read-only, whatever `--allow` says.
#[test]
fn inside_a_loop_it_only_looks() {
    let mut world = World::new();
    let listed = world.dir.path().join("listed");
    let ask = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let script = format!(
        "echo '{ask}' | {} mcp --allow all >{}\necho b >b.txt\n",
        env!("CARGO_BIN_EXE_taskd"),
        listed.display()
    );
    let agent = format!("sh {}", world.aside("agent.sh", &script));
    world.start();
    world.submit(&format!(
        "---\nplan: In\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    let listed = fs::read_to_string(listed).expect("it was asked");
    has(&listed, &["\"plan_check\""]);
    assert!(!listed.contains("plan_submit") && !listed.contains("approve"), "{listed}");
}

/// A call that is cancelled is not answered, and keeps nobody waiting; many stand beside each other.
#[test]
fn a_call_can_be_cancelled() {
    let mut world = World::new();
    let door = Door::new(&world, "first");
    let agent = two_tries(&world, &door);
    world.start();
    world.submit(&format!(
        "---\nplan: One\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    door.reached();
    let mut talk = Talk::new(&world, &[]);
    let wait = |id: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"{id}","method":"tools/call","params":{{"name":"wait","arguments":{{"ids":["p1"],"timeout_s":600}}}}}}"#
        )
    };
    talk.say(&wait("gone"));
    talk.say(&wait("kept"));
    talk.say(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"gone"}}"#,
    );
    assert_eq!(talk.ask("ping", &json!({})), json!({}));
    assert!(talk.told.is_empty(), "{:?}", talk.told);
    door.open();
    assert_eq!(talk.hear()["id"], "kept");
    assert_eq!(talk.ask("ping", &json!({})), json!({}));
    assert!(talk.told.is_empty(), "{:?}", talk.told);
}

/// Claude Code, where it is installed, lists the fleet through `taskd mcp`.
#[test]
fn the_real_claude_asks_for_the_fleet() {
    let path = std::env::var_os("PATH").expect("PATH is set");
    if !std::env::split_paths(&path).any(|it| it.join("claude").is_file()) {
        use std::io::Write as _;
        writeln!(std::io::stdout(), "NOT RUN claude").ok();
        return;
    }
    let provider = Provider::new(|seen| {
        let works = seen.body.contains("mcp__taskd__list") && !seen.body.contains("tool_result");
        let step = match works {
            true => Step::Tool("mcp__taskd__list", "{\"all\":true}".to_owned()),
            false => Step::Text("Done.".to_owned()),
        };
        Answer::Stream(vec![step])
    });
    let mut world = World::new();
    world.start();
    world.submit("---\nplan: Seen\nagent: echo b >b.txt\ngate: sh test.sh\nland: never\n---\n## spec far-away: A\n");
    let it = world.until_status("p1.far-away", &[Status::Complete]);
    let server = json!({"command": env!("CARGO_BIN_EXE_taskd"), "args": ["mcp"],
        "env": {"TASKD_STATE_DIR": world.env["TASKD_STATE_DIR"]}});
    let config = world.aside("mcp.json", &json!({"mcpServers": {"taskd": server}}).to_string());
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), "sk-ant-nobody".to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    world.env.insert("IS_SANDBOX".to_owned(), "1".to_owned());
    #[expect(clippy::disallowed_methods, reason = "a real program")]
    let ran = std::process::Command::new("claude")
        .args([
            "-p",
            "--mcp-config",
            &config,
            "--strict-mcp-config",
            "--dangerously-skip-permissions",
        ])
        .args(["--output-format", "stream-json", "--verbose", "--", "What is going on?"])
        .current_dir(&world.repo)
        .env_clear()
        .envs(&world.env)
        .output()
        .expect("claude runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    has(&said, &["mcp__taskd__list", &it.name]);
    assert!(provider.seen().iter().any(|it| it.body.contains("p1.far-away")));
}
