//! What servers of these formats do beside what is documented, one case a stream.

use super::{CHAT, payloads, told, told_within};
use crate::{CallLimits, openai::Responses, wire::SseEvent};

fn limits(max_reply_bytes: usize, max_tool_calls: usize) -> CallLimits {
    CallLimits { max_reply_bytes, max_tool_calls, ..super::limits() }
}

/// A payload with these pieces of tool calls.
fn calls(pieces: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{pieces}]}}}}]}}"#)
}

fn finish(reason: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#)
}

/// What is read of pieces, one payload a line.
fn assembled(pieces: &str, reason: &str) -> String {
    let pieces = pieces.lines().map(str::trim).filter(|it| !it.is_empty()).map(calls);
    let data = pieces.chain([finish(reason), "[DONE]".to_owned()]);
    let events: Vec<_> = data.map(|data| SseEvent { name: String::new(), data }).collect();
    told(&CHAT, &events)
}

/// Pieces, and the calls that are read of them.
const PIECES: [(&str, &str, &str); 10] = [
    (
        "whole calls without number and id",
        r#"{"function":{"name":"a","arguments":"{}"}}
           {"function":{"name":"a","arguments":"{}"}}"#,
        "tool 0 call_0 a {}\ntool 1 call_1 a {}",
    ),
    (
        "two in one payload",
        concat!(
            r#"{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}},"#,
            r#"{"index":1,"id":"y","function":{"name":"b","arguments":"{}"}}"#,
        ),
        "tool 0 x a {}\ntool 1 y b {}",
    ),
    (
        "pieces without number and id",
        r#"{"function":{"name":"a","arguments":"{\"k\""}}
           {"function":{"arguments":":1}"}}"#,
        r#"tool 0 call_0 a {"k":1}"#,
    ),
    (
        "id and name again with every piece",
        r#"{"index":0,"id":"x","function":{"name":"a","arguments":"{\"k\""}}
           {"index":0,"id":"x","function":{"name":"a","arguments":":1}"}}"#,
        r#"tool 0 x a {"k":1}"#,
    ),
    (
        "the name again with every piece, and no id",
        r#"{"index":0,"function":{"name":"a","arguments":"{\"k\""}}
           {"index":0,"function":{"name":"a","arguments":":1}"}}"#,
        r#"tool 0 call_0 a {"k":1}"#,
    ),
    (
        "the first number is 1, and the id comes late",
        r#"{"index":1,"function":{"name":"a"}}
           {"index":1,"id":"x","function":{"arguments":"{}"}}"#,
        "tool 0 x a {}",
    ),
    (
        "one id for two calls: a result must answer to one of them",
        r#"{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}}
           {"index":1,"id":"x","function":{"name":"b","arguments":"{}"}}"#,
        "tool 0 x a {}\ntool 1 call_1 b {}",
    ),
    (
        "no arguments at all, and nulls",
        r#"{"index":0,"id":"x","type":null,"function":{"name":"a","arguments":null}}
           {"index":0,"id":null,"function":{"name":null,"arguments":""}}"#,
        "tool 0 x a {}",
    ),
    (
        "the arguments as JSON instead of as text",
        r#"{"index":0,"id":"x","function":{"name":"a","arguments":{"k":[1]}}}"#,
        r#"tool 0 x a {"k":[1]}"#,
    ),
    (
        "not JSON: whoever runs the tool says so to the model",
        r#"{"index":0,"id":"x","function":{"name":"a","arguments":"{'k': 1"}}"#,
        "tool 0 x a {'k': 1",
    ),
];

#[test]
fn pieces_of_calls_find_each_other() {
    for (case, pieces, expected) in PIECES {
        let told = assembled(pieces, "tool_calls");
        let (calls, done) = told.rsplit_once('\n').unwrap_or_default();
        assert_eq!(calls, expected, "{case}");
        assert!(done.starts_with("done ToolUse"), "{case}: {told}");
    }
}

