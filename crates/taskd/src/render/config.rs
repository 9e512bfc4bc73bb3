//! `taskd config`: keys in effect, files, what a change did.

use std::fmt::Write as _;

use serde_json::{Value, json as value};
use taskd_daemon::settings::{File, Setting, Whose};

use super::{
    json::SCHEMA_VERSION,
    text::{clean, clean_lines},
};

/// What a command of `taskd config` has to say, as far as it has.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) keys: Vec<Setting>,
    pub(crate) files: Vec<File>,
    pub(crate) problems: Vec<String>,
    /// Keys that a daemon took over.
    pub(crate) changed: Vec<String>,
    pub(crate) needs_restart: Vec<String>,
    /// A daemon was asked.
    pub(crate) daemon: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        let key = |it: &Setting| {
            value!({
                "key": it.key, "value": it.value, "origin": it.origin, "default": it.default,
                "expected": it.expected, "doc": it.doc, "needs_restart": it.restart,
            })
        };
        let file = |it: &File| {
            value!({
                "path": it.path.display().to_string(), "whose": whose(it.whose), "exists": it.exists,
            })
        };
        value!({
            "schema_version": SCHEMA_VERSION,
            "keys": self.keys.iter().map(key).collect::<Vec<_>>(),
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "problems": self.problems,
            "changed": self.changed,
            "needs_restart": self.needs_restart,
        })
    }
}

fn whose(it: Whose) -> &'static str {
    match it {
        Whose::System => "system",
        Whose::Person => "person",
        Whose::Project => "project",
        Whose::Local => "local",
    }
}

/// What is in effect, as a file that says the same; with origins each as a comment.
pub(crate) fn toml(keys: &[Setting], origin: bool) -> String {
    let mut text = String::new();
    let mut section = "";
    for it in keys {
        let (of, name) = it.key.split_once('.').unwrap_or(("", it.key));
        let Some(value) = &it.value else { continue };
        if of != section {
            let gap = if text.is_empty() { "" } else { "\n" };
            _ = writeln!(text, "{gap}[{of}]");
            section = of;
        }
        let line = format!("{name} = {}", clean_lines(value));
        match it.origin.as_deref().filter(|_| origin) {
            Some(origin) if !line.contains('\n') => {
                _ = writeln!(text, "{line:<40} # {}", clean(origin));
            }
            Some(origin) => _ = writeln!(text, "# {}\n{line}", clean(origin)),
            None => _ = writeln!(text, "{line}"),
        }
    }
    text
}

/// `taskd config path`: the strongest last.
pub(crate) fn paths(files: &[File]) -> String {
    let line = |it: &File| {
        let there = if it.exists { "" } else { "  (none)" };
        format!("{:<8}  {}{there}\n", whose(it.whose), clean(&it.path.display().to_string()))
    };
    files.iter().map(line).collect()
}

/// What `set` and `unset` did.
pub(crate) fn set(now: &Setting, file: &str, changed: bool, overruled: bool) -> String {
    let value = now.value.as_deref().map_or_else(|| "not set".to_owned(), clean_lines);
    let origin = now.origin.as_deref().unwrap_or("nobody says anything");
    let written = if changed { "written to" } else { "as it was in" };
    let mut text = format!("{} = {value}   {written} {}\n", now.key, clean(file));
    if overruled {
        text = format!(
            "{written} {}; {} is {value} here all the same: {} says so\n",
            clean(file),
            now.key,
            clean(origin)
        );
    }
    text
}

/// What became of a change to a file.
pub(crate) fn effect(answer: &Answer, file: &File) -> String {
    if matches!(file.whose, Whose::Project | Whose::Local) {
        return "the next plan that is submitted here goes by it".to_owned();
    }
    if !answer.daemon {
        return "no daemon runs; the next one goes by it".to_owned();
    }
    match answer.problems.first() {
        Some(why) => format!("the daemon did not take it: {}", clean_lines(why)),
        None => reloaded(answer).trim_end().to_owned(),
    }
}

/// What a daemon took over.
pub(crate) fn reloaded(answer: &Answer) -> String {
    let mut text = match answer.changed.as_slice() {
        [] => "the daemon goes by it already\n".to_owned(),
        keys => format!("in effect now: {}\n", keys.join(", ")),
    };
    if !answer.needs_restart.is_empty() {
        let keys = answer.needs_restart.join(", ");
        text = if answer.changed.is_empty() { String::new() } else { text };
        _ = writeln!(text, "after `taskd daemon restart`: {keys}");
    }
    text
}

/// What is wrong, each with where.
pub(crate) fn problems(problems: &[String]) -> String {
    problems.iter().map(|it| format!("error: {}\n", clean_lines(it))).collect()
}
