//! The repository as the checks see it: its root, its files, its packages.
//!
//! Walks the tree itself instead of asking git, so that a file is checked before it is committed
//! and an export without `.git` can be checked too.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process;

/// One file that belongs to the repository; `path` is relative to the root, with `/`.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Absent when the file is not text.
    pub(crate) text: Option<String>,
}

impl File {
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|it| it == extension)
    }

    /// The lines with their numbers, from 1; none if the file is not text.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.iter().flat_map(|it| it.lines()).enumerate().map(|(n, line)| (n + 1, line))
    }
}

pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask is a folder of the repository")
}

/// Every file that is not ignored, sorted by path.
pub(crate) fn files() -> Result<Vec<File>> {
    let ignored = Ignored::read()?;
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("listing {folder:?}"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("listing {folder:?}"))?;
            let path = relative(&entry.path());
            if ignored.covers(&path) {
                continue;
            }
            let kind = entry.file_type().with_context(|| format!("looking at {path}"))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(read(path, &entry.path())?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(path: String, at: &Path) -> Result<File> {
    let content = fs::read(at).with_context(|| format!("reading {path}"))?;
    let bytes = u64::try_from(content.len()).context("a file longer than 64 bits can say")?;
    let text = String::from_utf8(content).ok().filter(|it| !it.contains('\0'));
    Ok(File { path, bytes, text })
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

/// The root `.gitignore`, as far as ours goes: `/name`, `name` and `*.suffix`.
struct Ignored {
    patterns: Vec<String>,
}

impl Ignored {
    fn read() -> Result<Self> {
        let text = read_text(".gitignore")?;
        let wanted = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let patterns = text.lines().map(str::trim).filter(wanted).map(String::from).collect();
        Ok(Self { patterns })
    }

    fn covers(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        name == ".git"
            || self.patterns.iter().map(|it| it.trim_end_matches('/')).any(|pattern| {
                match (pattern.strip_prefix('/'), pattern.strip_prefix('*')) {
                    (Some(from_root), _) => path == from_root,
                    (None, Some(suffix)) => name.ends_with(suffix),
                    (None, None) => name == pattern,
                }
            })
    }
}

pub(crate) fn read_text(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("reading {path}"))
}

pub(crate) fn exists(path: &Path) -> bool {
    root().join(path).exists()
}

/// What cargo knows about the workspace and everything below it, for this machine.
pub(crate) fn metadata() -> Result<Value> {
    let mut command = process::cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform=host-tuple",
    ]);
    let out = process::output(&mut command)?;
    serde_json::from_slice(&out).context("reading what `cargo metadata` prints")
}

pub(crate) fn text_of<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("`cargo metadata` has no text `{key}`"))
}

pub(crate) fn list_of<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    let list = value[key].as_array();
    Ok(list.with_context(|| format!("`cargo metadata` has no list `{key}`"))?)
}

/// Prints what is wrong, or that nothing is.
pub(crate) fn verdict(check: &str, bad: &[String]) -> Result<()> {
    for line in bad {
        println!("{line}");
    }
    anyhow::ensure!(bad.is_empty(), "{check}: {} to put right", bad.len());
    Ok(())
}
