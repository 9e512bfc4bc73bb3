//! What must be known to talk to a provider. Where it comes from is decided elsewhere.

use std::{fmt, path::PathBuf, time::Duration};

use crate::Takes;

/// Everything about one model behind HTTP.
#[derive(Clone)]
pub struct HttpSettings {
    /// The provider, as it is configured; for people.
    pub provider: String,
    /// The model, in its provider's word.
    pub model: String,
    /// How requests are written and replies read.
    pub api: Api,
    /// What the interface's paths are appended to: `https://api.anthropic.com`.
    pub base_url: String,
    /// The credential; `None` for servers that want none.
    pub key: Option<Secret>,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// What the model takes, where its interface does not tell.
    pub takes: Takes,
    /// Certificates of authorities that are trusted beside this machine's own, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// Leaves the base URL out: until it is checked, it may hold a credential.
impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("api", &self.api)
            .field("key", &self.key)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// An interface of a provider; others speak the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Anthropic's `POST /v1/messages`.
    AnthropicMessages,
    /// `OpenAI`'s `POST /v1/chat/completions`, which most others imitate.
    OpenAiChat,
    /// `OpenAI`'s `POST /v1/responses`.
    OpenAiResponses,
}

/// How long a call waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, names and TLS included.
    pub connect: Duration,
    /// From the start of the call to the first event of its answer.
    pub first_event: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// For the whole call.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_event: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

/// A credential. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// White space around `text` is dropped: files end with a newline.
    #[must_use]
    pub fn new(text: String) -> Self {
        let trimmed = text.trim();
        if trimmed.len() == text.len() { Self(text) } else { Self(trimmed.to_owned()) }
    }

    /// The credential itself, for the header that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
