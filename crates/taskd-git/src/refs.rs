//! Refs: read tips, publish by compare-and-swap, find who has a branch checked out. Writes only
//! refs of ours and, by `publish`, branches; never a branch it was not named, never backwards.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ReferenceType, Repository};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::error::{GitError, git, io};
use crate::repo::{Repo, commit, from_git, to_git};

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Published {
    /// The ref has moved.
    Done,
    /// It had already happened: the ref is there, or has moved on from there.
    AlreadyThere,
    /// The ref is somewhere else; nothing was written.
    Moved {
        /// Where it is.
        actual: Option<Oid>,
    },
}

impl Repo {
    /// The tip of a branch, by its short name: one of the person's, or else a remote's as it was
    /// last fetched (`origin/main`).
    pub fn tip(&self, branch: &str) -> Result<Option<Oid>, GitError> {
        let tip = self.own_tip(branch)?;
        if tip.is_some() { Ok(tip) } else { self.tip_of_ref(&format!("refs/remotes/{branch}")) }
    }

    /// The tip of a branch of the person's, by its short name.
    pub fn own_tip(&self, branch: &str) -> Result<Option<Oid>, GitError> {
        self.tip_of_ref(&format!("refs/heads/{branch}"))
    }

    /// The commit a ref points to, by its full name.
    pub fn tip_of_ref(&self, name: &str) -> Result<Option<Oid>, GitError> {
        tip_of(&self.open()?, name)
    }

    /// Moves a ref from `expected` to `new`, if it is still there. Looks first whether that has
    /// happened already. Only refs of ours and branches; a branch only forwards.
    pub fn publish(
        &self,
        ref_name: &str,
        new: Oid,
        expected: Option<Oid>,
        log_message: &str,
    ) -> Result<Published, GitError> {
        match self
            .publish_after(ref_name, new, expected, log_message, || Ok(Ok::<_, Infallible>(())))?
        {
            Ok(published) => Ok(published),
        }
    }

    /// The same, and once it is sure that the ref can move, with its lock held, `last` has a word:
    /// what it says instead of going on comes back, and nothing has moved.
    pub(crate) fn publish_after<T>(
        &self,
        ref_name: &str,
        new: Oid,
        expected: Option<Oid>,
        log_message: &str,
        last: impl FnOnce() -> Result<Result<(), T>, GitError>,
    ) -> Result<Result<Published, T>, GitError> {
        let refuse = |why| Err(GitError::RefRefused { name: ref_name.to_owned(), why });
        let branch = ref_name.starts_with("refs/heads/");
        if !branch && !ref_name.starts_with(&self.own_ref("")) {
            return refuse("only branches and its own refs");
        }
        if !git2::Reference::is_valid_name(ref_name) {
            return refuse("it is not a valid ref name");
        }
        let repo = self.open()?;
        commit(&repo, new)?;
        if let Some(expected) = expected
            && branch
            && !ancestor(&repo, expected, new)?
        {
            return Err(GitError::NotForward { name: ref_name.to_owned(), expected, new });
        }
        let doing = "locking the ref";
        let _intent = Intent::declare(self, ref_name)?;
        let mut change = repo.transaction().map_err(git(doing, ref_name))?;
        change.lock_ref(ref_name).map_err(|e| self.locked(doing, ref_name, e))?;
        // From here to the commit nobody else moves the ref, so what is read stays true.
        if is_symbolic(&repo, ref_name)? {
            return refuse("it is a symbolic ref; name the branch it stands for");
        }
        let actual = tip_of(&repo, ref_name)?;
        if let Some(tip) = actual
            && (tip == new || (Some(tip) != expected && ancestor(&repo, new, tip)?))
        {
            return Ok(Ok(Published::AlreadyThere));
        }
        if actual != expected {
            return Ok(Ok(Published::Moved { actual }));
        }
        if let Err(instead) = last()? {
            return Ok(Err(instead));
        }
        let doing = "moving the ref";
        let message = log_message.replace(['\n', '\0'], " ");
        change.set_target(ref_name, to_git(new), None, &message).map_err(git(doing, ref_name))?;
        change.commit().map_err(git(doing, ref_name))?;
        Ok(Ok(Published::Done))
    }

