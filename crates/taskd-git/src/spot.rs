//! Where one worktree of ours is: its directory, its metadata under `.git/worktrees`, and the proof
//! that both are ours. It refuses anything it cannot prove, and knows nothing of the files inside.
//!
//! The metadata is written by hand in git's documented layout (`HEAD`, `commondir`, `gitdir`,
//! `locked`), because every tool that does it insists on a branch, and because a half-written one
//! must be repairable. Files of our own beside it:
//!
//! - `taskd`: the marker. Written first, removed last.
//! - `taskd-ready`: the files are whole. Absent while they are being set.
//! - `taskd-filling`: what is in the directory was put there by us, and nobody has worked there yet.
//! - `taskd-removing`: the worktree is proven to be removable and is being removed.
//! - `taskd-index`: the stat cache of our snapshots; the worktree's own `index` is the agent's.
//! - `taskd-index-tree`: the sum that this cache ends with, and the tree that it says.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryOpenFlags};
use taskd_model::Oid;

use crate::error::{GitError, git, io};
use crate::repo::Repo;

/// What a worktree is for. One never becomes the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A loop's work: saved before anything in it is replaced.
    Work,
    /// A checkout for gates: nothing in it is worth saving.
    Scratch,
}

/// Whether the directory was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    New,
    There,
}

#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) meta: PathBuf,
    marker: Vec<u8>,
}

enum Meta {
    Absent,
    Ours,
}

impl Repo {
    /// The place of the worktree of this name; nothing is created in the repository.
    pub(crate) fn spot(&self, name: &str, kind: Kind) -> Result<Spot, GitError> {
        check_name(name)?;
        self.there()?;
        let root = self.worktrees();
        fs::create_dir_all(root).map_err(io("creating", root))?;
        let root = root.canonicalize().map_err(io("finding", root))?;
        let git_dir = self
            .git_dir()
            .canonicalize()
            .map_err(io("finding the git directory", self.git_dir()))?;
        let dir = root.join(name);
        let mut marker = match kind {
            Kind::Work => format!("taskd {} work\n", self.tag()),
            Kind::Scratch => format!("taskd {} scratch\n", self.tag()),
        }
        .into_bytes();
        marker.extend_from_slice(dir.as_os_str().as_bytes());
        marker.push(b'\n');
        let meta = git_dir.join("worktrees").join(format!("taskd-{}-{name}", self.tag()));
        Ok(Spot { name: name.to_owned(), dir, meta, marker })
    }
}

impl Spot {
    /// Makes directory and metadata exist, or refuses. Repairs what a crash left half made.
    pub(crate) fn claim(&self) -> Result<Found, GitError> {
        if self.flag("taskd-removing") && matches!(self.meta_state()?, Meta::Ours) {
            self.remove()?;
        }
        let meta = self.meta_state()?;
        let found = self.dir_state(&meta)?;
        fs::create_dir_all(&self.meta).map_err(io("creating the worktree metadata", &self.meta))?;
        self.write("taskd", &self.marker)?;
        self.write("locked", b"in use by the taskd daemon\n")?;
        self.write("commondir", b"../..\n")?;
        let link = self.dir.join(".git");
        self.write("gitdir", &line(b"", &link))?;
        fs::create_dir_all(&self.dir).map_err(io("creating the worktree", &self.dir))?;
        self.write_link()?;
        if found == Found::New {
            self.unset("taskd-ready")?;
            self.unset("taskd-index")?;
        }
        Ok(found)
    }

    /// Checks that the worktree exists and is ours, and leaves it as it is.
    pub(crate) fn existing(&self) -> Result<(), GitError> {
        let there = matches!(self.meta_state()?, Meta::Ours)
            && self.dir_state(&Meta::Ours)? == Found::There;
        if there { Ok(()) } else { Err(self.missing()) }
    }

    pub(crate) fn missing(&self) -> GitError {
        GitError::NoWorktree { name: self.name.clone(), path: self.dir.clone() }
    }

    /// Whether the metadata is there and ours; refuses if it is somebody else's.
    pub(crate) fn claimed(&self) -> Result<bool, GitError> {
        Ok(matches!(self.meta_state()?, Meta::Ours))
    }

    /// Opens the worktree by its metadata, whatever became of its `.git` file.
    pub(crate) fn open(&self) -> Result<Repository, GitError> {
        let none: [&Path; 0] = [];
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT;
        Repository::open_ext(&self.meta, flags, none)
            .map_err(git("opening the worktree", self.dir.display()))
    }

