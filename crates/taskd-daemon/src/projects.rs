//! Which repository is which project: registered when it is first used, and linked again where it
//! was moved to.
//!
//! A project is its common git directory, so that every worktree of a repository is the same one.
//! A repository whose old place is gone, and in which this store worked, is the one that was there;
//! anything else at a new place is another one, a copy too.

use std::{path::Path, sync::Arc};

use taskd_api::{ApiError, codes};
use taskd_git::{Probe, Repo, is_there};
use taskd_model::{Actor, Code, Command, Input, LoopId, PlanId, ProjectId, Status, View};
use tracing::{info, warn};

use crate::runner::{Context, chain};

/// A project, and what was done so that it is one.
pub(crate) struct Registered {
    pub(crate) id: ProjectId,
    pub(crate) moved: Option<Moved>,
}

/// A repository was linked again.
pub(crate) struct Moved {
    /// Where it was, for people.
    pub(crate) from: String,
    /// Names of the loops that had stopped for that, and go on.
    pub(crate) resumed: Vec<String>,
}

/// Makes sure the repository is a project.
pub(crate) async fn register(
    ctx: &Arc<Context>,
    actor: Actor,
    probe: &Probe,
) -> Result<Registered, ApiError> {
    let git_dir = probe.git_dir.to_string_lossy().into_owned();
    let known = at(ctx, &git_dir).await?;
    if known.is_none() {
        let (looker, place) = (Arc::clone(ctx), probe.git_dir.clone());
        let lost = tokio::task::spawn_blocking(move || {
            let view = looker.hub.view().clone();
            lost_at(&looker, &view, &place)
        });
        if let Some((id, _)) = lost.await.map_err(|it| internal(&it))? {
            let moved = Some(link(ctx, actor, id, probe).await?);
            return Ok(Registered { id, moved });
        }
    }
    let root = probe.root.to_string_lossy().into_owned();
    command(ctx, actor, Command::AddProject { git_dir: git_dir.clone(), root }).await?;
    let id = at(ctx, &git_dir)
        .await?
        .ok_or_else(|| ApiError::new(codes::INTERNAL, "the project was not registered"))?;
    Ok(Registered { id, moved: None })
}

/// Links a project to where a person says that its repository is now.
pub(crate) async fn relink(
    ctx: &Arc<Context>,
    actor: Actor,
    from: &str,
    probe: &Probe,
) -> Result<Moved, ApiError> {
    let (id, old, work) = {
        let view = ctx.hub.view();
        let is_it = |it: &str| Path::new(it) == Path::new(from);
        let mut known = view.projects.iter().filter(|(_, it)| !it.forgotten);
        let found = known.find(|(_, it)| is_it(&it.root) || is_it(&it.git_dir));
        let Some((id, it)) = found else {
            let what = format!("{from} is no project of this daemon");
            return Err(ApiError::new(codes::NOT_FOUND, what).hint("taskd projects ls"));
        };
        (*id, it.git_dir.clone(), work_of(&view, *id))
    };
    let new = probe.git_dir.clone();
    if Path::new(&old) == new {
        let what = format!("{from} is where taskd knows it to be");
        return Err(ApiError::new(codes::REFUSED, what).hint("taskd projects ls"));
    }
    if is_there(Path::new(&old)) {
        let what =
            format!("{from} is still there; what is elsewhere is a copy, and a project of its own");
        return Err(ApiError::new(codes::REFUSED, what).hint("taskd projects add"));
    }
    let (repo, root) = (repo(ctx, id, &new)?, probe.root.display().to_string());
    let lacks = move || work.into_iter().find(|(_, it)| repo.commit_summary(*it).is_err());
    let lacks = tokio::task::spawn_blocking(lacks).await.map_err(|it| internal(&it))?;
    if let Some((name, commit)) = lacks {
        let what =
            format!("{root} is another repository: it has not commit {} of {name}", commit.short());
        return Err(ApiError::new(codes::REFUSED, what).hint("name the repository that was moved"));
    }
    link(ctx, actor, id, probe).await
}

/// The project whose repository this is, by what was done in it, where its place as it was known is
/// gone; and that place.
pub(crate) fn lost_at(ctx: &Context, view: &View, git_dir: &Path) -> Option<(ProjectId, String)> {
    let served = view.projects.iter().filter(|(_, it)| !it.forgotten);
    let mut lost = served.filter(|(_, it)| !is_there(Path::new(&it.git_dir)));
    let found = lost.find(|(id, _)| {
        let of_it = |it: &str| {
            plan_of(it).and_then(|it| view.plans.get(&it)).is_some_and(|it| it.project == **id)
        };
        repo(ctx, **id, git_dir).is_ok_and(|it| it.was_worked_in(of_it).unwrap_or(false))
    });
    found.map(|(id, it)| (*id, it.root.clone()))
}

