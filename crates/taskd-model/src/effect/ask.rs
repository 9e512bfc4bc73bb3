//! What a loop asks a person: one question, bounded, and what is answered if nobody does.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A question of a loop's own. It waits until it is answered, whatever happens to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked, in one line of at most [`Question::MAX_BYTES`].
    pub text: String,
    /// Answers to choose from, at most [`Question::MAX_CHOICES`]; any other words may be answered
    /// too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What is answered when the time is up; without it the question stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultAnswer>,
    /// How long a person has, in milliseconds; nothing for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// What is answered when nobody does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultAnswer {
    /// The answer, at most [`Question::MAX_CHOICE_BYTES`].
    pub said: String,
    /// Which of the choices that is, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<u16>,
    /// What the tool answers then, as a blob.
    pub result: Digest,
}

impl Question {
    /// Longest question, in bytes: it must fit into one event with everything else.
    pub const MAX_BYTES: usize = 800;
    /// Most answers to choose from.
    pub const MAX_CHOICES: usize = 8;
    /// Longest of them, and longest default, in bytes.
    pub const MAX_CHOICE_BYTES: usize = 80;
}
