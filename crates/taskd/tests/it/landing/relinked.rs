//! A repository that its person moves somewhere else, while taskd works in it.

use std::{fs, path::PathBuf};

use taskd_model::{Event, Status};

use super::{agent, git_in, plan, until_landed, until_ready, worktree};
use crate::support::{Door, World, bash};

/// Moves the repository, and goes there.
fn moved(world: &mut World, name: &str) -> (PathBuf, PathBuf) {
    let new = world.dir.path().join(name).canonicalize().unwrap_or_else(|_| {
        let dir = world.dir.path().canonicalize().expect("there");
        dir.join(name)
    });
    let old = world.repo.canonicalize().expect("there");
    fs::rename(&old, &new).expect("one file system");
    world.repo.clone_from(&new);
    (old, new)
}

/// Roots of the projects there are.
fn roots(world: &World) -> Vec<PathBuf> {
    let served = world.view().projects.into_values().filter(|it| !it.forgotten);
    served.map(|it| it.root.into()).collect()
}

/// Proves S-3.1.5: where the repository was moved, `taskd ls` names its old place and what links it;
/// the loop that lost it waits for a person, and goes on once it is linked, in its own worktree,
/// which git finds its repository from again; the work lands in the new place. Moved again while
/// the daemon is down, a submission links it. There is one project all the time, from every
/// worktree.
#[test]
fn a_moved_repository_is_linked_again_with_its_loops() {
    let mut world = World::new();
    world.start();
    let door = Door::new(&world, "work");
    let here = world.dir.path().join("began").display().to_string();
    let wait = format!("[ -e {here} ] || {{ touch {here}; {}; }}", door.sh());
    let run = agent(&world, "agent.sh", &format!("{wait}\necho x > $TASKD_LOOP.txt"));
    let head = format!("agent: {run}\nland: on-gate");
    world.submit(&plan(&head, &[("one", "")]));
    door.reached();
    let other = agent(&world, "other.sh", "echo x > $TASKD_LOOP.txt");
    world.submit(&plan(&format!("agent: {other}\nland: ask"), &[("rests", "")]));
    until_ready(&world, "p2.rests");
    let (place, rests) = (worktree(&world, "p1.one"), worktree(&world, "p2.rests"));
    let (old, new) = moved(&mut world, "moved");
    let told = world.taskd(&["ls"]).fails(1);
    assert!(told.contains(&format!("this repository was at {}", old.display())), "{told}");
    assert!(told.contains("taskd projects add"), "{told}");
    door.open();
    world.until_status("p1.one", &[Status::Blocked]);
    let why = world.taskd(&["why", "p1.one"]).ok();
    assert!(
        why.contains("the repository is not at") && why.contains("taskd projects add"),
        "{why}"
    );

    let added = world.taskd(&["projects", "add"]);
    let said = format!("this repository was at {}", old.display());
    assert!(added.err.contains(&said) && added.err.contains("going on: p1.one"), "{added:?}");
    assert_eq!(roots(&world), std::slice::from_ref(&new));
    let common = new.join(".git").display().to_string();
    assert_eq!(git_in(&world, &place, &["rev-parse", "--git-common-dir"]), common);
    // Nobody works there, and git finds its repository all the same.
    assert_eq!(git_in(&world, &rests, &["rev-parse", "--git-common-dir"]), common);
    until_landed(&world, "p1.one");
    assert!(world.has("main:p1.one.txt"));
    world.taskd(&["land", "p2"]).ok();
    until_landed(&world, "p2.rests");
    assert_eq!(worktree(&world, "p1.one"), place, "it went on where it was");
    world.taskd(&["ls", "-a"]).ok();

    world.stop();
    let (old, new) = moved(&mut world, "moved-again");
    world.start();
    let file = world.aside("second.md", &plan(&head, &[("two", "")]));
    let submitted = world.taskd(&["plan", "submit", &file]);
    let text = format!("{}{}", submitted.out, submitted.err);
    assert!(text.contains(&format!("this repository was at {}", old.display())), "{text}");
    until_landed(&world, "p3.two");
    assert!(world.has("main:p3.two.txt"));
    world.taskd(&["undo", "p1.one"]).ok();
    world.until("the revert", |it| it.loops.values().any(|it| it.undone.is_some()));
    let linked = world.dir.path().join("linked");
    world.git(&["worktree", "add", "-q", linked.to_str().expect("UTF-8"), "-b", "side"]);
    world.taskd(&["projects", "add", linked.to_str().expect("UTF-8")]).ok();
    assert_eq!(roots(&world), [new]);
    let moves =
        world.events().into_iter().filter(|it| matches!(it.event, Event::ProjectMoved { .. }));
    assert_eq!(moves.count(), 2);
}

/// Proves S-3.1.5: a copy beside the repository is a project of its own, and nobody is moved onto
/// it; another repository is not taken for the one that is gone, whatever a person says; and
/// nothing changes where that is refused.
#[test]
fn what_is_not_the_same_repository_is_not_linked() {
    let mut world = World::new();
    world.start();
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_landed(&world, "p1.one");
    let old = world.repo.canonicalize().expect("there");
    let beside = |name: &str| old.with_file_name(name).to_str().expect("UTF-8").to_owned();
    let copy = beside("copy");
    bash(&world.aside("copy.sh", &format!("cp -r {} {copy}", old.display())));
    let at = old.to_str().expect("UTF-8");
    let told = world.taskd(&["projects", "move", at, &copy]).fails(1);
    assert!(told.contains("is still there") && told.contains("a project of its own"), "{told}");
    world.taskd(&["projects", "add", &copy]).ok();
    assert_eq!(roots(&world), [old.clone(), copy.clone().into()]);

    let other = beside("other");
    fs::create_dir(&other).expect("writable");
    git_in(&world, other.as_ref(), &["init", "-q", "-b", "main"]);
    let who = ["-c", "user.name=P", "-c", "user.email=p@example.org"];
    let commit = ["commit", "-q", "--allow-empty", "-m", "first"];
    git_in(&world, other.as_ref(), &[&who[..], &commit].concat());
    let (_, new) = moved(&mut world, "moved");
    let told = world.taskd(&["projects", "move", at, &other]).fails(1);
    assert!(told.contains("is another repository: it has not commit"), "{told}");
    let told = world.taskd(&["projects", "move", at, &copy]).fails(1);
    assert!(told.contains("is served as project 2 already"), "{told}");
    assert_eq!(roots(&world), [old.clone(), copy.clone().into()]);
    world.taskd(&["projects", "add", &other]).ok();
    assert_eq!(roots(&world), [old.clone(), copy.clone().into(), other.clone().into()]);
    let told = world.taskd(&["projects", "move", at]);
    assert!(told.err.contains("linked again"), "{told:?}");
    assert_eq!(roots(&world), [new, copy.into(), other.into()]);
    world.taskd(&["verify", "p1.one"]).ok();
    let told = world.taskd(&["projects", "move", at]).fails(5);
    assert!(told.contains("is no project of this daemon"), "{told}");
}
