//! What requests look like on the wire, and that the same one always looks the same.

use serde_json::{Value, json};
use taskd_model::{Level, Message, Params, Part, RateLevels, Request, Role, ToolDef};

use super::CHAT;
use crate::{
    openai::{Chat, Dialect, Responses, call_id, limits::duration_ms},
    wire::Wire,
};

const LOCAL: Chat = Chat { dialect: Dialect::Compatible };
const THOUGHT: &str = r#"{"id":"rs_1", "type":"reasoning","summary":[],"encrypted_content":"g=="}"#;

fn text(text: &str) -> Part {
    Part::Text { text: text.into() }
}

fn call(id: &str, args: &str) -> Part {
    Part::ToolUse { id: id.into(), name: "read".into(), args: args.into() }
}

fn result(id: &str, text: &str, is_error: bool) -> Part {
    Part::ToolResult { id: id.into(), text: text.into(), is_error }
}

fn opaque(provider: &str, json: &str) -> Part {
    Part::Opaque { provider: provider.into(), json: json.into() }
}

/// A conversation with everything in it.
fn request() -> Request {
    let user = |content| Message { role: Role::User, content };
    let assistant = |content| Message { role: Role::Assistant, content };
    Request {
        model: "gpt-5-mini".into(),
        system: "You write shell.".into(),
        messages: vec![
            user(vec![text("Do it."), text("Now.")]),
            assistant(vec![
                opaque("openai", THOUGHT),
                opaque("anthropic", r#"{"type":"thinking"}"#),
                text("I look."),
                call("c1", r#"{"path": "a"}"#),
                call("c2", "{'path'"),
                opaque("openai", r#"{"type":"reasoning","encrypted_content":"led nowhere"}"#),
            ]),
            user(vec![
                text("A note."),
                result("c1", "fn main() {}", false),
                result("c2", "not JSON", true),
            ]),
            assistant(vec![opaque("openai", THOUGHT)]),
            user(vec![text("Go on.")]),
        ],
        tools: vec![ToolDef {
            name: "read".into(),
            description: "Reads a file.".into(),
            schema: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
        }],
        max_tokens: 1000,
        params: Params::default(),
        loop_name: "p1.parse".into(),
        iteration: 2,
        turn: 3,
    }
}

fn body(wire: &dyn Wire, request: &Request) -> Value {
    let written = wire.request(request).expect("it can be expressed");
    assert_eq!(written.headers, [], "what is sent beside the body is the transport's");
    serde_json::from_slice(&written.body).expect("JSON")
}

fn chat_body() -> Value {
    json!({
        "model": "gpt-5-mini",
        "messages": [
            {"role": "system", "content": "You write shell."},
            {"role": "user", "content": "Do it.\n\nNow."},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "c1", "type": "function",
                 "function": {"name": "read", "arguments": "{\"path\": \"a\"}"}},
                {"id": "c2", "type": "function",
                 "function": {"name": "read", "arguments": "{'path'"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "fn main() {}"},
            {"role": "tool", "tool_call_id": "c2", "content": "error: not JSON"},
            {"role": "user", "content": "A note."},
            {"role": "user", "content": "Go on."},
        ],
        "tools": [{"type": "function", "function": {
            "name": "read",
            "description": "Reads a file.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
        }}],
        "max_completion_tokens": 1000,
        "stream": true,
        "stream_options": {"include_usage": true},
    })
}

#[test]
fn a_conversation_as_chat() {
    assert_eq!(CHAT.request(&request()).expect("a request").path, "/chat/completions");
    assert_eq!(body(&CHAT, &request()), chat_body());
}

#[test]
fn a_conversation_as_chat_to_a_local_server() {
    let mut expected = chat_body();
    let fields = expected.as_object_mut().expect("an object");
    fields.remove("max_completion_tokens");
    fields.insert("max_tokens".to_owned(), json!(1000));
    expected["messages"][2]["tool_calls"][1]["function"]["arguments"] =
        json!(r#"{"not_a_json_object":"{'path'"}"#);
    assert_eq!(body(&LOCAL, &request()), expected);
}

#[test]
fn the_dialect_is_the_hosts() {
    for theirs in [
        "https://api.openai.com/v1",
        "https://API.openai.com",
        "https://api.openai.com:443/v1",
        "https://eu.api.openai.com/v1",
    ] {
        assert_eq!(Dialect::of(theirs), Dialect::OpenAi, "{theirs}");
    }
    for others in [
        "http://localhost:11434/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com.example/v1",
        "https://example/api.openai.com/v1",
        "https://myapi.openai.com.example",
        "",
    ] {
        assert_eq!(Dialect::of(others), Dialect::Compatible, "{others}");
    }
}

#[test]
fn a_conversation_as_responses() {
    assert_eq!(Responses.request(&request()).expect("a request").path, "/responses");
    let expected = json!({
        "model": "gpt-5-mini",
        "instructions": "You write shell.",
        "input": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "Do it."},
                {"type": "input_text", "text": "Now."},
            ]},
            {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "g=="},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "I look."},
            ]},
            {"type": "function_call", "call_id": "c1", "name": "read",
             "arguments": "{\"path\": \"a\"}"},
            {"type": "function_call", "call_id": "c2", "name": "read", "arguments": "{'path'"},
            {"type": "function_call_output", "call_id": "c1", "output": "fn main() {}"},
            {"type": "function_call_output", "call_id": "c2", "output": "error: not JSON"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "A note."},
            ]},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "Go on."},
            ]},
        ],
        "tools": [{
            "type": "function",
            "name": "read",
            "description": "Reads a file.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
            "strict": false,
        }],
        "max_output_tokens": 1000,
        "include": ["reasoning.encrypted_content"],
        "store": false,
        "stream": true,
    });
    assert_eq!(body(&Responses, &request()), expected);
    let written = Responses.request(&request()).expect("a request").body;
    let written = String::from_utf8(written).expect("text");
    assert!(written.contains(THOUGHT), "a thought goes back byte for byte");
}

