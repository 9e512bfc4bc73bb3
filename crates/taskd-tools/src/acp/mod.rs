//! The Agent Client Protocol, version 1: JSON-RPC in lines, with an agent program at the other end.
//!
//! [`Link`] is our side of one program: sessions, prompts, a cancel, answers to what it asks. It is
//! given what the program prints and hands out what to write; it starts nothing. Files and terminals
//! of ours are not offered: an agent uses its own, in its worktree.
//!
//! Refuses to: hold a line over [`LINE_MAX_BYTES`], queue without a bound, or take for a reply what
//! was never asked.

mod link;
mod update;

pub use link::{Abilities, AcpError, LINE_MAX_BYTES, Link, Outbox, Permission, Stop};
pub use update::{Choice, Said};