    /// Makes a branch where there is none. An existing one is never moved, wherever it is: then
    /// nothing is written.
    ///
    /// # Errors
    ///
    /// There is a branch of this name, or the name cannot be one.
    pub fn new_branch(&self, name: &str, at: Oid, log_message: &str) -> Result<(), GitError> {
        let bad = |why| GitError::BadName { what: "branch", name: name.to_owned(), why };
        if !git2::Branch::name_is_valid(name).unwrap_or(false) {
            return Err(bad("git takes no branch of this name"));
        }
        if self.own_tip(name)?.is_some() {
            return Err(bad("there is one already; name another"));
        }
        match self.publish(&format!("refs/heads/{name}"), at, None, log_message)? {
            Published::Done => Ok(()),
            Published::AlreadyThere | Published::Moved { .. } => {
                Err(bad("there is one already; name another"))
            }
        }
    }

    /// The person's checkouts, the main one and linked worktrees, that have this branch checked out
    /// or are rebasing it. Worktrees of ours are left out: they are detached.
    pub fn checked_out_at(&self, branch: &str) -> Result<Vec<PathBuf>, GitError> {
        let repo = self.open()?;
        let full = format!("refs/heads/{branch}");
        let mut found: Vec<PathBuf> = self
            .checkouts()?
            .iter()
            .filter(|meta| on_branch(meta, &full))
            .filter_map(|meta| self.root_of(&repo, meta))
            .collect();
        found.sort();
        Ok(found)
    }

    /// The git directories of the person's checkouts: the repository's own, whether it has a
    /// checkout or not, and those of linked worktrees that are not ours.
    pub(crate) fn checkouts(&self) -> Result<Vec<PathBuf>, GitError> {
        let mut found = vec![self.git_dir().to_owned()];
        let linked = self.git_dir().join("worktrees");
        let entries = match fs::read_dir(&linked) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(e) => return Err(io("reading", &linked)(e)),
        };
        for entry in entries {
            let meta = entry.map_err(io("reading", &linked))?.path();
            if !meta.join("taskd").exists() {
                found.push(meta);
            }
        }
        Ok(found)
    }

    /// Where the files of a checkout are, by its git directory; none if they are gone.
    pub(crate) fn root_of(&self, repo: &Repository, meta: &Path) -> Option<PathBuf> {
        if meta == self.git_dir() {
            return self.main_checkout(repo);
        }
        let link = fs::read(meta.join("gitdir")).ok()?;
        let link = meta.join(std::ffi::OsStr::from_bytes(link.trim_ascii()));
        link.parent().and_then(|root| root.canonicalize().ok())
    }

    /// The directories a watcher of these branches must watch: where `HEAD` and `packed-refs` are
    /// replaced, and where each branch's own file is (its nearest parent that exists).
    #[must_use]
    pub fn watch_paths(&self, branches: &[&str]) -> Vec<PathBuf> {
        let heads = self.git_dir().join("refs/heads");
        let remotes = self.git_dir().join("refs/remotes");
        let mut paths = BTreeSet::from([self.git_dir().to_owned(), heads.clone()]);
        for branch in branches {
            for below in [&heads, &remotes] {
                let file = below.join(branch);
                let parents = file.ancestors().skip(1).take_while(|dir| dir.starts_with(below));
                paths.extend(parents.filter(|dir| dir.is_dir()).map(Path::to_owned));
            }
        }
        paths.into_iter().collect()
    }

    /// Ends what a killed daemon was in the middle of: removes its locks on refs of ours and on a
    /// branch it was publishing just then, and brings a checkout whose files it was moving to where
    /// its branch is. A lock of anybody else's stays. For the start, before any work.
    pub fn clear_stale_locks(&self) -> Result<u32, GitError> {
        fn sweep(dir: &Path, cleared: &mut u32) -> Result<(), GitError> {
            let entries = match fs::read_dir(dir) {
                Ok(entries) => entries,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(io("reading", dir)(e)),
            };
            for entry in entries {
                let entry = entry.map_err(io("reading", dir))?;
                let path = entry.path();
                if entry.file_type().map_err(io("reading", &path))?.is_dir() {
                    sweep(&path, cleared)?;
                } else if path.extension().is_some_and(|end| end == "lock") {
                    fs::remove_file(&path).map_err(io("removing the lock", &path))?;
                    *cleared += 1;
                }
            }
            Ok(())
        }
        let mut cleared = 0;
        sweep(&self.git_dir().join(self.own_ref("")), &mut cleared)?;
        cleared += self.mend_checkouts()?;
        cleared += Intent::clear_left_over(self)?;
        Ok(cleared)
    }

    /// Points a ref of ours at a commit, wherever it was.
    pub(crate) fn write_own_ref(
        &self,
        repo: &Repository,
        name: &str,
        oid: Oid,
    ) -> Result<(), GitError> {
        debug_assert!(name.starts_with(&self.own_ref("")), "only refs of ours");
        match repo.reference(name, to_git(oid), true, "taskd") {
            Ok(_) => Ok(()),
            Err(e) => Err(self.locked("writing the ref", name, e)),
        }
    }

    fn lock_file(&self, name: &str) -> PathBuf {
        self.git_dir().join(format!("{name}.lock"))
    }

    pub(crate) fn locked(&self, doing: &'static str, name: &str, error: git2::Error) -> GitError {
        if error.code() == ErrorCode::Locked {
            let lock = self.lock_file(name);
            return GitError::RefLocked { name: name.to_owned(), lock };
        }
        git(doing, name)(error)
    }
}

