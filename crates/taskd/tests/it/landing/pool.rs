//! Spare worktrees, and repositories of many files.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use taskd_model::{Event, Outcome, Record, Room};

use super::{agent, git_in, plan, until_landed, worktree};
use crate::{
    daemon::disk::{free_bytes, set_disk, until_room},
    support::{Door, World},
};

/// Enough files that spares are made.
const FILES: usize = 1_200;

/// Waits until a spare is whole, and returns its directory.
#[track_caller]
fn until_spare(world: &World, n: u32) -> PathBuf {
    let metadata = || {
        let all = fs::read_dir(world.repo.join(".git/worktrees")).into_iter().flatten();
        let ours = |it: &PathBuf| it.to_string_lossy().ends_with(&format!("-spare-{n}"));
        all.filter_map(|it| Some(it.ok()?.path())).find(ours)
    };
    let since = Instant::now();
    while !metadata().is_some_and(|it| it.join("taskd-ready").exists()) {
        assert!(since.elapsed() < Duration::from_secs(60), "no spare {n}");
        std::thread::yield_now();
    }
    world.state().join(format!("worktrees/1/spare-{n}"))
}

/// A daemon that has made its spares, because a loop has landed.
fn with_spares() -> World {
    let mut world = World::new();
    for n in 0..FILES {
        world.write(&format!("many/{}/{n}.list", n % 40), &format!("file {n}\n"));
    }
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "many"]);
    world.start();
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_landed(&world, "p1.one");
    until_spare(&world, 0);
    until_spare(&world, 1);
    world
}

/// Proves W-30: when a loop has got its worktree, two spares are made of a project with many files; a
/// later loop, also after `kill -9`, gets one of them by renaming it, brought to where main is by
/// then, and the spare is made again; they go when the disk has less room than the floor. (Removal with proof and the quota are elsewhere.)
#[test]
fn a_loop_starts_in_a_spare_worktree() {
    let mut world = with_spares();
    let spares = [until_spare(&world, 0), until_spare(&world, 1)];
    world.kill();
    world.git(&["rm", "-q", "many/7/7.list"]);
    world.write("many/8/8.list", "changed\n");
    world.git(&["commit", "-q", "-a", "-m", "main goes on"]);
    let numbers = spares.map(|it| fs::metadata(it).expect("there").ino());
    world.start();
    let door = Door::new(&world, "work");
    let run = agent(&world, "later.sh", &format!("{}; echo y > $TASKD_LOOP.txt", door.sh()));
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("two", "")]));
    door.reached();
    let dir = worktree(&world, "p2.two");
    assert!(numbers.contains(&fs::metadata(&dir).expect("there").ino()), "it is none of them");
    assert_eq!(git_in(&world, &dir, &["status", "--porcelain"]), "");
    assert_eq!(git_in(&world, &dir, &["rev-parse", "HEAD"]), world.git(&["rev-parse", "main"]));
    assert!(!dir.join("many/7/7.list").exists());
    assert_eq!(fs::read_to_string(dir.join("many/8/8.list")).expect("there"), "changed\n");
    until_spare(&world, 0);
    door.open();
    until_landed(&world, "p2.two");
    assert_eq!(world.git(&["diff", "--name-only", "main^", "main"]), "p2.two.txt");
    world.git(&["fsck", "--strict"]);
    // When the disk becomes short they go, without anybody's word, and are not made again.
    let spares = [until_spare(&world, 0), until_spare(&world, 1)];
    let floor = (free_bytes(world.dir.path()) * 2) >> 20;
    set_disk(&world, &format!("floor = '{floor}MB'"));
    until_room(&world, Room::Low);
    let since = Instant::now();
    while spares.iter().any(|it| it.exists()) {
        assert!(since.elapsed() < Duration::from_secs(60), "a spare stays");
        std::thread::yield_now();
    }
    let gc = world.taskd(&["gc", "--dry-run"]).ok();
    assert!(!gc.contains("spare"), "{gc}");
}

/// Deletes everything that is kept only to be quick, spares or what is known of them; says how much
/// that was.
fn forget(world: &World, whole: bool) -> usize {
    let inside = |dir: PathBuf| {
        let all = fs::read_dir(dir).into_iter().flatten();
        all.map(|it| it.expect("readable").path())
    };
    let spares = inside(world.state().join("worktrees/1"))
        .filter(|it| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("spare-")))
        .filter(|_| whole);
    // Moved away first: one that a loop takes meanwhile, or that is being made, is gone whole or not.
    let away = world.dir.path().join("forgotten");
    let spares = spares.filter(|it| fs::rename(it, &away).is_ok());
    let spares = spares.map(|_| fs::remove_dir_all(&away).expect("nobody writes there")).count();
    let files = inside(world.repo.join(".git/worktrees"))
        .flat_map(|it| ["taskd-index", "taskd-index-tree"].map(|name| it.join(name)))
        .chain(inside(world.state().join("snapshots")))
        .chain([world.state().join("figures.json")]);
    spares + files.filter(|it| fs::remove_file(it).is_ok()).count()
}

/// Proves S-3.1.3: what is kept only to be quick may be deleted at any time, while loops work and
/// while the daemon is down: spare worktrees, what is known of the files of all worktrees, snapshots
/// of the state, figures for a prompt. Work lands as before, and nothing is forgotten.
#[test]
fn what_is_kept_to_be_quick_may_be_deleted() {
    let mut world = with_spares();
    let door = Door::new(&world, "work");
    let held = agent(&world, "held.sh", &format!("echo y > $TASKD_LOOP.txt; {}", door.sh()));
    world.submit(&plan(&format!("agent: {held}\nland: on-gate"), &[("two", "")]));
    door.reached();
    until_spare(&world, 0);
    assert!(3 < forget(&world, true), "there was something");
    let quick = agent(&world, "quick.sh", "echo z > $TASKD_LOOP.txt");
    world.submit(&plan(&format!("agent: {quick}\nland: on-gate"), &[("three", "")]));
    until_landed(&world, "p3.three");
    forget(&world, true);
    door.open();
    until_landed(&world, "p2.two");
    assert_eq!(world.git(&["show", "--format=", "--name-only", "main"]), "p2.two.txt");
    // The next loop has them made again, also one that was forgotten while it was being made.
    world.submit(&plan(&format!("agent: {quick}\nland: on-gate"), &[("four", "")]));
    until_landed(&world, "p4.four");
    until_spare(&world, 0);
    world.kill();
    assert!(0 < forget(&world, false), "there was something");
    world.start();
    for name in ["p1.one", "p2.two", "p3.three", "p4.four"] {
        assert!(world.row(name).landed.is_some(), "{name} is known");
    }
    world.submit(&plan(&format!("agent: {quick}\nland: on-gate"), &[("five", "")]));
    until_landed(&world, "p5.five");
    let failed = |it: &Record| {
        matches!(&it.event, Event::EffectEnded { outcome: Outcome::Failed { .. }, .. })
    };
    assert!(!world.events().iter().any(failed), "{}", world.transcript());
    world.git(&["fsck", "--strict"]);
}
