//! The checkout a person works in: never touched, except that a clean one on the target follows.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use taskd_model::{Event, Group, Work};

use super::{agent, line_of_main, plan, until_landed, until_loop, until_ready, worktree};
use crate::support::{Door, World};

/// Bytes, mode and time of change of files.
pub(super) type Files = BTreeMap<PathBuf, (Vec<u8>, u32, i64)>;

/// Every file below a directory with its bytes, mode and time of change.
pub(super) fn files(root: &Path, skip: &dyn Fn(&str) -> bool) -> Files {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path.strip_prefix(root).expect("below it").to_string_lossy().into_owned();
            if skip(&name) {
                continue;
            }
            let meta = fs::symlink_metadata(&path).expect("it is there");
            if meta.is_dir() {
                todo.push(path);
            } else {
                let bytes = fs::read(&path).expect("readable");
                found.insert(path, (bytes, meta.mode(), meta.mtime_nsec()));
            }
        }
    }
    found
}

/// Everything of a repository that is the person's: the files, and all of `.git` but objects, our
/// refs and worktrees, and the target with its log.
pub(super) fn persons(world: &World) -> Files {
    let ours = [
        ".git/objects",
        ".git/refs/taskd",
        ".git/worktrees",
        ".git/refs/heads/main",
        ".git/logs/refs/heads/main",
    ];
    files(&world.repo, &|name| ours.contains(&name))
}

/// A checkout on another branch with staged, unstaged, untracked and stashed changes.
pub(super) fn make_dirty(world: &World) {
    world.git(&["checkout", "-q", "-b", "side"]);
    world.write("a.txt", "stashed\n");
    world.git(&["stash", "-q"]);
    world.write("a.txt", "staged\n");
    world.git(&["add", "a.txt"]);
    world.write("a.txt", "staged, then changed\n");
    world.write("untracked.txt", "mine alone\n");
    world.write("deep/er/untracked.txt", "mine alone\n");
}

#[track_caller]
pub(super) fn assert_same(before: &Files, after: &Files) {
    let names = |it: &Files| it.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after));
    for (path, was) in before {
        assert!(*was == after[path], "{} has changed", path.display());
    }
}

/// Proves N3: while work lands on main, a dirty checkout of another branch stays as it is, byte
/// for byte and time for time: HEAD, index, files, stash, config, everything that is not ours.
#[test]
fn a_dirty_checkout_of_another_branch_stays_byte_identical() {
    let mut world = World::new();
    make_dirty(&world);
    let before = persons(&world);
    assert!(before.keys().any(|it| it.ends_with(".git/refs/stash")), "the premise");
    let old = world.git(&["rev-parse", "main"]);
    let run = agent(&world, "agent.sh", "echo x > mine.txt\necho agent > a.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\ntarget: main"), &[("one", "")]));
    let landed = until_landed(&world, "p1.one");
    world.taskd(&["ls", "-a"]).ok();
    world.taskd(&["show", "p1.one"]).ok();
    world.taskd(&["diff", "p1.one"]).ok();
    assert_same(&before, &persons(&world));
    // Main moved all the same.
    let main = fs::read_to_string(world.repo.join(".git/refs/heads/main")).expect("loose");
    assert_eq!(main.trim(), landed);
    assert_ne!(old, landed);
    world.stop();
    assert_same(&before, &persons(&world));
}

/// Proves A-1: removing what a loop worked in, by stopping it, ending the daemon and forgetting the
/// project, leaves the person's checkout and git directory byte-identical, and the work where it was.
#[test]
fn stopping_and_forgetting_leaves_everything_of_the_persons() {
    let mut world = World::new();
    make_dirty(&world);
    let before = persons(&world);
    let door = Door::new(&world, "work");
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", door.sh()));
    world.start();
    world.submit(&plan(&format!("agent: {run}\ntarget: main"), &[("one", "")]));
    door.reached();
    let dir = worktree(&world, "p1.one");
    world.taskd(&["stop", "p1"]).ok();
    until_loop(&world, "p1.one", "to be over", |it| it.status.is_over());
    world.taskd(&["projects", "forget"]).ok();
    assert!(world.taskd(&["projects", "ls"]).ok().starts_with("no project yet"));
    world.stop();
    assert_same(&before, &persons(&world));
    assert_eq!(fs::read_to_string(dir.join("mine.txt")).expect("kept"), "x\n");
    let own = super::own_ref(&world, "/loops/p1-one-1");
    assert_eq!(world.git(&["show", &format!("{own}:mine.txt")]), "x");
}

