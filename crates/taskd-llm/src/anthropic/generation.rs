//! What Anthropic's models take, by their names. Newer ones choose by themselves how long they think
//! and refuse what older ones want, so a name nobody knows is taken for a new one.
//!
//! From <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html>
//! and the migration notes of Opus 4.7, which took the temperature away.

use crate::Capabilities;

/// The highest temperature of this interface, in thousandths.
const MAX_TEMPERATURE: u16 = 1_000;

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// Not at all: before 3.7.
    Thoughtless,
    /// With a budget of tokens: 3.7 to 4.5.
    Budget,
    /// With an effort; a temperature may be set instead: 4.6.
    Early,
    /// With an effort, and no temperature: all later ones.
    Adaptive,
}

impl Generation {
    /// That of `model`; a gateway may write its own name before a slash.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or_default();
        if name.starts_with("claude-3-7") {
            return Self::Budget;
        }
        if ["claude-3", "claude-2", "claude-instant"].iter().any(|it| name.starts_with(it)) {
            return Self::Thoughtless;
        }
        let families = ["claude-opus-4", "claude-sonnet-4", "claude-haiku-4"];
        let Some(rest) = families.iter().find_map(|it| name.strip_prefix(it)) else {
            return Self::Adaptive;
        };
        // `-5`, `-5-20250929`, or a date alone.
        let minor = rest.strip_prefix('-').unwrap_or("0").split('-').next().unwrap_or_default();
        match minor.parse::<u32>() {
            Ok(0..=5 | 20_000_000..) => Self::Budget,
            Ok(6) => Self::Early,
            Ok(_) | Err(_) => Self::Adaptive,
        }
    }
}

/// What `model` takes.
pub(super) fn capabilities(model: &str) -> Capabilities {
    let (thinking, max_temperature) = match Generation::of(model) {
        Generation::Thoughtless => (false, Some(MAX_TEMPERATURE)),
        Generation::Budget | Generation::Early => (true, Some(MAX_TEMPERATURE)),
        Generation::Adaptive => (true, None),
    };
    Capabilities { thinking, max_temperature, both: false, counts_tokens: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_told_by_name() {
        let cases = [
            ("claude-3-5-haiku-20241022", Generation::Thoughtless),
            ("claude-3-opus-latest", Generation::Thoughtless),
            ("claude-3-7-sonnet-20250219", Generation::Budget),
            ("claude-sonnet-4-20250514", Generation::Budget),
            ("claude-opus-4-1", Generation::Budget),
            ("claude-haiku-4-5", Generation::Budget),
            ("acme/claude-sonnet-4-5-20250929", Generation::Budget),
            ("claude-opus-4-6", Generation::Early),
            ("claude-opus-4-7", Generation::Adaptive),
            ("claude-opus-4-10", Generation::Adaptive),
            ("claude-sonnet-5", Generation::Adaptive),
            ("claude-opus-5-5", Generation::Adaptive),
            ("something-new", Generation::Adaptive),
        ];
        for (name, expected) in cases {
            assert_eq!(Generation::of(name), expected, "{name}");
        }
    }
}
