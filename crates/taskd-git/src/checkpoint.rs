//! Checkpoints: the files of a worktree as a commit under a ref of ours. Disturbs neither the
//! worktree's index nor its HEAD; what the agent committed, staged or left in a merge is just files.

use std::fs::{self, FileType};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use git2::{Commit, Delta, DiffOptions, Index, ObjectType, Repository, Tree};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::elsewhere::{is_pulled, is_raw};
use crate::error::{GitError, git};
use crate::files::{Files, MAX_UNWRITTEN, Snapshot, back_again, blobs, on_disk, places};
use crate::fill::is_safe;
use crate::path::RepoPath;
use crate::repo::{Identity, Repo, commit, from_git, to_git, tree, write_commit};
use crate::spot::{Kind, Spot};
use crate::tree::{Changed, Leaf, changed, with_changes};

/// So many paths are named to a comparison; with more of them it looks at all.
const MAX_NAMED: usize = 1_000;

/// A saved state of a worktree's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The commit, also at `refs/taskd/<tag>/loops/<name>`. The previous one (or the base) if the
    /// files are the same.
    pub commit: Oid,
    /// Its tree.
    pub tree: Oid,
    /// The tree differs from the base's.
    pub changed: bool,
    /// Files that differ from the base.
    pub files: u32,
    /// Lines added to the base.
    pub added: u32,
    /// Lines removed from the base.
    pub removed: u32,
    /// Changed files that hold a conflict marker of ours.
    pub conflict_markers: Vec<RepoPath>,
    /// Changed files of Git LFS that are stored with their content, where a pointer belongs.
    pub raw: Vec<RepoPath>,
    /// Files that could not be read, or whose names git cannot hold.
    pub left_out: Vec<RepoPath>,
}

impl Repo {
    /// Saves the files of a worktree: tracked and untracked, not ignored, not those of a repository
    /// inside it. `prev` is the checkpoint before this one, if there is one.
    pub fn checkpoint(
        &self,
        name: &str,
        base: Oid,
        prev: Option<Oid>,
        message: &str,
        sign: &Identity,
    ) -> Result<Checkpoint, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        spot.existing()?;
        let repo = spot.open()?;
        let base_tree = tree(&repo, base)?;
        let parent = commit(&repo, prev.unwrap_or(base))?;
        let seed = parent.tree().map_err(git("reading the tree of", parent.id()))?;
        let (places, tracked) = (places(&repo, &spot), [&base_tree, &seed]);
        let quick = places.as_deref().and_then(|it| at_places(&repo, &spot, it, &base_tree, &seed));
        let snapshot = match quick {
            Some(files) => Snapshot { tree: from_git(files), left_out: Vec::new() },
            None => {
                let mut files = Files::open(&repo, &spot, &seed)?;
                let snapshot = files.snapshot_at(places.as_deref(), &tracked)?;
                spot.set_index_tree(snapshot.tree)?;
                snapshot
            }
        };
        self.save(&repo, (name, &base_tree), &parent, snapshot, message, sign)
    }

    /// The same where only these paths can have changed since `prev`: nothing else is looked at.
    pub fn checkpoint_paths(
        &self,
        name: &str,
        base: Oid,
        prev: Oid,
        paths: &[RepoPath],
        message: &str,
        sign: &Identity,
    ) -> Result<Checkpoint, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        spot.existing()?;
        let repo = spot.open()?;
        let parent = commit(&repo, prev)?;
        let seed = parent.tree().map_err(git("reading the tree of", parent.id()))?;
        let base_tree = tree(&repo, base)?;
        // One that says what is ignored may show others.
        let plain = !paths.iter().any(|it| names(it, ".gitignore"));
        let files = plain.then(|| with_files(&repo, &spot, &seed, &[&base_tree], paths)).flatten();
        let Some(files) = files else {
            return self.checkpoint(name, base, Some(prev), message, sign);
        };
        let snapshot = Snapshot { tree: from_git(files), left_out: Vec::new() };
        self.save(&repo, (name, &base_tree), &parent, snapshot, message, sign)
    }

    /// Writes down what was found.
    fn save(
        &self,
        repo: &Repository,
        (name, base_tree): (&str, &Tree<'_>),
        parent: &Commit<'_>,
        snapshot: Snapshot,
        message: &str,
        sign: &Identity,
    ) -> Result<Checkpoint, GitError> {
        self.clear_ref_locks(name)?;
        let files = repo
            .find_tree(to_git(snapshot.tree))
            .map_err(git("reading the tree", snapshot.tree))?;
        let commit = if parent.tree_id() == files.id() {
            from_git(parent.id())
        } else {
            write_commit(repo, &files, &[parent], message, &sign.signature()?)?
        };
        self.write_own_ref(repo, &self.own_ref(&format!("loops/{name}")), commit)?;
        let Compared { stats, marked, raw } = compare(repo, base_tree, &files)?;
        Ok(Checkpoint {
            commit,
            tree: snapshot.tree,
            changed: base_tree.id() != files.id(),
            files: count(stats.files_changed()),
            added: count(stats.insertions()),
            removed: count(stats.deletions()),
            conflict_markers: marked,
            raw,
            left_out: snapshot.left_out,
        })
    }
}

