//! The person's checkout follows the branch only when nothing of theirs is at stake.

use std::fs;
use std::path::Path;

use taskd_git::{Advance, Follow, Manner};
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

/// What the checkout says to a move of main; whatever it says, no lock is left.
fn follow(stage: &Stage, from: Oid, to: Oid) -> Follow {
    let moved = stage.repo.advance("main", (from, to), Manner::Clean, "land").expect("no error");
    let left = ["HEAD.lock", "refs/heads/main.lock", "taskd-ab12-index", "taskd-ab12-lock"];
    for file in left {
        assert!(!stage.root.join(".git").join(file).exists(), "{file} is left");
    }
    match moved {
        Advance::Done => Follow::Followed,
        Advance::Stopped { root, why } => {
            assert_eq!(root, stage.root);
            why
        }
        Advance::Elsewhere { actual } => Follow::Moved { actual: actual.expect("it is there") },
    }
}

fn dirty(files: &[&str]) -> Follow {
    Follow::Dirty { files: files.iter().map(|file| (*file).into()).collect() }
}

#[test]
fn a_clean_checkout_follows_whichever_comes_first() {
    let (stage, from, to) = published();
    write(&stage.root, "untracked", "stays\n");
    assert_eq!(follow(&stage, from, to), Follow::Followed);
    assert_eq!(git(&stage.root, &["status", "--porcelain"]), "?? untracked");
    assert_eq!(
        (read(&stage.root, "a"), read(&stage.root, "to-dir/z")),
        ("2\n".into(), "2\n".into())
    );
    assert!(!stage.root.join("gone").exists());
    assert_eq!(follow(&stage, from, to), Follow::Followed, "again");
    let (stage, from, to) = published();
    git(&stage.root, &["update-ref", "refs/heads/main", &from.to_string()]);
    assert_eq!(follow(&stage, from, to), Follow::Followed);
    assert_eq!(stage.head(), to, "with the branch");
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
        assert_eq!(follow(&stage, from, to), dirty(expected), "case {n}");
        assert_eq!(files(&stage.root), before, "case {n}");
    }
}

#[test]
fn a_crash_in_the_middle_is_finished() {
    let (stage, from, to) = published();
    write(&stage.root, "a", "2\n");
    write(&stage.root, "new/y", "2\n");
    fs::remove_dir_all(stage.root.join("gone")).expect("rm");
    assert_eq!(follow(&stage, from, to), Follow::Followed);
    assert_eq!(git(&stage.root, &["status", "--porcelain"]), "");
}

#[test]
fn elsewhere_moved_or_busy() {
    let (stage, from, to) = published();
    for lock in [".git/index.lock", ".git/HEAD.lock"] {
        write(&stage.root, lock, "");
        assert!(matches!(stopped(&stage, from, to), Follow::Busy { .. }));
        assert_eq!(read(&stage.root, lock), "", "somebody else's lock stays");
        fs::remove_file(stage.root.join(lock)).expect("unlock");
    }
    git(&stage.root, &["update-ref", "refs/heads/main", &from.to_string()]);
    let moved = stage.commit("person", &[("p", "1\n")]);
    assert_eq!(follow(&stage, from, to), Follow::Moved { actual: moved });
    git(&stage.root, &["update-ref", "refs/heads/main", &from.to_string()]);
    git(&stage.root, &["reset", "-q", "--hard"]);
    for elsewhere in [&["checkout", "-q", "--detach"][..], &["checkout", "-q", "temp"]] {
        git(&stage.root, elsewhere);
        git(&stage.root, &["update-ref", "refs/heads/main", &from.to_string()]);
        let before = files(&stage.root);
        assert_eq!(follow(&stage, from, to), Follow::Followed, "main alone moves");
        assert_eq!(oid(&git(&stage.root, &["rev-parse", "main"])), to);
        assert_eq!(files(&stage.root), before);
    }
}

fn stopped(stage: &Stage, from: Oid, to: Oid) -> Follow {
    match stage.repo.advance("main", (from, to), Manner::Clean, "land").expect("no error") {
        Advance::Stopped { why, .. } => why,
        other @ (Advance::Done | Advance::Elsewhere { .. }) => panic!("{other:?}"),
    }
}

/// What a kill leaves: the locks as they are written, and main where it was.
fn killed(from: Oid, to: Oid, stage: &Stage) -> String {
    git(&stage.root, &["update-ref", "refs/heads/main", &from.to_string()]);
    let note = format!(
        "taskd ab12 moves the files of this checkout, as work lands on its branch.\n\
         branch main\nfrom {from}\nto {to}\nIf it was killed: it ends this.\n\0"
    );
    write(&stage.root, ".git/index.lock", &note);
    write(&stage.root, ".git/HEAD.lock", &note);
    note
}

/// Makes the files of the new commit, and a draft of its index, as git does.
fn written(stage: &Stage, from: Oid, to: Oid) {
    let draft = stage.root.join(".git/taskd-ab12-index");
    fs::copy(stage.root.join(".git/index"), &draft).expect("copied");
    let index = format!("GIT_INDEX_FILE={}", draft.display());
    let how = ["-c", "alias.x=!f() { env \"$1\" git read-tree -m -u $2 $3; }; f", "x"];
    git(&stage.root, &[&how[..], &[&index, &from.to_string(), &to.to_string()]].concat());
}

