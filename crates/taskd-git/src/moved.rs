//! A repository that was moved: how it is known again, and how its worktrees find it.
//!
//! Worktrees of ours stay where they are and name the repository's old place in their `.git` file;
//! what the repository knows of them moved along with it, with a marker that names the worktree.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{GitError, git};
use crate::repo::Repo;
use crate::spot::{Kind, Spot};

impl Repo {
    /// Whether this is the repository that this store worked in with these worktrees, or whose
    /// loops' refs are among those that `of_it` says yes to (`loops/p7-limiter-1`, `plans/p7`).
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn was_worked_in(&self, of_it: impl Fn(&str) -> bool) -> Result<bool, GitError> {
        if self.own_worktrees().iter().any(|it| self.is_ours(it).is_some()) {
            return Ok(true);
        }
        let repo = self.open()?;
        let prefix = self.own_ref("");
        let doing = "listing the refs under";
        let glob = format!("{prefix}*");
        for found in repo.references_glob(&glob).map_err(git(doing, &prefix))? {
            let found = found.map_err(git(doing, &prefix))?;
            let rest = found.name().ok().and_then(|it| it.strip_prefix(&prefix));
            if rest.is_some_and(&of_it) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has worktrees of ours that name a place where the repository is no more name this one.
    /// Returns those that did; one that somebody else made is left alone.
    ///
    /// # Errors
    ///
    /// A link cannot be written; the others are done.
    pub fn mend_links(&self) -> Result<Vec<PathBuf>, GitError> {
        let mut mended = Vec::new();
        let mut failed = None;
        for name in self.own_worktrees() {
            let Some(spot) = self.is_ours(&name) else { continue };
            let link = spot.link();
            if spot.existing().is_err()
                || fs::read(spot.dir.join(".git")).is_ok_and(|it| it == link)
            {
                continue;
            }
            match spot.write_link() {
                Ok(()) => mended.push(spot.dir),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(mended), Err)
    }

    /// Names of worktrees that the repository has under our tag.
    fn own_worktrees(&self) -> Vec<String> {
        let prefix = format!("taskd-{}-", self.tag());
        let entries =
            fs::read_dir(self.git_dir().join("worktrees")).into_iter().flatten().flatten();
        let name =
            |it: fs::DirEntry| Some(it.file_name().to_str()?.strip_prefix(&prefix)?.to_owned());
        entries.filter_map(name).collect()
    }

    /// The place of a worktree whose marker says that it is one of these.
    fn is_ours(&self, name: &str) -> Option<Spot> {
        let kinds = [Kind::Work, Kind::Scratch].into_iter();
        let mut spots = kinds.filter_map(|it| self.spot(name, it).ok());
        spots.find(|it| it.claimed().is_ok_and(|it| it))
    }
}

/// Whether there is a repository at this git directory.
#[must_use]
pub fn is_there(git_dir: &Path) -> bool {
    git_dir.join("HEAD").exists()
}
