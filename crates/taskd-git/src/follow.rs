//! Whether a person's clean checkout can follow the branch it has checked out, like git's
//! `receive.denyCurrentBranch=updateInstead`: what of it is the person's, and what of that is in the
//! way. Nothing is written here; `moving` does.
//!
//! It looks with the git program, because the person's sparse patterns and index format must hold. The
//! person's filters are programs, and do not run: where a file would need one, nothing follows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryState};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::error::{GitError, git};
use crate::files::on_disk;
use crate::filters;
use crate::hold::index_lock;
use crate::path::RepoPath;
use crate::program::{args, paths, run_ok};
use crate::repo::{from_git, tree};

/// Whether a checkout follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Follow {
    /// Its files and index are those of the new commit.
    Followed,
    /// It has changes, or untracked files in the way; nothing was touched.
    Dirty {
        /// Which.
        files: Vec<RepoPath>,
    },
    /// A file would have to go through a program of the person's; nothing was touched.
    Filtered {
        /// The file, or where the rule comes from.
        file: RepoPath,
        /// The filter's name.
        filter: String,
    },
    /// It has something else checked out.
    NotOnBranch,
    /// The branch is at neither commit.
    Moved {
        /// Where it is.
        actual: Oid,
    },
    /// A merge, rebase or other git command is in the middle of something.
    Busy {
        /// What.
        with: String,
    },
}

impl Follow {
    /// Somebody has this lock.
    pub(crate) fn locked(lock: &Path) -> Self {
        Self::Busy { with: format!("{} exists", lock.display()) }
    }
}

/// What a checkout's changes are to a move of its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Any change stops it.
    Clean,
    /// Changes to other files than those that move stay, like in a fast-forward of git's.
    Beside,
}

/// Whether a checkout could follow its branch beside the person's changes. No file and no entry of
/// the index changes.
pub fn could_sync(root: &Path, branch: &str, from: Oid, to: Oid) -> Result<Follow, GitError> {
    let repo = Repository::open(root).map_err(git("opening the checkout", root.display()))?;
    if let Some(not_now) = not_now(&repo, root, branch, from, to)? {
        return Ok(not_now);
    }
    let lock = index_lock(repo.path());
    if lock.exists() {
        return Ok(Follow::locked(&lock));
    }
    let seen = look(&repo, root, (from, to), Manner::Beside)?;
    Ok(if seen.dirty.is_empty() { Follow::Followed } else { seen.into_dirty() })
}

/// What was found in a checkout that shall move.
#[derive(Default)]
pub(crate) struct Look {
    /// It is there already: nothing is to be written.
    pub(crate) there: bool,
    /// These of the person's changes are in the way.
    pub(crate) dirty: BTreeSet<RepoPath>,
    /// These files are already what they shall be, and the index does not know.
    pub(crate) done: Vec<(RepoPath, Target)>,
    /// What of the move the person's changes are in the way of.
    pub(crate) stopped: Vec<(RepoPath, Target)>,
}

/// Compares index and files with both commits. Nothing is written, not the times of files either:
/// what does not move stays the same bytes.
pub(crate) fn look(
    repo: &Repository,
    root: &Path,
    (from, to): (Oid, Oid),
    manner: Manner,
) -> Result<Look, GitError> {
    let mut unstaged = unstaged(root)?;
    let (not_from, mut not_to) = (staged(root, from)?, staged(root, to)?);
    let moves = moves(repo, from, to)?;
    if manner == Manner::Beside {
        unstaged.retain(|path| moves.contains_key(path));
        not_to.retain(|path| moves.contains_key(path));
    }
    let mut seen = Look { there: not_to.is_empty() && unstaged.is_empty(), ..Look::default() };
    if seen.there {
        return Ok(seen);
    }
    for path in not_from.iter().filter(|path| not_to.contains(path)) {
        seen.dirty.insert(path.clone());
    }
    seen.dirty.extend(unstaged.iter().filter(|path| !moves.contains_key(path)).cloned());
    for (path, target) in &moves {
        if unstaged.contains(path) {
            match is_there(root, path, target.entry)? {
                true => seen.done.push((path.clone(), *target)),
                false => seen.stop(path, path, *target),
            }
        // Staged for the new commit by nobody but us, or an addition of a file that is not tracked.
        } else if !not_from.contains(path)
            && target.was.is_none()
            && let Some(in_way) = in_the_way(root, path, &moves)
        {
            if in_way == *path && is_there(root, path, target.entry)? {
                seen.done.push((path.clone(), *target));
            } else if moves.get(&in_way).is_none_or(|it| it.was.is_none()) {
                seen.stop(&in_way, path, *target);
            }
        }
    }
    Ok(seen)
}

