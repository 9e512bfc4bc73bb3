//! Copies files the person keeps out of git but work needs (`.env`, build caches and the like) into
//! a worktree. Only what both sides ignore is copied, so that it can never end up in a commit.
//!
//! A copy shares its blocks with the file where the file system can do that, and keeps its time:
//! build tools would take a younger copy of an old result for the newest state.

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
pub const MAX_INCLUDED_FILES: usize = 50_000;
/// At most so much is copied, all files together.
pub const MAX_INCLUDED_BYTES: u64 = 4 << 30;

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
    /// It is neither a file nor a symlink.
    Refused,
    /// There are too many, or it is more than may be copied.
    TooMuch,
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
        let mut left = MAX_INCLUDED_BYTES;
        for (n, path) in found.into_iter().enumerate() {
            let skipped = if n >= MAX_INCLUDED_FILES {
                Some(Skipped::TooMuch)
            } else {
                copy((&from, &to), (root, &spot.dir), &path, &mut left)?
            };
            match skipped {
                None => included.copied.push(path),
                Some(why) => included.skipped.push((path, why)),
            }
        }
        let too_much = included.skipped.iter().filter(|it| it.1 == Skipped::TooMuch).count();
        if let Some((first, _)) = included.skipped.iter().find(|it| it.1 == Skipped::TooMuch) {
            tracing::warn!(worktree = name, too_much, %first, "not all of .worktreeinclude is copied");
        }
        Ok(included)
    }
}

fn copy(
    (from, to): (&Repository, &Repository),
    (root, worktree): (&Path, &Path),
    path: &RepoPath,
    left: &mut u64,
) -> Result<Option<Skipped>, GitError> {
    let ignored = |repo: &Repository| {
        repo.is_path_ignored(path.as_path()).map_err(git("reading the ignore rules for", path))
    };
    let source = root.join(path.as_path());
    let Ok(meta) = fs::symlink_metadata(&source) else { return Ok(Some(Skipped::Refused)) };
    if !(meta.is_file() || meta.is_symlink()) {
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
    let Some(rest) = left.checked_sub(meta.len()) else { return Ok(Some(Skipped::TooMuch)) };
    *left = rest;
    let target = worktree.join(path.as_path());
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(io("creating", parent))?;
    }
    if meta.is_symlink() {
        let link = fs::read_link(&source).map_err(io("reading", &source))?;
        std::os::unix::fs::symlink(link, &target).map_err(io("copying to", &target))?;
    } else {
        copy_file(&source, &target, &meta).map_err(io("copying to", &target))?;
    }
    Ok(None)
}

/// The same bytes, mode and time; the kernel shares blocks where it can.
fn copy_file(source: &Path, target: &Path, meta: &fs::Metadata) -> std::io::Result<()> {
    fs::copy(source, target)?;
    // A file that its mode keeps from being written keeps its own time.
    match fs::File::options().write(true).open(target) {
        Err(e) if e.kind() != std::io::ErrorKind::PermissionDenied => Err(e),
        Err(_) => Ok(()),
        Ok(file) => file.set_modified(meta.modified()?),
    }
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
