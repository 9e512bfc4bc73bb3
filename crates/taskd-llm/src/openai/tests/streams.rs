//! Recorded streams, each read through to its end.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CHAT, recorded, told};
use crate::{
    openai::Responses,
    wire::{SseEvent, Wire},
};

const CHAT_STREAMS: [&str; 5] = [
    include_str!("../../../tests/it/fixtures/openai_chat/text.sse"),
    include_str!("../../../tests/it/fixtures/openai_chat/tools.sse"),
    include_str!("../../../tests/it/fixtures/openai_chat/ollama.sse"),
    include_str!("../../../tests/it/fixtures/openai_chat/vllm.sse"),
    include_str!("../../../tests/it/fixtures/openai_chat/llama_cpp_error.sse"),
];

const RESPONSES_STREAMS: [&str; 2] = [
    include_str!("../../../tests/it/fixtures/openai_responses/text.sse"),
    include_str!("../../../tests/it/fixtures/openai_responses/tools.sse"),
];

#[test]
fn chat_text_with_cached_tokens() {
    let expected = r#"text "Dobrý"
text " den!"
usage 120 in, 9 out, 1280 cached
done End by gpt-4o-mini-2024-07-18: "Dobrý den!""#;
    assert_eq!(told(&CHAT, &recorded(CHAT_STREAMS[0])), expected);
}

#[test]
fn chat_parallel_calls_in_pieces() {
    let expected = r#"text "I look."
tool 0 call_Aa1 read {"path": "a.rs"}
tool 1 call_Bb2 grep {"text":"fn main"}
done ToolUse by gpt-4o-2024-08-06: "I look.", call_Aa1, call_Bb2"#;
    assert_eq!(told(&CHAT, &recorded(CHAT_STREAMS[1])), expected);
}

#[test]
fn chat_a_call_is_out_as_soon_as_the_next_begins() {
    let events = recorded(CHAT_STREAMS[1]);
    let mut reader = CHAT.reader(super::limits());
    let mut out = Vec::new();
    for event in &events[..5] {
        reader.event(event, &mut out).expect("a good stream");
    }
    assert_eq!(super::tell(&out[1]), r#"tool 0 call_Aa1 read {"path": "a.rs"}"#);
    assert_eq!(reader.pending(), "grep".len());
}

#[test]
fn chat_ollama_numbers_every_call_zero() {
    let expected = r#"thinking "Two files."
tool 0 call_x1 write {"path":"a"}
tool 1 call_x2 write {"path":"b"}
usage 180 in, 44 out, 0 cached
done ToolUse by qwen3:8b: call_x1, call_x2"#;
    assert_eq!(told(&CHAT, &recorded(CHAT_STREAMS[2])), expected);
}

#[test]
fn chat_thoughts_are_shown_and_not_kept() {
    let expected = r#"thinking "9.8 is "
thinking "9.80."
text "9.8 is"
text " greater."
usage 24 in, 36 out, 0 cached
done MaxTokens by deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B: "9.8 is greater.""#;
    assert_eq!(told(&CHAT, &recorded(CHAT_STREAMS[3])), expected);
}

#[test]
fn chat_an_error_in_the_stream_ends_it() {
    let expected = "text \"Well\"\nTransient: the model provider: a problem of the provider's own \
                    (500 server_error)";
    assert_eq!(told(&CHAT, &recorded(CHAT_STREAMS[4])), expected);
}

#[test]
fn responses_text_with_cached_tokens() {
    let expected = r#"text "Dobrý"
text " den!"
usage 120 in, 9 out, 1280 cached
done End by gpt-4.1-2025-04-14: "Dobrý den!""#;
    assert_eq!(told(&Responses, &recorded(RESPONSES_STREAMS[0])), expected);
}

#[test]
fn responses_thoughts_stay_where_they_were() {
    let expected = concat!(
        r#"thinking "**Looking** at"
thinking " both files"
text "I look."
tool 0 call_Aa1 read {"path": "a.rs"}
tool 1 call_Bb2 grep {"text":"fn main"}
usage 310 in, 145 out, 0 cached
done ToolUse by gpt-5-mini-2025-08-07: "#,
        r#"openai {"id":"rs_1","type":"reasoning","encrypted_content":"gAAAA-whole==","#,
        r#""summary":[{"type":"summary_text","text":"**Looking** at both files"}]}, "I look.", "#,
        r#"openai {"id":"rs_2","type":"reasoning","encrypted_content":"gAAAA-second","#,
        r#""summary":[]}, call_Aa1, call_Bb2"#,
    );
    assert_eq!(told(&Responses, &recorded(RESPONSES_STREAMS[1])), expected);
}

#[test]
fn every_cut_is_noticed() {
    let streams = CHAT_STREAMS[..4].iter().map(|it| (&CHAT as &dyn Wire, it));
    let streams = streams.chain(RESPONSES_STREAMS.iter().map(|it| (&Responses as &dyn Wire, it)));
    for (wire, text) in streams {
        let events = recorded(text);
        let finished = |it: &SseEvent| {
            let ends = ["finish_reason\":\"", "response.completed", "[DONE]"];
            ends.iter().any(|end| it.data.contains(end))
        };
        let whole = events.iter().position(finished).expect("an end");
        for cut in 0..whole {
            let told = told(wire, &events[..cut]);
            let last = told.lines().last().unwrap_or_default();
            assert!(last.contains("the connection ended"), "{cut}: {told}");
        }
        assert!(told(wire, &events[..=whole]).contains("done"), "the last line may be missing");
    }
}

/// Fields that both formats have and nobody here reads.
const UNREAD: [&str; 16] = [
    "id",
    "object",
    "created",
    "created_at",
    "sequence_number",
    "obfuscation",
    "logprobs",
    "system_fingerprint",
    "service_tier",
    "item_id",
    "output_index",
    "content_index",
    "summary_index",
    "annotations",
    "total_tokens",
    "output",
];

/// Answers yes or no, in an order that shrinks well.
struct Coin<'a>(std::iter::Cycle<std::slice::Iter<'a, bool>>);

