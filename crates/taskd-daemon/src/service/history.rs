//! Going back: the saved states of a loop's work, back to one of them, a landing taken off its target,
//! and what is kept of work that was replaced.
//!
//! What a state was saved after, and on what it stood, is read from the log; what differs from
//! repositories. Nothing is decided here but which state is meant.

mod kept;
mod states;

use taskd_api::{ApiError, codes, v1};
use taskd_core::{Coordinator, Rejected};
use taskd_git::{Candidate, Repo};
use taskd_model::{Actor, Command, Landed, LoopId, Oid, PlanView, View};

use self::states::{State, States};
use super::{Service, act::refused, blocking, internal};
use crate::runner::{before_landing, identity};

impl Service {
    /// The saved states of a loop's work, as the log has them.
    fn states(&self, id: LoopId) -> Result<States, ApiError> {
        let mut states = States::default();
        for record in self.ctx().events_of(id) {
            states.take(&record.map_err(|it| internal(&it))?);
        }
        Ok(states)
    }

    /// The state of a loop's work that a person means: `base`, `i2`, `7`, or a commit of the list.
    fn state_named(&self, id: LoopId, states: &States, text: &str) -> Result<State, ApiError> {
        if text == "base" {
            let view = self.ctx().hub.view();
            return Ok(State::base(view.loops[&id].base.commit));
        }
        states.named(text).cloned().ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            let name = self.ctx().hub.view().loop_name(id);
            let what = format!("{name} has no saved state {shown:?}");
            let hint = format!("taskd checkpoints {name}");
            ApiError::new(codes::NOT_FOUND, what).hint(hint)
        })
    }

    /// The commit of that state.
    pub(super) fn commit_named(&self, id: LoopId, text: &str) -> Result<Oid, ApiError> {
        Ok(self.state_named(id, &self.states(id)?, text)?.commit)
    }

    pub(super) fn do_checkpoints(&self, id: &str) -> Result<v1::CheckpointsResponse, ApiError> {
        let id = self.one_loop(id)?;
        let states = self.states(id)?;
        let (name, project, present) = {
            let view = self.ctx().hub.view();
            let it = &view.loops[&id];
            (it.name.clone(), view.plans[&id.plan()].project, it.checkpoint)
        };
        let (repo, _) = self.ctx().repo(project).map_err(ApiError::from)?;
        let mut before = None;
        let mut checkpoints = Vec::new();
        let last = states.all.iter().rposition(|it| Some(it.commit) == present);
        for (n, state) in states.all.iter().enumerate() {
            let against = before.unwrap_or(state.base);
            let diff = repo.diff(against, state.commit, 0).ok();
            let files = diff.map(|it| u32::try_from(it.files.len()).unwrap_or(u32::MAX));
            checkpoints.push(v1::Checkpoint { files, present: last == Some(n), ..wire(state) });
            before = Some(state.commit);
        }
        Ok(v1::CheckpointsResponse { name, checkpoints })
    }

    pub(super) async fn do_rewind(
        &self,
        actor: Actor,
        mut request: v1::RewindRequest,
    ) -> Result<v1::RewindResponse, ApiError> {
        let id = self.one_loop(&request.id)?;
        self.may(move |core| core.may_rewind(id)).await?;
        let this = self.clone();
        let text = std::mem::take(&mut request.to);
        let (to, stays) = blocking(move || {
            let states = this.states(id)?;
            let to = this.state_named(id, &states, &text)?;
            let project = this.ctx().hub.view().plans[&id.plan()].project;
            let (repo, _) = this.ctx().repo(project).map_err(ApiError::from)?;
            for commit in [to.commit, to.base] {
                repo.commit_summary(commit).map_err(|it| ApiError::of(it.code(), &it))?;
            }
            let stays = states.stays_after(to.seq);
            Ok((to, stays))
        })
        .await?;
        let name = self.ctx().hub.view().loop_name(id);
        let mut response = v1::RewindResponse { name, to: Some(wire(&to)), stays, seq: 0 };
        if request.dry_run {
            return Ok(response);
        }
        self.ctx().take_credentials(std::mem::take(&mut request.credentials));
        let note = told(&to, request.text.trim());
        let note = self.ctx().store.queue_blob(note.into_bytes()).map_err(|it| internal(&it))?;
        let State { commit, base, iteration, .. } = to;
        let command = Command::Rewind { id, to: commit, base, iteration, note };
        response.seq = self.command(actor, command).await?;
        Ok(response)
    }

    pub(super) async fn do_undo(
        &self,
        actor: Actor,
        request: v1::UndoRequest,
    ) -> Result<v1::UndoResponse, ApiError> {
        let id = self.one_loop(&request.id)?;
        self.may(move |core| core.may_undo(id)).await?;
        let (name, plan, landed, warnings) = {
            let view = self.ctx().hub.view();
            let it = &view.loops[&id];
            let landed = it.landed.ok_or_else(|| {
                ApiError::new(codes::REFUSED, format!("{} has not landed", it.name))
            })?;
            (it.name.clone(), view.plans[&id.plan()].clone(), landed, needed_by(&view, id))
        };
        let (repo, _) = self.ctx().repo(plan.project).map_err(ApiError::from)?;
        let target = plan.target.clone();
        let of = name.clone();
        let (tip, files) = blocking(move || comes_off(&repo, &of, &plan, landed)).await?;
        let mut response = v1::UndoResponse {
            name,
            target,
            commit: landed.commit.to_string(),
            onto: landed.onto.to_string(),
            files,
            warnings,
            seq: 0,
        };
        if !request.dry_run {
            response.seq = self.command(actor, Command::Undo { id, tip }).await?;
        }
        Ok(response)
    }

    /// An earlier state a person means: its commit, the one that stood on, and words for it.
    pub(super) fn state_of(&self, id: LoopId, text: &str) -> Result<(Oid, Oid, String), ApiError> {
        let it = self.state_named(id, &self.states(id)?, text)?;
        Ok((it.commit, it.base, it.words()))
    }

    /// Asks the core whether it would refuse.
    pub(super) async fn may(
        &self,
        ask: impl FnOnce(&Coordinator) -> Result<(), Rejected> + Send + 'static,
    ) -> Result<(), ApiError> {
        let answer = self.ctx().handle.ask(move |core, _| ask(core)).await;
        answer.map_err(|it| internal(&it))?.map_err(|it| refused(&it))
    }
}

