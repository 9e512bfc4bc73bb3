//! `taskd branch`: a branch of a loop's work, for a person who goes on with it elsewhere. It is the
//! one ref of theirs that is made besides landing, and only made: none is ever moved.

use taskd_api::{ApiError, codes, v1};
use taskd_git::Candidate;
use taskd_model::{LoopId, SpecDoc};

use super::{Service, blocking};
use crate::runner::{Trouble, identity};

impl Service {
    pub(super) async fn branch(
        &self,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let [id] = request.ids.as_slice() else {
            return Err(ApiError::new(codes::INVALID, "one loop makes one branch").hint("taskd ls"));
        };
        let one = self.one_loop(id)?;
        let (this, text, dry_run) = (self.clone(), request.text.clone(), request.dry_run);
        let (name, message) = blocking(move || this.make_branch(one, &text, dry_run)).await?;
        let result = v1::ActResult {
            id: id.clone(),
            name,
            done: !dry_run,
            message,
            ..v1::ActResult::default()
        };
        Ok(v1::ActResponse { results: vec![result], seq: self.ctx().hub.head().0 })
    }

    /// Makes the branch; says what the loop is called, and where the branch is.
    fn make_branch(
        &self,
        id: LoopId,
        asked: &str,
        dry_run: bool,
    ) -> Result<(String, String), ApiError> {
        let (it, project) = {
            let view = self.ctx().hub.view();
            (view.loops[&id].clone(), view.plans[&id.plan()].project)
        };
        let spec: SpecDoc = self.ctx().doc(&it.doc).map_err(ApiError::from)?;
        let (repo, _) = self.ctx().repo(project).map_err(ApiError::from)?;
        let wrong = |error: taskd_git::GitError| ApiError::from(Trouble::from(error));
        let branch = if asked.is_empty() { format!("taskd/{}", it.name) } else { asked.to_owned() };
        let at = match (it.landed.as_ref().map(|it| it.commit), it.integrated, it.checkpoint) {
            // As it landed, or is to land.
            (Some(commit), _, _) | (None, Some(commit), _) => commit,
            (None, None, checkpoint) => {
                let none = || {
                    let what = format!("{} has changed nothing yet", it.name);
                    ApiError::new(codes::REFUSED, what).hint(format!("taskd why {}", it.name))
                };
                let work = it.passed.as_ref().map(|it| it.checkpoint).or(checkpoint);
                let work = work.ok_or_else(none)?;
                let (base, title) = (it.base.commit, spec.title.lines().next().unwrap_or_default());
                let message = format!("{title}\n\nTaskd-Loop: {}\n", it.name);
                let author = identity(&repo).map_err(wrong)?;
                match repo.candidate(base, work, base, &message, &author).map_err(wrong)? {
                    Candidate::Clean { commit, .. } => commit,
                    Candidate::Empty | Candidate::Conflict { .. } => return Err(none()),
                }
            }
        };
        if dry_run {
            return Ok((it.name, format!("would make branch {branch} at its work")));
        }
        let log = format!("taskd: branch {}", it.name);
        repo.new_branch(&branch, at, &log).map_err(wrong)?;
        Ok((it.name, format!("branch {branch} at {}", at.short())))
    }
}
