//! Indexes inside the state: who wants what, and when.
//!
//! Derived, never stored: rebuilt from the loops on load and kept up by `State::apply`. The
//! simulator compares them with the naive fold after every input.

use std::collections::{BTreeMap, BTreeSet};

use taskd_model::{LoopId, PlanId, Priority, Purse, Seq, Time};

use crate::{
    queue::LaneId,
    scheduler::{Waiters, Waiting},
    state::Want,
};

/// The keys under which one loop is indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) want: Want,
    pub(crate) priority: Priority,
    pub(crate) since: (Time, Seq),
    pub(crate) due: Option<Time>,
    pub(crate) slot: bool,
    /// It wants to call this model, and may call these instead.
    pub(crate) detour: Option<Detour>,
}

/// A model that is wanted, and those that may be called instead, the best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Detour {
    pub(crate) from: String,
    pub(crate) models: Vec<String>,
}

/// All indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    keys: BTreeMap<LoopId, Keys>,
    /// Loops with a step that needs nothing shared.
    pub(crate) steps: BTreeSet<LoopId>,
    /// Loops that could start if there were a slot: highest priority first, then oldest.
    pub(crate) slots: BTreeSet<(std::cmp::Reverse<Priority>, Seq, LoopId)>,
    /// Calls that wait for admission, by bucket.
    pub(crate) calls: BTreeMap<String, Waiters>,
    /// Loops that want to call a model and may call another, by both.
    pub(crate) detours: BTreeMap<Detour, BTreeSet<LoopId>>,
    /// Agents that wait for a slot.
    pub(crate) agents: BTreeSet<Waiting>,
    /// Gates that wait for a slot.
    pub(crate) gates: BTreeSet<Waiting>,
    /// When a day's budget that is spent is renewed.
    pub(crate) renewals: BTreeSet<(Time, Purse)>,
    /// When something is due by time alone.
    pub(crate) due: BTreeSet<(Time, LoopId)>,
    /// Loops that have a loop slot.
    pub(crate) active: u32,
    /// Plans with a step.
    pub(crate) plans: BTreeSet<PlanId>,
    /// Plans whose base check waits for a gate slot.
    pub(crate) checks: BTreeSet<PlanId>,
    /// Landing queues with a step.
    pub(crate) lanes: BTreeSet<LaneId>,
    /// Landing queues whose candidate waits for a gate slot.
    pub(crate) lane_gates: BTreeSet<LaneId>,
}

impl Index {
    /// Replaces the keys of `id`; `None` removes it.
    pub(crate) fn set(&mut self, id: LoopId, keys: Option<Keys>) {
        if self.keys.get(&id) == keys.as_ref() {
            return;
        }
        if let Some(old) = self.keys.remove(&id) {
            self.remove(id, &old);
        }
        if let Some(new) = keys {
            self.insert(id, &new);
            self.keys.insert(id, new);
        }
    }

    fn insert(&mut self, id: LoopId, keys: &Keys) {
        let waiting = (keys.since.0, keys.since.1, id);
        match &keys.want {
            Want::Nothing => {}
            Want::Step => _ = self.steps.insert(id),
            Want::Slot => {
                _ = self.slots.insert((std::cmp::Reverse(keys.priority), keys.since.1, id));
            }
            Want::Call(bucket) => {
                self.calls.entry(bucket.clone()).or_default().insert(keys.priority, waiting);
            }
            Want::Agent => _ = self.agents.insert(waiting),
            Want::Gate => _ = self.gates.insert(waiting),
        }
        if let Some(due) = keys.due {
            self.due.insert((due, id));
        }
        self.active += u32::from(keys.slot);
        if let Some(detour) = &keys.detour {
            self.detours.entry(detour.clone()).or_default().insert(id);
        }
    }

    fn remove(&mut self, id: LoopId, keys: &Keys) {
        let waiting = (keys.since.0, keys.since.1, id);
        match &keys.want {
            Want::Nothing => {}
            Want::Step => _ = self.steps.remove(&id),
            Want::Slot => {
                _ = self.slots.remove(&(std::cmp::Reverse(keys.priority), keys.since.1, id));
            }
            Want::Call(bucket) => {
                let waiters = self.calls.get_mut(bucket).expect("indexed under this bucket");
                waiters.remove(keys.priority, &waiting);
                if waiters.is_empty() {
                    self.calls.remove(bucket);
                }
            }
            Want::Agent => _ = self.agents.remove(&waiting),
            Want::Gate => _ = self.gates.remove(&waiting),
        }
        if let Some(due) = keys.due {
            self.due.remove(&(due, id));
        }
        self.active -= u32::from(keys.slot);
        if let Some(detour) = &keys.detour {
            let loops = self.detours.get_mut(detour).expect("indexed under this detour");
            loops.remove(&id);
            if loops.is_empty() {
                self.detours.remove(detour);
            }
        }
    }

    /// Whether `id` has a loop slot, as indexed.
    pub(crate) fn has_slot(&self, id: LoopId) -> bool {
        self.keys.get(&id).is_some_and(|it| it.slot)
    }

    /// What `id` wants, as indexed.
    pub(crate) fn want(&self, id: LoopId) -> &Want {
        self.keys.get(&id).map_or(&Want::Nothing, |it| &it.want)
    }
}

/// Puts `item` into `set` or takes it out.
pub(crate) fn mark<T: Ord>(set: &mut BTreeSet<T>, item: T, wanted: bool) {
    if wanted {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}
