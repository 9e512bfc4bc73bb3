//! Candidates, publication, and the promise about the person's checkout.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use taskd_git::{Advance, Candidate, GitError, Manner, Published};
use taskd_model::Oid;

use crate::{Stage, ada, files, git, oid, try_git, write};

fn clean(candidate: Candidate) -> (Oid, Oid) {
    match candidate {
        Candidate::Clean { commit, tree } => (commit, tree),
        other @ (Candidate::Empty | Candidate::Conflict { .. }) => panic!("not clean: {other:?}"),
    }
}

#[test]
fn a_candidate_is_one_commit_on_the_tip() {
    let stage = Stage::new(&[("a", "1\n"), ("b", "1\n")]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    write(&path, "b", "first\n");
    let first = stage.save("p1-a", base, None);
    write(&path, "b", "second\n");
    let work = stage.save("p1-a", base, Some(first.commit)).commit;
    let onto = stage.commit("main moved", &[("a", "2\n")]);
    let make = |onto| stage.repo.candidate(base, work, onto, "Do it\n\nTaskd-Plan: 1\n", &ada());
    let (commit, _) = clean(make(onto).expect("ok"));
    assert_eq!(clean(make(onto).expect("ok")).0, commit, "the same question, the same commit");
    assert_eq!(stage.repo.ahead_behind(commit, onto).expect("ok"), (1, 0));
    assert_eq!(stage.file(commit, "a").as_deref(), Some("2\n"));
    assert_eq!(stage.file(commit, "b").as_deref(), Some("second\n"));
    let line = stage.repo.commit_summary(commit).expect("ok");
    assert_eq!((&*line.summary, &*line.author, line.when), ("Do it", "Ada", 1_700_000_000));
    assert_eq!(make(commit).expect("ok"), Candidate::Empty);
    let clash = stage.commit("clash", &[("b", "main\n")]);
    assert_eq!(make(clash).expect("ok"), Candidate::Conflict { paths: vec!["b".into()] });
    let log: Vec<_> =
        stage.repo.log(clash, 2).expect("ok").into_iter().map(|l| l.summary).collect();
    assert_eq!(log, ["clash", "main moved"]);
}

#[test]
fn merging_what_the_person_committed() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    let ours = stage.commit("integration", &[("b", "1\n")]);
    git(&stage.root, &["checkout", "-q", "-b", "person", &base.to_string()]);
    let theirs = stage.commit("person", &[("c", "1\n")]);
    let merge = |a, b| stage.repo.merge_into(a, b, "merge\n", &ada()).expect("ok");
    let (commit, _) = clean(merge(ours, theirs));
    assert_eq!(stage.repo.ahead_behind(commit, ours).expect("ok"), (2, 0));
    assert!(stage.repo.ancestor_of(theirs, commit).expect("ok"));
    assert_eq!(stage.repo.merge_base(ours, theirs).expect("ok"), Some(base));
    assert_eq!(merge(ours, base), Candidate::Empty);
    assert_eq!(clean(merge(base, theirs)).0, theirs);
    let clash = stage.commit("clash", &[("b", "2\n")]);
    assert!(matches!(merge(ours, clash), Candidate::Conflict { .. }));
}

#[test]
fn publishing_compares_and_swaps() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    git(&stage.root, &["pack-refs", "--all"]);
    git(&stage.root, &["checkout", "-q", "-b", "elsewhere"]);
    let (one, two) = (stage.commit("one", &[("a", "2\n")]), stage.commit("two", &[("a", "3\n")]));
    let main = "refs/heads/main";
    let publish = |new, old| stage.repo.publish(main, new, Some(old), "taskd: land 1");
    assert_eq!(stage.repo.tip("main").expect("packed"), Some(base));
    assert_eq!(publish(two, one).expect("ok"), Published::Moved { actual: Some(base) });
    assert_eq!(publish(one, base).expect("ok"), Published::Done);
    assert_eq!(publish(one, base).expect("ok"), Published::AlreadyThere);
    assert_eq!(publish(two, one).expect("ok"), Published::Done);
    assert_eq!(publish(one, base).expect("ok"), Published::AlreadyThere, "and moved on");
    assert!(git(&stage.root, &["reflog", "main"]).contains("taskd: land 1"));
    let back = publish(base, two).expect_err("backwards");
    assert!(matches!(back, GitError::NotForward { .. }), "{back}");
    let own = stage.repo.own_ref("plans/1/integration");
    let make = || stage.repo.publish(&own, one, None, "made");
    assert_eq!(make().expect("ok"), Published::Done);
    assert_eq!(make().expect("ok"), Published::AlreadyThere);
    let other = stage.repo.publish(&own, two, None, "made").expect("ok");
    assert_eq!(other, Published::Moved { actual: Some(one) });
    for name in ["refs/tags/v1", "refs/taskd/zz99/loops/x", "HEAD", "refs/heads/../x"] {
        let err = stage.repo.publish(name, one, None, "no").expect_err("refused");
        assert!(matches!(err, GitError::RefRefused { .. }), "{err}");
    }
    git(&stage.root, &["symbolic-ref", "refs/heads/alias", main]);
    let err = stage.repo.publish("refs/heads/alias", two, Some(two), "no").expect_err("symbolic");
    assert!(matches!(err, GitError::RefRefused { .. }), "{err}");
    fs::write(stage.root.join(".git/refs/heads/main.lock"), "").expect("lock");
    let err = publish(two, one).expect_err("locked");
    assert!(matches!(err, GitError::RefLocked { .. }), "{err}");
    fs::write(stage.root.join(".git").join(format!("{own}.lock")), "").expect("lock");
    assert_eq!(stage.repo.clear_stale_locks().expect("ok"), 1, "only our own");
}

