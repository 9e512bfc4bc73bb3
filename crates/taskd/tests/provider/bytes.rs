//! The bytes of a stream, as the providers' pages show them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Seen;

/// Writes one reply.
pub(super) struct Writer {
    is_anthropic: bool,
    /// Tells replies apart, in ids.
    n: usize,
    usage: [u64; 4],
    blocks: usize,
    calls: usize,
}

impl Writer {
    /// In the format the request was made in.
    pub(super) fn of(seen: &Seen, usage: [u64; 4]) -> Self {
        let path = seen.path().split('?').next().unwrap_or_default();
        let is_anthropic = path.ends_with("/v1/messages");
        Self { is_anthropic, n: seen.n, usage, blocks: 0, calls: 0 }
    }

    pub(super) fn begin(&self) -> String {
        let [input, _, read, written] = self.usage;
        if !self.is_anthropic {
            return self.choice(&json!({"role": "assistant", "content": ""}), &Value::Null);
        }
        event(
            "message_start",
            json!({"message": {
                "id": format!("msg_{}", self.n), "type": "message", "role": "assistant",
                "model": "model-of-the-provider", "content": [], "stop_reason": null,
                "stop_sequence": null, "usage": {
                    "input_tokens": input, "cache_creation_input_tokens": written,
                    "cache_read_input_tokens": read, "output_tokens": 1,
                },
            }}),
        )
    }

    pub(super) fn text(&mut self, text: &str) -> String {
        if !self.is_anthropic {
            return self.choice(&json!({"content": text}), &Value::Null);
        }
        let delta = json!({"type": "text_delta", "text": text});
        self.block(&json!({"type": "text", "text": ""}), &[delta])
    }

    /// A call whose arguments come in two pieces.
    pub(super) fn tool(&mut self, name: &str, args: &str) -> String {
        let half = (0..=args.len() / 2).rev().find(|it| args.is_char_boundary(*it)).unwrap_or(0);
        let (one, two) = args.split_at(half);
        let index = self.calls;
        self.calls += 1;
        let id = format!("call_{}_{index}", self.n);
        if self.is_anthropic {
            let piece = |it: &str| json!({"type": "input_json_delta", "partial_json": it});
            let begun = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
            return self.block(&begun, &[piece(one), piece(two)]);
        }
        let begun = json!({"index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": ""}});
        let mut text = self.choice(&json!({"tool_calls": [begun]}), &Value::Null);
        for piece in [one, two] {
            let call = json!({"index": index, "function": {"arguments": piece}});
            text += &self.choice(&json!({"tool_calls": [call]}), &Value::Null);
        }
        text
    }

    pub(super) fn end(&self) -> String {
        let [input, output, read, _] = self.usage;
        if self.is_anthropic {
            let stop = if 0 < self.calls { "tool_use" } else { "end_turn" };
            let delta = json!({"stop_reason": stop, "stop_sequence": null});
            let usage = json!({"output_tokens": output});
            return event("message_delta", json!({"delta": delta, "usage": usage}))
                + &event("message_stop", json!({}));
        }
        let stop = if 0 < self.calls { "tool_calls" } else { "stop" };
        let mut text = self.choice(&json!({}), &json!(stop));
        let usage = json!({
            "prompt_tokens": input + read, "completion_tokens": output,
            "prompt_tokens_details": {"cached_tokens": read},
        });
        let last = json!({"object": "chat.completion.chunk", "choices": [], "usage": usage});
        write!(text, "data: {last}\n\ndata: [DONE]\n\n").expect("a String takes all");
        text
    }

    fn block(&mut self, begun: &Value, deltas: &[Value]) -> String {
        let index = self.blocks;
        self.blocks += 1;
        let mut text =
            event("content_block_start", json!({"index": index, "content_block": begun}));
        for delta in deltas {
            text += &event("content_block_delta", json!({"index": index, "delta": delta}));
        }
        text + &event("content_block_stop", json!({"index": index}))
    }

    fn choice(&self, delta: &Value, stop: &Value) -> String {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": stop});
        let chunk = json!({
            "id": format!("chatcmpl-{}", self.n), "object": "chat.completion.chunk",
            "model": "model-of-the-provider", "choices": [choice],
        });
        format!("data: {chunk}\n\n")
    }
}

fn event(name: &str, mut data: Value) -> String {
    data["type"] = name.into();
    format!("event: {name}\ndata: {data}\n\n")
}
