//! The locks of a person's checkout, while its files move: `index.lock`, and `HEAD.lock` once it is
//! sure that they will. Every git that would commit, switch, reset, stash or merge there finds them
//! and gives up, as beside another git.
//!
//! Unlike git's, the locks say whose they are and what is being done, so that one that a killed daemon
//! left is known by its content and by nothing else. Both are one file, and whoever works under it has
//! it locked (`flock`), the git that writes the files too: a lock of ours that nobody holds is left
//! over. The new index is made beside it and takes the index's place in one step.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use taskd_model::Oid;

use crate::error::{GitError, io};
use crate::path::RepoPath;
use crate::spot::gone;

/// Longest content of a lock that is looked at, in bytes: the names of files are in it.
const MAX_CONTENT_BYTES: u64 = 16 << 20;

/// What is being done under a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The branch that moves.
    pub(crate) branch: String,
    pub(crate) from: Oid,
    pub(crate) to: Oid,
    /// Files that were as in the new commit before anything was written: the person's.
    pub(crate) there: BTreeSet<RepoPath>,
}

impl Note {
    /// Text for whoever looks into the lock, then the names, each ended by a zero byte.
    fn write(&self, tag: &str) -> Vec<u8> {
        let mut text = format!(
            "taskd {tag} moves the files of this checkout, as work lands on its branch.\nbranch {}\n\
             from {}\nto {}\nIf it was killed in the middle: it ends this when it starts again.\n",
            self.branch, self.from, self.to
        )
        .into_bytes();
        text.push(0);
        text.extend(self.there.iter().flat_map(|it| it.as_bytes().iter().copied().chain([0])));
        text
    }

    /// None if it was not written by this store. A name that a crash cut off is left out.
    fn read(tag: &str, content: &[u8]) -> Option<Self> {
        let mut parts = content.split(|byte| *byte == 0);
        let head = std::str::from_utf8(parts.next()?).ok()?;
        let mut lines = head.lines();
        lines.next()?.strip_prefix("taskd ")?.strip_prefix(tag)?.strip_prefix(' ')?;
        let branch = lines.next()?.strip_prefix("branch ")?.to_owned();
        let from = lines.next()?.strip_prefix("from ")?.parse().ok()?;
        let to = lines.next()?.strip_prefix("to ")?.parse().ok()?;
        let mut names: Vec<_> = parts.collect();
        // What follows the last zero byte: nothing, or a part of a name.
        names.pop();
        Some(Self { branch, from, to, there: names.into_iter().map(RepoPath::new).collect() })
    }
}

/// The locks of one checkout. Dropping it leaves them: whoever has it says when they go.
#[derive(Debug)]
pub(crate) struct Hold {
    git_dir: PathBuf,
    tag: String,
    /// The lock file, locked.
    pub(crate) file: File,
    pub(crate) note: Note,
}

/// What a lock file of ours means.
#[derive(Debug)]
pub(crate) enum LeftOver {
    /// There is none.
    Nothing,
    /// Somebody works under it.
    InUse,
    /// A killed life had it.
    Ours(Hold),
}

impl Hold {
    /// Takes the lock of a checkout's index, by its git directory; none if somebody has it.
    pub(crate) fn take(git_dir: &Path, tag: &str, note: Note) -> Result<Option<Self>, GitError> {
        // Whole before it is seen: an empty lock would be anybody's.
        let draft = git_dir.join(format!("taskd-{tag}-lock"));
        gone(fs::remove_file(&draft)).map_err(io("removing", &draft))?;
        let content = note.write(tag);
        let file = made(&draft, &content).map_err(io("writing", &draft))?;
        let lock = index_lock(git_dir);
        let taken = match fs::hard_link(&draft, &lock) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => made(&lock, &content),
            linked => linked.map(|()| file),
        };
        gone(fs::remove_file(&draft)).map_err(io("removing", &draft))?;
        match taken {
            Ok(file) => {
                Ok(Some(Self { git_dir: git_dir.to_owned(), tag: tag.to_owned(), file, note }))
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(e) => Err(io("locking", &lock)(e)),
        }
    }

    /// The lock that a life before this one left, taken over.
    pub(crate) fn left_over(git_dir: &Path, tag: &str) -> Result<LeftOver, GitError> {
        let Some((file, note)) = ours(&index_lock(git_dir), tag)? else {
            return Ok(LeftOver::Nothing);
        };
        if file.try_lock().is_err() {
            return Ok(LeftOver::InUse);
        }
        let (git_dir, tag) = (git_dir.to_owned(), tag.to_owned());
        Ok(LeftOver::Ours(Self { git_dir, tag, file, note }))
    }

