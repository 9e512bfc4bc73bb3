//! Messages between the loops of a plan: what is sent, and how a receiver is told of it.
//!
//! The text is a blob; here is who says it, of what kind it is, and where in the receiver's
//! conversation it was told. An event holds it before anybody is told that it was sent.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, LoopId, Query, QueryEnd, Seq, SideCall, Time, usage::is_zero};

/// Longest text of a message, in bytes.
pub const MAX_LETTER_BYTES: usize = 8 << 10;
/// Longest topic of an alert, in characters.
pub const MAX_TOPIC_CHARS: usize = 40;

/// What kind of message it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// For one loop, which may build on it.
    Share,
    /// For every loop of the plan that has begun: of one topic the newest counts.
    Alert {
        /// What it is about; at most [`MAX_TOPIC_CHARS`] characters.
        topic: String,
    },
}

/// A message on its way to one loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The loop that sent it.
    pub from: LoopId,
    /// Of what kind it is.
    pub kind: LetterKind,
    /// The text, as a blob.
    pub text: Digest,
    /// How long that is, in bytes.
    pub bytes: u32,
    /// Which tool call of the sender's turn sent it: one call sends once, whatever runs it again.
    pub index: u16,
}

/// A message as its receiver is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The message.
    pub letter: Letter,
    /// Earlier alerts of the same topic that it stands for.
    pub merged: u32,
    /// Turns of this iteration that were over when it was told; 0 for one in the prompt.
    pub after: u32,
}

/// What a loop wants to say to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    /// Tell one loop.
    Share {
        /// Which.
        to: LoopId,
        /// The text, as a blob.
        text: Digest,
        /// How long that is, in bytes.
        bytes: u32,
    },
    /// Tell every loop of the plan that has begun.
    Alert {
        /// What it is about.
        topic: String,
        /// The text, as a blob.
        text: Digest,
        /// How long that is, in bytes.
        bytes: u32,
    },
    /// Ask one loop; it is answered beside what that one does.
    Query {
        /// Which.
        to: LoopId,
        /// The question, as a blob.
        text: Digest,
        /// The call that answers.
        call: SideCall,
        /// How long an answer is waited for, in milliseconds.
        wait_ms: u64,
    },
    /// End one loop; its work is kept.
    Stop {
        /// Which.
        to: LoopId,
        /// Why; at most 200 bytes of it are kept.
        why: String,
    },
}

/// Why a message was not taken, where that counts against its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsent {
    /// It sends more than it may in a second.
    TooOften,
    /// The receiver has not read what waits for it.
    Full,
}

impl fmt::Display for LetterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share => f.write_str("share"),
            Self::Alert { topic } => write!(f, "alert, {topic}"),
        }
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooOften => "too many in a second",
            Self::Full => "too many wait there",
        })
    }
}

/// What loops say to one another, and what becomes of it; each about the loop of its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoken {
    /// Another loop of its plan told it something.
    Told {
        /// What, and who.
        letter: Letter,
    },
    /// A message of it was refused because there are too many; nothing else is of note.
    Refused {
        /// Why.
        why: Unsent,
    },
    /// It sends too much: its messages are refused for a while. It can still be stopped.
    Muted {
        /// Until then.
        until: Time,
    },
    /// Another loop of its plan asks it something; the query's id is this event's seq.
    Query {
        /// What, and who.
        query: Box<Query>,
    },
    /// A query to it ended.
    QueryEnded {
        /// The query.
        query: Seq,
        /// The loop that asked.
        from: LoopId,
        /// How.
        end: QueryEnd,
    },
    /// Another loop of its plan ends it.
    Stopped {
        /// Which.
        by: LoopId,
        /// Which tool call of that one's turn: one call stops once.
        index: u16,
        /// Why, as that one says; at most 200 bytes.
        why: String,
    },
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told { letter } => write!(f, "told by {}: {}", letter.from, letter.kind),
            Self::Refused { why } => write!(f, "message refused: {why}"),
            Self::Muted { until } => write!(f, "muted until {}", until.0),
            Self::Query { query } => write!(f, "asked by {}", query.from),
            Self::QueryEnded { query, end, .. } => write!(f, "query {query}: {end}"),
            Self::Stopped { by, why, .. } => write!(f, "stopped by {by}: {why}"),
        }
    }
}

/// Messages since the log began, and how it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterCounts {
    /// Messages that were taken, one for each receiver.
    pub sent: u64,
    /// Messages that were refused for their number.
    pub refused: u64,
    /// Times a sender was muted.
    pub mutes: u64,
    /// Queries of loops to others.
    #[serde(default)]
    pub queries: u64,
    /// Those that nobody answered in time.
    #[serde(default)]
    pub timeouts: u64,
    /// Messages that their receivers were told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub told: u64,
}
