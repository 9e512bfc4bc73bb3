//! Writes files of a tree by itself, where that gives the same bytes as a checkout would: a new
//! worktree whole and with several threads, another one by what differs. What needs line endings
//! changed, or anything else it does not know, it leaves to libgit2.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, IndexTime, Repository, Tree};

use crate::error::{GitError, git, io};
use crate::path::RepoPath;
use crate::program::usual_attributes;
use crate::spot::Spot;
use crate::tree::{Changed, changed};

const EXECUTABLE: i32 = 0o100_755;
const PLAIN: i32 = 0o100_644;
const LINK: i32 = 0o120_000;
/// With more to change than this the whole way of libgit2 is taken.
pub(crate) const MAX_STEP: usize = 5_000;
/// Most threads that write.
const MAX_HANDS: usize = 8;

/// Nobody's configuration, and none of these attribute files, asks for other bytes than the blobs'.
pub(crate) fn is_plain(repo: &Repository, attributes: &[git2::Oid]) -> bool {
    let Ok(config) = repo.config() else { return false };
    let says = |key: &str| config.get_string(key).unwrap_or_default().to_ascii_lowercase();
    let flag = |key: &str| config.get_bool(key).ok();
    if flag("core.autocrlf") == Some(true)
        || says("core.eol") == "crlf"
        || flag("core.symlinks") == Some(false)
        || flag("core.ignorecase") == Some(true)
    {
        return false;
    }
    let theirs = config.get_path("core.attributesfile").ok().or_else(usual_attributes);
    let machine = Some(PathBuf::from("/etc/gitattributes"));
    let files = [theirs, machine, Some(repo.commondir().join("info/attributes"))];
    let says_otherwise = |path: &PathBuf| match fs::read(path) {
        Ok(text) => changes_bytes(&text),
        Err(error) => error.kind() != ErrorKind::NotFound,
    };
    if files.iter().flatten().any(says_otherwise) {
        return false;
    }
    attributes.iter().all(|id| repo.find_blob(*id).is_ok_and(|it| !changes_bytes(it.content())))
}

/// An attribute file that may change the bytes of a checkout. Filters of the person's are never run.
fn changes_bytes(attributes: &[u8]) -> bool {
    let has = |word: &[u8]| attributes.windows(word.len()).any(|it| it == word);
    has(b"crlf") || has(b"ident")
}

/// No part of the path leads out of the worktree or into git's own files.
pub(crate) fn is_safe(path: &RepoPath) -> bool {
    path.as_bytes().split(|byte| *byte == b'/').all(|part| {
        !part.is_empty() && part != b"." && part != b".." && !part.eq_ignore_ascii_case(b".git")
    })
}

fn named(path: &RepoPath, name: &[u8]) -> bool {
    path.as_bytes().rsplit(|byte| *byte == b'/').next() == Some(name)
}

/// Writes the whole tree into the new, empty worktree, and its private index. False if libgit2 must
/// do it; nothing has been written then.
pub(crate) fn fill(repo: &Repository, spot: &Spot, target: &Tree<'_>) -> Result<bool, GitError> {
    let all = changed(repo, None, target)?;
    let attributes: Vec<_> = all
        .iter()
        .filter(|it| named(&it.path, b".gitattributes"))
        .filter_map(|it| Some(it.new?.1))
        .collect();
    let known = |it: &Changed| matches!(it.new, Some((PLAIN | EXECUTABLE | LINK, _)));
    let distinct: BTreeSet<_> = all.iter().map(|it| it.path.as_bytes()).collect();
    if distinct.len() != all.len()
        || !all.iter().all(|it| known(it) && is_safe(&it.path))
        || !is_plain(repo, &attributes)
    {
        return Ok(false);
    }
    let mut made = BTreeSet::new();
    for it in &all {
        if let Some(parent) = it.path.as_path().parent()
            && made.insert(parent)
        {
            let dir = spot.dir.join(parent);
            fs::create_dir_all(&dir).map_err(io("making", &dir))?;
        }
    }
    let doing = "writing the snapshot index of";
    let what = spot.dir.display();
    spot.unset("taskd-index")?;
    let mut index = Index::open(&spot.index()).map_err(git(doing, &what))?;
    for entry in write_all(spot, &all)? {
        index.add(&entry).map_err(git(doing, &what))?;
    }
    // Again from the tree: what is known of the files stays, and with it the trees are.
    index.read_tree(target).map_err(git(doing, &what))?;
    index.write().map_err(git(doing, &what))?;
    Ok(true)
}

