//! Going through a worktree by directory handles, leaving out what git ignores.
//!
//! Never follows a link and never opens by path, so it cannot be led out; never blocks, because
//! `.gitignore` is read like any other file. Only `.gitignore` files inside count: not the person's
//! global one, not the repository's `info/exclude`.

use std::ffi::{CStr, CString, OsStr};
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use nix::dir::{Dir, Type};

use super::confine::{Kind, Workspace, kind, look_raw, open_entry_directory, open_entry_file};
use super::paths::Inside;
use super::{Limits, ToolError};

const GITIGNORE_MAX_BYTES: u64 = 1 << 20;

/// Something a walk came by.
pub(super) struct Entry<'a> {
    /// The directory it is in.
    pub(super) directory: BorrowedFd<'a>,
    /// Its name there.
    pub(super) name: &'a CStr,
    /// Relative to the worktree.
    pub(super) path: &'a Path,
}

/// Shows every file and link below `start` that is not ignored, in the order of their names. True
/// if a limit ended the walk before its end.
pub(super) fn walk(
    workspace: &Workspace,
    start: &Inside,
    limits: &Limits,
    visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
) -> Result<bool, ToolError> {
    let mut ignores = Vec::new();
    for depth in 0..start.names().len() {
        let above = start.above(depth);
        if let Ok(directory) = workspace.open_directory(&above) {
            ignores.extend(gitignore(directory.as_fd(), &above.path()));
        }
    }
    let directory = workspace.open_directory(start)?;
    let mut walk = Walk { left: limits.walk_max_entries, cut_short: false, ignores, visit };
    // A break came from the visitor, who knows.
    let _done = walk.directory(&directory, &start.path(), limits.walk_max_depth);
    Ok(walk.cut_short)
}

/// The entries of a directory, at most `max`, sorted by name; true if there are more.
pub(super) fn entries(directory: OwnedFd, max: usize) -> std::io::Result<(Vec<Named>, bool)> {
    let mut directory = Dir::from_fd(directory)?;
    let mut found = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let name = entry.file_name().to_owned();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if found.len() == max {
            found.sort();
            return Ok((found, true));
        }
        let kind = entry.file_type().map(|it| match it {
            Type::File => Kind::File,
            Type::Directory => Kind::Directory,
            Type::Symlink => Kind::Link,
            Type::Fifo | Type::CharacterDevice | Type::BlockDevice | Type::Socket => Kind::Special,
        });
        found.push(Named { name, kind });
    }
    found.sort();
    Ok((found, false))
}

/// A name in a directory, with what it is if the directory says so.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) name: CString,
    kind: Option<Kind>,
}

impl Named {
    pub(super) fn kind(&self, directory: BorrowedFd) -> Kind {
        self.kind.unwrap_or_else(|| {
            look_raw(directory, &self.name).map_or(Kind::Special, |stat| kind(&stat))
        })
    }
}

struct Walk<'v> {
    left: usize,
    cut_short: bool,
    /// From the root downwards.
    ignores: Vec<Gitignore>,
    visit: &'v mut dyn FnMut(&Entry) -> ControlFlow<()>,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        directory: &OwnedFd,
        path: &Path,
        depth_left: usize,
    ) -> ControlFlow<()> {
        // A handle of its own for reading the names: it is used up by that.
        let Ok(names) = directory.try_clone() else { return self.stop() };
        // What cannot be read is left out.
        let Ok((entries, more)) = entries(names, self.left) else {
            return ControlFlow::Continue(());
        };
        self.left -= entries.len();
        let own_ignores = gitignore(directory.as_fd(), path);
        let has_ignores = own_ignores.is_some();
        self.ignores.extend(own_ignores);
        for entry in &entries {
            let kind = entry.kind(directory.as_fd());
            let below = path.join(OsStr::from_bytes(entry.name.to_bytes()));
            let is_directory = kind == Kind::Directory;
            if entry.name.to_bytes() == b".git" || self.is_ignored(&below, is_directory) {
                continue;
            }
            match kind {
                Kind::Special => {}
                Kind::File | Kind::Link => {
                    let name = &entry.name;
                    (self.visit)(&Entry { directory: directory.as_fd(), name, path: &below })?;
                }
                Kind::Directory if depth_left == 0 => self.cut_short = true,
                Kind::Directory => {
                    if let Some(inner) = open_entry_directory(directory.as_fd(), &entry.name) {
                        self.directory(&inner, &below, depth_left - 1)?;
                    }
                }
            }
        }
        if has_ignores {
            self.ignores.pop();
        }
        if more { self.stop() } else { ControlFlow::Continue(()) }
    }

    fn stop(&mut self) -> ControlFlow<()> {
        self.cut_short = true;
        ControlFlow::Break(())
    }

    /// The deepest file that says anything decides.
    fn is_ignored(&self, path: &Path, is_directory: bool) -> bool {
        for ignores in self.ignores.iter().rev() {
            match ignores.matched(path, is_directory) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }
}

/// The `.gitignore` of the directory at `path`; lines that are no patterns are left out.
fn gitignore(directory: BorrowedFd, path: &Path) -> Option<Gitignore> {
    let (file, _) = open_entry_file(directory, c".gitignore")?;
    let mut bytes = Vec::new();
    file.take(GITIGNORE_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let mut builder = GitignoreBuilder::new(path);
    for line in String::from_utf8_lossy(&bytes).lines() {
        builder.add_line(Some(PathBuf::from(path)), line).ok();
    }
    builder.build().ok()
}