#[test]
fn odd_names_and_ids_do_not_spoil_a_conversation() {
    let long = "n".repeat(100);
    let names = [
        ("read-2_b", "read-2_b"),
        ("functions.read", "functions_read"),
        ("run shell", "run_shell"),
        ("ž", "_"),
        ("", "_"),
        (&long, &long[..64]),
    ];
    for (name, expected) in names {
        let id = format!("chatcmpl-tool-{}", "0".repeat(40));
        let call = Part::ToolUse { id: id.clone(), name: name.into(), args: "{}".into() };
        let messages = vec![
            Message { role: Role::Assistant, content: vec![call] },
            Message { role: Role::User, content: vec![result(&id, "said", false)] },
        ];
        let request = Request { system: String::new(), messages, ..request() };
        let chat = body(&CHAT, &request);
        let (call, answer) = (&chat["messages"][0]["tool_calls"][0], &chat["messages"][1]);
        assert_eq!(call["function"]["name"], expected);
        assert_eq!(call["id"], answer["tool_call_id"]);
        assert_eq!(call["id"].as_str().map(str::len), Some(37));
        let input = &body(&Responses, &request)["input"];
        assert_eq!(input[0]["name"], expected);
        assert_eq!(input[0]["call_id"], call["id"]);
        assert_eq!(input[1]["call_id"], call["id"]);
    }
    assert_ne!(call_id("a:1"), call_id("a;1"), "ids stay apart");
    assert_eq!(call_id("call_Aa1-"), "call_Aa1-");
}

#[test]
fn nothing_is_sent_that_was_not_asked_for() {
    let bare =
        Request { system: String::new(), tools: Vec::new(), messages: Vec::new(), ..request() };
    let expected = json!({
        "model": "gpt-5-mini", "messages": [], "max_tokens": 1000,
        "stream": true, "stream_options": {"include_usage": true},
    });
    assert_eq!(body(&LOCAL, &bare), expected);
    let expected = json!({
        "model": "gpt-5-mini", "input": [], "max_output_tokens": 1000,
        "include": ["reasoning.encrypted_content"], "store": false, "stream": true,
    });
    assert_eq!(body(&Responses, &bare), expected);
}

#[test]
fn thoughts_are_asked_for_where_there_may_be_some() {
    let cases = [
        ("gpt-5-mini", true),
        ("gpt-5.2-codex", true),
        ("o4-mini", true),
        ("openai/gpt-oss-120b", true),
        ("a-new-one", true),
        ("gpt-4.1-mini", false),
        ("gpt-4o-2024-08-06", false),
        ("openai/gpt-4o", false),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", false),
        ("gpt-5-chat-latest", false),
        ("chatgpt-4o-latest", false),
        ("gpt-3.5-turbo", false),
    ];
    for (model, expected) in cases {
        let request = Request { model: model.into(), ..request() };
        let include = body(&Responses, &request).get("include").cloned();
        let asked = json!(["reasoning.encrypted_content"]);
        assert_eq!(include, expected.then_some(asked), "{model}");
    }
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let elsewhere = Request { loop_name: "p9.x".into(), iteration: 7, turn: 8, ..request() };
    for wire in [&CHAT as &dyn Wire, &LOCAL, &Responses] {
        let first = wire.request(&request()).expect("a request");
        assert_eq!(wire.request(&request()).expect("a request"), first);
        assert_eq!(
            wire.request(&elsewhere).expect("a request"),
            first,
            "only what is asked counts"
        );
    }
}