#[test]
fn a_piece_that_belongs_to_no_call_is_an_error() {
    let garbled = "Transient: the model provider: the stream cannot be read: a piece of a tool call \
                   that belongs to none";
    let late = r#"{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}}
                  {"index":1,"id":"y","function":{"name":"b","arguments":"{}"}}
                  {"index":0,"function":{"arguments":"}"}}"#;
    let expected = format!("tool 0 x a {{}}\ntool 1 y b {{}}\n{garbled}");
    assert_eq!(assembled(late, "tool_calls"), expected);
    assert_eq!(assembled(r#"{"function":{"arguments":"{}"}}"#, "tool_calls"), garbled);
}

#[test]
fn every_reason_to_stop_is_known_or_passed_on() {
    let call = r#"{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}}"#;
    let cases = [
        ("stop", "done End by nobody: "),
        ("length", "done MaxTokens by nobody: "),
        ("content_filter", "done Refusal by nobody: "),
        ("tool_calls", "done ToolUse by nobody: "),
        ("function_call", "done ToolUse by nobody: "),
        (
            "insufficient_system_resource",
            r#"done Other("insufficient_system_resource") by nobody: "#,
        ),
    ];
    for (reason, expected) in cases {
        assert_eq!(assembled("", reason), expected);
    }
    assert_eq!(assembled(call, "stop"), "tool 0 x a {}\ndone ToolUse by nobody: x");
    assert_eq!(assembled(call, "length"), "tool 0 x a {}\ndone MaxTokens by nobody: x");
    let cut = r#"{"index":0,"id":"x","function":{"name":"a","arguments":"{\"k"}}"#;
    assert_eq!(assembled(cut, "length"), "done MaxTokens by nobody: ", "half a call is none");
}

#[test]
fn chat_ends_without_the_usual_signs() {
    let word = r#"{"model":"m","choices":[{"delta":{"content":"hi"}}]}"#;
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let whole = "text \"hi\"\ndone End by m: \"hi\"";
    assert_eq!(told(&CHAT, &payloads([word, stop])), whole, "no [DONE]");
    assert_eq!(told(&CHAT, &payloads([word, "[DONE]"])), whole, "no reason");
    assert_eq!(told(&CHAT, &payloads([word, stop, "[DONE]", word, "{"])), whole, "more after it");
    let cut = "Transient: the model provider: the connection ended after 0 pieces of the reply";
    assert_eq!(told(&CHAT, &payloads(["", "[DONE]"])), cut, "nothing but the end");
    let call = calls(r#"{"function":{"name":"a","arguments":"{}"}}"#);
    let expected = "tool 0 call_0 a {}\ndone ToolUse by nobody: call_0";
    assert_eq!(told(&CHAT, &payloads([&call, "[DONE]"])), expected, "a call and no reason");
}

#[test]
fn a_refusal_is_text_and_the_reason() {
    let events = payloads([
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":"I can"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"refusal":"not."}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]);
    let expected = "text \"I can\"\ntext \"not.\"\ndone Refusal by nobody: \"I cannot.\"";
    assert_eq!(told(&CHAT, &events), expected);
    let events = payloads([
        r#"{"type":"response.refusal.delta","delta":"I cannot."}"#,
        r#"{"type":"response.completed","response":{"model":"m"}}"#,
    ]);
    let expected = "text \"I cannot.\"\ndone Refusal by m: \"I cannot.\"";
    assert_eq!(told(&Responses, &events), expected);
}

#[test]
fn errors_in_the_stream_are_told_apart() {
    let server = "Transient: the model provider: a problem of the provider's own";
    let limited = "RateLimited: the model provider: too much was asked for";
    let chat = [
        (r#"{"error":{"message":"m","type":"server_error","code":null}}"#, format!("{server} (server_error)")),
        (r#"{"error":{"message":"m","type":"requests","code":"rate_limit_exceeded"}}"#, format!("{limited} (rate_limit_exceeded)")),
        (r#"{"error":{"message":"m","code":429}}"#, format!("{limited} (429)")),
        (r#"{"error":{"message":"m","type":"exceed_context_size_error","code":400}}"#, "TooLarge: the model provider: the request is too large (400 exceed_context_size_error)".to_owned()),
        (r#"{"error":"the prompt was: x"}"#, format!("{server} (no status)")),
        (r#"{"error":{"code":"the prompt was: x"}}"#, format!("{server} (no status)")),
    ];
    for (data, expected) in chat {
        assert_eq!(told(&CHAT, &payloads([data])), expected);
    }
    let beside = [SseEvent { name: "error".into(), data: r#"{"type":"server_error"}"#.into() }];
    assert_eq!(told(&CHAT, &beside), format!("{server} (server_error)"));
    let responses = [
        // As documented, and as it is sent.
        (
            r#"{"type":"error","code":"rate_limit_exceeded","message":"m","param":null,"sequence_number":1}"#,
            format!("{limited} (rate_limit_exceeded)"),
        ),
        (
            r#"{"type":"error","sequence_number":2,"error":{"type":"too_many_requests","code":"too_many_requests","message":"m","param":null}}"#,
            format!("{limited} (too_many_requests)"),
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"m"},"model":"m","usage":null}}"#,
            format!("{server} (server_error)"),
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":null}}"#,
            format!("{server} (no status)"),
        ),
    ];
    for (data, expected) in responses {
        assert_eq!(told(&Responses, &payloads([data])), expected);
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let garbled = "Transient: the model provider: the stream cannot be read: an event that is not \
                   what it should be";
    for data in
        ["{", "<html>", "[]", "7", r#"{"choices":7}"#, r#"{"choices":[{"delta":{"content":7}}]}"#]
    {
        assert_eq!(told(&CHAT, &payloads([data])), garbled, "{data}");
    }
    for data in [
        "{",
        "<html>",
        "7",
        r#"{"type":"response.output_text.delta"}"#,
        r#"{"type":"response.output_item.done","item":7}"#,
    ] {
        assert_eq!(told(&Responses, &payloads([data])), garbled, "{data}");
    }
    let nameless =
        r#"{"type":"response.output_item.done","item":{"type":"function_call","call_id":"x"}}"#;
    assert!(told(&Responses, &payloads([nameless])).contains("a tool call without a name"));
}

#[test]
fn responses_may_be_incomplete() {
    let half = r#"{"type":"response.output_item.done","item":{"type":"function_call","status":"incomplete","call_id":"x","name":"a","arguments":"{\"k"}}"#;
    let cases = [
        (r#"{"reason":"max_output_tokens"}"#, "MaxTokens"),
        (r#"{"reason":"content_filter"}"#, "Refusal"),
        (r#"{"reason":"x_new"}"#, r#"Other("x_new")"#),
        ("null", r#"Other("incomplete")"#),
    ];
    for (details, stop) in cases {
        let end = format!(
            r#"{{"type":"response.incomplete","response":{{"model":"m","incomplete_details":{details},"usage":{{"input_tokens":3,"output_tokens":4}}}}}}"#
        );
        let expected = format!("usage 3 in, 4 out, 0 cached\ndone {stop} by m: ");
        assert_eq!(told(&Responses, &payloads([half, &end])), expected);
    }
}

#[test]
fn responses_of_others_leave_things_out() {
    // Names beside the payload only, no id, no arguments; thoughts that cannot go back.
    let event = |name: &str, data: &str| SseEvent { name: name.into(), data: data.into() };
    let events = [
        event("response.reasoning_text.delta", r#"{"delta":"hm"}"#),
        event(
            "response.output_item.done",
            r#"{"item":{"type":"reasoning","id":"rs_1","summary":[]}}"#,
        ),
        event("response.output_item.done", r#"{"item":{"type":"function_call","name":"a"}}"#),
        event("response.output_item.done", r#"{"item":{"type":"web_search_call","id":"ws_1"}}"#),
        event("response.completed", r#"{"response":{}}"#),
        event("", "[DONE]"),
    ];
    let expected = "thinking \"hm\"\ntool 0 call_0 a {}\ndone ToolUse by nobody: call_0";
    assert_eq!(told(&Responses, &events), expected);
}

#[test]
fn caps_end_a_reply() {
    let too_large = |cap: usize, unit: &str| {
        format!("Permanent: the reply exceeds {cap} {unit}; it was cut off")
    };
    // Arguments count while they grow.
    let piece = calls(r#"{"index":0,"id":"x","function":{"name":"a","arguments":"12345678"}}"#);
    let pieces = payloads([&piece, &piece, &piece]);
    assert_eq!(told_within(&CHAT, &pieces[..2], limits(20, 9)), cut());
    assert_eq!(told_within(&CHAT, &pieces, limits(20, 9)), too_large(20, "bytes"));
    let piece = r#"{"type":"response.function_call_arguments.delta","delta":"12345678"}"#;
    let pieces = payloads([piece, piece, piece]);
    assert_eq!(told_within(&Responses, &pieces[..2], limits(20, 9)), cut());
    assert_eq!(told_within(&Responses, &pieces, limits(20, 9)), too_large(20, "bytes"));

    let text = r#"{"choices":[{"delta":{"content":"123456"}}]}"#;
    let told = told_within(&CHAT, &payloads([text, text]), limits(10, 9));
    assert_eq!(told, format!("text \"123456\"\n{}", too_large(10, "bytes")));

    let thought = r#"{"type":"response.output_item.done","item":{"type":"reasoning","encrypted_content":"x"}}"#;
    let told = told_within(&Responses, &payloads([thought]), limits(10, 9));
    assert_eq!(told, too_large(10, "bytes"), "thoughts are kept, so they count");

    let call = calls(r#"{"function":{"name":"a","arguments":"{}"}}"#);
    let told = told_within(&CHAT, &payloads([&call, &call, &call]), limits(99, 1));
    assert_eq!(told, format!("tool 0 call_0 a {{}}\n{}", too_large(1, "tool calls")));
    let call = r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"a"}}"#;
    let told = told_within(&Responses, &payloads([call, call]), limits(99, 1));
    assert_eq!(told, format!("tool 0 call_0 a {{}}\n{}", too_large(1, "tool calls")));
}

fn cut() -> &'static str {
    "Transient: the model provider: the connection ended after 0 pieces of the reply"
}
