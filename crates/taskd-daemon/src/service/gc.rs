//! `taskd gc`: what is asked becomes a sweep, what it found an answer.

use std::path::Path;

use taskd_api::{ApiError, v1};
use taskd_model::ProjectId;

use super::Service;
use crate::gc::{Asked, Fate, Item, all_projects, collect};

impl Service {
    pub(super) fn do_gc(&self, request: &v1::GcRequest) -> Result<v1::GcResponse, ApiError> {
        let asked = Asked {
            dry_run: request.dry_run,
            older_ms: request.older_ms,
            projects: self.projects_in(&request.scope)?,
            by_itself: false,
        };
        let items = collect(self.ctx(), &asked);
        self.ctx().disk.scan_soon();
        Ok(v1::GcResponse { items: items.into_iter().map(item).collect() })
    }

    /// Projects a path is in, those of earlier registrations too; an empty path names all.
    fn projects_in(&self, scope: &str) -> Result<Vec<ProjectId>, ApiError> {
        if scope.is_empty() {
            return Ok(all_projects(self.ctx()));
        }
        let probe = taskd_git::probe(Path::new(scope));
        let git_dir = probe.map_err(|it| ApiError::of(it.code(), &it))?.git_dir;
        let git_dir = git_dir.to_string_lossy();
        let view = self.ctx().hub.view();
        let ours = view.projects.iter().filter(|(_, it)| it.git_dir == git_dir);
        Ok(ours.map(|(id, _)| *id).collect())
    }
}

fn item(it: Item) -> v1::GcItem {
    let fate = match it.fate {
        Fate::Removed => v1::GcFate::Removed,
        Fate::Would => v1::GcFate::Would,
        Fate::Kept => v1::GcFate::Kept,
        Fate::Failed => v1::GcFate::Failed,
    };
    v1::GcItem {
        what: it.what,
        place: it.place,
        bytes: it.bytes,
        fate: fate.into(),
        reason: it.reason,
        saved: it.saved,
    }
}
