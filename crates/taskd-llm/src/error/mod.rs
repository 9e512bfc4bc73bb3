//! What can go wrong with a call, and what that means for asking again.
//!
//! Errors name what was attempted, never what the prompt said.

mod origin;
mod provider;
mod verdict;

use std::{io, path::PathBuf};

use taskd_model::{Code, Failure, Fault};
use thiserror::Error;

use self::verdict::{Verdict, verdict};
pub use self::{
    origin::{Origin, Wait},
    provider::ProviderFault,
};
use crate::CassetteError;
pub use taskd_model::BodyKind;

/// The longest text of the operating system or of TLS that is kept, in characters.
const MAX_WHY_CHARS: usize = 200;

/// Why a model could not be resolved or a call ended without a reply.
#[derive(Debug, Error)]
pub enum LlmError {
    /// A call to a provider failed, there or on the way.
    #[error("{origin}: {}", fault.told(origin))]
    Provider {
        /// Whose failure it is.
        origin: Box<Origin>,
        /// What it is.
        fault: ProviderFault,
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
    /// The call used up what was left for it and ended itself.
    #[error("the call used {spent} {unit}, more than the {cap} that were left for it")]
    OverCap {
        /// What was used.
        spent: u64,
        /// What was left.
        cap: u64,
        /// Of what: micro-dollars, tokens.
        unit: &'static str,
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
    #[error("the scripted model cannot be used")]
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
        /// The facts, as they were recorded; older recordings have none.
        fault: Option<Box<Fault>>,
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
    /// What this means for asking again: what its code says, and the wait the provider named.
    #[must_use]
    pub fn class(&self) -> Failure {
        match self {
            Self::Provider { fault, .. } => self.code().failure(fault.named_wait()),
            Self::Replayed { failure, .. } => *failure,
            Self::Settings { .. }
            | Self::TooLarge { .. }
            | Self::OverCap { .. }
            | Self::NoReply { .. }
            | Self::UnknownProvider { .. }
            | Self::RelativePath { .. }
            | Self::Script(_)
            | Self::MissingCredential { .. }
            | Self::Cassette(_) => self.code().failure(None),
        }
    }

    /// The word for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Provider { origin, fault } => fault.code(origin),
            Self::Settings { .. } => Code::ProviderSettings,
            Self::TooLarge { .. } => Code::ReplyTooLarge,
            Self::OverCap { .. } => Code::CallOverCap,
            Self::NoReply { .. } => Code::ScriptNoReply,
            Self::UnknownProvider { .. } => Code::ModelUnknown,
            Self::RelativePath { .. } => Code::ScriptPathRelative,
            Self::Script(script) => script.code(),
            Self::MissingCredential { .. } => Code::CredentialMissing,
            Self::Cassette(cassette) => cassette.code(),
            Self::Replayed { failure, fault, .. } => {
                fault.as_ref().map_or_else(|| code_of_old_recording(*failure), |it| it.code)
            }
        }
    }

    /// The facts for the log.
    #[must_use]
    pub fn fault(&self) -> Fault {
        if let Self::Replayed { fault: Some(fault), .. } = self {
            return Fault::clone(fault);
        }
        let bare = Fault { causes: taskd_model::causes(self), ..Fault::new(self.code()) };
        let Some(origin) = self.origin() else { return bare.bounded() };
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        let fault = Fault {
            provider: some(&origin.provider),
            model: some(&origin.model),
            status: origin.status,
            kind: origin.code.clone(),
            body: (origin.body != BodyKind::Unseen).then_some(origin.body),
            attempt: origin.attempt.saturating_add(1),
            elapsed_ms: origin.elapsed_ms,
            ..bare
        };
        fault.bounded()
    }

    /// Where a failure of a provider came from; `None` for those that are ours.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        if let Self::Provider { origin, .. } = self { Some(origin) } else { None }
    }

    /// A failure of a provider; the transport says whose.
    pub(crate) fn provider(fault: ProviderFault) -> Self {
        Self::Provider { origin: Box::default(), fault }
    }

    /// The failure an answer stands for, by its status and code.
    pub(crate) fn answered(
        status: Option<u16>,
        code: Option<&str>,
        retry_after_ms: Option<u64>,
        body: BodyKind,
    ) -> Self {
        let origin = Origin::answer(status, code, body);
        let fault = match verdict(status, code) {
            Verdict::RateLimited => ProviderFault::RateLimited { retry_after_ms },
            Verdict::Server => ProviderFault::Server { retry_after_ms },
            Verdict::Auth => ProviderFault::Auth,
            Verdict::TooMuchContext => ProviderFault::ContextTooLarge,
            Verdict::Refused => ProviderFault::Refused,
        };
        Self::Provider { origin, fault }
    }

    /// For a [`crate::wire::Reader`]: the provider reports a failure inside the stream.
    pub(crate) fn reported(code: Option<&str>) -> Self {
        Self::answered(None, code, None, BodyKind::EventStream)
    }

    /// For a [`crate::wire::Reader`]: the stream is not what the interface says.
    pub(crate) fn garbled(what: &'static str) -> Self {
        Self::provider(ProviderFault::Garbled { what })
    }

    /// For a [`crate::wire::Reader`]: the body ended before the reply was whole.
    pub(crate) fn cut() -> Self {
        Self::provider(ProviderFault::Disconnected { pieces: 0 })
    }

    /// No connection, or one that broke before an answer.
    pub(crate) fn unreachable(why: &str) -> Self {
        let why = why.chars().take(MAX_WHY_CHARS).collect();
        Self::provider(ProviderFault::Unreachable { why })
    }

    /// The request cannot be said in this interface.
    pub(crate) fn inexpressible(what: &'static str) -> Self {
        Self::provider(ProviderFault::Inexpressible { what })
    }

    /// A certificate that is not trusted.
    pub(crate) fn untrusted(why: &str) -> Self {
        let why = why.chars().take(MAX_WHY_CHARS).collect();
        Self::provider(ProviderFault::Certificate { why })
    }

    /// The same failure, and whose it is.
    pub(crate) fn of(mut self, whose: &Origin, seen: usize) -> Self {
        if let Self::Provider { origin, fault } = &mut self {
            if let ProviderFault::Disconnected { pieces } = fault {
                *pieces = seen;
            }
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
}

impl ScriptError {
    fn code(&self) -> Code {
        match self {
            Self::Read { source, .. } if Code::of_io(source) == Code::MachineExhausted => {
                Code::MachineExhausted
            }
            Self::Read { .. } => Code::ScriptUnreadable,
            Self::TooLarge { .. } | Self::Invalid { .. } => Code::ScriptInvalid,
        }
    }
}

/// Recordings of 0.1 say only what a failure meant.
fn code_of_old_recording(failure: Failure) -> Code {
    match failure {
        Failure::NotBefore(_) | Failure::RateLimited => Code::RateLimited,
        Failure::Transient => Code::ServerError,
        Failure::Auth => Code::AuthFailed,
        Failure::Resources => Code::MachineExhausted,
        Failure::OverBudget => Code::CallOverCap,
        Failure::Permanent => Code::InvalidRequest,
        Failure::TooLarge => Code::ContextTooLarge,
    }
}
