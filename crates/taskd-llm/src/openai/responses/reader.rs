//! Responses: how an answer is read.
//!
//! Texts are taken as they come, everything else from the event that says an item is done: it has
//! the item whole, and what came before may be incomplete.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use taskd_model::StopReason;

use super::super::{
    DONE, PROVIDER, WireUsage, or_empty_object, parse, stream_error, unused_id, word,
};
use crate::{
    CallLimits, LlmError, StreamEvent,
    reply::ReplyBuilder,
    wire::{Reader, SseEvent},
};

/// Which event it is. Some servers say so in the payload only, some beside it only.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta {
    delta: String,
}

#[derive(Deserialize)]
struct ItemDone<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    call_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    #[serde(default)]
    encrypted_content: Option<String>,
}

#[derive(Deserialize)]
struct Whole {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    incomplete_details: Option<Incomplete>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Incomplete {
    #[serde(default)]
    reason: Option<String>,
}

/// One answer being read.
pub(super) struct ResponsesReader {
    /// `None` once the reply is out.
    reply: Option<ReplyBuilder>,
    /// Ids of the calls so far.
    ids: Vec<String>,
    /// Bytes of arguments since the last item was done. Only counted: the item has them again.
    arriving: usize,
    refused: bool,
}

impl Reader for ResponsesReader {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let data = event.data.trim();
        if self.reply.is_none() || data.is_empty() || data == DONE {
            return Ok(());
        }
        let kind: Kind<'_> = parse(data)?;
        match kind.kind.as_deref().unwrap_or(&event.name) {
            "response.output_text.delta" => self.text(data, out),
            "response.refusal.delta" => {
                self.refused = true;
                self.text(data, out)
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let Delta { delta } = parse(data)?;
                out.push(StreamEvent::Thinking(delta));
                Ok(())
            }
            "response.function_call_arguments.delta" => {
                let Delta { delta } = parse(data)?;
                self.arriving = self.arriving.saturating_add(delta.len());
                self.reply.as_ref().map_or(Ok(()), |it| it.fits(self.arriving))
            }
            "response.output_item.done" => {
                let ItemDone { item } = parse(data)?;
                self.arriving = 0;
                self.item(item, out)
            }
            "response.completed" => {
                let Whole { response } = parse(data)?;
                self.done(&response, None, out);
                Ok(())
            }
            "response.incomplete" => {
                let Whole { response } = parse(data)?;
                let reason =
                    response.incomplete_details.as_ref().and_then(|it| it.reason.as_deref());
                self.done(&response, Some(reason.unwrap_or("incomplete")), out);
                Ok(())
            }
            "response.failed" => {
                let Whole { response } = parse(data)?;
                out.extend(response.usage.as_ref().map(WireUsage::event));
                Err(stream_error(&response.error.unwrap_or_default()))
            }
            "error" => {
                let error: Value = parse(data)?;
                Err(stream_error(nested(&error)))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, _out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        if self.reply.is_none() { Ok(()) } else { Err(LlmError::cut()) }
    }

    fn pending(&self) -> usize {
        self.arriving
    }
}

impl ResponsesReader {
    /// Nothing read yet.
    pub(super) fn new(limits: CallLimits) -> Self {
        let reply = Some(ReplyBuilder::new(limits));
        Self { reply, ids: Vec::new(), arriving: 0, refused: false }
    }

    fn text(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let Delta { delta } = parse(data)?;
        if let Some(reply) = &mut self.reply
            && !delta.is_empty()
        {
            out.push(reply.text(&delta)?);
        }
        Ok(())
    }

    fn item(&mut self, raw: &RawValue, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let item: Item = parse(raw.get())?;
        let Some(reply) = &mut self.reply else { return Ok(()) };
        match item.kind.as_str() {
            // Cut off in its middle.
            "function_call" if item.status.as_deref() == Some("incomplete") => {}
            "function_call" => {
                let Some(name) = item.name.filter(|it| !it.is_empty()) else {
                    return Err(LlmError::garbled("a tool call without a name"));
                };
                let id = unused_id(item.call_id.unwrap_or_default(), &self.ids);
                self.ids.push(id.clone());
                let args = or_empty_object(item.arguments.unwrap_or_default());
                out.push(reply.tool(id, name, args)?);
            }
            // Without its content it is a reference to something that is not stored.
            "reasoning" if item.encrypted_content.is_some_and(|it| !it.is_empty()) => {
                reply.opaque(PROVIDER, raw.get().to_owned())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The reply is whole, or was cut off for the reason `cut`.
    fn done(&mut self, response: &Response, cut: Option<&str>, out: &mut Vec<StreamEvent>) {
        out.extend(response.usage.as_ref().map(WireUsage::event));
        let stop = match cut {
            _ if self.refused => StopReason::Refusal,
            Some("max_output_tokens") => StopReason::MaxTokens,
            Some("content_filter") => StopReason::Refusal,
            Some(other) => StopReason::Other(word(other)),
            None if self.ids.is_empty() => StopReason::End,
            None => StopReason::ToolUse,
        };
        if let Some(reply) = self.reply.take() {
            let mut reply = reply.done(stop);
            reply.model = response.model.as_deref().filter(|it| !it.is_empty()).map(word);
            out.push(StreamEvent::Done(reply));
        }
    }
}

/// The error in an `error` event: documented as the event itself, sent as an object inside of it.
fn nested(event: &Value) -> &Value {
    event.get("error").filter(|it| it.is_object()).unwrap_or(event)
}
