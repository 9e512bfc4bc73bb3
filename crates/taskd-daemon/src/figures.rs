//! The few figures that a shell shows beside its prompt, in a file: who reads them asks no daemon.
//!
//! They are not durable and need not be: the file says whose they are, and those of a process that is
//! gone count for nothing.

use std::{fs, io, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use taskd_model::{Group, Purse, Time, View, day_of};
use taskd_tools::supervise::{ProcessIdentity, identity_of};
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

use crate::{
    paths::Paths,
    private,
    runner::{Context, epoch_ms},
};

/// They are written at most so often.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What goes on in all projects of one daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    daemon: ProcessIdentity,
    /// Loops that wait for a person.
    pub needs_you: u64,
    /// Loops at work.
    pub working: u64,
    /// Loops that wait for something else.
    pub waiting: u64,
    /// Days since 1970-01-01, UTC.
    day: u32,
    /// Spent on that day, in micro-dollars.
    micros: u64,
}

impl Figures {
    /// What the daemon of these paths wrote last; nothing if it does not run.
    #[must_use]
    pub fn read(paths: &Paths) -> Option<Self> {
        let bytes = fs::read(paths.figures_file()).ok()?;
        let it: Self = serde_json::from_slice(&bytes).ok()?;
        it.daemon.is_alive().then_some(it)
    }

    /// What was spent on the day of `now`, in micro-dollars.
    #[must_use]
    pub fn spent_at(&self, now: Time) -> u64 {
        if self.day == day_of(now) { self.micros } else { 0 }
    }

    fn of(view: &View, daemon: &ProcessIdentity, now: Time) -> Self {
        let in_group = |group| {
            let them = view.loops.values().filter(|it| it.group() == group);
            them.fold(0, |n, _| n + 1)
        };
        Self {
            daemon: daemon.clone(),
            needs_you: in_group(Group::NeedsYou),
            working: in_group(Group::Working),
            waiting: in_group(Group::Waiting),
            day: day_of(now),
            micros: view.budget(Purse::All, now).map_or(0, |it| it.spent.micros),
        }
    }

    /// Whoever reads at this moment has the old ones or the new ones.
    fn write(&self, paths: &Paths) -> io::Result<()> {
        let file = paths.figures_file();
        let new = file.with_extension("new");
        private::write(&new, &format!("{}\n", serde_json::to_string(self)?))?;
        fs::rename(new, file)
    }
}

/// Writes them when they change, until the daemon stops.
pub(crate) async fn keep(ctx: Arc<Context>) {
    let Ok(daemon) = identity_of(std::process::id()) else {
        // Nobody could tell ours from those of a daemon that is gone.
        return std::future::pending().await;
    };
    let mut turns = tokio::time::interval(WRITE_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut written = None;
    loop {
        turns.tick().await;
        let (now, mut events) = ctx.hub.follow(|view| Figures::of(view, &daemon, Time(epoch_ms())));
        if written.as_ref() != Some(&now) {
            if let Err(why) = now.write(&ctx.paths) {
                warn!("figures for prompts are not written: {why}");
            }
            written = Some(now);
        }
        if matches!(events.recv().await, Err(RecvError::Closed)) {
            return;
        }
    }
}
