//! Ends the move of a checkout that a crash, or anything else, fell into the middle of.
//!
//! The index on disk is the old one or the new one and never anything between. So the files that
//! were to move first become what it says, where they are whole or partly the other commit's, or
//! gone; then they follow the branch, if that had moved. Everything else is the person's: it
//! stays, and shows as a change of theirs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Repository;

use crate::error::{GitError, git, io};
use crate::files::on_disk;
use crate::follow::{Entry, Manner, is_there, look, moves, staged, unstaged};
use crate::hold::{Hold, LeftOver, clear_head};
use crate::moving::{draft, pause, read_tree};
use crate::path::RepoPath;
use crate::program::{Feed, args, expect_success, run_ok, run_with};
use crate::refs::on_branch;
use crate::repo::Repo;
use crate::spot::gone;

/// How often a start looks for a git that an earlier life has started and that still writes files:
/// ten seconds in all.
const LOOKS: u32 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Most files named to one git.
const MAX_NAMES: usize = 200;

/// Whether a checkout had to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mended {
    /// Nothing of ours was left there.
    Whole,
    /// Somebody still works on it: a git of an earlier life, or this one.
    InUse,
    /// It was.
    Done,
}

impl Repo {
    /// Ends what a killed life was doing in checkouts; how many there were. One that an orphan of that
    /// life still writes to after a while is left to whoever comes next.
    pub(crate) fn mend_checkouts(&self) -> Result<u32, GitError> {
        let mut count = 0;
        let mut looks = LOOKS;
        for git_dir in self.checkouts()? {
            let mended = loop {
                match self.mend_checkout(&git_dir)? {
                    Mended::InUse if 0 < looks => {
                        looks -= 1;
                        pause(LOOK_EVERY);
                    }
                    mended @ (Mended::Whole | Mended::InUse | Mended::Done) => break mended,
                }
            };
            let head = clear_head(&git_dir, self.tag())?;
            count += u32::from(head || mended == Mended::Done);
        }
        Ok(count)
    }

    /// Ends what was left half done in the checkout of this git directory, if anything was.
    pub(crate) fn mend_checkout(&self, git_dir: &Path) -> Result<Mended, GitError> {
        match Hold::left_over(git_dir, self.tag())? {
            LeftOver::Nothing => Ok(Mended::Whole),
            LeftOver::InUse => Ok(Mended::InUse),
            LeftOver::Ours(hold) => {
                self.mend_under(hold, git_dir)?;
                Ok(Mended::Done)
            }
        }
    }

    /// The same under locks that are ours, and lets go of them. If it fails they stay.
    pub(crate) fn mend_under(&self, hold: Hold, git_dir: &Path) -> Result<(), GitError> {
        let root = self.root_of(&self.open()?, git_dir);
        if let Some(root) = root.filter(|it| it.is_dir()) {
            let note = &hold.note;
            tracing::info!(root = %root.display(), "ending a move from {} to {}", note.from, note.to);
            let repo =
                Repository::open(&root).map_err(git("opening the checkout", root.display()))?;
            back_to_index(&repo, &root, &hold)?;
            let full = format!("refs/heads/{}", note.branch);
            if on_branch(git_dir, &full) && self.own_tip(&note.branch)? == Some(note.to) {
                on_to_branch(&repo, &root, &hold)?;
            }
        }
        hold.release()
    }
}

/// Makes the files that were to move what the index says, but for those that are the person's.
fn back_to_index(repo: &Repository, root: &Path, hold: &Hold) -> Result<(), GitError> {
    let (from, to) = (hold.note.from, hold.note.to);
    let moves = moves(repo, from, to)?;
    if !staged(root, to)?.iter().any(|path| moves.contains_key(path)) {
        // It is the new one, which comes after the last file.
        return Ok(());
    }
    let unstaged = unstaged(root)?;
    let mut again = Vec::new();
    for (path, target) in moves.iter().filter(|(path, _)| !hold.note.there.contains(path)) {
        let on_disk = on_disk(root, path.as_path());
        let is_ours = || -> Result<bool, GitError> {
            Ok(is_there(root, path, target.entry)?
                || begins_like(repo, root, path, target.entry)?
                || begins_like(repo, root, path, target.was)?)
        };
        match (target.was, on_disk) {
            (None, Some(kind)) if !kind.is_dir() && is_ours()? => remove(root, path)?,
            (Some(_), None) if unstaged.contains(path) => again.push(path),
            (Some(_), Some(kind)) if unstaged.contains(path) && (kind.is_dir() || is_ours()?) => {
                again.push(path);
            }
            _ => {}
        }
    }
    // What stood where one of them goes is gone by now, unless it is the person's.
    again.retain(|path| is_free(root, path));
    if again.is_empty() {
        return Ok(());
    }
    hold.begin_draft()?;
    write_from_draft(root, hold, &again)?;
    hold.use_draft()
}

