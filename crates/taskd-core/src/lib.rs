//! Decides. Start at [`Coordinator::handle`]: one input in, the events it caused out.
//!
//! Reading order: `coordinator` (the way in), `commands` (what people ask), `state` (the only code that mutates), `engine` (one
//! loop), `scheduler` (who may call a model), `money` (who may spend), `relay` (calls of agents), `messages` and `queries` (between loops), `queue` (what lands next), `decide` (what follows by
//! itself).
//!
//! Invariants: no clock, no randomness, no IO, no async; same log, same state; integers only.

mod arrange;
mod asked;
mod back;
mod calls;
mod commands;
mod coordinator;
mod decide;
mod document;
mod engine;
mod fallback;
mod flakes;
mod index;
mod messages;
mod money;
mod outcomes;
mod plan;
mod queries;
mod questions;
mod queue;
mod relay;
mod replan;
mod retry;
mod review;
mod scheduler;
mod state;
#[cfg(test)]
mod tests;
mod unsaved;
mod why;

pub use calls::{BucketRow, CallWait, Place, WaitingCall, WantedCall};
pub use commands::Rejected;
pub use coordinator::{Coordinator, Decided, Snapshot};
pub use document::{MAX_CHILDREN, MAX_LEVELS};
pub use questions::{Evidence, QueueRow, WhyRow};
pub use queue::OnHold;
pub use scheduler::{BucketState, CallCounts, Room, RoomKind};
pub use state::Want;
