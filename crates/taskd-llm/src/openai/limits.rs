//! What `OpenAI`'s headers say about its limits. They come with every answer, good or bad.

use taskd_model::{Level, RateLevels};

/// Reads `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`. Tokens read and written count
/// against one limit. A limit of which one header is missing or makes no sense (some gateways send
/// -1) is unknown.
pub(super) fn levels(header: &dyn Fn(&str) -> Option<String>) -> RateLevels {
    let level = |what: &str| {
        let number =
            |which: &str| header(&format!("x-ratelimit-{which}-{what}"))?.trim().parse().ok();
        let reset_ms = duration_ms(&header(&format!("x-ratelimit-reset-{what}"))?)?;
        Some(Level { limit: number("limit")?, remaining: number("remaining")?, reset_ms })
    };
    RateLevels { requests: level("requests"), tokens: level("tokens"), ..RateLevels::default() }
}

/// Milliseconds of a duration as OpenAI writes it: `6m0s`, `20ms`, `1h2m3.5s`. Rounded up, so that
/// nobody asks too early. A bare number is seconds: gateways send that. `None` if it is neither.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    const MAX_BYTES: usize = 32;
    let mut rest = text.trim();
    if rest.is_empty() || rest.len() > MAX_BYTES {
        return None;
    }
    let mut micros: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|it: char| it.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let bare = unit.is_empty() && micros == 0;
        micros = micros.checked_add(parts(number, micros_of(unit, bare)?)?)?;
        rest = next;
    }
    Some(micros.div_ceil(1000))
}

/// Microseconds of a unit.
fn micros_of(unit: &str, bare: bool) -> Option<u64> {
    match unit {
        "d" => Some(86_400_000_000),
        "h" => Some(3_600_000_000),
        "m" => Some(60_000_000),
        "s" => Some(1_000_000),
        "ms" => Some(1000),
        "us" | "µs" => Some(1),
        "" if bare => Some(1_000_000),
        _ => None,
    }
}

/// `number` times `unit`, in whole microseconds; what is smaller is rounded up.
fn parts(number: &str, unit: u64) -> Option<u64> {
    const DIGITS: usize = 6;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let fraction = match fraction.get(..DIGITS).unwrap_or(fraction) {
        "" => 0,
        digits => {
            let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
            digits.parse::<u64>().ok()?.checked_mul(unit)?.div_ceil(scale)
        }
    };
    whole.checked_mul(unit)?.checked_add(fraction)
}
