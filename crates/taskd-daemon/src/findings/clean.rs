//! Any bytes as lines of plain text: no escapes, no control characters, bounded in every direction.

/// Bytes kept from the beginning of a long output.
const HEAD_BYTES: usize = 1024 * 1024;

/// Bytes kept from its end, where the results are.
const TAIL_BYTES: usize = 7 * 1024 * 1024;

/// Longest line, in characters.
pub(super) const MAX_LINE_CHARS: usize = 1_000;

/// The lines, without what is in the middle of a very long output.
pub(super) fn lines(output: &[u8]) -> Vec<String> {
    if output.len() <= HEAD_BYTES + TAIL_BYTES {
        return split(output);
    }
    let mut lines = split(&output[..HEAD_BYTES]);
    lines.push("...".to_owned());
    lines.extend(split(&output[output.len() - TAIL_BYTES..]));
    lines
}

/// The text on one line, at most so many characters.
pub(super) fn cut(text: &str, max_chars: usize) -> String {
    let spaced = text.chars().map(|it| if it.is_whitespace() { ' ' } else { it });
    let plain = spaced.filter(|it| !is_hidden(*it));
    let mut short: String = plain.take(max_chars + 1).collect();
    if short.chars().count() > max_chars {
        short = short.chars().take(max_chars.saturating_sub(3)).collect();
        short.push_str("...");
    }
    short
}

fn split(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split('\n').map(line).collect()
}

/// What a terminal would show of one line: escapes do nothing, `\r` begins it anew.
fn line(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    let shown = text.rsplit('\r').next().unwrap_or(text);
    let mut plain = String::new();
    let mut chars = shown.chars();
    let mut kept = 0;
    while let Some(it) = chars.next() {
        if it == '\u{1b}' {
            skip_escape(&mut chars);
        } else if it == '\t' || !is_hidden(it) {
            if kept == MAX_LINE_CHARS {
                plain.push_str("...");
                break;
            }
            plain.push(it);
            kept += 1;
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// Skips the rest of an escape sequence: `[…letter`, `]…BEL` or `]…ESC \`, or one more character.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => {
            chars.find(|it| ('\u{40}'..='\u{7e}').contains(it));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            if chars.find(|it| *it == '\u{7}' || *it == '\u{1b}') == Some('\u{1b}') {
                chars.next();
            }
        }
        Some('(' | ')' | '*' | '+' | '#' | ' ') => {
            chars.next();
        }
        Some(_) | None => {}
    }
}

/// Control characters, and those that turn the direction of text or take no room.
fn is_hidden(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
