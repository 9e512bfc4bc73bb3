//! Spare worktrees: whole ones made ahead of time, so that a loop takes one by renaming it and goes to
//! its base by what differs.
//!
//! A spare is a checkout of ours like any other, `spare-<n>`, which holds nothing of anybody's. While
//! it changes hands neither name has `taskd-ready`: killed in any step, the spare is made anew, and
//! the worktree is filled from nothing.

use std::fs;
use std::sync::{Mutex, PoisonError};

use taskd_model::Oid;

use crate::error::{GitError, git, io};
use crate::files::Files;
use crate::repo::{Repo, from_git, tree};
use crate::spot::{Kind, Spot, gone};
use crate::worktree::FILLING;

/// Most spares of one repository.
pub const MAX_SPARES: u32 = 16;

/// Held while a spare changes hands: two loops must not take the same one. One for all repositories,
/// because it is held for a few renames only.
static HANDS: Mutex<()> = Mutex::new(());

fn name(n: u32) -> String {
    format!("spare-{n}")
}

impl Repo {
    /// Makes the first of `wanted` spares that is not there, of this commit. False if all are.
    pub fn make_spare(&self, wanted: u32, commit: Oid) -> Result<bool, GitError> {
        for n in 0..wanted.min(MAX_SPARES) {
            let spot = self.spot(&name(n), Kind::Scratch)?;
            {
                let _hands = HANDS.lock().unwrap_or_else(PoisonError::into_inner);
                if spot.claimed()? {
                    if spot.flag("taskd-ready") && spot.existing().is_ok() {
                        continue;
                    }
                    // Of a life that was killed while it made or took this one.
                    spot.remove()?;
                }
            }
            self.checkout_scratch(&name(n), commit)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Removes a spare, if it is whole: one that is not may be in the making. Nobody takes one
    /// meanwhile. Says whether it is gone.
    ///
    /// # Errors
    ///
    /// It cannot be removed, or another daemon made it.
    pub fn remove_spare(&self, name: &str) -> Result<bool, GitError> {
        let _hands = HANDS.lock().unwrap_or_else(PoisonError::into_inner);
        let spot = self.spot(name, Kind::Scratch)?;
        if !spot.claimed()? || !spot.flag("taskd-ready") {
            return Ok(false);
        }
        spot.remove()?;
        Ok(true)
    }

    /// Whether a commit has at least so many files.
    pub fn has_files(&self, commit: Oid, at_least: usize) -> Result<bool, GitError> {
        let repo = self.open()?;
        let mut seen = 0;
        let walked = tree(&repo, commit)?.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
            seen += usize::from(entry.kind() == Some(git2::ObjectType::Blob));
            if seen < at_least { git2::TreeWalkResult::Ok } else { git2::TreeWalkResult::Abort }
        });
        match walked {
            Err(_) if at_least <= seen => Ok(true),
            walked => {
                walked.map(|()| at_least <= seen).map_err(git("counting the files of", commit))
            }
        }
    }

    /// Gives a worktree that has just been claimed and is empty the files of a spare, if there is one;
    /// says of which commit they are.
    pub(crate) fn take_spare(&self, spot: &Spot) -> Result<Option<Oid>, GitError> {
        let _hands = HANDS.lock().unwrap_or_else(PoisonError::into_inner);
        for n in 0..MAX_SPARES {
            let spare = self.spot(&name(n), Kind::Scratch)?;
            if spare.existing().is_err() || !spare.flag("taskd-ready") {
                continue;
            }
            let head = fs::read_to_string(spare.meta.join("HEAD")).unwrap_or_default();
            let Ok(commit) = head.trim().parse::<Oid>() else { continue };
            spot.set(FILLING)?;
            spare.unset("taskd-ready")?;
            let moved = fs::rename(spare.index(), spot.index());
            // Without it the files are looked at.
            gone(moved).map_err(io("taking the index of", &spare.dir))?;
            // Without this file a directory is whose metadata stands beside it.
            for dir in [&spare.dir, &spot.dir] {
                let link = dir.join(".git");
                gone(fs::remove_file(&link)).map_err(io("removing", &link))?;
            }
            fs::rename(&spare.dir, &spot.dir).map_err(io("taking", &spare.dir))?;
            spot.write_link()?;
            spare.remove()?;
            return Ok(Some(commit));
        }
        Ok(None)
    }
}

/// Makes the files of a spare, which are those of a commit, exactly these.
pub(crate) fn go_on(spot: &Spot, from: Oid, target: &git2::Tree<'_>) -> Result<(), GitError> {
    let repo = spot.open()?;
    let now = tree(&repo, from)?;
    Files::open(&repo, spot, &now)?.become_tree(from_git(now.id()), target)
}
