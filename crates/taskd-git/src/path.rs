//! A path inside a repository: bytes, with a text form that loses nothing. It knows no file system.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path relative to the root of a tree, with `/` between its parts. Displays as it is when it is
/// plain text, otherwise quoted the way git does (`"caf\351"`), so every path has exactly one text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// A path from its bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a relative path of the file system.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl From<&Path> for RepoPath {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<&str> for RepoPath {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(text) = std::str::from_utf8(&self.0)
            && !text.starts_with('"')
            && !text.chars().any(char::is_control)
        {
            return f.write_str(text);
        }
        f.write_str("\"")?;
        for &byte in &self.0 {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                0x20..=0x7e => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "\\{byte:03o}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A quoted path that does not follow the quoting rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a quoted path")]
pub struct BadPath {
    /// What was given.
    pub text: String,
}

impl FromStr for RepoPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let Some(quoted) = text.strip_prefix('"') else { return Ok(Self::from(text)) };
        let fail = || BadPath { text: text.to_owned() };
        let mut rest = quoted.strip_suffix('"').ok_or_else(fail)?.as_bytes();
        let mut bytes = Vec::with_capacity(rest.len());
        while let [first, tail @ ..] = rest {
            if *first != b'\\' {
                bytes.push(*first);
                rest = tail;
                continue;
            }
            if let [c @ (b'"' | b'\\'), tail @ ..] = tail {
                bytes.push(*c);
                rest = tail;
                continue;
            }
            let digits =
                tail.get(..3).and_then(|d| std::str::from_utf8(d).ok()).ok_or_else(fail)?;
            bytes.push(u8::from_str_radix(digits, 8).map_err(|_| fail())?);
            rest = &tail[3..];
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RepoPath;

    proptest! {
        #[test]
        fn text_loses_nothing(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let path = RepoPath::new(bytes);
            prop_assert_eq!(path.to_string().parse::<RepoPath>().expect("own text parses"), path);
        }
    }
}
