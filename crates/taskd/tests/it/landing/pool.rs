//! Spare worktrees, and repositories of many files.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use taskd_model::Room;

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

/// Proves W-30: when a loop has got its worktree, two spares are made of a project with many files; a
/// later loop, also after `kill -9`, gets one of them by renaming it, brought to where main is by
/// then, and the spare is made again; they go when the disk has less room than the floor. (Removal with proof and the quota are elsewhere.)
#[test]
fn a_loop_starts_in_a_spare_worktree() {
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
