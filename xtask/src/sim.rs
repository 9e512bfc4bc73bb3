//! `cargo xtask sim`: worlds with a seed, run until one breaks an invariant.
//!
//! The worlds live in `taskd-testkit`; this file only counts. A failing seed fails again.

use std::{panic, time::Instant};

use anyhow::{Context as _, Result, bail};

/// How many worlds CI runs, and a person who does not say.
const DEFAULT_SEEDS: u64 = 500;

pub(crate) struct Seeds {
    first: u64,
    count: u64,
}

impl Seeds {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let (mut first, mut count) = (None, None);
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args.next().with_context(|| format!("{name} wants a number"))?;
            let value = value.parse().with_context(|| format!("{name} {value}: not a number"))?;
            match name.as_str() {
                "--seed" => first = Some(value),
                "--seeds" => count = Some(value),
                other => bail!("sim takes --seeds N and --seed S, not `{other}`"),
            }
        }
        let alone = if first.is_some() { 1 } else { DEFAULT_SEEDS };
        Ok(Self { first: first.unwrap_or(0), count: count.unwrap_or(alone) })
    }
}

impl Default for Seeds {
    fn default() -> Self {
        Self { first: 0, count: DEFAULT_SEEDS }
    }
}

pub(crate) fn run(seeds: &Seeds) -> Result<()> {
    let started = Instant::now();
    let mut last = String::new();
    for seed in (seeds.first..).take(usize::try_from(seeds.count)?) {
        // The panic has already told its story; the seed is what a person needs to hear it again.
        let Ok(tally) = panic::catch_unwind(|| world(seed)) else {
            bail!("seed {seed} broke; again with: cargo xtask sim --seed {seed}");
        };
        last = tally;
    }
    println!("{} worlds in {:.1?}; the last one: {last}", seeds.count, started.elapsed());
    Ok(())
}

/// The one place that names the simulator.
fn world(seed: u64) -> String {
    format!("{:?}", taskd_testkit::run(seed))
}
