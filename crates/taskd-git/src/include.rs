//! Copies files the person keeps out of git but work needs (`.env` and the like) into a worktree.
//! Only what both sides ignore is copied, so that it can never end up in a commit.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use git2::Repository;
use serde::{Deserialize, Serialize};

use crate::error::{GitError, git, io};
use crate::files::on_disk;
use crate::path::RepoPath;
use crate::program::{args, paths, run_ok};
use crate::repo::Repo;
use crate::spot::Kind;

/// At most this many files are copied.
pub const MAX_INCLUDED_FILES: usize = 1000;
/// Files larger than this are not copied.
pub const MAX_INCLUDED_BYTES: u64 = 64 * 1024 * 1024;

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Included {
    /// Files now in the worktree.
    pub copied: Vec<RepoPath>,
    /// Files that match and were not copied.
    pub skipped: Vec<(RepoPath, Skipped)>,
}

/// Why a file was not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skipped {
    /// Something is at its place in the worktree.
    Exists,
    /// The person's checkout does not ignore it.
    NotIgnored,
    /// The worktree does not ignore it, so it would be committed.
    NotIgnoredThere,
    /// It is neither a file nor a symlink, or it is too large, or there are too many.
    Refused,
}

impl Repo {
    /// Copies the ignored files of the person's checkout at `root` that the patterns of
    /// `patterns_file` there (gitignore syntax) match. Never overwrites anything.
    pub fn copy_included(
        &self,
        root: &Path,
        name: &str,
        patterns_file: &Path,
    ) -> Result<Included, GitError> {
        let mut included = Included::default();
        let patterns = root.join(patterns_file);
        if !patterns.is_file() {
            return Ok(included);
        }
        let mut spot = self.spot(name, Kind::Work)?;
        if spot.existing().is_err() {
            spot = self.spot(name, Kind::Scratch)?;
            spot.existing()?;
        }
        let (from, to) = (
            Repository::open(root).map_err(git("opening the checkout", root.display()))?,
            spot.open()?,
        );
        let mut exclude = OsString::from("--exclude-from=");
        exclude.push(&patterns);
        let [list, others, ignored, zero] = args(["ls-files", "--others", "--ignored", "-z"]);
        let found = paths(&run_ok(root, &[list, others, ignored, zero, &exclude], b"")?);
        for (n, path) in found.into_iter().enumerate() {
            let skipped = if n >= MAX_INCLUDED_FILES {
                Some(Skipped::Refused)
            } else {
                copy(&from, &to, root, &spot.dir, &path)?
            };
            match skipped {
                None => included.copied.push(path),
                Some(why) => included.skipped.push((path, why)),
            }
        }
        Ok(included)
    }
}

fn copy(
    from: &Repository,
    to: &Repository,
    root: &Path,
    worktree: &Path,
    path: &RepoPath,
) -> Result<Option<Skipped>, GitError> {
    let ignored = |repo: &Repository| {
        repo.is_path_ignored(path.as_path()).map_err(git("reading the ignore rules for", path))
    };
    let source = root.join(path.as_path());
    let Ok(meta) = fs::symlink_metadata(&source) else { return Ok(Some(Skipped::Refused)) };
    if meta.is_dir() || !(meta.is_file() || meta.is_symlink()) || meta.len() > MAX_INCLUDED_BYTES {
        return Ok(Some(Skipped::Refused));
    }
    if !ignored(from)? {
        return Ok(Some(Skipped::NotIgnored));
    }
    if !ignored(to)? {
        return Ok(Some(Skipped::NotIgnoredThere));
    }
    if blocked(worktree, path.as_path()) {
        return Ok(Some(Skipped::Exists));
    }
    let target = worktree.join(path.as_path());
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(io("creating", parent))?;
    }
    if meta.is_symlink() {
        let link = fs::read_link(&source).map_err(io("reading", &source))?;
        std::os::unix::fs::symlink(link, &target).map_err(io("copying to", &target))?;
    } else {
        fs::copy(&source, &target).map_err(io("copying to", &target))?;
    }
    Ok(None)
}

/// Whether something is at the path, or a parent of it is no real directory: a symlink there could
/// lead out of the worktree.
fn blocked(worktree: &Path, path: &Path) -> bool {
    let mut parents = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty());
    let off_road = parents.any(|parent| {
        let there = fs::symlink_metadata(worktree.join(parent)).is_ok();
        there && !on_disk(worktree, parent).is_some_and(|kind| kind.is_dir())
    });
    off_road || fs::symlink_metadata(worktree.join(path)).is_ok()
}
