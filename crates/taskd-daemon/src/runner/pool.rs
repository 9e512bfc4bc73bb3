//! Spare worktrees, made while nobody needs one: only for a project that has used one up or has just
//! begun, only where making one takes time, and only while the disk has room.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use taskd_model::{Oid, ProjectId, Room};
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::{Context, Trouble, lock};
use crate::disk::free_at;

/// With fewer files a worktree is made in no time.
const MIN_FILES: usize = 1_000;
/// Spares are made while so much of the disk is free, in bytes.
const MIN_FREE_BYTES: u64 = 5 << 30;

/// Whose spares are to be looked at, and whether now is the time.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// A project, and the commit its last worktree began at.
    wanted: Mutex<BTreeMap<ProjectId, Oid>>,
    /// Worktrees of loops that are being made.
    making: AtomicUsize,
    changed: Notify,
}

/// A worktree of a loop is being made: spares wait.
pub(super) struct Making<'a> {
    pool: &'a Pool,
    project: ProjectId,
    base: Oid,
}

impl Pool {
    pub(super) fn making(&self, project: ProjectId, base: Oid) -> Making<'_> {
        self.making.fetch_add(1, Ordering::SeqCst);
        Making { pool: self, project, base }
    }
}

impl Making<'_> {
    /// It is made; a new one may have used up a spare.
    pub(super) fn done(self, created: bool) {
        if created {
            lock(&self.pool.wanted).insert(self.project, self.base);
        }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.pool.making.fetch_sub(1, Ordering::SeqCst);
        self.pool.changed.notify_one();
    }
}

/// Makes spares, one at a time.
pub(crate) async fn keep(ctx: Arc<Context>) {
    loop {
        ctx.pool.changed.notified().await;
        while ctx.pool.making.load(Ordering::SeqCst) == 0 {
            let Some((project, base)) = lock(&ctx.pool.wanted).pop_first() else { break };
            let maker = Arc::clone(&ctx);
            let made = tokio::task::spawn_blocking(move || maker.spare(project, base)).await;
            match made {
                // There may be another one to make.
                Ok(Ok(true)) => _ = lock(&ctx.pool.wanted).entry(project).or_insert(base),
                Ok(Ok(false)) => {}
                Ok(Err(why)) => warn!(project = project.0, "no spare worktree: {}", why.told()),
                Err(why) => warn!(project = project.0, "no spare worktree: {why}"),
            }
        }
    }
}

impl Context {
    /// Makes one spare, if one is missing.
    fn spare(&self, project: ProjectId, base: Oid) -> Result<bool, Trouble> {
        let (repo, root) = self.repo(project)?;
        let wanted = self.config_of(&root)?.work_pool;
        let place = self.paths.worktrees(project.0);
        let room = self.hub.view().disk.room == Room::Enough
            && free_at(&place).is_some_and(|it| MIN_FREE_BYTES <= it);
        if wanted == 0 || !room || !repo.has_files(base, MIN_FILES)? {
            return Ok(false);
        }
        let made = repo.make_spare(wanted, base)?;
        debug!(project = project.0, made, "spare worktree");
        Ok(made)
    }
}
