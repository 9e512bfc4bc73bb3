//! Content that a commit only points to: submodules, which are commits of another repository, and
//! files of Git LFS, whose blobs are pointers.
//!
//! Nothing of it is fetched here; a setup command does that. Here is said what there is, when it
//! points elsewhere than before, and which of it a worktree has otherwise than it came: that cannot
//! land from here, because what lands is this repository's.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use git2::{AttrCheckFlags, Repository, StatusOptions};
use sha2::{Digest as _, Sha256};
use taskd_model::Oid;

use crate::error::GitError;
use crate::path::RepoPath;
use crate::repo::{Repo, tree};
use crate::spot::Kind;
use crate::tree::{Leaf, changed};

/// Mode of a submodule's entry in a tree.
const LINK: i32 = 0o160_000;
/// No pointer is longer, in bytes.
const MAX_POINTER_BYTES: usize = 1024;
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// What a commit points to and does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Where the submodules are.
    pub submodules: Vec<RepoPath>,
    /// The first attribute file that gives files to Git LFS.
    pub lfs: Option<RepoPath>,
}

impl Repo {
    /// What a commit points to and does not hold.
    pub fn elsewhere(&self, commit: Oid) -> Result<Elsewhere, GitError> {
        let repo = self.open()?;
        let mut found = Elsewhere::default();
        for it in changed(&repo, None, &tree(&repo, commit)?)? {
            let Some((mode, id)) = it.new else { continue };
            let is_rules =
                || it.path.as_path().file_name().is_some_and(|it| it == ".gitattributes");
            if mode == LINK {
                found.submodules.push(it.path);
            } else if found.lfs.is_none()
                && is_rules()
                && repo.find_blob(id).is_ok_and(|it| gives_to_lfs(it.content()))
            {
                found.lfs = Some(it.path);
            }
        }
        Ok(found)
    }

    /// Whether one of two commits points to something that the other does not: what a setup command
    /// fetched for the first is not what the second needs.
    pub fn points_elsewhere(&self, from: Oid, to: Oid) -> Result<bool, GitError> {
        let repo = self.open()?;
        let all = changed(&repo, Some(&tree(&repo, from)?), &tree(&repo, to)?)?;
        let points = |it: Option<Leaf>| {
            it.is_some_and(|(mode, id)| mode == LINK || pointer_in(&repo, id).is_some())
        };
        Ok(all.iter().any(|it| points(it.old) || points(it.new)))
    }

    /// Submodules of a worktree that are fetched, and not as the commit of this repository says:
    /// at another commit, or with tracked files changed.
    pub fn changed_submodules(&self, name: &str, base: Oid) -> Result<Vec<RepoPath>, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        spot.existing()?;
        let repo = self.open()?;
        let base = tree(&repo, base)?;
        if base.get_name(".gitmodules").is_none() {
            // Without it nothing says where they would come from.
            return Ok(Vec::new());
        }
        let all = changed(&repo, None, &base)?;
        let fetched = all.into_iter().filter_map(|it| {
            let (_, commit) = it.new.filter(|it| it.0 == LINK)?;
            is_changed(&spot.dir.join(it.path.as_path()), commit).then_some(it.path)
        });
        Ok(fetched.collect())
    }
}

fn is_changed(dir: &Path, commit: git2::Oid) -> bool {
    if !dir.join(".git").exists() {
        return false;
    }
    let Ok(repo) = Repository::open(dir) else { return false };
    let there = repo.head().ok().and_then(|it| it.target());
    let mut options = StatusOptions::new();
    options.include_untracked(false).exclude_submodules(true);
    there != Some(commit) || repo.statuses(Some(&mut options)).is_ok_and(|it| !it.is_empty())
}

fn gives_to_lfs(attributes: &[u8]) -> bool {
    let mut lines = attributes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| !line.starts_with(b"#") && line.windows(10).any(|it| it == b"filter=lfs"))
}

/// What a pointer names.
struct Pointer {
    sha256: String,
    bytes: u64,
}

fn pointer(blob: &[u8]) -> Option<Pointer> {
    let text = std::str::from_utf8(blob.strip_prefix(POINTER)?).ok()?;
    let value = |key: &str| text.lines().find_map(|it| it.strip_prefix(key));
    let (sha256, bytes) = (value("oid sha256:")?, value("size ")?);
    Some(Pointer { sha256: sha256.to_owned(), bytes: bytes.parse().ok()? })
}

fn pointer_in(repo: &Repository, blob: git2::Oid) -> Option<Pointer> {
    let (size, _) = repo.odb().ok()?.read_header(blob).ok()?;
    if MAX_POINTER_BYTES < size {
        return None;
    }
    pointer(repo.find_blob(blob).ok()?.content())
}

/// Whether a file is the content that the pointer in this blob names: somebody has pulled it, and
/// nothing has changed.
pub(crate) fn is_pulled(repo: &Repository, blob: git2::Oid, file: &Path) -> bool {
    let Some(wanted) = pointer_in(repo, blob) else { return false };
    let is_file =
        fs::symlink_metadata(file).is_ok_and(|it| it.is_file() && it.len() == wanted.bytes);
    is_file && sha256(file).is_ok_and(|it| it == wanted.sha256)
}

fn sha256(file: &Path) -> io::Result<String> {
    let mut sum = Sha256::new();
    io::copy(&mut File::open(file)?, &mut sum)?;
    Ok(sum.finalize().iter().map(|it| format!("{it:02x}")).collect())
}

/// Whether a file belongs to Git LFS and its stored bytes are no pointer. The repository is that of
/// the worktree it is in.
pub(crate) fn is_raw(repo: &Repository, path: &RepoPath, stored: &[u8]) -> bool {
    let how = AttrCheckFlags::FILE_THEN_INDEX;
    let filter = repo.get_attr(path.as_path(), "filter", how);
    !stored.is_empty() && matches!(filter, Ok(Some("lfs"))) && pointer(stored).is_none()
}

#[cfg(test)]
mod tests {
    use super::{gives_to_lfs, pointer};

    #[test]
    fn a_pointer_is_what_the_specification_says() {
        let text = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab12\nsize 42\n";
        let found = pointer(text).expect("one");
        assert_eq!((found.sha256.as_str(), found.bytes), ("ab12", 42));
        assert!(pointer(b"version https://git-lfs.github.com/spec/v1\nsize 42\n").is_none());
        assert!(pointer(b"anything else").is_none());
    }

    #[test]
    fn attributes_that_name_the_filter() {
        assert!(gives_to_lfs(b"*.txt text\n*.bin filter=lfs diff=lfs merge=lfs -text\n"));
        assert!(!gives_to_lfs(b"# *.bin filter=lfs\n*.bin filter=other\n"));
    }
}
