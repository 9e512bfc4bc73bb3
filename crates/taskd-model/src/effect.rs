//! Work in the world: what should be happening, what it reports on the way, how it ended.
//!
//! An effect is wanted or not wanted; nobody sends or cancels one. It ends in exactly one
//! [`Outcome`], and everything it [`Hold`]s stays held until that outcome is in the log.

mod ask;
mod facts;
mod outcome;
mod proof;
mod queue;
mod relay;
mod review;
mod run;
mod streak;
mod words;

pub use ask::{DefaultAnswer, Question};
pub use review::{Found, MAX_FOUND_CHARS, ReviewHead};
pub use run::{AgentRun, Remark};
pub use streak::Streak;

use serde::{Deserialize, Serialize};

pub use self::facts::{GateFacts, NAMED_PATH_BYTES, NAMED_PATHS, Suspicion, Tampered, TestCounts};
pub use self::outcome::{ContextUse, Outcome, Unsaved};
pub use self::proof::{GateProof, RedRun, bounded_names, gate_digest};
pub use self::queue::QueueOp;
pub use self::relay::{CallWanted, Depth, Relay, Taken};
use crate::{
    Answer, Digest, Heard, LoopId, Oid, PlanId, ProjectId, RateLevels, Seq, Usage, usage::is_zero,
};

/// Whose work an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Work of one loop, in its worktree.
    Loop(LoopId),
    /// Work for a whole plan, before any of its loops starts.
    Plan(PlanId),
    /// Work of a project's landing queue.
    Queue(ProjectId),
}

/// What should be happening. Inputs are named by digest; the rest is found in the plan's and the
/// spec's documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Run setup and the gate on the untouched base, in a scratch checkout.
    CheckBase {
        /// The commit to check.
        base: Oid,
    },
    /// Make sure the loop's worktree exists as `mode` says, and run its setup if it is new.
    Prepare {
        /// The commit the worktree stands on.
        base: Oid,
        /// Which files it shall hold.
        mode: PrepareMode,
    },
    /// Answer a question of another loop, beside what the loop does.
    Answer(Box<Answer>),
    /// Run the spec's `accept` commands before any work was done; they should be red.
    AcceptBefore,
    /// Render the next request (or an agent's prompt) to a blob.
    Compose,
    /// Send one composed request to a model and stream the reply.
    Call {
        /// The rendered request.
        request: Digest,
        /// Which rate bucket admitted it.
        bucket: String,
        /// What it may cost, in micro-dollars: the adapter ends itself at this cap.
        cap_micros: u64,
        /// Tokens it may use, of all classes: the adapter ends itself at this cap too; 0 for none.
        #[serde(default, skip_serializing_if = "is_zero")]
        cap_tokens: u64,
        /// What is reserved of every budget for it, in micro-dollars; 0 where no price is known.
        #[serde(default, skip_serializing_if = "is_zero")]
        reserved_micros: u64,
        /// Tokens of all classes that are reserved of every budget for it.
        #[serde(default, skip_serializing_if = "is_zero")]
        reserved_tokens: u64,
        /// Tokens reserved in its bucket for what it reads.
        #[serde(default, skip_serializing_if = "is_zero")]
        input_tokens: u64,
        /// Tokens reserved in its bucket for what it writes.
        #[serde(default, skip_serializing_if = "is_zero")]
        output_tokens: u64,
    },
    /// Execute one tool the model asked for.
    Tool {
        /// Place of the call in its reply, from 0.
        index: u16,
        /// Tool name as the model wrote it.
        name: String,
        /// The arguments, as a blob.
        args: Digest,
        /// It only reads, so it may run beside other reads.
        reads: bool,
    },
    /// Save the files of the loop's worktree, beside whatever only reads them.
    Save {
        /// The result of the tool before, if what it names is all that can differ from what was last
        /// saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wrote: Option<Digest>,
    },
    /// Run an external agent program once.
    Agent {
        /// The rendered prompt.
        prompt: Digest,
        /// Remaining budget in micro-dollars.
        cap_micros: u64,
        /// The loop's second reader, where it is that one that runs: in a checkout of its own, and
        /// nothing that it writes is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reader: Option<String>,
    },
    /// Pass one call of an agent on to its provider.
    Relay(Relay),
    /// Checkpoint the worktree and run the gate on exactly that tree.
    Gate,
    /// Take the document apart that a loop wrote: its text as a blob, and the specs it names.
    Decompose {
        /// The commit with the document.
        from: Oid,
    },
    /// Move the worktree's work onto another commit.
    Rebase {
        /// The commit to move to.
        onto: Oid,
    },
    /// Make one commit of a loop's work on top of `onto`, in memory.
    BuildCandidate {
        /// What is being brought where.
        op: QueueOp,
        /// The tip it is built on.
        onto: Oid,
        /// For a refresh: the target's tip that is merged in.
        merges: Option<Oid>,
    },
    /// Run the gate on a candidate in a scratch checkout.
    GateCandidate {
        /// What is being brought where.
        op: QueueOp,
        /// The candidate.
        commit: Oid,
        /// Its tree, to which the evidence binds.
        tree: Oid,
        /// Loops whose commits stand below it on the same tip and pass or fail with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        with: Vec<LoopId>,
    },
    /// Move a ref by compare-and-swap.
    Publish {
        /// What is being brought where.
        op: QueueOp,
        /// The candidate.
        commit: Oid,
        /// The tip it was gated on; anything else and nothing moves.
        expected: Oid,
    },
}

