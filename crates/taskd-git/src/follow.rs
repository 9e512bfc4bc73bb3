//! Lets a person's clean checkout follow the branch it has checked out, like git's
//! `receive.denyCurrentBranch=updateInstead`. The only place that writes to a person's checkout;
//! it never overwrites a file that is not exactly the old commit's, and never moves HEAD or a ref.
//!
//! It works the way receive-pack does, with the git program, because the person's sparse patterns and
//! index format must hold; `read-tree -m -u` refuses by itself what we overlooked. The person's
//! filters are programs, and do not run: where a file would need one, nothing follows.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;

use git2::{Repository, RepositoryState};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::error::{GitError, git};
use crate::files::on_disk;
use crate::filters;
use crate::path::RepoPath;
use crate::program::{args, expect_success, paths, run, run_ok};
use crate::repo::{from_git, tree};

/// The exit code of a git program that died of an error it cannot go on with.
const GIT_DIED: i32 = 128;

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

/// What a checkout's changes are to a move of its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Any change stops it.
    Clean,
    /// Changes to other files than those that move stay, like in a fast-forward of git's.
    Beside,
}

/// Moves the files and index of the checkout at `root` from one commit to the other, if `branch` is
/// checked out there and everything is clean. Call it after the branch has moved (before works too);
/// running it again after a crash finishes what was begun.
pub fn follow_checkout(root: &Path, branch: &str, from: Oid, to: Oid) -> Result<Follow, GitError> {
    bring(root, branch, (from, to), Manner::Clean)
}

/// The same beside changes of the person's, staged or not, to files that both commits have alike:
/// those stay as they are. A changed or untracked file that would have to be written stops it.
pub fn sync_checkout(root: &Path, branch: &str, from: Oid, to: Oid) -> Result<Follow, GitError> {
    bring(root, branch, (from, to), Manner::Beside)
}

/// What [`sync_checkout`] would say. No file and no entry of the index changes.
pub fn could_sync(root: &Path, branch: &str, from: Oid, to: Oid) -> Result<Follow, GitError> {
    let repo = Repository::open(root).map_err(git("opening the checkout", root.display()))?;
    if let Some(not_now) = not_now(&repo, root, branch, from, to)? {
        return Ok(not_now);
    }
    Ok(match look(&repo, root, (from, to), Manner::Beside)? {
        Look::Dirty(files) => Follow::Dirty { files: files.into_iter().collect() },
        Look::There | Look::Free(_) => Follow::Followed,
    })
}

fn bring(
    root: &Path,
    branch: &str,
    (from, to): (Oid, Oid),
    manner: Manner,
) -> Result<Follow, GitError> {
    let repo = Repository::open(root).map_err(git("opening the checkout", root.display()))?;
    if let Some(not_now) = not_now(&repo, root, branch, from, to)? {
        return Ok(not_now);
    }
    let (from_text, to_text) = (from.to_string(), to.to_string());
    let index = Index { root, lock: repo.path().join("index.lock") };
    let done = match look(&repo, root, (from, to), manner)? {
        Look::There => return Ok(Follow::Followed),
        Look::Dirty(files) => return Ok(Follow::Dirty { files: files.into_iter().collect() }),
        Look::Free(done) => done,
    };
    if !index.refresh()? {
        return Ok(index.busy());
    }
    if !index.stage(&done)? {
        return Ok(index.busy());
    }
    let dry = run(root, &args(["read-tree", "-n", "-m", "-u", &from_text, &to_text]), b"")?;
    if index.is_locked(&dry) {
        return Ok(index.busy());
    }
    if !dry.status.success() {
        return Ok(Follow::Dirty { files: named_in(&dry.stderr) });
    }
    let moved = index.write(&args(["read-tree", "-m", "-u", &from_text, &to_text]), b"")?;
    Ok(if moved { Follow::Followed } else { index.busy() })
}

/// What was found in a checkout that shall move.
enum Look {
    /// It is there.
    There,
    /// These of the person's changes are in the way.
    Dirty(BTreeSet<RepoPath>),
    /// It can move; these files are already what they shall be, and the index does not know.
    Free(Vec<(RepoPath, Target)>),
}

