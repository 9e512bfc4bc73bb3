//! Moving work onto a newer base: rebase a worktree, build what would land, merge what the person
//! committed. All merging is three-way and in memory; only `rebase` touches files, and no operation
//! leaves git's own conflict state anywhere.

use git2::{Index, IndexEntry, MergeFileInput, MergeFileOptions, MergeOptions, Repository, Tree};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::error::{GitError, git};
use crate::path::RepoPath;
use crate::refs::ancestor;
use crate::repo::{Identity, Repo, commit, from_git, to_git, tree, write_commit};
use crate::tree::merged_apart;
use crate::worktree::Ensure;

/// A worktree on its new base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebased {
    /// The new base.
    pub base: Oid,
    /// The work on it, one commit over the base (or the base itself if nothing is left of it).
    pub checkpoint: Oid,
    /// The tree of the checkpoint.
    pub tree: Oid,
    /// Files that need a decision. Text holds diff3 markers; of a file changed on one side and
    /// deleted on the other the changed one is kept; of anything else the base's version.
    pub conflicts: Vec<RepoPath>,
    /// Files that were in the worktree and in no checkpoint, saved.
    pub salvaged: Option<Oid>,
}

/// What would land.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Candidate {
    /// It merges.
    Clean {
        /// The commit to gate and publish. No ref names it yet.
        commit: Oid,
        /// Its tree.
        tree: Oid,
    },
    /// Nothing is left to land.
    Empty,
    /// It does not merge by itself.
    Conflict {
        /// The files that conflict.
        paths: Vec<RepoPath>,
    },
}

impl Repo {
    /// Moves the worktree, with the work of checkpoint `work`, from `base` to `onto`. The old tip
    /// stays at `refs/taskd/<tag>/before-rebase/<name>/<n>`. Running it again gives the same commit.
    pub fn rebase(&self, name: &str, base: Oid, onto: Oid, work: Oid) -> Result<Rebased, GitError> {
        crate::spot::check_name(name)?;
        self.clear_ref_locks(name)?;
        let repo = self.open()?;
        let (ancestor, ours, theirs) = (tree(&repo, base)?, tree(&repo, onto)?, tree(&repo, work)?);
        let (files, conflicts) = match merged_apart(&repo, &ancestor, &ours, &theirs)? {
            Some(id) => {
                (repo.find_tree(id).map_err(git("writing the tree merged onto", onto))?, Vec::new())
            }
            None => {
                let mut merged = merge_trees(&repo, &ancestor, &ours, &theirs, onto)?;
                let conflicts = resolve(&repo, &mut merged, onto)?;
                (write_tree(&repo, &mut merged, onto)?, conflicts)
            }
        };
        let checkpoint = if files.id() == ours.id() {
            onto
        } else {
            // Everything in the commit comes from the old one: the same question, the same answer.
            let old = commit(&repo, work)?;
            let message = old.message().unwrap_or("taskd: rebased").to_owned();
            write_commit(&repo, &files, &[&commit(&repo, onto)?], &message, &old.committer())?
        };
        if work != checkpoint {
            self.keep_ref(&repo, "before-rebase", name, work)?;
        }
        self.write_own_ref(&repo, &self.own_ref(&format!("loops/{name}")), checkpoint)?;
        let prepared = self.ensure_worktree(name, Ensure::Restore { base: onto, checkpoint })?;
        let tree = from_git(files.id());
        Ok(Rebased { base: onto, checkpoint, tree, conflicts, salvaged: prepared.salvaged })
    }

    /// The work between `base` and `work` as one commit on `onto`, in memory.
    pub fn candidate(
        &self,
        base: Oid,
        work: Oid,
        onto: Oid,
        message: &str,
        author: &Identity,
    ) -> Result<Candidate, GitError> {
        let repo = self.open()?;
        let files = match merged_onto(&repo, base, work, onto)? {
            Ok(files) => files,
            Err(paths) => return Ok(Candidate::Conflict { paths }),
        };
        let parent = commit(&repo, onto)?;
        if files.id() == parent.tree_id() {
            return Ok(Candidate::Empty);
        }
        let made = write_commit(&repo, &files, &[&parent], message, &author.signature()?)?;
        Ok(Candidate::Clean { commit: made, tree: from_git(files.id()) })
    }

