//! What the landing queue is asked for.

use serde::{Deserialize, Serialize};

use crate::{LoopId, PlanId};

/// One thing the landing queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOp {
    /// Bring a passed loop's work onto its plan's integration ref.
    Integrate(LoopId),
    /// Bring a passed loop's work onto the target.
    Land(LoopId),
    /// Merge a target that moved into the plan's integration ref.
    Refresh(PlanId),
    /// Take a loop's landed work off the target again, by a commit that reverts it.
    Undo(LoopId),
}

impl QueueOp {
    /// The loop whose work is moved, if it is one loop's.
    #[must_use]
    pub fn loop_id(self) -> Option<LoopId> {
        match self {
            Self::Integrate(id) | Self::Land(id) | Self::Undo(id) => Some(id),
            Self::Refresh(_) => None,
        }
    }

    /// The plan concerned.
    #[must_use]
    pub fn plan(self) -> PlanId {
        match self {
            Self::Integrate(id) | Self::Land(id) | Self::Undo(id) => id.plan(),
            Self::Refresh(plan) => plan,
        }
    }
}
