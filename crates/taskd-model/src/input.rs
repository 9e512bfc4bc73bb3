//! What reaches the coordinator: commands, observations, outcomes, and what the sources saw.

use crate::{
    Actor, Digest, Disk, EffectId, Limits, LoopId, Observation, Oid, Outcome, PlanHead, ProjectId,
    Purse, Saying, Seq, SpecHead,
};

/// Something a person, or a program in their name, asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve this repository; says nothing new if it is known.
    AddProject {
        /// Its git directory: its identity.
        git_dir: String,
        /// Its checkout, for people.
        root: String,
    },
    /// Serve this repository where it is now, with its plans; says nothing new if it is there.
    MoveProject {
        /// Which.
        id: ProjectId,
        /// Its git directory now.
        git_dir: String,
        /// Its checkout now, for people.
        root: String,
    },
    /// No longer serve it; refused while a plan of it is open.
    ForgetProject(ProjectId),
    /// Take this plan; all of it or nothing.
    SubmitPlan {
        /// The plan.
        head: Box<PlanHead>,
        /// Its specs, `needs` by place.
        specs: Vec<SpecHead>,
    },
    /// Pause these loops at their next safe point.
    Pause(Vec<LoopId>),
    /// Go on with these loops.
    Resume(Vec<LoopId>),
    /// End these loops and keep their work.
    Stop(Vec<LoopId>),
    /// These loops' passed work may land.
    Land(Vec<LoopId>),
    /// Bring what checkouts hold of these loops to its target now, beside the person's changes.
    Sync(Vec<LoopId>),
    /// Send passed work back with a note.
    Reject {
        /// The loop.
        id: LoopId,
        /// What is wrong, as a blob.
        note: Digest,
    },
    /// Tell a loop something in its next prompt.
    Note {
        /// The loop.
        id: LoopId,
        /// The text, as a blob.
        note: Digest,
        /// End the turn under way for it.
        now: bool,
    },
    /// Send a loop's files back to an earlier state of its work, and go on from there.
    Rewind {
        /// The loop.
        id: LoopId,
        /// The commit with the files.
        to: Oid,
        /// The commit that work stood on then.
        base: Oid,
        /// The iteration it is of; 0 for the base itself.
        iteration: u32,
        /// What the next prompt says of it, as a blob.
        note: Digest,
    },
    /// Try a loop again that is blocked, has failed or was stopped, with fresh limits.
    Retry {
        /// The loop.
        id: LoopId,
        /// An earlier state of its work to begin from, and the commit that stood on.
        to: Option<(Oid, Oid)>,
        /// Ask its gate first.
        gate: bool,
        /// What was tried, for the next prompt, as a blob.
        note: Digest,
        /// Where its target is: nobody watches the target of a plan that is over.
        tip: Oid,
    },
    /// Take landed work off its target again.
    Undo {
        /// The loop.
        id: LoopId,
        /// Where its target is: nobody watches the target of a plan that is over.
        tip: Oid,
    },
    /// Answer a question of an agent or of a loop.
    Answer {
        /// The event that asked it.
        question: Seq,
        /// Which of its choices, from 0; an agent takes nothing else.
        choice: Option<u16>,
        /// Words of one's own.
        said: String,
        /// What the tool of a loop answers, as a blob.
        result: Option<Digest>,
    },
    /// Say yes or no to what an item of the inbox asks: passed work, or a document. The first word
    /// counts.
    Decide {
        /// The loop.
        id: LoopId,
        /// The item.
        item: Seq,
        /// What is wrong, as a blob; nothing for yes.
        note: Option<Digest>,
    },
    /// Set a budget anew. Less than what is spent stops the next call.
    SetBudget {
        /// Whose.
        of: Purse,
        /// What may be spent in all, in micro-dollars; 0 for no budget where it is one of a day.
        micros: u64,
    },
    /// Set what may be used of tokens from now on, with what is used already.
    SetTokens {
        /// Whose.
        of: Purse,
        /// Tokens of all classes; 0 for no such budget.
        tokens: u64,
    },
    /// The provider of this bucket is well again: call it.
    ResetCalls {
        /// The bucket.
        bucket: String,
        /// End a silence after refusals too.
        refusals: bool,
    },
    /// Bring nothing of these loops, or of whole projects, until it is released.
    HoldQueue {
        /// The loops.
        ids: Vec<LoopId>,
        /// The projects.
        projects: Vec<ProjectId>,
    },
    /// What was held has its turn again; of a project, all that was held in it.
    ReleaseQueue {
        /// The loops.
        ids: Vec<LoopId>,
        /// The projects.
        projects: Vec<ProjectId>,
    },
    /// Give an entry of the landing queue another turn.
    MoveQueue {
        /// The loop whose entry it is.
        id: LoopId,
        /// The loop before whose entry it goes; nothing for the first place.
        before: Option<LoopId>,
    },
    /// Do this to loops if none of them has an event after that one; else nothing.
    IfUnchanged {
        /// The loops.
        ids: Vec<LoopId>,
        /// The last event that whoever asks knows of.
        since: Seq,
        /// What to do.
        then: Box<Self>,
    },
    /// Start nothing new until [`Command::Unpark`].
    Park,
    /// Go on with everything.
    Unpark,
}

/// Everything that can happen to the coordinator. Closed on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A daemon opened this log: whatever ran before is lost with its place.
    Started {
        /// Version of the daemon.
        version: String,
    },
    /// The daemon is about to close the log and everything has ended.
    Stopped,
    /// The disk, as measured.
    Disk(Disk),
    /// Effective configuration, as read.
    Limits(Limits),
    /// A person asks.
    Command {
        /// Who.
        actor: Actor,
        /// What.
        command: Command,
    },
    /// An effect reports on the way. Repeated indexes are ignored.
    Observed {
        /// The effect.
        effect: EffectId,
        /// Position among its observations, from 0.
        index: u32,
        /// What it reports.
        fact: Observation,
    },
    /// An effect ended. A second end, or one of another life, is ignored.
    Ended {
        /// The effect.
        effect: EffectId,
        /// How.
        outcome: Outcome,
    },
    /// A tool of a loop says something to other loops.
    Said {
        /// The tool's effect.
        effect: EffectId,
        /// What.
        saying: Saying,
    },
    /// The main watcher saw a target at this commit.
    MainSeen {
        /// The project.
        project: ProjectId,
        /// The branch.
        target: String,
        /// Where it is.
        tip: Oid,
        /// Commits it moved forward, where that could be counted.
        commits: u32,
        /// The old tip is not among the ancestors of the new one.
        rewritten: bool,
    },
    /// The main watcher found proposed work on its target.
    LandingSeen {
        /// The loop.
        id: LoopId,
        /// What was proposed; of something older it says nothing.
        proposed: Oid,
        /// The commit that has it there.
        commit: Oid,
        /// What that stands on.
        onto: Oid,
    },
    /// A bug in deciding about this loop: fail it rather than the rest.
    Panicked {
        /// The loop that was being decided about.
        id: LoopId,
        /// What the panic said, at most 500 characters.
        message: String,
    },
    /// Somebody was told what waits for a person, or that a plan ended; or could not be.
    Notified {
        /// The event it is about.
        of: Seq,
        /// Times it was tried.
        tries: u32,
        /// Why nobody could be told; at most 200 characters.
        failed: Option<String>,
    },
    /// Time passed.
    Tick,
}
