//! `cargo xtask`: the whole interface to this repository, for people and for CI alike.
//!
//! One file per command. Refuses to hold product code: nothing here is linked into `taskd`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a build tool talks to a terminal")]

mod bench;
mod ci;
mod demo;
mod errors;
mod features;
mod layers;
mod people;
mod pictures;
mod process;
mod repo;
mod sim;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  ci [--quick]                everything that must be green, stopping at the first failure
                              (--quick: fmt, tidy, layers, clippy)
  tidy                        house rules that no compiler checks
  layers                      the arrows between crates, against `cargo metadata`
  features [--check]          docs/features.md from docs/rows.txt and the tests' `Proves` lines
  errors [--check]            docs/errors.md from the list of codes
  people [--seeds N] [--seed S]
                              a person and taskd at work in one repository, killed by chance;
                              --seed plays one again
  sim [--fleet] [--seeds N] [--seed S]
                              simulated worlds, of more than fifty loops with --fleet; --seed runs
                              one of them again
  bench                       docs/benchmarks.md: how fast and how large, on this machine
  pictures                    docs/pictures: the list, the monitor and the page, from this tree
  demo [ARGS…]                `taskd demo` from this tree: no key, no network
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        bail!("which command?\n\n{HELP}");
    };
    match (command.as_str(), rest) {
        ("ci", _) => ci::run(flag(rest, "--quick")?),
        ("tidy", []) => tidy::run(),
        ("layers", []) => layers::run(),
        ("features", _) => features::run(flag(rest, "--check")?),
        ("errors", _) => errors::run(flag(rest, "--check")?),
        ("people", _) => people::run(rest),
        ("pictures", []) => pictures::run(),
        ("sim", _) => sim::run(&sim::Seeds::parse(rest)?),
        ("bench", _) => bench::run(rest),
        ("demo", _) => demo::run(rest),
        ("help" | "--help" | "-h", _) => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("no command `{}`\n\n{HELP}", args.join(" ")),
    }
}

/// The only argument a command takes, if it is there.
fn flag(args: &[String], name: &str) -> Result<bool> {
    match args {
        [] => Ok(false),
        [only] if only == name => Ok(true),
        more => bail!("expected nothing or `{name}`, got `{}`", more.join(" ")),
    }
}
