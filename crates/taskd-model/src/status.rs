//! The nine statuses of a loop and the one table of their transitions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a loop is in its life. People see four groups instead; see `Group` in the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Written down, not yet released: its plan's base is being checked.
    Draft,
    /// Waits for its needs or for a slot.
    Pending,
    /// Works, or waits for a bucket, an approval or the landing queue.
    Running,
    /// A person paused it.
    Paused,
    /// Its work is being moved onto another base.
    Rebasing,
    /// Cannot go on without a person.
    Blocked,
    /// Passed, and landed where its plan lands.
    Complete,
    /// Ended by a limit or an error.
    Failed,
    /// A person ended it.
    Stopped,
}

impl Status {
    /// Every status, in the order of a loop's life.
    pub const ALL: [Self; 9] = [
        Self::Draft,
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Rebasing,
        Self::Blocked,
        Self::Complete,
        Self::Failed,
        Self::Stopped,
    ];

    /// Nothing follows by itself any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Stopped)
    }

    /// The table: may a loop in this status change to `to`?
    #[must_use]
    pub fn allows(self, to: Self) -> bool {
        match self {
            Self::Draft => matches!(
                to,
                Self::Pending | Self::Paused | Self::Blocked | Self::Stopped | Self::Failed
            ),
            Self::Pending => {
                matches!(
                    to,
                    Self::Running | Self::Paused | Self::Blocked | Self::Stopped | Self::Failed
                )
            }
            Self::Running => matches!(
                to,
                Self::Rebasing
                    | Self::Paused
                    | Self::Blocked
                    | Self::Complete
                    | Self::Failed
                    | Self::Stopped
            ),
            Self::Paused => {
                matches!(to, Self::Pending | Self::Running | Self::Stopped | Self::Failed)
            }
            Self::Rebasing => {
                matches!(
                    to,
                    Self::Running | Self::Paused | Self::Blocked | Self::Stopped | Self::Failed
                )
            }
            Self::Blocked => {
                matches!(to, Self::Running | Self::Pending | Self::Stopped | Self::Failed)
            }
            // A person wants it tried again, or what its document named planned again.
            Self::Failed | Self::Stopped | Self::Complete => to == Self::Pending,
        }
    }

    /// Checks a transition against the table.
    ///
    /// # Errors
    ///
    /// The transition is not in the table.
    pub fn check(self, to: Self) -> Result<(), InvalidTransition> {
        if self.allows(to) { Ok(()) } else { Err(InvalidTransition { from: self, to }) }
    }
}

/// A transition that is not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a loop that is {from} cannot become {to}")]
pub struct InvalidTransition {
    /// Status it has.
    pub from: Status,
    /// Status it was asked to take.
    pub to: Status,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draft => "draft",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Rebasing => "rebasing",
            Self::Blocked => "blocked",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        })
    }
}

/// Why a status changed, for people and for `wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its plan's base was checked.
    Released,
    /// Its needs are met and a slot is free.
    Started,
    /// Its base moved.
    BaseMoved,
    /// Its work stands on the new base.
    Rebased,
    /// A person asked.
    Person,
    /// More conflicts than its type allows.
    Conflict,
    /// Its `accept` commands were green before any work was done.
    AcceptGreen,
    /// A need of it ended without passing.
    NeedFailed,
    /// The plan's base does not pass its own gate.
    BaseRed,
    /// Its document is still wrong after the repairs its type allows.
    Malformed,
    /// So many iterations in a row ended the same way on the same tree.
    NoProgress(u32),
    /// One of its limits was reached.
    Limit(Limit),
    /// Something only a person can mend; at most 500 characters.
    Stuck(String),
    /// Passed and brought where the plan brings its work.
    Done,
    /// Nothing was left to bring: the target already has it.
    AlreadyThere,
    /// A defect of ours; at most 500 characters.
    Internal(String),
    /// The document that named it was written anew and does not name it any more.
    Superseded,
    /// Another loop of its plan ended it: this one.
    Loop(String),
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Iterations of the loop.
    Iterations,
    /// Wall time of the loop.
    Time,
    /// Money of the loop.
    Budget,
    /// Money of the plan.
    PlanBudget,
    /// Wall time of the plan.
    PlanTime,
    /// Times an external agent's run was begun again after a crash.
    Restarts,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iterations => "iterations",
            Self::Time => "time",
            Self::Budget => "budget",
            Self::PlanBudget => "the plan's budget",
            Self::PlanTime => "the plan's time",
            Self::Restarts => "restarts",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("base checked"),
            Self::Started => f.write_str("started"),
            Self::BaseMoved => f.write_str("base moved"),
            Self::Rebased => f.write_str("rebased"),
            Self::Person => f.write_str("by a person"),
            Self::Conflict => f.write_str("conflicts not solved"),
            Self::AcceptGreen => f.write_str("accept is green before any work"),
            Self::NeedFailed => f.write_str("a need of it did not pass"),
            Self::BaseRed => f.write_str("the base does not pass its own gate"),
            Self::Malformed => f.write_str("its document is still wrong"),
            Self::NoProgress(times) => {
                write!(f, "no progress: {times} times in a row the same result of the same tree")
            }
            Self::Limit(it) => write!(f, "limit reached: {it}"),
            Self::Stuck(it) => f.write_str(it),
            Self::Done => f.write_str("done"),
            Self::AlreadyThere => f.write_str("the target already has it"),
            Self::Internal(it) => write!(f, "internal error: {it}"),
            Self::Superseded => f.write_str("superseded: its plan was written anew"),
            Self::Loop(name) => write!(f, "by {name}"),
        }
    }
}
