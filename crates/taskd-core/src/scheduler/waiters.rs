//! Calls that wait, and whose turn it is: classes first, then plans in fair shares, then age.
//!
//! Between plans this is start-time fair queueing (Goyal, Vin and Cheng 1996): each admission
//! moves its plan's tag on by what the call costs, and the plan with the lowest tag is next. A plan
//! that had nothing to send gets no credit for it, so it can neither flood nor starve the others.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use taskd_model::{Limits, LoopId, PlanId, Priority, Seq, Time};

/// A call that waits: when it queued, and whose it is.
pub(crate) type Waiting = (Time, Seq, LoopId);

/// Calls that wait for one bucket, by priority class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiters(BTreeMap<Priority, Class>);

/// Calls of one priority class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Class {
    all: BTreeSet<Waiting>,
    plans: BTreeMap<PlanId, BTreeSet<Waiting>>,
}

impl Waiters {
    pub(crate) fn insert(&mut self, priority: Priority, call: Waiting) {
        let class = self.0.entry(priority).or_default();
        class.all.insert(call);
        class.plans.entry(call.2.plan()).or_default().insert(call);
    }

    pub(crate) fn remove(&mut self, priority: Priority, call: &Waiting) {
        let Some(class) = self.0.get_mut(&priority) else { return };
        class.all.remove(call);
        let plan = call.2.plan();
        if let Some(calls) = class.plans.get_mut(&plan) {
            calls.remove(call);
            if calls.is_empty() {
                class.plans.remove(&plan);
            }
        }
        if class.all.is_empty() {
            self.0.remove(&priority);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(|it| it.all.len()).sum()
    }

    /// Who is next. Every `ageing_ms` that its oldest call waits lifts a class by one, so a low one
    /// overtakes later critical ones after three.
    pub(crate) fn first(&self, limits: &Limits, shares: &Shares, now: Time) -> Option<LoopId> {
        let ranked = self.0.iter().filter_map(|(class, calls)| {
            let (since, seq, _) = calls.all.first()?;
            let aged = now.ms_since(*since) / limits.ageing_ms.max(1);
            Some(((*class as u64 + aged, std::cmp::Reverse(*seq)), calls))
        });
        let (_, class) = ranked.max_by_key(|(rank, _)| *rank)?;
        let heads = class.plans.iter().filter_map(|(plan, calls)| {
            let (_, seq, id) = calls.first()?;
            Some((shares.tag(*plan), *seq, *id))
        });
        heads.min().map(|(_, _, id)| id)
    }
}

/// The order in which calls go if nothing changes.
pub(crate) struct Order {
    waiters: Waiters,
    shares: Shares,
}

impl Order {
    pub(crate) fn new(waiters: &Waiters, shares: &Shares) -> Self {
        Self { waiters: waiters.clone(), shares: shares.clone() }
    }

    /// Who is next, with its class; it is taken out, and what it costs, in tokens, is its plan's.
    pub(crate) fn next(
        &mut self,
        limits: &Limits,
        cost_of: impl Fn(LoopId) -> u64,
        now: Time,
    ) -> Option<(LoopId, Priority)> {
        let id = self.waiters.first(limits, &self.shares, now)?;
        let (class, call) = self.waiters.0.iter().find_map(|(class, calls)| {
            let calls = calls.plans.get(&id.plan())?;
            let call = calls.first().filter(|it| it.2 == id)?;
            Some((*class, *call))
        })?;
        self.waiters.remove(class, &call);
        self.shares.admit(id.plan(), cost_of(id));
        Some((id, class))
    }
}

/// What each plan has had of one bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// The tag of the last admission: where everybody starts who was not there.
    now: u64,
    /// Tags ahead of that.
    tags: BTreeMap<PlanId, u64>,
}

impl Shares {
    fn tag(&self, plan: PlanId) -> u64 {
        self.tags.get(&plan).copied().unwrap_or(0).max(self.now)
    }

    /// A call of `plan` was admitted.
    pub(crate) fn admit(&mut self, plan: PlanId, cost: u64) {
        self.now = self.tag(plan);
        self.tags.insert(plan, self.now.saturating_add(cost.max(1)));
        // Whoever is behind has no claim to it.
        let now = self.now;
        self.tags.retain(|_, tag| now < *tag);
    }
}
