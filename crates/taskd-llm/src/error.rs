//! What can go wrong with a call, and what that means for asking again.
//!
//! Errors name what was attempted, never what the prompt said.

use std::{io, path::PathBuf};

use taskd_model::Failure;
use thiserror::Error;

/// Why a model could not be resolved or a call ended without a reply.
#[derive(Debug, Error)]
pub enum LlmError {
    /// The provider says that too much was asked for (429).
    #[error("the model provider limits our rate (429){}", after(*retry_after_ms))]
    RateLimited {
        /// The wait the provider named, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider has a problem of its own (5xx).
    #[error("the model provider answered {status}{}", after(*retry_after_ms))]
    Server {
        /// HTTP status.
        status: u16,
        /// The wait the provider named, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider does not accept the credential (401, 403).
    #[error("the model provider refused the credential ({status}); check the key")]
    Auth {
        /// HTTP status.
        status: u16,
    },
    /// The provider refuses this request (other 4xx); the same request will be refused again.
    #[error("the model provider refused the request ({status})")]
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// The connection ended before the reply did.
    #[error("the connection to the model ended after {pieces} pieces of the reply")]
    Disconnected {
        /// Texts and tool calls that had arrived.
        pieces: usize,
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
    /// No such provider in this release.
    #[error(
        "no provider for model {model:?}: this release has `scripted:/absolute/path.yaml` only; \
         Anthropic and OpenAI arrive with the next release"
    )]
    UnknownProvider {
        /// The model's name as it was configured, shortened.
        model: String,
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
            Self::RateLimited { retry_after_ms: Some(ms) }
            | Self::Server { retry_after_ms: Some(ms), .. } => Failure::NotBefore(*ms),
            Self::RateLimited { retry_after_ms: None }
            | Self::Server { retry_after_ms: None, .. }
            | Self::Disconnected { .. } => Failure::Transient,
            Self::Auth { .. } => Failure::Auth,
            Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::OverCap { .. }
            | Self::NoReply { .. }
            | Self::UnknownProvider { .. }
            | Self::RelativePath { .. } => Failure::Permanent,
            Self::Script(script) => script.class(),
        }
    }

    /// The error a provider's HTTP status stands for; `None` for a status that is no failure.
    pub(crate) fn of_status(status: u16, retry_after_ms: Option<u64>) -> Option<Self> {
        match status {
            429 => Some(Self::RateLimited { retry_after_ms }),
            500..=599 => Some(Self::Server { status, retry_after_ms }),
            401 | 403 => Some(Self::Auth { status }),
            400..=499 => Some(Self::Refused { status }),
            _ => None,
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
