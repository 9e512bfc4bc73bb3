//! How loop types are looked at.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::work::HowArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum TypesCommand {
    /// List loop types: built in, yours, the project's
    Ls,
    /// Print the whole definition of one, with what it extends
    Show {
        /// Its name
        name: String,
    },
    /// Say what is wrong, with line and column; 2 if something is
    Check {
        /// Names, or files that are not in place yet; otherwise all
        #[arg(value_name = "NAME|FILE")]
        items: Vec<OsString>,
    },
    /// Begin one in .taskd/types
    New {
        /// What to call it
        name: String,
        /// The type it extends
        #[arg(long, value_name = "TYPE", default_value = "ralph")]
        extends: String,
        /// In your own folder instead, for all projects
        #[arg(long)]
        user: bool,
    },
    /// Print the prompt it would begin with, exactly, and how many tokens that is
    Render(Box<RenderArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// The type
    pub(crate) name: String,
    /// What to do, as in `taskd run`
    #[arg(required_unless_present = "plan", conflicts_with = "plan")]
    pub(crate) task: Option<String>,
    /// A plan file instead of a task; `-` reads it from stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<OsString>,
    /// Which spec of the plan; otherwise its first
    #[arg(long, value_name = "ID", requires = "plan")]
    pub(crate) spec: Option<String>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}
