//! The landing queue of one project: one candidate after another, built on the tip, gated on that
//! tip, published by compare-and-swap.
//!
//! This module moves commits it cannot see. If the tip moves, what was built on the old one is
//! built again; only a publish that has begun is asked for again as it was, because it may have
//! happened.
//!
//! Invariant: nothing is published whose tree has no green evidence and whose parent is not the
//! tip it lands on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taskd_model::{EffectId, Evidence, Oid, Outcome, QueueEnd, QueueOp, Seq, Work};

/// What waits and what is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lane {
    /// Entries that wait, oldest first.
    pub(crate) waiting: BTreeMap<Seq, QueueOp>,
    pub(crate) active: Option<Active>,
}

/// The entry under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Active {
    pub(crate) entry: Seq,
    pub(crate) op: QueueOp,
    pub(crate) stage: Stage,
    /// For a refresh: the target's tip it merges.
    pub(crate) merges: Option<Oid>,
    pub(crate) open: Option<EffectId>,
    /// Failures in a row.
    pub(crate) attempts: u32,
}

/// How far the entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Nothing built, or not on the present tip.
    Fresh,
    /// A candidate without evidence.
    Built { commit: Oid, tree: Oid, onto: Oid },
    /// A candidate whose tree has green evidence.
    Gated { commit: Oid, onto: Oid, evidence: Evidence },
    /// A publish has begun; it may have happened.
    Publishing { commit: Oid, onto: Oid, evidence: Evidence },
    /// Decided; the entry leaves the queue.
    Over(QueueEnd),
}

/// Failures in a row after which an entry gives up.
const MAX_ATTEMPTS: u32 = 3;

impl Active {
    /// The effect under way ended. `seq` is where its outcome stands in the log.
    /// `tip` is where the ref it works on stands now.
    pub(crate) fn ended(
        &mut self,
        work: &Work,
        seq: Seq,
        outcome: &Outcome,
        was_ending: bool,
        tip: Oid,
    ) {
        self.open = None;
        if let Work::BuildCandidate { onto, .. } = work
            && !matches!(outcome, Outcome::Failed { .. })
            && *onto != tip
        {
            // Whatever it says about an old tip, it says nothing about this one.
            self.stage = Stage::Fresh;
            return;
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Fresh);
        self.stage = match (stage, outcome) {
            (Stage::Publishing { commit, onto, evidence }, Outcome::Published) => {
                Stage::Over(QueueEnd::Done { commit, onto, evidence })
            }
            (Stage::Publishing { commit, .. }, Outcome::Proposed { url }) => {
                Stage::Over(QueueEnd::Proposed { commit, url: url.clone() })
            }
            (Stage::Publishing { .. }, Outcome::PublishMoved { .. }) => Stage::Fresh,
            (_, Outcome::PublishHeld { why }) => Stage::Over(QueueEnd::Held { why: why.clone() }),
            (stage @ Stage::Publishing { .. }, _) if was_ending => stage,
            (_, _) if was_ending => Stage::Fresh,
            (stage, Outcome::Failed { message, .. }) => {
                self.attempts += 1;
                let message = message.clone();
                if self.attempts < MAX_ATTEMPTS {
                    stage
                } else {
                    Stage::Over(QueueEnd::Failed { message })
                }
            }
            (stage @ Stage::Publishing { .. }, _) => stage,
            (_, Outcome::Built { commit, tree }) => {
                Stage::Built { commit: *commit, tree: *tree, onto: tip }
            }
            (_, Outcome::BuiltEmpty) => Stage::Over(QueueEnd::Empty),
            (_, Outcome::BuildConflict { files }) => {
                Stage::Over(QueueEnd::Conflict { files: *files })
            }
            (Stage::Built { commit, tree, onto }, Outcome::CandidateGated(report)) => {
                if report.green {
                    Stage::Gated { commit, onto, evidence: Evidence { seq, tree } }
                } else {
                    Stage::Over(QueueEnd::Red { log: report.log })
                }
            }
            (stage, _) => stage,
        };
    }

    /// The candidate's tree is known to pass.
    pub(crate) fn has_evidence(&mut self, evidence: Evidence) {
        if let Stage::Built { commit, onto, .. } = self.stage {
            self.stage = Stage::Gated { commit, onto, evidence };
        }
    }
}
