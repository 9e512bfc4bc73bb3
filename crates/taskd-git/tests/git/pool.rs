//! Worktrees that are written by ourselves, from spares, and by what differs are what git would make.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use taskd_git::{Ensure, RepoPath};

use crate::{Stage, ada, files, git, read, write};

/// A repository with files of every kind.
fn of_every_kind() -> Stage {
    let stage = Stage::new(&[
        ("a", "1\n"),
        ("d/e/f", "2\n"),
        (".gitignore", "*.log\n"),
        (".gitattributes", "*.bin binary\n* text=auto\n"),
    ]);
    fs::write(stage.root.join("data.bin"), [0, 13, 10, 255]).expect("write");
    write(&stage.root, "run.sh", "#!/bin/sh\n");
    fs::set_permissions(stage.root.join("run.sh"), fs::Permissions::from_mode(0o755))
        .expect("mode");
    symlink("d/e", stage.root.join("link")).expect("a link");
    stage.commit("kinds", &[("d/empty", "")]);
    stage
}

/// What git itself would check out of a commit.
fn by_git(stage: &Stage, commit: &str) -> PathBuf {
    let path = stage.temp.path().join(format!("by-git-{commit}"));
    git(&stage.root, &["worktree", "add", "-q", "--detach", path.to_str().expect("text"), commit]);
    path
}

fn is_clean(path: &Path) {
    assert_eq!(git(path, &["status", "--porcelain"]), "", "{}", path.display());
    assert_eq!(git(path, &["diff", "HEAD"]), "");
}

#[test]
fn a_new_worktree_is_what_git_makes() {
    let stage = of_every_kind();
    let wanted = files(&by_git(&stage, "main"));
    let path = stage.fresh("p1-a");
    assert_eq!(files(&path), wanted);
    is_clean(&path);
    // Line endings are for libgit2 to change.
    stage.commit("endings", &[(".gitattributes", "*.txt eol=crlf\n"), ("x.txt", "one\ntwo\n")]);
    let path = stage.fresh("p1-b");
    assert_eq!(read(&path, "x.txt"), "one\r\ntwo\r\n");
    assert_eq!(files(&path), files(&by_git(&stage, "main~0")));
    is_clean(&path);
}

#[test]
fn a_spare_becomes_the_worktree_of_another_commit() {
    let stage = of_every_kind();
    assert!(stage.repo.make_spare(2, stage.head()).expect("made"));
    assert!(stage.repo.make_spare(2, stage.head()).expect("made"));
    assert!(!stage.repo.make_spare(2, stage.head()).expect("looked"), "two are there");
    fs::remove_file(stage.root.join("link")).expect("rm");
    fs::remove_file(stage.root.join("a")).expect("rm");
    let base =
        stage.commit("later", &[("link/now", "a directory\n"), ("d/e/f", "3\n"), ("a/b", "")]);
    let wanted = files(&by_git(&stage, "main"));
    let names: Vec<String> = (0..4).map(|n| format!("p1-{n}")).collect();
    let made: Vec<_> = std::thread::scope(|scope| {
        let ensure = |name| stage.repo.ensure_worktree(name, Ensure::Fresh { base });
        let all: Vec<_> = names.iter().map(|it| scope.spawn(move || ensure(it))).collect();
        all.into_iter().map(|it| it.join().expect("no panic").expect("made")).collect()
    });
    assert_eq!(made.iter().filter(|it| it.from_spare).count(), 2);
    for it in made {
        assert!(it.created && it.salvaged.is_none());
        assert_eq!(files(&it.path), wanted, "{it:?}");
        is_clean(&it.path);
        assert_eq!(git(&it.path, &["rev-parse", "HEAD"]), base.to_string());
    }
    for n in 0..2 {
        assert!(!stage.repo.worktree_path(&format!("spare-{n}")).exists());
        assert!(!stage.meta(&format!("spare-{n}")).exists());
    }
    git(&stage.root, &["fsck", "--strict"]);
}

