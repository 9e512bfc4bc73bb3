//! What is wrong with configuration: where, what, and what would be right.

use std::{fmt, io};

use crate::problem::Pos;

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) struct ConfigError {
    /// The file as its layer names it, the variable, or the flag.
    pub(crate) origin: String,
    /// The place in the file; variables and flags have none.
    pub(crate) at: Option<Pos>,
    /// What is wrong.
    pub(crate) problem: ConfigProblem,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

/// What can be wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigProblem {
    /// The file is there but cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file is too long to be configuration.
    #[error("the file has {bytes} bytes; it may have {limit}")]
    TooLong {
        /// How long it is.
        bytes: u64,
        /// How long it may be, in bytes.
        limit: u64,
    },
    /// It is no TOML; the parser's own words.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// There is no such section.
    #[error("unknown section [{0}]")]
    UnknownSection(String),
    /// There is no such key.
    #[error("unknown key `{key}` in [{section}]")]
    UnknownKey {
        /// The section it was written in.
        section: String,
        /// The key.
        key: String,
    },
    /// The value is of another type, out of range, or not one of those allowed.
    #[error("`{key}` is {found}; it must be {expected}")]
    Value {
        /// The key with its section.
        key: &'static str,
        /// What was written.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// Both are in their ranges, and they contradict each other.
    #[error("`{key}` is {found}, more than `{most}`, which is {is}")]
    Above {
        /// The key with its section.
        key: &'static str,
        /// What it is.
        found: String,
        /// The key it may not be above.
        most: &'static str,
        /// What that is.
        is: String,
    },
    /// A section's name has a value instead of keys.
    #[error("`{0}` is a section, not a key")]
    NoSection(&'static str),
    /// One file names both an agent and a model.
    #[error("both `work.agent` and `work.model` are given")]
    TwoWorkers,
    /// The key belongs to the daemon, which serves many projects.
    #[error("`{0}` cannot be set by a project: the daemon serves many")]
    NotInProject(&'static str),
    /// A project may make this key stricter, not looser.
    #[error("`{key}` is {found}, looser than {own} from {origin}; a project may only be stricter")]
    Looser {
        /// The key with its section.
        key: &'static str,
        /// What the project wrote.
        found: String,
        /// What the person has.
        own: String,
        /// Where the person's value comes from.
        origin: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(Pos { line, column }) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.problem)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}
