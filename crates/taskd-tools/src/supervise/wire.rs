//! What daemon and supervisor say to each other: arguments, control lines, the report file.
//!
//! Both halves are always the same build, so there is no version here. Nothing in this file touches
//! a process.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::{Deserialize, Serialize};

/// How a program is asked to end: INT, wait, TERM, wait, KILL, each to every descendant.
///
/// A wait of zero skips its signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    /// Time between INT and TERM.
    pub int: Duration,
    /// Time between TERM and KILL.
    pub term: Duration,
}

impl Ladder {
    /// Stopping a loop, a timeout, shutting down: INT 0.5 s, TERM 0.5 s, KILL.
    pub const STOP: Self =
        Self { int: Duration::from_millis(500), term: Duration::from_millis(500) };
    /// Cancelling one tool: INT 2 s, TERM 3 s, KILL.
    pub const CANCEL: Self = Self { int: Duration::from_secs(2), term: Duration::from_secs(3) };
}

/// One line on the control pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// Start the ladder.
    End(Ladder),
    /// KILL everything at once.
    Kill,
}

impl Control {
    /// The line, with its line feed.
    pub(super) fn line(self) -> String {
        match self {
            Self::End(ladder) => {
                format!("end {} {}\n", ladder.int.as_millis(), ladder.term.as_millis())
            }
            Self::Kill => "kill\n".to_owned(),
        }
    }

    /// Reads a line without its line feed. A line nobody can read means the pipe is broken, and
    /// that is answered with the safe thing: `Kill`.
    pub(super) fn parse(line: &str) -> Self {
        let mut words = line.split_ascii_whitespace();
        let millis = |word: Option<&str>| word?.parse().ok().map(Duration::from_millis);
        match words.next() {
            Some("end") => match (millis(words.next()), millis(words.next())) {
                (Some(int), Some(term)) => Self::End(Ladder { int, term }),
                (_, None) | (None, _) => Self::Kill,
            },
            Some(_) | None => Self::Kill,
        }
    }
}

/// Why the main program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndedBy {
    /// By itself.
    Own,
    /// We walked the ladder.
    Ladder,
    /// The daemon said `kill`.
    Kill,
    /// The control pipe closed.
    DaemonGone,
}

/// How the main program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal number.
    Signal(i32),
    /// It never began; the text is for people.
    NotStarted(String),
    /// It did not end although it was killed (stuck in the kernel, or not ours to signal).
    Survived,
}

/// What a supervisor leaves behind, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub(super) exit: Exit,
    pub(super) ended_by: EndedBy,
    /// Descendants that were still there when the main program had ended, and were ended.
    pub(super) leftovers: u32,
    /// Processes that could not be ended.
    pub(super) survivors: u32,
}

impl Report {
    pub(super) fn not_started(reason: String) -> Self {
        Self { exit: Exit::NotStarted(reason), ended_by: EndedBy::Own, leftovers: 0, survivors: 0 }
    }

    /// Write to a temporary name, then rename: a reader sees all of it or nothing.
    pub(super) fn write(&self, orders: &Orders) -> Result<(), SuperviseError> {
        let path = orders.report_path();
        let fresh = orders.run_dir.join(format!("{}.tmp", orders.id));
        serde_json::to_vec(self)
            .map_err(io::Error::from)
            .and_then(|bytes| fs::write(&fresh, bytes))
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(|source| SuperviseError::Unreported { path, source })
    }

    pub(super) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}

/// The supervisor's command line: `RUN_DIR ID STDIN -- PROGRAM ARGS…`, with `-` for no stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orders {
    /// Where the report and the lock file go.
    pub(super) run_dir: PathBuf,
    /// Their stem.
    pub(super) id: String,
    /// The program's stdin; `/dev/null` if there is none.
    pub(super) stdin: Option<PathBuf>,
    /// Program and arguments; never empty.
    pub(super) argv: Vec<OsString>,
}

