//! Whether a loop gets on: what the end of an iteration does to it.
//!
//! Another tree, another verdict or another failure is progress, whether or not it is better. Who
//! waits ends no iteration, so waiting is never counted.

use taskd_model::{Event, IterationNote, LoopId, Reason, Seq, Time, Verdict};

use super::State;
use crate::engine::{LoopEngine, Next, Turn};

impl State {
    pub(super) fn iteration_ended(&mut self, id: LoopId, event: &Event, since: (Time, Seq)) {
        self.engine_mut(id).iteration_ended(event, since);
    }
}

impl LoopEngine {
    /// An iteration ended: the next one begins, unless it was green, or was one too many that ended
    /// this way.
    fn iteration_ended(&mut self, event: &Event, since: (Time, Seq)) {
        let Event::IterationEnded { n, verdict, summary, log, streak, .. } = event else { return };
        let (n, verdict, summary, log) = (*n, *verdict, summary.clone(), *log);
        self.note_iteration(IterationNote { n, verdict, summary, log });
        self.document_judged(verdict);
        self.streak = *streak;
        if self.stuck.is_none() {
            self.stuck = self.gets_nowhere().map(Reason::NoProgress);
        }
        self.not_read();
        self.turns.clear();
        self.turn = Turn::default();
        if verdict != Verdict::Green {
            self.set_next(Next::Iterate, since);
        }
    }

    /// It has ended the same way as often as it may; how often that is. Where it has no iteration
    /// left, that limit says more.
    fn gets_nowhere(&self) -> Option<u32> {
        let most = self.limits.same_failure;
        let times = self.streak?.times;
        let enough = 0 < most && most <= times && self.iteration < self.limits.iterations;
        enough.then_some(times)
    }

    /// A person has seen to it, or it knows something new: what comes is counted anew.
    pub(super) fn begins_anew(&mut self) {
        self.streak = None;
    }
}
