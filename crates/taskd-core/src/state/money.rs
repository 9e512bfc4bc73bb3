//! What money does to the state: bookings, reservations, budgets that are set, closed and renewed.

use taskd_model::{Amount, LoopId, Owner, PlanId, Purse, Status, Time, Unit, Usage, Work};

use super::{State, bucket_of};
use crate::{
    engine::{LoopEngine, Next},
    index::mark,
    money::{Closed, DayPurse, purses_of},
    plan::PlanState,
};

impl State {
    /// The account of a day; nothing for a purse of another kind, or of an unknown project.
    pub(crate) fn day(&self, of: Purse) -> Option<&DayPurse> {
        match of {
            Purse::All => Some(&self.all),
            Purse::Project(id) => self.projects.get(&id).map(|it| &it.purse),
            Purse::Loop(_) | Purse::Plan(_) => None,
        }
    }

    fn day_mut(&mut self, of: Purse) -> Option<&mut DayPurse> {
        match of {
            Purse::All => Some(&mut self.all),
            Purse::Project(id) => self.projects.get_mut(&id).map(|it| &mut it.purse),
            Purse::Loop(_) | Purse::Plan(_) => None,
        }
    }

    /// The day's budget that keeps a loop from spending, if one does.
    pub(crate) fn closed_for(&self, id: LoopId) -> Option<(Purse, Closed)> {
        let project = Purse::Project(self.plan(id.plan()).head.project);
        let closed = |of: Purse| Some((of, self.day(of)?.closed?));
        closed(Purse::All).or_else(|| closed(project))
    }

    /// A day's budget is closed, and it is all the loop waits for.
    pub(crate) fn waits_for_day(&self, engine: &LoopEngine) -> Option<(Purse, Closed)> {
        let spends = matches!(engine.next, Next::Call { .. } | Next::Agent { .. });
        let waits = spends && engine.is_idle() && engine.queued.is_none();
        self.closed_for(engine.id).filter(|_| waits)
    }

    /// Keeps what a call may use from whoever else its budgets pay for.
    pub(super) fn reserve(&mut self, id: LoopId, amount: Amount) {
        self.reservations(id, |it| it.add(amount));
    }

    /// Gives back what a call that ended, or was lost, had reserved.
    pub(super) fn release(&mut self, id: LoopId, amount: Amount) {
        self.reservations(id, |it| it.take(amount));
    }

    fn reservations(&mut self, id: LoopId, change: impl Fn(&mut Amount)) {
        change(&mut self.engine_mut(id).reserved);
        change(&mut self.plan_mut(id.plan()).reserved);
        for of in purses_of(self, id) {
            if let Some(it) = self.day_mut(of) {
                change(&mut it.reserved);
            }
        }
    }

    /// Books the difference between what was booked for an effect and what it used.
    pub(super) fn book(&mut self, owner: Owner, work: &Work, before: &Usage, now: &Usage) {
        let Owner::Loop(id) = owner else { return };
        let delta = now.beyond(before);
        if let Some(bucket) = bucket_of(work).and_then(|it| self.buckets.get_mut(it)) {
            bucket.used(&delta);
        }
        self.engine_mut(id).spent.add(&delta);
        self.plan_mut(id.plan()).spent.add(&delta);
        let (used, at) = (Amount::of(&delta), self.now);
        if used == Amount::default() {
            return;
        }
        for of in purses_of(self, id) {
            if let Some(it) = self.day_mut(of) {
                it.book(used, at);
            }
        }
    }

    /// A person set a budget: what was told of it is told again, and what it held up goes on.
    pub(super) fn set_budget(&mut self, of: Purse, unit: Unit, amount: u64) {
        match of {
            Purse::Loop(id) => {
                let engine = self.engine_mut(id);
                engine.told.set(unit, false);
                match unit {
                    Unit::Micros => engine.limits.budget_micros = amount,
                    Unit::Tokens => engine.limits.tokens = amount,
                }
            }
            Purse::Plan(id) => {
                let plan = self.plan_mut(id);
                plan.told.set(unit, false);
                match unit {
                    Unit::Micros => plan.head.budget_micros = amount,
                    Unit::Tokens => plan.head.tokens = amount,
                }
                self.touch_whole_plan(id);
            }
            Purse::Project(_) | Purse::All => {
                let it = self.day_mut(of).expect("known, as was checked before");
                it.budget.set(unit, amount);
                it.told.set(unit, false);
                self.close(of, None);
            }
        }
    }

    /// It was said that a budget comes to its end.
    pub(super) fn tell(&mut self, of: Purse, unit: Unit) {
        match of {
            Purse::Loop(id) => self.engine_mut(id).told.set(unit, true),
            Purse::Plan(id) => self.plan_mut(id).told.set(unit, true),
            Purse::Project(_) | Purse::All => {
                self.day_mut(of).expect("known, since it was spent from").told.set(unit, true);
            }
        }
    }

    /// A day's budget is spent until then, or pays again.
    pub(super) fn close(&mut self, of: Purse, until: Option<Time>) {
        let by = taskd_model::Seq(self.next.0 - 1);
        let closed = until.map(|until| Closed { until, by });
        let purse = self.day_mut(of).expect("only budgets of a day are closed");
        let before = std::mem::replace(&mut purse.closed, closed);
        if before.is_none() && closed.is_none() {
            return;
        }
        for (it, wanted) in [(before, false), (closed, true)] {
            if let Some(it) = it {
                mark(&mut self.index.renewals, (it.until, of), wanted);
            }
        }
        let plans: Vec<PlanId> = match of {
            Purse::Project(id) => self.projects[&id].plans.iter().copied().collect(),
            Purse::All | Purse::Plan(_) | Purse::Loop(_) => self.plans.keys().copied().collect(),
        };
        let open = plans.iter().map(|it| self.plan(*it)).filter(|it| it.state != PlanState::Ended);
        let loops = open.flat_map(|it| it.specs.iter().map(|it| it.latest));
        let loops: Vec<LoopId> = loops.collect();
        for id in loops {
            if closed.is_none() {
                // What it waited for money, it did not wait for its model.
                self.wants_call(id, false);
            }
            if closed.is_some() {
                self.end_relays(id);
            }
            self.note_call_wait(id);
            self.touch_loop(id);
        }
    }

    /// Keeps how long a loop has been waiting for a provider, or for a day's money, which is not its
    /// time.
    pub(super) fn note_call_wait(&mut self, id: LoopId) {
        let engine = &self.loops[&id];
        let works = matches!(engine.status, Status::Running | Status::Rebasing);
        let waits = match engine.next {
            Next::Call { .. } => true,
            Next::Agent { .. } => {
                let refused = engine.run().is_some_and(|it| self.recesses.contains_key(it));
                refused || self.closed_for(id).is_some()
            }
            Next::Accept
            | Next::Iterate
            | Next::Compose
            | Next::Tools
            | Next::Gate
            | Next::Land => false,
        };
        // An agent with a call under way does something, whatever else it asks for.
        let held = !engine.relays.is_empty() && engine.open.len() <= 1;
        self.wants_call(id, works && (held || (engine.is_quiet() && waits)));
    }

    fn wants_call(&mut self, id: LoopId, wants: bool) {
        let now = self.now;
        let engine = self.engine_mut(id);
        if wants == engine.call_wanted_at.is_some() {
            return;
        }
        if let Some(parked_ms) = engine.wants_call(wants, now)
            && self.plan(id.plan()).parked_ms < parked_ms
        {
            self.plan_mut(id.plan()).parked_ms = parked_ms;
            self.touch_whole_plan(id.plan());
        }
    }
}
