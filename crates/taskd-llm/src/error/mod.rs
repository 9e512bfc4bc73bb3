//! What can go wrong with a call, and what that means for asking again.
//!
//! Errors name what was attempted, never what the prompt said.

mod origin;
mod verdict;

use std::{io, path::PathBuf};

use taskd_model::Failure;
use thiserror::Error;

pub use self::origin::{BodyKind, Origin, Wait};
use self::verdict::{Verdict, verdict};
use crate::CassetteError;

/// The longest text of the operating system or of TLS that is kept, in characters.
const MAX_WHY_CHARS: usize = 200;

/// Why a model could not be resolved or a call ended without a reply.
#[derive(Debug, Error)]
pub enum LlmError {
    /// The provider says that too much was asked for (429).
    #[error("{origin}: too much was asked for ({}){}", origin.said(), after(*retry_after_ms))]
    RateLimited {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// The wait the provider named, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider has a problem of its own (5xx, overload, its own timeouts).
    #[error("{origin}: a problem of the provider's own ({}){}", origin.said(), after(*retry_after_ms))]
    Server {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// The wait the provider named, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider does not accept the credential, or the account behind it (401, 402, 403).
    #[error("{origin}: the credential was refused ({}); check the key and the account", origin.said())]
    Auth {
        /// Whose failure it is.
        origin: Box<Origin>,
    },
    /// The request is larger than the model or the provider takes.
    #[error("{origin}: the request is too large ({})", origin.said())]
    ContextTooLarge {
        /// Whose failure it is.
        origin: Box<Origin>,
    },
    /// The provider refuses this request (other 4xx); the same request will be refused again.
    #[error("{origin}: the request was refused ({})", origin.said())]
    Refused {
        /// Whose failure it is.
        origin: Box<Origin>,
    },
    /// No connection could be made, or it broke before an answer.
    #[error("{origin}: no connection: {why}")]
    Unreachable {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// What the operating system or TLS said; at most 200 characters.
        why: String,
    },
    /// Something did not come in time.
    #[error("{origin}: {wait} within {limit_ms} ms")]
    TimedOut {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// What was waited for.
        wait: Wait,
        /// How long, in milliseconds.
        limit_ms: u64,
    },
    /// The connection ended before the reply did.
    #[error("{origin}: the connection ended after {pieces} pieces of the reply")]
    Disconnected {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// Texts and tool calls that had arrived.
        pieces: usize,
    },
    /// An answer with a good status that is no stream of events: a proxy's page, most likely.
    #[error("{origin}: {} where an event stream was expected; check the base URL", origin.body)]
    NotAStream {
        /// Whose failure it is.
        origin: Box<Origin>,
    },
    /// The stream is not what this provider's interface says.
    #[error("{origin}: the stream cannot be read: {what}")]
    Garbled {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The request cannot be expressed in this provider's interface.
    #[error("{origin}: the request cannot be sent: {what}")]
    Inexpressible {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// What cannot be expressed.
        what: &'static str,
    },
    /// The provider is not set up in a way that can work.
    #[error("provider {provider} cannot be used: {what}")]
    Settings {
        /// The provider, as it is configured.
        provider: String,
        /// What is wrong.
        what: String,
    },
    /// The reply grew past a cap of [`crate::CallLimits`] and was cut off.
    #[error("the reply exceeds {cap} {unit}; it was cut off")]
    TooLarge {
        /// The cap.
        cap: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// The call used up what was reserved for it and ended itself.
    #[error("the call cost {spent_micros} micro-dollars, more than the {cap_micros} reserved")]
    OverCap {
        /// What was spent.
        spent_micros: u64,
        /// What was reserved.
        cap_micros: u64,
    },
    /// A script has nothing to say at this place.
    #[error(
        "{} has no reply for loop {loop_name}, iteration {iteration}, turn {turn}; \
         add that turn or a `default`", script.display()
    )]
    NoReply {
        /// The script.
        script: PathBuf,
        /// The loop that asked.
        loop_name: String,
        /// Its iteration.
        iteration: u32,
        /// Its turn.
        turn: u32,
    },
    /// The name names no provider that is known.
    #[error("no provider for model {model:?}: a model is named as one of {known}")]
    UnknownProvider {
        /// The model's name as it was configured, shortened.
        model: String,
        /// How models may be named: `anthropic/MODEL, …`.
        known: String,
    },
    /// The path after `scripted:` is not absolute, so it would depend on where the daemon started.
    #[error("model {model:?} needs an absolute path after `scripted:`")]
    RelativePath {
        /// The model's name as it was configured, shortened.
        model: String,
    },
    /// The script cannot be used.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The provider needs a credential and nobody handed one over.
    #[error(
        "no credential for provider {provider}: {variable} is not set; \
         `export {variable}=...` and run `taskd resume ID` in that shell"
    )]
    MissingCredential {
        /// The provider.
        provider: String,
        /// The client's variable that holds its credential.
        variable: String,
    },
    /// A recording cannot be made or used.
    #[error(transparent)]
    Cassette(#[from] CassetteError),
    /// The call failed when it was recorded, and fails again in the same way.
    #[error("{message}")]
    Replayed {
        /// What it meant for asking again.
        failure: Failure,
        /// What was said.
        message: String,
    },
}

/// Why a script cannot be used.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("cannot read the script {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than [`crate::MAX_SCRIPT_BYTES`].
    #[error("the script {} is larger than {cap_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The cap.
        cap_bytes: u64,
    },
    /// The file is not a script.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
}

