//! Chat Completions: how an answer is read.

use serde::Deserialize;
use serde_json::Value;
use taskd_model::StopReason;

use super::{
    super::{DONE, WireUsage, or_empty_object, parse, stream_error, unused_id, word},
    PROVIDER,
    calls::{Open, Piece},
};
use crate::{
    CallLimits, LlmError, StreamEvent,
    reply::ReplyBuilder,
    wire::{Reader, SseEvent},
};

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    /// `DeepSeek`'s name for it, which most servers took over.
    #[serde(default)]
    reasoning_content: Option<String>,
    /// The name Ollama and newer releases of vLLM have for it. Others may put anything here.
    #[serde(default)]
    reasoning: Option<Value>,
    #[serde(default)]
    tool_calls: Option<Vec<Piece>>,
}

/// One answer being read.
pub(super) struct ChatReader {
    /// `None` once the reply is out.
    reply: Option<ReplyBuilder>,
    open: Option<Open>,
    /// Ids of the calls so far.
    ids: Vec<String>,
    model: Option<String>,
    finish: Option<String>,
    said: bool,
    refused: bool,
}

impl Reader for ChatReader {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let data = event.data.trim();
        if self.reply.is_none() || data.is_empty() {
            return Ok(());
        }
        if data == DONE {
            return self.done(out);
        }
        if event.name == "error" {
            let error: Value = parse(data)?;
            return Err(stream_error(error.get("error").unwrap_or(&error)));
        }
        let chunk: Chunk = parse(data)?;
        match &chunk.error {
            Some(error) => Err(stream_error(error)),
            None => self.chunk(chunk, out),
        }
    }

    fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        match (&self.reply, &self.finish) {
            (None, _) => Ok(()),
            // Some servers leave the last line out.
            (Some(_), Some(_)) => self.done(out),
            (Some(_), None) => Err(LlmError::cut()),
        }
    }

    fn pending(&self) -> usize {
        self.open.as_ref().map_or(0, Open::bytes)
    }
}

impl ChatReader {
    /// Nothing read yet.
    pub(super) fn new(limits: CallLimits) -> Self {
        Self {
            reply: Some(ReplyBuilder::new(limits)),
            open: None,
            ids: Vec::new(),
            model: None,
            finish: None,
            said: false,
            refused: false,
        }
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        if self.model.is_none() {
            self.model = chunk.model.as_deref().filter(|it| !it.is_empty()).map(word);
        }
        // Only one answer was asked for.
        let choices = chunk.choices.unwrap_or_default();
        for choice in choices.into_iter().filter(|it| it.index.unwrap_or(0) == 0) {
            if let Some(delta) = choice.delta {
                self.delta(delta, out)?;
            }
            if let Some(reason) = filled(choice.finish_reason) {
                self.close(&reason, out)?;
                self.finish = Some(reason);
            }
        }
        out.extend(chunk.usage.as_ref().map(WireUsage::event));
        Ok(())
    }

    fn delta(&mut self, delta: Delta, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let reasoning = delta.reasoning.as_ref().and_then(Value::as_str).map(ToOwned::to_owned);
        if let Some(thought) = filled(delta.reasoning_content).or_else(|| filled(reasoning)) {
            out.push(StreamEvent::Thinking(thought));
        }
        if let Some(text) = filled(delta.content) {
            self.text(&text, out)?;
        }
        if let Some(refusal) = filled(delta.refusal) {
            self.refused = true;
            self.text(&refusal, out)?;
        }
        for piece in delta.tool_calls.unwrap_or_default() {
            if self.open.as_ref().is_some_and(|it| !it.continues(&piece)) {
                self.complete(out)?;
            }
            self.open.get_or_insert_default().take(piece);
            if let Some(reply) = &self.reply {
                reply.fits(self.pending())?;
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        if let Some(reply) = &mut self.reply {
            out.push(reply.text(text)?);
            self.said = true;
        }
        Ok(())
    }

    /// The model has finished: the open call is whole, unless it was cut off in its middle.
    fn close(&mut self, reason: &str, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let cut = matches!(reason, "length" | "content_filter");
        if cut && self.open.as_ref().is_some_and(|it| !it.is_whole()) {
            self.open = None;
        }
        self.complete(out)
    }

    /// The open call is whole.
    fn complete(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let (Some(reply), Some(open)) = (&mut self.reply, self.open.take()) else {
            return Ok(());
        };
        if open.name.is_empty() {
            return Err(LlmError::garbled("a piece of a tool call that belongs to none"));
        }
        let id = unused_id(open.id, &self.ids);
        self.ids.push(id.clone());
        if let Some(extra_content) = open.extra {
            let json = serde_json::json!({ "id": id, "extra_content": extra_content });
            reply.opaque(PROVIDER, json.to_string())?;
        }
        out.push(reply.tool(id, open.name, or_empty_object(open.args))?);
        Ok(())
    }

    /// Everything has arrived.
    fn done(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        self.complete(out)?;
        if self.finish.is_none() && !self.said && self.ids.is_empty() {
            // llama.cpp of 2025 reports errors in a field that event streams do not have, which
            // nobody sees, and then ends like this.
            return Err(LlmError::cut());
        }
        let stop = self.stop();
        if let Some(reply) = self.reply.take() {
            let mut reply = reply.done(stop);
            reply.model = self.model.take();
            out.push(StreamEvent::Done(reply));
        }
        Ok(())
    }

    fn stop(&self) -> StopReason {
        match self.finish.as_deref() {
            _ if self.refused => StopReason::Refusal,
            Some("length") => StopReason::MaxTokens,
            Some("content_filter") => StopReason::Refusal,
            Some("tool_calls" | "function_call") => StopReason::ToolUse,
            // Some servers say `stop` whatever the reason.
            Some("stop") | None if self.ids.is_empty() => StopReason::End,
            Some("stop") | None => StopReason::ToolUse,
            Some(other) => StopReason::Other(word(other)),
        }
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|it| !it.is_empty())
}
