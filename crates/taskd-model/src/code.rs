//! Codes of errors: one word for each way something can go wrong, the same in the log, over the
//! API, in `--json` and in the documentation.
//!
//! A code is given where an error arises, by its type, never by its text. What follows from it, the
//! tier, what taskd does by itself, the exit code, stands beside it in one list and nowhere else.

mod catalogue;
#[cfg(test)]
mod tests;

use std::{fmt, io};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::catalogue::Code;
use crate::Failure;

/// What kind of thing an error is, as far as asking again goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// It passes: a connection, a lock.
    Transient,
    /// Too much was asked for; there is a time when it works again.
    RateLimit,
    /// The other side has a problem of its own.
    Degrading,
    /// A person can mend it: a key, a file, a setting.
    UserFixable,
    /// The same again ends the same way.
    Permanent,
    /// Nothing of ours: a model reads it and goes on.
    Data,
}

/// What taskd does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Waits for the time that was named, or longer each time, then asks again.
    Waits,
    /// Asks again, a little later each time.
    Retries,
    /// Asks a person at once: who we are is not accepted.
    AsksForKey,
    /// Asks its budgets for more, and only where they are spent a person.
    AsksForMoney,
    /// Asks a person at once.
    Asks,
    /// Asks for the same with a smaller request, once; then a person.
    AsksSmaller,
    /// Tries again a few times, since room may be made meanwhile.
    RetriesResources,
    /// Gives it to the model as the result of its call.
    TellsModel,
    /// Says so beside the run of an agent it is about, and goes on.
    Remarks,
    /// Refuses the request; nothing was changed.
    Refuses,
    /// Ends the loop, and keeps its work.
    EndsLoop,
    /// Does not start, or ends.
    StaysDown,
}

/// A status of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpc {
    /// 3.
    InvalidArgument,
    /// 4.
    DeadlineExceeded,
    /// 5.
    NotFound,
    /// 6.
    AlreadyExists,
    /// 7.
    PermissionDenied,
    /// 8.
    ResourceExhausted,
    /// 9.
    FailedPrecondition,
    /// 10.
    Aborted,
    /// 13.
    Internal,
    /// 14.
    Unavailable,
    /// 15.
    DataLoss,
    /// 16.
    Unauthenticated,
}

/// Everything there is to say about a code.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// The word.
    pub word: &'static str,
    /// What kind of thing it is.
    pub tier: Tier,
    /// What taskd does by itself.
    pub reaction: Reaction,
    /// The status of the API where a request meets it.
    pub rpc: Rpc,
    /// The exit code of a command that ends with it.
    pub exit: u8,
    /// What happened, to what: a sentence without its full stop.
    pub what: &'static str,
    /// What a person does next: a sentence without its full stop.
    pub next: &'static str,
}

impl Code {
    /// The word, as it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().word
    }

    /// The code a word stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::entries().iter().find(|it| it.word == word).map(|it| it.code)
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn tier(self) -> Tier {
        self.entry().tier
    }

    /// The exit code of a command that ends with it.
    #[must_use]
    pub fn exit(self) -> u8 {
        self.entry().exit
    }

    /// The status of the API.
    #[must_use]
    pub fn rpc(self) -> Rpc {
        self.entry().rpc
    }

    /// What the core needs to know to decide, with the wait the other side named, in milliseconds.
    #[must_use]
    pub fn failure(self, wait_ms: Option<u64>) -> Failure {
        match self.entry().reaction {
            Reaction::Waits => wait_ms.map_or(Failure::RateLimited, Failure::NotBefore),
            Reaction::Retries => wait_ms.map_or(Failure::Transient, Failure::NotBefore),
            Reaction::AsksForKey => Failure::Auth,
            Reaction::AsksSmaller => Failure::TooLarge,
            Reaction::RetriesResources => Failure::Resources,
            Reaction::AsksForMoney => Failure::OverBudget,
            Reaction::Asks
            | Reaction::TellsModel
            | Reaction::Remarks
            | Reaction::Refuses
            | Reaction::EndsLoop
            | Reaction::StaysDown => Failure::Permanent,
        }
    }

    /// What the operating system said, by its kind.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let kind = error.kind();
        // ENFILE and EMFILE have no kind of their own.
        if matches!(error.raw_os_error(), Some(23 | 24)) || kind == Kind::OutOfMemory {
            Self::MachineExhausted
        } else if matches!(kind, Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge) {
            Self::DiskFull
        } else if matches!(kind, Kind::PermissionDenied | Kind::ReadOnlyFilesystem) {
            Self::FileDenied
        } else {
            Self::FileFailed
        }
    }

    /// How a command ended that did not end with 0. A shell adds 128 to the signal that killed what
    /// it ran.
    #[must_use]
    pub fn of_exit(status: i32) -> Self {
        match status {
            126 => Self::CommandNotExecutable,
            127 => Self::CommandNotFound,
            129..=192 => Self::CommandKilled,
            _ => Self::CommandFailed,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Errors of the API keep the word, since a daemon of another version may know more.
impl PartialEq<Code> for String {
    fn eq(&self, code: &Code) -> bool {
        self == code.as_str()
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// A word of a later version becomes [`Code::Unlisted`]: it is no reason to refuse a log.
impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Ok(Self::parse(&word).unwrap_or(Self::Unlisted))
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "passing",
            Self::RateLimit => "rate limit",
            Self::Degrading => "the provider's",
            Self::UserFixable => "yours to mend",
            Self::Permanent => "for good",
            Self::Data => "the model's",
        })
    }
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waits => {
                "nobody asks before the time that was named, or longer and longer without one; \
                 then it is asked again"
            }
            Self::Retries => "it is tried again, later each time; used up, the loop is blocked",
            Self::AsksForKey | Self::Asks => "nothing is tried again; the loop is blocked",
            Self::AsksSmaller => {
                "it is sent once more, smaller; refused again, the loop is blocked"
            }
            Self::AsksForMoney => {
                "the loop asks its budgets for more: it is blocked by its own or its plan's, and waits for a day's"
            }
            Self::RetriesResources => "it is tried again a few times; then the loop is blocked",
            Self::TellsModel => "the model is told, and the loop goes on",
            Self::Remarks => "it is told with the run, and the loop goes on",
            Self::Refuses => "the request is refused and nothing is changed",
            Self::EndsLoop => "the loop ends as failed and its work is kept",
            Self::StaysDown => "the daemon does not start, or ends; nothing is lost",
        })
    }
}

impl fmt::Display for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        })
    }
}
