//! Facts: what happened, in an envelope, once and for ever.
//!
//! An event never changes its meaning. A new field gets a default, a new meaning a new kind or a
//! version with an upcaster in [`Record::decode`]. At most [`MAX_EVENT_BYTES`] each: prose lives in
//! blobs, named by digest.

mod heads;
mod via;
mod words;

use serde::{Deserialize, Serialize};

use crate::{
    Change, CircuitChange, Digest, Disk, EffectId, Evidence, Limit, Limits, LoopId, LoopLimits,
    Observation, Oid, Outcome, Owner, PlanId, ProjectId, Purse, QueueOp, Reason, Seq, SpecId,
    Spoken, Status, Streak, Suspicion, Time, Verdict, Work,
};

pub use self::heads::{
    ChangeCause, DocumentHead, LandMode, LandPolicy, PlanHead, Priority, SpecHead, Worker,
};
pub use self::via::Via;

/// Largest encoded event, in bytes.
pub const MAX_EVENT_BYTES: usize = 4096;

/// An event as it is stored and as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the log.
    pub seq: Seq,
    /// When it was decided, in milliseconds since the epoch; never decreases.
    pub at: Time,
    /// The shard: on one machine there is one.
    #[serde(default)]
    pub shard: u32,
    /// Project it belongs to, if to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// Loop it belongs to, if to one.
    #[serde(default, rename = "loop", skip_serializing_if = "Option::is_none")]
    pub loop_id: Option<LoopId>,
    /// Version of the payload's shape, from 1.
    pub v: u16,
    /// The first event of the same input, if this is not it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Seq>,
    /// Who caused it.
    pub actor: Actor,
    /// The payload: `kind` and `data`.
    #[serde(flatten)]
    pub event: Event,
}

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// It followed by itself.
    Core,
    /// The daemon's sources: start, configuration, the main watcher.
    Daemon,
    /// An effect reported it.
    Runner,
    /// A person, or a program in their name, over the API.
    Person {
        /// The user id of the peer.
        uid: u32,
        /// From where; nothing where the client does not say so, and in logs of 0.1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<Via>,
    },
}

/// How a queue entry ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueEnd {
    /// The commit is on the ref, gated on the tip it landed on.
    Done {
        /// The commit.
        commit: Oid,
        /// The tip it was built and gated on.
        onto: Oid,
        /// The gate's evidence. Of several commits that were gated in one it is the last one's.
        evidence: Evidence,
        /// Loops whose work was gated and published in one with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        with: Vec<LoopId>,
    },
    /// The ref has it already.
    Empty,
    /// The candidate's gate was red.
    Red {
        /// The output, as a blob.
        log: Digest,
    },
    /// The work does not merge onto the tip.
    Conflict {
        /// The files, one a line, as a blob.
        files: Digest,
    },
    /// It is on a branch of the remote, and a pull request asks for it.
    Proposed {
        /// The commit on that branch.
        commit: Oid,
        /// Where the pull request is; at most 300 characters.
        url: String,
    },
    /// The person has the target checked out with changes; at most 200 characters.
    Held {
        /// What is in the way.
        why: String,
    },
    /// It could not be done; at most 500 characters.
    Failed {
        /// What happened and what to do next.
        message: String,
    },
    /// Its loop no longer wants it.
    Withdrawn,
}

