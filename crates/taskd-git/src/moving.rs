//! Moves a branch together with the person's checkouts that have it, as one step for everybody else:
//! from before the first file moves until the branch has moved and a moment longer, the locks of each
//! checkout's index and HEAD are ours (see `hold`), and while files move the branch's too. So no
//! git of the person's takes what has landed for a change of theirs, or puts the branch back.
//!
//! What a crash leaves is brought to where the branch is: the index on disk is the old or the new one
//! and never anything between, so the files that are ours to move first become what it says, and then
//! follow the branch if it had moved. Files that are neither commit's are the person's, and stay.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Repository;
use taskd_model::Oid;

use crate::error::{GitError, git};
use crate::follow::{Follow, Look, Manner, Target, look, named_in, not_now};
use crate::hold::{Hold, Note, head_lock, index_lock};
use crate::path::RepoPath;
use crate::program::{Feed, args, expect_success, run_with};
use crate::refs::Published;
use crate::repo::Repo;

/// A git that had read where HEAD is before the branch moved must not get a lock after it: so long
/// the locks stay, beyond the time a git waits for the lock of a ref by default.
const REF_LOCK_PATIENCE: Duration = Duration::from_millis(100);
const LINGER: Duration = Duration::from_millis(50);
/// Longest that the locks stay, whatever the person's git is told to wait.
const MAX_LINGER: Duration = Duration::from_secs(1);
/// How old the lock of a git that still writes files may be: an older one was left by one that died.
const STALE: Duration = Duration::from_secs(600);
/// How often such a git is looked for, five seconds in all: it may be on its way to the branch that
/// has moved.
const LATE_LOOKS: u32 = 250;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What became of moving a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance {
    /// It is there, and the checkouts that have it.
    Done,
    /// A checkout cannot follow, so nothing moved.
    Stopped {
        /// Where it is.
        root: PathBuf,
        /// Why: never that it followed.
        why: Follow,
    },
    /// The branch is not where it was to be moved from; nothing moved.
    Elsewhere {
        /// Where it is; nothing if it is gone.
        actual: Option<Oid>,
    },
}

impl Repo {
    /// Moves a branch forward by compare-and-swap, and with it the files and the index of every
    /// checkout that has it. Repeatable: one that is there already is left as it is, and what a crash
    /// left is ended first. Only one caller at a time for each branch.
    ///
    /// # Errors
    ///
    /// See [`Repo::publish`]; then nothing has moved either.
    pub fn advance(
        &self,
        branch: &str,
        (from, to): (Oid, Oid),
        manner: Manner,
        log_message: &str,
    ) -> Result<Advance, GitError> {
        let mut held = Vec::new();
        for root in self.checked_out_at(branch)? {
            match Moving::begin(self, root.clone(), branch, (from, to), manner)? {
                Ok(moving) => held.push(moving),
                // Left to the compare-and-swap.
                Err(Follow::NotOnBranch | Follow::Moved { .. }) => {}
                Err(why) => return Ok(Advance::Stopped { root, why }),
            }
        }
        let name = format!("refs/heads/{branch}");
        let files_first = || {
            for it in &mut held {
                if let Some(why) = it.move_files()? {
                    return Ok(Err((it.root.clone(), why)));
                }
            }
            Ok(Ok(()))
        };
        match self.publish_after(&name, to, Some(from), log_message, files_first)? {
            Err((root, why)) => return Ok(Advance::Stopped { root, why }),
            Ok(Published::Moved { actual }) => return Ok(Advance::Elsewhere { actual }),
            Ok(Published::AlreadyThere) if self.own_tip(branch)? != Some(to) => {
                return Ok(Advance::Done);
            }
            // Again after a crash that came before the files.
            Ok(Published::AlreadyThere) => {
                for it in &mut held {
                    if let Some(why) = it.move_files()? {
                        return Ok(Advance::Stopped { root: it.root.clone(), why });
                    }
                }
            }
            Ok(Published::Done) => {}
        }
        for it in &mut held {
            it.use_index()?;
        }
        let followed: Vec<_> = held.iter().map(|it| it.root.clone()).collect();
        pause(if held.is_empty() { LINGER } else { self.linger()? });
        for it in held {
            it.end()?;
        }
        self.late_comers(branch, (from, to), &followed)?;
        Ok(Advance::Done)
    }

