//! What of ours may go: every worktree and checkout that stands where a store makes them, what would
//! be lost with one, and how one goes. It proves and removes; whether a loop still wants it, it does
//! not know.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use git2::Repository;
use taskd_model::Oid;

use crate::error::{GitError, git, io};
use crate::files::Files;
use crate::path::RepoPath;
use crate::repo::{Repo, commit, from_git, to_git, tree};
use crate::spot::{Kind, Spot, check_name};

/// Most names of files a proof lists.
const MAX_NAMED: usize = 5;

/// What a place is, as far as its marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceKind {
    /// A loop's worktree.
    Work,
    /// A checkout for gates.
    Scratch,
    /// Not made by this store, or for something else: it is never touched.
    Other {
        /// How we know.
        why: String,
    },
}

/// A worktree of ours, or what stands where they are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What the worktree is called.
    pub name: String,
    /// Where its files are.
    pub dir: PathBuf,
    /// What it is for.
    pub kind: PlaceKind,
    /// When its files were last set; nothing if that cannot be read.
    pub used_at: Option<SystemTime>,
    /// It was proven to be removable, and a crash came before it was gone.
    pub half_gone: bool,
}

/// What would be lost with a worktree if nothing were saved first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Files that differ from the checkpoint, new ones included, ignored ones not.
    pub differing: usize,
    /// The first of them.
    pub named: Vec<RepoPath>,
    /// A commit made there that no ref leads to.
    pub stray: Option<Oid>,
    /// The checkpoint itself is on no ref.
    pub unkept: bool,
}

impl Proof {
    /// Nothing would be lost: files as saved, every commit on a ref.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differing == 0 && self.stray.is_none() && !self.unkept
    }
}

impl Repo {
    /// Every place of this store in this repository, and whatever else stands beside them.
    pub fn places(&self) -> Result<Vec<Place>, GitError> {
        let mut places = Vec::new();
        let prefix = format!("taskd-{}-", self.tag());
        let linked = self.git_dir().join("worktrees");
        for (name, meta) in entries(&linked)? {
            let Some(name) = name.strip_prefix(&prefix) else { continue };
            if check_name(name).is_ok() {
                places.push(self.place(name, &meta)?);
            }
        }
        for (name, dir) in entries(self.worktrees())? {
            let known = places.iter().any(|it| it.name == name);
            let is_dir = fs::symlink_metadata(&dir).is_ok_and(|it| it.is_dir());
            if !known && is_dir {
                let why = "no worktree of this store is known there".to_owned();
                let kind = PlaceKind::Other { why };
                places.push(Place { name, dir, kind, used_at: None, half_gone: false });
            }
        }
        places.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(places)
    }

    fn place(&self, name: &str, meta: &Path) -> Result<Place, GitError> {
        let claimed = |kind| match self.spot(name, kind)?.claimed() {
            Ok(ours) => Ok(ours),
            Err(GitError::NotOurs { .. }) => Ok(false),
            Err(other) => Err(other),
        };
        let kind = if claimed(Kind::Work)? {
            PlaceKind::Work
        } else if claimed(Kind::Scratch)? {
            PlaceKind::Scratch
        } else {
            PlaceKind::Other { why: "its marker is not one of this store's".to_owned() }
        };
        let used_at = fs::metadata(meta.join("HEAD")).and_then(|it| it.modified()).ok();
        let half_gone = meta.join("taskd-removing").exists();
        let dir = self.worktree_path(name);
        Ok(Place { name: name.to_owned(), dir, kind, used_at, half_gone })
    }

