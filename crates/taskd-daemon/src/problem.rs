//! What is wrong with a text a person wrote: where, what, and what would be right.
//!
//! Problems are collected, never thrown one at a time, and never printed here.

use std::fmt;

/// A place in a text, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pos {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
}

impl Pos {
    /// The place.
    #[must_use]
    pub(crate) fn new(line: usize, column: usize) -> Self {
        let bounded = |it: usize| u32::try_from(it).unwrap_or(u32::MAX).max(1);
        Self { line: bounded(line), column: bounded(column) }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it was written.
    pub(crate) at: Pos,
}

impl<T> At<T> {
    /// The value at the place.
    pub(crate) fn new(value: T, at: Pos) -> Self {
        Self { value, at }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Problem {
    /// The file, as the caller named it.
    pub(crate) file: String,
    /// Where.
    pub(crate) at: Pos,
    /// What is wrong.
    pub(crate) what: String,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// Most problems told about one file.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// Everything that is wrong with one file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// Nothing is wrong with `file` yet.
    #[must_use]
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// The file, as the caller named it.
    #[must_use]
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Nothing is wrong.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// So much is wrong that looking further tells nobody anything.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() > MAX_PROBLEMS
    }

    /// Everything that is wrong, in the order of lines.
    #[must_use]
    pub(crate) fn into_list(mut self) -> Vec<Problem> {
        let full = self.is_full();
        self.list.truncate(MAX_PROBLEMS);
        self.list.sort_by_key(|it| it.at);
        if let Some(last) = self.list.last().filter(|_| full).cloned() {
            let what = "and more; mend these first".to_owned();
            self.list.push(Problem { what, hint: None, ..last });
        }
        self.list
    }

    /// Notes what is wrong.
    pub(crate) fn add(&mut self, at: Pos, what: impl Into<String>) {
        if !self.is_full() {
            self.list.push(Problem { file: self.file.clone(), at, what: what.into(), hint: None });
        }
    }

    /// Notes what is wrong and what would be right.
    pub(crate) fn add_hint(&mut self, at: Pos, what: impl Into<String>, hint: impl Into<String>) {
        if !self.is_full() {
            let (what, hint) = (what.into(), Some(hint.into()));
            self.list.push(Problem { file: self.file.clone(), at, what, hint });
        }
    }
}

/// "did you mean …" if something known is near, else the list of what is known.
#[must_use]
pub(crate) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(it) => format!("did you mean `{it}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("known: {}", known.join(", ")),
    }
}

/// The known word nearest to `word`, if one is near enough to be meant.
#[must_use]
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain: String = word.chars().take(64).collect();
    let plain = plain.to_lowercase().replace('-', "_");
    let length = plain.chars().count();
    let reach = length.div_ceil(3).min(3).min(length.saturating_sub(1));
    let near = known
        .iter()
        .map(|it| (strsim::osa_distance(&plain, &it.to_lowercase().replace('-', "_")), *it))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance);
    near.map(|(_, it)| it).or_else(|| {
        known.iter().copied().find(|it| plain.len() >= 3 && it.starts_with(plain.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_listed() {
        let known = ["gate", "target", "iterations", "same_failure"];
        assert_eq!(suggest("gaet", &known), "did you mean `gate`?");
        assert_eq!(suggest("Target", &known), "did you mean `target`?");
        assert_eq!(suggest("same-failure", &known), "did you mean `same_failure`?");
        assert_eq!(suggest("iter", &known), "did you mean `iterations`?");
        assert_eq!(suggest("colour", &["gate", "land"]), "known: gate, land");
        assert_eq!(suggest("x", &[]), "there are none");
    }

    #[test]
    fn problems_are_told_in_the_order_of_lines() {
        let mut problems = Problems::new("a.md");
        problems.add_hint(Pos::new(3, 1), "second", "do this");
        problems.add(Pos::new(0, 0), "first");
        let texts: Vec<_> = problems.into_list().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["a.md:1:1: first", "a.md:3:1: second; do this"]);
    }

    #[test]
    fn endless_problems_have_an_end() {
        let mut problems = Problems::new("a.md");
        (1..=5_000).for_each(|line| problems.add_hint(Pos::new(line, 1), "bad", "good"));
        let list = problems.into_list();
        assert_eq!(list.len(), MAX_PROBLEMS + 1);
        assert_eq!(list[MAX_PROBLEMS].to_string(), "a.md:100:1: and more; mend these first");
    }
}
