//! Whether a model's provider is called or left alone, and who said so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a bucket's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitChange {
    /// Its calls failed too often: it is left alone but for probes.
    Opened,
    /// Probes were answered: calls go through again.
    Closed,
    /// A person said that it is well again.
    Reset {
        /// What was refused is to be asked for again at once, too.
        refusals: bool,
    },
}

impl fmt::Display for CircuitChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opened => "left alone: its calls keep failing",
            Self::Closed => "answers again",
            Self::Reset { refusals: false } => "is well again, a person says",
            Self::Reset { refusals: true } => "is well again and refuses nothing, a person says",
        })
    }
}
