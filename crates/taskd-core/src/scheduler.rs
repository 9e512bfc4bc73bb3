//! Admission of model calls: may one more start now, and if not, when to ask again.
//!
//! A call needs a free slot, a cell of its bucket's request rate, room for its tokens where a limit
//! is known, and a provider that is not being left alone. Everything is folded from the log, so a
//! daemon that restarts remembers what it has already spent. A call reserves its estimate when it
//! is sent and settles what it used when it ends.
//!
//! This module does not know why a call is made, does not wait, and does not retry. What the
//! provider says arrives as events: a refusal closes the bucket for everybody until its time, then
//! one call goes, then two, then four; the levels in its headers correct ours.
//!
//! Invariant: between any two instants at most `burst + rate × elapsed` calls start.

mod cells;
mod circuit;
mod look;
mod recess;
mod tank;
mod waiters;

use serde::{Deserialize, Serialize};
use taskd_model::{EffectId, Failure, Limits, LoopId, Outcome, RateLevels, Seq, Time, Usage};

#[cfg(test)]
pub(crate) use self::circuit::Circuit;
pub use self::look::{BucketState, CallCounts, Room, RoomKind};
use self::{
    cells::{Cells, Pace},
    circuit::Breaker,
    look::Refusal,
};
pub(crate) use self::{
    look::{Hindrance, Outage, WINDOW_MS},
    recess::Recess,
    tank::Tank,
    waiters::{Order, Shares, Waiters, Waiting},
};

/// Shortest rest after a failure, in milliseconds.
const MIN_REST_MS: u64 = 100;
/// Tokens a reply is taken to have until one was seen.
const FIRST_REPLY_TOKENS: u64 = 500;

/// What one call is expected to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Cost {
    /// What of `usage` counts towards limits: tokens from a cache do not.
    fn of(usage: &Usage) -> Self {
        Self { input: usage.input.saturating_add(usage.cache_write), output: usage.output }
    }
}

/// How a call ended, as far as its bucket is concerned.
#[derive(Debug, Clone, Copy)]
enum CallEnd {
    /// The provider did its work.
    Answered,
    /// Too much was asked for; perhaps it said for how long, in milliseconds.
    Refused(Option<u64>),
    /// The provider failed.
    Fault,
    /// It did not want this request or this credential.
    Rejected,
    /// It was given up, lost, or failed on our side.
    Unknown,
}

impl CallEnd {
    fn of(outcome: &Outcome) -> Self {
        match outcome.failure() {
            None if matches!(
                outcome,
                Outcome::Replied { .. } | Outcome::Answered { .. } | Outcome::Relayed { .. }
            ) =>
            {
                Self::Answered
            }
            None | Some(Failure::Resources | Failure::OverBudget) => Self::Unknown,
            Some(Failure::NotBefore(ms)) => Self::Refused(Some(ms)),
            Some(Failure::RateLimited) => Self::Refused(None),
            Some(Failure::Transient) => Self::Fault,
            Some(Failure::Permanent | Failure::Auth | Failure::TooLarge) => Self::Rejected,
        }
    }
}

/// One limit of tokens per minute: ours, the provider's, and what is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Meter {
    tank: Tank,
    learned: Option<u64>,
}

impl Meter {
    /// The lower of the two limits; nothing if there is none.
    fn limit(&self, configured: u64) -> Option<u64> {
        let configured = (0 < configured).then_some(configured);
        configured.into_iter().chain(self.learned).min()
    }

    fn ready_at(&self, configured: u64, tokens: u64, now: Time) -> Time {
        self.limit(configured).map_or(now, |limit| self.tank.ready_at(limit, tokens, now))
    }

    fn take(&mut self, configured: u64, tokens: u64, now: Time) {
        if let Some(limit) = self.limit(configured) {
            self.tank.take(limit, tokens, now);
        }
    }

    fn settle(&mut self, configured: u64, reserved: u64, used: u64, now: Time) {
        let Some(limit) = self.limit(configured) else { return };
        if reserved < used {
            self.tank.take(limit, used - reserved, now);
        } else {
            self.tank.refund(limit, reserved - used, now);
        }
    }