/// The files as a tree, where they may differ from the private index at these places only, without
/// reading that: what it and the last checkpoint say is known by their trees. None if somebody must
/// look closer.
fn at_places(
    repo: &Repository,
    spot: &Spot,
    places: &[RepoPath],
    base: &Tree<'_>,
    seed: &Tree<'_>,
) -> Option<git2::Oid> {
    let index = repo.find_tree(spot.index_tree()?).ok()?;
    let unwritten = changed(repo, Some(&index), seed).ok()?;
    let mut paths: Vec<_> = places.to_vec();
    paths.extend(unwritten.into_iter().map(|it| it.path));
    paths.sort();
    paths.dedup();
    let files = with_files(repo, spot, seed, &[base], &paths)?;
    back_again(repo, spot, &[base], files, &[]).ok()?.is_empty().then_some(files)
}

/// The tree with these files as they are now; none if that takes a look at all of them: a directory
/// that became something else, files inside another repository, one that cannot be read, too many.
fn with_files(
    repo: &Repository,
    spot: &Spot,
    seed: &Tree<'_>,
    tracked: &[&Tree<'_>],
    paths: &[RepoPath],
) -> Option<git2::Oid> {
    // Attributes are those of files. Otherwise the agent's index would be read for them, which takes
    // longer than everything else here.
    repo.set_index(&mut Index::new().ok()?).ok()?;
    let mut found = Found { repo, spot, seed, tracked, changes: Vec::new() };
    for path in paths {
        let inside = path.as_path().ancestors().skip(1).filter(|it| !it.as_os_str().is_empty());
        if !is_safe(path)
            || inside.into_iter().any(|it| spot.dir.join(it).join(".git").exists())
            || MAX_UNWRITTEN < found.changes.len()
        {
            return None;
        }
        found.take(path)?;
    }
    let changes = found.changes;
    if changes.is_empty() { Some(seed.id()) } else { with_changes(repo, seed, &changes) }
}

/// What is found of some files, one after the other.
struct Found<'a> {
    repo: &'a Repository,
    spot: &'a Spot,
    seed: &'a Tree<'a>,
    tracked: &'a [&'a Tree<'a>],
    changes: Vec<Changed>,
}

