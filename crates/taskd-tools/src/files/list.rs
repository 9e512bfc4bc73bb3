//! `list`: one directory, as it is, ignored files included.
//!
//! Follows no link in it and opens nothing in it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;

use super::catalog::ListArgs;
use super::confine::{Kind, Workspace, link_target, look_raw};
use super::paths::show;
use super::walk::entries;
use super::{Limits, ToolError, ToolOutput};

pub(super) fn list(
    workspace: &Workspace,
    args: &ListArgs,
    limits: &Limits,
) -> Result<ToolOutput, ToolError> {
    let path = workspace.inside_or_root(args.path.as_deref())?;
    let fail = |source| ToolError::Io { doing: "list", path: path.text(), source };
    let directory = workspace.open_directory(&path)?;
    let names = directory.try_clone().map_err(fail)?;
    let (found, more) = entries(names, limits.walk_max_entries).map_err(fail)?;

    let mut text = String::new();
    let mut shown = 0;
    for entry in found.iter().take(limits.list_max_entries) {
        if text.len() >= limits.output_max_bytes {
            break;
        }
        shown += 1;
        let name = show(OsStr::from_bytes(entry.name.to_bytes()));
        let line = match entry.kind(directory.as_fd()) {
            Kind::Directory => format!("{name}/"),
            Kind::Special => format!("{name} (pipe, socket or device)"),
            Kind::Link => {
                let target = link_target(directory.as_fd(), &entry.name).unwrap_or_default();
                format!("{name} -> {}", show(&target))
            }
            Kind::File => match look_raw(directory.as_fd(), &entry.name) {
                Some(stat) => format!("{name} ({} bytes)", stat.st_size),
                None => name,
            },
        };
        writeln!(text, "{line}").expect("a String takes everything");
    }
    if found.is_empty() {
        text.push_str("[the directory is empty]\n");
    } else if more {
        text.push_str("[there are more, too many to count; use glob with a pattern]\n");
    } else if shown < found.len() {
        let rest = found.len() - shown;
        writeln!(text, "[{rest} others are not shown; use glob with a pattern]")
            .expect("a String takes everything");
    }
    Ok(ToolOutput::text(text))
}