/// What a person arranges in a landing queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arranged {
    /// It is not begun, built or gated until it is released.
    Held,
    /// It has its turn again.
    Released,
    /// Its turn comes earlier or later.
    Moved {
        /// The loop before whose entry it goes; nothing for the first place.
        before: Option<LoopId>,
    },
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A daemon opened the log; whatever ran in an earlier life is lost with its place.
    DaemonStarted {
        /// Its version.
        version: String,
    },
    /// A daemon closed the log; everything had ended.
    DaemonStopped,
    /// Nothing new starts until somebody says so.
    WorkParked,
    /// Work goes on.
    WorkUnparked,
    /// The disk has so little room, or so much again, that something else is allowed.
    DiskChanged {
        /// What was measured.
        disk: Disk,
    },
    /// Effective configuration.
    LimitsSet {
        /// All of it.
        limits: Limits,
    },
    /// A repository became known.
    ProjectAdded {
        /// Its number.
        id: ProjectId,
        /// Its git directory: its identity.
        git_dir: String,
        /// Its checkout, for people.
        root: String,
    },
    /// A repository is elsewhere: the same one, with its plans.
    ProjectMoved {
        /// Its number.
        id: ProjectId,
        /// Its git directory now.
        git_dir: String,
        /// Its checkout now, for people.
        root: String,
    },
    /// A repository is no longer served.
    ProjectForgotten {
        /// Its number.
        id: ProjectId,
    },
    /// A target branch is at another commit.
    MainMoved {
        /// The branch.
        target: String,
        /// Where it was; older logs do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Oid>,
        /// Where it is.
        to: Oid,
        /// Commits it moved forward, where that could be counted.
        commits: u32,
        /// The old tip is not among the ancestors of the new one.
        rewritten: bool,
    },
    /// A plan was accepted. Its specs follow in the same batch.
    PlanSubmitted {
        /// Its number.
        plan: PlanId,
        /// What it says.
        head: Box<PlanHead>,
    },
    /// One spec of a plan, with the loop that will work on it.
    SpecAdded {
        /// Its id.
        spec: SpecId,
        /// What it says.
        head: Box<SpecHead>,
    },
    /// The base passed its gate, or need not.
    PlanReleased {
        /// The plan.
        plan: PlanId,
        /// The gate's evidence for the untouched base, if it was run.
        evidence: Option<Evidence>,
        /// Tests on the untouched base.
        tests: Option<u32>,
    },
    /// The plan's integration ref is at another commit.
    IntegrationMoved {
        /// The plan.
        plan: PlanId,
        /// Where it is.
        to: Oid,
    },
    /// All loops of the plan are over.
    PlanEnded {
        /// The plan.
        plan: PlanId,
    },
    /// An effect is wanted; its id is this event's seq.
    EffectStarted {
        /// Whose it is.
        owner: Owner,
        /// What it does.
        work: Work,
    },
    /// An effect reported something on the way.
    EffectObserved {
        /// The effect.
        effect: EffectId,
        /// Position among its observations, from 0.
        index: u32,
        /// What it reported.
        fact: Observation,
    },
    /// An effect ended.
    EffectEnded {
        /// The effect.
        effect: EffectId,
        /// How.
        outcome: Outcome,
    },
    /// A loop's status changed.
    StatusChanged {
        /// From.
        from: Status,
        /// To.
        to: Status,
        /// Why.
        reason: Reason,
    },
    /// An iteration began with a fresh context.
    IterationStarted {
        /// Which, from 1.
        n: u32,
    },
    /// Another model works from the next iteration on.
    ModelChanged {
        /// The model until now.
        from: String,
        /// The model from now on.
        to: String,
        /// Why.
        cause: ChangeCause,
        /// The iteration that is given up for it and counts for nothing, if one was under way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gives_up: Option<u32>,
    },
    /// An iteration ended.
    IterationEnded {
        /// Which.
        n: u32,
        /// How.
        verdict: Verdict,
        /// One line for people, at most 200 characters.
        summary: String,
        /// The gate's output, as a blob.
        log: Option<Digest>,
        /// Difference to the base.
        change: Change,
        /// How many ended this way in a row, where it was not green; older logs do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        streak: Option<Streak>,
    },
    /// The loop waits for a time: a provider's, or ours after a failure.
    Deferred {
        /// Until then.
        until: Time,
        /// Why, for people; at most 200 characters.
        why: String,
    },
    /// The time the loop waited for has come.
    DeferralOver,
    /// A limit was reached: the loop ends as soon as its effects have ended. Money that has run
    /// out is in older logs only; now it blocks the loop, which says why in its status.
    LimitReached {
        /// Which.
        limit: Limit,
    },
    /// A defect of ours met this loop: it ends as soon as its effects have ended.
    InternalError {
        /// What happened, at most 500 characters.
        message: String,
    },
    /// The gate was green on this tree.
    Passed {
        /// The tree as a commit.
        checkpoint: Oid,
        /// The evidence.
        evidence: Evidence,
        /// Tests, where the output says so.
        tests: Option<u32>,
    },
    /// A document that is right was looked through once more; the draft counts as the first time.
    Reviewed {
        /// Which time, from 0 for the draft.
        n: u8,
        /// The tree with the document.
        tree: Oid,
        /// It was not changed.
        unchanged: bool,
        /// It is done: there is no further time.
        done: bool,
    },
    /// The loop's tree changes what decides about it, or its tests are fewer than the base's: it
    /// goes nowhere until a person says so. Said once for each gate that finds it.
    GateTamperSuspected {
        /// What.
        suspicion: Box<Suspicion>,
    },
    /// The same gate said both red and green of the same tree. It changes nothing; it is told.
    GateFlaked {
        /// The gate that said otherwise than before, or first red and then green.
        effect: EffectId,
        /// The tree.
        tree: Oid,
        /// Digest of the gate's commands.
        gate: Digest,
        /// Tests that failed when it was red, where the output says so.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tests: Vec<String>,
        /// The event in which it said otherwise; nothing where both were in this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        other: Option<Seq>,
    },
    /// The loop's work waits for a person's word to land.
    ApprovalAsked,
    /// A person said it may land.
    Approved,
    /// Proposed work was seen on its target.
    LandingSeen {
        /// The commit that has it there: the one that was proposed, one with the same
        /// changes, or one whose message says so.
        commit: Oid,
        /// What that commit stands on.
        onto: Oid,
    },
    /// A person wants work that is held by changes in a checkout on its target now, beside those
    /// changes.
    SyncAsked,
    /// A person sent passed work back.
    Rejected {
        /// What is wrong, as a blob.
        note: Digest,
    },
    /// A person wants the loop to know something in its next prompt.
    NoteAdded {
        /// The text, as a blob.
        note: Digest,
        /// The turn under way ends for it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        now: bool,
    },
    /// Loops of a plan speak to one another.
    Spoken {
        /// What was said, or what becomes of it.
        word: Spoken,
    },
    /// A person sent the loop's files back to an earlier state of its work: what runs ends, the files
    /// become those, and the next iteration begins there.
    Rewound {
        /// The commit with the files.
        to: Oid,
        /// The commit that work stood on then.
        base: Oid,
        /// The iteration it is of; 0 for the base itself.
        iteration: u32,
        /// What the next prompt says of it, as a blob.
        note: Digest,
    },
    /// A person wants the loop tried again, with fresh limits: what it passed with is void, and it goes
    /// on from the work that is kept, or from an earlier state of it.
    Retried {
        /// The earlier state, and the commit that stood on; nothing for the work as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<(Oid, Oid)>,
        /// Its gate is asked before anything else.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gate: bool,
        /// Its limits from now on, what is used until now included.
        limits: LoopLimits,
        /// What was tried, as a blob: the next prompt says it.
        note: Digest,
    },
    /// The document that named the loop was written anew, and does not name it any more: it ends,
    /// and nobody waits for it. Its work is kept.
    Superseded {
        /// The loop that wrote the document.
        by: LoopId,
    },
    /// A question was answered: by a person, or because its time was up. The first answer counts.
    QuestionAnswered {
        /// The run, or the tool of a loop, that asked.
        effect: EffectId,
        /// Which of its questions.
        n: u32,
        /// Which of its choices, from 0; nothing for words of one's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        choice: Option<u16>,
        /// Those words, at most 200 bytes of them.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        said: String,
        /// What the tool of a loop answers, as a blob.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Digest>,
    },
    /// A person asked the loop to pause at the next safe point.
    PauseAsked,
    /// A person asked the loop to go on.
    ResumeAsked,
    /// A person asked the loop to end.
    StopAsked,
    /// A person set a budget anew.
    BudgetSet {
        /// Whose.
        of: Purse,
        /// What may be spent in all, in micro-dollars; 0 for no budget where it is one of a day.
        micros: u64,
    },
    /// A person set a budget of tokens anew.
    TokensSet {
        /// Whose.
        of: Purse,
        /// What may be used in all, of all classes; 0 for no such budget.
        tokens: u64,
    },
    /// Four fifths of a budget are spent. Once, until it is set anew or the day ends.
    BudgetWarned {
        /// Whose.
        of: Purse,
        /// What is spent, in micro-dollars.
        spent_micros: u64,
        /// What may be, in micro-dollars.
        budget_micros: u64,
    },
    /// Four fifths of a budget of tokens are used. Once, until it is set anew or the day ends.
    TokensWarned {
        /// Whose.
        of: Purse,
        /// What is used.
        spent: u64,
        /// What may be.
        budget: u64,
    },
    /// A day's budget does not pay for the next call: until it is renewed, or set anew, nothing that
    /// costs money starts.
    BudgetSpent {
        /// Whose.
        of: Purse,
        /// When it is renewed: the next midnight, in UTC.
        until: Time,
    },
    /// A day's budget that was spent is there again: another day has begun.
    BudgetRenewed {
        /// Whose.
        of: Purse,
    },
    /// A provider is left alone, or called again.
    CircuitChanged {
        /// The model, as its bucket is called.
        bucket: String,
        /// What became of it.
        change: CircuitChange,
    },
    /// Somebody was told what waits for a person, or that a plan ended.
    NotificationSent {
        /// The event it is about.
        of: Seq,
        /// Times it was tried.
        tries: u32,
    },
    /// Nobody could be told.
    NotificationFailed {
        /// The event it is about.
        of: Seq,
        /// Times it was tried.
        tries: u32,
        /// What the command said; at most 200 characters.
        why: String,
    },
    /// Something was put into the landing queue; the entry's id is this event's seq.
    QueueEntered {
        /// What.
        op: QueueOp,
    },
    /// A queue entry ended.
    QueueLeft {
        /// The entry.
        entry: Seq,
        /// What.
        op: QueueOp,
        /// How.
        end: QueueEnd,
    },
    /// A person arranged what the landing queue does with a loop's work; of no loop, with all of
    /// the project's.
    QueueArranged {
        /// What.
        how: Arranged,
    },
}