impl Look {
    pub(crate) fn into_dirty(self) -> Follow {
        Follow::Dirty { files: self.dirty.into_iter().collect() }
    }

    fn stop(&mut self, by: &RepoPath, path: &RepoPath, target: Target) {
        self.dirty.insert(by.clone());
        self.stopped.push((path.clone(), target));
    }
}

/// Paths that the index has otherwise than a commit.
pub(crate) fn staged(root: &Path, commit: Oid) -> Result<BTreeSet<RepoPath>, GitError> {
    let commit = commit.to_string();
    let [a, b, c, d, e] =
        args(["diff-index", "--cached", "--name-only", "-z", "--ignore-submodules"]);
    let how = [a, b, c, d, e, commit.as_ref(), "--".as_ref()];
    Ok(paths(&run_ok(root, &how, b"")?).into_iter().collect())
}

/// Files that are not as the index has them. Git looks at what has another time than the index
/// knows, and keeps to itself what it finds.
pub(crate) fn unstaged(root: &Path) -> Result<BTreeSet<RepoPath>, GitError> {
    let how = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=no"];
    let [a, b, c, d, e] = how;
    let status = run_ok(root, &args([a, b, c, d, e, "--ignore-submodules=all"]), b"")?;
    let changed = paths(&status).into_iter().filter_map(|line| {
        let [_, there, _, path @ ..] = line.as_bytes() else { return None };
        (*there != b' ').then(|| RepoPath::new(path))
    });
    Ok(changed.collect())
}

/// Mode and blob of a path in a commit.
pub(crate) type Entry = (u32, git2::Oid);

/// What a path is in both commits; nothing where it is not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// In the new one.
    pub(crate) entry: Option<Entry>,
    /// In the old one.
    pub(crate) was: Option<Entry>,
}

/// Everything that differs between two commits.
pub(crate) type Moves = BTreeMap<RepoPath, Target>;

/// Why a checkout cannot follow whatever is in it, if so.
pub(crate) fn not_now(
    repo: &Repository,
    root: &Path,
    branch: &str,
    from: Oid,
    to: Oid,
) -> Result<Option<Follow>, GitError> {
    let doing = "reading HEAD of";
    let head = match repo.head() {
        Ok(head) => head,
        Err(e) if e.code() == git2::ErrorCode::UnbornBranch => {
            return Ok(Some(Follow::NotOnBranch));
        }
        Err(e) => return Err(git(doing, root.display())(e)),
    };
    if repo.is_bare() || head.name_bytes() != format!("refs/heads/{branch}").as_bytes() {
        return Ok(Some(Follow::NotOnBranch));
    }
    let tip = from_git(head.peel_to_commit().map_err(git(doing, root.display()))?.id());
    if tip != from && tip != to {
        return Ok(Some(Follow::Moved { actual: tip }));
    }
    if repo.state() != RepositoryState::Clean {
        return Ok(Some(Follow::Busy { with: format!("{:?}", repo.state()).to_lowercase() }));
    }
    if !filters::any(repo) {
        return Ok(None);
    }
    let moves = moves(repo, from, to)?;
    let files = moves.iter().filter_map(|(path, it)| Some((path, it.entry?.1)));
    let filtered = filters::first_filtered(repo, files);
    Ok(filtered.map(|(file, filter)| Follow::Filtered { file, filter }))
}

