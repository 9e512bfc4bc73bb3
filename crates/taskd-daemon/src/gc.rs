//! Taking away what is not needed any more: worktrees of loops that are over, checkouts for gates
//! that nobody used for long, refs of work that landed long ago.
//!
//! A thing goes on proof only, and every thing that is looked at says why it goes or stays. What
//! only a worktree has is saved under a ref first. What this daemon's log did not make is named and
//! left alone.

mod look;
mod refs;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use taskd_model::{Digest, LoopId, Oid, PlanId, ProjectId, Status, Time};
use tracing::{info, warn};

use crate::runner::{Context, epoch_ms, lock};

/// How often the daemon looks by itself, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));

/// What shall be looked at, and how strictly.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Say what would go, and take nothing away.
    pub(crate) dry_run: bool,
    /// Only what is over, or unused, for so long, in milliseconds. Without it: worktrees at once,
    /// the rest after `gc.keep`.
    pub(crate) older_ms: Option<u64>,
    /// The projects.
    pub(crate) projects: Vec<ProjectId>,
    /// Nobody asked: only what landed, is clean, and stays on its target; no refs.
    pub(crate) by_itself: bool,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is gone.
    Removed,
    /// It would go.
    Would,
    /// It stays.
    Kept,
    /// It could not be removed; it stays.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// `worktree of p1.limiter`.
    pub(crate) what: String,
    /// Its path, or the ref.
    pub(crate) place: String,
    /// What it takes on the disk.
    pub(crate) bytes: u64,
    pub(crate) fate: Fate,
    /// Why.
    pub(crate) reason: String,
    /// Refs that were made for what only it had.
    pub(crate) saved: Vec<String>,
}

/// What is known of a loop whose worktree or refs stand there.
#[derive(Debug, Clone)]
struct Known {
    id: LoopId,
    name: String,
    status: Status,
    ended_at: Option<Time>,
    landed: Option<Oid>,
    target: String,
    /// Its files as last saved.
    checkpoint: Oid,
    doc: Digest,
}

/// Looks at everything that was asked for. Blocks.
pub(crate) fn collect(ctx: &Arc<Context>, asked: &Asked) -> Vec<Item> {
    let keep_ms = lock(&ctx.config).gc_keep_ms;
    let mut items = Vec::new();
    for project in &asked.projects {
        let (repo, root) = match ctx.repo(*project) {
            Ok(found) => found,
            Err(why) => {
                items.push(unreadable(*project, &why.told()));
                continue;
            }
        };
        let sweep = look::Sweep { ctx, asked, keep_ms, project: *project, repo: &repo };
        let begin = items.len();
        match sweep.places() {
            Ok(found) => items.extend(found),
            Err(why) => items.push(unreadable(*project, &format!("{}: {why}", root.display()))),
        }
        if !asked.by_itself {
            let stays: Vec<String> = stays(&items[begin..]);
            match refs::sweep(&sweep, &stays) {
                Ok(found) => items.extend(found),
                Err(why) => warn!(project = project.0, "refs are not looked at: {why}"),
            }
        }
    }
    for item in items.iter().filter(|it| it.fate == Fate::Removed) {
        info!(place = item.place, bytes = item.bytes, saved = ?item.saved, "removed {}: {}", item.what, item.reason);
    }
    items
}

/// Names of the worktrees that are there still: what they are proven by stays too.
fn stays(items: &[Item]) -> Vec<String> {
    let there = items.iter().filter(|it| matches!(it.fate, Fate::Kept | Fate::Failed));
    let name = |it: &Item| Some(Path::new(&it.place).file_name()?.to_str()?.to_owned());
    there.filter_map(name).collect()
}

fn unreadable(project: ProjectId, why: &str) -> Item {
    Item {
        what: format!("project {}", project.0),
        place: String::new(),
        bytes: 0,
        fate: Fate::Kept,
        reason: format!("nothing can be proven: {why}"),
        saved: Vec::new(),
    }
}

/// The loops of a project, as far as this is concerned.
fn known(ctx: &Context, project: ProjectId) -> Vec<Known> {
    let view = ctx.hub.view();
    let plans = view.plans.values().filter(|it| it.project == project);
    let of_plan = plans.flat_map(|plan| view.loops_of(plan.id).map(move |it| (plan, it)));
    let known = of_plan.map(|(plan, it)| Known {
        id: it.id,
        name: it.name.clone(),
        status: it.status,
        ended_at: it.ended_at,
        landed: it.landed.map(|it| it.commit),
        target: plan.target.clone(),
        checkpoint: it.checkpoint.unwrap_or(it.base.commit),
        doc: it.doc,
    });
    known.collect()
}

/// The plan a worktree or ref is called after: 7 of `p7-limiter-1` and of `p7`.
fn plan_of(name: &str) -> Option<PlanId> {
    name.split('-').next()?.strip_prefix('p')?.parse().ok().map(PlanId)
}

/// What a directory takes on the disk, in bytes; what cannot be read counts nothing.
pub(crate) fn bytes_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let mut sum = 0;
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        sum += meta.blocks() * 512;
        if meta.is_dir() {
            sum += bytes_of(&entry.path());
        }
    }
    sum
}

/// Milliseconds since then.
fn age_ms(then: SystemTime) -> u64 {
    let then = then.duration_since(UNIX_EPOCH).unwrap_or_default();
    epoch_ms().saturating_sub(u64::try_from(then.as_millis()).unwrap_or(u64::MAX))
}

/// Every project there ever was: what was forgotten left worktrees too.
pub(crate) fn all_projects(ctx: &Context) -> Vec<ProjectId> {
    ctx.hub.view().projects.keys().copied().collect()
}

/// Looks now and then by itself, until the daemon stops.
pub(crate) async fn now_and_then(ctx: Arc<Context>) {
    loop {
        let keep_ms = lock(&ctx.config).gc_keep_ms;
        let (least, most) = LOOK_EVERY;
        let pause = Duration::from_millis(keep_ms / 4).clamp(least, most);
        #[expect(clippy::disallowed_methods, reason = "nothing tells that something became old")]
        tokio::time::sleep(pause).await;
        by_itself(&ctx, Some(keep_ms)).await;
    }
}

/// Takes away what landed and is clean, once it is so old.
pub(crate) async fn by_itself(ctx: &Arc<Context>, older_ms: Option<u64>) {
    let projects = all_projects(ctx);
    let asked = Asked { dry_run: false, older_ms, projects, by_itself: true };
    let ctx = Arc::clone(ctx);
    if let Err(why) = tokio::task::spawn_blocking(move || collect(&ctx, &asked)).await {
        warn!("looking for what may go: {why}");
    }
}
