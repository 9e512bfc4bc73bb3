//! What the daemon takes away by itself.

use std::{fs, path::PathBuf};

use nix::sys::signal::Signal;
use taskd_model::Status;

use super::{Foreground, signal};
use crate::{
    landing::{agent, plan, until_landed},
    support::World,
};

/// Proves W-30: worktrees of landed work go by themselves once they are older than `gc.keep`, if
/// they are clean; one that a person changed since, and one whose work did not land, stay.
#[test]
fn old_clean_worktrees_of_landed_work_go_by_themselves() {
    let mut world = World::new();
    let body = "case $TASKD_LOOP in *.bad) echo x > bad.txt ;; *) echo x > $TASKD_LOOP.txt ;; esac";
    let run = agent(&world, "agent.sh", body);
    world.start();
    let head = format!("agent: {run}\nlimits: {{iterations: 1}}\nland: on-gate");
    world.submit(&plan(&head, &[("bad", ""), ("first", ""), ("last", "")]));
    world.until_status("p1.bad", &[Status::Failed]);
    until_landed(&world, "p1.first");
    until_landed(&world, "p1.last");
    let path = |name: &str| PathBuf::from(world.taskd(&["path", name]).ok().trim());
    let [bad, first, last] = ["p1.bad", "p1.first", "p1.last"].map(path);
    fs::write(first.join("mine.txt"), "by hand\n").expect("writable");
    world.stop();
    assert!(last.exists(), "a week is not over");
    world.env.insert("TASKD_GC__KEEP".to_owned(), "1s".to_owned());
    let daemon = Foreground::start(world.command(&["daemon", "run"]));
    daemon.until("removed worktree of p1.last: clean; landed on main");
    assert!(!last.exists() && bad.exists() && first.join("mine.txt").exists());
    signal(daemon.pid(), Signal::SIGTERM);
    let (status, rest) = daemon.ended();
    assert!(status.success() && !rest.contains("removed worktree"), "{rest}");
}
