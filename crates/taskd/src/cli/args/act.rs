//! What commands are told that change something of loops.

use clap::Args;

use super::ScopeArgs;
use crate::cli::complete;

#[derive(Debug, Args)]
pub(crate) struct VerbArgs {
    /// Loops or plans
    #[arg(required_unless_present = "all", add = complete::alive())]
    pub(crate) ids: Vec<String>,
    /// All of this project it applies to
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) dry: DryArgs,
}

/// Of commands that change something.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DryArgs {
    /// Say what would happen, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Loops or plans
    #[arg(required = true, add = complete::anything())]
    pub(crate) ids: Vec<String>,
    /// Where: `iteration` on the work as it is, `gate`, `base`, i2, or a number of `taskd checkpoints`
    #[arg(long, visible_alias = "from", value_name = "WHERE", default_value = "iteration")]
    pub(crate) from_step: String,
    /// What to do otherwise: the next prompt says it
    #[arg(short, long, default_value = "")]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) dry: DryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// Loops or plans; otherwise everything a checkout of this project holds
    #[arg(add = complete::passed())]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Say what would land and what is in the way, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// Loops
    #[arg(required = true, add = complete::passed())]
    pub(crate) ids: Vec<String>,
    /// What is wrong: the next prompt says it
    #[arg(short, long)]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) dry: DryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SteerArgs {
    /// A loop or plan
    #[arg(add = complete::alive())]
    pub(crate) id: String,
    /// What to tell it
    #[arg(required = true)]
    pub(crate) text: Vec<String>,
    /// End the turn under way, so that it is told at once
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) dry: DryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// Its number, as `taskd inbox` says: i57, or 57
    #[arg(add = complete::questions())]
    pub(crate) question: String,
    /// The number of the answer, or words
    #[arg(required = true)]
    pub(crate) answer: Vec<String>,
    #[command(flatten)]
    pub(crate) dry: DryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BranchArgs {
    /// A loop
    #[arg(add = complete::anything())]
    pub(crate) id: String,
    /// What to call it; otherwise taskd/ID. An existing branch is never moved
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) dry: DryArgs,
}