#[test]
fn a_lock_left_by_a_killed_publish_is_ours_to_remove() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    git(&stage.root, &["checkout", "-q", "--detach"]);
    let one = stage.commit("one", &[("a", "2\n")]);
    let lock = stage.root.join(".git/refs/heads/main.lock");
    let publish = || stage.repo.publish("refs/heads/main", one, Some(base), "land");
    // What a kill between the lock and the move leaves: the word that we were about to, the lock.
    let worktrees = stage.repo.worktree_path("x");
    let worktrees = worktrees.parent().expect("a directory");
    fs::create_dir_all(worktrees).expect("made");
    let intent = worktrees.join("publishing-refs%heads%main");
    fs::write(&intent, "refs/heads/main").expect("declared");
    fs::write(&lock, "").expect("locked");
    assert!(matches!(publish(), Err(GitError::RefLocked { .. })), "not before the next life");
    assert_eq!(stage.repo.clear_stale_locks().expect("ok"), 1);
    assert_eq!(publish().expect("free again"), Published::Done);
    assert!(!lock.exists() && !intent.exists(), "nothing is left behind");
}

#[test]
fn of_two_who_publish_one_wins() {
    let stage = Stage::new(&[("a", "1\n")]);
    let base = stage.head();
    git(&stage.root, &["checkout", "-q", "--detach"]);
    let one = stage.commit("one", &[("a", "2\n")]);
    git(&stage.root, &["checkout", "-q", "--detach", &base.to_string()]);
    let two = stage.commit("two", &[("a", "3\n")]);
    for round in 0..20 {
        let own = stage.repo.own_ref(&format!("race/{round}"));
        for (name, expected) in [("refs/heads/main", Some(base)), (own.as_str(), None)] {
            git(&stage.root, &["update-ref", "refs/heads/main", &base.to_string()]);
            let start = Barrier::new(2);
            let race = |new| {
                start.wait();
                stage.repo.publish(name, new, expected, "race")
            };
            let results = std::thread::scope(|scope| {
                let other = scope.spawn(|| race(one));
                [race(two), other.join().expect("no panic")]
            });
            let won = results.iter().filter(|r| matches!(r, Ok(Published::Done))).count();
            assert_eq!(won, 1, "{results:?}");
        }
    }
}

/// Everything a person can notice of their repository.
fn belongings(stage: &Stage) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = files(&stage.root);
    for file in ["HEAD", "index", "config", "refs/stash", "logs/HEAD", "packed-refs"] {
        let path = Path::new(".git").join(file);
        if let Ok(bytes) = fs::read(stage.root.join(&path)) {
            all.insert(path, (0, bytes));
        }
    }
    for dir in ["refs/heads", "refs/tags", "hooks", "info", "logs/refs"] {
        let at = stage.root.join(".git").join(dir);
        if at.is_dir() {
            let named = files(&at).into_iter();
            all.extend(named.map(|(path, found)| (Path::new(".git").join(dir).join(path), found)));
        }
    }
    all
}

