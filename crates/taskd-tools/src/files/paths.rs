//! Paths as a model writes them, and as we show them.
//!
//! Only looks at text: whether a path is inside once links are followed is `confine`'s business.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::ToolError;

const PATH_MAX_BYTES: usize = 4_096;
const PATH_SHOWN_MAX_CHARS: usize = 200;

/// A path below the worktree's root: no root, no `.`, no `..`, no empty names; empty is the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inside(Vec<String>);

impl Inside {
    /// Reads what a model wrote. An absolute path is fine if it begins with one of `roots`.
    pub(super) fn parse(text: &str, roots: &[&Path]) -> Result<Self, ToolError> {
        let refuse = |why| {
            let path = show(OsStr::new(text)).chars().take(PATH_SHOWN_MAX_CHARS).collect();
            Err(ToolError::BadPath { path, why })
        };
        if text.is_empty() {
            return refuse("it is empty; use a path relative to the worktree");
        }
        if text.len() > PATH_MAX_BYTES {
            return refuse("it is longer than 4096 bytes");
        }
        if text.contains('\0') {
            return refuse("it contains a NUL byte");
        }
        let path = Path::new(text);
        let below = if path.is_absolute() {
            match roots.iter().find_map(|root| path.strip_prefix(root).ok()) {
                Some(below) => below,
                None => return refuse("it is outside the worktree; use a path relative to it"),
            }
        } else {
            path
        };
        let below = below.to_str().expect("part of a str, split at slashes");
        let mut names = Vec::new();
        for name in below.split('/') {
            match name {
                "" | "." => {}
                // Taken back before anything is opened: no link is followed to find out where it is.
                ".." => {
                    if names.pop().is_none() {
                        return refuse(
                            "its `..` lead out of the worktree; use a path relative to it",
                        );
                    }
                }
                name => names.push(name.to_owned()),
            }
        }
        Ok(Self(names))
    }

    /// The root.
    pub(super) fn root() -> Self {
        Self(Vec::new())
    }

    /// Its first `depth` names.
    pub(super) fn above(&self, depth: usize) -> Self {
        Self(self.0[..depth].to_vec())
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    /// The directory it is in, and its name; the root has none.
    pub(super) fn split(&self) -> Option<(&[String], &str)> {
        self.0.split_last().map(|(name, parent)| (parent, name.as_str()))
    }

    /// The key of the read set, and what the model is shown.
    pub(super) fn text(&self) -> String {
        if self.0.is_empty() { ".".to_owned() } else { self.0.join("/") }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.iter().collect()
    }

    /// Git's own files, under any name a file system may take for `.git`.
    pub(super) fn touches_git(&self) -> bool {
        self.0.iter().any(|name| is_git_name(name))
    }
}

/// `.git` in any case, with what HFS+ ignores, and what NTFS makes of it.
fn is_git_name(name: &str) -> bool {
    let visible = |it: &char| !matches!(it, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let name: String = name.chars().filter(visible).flat_map(char::to_lowercase).collect();
    let stem = name.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    matches!(stem, ".git" | "git~1")
}

/// A name or path for people and models: control characters escaped, bytes that are not UTF-8 as
/// `\xNN`.
pub(super) fn show(name: &OsStr) -> String {
    let mut shown = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        for it in chunk.valid().chars() {
            if it.is_control() {
                shown.extend(it.escape_default());
            } else {
                shown.push(it);
            }
        }
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02x}").expect("a String takes everything");
        }
    }
    shown
}

/// At most `max_chars` characters, and whether that was less than all.
pub(super) fn cut(text: &str, max_chars: usize) -> (&str, bool) {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<String, ToolError> {
        Inside::parse(text, &[Path::new("/w/tree")]).map(|it| it.text())
    }

    #[test]
    fn paths_are_normalised_or_refused() {
        assert_eq!(parse("./a//b/./c/").unwrap(), "a/b/c");
        assert_eq!(parse("/w/tree/a").unwrap(), "a");
        assert_eq!(parse("/w/tree").unwrap(), ".");
        assert_eq!(parse("...").unwrap(), "...");
        assert_eq!(parse("a/../b").unwrap(), "b");
        assert_eq!(parse("a/b/../../c.").unwrap(), "c.");
        assert_eq!(parse("/w/tree/a/..").unwrap(), ".");
        for bad in ["", "a/../../b", "..", "/w/treehouse", "/etc/passwd", "a\0b", "/w/tree/../x"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&"a/".repeat(3000)).is_err());
    }

    #[test]
    fn every_spelling_of_git_is_git() {
        for name in [
            ".git",
            ".GIT",
            ".Git",
            ".git.",
            ".git ",
            "GIT~1",
            ".g\u{200c}it",
            ".git::$INDEX_ALLOCATION",
        ] {
            assert!(is_git_name(name), "{name:?}");
        }
        for name in [".gitignore", "git", ".github", "a.git", ".gitmodules"] {
            assert!(!is_git_name(name), "{name:?}");
        }
    }

    #[test]
    fn odd_names_are_shown_safely() {
        assert_eq!(show(OsStr::from_bytes(b"a\nb\xff\xc3\xa9")), "a\\nb\\xffé");
    }

    proptest! {
        #[test]
        fn what_is_accepted_has_only_plain_names(text in ".{0,40}|(\\.\\.?/|/|[a-c]/?){0,12}") {
            if let Ok(inside) = Inside::parse(&text, &[Path::new("/a")]) {
                for name in inside.names() {
                    prop_assert!(!name.is_empty() && name != "." && name != ".." && !name.contains('/'));
                }
            }
        }

        #[test]
        fn cutting_never_splits_a_character(text in ".{0,30}", max in 0usize..40) {
            let (kept, was_cut) = cut(&text, max);
            prop_assert_eq!(kept.chars().count(), text.chars().count().min(max));
            prop_assert_eq!(was_cut, kept.len() < text.len());
        }
    }
}
