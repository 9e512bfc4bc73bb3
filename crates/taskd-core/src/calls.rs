//! Questions about model calls: what a loop's call waits for, and how each bucket is.
//!
//! Typed answers with the figures in them; the sentences are made in `why`. Bounded and read-only.

use std::collections::BTreeSet;

use taskd_model::{Amount, EffectId, Limits, LoopId, Owner, Priority, Purse, Seq, Time, Unit};

use crate::{
    BucketState, CallCounts, Coordinator, Room,
    engine::{LoopEngine, Next},
    money::{self, Closed, Money},
    scheduler::{Bucket, Hindrance, Order, WINDOW_MS, Waiters},
};

/// Calls whose order is worked out.
const MAX_ORDERED: usize = 1_000;
/// Waiting calls that are named, of each bucket.
const NAMED: usize = 10;

/// A model call that a loop waits to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedCall {
    /// Through this bucket.
    pub bucket: String,
    /// What it waits for.
    pub wait: CallWait,
    /// Where it stands among those that wait for the bucket; nothing while it rests before it
    /// tries again.
    pub place: Option<Place>,
}

/// A place among the calls that wait for one bucket, if nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub place: usize,
    /// How many wait.
    pub of: usize,
    /// Who goes just before.
    pub after: Option<LoopId>,
    /// Calls of other plans that go before.
    pub other_plans: usize,
    /// Calls of a higher priority that go before.
    pub higher: usize,
}

/// What a model call waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallWait {
    /// The provider refused a call, and takes none until then.
    Refused {
        /// The end of the call that was refused.
        by: Seq,
        /// When that was.
        at: Time,
        /// Until when.
        until: Time,
        /// It is for so long that a quota is used up, not a rate.
        window: bool,
    },
    /// The provider failed too often and is left alone.
    LeftAlone {
        /// The end of the call that was one too many.
        by: Seq,
        /// When that was.
        at: Time,
        /// Calls that failed.
        faults: u32,
        /// Of so many that were looked at.
        of: u32,
        /// The next probe; nothing while one is under way.
        until: Option<Time>,
    },
    /// As many calls are in flight as may be.
    Slots {
        /// In flight now.
        in_flight: u32,
        /// As many as may be now.
        limit: u32,
        /// As many as may be when all is well.
        usual: u32,
        /// The refusal or outage after which it is fewer, or else the oldest call in flight.
        by: Option<Seq>,
    },
    /// A limit per minute has no room.
    Room {
        /// The limit.
        room: Room,
        /// What the call is expected to use of it.
        wanted: u64,
        /// What it was last told or taken by.
        by: Option<Seq>,
        /// When there is room, if nothing else changes.
        until: Time,
    },
    /// Other calls go first.
    Turn {
        /// The very next one.
        head: LoopId,
    },
    /// Its last call failed, and it rests before it tries again.
    Retry {
        /// The event that says so.
        by: Seq,
        /// Until when.
        until: Time,
        /// How it failed.
        why: String,
    },
    /// What is left of the money may still be spent by calls in flight.
    Money {
        /// Whose budget it is.
        of: Purse,
        /// What the figures are counted in.
        unit: Unit,
        /// The budget.
        budget: u64,
        /// What of it is spent.
        spent: u64,
        /// What of it calls in flight may use.
        reserved: u64,
        /// What this call may use.
        worst: u64,
        /// The oldest of those calls.
        by: Option<Seq>,
    },
    /// A day's budget did not pay for a call.
    Day {
        /// Whose budget it is.
        of: Purse,
        /// The budget of a day; 0 is no limit.
        budget: Amount,
        /// What of it is spent today.
        spent: Amount,
        /// The event that says so.
        by: Seq,
        /// When it is renewed.
        until: Time,
    },
}

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRow {
    /// The model it is for.
    pub name: String,
    /// Calls in flight.
    pub in_flight: u32,
    /// As many as may be when all is well.
    pub limit: u32,
    /// Calls that wait.
    pub waiting: usize,
    /// How it is.
    pub state: BucketState,
    /// 0 if calls go through, 1 if probes do, 2 if nobody calls.
    pub circuit: u8,
    /// What is left of each limit per minute that is known.
    pub rooms: Vec<Room>,
    /// The calls that go next, if nothing changes.
    pub next: Vec<WaitingCall>,
    /// What it has counted since the log began.
    pub counts: CallCounts,
}

