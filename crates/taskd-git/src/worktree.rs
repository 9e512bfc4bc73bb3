//! Worktrees: prepare one, check one out for a gate, remove one. Each is "make it so": running it
//! again after a crash in any step ends in the same place. Nothing is thrown away unsaved.

use std::fs;
use std::path::PathBuf;

use git2::{Repository, Signature};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::error::{GitError, git, io};
use crate::files::{Files, write_own_index};
use crate::fill::fill;
use crate::kept::{KINDS, KeptFor};
use crate::pool::go_on;
use crate::repo::{Repo, commit, from_git, to_git, tree, write_commit};
use crate::spot::{Found, Kind, Spot};

/// What the files of a worktree shall be. HEAD is always detached at `base` and the index is its
/// tree, so work shows as uncommitted changes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ensure {
    /// The files of `base`.
    Fresh {
        /// The commit work starts from.
        base: Oid,
    },
    /// Exactly the files of `checkpoint`.
    Restore {
        /// The commit work starts from.
        base: Oid,
        /// The commit with the files.
        checkpoint: Oid,
    },
    /// The files that are there, if they are whole; otherwise those of `checkpoint`, or of `base`.
    Keep {
        /// The commit work starts from.
        base: Oid,
        /// What to fall back to.
        checkpoint: Option<Oid>,
    },
}

/// A worktree that is as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Where it is.
    pub path: PathBuf,
    /// It was not there before.
    pub created: bool,
    /// It was made from a spare.
    pub from_spare: bool,
    /// The files that were there have been kept.
    pub kept: bool,
    /// Where differing files were saved before they were replaced.
    pub salvaged: Option<Oid>,
}

/// A worktree that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Where files that differed from the named checkpoint were saved.
    pub salvaged: Option<Oid>,
}

/// The files are being written into a worktree that was empty: nothing in it is anybody's work.
pub(crate) const FILLING: &str = "taskd-filling";

/// Claims a worktree; one that was being filled when we were killed begins anew.
fn claim_whole(spot: &Spot) -> Result<Found, GitError> {
    if spot.claimed()? && spot.flag(FILLING) && !spot.flag("taskd-ready") {
        spot.remove()?;
    }
    spot.claim()
}

/// Writes the files of a new worktree. False if it is not new, or libgit2 must do it.
fn filled(
    repo: &Repository,
    spot: &Spot,
    target: &git2::Tree<'_>,
    found: Found,
) -> Result<bool, GitError> {
    if found == Found::There {
        return Ok(false);
    }
    spot.set(FILLING)?;
    fill(repo, spot, target)
}

