//! `write` and `edit`: a whole new file or none, over a file that was read as it is now.
//!
//! A file is replaced by renaming a complete one over it, in a directory reached without following
//! any link. Refuses to write through links, over anything that is not a regular file, and over
//! what the loop has not seen.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};
use taskd_model::Digest;

use super::catalog::{EditArgs, WriteArgs};
use super::confine::{Kind, Workspace, io_error, kind, link_at, look, wrong_kind};
use super::paths::{Inside, cut};
use super::{Limits, ReadSet, ToolError, ToolOutput};

/// Files being written begin with this; one is left behind only by a crash.
const FRESH_PREFIX: &str = ".taskd-new-";
/// Lines shown on each side of an edit.
const CONTEXT_LINES: usize = 3;
/// Lines of an edit that are shown.
const SHOWN_MAX_LINES: usize = 40;
const SHOWN_LINE_MAX_CHARS: usize = 200;

pub(super) fn write(
    workspace: &Workspace,
    args: &WriteArgs,
    reads: &ReadSet,
    limits: &Limits,
) -> Result<ToolOutput, ToolError> {
    if args.content.len() > limits.write_max_bytes {
        return Err(ToolError::TooLarge {
            what: "`content`".to_owned(),
            bytes: args.content.len() as u64,
            max_bytes: limits.write_max_bytes as u64,
            advice: "write less at once, or generate the file with run",
        });
    }
    let path = workspace.inside(&args.path)?;
    let target = match target(workspace, &path, false) {
        Err(ToolError::NotFound { .. }) => target(workspace, &path, true)?,
        other => other?,
    };
    if target.mode.is_some() {
        seen_content(workspace, &path, reads, limits)?;
    }
    let created = if target.mode.is_some() { "replaced" } else { "created" };
    target.replace(&path, args.content.as_bytes())?;
    let (bytes, lines) = (args.content.len(), args.content.lines().count());
    let text = format!("{created} {} ({lines} lines, {bytes} bytes)", path.text());
    Ok(changed(&path, args.content.as_bytes(), text))
}

pub(super) fn edit(
    workspace: &Workspace,
    args: &EditArgs,
    reads: &ReadSet,
    limits: &Limits,
) -> Result<ToolOutput, ToolError> {
    let bad = |what: &str| Err(ToolError::BadArgument { what: what.to_owned() });
    if args.old.is_empty() {
        return bad("`old` is empty; to create or replace a whole file use write");
    }
    if args.old == args.new {
        return bad("`old` and `new` are the same; there is nothing to change");
    }
    let path = workspace.inside(&args.path)?;
    let target = target(workspace, &path, false)?;
    if target.mode.is_none() {
        return Err(ToolError::NotFound { path: path.text() });
    }
    let before = seen_content(workspace, &path, reads, limits)?;
    let Ok(before) = String::from_utf8(before) else {
        return Err(ToolError::WrongKind {
            path: path.text(),
            kind: "not UTF-8 text",
            advice: "use run to change it",
        });
    };
    let (old, new) = in_the_files_line_ends(&before, &args.old, &args.new);
    let count = before.matches(&*old).count();
    if count == 0 {
        let hint = hint(&before, &args.old);
        return Err(ToolError::OldNotFound { path: path.text(), hint });
    }
    if count > 1 && !args.all {
        return Err(ToolError::OldNotUnique { path: path.text(), count });
    }
    let size = (before.len() - count * old.len()).saturating_add(count.saturating_mul(new.len()));
    if size as u64 > limits.edit_file_max_bytes {
        return Err(ToolError::TooLarge {
            what: format!("`{}` after this edit", path.text()),
            bytes: size as u64,
            max_bytes: limits.edit_file_max_bytes,
            advice: "make a smaller change",
        });
    }
    let at = before.find(&*old).expect("it was counted");
    let after = before.replace(&*old, &new);
    target.replace(&path, after.as_bytes())?;
    let places = if count == 1 { "1 place" } else { &format!("{count} places") };
    let text = format!("edited {} in {places}\n{}", path.text(), around(&after, at, new.len()));
    Ok(changed(&path, after.as_bytes(), text))
}

fn changed(path: &Inside, content: &[u8], text: String) -> ToolOutput {
    ToolOutput {
        reads_added: vec![(path.text(), Digest::of(content))],
        wrote: vec![path.text()],
        ..ToolOutput::text(text)
    }
}

