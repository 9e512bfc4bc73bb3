//! Where the files of a worktree may differ from its private index, found by several threads. It says
//! where to look; whether something differs there, and what is ignored, is for libgit2 to say.
//!
//! The index is read here without libgit2, which copies every entry and checks the sum of all: both take
//! as long as half of the look, and can be done beside it. The format is that of git's
//! `Documentation/gitformat-index.txt`, versions 2 and 3.
//!
//! A file is passed over only if all that the index knows of it is as it was, and it was written before
//! the index was. Whatever is not plain is left to libgit2 as a whole.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::path::RepoPath;

/// With more places than this it is as well to look everywhere.
const MAX_PLACES: usize = 1_000;
/// Most threads that look.
const MAX_HANDS: usize = 8;
/// With fewer directories one thread is enough.
const DIRS_FOR_HANDS: usize = 64;

const EXECUTABLE: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;
const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

/// When an index was written: seconds and nanoseconds.
pub(crate) type Stamp = (i64, i64);

/// What the index has directly in a directory, by name.
type Names<'a> = Vec<(&'a [u8], &'a Known<'a>)>;

/// All directories with files of the index somewhere below them.
type Dirs<'a> = HashMap<&'a [u8], Names<'a>>;

/// When the index in this file was written, if it is there.
pub(crate) fn stamp(file: &Path) -> Option<Stamp> {
    let found = fs::symlink_metadata(file).ok()?;
    Some((found.mtime(), found.mtime_nsec()))
}

/// What an index knows of a file.
struct Known<'a> {
    path: &'a [u8],
    mode: u32,
    size: u32,
    ino: u32,
    owner: (u32, u32),
    modified: (u32, u32),
    changed: (u32, u32),
}

/// Bytes of an entry before its path, and of the head of the file.
const BEFORE_PATH: usize = 62;
const HEAD: usize = 12;
/// Bits of an entry's flags: two bytes more follow, and which side of a conflict it is.
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;

/// Every entry of an index file; none of one that is not plain: another version, conflicts, broken.
fn entries(file: &[u8]) -> Option<Vec<Known<'_>>> {
    let number = |at: usize| Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?));
    if file.get(..4)? != b"DIRC" || !(2..=3).contains(&number(4)?) {
        return None;
    }
    let mut all =
        Vec::with_capacity(usize::try_from(number(8)?).ok()?.min(file.len() / BEFORE_PATH));
    let mut at = HEAD;
    for _ in 0..number(8)? {
        let flags = u16::from_be_bytes(file.get(at + 60..at + BEFORE_PATH)?.try_into().ok()?);
        if flags & STAGE != 0 {
            return None;
        }
        let path = at + BEFORE_PATH + if flags & EXTENDED == 0 { 0 } else { 2 };
        let length = file.get(path..)?.iter().position(|byte| *byte == 0)?;
        all.push(Known {
            path: &file[path..path + length],
            changed: (number(at)?, number(at + 4)?),
            modified: (number(at + 8)?, number(at + 12)?),
            ino: number(at + 20)?,
            mode: number(at + 24)?,
            owner: (number(at + 28)?, number(at + 32)?),
            size: number(at + 36)?,
        });
        // One zero at least, and as many as make it a multiple of eight.
        at += (path - at + length + 8) / 8 * 8;
    }
    Some(all)
}

