//! What the `anthropic-ratelimit-*` headers say is left.

use taskd_model::{Level, RateLevels};

/// What is left of each limit that is named whole; `now_s` is in seconds since the epoch.
pub(super) fn levels(header: &dyn Fn(&str) -> Option<String>, now_s: u64) -> RateLevels {
    let level = |of: &str| {
        let field = |what: &str| header(&format!("anthropic-ratelimit-{of}-{what}"));
        Some(Level {
            limit: field("limit")?.trim().parse().ok()?,
            remaining: field("remaining")?.trim().parse().ok()?,
            reset_ms: until(&field("reset")?, now_s)?,
        })
    };
    RateLevels {
        requests: level("requests"),
        input_tokens: level("input-tokens"),
        output_tokens: level("output-tokens"),
        tokens: level("tokens"),
    }
}

/// Milliseconds from now to an RFC 3339 time; 0 if it has passed.
fn until(time: &str, now_s: u64) -> Option<u64> {
    let at: jiff::Timestamp = time.trim().parse().ok()?;
    let at_ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
    Some(at_ms.saturating_sub(now_s.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_whole_or_not_at_all() {
        let noon = 1_893_499_200; // 2030-01-01T12:00:00Z
        let headers = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2030-01-01T12:00:01.5Z"),
            ("anthropic-ratelimit-input-tokens-limit", "50000"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2030-01-01T14:00:30+02:00"),
            ("anthropic-ratelimit-output-tokens-limit", "10000"),
            ("anthropic-ratelimit-output-tokens-remaining", "10000"),
            ("anthropic-ratelimit-output-tokens-reset", "2029-12-31T00:00:00Z"),
            ("anthropic-ratelimit-tokens-limit", "60000"),
            ("anthropic-ratelimit-tokens-remaining", "-1"),
            ("anthropic-ratelimit-tokens-reset", "2030-01-01T12:00:00Z"),
        ];
        let header = |name: &str| headers.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        let expected = RateLevels {
            requests: Some(Level { limit: 50, remaining: 49, reset_ms: 1500 }),
            input_tokens: Some(Level { limit: 50_000, remaining: 0, reset_ms: 30_000 }),
            output_tokens: Some(Level { limit: 10_000, remaining: 10_000, reset_ms: 0 }),
            tokens: None,
        };
        assert_eq!(levels(&header, noon), expected);
        assert_eq!(levels(&|_| None, noon), RateLevels::default());
        assert_eq!(levels(&|_| Some("soon".into()), noon), RateLevels::default());
    }
}
