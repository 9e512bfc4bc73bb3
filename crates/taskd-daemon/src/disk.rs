//! Looks at the disk: how much room there is, and whether what an effect said while there was none
//! counts. What that means for work, the core decides.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use taskd_model::{Code, Disk, Input, Outcome, PlanState, Room};
use tokio::sync::{Mutex, Notify};
use tracing::{debug, info, warn};

use crate::{
    config::Config,
    gc,
    runner::{Context, Trouble, lock},
};

/// How often it is looked at when no effect ends.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often what worktrees and the log take is added up, where there is a quota.
const SCAN_EVERY: Duration = Duration::from_secs(5 * 60);
/// Longest name of a place in an event, in characters.
const MAX_PLACE_CHARS: usize = 200;

/// What is known between two looks.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// What the core was told last. Held while it is told, so that looks arrive in their order.
    told: Mutex<Room>,
    /// What worktrees and the log took when it was last added up, in bytes.
    used: AtomicU64,
    /// It shall be added up now.
    wants_scan: Notify,
}

impl Watched {
    /// Something was removed, or other figures hold: what is taken is added up again soon.
    pub(crate) fn scan_soon(&self) {
        self.wants_scan.notify_one();
    }
}

/// Free bytes of the file system that holds a path.
pub(crate) fn free_at(path: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

impl Context {
    /// Looks at the disk, and tells the core if something else is allowed now.
    pub(crate) async fn look_at_disk(self: &Arc<Self>) -> Disk {
        let mut told = self.disk.told.lock().await;
        let disk = self.measured(*told);
        if disk.room != *told {
            *told = disk.room;
            match disk.shortage() {
                Some(what) => warn!("{what}"),
                None => info!("there is room on the disk again"),
            }
            self.handle.tell(Input::Disk(disk.clone())).await.ok();
        }
        disk
    }

    /// What the last life told is where this one begins.
    pub(crate) async fn begin_with_disk(&self) {
        let room = self.hub.view().disk.room;
        *self.disk.told.lock().await = room;
    }

    fn measured(&self, before: Room) -> Disk {
        let config = Arc::clone(&lock(&self.config));
        let places = self.places_written_to();
        // What is kept for the log, and was given up, is taken again first.
        let owed = self.store.reserve_owed();
        let free = places.iter().filter_map(|it| Some((free_at(it)?.saturating_sub(owed), it)));
        let (free_bytes, place) = match free.min_by_key(|(free, _)| *free) {
            Some((free, place)) => (free, place.display().to_string()),
            // What cannot be measured holds nothing up.
            None => (u64::MAX, String::new()),
        };
        let disk = Disk {
            free_bytes,
            used_bytes: self.used_bytes(&config),
            quota_bytes: config.disk_quota_bytes,
            place: place.chars().take(MAX_PLACE_CHARS).collect(),
            ..Disk::default()
        };
        disk.judged(before, config.disk_floor_bytes)
    }

    fn used_bytes(&self, config: &Config) -> u64 {
        if config.disk_quota_bytes == 0 { 0 } else { self.disk.used.load(Ordering::Relaxed) }
    }

    /// The state directory, and repositories with open plans: checkpoints are written there.
    fn places_written_to(&self) -> Vec<PathBuf> {
        let view = self.hub.view();
        let open = view.plans.values().filter(|it| it.state != PlanState::Ended);
        let mut places: Vec<PathBuf> = open
            .filter_map(|it| Some(PathBuf::from(&view.projects.get(&it.project)?.git_dir)))
            .collect();
        places.push(self.paths.state.clone());
        places.sort();
        places.dedup();
        places
    }

    /// Adds up what worktrees and the log take, where there is a quota. Blocks.
    fn scan(&self) {
        if lock(&self.config).disk_quota_bytes == 0 {
            return;
        }
        let bytes = gc::bytes_of(&self.paths.state);
        debug!(bytes, "the state directory was added up");
        self.disk.used.store(bytes, Ordering::Relaxed);
    }

    /// How an effect ended, if that counts: a gate that is red and an agent that fails while the
    /// disk is full say nothing of the work. The core knows of the disk before it knows of the end.
    /// After what went well nobody looks: this is on every effect's way.
    pub(crate) async fn ended_with_disk(self: &Arc<Self>, outcome: Outcome) -> Outcome {
        let judged = may_be_for_want_of_room(&outcome);
        if !judged && !matches!(outcome, Outcome::Failed { .. }) {
            return outcome;
        }
        let disk = self.look_at_disk().await;
        if disk.room != Room::Full || !judged {
            return outcome;
        }
        let what = disk.shortage().unwrap_or_default();
        let why = format!("what failed with a full disk does not count: {what}");
        Trouble::new(Code::DiskFull, why).ended(outcome.usage())
    }
}

fn may_be_for_want_of_room(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::BaseChecked(report) | Outcome::CandidateGated(report) => !report.green,
        Outcome::Gated { report, .. } => report.as_ref().is_some_and(|it| !it.green),
        Outcome::AgentDone { exit, .. } => *exit != 0,
        // It must be red for want of the work, not of room.
        Outcome::AcceptRan { green, .. } => !green,
        Outcome::Prepared { .. }
        | Outcome::Composed { .. }
        | Outcome::Replied { .. }
        | Outcome::Answered { .. }
        | Outcome::Relayed { .. }
        | Outcome::ToolDone { .. }
        | Outcome::Saved { .. }
        | Outcome::Asks { .. }
        | Outcome::Decomposed { .. }
        | Outcome::Rebased { .. }
        | Outcome::Built { .. }
        | Outcome::BuiltEmpty
        | Outcome::BuildConflict { .. }
        | Outcome::Published
        | Outcome::PublishMoved { .. }
        | Outcome::Proposed { .. }
        | Outcome::PublishHeld { .. }
        | Outcome::Failed { .. }
        | Outcome::Cancelled { .. } => false,
    }
}

/// Looks now and then, until the daemon stops. What is short, it first tries to mend itself.
pub(crate) async fn watch(ctx: Arc<Context>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut scans = tokio::time::interval(SCAN_EVERY);
    let mut before = Room::Enough;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = scans.tick() => blocking(&ctx, |ctx| ctx.scan()).await,
            () = ctx.disk.wants_scan.notified() => blocking(&ctx, |ctx| ctx.scan()).await,
        }
        let disk = ctx.look_at_disk().await;
        if before == Room::Enough && disk.room != Room::Enough {
            gc::by_itself(&ctx, Some(0)).await;
            blocking(&ctx, |ctx| ctx.scan()).await;
        }
        if disk.room == Room::Enough {
            blocking(&ctx, |ctx| _ = ctx.store.keep_reserve()).await;
        }
        before = disk.room;
    }
}

async fn blocking(ctx: &Arc<Context>, step: impl FnOnce(&Context) + Send + 'static) {
    let ctx = Arc::clone(ctx);
    tokio::task::spawn_blocking(move || step(&ctx)).await.ok();
}