/// Says that it moved, has its worktrees find it, and goes on with what had stopped for that.
async fn link(
    ctx: &Arc<Context>,
    actor: Actor,
    id: ProjectId,
    probe: &Probe,
) -> Result<Moved, ApiError> {
    let known = ctx.hub.view().projects.get(&id).cloned().unwrap_or_default();
    let git_dir = probe.git_dir.to_string_lossy().into_owned();
    let root = probe.root.to_string_lossy().into_owned();
    command(ctx, actor, Command::MoveProject { id, git_dir, root: root.clone() }).await?;
    info!(project = id.0, from = known.root, to = root, "project moved");
    let repo = repo(ctx, id, &probe.git_dir)?;
    let mended = tokio::task::spawn_blocking(move || repo.mend_links()).await;
    match mended.map_err(|it| internal(&it))? {
        Ok(mended) => info!(worktrees = mended.len(), "worktrees linked again"),
        Err(error) => warn!("a worktree names the old place: {}", chain(&error)),
    }
    // What a person agreed to was for that place.
    if let Err(error) = ctx.distrust(Path::new(&known.git_dir)) {
        warn!("what was agreed to at the old place stays: {error}");
    }
    let stopped = stopped(&ctx.hub.view(), id);
    let mut resumed = Vec::new();
    for (id, name) in stopped {
        // One that a person stopped meanwhile does not go on.
        if command(ctx, actor, Command::Resume(vec![id])).await.is_ok() {
            resumed.push(name);
        }
    }
    Ok(Moved { from: known.root, resumed })
}

/// Loops that wait for a person because their repository was not there.
fn stopped(view: &View, project: ProjectId) -> Vec<(LoopId, String)> {
    let gone = |it: &&taskd_model::LoopView| {
        let fault = it.trouble.as_ref().and_then(|it| it.fault.as_ref());
        it.status == Status::Blocked && fault.is_some_and(|it| it.code == Code::RepositoryGone)
    };
    let of_it = |it: &&taskd_model::LoopView| {
        view.plans.get(&it.id.plan()).is_some_and(|it| it.project == project)
    };
    let stopped = view.loops.values().filter(of_it).filter(gone);
    stopped.map(|it| (it.id, it.name.clone())).collect()
}

/// What the repository of a project must have: the work of what is not over, and what landed last.
fn work_of(view: &View, project: ProjectId) -> Vec<(String, taskd_model::Oid)> {
    let tips = view.projects.get(&project).into_iter().flat_map(|it| &it.targets);
    let tips = tips.map(|(name, it)| (name.clone(), it.tip));
    let open = view.loops.values().filter(|it| !it.status.is_over());
    let open =
        open.filter(|it| view.plans.get(&it.id.plan()).is_some_and(|it| it.project == project));
    let open = open.map(|it| (it.name.clone(), it.checkpoint.unwrap_or(it.base.commit)));
    tips.chain(open).collect()
}

/// The plan that a ref of ours is of: 7 of `loops/p7-limiter-1`, `plans/p7`, `salvage/p7-limiter-1/1`.
fn plan_of(rest: &str) -> Option<PlanId> {
    let name = rest.split('/').nth(1)?.strip_prefix('p')?;
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    name[..digits].parse().ok().map(PlanId)
}

fn repo(ctx: &Context, id: ProjectId, git_dir: &Path) -> Result<Repo, ApiError> {
    let repo = Repo::new(git_dir, &ctx.tag, ctx.paths.worktrees(id.0));
    repo.map_err(|it| ApiError::of(it.code(), &it))
}

async fn at(ctx: &Context, git_dir: &str) -> Result<Option<ProjectId>, ApiError> {
    let git_dir = git_dir.to_owned();
    let id = ctx.handle.ask(move |core, _| core.project_at(&git_dir)).await;
    id.map_err(|it| internal(&it))
}

async fn command(ctx: &Context, actor: Actor, command: Command) -> Result<(), ApiError> {
    let reply = ctx.handle.input(Input::Command { actor, command }).await;
    let reply = reply.map_err(|it| internal(&it))?;
    reply.map(|_| ()).map_err(|it| ApiError::new(it.code(), it.to_string()))
}

fn internal(error: &dyn std::error::Error) -> ApiError {
    ApiError::of(codes::INTERNAL, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_says_of_which_plan_it_is() {
        let of = |it: &str| plan_of(it).map(|it| it.0);
        assert_eq!(of("loops/p17-limiter-1"), Some(17));
        assert_eq!(of("plans/p7"), Some(7));
        assert_eq!(of("salvage/p7-x-1/1"), Some(7));
        assert_eq!([of("loops/spare-0"), of("loops"), of("plans/p"), of("")], [None; 4]);
    }
}
