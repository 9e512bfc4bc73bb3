//! Commands as a person types them: what they print, how they end, and what they make of nonsense.

mod bundle;
mod codes;
mod completion;
mod contract;
mod doctor;
mod dry;
mod ends;
mod export;
mod init;
mod keys;
mod nonsense;
mod pages;
mod pictures;
pub(crate) mod settings;
mod shell;
mod tasks;

use serde_json::Value;

use crate::support::World;

/// Every object that a command printed with `--json`.
#[track_caller]
fn json(world: &World, args: &[&str]) -> Vec<Value> {
    let out = world.taskd(&[args, &["--json"]].concat()).ok();
    let parse = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|why| panic!("{args:?}: {why}: {line}"))
    };
    out.lines().map(parse).collect()
}

/// Asserts that no line is wider than a terminal.
#[track_caller]
fn assert_narrow(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}
