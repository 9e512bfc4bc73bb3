//! Whether a loop gets on, counted again from what its gates and agents said.

use taskd_model::{Digest, LoopLimits, Oid, Outcome, Streak, Verdict};

use super::check;

/// What its last iterations came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// What the gate or the agent said last: of which tree, and what.
    said: Option<(Oid, String)>,
    /// How the last iteration ended.
    last: Option<(Verdict, Oid, String)>,
    times: u32,
}

impl Progress {
    /// A gate or an agent of it ended.
    pub(super) fn worked(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Gated { tree, report, .. } => {
                let failed = report.as_ref().and_then(|it| it.facts.failed);
                let summary = || report.as_ref().map(|it| it.summary.clone()).unwrap_or_default();
                self.said = Some((*tree, failed.map_or_else(summary, |it| it.to_string())));
            }
            Outcome::AgentDone { exit, summary, checkpoint, .. } => {
                self.said = Some((*checkpoint, format!("{exit} {summary}")));
            }
            _ => {}
        }
    }

    /// What a second reader found in a tree is what was said of it.
    pub(super) fn read(&mut self, tree: Oid, found: Digest) {
        self.said = Some((tree, found.to_string()));
    }

    /// An iteration ended; the log says how often in a row this way.
    pub(super) fn ended(&mut self, verdict: Verdict, streak: Option<Streak>) -> Result<(), String> {
        let Some((tree, what)) = self.said.clone() else {
            return Err("an iteration ended, and nobody said so".to_owned());
        };
        let end = (verdict, tree, what);
        self.times = if self.last.as_ref() == Some(&end) { self.times + 1 } else { 1 };
        self.last = Some(end);
        let green = verdict == Verdict::Green;
        if green {
            self.begins_anew();
        }
        let told = streak.map(|it| it.times);
        let counted = (!green).then_some(self.times);
        check(told == counted, || format!("{verdict}: counted {told:?}, and it is {counted:?}"))
    }

    /// The next iteration begins: the last ones were not all the same.
    pub(super) fn may_go_on(&self, limits: &LoopLimits) -> Result<(), String> {
        let most = limits.same_failure;
        check(most == 0 || self.times < most, || {
            format!("ended the same way {} times, and goes on", self.times)
        })
    }

    /// A person told it something, or sent it on.
    pub(super) fn begins_anew(&mut self) {
        (self.last, self.times) = (None, 0);
    }
}