    fn learn(&mut self, level: Option<taskd_model::Level>, now: Time) {
        if let Some(level) = level.filter(|it| 0 < it.limit) {
            self.learned = Some(level.limit);
            self.tank.learn(level, now);
        }
    }
}

/// One bucket: the limits of one model of one provider under one credential.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    requests: Cells,
    learned_requests: Option<u64>,
    input: Meter,
    output: Meter,
    /// Both together, of providers that count so.
    tokens: Meter,
    in_flight: u32,
    closed_until: Time,
    /// Refusals in a row.
    refused: u32,
    /// After a refusal: calls that may be in flight, doubling with each answer.
    ramp: Option<u32>,
    /// What made it so few.
    ramp_by: Option<Seq>,
    breaker: Breaker,
    shares: Shares,
    /// Tokens of a reply, smoothed.
    reply_tokens: Option<u64>,
    /// The refusal that closed it last.
    refusal: Option<Refusal>,
    /// The event that last said what the provider has left.
    told_by: Option<Seq>,
    /// The call that was admitted last.
    last_sent: Option<EffectId>,
    counts: CallCounts,
}

impl Bucket {
    /// When the next call can be admitted; `None` if that takes the end of another call.
    pub(crate) fn ready_at(&self, limits: &Limits, cost: Cost, now: Time) -> Option<Time> {
        if self.slots(limits) <= self.in_flight {
            return None;
        }
        let circuit = self.breaker.ready_at(now)?;
        let rooms = self.times(limits, cost, now).into_iter().map(|it| it.2);
        rooms.chain([circuit, self.closed_until]).max()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    #[cfg(test)]
    pub(crate) fn circuit(&self) -> Circuit {
        self.breaker.circuit()
    }

    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// What a call with so much input is expected to use.
    pub(crate) fn cost(&self, input: u64) -> Cost {
        Cost { input, output: self.reply_tokens.unwrap_or(FIRST_REPLY_TOKENS) }
    }

    /// Records a send that waited so long. Policy was checked before; only structure is asserted
    /// here.
    pub(crate) fn send(
        &mut self,
        limits: &Limits,
        (effect, id): (EffectId, LoopId),
        cost: Cost,
        waited_ms: u64,
        now: Time,
    ) {
        self.in_flight += 1;
        self.last_sent = Some(effect);
        self.counts.sent(waited_ms);
        self.breaker.send(effect);
        self.requests.send(Pace::new(limits, self.learned_requests), now);
        self.input.take(limits.input_tokens_per_minute, cost.input, now);
        self.output.take(limits.output_tokens_per_minute, cost.output, now);
        self.tokens.take(0, cost.input.saturating_add(cost.output), now);
        self.shares.admit(id.plan(), cost.input.saturating_add(cost.output));
    }

    /// A call ended with this event, or was lost with its place.
    pub(crate) fn end(
        &mut self,
        limits: &Limits,
        (effect, by): (EffectId, Seq),
        reserved: Cost,
        outcome: &Outcome,
        now: Time,
    ) {
        self.in_flight = self.in_flight.checked_sub(1).expect("a call ends once");
        self.settle(limits, reserved, outcome, now);
        let end = CallEnd::of(outcome);
        self.counts.ended(end);
        let fault = match end {
            CallEnd::Answered => Some(false),
            CallEnd::Fault => Some(true),
            CallEnd::Refused(_) | CallEnd::Rejected | CallEnd::Unknown => None,
        };
        let closes = self.breaker.end(effect, fault, (by, now));
        match end {
            CallEnd::Answered => {
                self.refused = 0;
                let doubled = self.ramp.map(|it| it.saturating_mul(2));
                self.ramp = doubled.filter(|it| *it < limits.calls);
                if closes {
                    self.ramp = Some(2);
                    self.ramp_by = Some(by);
                }
            }
            CallEnd::Refused(Some(ms)) => self.refuse(limits, by, now, now.plus_ms(ms)),
            CallEnd::Refused(None) => {
                let wait = doubled(limits.backoff_ms, self.refused + 1).min(limits.silence_max_ms);
                self.refuse(limits, by, now, now.plus_ms(jittered(wait, effect.0.0)));
            }
            CallEnd::Fault | CallEnd::Rejected | CallEnd::Unknown => {}
        }
    }

    /// Something keeps calls back that [`Bucket::reset`] would end.
    pub(crate) fn is_held(&self, refusals: bool, now: Time) -> bool {
        self.breaker.opening().is_some() || (refusals && now < self.closed_until)
    }

    /// It fails, so that only probes go.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.breaker.opening().is_some()
    }