/// The paths at which the files below `root` may differ from the index in `file`. None if all of them
/// must be looked at.
pub(crate) fn places(root: &Path, file: &Path) -> Option<Vec<RepoPath>> {
    let written = stamp(file)?;
    let bytes = fs::read(file).ok()?;
    let entries = entries(&bytes)?;
    let dirs = by_directory(&entries);
    let all: Vec<(&[u8], &Names<'_>)> = dirs.iter().map(|(at, names)| (*at, names)).collect();
    let look = |part: &[(&[u8], &Names<'_>)]| -> Option<Vec<RepoPath>> {
        let mut places = Vec::new();
        for (at, names) in part {
            Look { root, at, names, dirs: &dirs, written }.take(&mut places)?;
            if MAX_PLACES < places.len() {
                return None;
            }
        }
        Some(places)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_HANDS);
    let hands = if all.len() < DIRS_FOR_HANDS { 1 } else { cores };
    let part = all.len().div_ceil(hands).max(1);
    let parts: Vec<Option<Vec<RepoPath>>> = std::thread::scope(|scope| {
        let mut chunks = all.chunks(part);
        let own = chunks.next().unwrap_or_default();
        let others: Vec<_> = chunks.map(|it| scope.spawn(|| look(it))).collect();
        let own = look(own);
        let others = others.into_iter().map(|it| it.join().expect("a panic is passed on"));
        std::iter::once(own).chain(others).collect()
    });
    let places: Vec<RepoPath> = parts.into_iter().collect::<Option<Vec<_>>>()?.concat();
    (places.len() <= MAX_PLACES).then_some(places)
}

fn by_directory<'a>(entries: &'a [Known<'a>]) -> Dirs<'a> {
    let mut dirs: Dirs<'a> = HashMap::new();
    dirs.insert(b"", Vec::new());
    // An index is sorted, so most entries stand beside others of their directory, and by name.
    for of_one in entries.chunk_by(|a, b| parent(a.path) == parent(b.path)) {
        let mut at = parent(of_one[0].path);
        let names = of_one.iter().map(|it| (&it.path[skip(at)..], it));
        dirs.entry(at).or_default().extend(names);
        while !at.is_empty() {
            at = parent(at);
            dirs.entry(at).or_default();
        }
    }
    dirs
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |n| &path[..n])
}

/// Where names begin below a directory.
fn skip(at: &[u8]) -> usize {
    if at.is_empty() { 0 } else { at.len() + 1 }
}

/// One directory, looked at.
struct Look<'a> {
    root: &'a Path,
    at: &'a [u8],
    names: &'a Names<'a>,
    dirs: &'a Dirs<'a>,
    written: Stamp,
}

impl Look<'_> {
    /// Adds the places of this directory; none if all must be looked at.
    fn take(&self, places: &mut Vec<RepoPath>) -> Option<()> {
        let mut seen = vec![false; self.names.len()];
        match fs::read_dir(self.root.join(OsStr::from_bytes(self.at))) {
            Ok(found) => {
                for entry in found {
                    self.entry(&entry.ok()?, &mut seen, places)?;
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => return None,
        }
        let gone = self.names.iter().zip(&seen).filter(|(_, seen)| !**seen);
        places.extend(gone.map(|((_, it), _)| RepoPath::new(it.path)));
        Some(())
    }

    fn entry(&self, found: &DirEntry, seen: &mut [bool], places: &mut Vec<RepoPath>) -> Option<()> {
        let name = found.file_name().into_vec();
        if name.eq_ignore_ascii_case(b".git") {
            // That of the worktree itself; any other is of a repository inside it.
            return self.at.is_empty().then_some(());
        }
        let is_dir = found.file_type().ok()?.is_dir();
        let path = || {
            let mut path = self.at.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            path
        };
        if let Ok(n) = self.names.binary_search_by(|it| it.0.cmp(&name)) {
            seen[n] = true;
            let known = self.names[n].1;
            if known.mode == SUBMODULE {
                return is_dir.then_some(());
            }
            if !is_as_known(known, &found.metadata().ok()?, self.written) {
                places.push(RepoPath::new(path()));
            }
            return Some(());
        }
        let path = path();
        if self.dirs.contains_key(path.as_slice()) {
            return is_dir.then_some(());
        }
        places.push(RepoPath::new(path));
        Some(())
    }
}

/// Nothing of the file is other than the index knows it, and it cannot have been changed unseen in the
/// moment in which the index was written.
fn is_as_known(known: &Known<'_>, found: &Metadata, written: Stamp) -> bool {
    let kind = match known.mode {
        LINK => found.is_symlink(),
        PLAIN => found.is_file() && found.mode() & 0o100 == 0,
        EXECUTABLE => found.is_file() && found.mode() & 0o100 != 0,
        _ => false,
    };
    // Indexes hold the low 32 bits of everything.
    #[expect(clippy::cast_possible_truncation, reason = "as git does")]
    let low = |it: u64| it as u32;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as git does")]
    let time = |s: i64, ns: i64| (s as u32, ns as u32);
    kind && known.modified == time(found.mtime(), found.mtime_nsec())
        && known.changed == time(found.ctime(), found.ctime_nsec())
        && (known.size, known.ino) == (low(found.len()), low(found.ino()))
        && known.owner == (found.uid(), found.gid())
        && (found.mtime(), found.mtime_nsec()) < written
}