    /// Takes the lock of HEAD as well; false if somebody has it.
    pub(crate) fn take_head(&self) -> Result<bool, GitError> {
        let lock = head_lock(&self.git_dir);
        let taken = match fs::hard_link(index_lock(&self.git_dir), &lock) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                made(&lock, &self.note.write(&self.tag)).map(drop)
            }
            linked => linked,
        };
        match taken {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(io("locking", &lock)(e)),
        }
    }

    /// Writes down which files were there already, for good: from here on files may move.
    pub(crate) fn remember(&mut self, there: BTreeSet<RepoPath>) -> Result<(), GitError> {
        let lock = index_lock(&self.git_dir);
        let names: Vec<u8> =
            there.iter().flat_map(|it| it.as_bytes().iter().copied().chain([0])).collect();
        self.file.write_all(&names).map_err(io("writing", &lock))?;
        self.file.sync_data().map_err(io("writing", &lock))?;
        self.note.there.extend(there);
        Ok(())
    }

    /// Where the new index is made.
    pub(crate) fn draft(&self) -> PathBuf {
        self.git_dir.join(format!("taskd-{}-index", self.tag))
    }

    /// The index as it is, as a draft of the new one. Its time stays: git looks again at files that
    /// are not older than their index.
    pub(crate) fn begin_draft(&self) -> Result<(), GitError> {
        self.forget_draft()?;
        let (index, draft) = (self.git_dir.join("index"), self.draft());
        let copy = || {
            fs::copy(&index, &draft)?;
            let time = fs::metadata(&index)?.modified()?;
            File::options().write(true).open(&draft)?.set_modified(time)
        };
        copy().map_err(io("copying", &index))
    }

    /// The draft is the index from now on.
    pub(crate) fn use_draft(&self) -> Result<(), GitError> {
        let index = self.git_dir.join("index");
        fs::rename(self.draft(), &index).map_err(io("writing", &index))
    }

    fn forget_draft(&self) -> Result<(), GitError> {
        let draft = self.draft();
        let mut lock = draft.clone().into_os_string();
        lock.push(".lock");
        for file in [draft, lock.into()] {
            gone(fs::remove_file(&file)).map_err(io("removing", &file))?;
        }
        Ok(())
    }

    /// Removes the locks, and a draft that was not used.
    pub(crate) fn release(self) -> Result<(), GitError> {
        self.forget_draft()?;
        let head = head_lock(&self.git_dir);
        if ours(&head, &self.tag)?.is_some() {
            gone(fs::remove_file(&head)).map_err(io("removing", &head))?;
        }
        let lock = index_lock(&self.git_dir);
        gone(fs::remove_file(&lock)).map_err(io("removing", &lock))
    }
}

/// Removes a lock of HEAD that a killed life left, where somebody has already removed that of the
/// index by hand; whether there was one.
pub(crate) fn clear_head(git_dir: &Path, tag: &str) -> Result<bool, GitError> {
    let head = head_lock(git_dir);
    let Some((file, _)) = ours(&head, tag)? else { return Ok(false) };
    if index_lock(git_dir).exists() || file.try_lock().is_err() {
        return Ok(false);
    }
    gone(fs::remove_file(&head)).map_err(io("removing", &head))?;
    Ok(true)
}

pub(crate) fn index_lock(git_dir: &Path) -> PathBuf {
    git_dir.join("index.lock")
}

pub(crate) fn head_lock(git_dir: &Path) -> PathBuf {
    git_dir.join("HEAD.lock")
}

/// A file that was not there, with this content, locked. What it says is on the disk: the files that
/// move after it may be there before it otherwise.
fn made(path: &Path, content: &[u8]) -> std::io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create_new(true).open(path)?;
    file.lock()?;
    file.write_all(content)?;
    file.sync_data()?;
    Ok(file)
}

/// A lock file, if it is there and this store wrote it.
fn ours(lock: &Path, tag: &str) -> Result<Option<(File, Note)>, GitError> {
    use std::io::Read as _;
    let file = match OpenOptions::new().read(true).append(true).open(lock) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        // Not even ours to open.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => return Ok(None),
        Err(e) => return Err(io("reading", lock)(e)),
    };
    let mut content = Vec::new();
    (&file).take(MAX_CONTENT_BYTES).read_to_end(&mut content).map_err(io("reading", lock))?;
    Ok(Note::read(tag, &content).map(|note| (file, note)))
}

#[cfg(test)]
mod tests {
    use super::{Note, Oid, RepoPath};

    #[test]
    fn a_note_says_whose_it_is_and_what_was_there() {
        let (from, to) = (Oid::from_bytes([1; 20]), Oid::from_bytes([2; 20]));
        let there = [RepoPath::new(b"a\nb"), RepoPath::new(b"c \xff")].into();
        let note = Note { branch: "feature/one".to_owned(), from, to, there };
        let mut text = note.write("ab12");
        assert_eq!(Note::read("ab12", &text), Some(note.clone()));
        assert_eq!(Note::read("ab1", &text), None);
        assert_eq!(Note::read("zz99", &text), None);
        for foreign in [&b""[..], b"DIRC\0\0\0\x02", b"1234\n", b"taskd ab12 moves"] {
            assert_eq!(Note::read("ab12", foreign), None);
        }
        // A crash cuts the last name off.
        text.truncate(text.len() - 2);
        let read = Note::read("ab12", &text).expect("still ours");
        assert_eq!(read.there, [RepoPath::new(b"a\nb")].into());
    }
}
