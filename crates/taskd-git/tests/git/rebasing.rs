//! Moving a worktree onto a newer base.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::{Stage, git, oid, read, write};

#[test]
fn clean_and_repeatable() {
    let stage = Stage::new(&[("a", "1\n"), ("b", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "b", "work\n");
    let work = stage.save("p1-a", base, None);
    let onto = stage.commit("main moved", &[("a", "2\n")]);
    let first = stage.repo.rebase("p1-a", base, onto, work.commit).expect("rebased");
    assert!(first.conflicts.is_empty() && first.salvaged.is_none());
    assert_eq!((read(&path, "a"), read(&path, "b")), ("2\n".into(), "work\n".into()));
    assert_eq!(git(&path, &["status", "--porcelain"]), " M b");
    assert_eq!(oid(&git(&path, &["rev-parse", "HEAD"])), onto);
    let old = stage.repo.tip_of_ref("refs/taskd/ab12/before-rebase/p1-a/1").expect("ok");
    assert_eq!(old, Some(work.commit));
    // Killed in the middle: files half moved.
    write(&path, "a", "1\n");
    fs::remove_file(stage.meta("p1-a").join("taskd-ready")).expect("rm");
    let again = stage.repo.rebase("p1-a", base, onto, work.commit).expect("again");
    assert_eq!((again.checkpoint, again.tree), (first.checkpoint, first.tree));
    let kept = git(&stage.root, &["for-each-ref", "refs/taskd/ab12/before-rebase"]);
    assert_eq!(kept.lines().count(), 1);
    assert_eq!(stage.save("p1-a", onto, Some(first.checkpoint)).commit, first.checkpoint);
}

#[test]
fn text_conflicts_become_diff3_markers_and_no_git_state() {
    let stage = Stage::new(&[("a", "one\ntwo\nthree\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "a", "one\nwork\nthree\n");
    fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o755)).expect("chmod");
    let work = stage.save("p1-a", base, None);
    let onto = stage.commit("main moved", &[("a", "one\nmain\nthree\n")]);
    let done = stage.repo.rebase("p1-a", base, onto, work.commit).expect("rebased");
    assert_eq!(done.conflicts, ["a".into()]);
    let expected = format!(
        "one\n<<<<<<< taskd main {}\nmain\n||||||| taskd base\ntwo\n=======\nwork\n>>>>>>> taskd work\nthree\n",
        onto.short()
    );
    assert_eq!(read(&path, "a"), expected);
    let mode = fs::metadata(path.join("a")).expect("there").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "the work's executable bit is kept");
    assert_eq!(git(&path, &["status", "--porcelain"]), " M a", "not unmerged");
    let saved = stage.save("p1-a", onto, Some(done.checkpoint));
    assert_eq!(saved.conflict_markers, ["a".into()]);
    write(&path, "a", "one\nboth\nthree\n");
    let solved = stage.save("p1-a", onto, Some(done.checkpoint));
    assert!(solved.conflict_markers.is_empty());
}

#[test]
fn one_side_deleted_binary_added_twice_and_file_against_directory() {
    let stage = Stage::new(&[("d1", "1\n"), ("d2", "1\n"), ("bin", "\0one"), ("x", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    fs::remove_file(path.join("d1")).expect("rm");
    write(&path, "d2", "work\n");
    write(&path, "bin", "\0work");
    write(&path, "twice", "work\n");
    write(&path, "fd", "a file here\n");
    let work = stage.save("p1-a", base, None);
    fs::remove_file(stage.root.join("d2")).expect("rm");
    let files = [
        ("d1", "main\n"),
        ("bin", "\0main"),
        ("twice", "main\n"),
        ("fd/inside", "a directory there\n"),
    ];
    let onto = stage.commit("main moved", &files);
    let done = stage.repo.rebase("p1-a", base, onto, work.commit).expect("rebased");
    let listed: Vec<_> = done.conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["bin", "d1", "d2", "fd", "twice"]);
    assert_eq!(read(&path, "d1"), "main\n", "changed on main, deleted here: kept");
    assert_eq!(read(&path, "d2"), "work\n", "deleted on main, changed here: kept");
    assert_eq!(read(&path, "bin"), "\0main");
    assert!(read(&path, "twice").contains("<<<<<<< taskd main"));
    assert_eq!(read(&path, "fd/inside"), "a directory there\n");
    assert_eq!(read(&path, "fd~taskd-work"), "a file here\n");
    assert_eq!(stage.save("p1-a", onto, Some(done.checkpoint)).commit, done.checkpoint);
}

#[test]
fn renames_follow_and_work_that_main_has_already_vanishes() {
    let long = "1\n2\n3\n4\n5\n6\n7\n8\n";
    let stage = Stage::new(&[("old", long), ("b", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "old", &long.replace('8', "eight"));
    let work = stage.save("p1-a", base, None);
    git(&stage.root, &["mv", "old", "new"]);
    let onto = stage.commit("renamed", &[]);
    let done = stage.repo.rebase("p1-a", base, onto, work.commit).expect("rebased");
    assert!(done.conflicts.is_empty());
    assert!(read(&path, "new").contains("eight") && !path.join("old").exists());
    let same = stage.commit("the same", &[("new", &long.replace('8', "eight"))]);
    let gone = stage.repo.rebase("p1-a", onto, same, done.checkpoint).expect("rebased");
    assert_eq!(gone.checkpoint, same);
    assert!(!stage.save("p1-a", same, Some(gone.checkpoint)).changed);
}

#[test]
fn files_in_no_checkpoint_are_saved_first() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    let onto = stage.commit("main moved", &[("a", "2\n")]);
    write(&path, "unsaved", "precious\n");
    let done = stage.repo.rebase("p1-a", base, onto, base).expect("rebased");
    let saved = done.salvaged.expect("saved");
    assert_eq!(stage.file(saved, "unsaved").as_deref(), Some("precious\n"));
    assert!(!path.join("unsaved").exists());
}