impl Repo {
    /// Makes the worktree of this name be as asked.
    pub fn ensure_worktree(&self, name: &str, how: Ensure) -> Result<Prepared, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        let repo = self.open()?;
        let (base, target, keep) = match how {
            Ensure::Fresh { base } => (base, base, false),
            Ensure::Restore { base, checkpoint } => (base, checkpoint, false),
            Ensure::Keep { base, checkpoint } => (base, checkpoint.unwrap_or(base), true),
        };
        commit(&repo, base)?;
        commit(&repo, target)?;
        self.clear_ref_locks(name)?;
        let found = claim_whole(&spot)?;
        spot.reset_state(base)?;
        let kept = keep && found == Found::There && spot.flag("taskd-ready");
        let spare = if found == Found::New { self.take_spare(&spot)? } else { None };
        let salvaged = match spare {
            Some(from) => {
                spot.reset_state(target)?;
                go_on(&spot, from, &tree(&repo, target)?)?;
                spot.reset_state(base)?;
                None
            }
            None if kept => None,
            None => self.set_files(&spot, base, target, found)?,
        };
        let repo = spot.open()?;
        let now = if kept { None } else { Some(tree(&repo, target)?) };
        write_own_index(&repo, &spot, &tree(&repo, base)?, now.as_ref())?;
        spot.set("taskd-ready")?;
        spot.unset(FILLING)?;
        Ok(Prepared {
            path: spot.dir,
            created: found == Found::New,
            from_spare: spare.is_some(),
            kept,
            salvaged,
        })
    }

    /// Makes a reusable detached checkout of exactly this commit's files, for a gate. Ignored files
    /// (build caches) stay; everything else in it is overwritten without being saved.
    pub fn checkout_scratch(&self, dir_name: &str, commit_id: Oid) -> Result<PathBuf, GitError> {
        let spot = self.spot(dir_name, Kind::Scratch)?;
        let repo = self.open()?;
        commit(&repo, commit_id)?;
        let found = claim_whole(&spot)?;
        spot.unset("taskd-ready")?;
        spot.reset_state(commit_id)?;
        let repo = spot.open()?;
        let target = tree(&repo, commit_id)?;
        if !filled(&repo, &spot, &target, found)? {
            let mut files = Files::open(&repo, &spot, &target)?;
            let now = files.snapshot(&[&target])?.tree;
            files.become_tree(now, &target)?;
        }
        write_own_index(&repo, &spot, &target, Some(&target))?;
        spot.set("taskd-ready")?;
        spot.unset(FILLING)?;
        Ok(spot.dir)
    }

    /// Removes a worktree once its files are proven to be those of `checkpoint` and that commit is
    /// reachable from a ref of ours; what is not is saved first. Repeatable.
    pub fn remove_worktree(&self, name: &str, checkpoint: Oid) -> Result<Removed, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        if !spot.claimed()? {
            return Ok(Removed { salvaged: None });
        }
        let mut salvaged = None;
        if !spot.flag("taskd-removing") {
            let repo = self.open()?;
            let saved = commit(&repo, checkpoint)?;
            if !self.reachable(&repo, checkpoint)? {
                self.keep_ref(&repo, "salvage", name, checkpoint)?;
            }
            let there = match spot.existing() {
                Ok(()) => true,
                Err(GitError::NoWorktree { .. }) => false,
                Err(other) => return Err(other),
            };
            // Without the flag the files are half set, and what they replaced is saved already.
            if there && spot.flag("taskd-ready") {
                spot.reset_state(checkpoint)?;
                let repo = spot.open()?;
                let seed = self.seed(&repo, &spot, checkpoint)?;
                let mut files = Files::open(&repo, &spot, &seed)?.lazily();
                let target = from_git(saved.tree_id());
                salvaged = self.salvage(&spot, &mut files, checkpoint, target)?.0;
            }
        }
        spot.remove()?;
        Ok(Removed { salvaged })
    }

    fn set_files(
        &self,
        spot: &Spot,
        base: Oid,
        target: Oid,
        found: Found,
    ) -> Result<Option<Oid>, GitError> {
        let repo = spot.open()?;
        let target_tree = tree(&repo, target)?;
        let mut salvaged = None;
        if found == Found::There {
            let mut files = Files::open(&repo, spot, &self.seed(&repo, spot, base)?)?.lazily();
            let now;
            (salvaged, now) = self.salvage(spot, &mut files, base, from_git(target_tree.id()))?;
            spot.unset("taskd-ready")?;
            spot.reset_state(target)?;
            files.become_tree(now, &target_tree)?;
        } else {
            spot.unset("taskd-ready")?;
            spot.reset_state(target)?;
            if !filled(&repo, spot, &target_tree, found)? {
                let mut files = Files::open(&repo, spot, &target_tree)?;
                let now = files.snapshot(&[&target_tree])?.tree;
                files.become_tree(now, &target_tree)?;
            }
        }
        spot.reset_state(base)?;
        Ok(salvaged)
    }

    /// What was saved of the worktree last, or its base.
    fn seed<'r>(
        &self,
        repo: &'r Repository,
        spot: &Spot,
        base: Oid,
    ) -> Result<git2::Tree<'r>, GitError> {
        let loop_ref = self.own_ref(&format!("loops/{}", spot.name));
        let seen = repo.refname_to_id(&loop_ref).ok().map(from_git);
        tree(repo, seen.unwrap_or(base))
    }

    /// Saves the files unless they are the target's, the base's, or saved already; also says which
    /// tree they are.
    fn salvage(
        &self,
        spot: &Spot,
        files: &mut Files<'_>,
        base: Oid,
        target: Oid,
    ) -> Result<(Option<Oid>, Oid), GitError> {
        let repo = spot.open()?;
        let parent = commit(&repo, base)?;
        let seed = self.seed(&repo, spot, base)?;
        let snapshot = files.snapshot(&[&seed])?;
        if !snapshot.left_out.is_empty() {
            return Err(GitError::CannotSave { name: spot.name.clone(), paths: snapshot.left_out });
        }
        let mut known = vec![target, from_git(parent.tree_id()), from_git(seed.id())];
        for kind in ["salvage", "before-rebase", "before-rewind"] {
            if let Some((_, last)) = self.kept_refs(&repo, kind, &spot.name)?.pop() {
                known.push(from_git(tree(&repo, last)?.id()));
            }
        }
        if known.contains(&snapshot.tree) {
            return Ok((None, snapshot.tree));
        }
        let files = repo
            .find_tree(to_git(snapshot.tree))
            .map_err(git("reading the tree", snapshot.tree))?;
        let by = Signature::now("taskd", "taskd@localhost")
            .map_err(git("signing what is saved of", &spot.name))?;
        let message = format!("taskd: files of {} saved before they were replaced\n", spot.name);
        let saved = write_commit(&repo, &files, &[&parent], &message, &by)?;
        self.keep_ref(&repo, "salvage", &spot.name, saved)?;
        Ok((Some(saved), snapshot.tree))
    }

    /// Names a commit `refs/taskd/<tag>/<kind>/<name>/<n>` unless the last one names it already;
    /// returns the ref.
    pub(crate) fn keep_ref(
        &self,
        repo: &Repository,
        kind: &str,
        name: &str,
        oid: Oid,
    ) -> Result<String, GitError> {
        let last = self.kept_refs(repo, kind, name)?.pop();
        let of = |n: u32| self.own_ref(&format!("{kind}/{name}/{n}"));
        let n = match last {
            Some((n, kept)) if kept == oid => return Ok(of(n)),
            Some((n, _)) => n + 1,
            None => 1,
        };
        self.write_own_ref(repo, &of(n), oid)?;
        Ok(of(n))
    }

    /// The numbered refs of a kind, lowest first.
    pub(crate) fn kept_refs(
        &self,
        repo: &Repository,
        kind: &str,
        name: &str,
    ) -> Result<Vec<(u32, Oid)>, GitError> {
        let prefix = self.own_ref(&format!("{kind}/{name}/"));
        let all = repo
            .references_glob(&format!("{prefix}*"))
            .map_err(git("listing the refs under", &prefix))?;
        let mut kept = Vec::new();
        for found in all {
            let found = found.map_err(git("listing the refs under", &prefix))?;
            let number = found.name().ok().and_then(|n| n.strip_prefix(&prefix)?.parse().ok());
            if let (Some(number), Some(oid)) = (number, found.target()) {
                kept.push((number, from_git(oid)));
            }
        }
        kept.sort_unstable();
        Ok(kept)
    }

    fn reachable(&self, repo: &Repository, oid: Oid) -> Result<bool, GitError> {
        let prefix = self.own_ref("");
        let doing = "listing the refs under";
        for found in repo.references_glob(&format!("{prefix}*")).map_err(git(doing, &prefix))? {
            let Some(tip) = found.map_err(git(doing, &prefix))?.target() else { continue };
            let on_it = repo.graph_descendant_of(tip, to_git(oid));
            if tip == to_git(oid) || on_it.map_err(git("looking for the ancestors of", tip))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A daemon killed while writing a ref leaves its lock; only the holder of the worktree writes
    /// these, so a lock found here is stale.
    pub(crate) fn clear_ref_locks(&self, name: &str) -> Result<(), GitError> {
        let own = self.git_dir().join(self.own_ref(""));
        let mut stale = vec![own.join(format!("loops/{name}.lock"))];
        for kind in KINDS.map(KeptFor::word) {
            let Ok(entries) = fs::read_dir(own.join(kind).join(name)) else { continue };
            let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
            stale.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "lock")));
        }
        for path in stale {
            crate::spot::gone(fs::remove_file(&path)).map_err(io("removing the lock", &path))?;
        }
        Ok(())
    }
}
