//! Templates checked when a loop type is loaded: syntax, and names nothing will ever have.
//!
//! Renders nothing; filters are known only when they run.

use minijinja::Error;

use super::{environment, error_text};
use crate::problem::{Pos, Problems, suggest};

/// Names a template may use; those that end in `.` hold others.
const NAMES: [&str; 22] = [
    "spec.name",
    "spec.title",
    "spec.text",
    "spec.accept",
    "spec.touches",
    "plan.title",
    "plan.context",
    "inputs",
    "iteration",
    "max_iterations",
    "gate.last",
    "gate.command",
    "gate.protect",
    "gate.last.findings",
    "gate.last.summary",
    "history",
    "messages",
    "needs",
    "conflicts",
    "tools",
    "instructions",
    "loop",
];

/// Checks a template whose first character is at `at`, for a type with these inputs.
pub(crate) fn check(text: &str, at: Pos, inputs: &[&str], problems: &mut Problems) {
    let env = environment();
    let template = match env.template_from_str(text) {
        Ok(it) => it,
        Err(error) => {
            let what = format!("the template is wrong: {}", error_text(&error));
            problems.add(place(text, at, error.range().map_or(0, |it| it.start), &error), what);
            return;
        }
    };
    let globals: Vec<&str> = env.globals().map(|(name, _)| name).collect();
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort_unstable();
    for name in used {
        if problems.is_full() {
            return;
        }
        if globals.contains(&name.as_str()) {
            continue;
        }
        if let Some(hint) = unknown(&name, inputs) {
            let at = find(text, &name).map_or(at, |offset| offset_place(text, at, offset));
            problems.add_hint(at, format!("the template uses `{name}`, which nothing sets"), hint);
        }
    }
}

/// The line of the template an error is on, from 1.
pub(super) fn error_line(error: &Error) -> u32 {
    error.line().and_then(|it| u32::try_from(it).ok()).unwrap_or(1).max(1)
}

/// What would be right, if the name is unknown.
fn unknown(name: &str, inputs: &[&str]) -> Option<String> {
    if let Some(rest) = name.strip_prefix("inputs.") {
        let input = rest.split('.').next().unwrap_or(rest);
        let hint = || format!("{}; `inputs` declares what `--set` gives", suggest(input, inputs));
        return (!inputs.contains(&input)).then(hint);
    }
    // A known name, something below a value that is no map, or a map as a whole.
    let known = NAMES.iter().any(|it| {
        let is_map = NAMES.iter().any(|other| below(other, it).is_some());
        *it == name || below(it, name).is_some() || !is_map && below(name, it).is_some()
    });
    (!known).then(|| suggest(name, &NAMES))
}

/// What follows `map.` in `name`.
fn below<'a>(name: &'a str, map: &str) -> Option<&'a str> {
    name.strip_prefix(map)?.strip_prefix('.')
}

/// Where a name stands in a template as a whole word.
fn find(text: &str, name: &str) -> Option<usize> {
    let word = |it: char| it.is_alphanumeric() || it == '_' || it == '.';
    text.match_indices(name).map(|(offset, _)| offset).find(|offset| {
        !text[..*offset].ends_with(word) && !text[offset + name.len()..].starts_with(word)
    })
}

fn place(text: &str, at: Pos, offset: usize, error: &Error) -> Pos {
    if error.range().is_some() {
        return offset_place(text, at, offset);
    }
    Pos { line: at.line.saturating_add(error_line(error)) - 1, column: at.column }
}

/// The place of a byte of a template that begins at `at` and is indented as its first line is.
fn offset_place(text: &str, at: Pos, offset: usize) -> Pos {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count();
    Pos::new(at.line as usize + line, at.column as usize + column)
}
