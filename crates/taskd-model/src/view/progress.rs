//! What is said of a loop that does not get on.

use crate::{Digest, Event, LoopLimits, Time, Verdict};

use super::LoopView;

impl LoopView {
    /// What happened in each of the last iterations, where they ended the same way, and how often:
    /// `limit::refill has failed twice`. The names are those of the last gate.
    #[must_use]
    pub fn same_again(&self) -> Option<String> {
        let what = match self.iterations.iter().rev().find_map(|it| it.verdict)? {
            Verdict::Red => {
                let proof = self.gate.as_ref().and_then(|it| it.proof.as_ref());
                match proof.map_or(&[][..], |it| &it.failed[..]) {
                    [] => "the gate was red".to_owned(),
                    [one] => format!("{one} has failed"),
                    [one, more @ ..] => format!("{one} and {} more have failed", more.len()),
                }
            }
            Verdict::Unchanged => "nothing was changed".to_owned(),
            Verdict::Conflict => "conflicts were left".to_owned(),
            Verdict::AgentFailed => "its agent has failed".to_owned(),
            Verdict::Objected => "its second reader has objected".to_owned(),
            Verdict::Green => return None,
        };
        let times = match self.alike {
            0 => return None,
            1 => "once".to_owned(),
            2 => "twice".to_owned(),
            n => format!("{n} times"),
        };
        Some(format!("{what} {times}"))
    }

    /// A person sent it back, or wants it tried again.
    pub(super) fn sent_to(&mut self, event: &Event, at: Time) {
        if let Event::Rewound { note, .. } = event {
            self.rewound(*note, at);
        }
        if let Event::Retried { limits, note, .. } = event {
            self.retried(limits, *note, at);
        }
    }

    /// A person wants it tried again: what it passed with is void, and its limits are others.
    fn retried(&mut self, limits: &LoopLimits, note: Digest, at: Time) {
        self.rewound(note, at);
        self.limits = limits.clone();
        (self.started_at, self.ended_at) = (None, None);
    }

    /// What is said before the last iteration that may end the same way.
    #[must_use]
    pub fn warns_of_no_progress(&self) -> Option<String> {
        let last = self.alike.saturating_add(1) == self.limits.same_failure;
        if !last || self.status.is_over() || self.limits.iterations <= self.alike {
            return None;
        }
        let nth = match self.limits.same_failure {
            2 => "second".to_owned(),
            3 => "third".to_owned(),
            n => format!("{n}th"),
        };
        let same = self.same_again()?;
        Some(format!(
            "{same}; a {nth} time with the same tree stops it as \"no progress\" and asks you"
        ))
    }
}
