//! Admission of model calls: may one more start now, and if not, when to ask again.
//!
//! A call needs a cell of its bucket's request rate (GCRA, computed by `governor` over our own
//! folded state with the log's time as its clock) and a free slot. Buckets are folded from the
//! log, so a daemon that restarts remembers what it has already spent. Waiting calls are served by
//! priority with ageing, then by the order in which they queued.
//!
//! This module does not know why a call is made, does not wait, and does not retry. A refusal by
//! the provider arrives as an event and closes the bucket until the time it names.
//!
//! Invariant: between any two instants at most `burst + rate × elapsed` calls start.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};
use serde::{Deserialize, Serialize};
use taskd_model::{Limits, LoopId, Priority, Seq, Time};

/// One rate bucket: what has been admitted, what is in flight, until when it is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    /// GCRA's theoretical arrival time in nanoseconds since the epoch; `None` before the first.
    arrival: Option<u64>,
    in_flight: u32,
    closed_until: Time,
}

impl Bucket {
    /// When the next call can be admitted as far as time is concerned.
    pub(crate) fn ready_at(&self, limits: &Limits, now: Time) -> Time {
        let by_rate = match check(self.arrival, limits, now) {
            Ok(_) => now,
            Err(at) => at,
        };
        by_rate.max(self.closed_until)
    }

    pub(crate) fn has_slot(&self, limits: &Limits) -> bool {
        self.in_flight < limits.calls
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn closed_until(&self) -> Time {
        self.closed_until
    }

    /// Records a send. Policy was checked before; only structure is asserted here.
    pub(crate) fn send(&mut self, limits: &Limits, now: Time) {
        // A log written under other limits still folds: a send that today's limits would delay
        // is counted from now.
        self.arrival = Some(check(self.arrival, limits, now).unwrap_or_else(nanos));
        self.in_flight += 1;
    }

    pub(crate) fn end(&mut self) {
        self.in_flight = self.in_flight.checked_sub(1).expect("a call ends once");
    }

    pub(crate) fn close_until(&mut self, until: Time) {
        self.closed_until = self.closed_until.max(until);
    }
}

/// Tries one cell: the new arrival time, or the first instant at which one fits.
fn check(arrival: Option<u64>, limits: &Limits, now: Time) -> Result<u64, Time> {
    let store = Store(Cell::new(arrival));
    let clock = Cell::new(0);
    let limiter: RateLimiter<NotKeyed, _, _, NoOpMiddleware<Nanos>> =
        RateLimiter::new(quota(limits), store, LogClock(&clock));
    clock.set(nanos(now));
    match limiter.check() {
        Ok(()) => Ok(limiter.into_state_store().0.get().expect("an admitted cell is stored")),
        Err(refused) => Err(Time(refused.earliest_possible().as_u64().div_ceil(NANOS_PER_MS))),
    }
}

const NANOS_PER_MS: u64 = 1_000_000;

fn nanos(at: Time) -> u64 {
    at.0.saturating_mul(NANOS_PER_MS)
}

fn quota(limits: &Limits) -> Quota {
    let per_minute = NonZeroU32::new(limits.requests_per_minute).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(limits.request_burst).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(per_minute).allow_burst(burst)
}

/// The bucket's one number, lent to `governor` for one decision.
struct Store(Cell<Option<u64>>);

impl StateStore for Store {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (answer, arrival) = f(self.0.get().map(Nanos::new))?;
        self.0.set(Some(arrival.as_u64()));
        Ok(answer)
    }
}

/// Time as the log saw it, in nanoseconds since the epoch.
#[derive(Clone)]
struct LogClock<'a>(&'a Cell<u64>);

impl Clock for LogClock<'_> {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.get())
    }
}

/// A call that waits: when it queued, and whose it is.
pub(crate) type Waiting = (Time, Seq, LoopId);

/// Calls that wait for one bucket, by priority class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiters(BTreeMap<Priority, BTreeSet<Waiting>>);

impl Waiters {
    pub(crate) fn insert(&mut self, priority: Priority, call: Waiting) {
        self.0.entry(priority).or_default().insert(call);
    }

    pub(crate) fn remove(&mut self, priority: Priority, call: &Waiting) {
        if let Some(class) = self.0.get_mut(&priority) {
            class.remove(call);
            if class.is_empty() {
                self.0.remove(&priority);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Who is next: the highest class after ageing, then the oldest. Every `ageing_ms` of waiting
    /// lifts a call by one class, so a low one overtakes later critical ones after three.
    pub(crate) fn first(&self, limits: &Limits, now: Time) -> Option<LoopId> {
        let heads = self.0.iter().filter_map(|(class, calls)| Some((class, calls.first()?)));
        let rank = |(class, (since, seq, _)): &(&Priority, &Waiting)| {
            let aged = now.ms_since(*since) / limits.ageing_ms.max(1);
            (**class as u64 + aged, std::cmp::Reverse(*seq))
        };
        heads.max_by_key(rank).map(|(_, (_, _, id))| *id)
    }
}

/// How long to wait after the `attempt`-th failure in a row, from 1: doubling, capped, ±25 %.
///
/// The jitter is a hash of what makes the wait unique, so replay is exact (decision D33).
pub(crate) fn backoff_ms(limits: &Limits, attempt: u32, salt: u64) -> u64 {
    let doubled = limits.backoff_ms.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    let base = doubled.min(limits.backoff_max_ms);
    jittered(base, salt)
}

/// `ms` ± 25 %, decided by `salt` (splitmix64's finaliser, Steele et al. 2014).
pub(crate) fn jittered(ms: u64, salt: u64) -> u64 {
    let mut hash = salt.wrapping_add(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^= hash >> 31;
    let spread = ms / 2;
    let offset = if spread == 0 { 0 } else { hash % (spread + 1) };
    ms - ms / 4 + offset
}
