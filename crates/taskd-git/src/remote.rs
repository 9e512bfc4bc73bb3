//! One branch of a remote: the command that fetches it, and where it is then. Whoever runs the
//! command gives it its time and ends it; nothing here talks to a network.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ErrorCode, Remote};
use taskd_model::Oid;

use crate::error::{GitError, git};
use crate::program::{SETTINGS, environment, record};
use crate::repo::Repo;

/// What a fetch must not do whatever the settings say: leave something behind that goes on, open a
/// window that asks.
const QUIET: [&str; 3] = ["gc.auto=0", "maintenance.auto=false", "credential.interactive=false"];

/// How git and ssh are kept from asking at the terminal the daemon was started from.
const ASK_NOBODY: [(&str, &str); 3] =
    [("GIT_ASKPASS", "false"), ("SSH_ASKPASS", "false"), ("SSH_ASKPASS_REQUIRE", "force")];

/// A fetch that is not yet started. It reads nothing from its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Where it runs: relative addresses begin there.
    pub dir: PathBuf,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Fetch {
    /// Writes into the log that it has run, and how it ended.
    pub fn ran(&self, how: &str, took: Duration) {
        let args = self.argv.iter().skip(1).map(OsString::as_os_str);
        record(args, &self.dir, how, took);
    }
}

/// The branch of the remote as this repository knows it, by its full name.
fn tracking(remote: &str, branch: &str) -> String {
    format!("refs/remotes/{remote}/{branch}")
}

impl Repo {
    /// The program that fetches one branch of a remote. It writes objects and
    /// `refs/remotes/REMOTE/BRANCH` and no other ref, whatever the remote's own settings say; it
    /// runs no hook and asks nobody for a password. `root` is the person's checkout. Nothing if the
    /// repository has no remote at all.
    ///
    /// # Errors
    ///
    /// There are remotes, but none of this name.
    pub fn fetch(
        &self,
        root: &Path,
        remote: &str,
        branch: &str,
    ) -> Result<Option<Fetch>, GitError> {
        let bad = |why| GitError::BadName { what: "remote", name: remote.to_owned(), why };
        let repo = self.open()?;
        let all =
            repo.remotes().map_err(git("reading the remotes of", self.git_dir().display()))?;
        if all.is_empty() {
            return Ok(None);
        }
        if !Remote::is_valid_name(remote) {
            return Err(bad("it is not a valid name"));
        }
        match repo.find_remote(remote) {
            Ok(_) => {}
            Err(e) if e.code() == ErrorCode::NotFound => {
                return Err(bad("the repository has no remote of this name"));
            }
            Err(e) => return Err(git("reading the remote", remote)(e)),
        }
        let dir = if root.is_dir() { root } else { self.git_dir() };
        let mut argv: Vec<OsString> = vec!["git".into(), "--git-dir".into()];
        argv.push(self.git_dir().into());
        argv.extend(SETTINGS.map(OsString::from));
        let head = format!("remote.{remote}.followRemoteHEAD=never");
        for setting in QUIET.into_iter().chain([head.as_str()]) {
            argv.extend(["-c", setting].map(OsString::from));
        }
        argv.extend(
            ["fetch", "--quiet", "--refmap=", "--no-tags", "--no-prune"].map(OsString::from),
        );
        argv.extend(["--no-recurse-submodules", "--no-write-fetch-head"].map(OsString::from));
        let what = format!("+refs/heads/{branch}:{}", tracking(remote, branch));
        argv.extend(["--", remote, &what].map(OsString::from));
        let ours = |key: &OsStr| ASK_NOBODY.iter().any(|(name, _)| key == OsStr::new(name));
        let env = environment().filter(|(key, _)| !ours(key));
        let set = ASK_NOBODY.map(|(key, value)| (OsString::from(key), OsString::from(value)));
        Ok(Some(Fetch { argv, dir: dir.to_owned(), env: env.chain(set).collect() }))
    }

    /// Where a branch of a remote was when it was last fetched.
    pub fn remote_tip(&self, remote: &str, branch: &str) -> Result<Option<Oid>, GitError> {
        self.tip_of_ref(&tracking(remote, branch))
    }
}
