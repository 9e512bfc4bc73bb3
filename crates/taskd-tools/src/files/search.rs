//! `glob` and `grep`: finding files by name and lines by content.
//!
//! Leave out what git ignores, binary files, and lines too long to be anybody's; say so when a
//! limit ended the search. Follow no links below where they start.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::sinks::Lossy;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};

use super::catalog::{GlobArgs, GrepArgs};
use super::confine::{Kind, Workspace, open_entry_file, wrong_kind};
use super::paths::{cut, show};
use super::walk::walk;
use super::{Limits, ToolError, ToolOutput};

const PATTERN_MAX_BYTES: usize = 4 << 10;
/// A compiled pattern, and each of its automata.
const REGEX_MAX_BYTES: usize = 8 << 20;
/// A line longer than this ends the search of its file.
const LINE_BUFFER_MAX_BYTES: usize = 1 << 20;

pub(super) fn glob(
    workspace: &Workspace,
    args: &GlobArgs,
    limits: &Limits,
) -> Result<ToolOutput, ToolError> {
    let start = workspace.inside_or_root(args.path.as_deref())?;
    let wanted = glob_matcher(&args.pattern)?;
    let base = start.path();
    let mut found: Vec<String> = Vec::new();
    let mut bytes = 0;
    let mut full = false;
    let cut_short = walk(workspace, &start, limits, &mut |entry| {
        let below = entry.path.strip_prefix(&base).unwrap_or(entry.path);
        if wanted.is_match(below) {
            if found.len() == limits.list_max_entries || bytes >= limits.output_max_bytes {
                full = true;
                return ControlFlow::Break(());
            }
            found.push(show(entry.path.as_os_str()));
            bytes += found.last().map_or(0, String::len);
        }
        ControlFlow::Continue(())
    })?;
    found.sort();
    let mut text: String = found.iter().map(|path| format!("{path}\n")).collect();
    if full {
        say(&mut text, &format!("more than {} files match; use a narrower pattern", found.len()));
    } else if found.is_empty() {
        say(&mut text, "no file matches");
    }
    if cut_short {
        say(&mut text, "not everything was looked at: too many files; name a directory in `path`");
    }
    Ok(ToolOutput::text(text))
}

pub(super) fn grep(
    workspace: &Workspace,
    args: &GrepArgs,
    limits: &Limits,
) -> Result<ToolOutput, ToolError> {
    let start = workspace.inside_or_root(args.path.as_deref())?;
    let wanted = args.glob.as_deref().map(glob_matcher).transpose()?;
    let mut grep = Grep::new(regex(args)?, limits);
    let mut cut_short = false;
    match workspace.open_any(&start)? {
        (fd, Kind::File) => {
            let file = File::from(fd);
            let size = file.metadata().map_or(0, |it| it.len());
            // Whoever names a file means it: no flow to control, and the glob does not matter.
            let _only_one = grep.file(&file, size, &start.path());
        }
        (_, Kind::Directory) => {
            let base = start.path();
            cut_short = walk(workspace, &start, limits, &mut |entry| {
                let below = entry.path.strip_prefix(&base).unwrap_or(entry.path);
                if wanted.as_ref().is_some_and(|it| !it.is_match(below)) {
                    return ControlFlow::Continue(());
                }
                match open_entry_file(entry.directory, entry.name) {
                    Some((file, stat)) => {
                        grep.file(&file, u64::try_from(stat.st_size).unwrap_or(0), entry.path)
                    }
                    // A link, or gone.
                    None => ControlFlow::Continue(()),
                }
            })?;
        }
        (_, other @ (Kind::Link | Kind::Special)) => return Err(wrong_kind(start.text(), other)),
    }
    Ok(ToolOutput::text(grep.finish(cut_short)))
}

struct Grep<'l> {
    matcher: RegexMatcher,
    searcher: Searcher,
    limits: &'l Limits,
    text: String,
    matches: usize,
    searched_bytes: u64,
    skipped_files: usize,
    full: bool,
}

