//! Who is in a loop's worktree: its effects, beside each other as their holds allow, or whoever takes
//! the worktree away, alone. Memory only: what takes a worktree away is proven, so that a crash needs
//! no word of it.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex};

use taskd_model::{LoopId, Owner, ProjectId};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::{Context, Job, lock};

/// One lock for each loop that something was done for.
#[derive(Debug, Default)]
pub(super) struct Tenancies(Mutex<BTreeMap<LoopId, Arc<RwLock<()>>>>);

impl Context {
    /// Held shared by the loop's effects, alone by whoever removes its worktree.
    pub(crate) fn tenancy(&self, id: LoopId) -> Arc<RwLock<()>> {
        let mut all = lock(&self.tenancies.0);
        all.retain(|_, it| 1 < Arc::strong_count(it));
        Arc::clone(all.entry(id).or_default())
    }

    /// Takes a scratch checkout that nobody uses, so that nobody begins to.
    pub(crate) fn reserve_scratch(&self, project: ProjectId, n: u32) -> Option<Reserved<'_>> {
        let free = lock(&self.scratch).insert((project, n));
        free.then(|| Reserved { ctx: self, project, n })
    }

    /// Only in tests: dies here, if it was asked to.
    pub(crate) fn strike(&self, verb: &str, name: &str) {
        self.fault.strike(verb, || name.to_owned());
    }
}

/// A scratch checkout that is kept from everybody; free again when dropped.
pub(crate) struct Reserved<'a> {
    ctx: &'a Context,
    project: ProjectId,
    n: u32,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        lock(&self.ctx.scratch).remove(&(self.project, self.n));
    }
}

impl Job {
    /// Keeps the loop's worktree from being taken away for as long as the effect runs.
    pub(super) async fn moves_in(&self) -> Option<OwnedRwLockReadGuard<()>> {
        let Owner::Loop(id) = self.order.owner else { return None };
        Some(self.ctx.tenancy(id).read_owned().await)
    }
}
