//! The ways a call to a provider can fail. Each has its [`Origin`] beside it, in one place, so that
//! no new one can be without.

use taskd_model::Code;

use super::{
    origin::{Origin, Wait},
    verdict::{auth, refused, server},
};

/// How a call to a provider failed, there or on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderFault {
    /// The provider says that too much was asked for (429).
    RateLimited {
        /// The wait the provider named, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider has a problem of its own (5xx, overload, its own timeouts).
    Server {
        /// The wait the provider named, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider does not accept the credential, or the account behind it (401, 402, 403).
    Auth,
    /// The request is larger than the model or the provider takes.
    ContextTooLarge,
    /// The provider refuses this request (other 4xx); the same request will be refused again.
    Refused,
    /// No connection could be made, or it broke before an answer.
    Unreachable {
        /// What the operating system or TLS said; at most 200 characters.
        why: String,
    },
    /// The other side shows a certificate that is not trusted. Asking again changes nothing.
    Certificate {
        /// What is wrong with it, in the TLS library's words; at most 200 characters.
        why: String,
    },
    /// Something did not come in time.
    TimedOut {
        /// What was waited for.
        wait: Wait,
        /// How long, in milliseconds.
        limit_ms: u64,
    },
    /// The connection ended before the reply did.
    Disconnected {
        /// Texts and tool calls that had arrived.
        pieces: usize,
    },
    /// An answer with a good status that is no stream of events: a proxy's page, most likely.
    NotAStream,
    /// The stream is not what this provider's interface says.
    Garbled {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The request cannot be expressed in this provider's interface.
    Inexpressible {
        /// What cannot be expressed.
        what: &'static str,
    },
}

impl ProviderFault {
    /// The wait the provider named, in milliseconds.
    pub(super) fn named_wait(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms } | Self::Server { retry_after_ms } => {
                *retry_after_ms
            }
            Self::Auth
            | Self::ContextTooLarge
            | Self::Refused
            | Self::Unreachable { .. }
            | Self::Certificate { .. }
            | Self::TimedOut { .. }
            | Self::Disconnected { .. }
            | Self::NotAStream
            | Self::Garbled { .. }
            | Self::Inexpressible { .. } => None,
        }
    }

    /// The word for it; where the provider's status and type say more than the kind, they decide.
    pub(super) fn code(&self, origin: &Origin) -> Code {
        let (status, said) = (origin.status, origin.code.as_deref());
        match self {
            Self::RateLimited { .. } => Code::RateLimited,
            Self::Server { .. } => server(status, said),
            Self::Auth => auth(status, said),
            Self::ContextTooLarge => Code::ContextTooLarge,
            Self::Refused => refused(status, said),
            Self::Unreachable { .. } => Code::Network,
            Self::Certificate { .. } => Code::CertificateUntrusted,
            Self::TimedOut { wait, .. } => match wait {
                Wait::Connect => Code::TimeoutConnect,
                Wait::FirstEvent => Code::TimeoutFirstEvent,
                Wait::NextByte => Code::TimeoutIdle,
                Wait::Whole => Code::TimeoutTotal,
            },
            Self::Disconnected { .. } => Code::StreamBroken,
            Self::NotAStream => Code::NotAStream,
            Self::Garbled { .. } => Code::StreamGarbled,
            Self::Inexpressible { .. } => Code::RequestInexpressible,
        }
    }

    /// What happened, behind whose it is.
    pub(super) fn told(&self, origin: &Origin) -> String {
        let said = origin.said();
        match self {
            Self::RateLimited { retry_after_ms } => {
                format!("too much was asked for ({said}){}", after(*retry_after_ms))
            }
            Self::Server { retry_after_ms } => {
                format!("a problem of the provider's own ({said}){}", after(*retry_after_ms))
            }
            Self::Auth => {
                format!("the credential was refused ({said}); check the key and the account")
            }
            Self::ContextTooLarge => {
                format!("the request is too large ({said})")
            }
            Self::Refused => format!("the request was refused ({said})"),
            Self::Unreachable { why } => format!("no connection: {why}"),
            Self::Certificate { why } => format!(
                "its certificate is not trusted ({why}); if it is your own authority's, name that \
                 in models.toml: `ca_file` of the provider"
            ),
            Self::TimedOut { wait, limit_ms } => format!("{wait} within {limit_ms} ms"),
            Self::Disconnected { pieces } => {
                format!("the connection ended after {pieces} pieces of the reply")
            }
            Self::NotAStream => {
                format!("{} where an event stream was expected; check the base URL", origin.body)
            }
            Self::Garbled { what } => format!("the stream cannot be read: {what}"),
            Self::Inexpressible { what } => format!("the request cannot be sent: {what}"),
        }
    }
}

fn after(retry_after_ms: Option<u64>) -> String {
    retry_after_ms.map_or_else(String::new, |ms| format!("; ask again in {ms} ms"))
}
