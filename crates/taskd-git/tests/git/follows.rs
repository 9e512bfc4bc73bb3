//! The person's checkout follows the branch only when nothing of theirs is at stake.

use std::fs;
use std::path::Path;

use taskd_git::{Follow, follow_checkout};
use taskd_model::Oid;

use crate::{Stage, files, git, oid, read, write};

/// A checkout of main at `from`; main is at `to` already, as after a publication.
fn published() -> (Stage, Oid, Oid) {
    let stage = Stage::new(&[
        ("a", "1\n"),
        ("gone/x", "1\n"),
        ("same", "1\n"),
        ("to-dir", "1\n"),
        ("to-file/x", "1\n"),
    ]);
    let from = stage.head();
    git(&stage.root, &["checkout", "-q", "-b", "temp"]);
    fs::remove_dir_all(stage.root.join("gone")).expect("rm");
    fs::remove_file(stage.root.join("to-dir")).expect("rm");
    fs::remove_dir_all(stage.root.join("to-file")).expect("rm");
    let to = stage
        .commit("next", &[("a", "2\n"), ("new/y", "2\n"), ("to-dir/z", "2\n"), ("to-file", "2\n")]);
    git(&stage.root, &["checkout", "-q", "main"]);
    git(&stage.root, &["update-ref", "refs/heads/main", &to.to_string()]);
    (stage, from, to)
}

fn follow(root: &Path, from: Oid, to: Oid) -> Follow {
    follow_checkout(root, "main", from, to).expect("no error")
}

fn dirty(files: &[&str]) -> Follow {
    Follow::Dirty { files: files.iter().map(|file| (*file).into()).collect() }
}

#[test]
fn a_clean_checkout_follows_whichever_comes_first() {
    let (stage, from, to) = published();
    write(&stage.root, "untracked", "stays\n");
    assert_eq!(follow(&stage.root, from, to), Follow::Followed);
    assert_eq!(git(&stage.root, &["status", "--porcelain"]), "?? untracked");
    assert_eq!(
        (read(&stage.root, "a"), read(&stage.root, "to-dir/z")),
        ("2\n".into(), "2\n".into())
    );
    assert!(!stage.root.join("gone").exists());
    assert_eq!(follow(&stage.root, from, to), Follow::Followed, "again");
    let (stage, from, to) = published();
    git(&stage.root, &["update-ref", "refs/heads/main", &from.to_string()]);
    assert_eq!(follow(&stage.root, from, to), Follow::Followed);
    git(&stage.root, &["update-ref", "refs/heads/main", &to.to_string()]);
    assert_eq!(git(&stage.root, &["status", "--porcelain"]), "");
}

#[test]
fn whatever_is_the_persons_stops_it() {
    type Change = fn(&Path);
    let cases: [(Change, &[&str]); 8] = [
        (|root| write(root, "a", "mine\n"), &["a"]),
        (|root| write(root, "same", "mine\n"), &["same"]),
        (|root| fs::remove_file(root.join("same")).expect("rm"), &["same"]),
        (
            |root| {
                write(root, "same", "staged\n");
                git(root, &["add", "same"]);
                write(root, "same", "1\n");
            },
            &["same"],
        ),
        (|root| write(root, "new/y", "untracked\n"), &["new/y"]),
        (|root| write(root, "new", "untracked file\n"), &["new"]),
        (|root| write(root, "to-file/mine", "untracked\n"), &["to-file/mine"]),
        (
            |root| {
                write(root, ".git/info/exclude", "new\n");
                write(root, "new/y", "ignored\n");
            },
            &["new/y"],
        ),
    ];
    for (n, (change, expected)) in cases.into_iter().enumerate() {
        let (stage, from, to) = published();
        change(&stage.root);
        let before = files(&stage.root);
        assert_eq!(follow(&stage.root, from, to), dirty(expected), "case {n}");
        assert_eq!(files(&stage.root), before, "case {n}");
    }
}

#[test]
fn a_crash_in_the_middle_is_finished() {
    let (stage, from, to) = published();
    write(&stage.root, "a", "2\n");
    write(&stage.root, "new/y", "2\n");
    fs::remove_dir_all(stage.root.join("gone")).expect("rm");
    assert_eq!(follow(&stage.root, from, to), Follow::Followed);
    assert_eq!(git(&stage.root, &["status", "--porcelain"]), "");
}

#[test]
fn elsewhere_moved_or_busy() {
    let (stage, from, to) = published();
    fs::write(stage.root.join(".git/index.lock"), "").expect("lock");
    assert!(matches!(follow(&stage.root, from, to), Follow::Busy { .. }));
    fs::remove_file(stage.root.join(".git/index.lock")).expect("unlock");
    git(&stage.root, &["update-ref", "refs/heads/main", &from.to_string()]);
    let moved = stage.commit("person", &[("p", "1\n")]);
    assert_eq!(follow(&stage.root, from, to), Follow::Moved { actual: moved });
    git(&stage.root, &["checkout", "-q", "--detach", &from.to_string()]);
    assert_eq!(follow(&stage.root, from, to), Follow::NotOnBranch);
    git(&stage.root, &["checkout", "-q", "temp"]);
    assert_eq!(follow(&stage.root, from, to), Follow::NotOnBranch);
    assert_eq!(oid(&git(&stage.root, &["rev-parse", "temp"])), to);
}
