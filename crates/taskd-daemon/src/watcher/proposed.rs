//! What became of pull requests: whether the remote's branch has what was proposed, and what its
//! checks found. Looked at after each fetch; the core decides what follows.

use std::{ffi::OsString, path::Path, time::Duration};

use taskd_git::{GitError, Repo};
use taskd_model::{Actor, Command, Input, LoopId, Oid, PlanDoc};
use taskd_tools::{
    agents::environment,
    supervise::{How, Ladder, Spec, Stdin},
};
use tracing::{debug, warn};

use super::{Target, measure};
use crate::{
    config::Config,
    runner::{Context, ending, evidence_line},
};

/// Longest run of the command that asks what checks found.
const CHECKS_LIMIT: Duration = Duration::from_secs(120);
/// So much of what it prints is told to the loop, in bytes.
const SAID_BYTES: usize = 32 << 10;
/// What the command ends with while the remote still checks, as `gh pr checks` does.
const PENDING: i32 = 8;

/// Looks after everything that is proposed for one target. Says what a person should know.
pub(super) async fn look(
    ctx: &Context,
    target: &Target,
    (repo, root): (&Repo, &Path),
    config: &Config,
) -> Option<String> {
    let open = match landed(ctx, target, repo).await {
        Ok(open) => open,
        Err(why) => return Some(why),
    };
    if let Some(command) = &config.pr_checks {
        if let Err(why) = ctx.allowed((repo, root), config, "land.pr_checks") {
            return Some(why.message);
        }
        for (id, commit) in open {
            check(ctx, id, commit, command).await;
        }
    }
    None
}

/// Tells what of the proposed work is on the target, and where that is; answers with what is not
/// there yet. Whoever tells of the target's move does this first: work that was merged would
/// otherwise be brought onto itself.
pub(super) async fn landed(
    ctx: &Context,
    target: &Target,
    repo: &Repo,
) -> Result<Vec<(LoopId, Oid)>, String> {
    let Ok(proposed) = ctx.handle.ask(|core, _| core.proposed()).await else {
        return Ok(Vec::new());
    };
    let here = proposed.into_iter().filter(|it| (it.1, &it.2) == (target.0, &target.1));
    let mut open = Vec::new();
    for (id, project, branch, commit) in here {
        let from = {
            let view = ctx.hub.view();
            view.projects.get(&project).and_then(|it| it.targets.get(&branch)).map(|it| it.tip)
        };
        let (reader, name) = (repo.clone(), branch.clone());
        let look = move || {
            let Some(moved) = measure(&reader, &name, from) else { return Ok(None) };
            let message = reader.message(commit)?;
            let found = reader.has_changes_of(commit, moved.0, evidence_line(&message))?;
            Ok::<_, GitError>(found.map(|found| (moved, found)))
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(Some(((tip, commits, rewritten), (commit_there, onto))))) => {
                // That it is there says nothing before it is known where that is.
                let target = branch;
                let moved = Input::MainSeen { project, target, tip, commits, rewritten };
                ctx.handle.tell(moved).await.ok();
                let (proposed, commit) = (commit, commit_there);
                ctx.handle.tell(Input::LandingSeen { id, proposed, commit, onto }).await.ok();
            }
            Ok(Ok(None)) => open.push((id, commit)),
            Ok(Err(why)) => return Err(format!("cannot look for {id}: {why}")),
            Err(why) => return Err(format!("cannot look for {id}: {why}")),
        }
    }
    Ok(open)
}

/// Asks what the remote's checks found; red ones send the work back with what they said.
async fn check(ctx: &Context, id: LoopId, commit: Oid, command: &str) {
    let Some((url, plan_doc, root)) = known(ctx, id) else { return };
    let Ok(plan) = ctx.doc::<PlanDoc>(&plan_doc) else { return };
    let text = |it: &str| OsString::from(it);
    let extra =
        [(text("TASKD_PR_URL"), text(&url)), (text("TASKD_PR_COMMIT"), text(&commit.to_string()))];
    let spec = Spec {
        argv: ["sh", "-c", command].map(OsString::from).to_vec(),
        cwd: root.into(),
        env: environment(&plan.env, &extra),
        stdin: Stdin::Null,
        timeout: Some(CHECKS_LIMIT),
        idle: None,
        ladder: Ladder::STOP,
        keep_head_bytes: SAID_BYTES / 2,
        keep_tail_bytes: SAID_BYTES / 2,
    };
    let finished = ctx.launcher.start(&spec, |_, _| ()).wait().await;
    let said = match finished.how {
        How::Exited(0 | PENDING) => return debug!(%id, "nothing found yet by checks"),
        How::Exited(_) => finished.output.text(),
        // That says nothing about the work.
        How::Signalled(_)
        | How::NotStarted { .. }
        | How::TimedOut
        | How::Idle
        | How::Ended
        | How::Lost => {
            let how = ending(&finished, CHECKS_LIMIT).unwrap_or_default();
            return warn!(%id, "land.pr_checks: {how}");
        }
    };
    let note = format!("Checks of the pull request {url} failed:\n\n{said}");
    let Ok(note) = ctx.put_blob(note.into_bytes()) else { return };
    let command = Command::Reject { id, note };
    ctx.handle.input(Input::Command { actor: Actor::Daemon, command }).await.ok();
}

/// Where the pull request is, the plan's document, and where the project is.
fn known(ctx: &Context, id: LoopId) -> Option<(String, taskd_model::Digest, String)> {
    let view = ctx.hub.view();
    let plan = view.plans.get(&id.plan())?;
    let url = view.loops.get(&id)?.pull_request.clone()?;
    Some((url, plan.doc, view.projects.get(&plan.project)?.root.clone()))
}
