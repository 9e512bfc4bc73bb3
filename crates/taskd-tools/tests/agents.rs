//! What agent programs print, as they print it, and what we make of it.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use proptest::prelude::*;
use taskd_tools::agents::{AgentFact, LINE_MAX_BYTES, Preset, RESULT_MAX_BYTES, StreamParser};

const CLAUDE: &str = r#"{"type":"system","subtype":"init","cwd":"/w/p7.limiter","session_id":"5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001","tools":["Task","Bash","Edit"],"mcp_servers":[],"model":"claude-sonnet-4-5","permissionMode":"bypassPermissions","apiKeySource":"ANTHROPIC_API_KEY"}
{"type":"assistant","message":{"id":"msg_01A","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"I'll look at the limiter first.\nThen the tests."}],"stop_reason":null,"usage":{"input_tokens":4,"cache_creation_input_tokens":11002,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}},"parent_tool_use_id":null,"session_id":"5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001"}
{"type":"assistant","message":{"id":"msg_01A","type":"message","role":"assistant","content":[{"type":"tool_use","id":"toolu_01","name":"Read","input":{"file_path":"/w/p7.limiter/src/limit.rs"}}],"usage":{"input_tokens":4,"cache_creation_input_tokens":11002,"cache_read_input_tokens":0,"output_tokens":90}},"session_id":"5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001"}
{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_01","type":"tool_result","content":"     1\tpub struct Limiter;"}]},"session_id":"5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001"}
npm WARN config something printed by someone else
{"type":"assistant","message":{"id":"msg_01B","content":[{"type":"tool_use","id":"toolu_02","name":"Edit","input":{"file_path":"src/limit.rs","old_string":"a","new_string":"b"}},{"type":"tool_use","id":"toolu_03","name":"Bash","input":{"command":"cargo test\n--quiet","description":"Run tests"}}],"usage":{"input_tokens":6,"cache_creation_input_tokens":300,"cache_read_input_tokens":11002,"output_tokens":210}},"session_id":"5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001"}
{"type":"result","subtype":"success","is_error":false,"duration_ms":48211,"num_turns":9,"result":"The limiter now counts per minute.","session_id":"5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001","total_cost_usd":0.1234567,"usage":{"input_tokens":12,"cache_creation_input_tokens":11302,"cache_read_input_tokens":22304,"output_tokens":321}}
"#;

const CODEX: &str = r#"{"type":"thread.started","thread_id":"0199a213-81c0-7800-8aa1-bbab2a035a53"}
{"type":"turn.started"}
{"type":"item.completed","item":{"id":"item_0","type":"reasoning","text":"**Looking at the code**"}}
{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"bash -lc ls","aggregated_output":"","exit_code":null,"status":"in_progress"}}
{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"bash -lc ls","aggregated_output":"src\n","exit_code":0,"status":"completed"}}
{"type":"item.completed","item":{"id":"item_2","type":"file_change","changes":[{"path":"src/limit.rs","kind":"update"},{"path":"src/new.rs","kind":"add"}],"status":"completed"}}
{"type":"item.completed","item":{"id":"item_3","type":"agent_message","text":"Done.\nThe limiter counts."}}
{"type":"turn.completed","usage":{"input_tokens":24763,"cached_input_tokens":24448,"output_tokens":122}}
"#;

const AIDER: &str = "Aider v0.86.1\nMain model: claude-sonnet-4-5 with diff edit format\n\nsrc/limit.rs\nApplied edit to src/limit.rs\nTokens: 4.2k sent, 1,1k junk, 320 received. Cost: $0.02 message, $0.02 session.\nTokens: 10k sent, 2.0k cache hit, 1.1k received. Cost: $0.0305 message, $0.05 session.\n";

#[test]
fn a_run_of_claude() {
    let session = "5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001";
    assert_eq!(
        run("claude", CLAUDE.as_bytes()),
        [
            AgentFact::Session(session.to_owned()),
            AgentFact::Payer { name: "ANTHROPIC_API_KEY".to_owned(), login: false },
            activity("I'll look at the limiter first."),
            usage(4, 1, 0, 11_002, None),
            activity("read /w/p7.limiter/src/limit.rs"),
            // The same message says more about itself: nothing is counted twice.
            usage(4, 90, 0, 11_002, None),
            activity("edit src/limit.rs"),
            activity("bash cargo test"),
            usage(10, 300, 11_002, 11_302, None),
            usage(12, 321, 22_304, 11_302, Some(123_457)),
            result("The limiter now counts per minute.", false),
        ]
    );
}

#[test]
fn claude_gives_up() {
    let line = r#"{"type":"result","subtype":"error_max_turns","is_error":true,"session_id":"s-1","total_cost_usd":-1,"usage":{"output_tokens":-4}}"#;
    let session = AgentFact::Session("s-1".to_owned());
    assert_eq!(run("claude", line.as_bytes()), [session, result("error_max_turns", true)]);
}

#[test]
fn helpers_of_claude_talk_at_the_same_time() {
    let say = |id: &str, output: u64| {
        format!(
            "{{\"type\":\"assistant\",\"message\":{{\"id\":\"{id}\",\"usage\":{{\"output_tokens\":{output}}}}}}}\n"
        )
    };
    let lines = [say("a", 1), say("b", 10), say("a", 2), say("b", 20)].concat();
    let last = run("claude", lines.as_bytes()).pop();
    assert_eq!(last, Some(usage(0, 22, 0, 0, None)));
}

#[test]
fn a_run_of_codex() {
    assert_eq!(
        run("codex", CODEX.as_bytes()),
        [
            AgentFact::Session("0199a213-81c0-7800-8aa1-bbab2a035a53".to_owned()),
            activity("run bash -lc ls"),
            activity("edit src/limit.rs"),
            activity("edit src/new.rs"),
            activity("Done."),
            // Its input includes what was cached.
            usage(315, 122, 24_448, 0, None),
            result("Done.\nThe limiter counts.", false),
        ]
    );
    let failed = r#"{"type":"turn.failed","error":{"message":"stream disconnected"}}"#;
    assert_eq!(run("codex", failed.as_bytes()), [result("stream disconnected", true)]);
}

#[test]
fn a_run_of_aider() {
    let facts = run("aider", AIDER.as_bytes());
    assert!(facts.contains(&activity("Applied edit to src/limit.rs")));
    assert!(facts.contains(&usage(4_200, 320, 0, 0, Some(20_000))));
    assert!(facts.contains(&usage(14_200, 1_420, 2_000, 0, Some(50_500))));
    assert_eq!(facts.last(), Some(&result(AIDER.trim(), false)));
}

#[test]
fn any_command_has_its_end_as_result() {
    let mut parser = StreamParser::new(Preset::command("my-agent"));
    let mut facts = parser.feed(b"one\n\x1b[32mtwo\x1b[0m\n\n");
    facts.extend(parser.feed(b"no line feed \xff"));
    facts.extend(parser.finish());
    assert_eq!(facts[..3], [activity("one"), activity("two"), activity("no line feed \u{fffd}")]);
    assert_eq!(facts[3], result("one\n\u{1b}[32mtwo\u{1b}[0m\n\nno line feed \u{fffd}", false));
    assert_eq!(facts.len(), 4);

    let mut parser = StreamParser::new(Preset::command("chatty"));
    for number in 0..100_000 {
        parser.feed(format!("line {number} é\n").as_bytes());
    }
    let Some(AgentFact::Result { text, .. }) = parser.finish().pop() else { panic!() };
    assert!(text.len() <= RESULT_MAX_BYTES && text.ends_with("line 99999 é"));
}

#[test]
fn a_line_over_the_limit_is_skipped_and_the_next_one_is_read() {
    let mut parser = StreamParser::new(Preset::builtin("codex").unwrap());
    for _ in 0..=LINE_MAX_BYTES / 1000 {
        assert!(parser.feed(&[b'x'; 1000]).is_empty());
    }
    let facts = parser.feed(b"\n{\"type\":\"thread.started\",\"thread_id\":\"t\"}\n");
    assert_eq!((facts.len(), parser.lines_skipped()), (1, 1));
    parser.feed(&vec![b'x'; LINE_MAX_BYTES + 1]);
    assert!(parser.finish().is_empty());
    assert_eq!(parser.lines_skipped(), 2);
}

#[test]
fn garbage_says_nothing() {
    for line in [
        "",
        "{",
        "null",
        "[1]",
        "\"type\"",
        "{\"type\":\"result\"",
        "{\"type\":1}",
        "\u{0}",
        r#"{"type":"assistant","message":{"content":"text","usage":[]}}"#,
        r#"{"type":"assistant","message":{"content":[1,null,{"type":"tool_use"}],"usage":{"input_tokens":1.5}}}"#,
        r#"{"type":"system","subtype":"init","session_id":7}"#,
    ] {
        assert_eq!(run("claude", line.as_bytes()), [], "{line}");
    }
    let deep = format!("{{\"type\":{}", "[".repeat(500_000));
    assert_eq!(run("claude", deep.as_bytes()), []);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_where_the_stream_is_split(
        name in prop::sample::select(Preset::BUILTIN_NAMES),
        pieces in prop::collection::vec(piece(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let bytes = pieces.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parser = StreamParser::new(Preset::builtin(name).unwrap());
        let (mut facts, mut from) = (Vec::new(), 0);
        for to in cuts {
            facts.extend(parser.feed(&bytes[from..to]));
            from = to;
        }
        facts.extend(parser.feed(&bytes[from..]));
        facts.extend(parser.finish());
        for fact in &facts {
            if let AgentFact::Activity(text) = fact {
                prop_assert!(text.chars().count() <= 200 && !text.contains(char::is_control));
            }
        }
        prop_assert_eq!(facts, run(name, &bytes));
    }
}

/// Arbitrary bytes, real lines, and real lines with a few bytes changed.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<&str> =
        [CLAUDE, CODEX, AIDER].iter().flat_map(|it| it.split_inclusive('\n')).collect();
    let line = prop::sample::select(lines).prop_map(|it| it.as_bytes().to_vec());
    let broken = (line.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut line, at, byte)| {
            let at = at.index(line.len());
            line[at] = byte;
            line
        },
    );
    prop_oneof![prop::collection::vec(any::<u8>(), 0..60), line, broken]
}

fn run(name: &str, bytes: &[u8]) -> Vec<AgentFact> {
    let mut parser = StreamParser::new(Preset::builtin(name).unwrap());
    let mut facts = parser.feed(bytes);
    facts.extend(parser.finish());
    facts
}

fn activity(text: &str) -> AgentFact {
    AgentFact::Activity(text.to_owned())
}

fn usage(
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    cost_micros: Option<u64>,
) -> AgentFact {
    AgentFact::Usage { input, output, cache_read, cache_write, cost_micros }
}

fn result(text: &str, is_error: bool) -> AgentFact {
    AgentFact::Result { text: text.to_owned(), is_error }
}