/// What a prepared worktree shall hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrepareMode {
    /// The base and nothing else.
    Fresh,
    /// Exactly the files of this checkpoint.
    Restore(Oid),
    /// What is there; if the worktree is gone, the checkpoint or else the base.
    Keep(Option<Oid>),
    /// Exactly the files of this earlier commit; what came after it is kept under a ref.
    Rewind(Oid),
}

/// What an effect keeps others from using until it has ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// A loop's worktree, alone.
    WorktreeExclusive(LoopId),
    /// A loop's worktree, beside other readers.
    WorktreeShared(LoopId),
    /// A project's refs: of its landing queues one at a time.
    Repository(ProjectId),
    /// A slot of a rate bucket.
    CallSlot(String),
    /// A slot for an external agent.
    AgentSlot,
    /// A slot for a gate.
    GateSlot,
}

/// Why something did not work, as far as deciding what to do next is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A passing fault: network, 5xx, a stream cut off.
    Transient,
    /// The other side named the earliest time to ask again, in milliseconds from now.
    NotBefore(u64),
    /// The other side says that too much was asked for, and not until when.
    RateLimited,
    /// Asking again changes nothing.
    Permanent,
    /// The other side does not accept who we are.
    Auth,
    /// The other side takes no request as large as this one; a smaller one it may take.
    TooLarge,
    /// The machine is short of disk, memory or file handles.
    Resources,
    /// It came to more than its budget has left, and was ended there.
    OverBudget,
}

impl Failure {
    /// The same may go well in a moment.
    #[must_use]
    pub fn may_pass(self) -> bool {
        match self {
            Self::Transient | Self::NotBefore(_) | Self::RateLimited | Self::Resources => true,
            Self::Permanent | Self::Auth | Self::TooLarge | Self::OverBudget => false,
        }
    }
}

/// A tool call inside a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Tool name as the model wrote it.
    pub name: String,
    /// The arguments, as a blob.
    pub args: Digest,
    /// It only reads.
    pub reads: bool,
}

/// Size of a change, for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Files that differ.
    pub files: u32,
    /// Lines added.
    pub added: u32,
    /// Lines removed.
    pub removed: u32,
}

