//! Budgets as people see them: of loops and plans for their whole life, of projects and everything
//! for a day.

use serde::{Deserialize, Serialize};

use crate::{Amount, ProjectId, Purse, Seq, Status, Time, Unit, Usage, day_of};

use super::{Doing, LoopView, PlanView, View};

/// A budget of a day (UTC).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayView {
    /// What may be spent each day; 0 is no budget in that unit.
    pub budget: Amount,
    /// The day of `spent`: days since 1970-01-01.
    pub day: u32,
    /// What was spent on that day.
    pub spent: Amount,
    /// It did not pay for a call: nothing that costs money starts.
    pub closed: Option<ClosedView>,
}

/// Why and until when a day's budget is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedView {
    /// When it is renewed.
    pub until: Time,
    /// The event that says so.
    pub by: Seq,
}

impl DayView {
    /// There is a budget in one unit at least.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.budget != Amount::default()
    }

    /// What was spent on the day of `now`.
    #[must_use]
    pub fn spent_at(&self, now: Time) -> Amount {
        if self.day == day_of(now) { self.spent } else { Amount::default() }
    }

    fn book(&mut self, more: Amount, at: Time) {
        self.spent = self.spent_at(at);
        self.day = day_of(at);
        self.spent.add(more);
    }
}

/// A budget, and what is spent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetView {
    /// Whose.
    pub of: Purse,
    /// What is spent; of a day's budget, today.
    pub spent: Amount,
    /// Micro-dollars that may be, if that is limited.
    pub micros: Option<u64>,
    /// Tokens that may be, if that is limited.
    pub tokens: Option<u64>,
    /// Until when a day's budget is closed, if it is.
    pub closed_until: Option<Time>,
}

impl BudgetView {
    /// What may be spent in this unit, if that is limited.
    #[must_use]
    pub fn limit(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Micros => self.micros,
            Unit::Tokens => self.tokens,
        }
    }

    /// The unit of which the larger part is spent, with what is spent and what may be.
    #[must_use]
    pub fn tightest(&self) -> Option<(Unit, u64, u64)> {
        let rows = Unit::ALL.into_iter().filter_map(|unit| {
            let limit = self.limit(unit)?;
            Some((unit, self.spent.get(unit), limit))
        });
        // Of equal parts money is named.
        rows.reduce(|a, b| {
            let part = |(_, spent, limit): (Unit, u64, u64), other: u64| {
                u128::from(spent) * u128::from(other) / u128::from(limit.max(1))
            };
            let whole = 1_000_000;
            if part(a, whole) < part(b, whole) { b } else { a }
        })
    }

    /// It has spent so much that a person should know: 80 %, in words.
    #[must_use]
    pub fn near(&self) -> Option<String> {
        let (unit, spent, limit) = self.tightest()?;
        nears(spent, limit).then(|| spent_of(unit, spent, limit))
    }
}

/// Four fifths of a budget, or more, are spent. Nothing spent is never much.
#[must_use]
pub fn nears(spent: u64, budget: u64) -> bool {
    0 < spent && budget.saturating_mul(4) <= spent.saturating_mul(5)
}

/// `82 % of its $5.00 spent`.
#[must_use]
pub fn spent_of(unit: Unit, spent: u64, budget: u64) -> String {
    if budget == 0 {
        return format!("{} spent of a budget of nothing", unit.format(spent));
    }
    let percent = u128::from(spent) * 100 / u128::from(budget);
    format!("{percent} % of its {} spent", unit.format(budget))
}

/// What may be spent from now on, in words.
#[must_use]
pub fn may_spend(of: Purse, unit: Unit, budget: u64) -> String {
    match (budget, of.is_daily(), unit) {
        (0, true, Unit::Micros) => "no budget of money".to_owned(),
        (0, _, Unit::Tokens) => "no budget of tokens".to_owned(),
        (_, true, _) => format!("may spend {} a day", unit.format(budget)),
        (_, false, _) => format!("may spend {} in all", unit.format(budget)),
    }
}

/// 0 is no limit.
fn some(budget: u64) -> Option<u64> {
    (0 < budget).then_some(budget)
}

impl LoopView {
    /// Its budget.
    #[must_use]
    pub fn budget(&self) -> BudgetView {
        BudgetView {
            of: Purse::Loop(self.id),
            spent: Amount::of(&self.spent),
            micros: Some(self.limits.budget_micros),
            tokens: some(self.limits.tokens),
            closed_until: None,
        }
    }
}