/// A file beside our worktrees that says which ref we are about to lock, while we do. If we are
/// killed it stays, and proves that a lock made after it is ours.
struct Intent(PathBuf);

/// How the files are called: this, then the ref.
const INTENT: &str = "publishing-";

impl Intent {
    /// Says that `ref_name` is about to be locked. A lock that is there already is not ours.
    fn declare(repo: &Repo, ref_name: &str) -> Result<Self, GitError> {
        let lock = repo.lock_file(ref_name);
        if lock.exists() {
            return Err(GitError::RefLocked { name: ref_name.to_owned(), lock });
        }
        let dir = repo.worktrees();
        fs::create_dir_all(dir).map_err(io("making", dir))?;
        let file = dir.join(format!("{INTENT}{}", ref_name.replace('/', "%")));
        fs::write(&file, ref_name).map_err(io("writing", &file))?;
        Ok(Self(file))
    }

    /// Removes what a killed life had declared and locked.
    fn clear_left_over(repo: &Repo) -> Result<u32, GitError> {
        let dir = repo.worktrees();
        let mut cleared = 0;
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(io("reading", dir)(e)),
        };
        for entry in entries {
            let entry = entry.map_err(io("reading", dir))?;
            if !entry.file_name().as_bytes().starts_with(INTENT.as_bytes()) {
                continue;
            }
            let file = entry.path();
            let ref_name = fs::read_to_string(&file).map_err(io("reading", &file))?;
            let lock = repo.lock_file(&ref_name);
            let made = |path: &Path| fs::metadata(path).and_then(|it| it.modified());
            if let (Ok(locked), Ok(declared)) = (made(&lock), made(&file))
                && declared <= locked
            {
                fs::remove_file(&lock).map_err(io("removing the lock", &lock))?;
                cleared += 1;
            }
            fs::remove_file(&file).map_err(io("removing", &file))?;
        }
        Ok(cleared)
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Whether `old` is `new` or one of its ancestors.
pub(crate) fn ancestor(repo: &Repository, old: Oid, new: Oid) -> Result<bool, GitError> {
    if old == new {
        return Ok(true);
    }
    repo.graph_descendant_of(to_git(new), to_git(old))
        .map_err(git("looking for the ancestors of", new))
}

fn tip_of(repo: &Repository, name: &str) -> Result<Option<Oid>, GitError> {
    let found = match repo.find_reference(name) {
        Ok(found) => found,
        Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
        Err(e) => return Err(git("reading the ref", name)(e)),
    };
    let tip = found.peel_to_commit().map_err(git("reading the commit of", name))?;
    Ok(Some(from_git(tip.id())))
}

fn is_symbolic(repo: &Repository, name: &str) -> Result<bool, GitError> {
    match repo.find_reference(name) {
        Ok(found) => Ok(found.kind() == Some(ReferenceType::Symbolic)),
        Err(e) if e.code() == ErrorCode::NotFound => Ok(false),
        Err(e) => Err(git("reading the ref", name)(e)),
    }
}

/// Whether a checkout's HEAD, or the rebase it is in the middle of, is on this branch.
pub(crate) fn on_branch(git_dir: &Path, full: &str) -> bool {
    let says = |file: &str| fs::read(git_dir.join(file)).unwrap_or_default();
    says("HEAD").trim_ascii().strip_prefix(b"ref: ") == Some(full.as_bytes())
        || ["rebase-merge/head-name", "rebase-apply/head-name"]
            .iter()
            .any(|file| says(file).trim_ascii() == full.as_bytes())
}