/// What a gate said about one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReport {
    /// Every command ended with 0.
    pub green: bool,
    /// One line for people, at most 200 characters: failing tests, counts.
    pub summary: String,
    /// The output, bounded, as a blob.
    pub log: Digest,
    /// Tests that were run, where the output says so.
    pub tests: Option<u32>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What speaks against trusting that answer alone.
    #[serde(default, skip_serializing_if = "GateFacts::is_empty")]
    pub facts: Box<GateFacts>,
    /// Which gate was run on what; nothing where nothing ran, and in logs of 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Box<GateProof>>,
}

/// Something the core must know before an effect ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// A process runs for this effect; ended first in the next life if this one dies.
    Process {
        /// Process id of its supervisor.
        pid: i32,
        /// Start time in clock ticks since boot, which with the boot id makes the pid unique.
        start_time: u64,
        /// The kernel's boot id.
        boot_id: String,
    },
    /// A tool call is complete in the stream; a read may start before the reply ends.
    ToolCalled {
        /// Place of the call in its reply, from 0.
        index: u16,
        /// The call.
        call: ToolCall,
    },
    /// Spend so far, cumulative.
    UsageSoFar(Usage),
    /// What the provider says is left of its limits.
    Levels(RateLevels),
    /// The agent's own name for its session.
    Session(String),
    /// The tree as it stood while the agent worked.
    Checkpoint(Oid),
    /// The gate itself begins: what went before was setup. For people.
    Activity(String),
    /// An agent waits for a person's answer. The event's seq is what the question is called; it is
    /// open until it is answered or the run is over.
    Asked {
        /// Which question of this run, from 1.
        n: u32,
        /// What it wants to do, in one line of at most 200 characters.
        text: String,
        /// What may be answered, at most eight, at most 40 characters each.
        choices: Vec<String>,
    },
    /// How what an agent uses is counted in this run.
    Counted(Depth),
    /// An agent asks to call a model.
    CallWanted(CallWanted),
    /// An agent no longer waits for this call.
    CallGivenUp {
        /// Its number.
        call: u32,
    },
}

/// Lossy noise about an effect: never stored, never seen by the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Text as the model streams it.
    Text(String),
    /// A line of output or activity.
    Line(String),
}

/// An effect as the runner is given it: its id, its work, and where its inputs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub effect: crate::EffectId,
    /// Whose it is.
    pub owner: Owner,
    /// What to do.
    pub work: Work,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The plan it belongs to.
    pub plan: PlanId,
    /// The plan's document (`PlanDoc`).
    pub plan_doc: Digest,
    /// The target branch.
    pub target: String,
    /// The loop it concerns, with what its work may need.
    pub subject: Option<Subject>,
    /// Documents (`SpecDoc`) of other specs whose work is gated in one with it.
    pub beside: Vec<Digest>,
}

/// The loop an order concerns: everything a prompt or a git step needs to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The loop.
    pub id: LoopId,
    /// The spec's document (`SpecDoc`).
    pub spec_doc: Digest,
    /// The commit its work stands on.
    pub base: Oid,
    /// Its work as last saved.
    pub checkpoint: Option<Oid>,
    /// Iteration, from 1.
    pub iteration: u32,
    /// Iterations allowed.
    pub max_iterations: u32,
    /// Turns of this iteration so far, oldest first.
    pub turns: Vec<TurnRef>,
    /// Results of this turn's tools so far, in order.
    pub results: Vec<Digest>,
    /// How earlier iterations ended, oldest first, the last few.
    pub history: Vec<IterationNote>,
    /// What people or the queue want the loop to know.
    pub notes: Vec<Digest>,
    /// What other loops told it and it still knows of, oldest first.
    pub mail: Vec<Heard>,
    /// Files with conflict markers to solve, one a line, as a blob.
    pub conflicts: Option<Digest>,
    /// A rebase that began from this checkpoint must be finished from it, whatever the files say.
    pub rebase_from: Option<Oid>,
    /// The model that works now; nothing where an agent does.
    pub model: Option<String>,
    /// Most tokens a request may have, as far as a refusal taught; nothing before one.
    pub most_tokens: Option<u64>,
    /// In how many milliseconds a person is asked if the model still fails; nothing before it failed.
    pub call_left_ms: Option<u64>,
    /// Sends of this turn's request before this one.
    pub attempt: u32,
    /// The external agent's session, if one is known.
    pub session: Option<String>,
    /// Questions it has asked people so far.
    pub questions: u32,
    /// Times its document was found right, the draft included; 0 where it writes none.
    pub reviewed: u8,
    /// A person wants it on its target beside the changes of a checkout that has that.
    pub beside: bool,
    /// Its gate was green, and what is composed and called now is its second reader.
    pub reads: bool,
}

