//! How a model is asked to work: what a loop type may set beside prompt and tools.
//!
//! Words only. Which of them a model takes is said by its adapter.

use serde::{Deserialize, Serialize};

/// How a model is asked to work. What is absent is the provider's to choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// How much it thinks before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// How freely it chooses words, in thousandths, from 0 to [`Params::MAX_TEMPERATURE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<u16>,
}

impl Params {
    /// The highest temperature any provider takes, in thousandths.
    pub const MAX_TEMPERATURE: u16 = 2_000;

    /// Nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and `under` where they say nothing.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            thinking: self.thinking.or(under.thinking),
            temperature: self.temperature.or(under.temperature),
        }
    }

    /// These without one of them.
    #[must_use]
    pub fn without(self, which: Param) -> Self {
        match which {
            Param::Thinking => Self { thinking: None, ..self },
            Param::Temperature => Self { temperature: None, ..self },
        }
    }
}

/// What shall pay for an external agent: a loop type or the person may say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billing {
    /// The program's own login. No key is handed to it.
    Login,
    /// The key its preset names.
    Key,
}

impl Billing {
    /// As people write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Key => "key",
        }
    }
}

/// One of the [`Params`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Param {
    /// How much is thought.
    Thinking,
    /// How freely words are chosen.
    Temperature,
}

impl Param {
    /// The key of a loop type that sets it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::Temperature => "temperature",
        }
    }
}

/// How much a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// A little.
    Low,
    /// Some.
    Medium,
    /// A lot.
    High,
}

impl Thinking {
    /// The word a loop type says, and providers that have words for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Tokens it may take: a reply may be that much longer.
    #[must_use]
    pub fn tokens(self) -> u32 {
        match self {
            Self::Low => 4_096,
            Self::Medium => 12_288,
            Self::High => 24_576,
        }
    }
}

/// What happens to a parameter that the chosen model does not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsupported {
    /// The plan is refused.
    #[default]
    Refuse,
    /// It is left out, and that is told.
    Drop,
}

impl Unsupported {
    /// It is what counts unless somebody says otherwise.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