#[test]
fn killed_while_a_spare_changes_hands() {
    let stage = of_every_kind();
    let base = stage.head();
    let wanted = files(&by_git(&stage, "main"));
    let spare = stage.repo.worktree_path("spare-0");
    let (from, to) = (stage.meta("spare-0"), stage.meta("p1-a"));
    // In the order in which it happens: each step is the last one before the kill.
    for steps in 1..=5 {
        assert!(stage.repo.make_spare(1, base).expect("made"), "{steps}");
        let dir = stage.fresh("p1-seed");
        let path = stage.repo.worktree_path("p1-a");
        // `p1-a` is claimed and empty: what `p1-seed` has in its place.
        fs::create_dir_all(&path).expect("mkdir");
        fs::create_dir_all(&to).expect("mkdir");
        let marker = fs::read_to_string(stage.meta("p1-seed").join("taskd")).expect("there");
        fs::write(to.join("taskd"), marker.replace("p1-seed", "p1-a")).expect("write");
        for file in ["locked", "commondir", "HEAD"] {
            fs::copy(stage.meta("p1-seed").join(file), to.join(file)).expect("copied");
        }
        fs::write(to.join("gitdir"), format!("{}/.git\n", path.display())).expect("write");
        fs::write(path.join(".git"), format!("gitdir: {}\n", to.display())).expect("write");
        fs::write(to.join("taskd-filling"), "").expect("write");
        assert!(dir.exists());
        let made = stage.repo.make_spare(1, base).expect("looked");
        if made {
            // The seed had taken it.
            assert!(!stage.repo.make_spare(1, base).expect("looked"));
        }
        let step = |n: u32| n <= steps;
        if step(1) {
            fs::remove_file(from.join("taskd-ready")).expect("rm");
        }
        if step(2) {
            fs::rename(from.join("taskd-index"), to.join("taskd-index")).expect("mv");
        }
        if step(3) {
            fs::remove_file(spare.join(".git")).expect("rm");
        }
        if step(4) {
            fs::remove_file(path.join(".git")).expect("rm");
        }
        if step(5) {
            fs::rename(&spare, &path).expect("mv");
        }
        let again = stage.repo.ensure_worktree("p1-a", Ensure::Fresh { base }).expect("made");
        assert_eq!(again.salvaged, None, "{steps}");
        assert_eq!(files(&again.path), wanted, "{steps}");
        is_clean(&again.path);
        assert!(stage.repo.make_spare(1, base).expect("made"), "{steps}");
        assert_eq!(files(&spare), wanted, "{steps}");
        for name in ["p1-a", "p1-seed"] {
            stage.repo.remove_worktree(name, base).expect("removed");
        }
        stage.fresh("p1-last");
        stage.repo.remove_worktree("p1-last", base).expect("removed");
    }
}

#[test]
fn a_checkpoint_of_what_a_tool_wrote_is_that_of_everything() {
    let stage = of_every_kind();
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "b", "before\n");
    let first = stage.save("p1-a", base, None);
    let mut prev = first.commit;
    type Step = (&'static str, fn(&Path));
    let steps: [Step; 8] = [
        ("a", |it| write(it, "a", "changed\n")),
        ("new/deep/file", |it| write(it, "new/deep/file", "new\n")),
        ("run.sh", |it| {
            fs::set_permissions(it.join("run.sh"), fs::Permissions::from_mode(0o644))
                .expect("mode");
        }),
        ("b", |it| fs::remove_file(it.join("b")).expect("rm")),
        ("debug.log", |it| write(it, "debug.log", "ignored\n")),
        ("a", |it| {
            fs::remove_file(it.join("a")).expect("rm");
            symlink("run.sh", it.join("a")).expect("a link");
        }),
        ("d", |it| {
            fs::remove_dir_all(it.join("d")).expect("rm");
            write(it, "d", "a file now\n");
        }),
        (".gitignore", |it| write(it, ".gitignore", "")),
    ];
    for (n, (name, change)) in steps.iter().enumerate() {
        change(&path);
        let paths = [RepoPath::from(*name)];
        let saved = stage.repo.checkpoint_paths("p1-a", base, prev, &paths, "tool\n", &ada());
        let saved = saved.expect("saved");
        let whole = stage.save("p1-a", base, Some(prev));
        assert_eq!(saved.tree, whole.tree, "step {n}, {name}");
        assert_eq!((saved.files, saved.added), (whole.files, whole.added), "step {n}, {name}");
        prev = saved.commit;
    }
    // With nothing named nothing is looked at.
    write(&path, "later", "x\n");
    let none = stage.repo.checkpoint_paths("p1-a", base, prev, &[], "tool\n", &ada());
    assert_eq!(none.expect("saved").commit, prev);
}
