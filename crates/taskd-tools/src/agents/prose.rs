//! Reading what was meant for people: one line of it, and numbers in it.
//!
//! Never fails: what is not understood is not there.

use super::rules::ProseUsage;
use super::stream::Tokens;

/// The longest activity, in characters.
pub(super) const ACTIVITY_MAX_CHARS: usize = 200;

/// A text as one line for people: its first line with something in it, without control characters
/// and colour codes, at most 200 characters. Nothing if nothing is left.
pub(crate) fn one_line(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut shown = String::new();
        let (mut count, mut characters) = (0, line.trim().chars());
        while let Some(it) = characters.next() {
            if it == '\u{1b}' {
                skip_escape(&mut characters);
            } else if !it.is_control() && !is_invisible(it) {
                if count == ACTIVITY_MAX_CHARS - 1 && characters.clone().next().is_some() {
                    shown.push('…');
                    break;
                }
                shown.push(it);
                count += 1;
            }
        }
        (!shown.trim().is_empty()).then_some(shown)
    })
}

/// The numbers of a line, if it is the one.
pub(super) fn usage(line: &str, rule: &ProseUsage) -> Option<Tokens> {
    let rest = line.trim_start().strip_prefix(rule.starts.as_str())?;
    let count = |name: &Option<String>| number_before(rest, name.as_deref()?, 1);
    Some(Tokens {
        input: count(&rule.input).unwrap_or(0),
        output: count(&rule.output).unwrap_or(0),
        cache_read: count(&rule.cache_read).unwrap_or(0),
        cache_write: count(&rule.cache_write).unwrap_or(0),
        cost_micros: rule.cost_usd.as_deref().and_then(|it| number_before(rest, it, 1_000_000)),
    })
}

/// Dollars as whole micro-dollars; nothing for what cannot be a price.
pub(crate) fn micros(dollars: f64) -> Option<u64> {
    scaled(dollars, 1e6)
}

/// `12,345 word`, `12.3k word`, `$0.01 word`: the number times `scale`.
fn number_before(text: &str, word: &str, scale: u32) -> Option<u64> {
    let end = text.find(&format!(" {word}"))?;
    let token = text[..end].rsplit(' ').next()?.trim_start_matches(['$', '(']);
    let digits = token.trim_end_matches(['k', 'K', 'm', 'M']);
    let unit = match token[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        _ => return None,
    };
    if !digits.bytes().all(|it| it.is_ascii_digit() || b".,".contains(&it)) {
        return None;
    }
    scaled(digits.replace(',', "").parse().ok()?, unit * f64::from(scale))
}

/// Above this nothing is a count or a price any more, and every integer below it is exact.
const MAX: f64 = 1e15;

fn scaled(number: f64, scale: f64) -> Option<u64> {
    let scaled = (number * scale).round();
    // A NaN is in no range.
    (0.0..=MAX).contains(&scaled).then_some(scaled as u64)
}

/// After an escape character: a CSI sequence up to its final byte, or one character.
fn skip_escape(characters: &mut std::str::Chars) {
    let mut ahead = characters.clone();
    if ahead.next() == Some('[') {
        characters.next();
        characters.find(|it| matches!(it, '\u{40}'..='\u{7e}'));
    }
}

/// Marks that reverse or hide text.
fn is_invisible(it: char) -> bool {
    matches!(it, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_clean_and_short() {
        assert_eq!(one_line("\n  \u{1b}[31mred\u{1b}[0m\ttext \nmore").unwrap(), "redtext");
        assert_eq!(one_line("a\u{202e}b\u{1b}").unwrap(), "ab");
        assert_eq!(one_line(" \n\u{1b}[2K\n\r"), None);
        assert_eq!(one_line(&"é".repeat(200)).unwrap(), "é".repeat(200));
        let cut = one_line(&"é".repeat(201)).unwrap();
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (200, true));
    }

    #[test]
    fn numbers_in_prose() {
        assert_eq!(number_before("12,345 sent", "sent", 1), Some(12_345));
        assert_eq!(number_before("x 4.2k sent, 1M received", "received", 1), Some(1_000_000));
        assert_eq!(number_before("$0.0234 message", "message", 1_000_000), Some(23_400));
        for bad in ["sent", "abc sent", "4.2.2k sent", "-4 sent", "inf sent", "4kk sent", " sent"] {
            assert_eq!(number_before(bad, "sent", 1), None, "{bad}");
        }
    }

    #[test]
    fn prices() {
        assert_eq!(micros(0.123_456_7), Some(123_457));
        assert_eq!(micros(0.0), Some(0));
        for bad in [f64::NAN, f64::INFINITY, -0.01, 1e30] {
            assert_eq!(micros(bad), None);
        }
    }
}
