//! What an earlier life of the daemon left running, and the killing of trees from outside.
//!
//! A supervisor notices by itself that its daemon is gone. This makes sure of it before the next
//! life starts anything: it waits on the lock that every supervisor holds until its last descendant
//! is gone, and kills the tree if that takes too long. A process is signalled only if number, start
//! time and boot id all match what was written down.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::identity::{ProcessIdentity, descendants, is_running, session_members};
use super::launcher::Launcher;
use super::wire::{LOCK_EXTENSION, PIPE_EXTENSION};

/// How long a supervisor may take to end everything by itself.
const BY_ITSELF_MS: u64 = 2_000;
/// How long its tree may take to go once we have killed it.
const KILLED_MS: u64 = 10_000;
/// A tree is walked and killed at most this many times.
const KILL_ROUNDS: usize = 64;

/// What became of something an earlier life recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// It was gone already, or its number belongs to somebody else now: nothing was done.
    Gone,
    /// It was still there and has ended, with all its descendants.
    Ended,
    /// It could not be ended within 22 s.
    Survives,
}

impl Launcher {
    /// Ends one supervisor the log names, with everything below it.
    pub async fn end_recorded(&self, identity: &ProcessIdentity) -> Past {
        let lock = self.locks().into_iter().find(|(_, held)| held.as_ref() == Some(identity));
        match lock {
            Some((path, _)) => end(path, Some(identity)).await,
            // No lock: over, never begun, or the run directory was emptied under it.
            None if identity.is_alive() => {
                kill_tree(identity.pid);
                when_ended(identity).await
            }
            None => Past::Gone,
        }
    }

    /// Ends every supervisor that holds a lock in the run directory, recorded or not, and removes
    /// what they left there. Call it before the first start, when no other daemon uses the
    /// directory.
    pub async fn end_previous_life(&self) -> Vec<(Option<ProcessIdentity>, Past)> {
        let mut ended = Vec::new();
        for (path, identity) in self.locks() {
            let past = end(path.clone(), identity.as_ref()).await;
            if past != Past::Survives {
                fs::remove_file(path).ok();
            }
            ended.push((identity, past));
        }
        self.sweep();
        ended
    }

    /// Removes the reports that nobody waits for any more.
    fn sweep(&self) {
        for path in fs::read_dir(&self.run_dir).into_iter().flatten().flatten().map(|it| it.path())
        {
            let report = path
                .extension()
                .is_some_and(|it| it == "json" || it == "tmp" || it == PIPE_EXTENSION);
            if report && !path.with_extension(LOCK_EXTENSION).exists() {
                fs::remove_file(path).ok();
            }
        }
    }

    /// The lock files there are, with who wrote them; a supervisor that has only just begun has not
    /// written yet.
    fn locks(&self) -> Vec<(PathBuf, Option<ProcessIdentity>)> {
        let mut locks: Vec<_> = fs::read_dir(&self.run_dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == LOCK_EXTENSION))
            .map(|path| {
                let identity = fs::read(&path).ok().and_then(|it| serde_json::from_slice(&it).ok());
                (path, identity)
            })
            .collect();
        locks.sort_by(|a, b| a.0.cmp(&b.0));
        locks
    }
}

/// Waits for the lock to be free, killing if that takes too long.
async fn end(lock: PathBuf, identity: Option<&ProcessIdentity>) -> Past {
    let Ok(Some(mut freed)) = when_free(&lock) else { return Past::Gone };
    if timeout(Duration::from_millis(BY_ITSELF_MS), &mut freed).await.is_err() {
        match identity {
            Some(identity) if identity.is_alive() => kill_tree(identity.pid),
            Some(_) | None => return Past::Survives,
        }
        if timeout(Duration::from_millis(KILLED_MS), &mut freed).await.is_err() {
            return Past::Survives;
        }
    }
    match identity {
        Some(identity) => when_ended(identity).await,
        None => Past::Ended,
    }
}

/// Waits for a process that is about to end. The kernel frees the locks of one that exits a moment
/// before it is a zombie, and a signal is not an end either.
#[expect(clippy::disallowed_methods, reason = "no file or signal tells when another's child ends")]
async fn when_ended(identity: &ProcessIdentity) -> Past {
    let gone = async {
        while identity.is_alive() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    match timeout(Duration::from_millis(KILLED_MS), gone).await {
        Ok(()) => Past::Ended,
        Err(_) => Past::Survives,
    }
}

/// Nothing if the lock is free now; otherwise told when it is. The thread that waits ends with the
/// lock's holder.
fn when_free(lock: &Path) -> io::Result<Option<oneshot::Receiver<()>>> {
    let file = File::open(lock)?;
    let file = match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_free) => return Ok(None),
        Err((file, _held)) => file,
    };
    let (tell, told) = oneshot::channel();
    thread::Builder::new().name("past".to_owned()).spawn(move || {
        drop(Flock::lock(file, FlockArg::LockShared));
        tell.send(()).ok();
    })?;
    Ok(Some(told))
}

/// Kills everything below `supervisor`, then it. The caller has proved whose number it is.
///
/// Descendants first: while the supervisor lives none of them can leave its tree.
pub(super) fn kill_tree(supervisor: u32) {
    for _ in 0..KILL_ROUNDS {
        let mut running = descendants(supervisor);
        running.retain(|pid| is_running(*pid));
        if running.is_empty() {
            break;
        }
        running.into_iter().for_each(kill_one);
    }
    let orphans = session_members(supervisor);
    kill_one(supervisor);
    orphans.into_iter().for_each(kill_one);
}

/// Kills what is left of the session of a supervisor that is gone, and says how many that were. A
/// descendant with a session of its own is not found.
pub(super) fn kill_session(supervisor: u32) -> u32 {
    let mut killed = BTreeSet::new();
    for _ in 0..KILL_ROUNDS {
        let members = session_members(supervisor);
        if members.is_empty() {
            break;
        }
        members.iter().copied().for_each(kill_one);
        killed.extend(members);
    }
    u32::try_from(killed.len()).unwrap_or(u32::MAX)
}

fn kill_one(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        // Gone already, or not ours to signal.
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
}
