//! A reply as it grows: every piece becomes an event and a part, so the two cannot disagree.
//!
//! The caps are kept here, for every provider alike.

use taskd_model::{Part, Reply, StopReason};

use crate::{CallLimits, LlmError, StreamEvent};

pub(crate) struct ReplyBuilder {
    limits: CallLimits,
    bytes: usize,
    calls: u16,
    parts: Vec<Part>,
}

impl ReplyBuilder {
    pub(crate) fn new(limits: CallLimits) -> Self {
        Self { limits, bytes: 0, calls: 0, parts: Vec::new() }
    }

    /// A piece of text. Pieces in a row are one part.
    pub(crate) fn text(&mut self, piece: &str) -> Result<StreamEvent, LlmError> {
        self.grow(piece.len())?;
        match self.parts.last_mut() {
            Some(Part::Text { text }) => text.push_str(piece),
            Some(Part::ToolUse { .. } | Part::ToolResult { .. } | Part::Opaque { .. }) | None => {
                self.parts.push(Part::Text { text: piece.to_owned() });
            }
        }
        Ok(StreamEvent::Text(piece.to_owned()))
    }

    /// Something that only `provider` understands and wants back in this place.
    pub(crate) fn opaque(&mut self, provider: &str, json: String) -> Result<(), LlmError> {
        self.grow(json.len())?;
        self.parts.push(Part::Opaque { provider: provider.to_owned(), json });
        Ok(())
    }

    /// A complete tool call.
    pub(crate) fn tool(
        &mut self,
        id: String,
        name: String,
        args: String,
    ) -> Result<StreamEvent, LlmError> {
        let index = self.calls;
        if usize::from(index) >= self.limits.max_tool_calls {
            return Err(LlmError::TooLarge { cap: self.limits.max_tool_calls, unit: "tool calls" });
        }
        self.grow(name.len() + args.len())?;
        self.calls = index.saturating_add(1);
        let part = Part::ToolUse { id: id.clone(), name: name.clone(), args: args.clone() };
        self.parts.push(part);
        Ok(StreamEvent::ToolCall { index, id, name, args })
    }

    /// The next tool call's place.
    pub(crate) fn next_call(&self) -> u16 {
        self.calls
    }

    /// Whether `pending` bytes that are no part yet would still fit.
    ///
    /// # Errors
    /// They would not: nothing more need be read.
    pub(crate) fn fits(&self, pending: usize) -> Result<(), LlmError> {
        let cap = self.limits.max_reply_bytes;
        if self.bytes.saturating_add(pending) > cap {
            return Err(LlmError::TooLarge { cap, unit: "bytes" });
        }
        Ok(())
    }

    pub(crate) fn done(self, stop: StopReason) -> Reply {
        Reply { parts: self.parts, stop, model: None }
    }

    fn grow(&mut self, by: usize) -> Result<(), LlmError> {
        self.fits(by)?;
        self.bytes = self.bytes.saturating_add(by);
        Ok(())
    }
}
