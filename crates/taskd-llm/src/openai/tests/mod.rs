//! Recorded streams and what is read from them; requests and what they look like on the wire.

mod cases;
mod requests;
mod streams;

use crate::{
    CallLimits, StreamEvent,
    openai::{Chat, Dialect, Responses},
    wire::{SseEvent, Wire},
};
use taskd_model::Part;

const CHAT: Chat = Chat { dialect: Dialect::OpenAi };

fn limits() -> CallLimits {
    CallLimits::with_cap_micros(1_000_000)
}

/// The events of a recorded stream, split here by hand so that nothing of ours helps.
fn recorded(text: &str) -> Vec<SseEvent> {
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|it| it.strip_prefix(name));
        let data = field("data: ")?.to_owned();
        Some(SseEvent { name: field("event: ").unwrap_or_default().to_owned(), data })
    };
    text.split("\n\n").filter_map(event).collect()
}

/// Payloads without names, as Chat Completions has them.
fn payloads<const N: usize>(payloads: [&str; N]) -> Vec<SseEvent> {
    payloads.map(|it| SseEvent { name: String::new(), data: it.to_owned() }).to_vec()
}

/// What `wire` reads from `events`, one line an item, through the end of the body.
fn told(wire: &dyn Wire, events: &[SseEvent]) -> String {
    told_within(wire, events, limits())
}

fn told_within(wire: &dyn Wire, events: &[SseEvent], limits: CallLimits) -> String {
    let mut reader = wire.reader(limits);
    let mut out = Vec::new();
    let read = events.iter().try_for_each(|it| reader.event(it, &mut out));
    let ended = read.and_then(|()| reader.end(&mut out));
    let mut lines: Vec<_> = out.iter().map(tell).collect();
    lines.extend(ended.err().map(|it| format!("{:?}: {it}", it.class())));
    lines.join("\n")
}

fn tell(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Accepted => "accepted".to_owned(),
        StreamEvent::Text(text) => format!("text {text:?}"),
        StreamEvent::Thinking(text) => format!("thinking {text:?}"),
        StreamEvent::Levels(_) => "levels".to_owned(),
        StreamEvent::ToolCall { index, id, name, args } => {
            format!("tool {index} {id} {name} {args}")
        }
        StreamEvent::Usage(it) => {
            format!("usage {} in, {} out, {} cached", it.input, it.output, it.cache_read)
        }
        StreamEvent::Done(reply) => {
            let parts = reply.parts.iter().map(|part| match part {
                Part::Text { text } => format!("{text:?}"),
                Part::ToolUse { id, .. } => id.clone(),
                Part::Opaque { provider, json } => format!("{provider} {json}"),
                Part::ToolResult { .. } => "odd".to_owned(),
            });
            let model = reply.model.as_deref().unwrap_or("nobody");
            format!("done {:?} by {model}: {}", reply.stop, parts.collect::<Vec<_>>().join(", "))
        }
    }
}

#[test]
fn the_key_is_a_bearers() {
    for wire in [&CHAT as &dyn Wire, &Responses] {
        assert_eq!(wire.authorize("sk-1"), [("authorization", "Bearer sk-1".to_owned())]);
    }
}

#[test]
fn an_error_body_gives_its_code_and_nothing_else() {
    let cases = [
        (
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            Some("context_length_exceeded"),
        ),
        (
            r#"{"error":{"message":"m","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            Some("rate_limit_exceeded"),
        ),
        (
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#,
            Some("invalid_request_error"),
        ),
        (
            r#"{"error":{"code":400,"message":"m","type":"exceed_context_size_error","n_ctx":4096}}"#,
            Some("exceed_context_size_error"),
        ),
        (r#"{"error":"model not found, try pulling it first"}"#, None),
        (r#"{"error":{"message":"only prose"}}"#, None),
        (r#"{"object":"error","message":"m","type":"BadRequestError"}"#, None),
        ("<html>", None),
        ("", None),
    ];
    for (body, expected) in cases {
        for wire in [&CHAT as &dyn Wire, &Responses] {
            assert_eq!(wire.error_code(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
    let long = format!(r#"{{"error":{{"code":"{}"}}}}"#, "é".repeat(100));
    let code = CHAT.error_code(long.as_bytes()).map(|it| it.chars().count());
    assert_eq!(code, Some(64));
}
