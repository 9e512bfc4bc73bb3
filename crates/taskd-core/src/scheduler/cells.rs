//! The rate of requests: GCRA, computed by `governor` over one number of ours.
//!
//! The number is folded from the log and the log's time is the clock, so replay is exact.

use std::{cell::Cell, num::NonZeroU32};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};
use serde::{Deserialize, Serialize};
use taskd_model::{Level, Limits, Time};

const NANOS_PER_MS: u64 = 1_000_000;
const MS_PER_MINUTE: u64 = 60_000;

/// Requests per minute and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    per_minute: NonZeroU32,
    burst: NonZeroU32,
}

impl Pace {
    /// The configured pace, or the provider's where that is lower.
    pub(crate) fn new(limits: &Limits, learned: Option<u64>) -> Self {
        let learned = learned.map_or(u32::MAX, |it| u32::try_from(it).unwrap_or(u32::MAX));
        let nonzero = |it: u32| NonZeroU32::new(it.min(learned)).unwrap_or(NonZeroU32::MIN);
        Self {
            per_minute: nonzero(limits.requests_per_minute),
            burst: nonzero(limits.request_burst),
        }
    }

    pub(crate) fn per_minute(self) -> u32 {
        self.per_minute.get()
    }

    /// Milliseconds between two requests, rounded up.
    pub(crate) fn ms_per_request(self) -> u64 {
        MS_PER_MINUTE.div_ceil(u64::from(self.per_minute.get()))
    }

    fn nanos_per_request(self) -> u64 {
        MS_PER_MINUTE * NANOS_PER_MS / u64::from(self.per_minute.get())
    }
}

/// What has been sent, as GCRA's theoretical arrival time in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cells(Option<u64>);

impl Cells {
    /// When the next request fits.
    pub(crate) fn ready_at(self, pace: Pace, now: Time) -> Time {
        match check(self.0, pace, now) {
            Ok(_) => now,
            Err(at) => at,
        }
    }

    /// Requests that fit at once now.
    pub(crate) fn left(self, pace: Pace, now: Time) -> u64 {
        let ahead = self.0.unwrap_or(0).saturating_sub(nanos(now));
        let used = ahead.div_ceil(pace.nanos_per_request().max(1));
        u64::from(pace.burst.get()).saturating_sub(used)
    }

    /// Counts one request. A log written under other limits still folds: a send that today's
    /// limits would delay is counted from now.
    pub(crate) fn send(&mut self, pace: Pace, now: Time) {
        self.0 = Some(check(self.0, pace, now).unwrap_or_else(nanos));
    }

    /// The provider says what is left; where that is less than we thought, it is right. With what it
    /// said the pace is no longer as it was `before`: what was sent at the old one still counts.
    pub(crate) fn learn(&mut self, level: Level, before: Pace, pace: Pace, now: Time) {
        let burst = u64::from(pace.burst.get());
        let told = burst.saturating_sub(level.remaining.min(burst));
        let arrival = nanos(now).saturating_add(told.saturating_mul(pace.nanos_per_request()));
        let kept = if before == pace { self.0 } else { self.at_pace(before, pace, now) };
        self.0 = Some(kept.unwrap_or(0).max(arrival));
    }

    /// The arrival time with what is ahead of `now` counted in requests of another pace. An empty
    /// bucket stays empty and owes nothing; a silence that was asked for is no request.
    fn at_pace(self, before: Pace, pace: Pace, now: Time) -> Option<u64> {
        let ahead = self.0?.saturating_sub(nanos(now));
        let old = before.nanos_per_request().max(1);
        let held = (ahead / old).min(u64::from(before.burst.get()));
        let silence = ahead.saturating_sub(held.saturating_mul(old));
        let requests = held.min(u64::from(pace.burst.get())) * pace.nanos_per_request();
        Some(nanos(now).saturating_add(silence).saturating_add(requests))
    }

    /// Nothing is saved up at `at`: from then on requests go at the rate alone.
    pub(crate) fn empty_at(&mut self, pace: Pace, at: Time) {
        let all = u64::from(pace.burst.get()).saturating_mul(pace.nanos_per_request());
        let one_left = all.saturating_sub(pace.nanos_per_request());
        self.0 = Some(self.0.unwrap_or(0).max(nanos(at).saturating_add(one_left)));
    }
}

/// Tries one cell: the new arrival time, or the first instant at which one fits.
fn check(arrival: Option<u64>, pace: Pace, now: Time) -> Result<u64, Time> {
    let store = Store(Cell::new(arrival));
    let clock = Cell::new(0);
    let quota = Quota::per_minute(pace.per_minute).allow_burst(pace.burst);
    let limiter: RateLimiter<NotKeyed, _, _, NoOpMiddleware<Nanos>> =
        RateLimiter::new(quota, store, LogClock(&clock));
    clock.set(nanos(now));
    match limiter.check() {
        Ok(()) => Ok(limiter.into_state_store().0.get().expect("an admitted cell is stored")),
        Err(refused) => Err(Time(refused.earliest_possible().as_u64().div_ceil(NANOS_PER_MS))),
    }
}

fn nanos(at: Time) -> u64 {
    at.0.saturating_mul(NANOS_PER_MS)
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