/// A call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCall {
    /// Whose.
    pub id: LoopId,
    /// Its plan's priority.
    pub priority: Priority,
    /// Since when.
    pub since: Time,
}

impl Coordinator {
    /// Every bucket that was called or is waited for, by name.
    #[must_use]
    pub fn buckets(&self, now: Time) -> Vec<BucketRow> {
        let called = self.state().buckets().keys();
        let names: BTreeSet<&String> = called.chain(self.state().index().calls.keys()).collect();
        names.into_iter().map(|it| self.bucket_row(it, now)).collect()
    }

    fn bucket_row(&self, name: &str, now: Time) -> BucketRow {
        let unused = Bucket::default();
        let bucket = self.state().bucket(name).unwrap_or(&unused);
        let limits = self.state().limits();
        let waiters = self.state().index().calls.get(name);
        let order = waiters.map(|it| self.order_of(name, it, NAMED, now)).unwrap_or_default();
        let next = order.into_iter().map(|(id, priority)| {
            let engine = &self.state().loops()[&id];
            let since = engine.call_wanted_at.unwrap_or(engine.waits_since().0);
            WaitingCall { id, priority, since }
        });
        BucketRow {
            name: name.to_owned(),
            in_flight: bucket.in_flight(),
            limit: limits.calls,
            waiting: waiters.map_or(0, Waiters::len),
            state: bucket.state(limits, now),
            circuit: bucket.circuit_level(now),
            rooms: bucket.rooms(limits, now).collect(),
            next: next.collect(),
            counts: bucket.counts(),
        }
    }

    /// What the call of a loop that waits for admission waits for.
    pub(crate) fn waiting_call(&self, id: LoopId, bucket: &str, now: Time) -> WantedCall {
        let waiters = &self.state().index().calls[bucket];
        let order = self.order_of(bucket, waiters, MAX_ORDERED, now);
        let place = place_of(id, &order, waiters.len());
        let next = self.state().next_call(bucket, waiters, now);
        let unused = Bucket::default();
        let known = self.state().bucket(bucket).unwrap_or(&unused);
        let hindrance = known.hindrance(self.state().limits(), next.cost, now);
        let wait = match hindrance.map(|it| self.wait_of(bucket, it)) {
            Some(it @ (CallWait::Refused { .. } | CallWait::LeftAlone { .. })) => it,
            Some(it) if next.id == id => it,
            Some(_) | None => CallWait::Turn { head: next.id },
        };
        WantedCall { bucket: bucket.to_owned(), wait, place: Some(place) }
    }

    /// What the call of a loop waits for that rests before it tries again.
    pub(crate) fn resting_call(
        &self,
        engine: &LoopEngine,
        bucket: &str,
        until: Time,
        now: Time,
    ) -> WantedCall {
        let state = self.state();
        let known = state.bucket(bucket);
        let closed = known.and_then(|it| it.hindrance(state.limits(), it.cost(0), now));
        // What holds everybody is the cause, unless its own rest is for something else and longer.
        let holds = |it: &CallWait| match it {
            CallWait::Refused { until: to, .. } => engine.attempts == 0 || until <= *to,
            CallWait::LeftAlone { until: to, .. } => to.is_some_and(|to| until <= to),
            CallWait::Slots { .. }
            | CallWait::Room { .. }
            | CallWait::Turn { .. }
            | CallWait::Retry { .. }
            | CallWait::Money { .. }
            | CallWait::Day { .. } => false,
        };
        let closed = closed.map(|it| self.wait_of(bucket, it)).filter(holds);
        let wait = closed.unwrap_or_else(|| self.rest_of(engine, until));
        WantedCall { bucket: bucket.to_owned(), wait, place: None }
    }