/// What the next prompt says of a rewind.
fn told(to: &State, why: &str) -> String {
    let mut text = format!(
        "A person sent your work back to {}. The files are exactly as they were then; what you did \
         after that is not in them.",
        to.words()
    );
    if !why.is_empty() {
        text.push_str(" They say: ");
        text.push_str(why);
    }
    text
}

/// The target's tip, and the files that change on it when a landing comes off, one a line.
fn comes_off(
    repo: &Repo,
    name: &str,
    plan: &PlanView,
    landed: Landed,
) -> Result<(Oid, Vec<String>), ApiError> {
    let failed = |it: taskd_git::GitError| ApiError::of(it.code(), &it);
    let target = &plan.target;
    let tip = repo
        .tip(target)
        .map_err(failed)?
        .ok_or_else(|| ApiError::new(codes::NOT_FOUND, format!("branch {target} is gone")))?;
    let gone = |what: String| {
        ApiError::new(taskd_model::Code::NothingToUndo, what).hint(format!("git log {target}"))
    };
    if !repo.ancestor_of(landed.commit, tip).map_err(failed)? {
        let commit = landed.commit.short();
        return Err(gone(format!("{target} no longer contains {commit}, which {name} landed as")));
    }
    let before = before_landing(repo, landed.commit, landed.onto, name).map_err(failed)?;
    let author = identity(repo).map_err(failed)?;
    let made = repo.candidate(landed.commit, before, tip, "taskd: undo\n", &author);
    match made.map_err(failed)? {
        Candidate::Clean { commit, .. } => Ok((tip, stat(repo, tip, commit)?)),
        Candidate::Empty => Err(gone(format!("nothing of {name} is left on {target}"))),
        Candidate::Conflict { paths } => {
            let first: Vec<String> = paths.iter().take(5).map(ToString::to_string).collect();
            let more = paths.len().saturating_sub(first.len());
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let what = format!(
                "{name} does not come off {target} by itself: later commits changed {}{more}",
                first.join(", ")
            );
            Err(ApiError::new(taskd_model::Code::UndoConflicts, what)
                .hint(format!("git revert {}", landed.commit.short())))
        }
    }
}

/// Each file that differs, as `M path  +1 -2`.
fn stat(repo: &Repo, from: Oid, to: Oid) -> Result<Vec<String>, ApiError> {
    let diff = repo.diff(from, to, 0).map_err(|it| ApiError::of(it.code(), &it))?;
    let line = |it: &taskd_git::FileStat| {
        format!("{} {}  +{} -{}", it.status, it.path, it.added, it.removed)
    };
    Ok(diff.files.iter().map(line).collect())
}

/// Others of the plan that need this work and have begun, or landed.
fn needed_by(view: &View, id: LoopId) -> Vec<String> {
    let needs = view.loops_of(id.plan()).filter(|it| it.needs.contains(&id.spec.index));
    needs
        .filter_map(|it| match (it.landed, it.undone) {
            (Some(_), Some(_)) => None,
            (Some(landed), None) => {
                Some(format!("{} needs it and has landed as {}", it.name, landed.commit.short()))
            }
            (None, _) if it.status.is_over() => None,
            (None, _) => Some(format!("{} needs it and is {}", it.name, it.status)),
        })
        .collect()
}

fn wire(it: &State) -> v1::Checkpoint {
    v1::Checkpoint {
        n: it.n,
        commit: it.commit.to_string(),
        base: it.base.to_string(),
        iteration: it.iteration,
        at: it.at.0,
        after: it.after.clone(),
        files: None,
        present: false,
    }
}