/// Hooks of every kind that say when they run, in a file beside the repository.
fn make_hooks(world: &World) -> PathBuf {
    let said = world.dir.path().join("hooks-said");
    let names = ["pre-commit", "commit-msg", "post-commit", "post-checkout", "post-merge"];
    for name in names.iter().chain(&["pre-rebase", "pre-push", "reference-transaction"]) {
        let file = format!(".git/hooks/{name}");
        world.write(&file, &format!("#!/bin/sh\necho {name} >> {}\n", said.display()));
        let path = world.repo.join(file);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    said
}

/// Proves PR-6: until a person lands it, work changes nothing of theirs, main not either: HEAD,
/// branches, index, files, stash, hooks and configuration are the same bytes, through two kills and
/// whatever is asked about the work. Landing moves main and nothing else. No hook runs, and git is
/// never run to push, reset, clean, check out, stash or commit.
#[test]
fn nothing_of_the_persons_changes_until_they_land() {
    let mut world = World::new();
    make_dirty(&world);
    world.git(&["branch", "kept", "main"]);
    let hooks = make_hooks(&world);
    let git = which(&world.env["PATH"], "git");
    let (bin, argv) = (world.dir.path().join("bin"), world.dir.path().join("argv"));
    fs::create_dir_all(&bin).expect("writable");
    let shim =
        format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", argv.display(), git.display());
    fs::write(bin.join("git"), shim).expect("writable");
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("ours");
    let path = format!("{}:{}", bin.display(), world.env["PATH"]);
    world.env.insert("PATH".to_owned(), path);

    // Main and its log too, as long as nobody lands.
    let ours = [".git/objects", ".git/refs/taskd", ".git/worktrees"];
    let all = |world: &World| files(&world.repo, &|name| ours.contains(&name));
    let (before, but_main) = (all(&world), persons(&world));
    let door = Door::new(&world, "work");
    let body = format!("echo x > mine.txt\necho agent > a.txt\n{}", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask\ntarget: main"), &[("one", "")]));
    door.reached();
    assert_same(&before, &all(&world));
    world.kill();
    world.start();
    door.reached();
    door.open();
    let integrated = until_ready(&world, "p1.one").integrated.expect("just seen").to_string();
    world.kill();
    world.start();
    until_ready(&world, "p1.one");
    for verb in ["show", "diff", "logs", "why"] {
        world.taskd(&[verb, "p1.one"]).ok();
    }
    assert_same(&before, &all(&world));

    world.taskd(&["land", "p1"]).ok();
    assert_eq!(until_landed(&world, "p1.one"), integrated);
    assert_same(&but_main, &persons(&world));
    let main = fs::read_to_string(world.repo.join(".git/refs/heads/main")).expect("loose");
    assert_eq!(main.trim(), integrated);
    assert!(!hooks.exists(), "{}", fs::read_to_string(&hooks).unwrap_or_default());
    let argv = fs::read_to_string(argv).unwrap_or_default();
    let never = ["push", "reset", "clean", "checkout", "switch", "restore", "stash", "commit"];
    let bad = argv.lines().find(|line| line.split(' ').any(|word| never.contains(&word)));
    assert_eq!(bad, None, "{argv}");
}

/// A clean checkout of the target follows: files, index and HEAD agree, and nothing is dirty.
#[test]
fn a_clean_checkout_of_the_target_follows() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt\nrm a.txt");
    world.write(".gitignore", "*.log\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "ignore"]);
    world.write("build.log", "ignored and kept\n");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), landed);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(fs::read_to_string(world.repo.join("mine.txt")).expect("it followed"), "x\n");
    assert!(!world.repo.join("a.txt").exists());
    assert!(world.repo.join("build.log").exists());
}

/// Brings a loop to where its landing is held by the person's changes.
fn held(world: &mut World, file: &str, text: &str) {
    let run = agent(world, "agent.sh", "echo x > mine.txt");
    world.write(file, text);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let old = world.git(&["rev-parse", "main"]);
    let it = until_loop(world, "p1.one", "to be held", |it| {
        it.held.is_some() && it.integrated.is_some() && it.group() == Group::NeedsYou
    });
    let why = it.held.expect("just seen");
    assert!(why.contains(file) && why.contains("your checkout"), "{why}");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("NEEDS YOU (1)"), "{ls}");
    assert!(ls.contains("passed, not yet in main") && ls.contains(file), "{ls}");
    let why = world.taskd(&["why", "p1.one"]).ok();
    assert!(why.contains("your checkout of the target has changes"), "{why}");
    assert_eq!(world.git(&["rev-parse", "main"]), old, "main stays where it is");
    assert_eq!(fs::read_to_string(world.repo.join(file)).expect("kept"), text);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 4);
}

