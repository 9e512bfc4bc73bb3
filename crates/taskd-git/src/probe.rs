//! Looks at a path and says which repository it is in and whether taskd can work with it. Changes
//! nothing.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Repository, RepositoryOpenFlags, StatusOptions};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::error::{GitError, git, io};
use crate::repo::from_git;

/// At most this many changed files are counted.
pub const MAX_DIRTY_FILES: u32 = 1000;

/// What is known of a repository when it is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The common git directory, canonical; a linked worktree and a submodule resolve to theirs.
    pub git_dir: PathBuf,
    /// The root of the checkout the path is in, or `git_dir` if the repository is bare.
    pub root: PathBuf,
    /// It has no checkout.
    pub bare: bool,
    /// The branch checked out; none when HEAD is detached.
    pub head_branch: Option<String>,
    /// The commit checked out.
    pub head: Oid,
    /// Changed and untracked files in the checkout, at most [`MAX_DIRTY_FILES`].
    pub dirty: u32,
    /// History is cut off.
    pub shallow: bool,
    /// Where work would land if nobody says otherwise.
    pub default_target: String,
}

/// Discovers the repository from any path inside it, and refuses what taskd cannot work with.
pub fn probe(path: &Path) -> Result<Probe, GitError> {
    let found = discover(path)?;
    let git_dir = common_dir(&found)?;
    refuse_formats(&git_dir)?;
    // By the path, not by what was found: a git directory that stands elsewhere does not know its
    // checkout.
    let none: [&Path; 0] = [];
    let repo = Repository::open_ext(path, RepositoryOpenFlags::empty(), none)
        .map_err(git("opening the repository", found.display()))?;
    let (head_branch, head) = head(&repo, &git_dir)?;
    let root = match repo.workdir() {
        Some(root) => root.canonicalize().map_err(io("finding the checkout", root))?,
        None => git_dir.clone(),
    };
    let default_target = default_target(&repo, head_branch.as_deref());
    Ok(Probe {
        bare: repo.is_bare(),
        dirty: dirty(&repo)?,
        shallow: repo.is_shallow(),
        git_dir,
        root,
        head_branch,
        head,
        default_target,
    })
}

fn discover(path: &Path) -> Result<PathBuf, GitError> {
    let none: [&Path; 0] = [];
    Repository::discover_path(path, none).map_err(|source| {
        if source.code() == ErrorCode::NotFound {
            GitError::NotARepository { path: path.to_owned(), source }
        } else {
            git("looking for a repository at", path.display())(source)
        }
    })
}

fn common_dir(git_dir: &Path) -> Result<PathBuf, GitError> {
    let link = git_dir.join("commondir");
    let common = match fs::read(&link) {
        Ok(text) => git_dir.join(std::ffi::OsStr::from_bytes(text.trim_ascii())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => git_dir.to_owned(),
        Err(e) => return Err(io("reading", &link)(e)),
    };
    common.canonicalize().map_err(io("finding the git directory", &common))
}

/// libgit2 cannot open these; its own message would not say what to do.
fn refuse_formats(git_dir: &Path) -> Result<(), GitError> {
    let file = git_dir.join("config");
    let config = git2::Config::open(&file).map_err(git("reading", file.display()))?;
    let is = |key: &str, value: &str| {
        config.get_string(key).is_ok_and(|found| found.eq_ignore_ascii_case(value))
    };
    let refuse =
        |format, instead| Err(GitError::Format { path: git_dir.to_owned(), format, instead });
    if is("extensions.objectformat", "sha256") {
        return refuse("sha256 object names", "`git init --object-format=sha1`");
    }
    if is("extensions.refstorage", "reftable") {
        return refuse("the reftable ref store", "`git clone --ref-format=files`");
    }
    Ok(())
}

fn head(repo: &Repository, git_dir: &Path) -> Result<(Option<String>, Oid), GitError> {
    let head = match repo.head() {
        Ok(head) => head,
        Err(e) if matches!(e.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            return Err(GitError::NoCommit { path: git_dir.to_owned() });
        }
        Err(e) => return Err(git("reading HEAD of", git_dir.display())(e)),
    };
    let commit = head.peel_to_commit().map_err(git("reading HEAD of", git_dir.display()))?;
    let branch = if head.is_branch() { head.shorthand().ok().map(str::to_owned) } else { None };
    Ok((branch, from_git(commit.id())))
}

fn default_target(repo: &Repository, head: Option<&str>) -> String {
    let exists = |name: &&str| repo.find_reference(&format!("refs/heads/{name}")).is_ok();
    let usual = ["main", "master"];
    match head {
        Some(name) if usual.contains(&name) => name.to_owned(),
        _ => usual.into_iter().find(exists).or(head).unwrap_or("main").to_owned(),
    }
}

fn dirty(repo: &Repository) -> Result<u32, GitError> {
    if repo.is_bare() {
        return Ok(0);
    }
    let mut options = StatusOptions::new();
    options.include_ignored(false).include_untracked(true).recurse_untracked_dirs(false);
    options.exclude_submodules(true);
    let found = repo
        .statuses(Some(&mut options))
        .map_err(git("looking for changes in", repo.path().display()))?;
    Ok(u32::try_from(found.len()).unwrap_or(u32::MAX).min(MAX_DIRTY_FILES))
}