impl Found<'_> {
    /// None if somebody must look closer.
    fn take(&mut self, path: &RepoPath) -> Option<()> {
        let at = path.as_path();
        let old = self.seed.get_path(at).ok().map(|it| (it.filemode(), it.id()));
        let new = match on_disk(&self.spot.dir, at) {
            None => None,
            Some(_) if old.is_none() && self.repo.is_path_ignored(at).ok()? => return Some(()),
            Some(kind) if kind.is_dir() => {
                return if old.is_none() { self.take_directory(at) } else { None };
            }
            Some(kind) => Some(self.leaf(path, old, kind)?),
        };
        if old != new {
            self.changes.push(Changed { path: path.clone(), old, new });
        }
        Some(())
    }

    /// A directory that nothing is known of.
    fn take_directory(&mut self, at: &Path) -> Option<()> {
        let full = self.spot.dir.join(at);
        if full.join(".git").exists() {
            return Some(());
        }
        for entry in fs::read_dir(full).ok()? {
            let path = RepoPath::new(at.join(entry.ok()?.file_name()).into_os_string().into_vec());
            if !is_safe(&path) || MAX_UNWRITTEN < self.changes.len() {
                return None;
            }
            self.take(&path)?;
        }
        Some(())
    }

    /// A file as it is now, stored. One whose bytes are those of the blob is unchanged, even if rules
    /// of line endings would now store it differently; one that is what a pointer names stays a pointer.
    fn leaf(&self, path: &RepoPath, old: Option<Leaf>, kind: FileType) -> Option<Leaf> {
        let full = self.spot.dir.join(path.as_path());
        if kind.is_symlink() {
            let to = fs::read_link(&full).ok()?;
            return Some((0o120_000, self.repo.blob(to.as_os_str().as_bytes()).ok()?));
        }
        if !kind.is_file() {
            return None;
        }
        let runs = fs::symlink_metadata(&full).ok()?.mode() & 0o100 != 0;
        let mode = if runs { 0o100_755 } else { 0o100_644 };
        if let Some((_, id)) = old.filter(|it| it.0 == mode)
            && git2::Oid::hash_file(ObjectType::Blob, &full).ok()? == id
        {
            return Some((mode, id));
        }
        let known = old.map(|it| it.1).into_iter().chain(blobs(self.tracked, path));
        let pulled = known.into_iter().find(|id| is_pulled(self.repo, *id, &full));
        Some((mode, pulled.map_or_else(|| self.repo.blob_path(&full), Ok).ok()?))
    }
}

fn names(path: &RepoPath, file: &str) -> bool {
    path.as_path().file_name().is_some_and(|it| it == file)
}

/// How files differ from the base's.
struct Compared {
    stats: git2::DiffStats,
    /// Changed files that hold a marker of ours.
    marked: Vec<RepoPath>,
    /// Changed files of Git LFS that are not pointers.
    raw: Vec<RepoPath>,
}

/// How much changed, and which changed files hold what must not land.
fn compare(repo: &Repository, base: &Tree<'_>, files: &Tree<'_>) -> Result<Compared, GitError> {
    let doing = "comparing the checkpoint with the tree";
    let changes = changed(repo, Some(base), files)?;
    let mut options = DiffOptions::new();
    if changes.len() <= MAX_NAMED {
        // Named, because otherwise both trees are walked to the end. No name at all would be every
        // name; no tree has this one.
        options.disable_pathspec_match(true).pathspec(".git");
        changes.iter().for_each(|it| _ = options.pathspec(it.path.as_path()));
    }
    let diff = repo
        .diff_tree_to_tree(Some(base), Some(files), Some(&mut options))
        .map_err(git(doing, base.id()))?;
    let (mut marked, mut raw) = (Vec::new(), Vec::new());
    for delta in diff.deltas().filter(|delta| delta.status() != Delta::Deleted) {
        let file = delta.new_file();
        let Ok(blob) = repo.find_blob(file.id()) else { continue };
        let Some(path) = file.path_bytes().map(RepoPath::new) else { continue };
        if is_raw(repo, &path, blob.content()) {
            raw.push(path.clone());
        }
        if has_marker(blob.content()) {
            marked.push(path);
        }
    }
    Ok(Compared { stats: diff.stats().map_err(git(doing, base.id()))?, marked, raw })
}

fn has_marker(content: &[u8]) -> bool {
    content
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"<<<<<<< taskd") || line.starts_with(b">>>>>>> taskd"))
}

pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
