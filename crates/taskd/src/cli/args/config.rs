//! How configuration is looked at and changed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key that is set here, as a file that says the same
    View {
        /// With who says so: a file, a variable, or `built in`
        #[arg(long)]
        origin: bool,
    },
    /// Print the value of a key; 1 if it is not set
    Get {
        /// Its name: limits.loops
        #[arg(add = complete::keys())]
        key: String,
    },
    /// Set a key in your own file; everything else in it stays as it is
    Set {
        /// Its name: limits.loops
        #[arg(add = complete::keys())]
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Take a key out of your own file
    Unset {
        /// Its name: limits.loops
        #[arg(add = complete::keys())]
        key: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Edit your own file; it counts when everything in it is right
    Edit {
        #[command(flatten)]
        file: FileArgs,
    },
    /// Say what is wrong with the files, with line and column; 78 if something is
    Check {
        /// A file that is not in place yet
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of the file, for editors
    Schema,
    /// Print which files there may be, the strongest last
    Path,
    /// Have the daemon read its configuration again
    Reload,
}

/// Which file is meant, if not the person's own.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FileArgs {
    /// Instead: the project's, .taskd/config.toml
    #[arg(long, conflicts_with = "local")]
    pub(crate) project: bool,
    /// Instead: the project's on this machine alone, .taskd/local.toml
    #[arg(long)]
    pub(crate) local: bool,
}
