//! Durations, money and tokens as people write and read them; milliseconds, micro-dollars and single
//! tokens inside.
//!
//! Integers only. No locale, no rounding of what is parsed, and no clock.

/// The text is no duration, no amount of money and no number of tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseUnitError {
    text: String,
    expected: &'static str,
}

const DURATION: &str = "a duration; write `90s`, `15m`, `6h`, `1h 30m` or `2d`";
const MONEY: &str = "an amount of money; write `$15` or `$0.50`";

const BYTES: &str = "a size; write `500MB`, `2GB` or `1.5GB`";
const TOKENS: &str = "a number of tokens; write `2M`, `1.5M` or `500k`";

/// Units of time, from large to small, in milliseconds.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: whole numbers with units, from large to small (`6h`, `1h 30m`, `90s`).
///
/// # Errors
///
/// It is not one, it has a fraction, or it does not fit.
pub fn parse_duration_ms(text: &str) -> Result<u64, ParseUnitError> {
    read_duration(text).ok_or_else(|| bad(text, DURATION))
}

/// Reads dollars as micro-dollars: `$15`, `$0.50`, at most six decimals.
///
/// # Errors
///
/// It is not an amount, or it does not fit.
pub fn parse_micros(text: &str) -> Result<u64, ParseUnitError> {
    read_micros(text).ok_or_else(|| bad(text, MONEY))
}

/// Reads a number of tokens: `2M`, `1.5M`, `500k`, `800`; `tok` or `tokens` may stand behind it.
///
/// # Errors
///
/// It is not one, it is no whole number of tokens, or it does not fit.
pub fn parse_tokens(text: &str) -> Result<u64, ParseUnitError> {
    read_tokens(text).ok_or_else(|| bad(text, TOKENS))
}

/// Units of size, from large to small, in bytes.
const SIZE_UNITS: [(&str, u64); 5] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];

/// Reads a size: `500MB`, `2GB`, `1.5GB`; a unit is 1024 of the next smaller one.
///
/// # Errors
///
/// It is not one, or it does not fit.
pub fn parse_bytes(text: &str) -> Result<u64, ParseUnitError> {
    read_bytes(text.trim()).ok_or_else(|| bad(text, BYTES))
}

fn read_bytes(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (unit, size) = SIZE_UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?.trim_end();
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let digit = |it: &str| it.len() == 1 && it.bytes().all(|it| it.is_ascii_digit());
    if !digit(tenths) || !whole.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(*size)?;
    whole.checked_add(tenths.parse::<u64>().ok()? * size / 10)
}

/// A size in one unit, rounded down, with a decimal below ten: `212 GB`, `1.5 GB`, `80 MB`, `12 B`.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    let fits = SIZE_UNITS.iter().find(|(_, size)| *size <= bytes);
    let (unit, size) = fits.copied().unwrap_or(("B", 1));
    let tenth = bytes % size / (size / 10).max(1);
    if bytes / size < 10 && 1 < size && 0 < tenth && tenth < 10 {
        format!("{}.{tenth} {unit}", bytes / size)
    } else {
        format!("{} {unit}", bytes / size)
    }
}

/// A duration in its two largest units: `41s`, `2m10s`, `12m`, `2h`, `1h30m`, `38ms`.
/// [`parse_duration_ms`] reads it again.
#[must_use]
pub fn format_duration_ms(ms: u64) -> String {
    if ms < 1_000 {
        return if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") };
    }
    let mut out = String::new();
    let mut left = ms;
    for (place, (unit, size)) in TIME_UNITS.iter().take(4).enumerate() {
        let count = left / size;
        left %= size;
        if count == 0 && out.is_empty() {
            continue;
        }
        let first = out.is_empty();
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
        if !first || place == 3 {
            break;
        }
    }
    out
}

/// How long ago, in one unit: `94s`, `12m`, `31h`, `3d`.
#[must_use]
pub fn format_age_ms(ms: u64) -> String {
    match ms {
        0..120_000 => format!("{}s", ms / 1_000),
        120_000..7_200_000 => format!("{}m", ms / 60_000),
        7_200_000..172_800_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// Time on a running clock: `0:41`, `12:05`, `1:02:03`.
#[must_use]
pub fn format_clock_ms(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours == 0 {
        format!("{minutes}:{seconds:02}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}")
    }
}

/// Money in cents, rounded half up: `$0.84`, `$15.00`; anything below half a cent but not nothing
/// is `<$0.01`.
#[must_use]
pub fn format_micros(micros: u64) -> String {
    let cents = micros / 10_000 + u64::from(micros % 10_000 >= 5_000);
    if cents == 0 && micros > 0 {
        return "<$0.01".to_owned();
    }
    format!("${}.{:02}", cents / 100, cents % 100)
}

/// Tokens with at most one decimal, rounded down: `800`, `1.5k`, `2M`.
#[must_use]
pub fn format_tokens(tokens: u64) -> String {
    let (unit, size) = match tokens {
        0..1_000 => return tokens.to_string(),
        1_000..1_000_000 => ("k", 1_000),
        _ => ("M", 1_000_000),
    };
    match tokens % size / (size / 10) {
        0 => format!("{}{unit}", tokens / size),
        tenth => format!("{}.{tenth}{unit}", tokens / size),
    }
}

fn bad(text: &str, expected: &'static str) -> ParseUnitError {
    ParseUnitError { text: text.chars().take(40).collect(), expected }
}

fn read_duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    let mut units = TIME_UNITS.as_slice();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (count, after) = split_while(rest, |it| it.is_ascii_digit());
        let (unit, after) = split_while(after.trim_start(), |it| it.is_ascii_alphabetic());
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let part = count.parse::<u64>().ok()?.checked_mul(units[place].1)?;
        total = total.checked_add(part)?;
        units = &units[place + 1..];
        rest = after.trim_start();
    }
    Some(total)
}

