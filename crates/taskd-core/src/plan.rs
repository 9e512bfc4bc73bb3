//! One plan: its specs, what needs what, and where its integration ref stands.
//!
//! A need is satisfied when the needed spec's work is on the integration ref. This module knows
//! commits only as names and never looks at a loop's inside.

use std::collections::BTreeSet;

use crate::money::Told;
use serde::{Deserialize, Serialize};
use taskd_model::{Amount, EffectId, LoopId, Oid, PlanHead, SpecHead, Time, Usage};

/// How far a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PlanState {
    /// The gate has not been run on the untouched base yet.
    Checking,
    /// The base does not pass; a person decides.
    Refused,
    /// Its loops may work.
    Open,
    /// All its loops are over.
    Ended,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) head: PlanHead,
    pub(crate) specs: Vec<Spec>,
    pub(crate) state: PlanState,
    pub(crate) submitted_at: Time,
    /// The longest that a loop of it was parked until a provider would take a call, in
    /// milliseconds: not its time.
    pub(crate) parked_ms: u64,
    /// Where the integration ref stands.
    pub(crate) integration: Oid,
    /// The target's tip that integration contains or was found to conflict with.
    pub(crate) refreshed: Oid,
    /// How many commits the target had had, as [`Project`](crate::state::Project) counts them,
    /// when `refreshed` was its tip.
    pub(crate) height: u64,
    /// Loops whose work is on the integration ref but not on the target.
    pub(crate) unlanded: BTreeSet<LoopId>,
    /// Specs that landed and are not on the integration ref yet.
    pub(crate) ahead: BTreeSet<u16>,
    /// Work that is no longer wanted is on the integration ref: start it again from the target.
    pub(crate) reset: bool,
    /// Complete loops whose work a reset took off the integration ref: it is brought there again.
    pub(crate) again: BTreeSet<LoopId>,
    /// Base checks in a row that could not be done.
    pub(crate) attempts: u32,
    /// Why the base check could not be done, if it could not.
    pub(crate) trouble: Option<String>,
    pub(crate) spent: Usage,
    /// What calls in flight may still use.
    pub(crate) reserved: Amount,
    /// In which units it was said that its budget comes to its end.
    pub(crate) told: Told,
    /// Loops that are not over.
    pub(crate) open_loops: u32,
    /// A refresh is in the landing queue.
    pub(crate) refreshing: bool,
    /// The check of its base that is under way.
    pub(crate) checking: Option<EffectId>,
}

/// One spec of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) head: SpecHead,
    /// Specs that need this one.
    pub(crate) dependents: Vec<u16>,
    /// Its latest loop.
    pub(crate) latest: LoopId,
    pub(crate) reach: Reach,
}

/// How far a spec's work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Reach {
    /// It will not come: its loop ended without passing.
    Lost,
    /// Not passed, or not brought anywhere yet.
    Open,
    /// On the integration ref.
    Integrated,
    /// On the target.
    Landed,
}

impl Plan {
    pub(crate) fn spec(&self, id: LoopId) -> &Spec {
        &self.specs[usize::from(id.spec.index)]
    }

    pub(crate) fn spec_mut(&mut self, id: LoopId) -> &mut Spec {
        &mut self.specs[usize::from(id.spec.index)]
    }

    /// Work of another loop is on the integration ref and not on the target.
    pub(crate) fn has_unlanded_beside(&self, id: LoopId) -> bool {
        self.unlanded.iter().any(|it| *it != id)
    }

    /// How far the least advanced need of `id` has come; `Landed` without needs.
    pub(crate) fn needs_reach(&self, id: LoopId) -> Reach {
        let needs = self.spec(id).head.needs.iter();
        needs.map(|n| self.specs[usize::from(*n)].reach).min().unwrap_or(Reach::Landed)
    }

    /// Everything `id` needs is on the integration ref.
    pub(crate) fn needs_are_there(&self, id: LoopId) -> bool {
        let needs = &self.spec(id).head.needs;
        Reach::Integrated <= self.needs_reach(id) && !needs.iter().any(|it| self.ahead.contains(it))
    }

    /// What people call a loop of this plan: `p7.limiter`, or `p7` if it came as one sentence.
    pub(crate) fn name_of(&self, id: LoopId) -> String {
        let plan = id.plan();
        let spec = &self.spec(id).head.name;
        match (self.head.single, id.run) {
            (true, 1) => plan.to_string(),
            (true, run) => format!("{plan}.{run}"),
            (false, 1) => format!("{plan}.{spec}"),
            (false, run) => format!("{plan}.{spec}.{run}"),
        }
    }

    /// When the whole plan's time is up.
    pub(crate) fn deadline(&self) -> Time {
        self.submitted_at.plus_ms(self.head.time_ms.saturating_add(self.parked_ms))
    }
}
