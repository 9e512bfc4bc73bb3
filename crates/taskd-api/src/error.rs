//! Errors as clients show them: one line, a word for programs, the next command, the exit code.
//!
//! They travel as gRPC statuses with an [`v1::ErrorInfo`] in a trailer. Nothing is printed here.

use std::error::Error;

use prost::Message;
use taskd_model::{Code, Rpc, causes};
use tonic::{Status, metadata::MetadataValue};

use crate::{WireError, v1};

/// Where the details of an error travel.
pub const ERROR_TRAILER: &str = "taskd-error-bin";

/// The codes a request fails with where nothing more particular is known.
pub mod codes {
    use taskd_model::Code;

    /// The request itself is wrong.
    pub const INVALID: Code = Code::Invalid;
    /// There is no such thing.
    pub const NOT_FOUND: Code = Code::NotFound;
    /// An id is short for several things.
    pub const AMBIGUOUS: Code = Code::Ambiguous;
    /// It cannot be done as things are.
    pub const REFUSED: Code = Code::Refused;
    /// A rate or a quota is used up; later it works.
    pub const BUSY: Code = Code::Busy;
    /// The peer may not do this.
    pub const DENIED: Code = Code::Denied;
    /// A configuration file is wrong.
    pub const CONFIG: Code = Code::Config;
    /// A defect of ours.
    pub const INTERNAL: Code = Code::Internal;
    /// No daemon answers.
    pub const UNREACHABLE: Code = Code::Unreachable;
    /// Client and daemon do not understand each other.
    pub const SKEW: Code = Code::Skew;
    /// It took too long.
    pub const TIMEOUT: Code = Code::Timeout;
}

/// Exit codes, as published.
pub mod exit {
    /// An operation failed.
    pub const FAILED: u8 = 1;
    /// It was asked for wrongly.
    pub const USAGE: u8 = 2;
    /// A limit was reached.
    pub const LIMIT: u8 = 3;
    /// A person is needed.
    pub const NEEDS_PERSON: u8 = 4;
    /// No such thing, or several.
    pub const NOT_FOUND: u8 = 5;
    /// No daemon answers.
    pub const UNREACHABLE: u8 = 69;
    /// Later it works.
    pub const BUSY: u8 = 75;
    /// Not allowed.
    pub const DENIED: u8 = 77;
    /// Configuration is wrong.
    pub const CONFIG: u8 = 78;
    /// It took too long.
    pub const TIMEOUT: u8 = 124;
}

/// What every call of the API may fail with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// A stable word for programs: a [`Code`], or one of a later version.
    pub code: String,
    /// What was attempted and what was in the way, in one line.
    pub message: String,
    /// The next command to run; may be empty.
    pub hint: String,
    /// The client's exit code, see [`exit`].
    pub exit: u8,
    /// What was beneath it, from the outermost; `message` does not repeat it.
    pub causes: Vec<String>,
}

impl ApiError {
    /// An error with the exit code that goes with its code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: message.into(),
            hint: String::new(),
            exit: code.exit(),
            causes: Vec::new(),
        }
    }

    /// What an error says, and everything beneath it.
    #[must_use]
    pub fn of(code: Code, error: &dyn Error) -> Self {
        Self { causes: causes(error), ..Self::new(code, error.to_string()) }
    }

    /// The same with the next command to run.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// No daemon answers.
    pub(crate) fn unreachable(why: &str) -> Self {
        let message = format!("no taskd daemon answers: {why}");
        Self::new(codes::UNREACHABLE, message).hint("taskd daemon start")
    }

    /// Whether asking again, once a daemon is there, may work.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.code == codes::UNREACHABLE
    }

    /// As it travels.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let info = v1::ErrorInfo::from(self);
        let mut status = Status::new(status_code(&self.code), self.message.clone());
        let value = MetadataValue::from_bytes(&info.encode_to_vec());
        status.metadata_mut().insert_bin(ERROR_TRAILER, value);
        status
    }
}

impl From<&ApiError> for v1::ErrorInfo {
    fn from(it: &ApiError) -> Self {
        Self {
            code: it.code.clone(),
            message: it.message.clone(),
            hint: it.hint.clone(),
            exit: it.exit.into(),
            causes: it.causes.clone(),
        }
    }
}

impl From<v1::ErrorInfo> for ApiError {
    fn from(it: v1::ErrorInfo) -> Self {
        let exit = u8::try_from(it.exit).ok().filter(|it| *it != 0).unwrap_or(exit::FAILED);
        Self { code: it.code, message: it.message, hint: it.hint, exit, causes: it.causes }
    }
}

impl From<ApiError> for Status {
    fn from(it: ApiError) -> Self {
        it.to_status()
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        let details = status.metadata().get_bin(ERROR_TRAILER);
        let bytes = details.and_then(|it| it.to_bytes().ok());
        if let Some(info) = bytes.and_then(|it| v1::ErrorInfo::decode(it).ok()) {
            return info.into();
        }
        // A status we made ourselves from a broken connection has a source; one that was sent to
        // us never has.
        if status.source().is_some() || status.code() == tonic::Code::Unavailable {
            return Self::unreachable(&innermost(&status));
        }
        let message = status.message().to_owned();
        match status.code() {
            tonic::Code::Unimplemented => {
                Self::new(codes::SKEW, "this daemon does not know the request")
                    .hint("the daemon is of another version: taskd daemon restart")
            }
            tonic::Code::NotFound => Self::new(codes::NOT_FOUND, message),
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange => {
                Self::new(codes::INVALID, message)
            }
            tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => {
                Self::new(codes::DENIED, message)
            }
            tonic::Code::ResourceExhausted => Self::new(codes::BUSY, message),
            tonic::Code::DeadlineExceeded => Self::new(codes::TIMEOUT, message),
            tonic::Code::FailedPrecondition | tonic::Code::AlreadyExists | tonic::Code::Aborted => {
                Self::new(codes::REFUSED, message)
            }
            tonic::Code::Ok
            | tonic::Code::Cancelled
            | tonic::Code::Unknown
            | tonic::Code::Internal
            | tonic::Code::Unavailable
            | tonic::Code::DataLoss => Self::new(codes::INTERNAL, message),
        }
    }
}

impl From<WireError> for ApiError {
    fn from(it: WireError) -> Self {
        Self::new(codes::SKEW, it.to_string())
            .hint("client and daemon are of different versions: taskd daemon restart")
    }
}

/// The last error of a chain says what happened; those around it say that it did.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A word of a later version is a defect as far as gRPC goes.
fn status_code(word: &str) -> tonic::Code {
    match Code::parse(word).map_or(Rpc::Internal, Code::rpc) {
        Rpc::InvalidArgument => tonic::Code::InvalidArgument,
        Rpc::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Rpc::NotFound => tonic::Code::NotFound,
        Rpc::AlreadyExists => tonic::Code::AlreadyExists,
        Rpc::PermissionDenied => tonic::Code::PermissionDenied,
        Rpc::ResourceExhausted => tonic::Code::ResourceExhausted,
        Rpc::FailedPrecondition => tonic::Code::FailedPrecondition,
        Rpc::Aborted => tonic::Code::Aborted,
        Rpc::Internal => tonic::Code::Internal,
        Rpc::Unavailable => tonic::Code::Unavailable,
        Rpc::DataLoss => tonic::Code::DataLoss,
        Rpc::Unauthenticated => tonic::Code::Unauthenticated,
    }
}
