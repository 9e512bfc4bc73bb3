//! What a bucket says of itself: what is in a call's way, what is left, and what it has counted.
//!
//! It changes nothing and decides nothing. What it says is why [`Bucket::ready_at`] answers as it
//! does, and the tests compare the two.

use serde::{Deserialize, Serialize};
use taskd_model::{Limits, Seq, Time, Usage};

use super::{
    Bucket, CallEnd, Cost, Meter,
    cells::Pace,
    circuit::{Circuit, Opening},
};

/// The refusal a bucket is closed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// The end of the call that was refused.
    pub(super) by: Seq,
    pub(super) at: Time,
}

/// What a bucket has counted since the log began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    /// Calls that were sent.
    pub admitted: u64,
    /// Calls the provider refused because too much was asked for.
    pub refused: u64,
    /// Calls the provider failed.
    pub failed: u64,
    /// How long the calls that were sent had waited, all together, in milliseconds.
    pub waited_ms: u64,
    /// What the calls used.
    pub used: Usage,
}

impl CallCounts {
    pub(super) fn sent(&mut self, waited_ms: u64) {
        self.admitted += 1;
        self.waited_ms = self.waited_ms.saturating_add(waited_ms);
    }

    pub(super) fn ended(&mut self, end: CallEnd) {
        match end {
            CallEnd::Refused(_) => self.refused += 1,
            CallEnd::Fault => self.failed += 1,
            CallEnd::Answered | CallEnd::Rejected | CallEnd::Unknown => {}
        }
    }
}

/// What a limit per minute counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomKind {
    /// Requests.
    Requests,
    /// Tokens that are read.
    Input,
    /// Tokens that are written.
    Output,
    /// Tokens that are read or written.
    Tokens,
}

/// What is left of a limit per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What it counts.
    pub kind: RoomKind,
    /// What of it can be had at once.
    pub left: u64,
    /// What it lets through in a minute.
    pub per_minute: u64,
    /// The provider's limit, not ours.
    pub of_provider: bool,
}

/// How a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketState {
    /// Calls go as its limits let them.
    Open,
    /// The provider refused: nobody calls until then.
    Refused {
        /// The end of the call that was refused.
        by: Seq,
        /// When that was.
        at: Time,
        /// Until when.
        until: Time,
    },
    /// The provider fails, so nobody calls but one probe at a time.
    LeftAlone {
        /// The end of the call that was one too many.
        by: Seq,
        /// When that was.
        at: Time,
        /// Calls that failed.
        faults: u32,
        /// Of so many that were looked at.
        of: u32,
        /// The next probe; nothing once probes go.
        until: Option<Time>,
    },
    /// After a refusal or an outage fewer calls than usual may be in flight.
    Ramping {
        /// The event it follows.
        by: Seq,
        /// So many for now; each answer doubles it.
        slots: u32,
    },
}

/// A silence of more than this is a usage window and no rate, in milliseconds.
pub(crate) const WINDOW_MS: u64 = 600_000;

/// Why a model cannot be called for longer than any rate keeps calls away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// A quota is used up.
    Window { by: Seq, until: Time },
    /// The provider fails; a probe may go then, unless one is under way.
    Failing { opening: Opening, probe_at: Option<Time> },
}

/// What is in a call's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// The provider refused; nobody calls until then.
    Refused { by: Seq, at: Time, until: Time },
    /// The provider fails; a probe goes then, or is under way.
    LeftAlone { opening: Opening, until: Option<Time> },
    /// As many calls are in flight as may be; fewer than usual after that event.
    Slots { in_flight: u32, limit: u32, ramp_by: Option<Seq> },
    /// A limit per minute has no room for so much until then; the event is what it was last taken
    /// or told by.
    Room { room: Room, wanted: u64, by: Option<Seq>, until: Time },
}

impl Bucket {
    /// What is in the way of a call that is expected to use so much; nothing if it may go.
    pub(crate) fn hindrance(&self, limits: &Limits, cost: Cost, now: Time) -> Option<Hindrance> {
        if let Some(refusal) = self.refusal.filter(|_| now < self.closed_until) {
            let Refusal { by, at } = refusal;
            return Some(Hindrance::Refused { by, at, until: self.closed_until });
        }
        if let Some(opening) = self.breaker.opening()
            && self.breaker.ready_at(now) != Some(now)
        {
            return Some(Hindrance::LeftAlone { opening, until: self.breaker.ready_at(now) });
        }
        let slots = self.slots(limits);
        if slots <= self.in_flight {
            let (in_flight, limit) = (self.in_flight, slots);
            let ramp_by = self.ramp_by.filter(|_| slots < limits.calls);
            return Some(Hindrance::Slots { in_flight, limit, ramp_by });
        }
        let times = self.times(limits, cost, now);
        let (kind, wanted, until) = times.into_iter().max_by_key(|it| it.2)?;
        let room = self.rooms(limits, now).find(|it| it.kind == kind).filter(|_| now < until)?;
        let by = if room.of_provider { self.told_by } else { self.last_sent.map(|it| it.0) };
        Some(Hindrance::Room { room, wanted, by, until })
    }

