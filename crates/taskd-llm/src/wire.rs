//! What a provider's HTTP interface looks like: how a request is written, how a reply is read.
//!
//! Pure: no network, no clock, no secrets kept. The transport in [`crate::http`] sends what
//! [`Wire::request`] says and feeds the answer's events to the [`Reader`].

use std::fmt;

use taskd_model::{RateLevels, Request, Usage};

use crate::{CallLimits, Capabilities, LlmError, StreamEvent};

/// One provider's HTTP interface.
pub(crate) trait Wire: fmt::Debug + Send + Sync {
    /// The request for one call. The same `request` gives the same bytes, whatever the attempt.
    /// Its `model` is the provider's own name of the model.
    ///
    /// # Errors
    /// Something is asked for that this interface cannot express.
    fn request(&self, request: &Request) -> Result<HttpRequest, LlmError>;

    /// What this model takes here.
    fn capabilities(&self, model: &str) -> Capabilities;

    /// The question how many tokens `request` is; `None` where nobody answers it.
    ///
    /// # Errors
    /// Something is asked for that this interface cannot express.
    fn counting(&self, _request: &Request) -> Result<Option<HttpRequest>, LlmError> {
        Ok(None)
    }

    /// The path of the list of models, below the base URL, and the headers it wants.
    fn listing(&self) -> (&'static str, Vec<(&'static str, String)>) {
        ("/models", Vec::new())
    }

    /// The headers that carry the credential.
    fn authorize(&self, key: &str) -> Vec<(&'static str, String)>;

    /// Reads one answer with status 200.
    fn reader(&self, limits: CallLimits) -> Box<dyn Reader>;

    /// What the headers of an answer, of any status, say about limits. `header` finds one by its
    /// lower-case name; `now_s` is the time in seconds since the epoch.
    fn levels(&self, header: &dyn Fn(&str) -> Option<String>, now_s: u64) -> RateLevels;

    /// What an object called `usage` of an answer says, after `so_far` was said; nothing if it says
    /// nothing.
    fn usage(&self, object: &[u8], so_far: Usage) -> Option<Usage>;

    /// The code of an error in the body of an answer that is none, such as `overloaded_error`.
    /// Looks at types and codes only, never at prose.
    fn error_code(&self, body: &[u8]) -> Option<String>;
}

/// A request without its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpRequest {
    /// Appended to the base URL: `/v1/messages`.
    pub(crate) path: &'static str,
    /// Headers beside `content-type` and the credential.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body, JSON.
    pub(crate) body: Vec<u8>,
}

/// One answer being read. Never waits, keeps no more than the caps of [`CallLimits`] allow.
pub(crate) trait Reader: Send {
    /// One server-sent event; what it means is appended to `out`. After `Done` was appended nothing
    /// more is read.
    ///
    /// # Errors
    /// The provider reports a failure in the stream, or what it sends cannot be read.
    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), LlmError>;

    /// The body ended. Appends `Done` if the reply is whole, otherwise says what is missing.
    ///
    /// # Errors
    /// The reply is not whole.
    fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), LlmError>;

    /// Bytes the model wrote that are in no event yet, such as the arguments of a tool call that
    /// still grows. The transport counts them when it estimates what the call has cost.
    fn pending(&self) -> usize {
        0
    }
}

/// A server-sent event as the specification has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The `event` field; empty if there is none.
    pub(crate) name: String,
    /// The `data` lines, joined by newlines.
    pub(crate) data: String,
}
