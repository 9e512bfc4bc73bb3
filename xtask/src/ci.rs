//! `cargo xtask ci`: everything that must be true before a change is landed, cheapest first.
//!
//! CI runs this and nothing else. A step whose program is not installed says `NOT RUN`; nothing
//! is retried, and the first failure ends it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{demo, errors, features, layers, process, repo, sim, tidy};

type Step = (&'static str, fn() -> Result<Done>);

const QUICK: &[Step] = &[
    ("fmt", fmt),
    ("tidy", || tidy::run().map(|()| Done::Passed)),
    ("layers", || layers::run().map(|()| Done::Passed)),
    ("clippy", clippy),
];

const ALL: &[Step] = &[
    ("fmt", fmt),
    ("tidy", || tidy::run().map(|()| Done::Passed)),
    ("layers", || layers::run().map(|()| Done::Passed)),
    ("features", || features::run(true).map(|()| Done::Passed)),
    ("errors", || errors::run(true).map(|()| Done::Passed)),
    ("clippy", clippy),
    ("test", test),
    ("alone", each_crate_alone),
    ("docs", docs),
    ("sim", || sim::run(&sim::Seeds::default()).map(|()| Done::Passed)),
    ("demo", || demo::run(&[]).map(|()| Done::Passed)),
    ("deny", deny),
];

enum Done {
    Passed,
    Counted(String),
    /// The program that is not installed.
    NotRun(&'static str),
}

pub(crate) fn run(quick: bool) -> Result<()> {
    let steps = if quick { QUICK } else { ALL };
    let mut summary = Vec::new();
    let mut failure = None;
    for (name, step) in steps {
        println!("\n== {name}");
        let started = Instant::now();
        let ended = step();
        let took = started.elapsed();
        summary.push(line(name, &ended, took));
        if let Err(error) = ended {
            failure = Some(error.context(format!("{name} failed")));
            break;
        }
    }
    println!("\n== summary");
    for line in &summary {
        println!("{line}");
    }
    for (name, _) in &steps[summary.len()..] {
        println!("{name:<9} not reached");
    }
    failure.map_or(Ok(()), Err)
}

fn line(name: &str, ended: &Result<Done>, took: Duration) -> String {
    let what = match ended {
        Ok(Done::Passed) => String::from("ok"),
        Ok(Done::Counted(what)) => format!("ok: {what}"),
        Ok(Done::NotRun(program)) => format!("NOT RUN {program}"),
        Err(_) => String::from("FAILED"),
    };
    format!("{name:<9} {:>7.1} s  {what}", took.as_secs_f64())
}

fn fmt() -> Result<Done> {
    cargo(&["fmt", "--all", "--check"])
}

fn clippy() -> Result<Done> {
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

fn test() -> Result<Done> {
    let mut command = process::cargo(&["test", "--workspace", "--locked"]);
    let mut count = TestCount::default();
    process::succeed_reading(&mut command, |line| count.read(line))?;
    if count.passed == 0 {
        bail!("not one test ran");
    }
    Ok(Done::Counted(format!(
        "{} passed, {} ignored, {} test programs",
        count.passed, count.ignored, count.programs
    )))
}

/// A crate that leans on the features its neighbours switch on breaks here, not at its user's.
fn each_crate_alone() -> Result<Done> {
    let metadata = repo::metadata()?;
    let members = layers::member_names(&metadata)?;
    for member in &members {
        process::succeed(&mut process::cargo(&["check", "--quiet", "--locked", "-p", member]))?;
    }
    Ok(Done::Counted(format!("{} crates", members.len())))
}

fn docs() -> Result<Done> {
    let mut command = process::cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    process::succeed(command.env("RUSTDOCFLAGS", "-Dwarnings"))?;
    Ok(Done::Passed)
}

fn deny() -> Result<Done> {
    if !process::is_installed("cargo-deny")? {
        println!("NOT RUN cargo-deny");
        return Ok(Done::NotRun("cargo-deny"));
    }
    // Advisories change without us and need the network: they are looked at elsewhere.
    cargo(&["deny", "check", "bans", "licenses", "sources"])
}

fn cargo(args: &[&str]) -> Result<Done> {
    process::succeed(&mut process::cargo(args))?;
    Ok(Done::Passed)
}

#[derive(Default)]
struct TestCount {
    passed: u64,
    ignored: u64,
    programs: u64,
}

impl TestCount {
    /// Adds up lines like `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn read(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number_before = |what: &str| -> Option<u64> {
            result.split([';', '.']).find_map(|it| it.trim().strip_suffix(what)?.parse().ok())
        };
        self.programs += 1;
        self.passed += number_before(" passed").unwrap_or(0);
        self.ignored += number_before(" ignored").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::TestCount;

    #[test]
    fn results_of_test_programs_add_up() {
        let mut count = TestCount::default();
        count.read("running 3 tests");
        count.read("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        count.read("test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!((count.passed, count.ignored, count.programs), (43, 1, 2));
    }
}