    /// `theirs` merged into `ours`, in memory: empty if ours contains it, `theirs` itself if it
    /// contains ours, otherwise a commit with both as parents.
    pub fn merge_into(
        &self,
        ours: Oid,
        theirs: Oid,
        message: &str,
        author: &Identity,
    ) -> Result<Candidate, GitError> {
        let repo = self.open()?;
        if ancestor(&repo, theirs, ours)? {
            return Ok(Candidate::Empty);
        }
        if ancestor(&repo, ours, theirs)? {
            let tree = from_git(tree(&repo, theirs)?.id());
            return Ok(Candidate::Clean { commit: theirs, tree });
        }
        let (left, right) = (commit(&repo, ours)?, commit(&repo, theirs)?);
        let mut merged = repo
            .merge_commits(&left, &right, Some(&merge_options()))
            .map_err(git("merging into", ours))?;
        if merged.has_conflicts() {
            return Ok(Candidate::Conflict { paths: conflict_paths(&merged, ours)? });
        }
        let files = write_tree(&repo, &mut merged, ours)?;
        let made = write_commit(&repo, &files, &[&left, &right], message, &author.signature()?)?;
        Ok(Candidate::Clean { commit: made, tree: from_git(files.id()) })
    }
}

/// The files of `onto` with what was done between `base` and `work`, or those that conflict.
pub(crate) fn merged_onto(
    repo: &Repository,
    base: Oid,
    work: Oid,
    onto: Oid,
) -> Result<Result<Tree<'_>, Vec<RepoPath>>, GitError> {
    let (ancestor, ours, theirs) = (tree(repo, base)?, tree(repo, onto)?, tree(repo, work)?);
    if let Some(id) = merged_apart(repo, &ancestor, &ours, &theirs)? {
        return Ok(Ok(repo.find_tree(id).map_err(git("writing the tree merged onto", onto))?));
    }
    let mut merged = merge_trees(repo, &ancestor, &ours, &theirs, onto)?;
    if merged.has_conflicts() {
        return Ok(Err(conflict_paths(&merged, onto)?));
    }
    Ok(Ok(write_tree(repo, &mut merged, onto)?))
}

fn merge_options() -> MergeOptions {
    let mut options = MergeOptions::new();
    options.find_renames(true).fail_on_conflict(false);
    options
}

fn merge_trees(
    repo: &Repository,
    ancestor: &Tree<'_>,
    ours: &Tree<'_>,
    theirs: &Tree<'_>,
    onto: Oid,
) -> Result<Index, GitError> {
    repo.merge_trees(ancestor, ours, theirs, Some(&merge_options()))
        .map_err(git("merging onto", onto))
}

fn write_tree<'r>(
    repo: &'r Repository,
    index: &mut Index,
    onto: Oid,
) -> Result<Tree<'r>, GitError> {
    let doing = "writing the tree merged onto";
    let id = index.write_tree_to(repo).map_err(git(doing, onto))?;
    repo.find_tree(id).map_err(git(doing, onto))
}

