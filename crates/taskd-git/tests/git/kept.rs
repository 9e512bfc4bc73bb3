//! Going back to an earlier state of the work, and what is kept of the later one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use taskd_git::{GitError, KeptFor};
use taskd_model::Oid;

use crate::{Stage, files, read, write};

/// Work in three states: as it was saved first, as it was saved last, and as nobody has saved it.
fn changed(stage: &Stage) -> (std::path::PathBuf, Oid, Oid) {
    let path = stage.fresh("p1-a");
    fs::remove_file(path.join("gone")).expect("rm");
    fs::set_permissions(path.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("chmod");
    symlink("run.sh", path.join("link")).expect("symlink");
    write(&path, OsStr::from_bytes(b"caf\xe9\n.txt"), "bytes\n");
    write(&path, "new/deep.txt", "1\n");
    let first = stage.save("p1-a", stage.head(), None).commit;
    write(&path, "gone", "back\n");
    fs::set_permissions(path.join("run.sh"), fs::Permissions::from_mode(0o644)).expect("chmod");
    fs::remove_file(path.join("link")).expect("rm");
    write(&path, "link", "a file now\n");
    fs::remove_dir_all(path.join("new")).expect("rm");
    write(&path, "new", "a file too\n");
    let last = stage.save("p1-a", stage.head(), Some(first)).commit;
    write(&path, "by-hand.txt", "nobody saved it\n");
    (path, first, last)
}

fn stage() -> Stage {
    Stage::new(&[(".gitignore", "*.log\n"), ("gone", "x\n"), ("run.sh", "#!\n")])
}

#[test]
fn going_back_is_exact_and_loses_nothing() {
    let stage = stage();
    let (path, first, last) = changed(&stage);
    write(&path, "build.log", "ignored\n");
    let with_hand = files(&path);
    let base = stage.head();
    let prepared = stage.repo.rewind("p1-a", base, first).expect("ok");
    let mut now = files(&path);
    assert!(now.remove(Path::new("build.log")).is_some(), "what is ignored stays");
    let there = stage.temp.path().join("first");
    stage.repo.write_out(first, &there).expect("ok");
    assert_eq!(now, files(&there));
    assert_eq!(fs::read_link(path.join("link")).expect("a link"), Path::new("run.sh"));
    let mode = fs::metadata(path.join("run.sh")).expect("there").permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert!(!path.join("gone").exists() && !path.join("by-hand.txt").exists());

    let kept = stage.repo.kept().expect("ok");
    let of = |why| kept.iter().find(|it| it.why == why).expect("kept");
    assert_eq!(kept.len(), 2);
    assert_eq!(of(KeptFor::BeforeRewind).commit, last);
    assert_eq!(of(KeptFor::BeforeRewind).files, 5);
    assert_eq!(Some(of(KeptFor::Salvage).commit), prepared.salvaged);
    let back = stage.temp.path().join("back");
    stage.repo.write_out(of(KeptFor::Salvage).commit, &back).expect("ok");
    let mut with_hand = with_hand;
    with_hand.remove(Path::new("build.log"));
    assert_eq!(files(&back), with_hand);

    let tip = stage.repo.tip_of_ref("refs/taskd/ab12/loops/p1-a").expect("ok");
    assert_eq!(tip, Some(first));
    // Asked for again, as after a crash, it changes nothing.
    stage.repo.rewind("p1-a", base, first).expect("ok");
    assert_eq!(stage.repo.kept().expect("ok"), kept);
    let next = {
        write(&path, "after.txt", "1\n");
        stage.save("p1-a", base, Some(first)).commit
    };
    assert!(stage.repo.ancestor_of(first, next).expect("ok"));
}

/// Whatever the crash left half done, the same question ends in the same place.
#[test]
fn a_crash_in_the_middle_is_repaired() {
    let stage = stage();
    let (path, first, last) = changed(&stage);
    let base = stage.head();
    stage.repo.rewind("p1-a", base, first).expect("ok");
    let wanted = files(&path);
    // As if it had died after it kept the work and before the files were whole.
    let own = "refs/taskd/ab12/loops/p1-a";
    crate::git(&stage.root, &["update-ref", own, &last.to_string()]);
    fs::remove_file(stage.meta("p1-a").join("taskd-ready")).expect("there");
    write(&path, "gone", "half\n");
    stage.repo.rewind("p1-a", base, first).expect("ok");
    assert_eq!(files(&path), wanted);
    let kept = stage.repo.kept().expect("ok");
    assert_eq!(kept.iter().filter(|it| it.why == KeptFor::BeforeRewind).count(), 1);
}

#[test]
fn files_are_never_written_over_files() {
    let stage = stage();
    let (path, first, _) = changed(&stage);
    let before = files(&path);
    let full = stage.repo.write_out(first, &path).expect_err("it is full");
    assert!(matches!(full, GitError::DirInUse { .. }), "{full}");
    assert_eq!(files(&path), before);
    let file = stage.repo.write_out(first, &path.join("run.sh")).expect_err("it is a file");
    assert!(matches!(file, GitError::DirInUse { .. }), "{file}");
    assert_eq!(read(&path, "run.sh"), "#!\n");
}
