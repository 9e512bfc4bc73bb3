//! What must hold of money and tokens, record by record: a second opinion that shares no code with
//! the core.
//!
//! Sums are kept by calendar day, so that a day's budget begins anew by itself, and everything that
//! was reserved is counted from the effects that are open.

use std::collections::BTreeMap;

use taskd_model::{LoopId, Owner, ProjectId, Purse, Relay, Seq, Time, Usage, Work};

use crate::{
    ledger::{Ledger, check},
    tally::Tally,
};

const DAY_MS: u64 = 86_400_000;

/// Micro-dollars, tokens.
pub(crate) type Pair = [u64; 2];

/// The budgets of days, and what was spent on each of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Days {
    budgets: BTreeMap<Purse, Pair>,
    spent: BTreeMap<(Purse, u64), Pair>,
    closed: BTreeMap<Purse, Time>,
}

fn pair(usage: &Usage) -> Pair {
    let tokens = usage.input + usage.output + usage.cache_read + usage.cache_write;
    [usage.micros, tokens]
}

/// What a call has reserved.
fn held(work: &Work) -> Pair {
    match work {
        Work::Call { reserved_micros, reserved_tokens, .. }
        | Work::Relay(Relay { reserved_micros, reserved_tokens, .. }) => {
            [*reserved_micros, *reserved_tokens]
        }
        Work::Answer(it) => [it.call.worst_micros, it.call.worst_tokens],
        _ => [0, 0],
    }
}

impl Ledger {
    fn project(&self, id: LoopId) -> ProjectId {
        self.plans[&id.plan()].project
    }

    fn purses(&self, id: LoopId) -> [Purse; 4] {
        let project = Purse::Project(self.project(id));
        [Purse::Loop(id), Purse::Plan(id.plan()), project, Purse::All]
    }

    fn loops_of(&self, of: Purse) -> Vec<LoopId> {
        self.loops.keys().copied().filter(|id| self.purses(*id).contains(&of)).collect()
    }

    /// What is spent of a purse, and what may be; no limit is `u64::MAX`.
    pub(crate) fn purse(&self, of: Purse) -> [(u64, u64); 2] {
        let some = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let (budget, spent) = match of {
            Purse::Loop(id) => {
                let row = &self.loops[&id];
                let limits = &row.head.limits;
                ([limits.budget_micros, some(limits.tokens)], pair(&row.spent))
            }
            Purse::Plan(plan) => {
                let head = &self.plans[&plan];
                let mut spent = [0, 0];
                for (_, row) in self.loops.iter().filter(|(id, _)| id.plan() == plan) {
                    let [micros, tokens] = pair(&row.spent);
                    spent = [spent[0] + micros, spent[1] + tokens];
                }
                ([head.budget_micros, some(head.tokens)], spent)
            }
            Purse::Project(_) | Purse::All => {
                let budget = self.days.budgets.get(&of).copied().unwrap_or_default();
                let today = (of, self.now.0 / DAY_MS);
                let spent = self.days.spent.get(&today).copied().unwrap_or_default();
                (budget.map(some), spent)
            }
        };
        [(spent[0], budget[0]), (spent[1], budget[1])]
    }

    /// Books what was used on the day it is known.
    pub(crate) fn book_day(&mut self, id: LoopId, more: &Usage) {
        let day = self.now.0 / DAY_MS;
        for of in [Purse::Project(self.project(id)), Purse::All] {
            let row = self.days.spent.entry((of, day)).or_default();
            let [micros, tokens] = pair(more);
            *row = [row[0] + micros, row[1] + tokens];
        }
    }

    /// With the worst it may use, and what is reserved for others, every budget is kept; and no
    /// budget of a day is closed.
    pub(crate) fn afforded(&self, owner: Owner, work: &Work) -> Result<(), String> {
        let Owner::Loop(id) = owner else { return Err("only loops spend".to_owned()) };
        for of in self.purses(id) {
            let closed = self.days.closed.contains_key(&of);
            check(!closed, || format!("{id} spends, and today's budget of {of} is closed"))?;
            for (unit, (spent, budget)) in self.purse(of).into_iter().enumerate() {
                check(spent < budget, || {
                    format!("{id} spends, and {of} has spent {spent} of {budget}")
                })?;
                let wanted = held(work)[unit];
                let open = self.open_work().filter(|(owner, _)| match owner {
                    Owner::Loop(other) => self.purses(*other).contains(&of),
                    Owner::Plan(_) | Owner::Queue(_) => false,
                });
                let all = open.map(|(_, it)| held(it)[unit]).sum::<u64>() + spent + wanted;
                check(wanted == 0 || all <= budget, || {
                    format!("{of} may come to {all} of {budget} with {id}")
                })?;
            }
        }
        Ok(())
    }

