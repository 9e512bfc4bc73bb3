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

/// A git that talks to a remote and is not yet started. It reads nothing from its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Where it runs: relative addresses begin there.
    pub dir: PathBuf,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Talk {
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
    pub fn fetch(&self, root: &Path, remote: &str, branch: &str) -> Result<Option<Talk>, GitError> {
        if !self.has_remote(remote)? {
            return Ok(None);
        }
        let mut talk = self.talk(root, &[&format!("remote.{remote}.followRemoteHEAD=never")]);
        let words = ["fetch", "--quiet", "--refmap=", "--no-tags", "--no-prune"];
        talk.argv.extend(words.map(OsString::from));
        let words = ["--no-recurse-submodules", "--no-write-fetch-head"];
        talk.argv.extend(words.map(OsString::from));
        let what = format!("+refs/heads/{branch}:{}", tracking(remote, branch));
        talk.argv.extend(["--", remote, &what].map(OsString::from));
        Ok(Some(talk))
    }

    /// The program that says where a branch of a remote is now; it prints nothing if there is none.
    #[must_use]
    pub fn ask_tip(&self, root: &Path, remote: &str, branch: &str) -> Talk {
        let mut talk = self.talk(root, &[]);
        let what = format!("refs/heads/{branch}");
        talk.argv.extend(["ls-remote", "--refs", "--", remote, &what].map(OsString::from));
        talk
    }

    /// The program that puts `commit` on a branch of a remote, if that is at `expected` still, or
    /// not there if nothing is expected. It writes that branch and the one ref here that says where
    /// a remote's branch is, and no other, whatever the settings say.
    #[must_use]
    pub fn push(
        &self,
        root: &Path,
        (remote, branch): (&str, &str),
        commit: Oid,
        expected: Option<Oid>,
    ) -> Talk {
        let mut talk = self.talk(root, &["push.followTags=false", "push.gpgSign=false"]);
        let expected = expected.map(|it| it.to_string()).unwrap_or_default();
        let lease = format!("--force-with-lease=refs/heads/{branch}:{expected}");
        let what = format!("{commit}:refs/heads/{branch}");
        let words = ["push", "--quiet", "--no-verify", "--recurse-submodules=no", &lease];
        talk.argv.extend(words.map(OsString::from));
        talk.argv.extend(["--", remote, &what].map(OsString::from));
        talk
    }

    /// Whether there is this remote; no if there is none at all.
    ///
    /// # Errors
    ///
    /// There are others, but none of this name.
    pub fn has_remote(&self, remote: &str) -> Result<bool, GitError> {
        let bad = |why| GitError::BadName { what: "remote", name: remote.to_owned(), why };
        let repo = self.open()?;
        let all =
            repo.remotes().map_err(git("reading the remotes of", self.git_dir().display()))?;
        if all.is_empty() {
            return Ok(false);
        }
        if !Remote::is_valid_name(remote) {
            return Err(bad("it is not a valid name"));
        }
        match repo.find_remote(remote) {
            Ok(_) => Ok(true),
            Err(e) if e.code() == ErrorCode::NotFound => {
                Err(bad("the repository has no remote of this name"))
            }
            Err(e) => Err(git("reading the remote", remote)(e)),
        }
    }

    /// Git as far as the words that say what to do, with these settings besides.
    fn talk(&self, root: &Path, settings: &[&str]) -> Talk {
        let dir = if root.is_dir() { root } else { self.git_dir() };
        let mut argv: Vec<OsString> = vec!["git".into(), "--git-dir".into()];
        argv.push(self.git_dir().into());
        argv.extend(SETTINGS.map(OsString::from));
        for setting in QUIET.iter().chain(settings) {
            argv.extend(["-c", setting].map(OsString::from));
        }
        let ours = |key: &OsStr| ASK_NOBODY.iter().any(|(name, _)| key == OsStr::new(name));
        let env = environment().filter(|(key, _)| !ours(key));
        let set = ASK_NOBODY.map(|(key, value)| (OsString::from(key), OsString::from(value)));
        Talk { argv, dir: dir.to_owned(), env: env.chain(set).collect() }
    }

    /// Where a branch of a remote was when it was last fetched.
    pub fn remote_tip(&self, remote: &str, branch: &str) -> Result<Option<Oid>, GitError> {
        self.tip_of_ref(&tracking(remote, branch))
    }
}