pub(crate) fn moves(repo: &Repository, from: Oid, to: Oid) -> Result<Moves, GitError> {
    let (old, new) = (tree(repo, from)?, tree(repo, to)?);
    let mut options = git2::DiffOptions::new();
    options.include_typechange(true);
    let diff = repo
        .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
        .map_err(git("comparing", format!("{from} with {to}")))?;
    let mut moves = BTreeMap::new();
    let entry = |file: git2::DiffFile<'_>| {
        let mode = u32::try_from(i32::from(file.mode())).unwrap_or(0);
        (!file.id().is_zero()).then(|| (mode, file.id()))
    };
    for delta in diff.deltas() {
        let (was, now) = (delta.old_file(), delta.new_file());
        let Some(path) = now.path_bytes().or(was.path_bytes()) else { continue };
        moves.insert(RepoPath::new(path), Target { entry: entry(now), was: entry(was) });
    }
    Ok(moves)
}

/// Whether the file on disk is what a commit has at that path; nothing there if it has nothing.
pub(crate) fn is_there(
    root: &Path,
    path: &RepoPath,
    entry: Option<Entry>,
) -> Result<bool, GitError> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let found = on_disk(root, path.as_path());
    let (Some(kind), Some((mode, id))) = (found, entry) else {
        return Ok(found.is_none() && entry.is_none());
    };
    let full = root.join(path.as_path());
    let is_it = |bytes: &[u8]| {
        git2::Oid::hash_object(git2::ObjectType::Blob, bytes).is_ok_and(|hash| hash == id)
    };
    if kind.is_symlink() {
        let Ok(link) = std::fs::read_link(&full) else { return Ok(false) };
        return Ok(mode == 0o120_000 && is_it(link.as_os_str().as_bytes()));
    }
    let Ok(meta) = std::fs::symlink_metadata(&full) else { return Ok(false) };
    let executable = meta.permissions().mode() & 0o100 != 0;
    if !kind.is_file() || mode != (if executable { 0o100_755 } else { 0o100_644 }) {
        return Ok(false);
    }
    if std::fs::read(&full).is_ok_and(|bytes| is_it(&bytes)) {
        return Ok(true);
    }
    // As the person's git would store it; none of these files has a filter.
    let mut name = std::ffi::OsString::from("--path=");
    name.push(path.as_path());
    let [hash, end] = args(["hash-object", "--"]);
    let output = run_ok(root, &[hash, &name, end, path.as_path().as_os_str()], b"")?;
    Ok(output.stdout.trim_ascii() == id.to_string().as_bytes())
}

/// What on disk stands at the path, or where one of its directories goes. A directory whose files
/// all go is not in the way.
fn in_the_way(root: &Path, path: &RepoPath, moves: &Moves) -> Option<RepoPath> {
    let mut part = PathBuf::new();
    for component in path.as_path().components() {
        part.push(component);
        let kind = on_disk(root, &part)?;
        if part == path.as_path() && kind.is_dir() {
            return stays_below(root, &part, moves);
        }
        if part == path.as_path() || !kind.is_dir() {
            return Some(RepoPath::from(part.as_path()));
        }
    }
    None
}

/// A file below the directory that the new commit does not delete.
fn stays_below(root: &Path, dir: &Path, moves: &Moves) -> Option<RepoPath> {
    for entry in std::fs::read_dir(root.join(dir)).ok()?.flatten() {
        let path = dir.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if let Some(file) = stays_below(root, &path, moves) {
                return Some(file);
            }
            continue;
        }
        let path = RepoPath::from(path.as_path());
        if !moves.get(&path).is_some_and(|target| target.was.is_some() && target.entry.is_none()) {
            return Some(path);
        }
    }
    None
}

/// The files git names between quotes in its refusal.
pub(crate) fn named_in(stderr: &[u8]) -> Vec<RepoPath> {
    let lines = stderr.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b'\'').nth(1)).map(RepoPath::new).collect()
}
