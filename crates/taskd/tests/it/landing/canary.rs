//! Programs that a person's settings name do not run because taskd works beside them, and each git
//! that does run is in the log.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{agent, plan, until_landed, until_loop};
use crate::support::World;

/// A program that says under what name it was started, and then does what it stands for.
fn canary(world: &World, sang: &Path, name: &str, then: &str) -> String {
    let text = format!("#!/bin/sh\necho {name} >> {}\n{then}\n", sang.display());
    let path = world.aside(&format!("canary-{name}"), &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

/// Names programs in every setting of git's that runs one, in the repository and in the home
/// directory, and makes every hook there is.
fn plant(world: &World) -> PathBuf {
    let sang = world.dir.path().join("sang");
    let settings = [
        ("core.fsmonitor", "exit 1"),
        ("core.editor", ""),
        ("core.pager", "cat"),
        ("core.askPass", "exit 1"),
        ("core.alternateRefsCommand", ""),
        ("credential.helper", ""),
        ("diff.external", "exit 1"),
        ("diff.all.command", "exit 1"),
        ("diff.all.textconv", "cat \"$1\""),
        ("merge.all.driver", "exit 1"),
        ("gpg.program", "exit 1"),
        ("sequence.editor", ""),
        ("interactive.diffFilter", "cat"),
        ("alias.status", ""),
    ];
    for (key, then) in settings {
        let name = key.replace('.', "-");
        let path = canary(world, &sang, &name, then);
        let value = if key.starts_with("alias.") { format!("!{path}") } else { path };
        world.git(&["config", "--global", key, &value]);
        world.git(&["config", key, &value]);
    }
    for key in ["clean", "smudge"] {
        let path = canary(world, &sang, &format!("filter-{key}"), "cat");
        world.git(&["config", "--global", &format!("filter.all.{key}"), &path]);
    }
    let process = canary(world, &sang, "filter-process", "exit 1");
    world.git(&["config", "filter.lively.process", &process]);
    world.git(&["config", "filter.lively.required", "true"]);
    world.git(&["config", "commit.gpgSign", "true"]);
    world.git(&["config", "core.hooksPath", ".git/planted"]);
    let names = ["pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "post-checkout"];
    let more = ["post-merge", "pre-rebase", "pre-push", "reference-transaction", "post-rewrite"];
    for name in names.into_iter().chain(more).chain(["post-index-change", "fsmonitor-watchman"]) {
        for folder in [".git/hooks", ".git/planted"] {
            let file = format!("{folder}/{name}");
            world.write(&file, &format!("#!/bin/sh\necho hook-{name} >> {}\n", sang.display()));
            let path = world.repo.join(file);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
        }
    }
    sang
}

fn sung(sang: &Path) -> String {
    fs::read_to_string(sang).unwrap_or_default()
}

/// Proves PR-6: whatever programs a person's settings name (hooks, filters, aliases, a monitor of
/// files, tools that diff, merge, ask, page and sign) none runs while work is done and lands and a
/// clean checkout follows; a signature that is wanted for commits is not made. With the same
/// settings the person's own git runs them.
#[test]
fn nothing_that_settings_name_runs() {
    let mut world = World::new();
    world.write(
        ".gitattributes",
        "*.txt diff=all merge=all\n*.bin filter=all\n*.lfs filter=lively\n",
    );
    world.write("picture.bin", "bytes\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "attributes"]);
    let sang = plant(&world);
    let run = agent(&world, "agent.sh", "echo x > mine.txt\necho more >> a.txt");
    // An agent's own git, and the gate's, are programs of the plan: these run none.
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let landed = until_landed(&world, "p1.one");
    for verb in ["show", "diff", "logs", "why"] {
        world.taskd(&[verb, "p1.one"]).ok();
    }
    assert_eq!(sung(&sang), "");
    assert_eq!(fs::read_to_string(world.repo.join("mine.txt")).expect("followed"), "x\n");
    let commit = world.git(&["cat-file", "commit", &landed]);
    assert!(!commit.contains("gpgsig"), "{commit}");
    world.stop();
    assert_eq!(sung(&sang), "");
    // The premise: all of this runs where git itself is asked.
    world.write("picture.bin", "other bytes\n");
    world.git(&["add", "-A"]);
    let sung = sung(&sang);
    assert!(sung.contains("filter-clean") && sung.contains("core-fsmonitor"), "{sung}");
}

/// A checkout does not follow where a file would go through a filter of the person's, which is a
/// program; main stays, the person is told which file and which filter, and what to do lands it.
#[test]
fn a_checkout_does_not_follow_through_a_filter() {
    let mut world = World::new();
    world.write(".gitattributes", "*.bin filter=all\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "attributes"]);
    let old = world.git(&["rev-parse", "main"]);
    let sang = plant(&world);
    let run = agent(&world, "agent.sh", "echo x > mine.bin");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\ntarget: main"), &[("one", "")]));
    let it = until_loop(&world, "p1.one", "to be held", |it| {
        it.held.is_some() && it.integrated.is_some()
    });
    let why = it.held.expect("just seen");
    assert!(why.contains("mine.bin goes through your filter all"), "{why}");
    assert_eq!(world.git(&["rev-parse", "main"]), old);
    assert!(!world.repo.join("mine.bin").exists());
    assert_eq!(sung(&sang), "");
    world.git(&["-c", "core.hooksPath=/dev/null", "switch", "-q", "--detach"]);
    let before = sung(&sang);
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(sung(&sang), before);
    assert_eq!(world.git(&["show", "--no-ext-diff", "--no-textconv", "main:mine.bin"]), "x");
}

/// Every git that the daemon starts is a line of its log: what it was asked, where, how
/// it ended and how long it took, without who logs in at a remote; none of them is one that takes
/// work away; and what only reads takes no lock.
#[test]
fn each_git_is_in_the_log() {
    let mut world = World::new();
    let remote = "https://pat:to-ken@localhost:1/nowhere.git";
    world.git(&["remote", "add", "origin", remote]);
    for (key, value) in [("GIT__REMOTE", "origin"), ("GIT__FETCH", "1s")] {
        world.env.insert(format!("TASKD_{key}"), value.to_owned());
    }
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.taskd(&["daemon", "start"]).ok();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_landed(&world, "p1.one");
    let has_fetched = || {
        let log = world.taskd(&["daemon", "logs", "-n", "1000"]).ok();
        log.contains(" fetch ").then_some(log)
    };
    world.until("a fetch", |_| has_fetched().is_some() || world.said.len() > 1_000_000);
    let log = has_fetched().expect("just seen");
    world.taskd(&["daemon", "stop"]).ok();
    let lines: Vec<&str> =
        log.lines().filter(|it| it.contains("taskd_git::program: git ")).collect();
    let one = |word: &str| {
        let found = lines.iter().find(|it| it.contains(&format!(" {word} ")));
        *found.unwrap_or_else(|| panic!("no git {word}: {log}"))
    };
    let moved = one("read-tree");
    let place = world.repo.display();
    for part in [format!("-C {place}"), format!("dir={place}"), "exit status: 0".to_owned()] {
        assert!(moved.contains(&part), "{part}: {moved}");
    }
    assert!(moved.contains("took_ms="), "{moved}");
    assert!(one("fetch").contains(" origin "), "{}", one("fetch"));
    assert!(!log.contains("to-ken"), "{log}");
    let never =
        ["push", "reset", "clean", "checkout", "switch", "restore", "stash", "commit", "gc"];
    let bad = lines.iter().find(|it| it.split(' ').any(|word| never.contains(&word)));
    assert_eq!(bad, None);
}
