//! A second reader of work whose gate is green: who that is, and what it found.

use serde::{Deserialize, Serialize};

use crate::{Digest, Worker};

/// Longest line about what was found, in characters.
pub const MAX_FOUND_CHARS: usize = 160;

/// Who reads a loop's work before it may go anywhere, and what follows from that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewHead {
    /// The model that is called, or the agent program that is run.
    #[serde(flatten)]
    pub by: Worker,
    /// What it finds goes into the next iteration; otherwise it is shown, and that is all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocks: bool,
}

/// What a second reader found in one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How many things; 0 for nothing.
    pub count: u32,
    /// One line for people, at most [`MAX_FOUND_CHARS`] of its own words.
    pub summary: String,
    /// All of it, bounded, as a blob.
    pub log: Digest,
}
