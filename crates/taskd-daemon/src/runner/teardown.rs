//! What is run in a worktree whose loop is over: `work.teardown`, once for each setup. It takes back
//! what setup made outside the worktree (a database, a container), so nothing waits for it and
//! nothing fails with it. Killed in the middle it is run again at the next start.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use taskd_model::{LoopId, PlanDoc};
use tracing::{info, warn};

use super::{
    Context, Trouble, lock,
    place::{Whose, name_of},
    programs::{Command, ending},
    worktree_name,
};

/// It is ended after so long.
const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// One that is to be run.
struct Teardown {
    id: LoopId,
    dir: PathBuf,
    command: String,
}

/// What says that setup was run in a worktree, and that teardown has begun there.
fn marks(dir: &Path) -> [PathBuf; 2] {
    ["set-up", "tear-down"].map(|it| dir.with_extension(it))
}

impl Context {
    /// Runs all that are due, beside each other, and returns when they have ended.
    pub(super) async fn tear_down(&self) {
        let due = self.due();
        lock(&self.tearing).extend(due.iter().map(|it| name_of(&it.dir)));
        let all = due.iter().map(async |it| {
            // A loop that is resumed just now waits for the end of it.
            let _alone = self.tenancy(it.id).write_owned().await;
            if let Err(why) = self.run_teardown(it).await {
                warn!(id = %it.id, "teardown: {}", why.told());
            }
            let [_, begun] = marks(&it.dir);
            fs::remove_file(begun).ok();
            lock(&self.tearing).remove(&name_of(&it.dir));
        });
        futures::future::join_all(all).await;
    }

    /// Loops that are over, with a worktree that was set up, of projects that have a teardown.
    fn due(&self) -> Vec<Teardown> {
        let over: Vec<_> = {
            let view = self.hub.view();
            let over = view.loops.values().filter(|it| it.status.is_over());
            let of = |id: LoopId| view.plans.get(&id.plan()).map(|it| it.project);
            over.filter_map(|it| Some((of(it.id)?, it.id, worktree_name(it.id, &it.spec))))
                .collect()
        };
        let there = |(project, id, name): (taskd_model::ProjectId, LoopId, String)| {
            let dir = self.paths.worktrees(project.0).join(name);
            let marked = dir.exists() && marks(&dir).iter().any(|it| it.exists());
            marked.then_some((project, id, dir))
        };
        let command = |(project, id, dir)| {
            let (repo, root) = self.repo(project).ok()?;
            let config = self.config_of(&root).ok()?;
            let command = config.teardown.clone()?;
            if let Err(why) = self.allowed((&repo, &root), &config, "work.teardown") {
                warn!(%id, "not torn down: {}", why.message);
                return None;
            }
            Some(Teardown { id, dir, command })
        };
        over.into_iter().filter_map(there).filter_map(command).collect()
    }

    async fn run_teardown(&self, it: &Teardown) -> Result<(), Trouble> {
        let (doc, whose) = {
            let view = self.hub.view();
            let (row, plan) = (view.loops.get(&it.id), view.plans.get(&it.id.plan()));
            let over = row.filter(|it| it.status.is_over()).zip(plan);
            let Some((row, plan)) = over else { return Ok(()) };
            let whose = Whose {
                plan: plan.id,
                project: plan.project,
                name: row.name.clone(),
                iteration: row.iteration,
                target: plan.target.clone(),
            };
            (plan.doc, whose)
        };
        let doc: PlanDoc = self.doc(&doc)?;
        let env = self.env_of(&whose, &doc, &it.dir)?;
        let [set_up, begun] = marks(&it.dir);
        fs::rename(set_up, begun).ok();
        let spec = Command::shell(&it.command, it.dir.clone(), env, TEARDOWN_TIMEOUT).spec();
        let finished = self.launcher.start(&spec, |_, _| ()).wait().await;
        match ending(&finished, TEARDOWN_TIMEOUT) {
            None => info!(id = %it.id, "torn down"),
            Some(how) => {
                let output = finished.output.text();
                let last = output.lines().rev().find(|it| !it.trim().is_empty()).unwrap_or("");
                warn!(id = %it.id, "teardown `{}` failed ({how}): {last}", it.command);
            }
        }
        Ok(())
    }
}
