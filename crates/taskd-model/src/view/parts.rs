//! The pieces of a view: projects, plans, loops, queue entries, running effects.
//!
//! Plain data that every client may read. Nothing here knows the time: ages are differences a
//! client takes itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    AgentRun, Change, ContextUse, Depth, Digest, EffectId, Evidence, Fault, Format, Found,
    GateProof, LandPolicy, LoopId, LoopLimits, Oid, Owner, PlanId, Priority, ProjectId, QueueOp,
    Reason, ReviewHead, Seq, Status, Suspicion, Time, Trace, Usage, Verdict, Worker,
};

use super::{DayView, Ledger, QuestionView, Spans};

/// A repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectView {
    /// Its git directory: its identity.
    pub git_dir: String,
    /// Its checkout, for people.
    pub root: String,
    /// It is no longer served.
    pub forgotten: bool,
    /// Branches plans land on.
    pub targets: BTreeMap<String, TargetView>,
    /// Its budget of a day.
    #[serde(default)]
    pub day: DayView,
}

/// A branch plans land on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Where it is.
    pub tip: Oid,
    /// Commits it moved since it was first seen.
    pub height: u64,
}

/// Where a plan is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// Its base is being gated.
    #[default]
    Checking,
    /// Its loops may work.
    Open,
    /// All its loops are over.
    Ended,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// Its number.
    pub id: PlanId,
    /// What people call it.
    pub title: String,
    /// The project.
    pub project: ProjectId,
    /// The branch it lands on.
    pub target: String,
    /// How its work lands.
    pub land: LandPolicy,
    /// Priority of its calls.
    pub priority: Priority,
    /// Where it is in its life.
    pub state: PlanState,
    /// The target's tip when it was submitted.
    pub base: Oid,
    /// The gate need not be green on the untouched base.
    pub base_red_ok: bool,
    /// What the gate said about the untouched base.
    pub base_gate: Option<GateView>,
    /// Tests on the untouched base.
    pub base_tests: Option<u32>,
    /// Its integration ref.
    pub integration: Integration,
    /// Its queue entry that merges a moved target, if it has one.
    pub refreshing: Option<Seq>,
    /// Spend it may reach, in micro-dollars.
    pub budget_micros: u64,
    /// Tokens it may use; 0 for as many as its money pays for.
    pub tokens: u64,
    /// Wall time it may take, in milliseconds.
    pub time_ms: u64,
    /// What its loops used.
    pub spent: Usage,
    /// Some of that nobody counted.
    pub uncounted: bool,
    /// How long its last gate took, in milliseconds.
    pub gate_ms: Option<u64>,
    /// When it came.
    pub submitted_at: Time,
    /// When its loops could start.
    pub released_at: Option<Time>,
    /// When its last loop was over.
    pub ended_at: Option<Time>,
    /// It came as one sentence: its loop is called by the plan's name.
    pub single: bool,
    /// The trace that everything done for it belongs to; plans of older logs have none.
    #[serde(default)]
    pub trace: Option<Trace>,
    /// Specs it has.
    pub specs: u16,
    /// Loops whose work is on the target.
    pub landed: u32,
    /// Its loops by status.
    pub totals: Totals,
    /// Same key, same plan.
    pub key: Digest,
    /// Its document.
    pub doc: Digest,
    /// Names its gate's commands and environment.
    pub gate: Digest,
    /// What its loops used, by model and day; the sum is `spent`.
    pub ledger: Ledger,
}

/// A plan's integration ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// Where it is.
    pub tip: Oid,
    /// Commits it took in since the plan came.
    pub height: u64,
    /// Height of the target as far as it is in here.
    pub target_height: u64,
}

/// The commit a loop's work stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The commit.
    pub commit: Oid,
    /// Its height on the integration ref's scale.
    pub height: u64,
}

/// What a loop is doing, or what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// It has not begun.
    #[default]
    NotStarted,
    /// Its worktree is being made.
    Preparing,
    /// Its `accept` commands run before any work.
    Accept,
    /// Its prompt is being rendered.
    Composing,
    /// Its request waits to be admitted.
    QueuedForModel,
    /// A model is replying.
    Calling,
    /// A tool runs.
    Tool(String),
    /// It waits for a slot for its agent.
    QueuedForAgent,
    /// An external agent works; the last thing it said it does.
    Agent(Option<String>),
    /// Its agent asks a person whether it may do this.
    Asks(String),
    /// It waits for a slot for its gate.
    QueuedForGate,
    /// Its gate runs.
    Gate {
        /// Since then, setup not counted.
        since: Time,
        /// What the last one took, in milliseconds.
        estimate_ms: Option<u64>,
    },
    /// Its work is being moved onto another base.
    Rebasing,
    /// It waits for a person's word to land.
    ReadyToLand,
    /// It is in the landing queue.
    InQueue {
        /// To the target; otherwise to the plan's integration ref.
        landing: bool,
        /// How far it is.
        phase: QueuePhase,
    },
    /// Landing waits until a person's checkout allows it.
    Held(String),
    /// It waits for a time. When that is past, it waits for admission.
    Deferred {
        /// Until then.
        until: Time,
        /// Why.
        why: String,
    },
    /// Between two steps, or over.
    Idle,
}

