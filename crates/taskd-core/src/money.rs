//! Money and tokens: which budgets pay for a loop, and whether they can.
//!
//! Four accounts pay for everything a loop does: its own, its plan's, its project's and
//! everybody's. The first two are for their whole life, and who has spent them waits for a person.
//! The other two are for a day in UTC: what does not fit today waits for tomorrow, and nobody is
//! asked. Each is counted in micro-dollars and in tokens of all classes, where it has a limit.
//!
//! A call is taken to use the worst it can, and that is reserved in all four until it has ended, so
//! however many start at once, none goes beyond a budget. What was spent never comes back; only
//! what is reserved may. Questions alone: `state/money` does what the answers say.

use serde::{Deserialize, Serialize};
use taskd_model::{
    Amount, Event, Limit, LoopId, Purse, Reason, Seq, Status, Time, Unit, day_of, next_midnight,
};

use crate::{
    decide::Step,
    engine::{LoopEngine, Next},
    state::State,
};

/// In which units it was said that an account comes to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    micros: bool,
    tokens: bool,
}

impl Told {
    fn of(self, unit: Unit) -> bool {
        match unit {
            Unit::Micros => self.micros,
            Unit::Tokens => self.tokens,
        }
    }

    pub(crate) fn set(&mut self, unit: Unit, told: bool) {
        match unit {
            Unit::Micros => self.micros = told,
            Unit::Tokens => self.tokens = told,
        }
    }
}

/// The account of a day: a project's, or everybody's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayPurse {
    /// What may be spent each day; 0 is no limit.
    pub(crate) budget: Amount,
    /// What calls in flight may still use, whatever the day.
    pub(crate) reserved: Amount,
    /// It did not pay for a call: until then nothing that costs money starts.
    pub(crate) closed: Option<Closed>,
    pub(crate) told: Told,
    /// The day of `spent` and `told`.
    day: u32,
    spent: Amount,
}

/// Until when the account of a day is closed, and the event that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closed {
    pub(crate) until: Time,
    pub(crate) by: Seq,
}

impl DayPurse {
    /// Books what was used now; with a new day the sum begins anew.
    pub(crate) fn book(&mut self, used: Amount, now: Time) {
        self.begin_day(now);
        self.spent.add(used);
    }

    /// Another day has nothing spent and nothing told.
    pub(crate) fn begin_day(&mut self, now: Time) {
        if self.day != day_of(now) {
            (self.day, self.spent, self.told) = (day_of(now), Amount::default(), Told::default());
        }
    }
}

/// One budget that pays for a loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) of: Purse,
    pub(crate) spent: Amount,
    pub(crate) reserved: Amount,
    micros: Option<u64>,
    tokens: Option<u64>,
    told: Told,
}

impl Account {
    /// What may be spent in this unit, if that is limited.
    pub(crate) fn limit(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Micros => self.micros,
            Unit::Tokens => self.tokens,
        }
    }

    /// What is not spent, if that is limited.
    fn left(&self, unit: Unit) -> Option<u64> {
        Some(self.limit(unit)?.saturating_sub(self.spent.get(unit)))
    }

    /// What is neither spent nor reserved, if that is limited.
    fn free(&self, unit: Unit) -> Option<u64> {
        Some(self.left(unit)?.saturating_sub(self.reserved.get(unit)))
    }

    /// What was not told yet: so much of this budget is spent that a person should know.
    pub(crate) fn news(&self) -> impl Iterator<Item = Event> + '_ {
        let of = self.of;
        Unit::ALL.into_iter().filter_map(move |unit| {
            let (spent, budget) = (self.spent.get(unit), self.limit(unit)?);
            if self.told.of(unit) || !taskd_model::nears(spent, budget) {
                return None;
            }
            Some(match unit {
                Unit::Micros => {
                    Event::BudgetWarned { of, spent_micros: spent, budget_micros: budget }
                }
                Unit::Tokens => Event::TokensWarned { of, spent, budget },
            })
        })
    }
}

/// 0 is no limit.
fn some(limit: u64) -> Option<u64> {
    (0 < limit).then_some(limit)
}

/// The account of a purse, as it is now.
pub(crate) fn account(state: &State, of: Purse, now: Time) -> Account {
    match of {
        Purse::Loop(id) => {
            let it = &state.loops()[&id];
            Account {
                of,
                spent: Amount::of(&it.spent),
                reserved: it.reserved,
                micros: Some(it.limits.budget_micros),
                tokens: some(it.limits.tokens),
                told: it.told,
            }
        }
        Purse::Plan(id) => {
            let it = state.plan(id);
            Account {
                of,
                spent: Amount::of(&it.spent),
                reserved: it.reserved,
                micros: Some(it.head.budget_micros),
                tokens: some(it.head.tokens),
                told: it.told,
            }
        }
        Purse::Project(_) | Purse::All => {
            let mut it = *state.day(of).expect("projects are known before anything is spent");
            it.begin_day(now);
            Account {
                of,
                spent: it.spent,
                reserved: it.reserved,
                micros: some(it.budget.micros),
                tokens: some(it.budget.tokens),
                told: it.told,
            }
        }
    }
}

/// The purses that pay for a loop, its own first.
pub(crate) fn purses_of(state: &State, id: LoopId) -> [Purse; 4] {
    let plan = id.plan();
    let project = state.plan(plan).head.project;
    [Purse::Loop(id), Purse::Plan(plan), Purse::Project(project), Purse::All]
}

/// This purse pays for that loop.
pub(crate) fn pays_for(state: &State, of: Purse, id: LoopId) -> bool {
    purses_of(state, id).contains(&of)
}

