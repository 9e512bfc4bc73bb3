//! How work is asked for: `run`, and plan files.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use taskd_api::v1;
use taskd_model::parse_duration_ms;

use super::amount::parse_money;

/// Who works, with what for its loop type, and what decides.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HowArgs {
    /// An agent program: claude, codex, aider, or a command line
    #[arg(long, conflicts_with = "model")]
    pub(crate) agent: Option<String>,
    /// A model: anthropic/claude-sonnet-4-5, local/NAME, scripted:replies.yaml
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// The command that decides whether it passes
    #[arg(long, conflicts_with = "no_gate")]
    pub(crate) gate: Option<String>,
    /// Nothing decides; always asks before landing
    #[arg(long)]
    pub(crate) no_gate: bool,
    /// An input of the loop type
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub(crate) set: Vec<(String, String)>,
}

/// Who works, what decides, what lands, how much it may take.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WorkArgs {
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// How passed work lands
    #[arg(long, value_enum)]
    pub(crate) land: Option<Land>,
    /// A loop type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) type_name: Option<String>,
    /// The branch it starts from and lands on
    #[arg(long, value_name = "BRANCH")]
    pub(crate) target: Option<String>,
    /// Whose calls come first
    #[arg(long, value_enum)]
    pub(crate) priority: Option<Priority>,
    /// Most it may spend
    #[arg(long, value_parser = parse_money, value_name = "$5")]
    pub(crate) budget: Option<u64>,
    /// Most time it may take
    #[arg(long, value_parser = parse_duration_ms, value_name = "2h")]
    pub(crate) time: Option<u64>,
    /// Most iterations of each loop
    #[arg(long, value_name = "N")]
    pub(crate) iterations: Option<u32>,
    /// Work although the gate is red on the untouched base
    #[arg(long)]
    pub(crate) base_red_ok: bool,
    /// Hand it in although it holds what looks like a secret
    #[arg(long)]
    pub(crate) allow_secrets: bool,
    /// Do not follow it; print its name
    #[arg(short, long)]
    pub(crate) detach: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Ends with what `taskd wait` would say (`taskd help exit`); on a terminal \
                        with 0 when it asks you to land. Ctrl-C detaches and ends with 0.")]
pub(crate) struct RunArgs {
    /// What to do; `-` reads it from stdin, @FILE from a file; without it your editor opens
    pub(crate) task: Option<String>,
    /// Go on with a session you had with the agent in this repository
    #[arg(long, value_name = "SESSION", requires = "agent")]
    pub(crate) session: Option<String>,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanNewArgs {
    /// What is wanted; `-` reads it from stdin, @FILE from a file; without it your editor opens
    pub(crate) request: Option<String>,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// A plan file (Markdown or YAML); `-` reads it from stdin
    pub(crate) file: OsString,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Land {
    /// Passed is the end
    Never,
    /// You say so
    Ask,
    /// As soon as the gate is green
    OnGate,
    /// As a pull request at the remote
    Pr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Priority {
    Low,
    Normal,
    High,
    Critical,
}

impl From<Land> for v1::LandPolicy {
    fn from(it: Land) -> Self {
        match it {
            Land::Never => Self::Never,
            Land::Ask => Self::Ask,
            Land::OnGate => Self::OnGate,
            Land::Pr => Self::Pr,
        }
    }
}

impl From<Priority> for v1::Priority {
    fn from(it: Priority) -> Self {
        match it {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Critical => Self::Critical,
        }
    }
}

/// `KEY=VALUE`.
pub(super) fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
