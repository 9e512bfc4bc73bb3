//! An agent program that has said that its allowance is used up: when it may be started again.
//!
//! Nobody sees the calls an agent makes, so it has no bucket: nothing is counted until it refuses.
//! From then on it is as with a model: closed for every loop until its time, then one run goes,
//! then two, then four.

use serde::{Deserialize, Serialize};
use taskd_model::{Limits, Time};

use super::{doubled, jittered};

/// One agent program, from its refusal until as many runs as usual go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recess {
    until: Time,
    /// Refusals in a row.
    refused: u32,
    /// Runs at once that may be under way once it is over.
    slots: u32,
    /// Runs under way.
    running: u32,
}

impl Recess {
    /// Begins while so many runs are under way.
    pub(crate) fn new(running: u32) -> Self {
        Self { until: Time(0), refused: 0, slots: 1, running }
    }

    /// Until when nothing is started.
    pub(crate) fn until(&self) -> Time {
        self.until
    }

    /// When time alone lets one more run begin; nothing while those under way are as many as may be.
    pub(crate) fn over_at(&self) -> Option<Time> {
        (self.running < self.slots).then_some(self.until)
    }

    /// One more run may begin.
    pub(crate) fn may_start(&self, now: Time) -> bool {
        self.until <= now && self.running < self.slots
    }

    pub(crate) fn started(&mut self) {
        self.running += 1;
    }

    /// A run ended, however it did.
    pub(crate) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// It refused, perhaps with the time after which it works again, in milliseconds.
    pub(crate) fn refuse(&mut self, limits: &Limits, wait_ms: Option<u64>, salt: u64, now: Time) {
        self.refused = self.refused.saturating_add(1);
        let silence = || {
            let wait = doubled(limits.backoff_ms, self.refused).min(limits.silence_max_ms);
            jittered(wait, salt)
        };
        self.until = self.until.max(now.plus_ms(wait_ms.unwrap_or_else(silence)));
        self.slots = 1;
    }

    /// A run was not refused. Says whether that was the last one that had to be awaited. One that
    /// ends before the time is up began before the refusal and says nothing.
    pub(crate) fn worked(&mut self, limits: &Limits, now: Time) -> bool {
        if now < self.until {
            return false;
        }
        self.refused = 0;
        self.slots = self.slots.saturating_mul(2);
        limits.agents <= self.slots
    }
}
