//! `read`: numbered lines of a text file, whatever the file is like.
//!
//! Memory is bounded by the limits, not by the file: long lines are cut while they are read, and a
//! file too large to be edited is never held whole. Refuses binary files and everything that is not
//! a regular file.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read as _};

use taskd_model::Digest;

use super::catalog::ReadArgs;
use super::confine::Workspace;
use super::paths::{Inside, cut};
use super::{Limits, ToolError, ToolOutput};

/// A NUL byte among the first so many means binary.
const BINARY_LOOK_BYTES: usize = 8 << 10;

pub(super) fn read(
    workspace: &Workspace,
    args: &ReadArgs,
    limits: &Limits,
) -> Result<ToolOutput, ToolError> {
    let offset = args.offset.unwrap_or(1).max(1);
    let limit = args.limit.unwrap_or(limits.read_max_lines).clamp(1, limits.read_max_lines);
    let path = workspace.inside(&args.path)?;
    let fail = |source| ToolError::Io { doing: "read", path: path.text(), source };
    let (mut file, stat) = workspace.open_file(&path)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);

    let mut reads_added = Vec::new();
    let page = if size <= limits.edit_file_max_bytes {
        let mut bytes = Vec::new();
        let max = limits.edit_file_max_bytes;
        (&mut file).take(max).read_to_end(&mut bytes).map_err(fail)?;
        reads_added.push((path.text(), Digest::of(&bytes)));
        page(&bytes[..], offset, limit, limits)
    } else {
        page(BufReader::with_capacity(64 << 10, file), offset, limit, limits)
    };
    let page = page.map_err(fail)?.ok_or_else(|| binary(&path))?;

    let mut text = page.text;
    for remark in page.remarks {
        writeln!(text, "[{remark}]").expect("a String takes everything");
    }
    if reads_added.is_empty() {
        writeln!(text, "[{size} bytes: too large to be edited; use run to change it]")
            .expect("a String takes everything");
    }
    Ok(ToolOutput { reads_added, ..ToolOutput::text(text) })
}

fn binary(path: &Inside) -> ToolError {
    ToolError::WrongKind {
        path: path.text(),
        kind: "a binary file",
        advice: "use run with a program that understands it",
    }
}

/// Some lines of a file, and what to say about the others.
struct Page {
    text: String,
    remarks: Vec<String>,
}

/// `None` if it is binary.
fn page(
    mut from: impl BufRead,
    offset: u64,
    limit: u64,
    limits: &Limits,
) -> io::Result<Option<Page>> {
    let start = from.fill_buf()?;
    if start[..start.len().min(BINARY_LOOK_BYTES)].contains(&0) {
        return Ok(None);
    }
    let mut page = Page { text: String::new(), remarks: Vec::new() };
    let (mut number, mut scanned, mut lossy) = (0, 0, false);
    // A character is at most four bytes; one more makes sure that a cut is seen.
    let keep_bytes = 4 * (limits.read_line_max_chars + 1);
    loop {
        let want = number + 1 >= offset;
        let keep = if want { keep_bytes } else { 0 };
        let budget = limits.read_scan_max_bytes - scanned;
        let Some(line) = bounded_line(&mut from, keep, budget)? else { break };
        number += 1;
        scanned += line.bytes;
        if want {
            lossy |= push_line(&mut page.text, number, &line, limits);
        }
        let next = number + 1;
        if scanned >= limits.read_scan_max_bytes {
            let mib = limits.read_scan_max_bytes >> 20;
            page.remarks.push(format!("stopped in line {number}: no more than {mib} MiB are looked at; use run for the rest"));
            break;
        }
        if next >= offset.saturating_add(limit) || page.text.len() >= limits.output_max_bytes {
            if !from.fill_buf()?.is_empty() {
                page.remarks.push(format!("more lines follow; continue with offset {next}"));
            }
            break;
        }
    }
    if number == 0 {
        page.remarks.push("the file is empty".to_owned());
    } else if page.text.is_empty() && page.remarks.is_empty() {
        page.remarks.push(format!("the file has only {number} lines"));
    }
    if lossy {
        page.remarks.push("bytes that are not UTF-8 are shown as \u{fffd}".to_owned());
    }
    Ok(Some(page))
}

struct Line {
    /// Its beginning, without the line feed.
    kept: Vec<u8>,
    /// Its length with the line feed, as far as it was looked at.
    bytes: u64,
}

/// One line, of which at most `keep` bytes are held; gives up after `budget` bytes.
fn bounded_line(from: &mut impl BufRead, keep: usize, budget: u64) -> io::Result<Option<Line>> {
    let mut line = Line { kept: Vec::new(), bytes: 0 };
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Ok((line.bytes > 0).then_some(line));
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let content = &buffer[..end.unwrap_or(buffer.len())];
        let room = keep - line.kept.len();
        line.kept.extend_from_slice(&content[..content.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        line.bytes += used as u64;
        from.consume(used);
        if end.is_some() || line.bytes >= budget {
            return Ok(Some(line));
        }
    }
}

/// True if something was not UTF-8.
fn push_line(text: &mut String, number: u64, line: &Line, limits: &Limits) -> bool {
    let whole = String::from_utf8_lossy(&line.kept);
    let (shown, was_cut) = cut(whole.trim_end_matches('\r'), limits.read_line_max_chars);
    write!(text, "{number:>6}\t{shown}").expect("a String takes everything");
    if was_cut {
        let bytes = line.bytes;
        write!(text, "… [cut: this line has {bytes} bytes]").expect("a String takes everything");
    }
    text.push('\n');
    shown.contains(char::REPLACEMENT_CHARACTER) && std::str::from_utf8(&line.kept).is_err()
}