#[track_caller]
fn is_whole(stage: &Stage, at: Oid, status: &str) {
    assert_eq!(stage.head(), at);
    assert_eq!(git(&stage.root, &["status", "--porcelain", "--untracked-files=all"]), status);
    for left in ["index.lock", "HEAD.lock", "taskd-ab12-index", "taskd-ab12-index.lock"] {
        assert!(!stage.root.join(".git").join(left).exists(), "{left} is left");
    }
}

/// A kill at any point of a move is ended by the next start, to where the branch is.
#[test]
fn a_kill_at_any_point_is_ended_on_the_next_start() {
    type Point = fn(&Stage, Oid, Oid);
    let move_main = |stage: &Stage, to: Oid| {
        git(&stage.root, &["update-ref", "--no-deref", "refs/heads/main", &to.to_string()]);
    };
    let points: [(Point, bool); 6] = [
        (|_, _, _| {}, false),
        (
            // Git removes first, then writes: a file is partly there, one not yet, one gone.
            |stage, _, _| {
                fs::remove_dir_all(stage.root.join("gone")).expect("rm");
                fs::remove_file(stage.root.join("to-dir")).expect("rm");
                fs::remove_dir_all(stage.root.join("to-file")).expect("rm");
                fs::remove_file(stage.root.join("a")).expect("rm");
                write(&stage.root, "to-dir/z", "2");
                write(&stage.root, "new/y", "2\n");
                write(&stage.root, ".git/taskd-ab12-index", "part of an ind");
                write(&stage.root, ".git/taskd-ab12-index.lock", "");
            },
            false,
        ),
        (written, false),
        (written, true),
        (
            |stage, from, to| {
                written(stage, from, to);
                let draft = stage.root.join(".git/taskd-ab12-index");
                fs::rename(draft, stage.root.join(".git/index")).expect("renamed");
            },
            true,
        ),
        (|_, _, _| {}, true),
    ];
    for (n, (point, moved)) in points.into_iter().enumerate() {
        let (stage, from, to) = published();
        write(&stage.root, "mine", "untracked\n");
        killed(from, to, &stage);
        point(&stage, from, to);
        if moved {
            fs::remove_file(stage.root.join(".git/HEAD.lock")).expect("for this git");
            move_main(&stage, to);
        }
        assert_eq!(stage.repo.clear_stale_locks().expect("ok"), 1, "point {n}");
        is_whole(&stage, if moved { to } else { from }, "?? mine");
        assert_eq!(read(&stage.root, "a"), if moved { "2\n" } else { "1\n" }, "point {n}");
        assert_eq!(follow(&stage, from, to), Follow::Followed, "point {n}");
        is_whole(&stage, to, "?? mine");
    }
}

/// What the person changed after the kill, or had there before it, stays.
#[test]
fn mending_takes_nothing_of_the_persons() {
    for moved in [false, true] {
        let (stage, from, to) = published();
        let note = killed(from, to, &stage);
        // The person had this one already, byte for byte; so the note says.
        write(&stage.root, ".git/index.lock", &format!("{note}new/y\0"));
        written(&stage, from, to);
        write(&stage.root, "a", "mine\n");
        write(&stage.root, "to-dir/mine", "mine\n");
        if moved {
            fs::remove_file(stage.root.join(".git/HEAD.lock")).expect("for this git");
            git(&stage.root, &["update-ref", "refs/heads/main", &to.to_string()]);
        }
        assert_eq!(stage.repo.clear_stale_locks().expect("ok"), 1);
        assert_eq!(read(&stage.root, "a"), "mine\n");
        assert_eq!(read(&stage.root, "to-dir/mine"), "mine\n");
        assert_eq!(read(&stage.root, "new/y"), "2\n");
        let seen = match moved {
            true => " M a\n?? to-dir/mine",
            false => " M a\n D to-dir\n?? new/y\n?? to-dir/mine",
        };
        is_whole(&stage, if moved { to } else { from }, seen.trim_end());
    }
}

/// A lock that says nothing of ours, or is another store's, is never removed.
#[test]
fn foreign_locks_stay() {
    let (stage, from, to) = published();
    let note = killed(from, to, &stage);
    for foreign in ["", "12345\n", &note.replace("ab12", "zz99")] {
        for lock in [".git/index.lock", ".git/HEAD.lock"] {
            write(&stage.root, lock, foreign);
        }
        assert_eq!(stage.repo.clear_stale_locks().expect("ok"), 0);
        assert!(matches!(stopped(&stage, from, to), Follow::Busy { .. }));
        for lock in [".git/index.lock", ".git/HEAD.lock"] {
            assert_eq!(read(&stage.root, lock), foreign);
        }
    }
    // Somebody removed the one by hand, as git advises.
    fs::remove_file(stage.root.join(".git/index.lock")).expect("rm");
    write(&stage.root, ".git/HEAD.lock", &note);
    assert_eq!(stage.repo.clear_stale_locks().expect("ok"), 1);
    is_whole(&stage, from, "");
}
