//! Where money and time went: usage by model and day, and a loop's time by what it waited for.
//!
//! Sums of the log and nothing else. The ledger of a plan comes to what the plan spent, however it
//! is grouped; both are raised in one place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Status, Time, Usage};

use super::{Doing, LoopView, QueuePhase, View};

/// What a plan used, by model and day. It grows with models times days, not with calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger(BTreeMap<String, BTreeMap<u32, Usage>>);

impl Ledger {
    /// Adds what was used of `model` on a day (days since 1970-01-01, UTC).
    pub fn book(&mut self, model: &str, day: u32, usage: &Usage) {
        if !self.0.contains_key(model) {
            self.0.insert(model.to_owned(), BTreeMap::new());
        }
        if let Some(days) = self.0.get_mut(model) {
            days.entry(day).or_default().add(usage);
        }
    }

    /// Model, day and usage, in that order.
    pub fn rows(&self) -> impl Iterator<Item = (&str, u32, &Usage)> {
        self.0.iter().flat_map(|(model, days)| {
            days.iter().map(move |(day, usage)| (model.as_str(), *day, usage))
        })
    }
}

/// Where a loop's time went, in milliseconds. Time in none of them went into steps of its own:
/// worktree, prompt, tools, the landing queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    /// Waiting for a model, or for a slot for its agent.
    pub queue_ms: u64,
    /// A model replied, or the agent worked.
    pub call_ms: u64,
    /// Its gate ran.
    pub gate_ms: u64,
    /// Waiting for a person.
    pub person_ms: u64,
}

impl Spans {
    /// Adds `other`, saturating.
    pub fn add(&mut self, other: &Self) {
        self.queue_ms = self.queue_ms.saturating_add(other.queue_ms);
        self.call_ms = self.call_ms.saturating_add(other.call_ms);
        self.gate_ms = self.gate_ms.saturating_add(other.gate_ms);
        self.person_ms = self.person_ms.saturating_add(other.person_ms);
    }

    fn of(&mut self, doing: &Doing) -> Option<&mut u64> {
        match doing {
            Doing::QueuedForModel | Doing::QueuedForAgent | Doing::Deferred { .. } => {
                Some(&mut self.queue_ms)
            }
            Doing::Calling | Doing::Agent(_) => Some(&mut self.call_ms),
            Doing::Accept
            | Doing::Gate { .. }
            | Doing::InQueue { phase: QueuePhase::Gating, .. } => Some(&mut self.gate_ms),
            Doing::ReadyToLand | Doing::Held(_) | Doing::Asks(_) => Some(&mut self.person_ms),
            Doing::NotStarted
            | Doing::Preparing
            | Doing::Composing
            | Doing::Tool(_)
            | Doing::QueuedForGate
            | Doing::Rebasing
            | Doing::InQueue { .. }
            | Doing::Idle => None,
        }
    }
}

impl LoopView {
    /// Accounts for its time up to `at`: it did until then what it does now.
    pub(super) fn account(&mut self, at: Time) {
        let ms = at.ms_since(self.spans_at);
        self.spans_at = self.spans_at.max(at);
        let span = match self.status {
            Status::Paused | Status::Blocked => Some(&mut self.spans.person_ms),
            Status::Running | Status::Rebasing => self.spans.of(&self.doing),
            Status::Draft
            | Status::Pending
            | Status::Complete
            | Status::Failed
            | Status::Stopped => None,
        };
        if let Some(span) = span {
            *span = span.saturating_add(ms);
        }
    }

    /// Where its time went, up to `now`.
    #[must_use]
    pub fn spans_until(&self, now: Time) -> Spans {
        let mut it = self.clone();
        it.account(now);
        it.spans
    }
}

impl View {
    /// No daemon ran between the last event and `at`: only who waits for a person waited.
    pub(super) fn skip_gap(&mut self, at: Time) {
        let before = self.at;
        for it in self.loops.values_mut().filter(|it| !it.status.is_over()) {
            let asks = matches!(it.status, Status::Paused | Status::Blocked)
                || matches!(it.doing, Doing::ReadyToLand | Doing::Held(_));
            it.account(if asks { at } else { before });
            it.spans_at = it.spans_at.max(at);
        }
    }
}