    /// Writes the worktree's `.git` file.
    pub(crate) fn write_link(&self) -> Result<(), GitError> {
        replace(&self.dir.join(".git"), &self.link())
    }

    /// What the worktree's `.git` file says.
    pub(crate) fn link(&self) -> Vec<u8> {
        line(b"gitdir: ", &self.meta)
    }

    /// A merge, a rebase or the like was begun in the worktree and not ended.
    pub(crate) fn is_in_the_middle(&self) -> bool {
        const SIGNS: [&str; 6] = [
            "MERGE_HEAD",
            "CHERRY_PICK_HEAD",
            "REVERT_HEAD",
            "BISECT_LOG",
            "rebase-merge",
            "rebase-apply",
        ];
        SIGNS.iter().any(|it| self.flag(it))
    }

    /// Detaches HEAD at a commit and ends whatever merge, rebase or lock was left in the worktree.
    pub(crate) fn reset_state(&self, head: Oid) -> Result<(), GitError> {
        const FILES: [&str; 13] = [
            "HEAD.lock",
            "index.lock",
            "ORIG_HEAD",
            "MERGE_HEAD",
            "MERGE_MODE",
            "MERGE_MSG",
            "MERGE_RR",
            "AUTO_MERGE",
            "SQUASH_MSG",
            "CHERRY_PICK_HEAD",
            "REVERT_HEAD",
            "REBASE_HEAD",
            "BISECT_LOG",
        ];
        const DIRS: [&str; 4] = ["rebase-merge", "rebase-apply", "sequencer", "refs/bisect"];
        for file in FILES {
            self.unset(file)?;
        }
        for dir in DIRS {
            let path = self.meta.join(dir);
            gone(fs::remove_dir_all(&path)).map_err(io("removing", &path))?;
        }
        self.write("HEAD", format!("{head}\n").as_bytes())
    }

    /// Removes directory and metadata, marker last, so that a crash leaves something provably ours.
    pub(crate) fn remove(&self) -> Result<(), GitError> {
        self.dir_state(&Meta::Ours)?;
        self.write("taskd-removing", b"")?;
        remove_tree(&self.dir)?;
        let doing = "removing the worktree metadata";
        for entry in fs::read_dir(&self.meta).map_err(io(doing, &self.meta))? {
            let entry = entry.map_err(io(doing, &self.meta))?;
            if entry.file_name() == "taskd" || entry.file_name() == "taskd-removing" {
                continue;
            }
            let path = entry.path();
            let is_dir = entry.file_type().map_err(io(doing, &path))?.is_dir();
            let done = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone(done).map_err(io(doing, &path))?;
        }
        self.unset("taskd-removing")?;
        self.unset("taskd")?;
        gone(fs::remove_dir(&self.meta)).map_err(io(doing, &self.meta))
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.meta.join("taskd-index")
    }

    /// The tree of the private index as it is on disk, if somebody has said it.
    pub(crate) fn index_tree(&self) -> Option<git2::Oid> {
        let said = fs::read_to_string(self.meta.join(INDEX_TREE)).ok()?;
        let (sum, tree) = said.trim_end().split_once(' ')?;
        let here = sum_of(&self.index()).ok()?;
        (sum == here).then(|| tree.parse().ok()).flatten()
    }

    /// Says that the private index on disk is this tree.
    pub(crate) fn set_index_tree(&self, tree: Oid) -> Result<(), GitError> {
        let file = self.index();
        let sum = sum_of(&file).map_err(io("reading", &file))?;
        self.write(INDEX_TREE, format!("{sum} {tree}\n").as_bytes())
    }

    pub(crate) fn flag(&self, file: &str) -> bool {
        self.meta.join(file).exists()
    }

    pub(crate) fn set(&self, file: &str) -> Result<(), GitError> {
        self.write(file, b"")
    }

    pub(crate) fn unset(&self, file: &str) -> Result<(), GitError> {
        let path = self.meta.join(file);
        gone(fs::remove_file(&path)).map_err(io("removing", &path))
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), GitError> {
        replace(&self.meta.join(file), bytes)
    }

    fn meta_state(&self) -> Result<Meta, GitError> {
        match fs::read(self.meta.join("taskd")) {
            Ok(found) if found == self.marker => return Ok(Meta::Ours),
            Ok(found) => {
                let found = String::from_utf8_lossy(&found).trim().replace('\n', " at ");
                return Err(self.not_ours(&self.meta, format!("its marker says {found:?}")));
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(e) => return Err(io("reading", &self.meta)(e)),
        }
        match fs::read_dir(&self.meta) {
            // A crash can fall between making the directory and its marker.
            Ok(mut entries) => match entries
                .find(|e| e.as_ref().map_or(true, |e| e.file_name() != OsStr::new(".taskd.tmp")))
            {
                None => Ok(Meta::Absent),
                Some(_) => Err(self.not_ours(&self.meta, "it has no marker of ours".into())),
            },
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Meta::Absent),
            Err(e) => Err(io("reading", &self.meta)(e)),
        }
    }

