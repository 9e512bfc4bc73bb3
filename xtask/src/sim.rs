//! `cargo xtask sim`: worlds with a seed, run until one breaks an invariant.
//!
//! The worlds live in `taskd-testkit`; this file only counts. A failing seed fails again.

use std::{panic, time::Instant};

use anyhow::{Context as _, Result, bail};
use taskd_testkit::Tally;

/// How many worlds CI runs, and a person who does not say.
const DEFAULT_SEEDS: u64 = 500;
/// The same of fleets.
const DEFAULT_FLEETS: u64 = 10;

pub(crate) struct Seeds {
    first: u64,
    count: u64,
    /// Large worlds, of more than fifty loops.
    fleets: bool,
}

impl Seeds {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let (mut first, mut count) = (None, None);
        let mut args = args.iter();
        let mut fleets = false;
        while let Some(name) = args.next() {
            if name == "--fleet" {
                fleets = true;
                continue;
            }
            let value = args.next().with_context(|| format!("{name} wants a number"))?;
            let value = value.parse().with_context(|| format!("{name} {value}: not a number"))?;
            match name.as_str() {
                "--seed" => first = Some(value),
                "--seeds" => count = Some(value),
                other => bail!("sim takes --fleet, --seeds N and --seed S, not `{other}`"),
            }
        }
        let many = if fleets { DEFAULT_FLEETS } else { DEFAULT_SEEDS };
        let alone = if first.is_some() { 1 } else { many };
        Ok(Self { first: first.unwrap_or(0), count: count.unwrap_or(alone), fleets })
    }
}

impl Default for Seeds {
    fn default() -> Self {
        Self { first: 0, count: DEFAULT_SEEDS, fleets: false }
    }
}

pub(crate) fn run(seeds: &Seeds) -> Result<()> {
    let started = Instant::now();
    let mut total = Tally::default();
    for seed in (seeds.first..).take(usize::try_from(seeds.count)?) {
        // The panic has already told its story; the seed is what a person needs to hear it again.
        let world = if seeds.fleets { taskd_testkit::fleet } else { taskd_testkit::run };
        let Ok(tally) = panic::catch_unwind(|| world(seed)) else {
            let fleet = if seeds.fleets { " --fleet" } else { "" };
            bail!("seed {seed} broke; again with: cargo xtask sim{fleet} --seed {seed}");
        };
        total.add(&tally);
    }
    println!("{} worlds in {:.1?}, together:\n{total}", seeds.count, started.elapsed());
    Ok(())
}
