//! Figures: how fast and how large taskd is on this machine, measured from outside.
//!
//! `cargo xtask bench` runs this and writes `docs/benchmarks.md`. One line of standard output is one
//! figure of one run: `figure`, its name, its value, parted by tabs. Nothing here passes or fails by
//! its speed; a figure that cannot be taken ends the program.
#![expect(
    clippy::disallowed_methods,
    reason = "starts the daemon as a person does, and paces load"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod acp;
mod admission;
mod agents;
mod answers;
mod decide;
mod durable;
mod footprint;
mod gateway;
mod history;
mod messages;
mod monitor;
mod native;
mod overlap;
mod plans;
mod projects;
mod provider;
mod readers;
mod stats;
mod turnaround;
mod types;
#[path = "../../tests/provider/mod.rs"]
mod wire;
mod world;

use std::time::{Duration, Instant};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Runs of everything; the middle one counts.
    pub(crate) runs: u32,
    /// How long a load is kept up.
    pub(crate) window: Duration,
    /// Loops of the sizes the targets name are divided by this.
    pub(crate) shrink: u32,
    /// Events of the long history.
    pub(crate) events: u64,
    /// Samples of what is asked again and again.
    pub(crate) samples: u32,
}

impl Sizes {
    const WHOLE: Self = Self {
        runs: 5,
        window: Duration::from_secs(10),
        shrink: 1,
        events: 1_000_000,
        samples: 200,
    };
    /// For mending this program.
    const TINY: Self =
        Self { runs: 2, window: Duration::from_secs(2), shrink: 20, events: 3_000, samples: 10 };

    /// So many loops, or fewer when everything is tiny.
    pub(crate) fn loops(&self, wanted: u32) -> u32 {
        (wanted / self.shrink).max(4)
    }
}

type Group = (&'static str, fn(&Sizes));

const GROUPS: &[Group] = &[
    ("decide", decide::run),
    ("admission", admission::run),
    ("ready", answers::ready),
    ("durable", durable::run),
    ("parked", answers::parked),
    ("idle", footprint::idle),
    ("projects", projects::run),
    ("native", footprint::native),
    ("turnaround", turnaround::run),
    ("provider", provider::run),
    ("overlap", overlap::run),
    ("acp", acp::run),
    ("gateway", gateway::run),
    ("agents", agents::run),
    ("types", types::run),
    ("plans", plans::run),
    ("messages", messages::run),
    ("history", history::run),
    ("monitor", monitor::run),
    ("reading", readers::commands),
    ("watchers", readers::watchers),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let mut sizes = Sizes::WHOLE;
    let mut only = Vec::new();
    for arg in &args {
        match arg.as_str() {
            "--tiny" => sizes = Sizes::TINY,
            name if GROUPS.iter().any(|(it, _)| *it == name) => only.push(name),
            other => {
                let names: Vec<_> = GROUPS.iter().map(|(it, _)| *it).collect();
                eprintln!("figures takes --tiny and names of {names:?}, not `{other}`");
                std::process::exit(2);
            }
        }
    }
    for (name, run) in GROUPS.iter().filter(|it| only.is_empty() || only.contains(&it.0)) {
        let began = Instant::now();
        eprintln!("== {name}");
        run(&sizes);
        eprintln!("== {name} took {:.0?}", began.elapsed());
    }
}

/// One figure of one run.
pub(crate) fn tell(figure: &str, value: f64) {
    println!("figure\t{figure}\t{value:.4}");
}
