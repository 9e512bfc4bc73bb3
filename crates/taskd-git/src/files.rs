//! The files of one worktree as a tree, and a tree as the files of one worktree. Works on a private
//! index, so neither the worktree's own index nor its HEAD is touched; leaves ignored files alone.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{Delta, DiffOptions, FileMode, Index, ObjectType, Repository, Tree};
use taskd_model::Oid;

use crate::elsewhere::is_pulled;
use crate::error::{GitError, git, io};
use crate::fill::{MAX_STEP, entry, is_a_step, is_in_the_way, write_file};
use crate::path::RepoPath;
use crate::repo::{from_git, to_git};
use crate::scan;
use crate::spot::{Spot, gone, remove_tree};
use crate::tree::{Changed, changed};

/// So few changes are not written into the private index.
pub(crate) const MAX_UNWRITTEN: usize = 100;

/// The worktree's files beside what the private index knows of them.
pub(crate) struct Files<'r> {
    repo: &'r Repository,
    index: Index,
    spot: &'r Spot,
    /// The private index on disk is not the one here, and is to be.
    unwritten: bool,
    /// The one here has changed since it was read.
    changed: bool,
    /// The one on disk says all that the one here does.
    on_disk: bool,
    /// Little that is found need not be written.
    lazy: bool,
}

/// What a snapshot found.
pub(crate) struct Snapshot {
    pub(crate) tree: Oid,
    /// Files that could not be read, or whose names git cannot hold.
    pub(crate) left_out: Vec<RepoPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Untracked,
    Modified,
    Deleted,
}

impl<'r> Files<'r> {
    /// `seed` says what is tracked when the private index is not there yet.
    pub(crate) fn open(
        repo: &'r Repository,
        spot: &'r Spot,
        seed: &Tree<'_>,
    ) -> Result<Self, GitError> {
        let file = spot.index();
        spot.unset("taskd-index.lock")?;
        let fresh = scan::stamp(&file).is_none();
        let doing = "opening the snapshot index";
        let (mut index, on_disk) = match Index::open(&file) {
            Ok(index) if !fresh => (index, true),
            // Unreadable: it is only a cache.
            Ok(_) | Err(_) => {
                spot.unset("taskd-index")?;
                let mut index = Index::open(&file).map_err(git(doing, file.display()))?;
                index.read_tree(seed).map_err(git(doing, file.display()))?;
                (index, false)
            }
        };
        repo.set_index(&mut index).map_err(git(doing, file.display()))?;
        let (unwritten, changed) = (fresh, fresh);
        Ok(Self { repo, index, spot, unwritten, changed, on_disk, lazy: false })
    }

    /// Leaves the private index on disk as it is where little has changed: what looks next finds it
    /// again. Only for whoever takes a snapshot and nothing else.
    pub(crate) fn lazily(mut self) -> Self {
        self.lazy = true;
        self
    }

