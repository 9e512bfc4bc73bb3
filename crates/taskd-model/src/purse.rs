//! Purses: whose budget something is, and in which unit it is counted.
//!
//! A loop's and a plan's budget are for their whole life. A project's and everybody's are for a day
//! in UTC: the guard against a bill that runs away over night. Names and sums only; who may spend is
//! decided in the core.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{LoopId, PlanId, ProjectId, Time, Usage, format_micros, format_tokens};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Whose money: what a budget is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purse {
    /// Of one loop.
    Loop(LoopId),
    /// Of all loops of a plan.
    Plan(PlanId),
    /// Of all plans of a project, each day.
    Project(ProjectId),
    /// Of everything this daemon does, each day.
    All,
}

impl Purse {
    /// The plan it is of, or is in.
    #[must_use]
    pub fn plan(self) -> Option<PlanId> {
        match self {
            Self::Loop(id) => Some(id.plan()),
            Self::Plan(id) => Some(id),
            Self::Project(_) | Self::All => None,
        }
    }

    /// The loop it is of, if it is one loop's.
    #[must_use]
    pub fn loop_id(self) -> Option<LoopId> {
        match self {
            Self::Loop(id) => Some(id),
            Self::Plan(_) | Self::Project(_) | Self::All => None,
        }
    }

    /// It is filled anew each day.
    #[must_use]
    pub fn is_daily(self) -> bool {
        matches!(self, Self::Project(_) | Self::All)
    }
}

impl fmt::Display for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loop(id) => id.fmt(f),
            Self::Plan(id) => id.fmt(f),
            Self::Project(id) => write!(f, "project {}", id.0),
            Self::All => f.write_str("everything"),
        }
    }
}

/// What a budget is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Micro-dollars.
    Micros,
    /// Tokens of all four classes.
    Tokens,
}

impl Unit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Micros, Self::Tokens];

    /// An amount as people write it: `$15.00`, `2M tokens`.
    #[must_use]
    pub fn format(self, amount: u64) -> String {
        match self {
            Self::Micros => format_micros(amount),
            Self::Tokens => format!("{} tokens", format_tokens(amount)),
        }
    }
}

/// An amount in both units: what is spent, reserved, or may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Micro-dollars.
    pub micros: u64,
    /// Tokens of all four classes.
    pub tokens: u64,
}

impl Amount {
    /// What was used.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        Self { micros: usage.micros, tokens: usage.tokens() }
    }

    /// The part of it in this unit.
    #[must_use]
    pub fn get(self, unit: Unit) -> u64 {
        match unit {
            Unit::Micros => self.micros,
            Unit::Tokens => self.tokens,
        }
    }

    /// Sets the part of it in this unit.
    pub fn set(&mut self, unit: Unit, amount: u64) {
        match unit {
            Unit::Micros => self.micros = amount,
            Unit::Tokens => self.tokens = amount,
        }
    }

    /// Adds `other`, saturating.
    pub fn add(&mut self, other: Self) {
        self.micros = self.micros.saturating_add(other.micros);
        self.tokens = self.tokens.saturating_add(other.tokens);
    }

    /// Takes `other` away, saturating.
    pub fn take(&mut self, other: Self) {
        self.micros = self.micros.saturating_sub(other.micros);
        self.tokens = self.tokens.saturating_sub(other.tokens);
    }
}

/// The day of a time: days since 1970-01-01, UTC.
#[must_use]
pub fn day_of(at: Time) -> u32 {
    u32::try_from(at.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// When the next day begins, in UTC.
#[must_use]
pub fn next_midnight(at: Time) -> Time {
    Time((at.0 / DAY_MS).saturating_add(1).saturating_mul(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight() {
        let last = Time(2 * DAY_MS - 1);
        assert_eq!((day_of(last), next_midnight(last)), (1, Time(2 * DAY_MS)));
        let first = Time(2 * DAY_MS);
        assert_eq!((day_of(first), next_midnight(first)), (2, Time(3 * DAY_MS)));
    }
}