    pub(crate) fn budget_set(
        &mut self,
        of: Purse,
        unit: usize,
        amount: u64,
        tally: &mut Tally,
    ) -> Result<(), String> {
        match of {
            Purse::Loop(id) => {
                let row = self.loops.get_mut(&id).expect("added");
                check(!row.status.is_over(), || format!("{of} is over, and its budget is set"))?;
                let limits = &mut row.head.limits;
                *[&mut limits.budget_micros, &mut limits.tokens][unit] = amount;
            }
            Purse::Plan(id) => {
                let over = self.ended.contains(&id);
                check(!over, || format!("{of} is over, and its budget is set"))?;
                let head = self.plans.get_mut(&id).expect("submitted");
                *[&mut head.budget_micros, &mut head.tokens][unit] = amount;
            }
            Purse::Project(_) | Purse::All => {
                self.days.budgets.entry(of).or_default()[unit] = amount;
                self.days.closed.remove(&of);
            }
        }
        self.told.retain(|it| (it.0, it.1) != (of, unit));
        tally.budgets_set += 1;
        Ok(())
    }

    /// The day a warning is of; nothing of a budget that is for a whole life.
    fn day(&self, of: Purse) -> Option<u64> {
        of.is_daily().then_some(self.now.0 / DAY_MS)
    }

    pub(crate) fn warned(
        &mut self,
        of: Purse,
        unit: usize,
        (spent, budget): (u64, u64),
        tally: &mut Tally,
    ) -> Result<(), String> {
        let news = (of, unit, self.day(of));
        check(!self.told.contains(&news), || format!("{of} is warned of twice"))?;
        let known = self.purse(of)[unit];
        check(known == (spent, budget), || format!("{of}: {spent} of {budget}, not {known:?}"))?;
        check(is_near(spent, budget), || format!("{of}: {spent} of {budget} is no reason"))?;
        self.told.push(news);
        tally.budgets_warned += 1;
        tally.tokens_warned += unit as u64;
        Ok(())
    }

    /// Between inputs, every budget that spending has brought near its end has been told of.
    pub(crate) fn all_told(&self) -> Result<(), String> {
        let loops = self.loops.keys().map(|id| Purse::Loop(*id));
        let plans = self.plans.keys().map(|id| Purse::Plan(*id));
        for of in loops.chain(plans).chain(self.days.budgets.keys().copied()) {
            for (unit, (spent, budget)) in self.purse(of).into_iter().enumerate() {
                let told = self.told.contains(&(of, unit, self.day(of)));
                check(told || !is_near(spent, budget), || format!("nobody was told of {of}"))?;
            }
        }
        Ok(())
    }

    /// A day's budget is closed: it has one, somebody's next call is too much for it, and it is until
    /// the coming midnight.
    pub(crate) fn closed(
        &mut self,
        of: Purse,
        until: Time,
        tally: &mut Tally,
    ) -> Result<(), String> {
        check(of.is_daily(), || format!("{of} has no budget of a day"))?;
        let coming = (self.now.0 / DAY_MS + 1) * DAY_MS;
        check(until.0 == coming, || format!("{of} is closed until {}, not {coming}", until.0))?;
        let before = self.days.closed.insert(of, until);
        check(before.is_none(), || format!("{of} is closed twice"))?;
        let purse = self.purse(of);
        let too_much = |id: &LoopId| {
            let left = |unit: usize| purse[unit].1.saturating_sub(purse[unit].0);
            let mut all = self.asked_by(*id).chain([self.loops[id].worst]);
            all.any(|worst| (0..2).any(|unit| left(unit) < worst[unit].max(1)))
        };
        let reason = self.loops_of(of).iter().any(too_much);
        check(reason, || format!("{of} is closed with {purse:?}, and nobody asks for more"))?;
        tally.days_spent += 1;
        Ok(())
    }

    /// It pays again: the midnight has come.
    pub(crate) fn renewed(&mut self, of: Purse, tally: &mut Tally) -> Result<(), String> {
        let until = self.days.closed.remove(&of);
        let until = until.ok_or_else(|| format!("{of} is renewed and was not closed"))?;
        check(until <= self.now, || format!("{of} is renewed before midnight"))?;
        tally.days_renewed += 1;
        Ok(())
    }

    /// What a request may use at most, as it was rendered.
    pub(crate) fn composed(&mut self, id: LoopId, worst: Pair) {
        self.loops.get_mut(&id).expect("added").worst = worst;
    }

    /// The event that was folded last was decided at this time.
    pub(crate) fn at(&mut self, seq: Seq, at: Time) -> Result<(), String> {
        check(self.now <= at, || format!("event {seq} is before the one before it"))?;
        self.now = at;
        Ok(())
    }
}

fn is_near(spent: u64, budget: u64) -> bool {
    0 < spent && u128::from(budget) * 8 <= u128::from(spent) * 10
}