impl Orders {
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, SuperviseError> {
        let mut args = args.into_iter();
        let mut next = |what| args.next().ok_or(SuperviseError::Usage { missing: what });
        let run_dir = next("the run directory")?.into();
        let id = next("the id")?
            .into_string()
            .map_err(|_| SuperviseError::Usage { missing: "a readable id" })?;
        let stdin = next("stdin")?;
        if next("`--`")? != *"--" {
            return Err(SuperviseError::Usage { missing: "`--`" });
        }
        let argv: Vec<_> = args.collect();
        if argv.is_empty() {
            return Err(SuperviseError::Usage { missing: "the program" });
        }
        Ok(Self { run_dir, id, stdin: (stdin != *"-").then(|| stdin.into()), argv })
    }

    pub(super) fn args(&self) -> Vec<OsString> {
        let stdin = self.stdin.clone().map_or_else(|| "-".into(), PathBuf::into_os_string);
        let mut args =
            vec![self.run_dir.clone().into(), self.id.clone().into(), stdin, "--".into()];
        args.extend(self.argv.iter().cloned());
        args
    }

    /// Where the report appears.
    pub(super) fn report_path(&self) -> PathBuf {
        self.run_dir.join(format!("{}.json", self.id))
    }

    /// Opens what the program reads. Never waits: the daemon has its end of a pipe open already, or
    /// is gone, which is the end of what there is to read.
    pub(super) fn open_stdin(&self) -> Result<File, String> {
        let path = self.stdin.as_deref().unwrap_or(Path::new("/dev/null"));
        let mut open = File::options();
        open.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let opened = open.open(path).and_then(|file| {
            // The program expects to wait.
            fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).map_err(io::Error::from)?;
            Ok(file)
        });
        opened.map_err(|error| format!("could not open {}: {error}", path.display()))
    }

    /// Removes the pipe the program reads, if it has one.
    pub(super) fn remove_pipe(&self) {
        if let Some(path) = &self.stdin
            && path.extension().is_some_and(|it| it == PIPE_EXTENSION)
            && path.parent() == Some(&self.run_dir)
        {
            fs::remove_file(path).ok();
        }
    }

    /// Held with `flock` from before the program starts until every descendant is gone.
    pub(super) fn lock_path(&self) -> PathBuf {
        self.run_dir.join(format!("{}.{LOCK_EXTENSION}", self.id))
    }
}

/// The ending of lock files in the run directory.
pub(super) const LOCK_EXTENSION: &str = "lock";
/// The ending of pipes in the run directory.
pub(super) const PIPE_EXTENSION: &str = "pipe";

/// Why a supervisor could not do its work. The program was not started, or its report is missing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SuperviseError {
    #[error("usage: RUN_DIR ID STDIN -- PROGRAM ARGS…: {missing} is missing")]
    Usage { missing: &'static str },
    #[error("could not {doing} {}: {source}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not {doing}: {source}")]
    System {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the program has run, but its report could not be written to {}: {source}", path.display())]
    Unreported {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl SuperviseError {
    /// Whether the program has run is all the daemon can still learn from us.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::File { .. } | Self::System { .. } => EXIT_NOT_STARTED,
            Self::Unreported { .. } => EXIT_UNREPORTED,
        }
    }
}

/// The supervisor could not do its work and has started nothing.
pub(super) const EXIT_NOT_STARTED: u8 = 70;
/// Everything has run and ended, but there is no report.
const EXIT_UNREPORTED: u8 = 74;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_lines_read_back() {
        for control in [Control::End(Ladder::STOP), Control::End(Ladder::CANCEL), Control::Kill] {
            assert_eq!(Control::parse(control.line().trim_end()), control);
        }
        for broken in ["", "end", "end 5", "end x 5", "end -1 5", "e nd 1 2"] {
            assert_eq!(Control::parse(broken), Control::Kill, "{broken:?}");
        }
    }

    #[test]
    fn orders_read_back() {
        let orders = Orders {
            run_dir: "/run/x".into(),
            id: "7".into(),
            stdin: Some("/p".into()),
            argv: vec!["sh".into(), "--".into(), "-c".into()],
        };
        assert_eq!(Orders::parse(orders.args()).unwrap(), orders);
        assert!(Orders::parse(["a", "b", "-", "--"].map(OsString::from)).is_err());
    }
}
