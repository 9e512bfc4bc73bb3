//! How work in the world ends.

use serde::{Deserialize, Serialize};

use super::{AgentRun, Change, Failure, Found, GateReport, ToolCall};
use crate::{Code, Digest, Fault, Format, Oid, SpecHead, Usage, usage::is_zero};

/// How an effect ended. Exactly one for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The base was gated.
    BaseChecked(GateReport),
    /// The worktree is as it should be.
    Prepared {
        /// What was saved before files were replaced.
        salvaged: Option<Oid>,
    },
    /// The `accept` commands ran on the untouched base.
    AcceptRan {
        /// They were green although nothing was done yet.
        green: bool,
        /// The output, as a blob.
        log: Digest,
    },
    /// The request is rendered.
    Composed {
        /// The bytes every attempt sends.
        request: Digest,
        /// Estimated input tokens.
        tokens: u64,
        /// What it costs at most, in micro-dollars; 0 where no price is known.
        #[serde(default, skip_serializing_if = "is_zero")]
        worst_micros: u64,
        /// Tokens of all classes it uses at most.
        #[serde(default, skip_serializing_if = "is_zero")]
        worst_tokens: u64,
        /// How much of the conversation is in it; nothing for an agent's prompt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<ContextUse>,
    },
    /// The model replied, or the agent that is a second reader.
    Replied {
        /// The reply, as a blob.
        reply: Digest,
        /// The tools it asks for, in order.
        calls: Vec<ToolCall>,
        /// What it cost.
        usage: Usage,
        /// The model that answered, in its provider's word, where it is not the one that was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// What it found, where it was asked as a second reader.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Box<Found>>,
    },
    /// A query of another loop was answered.
    Answered {
        /// The reply, as a blob.
        reply: Digest,
        /// What it cost.
        usage: Usage,
    },
    /// An agent's call was answered, and the answer passed on.
    Relayed {
        /// What it cost.
        usage: Usage,
    },
    /// A tool ran; errors are results too.
    ToolDone {
        /// The result, as a blob.
        result: Digest,
        /// The result says that something went wrong.
        error: bool,
        /// The tree after a tool that may write, if it was saved with it.
        checkpoint: Option<Oid>,
        /// What went wrong, where it has a code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        /// What it may have changed and nobody has saved yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<Unsaved>,
    },
    /// The files are saved.
    Saved {
        /// The tree as a commit.
        checkpoint: Oid,
    },
    /// A tool asks a person: its result is the answer, whenever that comes.
    Asks {
        /// What it asks.
        question: Box<super::Question>,
    },
    /// The agent's process is gone.
    AgentDone {
        /// Its exit status: 0 is a normal end.
        exit: i32,
        /// One line for people if it was not.
        summary: String,
        /// What it says it used; `None` is uncounted.
        usage: Option<Usage>,
        /// The tree it left.
        checkpoint: Oid,
        /// Its output, bounded, as a blob.
        log: Digest,
        /// What else is known of the run.
        #[serde(default, skip_serializing_if = "AgentRun::is_empty")]
        run: Box<AgentRun>,
    },
    /// The tree was gated.
    Gated {
        /// The tree as a commit.
        checkpoint: Oid,
        /// The tree the evidence binds to.
        tree: Oid,
        /// Difference to the base; no files means nothing was done.
        change: Change,
        /// Files that still hold conflict markers; such a tree never passes.
        markers: u32,
        /// `None` when there was nothing to gate.
        report: Option<GateReport>,
    },
    /// The document is taken apart.
    Decomposed {
        /// The document, as a blob.
        artifact: Digest,
        /// How many specs it names.
        children: u16,
        /// What document it is; older logs do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<Format>,
        /// They themselves, `needs` by place among them. Facts of their own in the log, so never
        /// there in this one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        specs: Vec<SpecHead>,
        /// For each of them the spec of the plan that it is, by place, if it was named before and is
        /// the same; empty where the document was never taken apart before. Never in the log.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        same: Vec<Option<u16>>,
    },
    /// The work stands on the new base.
    Rebased {
        /// The moved work.
        checkpoint: Oid,
        /// Files that hold conflict markers now.
        conflicts: u32,
        /// Their names, one a line, as a blob.
        files: Option<Digest>,
    },
    /// The candidate is built.
    Built {
        /// The candidate.
        commit: Oid,
        /// Its tree.
        tree: Oid,
    },
    /// Nothing is left to bring: the tip has it already.
    BuiltEmpty,
    /// The work does not merge onto the tip.
    BuildConflict {
        /// The files, one a line, as a blob.
        files: Digest,
    },
    /// The candidate was gated.
    CandidateGated(GateReport),
    /// The ref is at the candidate.
    Published,
    /// The ref was elsewhere; nothing moved.
    PublishMoved {
        /// Where it is.
        actual: Oid,
    },
    /// The candidate is on a branch of the remote, and a pull request asks for it. No branch here
    /// has moved.
    Proposed {
        /// Where the pull request is; at most 300 characters.
        url: String,
    },
    /// The person has the target checked out with changes of their own; nothing moved.
    PublishHeld {
        /// One line for people.
        why: String,
    },
    /// It could not be done.
    Failed {
        /// What may be done about it.
        failure: Failure,
        /// What was attempted, to what, and what to do next; at most 500 characters.
        message: String,
        /// What was used all the same.
        usage: Usage,
        /// The facts in fields; logs of 0.1 have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Box<Fault>>,
    },
    /// It was no longer wanted and has ended.
    Cancelled {
        /// What was used until then.
        usage: Usage,
        /// The tree it left, if it may have written.
        checkpoint: Option<Oid>,
    },
}

