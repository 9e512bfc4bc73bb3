//! What registration sees, and what it refuses.

use std::fs;

use taskd_git::{GitError, Repo, probe};

use crate::{Stage, git, oid, settle_config, try_git, write};

#[test]
fn from_any_path_inside() {
    let stage = Stage::new(&[("src/lib.rs", "x\n")]);
    write(&stage.root, "untracked", "");
    write(&stage.root, "src/lib.rs", "y\n");
    let found = probe(&stage.root.join("src")).expect("a repository");
    assert_eq!(found.git_dir, stage.root.join(".git"));
    assert_eq!(found.root, stage.root);
    assert_eq!((found.bare, found.shallow, found.dirty), (false, false, 2));
    assert_eq!(found.head_branch.as_deref(), Some("main"));
    assert_eq!(found.default_target, "main");
    assert_eq!(found.head, stage.head());
}

#[test]
fn detached_and_on_a_topic() {
    let stage = Stage::new(&[]);
    git(&stage.root, &["checkout", "-q", "-b", "topic/a"]);
    let found = probe(&stage.root).expect("ok");
    assert_eq!((found.head_branch.as_deref(), &*found.default_target), (Some("topic/a"), "main"));
    git(&stage.root, &["checkout", "-q", "--detach"]);
    assert_eq!(probe(&stage.root).expect("ok").head_branch, None);
    git(&stage.root, &["branch", "-q", "-D", "main"]);
    git(&stage.root, &["checkout", "-q", "topic/a"]);
    assert_eq!(probe(&stage.root).expect("ok").default_target, "topic/a");
}

#[test]
fn bare_shallow_linked_and_submodule() {
    let stage = Stage::new(&[("a", "1\n")]);
    stage.commit("second", &[("a", "2\n")]);
    let home = stage.temp.path().canonicalize().expect("real");
    let from = format!("file://{}", stage.root.display());
    git(&home, &["clone", "-q", "--bare", &from, "bare.git"]);
    let bare = probe(&home.join("bare.git")).expect("ok");
    assert!(bare.bare);
    assert_eq!((bare.root, bare.head), (home.join("bare.git"), stage.head()));
    git(&home, &["clone", "-q", "--depth", "1", &from, "shallow"]);
    assert!(probe(&home.join("shallow")).expect("ok").shallow);
    git(&stage.root, &["worktree", "add", "-q", "-b", "side", "../side"]);
    let side = probe(&stage.root.join("../side")).expect("ok");
    assert_eq!(
        (side.git_dir, side.head_branch.as_deref()),
        (stage.root.join(".git"), Some("side"))
    );
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", &from, "sub"];
    git(&home.join("shallow"), &add);
    let sub = probe(&home.join("shallow/sub")).expect("ok");
    assert_eq!(sub.git_dir, home.join("shallow/.git/modules/sub"));
    assert_eq!(sub.root, home.join("shallow/sub"));
}

#[test]
fn refuses_what_it_cannot_work_with() {
    let temp = tempfile::tempdir().expect("temp");
    let at = |name: &str| {
        let dir = temp.path().join(name);
        fs::create_dir_all(&dir).expect("mkdir");
        dir
    };
    let none = probe(&at("plain")).expect_err("no repository");
    assert!(matches!(none, GitError::NotARepository { .. }), "{none}");
    git(&at("unborn"), &["init", "-q"]);
    let unborn = probe(&at("unborn")).expect_err("unborn");
    assert!(unborn.to_string().contains("make a first commit"), "{unborn}");
    for (name, key, value) in
        [("sha", "objectformat", "sha256"), ("table", "refstorage", "reftable")]
    {
        let dir = at(name);
        let flag = if name == "sha" { "--object-format=sha256" } else { "--ref-format=reftable" };
        if !try_git(&dir, &["init", "-q", flag]).status.success() {
            git(&dir, &["init", "-q"]);
            git(&dir, &["config", "core.repositoryformatversion", "1"]);
            git(&dir, &["config", &format!("extensions.{key}"), value]);
        }
        let refused = probe(&dir).expect_err("refused");
        assert!(matches!(refused, GitError::Format { .. }), "{refused}");
    }
}

#[test]
fn identity_and_tag() {
    let stage = Stage::new(&[]);
    let found = stage.repo.identity(5).expect("configured");
    assert_eq!((found.name.as_str(), found.when), ("Ada", 5));
    assert!(Repo::new("/x", "AB12", "/y").is_err());
}

#[test]
fn a_bare_repository_works() {
    let stage = Stage::new(&[("a", "1\n")]);
    let home = stage.temp.path().canonicalize().expect("real");
    let from = stage.root.display().to_string();
    git(&home, &["clone", "-q", "--bare", &from, "bare.git"]);
    settle_config(&home.join("bare.git"));
    let repo = Repo::new(home.join("bare.git"), "cd34", home.join("state2")).expect("tag");
    let base = repo.tip("main").expect("ok").expect("there");
    let how = taskd_git::Ensure::Fresh { base };
    let path = repo.ensure_worktree("p1-a", how).expect("prepared").path;
    write(&path, "a", "2\n");
    let saved = repo.checkpoint("p1-a", base, None, "work", &crate::ada()).expect("saved");
    assert!(saved.changed);
    assert_eq!(oid(&git(&path, &["rev-parse", "HEAD"])), base);
    assert_eq!(git(&path, &["status", "--porcelain"]), " M a");
}