/// How far a queue entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuePhase {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// Its candidate is being built.
    Building,
    /// Its candidate is being gated.
    Gating,
    /// The ref is being moved.
    Publishing,
}

/// A document that was taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentView {
    /// Its text, as a blob.
    pub artifact: Digest,
    /// How many specs it named.
    pub children: u16,
    /// What document it is; older logs do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// A loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopView {
    /// Its id.
    pub id: LoopId,
    /// What people write: `p7.limiter`, `p7`, `p7.limiter.2`.
    pub name: String,
    /// The plan file's own id for its spec.
    pub spec: String,
    /// What people call it.
    pub title: String,
    /// Name of its loop type.
    pub type_name: String,
    /// What works on it.
    pub worker: Worker,
    /// The model it would rather call, while another works instead.
    pub instead_of: Option<String>,
    /// Specs it needs, by place in the plan.
    pub needs: Vec<u16>,
    /// It writes a document that names further specs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writes: bool,
    /// The spec whose document named it, by place in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u16>,
    /// What its document has become, once it was taken apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentView>,
    /// Globs of what it touches, where others wait for that.
    #[serde(default)]
    pub touches: Vec<String>,
    /// Its limits; `iterations` is the most it may take.
    pub limits: LoopLimits,
    /// The spec's document.
    pub doc: Digest,
    /// Names gate, accept and environment.
    pub gate_key: Digest,
    /// It has `accept` commands.
    pub accept: bool,
    /// What they said before any work.
    pub accept_green: Option<bool>,
    /// Its status.
    pub status: Status,
    /// Since when.
    pub status_since: Time,
    /// Why its status changed last.
    pub reason: Option<Reason>,
    /// The event that says so.
    pub reason_seq: Option<Seq>,
    /// What it does.
    pub doing: Doing,
    /// Since when.
    pub doing_since: Time,
    /// It will pause at the next safe point.
    pub pausing: bool,
    /// A person ended it: it is over when its last effect has ended.
    pub stopping: bool,
    /// What else ends it then: a limit, or a defect of ours.
    pub ending: Option<Reason>,
    /// It waits for a person's word to land since then.
    pub approval_asked: Option<Time>,
    /// What its last gate found against its tree: a person says whether that is all right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicion: Option<Suspicion>,
    /// A person's checkout is in the way of landing it.
    pub held: Option<String>,
    /// Where its pull request is, once there was one.
    #[serde(default)]
    pub pull_request: Option<String>,
    /// Its entry in the landing queue.
    pub queue_entry: Option<Seq>,
    /// Iteration, from 1; 0 before the first.
    pub iteration: u32,
    /// Iterations, the first and the last [`crate::ITERATION_ROWS`].
    pub iterations: Vec<IterationRow>,
    /// How many of the last iterations ended the same way on the same tree; 0 where none did.
    #[serde(default)]
    pub alike: u32,
    /// What its work stands on.
    pub base: Base,
    /// Its work as last saved.
    pub checkpoint: Option<Oid>,
    /// Size of its work as last measured.
    pub change: Change,
    /// Files that hold conflict markers.
    pub conflicts: u32,
    /// What its gate said last.
    pub gate: Option<GateView>,
    /// What it used.
    pub spent: Usage,
    /// Some of that nobody counted.
    pub uncounted: bool,
    /// The gate was green on this.
    pub passed: Option<PassedView>,
    /// It is on the plan's integration ref as this commit.
    pub integrated: Option<Oid>,
    /// It is on the target.
    pub landed: Option<Landed>,
    /// It was taken off the target again: by this commit, gated on that tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Landed>,
    /// What went wrong last, until something goes right.
    pub trouble: Option<Trouble>,
    /// How what its agent uses is counted, once one has run.
    pub counted: Option<Depth>,
    /// The external agent's session.
    pub session: Option<String>,
    /// Questions of the run that is under way.
    #[serde(default)]
    pub questions: Vec<QuestionView>,
    /// What people told it, the last [`crate::NOTES`].
    pub notes: Vec<Note>,
    /// Its effects that run.
    pub effects: BTreeSet<EffectId>,
    /// When it began to work.
    pub started_at: Option<Time>,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// Time of its last event.
    pub last_sign: Time,
    /// Its last event.
    pub last_seq: Seq,
    /// Where its time went, until `spans_at`.
    pub spans: Spans,
    /// How far its time is accounted for.
    pub spans_at: Time,
    /// Model calls, or runs of its agent.
    pub calls: u32,
    /// Those of them that failed and were done again.
    pub failed_calls: u32,
    /// Times its work was moved onto another base.
    pub rebases: u32,
    /// Times a gate of it said both red and green of one tree.
    #[serde(default)]
    pub flaked: u32,
    /// How full its model's context was when its last request was composed.
    pub context: Option<ContextView>,
    /// What is known of the last run of its agent besides how it ended.
    pub last_run: AgentRun,
    /// Its second reader, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewView>,
}