impl Outcome {
    /// Why it did not work, if it did not.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        if let Self::Failed { failure, .. } = self { Some(*failure) } else { None }
    }

    /// There was no room on the disk.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let Self::Failed { fault: Some(fault), .. } = self else { return false };
        fault.code == Code::DiskFull
    }

    /// What was spent, whatever the end.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match self {
            Self::Replied { usage, .. }
            | Self::Answered { usage, .. }
            | Self::Relayed { usage }
            | Self::Failed { usage, .. }
            | Self::Cancelled { usage, .. } => *usage,
            Self::AgentDone { usage, .. } => usage.unwrap_or_default(),
            Self::BaseChecked(_)
            | Self::Prepared { .. }
            | Self::AcceptRan { .. }
            | Self::Composed { .. }
            | Self::ToolDone { .. }
            | Self::Saved { .. }
            | Self::Asks { .. }
            | Self::Gated { .. }
            | Self::Decomposed { .. }
            | Self::Rebased { .. }
            | Self::Built { .. }
            | Self::BuiltEmpty
            | Self::BuildConflict { .. }
            | Self::CandidateGated(_)
            | Self::Published
            | Self::PublishMoved { .. }
            | Self::Proposed { .. }
            | Self::PublishHeld { .. } => Usage::default(),
        }
    }
}

/// Which files a tool may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsaved {
    /// Those that its result names, and no other.
    Named,
    /// Any.
    Any,
}

/// What a composed request is measured by, and what of the conversation it leaves out. Everything
/// that is left out stays stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextUse {
    /// The model's window, in tokens of request and reply together, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// The oldest turns, told in a line each or together.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub turns_left_out: u32,
    /// Outputs of tools in later turns that are there as a reference only.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub outputs_left_out: u32,
    /// What of outputs is not in the request, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_left_out: u64,
}

impl ContextUse {
    /// The request has less than the whole conversation.
    #[must_use]
    pub fn leaves_out(&self) -> bool {
        0 < self.turns_left_out || 0 < self.outputs_left_out
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_nothing(n: &u32) -> bool {
    *n == 0
}
