//! The tools of a native loop: a small closed set, confined to one worktree.
//!
//! [`catalog`] is what a model is told; [`execute_file_tool`] does one call, blocking, and always
//! answers: whatever is wrong is an error *result* that says what to do next. `run` is only read
//! here ([`run_spec`]), the daemon runs it under a supervisor; so is `recall` ([`recall_spec`]), whose
//! texts are the daemon's, and `ask` ([`ask_spec`]), which waits for a person, and messages to other
//! loops ([`talk_spec`]); `finish` has no effect here.
//!
//! Refuses to: leave the worktree (every component is opened beneath the one before, by the kernel
//! where it can), write into `.git`, write through a symbolic link, change a file the loop has not
//! read as it is now, block on a pipe, or return more than its limits.

mod ask;
mod catalog;
mod change;
mod confine;
mod error;
mod list;
mod paths;
mod read;
mod recall;
mod search;
mod talk;
mod walk;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taskd_model::{Code, Digest};

pub use ask::{AskSpec, ask_spec};
pub use catalog::{RunSpec, ToolSpec, admit, catalog, reads, run_spec};
pub use confine::{OpenWorkspaceError, Workspace};
pub use error::ToolError;
pub use recall::{RECALL, RECALL_PAGE_BYTES, RecallSpec, recall_spec};
pub use talk::{ALERT, QUERY, SHARE, STOP, Talk, talk_spec, talks};

/// Does one call of a file tool and answers; blocks for as long as the disk does.
///
/// `allow` is the loop type's list of tool names: what is not on it is refused here, whatever the
/// model was told. `reads` is what the loop has read in this iteration; the caller adds
/// [`ToolOutput::reads_added`] to it.
#[must_use]
pub fn execute_file_tool(
    workspace: &Workspace,
    name: &str,
    args_json: &str,
    allow: &[String],
    reads: &ReadSet,
    limits: &Limits,
) -> ToolOutput {
    let answer = admit(name, allow).and_then(|tool| match tool.name {
        "read" => read::read(workspace, &catalog::parse(tool, args_json)?, limits),
        "write" => change::write(workspace, &catalog::parse(tool, args_json)?, reads, limits),
        "edit" => change::edit(workspace, &catalog::parse(tool, args_json)?, reads, limits),
        "list" => list::list(workspace, &catalog::parse(tool, args_json)?, limits),
        "glob" => search::glob(workspace, &catalog::parse(tool, args_json)?, limits),
        "grep" => search::grep(workspace, &catalog::parse(tool, args_json)?, limits),
        "finish" => catalog::finish(&catalog::parse(tool, args_json)?),
        other => Err(ToolError::NotAFileTool { name: other.to_owned() }),
    });
    answer.unwrap_or_else(|error| ToolOutput::error(&error))
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// For the model; bounded by [`Limits`].
    pub text: String,
    /// The call did nothing, and `text` says why.
    pub is_error: bool,
    /// Files that now count as read, as they are now: path relative to the worktree, and digest.
    pub reads_added: Vec<(String, Digest)>,
    /// Files that were created or changed, relative to the worktree.
    pub wrote: Vec<String>,
    /// What went wrong, where it has a code.
    pub code: Option<Code>,
}

impl ToolOutput {
    /// An error result.
    #[must_use]
    pub fn error(error: &ToolError) -> Self {
        Self { is_error: true, code: Some(error.code()), ..Self::text(error.for_model()) }
    }

    pub(super) fn text(text: String) -> Self {
        Self { text, is_error: false, reads_added: Vec::new(), wrote: Vec::new(), code: None }
    }
}

/// What a loop has read in this iteration: path relative to the worktree, digest of the whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReadSet(pub BTreeMap<String, Digest>);

impl ReadSet {
    /// Adds what a call has read or written.
    pub fn extend(&mut self, added: impl IntoIterator<Item = (String, Digest)>) {
        self.0.extend(added);
    }

    /// The file was read, and was like this.
    #[must_use]
    pub fn has(&self, path: &str, digest: &Digest) -> bool {
        self.0.get(path) == Some(digest)
    }
}

/// How much a call may take, read and return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Lines one `read` returns unless it asks for fewer.
    pub read_max_lines: u64,
    /// Bytes of text any call returns (before its closing remark).
    pub output_max_bytes: usize,
    /// A line of `read` is cut after this many characters.
    pub read_line_max_chars: usize,
    /// How far `read` looks for its first line.
    pub read_scan_max_bytes: u64,
    /// What `write` can write.
    pub write_max_bytes: usize,
    /// The largest file `edit` changes and `write` replaces.
    pub edit_file_max_bytes: u64,
    /// Entries `list` and `glob` return.
    pub list_max_entries: usize,
    /// Matches `grep` returns.
    pub grep_max_matches: usize,
    /// A line of `grep` is cut after this many characters.
    pub grep_line_max_chars: usize,
    /// Larger files are not searched.
    pub grep_file_max_bytes: u64,
    /// All that one `grep` searches.
    pub grep_total_max_bytes: u64,
    /// Directory entries one `list`, `glob` or `grep` looks at.
    pub walk_max_entries: usize,
    /// Directories within directories.
    pub walk_max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_max_lines: 2_000,
            output_max_bytes: 256 << 10,
            read_line_max_chars: 2_000,
            read_scan_max_bytes: 64 << 20,
            write_max_bytes: 1 << 20,
            edit_file_max_bytes: 8 << 20,
            list_max_entries: 1_000,
            grep_max_matches: 200,
            grep_line_max_chars: 400,
            grep_file_max_bytes: 32 << 20,
            grep_total_max_bytes: 512 << 20,
            walk_max_entries: 200_000,
            walk_max_depth: 64,
        }
    }
}