/// Lets files and index, which are the old commit's, follow the branch. A file that the person has
/// changed meanwhile stays as it is, beside the new commit's.
fn on_to_branch(repo: &Repository, root: &Path, hold: &Hold) -> Result<(), GitError> {
    let seen = look(repo, root, (hold.note.from, hold.note.to), Manner::Beside)?;
    if seen.there {
        return Ok(());
    }
    let kept = [seen.done, seen.stopped].concat();
    draft(root, hold, &kept)?;
    if read_tree(root, hold, false)?.is_none() {
        return hold.use_draft();
    }
    // A directory of theirs stands where a file was, or the like: one after the other.
    let kept: BTreeSet<_> = kept.into_iter().map(|it| it.0).collect();
    let moves = moves(repo, hold.note.from, hold.note.to)?;
    let all: Vec<_> = moves.into_iter().collect();
    draft(root, hold, &all)?;
    let ours = || all.iter().filter(|it| !kept.contains(&it.0));
    for (path, _) in ours().filter(|it| it.1.entry.is_none()) {
        if on_disk(root, path.as_path()).is_some_and(|it| !it.is_dir()) {
            remove(root, path)?;
        }
    }
    let new = ours().filter(|it| it.1.entry.is_some() && is_free(root, &it.0)).map(|it| &it.0);
    write_from_draft(root, hold, &new.collect::<Vec<_>>())?;
    hold.use_draft()
}

/// Lets git write these files as the draft has them.
fn write_from_draft(root: &Path, hold: &Hold, paths: &[&RepoPath]) -> Result<(), GitError> {
    for paths in paths.chunks(MAX_NAMES) {
        let [write, over, known, end] = args(["checkout-index", "-f", "-u", "--"]);
        let mut how = vec![write, over, known, end];
        how.extend(paths.iter().map(|it| it.as_path().as_os_str()));
        let written = run_with(root, &how, Feed::Holding(&hold.file), Some(&hold.draft()))?;
        expect_success(root, &how, written)?;
    }
    Ok(())
}

/// Whether a file is the first part of what git writes for an entry: a crash fell into the writing.
fn begins_like(
    repo: &Repository,
    root: &Path,
    path: &RepoPath,
    entry: Option<Entry>,
) -> Result<bool, GitError> {
    let Some((mode, id)) = entry else { return Ok(false) };
    if mode & 0o170_000 != 0o100_000
        || !on_disk(root, path.as_path()).is_some_and(|it| it.is_file())
    {
        return Ok(false);
    }
    let full = root.join(path.as_path());
    let bytes = fs::read(&full).map_err(io("reading", &full))?;
    let blob = repo.find_blob(id).map_err(git("reading the file", path))?;
    if blob.content().starts_with(&bytes) {
        return Ok(true);
    }
    // With the line endings of this checkout.
    let mut name = std::ffi::OsString::from("--path=");
    name.push(path.as_path());
    let id = id.to_string();
    let [cat, filtered, id] = args(["cat-file", "--filters", &id]);
    Ok(run_ok(root, &[cat, filtered, &name, id], b"")?.stdout.starts_with(&bytes))
}

/// Whether a file can be written there without taking anything of the person's away.
fn is_free(root: &Path, path: &RepoPath) -> bool {
    let mut part = PathBuf::new();
    let mut parts = path.as_path().components().peekable();
    while let Some(name) = parts.next() {
        part.push(name);
        let kind = on_disk(root, &part);
        if kind.is_some_and(|it| it.is_dir() != parts.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Removes a file, and the directories that have nothing else in them.
fn remove(root: &Path, path: &RepoPath) -> Result<(), GitError> {
    let full = root.join(path.as_path());
    gone(fs::remove_file(&full)).map_err(io("removing", &full))?;
    for dir in path.as_path().ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()) {
        if fs::remove_dir(root.join(dir)).is_err() {
            break;
        }
    }
    Ok(())
}
