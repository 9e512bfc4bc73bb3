//! What going back does to the state: a loop to an earlier state of its work, a target to what it
//! was before a loop's work landed.
//!
//! Nothing is thrown away here: what came after stays named by a ref, and a target goes back by a
//! commit more.

use taskd_model::{Digest, LoopId, Oid, QueueEnd, Seq, Time};

use super::State;
use crate::engine::{LoopEngine, Next, Rewind, Turn};

impl State {
    /// What runs of it ends; then its files become those, and the next iteration begins.
    pub(super) fn rewind(
        &mut self,
        id: LoopId,
        (to, base): (Oid, Oid),
        note: Digest,
        since: (Time, Seq),
    ) {
        if self.loops[&id].passed.is_some() {
            self.send_back(id, since);
        }
        let engine = self.engine_mut(id);
        engine.add_note(note);
        engine.begin_again(Some(Rewind { to, base }), since);
        self.end_open(id, |_| true);
    }

    /// A landed loop's work was taken off the target, or stays there.
    pub(super) fn undone(&mut self, id: LoopId, end: &QueueEnd) {
        let QueueEnd::Done { commit, onto, .. } = end else { return };
        let plan = self.plan(id.plan());
        let (project, target) = (plan.head.project, plan.head.target.clone());
        // Somebody may have built on it already; then the watcher saw the newer tip.
        if self.target_tip(plan) == *onto {
            self.move_target(project, &target, *commit, 1);
        }
        self.engine_mut(id).undone = Some(*commit);
    }
}

impl LoopEngine {
    /// Everything of the iteration under way is void. Who has used all iterations gets one more:
    /// a person asked for it.
    pub(super) fn begin_again(&mut self, to: Option<Rewind>, since: (Time, Seq)) {
        self.rewind = to;
        self.gate_first = false;
        self.not_read();
        self.set_next(Next::Iterate, since);
        self.turn = Turn::default();
        self.turns.clear();
        self.relays.clear();
        self.defer(None);
        self.attempts = 0;
        self.failing_since = None;
        self.sends = 0;
        self.refused_as_too_large = false;
        self.restarts = 0;
        self.stuck = None;
        self.conflicted = 0;
        let one_more = self.iteration.saturating_add(1);
        self.limits.iterations = self.limits.iterations.max(one_more);
    }

    /// The files are those. What ended late may have said otherwise of where the work is.
    pub(super) fn rewound(&mut self, to: Oid) {
        self.rewind = None;
        self.checkpoint = Some(to);
        // It was kept with what came after.
        self.unsaved = None;
        self.rebase_from = None;
        self.conflicts = 0;
        self.conflict_files = None;
        self.session = None;
    }
}
