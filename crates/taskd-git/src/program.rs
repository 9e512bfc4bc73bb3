//! The git program, for the few things that need the person's own git: its sparse checkouts, its
//! index format, its ignore rules. No hooks, no filters, no prompts, nothing inherited from a `GIT_*`
//! variable. Every git that is started is in the daemon's log, with its arguments.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::error::{GitError, io};
use crate::filters;
use crate::path::RepoPath;

/// What every git is told before its own arguments: no hooks, no helper that watches files.
pub(crate) const SETTINGS: [&str; 4] =
    ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"];

/// The whole environment of every git: ours without `GIT_*`, and no prompts.
pub(crate) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    let ours = std::env::vars_os().filter(|(key, _)| !key.as_bytes().starts_with(b"GIT_"));
    let set = [("GIT_TERMINAL_PROMPT", "0"), ("GIT_OPTIONAL_LOCKS", "0"), ("LC_ALL", "C")];
    let set = set.map(|(key, value)| (OsString::from(key), OsString::from(value)));
    ours.filter(|(key, _)| key != "LC_ALL").chain(set)
}

/// Where a person's own attributes are unless they say otherwise.
pub(crate) fn usual_attributes() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|it| Path::new(&it).join(".config"));
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    base.map(|it| it.join("git/attributes"))
}

/// Runs git in a directory with all of `stdin`, and waits for it, however it ends.
pub(crate) fn run(dir: &Path, args: &[&OsStr], stdin: &[u8]) -> Result<Output, GitError> {
    run_with(dir, args, Feed::Bytes(stdin), None)
}

/// What a git reads from its standard input.
pub(crate) enum Feed<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Nothing it would look at: it has this file open, and the lock on it, until it ends. So the
    /// lock tells whether it still works, also when whoever started it has died.
    Holding(&'a File),
}

/// The same with another index than the checkout's, if one is named.
#[expect(clippy::disallowed_methods, reason = "the one place in this crate that starts a program")]
pub(crate) fn run_with(
    dir: &Path,
    args: &[&OsStr],
    stdin: Feed<'_>,
    index: Option<&Path>,
) -> Result<Output, GitError> {
    let given = match &stdin {
        Feed::Bytes(_) => Stdio::piped(),
        Feed::Holding(file) => file.try_clone().map_err(io("sharing a lock in", dir))?.into(),
    };
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(dir)
        .args(SETTINGS)
        .args(args)
        .env_clear()
        .envs(environment())
        .envs(filters::off(dir))
        .envs(index.map(|it| ("GIT_INDEX_FILE", it)))
        .stdin(given)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = |source| GitError::NoProgram { dir: dir.to_owned(), source };
    let begun = Instant::now();
    let mut child = command.spawn().map_err(start)?;
    if let (Feed::Bytes(stdin), Some(mut pipe)) = (stdin, child.stdin.take()) {
        // A program that ends without reading says why in its status.
        match pipe.write_all(stdin) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(io("writing to git in", dir)(e));
            }
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(io("waiting for git in", dir))?;
    record(command.get_args(), dir, &output.status.to_string(), begun.elapsed());
    Ok(output)
}

/// Runs git and takes anything but success as an error.
pub(crate) fn run_ok(dir: &Path, args: &[&OsStr], stdin: &[u8]) -> Result<Output, GitError> {
    expect_success(dir, args, run(dir, args, stdin)?)
}

/// Takes anything but success as an error.
pub(crate) fn expect_success(
    dir: &Path,
    args: &[&OsStr],
    output: Output,
) -> Result<Output, GitError> {
    if output.status.success() {
        return Ok(output);
    }
    Err(GitError::Program {
        dir: dir.to_owned(),
        args: args.join(OsStr::new(" ")).to_string_lossy().into_owned(),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// The paths of output made with `-z`.
pub(crate) fn paths(output: &Output) -> Vec<RepoPath> {
    output.stdout.split(|byte| *byte == 0).filter(|p| !p.is_empty()).map(RepoPath::new).collect()
}

/// The oldest git that does what is asked of it: filters are kept from running by variables that
/// older ones do not read.
pub const OLDEST: [u32; 2] = [2, 31];

/// Which git there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// In its own words: `git version 2.43.0`.
    pub said: String,
    /// Its first two numbers; zero where they are not told.
    pub number: [u32; 2],
}

/// Asks the git on our `PATH`, in a directory that is there.
///
/// # Errors
///
/// There is none, or it fails.
pub fn version(dir: &Path) -> Result<Version, GitError> {
    let said = run_ok(dir, &args(["version"]), b"")?.stdout;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let number = said.split(' ').nth(2).unwrap_or_default();
    let mut parts = number.split('.').map(|it| it.parse().unwrap_or(0));
    let number = [(); 2].map(|()| parts.next().unwrap_or(0));
    Ok(Version { said, number })
}

/// Arguments from text.
pub(crate) fn args<const N: usize>(args: [&str; N]) -> [&OsStr; N] {
    args.map(OsStr::new)
}

/// Longest line of arguments in the log, in characters.
const MAX_LINE_CHARS: usize = 2_000;

/// Writes down that a git has run: its arguments, where, how it ended and how long it took. What
/// libgit2 does in this process starts none.
pub(crate) fn record<'a>(
    args: impl Iterator<Item = &'a OsStr>,
    dir: &Path,
    how: &str,
    took: Duration,
) {
    let line = args.map(shown).collect::<Vec<_>>().join(" ");
    let line: String = line.chars().take(MAX_LINE_CHARS).collect();
    tracing::info!(dir = %dir.display(), how, took_ms = took.as_millis(), "git {line}");
}

/// An argument as one word, without who logs in at an address.
fn shown(arg: &OsStr) -> String {
    let text = arg.to_string_lossy();
    let text = match text.split_once("://") {
        Some((before, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            let from = host.rfind('@').map_or(0, |at| at + 1);
            format!("{before}://{}", &rest[from..])
        }
        None => text.into_owned(),
    };
    let plain =
        !text.is_empty() && !text.contains(|it: char| it.is_whitespace() || it.is_control());
    if plain { text } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::shown;

    #[test]
    fn an_argument_is_one_word_without_a_login() {
        let shown = |text: &str| shown(OsStr::new(text));
        assert_eq!(shown("read-tree"), "read-tree");
        assert_eq!(shown("a b\n"), "\"a b\\n\"");
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("https://pat:to@ken@host/x@y"), "https://host/x@y");
        assert_eq!(shown("https://host"), "https://host");
    }
}