/// Work does not land over a person's changes; it says so, waits, and lands on their commit.
#[test]
fn changes_hold_landing_until_they_are_committed() {
    let mut world = World::new();
    held(&mut world, "a.txt", "changed by the person\n");
    world.git(&["commit", "-q", "-a", "-m", "mine"]);
    let mine = world.git(&["rev-parse", "HEAD"]);
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "main^"]), mine);
    assert_eq!(line_of_main(&world), ["one: Work on one", "mine", "first"]);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(world.git(&["show", "main:a.txt"]), "changed by the person");
}

/// The same with a stash instead of a commit.
#[test]
fn changes_hold_landing_until_they_are_stashed() {
    let mut world = World::new();
    held(&mut world, "a.txt", "changed by the person\n");
    world.git(&["stash", "-q"]);
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    world.git(&["stash", "pop", "-q"]);
    assert_eq!(world.git(&["diff", "--name-only"]), "a.txt");
}

/// An untracked file that the work would overwrite holds it as well, and stays.
#[test]
fn an_untracked_file_in_the_way_holds_landing() {
    let mut world = World::new();
    held(&mut world, "mine.txt", "the person's own\n");
    fs::rename(world.repo.join("mine.txt"), world.repo.join("theirs.txt")).expect("ours");
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["status", "--porcelain"]), "?? theirs.txt");
}

/// Passed work whose need is held by the person's changes waits for the person too: `wait` says so
/// instead of waiting for ever, and both land when the changes are out of the way.
#[test]
fn what_needs_held_work_waits_for_the_person_as_well() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > \"$TASKD_LOOP.txt\"");
    world.write("a.txt", "changed by the person\n");
    world.start();
    let head = format!("agent: {run}\nland: on-gate");
    world.submit(&plan(&head, &[("one", ""), ("two", "needs: one")]));
    let ran = world.taskd(&["wait", "p1", "--timeout", "10m"]);
    assert_eq!(ran.code, 4, "{ran:?}\n{}", world.transcript());
    until_loop(&world, "p1.two", "to be integrated", |it| it.integrated.is_some());
    let ran = world.taskd(&["wait", "p1", "--timeout", "10m"]);
    assert_eq!(ran.code, 4, "{ran:?}\n{}", world.transcript());
    world.git(&["stash", "-q"]);
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1.one");
    until_landed(&world, "p1.two");
}

/// Proves N6, S-2.2.4: somebody's git that has the lock of the index, or of HEAD, as work comes to
/// land is waited for: the work lands, and the checkout follows without a change of the person's.
#[test]
fn a_lock_of_somebody_elses_is_waited_for() {
    // Landing looks at the files, then takes the lock of the index, looks again, and takes that of HEAD.
    for (lock, goes_at) in [("index.lock", 2), ("HEAD.lock", 3)] {
        let mut world = World::new();
        let lock = world.repo.join(".git").join(lock);
        let git = which(&world.env["PATH"], "git");
        let bin = world.dir.path().join("bin");
        fs::create_dir_all(&bin).expect("writable");
        // Another git comes as landing looks for the first time, and ends as it looks once more.
        let shim = format!(
            "#!/bin/sh\ncase \"$*\" in *\" status \"*) ;; *) exec {git} \"$@\";; esac\n\
             [ \"$2\" = {repo} ] && [ -e {bin}/armed ] || exec {git} \"$@\"\n\
             echo >> {bin}/looks\nn=$(wc -l < {bin}/looks)\n\
             [ $n = 1 ] && : > {lock}\n[ $n = {goes_at} ] && rm {lock}\nexec {git} \"$@\"\n",
            git = git.display(),
            repo = world.repo.display(),
            bin = bin.display(),
            lock = lock.display(),
        );
        fs::write(bin.join("git"), shim).expect("writable");
        fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("ours");
        let path = format!("{}:{}", bin.display(), world.env["PATH"]);
        world.env.insert("PATH".to_owned(), path);
        let armed = bin.join("armed");
        let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n: > {}", armed.display()));
        world.start();
        world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
        until_landed(&world, "p1.one");
        let looks = fs::read_to_string(bin.join("looks")).expect("it looked").lines().count();
        assert_eq!(looks, goes_at + 1, "{}: met once, and then not", lock.display());
        let publishes = world.events().into_iter().filter(|it| {
            matches!(&it.event, Event::EffectStarted { work: Work::Publish { .. }, .. })
        });
        assert_eq!(publishes.count(), 1, "nothing was held");
        assert_eq!(world.git(&["status", "--porcelain"]), "");
        assert_eq!(line_of_main(&world), ["one: Work on one", "first"]);
    }
}

/// Where a program is.
pub(super) fn which(path: &str, name: &str) -> PathBuf {
    std::env::split_paths(path).map(|it| it.join(name)).find(|it| it.exists()).expect("installed")
}
