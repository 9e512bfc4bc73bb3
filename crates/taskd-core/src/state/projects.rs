//! Which repositories there are, and where.

use taskd_model::ProjectId;

use super::{Project, State};

impl State {
    pub(super) fn add_project(&mut self, id: ProjectId, git_dir: &str) {
        let known = self.by_git_dir.insert(git_dir.to_owned(), id);
        assert!(known.is_none(), "project {} added twice", id.0);
        self.projects.insert(id, Project::new(git_dir.to_owned()));
    }

    pub(super) fn move_project(&mut self, id: ProjectId, git_dir: &str) {
        self.forget_project(id);
        let known = self.by_git_dir.insert(git_dir.to_owned(), id);
        assert!(known.is_none(), "project {} moved onto another", id.0);
        let it = self.projects.get_mut(&id).expect("forgotten just now");
        git_dir.clone_into(&mut it.git_dir);
    }

    /// Its number stays taken; only its repository may come back under a new one.
    pub(super) fn forget_project(&mut self, id: ProjectId) {
        let git_dir = self.projects[&id].git_dir.clone();
        self.by_git_dir.remove(&git_dir);
    }
}
