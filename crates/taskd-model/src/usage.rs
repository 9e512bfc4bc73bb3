//! What calls use, and what providers say is left of their limits. Integers: replay must be exact.

use serde::{Deserialize, Serialize};

/// What a call or an agent's run used. Micro-dollars are integers: replay must be exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, without those from a cache.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from a cache.
    pub cache_read: u64,
    /// Tokens written to a cache.
    pub cache_write: u64,
    /// Cost in micro-dollars, of what has a known price.
    pub micros: u64,
    /// Calls that used something for which no price is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpriced: u32,
    /// Calls whose provider did not say what they used: their tokens are our estimate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub estimated: u32,
    /// What of `micros` is for tokens read. The four classes may come to less than `micros`:
    /// agents name only a sum, and each class is rounded down.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub input_micros: u64,
    /// What of `micros` is for tokens written.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub output_micros: u64,
    /// What of `micros` is for tokens read from a cache.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub cache_read_micros: u64,
    /// What of `micros` is for tokens written to a cache.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub cache_write_micros: u64,
}

/// What was not there before has this value, and is not written.
pub(crate) fn is_zero<T: Default + PartialEq>(n: &T) -> bool {
    *n == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_nothing(n: &u64) -> bool {
    *n == 0
}

impl Usage {
    /// Tokens of all four classes.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let read = self.input.saturating_add(self.cache_read).saturating_add(self.cache_write);
        read.saturating_add(self.output)
    }

    /// Adds `other`, saturating.
    pub fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.micros = self.micros.saturating_add(other.micros);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.estimated = self.estimated.saturating_add(other.estimated);
        self.input_micros = self.input_micros.saturating_add(other.input_micros);
        self.output_micros = self.output_micros.saturating_add(other.output_micros);
        self.cache_read_micros = self.cache_read_micros.saturating_add(other.cache_read_micros);
        self.cache_write_micros = self.cache_write_micros.saturating_add(other.cache_write_micros);
    }

    /// What this has more than `before`, class by class; nothing where it has less.
    #[must_use]
    pub fn beyond(&self, before: &Self) -> Self {
        Self {
            input: self.input.saturating_sub(before.input),
            output: self.output.saturating_sub(before.output),
            cache_read: self.cache_read.saturating_sub(before.cache_read),
            cache_write: self.cache_write.saturating_sub(before.cache_write),
            micros: self.micros.saturating_sub(before.micros),
            unpriced: self.unpriced.saturating_sub(before.unpriced),
            estimated: self.estimated.saturating_sub(before.estimated),
            input_micros: self.input_micros.saturating_sub(before.input_micros),
            output_micros: self.output_micros.saturating_sub(before.output_micros),
            cache_read_micros: self.cache_read_micros.saturating_sub(before.cache_read_micros),
            cache_write_micros: self.cache_write_micros.saturating_sub(before.cache_write_micros),
        }
    }
}

/// What a provider's headers say about one of its limits per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// What the limit lets through in a minute.
    pub limit: u64,
    /// What of it is left now.
    pub remaining: u64,
    /// Until it is full again, in milliseconds from now.
    pub reset_ms: u64,
}

/// The limits a provider named with one answer; those it did not name are unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLevels {
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Level>,
    /// Tokens read, without those from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<Level>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Level>,
    /// Tokens read and written together, of providers that do not tell them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Level>,
}
