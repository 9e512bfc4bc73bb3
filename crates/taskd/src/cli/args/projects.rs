//! `taskd projects`.

use std::ffi::OsString;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// List repositories
    Ls,
    /// Add a repository; one that was moved is linked again, with its plans
    Add {
        /// A path in it; the current directory otherwise
        path: Option<OsString>,
    },
    /// Say that a repository was moved: its plans and worktrees are linked to where it is now
    Move {
        /// Where it was, as `taskd projects ls` says
        old: OsString,
        /// A path in it now; the current directory otherwise
        new: Option<OsString>,
    },
    /// Agree to the commands that a repository's .taskd/ has run; others ask again
    Trust {
        /// A path in it; the current directory otherwise
        path: Option<OsString>,
    },
    /// Serve a repository no longer; nothing in it is touched, and nothing it has run is agreed to
    Forget {
        /// A path in it; the current directory otherwise
        path: Option<OsString>,
    },
}
