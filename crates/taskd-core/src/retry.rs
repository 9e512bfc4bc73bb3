//! Trying again what did not get there: a loop that is blocked, has failed or was stopped goes on
//! with fresh limits, from the work that is kept or from an earlier state of it. So does one whose
//! document was taken apart: it writes another version.
//!
//! It stays the same loop, so whoever needs it need not be told of another.

use taskd_model::{Actor, Command, Event, Limit, LoopId, LoopLimits, Reason, Status, Time};

use crate::{Coordinator, Rejected, engine::LoopEngine, money, plan::Reach};

impl Coordinator {
    /// A person wants a loop tried again. Whoever could not begin without it waits for it again.
    pub(crate) fn retry(
        &mut self,
        now: Time,
        actor: Actor,
        id: LoopId,
        command: &Command,
    ) -> Result<(), Rejected> {
        self.may_retry(id)?;
        let Command::Retry { to, gate, note, tip, .. } = command else { return Ok(()) };
        let head = &self.state().plan(id.plan()).head;
        let (project, target) = (head.project, head.target.clone());
        self.target_is_at(now, project, &target, tip);
        let engine = &self.state().loops()[&id];
        let from = engine.status;
        let limits = fresh(engine, &self.state().plan(id.plan()).spec(id).head.limits);
        let event = Event::Retried { to: *to, gate: *gate, limits, note: *note };
        self.emit(now, actor, Some(id), event);
        let event = Event::StatusChanged { from, to: Status::Pending, reason: Reason::Person };
        self.emit(now, actor, Some(id), event);
        for it in self.blocked_by(id) {
            self.go_on(now, actor, &it);
        }
        Ok(())
    }

    /// Whether [`Command::Retry`] would be refused now.
    ///
    /// # Errors
    ///
    /// Why.
    pub fn may_retry(&self, id: LoopId) -> Result<(), Rejected> {
        let engine = self.state().engine(id).ok_or(Rejected::NoLoop(id))?;
        let (name, status) = (self.name_of(id), engine.status);
        if engine.reason == Some(Reason::Superseded) {
            return Err(Rejected::Superseded { name });
        }
        let ended = matches!(status, Status::Blocked | Status::Failed | Status::Stopped)
            || engine.was_taken_apart();
        let ending = !engine.is_over() && engine.ending.is_some();
        if !ended || ending || engine.landed.is_some() {
            return Err(Rejected::NothingToRetry { name, status });
        }
        if self.state().plan(id.plan()).needs_reach(id) == Reach::Lost {
            return Err(Rejected::NeedFailed { name });
        }
        // Its own budget is filled again; its plan's is not.
        match money::cannot_pay(self.state(), engine) {
            Some(limit @ Limit::PlanBudget) => Err(Rejected::NoMoney { name, limit }),
            Some(_) | None => Ok(()),
        }
    }

    /// Loops that are blocked for want of this one, and of nothing else any more.
    pub(crate) fn blocked_by(&self, id: LoopId) -> Vec<LoopEngine> {
        let plan = self.state().plan(id.plan());
        let dependents = plan.spec(id).dependents.iter();
        let loops =
            dependents.map(|it| &self.state().loops()[&plan.specs[usize::from(*it)].latest]);
        let waits = |it: &&LoopEngine| {
            it.status == Status::Blocked
                && it.reason == Some(Reason::NeedFailed)
                && plan.needs_reach(it.id) != Reach::Lost
        };
        loops.filter(waits).cloned().collect()
    }
}

/// As much as it had when it came, with what it has used.
fn fresh(engine: &LoopEngine, first: &LoopLimits) -> LoopLimits {
    let tokens = match first.tokens {
        0 => 0,
        tokens => tokens.saturating_add(engine.spent.tokens()),
    };
    LoopLimits {
        iterations: first.iterations.saturating_add(engine.iteration),
        budget_micros: first.budget_micros.saturating_add(engine.spent.micros),
        tokens,
        ..first.clone()
    }
}