    /// How long the locks stay after the branch has moved.
    fn linger(&self) -> Result<Duration, GitError> {
        let config = self.open()?.config();
        let set = config.and_then(|it| it.get_i64("core.filesreflocktimeout"));
        let set = set.map_or(REF_LOCK_PATIENCE, |ms| {
            u64::try_from(ms).map_or(MAX_LINGER, Duration::from_millis)
        });
        Ok((set + LINGER).min(MAX_LINGER))
    }

    /// Brings those checkouts along whose git was on its way to the branch as it moved: it had read
    /// where the branch was before, and made its files so.
    fn late_comers(
        &self,
        branch: &str,
        moved: (Oid, Oid),
        followed: &[PathBuf],
    ) -> Result<(), GitError> {
        let checkouts = self.checkouts()?;
        // A git that is done with the files has the new index in its lock; until then it is empty.
        let writes = |it: &PathBuf| {
            let lock = fs::metadata(index_lock(it)).ok().filter(|it| it.len() == 0);
            let age = lock.and_then(|it| it.modified().ok()?.elapsed().ok());
            age.is_some_and(|it| it < STALE)
        };
        for _ in 0..LATE_LOOKS {
            if !checkouts.iter().any(writes) {
                break;
            }
            // Also once after it has let go: only then it moves HEAD.
            pause(LOOK_EVERY);
        }
        for root in self.checked_out_at(branch)? {
            if !followed.contains(&root)
                && let Ok(mut moving) = Moving::begin(self, root, branch, moved, Manner::Clean)?
                && self.own_tip(branch)? == Some(moved.1)
                && moving.move_files()?.is_none()
            {
                moving.use_index()?;
                moving.end()?;
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a git of somebody else's tells nobody how far it is"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A checkout whose files are to move, under its locks. Dropped before its end it is brought to
/// where its branch is.
struct Moving<'r> {
    repo: &'r Repo,
    root: PathBuf,
    git_dir: PathBuf,
    hold: Option<Hold>,
    /// There is something to move, and a draft of the index for it.
    drafted: bool,
    /// Files may have been written.
    touched: bool,
}

impl<'r> Moving<'r> {
    /// Locks a checkout and makes sure that it can follow; or says why it cannot, and then nothing of
    /// it has been touched.
    fn begin(
        repo: &'r Repo,
        root: PathBuf,
        branch: &str,
        (from, to): (Oid, Oid),
        manner: Manner,
    ) -> Result<Result<Self, Follow>, GitError> {
        let checkout =
            Repository::open(&root).map_err(git("opening the checkout", root.display()))?;
        let git_dir = checkout.path().to_owned();
        let may = |root: &Path| not_now(&checkout, root, branch, from, to);
        if let Some(why) = may(&root)? {
            return Ok(Err(why));
        }
        repo.mend_checkout(&git_dir)?;
        // Looked at twice: where the person is at work nothing is locked at all.
        let seen = look(&checkout, &root, (from, to), manner)?;
        if !seen.dirty.is_empty() {
            return Ok(Err(seen.into_dirty()));
        }
        let note = Note { branch: branch.to_owned(), from, to, there: BTreeSet::new() };
        let Some(hold) = Hold::take(&git_dir, repo.tag(), note)? else {
            return Ok(Err(Follow::locked(&index_lock(&git_dir))));
        };
        let (drafted, touched) = (false, false);
        let mut it = Self { repo, root, git_dir, hold: Some(hold), drafted, touched };
        // Only what is seen under the lock stays so.
        if let Some(why) = may(&it.root)? {
            return Ok(Err(why));
        }
        let seen = look(&checkout, &it.root, (from, to), manner)?;
        if !seen.dirty.is_empty() {
            return Ok(Err(seen.into_dirty()));
        }
        if let Some(why) = it.prepare(seen)? {
            return Ok(Err(why));
        }
        // Last of all: a git that has just let go of the index may still have to move HEAD.
        let head_taken = it.hold().take_head()?;
        if !head_taken {
            return Ok(Err(Follow::locked(&head_lock(&it.git_dir))));
        }
        Ok(match may(&it.root)? {
            Some(why) => Err(why),
            None => Ok(it),
        })
    }

    fn hold(&self) -> &Hold {
        self.hold.as_ref().expect("taken away only at the end")
    }

    /// Makes the draft of the new index, and asks git whether the files can follow.
    fn prepare(&mut self, seen: Look) -> Result<Option<Follow>, GitError> {
        let root = self.root.clone();
        let hold = self.hold.as_mut().expect("taken away only at the end");
        if seen.there {
            return Ok(None);
        }
        draft(&root, hold, &seen.done)?;
        let refused = read_tree(&root, hold, true)?;
        if refused.is_none() {
            hold.remember(seen.done.into_iter().map(|(path, _)| path).collect())?;
            self.drafted = true;
        }
        Ok(refused)
    }

    /// Writes the files; says why not if something has come between.
    fn move_files(&mut self) -> Result<Option<Follow>, GitError> {
        if !self.drafted {
            return Ok(None);
        }
        self.touched = true;
        read_tree(&self.root, self.hold(), false)
    }

    /// The new index is the checkout's.
    fn use_index(&mut self) -> Result<(), GitError> {
        if std::mem::take(&mut self.drafted) {
            self.hold().use_draft()?;
        }
        Ok(())
    }

    /// The checkout is the person's again.
    fn end(mut self) -> Result<(), GitError> {
        self.hold.take().map_or(Ok(()), Hold::release)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        let done = match self.touched {
            true => self.repo.mend_under(hold, &self.git_dir),
            false => hold.release(),
        };
        if let Err(why) = done {
            // The locks stay: whoever comes next ends this first.
            tracing::warn!(root = %self.root.display(), "a checkout could not be put back: {why}");
        }
    }
}

/// A draft of the new index in which git knows the times of all files, and of these that they are
/// the new commit's.
pub(crate) fn draft(root: &Path, hold: &Hold, done: &[(RepoPath, Target)]) -> Result<(), GitError> {
    hold.begin_draft()?;
    refresh(root, hold)?;
    if done.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for (path, target) in done {
        let (mode, id) = target.entry.unwrap_or((0, git2::Oid::ZERO_SHA1));
        lines.extend_from_slice(format!("{mode:o} {id}\t").as_bytes());
        lines.extend_from_slice(path.as_bytes());
        lines.push(0);
    }
    let stage = args(["update-index", "-z", "--index-info"]);
    let staged = run_with(root, &stage, Feed::Bytes(&lines), Some(&hold.draft()))?;
    expect_success(root, &stage, staged)?;
    refresh(root, hold)
}

/// Looks at the files whose times have changed. A file that has changed is no failure.
fn refresh(root: &Path, hold: &Hold) -> Result<(), GitError> {
    let refresh = args(["update-index", "-q", "--ignore-submodules", "--refresh"]);
    let output = run_with(root, &refresh, Feed::Holding(&hold.file), Some(&hold.draft()))?;
    if output.status.code() == Some(1) {
        return Ok(());
    }
    expect_success(root, &refresh, output).map(drop)
}

/// Lets git move the files and the draft from one commit to the other, or asks whether it would.
pub(crate) fn read_tree(root: &Path, hold: &Hold, dry: bool) -> Result<Option<Follow>, GitError> {
    let (from, to) = (hold.note.from.to_string(), hold.note.to.to_string());
    let [git, no, merge, files, from, to] = args(["read-tree", "-n", "-m", "-u", &from, &to]);
    let all: &[&OsStr] = &[git, no, merge, files, from, to];
    let wet: &[&OsStr] = &[git, merge, files, from, to];
    let how = if dry { all } else { wet };
    let output = run_with(root, how, Feed::Holding(&hold.file), Some(&hold.draft()))?;
    let refused = || Follow::Dirty { files: named_in(&output.stderr) };
    Ok((!output.status.success()).then(refused))
}
