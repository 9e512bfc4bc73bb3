//! What an agent does to git besides its files, while a person works in the same repository.

use std::fs;

use taskd_git::{Before, Mark, Trace};
use taskd_model::Oid;

use super::{Stage, git, oid, read, try_git, write};

/// The mark of the seventh run.
fn mark(stage: &Stage) -> Mark {
    stage.repo.mark("w", 7)
}

/// What the agent does: its commits and what reflogs say of it carry the mark.
fn its(dir: &std::path::Path, args: &[&str]) -> String {
    let email = "user.email=run-7+w+ab12@taskd.invalid";
    let all: Vec<&str> = ["-c", email].into_iter().chain(args.iter().copied()).collect();
    git(dir, &all)
}

/// A repository with a worktree `w`, as it is when a run begins.
fn stage() -> (Stage, std::path::PathBuf, Oid, Before) {
    let stage = Stage::new(&[("a.txt", "a\n")]);
    git(&stage.root, &["branch", "old"]);
    let (dir, base) = (stage.fresh("w"), stage.head());
    let before = stage.repo.before().expect("readable");
    (stage, dir, base, before)
}

fn after(stage: &Stage, base: Oid, before: &Before) -> Vec<Trace> {
    stage.save("w", base, None);
    stage.repo.after("w", base, before, &mark(stage)).expect("looked at")
}

#[test]
fn a_run_that_leaves_git_alone_leaves_no_trace() {
    let (stage, dir, base, before) = stage();
    write(&dir, "b.txt", "b\n");
    git(&dir, &["add", "-A"]);
    fs::write(stage.meta("w").join("index.lock"), "").expect("writable");
    assert_eq!(after(&stage, base, &before), []);
    assert!(!stage.meta("w").join("index.lock").exists(), "nobody holds it any more");
    assert_eq!(git(&dir, &["status", "--porcelain"]), "A  b.txt", "its index is its own");
    assert!(!stage.root.join(".git/logs/refs/stash").exists(), "looking changes nothing");
}

#[test]
fn its_commits_are_kept_and_show_as_changes_again() {
    let (stage, dir, base, before) = stage();
    write(&dir, "b.txt", "b\n");
    git(&dir, &["add", "-A"]);
    its(&dir, &["commit", "-qm", "one"]);
    let dropped = oid(&git(&dir, &["rev-parse", "HEAD"]));
    its(&dir, &["commit", "-q", "--amend", "-m", "another"]);
    its(&dir, &["commit", "-q", "--allow-empty", "-m", "two"]);
    let tip = git(&dir, &["rev-parse", "HEAD"]);
    let traces = after(&stage, base, &before);
    let kept = vec!["refs/taskd/ab12/agent/w/1".to_owned(), "refs/taskd/ab12/agent/w/2".to_owned()];
    assert_eq!(traces, [Trace::Committed { commits: 3, kept: kept.clone() }]);
    assert_eq!(git(&stage.root, &["rev-parse", &kept[0]]), tip);
    assert_eq!(oid(&git(&stage.root, &["rev-parse", &kept[1]])), dropped, "also what it amended");
    assert_eq!(oid(&git(&dir, &["rev-parse", "HEAD"])), base);
    assert_eq!(git(&dir, &["status", "--porcelain"]), "?? b.txt");
    // The next run finds them known.
    let before = stage.repo.before().expect("readable");
    assert_eq!(after(&stage, base, &before), []);
}