/// One finished turn: the reply and the results of the tools it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRef {
    /// The reply, as a blob.
    pub reply: Digest,
    /// Results of its tool calls, in order; `None` for a tool that was interrupted.
    pub results: Vec<Option<Digest>>,
}

/// What the next iteration is told about an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IterationNote {
    /// Which iteration, from 1.
    pub n: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// One line for people.
    pub summary: String,
    /// The gate's output, as a blob.
    pub log: Option<Digest>,
}

/// How an iteration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The gate was green on a tree that differs from the base.
    Green,
    /// The gate was red.
    Red,
    /// The tree equals the base.
    Unchanged,
    /// The agent did not end normally.
    AgentFailed,
    /// The tree holds conflict markers.
    Conflict,
    /// The gate was green, and a second reader found something that blocks.
    Objected,
}

impl Work {
    /// One word for people and for logs.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CheckBase { .. } => "check base",
            Self::Prepare { .. } => "prepare worktree",
            Self::AcceptBefore => "accept before work",
            Self::Compose => "compose",
            Self::Call { .. } => "call",
            Self::Tool { .. } => "tool",
            Self::Save { .. } => "save",
            Self::Agent { .. } => "agent",
            Self::Relay(_) => "relay",
            Self::Answer(_) => "answer",
            Self::Gate => "gate",
            Self::Decompose { .. } => "decompose",
            Self::Rebase { .. } => "rebase",
            Self::BuildCandidate { .. } => "build candidate",
            Self::GateCandidate { .. } => "gate candidate",
            Self::Publish { .. } => "publish",
        }
    }

    /// What this work keeps others from using while it runs.
    #[must_use]
    pub fn holds(&self, owner: Owner, project: ProjectId) -> Vec<Hold> {
        let worktree = |exclusive: bool| match owner {
            Owner::Loop(id) if exclusive => Some(Hold::WorktreeExclusive(id)),
            Owner::Loop(id) => Some(Hold::WorktreeShared(id)),
            Owner::Plan(_) | Owner::Queue(_) => None,
        };
        let holds: [Option<Hold>; 2] = match self {
            Self::CheckBase { .. } | Self::GateCandidate { .. } => [None, Some(Hold::GateSlot)],
            Self::Prepare { .. } | Self::Rebase { .. } => [worktree(true), None],
            Self::AcceptBefore | Self::Gate => [worktree(true), Some(Hold::GateSlot)],
            Self::Compose | Self::Save { .. } => [worktree(false), None],
            Self::Decompose { .. } => [None, None],
            Self::Call { bucket, .. } | Self::Relay(Relay { bucket, .. }) => {
                [None, Some(Hold::CallSlot(bucket.clone()))]
            }
            Self::Answer(it) => [None, Some(Hold::CallSlot(it.call.bucket.clone()))],
            Self::Tool { reads, .. } => [worktree(!reads), None],
            Self::Agent { .. } => [worktree(true), Some(Hold::AgentSlot)],
            // A candidate is made without a ref.
            Self::BuildCandidate { .. } => [None, None],
            Self::Publish { .. } => [Some(Hold::Repository(project)), None],
        };
        holds.into_iter().flatten().collect()
    }
}

/// Seq of the event that holds the evidence of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The event with the gate's report.
    pub seq: Seq,
    /// The tree that was gated.
    pub tree: Oid,
}
