//! The one error type of this crate. It says what was being done and to what; it never retries,
//! never advises the core, and leaves printing to the edge.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use taskd_model::{Code, Oid};

use crate::path::RepoPath;

/// Why a git step could not be done.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Nothing at or above the path is a git repository.
    #[error("{} is not inside a git repository; run `git init` there or name another path", path.display())]
    NotARepository {
        /// Where the search started.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// Nothing is where the repository was.
    #[error("the repository is not at {} any more; if it was moved, type `taskd projects add` where it is now", path.display())]
    Gone {
        /// Its git directory, as it was known.
        path: PathBuf,
    },
    /// The repository has no commit yet.
    #[error("the repository at {} has no commit yet; make a first commit", path.display())]
    NoCommit {
        /// Its git directory.
        path: PathBuf,
    },
    /// The repository uses an object or ref format that taskd cannot read.
    #[error("the repository at {} uses {format}, which taskd cannot read yet; use a clone made with {instead}", path.display())]
    Format {
        /// Its git directory.
        path: PathBuf,
        /// The unreadable format.
        format: &'static str,
        /// What to ask git for instead.
        instead: &'static str,
    },
    /// Neither repository nor global config says who the person is.
    #[error("git does not know {missing}; run `git config --global {missing} \"...\"`")]
    NoIdentity {
        /// The config key that is missing or empty.
        missing: &'static str,
    },
    /// A name for a worktree, tag or branch that cannot be used.
    #[error("the {what} {name:?} cannot be used: {why}")]
    BadName {
        /// What the name is for.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Files were to be written where something is.
    #[error("{} cannot take the files: {why}; name a directory that is not there or is empty", path.display())]
    DirInUse {
        /// The directory.
        path: PathBuf,
        /// What is in the way.
        why: &'static str,
    },
    /// Something is where our worktree should be, and this store did not make it.
    #[error("{} was not made by taskd ({why}); it is left alone: move it away or remove it", path.display())]
    NotOurs {
        /// The directory or file.
        path: PathBuf,
        /// How we know.
        why: String,
    },
    /// The worktree asked about does not exist (yet, or any more).
    #[error("the worktree {name} does not exist at {}; it must be prepared first", path.display())]
    NoWorktree {
        /// Its name.
        name: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// Files cannot be read or stored, so they cannot be saved before being replaced.
    #[error("files of worktree {name} cannot be saved and are left alone: {}", list(paths))]
    CannotSave {
        /// The worktree.
        name: String,
        /// The files.
        paths: Vec<RepoPath>,
    },
    /// The files of a worktree do not become what was asked for; somebody else writes to them.
    #[error("the files of worktree {name} keep changing while they are set: {}", list(paths))]
    Unsettled {
        /// The worktree.
        name: String,
        /// The files that differ.
        paths: Vec<RepoPath>,
    },
    /// A ref outside what taskd may write.
    #[error("taskd does not write {name}: {why}")]
    RefRefused {
        /// The ref.
        name: String,
        /// The rule.
        why: &'static str,
    },
    /// Another process holds a ref's lock, or died holding it.
    #[error("{name} is locked by another git process; if none is running, remove {}", lock.display())]
    RefLocked {
        /// The ref.
        name: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// Publishing would take commits away from a branch.
    #[error("{new} does not contain {expected}, so {name} would lose commits")]
    NotForward {
        /// The branch.
        name: String,
        /// Where it is.
        expected: Oid,
        /// Where it was to go.
        new: Oid,
    },
    /// The git program is needed and is not there.
    #[error("the git program cannot be started in {}", dir.display())]
    NoProgram {
        /// Where it was to run.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The git program failed.
    #[error("`git {args}` in {} failed with {status}: {stderr}", dir.display())]
    Program {
        /// Where it ran.
        dir: PathBuf,
        /// Its arguments.
        args: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// libgit2 refused.
    #[error("{doing} {what}")]
    Git {
        /// What was being done.
        doing: &'static str,
        /// To what.
        what: String,
        /// Why it failed.
        #[source]
        source: git2::Error,
    },
}

impl GitError {
    /// The word for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotARepository { .. } => Code::NotARepository,
            Self::Gone { .. } => Code::RepositoryGone,
            Self::NoCommit { .. } => Code::RepositoryEmpty,
            Self::Format { .. } => Code::RepositoryFormat,
            Self::NoIdentity { .. } => Code::NoIdentity,
            Self::BadName { .. } => Code::GitNameRefused,
            Self::DirInUse { .. } => Code::Invalid,
            Self::NotOurs { .. } => Code::WorktreeNotOurs,
            Self::NoWorktree { .. } => Code::WorktreeMissing,
            Self::CannotSave { .. } => Code::WorktreeUnsavable,
            Self::Unsettled { .. } => Code::WorktreeUnsettled,
            Self::RefRefused { .. } => Code::RefRefused,
            Self::RefLocked { .. } => Code::RefLocked,
            Self::NotForward { .. } => Code::NotForward,
            Self::NoProgram { .. } => Code::GitMissing,
            Self::Io { source, .. } => Code::of_io(source),
            Self::Program { .. } | Self::Git { .. } => Code::GitFailed,
        }
    }
}

/// Wraps a libgit2 error with what was being done, to what.
pub(crate) fn git<W: Display>(
    doing: &'static str,
    what: W,
) -> impl FnOnce(git2::Error) -> GitError {
    move |source| GitError::Git { doing, what: what.to_string(), source }
}

/// Wraps an IO error with what was being done, to which file.
pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> GitError {
    move |source| GitError::Io { doing, path: path.to_owned(), source }
}

fn list(paths: &[RepoPath]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = paths.iter().take(SHOWN).map(ToString::to_string).collect();
    if paths.len() > SHOWN {
        text.push(format!("and {} more", paths.len() - SHOWN));
    }
    text.join(", ")
}
