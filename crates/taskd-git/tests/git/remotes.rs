//! The branch of a remote: exactly one ref is written, whatever the repository's own settings say.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use taskd_git::GitError;

use crate::{Stage, git, oid, try_git, write};

/// A bare copy of the stage's repository, known there as `origin`.
fn remote(stage: &Stage) -> PathBuf {
    let bare = stage.temp.path().join("bare.git");
    let to = bare.to_str().expect("UTF-8");
    git(&stage.root, &["clone", "-q", "--bare", ".", to]);
    git(&stage.root, &["remote", "add", "origin", to]);
    bare
}

#[expect(clippy::disallowed_methods, reason = "the daemon runs it under a supervisor of its own")]
fn fetch(stage: &Stage, name: &str) -> Result<Option<Output>, GitError> {
    let Some(it) = stage.repo.fetch(&stage.root, name, "main")? else { return Ok(None) };
    let mut command = Command::new(&it.argv[0]);
    command.args(&it.argv[1..]).current_dir(it.dir).env_clear().envs(it.env);
    Ok(Some(command.stdin(Stdio::null()).output().expect("git starts")))
}

fn refs(root: &Path) -> String {
    git(root, &["for-each-ref", "--format=%(refname) %(objectname)"])
}

#[test]
fn a_fetch_writes_one_ref_and_nothing_else() {
    let stage = Stage::new(&[("a", "1")]);
    let bare = remote(&stage);
    let old = stage.head();
    // The remote gets on, with a tag; the local branch stays.
    let new = stage.commit("second", &[("a", "2")]);
    git(&stage.root, &["push", "-q", "origin", "main", "HEAD:refs/tags/v1", "HEAD:refs/heads/x"]);
    git(&stage.root, &["reset", "-q", "--hard", &old.to_string()]);
    git(&stage.root, &["update-ref", "-d", "refs/remotes/origin/main"]);
    git(&stage.root, &["update-ref", "-d", "refs/remotes/origin/x"]);
    // Settings under which a fetch of the person's would do more.
    for (key, value) in [
        ("remote.origin.fetch", "+refs/*:refs/*"),
        ("remote.origin.tagOpt", "--tags"),
        ("remote.origin.prune", "true"),
        ("fetch.pruneTags", "true"),
        ("remote.origin.followRemoteHEAD", "always"),
    ] {
        git(&stage.root, &["config", key, value]);
    }
    write(&stage.root, ".git/hooks/reference-transaction", "#!/bin/sh\ntouch ran\nexit 1\n");
    let hook = stage.root.join(".git/hooks/reference-transaction");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let before = refs(&stage.root);
    let ended = fetch(&stage, "origin").expect("a remote").expect("a command");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let added = format!("refs/remotes/origin/main {new}");
    assert_eq!(refs(&stage.root), format!("{before}\n{added}"));
    assert_eq!(stage.repo.remote_tip("origin", "main").expect("readable"), Some(new));
    assert_eq!(stage.head(), old);
    assert!(!stage.root.join(".git/FETCH_HEAD").exists());
    assert!(!stage.root.join("ran").exists() && !stage.root.join(".git/ran").exists());

    // Rewritten there: the remote's branch is where it is, forced.
    std::fs::remove_file(&hook).expect("ours");
    git(&bare, &["update-ref", "refs/heads/main", &old.to_string()]);
    assert!(fetch(&stage, "origin").expect("a remote").expect("a command").status.success());
    assert_eq!(stage.repo.remote_tip("origin", "main").expect("readable"), Some(old));
}

#[test]
fn a_remote_must_be_there_to_be_fetched() {
    let stage = Stage::new(&[("a", "1")]);
    assert!(fetch(&stage, "origin").expect("no remote is no mistake").is_none());
    let bare = remote(&stage);
    let wrong = fetch(&stage, "upstream").expect_err("there are others");
    assert!(wrong.to_string().contains("\"upstream\" cannot be used"), "{wrong}");
    let wrong = fetch(&stage, "--upload-pack=x").expect_err("no name");
    assert!(wrong.to_string().contains("cannot be used"), "{wrong}");
    std::fs::remove_dir_all(bare).expect("ours");
    let ended = fetch(&stage, "origin").expect("a remote").expect("a command");
    assert!(!ended.status.success() && !ended.stderr.is_empty());
    assert_eq!(stage.repo.remote_tip("origin", "main").expect("readable"), None);
}

/// An address that is relative begins where the person's own `git fetch` begins it.
#[test]
fn a_relative_address_begins_at_the_checkout() {
    let stage = Stage::new(&[("a", "1")]);
    git(&stage.root, &["clone", "-q", "--bare", ".", "../beside.git"]);
    git(&stage.root, &["remote", "add", "origin", "../beside.git"]);
    assert!(try_git(&stage.root, &["ls-remote", "origin"]).status.success(), "the premise");
    let ended = fetch(&stage, "origin").expect("a remote").expect("a command");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let tip = git(&stage.root, &["rev-parse", "refs/remotes/origin/main"]);
    assert_eq!(oid(&tip), stage.head());
}