/// Compares index and files with both commits. Nothing is written, not the times of files either:
/// what does not move stays the same bytes.
fn look(
    repo: &Repository,
    root: &Path,
    (from, to): (Oid, Oid),
    manner: Manner,
) -> Result<Look, GitError> {
    let staged = |commit: Oid| -> Result<BTreeSet<RepoPath>, GitError> {
        let commit = commit.to_string();
        let how = ["diff-index", "--cached", "--name-only", "-z", "--ignore-submodules"];
        let [a, b, c, d, e] = how;
        Ok(paths(&run_ok(root, &args([a, b, c, d, e, &commit, "--"]), b"")?).into_iter().collect())
    };
    let mut unstaged = unstaged(root)?;
    let (not_from, mut not_to) = (staged(from)?, staged(to)?);
    let mut moves = moves(repo, from, to)?;
    if manner == Manner::Beside {
        unstaged.retain(|path| moves.contains_key(path));
        not_to.retain(|path| moves.contains_key(path));
    }
    if not_to.is_empty() && unstaged.is_empty() {
        return Ok(Look::There);
    }
    let mut dirty = BTreeSet::new();
    let mut done = Vec::new();
    for path in not_from.iter().filter(|path| not_to.contains(path)) {
        dirty.insert(path.clone());
    }
    for path in &unstaged {
        match moves.get(path) {
            Some(target) if is_there(root, path, target)? => done.push(path.clone()),
            _ => drop(dirty.insert(path.clone())),
        }
    }
    // Staged for the new commit by nobody but us, or an addition of a file that is not tracked.
    for (path, target) in moves.iter().filter(|(path, _)| !unstaged.contains(path)) {
        let tracked = not_from.contains(path) || target.was_there;
        if !tracked && let Some(in_way) = in_the_way(root, path, &moves) {
            if in_way == *path && is_there(root, path, target)? {
                done.push(path.clone());
            } else if !moves.get(&in_way).is_some_and(|m| m.was_there) {
                dirty.insert(in_way);
            }
        }
    }
    if !dirty.is_empty() {
        return Ok(Look::Dirty(dirty));
    }
    Ok(Look::Free(done.into_iter().filter_map(|path| moves.remove_entry(&path)).collect()))
}

/// Files that are not as the index has them. Git looks at what has another time than the index
/// knows, and keeps to itself what it finds.
fn unstaged(root: &Path) -> Result<BTreeSet<RepoPath>, GitError> {
    let how = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=no"];
    let [a, b, c, d, e] = how;
    let status = run_ok(root, &args([a, b, c, d, e, "--ignore-submodules=all"]), b"")?;
    let changed = paths(&status).into_iter().filter_map(|line| {
        let [_, there, _, path @ ..] = line.as_bytes() else { return None };
        (*there != b' ').then(|| RepoPath::new(path))
    });
    Ok(changed.collect())
}

/// The index of a checkout, written by the git program. Another git may take its lock at any time,
/// also between two of our steps: each of them can find it taken, and has then changed nothing.
struct Index<'a> {
    root: &'a Path,
    lock: PathBuf,
}

impl Index<'_> {
    fn busy(&self) -> Follow {
        Follow::Busy { with: format!("{} exists", self.lock.display()) }
    }

    /// Whether a program failed because it could not take the lock. Git dies of that with 128, as
    /// of much else; the lock's name in what it says is what tells them apart.
    fn is_locked(&self, output: &Output) -> bool {
        let said = String::from_utf8_lossy(&output.stderr);
        output.status.code() == Some(GIT_DIED) && said.contains("index.lock")
    }

    /// Runs git; false if the index is locked.
    fn write(&self, args: &[&OsStr], stdin: &[u8]) -> Result<bool, GitError> {
        let output = run(self.root, args, stdin)?;
        if self.is_locked(&output) {
            return Ok(false);
        }
        expect_success(self.root, args, output)?;
        Ok(true)
    }

    /// Looks at the files whose times have changed; false if the index is locked. With `-q` git
    /// dies of a lock without a word, and a file that has changed is no failure.
    fn refresh(&self) -> Result<bool, GitError> {
        let refresh = args(["update-index", "-q", "--ignore-submodules", "--refresh"]);
        Ok(run(self.root, &refresh, b"")?.status.code() != Some(GIT_DIED))
    }

    /// Tells the index of files that are already those of the new commit; false if it is locked.
    fn stage(&self, done: &[(RepoPath, Target)]) -> Result<bool, GitError> {
        if done.is_empty() {
            return Ok(true);
        }
        let mut lines = Vec::new();
        for (path, target) in done {
            let (mode, id) = target.entry.unwrap_or((0, git2::Oid::ZERO_SHA1));
            lines.extend_from_slice(format!("{mode:o} {id}\t").as_bytes());
            lines.extend_from_slice(path.as_bytes());
            lines.push(0);
        }
        let staged = self.write(&args(["update-index", "-z", "--index-info"]), &lines)?;
        Ok(staged && self.refresh()?)
    }
}

