//! The worktree, and the only ways to open something in it.
//!
//! Reading follows symbolic links that stay inside, which the kernel decides (`openat2` with
//! `RESOLVE_BENEATH`); where it cannot, links are refused. Writing goes down component by component
//! with `O_NOFOLLOW` and refuses every link. Nothing here is decided by comparing path strings, so
//! nothing is lost when a program moves things around meanwhile.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};

use super::ToolError;
use super::paths::{Inside, show};

/// The worktree a loop works in.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    canonical: PathBuf,
    fd: OwnedFd,
}

/// The worktree cannot be entered.
#[derive(Debug, thiserror::Error)]
#[error("could not open the worktree {}", root.display())]
pub struct OpenWorkspaceError {
    /// Where it should be.
    pub root: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// What something in a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// A pipe, socket or device.
    Special,
}

impl Workspace {
    /// Opens the worktree at `root` (absolute). It stays the same directory even if it is moved.
    ///
    /// # Errors
    /// It is not a directory, or we may not enter it.
    pub fn open(root: &Path) -> Result<Self, OpenWorkspaceError> {
        let fail = |source| OpenWorkspaceError { root: root.to_owned(), source };
        let canonical = root.canonicalize().map_err(fail)?;
        let fd = open(root, DIRECTORY, Mode::empty()).map_err(|errno| fail(errno.into()))?;
        Ok(Self { root: root.to_owned(), canonical, fd })
    }

    /// Reads a path as a model wrote it.
    pub(super) fn inside(&self, text: &str) -> Result<Inside, ToolError> {
        Inside::parse(text, &[&self.root, &self.canonical])
    }

    /// The directory a call is about; the root if it names none.
    pub(super) fn inside_or_root(&self, text: Option<&str>) -> Result<Inside, ToolError> {
        text.map_or_else(|| Ok(Inside::root()), |text| self.inside(text))
    }

    /// Opens a regular file for reading without ever blocking, with its status.
    pub(super) fn open_file(&self, path: &Inside) -> Result<(File, FileStat), ToolError> {
        let fd = self.open_beneath(path, READ)?;
        let stat = fstat(&fd).map_err(|errno| io_error("look at", path, errno))?;
        match kind(&stat) {
            Kind::File => Ok((File::from(fd), stat)),
            other @ (Kind::Directory | Kind::Link | Kind::Special) => {
                Err(wrong_kind(path.text(), other))
            }
        }
    }

    /// Opens a directory for listing.
    pub(super) fn open_directory(&self, path: &Inside) -> Result<OwnedFd, ToolError> {
        self.open_beneath(path, DIRECTORY)
    }

    /// Opens a file or a directory for reading without ever blocking.
    pub(super) fn open_any(&self, path: &Inside) -> Result<(OwnedFd, Kind), ToolError> {
        let fd = self.open_beneath(path, READ)?;
        let stat = fstat(&fd).map_err(|errno| io_error("look at", path, errno))?;
        Ok((fd, kind(&stat)))
    }

    /// Goes down to the directory `path` is in, following nothing, creating what is missing if told
    /// to; with the name `path` has there.
    pub(super) fn open_parent<'a>(
        &self,
        path: &'a Inside,
        create: bool,
    ) -> Result<(OwnedFd, &'a str), ToolError> {
        if path.touches_git() {
            let why = "git's own files are not to be changed; taskd commits your work by itself";
            return Err(ToolError::BadPath { path: path.text(), why });
        }
        let Some((parents, name)) = path.split() else {
            let why = "it is the worktree itself; name a file";
            return Err(ToolError::BadPath { path: path.text(), why });
        };
        let fail = |errno| io_error("open the directory of", path, errno);
        let mut at = self.fd.try_clone().map_err(|source| ToolError::Io {
            doing: "open the directory of",
            path: path.text(),
            source,
        })?;
        for (depth, step) in parents.iter().enumerate() {
            if create {
                match mkdirat(&at, step.as_str(), Mode::from_bits_truncate(0o777)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(fail(errno)),
                }
            }
            at = match openat(&at, step.as_str(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()) {
                Ok(below) => below,
                Err(Errno::ENOENT) => return Err(ToolError::NotFound { path: path.text() }),
                Err(errno) => {
                    let so_far = parents[..=depth].join("/");
                    return Err(refused_step(&at, step, so_far).unwrap_or_else(|| fail(errno)));
                }
            };
        }
        Ok((at, name))
    }

    fn open_beneath(&self, path: &Inside, flags: OFlag) -> Result<OwnedFd, ToolError> {
        let names = if path.names().is_empty() { ".".into() } else { path.path() };
        match open_resolved(self.fd.as_fd(), &names, flags) {
            Ok(fd) => Ok(fd),
            Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => self.open_stepwise(path, flags),
            Err(errno) => Err(refusal(path, errno)),
        }
    }

    /// Without `openat2` every link is refused.
    fn open_stepwise(&self, path: &Inside, flags: OFlag) -> Result<OwnedFd, ToolError> {
        let fail = |errno| io_error("open", path, errno);
        let mut at = openat(&self.fd, ".", DIRECTORY, Mode::empty()).map_err(fail)?;
        let last = path.names().len();
        for (depth, step) in path.names().iter().enumerate() {
            let flags = if depth + 1 == last { flags } else { DIRECTORY };
            at = match openat(&at, step.as_str(), flags | OFlag::O_NOFOLLOW, Mode::empty()) {
                Ok(below) => below,
                Err(errno) => {
                    let so_far = path.names()[..=depth].join("/");
                    let link = link_at(&at, step, so_far);
                    return Err(link.unwrap_or_else(|| refusal(path, errno)));
                }
            };
        }
        Ok(at)
    }
}

