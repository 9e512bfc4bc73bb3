//! A person's word about a landing queue: all of it, or one entry's turn.

use taskd_api::{ApiError, codes, v1};
use taskd_model::{Actor, Command, LoopId, ProjectId, Target};

use super::{Service, act::would, unresolved};

impl Service {
    /// Holds or releases the landing queues of a scope.
    pub(super) async fn arrange_all(
        &self,
        actor: Actor,
        verb: v1::Verb,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let named: Vec<(ProjectId, String)> = {
            let view = self.ctx().hub.view();
            let git_dir = match request.scope.as_str() {
                "" => None,
                scope => {
                    let found = taskd_git::probe(scope.as_ref());
                    let git_dir = found.map_err(|it| ApiError::of(it.code(), &it))?.git_dir;
                    Some(git_dir.to_string_lossy().into_owned())
                }
            };
            let known = view.projects.iter().filter(|(_, it)| !it.forgotten);
            let ours =
                known.filter(|(_, it)| git_dir.as_ref().is_none_or(|dir| *dir == it.git_dir));
            ours.map(|(id, it)| (*id, it.root.clone())).collect()
        };
        let projects: Vec<ProjectId> = named.iter().map(|it| it.0).collect();
        let (command, message) = if verb == v1::Verb::Hold {
            let message = "its landing queue is held: taskd queue release --all";
            (Command::HoldQueue { ids: Vec::new(), projects }, message)
        } else {
            let message = "its landing queue goes on, and all that was held in it";
            (Command::ReleaseQueue { ids: Vec::new(), projects }, message)
        };
        let mut response = v1::ActResponse { seq: self.ctx().hub.head().0, results: Vec::new() };
        if !request.dry_run {
            response.seq = self.command(actor, command).await?;
        }
        let row = |(_, root): (ProjectId, String)| v1::ActResult {
            id: root.clone(),
            name: root,
            done: !request.dry_run,
            message: if request.dry_run { "would change" } else { message }.to_owned(),
            error: None,
        };
        response.results = named.into_iter().map(row).collect();
        Ok(response)
    }

    /// Gives an entry another turn.
    pub(super) async fn move_queue(
        &self,
        actor: Actor,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let [id] = &request.ids[..] else {
            return Err(ApiError::new(codes::INVALID, "one loop is moved at a time"));
        };
        let (one, name) = self.one_entry(id)?;
        let before = match request.before.as_str() {
            "" => None,
            other => Some(self.one_entry(other)?),
        };
        let message = match &before {
            Some((_, other)) => format!("its turn comes before that of {other}"),
            None => "its turn comes next".to_owned(),
        };
        let message = would(request.dry_run, message);
        let command = Command::MoveQueue { id: one, before: before.map(|it| it.0) };
        let seq = if request.dry_run { 0 } else { self.command(actor, command).await? };
        let (id, done, error) = (id.clone(), !request.dry_run, None);
        let row = v1::ActResult { id, name, done, message, error };
        Ok(v1::ActResponse { results: vec![row], seq })
    }

    /// The loop that is meant: one by its name, or the only one of a plan that is in the queue.
    fn one_entry(&self, id: &str) -> Result<(LoopId, String), ApiError> {
        let view = self.ctx().hub.view();
        let named = |it: &taskd_model::LoopView| (it.id, it.name.clone());
        match view.resolve(id).map_err(unresolved)? {
            Target::Loop(one) => Ok(named(&view.loops[&one])),
            Target::Plan(plan) => {
                let mut queued = view.loops_of(plan).filter(|it| it.queue_entry.is_some());
                match (queued.next(), queued.next()) {
                    (Some(one), None) => Ok(named(one)),
                    (None, _) => {
                        let what = format!("nothing of {id} waits in the landing queue");
                        Err(ApiError::new(codes::REFUSED, what).hint("taskd queue"))
                    }
                    (Some(_), Some(_)) => {
                        let what = format!("several loops of {id} wait in the landing queue");
                        Err(ApiError::new(codes::INVALID, what).hint("name one: taskd queue"))
                    }
                }
            }
        }
    }
}