    /// What a loop waits for whose day's budget is closed.
    pub(crate) fn moneyless_call(
        &self,
        engine: &LoopEngine,
        (of, closed): (Purse, Closed),
        now: Time,
    ) -> WantedCall {
        let account = money::account(self.state(), of, now);
        let limit = |unit| account.limit(unit).unwrap_or(0);
        let budget = Amount { micros: limit(Unit::Micros), tokens: limit(Unit::Tokens) };
        let (by, until) = (closed.by, closed.until);
        let wait = CallWait::Day { of, budget, spent: account.spent, by, until };
        let bucket = engine.at_work().to_string();
        WantedCall { bucket, wait, place: None }
    }

    fn rest_of(&self, engine: &LoopEngine, until: Time) -> CallWait {
        let state = self.state();
        if let Next::Call { worst, .. } = engine.next
            && engine.attempts == 0
            && let Money::Reserved(of, unit) = money::afford(state, engine.id, worst, state.now())
        {
            let account = money::account(state, of, state.now());
            return CallWait::Money {
                of,
                unit,
                budget: account.limit(unit).unwrap_or(0),
                spent: account.spent.get(unit),
                reserved: account.reserved.get(unit),
                worst: worst.get(unit),
                by: self.oldest_call(|_, it| money::pays_for(state, of, it)),
            };
        }
        let (by, why) = engine.deferral.clone().unwrap_or_default();
        CallWait::Retry { by, until, why }
    }

    fn wait_of(&self, bucket: &str, it: Hindrance) -> CallWait {
        match it {
            Hindrance::Refused { by, at, until } => {
                let window = WINDOW_MS < until.ms_since(at);
                CallWait::Refused { by, at, until, window }
            }
            Hindrance::LeftAlone { opening, until } => CallWait::LeftAlone {
                by: opening.by,
                at: opening.at,
                faults: opening.faults,
                of: opening.of,
                until,
            },
            Hindrance::Slots { in_flight, limit, ramp_by } => {
                let by = ramp_by.or_else(|| self.oldest_call(|name, _| name == bucket));
                CallWait::Slots { in_flight, limit, usual: self.state().limits().calls, by }
            }
            Hindrance::Room { room, wanted, by, until } => {
                CallWait::Room { room, wanted, by, until }
            }
        }
    }

    /// The start of the oldest call in flight that is such a one.
    fn oldest_call(&self, is_it: impl Fn(&str, LoopId) -> bool) -> Option<Seq> {
        let found = |(id, open): (&EffectId, &crate::state::Open)| {
            let Owner::Loop(of) = open.owner else { return None };
            is_it(open.work.taken()?.bucket, of).then_some(id.0)
        };
        self.state().effects().iter().find_map(found)
    }

    /// The calls that go next through a bucket if nothing changes, with their priorities.
    fn order_of(
        &self,
        name: &str,
        waiters: &Waiters,
        most: usize,
        now: Time,
    ) -> Vec<(LoopId, Priority)> {
        let unused = Bucket::default();
        let bucket = self.state().bucket(name).unwrap_or(&unused);
        let limits: &Limits = self.state().limits();
        let cost_of = |id: LoopId| {
            let Some((tokens, _)) = self.state().loops()[&id].call_size() else { return 0 };
            let cost = bucket.cost(tokens);
            cost.input.saturating_add(cost.output)
        };
        let mut order = Order::new(waiters, bucket.shares());
        std::iter::from_fn(|| order.next(limits, cost_of, now)).take(most).collect()
    }
}

fn place_of(id: LoopId, order: &[(LoopId, Priority)], of: usize) -> Place {
    // Who is not among those that were worked out comes behind all of them.
    let before = order.iter().position(|it| it.0 == id).unwrap_or(order.len());
    let own = order.get(before).map(|it| it.1);
    let first = &order[..before];
    Place {
        place: before + 1,
        of,
        after: first.last().map(|it| it.0),
        other_plans: first.iter().filter(|it| it.0.plan() != id.plan()).count(),
        higher: first.iter().filter(|it| own.is_some_and(|own| own < it.1)).count(),
    }
}