/// What a path is in the new commit.
struct Target {
    /// Mode and blob; none if it is deleted.
    entry: Option<(u32, git2::Oid)>,
    /// The old commit has it.
    was_there: bool,
}

fn not_now(
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
    let lock = repo.path().join("index.lock");
    if lock.exists() {
        return Ok(Some(Follow::Busy { with: format!("{} exists", lock.display()) }));
    }
    if !filters::any(repo) {
        return Ok(None);
    }
    let moves = moves(repo, from, to)?;
    let files = moves.iter().filter_map(|(path, it)| Some((path, it.entry?.1)));
    let filtered = filters::first_filtered(repo, files);
    Ok(filtered.map(|(file, filter)| Follow::Filtered { file, filter }))
}

fn moves(repo: &Repository, from: Oid, to: Oid) -> Result<BTreeMap<RepoPath, Target>, GitError> {
    let (old, new) = (tree(repo, from)?, tree(repo, to)?);
    let mut options = git2::DiffOptions::new();
    options.include_typechange(true);
    let diff = repo
        .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
        .map_err(git("comparing", format!("{from} with {to}")))?;
    let mut moves = BTreeMap::new();
    for delta in diff.deltas() {
        let (was, now) = (delta.old_file(), delta.new_file());
        let Some(path) = now.path_bytes().or(was.path_bytes()) else { continue };
        let mode = u32::try_from(i32::from(now.mode())).unwrap_or(0);
        let entry = (!now.id().is_zero()).then(|| (mode, now.id()));
        let was_there = !was.id().is_zero();
        moves.insert(RepoPath::new(path), Target { entry, was_there });
    }
    Ok(moves)
}

/// Whether the file on disk is already what the new commit has: a crash fell in the middle.
fn is_there(root: &Path, path: &RepoPath, target: &Target) -> Result<bool, GitError> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let found = on_disk(root, path.as_path());
    let (Some(kind), Some((mode, id))) = (found, target.entry) else {
        return Ok(found.is_none() && target.entry.is_none());
    };
    let full = root.join(path.as_path());
    if kind.is_symlink() {
        let Ok(link) = std::fs::read_link(&full) else { return Ok(false) };
        let hash = git2::Oid::hash_object(git2::ObjectType::Blob, link.as_os_str().as_bytes());
        return Ok(mode == 0o120_000 && hash.is_ok_and(|hash| hash == id));
    }
    let Ok(meta) = std::fs::symlink_metadata(&full) else { return Ok(false) };
    let executable = meta.permissions().mode() & 0o100 != 0;
    if !kind.is_file() || mode != (if executable { 0o100_755 } else { 0o100_644 }) {
        return Ok(false);
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
fn in_the_way(
    root: &Path,
    path: &RepoPath,
    moves: &BTreeMap<RepoPath, Target>,
) -> Option<RepoPath> {
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
fn stays_below(root: &Path, dir: &Path, moves: &BTreeMap<RepoPath, Target>) -> Option<RepoPath> {
    for entry in std::fs::read_dir(root.join(dir)).ok()?.flatten() {
        let path = dir.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if let Some(file) = stays_below(root, &path, moves) {
                return Some(file);
            }
            continue;
        }
        let path = RepoPath::from(path.as_path());
        if !moves.get(&path).is_some_and(|target| target.was_there && target.entry.is_none()) {
            return Some(path);
        }
    }
    None
}

/// The files git names between quotes in its refusal.
fn named_in(stderr: &[u8]) -> Vec<RepoPath> {
    let lines = stderr.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b'\'').nth(1)).map(RepoPath::new).collect()
}