#[test]
fn the_persons_checkout_is_byte_identical_after_everything() {
    let stage = Stage::new(&[("a", "1\n"), ("b", "1\n"), (".gitignore", ".env\n")]);
    let base = stage.head();
    git(&stage.root, &["checkout", "-q", "-b", "mine"]);
    write(&stage.root, "b", "stashed\n");
    git(&stage.root, &["stash", "-q"]);
    write(&stage.root, "a", "dirty\n");
    write(&stage.root, "b", "staged\n");
    git(&stage.root, &["add", "b"]);
    write(&stage.root, "untracked", "u\n");
    write(&stage.root, ".env", "secret\n");
    write(&stage.root, ".worktreeinclude", ".env\n");
    for hook in ["pre-commit", "post-checkout", "reference-transaction", "post-index-change"] {
        let path = stage.root.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(&path, format!("#!/bin/sh\ntouch '{}/HOOK-RAN'\n", stage.root.display()))
            .expect("write");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).expect("chmod");
    }
    let before = belongings(&stage);
    let repo = &stage.repo;
    let path = repo.ensure_worktree("p1-a", taskd_git::Ensure::Fresh { base }).expect("ok").path;
    repo.copy_included(&stage.root, "p1-a", Path::new(".worktreeinclude")).expect("ok");
    write(&path, "b", "work\n");
    let work = repo.checkpoint("p1-a", base, None, "work", &ada()).expect("ok").commit;
    let (other, _) = clean(repo.candidate(base, work, base, "other", &ada()).expect("ok"));
    let rebased = repo.rebase("p1-a", base, other, work).expect("ok");
    write(&path, "c", "more\n");
    let more = repo.checkpoint("p1-a", other, Some(rebased.checkpoint), "m", &ada()).expect("ok");
    let (land, _) = clean(repo.candidate(other, more.commit, other, "land", &ada()).expect("ok"));
    repo.checkout_scratch("gate-1", land).expect("ok");
    repo.diff(base, land, 1000).expect("ok");
    assert_eq!(belongings(&stage), before, "before publication nothing at all has changed");
    let advance = repo.advance("main", (base, land), Manner::Clean, "land").expect("ok");
    assert_eq!(advance, Advance::Done);
    repo.remove_worktree("p1-a", more.commit).expect("ok");
    let mut after = belongings(&stage);
    let moved = fs::read_to_string(stage.root.join(".git/refs/heads/main")).expect("loose");
    assert_eq!(oid(&moved), land);
    for target in [".git/refs/heads/main", ".git/logs/refs/heads/main"] {
        after.insert(target.into(), before[Path::new(target)].clone());
    }
    assert_eq!(after, before, "publication moves the target and nothing else");
    git(&stage.root, &["fsck", "--strict"]);
    assert!(try_git(&stage.root, &["stash", "pop"]).status.code().is_some());
}

#[test]
fn diffs_are_bounded_and_counted() {
    let stage = Stage::new(&[("a", "1\n"), ("bin", "\0x"), ("old", "1\n2\n3\n4\n5\n")]);
    let base = stage.head();
    git(&stage.root, &["mv", "old", "new"]);
    let next = stage.commit("next", &[("a", "2\n3\n"), ("bin", "\0y")]);
    let diff = stage.repo.diff(base, next, 1 << 20).expect("ok");
    let lines: Vec<_> = diff
        .files
        .iter()
        .map(|f| format!("{} {} +{} -{} {}", f.status, f.path, f.added, f.removed, f.binary))
        .collect();
    assert_eq!(lines, ["M a +2 -1 false", "M bin +0 -0 true", "R new +0 -0 false"]);
    assert_eq!((diff.added, diff.removed, diff.truncated), (2, 1, false));
    assert!(String::from_utf8_lossy(&diff.text).contains("-1\n+2\n+3\n"));
    let cut = stage.repo.diff(base, next, 100).expect("ok");
    assert!(cut.truncated && cut.text.len() <= 100 && cut.text.ends_with(b"\n"));
}

#[test]
fn who_has_a_branch_and_what_to_watch() {
    let stage = Stage::new(&[("a", "1\n")]);
    stage.fresh("p1-a");
    let at = |branch| stage.repo.checked_out_at(branch).expect("ok");
    assert_eq!(at("main"), std::slice::from_ref(&stage.root));
    git(&stage.root, &["worktree", "add", "-q", "-b", "topic/x", "../side"]);
    let side = stage.root.parent().expect("parent").join("side");
    assert_eq!(at("topic/x"), std::slice::from_ref(&side));
    git(&side, &["checkout", "-q", "--detach"]);
    assert!(at("topic/x").is_empty());
    write(&stage.root, ".git/worktrees/side/rebase-merge/head-name", "refs/heads/topic/x\n");
    assert_eq!(at("topic/x"), [side]);
    let dir = stage.root.join(".git");
    let watched = stage.repo.watch_paths(&["main", "topic/x", "no/such"]);
    let expected = [dir.clone(), dir.join("refs/heads"), dir.join("refs/heads/topic")];
    assert_eq!(watched, expected);
}

#[test]
fn shallow_history_is_enough() {
    let stage = Stage::new(&[("a", "1\n")]);
    stage.commit("second", &[("a", "2\n")]);
    let home = stage.temp.path().canonicalize().expect("real");
    let from = format!("file://{}", stage.root.display());
    git(&home, &["clone", "-q", "--depth", "1", &from, "shallow"]);
    let repo =
        taskd_git::Repo::new(home.join("shallow/.git"), "ab12", home.join("s2")).expect("tag");
    let base = repo.tip("main").expect("ok").expect("there");
    let how = taskd_git::Ensure::Fresh { base };
    let path = repo.ensure_worktree("p1-a", how).expect("ok").path;
    write(&path, "a", "3\n");
    let work = repo.checkpoint("p1-a", base, None, "w", &ada()).expect("ok").commit;
    let (land, _) = clean(repo.candidate(base, work, base, "land", &ada()).expect("ok"));
    let done = repo.publish("refs/heads/main", land, Some(base), "land").expect("ok");
    assert_eq!(done, Published::Done);
}
