//! What gates said of which tree, so that one that says otherwise of the same tree is found out.
//!
//! A verdict changes nothing that follows: a flaky gate that is red is red. It is only told.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use taskd_model::{Digest, EffectId, Event, GateReport, Outcome, Seq};

use crate::state::State;

/// Verdicts that are kept; older ones are forgotten.
const MAX_VERDICTS: usize = 2_000;

/// The last word of gates, by tree, commands and environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdicts {
    said: BTreeMap<Digest, Said>,
    order: VecDeque<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    green: bool,
    seq: Seq,
    failed: Vec<String>,
}

impl Verdicts {
    /// A gate said something.
    pub(crate) fn take(&mut self, seq: Seq, outcome: &Outcome) {
        let Some((key, report)) = report(outcome) else { return };
        let failed = report.proof.as_ref().map(|it| it.failed.clone()).unwrap_or_default();
        if self.said.insert(key, Said { green: report.green, seq, failed }).is_some() {
            return;
        }
        self.order.push_back(key);
        if MAX_VERDICTS < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.said.remove(&oldest);
        }
    }
}

/// The event that says that a gate is flaky, if what it says now is not what it said before, or its
/// runs did not agree.
pub(crate) fn flake(state: &State, effect: EffectId, outcome: &Outcome) -> Option<Event> {
    let (key, report) = report(outcome)?;
    let proof = report.proof.as_ref()?;
    let before = state.verdicts().said.get(&key).filter(|it| it.green != report.green);
    let red = proof.earlier.last().filter(|_| report.green);
    let tests = match (red, before) {
        (Some(red), _) => &red.failed,
        (None, Some(before)) if report.green => &before.failed,
        (None, Some(_)) => &proof.failed,
        (None, None) => return None,
    };
    let other = before.map(|it| it.seq);
    let (tree, gate, tests) = (proof.tree, proof.gate, tests.clone());
    Some(Event::GateFlaked { effect, tree, gate, tests, other })
}

/// A gate's report, and what it is about. Nothing where nothing ran.
fn report(outcome: &Outcome) -> Option<(Digest, &GateReport)> {
    let report = match outcome {
        Outcome::BaseChecked(report) | Outcome::CandidateGated(report) => report,
        Outcome::Gated { report, .. } => report.as_ref()?,
        Outcome::Prepared { .. }
        | Outcome::AcceptRan { .. }
        | Outcome::Composed { .. }
        | Outcome::Replied { .. }
        | Outcome::Answered { .. }
        | Outcome::Relayed { .. }
        | Outcome::ToolDone { .. }
        | Outcome::Saved { .. }
        | Outcome::Asks { .. }
        | Outcome::AgentDone { .. }
        | Outcome::Decomposed { .. }
        | Outcome::Rebased { .. }
        | Outcome::Built { .. }
        | Outcome::BuiltEmpty
        | Outcome::BuildConflict { .. }
        | Outcome::Published
        | Outcome::PublishMoved { .. }
        | Outcome::PublishHeld { .. }
        | Outcome::Proposed { .. }
        | Outcome::Failed { .. }
        | Outcome::Cancelled { .. } => return None,
    };
    let proof = report.proof.as_ref()?;
    let parts: [&[u8]; 3] =
        [proof.tree.as_bytes(), proof.gate.as_bytes(), proof.environment.as_bytes()];
    Some((Digest::of_parts(&parts), report))
}