fn accounts(state: &State, id: LoopId, now: Time) -> [Account; 4] {
    purses_of(state, id).map(|of| account(state, of, now))
}

/// Whether a call can be paid for.
pub(crate) enum Money {
    /// It may use so much.
    Cap(Cap),
    /// Others may give back what this account lacks.
    Reserved(Purse, Unit),
    /// This account cannot pay for it: never, or not today.
    Gone(Purse),
    /// Even the whole day's budget would not pay for it.
    TooMuch(Purse, Unit),
}

/// What a call may use: the adapter ends itself there.
pub(crate) struct Cap {
    pub(crate) micros: u64,
    /// 0 where no budget counts tokens.
    pub(crate) tokens: u64,
}

/// Every call is taken to use the worst it can, and that is reserved. The worst is an estimate: the
/// cap is all that is left beside what others have reserved.
pub(crate) fn afford(state: &State, id: LoopId, worst: Amount, now: Time) -> Money {
    let accounts = accounts(state, id, now);
    let rows = || accounts.iter().flat_map(|it| Unit::ALL.into_iter().map(move |unit| (it, unit)));
    // Without a known price there must be something left all the same.
    let needed = |unit: Unit| worst.get(unit).max(1);
    for (it, unit) in rows() {
        if it.left(unit).is_some_and(|left| left < needed(unit)) {
            let never = it.limit(unit).is_some_and(|limit| limit < needed(unit));
            let too_much = it.of.is_daily() && never;
            return if too_much { Money::TooMuch(it.of, unit) } else { Money::Gone(it.of) };
        }
    }
    for (it, unit) in rows() {
        if it.free(unit).is_some_and(|free| free < needed(unit)) {
            return Money::Reserved(it.of, unit);
        }
    }
    let least = |unit: Unit| accounts.iter().filter_map(|it| it.free(unit)).min();
    let micros = least(Unit::Micros).unwrap_or(u64::MAX);
    Money::Cap(Cap { micros, tokens: least(Unit::Tokens).unwrap_or(0) })
}

/// The account that has nothing left for whoever cannot say what it will use.
pub(crate) fn spent_up(state: &State, id: LoopId, now: Time) -> Option<Purse> {
    let empty = |it: &Account| Unit::ALL.into_iter().any(|unit| it.left(unit) == Some(0));
    accounts(state, id, now).into_iter().find(empty).map(|it| it.of)
}

/// Micro-dollars that are left of whatever has least.
pub(crate) fn money_left(state: &State, id: LoopId, now: Time) -> u64 {
    let left = accounts(state, id, now).into_iter().filter_map(|it| it.left(Unit::Micros)).min();
    left.unwrap_or(u64::MAX)
}

/// Which limit a purse is that is for a whole life; nothing of one that is for a day.
pub(crate) fn limit_of(of: Purse) -> Option<Limit> {
    match of {
        Purse::Loop(_) => Some(Limit::Budget),
        Purse::Plan(_) => Some(Limit::PlanBudget),
        Purse::Project(_) | Purse::All => None,
    }
}

/// The limit of a whole life that keeps a loop from spending anything, if one does.
pub(crate) fn gone_for_good(state: &State, id: LoopId) -> Option<Limit> {
    limit_of(spent_up(state, id, state.now())?)
}

/// Which budget, of those a person must fill, does not pay for what the loop does next.
pub(crate) fn cannot_pay(state: &State, engine: &LoopEngine) -> Option<Limit> {
    match engine.next {
        Next::Iterate | Next::Compose | Next::Agent { .. } => gone_for_good(state, engine.id),
        Next::Call { worst, .. } => match afford(state, engine.id, worst, state.now()) {
            Money::Gone(of) => limit_of(of),
            Money::Cap(_) | Money::Reserved(..) | Money::TooMuch(..) => None,
        },
        Next::Accept | Next::Tools | Next::Gate | Next::Land => None,
    }
}

/// What follows when an account cannot pay. Whoever has spent a budget that is for a whole life
/// waits for a person, who may give more; nothing of its work is lost. A day's budget closes for
/// everybody it pays for.
pub(crate) fn out_of(id: LoopId, of: Purse, now: Time) -> Step {
    match limit_of(of) {
        Some(limit) => (Some(id), blocked(Reason::Limit(limit))),
        None => (None, Event::BudgetSpent { of, until: next_midnight(now) }),
    }
}

/// What follows when a call asks for more than there is in a whole day: waiting would not help, and
/// the others need not wait for it.
pub(crate) fn too_much(state: &State, id: LoopId, of: Purse, unit: Unit, worst: Amount) -> Step {
    let limit = account(state, of, state.now()).limit(unit).unwrap_or(0);
    let (worst, limit) = (unit.format(worst.get(unit)), unit.format(limit));
    let (whose, name) = match of {
        Purse::Project(_) => ("its project", "project"),
        Purse::All | Purse::Plan(_) | Purse::Loop(_) => ("everything", "all"),
    };
    let what = format!("its next call may use {worst}, and {whose} may use {limit} a day");
    let do_next = format!("raise that: taskd budget set {name}, then taskd resume");
    (Some(id), blocked(Reason::Stuck(format!("{what}; {do_next}"))))
}

fn blocked(reason: Reason) -> Event {
    Event::StatusChanged { from: Status::Running, to: Status::Blocked, reason }
}

/// Why a call waits whose money others have reserved.
pub(crate) fn reserved(of: Purse) -> String {
    let whose = match of {
        Purse::Loop(_) => "its budget",
        Purse::Plan(_) => "the plan's budget",
        Purse::Project(_) => "today's budget of the project",
        Purse::All => "today's budget of everything",
    };
    format!("what is left of {whose} is reserved by calls in flight")
}
