//! The main watcher: says where targets are. Refs are watched; polling is the safety net.
//!
//! It compares tips for equality only, and the core decides what is news. What a remote has becomes
//! news by moving the local branch: `remote`.

mod proposed;
pub(crate) mod remote;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use taskd_git::Repo;
use taskd_model::{Input, Oid, ProjectId};
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::runner::{Context, is_blind};

/// One watched target.
pub(crate) type Target = (ProjectId, String);

/// Watches until the daemon stops.
pub(crate) async fn watch(ctx: Arc<Context>, poll: Duration) {
    let wake = Arc::new(Notify::new());
    let mut watcher = RefWatcher::new(Arc::clone(&wake));
    let mut seen: BTreeMap<Target, Oid> = BTreeMap::new();
    let mut ticks = tokio::time::interval(poll);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut events = ctx.hub.follow(|_| ()).1;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = wake.notified() => {}
            event = events.recv() => match event {
                // A new plan may bring a new target.
                Ok(record) if !is_of_targets(&record.event) => continue,
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                Ok(_) | Err(_) => ctx.remotes.wake(),
            },
        }
        let Ok(targets) = ctx.handle.ask(|core, _| core.watched()).await else { return };
        watcher.set(&ctx, &targets);
        for target in targets {
            if look(&ctx, &target, &mut seen).await.is_err() {
                return;
            }
        }
    }
}

fn is_of_targets(event: &taskd_model::Event) -> bool {
    use taskd_model::Event;
    matches!(event, Event::PlanSubmitted { .. } | Event::ProjectMoved { .. })
}

/// Looks where one target is, and tells if that is new to us.
async fn look(
    ctx: &Arc<Context>,
    target: &Target,
    seen: &mut BTreeMap<Target, Oid>,
) -> Result<(), crate::driver::Gone> {
    let (project, branch) = target.clone();
    let Ok((repo, _)) = ctx.repo(project) else { return Ok(()) };
    let known = {
        let view = ctx.hub.view();
        let targets = view.projects.get(&project).map(|it| &it.targets);
        targets.and_then(|it| it.get(&branch)).map(|it| it.tip)
    };
    let from = known.or_else(|| seen.get(target).copied());
    let (reader, name) = (repo.clone(), branch.clone());
    let found = tokio::task::spawn_blocking(move || measure(&reader, &name, from)).await;
    let Ok(Some((tip, commits, rewritten))) = found else { return Ok(()) };
    if seen.insert(target.clone(), tip) == Some(tip) && known == Some(tip) {
        return Ok(());
    }
    if known == Some(tip) {
        return Ok(());
    }
    debug!(project = project.0, branch, tip = %tip.short(), "target seen elsewhere");
    if let Err(why) = proposed::landed(ctx, target, &repo).await {
        warn!("{why}");
    }
    ctx.handle.tell(Input::MainSeen { project, target: branch, tip, commits, rewritten }).await
}

/// Looks where one target is, for whoever does not go on before that is known.
pub(crate) async fn look_now(ctx: &Arc<Context>, target: &Target) {
    // Who cannot be told any more has ended.
    look(ctx, target, &mut BTreeMap::new()).await.ok();
}

/// Where a branch is, and how it came there from `from`.
fn measure(repo: &Repo, branch: &str, from: Option<Oid>) -> Option<(Oid, u32, bool)> {
    let tip = match repo.tip(branch) {
        Ok(tip) => tip?,
        Err(error) => {
            warn!("cannot read {branch} in {}: {error}", repo.git_dir().display());
            return None;
        }
    };
    let Some(from) = from.filter(|it| *it != tip) else { return Some((tip, 0, false)) };
    let forward = repo.ancestor_of(from, tip).unwrap_or(false);
    let ahead = repo.ahead_behind(tip, from).map_or(0, |(ahead, _)| ahead);
    Some((tip, u32::try_from(ahead).unwrap_or(u32::MAX), !forward))
}

/// Wakes us when something happens to refs. Without it (no inotify, too many watches) polling
/// alone does the work.
struct RefWatcher {
    inner: Option<RecommendedWatcher>,
    paths: Vec<PathBuf>,
}

impl RefWatcher {
    fn new(wake: Arc<Notify>) -> Self {
        let inner = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own looking opens and closes files; only what changes something is news.
            if !event.is_ok_and(|it| it.kind.is_access()) {
                wake.notify_one();
            }
        });
        let inner = inner.inspect_err(|why| warn!("refs are polled only: {why}")).ok();
        let inner = inner.filter(|_| !is_blind());
        Self { inner, paths: Vec::new() }
    }

    /// Watches the directories of these targets and no others.
    fn set(&mut self, ctx: &Context, targets: &[Target]) {
        let Some(inner) = &mut self.inner else { return };
        let mut paths: Vec<PathBuf> = targets
            .iter()
            .filter_map(|(project, branch)| Some((ctx.repo(*project).ok()?.0, branch)))
            .flat_map(|(repo, branch)| repo.watch_paths(&[branch]))
            .collect();
        paths.sort();
        paths.dedup();
        if paths == self.paths {
            return;
        }
        for gone in self.paths.iter().filter(|it| !paths.contains(it)) {
            inner.unwatch(gone).ok();
        }
        for new in paths.iter().filter(|it| !self.paths.contains(it)) {
            if let Err(why) = inner.watch(new, RecursiveMode::NonRecursive) {
                warn!("{} is polled only: {why}", new.display());
            }
        }
        self.paths = paths;
    }
}