    fn dir_state(&self, meta: &Meta) -> Result<Found, GitError> {
        let kind = match fs::symlink_metadata(&self.dir) {
            Ok(kind) => kind,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::New),
            Err(e) => return Err(io("looking at", &self.dir)(e)),
        };
        if !kind.is_dir() {
            return Err(self.not_ours(&self.dir, "it is not a directory".into()));
        }
        let mut entries = fs::read_dir(&self.dir).map_err(io("reading", &self.dir))?;
        if entries.next().is_none() {
            return Ok(Found::New);
        }
        let link = self.dir.join(".git");
        match (fs::read(&link), meta) {
            (Ok(text), _) => {
                let named = text.strip_prefix(b"gitdir: ").unwrap_or(&text).trim_ascii();
                let named = PathBuf::from(OsStr::from_bytes(named));
                // A repository that was moved leaves a link to its old place, with our unique name.
                let moved = matches!(meta, Meta::Ours)
                    && named.file_name() == self.meta.file_name()
                    && !named.exists();
                if moved || named == self.meta {
                    Ok(Found::There)
                } else {
                    let why = format!("it belongs to {}", named.display());
                    Err(self.not_ours(&self.dir, why))
                }
            }
            (Err(e), Meta::Ours) if e.kind() == ErrorKind::NotFound => Ok(Found::There),
            (Err(_), _) => {
                Err(self.not_ours(&self.dir, "no worktree of ours is known there".into()))
            }
        }
    }

    fn not_ours(&self, path: &Path, why: String) -> GitError {
        GitError::NotOurs { path: path.to_owned(), why }
    }
}

const INDEX_TREE: &str = "taskd-index-tree";
/// Bytes of the SHA-1 sum that an index ends with.
const SUM_BYTES: i64 = 20;

/// The sum that an index ends with: no other index has it.
fn sum_of(index: &Path) -> std::io::Result<String> {
    let mut file = File::open(index)?;
    file.seek(SeekFrom::End(-SUM_BYTES))?;
    let mut sum = Vec::new();
    file.read_to_end(&mut sum)?;
    Ok(sum.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().expect("every file written here has a name"));
    name.push(".tmp");
    let temp = path.with_file_name(name);
    fs::write(&temp, bytes).map_err(io("writing", &temp))?;
    fs::rename(&temp, path).map_err(io("writing", path))
}

/// Removing what is not there is done already.
pub(crate) fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory of ours, read-only directories inside it included (build caches have them). A
/// link is removed itself, not what it leads to; what is not there is removed already.
pub fn remove_tree(dir: &Path) -> Result<(), GitError> {
    let first = gone(fs::remove_dir_all(dir));
    let Err(e) = first else { return Ok(()) };
    if e.kind() != ErrorKind::PermissionDenied {
        return Err(io("removing", dir)(e));
    }
    make_writable(dir)?;
    gone(fs::remove_dir_all(dir)).map_err(io("removing", dir))
}

fn make_writable(dir: &Path) -> Result<(), GitError> {
    use std::os::unix::fs::PermissionsExt;
    let doing = "making writable";
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io(doing, dir))?;
    for entry in fs::read_dir(dir).map_err(io(doing, dir))? {
        let entry = entry.map_err(io(doing, dir))?;
        if entry.file_type().map_err(io(doing, dir))?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<(), GitError> {
    let bad = |why| Err(GitError::BadName { what: "worktree name", name: name.to_owned(), why });
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 100 {
        return bad("it must have 1 to 100 characters");
    }
    if !name.bytes().all(plain) {
        return bad("only letters, digits, '-', '_' and '.' are possible");
    }
    if name.starts_with(['.', '-']) || name.contains("..") || name.ends_with(['.']) {
        return bad("it must not start with '.' or '-', end with '.' or contain '..'");
    }
    if name.ends_with(".lock") {
        return bad("git keeps names that end with '.lock' for itself");
    }
    Ok(())
}

fn line(prefix: &[u8], path: &Path) -> Vec<u8> {
    let mut line = prefix.to_vec();
    line.extend_from_slice(&path.as_os_str().to_owned().into_vec());
    line.push(b'\n');
    line
}
