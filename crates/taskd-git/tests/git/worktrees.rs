//! Preparing, repairing and removing worktrees.

use std::fs;
use std::path::Path;

use taskd_git::{Ensure, GitError, Skipped};

use crate::{Stage, files, git, oid, read, write};

#[test]
fn fresh_is_detached_clean_and_makes_no_branch() {
    let stage = Stage::new(&[("a", "1\n"), ("d/b", "2\n")]);
    let made = stage.repo.ensure_worktree("p1-a", Ensure::Fresh { base: stage.head() });
    let made = made.expect("prepared");
    assert!(made.created && !made.kept && made.salvaged.is_none());
    assert_eq!(files(&made.path), files(&stage.root));
    assert_eq!(git(&made.path, &["status", "--porcelain"]), "");
    assert_eq!(oid(&git(&made.path, &["rev-parse", "HEAD"])), stage.head());
    assert_eq!(git(&stage.root, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
    let list = git(&stage.root, &["worktree", "list", "--porcelain"]);
    assert!(list.contains("detached\nlocked in use by the taskd daemon"), "{list}");
    git(&stage.root, &["worktree", "prune"]);
    git(&stage.root, &["fsck", "--strict"]);
    let again = stage.repo.ensure_worktree("p1-a", Ensure::Fresh { base: stage.head() });
    assert!(!again.expect("again").created);
}

#[test]
fn work_is_saved_before_it_is_replaced_and_caches_stay() {
    let stage = Stage::new(&[("a", "1\n"), (".gitignore", "target/\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "changed\n");
    write(&path, "new/deep/file", "new\n");
    write(&path, "target/cache", "warm\n");
    let how = Ensure::Fresh { base: stage.head() };
    let saved = stage.repo.ensure_worktree("p1-a", how).expect("ok").salvaged.expect("saved");
    assert_eq!(stage.file(saved, "new/deep/file").as_deref(), Some("new\n"));
    let named = stage.repo.tip_of_ref("refs/taskd/ab12/salvage/p1-a/1").expect("ok");
    assert_eq!(named, Some(saved));
    assert_eq!(read(&path, "a"), "1\n");
    assert!(!path.join("new").exists(), "empty directories go too");
    assert_eq!(read(&path, "target/cache"), "warm\n");
    assert_eq!(stage.repo.ensure_worktree("p1-a", how).expect("ok").salvaged, None);
    write(&path, "a", "changed\n");
    write(&path, "new/deep/file", "new\n");
    assert_eq!(stage.repo.ensure_worktree("p1-a", how).expect("ok").salvaged, None, "saved once");
}

#[test]
fn restore_is_exact_when_ignore_rules_change() {
    let stage = Stage::new(&[("a", "1\n")]);
    let path = stage.fresh("p1-a");
    let plain = stage.save("p1-a", stage.head(), None);
    assert_eq!(plain.commit, stage.head(), "no change, no commit");
    write(&path, ".gitignore", "out/\nlink\n");
    write(&path, "out/x", "built\n");
    std::os::unix::fs::symlink("/nowhere", path.join("link")).expect("symlink");
    let ignoring = stage.save("p1-a", stage.head(), None);
    stage.restore("p1-a", stage.head(), plain.commit);
    assert_eq!(files(&path), files(&stage.root));
    // An ignored directory and symlink stand where files of the checkpoint go.
    write(&path, "out", "a file now\n");
    write(&path, "link/x", "below\n");
    let other = stage.save("p1-a", stage.head(), None);
    stage.restore("p1-a", stage.head(), ignoring.commit);
    write(&path, "out/x", "built\n");
    std::os::unix::fs::symlink("/nowhere", path.join("link")).expect("symlink");
    stage.restore("p1-a", stage.head(), other.commit);
    assert_eq!(read(&path, "out"), "a file now\n");
    assert_eq!(read(&path, "link/x"), "below\n");
    assert_eq!(stage.save("p1-a", stage.head(), Some(other.commit)).commit, other.commit);
}

#[test]
fn keep_keeps_whole_files_and_restores_broken_ones() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "a", "saved\n");
    let saved = stage.save("p1-a", base, None);
    write(&path, "a", "newer\n");
    let keep = Ensure::Keep { base, checkpoint: Some(saved.commit) };
    let kept = stage.repo.ensure_worktree("p1-a", keep).expect("ok");
    assert!(kept.kept);
    assert_eq!(read(&path, "a"), "newer\n");
    // A crash while files were being set: the flag is missing.
    fs::remove_file(stage.meta("p1-a").join("taskd-ready")).expect("there");
    let restored = stage.repo.ensure_worktree("p1-a", keep).expect("ok");
    assert!(!restored.kept && restored.salvaged.is_some());
    assert_eq!(read(&path, "a"), "saved\n");
}

#[test]
fn every_half_state_is_repaired() {
    let stage = Stage::new(&[("a", "1\n"), ("b", "2\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "a", "work\n");
    let saved = stage.save("p1-a", base, None);
    let meta = stage.meta("p1-a");
    let breaks: [(&str, &dyn Fn()); 10] = [
        ("index gone", &|| fs::remove_file(meta.join("index")).expect("rm")),
        ("index locked", &|| fs::write(meta.join("index.lock"), "").expect("lock")),
        ("index broken", &|| fs::write(meta.join("taskd-index"), "junk").expect("junk")),
        ("directory gone", &|| fs::remove_dir_all(&path).expect("rm")),
        ("link gone", &|| fs::remove_file(path.join(".git")).expect("rm")),
        ("metadata gone", &|| fs::remove_dir_all(&meta).expect("rm")),
        ("metadata empty", &|| {
            fs::remove_dir_all(&meta).expect("rm");
            fs::remove_dir_all(&path).expect("rm");
            fs::create_dir(&meta).expect("mkdir");
        }),
        ("head broken", &|| fs::write(meta.join("HEAD"), "junk\n").expect("junk")),
        ("files half set", &|| {
            fs::remove_file(path.join("b")).expect("rm");
            fs::remove_file(meta.join("taskd-ready")).expect("rm");
        }),
        ("ref locked", &|| {
            let refs = stage.root.join(".git/refs/taskd/ab12/loops/p1-a.lock");
            fs::write(refs, "").expect("lock");
        }),
    ];
    for (what, break_it) in breaks {
        break_it();
        stage.restore("p1-a", base, saved.commit);
        assert_eq!(read(&path, "a"), "work\n", "{what}");
        assert_eq!(git(&path, &["status", "--porcelain"]), " M a", "{what}");
        let again = stage.save("p1-a", base, Some(saved.commit));
        assert_eq!(again.commit, saved.commit, "{what}");
    }
}

#[test]
fn what_the_agent_did_to_git_is_undone() {
    let stage = Stage::new(&[("a", "1\n")]);
    let other = stage.commit("other", &[("a", "2\n")]);
    let base = oid(&git(&stage.root, &["rev-parse", "HEAD~1"]));
    let path = stage.repo.ensure_worktree("p1-a", Ensure::Fresh { base }).expect("ok").path;
    let identity = ["-c", "user.name=Bot", "-c", "user.email=bot@x"];
    write(&path, "a", "3\n");
    git(&path, &[&identity[..], &["commit", "-qam", "agent"]].concat());
    let other = other.to_string();
    let merge = [&identity[..], &["merge", other.as_str()]].concat();
    assert!(!crate::try_git(&path, &merge).status.success(), "conflict");
    let keep = Ensure::Keep { base, checkpoint: None };
    assert!(stage.repo.ensure_worktree("p1-a", keep).expect("ok").kept);
    assert_eq!(git(&path, &["status", "--porcelain"]), " M a");
    assert_eq!(oid(&git(&path, &["rev-parse", "HEAD"])), base);
    assert!(!stage.meta("p1-a").join("MERGE_HEAD").exists());
    assert!(read(&path, "a").contains("<<<<<<<"), "files are kept");
}

#[test]
fn what_is_not_ours_is_refused() {
    let stage = Stage::new(&[("a", "1\n")]);
    let how = Ensure::Fresh { base: stage.head() };
    let refused = |name: &str| {
        let err = stage.repo.ensure_worktree(name, how).expect_err("refused");
        assert!(matches!(err, GitError::NotOurs { .. }), "{err}");
        err.to_string()
    };
    let theirs = stage.repo.worktree_path("p1-a");
    write(&theirs, "precious", "mine\n");
    assert!(refused("p1-a").contains(&theirs.display().to_string()));
    assert_eq!(read(&theirs, "precious"), "mine\n");
    assert!(!stage.meta("p1-a").exists());
    git(&stage.root, &["worktree", "add", "-q", "--detach", "../../state/p1-b"]);
    refused("p1-b");
    write(&stage.meta("p1-c"), "HEAD", "x\n");
    refused("p1-c");
    fs::write(stage.repo.worktree_path("p1-d"), "a file").expect("write");
    refused("p1-d");
    stage.repo.checkout_scratch("gate-1", stage.head()).expect("scratch");
    refused("gate-1");
    // Ours, but somebody put their own repository at its place.
    let path = stage.fresh("p1-e");
    fs::remove_dir_all(&path).expect("rm");
    fs::create_dir(&path).expect("mkdir");
    git(&path, &["init", "-q"]);
    refused("p1-e");
    assert!(stage.repo.remove_worktree("p1-e", stage.head()).is_err());
    assert!(path.join(".git/HEAD").exists());
    for bad in ["", "../x", "a/b", ".x", "x.lock", "a b"] {
        let err = stage.repo.ensure_worktree(bad, how).expect_err("bad name");
        assert!(matches!(err, GitError::BadName { .. }), "{err}");
    }
}

#[test]
fn scratch_checkouts_are_exact_and_warm() {
    let stage = Stage::new(&[("a", "1\n"), (".gitignore", "target\n")]);
    let first = stage.head();
    let second = stage.commit("second", &[("a", "2\n"), ("b", "3\n")]);
    let path = stage.repo.checkout_scratch("gate-1", second).expect("ok");
    assert_eq!(files(&path), files(&stage.root));
    write(&path, "target/cache", "warm\n");
    write(&path, "left-over", "junk\n");
    write(&path, "a", "spoiled\n");
    assert_eq!(stage.repo.checkout_scratch("gate-1", first).expect("ok"), path);
    assert_eq!(read(&path, "a"), "1\n");
    assert!(!path.join("left-over").exists() && !path.join("b").exists());
    assert_eq!(read(&path, "target/cache"), "warm\n");
    let refs = git(&stage.root, &["for-each-ref", "refs/taskd"]);
    assert_eq!(refs, "", "nothing is saved of a scratch checkout");
}

#[test]
fn removal_needs_proof_or_saves() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "a", "2\n");
    let saved = stage.save("p1-a", base, None);
    write(&path, "a", "3\n");
    let removed = stage.repo.remove_worktree("p1-a", saved.commit).expect("removed");
    let kept = removed.salvaged.expect("the third version was in no checkpoint");
    assert_eq!(stage.file(kept, "a").as_deref(), Some("3\n"));
    assert!(!path.exists() && !stage.meta("p1-a").exists());
    let again = stage.repo.remove_worktree("p1-a", saved.commit).expect("again");
    assert_eq!(again.salvaged, None);
    // The checkpoint is known to no ref any more: it is named before the files go.
    stage.restore("p1-a", base, saved.commit);
    for name in ["loops/p1-a", "salvage/p1-a/1"] {
        git(&stage.root, &["update-ref", "-d", &stage.repo.own_ref(name)]);
    }
    stage.repo.remove_worktree("p1-a", saved.commit).expect("removed");
    let named = stage.repo.tip_of_ref("refs/taskd/ab12/salvage/p1-a/1").expect("ok");
    assert_eq!(named, Some(saved.commit));
    // A crash in the middle: proven, half gone.
    stage.restore("p1-b", base, saved.commit);
    fs::write(stage.meta("p1-b").join("taskd-removing"), "").expect("flag");
    fs::remove_file(stage.repo.worktree_path("p1-b").join("a")).expect("rm");
    let made = stage.repo.ensure_worktree("p1-b", Ensure::Fresh { base }).expect("made anew");
    assert!(made.created && made.salvaged.is_none());
}

#[test]
fn ignored_files_are_copied_in_and_never_become_work() {
    let stage = Stage::new(&[
        ("a", "1\n"),
        (".gitignore", ".env\nnode_modules\nsecrets/*\n"),
        (".worktreeinclude", ".env\nsecrets/\nopen\n"),
    ]);
    let path = stage.fresh("p1-a");
    for file in [".env", "sub/.env", "secrets/key", "node_modules/x"] {
        write(&stage.root, file, "person\n");
    }
    write(&stage.root, "open", "untracked, not ignored\n");
    write(&path, "sub/.env", "agent\n");
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let key = fs::File::options().write(true).open(stage.root.join("secrets/key")).expect("ours");
    key.set_modified(old).expect("ours");
    let include = || stage.repo.copy_included(&stage.root, "p1-a", Path::new(".worktreeinclude"));
    let done = include().expect("ok");
    let text = |paths: Vec<String>| paths.join(" ");
    let copied = text(done.copied.iter().map(ToString::to_string).collect());
    assert_eq!(copied, ".env secrets/key");
    let time = fs::metadata(path.join("secrets/key")).expect("there").modified();
    assert_eq!(time.expect("known"), old);
    assert!(done.skipped.contains(&("open".into(), Skipped::NotIgnored)));
    assert!(done.skipped.contains(&("sub/.env".into(), Skipped::Exists)));
    assert_eq!(read(&path, "sub/.env"), "agent\n");
    assert!(!stage.save("p1-a", stage.head(), None).changed);
    // Where the worktree does not ignore it, it stays out; a symlink does not lead outside.
    fs::remove_dir_all(path.join("secrets")).expect("rm");
    fs::remove_file(path.join(".env")).expect("rm");
    std::os::unix::fs::symlink(stage.temp.path(), path.join("secrets")).expect("symlink");
    write(&path, ".gitignore", "secrets/*\n");
    let done = include().expect("ok");
    assert!(done.copied.is_empty(), "{done:?}");
    assert!(done.skipped.contains(&(".env".into(), Skipped::NotIgnoredThere)));
    assert!(!stage.temp.path().join("key").exists());
    let none = stage.repo.copy_included(&stage.root, "p1-a", Path::new("none")).expect("ok");
    assert_eq!(none, taskd_git::Included::default());
}

#[test]
fn a_moved_repository_keeps_its_worktrees() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "a", "work\n");
    let moved = stage.root.with_file_name("moved");
    fs::rename(&stage.root, &moved).expect("mv");
    let state = path.parent().expect("parent");
    let repo = taskd_git::Repo::new(moved.join(".git"), "ab12", state).expect("tag");
    let keep = Ensure::Keep { base, checkpoint: None };
    assert!(repo.ensure_worktree("p1-a", keep).expect("found again").kept);
    assert_eq!(git(&path, &["status", "--porcelain"]), " M a");
    // A copy of the repository must not take the original's worktree over.
    git(moved.parent().expect("parent"), &["clone", "-q", "moved", "copy"]);
    let copy = taskd_git::Repo::new(moved.with_file_name("copy/.git"), "ab12", state).expect("tag");
    let err = copy.ensure_worktree("p1-a", keep).expect_err("belongs to the other");
    assert!(matches!(err, GitError::NotOurs { .. }), "{err}");
}

#[test]
fn submodules_and_sparse_checkouts_do_no_harm() {
    let stage = Stage::new(&[("a/x", "1\n"), ("b/y", "1\n")]);
    let from = stage.root.display().to_string();
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", &from, "sub"];
    git(&stage.root, &add);
    let base = stage.commit("with a submodule", &[]);
    git(&stage.root, &["sparse-checkout", "set", "a"]);
    assert!(!stage.root.join("b").exists());
    let path = stage.fresh("p1-a");
    assert_eq!(read(&path, "b/y"), "1\n");
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
    assert!(!stage.save("p1-a", base, None).changed);
    write(&path, "b/y", "2\n");
    let saved = stage.save("p1-a", base, None);
    assert_eq!(saved.files, 1);
    stage.restore("p1-b", base, saved.commit);
    assert_eq!(stage.save("p1-b", base, Some(saved.commit)).commit, saved.commit);
    fs::remove_dir_all(path.join("sub")).expect("rm");
    fs::remove_file(path.join(".gitmodules")).expect("rm");
    let without = stage.save("p1-a", base, Some(saved.commit));
    assert_eq!(without.files, 3);
    stage.restore("p1-a", base, saved.commit);
    assert_eq!(stage.save("p1-a", base, Some(saved.commit)).commit, saved.commit);
}

#[test]
fn many_loops_work_side_by_side() {
    let stage = Stage::new(&[("a", "1\n"), ("d/b", "1\n")]);
    let base = stage.head();
    let onto = stage.commit("main moved", &[("d/b", "2\n")]);
    let one = &|n: usize| {
        let name = format!("p1-{n}");
        let path = stage.repo.ensure_worktree(&name, Ensure::Fresh { base }).expect("ok").path;
        let mut last = None;
        for round in 0..4 {
            write(&path, "a", &format!("{n} {round}\n"));
            last = Some(stage.save(&name, base, last).commit);
        }
        let work = last.expect("four rounds");
        let done = stage.repo.rebase(&name, base, onto, work).expect("rebased");
        stage.repo.checkout_scratch(&format!("gate-{n}"), done.checkpoint).expect("scratch");
        write(&path, "a", "unsaved\n");
        stage.restore(&name, onto, done.checkpoint);
        let removed = stage.repo.remove_worktree(&name, done.checkpoint).expect("removed");
        assert_eq!(removed.salvaged, None);
        assert_eq!(stage.file(done.checkpoint, "a"), Some(format!("{n} 3\n")));
    };
    std::thread::scope(|scope| {
        for n in 0..12 {
            scope.spawn(move || one(n));
        }
    });
    git(&stage.root, &["fsck", "--strict"]);
}
