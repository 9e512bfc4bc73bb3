//! Statuses of loops, and loops that are tried again.

use taskd_model::{Limit, LoopId, LoopLimits, Oid, Purse, Reason, Status};

use super::{Ledger, check};
use crate::tally::Tally;

impl Ledger {
    /// A loop's status is another.
    pub(super) fn status_changed(
        &mut self,
        id: LoopId,
        (from, to, reason): (Status, Status, &Reason),
        busy: bool,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let asked = self.last == Some((Some(id), true));
        let row = self.loops.get_mut(&id).expect("just seen");
        check(row.status == from, || format!("{id} is {}", row.status))?;
        from.check(to).map_err(|error| error.to_string())?;
        let asleep =
            !matches!(from, Status::Draft | Status::Pending | Status::Running | Status::Rebasing);
        check(!asleep || to.is_over() || asked, || format!("{id} wakes by itself"))?;
        let broke = matches!(reason, Reason::Limit(Limit::Budget | Limit::PlanBudget));
        check(!broke || to == Status::Blocked, || format!("{id} is {to} for money"))?;
        tally.penniless += u64::from(broke);
        check(!to.is_over() || !busy, || format!("{id} is {to} and still works"))?;
        let over = to.is_over();
        (row.status, row.reason, row.again) = (to, Some(reason.clone()), false);
        count(tally, to, reason);
        if to == Status::Complete {
            row.may_be_complete(id)?;
        }
        if from.is_over() {
            self.is_back(id);
        }
        if over { self.falls_silent(id) } else { Ok(()) }
    }

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
    fn is_back(&mut self, id: LoopId) {
        if self.ended.remove(&id.plan()) {
            self.released.remove(&id.plan());
        }
    }
}

fn count(tally: &mut Tally, to: Status, reason: &Reason) {
    match (to, reason) {
        (Status::Blocked, Reason::NeedFailed) => tally.needs_failed += 1,
        (Status::Blocked, Reason::Stuck(why)) if why.contains(" a day; ") => tally.too_much += 1,
        (Status::Blocked, Reason::NoProgress(_)) => tally.no_progress += 1,
        (Status::Blocked, _) => tally.blocked += 1,
        (Status::Paused, _) => tally.paused += 1,
        (Status::Stopped, _) => tally.stopped += 1,
        (Status::Failed, Reason::Internal(_)) => tally.internal += 1,
        (Status::Failed, _) => tally.limits += 1,
        (Status::Complete, Reason::AlreadyThere) => tally.already_there += 1,
        (Status::Complete, _) => tally.complete += 1,
        _ => {}
    }
}
