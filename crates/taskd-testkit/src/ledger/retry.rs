//! Loops that are tried again.

use taskd_model::{LoopId, LoopLimits, Oid, Purse};

use super::Ledger;
use crate::tally::Tally;

impl Ledger {
    /// A person wants a loop tried again: it has other limits, and what it passed with is void.
    pub(super) fn retried(
        &mut self,
        id: LoopId,
        to: Option<(Oid, Oid)>,
        limits: &LoopLimits,
        tally: &mut Tally,
    ) {
        tally.retried += 1;
        let row = self.loops.get_mut(&id).expect("just seen");
        row.head.limits = limits.clone();
        (row.passed, row.approved, row.held, row.suspect) = (false, false, false, false);
        (row.iteration_open, row.deferred) = (false, false);
        row.rewinding = to.filter(|_| 0 < row.iteration);
        row.forget_measures();
        row.progress.begins_anew();
        row.again = true;
        self.told.retain(|it| it.0 != Purse::Loop(id));
    }

    /// It was over, and is not any more; its plan neither, whose base is looked at again.
    pub(super) fn is_back(&mut self, id: LoopId) {
        if self.ended.remove(&id.plan()) {
            self.released.remove(&id.plan());
        }
    }
}
