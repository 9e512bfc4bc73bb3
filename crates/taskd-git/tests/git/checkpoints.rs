//! Checkpoints hold exactly what is worth keeping.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use taskd_git::{Ensure, GitError};

use crate::{Stage, ada, files, git, read, write};

#[test]
fn everything_git_can_hold() {
    let stage =
        Stage::new(&[("gone", "x\n"), ("run.sh", "#!\n"), ("was-file", "f\n"), ("d/f", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    fs::remove_file(path.join("gone")).expect("rm");
    fs::set_permissions(path.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("chmod");
    std::os::unix::fs::symlink("run.sh", path.join("link")).expect("symlink");
    fs::remove_file(path.join("was-file")).expect("rm");
    write(&path, "was-file/inside", "now a directory\n");
    fs::remove_dir_all(path.join("d")).expect("rm");
    write(&path, "d", "now a file\n");
    let strange = OsStr::from_bytes(b"caf\xe9 \"q\"\n.txt");
    write(&path, strange, "bytes\n");
    fs::write(path.join("binary"), [0, 159, 146, 150]).expect("write");
    let before = files(&path);
    let saved = stage.save("p1-a", base, None);
    assert_eq!(files(&path), before);
    assert!(saved.changed && saved.left_out.is_empty());
    assert_eq!(saved.files, 9);
    let tip = stage.repo.tip_of_ref("refs/taskd/ab12/loops/p1-a").expect("ok");
    assert_eq!(tip, Some(saved.commit));
    stage
        .repo
        .ensure_worktree("p1-b", Ensure::Restore { base, checkpoint: saved.commit })
        .expect("ok");
    assert_eq!(files(&stage.repo.worktree_path("p1-b")), before);
    let diff = stage.repo.diff(base, saved.commit, 1 << 20).expect("ok");
    let odd = diff.files.iter().find(|f| f.path.as_bytes() == strange.as_bytes()).expect("listed");
    assert_eq!(odd.path.to_string(), r#""caf\351 \"q\"\012.txt""#);
    assert!(stage.repo.file_at(saved.commit, std::path::Path::new(strange)).expect("ok").is_some());
}

#[test]
fn the_worktrees_own_index_and_head_are_left_alone() {
    let stage = Stage::new(&[("a", "1\n"), ("b", "1\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "staged\n");
    git(&path, &["add", "a"]);
    write(&path, "b", "not staged\n");
    let index = fs::read(stage.meta("p1-a").join("index")).expect("there");
    let saved = stage.save("p1-a", stage.head(), None);
    assert_eq!((saved.files, saved.added, saved.removed), (2, 2, 2));
    assert_eq!(fs::read(stage.meta("p1-a").join("index")).expect("there"), index);
    assert_eq!(git(&path, &["status", "--porcelain"]), "M  a\n M b");
}

#[test]
fn the_same_files_are_the_same_checkpoint() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "a", "2\n");
    let first = stage.save("p1-a", base, None);
    assert_eq!(stage.save("p1-a", base, Some(first.commit)).commit, first.commit);
    write(&path, "a", "3\n");
    let second = stage.save("p1-a", base, Some(first.commit));
    assert!(stage.repo.ancestor_of(first.commit, second.commit).expect("ok"));
    write(&path, "a", "1\n");
    let third = stage.save("p1-a", base, Some(second.commit));
    assert!(!third.changed && third.commit != second.commit);
    assert!(stage.repo.ancestor_of(second.commit, third.commit).expect("ok"));
}

#[test]
fn ignored_nested_and_unreadable_files() {
    let stage = Stage::new(&[(".gitignore", "*.log\n"), ("kept.txt", "1\n")]);
    let base = stage.head();
    git(&stage.root, &["checkout", "-q", "-b", "forced"]);
    write(&stage.root, "tracked.log", "tracked although ignored\n");
    git(&stage.root, &["add", "-f", "tracked.log"]);
    let forced = stage.commit("forced", &[]);
    let path = stage.repo.ensure_worktree("p1-a", Ensure::Fresh { base: forced }).expect("ok").path;
    write(&path, "noise.log", "ignored\n");
    write(&path, "tracked.log", "changed\n");
    let nested = path.join("vendor/inner");
    fs::create_dir_all(&nested).expect("mkdir");
    git(&nested, &["init", "-q"]);
    write(&nested, "file", "another repository's\n");
    let saved = stage.save("p1-a", forced, None);
    assert_eq!(stage.file(saved.commit, "tracked.log").as_deref(), Some("changed\n"));
    assert_eq!(stage.file(saved.commit, "noise.log"), None);
    assert_eq!(stage.file(saved.commit, "vendor/inner/file"), None);
    assert_eq!(saved.files, 1);
    fs::remove_file(path.join("tracked.log")).expect("rm");
    let without = stage.save("p1-a", forced, Some(saved.commit));
    assert_eq!(stage.file(without.commit, "tracked.log"), None);
    write(&path, "tracked.log", "back\n");
    let back = stage.save("p1-a", forced, Some(without.commit));
    assert_eq!(stage.file(back.commit, "tracked.log").as_deref(), Some("back\n"));
    stage.restore("p1-a", forced, forced);
    assert!(nested.join("file").exists(), "another repository is not ours to remove");
    let missing = stage.repo.checkpoint("nope", base, None, "m", &ada()).expect_err("no worktree");
    assert!(matches!(missing, GitError::NoWorktree { .. }), "{missing}");
}

#[test]
fn a_repository_made_in_a_tracked_directory_hides_nothing() {
    let stage = Stage::new(&[("fixtures/a", "1\n")]);
    let path = stage.fresh("p1-a");
    git(&path.join("fixtures"), &["init", "-q"]);
    write(&path, "fixtures/a", "2\n");
    let saved = stage.save("p1-a", stage.head(), None);
    assert_eq!(stage.file(saved.commit, "fixtures/a").as_deref(), Some("2\n"));
}

#[test]
fn line_endings_nobody_touched_do_not_count_as_work() {
    let stage = Stage::new(&[("crlf.txt", "one\r\ntwo\r\n"), ("dos.bat", "echo\n")]);
    let base = stage.commit("rules", &[(".gitattributes", "")]);
    git(&stage.root, &["checkout", "-q", "--detach"]);
    write(&stage.root, ".gitattributes", "*.txt text\n*.bat text eol=crlf\n");
    git(&stage.root, &["add", ".gitattributes"]);
    git(&stage.root, &["commit", "-q", "-m", "attributes"]);
    let rules = stage.head();
    let path = stage.repo.ensure_worktree("p1-a", Ensure::Fresh { base: rules }).expect("ok").path;
    assert_eq!(read(&path, "dos.bat"), "echo\r\n");
    fs::remove_file(stage.meta("p1-a").join("taskd-index")).expect("forget the cache");
    assert!(!stage.save("p1-a", rules, None).changed);
    write(&path, "dos.bat", "echo more\r\n");
    let saved = stage.save("p1-a", rules, None);
    assert_eq!(stage.file(saved.commit, "dos.bat").as_deref(), Some("echo more\n"));
    assert_ne!(base, rules);
}

#[test]
fn little_that_changed_is_saved_without_the_cache() {
    let stage = Stage::new(&[("a", "1\n"), ("b", "1\n"), (".gitignore", "out/\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    let index = stage.meta("p1-a").join("taskd-index");
    // The first look says which tree the cache is.
    let first = stage.save("p1-a", base, None);
    let cache = fs::read(&index).expect("the cache");
    write(&path, "a", "2\n");
    write(&path, "new/deep/file", "new\n");
    write(&path, "out/ignored", "no\n");
    let second = stage.save("p1-a", base, Some(first.commit));
    assert_eq!(stage.file(second.commit, "new/deep/file").as_deref(), Some("new\n"));
    assert_eq!(stage.file(second.commit, "out/ignored"), None);
    // What was new is known by the last checkpoint alone: it goes, and stays though ignored now.
    fs::remove_dir_all(path.join("new")).expect("rm");
    write(&path, "later", "later\n");
    let third = stage.save("p1-a", base, Some(second.commit));
    assert_eq!(stage.file(third.commit, "new/deep/file"), None);
    write(&path, ".gitignore", "out/\nlater\n");
    write(&path, "later", "changed\n");
    let fourth = stage.save("p1-a", base, Some(third.commit));
    assert_eq!(stage.file(fourth.commit, "later").as_deref(), Some("changed\n"));
    assert_eq!(fs::read(&index).expect("the cache"), cache, "nobody wrote it");
    // A cache that is made anew, and then another than that.
    fs::remove_file(&index).expect("rm");
    assert_eq!(stage.save("p1-a", base, Some(fourth.commit)).tree, fourth.tree);
    stage.restore("p1-a", base, base);
    let fifth = stage.save("p1-a", base, Some(fourth.commit));
    assert!(!fifth.changed, "the files are those of the base again");
}

#[test]
fn our_conflict_markers_are_found_in_changed_files_only() {
    let text = "<<<<<<< taskd main abc\n";
    let stage = Stage::new(&[("docs", text), ("a", "1\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "x\n>>>>>>> taskd work\n");
    write(&path, "b", "  <<<<<<< taskd not at the start\n");
    let saved = stage.save("p1-a", stage.head(), None);
    assert_eq!(saved.conflict_markers, ["a".into()]);
}

#[test]
fn a_directory_that_became_a_file_comes_back() {
    let stage = Stage::new(&[("a", "0\n"), ("dir/a", "1\n")]);
    let path = stage.fresh("p1-a");
    fs::remove_dir_all(path.join("dir")).expect("rm");
    write(&path, "dir", "0\n");
    stage.save("p1-a", stage.head(), None);
    stage.restore("p1-a", stage.head(), stage.head());
    assert_eq!(read(&path, "dir/a"), "1\n");
}