/// Why a stored event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not an event.
    #[error("event {seq} is not readable")]
    Malformed {
        /// Its position.
        seq: u64,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A newer taskd wrote it.
    #[error("event {seq} is of kind {kind:?} version {v}, which this taskd does not know")]
    Unknown {
        /// Its position.
        seq: u64,
        /// Its kind.
        kind: String,
        /// Its version.
        v: u16,
    },
}

/// Just enough of an envelope to say what is wrong with the rest.
#[derive(Deserialize)]
struct Peek {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    v: u16,
    #[serde(default)]
    kind: String,
}

impl Record {
    /// Encodes the event as one line of JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("events hold nothing JSON cannot say")
    }

    /// Reads a stored event, lifting old versions to the present shape.
    ///
    /// # Errors
    ///
    /// The text is no event, or one of a kind or version this build does not know.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        let source = match serde_json::from_str::<Self>(text) {
            Ok(record) if record.v == 1 => return Ok(record),
            Ok(record) => {
                let (seq, v) = (record.seq.0, record.v);
                return Err(DecodeError::Unknown { seq, kind: record.event.kind().to_owned(), v });
            }
            Err(source) => source,
        };
        match serde_json::from_str::<Peek>(text) {
            Ok(peek) if !peek.kind.is_empty() && !KINDS.contains(&peek.kind.as_str()) => {
                Err(DecodeError::Unknown { seq: peek.seq, kind: peek.kind, v: peek.v })
            }
            Ok(peek) => Err(DecodeError::Malformed { seq: peek.seq, source }),
            Err(_) => Err(DecodeError::Malformed { seq: 0, source }),
        }
    }
}