/// The paths of the conflicts, each once, sorted.
fn conflict_paths(index: &Index, onto: Oid) -> Result<Vec<RepoPath>, GitError> {
    let mut paths = Vec::new();
    for conflict in index.conflicts().map_err(git("listing the conflicts with", onto))? {
        let conflict = conflict.map_err(git("listing the conflicts with", onto))?;
        paths
            .extend([conflict.our, conflict.their, conflict.ancestor].into_iter().flatten().next());
    }
    let mut paths: Vec<_> = paths.into_iter().map(|entry| RepoPath::new(entry.path)).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Turns every conflict into a file with markers, or a choice; returns their paths.
fn resolve(repo: &Repository, index: &mut Index, onto: Oid) -> Result<Vec<RepoPath>, GitError> {
    let paths = conflict_paths(index, onto)?;
    let doing = "resolving the conflicts with";
    let found: Result<Vec<_>, _> =
        index.conflicts().map_err(git("listing the conflicts with", onto))?.collect();
    let found = found.map_err(git("listing the conflicts with", onto))?;
    let mut chosen = Vec::new();
    for conflict in found {
        let sides = [&conflict.ancestor, &conflict.our, &conflict.their];
        for entry in sides.into_iter().flatten() {
            let path = RepoPath::new(entry.path.clone());
            match index.conflict_remove(path.as_path()) {
                Err(e) if e.code() != git2::ErrorCode::NotFound => return Err(git(doing, onto)(e)),
                _ => {}
            }
        }
        let pick = match (conflict.our, conflict.their) {
            (Some(ours), Some(theirs)) => {
                (merged_file(repo, conflict.ancestor.as_ref(), ours, &theirs, onto)?, "main")
            }
            (Some(ours), None) => (ours, "main"),
            (None, Some(theirs)) => (theirs, "work"),
            (None, None) => continue,
        };
        chosen.push(pick);
    }
    for (mut entry, side) in chosen {
        // A file where the other side has a directory, or the other way round.
        while in_the_way(index, &entry.path) {
            entry.path.extend_from_slice(format!("~taskd-{side}").as_bytes());
        }
        entry.flags = 0;
        entry.flags_extended = 0;
        index.add(&entry).map_err(git(doing, onto))?;
    }
    Ok(paths)
}

fn in_the_way(index: &Index, path: &[u8]) -> bool {
    let there = |path: &[u8]| index.get_path(RepoPath::new(path).as_path(), 0).is_some();
    let mut below = path.to_vec();
    below.push(b'/');
    let is_dir = index.iter().any(|entry| entry.path.starts_with(&below));
    let cuts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(n, _)| n);
    is_dir || cuts.into_iter().any(|n| there(&path[..n]))
}

/// Both sides have the file: markers if it is text, otherwise the base's version.
fn merged_file(
    repo: &Repository,
    ancestor: Option<&IndexEntry>,
    ours: IndexEntry,
    theirs: &IndexEntry,
    onto: Oid,
) -> Result<IndexEntry, GitError> {
    let read = |entry: &IndexEntry| -> Result<Option<Vec<u8>>, GitError> {
        if !matches!(entry.mode, 0o100_644 | 0o100_755) {
            return Ok(None);
        }
        let what = RepoPath::new(entry.path.clone());
        let blob = repo.find_blob(entry.id).map_err(git("reading", what))?;
        Ok((!blob.is_binary()).then(|| blob.content().to_vec()))
    };
    let (Some(left), Some(right)) = (read(&ours)?, read(theirs)?) else { return Ok(ours) };
    let before = match ancestor {
        Some(entry) => read(entry)?,
        None => None,
    };
    let mut inputs = [MergeFileInput::new(), MergeFileInput::new(), MergeFileInput::new()];
    let [base_in, our_in, their_in] = &mut inputs;
    base_in.content(before.as_deref().unwrap_or_default());
    our_in.content(&left);
    their_in.content(&right);
    let mut how = MergeFileOptions::new();
    how.style_diff3(true);
    how.our_label(format!("taskd main {}", onto.short()));
    how.ancestor_label("taskd base");
    how.their_label("taskd work");
    let what = RepoPath::new(ours.path.clone());
    let merged = git2::merge_file(base_in, our_in, their_in, Some(&mut how))
        .map_err(git("merging the file", &what))?;
    let id = repo.blob(merged.content()).map_err(git("storing the merged file", &what))?;
    let mode = if ancestor.is_some_and(|a| a.mode == ours.mode) { theirs.mode } else { ours.mode };
    Ok(IndexEntry { id, mode, file_size: 0, ..ours })
}

pub(crate) fn merge_base(repo: &Repository, a: Oid, b: Oid) -> Result<Option<Oid>, GitError> {
    match repo.merge_base(to_git(a), to_git(b)) {
        Ok(base) => Ok(Some(from_git(base))),
        Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(e) => Err(git("looking for the merge base of", format!("{a} and {b}"))(e)),
    }
}
