//! What a call has cost so far, in mid-stream too.
//!
//! Providers name the tokens written at the end only. Until then they are estimated from the bytes
//! that came, so that a cap holds and a call that is cut off is not free. What the provider says
//! replaces the estimate. Reasoning that is not shown cannot be estimated.

use taskd_model::Usage;

use crate::{CallLimits, LlmError, StreamEvent, call::BYTES_PER_TOKEN};

/// An estimate is reported when it has grown by so many tokens.
const STEP_TOKENS: u64 = 256;

pub(super) struct Meter {
    limits: CallLimits,
    /// What the provider said last; before that, our estimate of the input.
    said: Usage,
    /// The provider has said something.
    heard: bool,
    /// What was reported last.
    shown: Usage,
    /// Bytes written since the provider said something.
    bytes: u64,
}

impl Meter {
    /// `input` is how many tokens the request is, about.
    pub(super) fn new(limits: CallLimits, input: u64) -> Self {
        Self {
            limits,
            said: Usage { input, ..Usage::default() },
            heard: false,
            shown: Usage::default(),
            bytes: 0,
        }
    }

    /// Counts one event and hands on what is to be said about it.
    ///
    /// # Errors
    /// More was used than was left; how much is in `out` before.
    pub(super) fn take(
        &mut self,
        event: StreamEvent,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), LlmError> {
        match event {
            StreamEvent::Usage(usage) => {
                self.said = usage;
                self.heard = true;
                self.bytes = 0;
                self.report(out);
                return self.check(0, out);
            }
            // A provider that never said what it took is not free.
            StreamEvent::Done(_) if !self.heard => {
                self.report(out);
                self.check(0, out)?;
            }
            StreamEvent::Text(ref text) | StreamEvent::Thinking(ref text) => {
                self.bytes += text.len() as u64;
            }
            StreamEvent::ToolCall { ref name, ref args, .. } => {
                self.bytes += (name.len() + args.len()) as u64;
            }
            StreamEvent::Accepted | StreamEvent::Levels(_) | StreamEvent::Done(_) => {}
        }
        out.push(event);
        Ok(())
    }

    /// So many bytes were written, of whatever kind.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Looks at the estimate; `pending` bytes have come that are no event yet.
    ///
    /// # Errors
    /// More was used than was left; how much is in `out` before.
    pub(super) fn check(
        &mut self,
        pending: usize,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), LlmError> {
        let now = self.so_far(pending);
        let allowed = self.limits.allow(&now);
        if now != self.shown && (allowed.is_err() || now.output >= self.shown.output + STEP_TOKENS)
        {
            self.shown = now;
            out.push(StreamEvent::Usage(now));
        }
        allowed
    }

    /// Says what it is now, if that was not said: for the end of a call, where a part that the
    /// provider did not say stays an estimate.
    pub(super) fn report(&mut self, out: &mut Vec<StreamEvent>) {
        let mut now = self.so_far(0);
        now.estimated = u32::from(!self.heard || 0 < self.bytes);
        if now != self.shown {
            self.shown = now;
            out.push(StreamEvent::Usage(now));
        }
    }

    fn so_far(&self, pending: usize) -> Usage {
        let written = (self.bytes + pending as u64).div_ceil(BYTES_PER_TOKEN);
        let mut usage = self.said;
        usage.output = usage.output.saturating_add(written);
        let tokens = [usage.input, usage.output, usage.cache_read, usage.cache_write];
        match self.limits.price {
            Some(price) => price.charge(&mut usage),
            None => usage.unpriced = u32::from(tokens.iter().any(|it| *it > 0)),
        }
        usage
    }
}