/// For directories.
const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// For files: a pipe without a writer must not block us, nor a terminal become ours.
const READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Opens an entry of a directory we hold, following nothing; `None` if it is not a regular file.
pub(super) fn open_entry_file(directory: BorrowedFd, name: &CStr) -> Option<(File, FileStat)> {
    let fd = openat(directory, name, READ | OFlag::O_NOFOLLOW, Mode::empty()).ok()?;
    let stat = fstat(&fd).ok()?;
    (kind(&stat) == Kind::File).then(|| (File::from(fd), stat))
}

/// Opens a directory in a directory we hold, following nothing.
pub(super) fn open_entry_directory(directory: BorrowedFd, name: &CStr) -> Option<OwnedFd> {
    openat(directory, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()).ok()
}

/// The status of an entry itself, not of what it links to; `None` if there is none.
pub(super) fn look(directory: impl AsFd, name: &str) -> Result<Option<FileStat>, Errno> {
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The same for a name that need not be UTF-8.
pub(super) fn look_raw(directory: BorrowedFd, name: &CStr) -> Option<FileStat> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
}

/// Where a link leads, as it is written.
pub(super) fn link_target(directory: BorrowedFd, name: &CStr) -> Option<OsString> {
    readlinkat(directory, name).ok()
}

pub(super) fn kind(stat: &FileStat) -> Kind {
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFREG {
        Kind::File
    } else if kind == SFlag::S_IFDIR {
        Kind::Directory
    } else if kind == SFlag::S_IFLNK {
        Kind::Link
    } else {
        Kind::Special
    }
}

pub(super) fn wrong_kind(path: String, kind: Kind) -> ToolError {
    let (kind, advice) = match kind {
        Kind::Directory => ("a directory", "use list for directories, or name a file"),
        Kind::Link => ("a symbolic link", "name the file it leads to"),
        Kind::File => ("a file", "name a directory"),
        Kind::Special => ("a pipe, socket or device", "only regular files can be used"),
    };
    ToolError::WrongKind { path, kind, advice }
}

/// If `step` is a link: the refusal that says where to go instead.
pub(super) fn link_at(directory: impl AsFd, step: &str, path: String) -> Option<ToolError> {
    let target = readlinkat(directory, step).ok()?;
    let advice = format!("it leads to `{}`: use the real path if it is inside", show(&target));
    Some(ToolError::Link { path, advice })
}

pub(super) fn io_error(doing: &'static str, path: &Inside, errno: Errno) -> ToolError {
    ToolError::Io { doing, path: path.text(), source: errno.into() }
}

/// Why one step down was refused, if that is a matter of what is there.
fn refused_step(directory: &OwnedFd, step: &str, so_far: String) -> Option<ToolError> {
    let stat = look(directory, step).ok()??;
    match kind(&stat) {
        Kind::Link => link_at(directory, step, so_far),
        Kind::File | Kind::Special => Some(wrong_kind(so_far, Kind::File)),
        Kind::Directory => None,
    }
}

fn refusal(path: &Inside, errno: Errno) -> ToolError {
    let text = path.text();
    if errno == Errno::ENOENT {
        ToolError::NotFound { path: text }
    } else if errno == Errno::EXDEV || errno == Errno::ELOOP {
        let advice = "it leads out of the worktree, or to nothing; only files inside can be used";
        ToolError::Link { path: text, advice: advice.to_owned() }
    } else if errno == Errno::ENXIO {
        wrong_kind(text, Kind::Special)
    } else if errno == Errno::ENOTDIR {
        let kind = "not a directory, or below a file";
        ToolError::WrongKind { path: text, kind, advice: "use list to see what is there" }
    } else if errno == Errno::EAGAIN {
        ToolError::BadPath { path: text, why: "it is being moved; try again" }
    } else {
        io_error("open", path, errno)
    }
}

#[cfg(target_os = "linux")]
fn open_resolved(root: BorrowedFd, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(root, path, OpenHow::new().flags(flags).resolve(resolve))
}

#[cfg(not(target_os = "linux"))]
fn open_resolved(_root: BorrowedFd, _path: &Path, _flags: OFlag) -> Result<OwnedFd, Errno> {
    Err(Errno::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// What `openat2` decides where it exists is decided by refusing every link where it does not.
    #[test]
    fn without_the_kernels_help_every_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::fs::write(dir.path().join("real/file"), "x").unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        symlink("real/file", dir.path().join("last")).unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let open = |text: &str, flags| {
            workspace.open_stepwise(&workspace.inside(text).unwrap(), flags).map(drop)
        };
        open("real/file", READ).unwrap();
        open(".", DIRECTORY).unwrap();
        open("real", DIRECTORY).unwrap();
        for path in ["link/file", "last"] {
            assert!(matches!(open(path, READ), Err(ToolError::Link { .. })), "{path}");
        }
        assert!(matches!(open("real/none", READ), Err(ToolError::NotFound { .. })));
        assert!(matches!(open("real/file/below", READ), Err(ToolError::WrongKind { .. })));
    }

    #[test]
    fn the_worktree_is_the_directory_not_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = (dir.path().join("before"), dir.path().join("after"));
        std::fs::create_dir(&before).unwrap();
        std::fs::write(before.join("file"), "ours").unwrap();
        let workspace = Workspace::open(&before).unwrap();
        std::fs::rename(&before, &after).unwrap();
        std::fs::create_dir(&before).unwrap();
        std::fs::write(before.join("file"), "other").unwrap();
        let (file, _) = workspace.open_file(&workspace.inside("file").unwrap()).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "ours");
        assert!(Workspace::open(&dir.path().join("none")).is_err());
    }
}