impl LlmError {
    /// What this means for asking again.
    #[must_use]
    pub fn class(&self) -> Failure {
        match self {
            Self::RateLimited { retry_after_ms: Some(ms), .. }
            | Self::Server { retry_after_ms: Some(ms), .. } => Failure::NotBefore(*ms),
            Self::RateLimited { retry_after_ms: None, .. } => Failure::RateLimited,
            Self::Server { retry_after_ms: None, .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Garbled { .. }
            | Self::Disconnected { .. } => Failure::Transient,
            Self::Auth { .. } | Self::MissingCredential { .. } => Failure::Auth,
            Self::ContextTooLarge { .. } => Failure::TooLarge,
            Self::Refused { .. }
            | Self::NotAStream { .. }
            | Self::Inexpressible { .. }
            | Self::Settings { .. }
            | Self::TooLarge { .. }
            | Self::OverCap { .. }
            | Self::NoReply { .. }
            | Self::UnknownProvider { .. }
            | Self::RelativePath { .. }
            | Self::Cassette(_) => Failure::Permanent,
            Self::Script(script) => script.class(),
            Self::Replayed { failure, .. } => *failure,
        }
    }

    /// Where a failure of a provider came from; `None` for those that are ours.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::RateLimited { origin, .. }
            | Self::Server { origin, .. }
            | Self::Auth { origin }
            | Self::ContextTooLarge { origin }
            | Self::Refused { origin }
            | Self::Unreachable { origin, .. }
            | Self::TimedOut { origin, .. }
            | Self::Disconnected { origin, .. }
            | Self::NotAStream { origin }
            | Self::Garbled { origin, .. }
            | Self::Inexpressible { origin, .. } => Some(origin),
            Self::Settings { .. }
            | Self::TooLarge { .. }
            | Self::OverCap { .. }
            | Self::NoReply { .. }
            | Self::UnknownProvider { .. }
            | Self::RelativePath { .. }
            | Self::Script(_)
            | Self::MissingCredential { .. }
            | Self::Cassette(_)
            | Self::Replayed { .. } => None,
        }
    }

    /// The failure an answer stands for, by its status and code.
    pub(crate) fn answered(
        status: Option<u16>,
        code: Option<&str>,
        retry_after_ms: Option<u64>,
        body: BodyKind,
    ) -> Self {
        let origin = Origin::answer(status, code, body);
        match verdict(status, code) {
            Verdict::RateLimited => Self::RateLimited { origin, retry_after_ms },
            Verdict::Server => Self::Server { origin, retry_after_ms },
            Verdict::Auth => Self::Auth { origin },
            Verdict::TooMuchContext => Self::ContextTooLarge { origin },
            Verdict::Refused => Self::Refused { origin },
        }
    }

    /// For a [`crate::wire::Reader`]: the provider reports a failure inside the stream.
    pub(crate) fn reported(code: Option<&str>) -> Self {
        Self::answered(None, code, None, BodyKind::EventStream)
    }

    /// For a [`crate::wire::Reader`]: the stream is not what the interface says.
    pub(crate) fn garbled(what: &'static str) -> Self {
        Self::Garbled { origin: Box::default(), what }
    }

    /// For a [`crate::wire::Reader`]: the body ended before the reply was whole.
    pub(crate) fn cut() -> Self {
        Self::Disconnected { origin: Box::default(), pieces: 0 }
    }

    /// No connection, or one that broke before an answer.
    pub(crate) fn unreachable(why: &str) -> Self {
        let why = why.chars().take(MAX_WHY_CHARS).collect();
        Self::Unreachable { origin: Box::default(), why }
    }

    /// The same failure, and whose it is.
    pub(crate) fn of(mut self, whose: &Origin, seen: usize) -> Self {
        if let Self::Disconnected { pieces, .. } = &mut self {
            *pieces = seen;
        }
        if let Some(origin) = self.origin_mut() {
            origin.provider.clone_from(&whose.provider);
            origin.model.clone_from(&whose.model);
            origin.attempt = whose.attempt;
            origin.elapsed_ms = whose.elapsed_ms;
            origin.status = origin.status.or(whose.status);
            if origin.body == BodyKind::Unseen {
                origin.body = whose.body;
            }
        }
        self
    }

    fn origin_mut(&mut self) -> Option<&mut Origin> {
        match self {
            Self::RateLimited { origin, .. }
            | Self::Server { origin, .. }
            | Self::Auth { origin }
            | Self::ContextTooLarge { origin }
            | Self::Refused { origin }
            | Self::Unreachable { origin, .. }
            | Self::TimedOut { origin, .. }
            | Self::Disconnected { origin, .. }
            | Self::NotAStream { origin }
            | Self::Garbled { origin, .. }
            | Self::Inexpressible { origin, .. } => Some(origin),
            Self::Settings { .. }
            | Self::TooLarge { .. }
            | Self::OverCap { .. }
            | Self::NoReply { .. }
            | Self::UnknownProvider { .. }
            | Self::RelativePath { .. }
            | Self::Script(_)
            | Self::MissingCredential { .. }
            | Self::Cassette(_)
            | Self::Replayed { .. } => None,
        }
    }
}

impl ScriptError {
    fn class(&self) -> Failure {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::OutOfMemory => {
                Failure::Resources
            }
            // ENFILE and EMFILE: the machine or the process is out of file handles.
            Self::Read { source, .. } if matches!(source.raw_os_error(), Some(23 | 24)) => {
                Failure::Resources
            }
            Self::Read { .. } | Self::TooLarge { .. } | Self::Invalid { .. } => Failure::Permanent,
        }
    }
}

fn after(retry_after_ms: Option<u64>) -> String {
    retry_after_ms.map_or_else(String::new, |ms| format!("; ask again in {ms} ms"))
}