/// A loop's second reader, and what that found last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewView {
    /// Who reads.
    pub head: ReviewHead,
    /// It is asked about work whose gate was green, and has not answered.
    pub asked: bool,
    /// What it found last.
    pub found: Option<Found>,
    /// In which iteration that was; 0 before.
    pub iteration: u32,
    /// How often it has read and answered.
    #[serde(default)]
    pub readings: u32,
    /// How many of those found something.
    #[serde(default)]
    pub objections: u32,
}

/// How full a model's context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextView {
    /// Tokens of the request, about.
    pub tokens: u64,
    /// The window, and what is left out.
    pub of: ContextUse,
}

/// One iteration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IterationRow {
    /// Which, from 1.
    pub n: u32,
    /// When it began.
    pub started_at: Time,
    /// How it ended, if it has.
    pub verdict: Option<Verdict>,
    /// One line for people.
    pub summary: String,
    /// The gate's output, as a blob.
    pub log: Option<Digest>,
    /// Difference to the base.
    pub change: Change,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What it cost, in micro-dollars.
    pub micros: u64,
}

/// What a gate said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateView {
    /// Every command ended with 0.
    pub green: bool,
    /// One line for people.
    pub summary: String,
    /// The output, as a blob.
    pub log: Digest,
    /// Tests that were run, where the output says so.
    pub tests: Option<u32>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// When it ended.
    pub at: Time,
    /// The event that holds the report: the evidence.
    pub seq: Seq,
    /// Which gate was run on what, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Box<GateProof>>,
}

/// Work on which the gate was green.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedView {
    /// The tree as a commit.
    pub checkpoint: Oid,
    /// The tree the evidence binds to.
    pub tree: Oid,
    /// The event that holds the evidence.
    pub evidence: Seq,
    /// Tests, where the output says so.
    pub tests: Option<u32>,
    /// Difference to the base.
    pub change: Change,
    /// When.
    pub at: Time,
}

/// Work on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// The commit.
    pub commit: Oid,
    /// The tip it was gated on.
    pub onto: Oid,
    /// When.
    pub at: Time,
    /// The gate that let it land; logs of 0.1 do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Something that went wrong on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What, for people.
    pub message: String,
    /// When.
    pub at: Time,
    /// The event that says so.
    pub seq: Seq,
    /// The facts, where they were written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Box<Fault>>,
}

/// Something a person told a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Time,
    /// The text, as a blob.
    pub text: Digest,
    /// It came with passed work that was sent back.
    pub rejects: bool,
}

/// An entry of a landing queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// What is brought where.
    pub op: QueueOp,
    /// Since when it waits.
    pub entered_at: Time,
    /// How far it is.
    pub phase: QueuePhase,
}

/// An effect that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectView {
    /// Whose it is.
    pub owner: Owner,
    /// What it does.
    pub kind: EffectKind,
    /// Since when.
    pub since: Time,
    /// The last thing it said it does.
    pub activity: Option<String>,
    /// What it said it used so far.
    pub used: Usage,
}

/// What an effect does, as far as people are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Gates the untouched base.
    CheckBase,
    /// Makes a worktree.
    Prepare,
    /// Runs `accept` before any work.
    Accept,
    /// Renders a prompt.
    Compose,
    /// Calls a model.
    Call,
    /// Runs a tool.
    Tool(String),
    /// Saves a loop's files.
    Save,
    /// Runs an external agent.
    Agent,
    /// Passes a call of an agent on to this model.
    Relay(String),
    /// Answers a query of another loop by this model.
    Answer(String),
    /// Gates a loop's tree.
    Gate,
    /// Takes a loop's document apart.
    Decompose,
    /// Moves a loop's work.
    Rebase(Base),
    /// Builds a candidate.
    Build(QueueOp),
    /// Gates a candidate.
    GateCandidate(QueueOp),
    /// Moves a ref.
    Publish(QueueOp),
}

/// Loops by status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Totals(pub BTreeMap<Status, u64>);

impl Totals {
    /// How many have this status.
    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        self.0.get(&status).copied().unwrap_or(0)
    }

    /// One loop more has `to`, one less `from`.
    pub(crate) fn moved(&mut self, from: Option<Status>, to: Status) {
        if let Some(it) = from.and_then(|from| self.0.get_mut(&from)) {
            *it = it.saturating_sub(1);
        }
        *self.0.entry(to).or_default() += 1;
    }
}