impl<'l> Grep<'l> {
    fn new(matcher: RegexMatcher, limits: &'l Limits) -> Self {
        let searcher = SearcherBuilder::new()
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(LINE_BUFFER_MAX_BYTES))
            .line_number(true)
            .build();
        Self {
            matcher,
            searcher,
            limits,
            text: String::new(),
            matches: 0,
            searched_bytes: 0,
            skipped_files: 0,
            full: false,
        }
    }

    fn file(&mut self, file: &File, size: u64, path: &Path) -> ControlFlow<()> {
        if size > self.limits.grep_file_max_bytes {
            self.skipped_files += 1;
            return ControlFlow::Continue(());
        }
        self.searched_bytes += size;
        if self.searched_bytes > self.limits.grep_total_max_bytes {
            self.full = true;
            return ControlFlow::Break(());
        }
        let name = show(path.as_os_str());
        let Self { matcher, searcher, limits, text, matches, full, .. } = self;
        let sink = Lossy(|number, line| {
            if *matches == limits.grep_max_matches || text.len() >= limits.output_max_bytes {
                *full = true;
                return Ok(false);
            }
            *matches += 1;
            push_match(text, &name, number, line, limits.grep_line_max_chars);
            Ok(true)
        });
        // What was found before an unreadable place or an endless line still counts.
        if searcher
            .search_reader(&*matcher, Bounded::new(file, limits.grep_file_max_bytes), sink)
            .is_err()
        {
            self.skipped_files += 1;
        }
        if self.full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(self, cut_short: bool) -> String {
        let mut text = self.text;
        if self.full {
            say(&mut text, "there is more; narrow the pattern, `path` or `glob`");
        } else if self.matches == 0 {
            say(&mut text, "no line matches");
        }
        if cut_short {
            say(
                &mut text,
                "not everything was searched: too many files; name a directory in `path`",
            );
        }
        if self.skipped_files > 0 {
            let count = self.skipped_files;
            say(
                &mut text,
                &format!(
                    "{count} files were not searched to their end: too large, or lines too long"
                ),
            );
        }
        text
    }
}

/// A file that grows while it is read must not keep us.
struct Bounded<'f> {
    file: &'f File,
    left_bytes: u64,
}

impl<'f> Bounded<'f> {
    fn new(file: &'f File, left_bytes: u64) -> Self {
        Self { file, left_bytes }
    }
}

impl io::Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left_bytes).unwrap_or(usize::MAX));
        let count = self.file.read(&mut buffer[..room])?;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

fn push_match(text: &mut String, path: &str, number: u64, line: &str, max_chars: usize) {
    let line = line.trim_end_matches(['\n', '\r']);
    let (shown, was_cut) = cut(line, max_chars);
    let more = if was_cut { "…" } else { "" };
    writeln!(text, "{path}:{number}:{shown}{more}").expect("a String takes everything");
}

fn say(text: &mut String, remark: &str) {
    writeln!(text, "[{remark}]").expect("a String takes everything");
}

fn regex(args: &GrepArgs) -> Result<RegexMatcher, ToolError> {
    check_length(&args.pattern)?;
    RegexMatcherBuilder::new()
        .case_insensitive(args.ignore_case)
        .line_terminator(Some(b'\n'))
        .size_limit(REGEX_MAX_BYTES)
        .dfa_size_limit(REGEX_MAX_BYTES)
        .build(&args.pattern)
        .map_err(|error| ToolError::BadArgument {
            what: format!("`pattern` is not a regular expression we can use (Rust syntax, one line at a time): {error}"),
        })
}

fn glob_matcher(pattern: &str) -> Result<GlobMatcher, ToolError> {
    check_length(pattern)?;
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let anywhere = if pattern.contains('/') { pattern } else { &format!("**/{pattern}") };
    let glob = GlobBuilder::new(anywhere).literal_separator(true).build().map_err(|error| {
        ToolError::BadArgument { what: format!("the glob is not one: {error}") }
    })?;
    Ok(glob.compile_matcher())
}

fn check_length(pattern: &str) -> Result<(), ToolError> {
    if pattern.is_empty() {
        let what = "the pattern is empty; say what to look for".to_owned();
        return Err(ToolError::BadArgument { what });
    }
    if pattern.len() > PATTERN_MAX_BYTES {
        return Err(ToolError::TooLarge {
            what: "the pattern".to_owned(),
            bytes: pattern.len() as u64,
            max_bytes: PATTERN_MAX_BYTES as u64,
            advice: "use a shorter one",
        });
    }
    Ok(())
}
