//! Reads a reply: blocks that begin, grow and end, then why the model stopped.
//!
//! Kinds of events, blocks and deltas that are new to us are passed over, as the interface's
//! description asks of its readers. Reasoning goes back as its block came, with all its fields.

use serde::Deserialize;
use serde_json::{Map, Value};
use taskd_model::{StopReason, Usage};

use super::{PROVIDER, error_code};
use crate::{
    CallLimits, LlmError, StreamEvent,
    reply::ReplyBuilder,
    wire::{Reader, SseEvent},
};

/// Blocks that may be open at once; the interface opens one after the other.
const MAX_OPEN: usize = 16;
/// A stop reason nobody knows is kept to so many characters.
const MAX_STOP_CHARS: usize = 64;

/// Reads one reply.
pub(super) struct MessagesReader {
    /// `None` once the reply was handed out.
    reply: Option<ReplyBuilder>,
    open: Vec<(u64, Block)>,
    usage: Usage,
    model: Option<String>,
    stop: Option<StopReason>,
}

/// A block that has not ended yet.
enum Block {
    Text,
    Tool {
        id: String,
        name: String,
        args: String,
        given: Option<Value>,
    },
    /// Reasoning: the block as it began, and what it has grown by.
    Thinking {
        block: Map<String, Value>,
        thinking: String,
        signature: String,
    },
    Unknown,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: u64,
        content_block: Map<String, Value>,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        delta: End,
        usage: Option<Spent>,
    },
    MessageStop,
    Error,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Start {
    model: Option<String>,
    usage: Option<Spent>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

/// Tokens so far, cumulative; what is absent has not changed.
#[derive(Deserialize)]
struct Spent {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl Spent {
    fn over(&self, mut usage: Usage) -> Usage {
        usage.input = self.input_tokens.unwrap_or(usage.input);
        usage.output = self.output_tokens.unwrap_or(usage.output);
        usage.cache_read = self.cache_read_input_tokens.unwrap_or(usage.cache_read);
        usage.cache_write = self.cache_creation_input_tokens.unwrap_or(usage.cache_write);
        usage
    }
}

/// What a `usage` object says, after `so_far` was said; nothing if it names no tokens.
pub(super) fn usage(object: &[u8], so_far: Usage) -> Option<Usage> {
    let spent: Spent = serde_json::from_slice(object).ok()?;
    spent.input_tokens.or(spent.output_tokens)?;
    Some(spent.over(so_far))
}

impl MessagesReader {
    pub(super) fn new(limits: CallLimits) -> Self {
        Self {
            reply: Some(ReplyBuilder::new(limits)),
            open: Vec::new(),
            usage: Usage::default(),
            model: None,
            stop: None,
        }
    }

    fn spend(&mut self, spent: &Spent) -> StreamEvent {
        self.usage = spent.over(self.usage);
        StreamEvent::Usage(self.usage)
    }

    fn begin(
        &mut self,
        index: u64,
        block: Map<String, Value>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), LlmError> {
        if self.open.len() == MAX_OPEN || self.open.iter().any(|it| it.0 == index) {
            return Err(LlmError::garbled("a block begins in a place that is taken"));
        }
        let (block, shown) = Block::of(block)?;
        let is_text = matches!(block, Block::Text);
        self.open.push((index, block));
        match shown {
            Some(text) if is_text => self.text(&text, out),
            Some(text) => {
                show(text, out);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn grow(
        &mut self,
        index: u64,
        delta: Delta,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), LlmError> {
        let Some((_, block)) = self.open.iter_mut().find(|it| it.0 == index) else {
            return Err(LlmError::garbled("a block grows that has not begun"));
        };
        match (block, delta) {
            (Block::Text, Delta::Text { text }) => self.text(&text, out),
            (Block::Tool { args, .. }, Delta::Input { partial_json }) => {
                args.push_str(&partial_json);
                Ok(())
            }
            (Block::Thinking { thinking, .. }, Delta::Thinking { thinking: piece }) => {
                thinking.push_str(&piece);
                show(piece, out);
                Ok(())
            }
            (Block::Thinking { signature, .. }, Delta::Signature { signature: piece }) => {
                signature.push_str(&piece);
                Ok(())
            }
            (Block::Unknown, _) | (_, Delta::Unknown) => Ok(()),
            (Block::Text | Block::Tool { .. } | Block::Thinking { .. }, _) => {
                Err(LlmError::garbled("a block grows by what is not its kind"))
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        if let (false, Some(reply)) = (text.is_empty(), &mut self.reply) {
            out.push(reply.text(text)?);
        }
        Ok(())
    }

    fn close(&mut self, index: u64, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let (Some(at), Some(reply)) =
            (self.open.iter().position(|it| it.0 == index), &mut self.reply)
        else {
            return Err(LlmError::garbled("a block ends that has not begun"));
        };
        match self.open.remove(at).1 {
            Block::Text | Block::Unknown => {}
            Block::Tool { id, name, args, given } => {
                let args = if args.is_empty() {
                    given.map_or_else(|| "{}".to_owned(), |it| it.to_string())
                } else {
                    args
                };
                out.push(reply.tool(id, name, args)?);
            }
            Block::Thinking { mut block, thinking, signature } => {
                for (field, grown) in [("thinking", thinking), ("signature", signature)] {
                    if !grown.is_empty() {
                        block.insert(field.to_owned(), Value::String(grown));
                    }
                }
                reply.opaque(PROVIDER, Value::Object(block).to_string())?;
            }
        }
        Ok(())
    }

    fn done(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        if !self.open.is_empty() {
            return Err(LlmError::garbled("the message ends before its last block"));
        }
        if let Some(builder) = self.reply.take() {
            let stop = self.stop.take().unwrap_or_else(|| StopReason::Other("none".to_owned()));
            let mut reply = builder.done(stop);
            reply.model = self.model.take();
            out.push(StreamEvent::Done(reply));
        }
        Ok(())
    }
}

impl Reader for MessagesReader {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let Ok(read) = serde_json::from_str(&event.data) else {
            return Err(LlmError::garbled("an event is not the JSON it should be"));
        };
        match read {
            Event::MessageStart { message } => {
                self.model = message.model;
                out.extend(message.usage.map(|it| self.spend(&it)));
            }
            Event::ContentBlockStart { index, content_block } => {
                self.begin(index, content_block, out)?;
            }
            Event::ContentBlockDelta { index, delta } => self.grow(index, delta, out)?,
            Event::ContentBlockStop { index } => self.close(index, out)?,
            Event::MessageDelta { delta, usage } => {
                self.stop = delta.stop_reason.map(|it| stop_of(&it)).or(self.stop.take());
                out.extend(usage.map(|it| self.spend(&it)));
            }
            Event::MessageStop => return self.done(out),
            Event::Error => {
                let code = error_code(event.data.as_bytes());
                return Err(LlmError::reported(code.as_deref()));
            }
            Event::Unknown => {}
        }
        let held = self.open.iter().map(|(_, it)| it.held()).sum();
        self.reply.as_ref().map_or(Ok(()), |it| it.fits(held))
    }

    fn end(&mut self, _: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        Err(LlmError::cut())
    }

    fn pending(&self) -> usize {
        self.open.iter().map(|(_, it)| it.pending()).sum()
    }
}

impl Block {
    /// A block that begins, and the text it begins with, if it is for reading.
    fn of(mut block: Map<String, Value>) -> Result<(Self, Option<String>), LlmError> {
        let mut text = |field: &str| match block.get_mut(field).map(Value::take) {
            Some(Value::String(text)) => Some(text),
            Some(_) | None => None,
        };
        let kind = text("type").ok_or_else(|| LlmError::garbled("a block is of no type"))?;
        Ok(match kind.as_str() {
            "text" => (Self::Text, text("text")),
            "tool_use" => {
                let missing = || LlmError::garbled("a tool call has no id or no name");
                let id = text("id").ok_or_else(missing)?;
                let name = text("name").ok_or_else(missing)?;
                let given = block.remove("input").filter(Value::is_object);
                (Self::Tool { id, name, args: String::new(), given }, None)
            }
            "thinking" => {
                let thinking = text("thinking").unwrap_or_default();
                let signature = text("signature").unwrap_or_default();
                for (field, value) in [("type", kind.as_str()), ("thinking", ""), ("signature", "")]
                {
                    block.insert(field.to_owned(), value.into());
                }
                let shown = thinking.clone();
                (Self::Thinking { block, thinking, signature }, Some(shown))
            }
            "redacted_thinking" => {
                block.insert("type".to_owned(), kind.into());
                let (thinking, signature) = (String::new(), String::new());
                (Self::Thinking { block, thinking, signature }, None)
            }
            _ => (Self::Unknown, None),
        })
    }

    /// Bytes that are in no event yet. Pieces of reasoning were events.
    fn pending(&self) -> usize {
        match self {
            Self::Tool { name, args, .. } => name.len() + args.len(),
            Self::Text | Self::Unknown | Self::Thinking { .. } => 0,
        }
    }

    /// Bytes that are in no part of the reply yet.
    fn held(&self) -> usize {
        match self {
            Self::Tool { .. } => self.pending(),
            Self::Thinking { thinking, signature, .. } => thinking.len() + signature.len(),
            Self::Text | Self::Unknown => 0,
        }
    }
}

fn show(thinking: String, out: &mut Vec<StreamEvent>) {
    if !thinking.is_empty() {
        out.push(StreamEvent::Thinking(thinking));
    }
}

fn stop_of(word: &str) -> StopReason {
    match word {
        "end_turn" => StopReason::End,
        "tool_use" => StopReason::ToolUse,
        "max_tokens" => StopReason::MaxTokens,
        "refusal" => StopReason::Refusal,
        // `stop_sequence`, `pause_turn`, `model_context_window_exceeded`, what is yet to come.
        other => StopReason::Other(other.chars().take(MAX_STOP_CHARS).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use taskd_model::Part;

    use super::*;

    const EVENTS: &[&str] = &[
        r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1}}}"#,
        r#"{"type":"message_start","message":{}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"n"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use"}}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"thinking","thinking":"h"}}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{}}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"new"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"thinking_delta","thinking":"i"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"signature_delta","signature":"s"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"new"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_delta","delta":{}}"#,
        r#"{"type":"message_stop"}"#,
        r#"{"type":"new"}"#,
    ];

    /// The reply's text and calls, as its parts have them and as its events had them.
    fn twice(out: &[StreamEvent], parts: &[Part]) -> [String; 2] {
        let said = out.iter().map(|it| match it {
            StreamEvent::Text(text) => text.clone(),
            StreamEvent::ToolCall { name, args, .. } => format!("[{name}{args}]"),
            StreamEvent::Accepted
            | StreamEvent::Usage(_)
            | StreamEvent::Levels(_)
            | StreamEvent::Thinking(_)
            | StreamEvent::Done(_) => String::new(),
        });
        let kept = parts.iter().map(|it| match it {
            Part::Text { text } => text.clone(),
            Part::ToolUse { name, args, .. } => format!("[{name}{args}]"),
            Part::ToolResult { .. } | Part::Opaque { .. } => String::new(),
        });
        [said.collect(), kept.collect()]
    }

    proptest! {
        #[test]
        fn any_order_of_events_ends_in_one_end(order in prop::collection::vec(0..EVENTS.len(), 0..24)) {
            let limits = CallLimits { max_reply_bytes: 40, ..CallLimits::with_cap_micros(1) };
            let mut reader = MessagesReader::new(limits);
            let mut out = Vec::new();
            for at in order {
                let data = EVENTS[at].to_owned();
                let read = reader.event(&SseEvent { name: String::new(), data }, &mut out);
                let held: usize = reader.open.iter().map(|(_, it)| it.held()).sum();
                if read.is_err() {
                    prop_assert!(!out.iter().any(|it| matches!(it, StreamEvent::Done(_))));
                    return Ok(());
                }
                prop_assert!(held <= 40 && reader.open.len() <= MAX_OPEN);
                if let Some(StreamEvent::Done(reply)) = out.last() {
                    prop_assert!(EVENTS[at].contains("message_stop"));
                    let [said, kept] = twice(&out, &reply.parts);
                    prop_assert_eq!(said, kept);
                    return Ok(());
                }
            }
            prop_assert!(reader.end(&mut out).is_err());
        }
    }
}
