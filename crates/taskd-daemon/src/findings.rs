//! What a gate's output says, in one line for people and in a few for the next prompt.
//!
//! The exit code alone decides whether the gate is green; nothing here does. Takes any bytes of any
//! length and gives bounded text. Knows the common test programs by what they print, and falls back
//! to the last line.

mod clean;
mod excerpt;
mod likeness;
mod tally;

#[cfg(test)]
mod tests;

use tally::Tally;
use taskd_model::Digest;

/// Longest summary, in characters.
pub(crate) const MAX_SUMMARY_CHARS: usize = 200;

/// Most names of failing tests.
pub(crate) const MAX_FAILED: usize = 20;

/// Longest excerpt, in bytes.
pub(crate) const MAX_EXCERPT_BYTES: usize = 6 * 1024;

/// What a gate's output says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Findings {
    /// One line of at most [`MAX_SUMMARY_CHARS`] characters: `219 tests`, or
    /// `2 of 219: limit::refill, limit::two_keys`.
    pub(crate) summary: String,
    /// Tests that were run, passed or failed, where the output says so.
    pub(crate) tests: Option<u32>,
    /// Tests that were not run, as the output says.
    pub(crate) skipped: u32,
    /// Names of failing tests, at most [`MAX_FAILED`], in the order of the output.
    pub(crate) failed: Vec<String>,
    /// What the next prompt shows, at most [`MAX_EXCERPT_BYTES`] bytes: the failing parts, else the
    /// last lines.
    pub(crate) excerpt: String,
    /// Two outputs that tell of the same failure have the same.
    pub(crate) likeness: Digest,
}

/// What the output of a gate says. `exit` is the exit code of its last command; nothing if that was
/// ended by a signal, as when its time was up.
#[must_use]
pub(crate) fn read(output: &[u8], exit: Option<i32>) -> Findings {
    let lines = clean::lines(output);
    let tally = Tally::of(&lines);
    let summary = if exit == Some(0) { green(&tally, &lines) } else { red(&tally, &lines, exit) };
    let summary = clean::cut(&summary, MAX_SUMMARY_CHARS);
    let excerpt = excerpt::of(&lines, exit != Some(0));
    let Tally { mut names, tests, skipped, .. } = tally;
    let likeness = likeness::of(&names, &excerpt);
    names.truncate(MAX_FAILED);
    Findings { summary, tests, skipped, failed: names, excerpt, likeness }
}

fn green(tally: &Tally, lines: &[String]) -> String {
    match (tally.tests, tally.failed) {
        (Some(tests), 0) => counted(tests),
        // The command hides its exit code, as `… || true` does.
        (Some(tests), failed) => format!("{}, {failed} failed, yet exit 0", counted(tests)),
        (None, _) => last(lines).unwrap_or("no output, exit 0").to_owned(),
    }
}

fn red(tally: &Tally, lines: &[String], exit: Option<i32>) -> String {
    let named = u32::try_from(tally.names.len()).unwrap_or(u32::MAX);
    // Without a sum, what is named is what is known.
    let unsummed = tally.names_tests && tally.tests.is_none();
    let failed = tally.failed.max(if unsummed { named } else { 0 });
    if failed > 0 {
        let count = match tally.tests {
            Some(tests) => format!("{failed} of {tests}"),
            None => format!("{failed} failed"),
        };
        return with_names(count, failed, tally);
    }
    if let Some(error) = &tally.compile_error {
        return error.clone();
    }
    if !tally.names.is_empty() {
        return with_names(format!("{named} failed"), named, tally);
    }
    let how = exit.map_or_else(|| "ended by a signal".to_owned(), |it| format!("exit {it}"));
    let passed = tally.tests.map(|it| format!("{} passed, but ", counted(it)));
    let last = last(lines).unwrap_or("no output");
    format!("{}{how}: {last}", passed.unwrap_or_default())
}

/// `2 of 219: a, b, +3`: as many names as fit.
fn with_names(count: String, failed: u32, tally: &Tally) -> String {
    const REST_CHARS: usize = 12;
    let mut line = count;
    let mut told = 0_u32;
    for name in &tally.names {
        let length = line.chars().count() + name.chars().count() + 2;
        if told > 0 && length + REST_CHARS > MAX_SUMMARY_CHARS {
            break;
        }
        line.push_str(if told == 0 { ": " } else { ", " });
        line.push_str(name);
        told += 1;
    }
    match (told, failed.saturating_sub(told)) {
        (0, _) => {
            if tally.tests.is_some() {
                line.push_str(" failed");
            }
        }
        (_, 0) => {}
        (_, rest) => line.push_str(&format!(", +{rest}")),
    }
    line
}

fn counted(tests: u32) -> String {
    format!("{tests} {}", if tests == 1 { "test" } else { "tests" })
}

fn last(lines: &[String]) -> Option<&str> {
    lines.iter().rev().map(|it| it.trim()).find(|it| !it.is_empty())
}
