//! When a run of an agent is ended before it ends by itself: it has said its last word, or something
//! it must not go on with, it gives no sign of life, or it has become too many.
//!
//! A sign of life is output, or a file that changed in its worktree. Files are looked at only when
//! nothing was printed for the whole limit, and no more than [`MAX_ENTRIES`] of them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use taskd_tools::supervise::{Ladder, living_below};
use tokio::{
    sync::watch,
    task::block_in_place,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::gateway::Run;

use super::{
    super::lock,
    heard::{AFTER_LAST_WORD, has_said_its_last_word},
};

/// Entries of a worktree one look takes in; what is beyond them counts as unchanged.
const MAX_ENTRIES: usize = 200_000;
/// How often processes are counted.
const COUNT_EVERY: Duration = Duration::from_millis(500);
/// What is too many is killed at once: it might grow faster than it is asked to end.
const AT_ONCE: Ladder = Ladder { int: Duration::ZERO, term: Duration::ZERO };

/// Why a run was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It had said its last word and lived on.
    LastWord,
    /// It said something it must not go on with.
    Objection,
    /// It gave no sign of life.
    Silent,
    /// So many processes were alive.
    TooMany(u32),
}

/// What was seen of a run from outside.
#[derive(Debug)]
pub(super) struct Signs {
    printed: Mutex<Instant>,
    /// It said something it must not go on with.
    pub(super) objection: CancellationToken,
    /// Lines of stdout.
    pub(super) lines: AtomicU64,
    /// What of them was understood.
    pub(super) understood: AtomicU64,
    /// Most processes alive at once.
    pub(super) most: AtomicU32,
}

impl Signs {
    pub(super) fn new() -> Self {
        Self {
            printed: Mutex::new(Instant::now()),
            objection: CancellationToken::new(),
            lines: AtomicU64::new(0),
            understood: AtomicU64::new(0),
            most: AtomicU32::new(0),
        }
    }

    /// It printed something.
    pub(super) fn printed(&self) {
        *lock(&self.printed) = Instant::now();
    }

    /// Returns when the run is to be ended, and why.
    pub(super) async fn cut(
        &self,
        supervisor: Option<u32>,
        said: watch::Receiver<u64>,
        limits: &Limits,
    ) -> Cut {
        let changed = || {
            let called = limits.calls.as_ref().and_then(|it| it.quiet());
            let changed = block_in_place(|| since_a_change(&limits.worktree, MAX_ENTRIES));
            called.into_iter().chain(changed).min()
        };
        tokio::select! {
            () = has_said_its_last_word(said, AFTER_LAST_WORD) => Cut::LastWord,
            () = self.objection.cancelled() => Cut::Objection,
            () = self.is_silent(limits.idle, changed) => Cut::Silent,
            n = self.is_too_many(supervisor, limits.processes) => Cut::TooMany(n),
        }
    }

    /// Returns when nothing was printed for so long, and no file changed. `changed` says how long
    /// ago one did.
    async fn is_silent(&self, idle: Duration, changed: impl Fn() -> Option<Duration>) {
        let mut wait = idle;
        while let Some(due) = Instant::now().checked_add(wait) {
            sleep_until(due).await;
            let mut quiet = lock(&self.printed).elapsed();
            if idle <= quiet {
                quiet = changed().map_or(quiet, |it| it.min(quiet));
            }
            if idle <= quiet {
                return;
            }
            wait = idle.saturating_sub(quiet);
        }
        // A limit beyond the end of time is none.
        std::future::pending::<()>().await;
    }

    /// Counts what lives below the supervisor; returns when that is more than `most`.
    async fn is_too_many(&self, supervisor: Option<u32>, most: u32) -> u32 {
        let Some(supervisor) = supervisor else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(COUNT_EVERY);
        loop {
            ticks.tick().await;
            let n = block_in_place(|| living_below(supervisor));
            self.most.fetch_max(n, Ordering::Relaxed);
            if most < n {
                return n;
            }
        }
    }
}

/// What a run may do.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) worktree: PathBuf,
    pub(super) idle: Duration,
    pub(super) processes: u32,
    /// Calls it makes through the daemon: while one waits or is answered, it is not silent.
    pub(super) calls: Option<Arc<Run>>,
}

impl Cut {
    /// How it is asked to end.
    pub(super) fn ladder(self) -> Ladder {
        match self {
            Self::LastWord | Self::Objection | Self::Silent => Ladder::STOP,
            Self::TooMany(_) => AT_ONCE,
        }
    }
}

/// How long ago a file or directory below `root` changed last. What has a time of the future says
/// nothing.
fn since_a_change(root: &Path, mut entries: usize) -> Option<Duration> {
    let now = SystemTime::now();
    let mut newest: Option<Duration> = None;
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        // One that went away meanwhile has changed its parent.
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entries == 0 {
                return newest;
            }
            entries -= 1;
            let Ok(meta) = entry.metadata() else { continue };
            if let Ok(ago) = meta.modified().map(|it| now.duration_since(it))
                && let Ok(ago) = ago
            {
                newest = Some(newest.map_or(ago, |it| it.min(ago)));
            }
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs};

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_prints_or_changes_files_is_not_silent() {
        let (signs, began) = (Signs::new(), Instant::now());
        // A file changed 20 s before the first look, and nothing after that.
        let looks = Cell::new(0);
        let changed = || {
            looks.set(looks.get() + 1);
            Some(began.elapsed().saturating_sub(Duration::from_secs(40)))
        };
        signs.is_silent(IDLE, changed).await;
        assert_eq!((began.elapsed().as_secs(), looks.get()), (100, 2));
        // Output counts without a look.
        let (signs, began) = (Signs::new(), Instant::now());
        let prints = async {
            sleep_until(began + IDLE / 2).await;
            signs.printed();
            std::future::pending::<()>().await;
        };
        looks.set(0);
        let never = || {
            looks.set(looks.get() + 1);
            None
        };
        tokio::select! {
            () = signs.is_silent(IDLE, never) => {}
            () = prints => {}
        }
        assert_eq!((began.elapsed().as_secs(), looks.get()), (90, 1));
    }

    #[test]
    fn a_look_at_files_is_bounded_and_takes_no_time_of_the_future() {
        let dir = tempfile::tempdir().unwrap();
        let set = |name: &str, to: SystemTime| {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(to).unwrap();
        };
        assert_eq!(since_a_change(dir.path(), 9), None);
        let day = Duration::from_secs(86_400);
        set("old", SystemTime::now() - 2 * day);
        set("future", SystemTime::now() + day);
        assert_eq!(since_a_change(dir.path(), 9).map(|it| it.as_secs() / 86_400), Some(2));
        fs::create_dir(dir.path().join("sub")).unwrap();
        set("sub/new", SystemTime::now());
        assert!(since_a_change(dir.path(), 9).unwrap() < day);
        assert_eq!(since_a_change(dir.path(), 0), None);
    }
}
