//! The simulator: a whole world from a seed, with everything that can go wrong in it.
//!
//! [`run`] plays projects, plans, people, crashes and a model of git against the coordinator, and
//! checks after every input what must always hold. The same seed is the same world, so a failure
//! is its seed.
//!
//! It knows nothing of processes, files or time; those are proven where they are.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the simulator looks at a few kinds; what it does not name is not judged there"
)]

mod chatter;
mod crowd;
mod git;
mod holds;
mod ledger;
mod outcomes;
mod people;
mod purses;
mod rng;
mod room;
mod runner;
mod talk;
mod tally;
#[cfg(test)]
mod tests;
mod world;

pub use chatter::Chatter;
pub use crowd::{crowd, graph, well};
pub use tally::Tally;
use taskd_model::Digest;

/// Seeds that once failed; they are played first.
pub const PAST: &str = include_str!("../seeds.txt");

/// Runs one world to its end.
///
/// # Panics
///
/// Something does not hold. The story is printed, and the message names the seed.
#[must_use]
pub fn run(seed: u64) -> Tally {
    world::World::new(seed).run().0
}

/// The same, as a digest of the log the world leaves.
///
/// # Panics
///
/// As [`run`].
#[must_use]
pub fn log_of(seed: u64) -> Digest {
    world::World::new(seed).run().1
}

/// Runs a large world to its end: more than fifty loops of three plans side by side, branches that
/// move under them, one in twenty effects failing, and a daemon that dies now and then.
///
/// # Panics
///
/// As [`run`].
#[must_use]
pub fn fleet(seed: u64) -> Tally {
    world::World::fleet(seed).run().0
}