/// Writes every file, each thread a part of them with a handle of its own.
fn write_all(spot: &Spot, all: &[Changed]) -> Result<Vec<IndexEntry>, GitError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = all.len().div_ceil(cores.min(MAX_HANDS)).max(1);
    let write = |part: &[Changed]| -> Result<Vec<IndexEntry>, GitError> {
        let repo = spot.open()?;
        part.iter().map(|it| write_file(&repo, &spot.dir, it)).collect()
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let hands: Vec<_> = all.chunks(part).map(|part| scope.spawn(move || write(part))).collect();
        hands.into_iter().map(|it| it.join().expect("a panic is passed on")).collect()
    });
    let mut entries = Vec::with_capacity(all.len());
    for part in parts {
        entries.extend(part?);
    }
    Ok(entries)
}

/// Writes one file that is not there, and says what an index says of it.
pub(crate) fn write_file(
    repo: &Repository,
    root: &Path,
    it: &Changed,
) -> Result<IndexEntry, GitError> {
    let (mode, id) = it.new.expect("only what is to be there is written");
    let blob = repo.find_blob(id).map_err(git("reading", &it.path))?;
    let full = root.join(it.path.as_path());
    if mode == LINK {
        let to = RepoPath::new(blob.content());
        symlink(to.as_path(), &full).map_err(io("writing", &full))?;
    } else {
        let bits = if mode == EXECUTABLE { 0o777 } else { 0o666 };
        let mut options = File::options();
        options.write(true).create_new(true).mode(bits);
        let mut file = options.open(&full).map_err(io("writing", &full))?;
        file.write_all(blob.content()).map_err(io("writing", &full))?;
    }
    let found = fs::symlink_metadata(&full).map_err(io("looking at", &full))?;
    Ok(entry(it.path.as_bytes(), mode, id, Some(&found)))
}

/// An entry of an index; without a file it says nothing of one, and git will look.
pub(crate) fn entry(
    path: &[u8],
    mode: i32,
    id: git2::Oid,
    found: Option<&fs::Metadata>,
) -> IndexEntry {
    // Indexes hold the low 32 bits of everything.
    #[expect(clippy::cast_possible_truncation, reason = "as git does")]
    let low = |it: u64| it as u32;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as git does")]
    let time = |s: i64, ns: i64| IndexTime::new(s as i32, ns as u32);
    let of = |read: fn(&fs::Metadata) -> u64| found.map_or(0, |it| low(read(it)));
    IndexEntry {
        ctime: found.map_or(IndexTime::new(0, 0), |it| time(it.ctime(), it.ctime_nsec())),
        mtime: found.map_or(IndexTime::new(0, 0), |it| time(it.mtime(), it.mtime_nsec())),
        dev: of(fs::Metadata::rdev),
        ino: of(fs::Metadata::ino),
        mode: u32::try_from(mode).unwrap_or(0),
        uid: of(|it| u64::from(it.uid())),
        gid: of(|it| u64::from(it.gid())),
        file_size: of(fs::Metadata::len),
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}

/// Whether what differs can be written by itself: few files, none that changes what is ignored or
/// how files are written.
pub(crate) fn is_a_step(repo: &Repository, index: &Index, changes: &[Changed]) -> bool {
    let known = |it: &Changed| {
        let leaf = |it: Option<(i32, _)>| {
            it.is_none_or(|(mode, _)| matches!(mode, PLAIN | EXECUTABLE | LINK))
        };
        leaf(it.old) && leaf(it.new) && is_safe(&it.path)
    };
    let rules = |it: &Changed| named(&it.path, b".gitignore") || named(&it.path, b".gitattributes");
    let few = changes.len() <= MAX_STEP;
    let attributes = || -> Vec<git2::Oid> {
        let is_one = |it: &IndexEntry| named(&RepoPath::new(it.path.as_slice()), b".gitattributes");
        index.iter().filter(is_one).map(|it| it.id).collect()
    };
    few && changes.iter().all(|it| known(it) && !rules(it)) && is_plain(repo, &attributes())
}

/// Whether a file could not be written because something else is there.
pub(crate) fn is_in_the_way(error: &GitError) -> bool {
    let GitError::Io { source, .. } = error else { return false };
    matches!(
        source.kind(),
        ErrorKind::AlreadyExists | ErrorKind::IsADirectory | ErrorKind::NotADirectory
    )
}
