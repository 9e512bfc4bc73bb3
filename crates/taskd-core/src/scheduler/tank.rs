//! Tokens per minute: a bucket that can be refunded and can be in debt.
//!
//! Integers in units of a token for a minute of milliseconds, so that a limit of `l` tokens per
//! minute refills `l` units each millisecond, exactly.

use serde::{Deserialize, Serialize};
use taskd_model::{Level, Time};

const UNITS_PER_TOKEN: u64 = 60_000;

/// What of a limit is taken. What is taken drains away with time; nothing else is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tank {
    /// Taken at `at`, in units.
    taken: u64,
    at: Time,
}

impl Tank {
    fn taken_at(self, limit: u64, now: Time) -> u64 {
        self.taken.saturating_sub(now.ms_since(self.at).saturating_mul(limit))
    }

    /// Tokens that are left; none of a debt.
    pub(crate) fn left(self, limit: u64, now: Time) -> u64 {
        units(limit).saturating_sub(self.taken_at(limit, now)) / UNITS_PER_TOKEN
    }

    /// When `tokens` more fit. More than the whole limit fit when nothing is taken.
    pub(crate) fn ready_at(self, limit: u64, tokens: u64, now: Time) -> Time {
        let wanted = units(tokens.min(limit));
        let over = self.taken_at(limit, now).saturating_add(wanted).saturating_sub(units(limit));
        now.plus_ms(over.div_ceil(limit.max(1)))
    }

    /// Takes `tokens`, also those that are not there.
    pub(crate) fn take(&mut self, limit: u64, tokens: u64, now: Time) {
        self.taken = self.taken_at(limit, now).saturating_add(units(tokens));
        self.at = now;
    }

    /// Gives `tokens` back that were taken and not used.
    pub(crate) fn refund(&mut self, limit: u64, tokens: u64, now: Time) {
        self.taken = self.taken_at(limit, now).saturating_sub(units(tokens));
        self.at = now;
    }

    /// The provider says what is left; where that is less than we thought, it is right.
    pub(crate) fn learn(&mut self, level: Level, now: Time) {
        let used = units(level.limit.saturating_sub(level.remaining));
        self.taken = self.taken_at(level.limit, now).max(used);
        self.at = now;
    }
}

fn units(tokens: u64) -> u64 {
    tokens.saturating_mul(UNITS_PER_TOKEN)
}