#[test]
fn a_branch_of_its_own_is_kept_and_gone() {
    let (stage, dir, base, before) = stage();
    its(&dir, &["switch", "-qc", "mine/feature"]);
    write(&dir, "b.txt", "b\n");
    git(&dir, &["add", "-A"]);
    its(&dir, &["commit", "-qm", "one"]);
    let tip = git(&dir, &["rev-parse", "HEAD"]);
    // A person makes one at the same moment.
    git(&stage.root, &["branch", "persons"]);
    let traces = after(&stage, base, &before);
    let kept = "refs/taskd/ab12/agent/w/1".to_owned();
    let name = "mine/feature".to_owned();
    let was = format!("branch {name}");
    assert_eq!(
        traces,
        [
            Trace::Committed { commits: 1, kept: vec![kept.clone()] },
            Trace::HeadMoved { was },
            Trace::BranchMade { name, kept: kept.clone(), removed: true },
        ]
    );
    assert_eq!(git(&stage.root, &["rev-parse", &kept]), tip);
    let left = git(&stage.root, &["branch", "--format=%(refname:short)"]);
    assert_eq!(left, "main\nold\npersons");
    assert_eq!(git(&dir, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD", "detached");
}

#[test]
fn a_branch_somebody_else_uses_stays() {
    let (stage, dir, base, before) = stage();
    its(&dir, &["branch", "shared"]);
    git(&stage.root, &["switch", "-q", "shared"]);
    let traces = after(&stage, base, &before);
    assert!(matches!(&traces[..], [Trace::BranchMade { removed: false, .. }]), "{traces:?}");
    assert_eq!(git(&stage.root, &["rev-parse", "shared"]), base.to_string());
}

#[test]
fn a_merge_left_in_the_middle_is_ended() {
    let (stage, dir, base, before) = stage();
    git(&stage.root, &["switch", "-q", "old"]);
    stage.commit("theirs", &[("a.txt", "theirs\n")]);
    write(&dir, "a.txt", "ours\n");
    git(&dir, &["add", "-A"]);
    its(&dir, &["commit", "-qm", "ours"]);
    assert!(!try_git(&dir, &["merge", "old"]).status.success(), "a conflict");
    let traces = after(&stage, base, &before);
    assert!(matches!(traces[0], Trace::Committed { commits: 1, .. }), "{traces:?}");
    assert!(!stage.meta("w").join("MERGE_HEAD").exists());
    assert!(read(&dir, "a.txt").contains("<<<<<<<"), "its files are its own");
}

#[test]
fn only_what_is_provably_its_own_is_blamed_on_it() {
    let (stage, dir, base, before) = stage();
    git(&stage.root, &["switch", "-q", "old"]);
    // The person moves a branch, and so does the agent.
    let persons = stage.commit("persons", &[("p.txt", "p\n")]);
    let work = its(&dir, &["commit-tree", "-p", "HEAD", "-m", "moved", "HEAD^{tree}"]);
    its(&dir, &["update-ref", "refs/heads/main", &work]);
    let traces = after(&stage, base, &before);
    let moved = |name: &str, old: &str, now: &str| Trace::RefMoved {
        name: name.to_owned(),
        old: old.to_owned(),
        now: now.to_owned(),
    };
    assert_eq!(traces, [moved("refs/heads/main", &base.to_string(), &work)]);
    assert_eq!(oid(&git(&stage.root, &["rev-parse", "old"])), persons, "nothing is undone");
    assert_eq!(git(&stage.root, &["rev-parse", "main"]), work, "nothing is undone");
    // What the person has checked out, too; and a branch that is gone is nobody's.
    let before = stage.repo.before().expect("readable");
    its(&stage.root, &["switch", "-q", "main"]);
    git(&stage.root, &["branch", "-qD", "old"]);
    let traces = after(&stage, base, &before);
    let gone = Trace::RefGone { name: "refs/heads/old".to_owned(), old: persons };
    assert_eq!(traces, [gone, moved("HEAD", "old", "main")]);
}

#[test]
fn its_stash_is_taken_out_of_the_persons() {
    let (stage, dir, base, before) = stage();
    let list = || git(&stage.root, &["stash", "list", "--format=%gs"]);
    let stash = |by: &dyn Fn(&[&str]), dir: &std::path::Path, name: &str| {
        write(dir, "a.txt", name);
        by(&["stash", "push", "-qm", name]);
    };
    let person = |args: &[&str]| drop(git(&stage.root, args));
    let agent = |args: &[&str]| drop(its(&dir, args));
    stash(&person, &stage.root, "mine 1");
    stash(&agent, &dir, "its 1");
    stash(&person, &stage.root, "mine 2");
    stash(&agent, &dir, "its 2");
    let traces = after(&stage, base, &before);
    let [Trace::Stashed { kept }] = &traces[..] else { panic!("{traces:?}") };
    assert_eq!(list(), "On main: mine 2\nOn main: mine 1");
    let shown: Vec<_> =
        kept.iter().map(|it| git(&stage.root, &["show", &format!("{it}:a.txt")])).collect();
    assert_eq!(shown, ["its 2", "its 1"]);
    git(&stage.root, &["stash", "pop", "-q"]);
    assert_eq!(read(&stage.root, "a.txt"), "mine 2", "it is a good stash");
    git(&stage.root, &["checkout", "-q", "."]);
    git(&stage.root, &["stash", "pop", "-q"]);
    assert_eq!((read(&stage.root, "a.txt").as_str(), list().as_str()), ("mine 1", ""));
    // Nothing but its own.
    git(&stage.root, &["checkout", "-q", "."]);
    stash(&agent, &dir, "its 3");
    assert_eq!(after(&stage, base, &before).len(), 1);
    assert_eq!(list(), "");
    assert!(!try_git(&stage.root, &["rev-parse", "-q", "--verify", "refs/stash"]).status.success());
    assert_eq!(after(&stage, base, &before), []);
}

#[test]
fn changed_settings_and_hooks_are_told_with_a_copy() {
    let (stage, dir, base, before) = stage();
    let config = read(&stage.root, ".git/config");
    its(&dir, &["config", "core.hooksPath", "/evil"]);
    git(&stage.root, &["config", "branch.main.remote", "origin"]);
    write(&stage.root, ".git/hooks/pre-commit", "#!/bin/sh\n");
    let traces = after(&stage, base, &before);
    let [Trace::Config { keys, copy: Some(copy) }, Trace::Hooks { files }] = &traces[..] else {
        panic!("{traces:?}")
    };
    assert_eq!(
        (&keys[..], &files[..]),
        (&["core.hookspath".into()][..], &["pre-commit".into()][..])
    );
    assert_eq!(fs::read_to_string(copy).expect("readable"), config);
    let before = stage.repo.before().expect("readable");
    git(&stage.root, &["config", "branch.old.remote", "origin"]);
    assert_eq!(after(&stage, base, &before), [], "a person's push does that");
}

/// Nobody could look at what a run did when the daemon died with it: the next one's end does.
#[test]
fn what_a_lost_run_left_is_found_later() {
    let (stage, dir, base, _) = stage();
    write(&dir, "a.txt", "lost\n");
    its(&dir, &["stash", "push", "-q"]);
    its(&dir, &["switch", "-qc", "lost"]);
    its(&dir, &["commit", "-q", "--allow-empty", "-m", "lost"]);
    its(&dir, &["update-ref", "refs/heads/old", "HEAD"]);
    git(&dir, &["switch", "-q", "--detach", "main"]);
    let before = stage.repo.before().expect("readable");
    stage.save("w", base, None);
    let other = stage.repo.mark("x", 8);
    let traces = stage.repo.after("w", base, &before, &other).expect("looked at");
    assert_eq!(traces, [], "they are another's");
    let next = stage.repo.mark("w", 8);
    assert_eq!(next.email(), "run-8+w+ab12@taskd.invalid");
    let traces = stage.repo.after("w", base, &before, &next).expect("looked at");
    let [Trace::Stashed { .. }, Trace::BranchMade { removed: true, .. }] = &traces[..] else {
        panic!("{traces:?}")
    };
    assert_eq!(git(&stage.root, &["stash", "list"]), "");
}

#[test]
fn a_replaced_git_file_is_put_back() {
    let (stage, dir, base, before) = stage();
    assert_eq!(stage.repo.mend("w").expect("looked at"), None);
    let link = read(&dir, ".git");
    fs::remove_file(dir.join(".git")).expect("ours");
    assert_eq!(stage.repo.mend("w").expect("mended"), Some(Trace::GitReplaced { kept: None }));
    fs::remove_file(dir.join(".git")).expect("ours");
    git(&dir, &["init", "-q"]);
    write(&dir, "b.txt", "b\n");
    let mended = stage.repo.mend("w").expect("mended");
    let Some(Trace::GitReplaced { kept: Some(kept) }) = mended else { panic!("{mended:?}") };
    assert!(kept.join("HEAD").exists(), "{}", kept.display());
    assert_eq!(read(&dir, ".git"), link);
    assert_eq!(after(&stage, base, &before), []);
    assert_eq!(git(&dir, &["status", "--porcelain"]), "?? b.txt");
}