    /// Why it cannot be called for longer than a rate keeps calls away, if that is so.
    pub(crate) fn outage(&self, now: Time) -> Option<Outage> {
        if let Some(Refusal { by, at }) = self.refusal.filter(|_| now < self.closed_until)
            && WINDOW_MS < self.closed_until.ms_since(at)
        {
            return Some(Outage::Window { by, until: self.closed_until });
        }
        let opening = self.breaker.opening()?;
        Some(Outage::Failing { opening, probe_at: self.breaker.ready_at(now) })
    }

    /// When each limit per minute has room for a call, and for how much.
    pub(super) fn times(
        &self,
        limits: &Limits,
        cost: Cost,
        now: Time,
    ) -> [(RoomKind, u64, Time); 4] {
        let pace = Pace::new(limits, self.learned_requests);
        let both = cost.input.saturating_add(cost.output);
        let (input, output) = (limits.input_tokens_per_minute, limits.output_tokens_per_minute);
        [
            (RoomKind::Requests, 1, self.requests.ready_at(pace, now)),
            (RoomKind::Input, cost.input, self.input.ready_at(input, cost.input, now)),
            (RoomKind::Output, cost.output, self.output.ready_at(output, cost.output, now)),
            (RoomKind::Tokens, both, self.tokens.ready_at(0, both, now)),
        ]
    }

    /// What is left of each limit per minute that is known.
    pub(crate) fn rooms(&self, limits: &Limits, now: Time) -> impl Iterator<Item = Room> {
        let pace = Pace::new(limits, self.learned_requests);
        let per_minute = u64::from(pace.per_minute());
        let of_provider = per_minute < u64::from(limits.requests_per_minute);
        let left = self.requests.left(pace, now);
        let requests = Room { kind: RoomKind::Requests, left, per_minute, of_provider };
        let of = |kind, meter: &Meter, configured| {
            let per_minute = meter.limit(configured)?;
            let left = meter.tank.left(per_minute, now);
            let of_provider = configured == 0 || per_minute < configured;
            Some(Room { kind, left, per_minute, of_provider })
        };
        let tokens = [
            of(RoomKind::Input, &self.input, limits.input_tokens_per_minute),
            of(RoomKind::Output, &self.output, limits.output_tokens_per_minute),
            of(RoomKind::Tokens, &self.tokens, 0),
        ];
        [Some(requests)].into_iter().chain(tokens).flatten()
    }

    /// How it is, for people.
    pub(crate) fn state(&self, limits: &Limits, now: Time) -> BucketState {
        if let Some(Refusal { by, at }) = self.refusal.filter(|_| now < self.closed_until) {
            return BucketState::Refused { by, at, until: self.closed_until };
        }
        if let Some(opening) = self.breaker.opening() {
            let until = match self.breaker.circuit() {
                Circuit::Open(until) => Some(until),
                Circuit::Closed | Circuit::Probing { .. } => None,
            };
            let Opening { by, at, faults, of, since: _ } = opening;
            return BucketState::LeftAlone { by, at, faults, of, until };
        }
        let slots = self.slots(limits);
        match self.ramp_by.filter(|_| slots < limits.calls) {
            Some(by) => BucketState::Ramping { by, slots },
            None => BucketState::Open,
        }
    }

    /// The circuit as a number: 0 calls go through, 1 probes do, 2 nobody calls.
    pub(crate) fn circuit_level(&self, now: Time) -> u8 {
        match self.breaker.circuit() {
            Circuit::Closed => 0,
            Circuit::Open(until) if now < until => 2,
            Circuit::Open(_) | Circuit::Probing { .. } => 1,
        }
    }

    pub(crate) fn counts(&self) -> CallCounts {
        self.counts
    }

    /// Books what a call has used beyond what was booked before.
    pub(crate) fn used(&mut self, delta: &Usage) {
        self.counts.used.add(delta);
    }

    /// Calls that may be in flight at once now.
    pub(super) fn slots(&self, limits: &Limits) -> u32 {
        self.ramp.map_or(limits.calls, |it| it.min(limits.calls))
    }
}
