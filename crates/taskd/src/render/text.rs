//! Text that fits: cleaned of what a terminal would obey, cut and padded by display width.
//!
//! It knows columns, not meanings.

/// What stands for text that was cut off.
const MORE: char = '…';

/// The text on one line, with everything a terminal might obey, or that turns it around, spelled
/// out.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '\t' => out.push_str("  "),
            _ if is_obeyed(it) => out.extend(it.escape_default()),
            _ => out.push(it),
        }
    }
    out
}

/// The same for text of several lines, which stay lines.
pub(crate) fn clean_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '\n' | '\t' => out.push(it),
            '\r' => {}
            _ if is_obeyed(it) => out.extend(it.escape_default()),
            _ => out.push(it),
        }
    }
    out
}

/// Columns the text takes.
pub(crate) fn width(text: &str) -> usize {
    // Most text is, and a list of a thousand loops asks often.
    let is_plain = text.bytes().all(|it| matches!(it, b' '..=b'~'));
    if is_plain { text.len() } else { text.chars().map(columns).sum() }
}

/// The text in at most so many columns.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 0);
    for it in text.chars() {
        used += columns(it);
        if most <= used {
            break;
        }
        out.push(it);
    }
    if most > 0 {
        out.push(MORE);
    }
    out
}

/// The text in exactly so many columns.
pub(crate) fn pad(text: &str, exact: usize) -> String {
    let mut out = cut(text, exact);
    let missing = exact.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// The text in exactly so many columns, at their right end.
pub(crate) fn pad_left(text: &str, exact: usize) -> String {
    let out = cut(text, exact);
    let missing = exact.saturating_sub(width(&out));
    format!("{}{out}", " ".repeat(missing))
}

/// The text broken at spaces into lines of at most so many columns; a longer word stays whole.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if width(line) + 1 + width(word) <= most {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

fn is_obeyed(it: char) -> bool {
    matches!(it,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}')
}

/// Columns of a character: none for what is put upon another, two for what is wide.
fn columns(it: char) -> usize {
    match it {
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' => 0,
        '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' => 2,
        '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' => 2,
        '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1f64f}' => 2,
        '\u{1f680}'..='\u{1f6ff}' | '\u{1f900}'..='\u{1f9ff}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(clean("a\x1b[2Jb\n\u{202e}c\td"), "a\\u{1b}[2Jb\\n\\u{202e}c  d");
        assert_eq!(clean_lines("a\r\nb\x07"), "a\nb\\u{7}");
    }

    #[test]
    fn text_fits() {
        assert_eq!(
            (cut("abc", 3), cut("abcd", 3), cut("abc", 0)),
            ("abc".into(), "ab…".into(), String::new())
        );
        assert_eq!((width("日本"), cut("日本語", 5)), (4, "日本…".into()));
        assert_eq!((pad("é", 3), pad_left("ab", 3)), ("é  ".into(), " ab".into()));
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
