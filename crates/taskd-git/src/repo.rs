//! `Repo`: where one repository is, which refs and worktrees in it are ours, and the small things
//! every operation starts with. It keeps no handle open and touches nothing by itself.

use std::path::{Path, PathBuf};

use git2::{Commit, Repository, RepositoryOpenFlags, Signature, Time, Tree};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::error::{GitError, git};

/// One repository, seen by one store. Cheap to make and to clone; every operation opens its own
/// handle, works, and closes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    git_dir: PathBuf,
    tag: String,
    worktrees: PathBuf,
    checkout: Option<PathBuf>,
}

/// Who a commit is by, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The person's name.
    pub name: String,
    /// The person's mail address.
    pub email: String,
    /// Seconds since 1970.
    pub when: i64,
}

impl Repo {
    /// A repository by its common git directory (see [`crate::probe`]), the four characters of the
    /// store, and the directory where this repository's worktrees live. One such directory must
    /// not be shared by two repositories.
    pub fn new(
        git_dir: impl Into<PathBuf>,
        tag: &str,
        worktrees: impl Into<PathBuf>,
    ) -> Result<Self, GitError> {
        let bad = |why| GitError::BadName { what: "store tag", name: tag.to_owned(), why };
        if tag.len() != 4 || !tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(bad("it must be four lowercase letters or digits"));
        }
        Ok(Self {
            git_dir: git_dir.into(),
            tag: tag.to_owned(),
            worktrees: worktrees.into(),
            checkout: None,
        })
    }

    /// The same, and where a checkout of it is. A git directory that stands away from its checkout
    /// (`git init --separate-git-dir`) does not say.
    #[must_use]
    pub fn with_checkout(mut self, root: impl Into<PathBuf>) -> Self {
        self.checkout = Some(root.into());
        self
    }

    /// The checkout of the git directory itself, unless it is bare or its checkout is gone.
    pub(crate) fn main_checkout(&self, repo: &Repository) -> Option<PathBuf> {
        let own = self.git_dir.canonicalize().ok()?;
        let is_it = |root: &&Path| {
            let found = Repository::open(root);
            found.is_ok_and(|it| it.path().canonicalize().is_ok_and(|it| it == own))
        };
        let guesses = [repo.workdir(), self.checkout.as_deref()];
        let root = guesses.into_iter().flatten().find(is_it).filter(|_| !repo.is_bare())?;
        root.canonicalize().ok()
    }

    /// The common git directory.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The store tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Where the worktree of this name is, whether it exists or not.
    #[must_use]
    pub fn worktree_path(&self, name: &str) -> PathBuf {
        self.worktrees.join(name)
    }

    /// A ref of ours: `own_ref("loops/p7-limiter-1")`.
    #[must_use]
    pub fn own_ref(&self, rest: &str) -> String {
        format!("refs/taskd/{}/{rest}", self.tag)
    }

    /// The person's identity as git would use it here, with the given time.
    pub fn identity(&self, when: i64) -> Result<Identity, GitError> {
        let repo = self.open()?;
        let config = repo.config().map_err(git("reading the config of", self.git_dir.display()))?;
        identity_in(&config, when)
    }

    /// The git directory is where it was.
    pub(crate) fn there(&self) -> Result<(), GitError> {
        if self.git_dir.exists() {
            return Ok(());
        }
        Err(GitError::Gone { path: self.git_dir.clone() })
    }

    pub(crate) fn worktrees(&self) -> &Path {
        &self.worktrees
    }

    pub(crate) fn open(&self) -> Result<Repository, GitError> {
        self.there()?;
        let none: [&Path; 0] = [];
        Repository::open_ext(&self.git_dir, RepositoryOpenFlags::NO_SEARCH, none)
            .map_err(git("opening the repository", self.git_dir.display()))
    }
}

pub(crate) fn identity_in(config: &git2::Config, when: i64) -> Result<Identity, GitError> {
    let get = |missing: &'static str| match config.get_string(missing) {
        Ok(text) if !text.trim().is_empty() => Ok(text),
        Ok(_) => Err(GitError::NoIdentity { missing }),
        Err(e) if e.code() == git2::ErrorCode::NotFound => Err(GitError::NoIdentity { missing }),
        Err(source) => {
            Err(GitError::Git { doing: "reading the config value", what: missing.into(), source })
        }
    };
    Ok(Identity { name: get("user.name")?, email: get("user.email")?, when })
}

impl Identity {
    pub(crate) fn signature(&self) -> Result<Signature<'static>, GitError> {
        Signature::new(&self.name, &self.email, &Time::new(self.when, 0))
            .map_err(git("using the identity", format!("{} <{}>", self.name, self.email)))
    }
}

pub(crate) fn to_git(oid: Oid) -> git2::Oid {
    git2::Oid::from_bytes(oid.as_bytes()).expect("20 bytes are a SHA-1 id")
}

pub(crate) fn from_git(oid: git2::Oid) -> Oid {
    let bytes = <[u8; 20]>::try_from(oid.as_bytes()).expect("only SHA-1 repositories are opened");
    Oid::from_bytes(bytes)
}

pub(crate) fn commit(repo: &Repository, oid: Oid) -> Result<Commit<'_>, GitError> {
    repo.find_commit(to_git(oid)).map_err(git("reading the commit", oid))
}

/// The tree of a commit, or the tree itself.
pub(crate) fn tree(repo: &Repository, oid: Oid) -> Result<Tree<'_>, GitError> {
    let object = repo.find_object(to_git(oid), None).map_err(git("reading", oid))?;
    object.peel_to_tree().map_err(git("reading the tree of", oid))
}

/// Writes a commit object; no ref moves.
pub(crate) fn write_commit(
    repo: &Repository,
    tree: &Tree<'_>,
    parents: &[&Commit<'_>],
    message: &str,
    by: &Signature<'_>,
) -> Result<Oid, GitError> {
    repo.commit(None, by, by, message, tree, parents)
        .map(from_git)
        .map_err(git("writing a commit of the tree", tree.id()))
}

#[cfg(test)]
mod tests {
    use super::identity_in;
    use crate::error::GitError;

    #[test]
    fn an_identity_needs_both_values() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("config");
        std::fs::write(&file, "[user]\n\tname = Ada\n").expect("write");
        let config = git2::Config::open(&file).expect("config");
        let err = identity_in(&config, 0).expect_err("no mail address");
        assert!(matches!(err, GitError::NoIdentity { missing: "user.email" }), "{err}");
        assert!(err.to_string().contains("git config --global user.email"));
        std::fs::write(&file, "[user]\n\tname = Ada\n\temail = ada@x.org\n").expect("write");
        let config = git2::Config::open(&file).expect("config");
        assert_eq!(identity_in(&config, 7).expect("complete").email, "ada@x.org");
    }
}
