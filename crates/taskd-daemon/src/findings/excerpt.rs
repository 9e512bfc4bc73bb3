//! The part of an output the next prompt shows: windows around what failed, else the last lines.

use super::MAX_EXCERPT_BYTES;
use super::tally::is_error;

/// Longest line of an excerpt, in characters.
const MAX_LINE_CHARS: usize = 300;

/// Last lines shown of every red output.
const LAST_LINES: usize = 6;

/// What stands for lines left out.
const GAP: &str = "...";

/// The excerpt, at most [`MAX_EXCERPT_BYTES`] bytes.
pub(super) fn of(lines: &[String], red: bool) -> String {
    let end = lines.iter().rposition(|it| !it.is_empty()).map_or(0, |it| it + 1);
    let lines = &lines[..end];
    let mut shown = vec![false; lines.len()];
    let mut left = MAX_EXCERPT_BYTES;
    let marks: Vec<_> = if red { marks(lines) } else { Vec::new() };
    if marks.is_empty() {
        for n in (0..lines.len()).rev() {
            if !show(lines, n, &mut shown, &mut left) {
                break;
            }
        }
    } else {
        for n in lines.len().saturating_sub(LAST_LINES)..lines.len() {
            show(lines, n, &mut shown, &mut left);
        }
        for (first, last) in marks {
            if !(first..=last).all(|n| show(lines, n, &mut shown, &mut left)) {
                break;
            }
        }
    }
    join(lines, &shown)
}

/// Shows a line, if there is room for it and a gap.
fn show(lines: &[String], n: usize, shown: &mut [bool], left: &mut usize) -> bool {
    if shown[n] {
        return true;
    }
    let bytes = clean_line(&lines[n]).len() + GAP.len() + 2;
    let fits = bytes <= *left;
    if fits {
        shown[n] = true;
        *left -= bytes;
    }
    fits
}

fn join(lines: &[String], shown: &[bool]) -> String {
    let mut text = String::new();
    let mut gap = false;
    for (line, shown) in lines.iter().zip(shown) {
        if *shown {
            if gap {
                text.push_str(GAP);
                text.push('\n');
            }
            text.push_str(&clean_line(line));
            text.push('\n');
        }
        gap = !shown;
    }
    text
}

fn clean_line(line: &str) -> String {
    if line.chars().nth(MAX_LINE_CHARS).is_none() {
        return line.to_owned();
    }
    let short: String = line.chars().take(MAX_LINE_CHARS - GAP.len()).collect();
    format!("{short}{GAP}")
}

/// First and last line of every window, in the order in which they are worth their room: errors and
/// what tests printed, then mere names of what failed.
fn marks(lines: &[String]) -> Vec<(usize, usize)> {
    let mut marks: Vec<_> = lines
        .iter()
        .enumerate()
        .filter_map(|(n, line)| {
            let (rank, before, after) = window(line)?;
            let last = (n + after).min(lines.len() - 1);
            Some((rank, n.saturating_sub(before), last))
        })
        .collect();
    marks.sort_by_key(|it| it.0);
    marks.into_iter().map(|(_, first, last)| (first, last)).collect()
}

/// Rank of a line that tells of a failure, and how many lines before and after belong to it.
fn window(line: &str) -> Option<(u8, usize, usize)> {
    let text = line.trim_start();
    let begins = |all: &[&str]| all.iter().any(|it| text.starts_with(it));
    let holds = |all: &[&str]| all.iter().any(|it| text.contains(it));
    if is_error(line) {
        return Some((0, 0, 12));
    }
    if holds(&["' panicked at ", ") panicked at "]) || text.starts_with("panicked at ") {
        return Some((0, 1, 10));
    }
    if line.starts_with("E   ") {
        return Some((0, 6, 1));
    }
    if begins(&["--- FAIL:", "panic: ", "\u{2716} ", "\u{25cf} ", "not ok "]) {
        return Some((0, 2, 12));
    }
    if begins(&["Traceback (most recent call last)", "AssertionError", "FAIL "]) {
        return Some((0, 0, 14));
    }
    if begins(&["---- "]) && text.ends_with(" ----") {
        return Some((1, 0, 8));
    }
    let named = begins(&["FAILED ", "FAIL:", "FAILED:", "FAIL\t", "ERROR ", "ERROR:", "Error:"])
        || text.ends_with(" FAILED")
        || text.starts_with("test result: FAILED")
        || text.to_ascii_lowercase().starts_with("error");
    named.then_some((2, 0, 3))
}
