//! `cargo xtask people`: worlds in which a person and taskd work in one repository, and the daemon
//! is killed, with real processes and real git.
//!
//! The worlds live in `crates/taskd/tests/it/people.rs`; this file only says which to play.

use anyhow::{Context as _, Result, bail};

use crate::process;

/// How many are played where nobody says.
const DEFAULT_SEEDS: u64 = 100;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut first, mut count) = (None, None);
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} wants a number"))?;
        let value: u64 = value.parse().with_context(|| format!("{name} {value}: not a number"))?;
        match name.as_str() {
            "--seed" => first = Some(value),
            "--seeds" => count = Some(value),
            other => bail!("people takes --seeds N and --seed S, not `{other}`"),
        }
    }
    let count = count.unwrap_or(if first.is_some() { 1 } else { DEFAULT_SEEDS });
    let words = ["test", "-q", "-p", "taskd", "--test", "it", "--", "--nocapture", "people::"];
    let mut command = process::cargo(&words);
    command.env("TASKD_PEOPLE_SEED", first.unwrap_or(0).to_string());
    command.env("TASKD_PEOPLE_SEEDS", count.to_string());
    process::succeed(&mut command)
}