    /// What would be lost if the worktree of this name went. Stores what differs as objects, and
    /// moves no ref.
    pub fn proof(&self, name: &str, checkpoint: Oid) -> Result<Proof, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        let repo = self.open()?;
        let saved = tree(&repo, checkpoint)?;
        let unkept = !on_a_ref(&repo, checkpoint)?;
        if spot.flag("taskd-removing") || !spot.flag("taskd-ready") {
            // What its files were is saved already.
            return Ok(Proof { unkept, ..Proof::default() });
        }
        spot.existing()?;
        let stray = stray(&repo, &spot)?;
        let inside = spot.open()?;
        let snapshot = Files::open(&inside, &spot, &saved)?.snapshot(&[&saved])?;
        if !snapshot.left_out.is_empty() {
            return Err(GitError::CannotSave { name: spot.name, paths: snapshot.left_out });
        }
        let now = tree(&repo, snapshot.tree)?;
        let diff = repo
            .diff_tree_to_tree(Some(&saved), Some(&now), None)
            .map_err(git("comparing the files of", spot.dir.display()))?;
        let paths = diff.deltas().filter_map(|it| {
            let path = it.new_file().path_bytes().or_else(|| it.old_file().path_bytes())?;
            Some(RepoPath::new(path))
        });
        let named = paths.take(MAX_NAMED).collect();
        Ok(Proof { differing: diff.deltas().count(), named, stray, unkept })
    }

    /// Removes a loop's worktree; what no ref has is saved under `salvage` first. Returns the refs
    /// that were made for it. Repeatable, also after a crash in the middle.
    pub fn retire(&self, name: &str, checkpoint: Oid) -> Result<Vec<String>, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        let repo = self.open()?;
        let before = self.kept_refs(&repo, "salvage", name)?.len();
        if spot.claimed()?
            && let Some(stray) = stray(&repo, &spot)?
        {
            self.keep_ref(&repo, "salvage", name, stray)?;
        }
        self.remove_worktree(name, checkpoint)?;
        let kept = self.kept_refs(&repo, "salvage", name)?;
        let of = |(n, _): &(u32, Oid)| self.own_ref(&format!("salvage/{name}/{n}"));
        Ok(kept.iter().skip(before).map(of).collect())
    }

    /// Removes a checkout for gates: nothing in it is worth saving.
    pub fn remove_scratch(&self, name: &str) -> Result<(), GitError> {
        let spot = self.spot(name, Kind::Scratch)?;
        if spot.claimed()? { spot.remove() } else { Ok(()) }
    }

    /// The refs of this store, without what they all begin with: `loops/p7-limiter-1`.
    pub fn own_refs(&self) -> Result<Vec<(String, Oid)>, GitError> {
        let repo = self.open()?;
        let prefix = self.own_ref("");
        let doing = "listing the refs under";
        let mut refs = Vec::new();
        for found in repo.references_glob(&format!("{prefix}*")).map_err(git(doing, &prefix))? {
            let found = found.map_err(git(doing, &prefix))?;
            let rest = found.name().ok().and_then(|it| it.strip_prefix(&prefix));
            if let (Some(rest), Some(oid)) = (rest, found.target()) {
                refs.push((rest.to_owned(), from_git(oid)));
            }
        }
        refs.sort();
        Ok(refs)
    }

    /// Removes a ref of ours, if it is still where it was seen.
    pub fn remove_own_ref(&self, rest: &str, seen: Oid) -> Result<bool, GitError> {
        let repo = self.open()?;
        let name = self.own_ref(rest);
        let mut found = match repo.find_reference(&name) {
            Ok(found) => found,
            Err(e) if e.code() == git2::ErrorCode::NotFound => return Ok(true),
            Err(e) => return Err(git("reading the ref", &name)(e)),
        };
        if found.target() != Some(to_git(seen)) {
            return Ok(false);
        }
        found.delete().map_err(git("removing the ref", &name))?;
        Ok(true)
    }
}

/// A commit that the worktree's HEAD is at and no ref leads to.
fn stray(repo: &Repository, spot: &Spot) -> Result<Option<Oid>, GitError> {
    let text = fs::read_to_string(spot.meta.join("HEAD")).unwrap_or_default();
    // On a branch, the branch has it.
    let Ok(head) = text.trim().parse::<Oid>() else { return Ok(None) };
    if commit(repo, head).is_err() || on_a_ref(repo, head)? {
        return Ok(None);
    }
    Ok(Some(head))
}

/// Whether any branch, tag, remote's branch or ref of ours leads to a commit.
fn on_a_ref(repo: &Repository, oid: Oid) -> Result<bool, GitError> {
    let doing = "listing the refs of";
    let what = || repo.path().display().to_string();
    for found in repo.references().map_err(git(doing, what()))? {
        let found = found.map_err(git(doing, what()))?;
        let Ok(tip) = found.peel_to_commit() else { continue };
        let leads = repo.graph_descendant_of(tip.id(), to_git(oid));
        if tip.id() == to_git(oid) || leads.map_err(git("looking for the ancestors of", oid))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Entries of a directory with plain names; none if it is not there.
fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, GitError> {
    let found = match fs::read_dir(dir) {
        Ok(found) => found,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io("reading", dir)(e)),
    };
    let mut all = Vec::new();
    for entry in found {
        let entry = entry.map_err(io("reading", dir))?;
        let name: &OsStr = &entry.file_name();
        if let Some(name) = name.to_str() {
            all.push((name.to_owned(), entry.path()));
        }
    }
    Ok(all)
}