/// Declares the kinds once, for the name of an event and for the list of known names.
macro_rules! kinds {
    ($($variant:ident => $kind:literal),* $(,)?) => {
        /// Every kind this build knows.
        pub const KINDS: &[&str] = &[$($kind),*];

        impl Event {
            /// The kind, as it is stored.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $kind,)*
                }
            }
        }
    };
}

kinds! {
    DaemonStarted => "daemon_started",
    DaemonStopped => "daemon_stopped",
    WorkParked => "work_parked",
    WorkUnparked => "work_unparked",
    DiskChanged => "disk_changed",
    LimitsSet => "limits_set",
    ProjectAdded => "project_added",
    ProjectMoved => "project_moved",
    ProjectForgotten => "project_forgotten",
    MainMoved => "main_moved",
    PlanSubmitted => "plan_submitted",
    SpecAdded => "spec_added",
    PlanReleased => "plan_released",
    IntegrationMoved => "integration_moved",
    PlanEnded => "plan_ended",
    EffectStarted => "effect_started",
    EffectObserved => "effect_observed",
    EffectEnded => "effect_ended",
    StatusChanged => "status_changed",
    IterationStarted => "iteration_started",
    ModelChanged => "model_changed",
    IterationEnded => "iteration_ended",
    Deferred => "deferred",
    DeferralOver => "deferral_over",
    LimitReached => "limit_reached",
    InternalError => "internal_error",
    Passed => "passed",
    Reviewed => "reviewed",
    GateTamperSuspected => "gate_tamper_suspected",
    GateFlaked => "gate_flaked",
    ApprovalAsked => "approval_asked",
    Approved => "approved",
    LandingSeen => "landing_seen",
    SyncAsked => "sync_asked",
    Rejected => "rejected",
    NoteAdded => "note_added",
    Spoken => "spoken",
    Rewound => "rewound",
    Retried => "retried",
    Superseded => "superseded",
    QuestionAnswered => "question_answered",
    PauseAsked => "pause_asked",
    ResumeAsked => "resume_asked",
    StopAsked => "stop_asked",
    BudgetSet => "budget_set",
    BudgetWarned => "budget_warned",
    CircuitChanged => "circuit_changed",
    TokensSet => "tokens_set",
    TokensWarned => "tokens_warned",
    BudgetSpent => "budget_spent",
    BudgetRenewed => "budget_renewed",
    QueueEntered => "queue_entered",
    QueueLeft => "queue_left",
    QueueArranged => "queue_arranged",
    NotificationSent => "notification_sent",
    NotificationFailed => "notification_failed",
}