    /// A person says that the provider is well: calls go, beginning with two as after an outage, or
    /// with one where it refused.
    pub(crate) fn reset(&mut self, limits: &Limits, refusals: bool, by: Seq, now: Time) {
        self.breaker = Breaker::default();
        let mut slots = 2;
        if refusals && now < self.closed_until {
            (self.closed_until, self.refused, self.refusal) = (now, 0, None);
            // What was saved up is not known any more: one request after as long as one takes.
            let pace = Pace::new(limits, self.learned_requests);
            self.requests = Cells::default();
            self.requests.empty_at(pace, now.plus_ms(pace.ms_per_request()));
            slots = 1;
        }
        let ramp = self.ramp.map_or(slots, |it| it.min(slots));
        (self.ramp, self.ramp_by) = (Some(ramp), Some(by));
    }

    /// Nobody calls until then; afterwards nothing is saved up and one call goes first.
    fn refuse(&mut self, limits: &Limits, by: Seq, now: Time, until: Time) {
        self.refused = self.refused.saturating_add(1);
        // An earlier one that lasts longer is still the cause.
        if self.closed_until < until || self.refusal.is_none() {
            self.refusal = Some(Refusal { by, at: now });
        }
        self.closed_until = self.closed_until.max(until);
        self.ramp = Some(1);
        self.ramp_by = Some(by);
        let pace = Pace::new(limits, self.learned_requests);
        self.requests.empty_at(pace, self.closed_until);
    }

    /// Books what was used instead of what was reserved. A call whose use nobody knows keeps its
    /// reservation as spent; one that was refused used nothing.
    fn settle(&mut self, limits: &Limits, reserved: Cost, outcome: &Outcome, now: Time) {
        let used = Cost::of(&outcome.usage());
        let used = match CallEnd::of(outcome) {
            CallEnd::Answered => {
                let before = self.reply_tokens.unwrap_or(FIRST_REPLY_TOKENS);
                self.reply_tokens = Some((before * 3).saturating_add(used.output) / 4);
                used
            }
            CallEnd::Refused(_) | CallEnd::Rejected => used,
            CallEnd::Fault | CallEnd::Unknown => Cost {
                input: used.input.max(reserved.input),
                output: used.output.max(reserved.output),
            },
        };
        let both = |it: Cost| it.input.saturating_add(it.output);
        self.input.settle(limits.input_tokens_per_minute, reserved.input, used.input, now);
        self.output.settle(limits.output_tokens_per_minute, reserved.output, used.output, now);
        self.tokens.settle(0, both(reserved), both(used), now);
    }

    /// What the provider says is left, as told by this event.
    pub(crate) fn learn(&mut self, limits: &Limits, levels: &RateLevels, by: Seq, now: Time) {
        self.told_by = Some(by);
        if let Some(level) = levels.requests.filter(|it| 0 < it.limit) {
            let before = Pace::new(limits, self.learned_requests);
            self.learned_requests = Some(level.limit);
            self.requests.learn(level, before, Pace::new(limits, self.learned_requests), now);
        }
        self.input.learn(levels.input_tokens, now);
        self.output.learn(levels.output_tokens, now);
        self.tokens.learn(levels.tokens, now);
    }
}

/// How long to wait after the `attempt`-th failure in a row, from 1: doubling, ±25 %, at least 0.1 s
/// and at most the configured longest.
///
/// The jitter is a hash of what makes the wait unique, so replay is exact (decision D33).
pub(crate) fn backoff_ms(limits: &Limits, attempt: u32, salt: u64) -> u64 {
    let longest = limits.backoff_max_ms;
    let wait = jittered(doubled(limits.backoff_ms, attempt).min(longest), salt);
    wait.min(longest).max(MIN_REST_MS)
}

/// `ms` doubled for each attempt after the first.
fn doubled(ms: u64, attempt: u32) -> u64 {
    ms.saturating_mul(1 << attempt.saturating_sub(1).min(20))
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
