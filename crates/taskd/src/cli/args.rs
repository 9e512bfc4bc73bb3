//! What may be typed.

mod act;
mod amount;
mod config;
mod daemon;
mod moment;
mod projects;
mod types;
mod work;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use taskd_model::parse_duration_ms;

pub(crate) use self::{
    act::{AnswerArgs, BranchArgs, DryArgs, RejectArgs, RetryArgs, SteerArgs, SyncArgs, VerbArgs},
    amount::Amount,
    config::{ConfigCommand, FileArgs},
    daemon::{DaemonCommand, DaemonRunArgs, DebugCommand, InstallArgs, StartArgs, StopArgs},
    moment::When,
    projects::ProjectsCommand,
    types::{RenderArgs, TypesCommand},
    work::{HowArgs, Land, PlanArgs, PlanNewArgs, RunArgs, WorkArgs},
};
use self::{amount::parse_amount, moment::parse_when};
use super::{
    complete,
    export::ExportArgs,
    history::{RewindArgs, SalvageCommand, UndoArgs},
    init::InitArgs,
    prompt::PromptArgs,
};
use crate::demo::DemoArgs;

/// Plans in, landed commits out. Alone it lists what goes on, like `taskd ls`.
#[derive(Debug, Parser)]
#[command(
    name = "taskd",
    version,
    disable_help_subcommand = true,
    infer_subcommands = true,
    max_term_width = 100,
    after_help = "All commands: taskd help all.  Topics: plan-file, ids, exit, json, schema, start, shell, remote"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Answer in JSON: one object, or one a line where there are several
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say only what was asked for
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// No colours (NO_COLOR does the same)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Act as if started in this directory
    #[arg(short = 'C', global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// What changes something is done once under this key (`taskd help json`)
    #[arg(long, global = true, hide = true, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Have one task done: taskd run "fix the flaky test" --agent claude
    Run(RunArgs),
    /// Write a first .taskd/config.toml from what is found here; asks nothing
    #[command(hide = true)]
    Init(InitArgs),
    /// Submit, check, show or list plans
    #[command(subcommand)]
    Plan(PlanCommand),
    /// List what needs you, works, waits
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show a loop or a plan
    Show(ShowArgs),
    /// Say why something does not go on, or who wrote a line: taskd why src/main.rs:7
    Why {
        /// A loop or plan, or FILE:LINE
        #[arg(add = complete::anything())]
        id: String,
    },
    /// Print what gates, agents and tools printed, or what a model was sent (--prompt)
    Logs(LogsArgs),
    /// Print the work of a loop as a patch
    Diff(DiffArgs),
    /// Print the whole story of a loop or a plan, to be kept or read elsewhere
    #[command(hide = true)]
    Export(ExportArgs),
    /// Prove again what landed: records, tree and gate; 0 if it holds, 1 if not
    #[command(hide = true)]
    Verify(VerifyArgs),
    /// List tests and gates that said both red and green of the same files
    #[command(hide = true)]
    Flakes(FlakesArgs),
    /// Tell a loop something: its next prompt says it
    Steer(SteerArgs),
    /// List everything that waits for you, and what answers it
    Inbox(InboxArgs),
    /// Answer an agent that asks whether it may do something, or a loop that asks anything
    Answer(AnswerArgs),
    /// Say yes to what asks: lands passed work; i57 answers that item, if nobody was first
    #[command(mut_arg("ids", |it| it.add(complete::passed())))]
    Approve(VerbArgs),
    /// Send passed work back, with what is wrong; i57 as with approve
    Reject(RejectArgs),
    /// Bring passed work to its target
    #[command(mut_arg("ids", |it| it.add(complete::passed())))]
    Land(VerbArgs),
    /// Bring work that changes in your checkout hold to its target, if they are to other files
    #[command(hide = true)]
    Sync(SyncArgs),
    /// Make a branch of a loop's work, as one clean commit
    #[command(hide = true)]
    Branch(BranchArgs),
    /// Pause at the next safe point
    Pause(VerbArgs),
    /// Go on: after a pause, a question, or a stop of the daemon (--all)
    Resume(VerbArgs),
    /// End, and keep the work
    Stop(VerbArgs),
    /// Wait until it is over or needs you; `taskd help exit` lists the codes
    Wait(WaitArgs),
    /// Say what was spent; of a plan, a receipt
    Costs(CostsArgs),
    /// Show or set what loops and plans may spend
    #[command(subcommand)]
    Budget(BudgetCommand),
    /// List agent programs: installed, logged in, who pays
    #[command(hide = true, subcommand)]
    Agents(AgentsCommand),
    /// List, show, check, begin and render loop types
    #[command(hide = true, subcommand)]
    Types(TypesCommand),
    /// Look at configuration and change it; alone it prints what is in effect
    #[command(hide = true)]
    Config {
        #[command(subcommand)]
        command: Option<ConfigCommand>,
    },
    /// List models: prices, sizes, and which keys are set; ask providers whether they can be called
    #[command(hide = true)]
    Models(ModelsArgs),
    /// Say who waits for what: model calls by model, and landing queues
    #[command(hide = true)]
    Queue(QueueArgs),
    /// Print what the daemon counts and measures
    #[command(hide = true)]
    Metrics(MetricsArgs),
    /// Watch everything, full screen
    Tui(TuiArgs),
    /// Watch everything and answer in a browser: prints an address that opens once
    Web(WebArgs),
    /// Be an MCP server, so that an interactive agent can drive the fleet; read-only by itself
    #[command(hide = true)]
    Mcp(McpArgs),
    /// Check git, disk, agents, the daemon, its directories and files
    Doctor {
        /// Mend what can be mended without harm, and say what was done
        #[arg(long, conflicts_with = "hermetic")]
        fix: bool,
        /// Instead: do one scripted task in a place of its own, without settings, keys or network
        #[arg(long)]
        hermetic: bool,
    },
    /// Gather what a report of a defect needs
    #[command(hide = true, subcommand)]
    Debug(DebugCommand),
    /// Start, stop or look at the daemon
    #[command(subcommand)]
    Daemon(DaemonCommand),
    /// Watch it work without a key: scripted, in a place of its own
    Demo(DemoArgs),
    /// Go on with an agent's session by hand, in the loop's worktree
    #[command(hide = true)]
    Open {
        /// A loop that is not at work
        #[arg(add = complete::anything())]
        id: String,
    },
    /// List the saved states of a loop's work
    #[command(hide = true)]
    Checkpoints {
        /// A loop
        #[arg(add = complete::anything())]
        id: String,
    },
    /// Send a loop back to a saved state; it goes on from there, and what came after is kept
    #[command(hide = true)]
    Rewind(RewindArgs),
    /// Try again what is blocked, has failed or was stopped, with fresh limits and what was tried
    #[command(hide = true)]
    Retry(RetryArgs),
    /// Take landed work off its target: a revert, gated and landed like everything
    #[command(hide = true)]
    Undo(UndoArgs),
    /// List and restore what is kept of work that was replaced
    #[command(hide = true, subcommand)]
    Salvage(SalvageCommand),
    /// Print where a loop's worktree is
    #[command(hide = true)]
    Path {
        /// A loop
        #[arg(add = complete::anything())]
        id: String,
    },
    /// Print every place that taskd keeps something in
    #[command(hide = true)]
    Paths,
    /// Take away worktrees, checkouts and refs that nothing needs any more, with the reason for each
    #[command(hide = true)]
    Gc(GcArgs),
    /// Print stored events
    #[command(hide = true)]
    Events(EventsArgs),
    /// Print one line for a shell's prompt, at once; nothing without a daemon
    #[command(hide = true)]
    Prompt(PromptArgs),
    /// Print what a shell reads to complete commands and ids: source <(taskd completions bash)
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual, or write a page for each command: taskd man | man -l -
    #[command(hide = true)]
    Man {
        /// Directory for the pages; otherwise one is printed
        #[arg(value_name = "DIR")]
        pages: Option<PathBuf>,
    },
    /// List, add, trust or forget repositories
    #[command(hide = true, subcommand)]
    Projects(ProjectsCommand),
    /// Explain a command or a topic
    Help {
        /// A command, or: all, plan-file, ids, exit, json, schema, start, types, shell, remote
        topic: Option<String>,
        /// Behind `schema`: print that schema
        name: Option<String>,
    },
    /// None of ours: an alias, or a program of the person's
    #[command(external_subcommand)]
    Own(Vec<OsString>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Have a plan written for a request; you say whether it is worked on
    New(PlanNewArgs),
    /// Submit a plan file; the same file again is the same plan
    Submit(PlanArgs),
    /// Say what a plan file would do, and store nothing
    Check(PlanArgs),
    /// Show a plan
    Show {
        /// p7
        #[arg(add = complete::anything())]
        id: String,
    },
    /// List plans
    Ls(ScopeArgs),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ModelsArgs {
    /// Ask these providers whether they can be called; without a name all that have what they need
    #[arg(long, num_args = 0.., value_name = "PROVIDER")]
    pub(crate) check: Option<Vec<String>>,
    #[command(subcommand)]
    pub(crate) command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Say that models are well again: they are called at once, not left alone
    Reset {
        /// A model as `taskd queue` names it, or a provider for all of its models
        #[arg(required = true, value_name = "MODEL_OR_PROVIDER")]
        names: Vec<String>,
        /// End a silence after refusals too
        #[arg(long)]
        refusals: bool,
        #[command(flatten)]
        dry: DryArgs,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    pub(crate) command: Option<QueueCommand>,
}

#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// Only what loops of this type did
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) loop_type: Option<String>,
    /// As OpenMetrics text, for scrapers
    #[arg(long, conflicts_with = "json")]
    pub(crate) openmetrics: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Bring nothing of these loops until they are released; others go on
    Hold(VerbArgs),
    /// Give what is held its turn again
    Release(VerbArgs),
    /// Give an entry of the landing queue another turn
    #[command(group = clap::ArgGroup::new("place").required(true).args(["first", "before"]))]
    Move {
        /// A loop
        #[arg(add = complete::alive())]
        id: String,
        /// Its turn comes next
        #[arg(long)]
        first: bool,
        /// Its turn comes before that of this loop
        #[arg(long, value_name = "ID2")]
        before: Option<String>,
        #[command(flatten)]
        dry: DryArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// Show what is spent and what is left
    Show {
        /// Loops or plans; otherwise all that are not over
        ids: Vec<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Set what may be spent: taskd budget set p7 '$9', taskd budget set all 2Mtok
    Set {
        /// A loop or plan, in all; `project` (this repository) or `all`, each day in UTC
        id: String,
        /// Money, tokens or `none`, with what is spent already; less stops the next call
        #[arg(value_parser = parse_amount, value_name = "$9|2Mtok|none")]
        amount: Amount,
        #[command(flatten)]
        dry: DryArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// List agent programs: installed, logged in, who pays
    Ls,
    /// Run one four times in a throw-away repository, and say what it does; this costs money
    Test {
        /// Its name
        name: String,
    },
    /// Show one: where it is, how it is started, what can be counted
    Show {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Over stdio: claude mcp add taskd -- taskd mcp --allow steer")]
pub(crate) struct McpArgs {
    /// What the client may do besides looking; inside a loop nothing, whatever this says
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) allow: Vec<Right>,
    /// Serve streamable HTTP on this loopback address; prints where, and the token
    #[arg(long, value_name = "127.0.0.1:0")]
    pub(crate) http: Option<SocketAddr>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "From another machine: ssh -L 7000:127.0.0.1:7000 HOST taskd web --port 7000"
)]
pub(crate) struct WebArgs {
    /// Port of 127.0.0.1; otherwise one that is free
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Hand the address to your browser, too
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Right {
    /// Submit plans
    Submit,
    /// Tell loops something
    Steer,
    /// Land, resume and reject
    Approve,
    /// All of them
    All,
}

impl Right {
    /// As it is typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Steer => "steer",
            Self::Approve => "approve",
            Self::All => "all",
        }
    }
}

/// Shells that can ask what to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    /// As it is typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// What is over, too
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Plans with what their documents name, down to what is coded
    #[arg(long)]
    pub(crate) tree: bool,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// As it was then: after event 57, 2h ago, at 14:30, at '2026-03-01 14:30'
    #[arg(long, value_parser = parse_when, value_name = "SEQ|TIME")]
    pub(crate) at: Option<When>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// p7, p7.limiter, or what is unique of that
    #[arg(add = complete::anything())]
    pub(crate) id: String,
    /// As it was then: after event 57, 2h ago, at 14:30, at '2026-03-01 14:30'
    #[arg(long, value_parser = parse_when, value_name = "SEQ|TIME")]
    pub(crate) at: Option<When>,
}

#[derive(Debug, Args)]
pub(crate) struct TuiArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Draw with signs of ASCII only; so it is anyway where the locale is not UTF-8
    #[arg(long)]
    pub(crate) ascii: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InboxArgs {
    /// One item, the whole of it: i57
    #[arg(add = complete::items())]
    pub(crate) id: Option<String>,
    /// What was answered, too, by whom and from where
    #[arg(short, long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct ScopeArgs {
    /// Every project
    #[arg(short = 'A', long)]
    pub(crate) all_projects: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Say what would go, and take nothing away
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only what is over, or was not used, for so long
    #[arg(long, value_parser = parse_duration_ms, value_name = "7d")]
    pub(crate) older: Option<u64>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CostsArgs {
    /// Plans; each gets a receipt
    #[arg(add = complete::anything())]
    pub(crate) plans: Vec<String>,
    /// One row for each of these instead
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Plan,
    Loop,
    Model,
    /// Classes of tokens: read, written, and from and to caches
    Class,
    /// Days, UTC
    Day,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// A loop
    #[arg(add = complete::anything(), required_unless_present = "trace")]
    pub(crate) id: Option<String>,
    /// Instead the events of what belongs to this trace
    #[arg(long, value_name = "TRACE_ID", conflicts_with_all = ["id", "follow", "iteration", "kind"])]
    pub(crate) trace: Option<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this iteration
    #[arg(short, long, value_name = "N")]
    pub(crate) iteration: Option<u32>,
    /// Only the gate
    #[arg(long, group = "kind")]
    pub(crate) gate: bool,
    /// Only the agent or model
    #[arg(long, group = "kind")]
    pub(crate) agent: bool,
    /// Only tools
    #[arg(long, group = "kind")]
    pub(crate) tools: bool,
    /// Instead what was sent to the agent or model: the last call, or the one that is named
    #[arg(long, group = "kind", conflicts_with = "follow")]
    pub(crate) prompt: bool,
    /// With --prompt: which call of the iteration, from 1
    #[arg(long, value_name = "N", requires = "prompt")]
    pub(crate) call: Option<u32>,
    /// With --prompt: the very bytes of the request's body
    #[arg(long, requires = "prompt")]
    pub(crate) wire: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A loop, a plan, or a commit
    #[arg(add = complete::anything())]
    pub(crate) id: String,
    /// Only look at what is written down; run nothing
    #[arg(long)]
    pub(crate) recorded: bool,
    /// End the gate after so long
    #[arg(long, value_parser = parse_duration_ms, value_name = "10m")]
    pub(crate) timeout: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct FlakesArgs {
    /// How long one counts after it was last seen
    #[arg(long, value_parser = parse_duration_ms, default_value = "14d", value_name = "14d")]
    pub(crate) within: u64,
    /// Those that count no longer, too
    #[arg(short, long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A loop
    #[arg(add = complete::anything())]
    pub(crate) id: String,
    /// Names and counts only
    #[arg(long)]
    pub(crate) stat: bool,
    /// A number of `taskd checkpoints`, i2 for the end of iteration 2, `base`, `work` or a commit
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// The same
    #[arg(long)]
    pub(crate) to: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Loops or plans
    #[arg(required = true, add = complete::alive())]
    pub(crate) ids: Vec<String>,
    /// Give up after so long, with exit code 124
    #[arg(long, value_parser = parse_duration_ms, value_name = "10m")]
    pub(crate) timeout: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only of these loops or plans
    #[arg(add = complete::anything())]
    pub(crate) ids: Vec<String>,
    /// The first one
    #[arg(long, default_value_t = 1, value_name = "SEQ")]
    pub(crate) from: u64,
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only of this kind: status_changed
    #[arg(long)]
    pub(crate) kind: Vec<String>,
}
