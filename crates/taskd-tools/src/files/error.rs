//! Everything a tool call can be refused for.
//!
//! Each text is read by a model: it names the thing and says what to do next. It never quotes a
//! file's content.

use std::error::Error as _;
use std::io;

use taskd_model::Code;

use crate::files::catalog::ToolSpec;

/// Why a tool call did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// No such tool, or this loop may not use it.
    #[error("there is no tool `{name}` here{}; the tools are: {}", did_you_mean(did_you_mean_name.as_deref()), allowed.join(", "))]
    UnknownTool {
        /// As the model wrote it, cut.
        name: String,
        /// The one that was probably meant.
        did_you_mean_name: Option<String>,
        /// What the loop may use.
        allowed: Vec<String>,
    },
    /// The loop may not use this tool.
    #[error("the tool `{name}` is not allowed in this loop; the tools are: {}", allowed.join(", "))]
    NotAllowed {
        /// The tool.
        name: String,
        /// What the loop may use.
        allowed: Vec<String>,
    },
    /// A tool of the catalog that is run elsewhere.
    #[error("`{name}` cannot be run here; this is a fault of taskd, not of your call")]
    NotAFileTool {
        /// The tool.
        name: String,
    },
    /// The arguments are not what the schema says.
    #[error("the arguments of `{tool}` are wrong; they must be a JSON object like {schema}")]
    Arguments {
        /// The tool.
        tool: &'static str,
        /// Its arguments.
        schema: &'static str,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The arguments are more than anybody reads.
    #[error("the arguments of `{tool}` are {bytes} bytes long; the limit is {max_bytes} bytes")]
    ArgumentsTooLong {
        /// The tool.
        tool: &'static str,
        /// How long they are.
        bytes: usize,
        /// How long they may be.
        max_bytes: usize,
    },
    /// An argument has the right type and a useless value.
    #[error("{what}")]
    BadArgument {
        /// What is wrong and what to do.
        what: String,
    },
    /// A path that is refused as it is written.
    #[error("the path `{path}` is refused: {why}")]
    BadPath {
        /// As written, cut.
        path: String,
        /// Why, and what to use instead.
        why: &'static str,
    },
    /// The path leads through a symbolic link.
    #[error("`{path}` is reached through a symbolic link; {advice}")]
    Link {
        /// The link.
        path: String,
        /// What to use instead.
        advice: String,
    },
    /// Nothing there.
    #[error("`{path}` does not exist; use list or glob to see what does")]
    NotFound {
        /// The path.
        path: String,
    },
    /// Something else is there.
    #[error("`{path}` is {kind}; {advice}")]
    WrongKind {
        /// The path.
        path: String,
        /// What it is.
        kind: &'static str,
        /// What to use instead.
        advice: &'static str,
    },
    /// Too much.
    #[error("{what} is {bytes} bytes; the limit is {max_bytes} bytes: {advice}")]
    TooLarge {
        /// What is.
        what: String,
        /// How much it is.
        bytes: u64,
        /// How much it may be.
        max_bytes: u64,
        /// What to do instead.
        advice: &'static str,
    },
    /// Changing what has not been seen.
    #[error(
        "`{path}` exists and you have not read it in this iteration; read it first, then change it"
    )]
    NotRead {
        /// The path.
        path: String,
    },
    /// Changing what has changed.
    #[error("`{path}` has changed since you read it; read it again, then change it")]
    Changed {
        /// The path.
        path: String,
    },
    /// The text to replace is not there.
    #[error(
        "`old` does not occur in `{path}`{hint}; read the file again and copy the text exactly, without line numbers"
    )]
    OldNotFound {
        /// The path.
        path: String,
        /// Where something like it is, or nothing.
        hint: String,
    },
    /// The text to replace is there more than once.
    #[error(
        "`old` occurs {count} times in `{path}`; add surrounding lines to make it unique, or set \"all\": true"
    )]
    OldNotUnique {
        /// The path.
        path: String,
        /// How often.
        count: usize,
    },
    /// The operating system said no.
    #[error("could not {doing} `{path}`")]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl ToolError {
    /// The word for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownTool { .. } => Code::UnknownTool,
            Self::NotAllowed { .. } => Code::ToolNotAllowed,
            Self::NotAFileTool { .. } => Code::Internal,
            Self::Arguments { .. } | Self::ArgumentsTooLong { .. } | Self::BadArgument { .. } => {
                Code::BadArguments
            }
            Self::BadPath { .. } | Self::Link { .. } => Code::PathRefused,
            Self::NotFound { .. } | Self::WrongKind { .. } => Code::PathNotFound,
            Self::TooLarge { .. } => Code::FileTooLarge,
            Self::NotRead { .. } | Self::Changed { .. } => Code::StaleRead,
            Self::OldNotFound { .. } => Code::EditNoMatch,
            Self::OldNotUnique { .. } => Code::EditAmbiguous,
            Self::Io { source, .. } => Code::of_io(source),
        }
    }

    /// The text and its sources on one line.
    #[must_use]
    pub fn for_model(&self) -> String {
        let mut text = format!("error: {self}");
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        if let Self::Io { doing, path, source } = self {
            text.push_str(&what_to_do(doing, path, source));
        }
        text
    }

    pub(super) fn arguments(tool: &ToolSpec, source: serde_json::Error) -> Self {
        Self::Arguments { tool: tool.name, schema: tool.schema, source }
    }
}

/// What helps against an answer of the operating system, where something does.
fn what_to_do(doing: &str, path: &str, source: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let kind = source.kind();
    if kind == Kind::PermissionDenied {
        // A file is replaced in its directory, so it is the directory that must be writable.
        let directory = path.rsplit_once('/').map_or(".", |(above, _)| above);
        let chmod = if doing == "write" {
            format!("chmod u+wx {directory}")
        } else {
            format!("chmod u+rX {path}")
        };
        format!("; if it is this loop's own: `{chmod}` with run, then try again")
    } else if kind == Kind::ReadOnlyFilesystem {
        "; nothing can be written there: work elsewhere, or finish and say so".to_owned()
    } else if matches!(kind, Kind::StorageFull | Kind::QuotaExceeded) {
        "; the disk is full: delete what this loop made and does not need, then try again"
            .to_owned()
    } else {
        String::new()
    }
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    /// Proves S-2.2.2.
    #[test]
    fn what_the_system_refuses_is_told_with_what_helps() {
        let told = |doing, errno| {
            let source = io::Error::from_raw_os_error(errno);
            let error = ToolError::Io { doing, path: "src/a.rs".to_owned(), source };
            (error.code(), error.for_model())
        };
        for (doing, errno, code, wanted) in [
            ("write", Errno::EACCES as i32, Code::FileDenied, "`chmod u+wx src`"),
            ("read", Errno::EACCES as i32, Code::FileDenied, "`chmod u+rX src/a.rs`"),
            ("write", Errno::EROFS as i32, Code::FileDenied, "work elsewhere, or finish"),
            ("write", Errno::ENOSPC as i32, Code::DiskFull, "delete what this loop made"),
        ] {
            let (got, text) = told(doing, errno);
            assert!(text.contains(wanted), "{text}");
            assert_eq!(got, code, "{text}");
        }
        let (_, text) = told("read", Errno::EIO as i32);
        assert!(text.ends_with("(os error 5)"), "{text}");
    }
}