    /// The files as a tree. Files of `tracked` that are there though ignored count as well.
    pub(crate) fn snapshot(&mut self, tracked: &[&Tree<'_>]) -> Result<Snapshot, GitError> {
        let places = if self.on_disk { places(self.repo, self.spot) } else { None };
        self.snapshot_at(places.as_deref(), tracked)
    }

    /// The same where they may differ from the private index at these places only, or anywhere.
    pub(crate) fn snapshot_at(
        &mut self,
        places: Option<&[RepoPath]>,
        tracked: &[&Tree<'_>],
    ) -> Result<Snapshot, GitError> {
        let mut left_out = Vec::new();
        let mut changes = match places.filter(|_| self.on_disk) {
            Some(places) => self.changes_at(places)?,
            None => self.changes()?,
        };
        let what = self.spot.dir.display();
        let most = if self.lazy { MAX_UNWRITTEN } else { 0 };
        self.unwritten |= most < changes.len();
        let mut tree = git2::Oid::ZERO_SHA1;
        for _ in 0..2 {
            // Deletions first: a file may have become a directory.
            changes.sort_by_key(|(_, change)| *change != Change::Deleted);
            self.take(std::mem::take(&mut changes), tracked, &mut left_out)?;
            tree =
                self.index.write_tree_to(self.repo).map_err(git("writing the tree of", &what))?;
            changes = back_again(self.repo, self.spot, tracked, tree, &left_out)?
                .into_iter()
                .map(|path| (path, Change::Untracked))
                .collect();
            if changes.is_empty() {
                break;
            }
            self.unwritten |= !self.lazy;
        }
        if self.unwritten {
            self.write()?;
        }
        Ok(Snapshot { tree: from_git(tree), left_out })
    }

    fn write(&mut self) -> Result<(), GitError> {
        let what = self.spot.dir.display();
        self.index.write().map_err(git("writing the snapshot index of", what))?;
        (self.unwritten, self.changed, self.on_disk) = (false, false, false);
        Ok(())
    }

    /// Takes what was found into the index.
    fn take(
        &mut self,
        changes: Vec<(RepoPath, Change)>,
        tracked: &[&Tree<'_>],
        left_out: &mut Vec<RepoPath>,
    ) -> Result<(), GitError> {
        self.changed |= !changes.is_empty();
        for (path, change) in changes {
            if change == Change::Modified && self.is_pulled(&path, tracked)? {
                continue;
            }
            if change == Change::Deleted || !self.add(&path, left_out)? {
                self.forget(&path)?;
            }
        }
        Ok(())
    }

    /// Makes the files, which a snapshot has just found to be those of `now`, exactly this tree;
    /// ignored files stay unless they are in the way.
    pub(crate) fn become_tree(&mut self, now: Oid, target: &Tree<'_>) -> Result<(), GitError> {
        let now = self.repo.find_tree(to_git(now)).map_err(git("reading the tree", now))?;
        if self.step(&now, target)? { Ok(()) } else { self.check_out(target) }
    }

    /// Writes what differs, and nothing else is looked at. False if libgit2 must do it.
    fn step(&mut self, now: &Tree<'_>, target: &Tree<'_>) -> Result<bool, GitError> {
        let changes = changed(self.repo, Some(now), target)?;
        if !is_a_step(self.repo, &self.index, &changes) {
            return Ok(false);
        }
        // What goes first makes room for what comes.
        for it in &changes {
            if it.old.is_some() {
                self.delete(&it.path)?;
                self.forget(&it.path)?;
            }
        }
        let mut whole = true;
        for it in changes.iter().filter(|it| it.new.is_some()) {
            match self.put(it) {
                Err(error) if is_in_the_way(&error) => {
                    whole = false;
                    break;
                }
                done => done?,
            }
        }
        if self.changed || !changes.is_empty() {
            self.write()?;
        }
        Ok(whole)
    }

    fn put(&mut self, it: &Changed) -> Result<(), GitError> {
        self.clear(&it.path)?;
        let full = self.spot.dir.join(it.path.as_path());
        if on_disk(&self.spot.dir, it.path.as_path()).is_some_and(|kind| !kind.is_dir()) {
            gone(fs::remove_file(&full)).map_err(io("removing", &full))?;
        }
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(io("making", parent))?;
        }
        let entry = write_file(self.repo, &self.spot.dir, it)?;
        self.index.add(&entry).map_err(git("adding to the snapshot index", &it.path))
    }

    /// The same by a checkout. Must follow a snapshot, and HEAD must be at a commit of this tree: libgit2 takes what differs
    /// from HEAD as changes of its own and gets files that became directories wrong. Two rounds,
    /// because a new `.gitignore` shows files the old one hid.
    fn check_out(&mut self, target: &Tree<'_>) -> Result<(), GitError> {
        self.clear_way(target)?;
        self.checkout(target)?;
        for _ in 0..2 {
            let changes = self.changes()?;
            if changes.is_empty() {
                return Ok(());
            }
            for (path, change) in &changes {
                if *change == Change::Untracked {
                    self.delete(path)?;
                }
            }
            self.checkout(target)?;
        }
        let paths: Vec<_> = self.changes()?.into_iter().map(|(path, _)| path).collect();
        if paths.is_empty() {
            return Ok(());
        }
        Err(GitError::Unsettled { name: self.spot.name.clone(), paths })
    }

    /// How the files differ from the private index.
    fn changes(&self) -> Result<Vec<(RepoPath, Change)>, GitError> {
        self.compare(DiffOptions::new())
    }

    /// The same where they can differ at these paths, or below them, only.
    fn changes_at(&self, places: &[RepoPath]) -> Result<Vec<(RepoPath, Change)>, GitError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut options = DiffOptions::new();
        options.disable_pathspec_match(true);
        places.iter().for_each(|it| _ = options.pathspec(it.as_path()));
        self.compare(options)
    }

    fn compare(&self, mut options: DiffOptions) -> Result<Vec<(RepoPath, Change)>, GitError> {
        options.include_untracked(true).recurse_untracked_dirs(true).include_typechange(true);
        options.ignore_submodules(true).include_unreadable_as_untracked(true);
        options.skip_binary_check(true);
        let diff = self
            .repo
            .diff_index_to_workdir(Some(&self.index), Some(&mut options))
            .map_err(git("comparing the files of", self.spot.dir.display()))?;
        let mut changes = Vec::new();
        for delta in diff.deltas() {
            let change = match delta.status() {
                Delta::Untracked | Delta::Unreadable => Change::Untracked,
                Delta::Deleted => Change::Deleted,
                Delta::Modified | Delta::Typechange | Delta::Added => Change::Modified,
                Delta::Unmodified
                | Delta::Renamed
                | Delta::Copied
                | Delta::Ignored
                | Delta::Conflicted => continue,
            };
            let file = if change == Change::Deleted { delta.old_file() } else { delta.new_file() };
            let Some(path) = file.path_bytes() else { continue };
            // A directory here is another repository inside the worktree: not ours to read.
            if path.ends_with(b"/")
                || (change != Change::Deleted && file.mode() == FileMode::Commit)
            {
                continue;
            }
            let path = RepoPath::new(path);
            if change != Change::Modified || self.really_modified(&path, file.mode()) {
                changes.push((path, change));
            }
        }
        Ok(changes)
    }

    /// A file whose bytes are those of the blob is unchanged, even if line-ending rules would now
    /// store it differently.
    fn really_modified(&self, path: &RepoPath, mode: FileMode) -> bool {
        let Some(entry) = self.index.get_path(path.as_path(), 0) else { return true };
        let same_mode = i64::from(entry.mode) == i64::from(i32::from(mode));
        let regular = matches!(mode, FileMode::Blob | FileMode::BlobExecutable);
        !(same_mode
            && regular
            && git2::Oid::hash_file(ObjectType::Blob, self.spot.dir.join(path.as_path()))
                .is_ok_and(|id| id == entry.id))
    }

    /// Whether the file is what a pointer names that is tracked: then the index knows the file by its
    /// times, and the pointer stays, as with git's own filters.
    fn is_pulled(&mut self, path: &RepoPath, tracked: &[&Tree<'_>]) -> Result<bool, GitError> {
        let full = self.spot.dir.join(path.as_path());
        let here = self.index.get_path(path.as_path(), 0).map(|it| it.id);
        let named = |id: &git2::Oid| is_pulled(self.repo, *id, &full);
        let pulled = here.into_iter().chain(blobs(tracked, path)).find(named);
        let (Some(id), Ok(found)) = (pulled, fs::symlink_metadata(&full)) else { return Ok(false) };
        let mode = if found.mode() & 0o100 == 0 { 0o100_644 } else { 0o100_755 };
        let entry = entry(path.as_bytes(), mode, id, Some(&found));
        self.index.add(&entry).map_err(git("adding to the snapshot index", path))?;
        // Its digest is not taken again.
        self.unwritten = true;
        Ok(true)
    }

    /// False if the file is not there any more.
    fn add(&mut self, path: &RepoPath, left_out: &mut Vec<RepoPath>) -> Result<bool, GitError> {
        let Err(error) = self.index.add_path(path.as_path()) else { return Ok(true) };
        if on_disk(&self.spot.dir, path.as_path()).is_none() {
            return Ok(false);
        }
        if error.class() == git2::ErrorClass::Odb {
            return Err(git("storing", path)(error));
        }
        tracing::warn!(worktree = %self.spot.name, %path, %error, "file left out of the snapshot");
        left_out.push(path.clone());
        Ok(true)
    }

    fn forget(&mut self, path: &RepoPath) -> Result<(), GitError> {
        match self.index.remove(path.as_path(), 0) {
            Err(e) if e.code() != git2::ErrorCode::NotFound => {
                Err(git("removing from the snapshot index", path)(e))
            }
            _ => Ok(()),
        }
    }

    /// Removes what the target does not have, and what stands where its files go.
    fn clear_way(&mut self, target: &Tree<'_>) -> Result<(), GitError> {
        let doing = "comparing the files with the target in";
        let diff = self
            .repo
            .diff_tree_to_index(Some(target), Some(&self.index), None)
            .map_err(git(doing, self.spot.dir.display()))?;
        let paths = |wanted: &[Delta]| -> Vec<RepoPath> {
            let deltas = diff.deltas().filter(|delta| wanted.contains(&delta.status()));
            deltas.filter_map(|d| d.new_file().path_bytes().map(RepoPath::new)).collect()
        };
        // From the target to the index: what was added must go.
        let (extra, written) =
            (paths(&[Delta::Added]), paths(&[Delta::Deleted, Delta::Modified, Delta::Typechange]));
        for path in extra {
            self.delete(&path)?;
            self.forget(&path)?;
        }
        for path in written {
            self.clear(&path)?;
        }
        self.index.write().map_err(git("writing the snapshot index of", self.spot.dir.display()))
    }

    /// Removes a file and the directories that are empty without it.
    fn delete(&self, path: &RepoPath) -> Result<(), GitError> {
        let Some(kind) = on_disk(&self.spot.dir, path.as_path()) else { return Ok(()) };
        let full = self.spot.dir.join(path.as_path());
        if kind.is_dir() {
            // A submodule's directory; git too leaves one that has files.
            let _left = fs::remove_dir(&full);
        } else {
            gone(fs::remove_file(&full)).map_err(io("removing", &full))?;
        }
        for dir in full.ancestors().skip(1).take_while(|dir| **dir != *self.spot.dir) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Removes ignored things that stand where a file of the target goes.
    fn clear(&self, path: &RepoPath) -> Result<(), GitError> {
        let mut full = self.spot.dir.clone();
        let parts: Vec<_> = path.as_path().components().collect();
        for (n, part) in parts.iter().enumerate() {
            full.push(part);
            let Ok(found) = fs::symlink_metadata(&full) else { return Ok(()) };
            let last = n + 1 == parts.len();
            if !last && !found.is_dir() {
                gone(fs::remove_file(&full)).map_err(io("removing", &full))?;
            } else if last && found.is_dir() && !full.join(".git").exists() {
                remove_tree(&full)?;
            }
        }
        Ok(())
    }

    fn checkout(&mut self, target: &Tree<'_>) -> Result<(), GitError> {
        let mut how = CheckoutBuilder::new();
        how.force();
        let what = self.spot.dir.display();
        self.repo
            .checkout_tree(target.as_object(), Some(&mut how))
            .map_err(git("checking out files into", &what))?;
        self.index.read_tree(target).map_err(git("reading the tree for", &what))?;
        self.index.write().map_err(git("writing the snapshot index of", &what))
    }
}

/// Where the files may differ from the private index; nothing if that may be anywhere.
pub(crate) fn places(repo: &Repository, spot: &Spot) -> Option<Vec<RepoPath>> {
    let config = repo.config().ok()?;
    let plain = !config.get_bool("core.ignorecase").unwrap_or(false)
        && config.get_bool("core.filemode").unwrap_or(true)
        && config.get_bool("core.symlinks").unwrap_or(true);
    if !plain {
        return None;
    }
    scan::places(&spot.dir, &spot.index())
}

/// Files of `tracked` that are there though ignored, and so not in the tree.
pub(crate) fn back_again(
    repo: &Repository,
    spot: &Spot,
    tracked: &[&Tree<'_>],
    tree: git2::Oid,
    left_out: &[RepoPath],
) -> Result<Vec<RepoPath>, GitError> {
    let tree = repo.find_tree(tree).map_err(git("reading the tree", tree))?;
    let mut back = Vec::new();
    for it in tracked {
        for it in changed(repo, Some(it), &tree)? {
            let was_file = it.old.is_some_and(|(mode, _)| mode != i32::from(FileMode::Commit));
            let there = || {
                on_disk(&spot.dir, it.path.as_path())
                    .is_some_and(|kind| kind.is_file() || kind.is_symlink())
            };
            if was_file && it.new.is_none() && !left_out.contains(&it.path) && there() {
                back.push(it.path);
            }
        }
    }
    Ok(back)
}

/// What the trees have at a path.
pub(crate) fn blobs(trees: &[&Tree<'_>], path: &RepoPath) -> impl Iterator<Item = git2::Oid> {
    trees.iter().filter_map(|it| Some(it.get_path(path.as_path()).ok()?.id()))
}

/// Makes the worktree's own index the tree of its base, reusing what is known of the files, so that
/// the agent sees the loop's work as uncommitted changes. `now` is what the files are, if it is known.
pub(crate) fn write_own_index(
    repo: &Repository,
    spot: &Spot,
    base: &Tree<'_>,
    now: Option<&Tree<'_>>,
) -> Result<(), GitError> {
    let own = spot.meta.join("index");
    spot.unset("index.lock")?;
    spot.unset("index")?;
    match fs::copy(spot.index(), &own) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("writing", &own)(e)),
        _ => {}
    }
    let differs = match now {
        Some(now) => Some(changed(repo, Some(now), base)?).filter(|it| it.len() <= MAX_STEP),
        None => None,
    };
    if differs.as_ref().is_some_and(Vec::is_empty) && own.exists() {
        return Ok(());
    }
    let doing = "writing the index";
    let mut index = Index::open(&own).map_err(git(doing, own.display()))?;
    match differs.filter(|_| !index.is_empty()) {
        Some(differs) => {
            for it in differs.iter().filter(|it| it.old.is_some()) {
                index.remove(it.path.as_path(), 0).map_err(git(doing, &it.path))?;
            }
            for it in &differs {
                let Some((mode, id)) = it.new else { continue };
                let entry = entry(it.path.as_bytes(), mode, id, None);
                index.add(&entry).map_err(git(doing, &it.path))?;
            }
        }
        None => index.read_tree(base).map_err(git(doing, own.display()))?,
    }
    index.write().map_err(git(doing, own.display()))
}

/// What is at a path below `root`; none if it is not there or only behind a symlink.
pub(crate) fn on_disk(root: &Path, path: &Path) -> Option<fs::FileType> {
    let mut full: PathBuf = root.to_owned();
    let mut kind = None;
    for part in path.components() {
        if kind.is_some_and(|kind: fs::FileType| !kind.is_dir()) {
            return None;
        }
        full.push(part);
        kind = Some(fs::symlink_metadata(&full).ok()?.file_type());
    }
    kind
}