impl PlanView {
    /// Its budget.
    #[must_use]
    pub fn budget(&self) -> BudgetView {
        BudgetView {
            of: Purse::Plan(self.id),
            spent: Amount::of(&self.spent),
            micros: Some(self.budget_micros),
            tokens: some(self.tokens),
            closed_until: None,
        }
    }
}

impl View {
    /// A budget and what is spent of it, today where it is one of a day; nothing if there is no such
    /// loop, plan or project.
    #[must_use]
    pub fn budget(&self, of: Purse, now: Time) -> Option<BudgetView> {
        match of {
            Purse::Loop(id) => self.loops.get(&id).map(LoopView::budget),
            Purse::Plan(id) => self.plans.get(&id).map(PlanView::budget),
            Purse::Project(_) | Purse::All => {
                let day = self.day_of(of)?;
                Some(BudgetView {
                    of,
                    spent: day.spent_at(now),
                    micros: some(day.budget.micros),
                    tokens: some(day.budget.tokens),
                    closed_until: day.closed.map(|it| it.until),
                })
            }
        }
    }

    /// The budgets of days there are, of everything first.
    pub fn days(&self) -> impl Iterator<Item = (Purse, &DayView)> {
        let projects = self.projects.iter().filter(|(_, it)| !it.forgotten);
        let projects = projects.map(|(id, it)| (Purse::Project(*id), &it.day));
        [(Purse::All, &self.day)].into_iter().chain(projects).filter(|(_, it)| it.is_set())
    }

    /// The day's budget a loop waits for before it may call its model or run its agent.
    #[must_use]
    pub fn waits_for_day(&self, it: &LoopView) -> Option<Purse> {
        let queued = matches!(it.doing, Doing::QueuedForModel | Doing::QueuedForAgent);
        // After a restart it is not said again what it waits for.
        let rests = it.doing == Doing::Idle && it.status == Status::Running && it.passed.is_none();
        let waits = it.effects.is_empty() && (queued || rests);
        let project = self.plans.get(&it.id.plan()).filter(|_| waits)?.project;
        let closed = |of: &Purse| self.day_of(*of).is_some_and(|it| it.closed.is_some());
        [Purse::All, Purse::Project(project)].into_iter().find(closed)
    }

    /// What people call a purse: `p7`, `p7.limiter`, `everything`, a project's folder.
    #[must_use]
    pub fn purse_name(&self, of: Purse) -> String {
        match of {
            Purse::Loop(id) => self.loop_name(id),
            Purse::Project(id) => match self.projects.get(&id) {
                Some(it) => it.root.rsplit('/').next().unwrap_or(&it.root).to_owned(),
                None => of.to_string(),
            },
            Purse::Plan(_) | Purse::All => of.to_string(),
        }
    }

    fn day_of(&self, of: Purse) -> Option<&DayView> {
        match of {
            Purse::All => Some(&self.day),
            Purse::Project(id) => self.projects.get(&id).map(|it| &it.day),
            Purse::Loop(_) | Purse::Plan(_) => None,
        }
    }

    fn day_mut(&mut self, of: Purse) -> Option<&mut DayView> {
        match of {
            Purse::All => Some(&mut self.day),
            Purse::Project(id) => self.projects.get_mut(&id).map(|it| &mut it.day),
            Purse::Loop(_) | Purse::Plan(_) => None,
        }
    }

    pub(super) fn budget_set(&mut self, of: Purse, unit: Unit, amount: u64) {
        match of {
            Purse::Loop(id) => {
                if let Some(it) = self.loops.get_mut(&id) {
                    match unit {
                        Unit::Micros => it.limits.budget_micros = amount,
                        Unit::Tokens => it.limits.tokens = amount,
                    }
                }
            }
            Purse::Plan(id) => {
                if let Some(it) = self.plans.get_mut(&id) {
                    match unit {
                        Unit::Micros => it.budget_micros = amount,
                        Unit::Tokens => it.tokens = amount,
                    }
                }
            }
            Purse::Project(_) | Purse::All => {
                if let Some(it) = self.day_mut(of) {
                    it.budget.set(unit, amount);
                    it.closed = None;
                }
            }
        }
    }

    pub(super) fn budget_closed(&mut self, of: Purse, closed: Option<ClosedView>) {
        if let Some(it) = self.day_mut(of) {
            it.closed = closed;
        }
    }

    /// Books what was used on the day of `at`.
    pub(super) fn book_day(&mut self, project: ProjectId, more: &Usage, at: Time) {
        let more = Amount::of(more);
        if more == Amount::default() {
            return;
        }
        for of in [Purse::All, Purse::Project(project)] {
            if let Some(it) = self.day_mut(of) {
                it.book(more, at);
            }
        }
    }
}