impl Coin<'_> {
    fn toss(&mut self) -> bool {
        *self.0.next().expect("it never ends")
    }
}

/// `json` with fields nobody knows and without some that nobody reads.
fn disturbed(json: &mut Value, coin: &mut Coin<'_>) {
    match json {
        // A thought is kept as it is, with all its fields; the id of a call is read.
        Value::Object(fields) if fields.get("type") == Some(&json!("reasoning")) => {}
        Value::Object(fields) => {
            let is_call = fields.contains_key("function");
            for field in UNREAD.iter().filter(|it| !is_call || **it != "id") {
                if coin.toss() {
                    fields.remove(*field);
                }
            }
            fields.values_mut().for_each(|it| disturbed(it, coin));
            if coin.toss() {
                fields.insert("x_new".to_owned(), json!({"delta": ["x"], "type": 1}));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| disturbed(it, coin)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn disturbed_stream(events: &[SseEvent], coin: &mut Coin<'_>) -> Vec<SseEvent> {
    let mut disturbed_events = Vec::new();
    for event in events {
        if coin.toss() {
            let data = r#"{"type":"response.x_new","delta":{"x":1},"item":7}"#.to_owned();
            disturbed_events.push(SseEvent { name: "response.x_new".to_owned(), data });
        }
        let mut event = event.clone();
        if let Ok(mut json) = serde_json::from_str(&event.data) {
            disturbed(&mut json, coin);
            event.data = json.to_string();
        }
        disturbed_events.push(event);
    }
    disturbed_events
}

/// Reading a recorded payload and writing it again sorts its fields.
fn normal(events: &[SseEvent]) -> Vec<SseEvent> {
    let normal = |it: &SseEvent| {
        let json: Result<Value, _> = serde_json::from_str(&it.data);
        SseEvent { name: it.name.clone(), data: json.map_or(it.data.clone(), |it| it.to_string()) }
    };
    events.iter().map(normal).collect()
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_unknown_changes_nothing(tosses in prop::collection::vec(any::<bool>(), 1..200)) {
        let streams = CHAT_STREAMS.iter().map(|it| (&CHAT as &dyn Wire, it));
        let streams = streams.chain(RESPONSES_STREAMS.iter().map(|it| (&Responses as &dyn Wire, it)));
        for (wire, text) in streams {
            let events = normal(&recorded(text));
            let mut coin = Coin(tosses.iter().cycle());
            let disturbed = disturbed_stream(&events, &mut coin);
            prop_assert_eq!(told(wire, &disturbed), told(wire, &events));
        }
    }

    #[test]
    fn nothing_makes_a_reader_panic(
        data in prop::collection::vec("\\PC{0,80}|[\\[\\]{}\":,a-z0-9]{0,40}", 0..8),
        name in "(error|response\\.[a-z_.]{0,30})?",
    ) {
        for wire in [&CHAT as &dyn Wire, &Responses] {
            let events: Vec<_> =
                data.iter().map(|it| SseEvent { name: name.clone(), data: it.clone() }).collect();
            told(wire, &events);
        }
    }
}
