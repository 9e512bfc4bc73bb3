//! Questions between the loops of a plan: what is asked, the call that answers, and how it ends.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Amount, Digest, LoopId, Seq, usage::is_zero};

/// A question of one loop to another. Its id is the event's seq.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The loop that asks.
    pub from: LoopId,
    /// Which tool call of its turn asks: one call asks once, whatever runs it again.
    pub index: u16,
    /// The question, as a blob.
    pub text: Digest,
    /// The call that answers.
    pub call: SideCall,
    /// Nobody waits for an answer any longer than that, in milliseconds; after a crash anew.
    pub wait_ms: u64,
}

/// A call to the model of the loop that is asked, with what that loop knows; it has no tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCall {
    /// The rendered request.
    pub request: Digest,
    /// The bucket it counts against.
    pub bucket: String,
    /// Tokens it reads, about.
    pub input_tokens: u64,
    /// What it costs at most, in micro-dollars; 0 where no price is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub worst_micros: u64,
    /// Tokens of all classes it uses at most.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub worst_tokens: u64,
}

impl SideCall {
    /// What it uses at most.
    #[must_use]
    pub fn worst(&self) -> Amount {
        Amount { micros: self.worst_micros, tokens: self.worst_tokens }
    }
}

/// The call that answers a question, admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question.
    pub query: Seq,
    /// What is sent.
    pub call: SideCall,
    /// What it may cost, in micro-dollars: the adapter ends itself at this cap.
    pub cap_micros: u64,
    /// Tokens it may use, of all classes: the adapter ends itself at this cap too; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cap_tokens: u64,
    /// Tokens reserved in its bucket for what it reads.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// Tokens reserved in its bucket for what it writes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
}

/// How a question ends. Exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryEnd {
    /// It was answered.
    Answered {
        /// The model's reply, as a blob.
        reply: Digest,
    },
    /// Its time was over.
    TimedOut,
    /// The loop that was asked no longer answers; at most 200 bytes.
    Gone {
        /// Why.
        why: String,
    },
    /// Whoever asked no longer waits.
    Expired,
    /// No budget pays for the answer.
    Unpaid,
    /// The call could not be made; at most 200 bytes.
    Failed {
        /// What happened.
        why: String,
    },
}

impl fmt::Display for QueryEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { .. } => f.write_str("answered"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Gone { why } => write!(f, "no answer any more: it {why}"),
            Self::Expired => f.write_str("expired: whoever asked no longer waits"),
            Self::Unpaid => f.write_str("no budget pays for an answer"),
            Self::Failed { why } => write!(f, "not answered: {why}"),
        }
    }
}