fn read_micros(text: &str) -> Option<u64> {
    read_decimal(text.trim().strip_prefix('$')?, 6)
}

fn read_tokens(text: &str) -> Option<u64> {
    let text = text.trim();
    let bare = text.strip_suffix("tokens").or_else(|| text.strip_suffix("tok")).unwrap_or(text);
    let bare = bare.trim_end();
    match (bare.strip_suffix('M'), bare.strip_suffix('k')) {
        (Some(millions), _) => read_decimal(millions, 6),
        (None, Some(thousands)) => read_decimal(thousands, 3),
        (None, None) => read_decimal(bare, 0),
    }
}

/// A number with at most so many decimals, in the smallest unit they make.
fn read_decimal(amount: &str, places: usize) -> Option<u64> {
    let (whole, decimals) = amount.split_once('.').map_or((amount, ""), |(a, b)| (a, b));
    let digits = |it: &str| it.bytes().all(|b| b.is_ascii_digit());
    let ends = amount.ends_with('.');
    if whole.is_empty() || ends || !digits(whole) || !digits(decimals) || decimals.len() > places {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(places).ok()?)?;
    let part = format!("0{decimals:0<places$}").parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(part)
}

fn split_while(text: &str, keep: fn(&char) -> bool) -> (&str, &str) {
    let end = text.chars().take_while(keep).map(char::len_utf8).sum();
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| parse_duration_ms(text).ok();
        assert_eq!(read("6h"), Some(21_600_000));
        assert_eq!(read("1h 30m"), Some(5_400_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read(" 2 h "), Some(7_200_000));
        assert_eq!(read("90s"), Some(90_000));
        assert_eq!(read("1d 250ms"), Some(86_400_250));
        for text in ["", "h", "6", "6 hours", "1.5h", "-1h", "30m 1h", "1h 1h", "6H", "1h,30m"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read("99999999999999999999h"), None);
        assert_eq!(read("9999999999999999d"), None);
        assert!(parse_duration_ms("6").is_err_and(|it| it.to_string().contains("`6h`")));
    }

    #[test]
    fn money_is_read_without_rounding() {
        let read = |text| parse_micros(text).ok();
        assert_eq!(read("$15"), Some(15_000_000));
        assert_eq!(read("$0.50"), Some(500_000));
        assert_eq!(read("$0.000001"), Some(1));
        for text in ["15", "$", "$.5", "$5.", "$-1", "$1,000", "$0.0000001", "$1e3", "€5", "$ 5"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read("$99999999999999999999"), None);
    }

    #[test]
    fn tokens_are_read_without_rounding() {
        let read = |text| parse_tokens(text).ok();
        assert_eq!(read("2M"), Some(2_000_000));
        assert_eq!(read("1.5Mtok"), Some(1_500_000));
        assert_eq!(read("500k tokens"), Some(500_000));
        assert_eq!(read("800tok"), Some(800));
        assert_eq!(read("0"), Some(0));
        for text in ["", "M", "tok", "2m", "2K", "1.5", "1.M", ".5M", "-1k", "1.0001k", "$2", "2MM"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read("99999999999999999M"), None);
        let shown: Vec<_> = [999, 1_500, 2_000_000, 3_450_000].map(format_tokens).into();
        assert_eq!(shown, ["999", "1.5k", "2M", "3.4M"]);
    }

    #[test]
    fn formats_are_short() {
        let durations = [0, 38, 41_000, 130_000, 720_000, 7_200_000, 5_400_000, 3_605_000];
        let texts: Vec<_> = durations.iter().map(|ms| format_duration_ms(*ms)).collect();
        assert_eq!(texts, ["0s", "38ms", "41s", "2m10s", "12m", "2h", "1h30m", "1h"]);
        let clocks: Vec<_> = [0, 41_999, 725_000, 3_723_000].map(format_clock_ms).into();
        assert_eq!(clocks, ["0:00", "0:41", "12:05", "1:02:03"]);
        let ages: Vec<_> =
            [999, 94_000, 1_860_000, 111_600_000, 259_200_000].map(format_age_ms).into();
        assert_eq!(ages, ["0s", "94s", "31m", "31h", "3d"]);
        let money: Vec<_> = [0, 1, 4_999, 5_000, 839_999, 15_000_000].map(format_micros).into();
        assert_eq!(money, ["$0.00", "<$0.01", "<$0.01", "$0.01", "$0.84", "$15.00"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms: u64, cents in 0..1_000_000_000_u64) {
            let text = format_duration_ms(ms);
            let read = parse_duration_ms(&text).unwrap();
            prop_assert!(read <= ms);
            prop_assert_eq!(format_duration_ms(read), text);
            prop_assert_eq!(parse_micros(&format_micros(cents * 10_000)), Ok(cents * 10_000));
        }

        #[test]
        fn nothing_panics(text in ".*") {
            let _ignored = (parse_duration_ms(&text), parse_micros(&text), parse_tokens(&text));
        }
    }
}
