//! Calls of external agents that go through the daemon: what an agent asks for, and the passing on
//! of one call. The call itself is the agent's own bytes; nothing of them is here.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Work;
use crate::{Amount, EffectId, usage::is_zero};

/// How exactly it is known what an agent uses, and how early it is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// It has a slot and its time is taken; nobody counts what it uses.
    ByTime,
    /// The same, and it says what it uses.
    ByReport,
    /// Each of its calls goes through the daemon: admitted, counted, held back.
    ByCall,
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByTime => "by slot and time",
            Self::ByReport => "by report",
            Self::ByCall => "by call",
        })
    }
}

/// A call an agent wants to make. It waits in its bucket as those of native loops do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallWanted {
    /// Which call of this run, from 1. A call that was refused is asked for again under a new number.
    pub call: u32,
    /// The bucket it counts against: `provider/model`.
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

/// One call of an agent, passed on to its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The agent's run.
    pub agent: EffectId,
    /// Which call of that run.
    pub call: u32,
    /// Which rate bucket admitted it.
    pub bucket: String,
    /// What it may cost, in micro-dollars: it is cut off at this cap.
    pub cap_micros: u64,
    /// Tokens it may use, of all classes: it is cut off at this cap too; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cap_tokens: u64,
    /// What is reserved of every budget for it, in micro-dollars.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved_micros: u64,
    /// Tokens of all classes that are reserved of every budget for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved_tokens: u64,
    /// Tokens reserved in its bucket for what it reads.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// Tokens reserved in its bucket for what it writes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
}

/// What a call takes from its bucket and from the budgets until it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// What is reserved of every budget.
    pub reserved: Amount,
    /// Tokens reserved in the bucket for what it reads.
    pub input_tokens: u64,
    /// The same for what it writes.
    pub output_tokens: u64,
}

impl Work {
    /// What a call to a model takes, a loop's own, an agent's, or one that answers; nothing of other work.
    #[must_use]
    pub fn taken(&self) -> Option<Taken<'_>> {
        match self {
            Self::Call {
                bucket,
                reserved_micros,
                reserved_tokens,
                input_tokens,
                output_tokens,
                ..
            }
            | Self::Relay(Relay {
                bucket,
                reserved_micros,
                reserved_tokens,
                input_tokens,
                output_tokens,
                ..
            }) => Some(Taken {
                bucket,
                reserved: Amount { micros: *reserved_micros, tokens: *reserved_tokens },
                input_tokens: *input_tokens,
                output_tokens: *output_tokens,
            }),
            Self::Answer(it) => Some(Taken {
                bucket: &it.call.bucket,
                reserved: it.call.worst(),
                input_tokens: it.input_tokens,
                output_tokens: it.output_tokens,
            }),
            Self::CheckBase { .. }
            | Self::Prepare { .. }
            | Self::AcceptBefore
            | Self::Compose
            | Self::Tool { .. }
            | Self::Save { .. }
            | Self::Agent { .. }
            | Self::Gate
            | Self::Decompose { .. }
            | Self::Rebase { .. }
            | Self::BuildCandidate { .. }
            | Self::GateCandidate { .. }
            | Self::Publish { .. } => None,
        }
    }
}
