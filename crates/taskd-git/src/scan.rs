//! How the files of a worktree differ from an index, found by several threads: each looks at some of
//! the directories that hold tracked files. It knows the usual worktree and nothing else; where
//! anything is out of the ordinary it says nothing, and libgit2 looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, IndexTime, Repository};

use crate::files::{Change, on_disk};
use crate::fill::{EXECUTABLE, LINK, PLAIN, entry};
use crate::path::RepoPath;

/// With more that is not tracked libgit2, which walks what is ignored only once, is faster.
const MAX_UNTRACKED: usize = 1_000;
/// A thread looks at no fewer directories.
const MIN_PART: usize = 64;
/// Most threads that look.
const MAX_HANDS: usize = 8;
/// An entry that is in conflict, or that git shall not look at.
const UNUSUAL_FLAGS: u16 = 0x3000 | 0x8000;

/// Files of one directory that are tracked.
type Group<'a> = BTreeMap<&'a [u8], &'a IndexEntry>;

/// What one thread found.
#[derive(Default)]
struct Found {
    changes: Vec<(RepoPath, Change)>,
    /// Not tracked; whether it is a directory.
    unknown: Vec<(PathBuf, bool)>,
}

/// How the files differ from the index, or nothing where libgit2 must say it.
pub(crate) fn scan(
    repo: &Repository,
    index: &Index,
    file: &Path,
    root: &Path,
) -> Option<Vec<(RepoPath, Change)>> {
    if !is_usual(repo) {
        return None;
    }
    // What was written at the time of the index or later may have changed unseen.
    let written = fs::symlink_metadata(file).ok()?;
    let written = entry(b"", PLAIN, git2::Oid::ZERO_SHA1, Some(&written)).mtime;
    let entries: Vec<IndexEntry> = index.iter().collect();
    let mut groups: BTreeMap<&[u8], Group<'_>> = BTreeMap::new();
    for it in &entries {
        let known = [PLAIN, EXECUTABLE, LINK].iter().any(|mode| mode.cast_unsigned() == it.mode);
        if !known || it.flags & UNUSUAL_FLAGS != 0 || it.flags_extended != 0 {
            return None;
        }
        let (dir, name) = split(&it.path);
        groups.entry(dir).or_default().insert(name, it);
    }
    // Directories that hold only directories are looked at as well.
    let mut dirs: BTreeSet<&[u8]> = BTreeSet::new();
    for dir in groups.keys().copied() {
        let mut at = dir;
        while dirs.insert(at) && !at.is_empty() {
            at = split(at).0;
        }
    }
    let none = Group::new();
    let work: Vec<_> = dirs.iter().map(|it| (*it, groups.get(it).unwrap_or(&none))).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = work.len().div_ceil(cores.min(MAX_HANDS)).max(MIN_PART);
    let look = |part: &[(&[u8], &Group<'_>)]| -> Option<Found> {
        let mut found = Found::default();
        for (dir, group) in part {
            look_at(root, dir, group, (&dirs, written), &mut found)?;
        }
        Some(found)
    };
    let parts: Vec<Option<Found>> = std::thread::scope(|scope| {
        let hands: Vec<_> = work.chunks(part).map(|part| scope.spawn(|| look(part))).collect();
        hands.into_iter().map(|it| it.join().expect("a panic is passed on")).collect()
    });
    let mut changes = Vec::new();
    let mut unknown = Vec::new();
    for found in parts {
        let found = found?;
        changes.extend(found.changes);
        unknown.extend(found.unknown);
    }
    untracked(repo, root, unknown, &mut changes)?;
    Some(changes)
}

/// The directory of a path, empty for the root, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Nothing in the configuration says to look at files in another way.
fn is_usual(repo: &Repository) -> bool {
    let Ok(config) = repo.config() else { return false };
    let is = |key: &str, value: bool| config.get_bool(key).is_ok_and(|it| it == value);
    let minimal = config.get_string("core.checkstat").is_ok_and(|it| it != "default");
    !(minimal
        || is("core.filemode", false)
        || is("core.symlinks", false)
        || is("core.trustctime", false)
        || is("core.ignorecase", true))
}

/// Looks at one directory. Nothing if it is not as usual.
fn look_at(
    root: &Path,
    dir: &[u8],
    group: &Group<'_>,
    (dirs, written): (&BTreeSet<&[u8]>, IndexTime),
    found: &mut Found,
) -> Option<()> {
    let path = RepoPath::new(dir);
    let full = root.join(path.as_path());
    let gone = |found: &mut Found| {
        let paths = group.values().map(|it| (RepoPath::new(it.path.as_slice()), Change::Deleted));
        found.changes.extend(paths);
        Some(())
    };
    if !dir.is_empty() && !on_disk(root, path.as_path()).is_some_and(|it| it.is_dir()) {
        // Its own directory tells of what stands there now.
        return gone(found);
    }
    for it in group.values() {
        let at = RepoPath::new(it.path.as_slice());
        let change = match fs::symlink_metadata(root.join(at.as_path())) {
            Err(e) if e.kind() == ErrorKind::NotFound => Change::Deleted,
            Err(_) => return None,
            Ok(now) if now.is_dir() => Change::Deleted,
            Ok(now) if !now.is_file() && !now.is_symlink() => return None,
            Ok(now) if is_as_known(it, &now, written) => continue,
            Ok(_) => Change::Modified,
        };
        found.changes.push((at, change));
    }
    for child in fs::read_dir(&full).ok()? {
        let child = child.ok()?;
        let name = child.file_name();
        if group.contains_key(name.as_bytes()) {
            if child.file_type().ok()?.is_dir() {
                found.unknown.push((path.as_path().join(name), true));
            }
            continue;
        }
        if name.as_bytes().eq_ignore_ascii_case(b".git") {
            if dir.is_empty() {
                continue;
            }
            // Another repository around tracked files.
            return None;
        }
        let kind = child.file_type().ok()?;
        let below = [dir, b"/", name.as_bytes()].concat();
        let below = below.strip_prefix(b"/").unwrap_or(&below);
        if kind.is_dir() && dirs.contains(below) {
            continue;
        }
        found.unknown.push((path.as_path().join(name), kind.is_dir()));
    }
    (found.unknown.len() <= MAX_UNTRACKED).then_some(())
}

/// The file is the one the index knows, and was written before it.
fn is_as_known(known: &IndexEntry, now: &fs::Metadata, written: IndexTime) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let mode = if now.is_symlink() {
        LINK
    } else if now.mode() & 0o100 == 0 {
        PLAIN
    } else {
        EXECUTABLE
    };
    let now = entry(b"", mode, known.id, Some(now));
    let time = |it: IndexTime| (it.seconds(), it.nanoseconds());
    let same = |a: &IndexEntry, b: &IndexEntry| {
        (a.mode, a.ino, a.uid, a.gid, a.file_size) == (b.mode, b.ino, b.uid, b.gid, b.file_size)
            && (time(a.mtime), time(a.ctime)) == (time(b.mtime), time(b.ctime))
    };
    same(known, &now) && time(now.mtime) < time(written)
}

/// What of this is not ignored; directories are walked, except those of other repositories.
fn untracked(
    repo: &Repository,
    root: &Path,
    mut unknown: Vec<(PathBuf, bool)>,
    changes: &mut Vec<(RepoPath, Change)>,
) -> Option<()> {
    let mut seen = 0;
    while let Some((path, is_dir)) = unknown.pop() {
        seen += 1;
        if MAX_UNTRACKED < seen {
            return None;
        }
        let named = if is_dir { path.join("") } else { path.clone() };
        if repo.is_path_ignored(&named).ok()? {
            continue;
        }
        if !is_dir {
            let kind = fs::symlink_metadata(root.join(&path)).ok()?;
            if kind.is_file() || kind.is_symlink() {
                changes.push((RepoPath::from(path.as_path()), Change::Untracked));
            }
            continue;
        }
        if root.join(&path).join(".git").exists() {
            continue;
        }
        for child in fs::read_dir(root.join(&path)).ok()? {
            let child = child.ok()?;
            unknown.push((path.join(child.file_name()), child.file_type().ok()?.is_dir()));
        }
    }
    Some(())
}
