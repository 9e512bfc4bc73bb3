//! Text that fits: cleaned of what a terminal would obey, cut and wrapped by display width.
//!
//! It knows columns, not meanings.

use ratatui::{style::Style, text::Span};

/// What stands for text that was cut off.
const MORE: &str = "…";

/// The text with everything a terminal might obey, or that turns it around, spelled out.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '\t' => out.push_str("  "),
            '\u{7f}'..='\u{9f}' | '\0'..='\u{1f}' | '\u{ad}' => out.extend(it.escape_default()),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
                out.extend(it.escape_default());
            }
            '\u{feff}' | '\u{fff9}'..='\u{fffb}' => out.extend(it.escape_default()),
            other => out.push(other),
        }
    }
    out
}

/// Columns the text takes.
pub(crate) fn width(text: &str) -> usize {
    // Most text is plain, and asked for sixty times a second.
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// The text in at most so many columns.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let (head, _) = split(text, room);
    format!("{head}{MORE}")
}

/// The text in exactly so many columns.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    let missing = columns.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// The text in exactly so many columns, at their right end.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    let out = cut(text, columns);
    let missing = columns.saturating_sub(width(&out));
    format!("{}{out}", " ".repeat(missing))
}

/// The text in lines of at most so many columns, broken at spaces where there are any.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut rest = text;
    while width(rest) > columns {
        let (head, tail) = split(rest, columns);
        // A wide character may not fit even alone; it is taken all the same, or this never ends.
        let (head, tail) = if head.is_empty() { split(rest, 2) } else { (head, tail) };
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let (head, tail) = if head.is_empty() { rest.split_at(first) } else { (head, tail) };
        match head.rfind(' ').filter(|at| *at > head.len() / 2 && !tail.starts_with(' ')) {
            Some(at) => {
                lines.push(rest[..at].to_owned());
                rest = &rest[at + 1..];
            }
            None => {
                lines.push(head.trim_end().to_owned());
                rest = tail.strip_prefix(' ').unwrap_or(tail);
            }
        }
    }
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// As much of the text as fits into so many columns, and the rest. What is drawn together stays
/// together: a letter and its accents, an emoji and its colour.
pub(crate) fn split(text: &str, columns: usize) -> (&str, &str) {
    if text.is_ascii() {
        return text.split_at(text.len().min(columns));
    }
    let (mut used, mut end) = (0, 0);
    for it in Span::raw(text).styled_graphemes(Style::new()) {
        used += width(it.symbol);
        if used > columns {
            break;
        }
        // What a terminal would obey is not among them, so lengths alone would not do.
        end = it.symbol.as_ptr().addr() - text.as_ptr().addr() + it.symbol.len();
    }
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves S-5.2.3: what a terminal would obey is spelled out.
    #[test]
    fn nothing_reaches_the_terminal_that_it_obeys() {
        assert_eq!(clean("a\u{1b}[31mb\rc\u{7}"), "a\\u{1b}[31mb\\rc\\u{7}");
        assert_eq!(clean("\u{9b}2J \u{202e}evil\u{200b}"), "\\u{9b}2J \\u{202e}evil\\u{200b}");
        assert_eq!(clean("tab\tand ünïcode 漢字"), "tab  and ünïcode 漢字");
    }

    #[test]
    fn texts_fit() {
        assert_eq!(cut("hello", 5), "hello");
        assert_eq!(cut("hello!", 5), "hell…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("hello", 0), "");
        assert_eq!(pad("漢", 4), "漢  ");
        assert_eq!(pad_left("$0.84", 7), "  $0.84");
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 4), ["unbr", "eaka", "ble"]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
        assert_eq!(wrap("", 4), [""]);
    }

    /// Proves S-5.2.4: accents, emoji and wide characters take the columns they are drawn in.
    #[test]
    fn what_is_drawn_together_stays_together() {
        // A letter and its accent, a heart that is coloured by what follows it, a flag of two letters.
        let (accent, heart, flag) = ("e\u{301}", "\u{2764}\u{fe0f}", "\u{1f1e9}\u{1f1ea}");
        assert_eq!((width(accent), width(heart), width(flag)), (1, 2, 2));
        assert_eq!(cut(&format!("{accent}{accent}{accent}"), 2), format!("{accent}…"));
        assert_eq!(pad(heart, 3), format!("{heart} "));
        assert_eq!(cut(&format!("{flag}{flag}"), 3), format!("{flag}…"));
        assert_eq!(wrap(&format!("{heart}{flag}"), 2), [heart, flag]);
        assert_eq!(wrap(flag, 1), [flag]);
    }
}
