//! When a provider says we may ask again: `retry-after` in its forms, and the provider's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::fmt::rfc2822;

/// The longest wait that is believed: a week.
const MAX_WAIT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The wait that an answer names, in milliseconds; at most a week. A date that has passed is 0.
///
/// `retry-after-ms` is the more exact one and wins. What cannot be read was not said.
pub(crate) fn named_wait(header: &dyn Fn(&str) -> Option<String>, now_s: u64) -> Option<u64> {
    let exact = header("retry-after-ms").and_then(|it| thousandths(it.trim(), 1));
    let wait = exact.or_else(|| {
        let text = header("retry-after")?;
        let text = text.trim();
        thousandths(text, 1000)
            .or_else(|| Some(seconds_of_date(text)?.saturating_sub(now_s).saturating_mul(1000)))
    })?;
    Some(wait.min(MAX_WAIT_MS))
}

/// The time in seconds since the epoch: by the provider's own clock where the answer has it, for
/// its dates are relative to that.
pub(crate) fn now_s(header: &dyn Fn(&str) -> Option<String>) -> u64 {
    header("date").and_then(|it| seconds_of_date(it.trim())).unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
    })
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds_of_date(text: &str) -> Option<u64> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(u64::try_from(date.as_second()).unwrap_or(0))
}

/// A decimal number times `unit`, rounded down; more digits than fit are the longest wait.
fn thousandths(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit);
    let fraction: u64 = format!("{fraction:0<3.3}").parse().ok()?;
    Some(whole.saturating_add(fraction * unit / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_893_499_200; // Tue, 01 Jan 2030 12:00:00 GMT

    fn wait(headers: &[(&str, &str)]) -> Option<u64> {
        let header = |name: &str| headers.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        named_wait(&header, now_s(&header))
    }

    /// Proves X3.
    #[test]
    fn waits_are_read_in_every_form() {
        let noon = ("date", "Tue, 01 Jan 2030 12:00:00 GMT");
        let cases = [
            ("30", Some(30_000)),
            (" 30 ", Some(30_000)),
            ("0", Some(0)),
            ("0.25", Some(250)),
            ("1.23456", Some(1234)),
            ("1.", Some(1000)),
            ("999999999999", Some(MAX_WAIT_MS)),
            ("99999999999999999999999999", Some(MAX_WAIT_MS)),
            ("Tue, 01 Jan 2030 12:01:00 GMT", Some(60_000)),
            ("Tue, 01 Jan 2030 11:59:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Thu, 01 Jan 2099 12:00:00 GMT", Some(MAX_WAIT_MS)),
            ("-5", None),
            ("1e9", None),
            (".5", None),
            ("", None),
            ("soon", None),
            ("Tue, 41 Jan 2030 12:01:00 GMT", None),
        ];
        for (text, expected) in cases {
            assert_eq!(wait(&[noon, ("retry-after", text)]), expected, "{text:?}");
        }
        assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "1500")]), Some(1500));
        assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "1.5")]), Some(1));
        assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "x")]), Some(9000));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn the_providers_clock_counts_and_ours_where_it_says_nothing() {
        let of = |date: Option<&str>| now_s(&|_| date.map(str::to_owned));
        assert_eq!(of(Some("Tue, 01 Jan 2030 12:00:00 GMT")), NOON);
        assert!(of(None) > 1_700_000_000 && of(None) < NOON * 2);
        assert_eq!(of(Some("yesterday")) / 10, of(None) / 10);
    }
}
