//! What is kept of work that was replaced: listed, and written out again into an empty directory.

use std::path::PathBuf;

use taskd_api::{ApiError, codes, v1};
use taskd_git::{Kept, Repo};
use taskd_model::{LoopId, ProjectId, SpecDoc};

use super::Service;
use crate::runner::worktree_name;

/// One kept thing, and where it is.
struct Found {
    repo: Repo,
    root: String,
    kept: Kept,
    of: Option<LoopId>,
}

impl Found {
    /// `p1-limiter-1/before-rewind/1`.
    fn short(&self) -> String {
        format!("{}/{}/{}", self.kept.name, self.kept.why.word(), self.kept.n)
    }

    fn wire(&self, name: impl Fn(LoopId) -> String) -> v1::KeptWork {
        v1::KeptWork {
            name: self.short(),
            r#ref: self.kept.ref_name.clone(),
            root: self.root.clone(),
            r#loop: self.of.map(name).unwrap_or_default(),
            why: self.kept.why.word().to_owned(),
            commit: self.kept.commit.to_string(),
            at: u64::try_from(self.kept.when).unwrap_or(0).saturating_mul(1_000),
            files: self.kept.files,
        }
    }
}

impl Service {
    pub(in crate::service) fn do_salvage(&self, id: &str) -> Result<v1::SalvageResponse, ApiError> {
        let only = if id.is_empty() { None } else { Some(self.target(id)?.1) };
        let found = self.all_kept()?;
        let wanted =
            |it: &&Found| only.as_ref().is_none_or(|ids| it.of.is_some_and(|it| ids.contains(&it)));
        let view = self.ctx().hub.view();
        let kept = found.iter().filter(wanted).map(|it| it.wire(|id| view.loop_name(id)));
        Ok(v1::SalvageResponse { kept: kept.collect() })
    }

    pub(in crate::service) fn do_restore(
        &self,
        request: &v1::RestoreRequest,
    ) -> Result<v1::RestoreResponse, ApiError> {
        let what = request.what.trim();
        let is_it = |it: &&Found| {
            let commit = it.kept.commit.to_string();
            it.short() == what
                || it.kept.ref_name == what
                || (7 <= what.len() && commit.starts_with(what))
        };
        let all = self.all_kept()?;
        let Some(found) = all.iter().find(is_it) else {
            let shown: String = what.chars().take(80).collect();
            let what = format!("nothing kept is called {shown:?}");
            return Err(ApiError::new(codes::NOT_FOUND, what).hint("taskd salvage ls"));
        };
        let to = PathBuf::from(&request.to);
        if !to.is_absolute() {
            return Err(ApiError::new(codes::INVALID, "the directory is no absolute path"));
        }
        let written = found.repo.write_out(found.kept.commit, &to);
        written.map_err(|it| ApiError::of(it.code(), &it))?;
        let view = self.ctx().hub.view();
        let kept = Some(found.wire(|id| view.loop_name(id)));
        Ok(v1::RestoreResponse { kept, to: request.to.clone() })
    }

    /// Everything that is kept, in all projects that can be opened.
    fn all_kept(&self) -> Result<Vec<Found>, ApiError> {
        let (projects, loops): (Vec<ProjectId>, Vec<_>) = {
            let view = self.ctx().hub.view();
            let served = view.projects.iter().filter(|(_, it)| !it.forgotten);
            let of = |it: &taskd_model::LoopView| {
                Some((view.plans.get(&it.id.plan())?.project, it.id, it.doc))
            };
            (served.map(|it| *it.0).collect(), view.loops.values().filter_map(of).collect())
        };
        let mut all = Vec::new();
        for project in projects {
            let (repo, root) = self.ctx().repo(project).map_err(ApiError::from)?;
            // A repository that was moved away keeps nobody from the others.
            let Ok(kept) = repo.kept() else { continue };
            let names: Vec<(String, LoopId)> = if kept.is_empty() {
                Vec::new()
            } else {
                let named = loops.iter().filter(|it| it.0 == project).filter_map(|(_, id, doc)| {
                    let spec: SpecDoc = self.ctx().doc(doc).ok()?;
                    Some((worktree_name(*id, &spec.name), *id))
                });
                named.collect()
            };
            for kept in kept {
                let of = names.iter().find(|it| it.0 == kept.name).map(|it| it.1);
                let root = root.to_string_lossy().into_owned();
                all.push(Found { repo: repo.clone(), root, kept, of });
            }
        }
        Ok(all)
    }
}
