//! What was not brought home is kept: under a ref of ours, and in the worktree.

use std::fs;

use taskd_model::{Reason, Status};

use super::{agent, own_ref, plan, until_landed, until_loop, worktree};
use crate::support::{Door, World};

/// Asserts that the loop's work is under its ref and in its worktree, also after a restart.
fn assert_kept(world: &mut World, spec: &str, file: &str, text: &str) {
    let dir = worktree(world, &format!("p1.{spec}"));
    for life in ["this life", "the next life"] {
        let own = own_ref(world, &format!("/loops/p1-{spec}-1"));
        assert_eq!(world.git(&["show", &format!("{own}:{file}")]), text, "{life}");
        let found = fs::read_to_string(dir.join(file)).expect("it is in the worktree");
        assert_eq!(found.trim_end(), text, "{life}");
        if life == "this life" {
            world.stop();
            world.start();
        }
    }
    assert_eq!(worktree(world, &format!("p1.{spec}")), dir);
}

/// Proves N1: the work of a loop that failed at its limit stays under its ref and in its worktree.
#[test]
fn the_work_of_a_failed_loop_is_kept() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo work > bad.txt");
    world.start();
    let head = format!("agent: {run}\nlimits: {{iterations: 1}}");
    world.submit(&plan(&head, &[("one", "")]));
    world.until_status("p1.one", &[Status::Failed]);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 3);
    assert_kept(&mut world, "one", "bad.txt", "work");
}

/// Proves N1: the work of a loop that a person stopped in the middle stays as well.
#[test]
fn the_work_of_a_stopped_loop_is_kept() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let run = agent(&world, "agent.sh", &format!("echo work > mine.txt\n{}", door.sh()));
    world.start();
    world.submit(&plan(&format!("agent: {run}"), &[("one", "")]));
    door.reached();
    world.taskd(&["stop", "p1"]).ok();
    world.until_status("p1.one", &[Status::Stopped]);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 1);
    assert_kept(&mut world, "one", "mine.txt", "work");
}

/// Proves N1: the work of a loop that is blocked stays, and it is still Blocked in the next life.
#[test]
fn the_work_of_a_blocked_loop_is_kept() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!("echo work > mine.txt\necho agent > a.txt\n{}", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let head = format!("agent: {run}\nland: on-gate\nconflict: block");
    world.submit(&plan(&head, &[("one", "")]));
    door.reached();
    super::person_commits(&world, "a.txt", "person\n");
    door.open();
    world.until_status("p1.one", &[Status::Blocked]);
    assert_kept(&mut world, "one", "mine.txt", "work");
    world.until_status("p1.one", &[Status::Blocked]);
}

/// Proves N5b: git forgets who the person is while a loop works: it is Blocked with that reason,
/// never Complete, its files are intact; `git config` and `resume` bring it home.
#[test]
fn without_an_identity_it_blocks_and_goes_on_with_one() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!("[ -f mine.txt ] || {{ echo x > mine.txt; {}; }}", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    door.reached();
    world.git(&["config", "--unset", "user.name"]);
    world.git(&["config", "--unset", "user.email"]);
    door.open();
    let it = world.until_status("p1.one", &[Status::Blocked, Status::Complete, Status::Failed]);
    let Some(Reason::Stuck(why)) = &it.reason else { panic!("{it:?}") };
    assert!(why.contains("git does not know user.name"), "{why}");
    assert_eq!(it.status, Status::Blocked);
    let dir = worktree(&world, "p1.one");
    assert_eq!(fs::read_to_string(dir.join("mine.txt")).expect("intact"), "x\n");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("NEEDS YOU (1)"), "{ls}");
    world.git(&["config", "user.name", "Pat Person"]);
    world.git(&["config", "user.email", "pat@example.org"]);
    world.taskd(&["resume", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:mine.txt"]), "x");
}

/// Proves N5b: a commit that landing cannot make for want of an identity blocks the loop; nothing
/// lands, nothing is lost, and it lands once there is one.
#[test]
fn without_an_identity_nothing_lands() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    super::until_ready(&world, "p1.one");
    // A tip that moved means that the commit has to be made anew.
    super::person_commits(&world, "theirs.txt", "theirs\n");
    world.until("the commit to be taken in", |view| {
        view.loops.values().all(|it| it.queue_entry.is_none() && it.approval_asked.is_some())
            && view.plans.values().all(|it| {
                let files = format!("{}:theirs.txt", it.integration.tip);
                world.has(&files)
            })
    });
    world.git(&["config", "--unset", "user.email"]);
    world.taskd(&["land", "p1"]).ok();
    let it = until_loop(&world, "p1.one", "to be blocked", |it| {
        it.status == Status::Blocked || it.status.is_over()
    });
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert!(!world.has("main:mine.txt"));
    world.git(&["config", "user.email", "pat@example.org"]);
    world.taskd(&["resume", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    assert!(world.has("main:mine.txt"));
}