#[test]
fn levels_are_read_from_headers() {
    let headers = [
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-tokens", "4735"),
        ("x-ratelimit-reset-tokens", "50.529s"),
    ];
    let expected = RateLevels {
        requests: Some(Level { limit: 500, remaining: 499, reset_ms: 120 }),
        tokens: Some(Level { limit: 30_000, remaining: 4735, reset_ms: 50_529 }),
        ..RateLevels::default()
    };
    for wire in [&CHAT as &dyn Wire, &Responses] {
        let header = |name: &str| headers.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        assert_eq!(wire.levels(&header, 0), expected);
        assert_eq!(wire.levels(&|_| None, 0), RateLevels::default());
        // Azure, now and then.
        assert_eq!(wire.levels(&|_| Some("-1".to_owned()), 0), RateLevels::default());
        let some = |name: &str| header(name).filter(|_| name != "x-ratelimit-reset-tokens");
        assert_eq!(wire.levels(&some, 0), RateLevels { tokens: None, ..expected });
    }
}

#[test]
fn durations_are_read() {
    let cases = [
        ("6m0s", Some(360_000)),
        ("20ms", Some(20)),
        ("1s", Some(1000)),
        ("1h2m3.5s", Some(3_723_500)),
        ("1d", Some(86_400_000)),
        ("0", Some(0)),
        ("0s", Some(0)),
        (" 7 ", Some(7000)),
        ("1.5", Some(1500)),
        ("6.0001s", Some(6001)),
        ("0.1ms", Some(1)),
        ("900us", Some(1)),
        ("1µs", Some(1)),
        (".5s", None),
        ("1.s", Some(1000)),
        ("", None),
        ("s", None),
        ("ms20", None),
        ("1s2", None),
        ("1m 2s", None),
        ("-1s", None),
        ("1.2.3s", None),
        ("1y", None),
        ("never", None),
        ("99999999999999999999s", None),
        ("9999999999999999999h", None),
        ("1h1h1h1h1h1h1h1h1h1h1h1h1h1h1h1h1h", None),
        ("2029-01-01T00:00:00Z", None),
    ];
    for (text, expected) in cases {
        assert_eq!(duration_ms(text), expected, "{text:?}");
    }
}

#[test]
fn what_a_model_takes_is_told_by_its_name_at_openai_only() {
    let it = |wire: &dyn Wire, model| {
        let it = wire.capabilities(model);
        (it.thinking, it.max_temperature)
    };
    for wire in [&CHAT as &dyn Wire, &Responses] {
        assert_eq!(it(wire, "gpt-5.2"), (true, None));
        assert_eq!(it(wire, "gpt-4.1-mini"), (false, Some(2_000)));
    }
    assert_eq!(it(&LOCAL, "gpt-5.2"), (false, Some(2_000)));
}

#[test]
fn what_belongs_to_a_call_goes_back_with_it_and_to_nobody_else() {
    let extra = r#"{"id":"c1","extra_content":{"google":{"thought_signature":"s=="}}}"#;
    let calls = |wire: &dyn Wire, parts: Vec<Part>| {
        let messages = vec![Message { role: Role::Assistant, content: parts }];
        let body = body(wire, &Request { messages, system: String::new(), ..request() });
        body["messages"][0]["tool_calls"].clone()
    };
    let parts = || vec![opaque("openai-chat", extra), call("c1", "{}"), call("c2", "{}")];
    let sent = calls(&LOCAL, parts());
    assert_eq!(sent[0]["extra_content"], json!({"google": {"thought_signature": "s=="}}));
    assert_eq!(sent[1].get("extra_content"), None);
    assert_eq!(calls(&CHAT, parts())[0].get("extra_content"), None);
    let other = calls(&LOCAL, vec![opaque("openai-chat", extra), call("c9", "{}")]);
    assert_eq!(other[0].get("extra_content"), None);
}