/// Where a file will be put.
struct Target<'a> {
    directory: OwnedFd,
    name: &'a str,
    /// The permissions of the regular file that is there; nothing is there without.
    mode: Option<Mode>,
}

fn target<'a>(
    workspace: &Workspace,
    path: &'a Inside,
    create: bool,
) -> Result<Target<'a>, ToolError> {
    let (directory, name) = workspace.open_parent(path, create)?;
    let there = look(&directory, name).map_err(|errno| io_error("look at", path, errno))?;
    let mode = match there.map(|stat| (kind(&stat), stat)) {
        None => None,
        Some((Kind::File, stat)) => Some(Mode::from_bits_truncate(stat.st_mode & 0o777)),
        Some((Kind::Link, _)) => {
            let link = link_at(&directory, name, path.text());
            return Err(link.unwrap_or_else(|| wrong_kind(path.text(), Kind::Link)));
        }
        Some((other, _)) => return Err(wrong_kind(path.text(), other)),
    };
    Ok(Target { directory, name, mode })
}

impl Target<'_> {
    /// Writes a complete file beside it, then renames.
    fn replace(&self, path: &Inside, content: &[u8]) -> Result<(), ToolError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = format!("{FRESH_PREFIX}{}-{number}", std::process::id());
        let written = self.write_fresh(&fresh, content);
        let renamed = written.and_then(|()| {
            renameat(&self.directory, fresh.as_str(), &self.directory, self.name)
                .map_err(std::io::Error::from)
        });
        renamed.map_err(|source| {
            unlinkat(&self.directory, fresh.as_str(), UnlinkatFlags::NoRemoveDir).ok();
            ToolError::Io { doing: "write", path: path.text(), source }
        })
    }

    fn write_fresh(&self, fresh: &str, content: &[u8]) -> std::io::Result<()> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.directory, fresh, flags, Mode::from_bits_truncate(0o666))?;
        if let Some(mode) = self.mode {
            fchmod(&fd, mode)?;
        }
        std::fs::File::from(fd).write_all(content)
    }
}

/// The file's content, if the loop has read it like this.
fn seen_content(
    workspace: &Workspace,
    path: &Inside,
    reads: &ReadSet,
    limits: &Limits,
) -> Result<Vec<u8>, ToolError> {
    let (file, stat) = workspace.open_file(path)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > limits.edit_file_max_bytes {
        return Err(ToolError::TooLarge {
            what: format!("`{}`", path.text()),
            bytes: size,
            max_bytes: limits.edit_file_max_bytes,
            advice: "use run to change it",
        });
    }
    if !reads.0.contains_key(&path.text()) {
        return Err(ToolError::NotRead { path: path.text() });
    }
    let mut bytes = Vec::new();
    file.take(limits.edit_file_max_bytes)
        .read_to_end(&mut bytes)
        .map_err(|source| ToolError::Io { doing: "read", path: path.text(), source })?;
    if reads.has(&path.text(), &Digest::of(&bytes)) {
        Ok(bytes)
    } else {
        Err(ToolError::Changed { path: path.text() })
    }
}

/// Models write `\n`; a file that has `\r\n` keeps it.
fn in_the_files_line_ends<'a>(
    content: &str,
    old: &'a str,
    new: &'a str,
) -> (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>) {
    let as_crlf = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
    if !content.contains(old) && content.contains("\r\n") && content.contains(&as_crlf(old)) {
        (as_crlf(old).into(), as_crlf(new).into())
    } else {
        (old.into(), new.into())
    }
}

/// Where a line like the first one of `old` is, if whitespace is what differs.
fn hint(content: &str, old: &str) -> String {
    let Some(wanted) = old.lines().map(str::trim).find(|line| !line.is_empty()) else {
        return String::new();
    };
    match content.lines().position(|line| line.trim() == wanted) {
        Some(index) => {
            format!(" (line {} differs only in whitespace or in what follows)", index + 1)
        }
        None => String::new(),
    }
}

/// The changed lines with a few around them, numbered.
fn around(content: &str, at: usize, len: usize) -> String {
    let first = content[..at].matches('\n').count();
    let last = first + content[at..at + len].matches('\n').count();
    let from = first.saturating_sub(CONTEXT_LINES);
    let count = (last + CONTEXT_LINES + 1 - from).min(SHOWN_MAX_LINES);
    let lines = content.lines().enumerate().skip(from).take(count);
    lines
        .map(|(index, line)| format!("{:>6}\t{}\n", index + 1, cut(line, SHOWN_LINE_MAX_CHARS).0))
        .collect()
}
