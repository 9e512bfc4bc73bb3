//! Repositories of every kind: those that work, and those that are refused with a reason.

use std::{fs, path::PathBuf};

use super::{agent, git_in, plan, until_landed};
use crate::support::World;

/// A plan that lands a file `mine.txt` on its own.
fn simple(world: &World) -> String {
    let run = agent(world, "agent.sh", "echo x > mine.txt");
    plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")])
}

/// Makes this the repository that commands run in.
fn moved_to(world: &mut World, dir: PathBuf) {
    for (key, value) in [("user.name", "Pat Person"), ("user.email", "pat@example.org")] {
        git_in(world, &dir, &["config", key, value]);
    }
    world.repo = dir;
}

/// Proves N5: a repository without a remote lands; one whose remote is not there lands as well, and
/// nothing is pushed or fetched.
#[test]
fn a_remote_is_not_needed() {
    let mut world = World::new();
    assert_eq!(world.git(&["remote"]), "", "the premise");
    world.start();
    let text = simple(&world);
    world.submit(&text);
    until_landed(&world, "p1.one");
    world.git(&["remote", "add", "origin", "/nonexistent/nowhere.git"]);
    world.git(&["config", "branch.main.remote", "origin"]);
    world.git(&["config", "branch.main.merge", "refs/heads/main"]);
    world.git(&["rm", "-q", "mine.txt"]);
    world.git(&["commit", "-q", "-m", "again from here"]);
    world.submit(&text.replace("Do one.", "Do it again."));
    until_landed(&world, "p2.one");
    let all = super::refs(&world);
    assert!(!all.keys().any(|it| it.starts_with("refs/remotes")), "{all:?}");
    assert!(world.has("main:mine.txt"));
}

/// A bare repository has no checkout to follow.
#[test]
fn a_bare_repository_works() {
    let mut world = World::new();
    let bare = world.dir.path().join("bare.git");
    world.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")]);
    moved_to(&mut world, bare);
    world.start();
    world.submit(&simple(&world));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "main"]), landed);
    assert!(world.has("main:mine.txt"));
}

/// A detached HEAD stays where it is, and main moves.
#[test]
fn a_detached_head_stays() {
    let mut world = World::new();
    world.git(&["checkout", "-q", "--detach"]);
    let head = world.git(&["rev-parse", "HEAD"]);
    world.start();
    world.submit(&simple(&world));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "main"]), landed);
    assert_eq!(fs::read_to_string(world.repo.join(".git/HEAD")).expect("there").trim(), head);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(!world.repo.join("mine.txt").exists());
}

/// A shallow clone is enough.
#[test]
fn a_shallow_clone_works() {
    let mut world = World::new();
    world.write("second.txt", "second\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "second"]);
    let clone = world.dir.path().join("shallow");
    let from = format!("file://{}", world.repo.display());
    world.git(&["clone", "-q", "--depth", "1", &from, clone.to_str().expect("UTF-8")]);
    moved_to(&mut world, clone);
    assert_eq!(world.git(&["rev-parse", "--is-shallow-repository"]), "true", "the premise");
    world.start();
    world.submit(&simple(&world));
    until_landed(&world, "p1.one");
    assert!(world.has("main:mine.txt"));
    world.git(&["fsck", "--no-dangling"]);
}

/// A linked worktree belongs to its repository: main lands there, and the worktree follows if it has
/// main checked out.
#[test]
fn a_linked_worktree_is_its_repository() {
    let mut world = World::new();
    world.git(&["checkout", "-q", "-b", "side"]);
    let linked = world.dir.path().join("linked");
    world.git(&["worktree", "add", "-q", linked.to_str().expect("UTF-8"), "main"]);
    let first = std::mem::replace(&mut world.repo, linked);
    world.start();
    world.submit(&simple(&world));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), landed);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(world.repo.join("mine.txt").exists());
    assert_eq!(git_in(&world, &first, &["symbolic-ref", "HEAD"]), "refs/heads/side");
    assert_eq!(git_in(&world, &first, &["status", "--porcelain"]), "");
}

/// What cannot be worked with is refused with the reason, before anything is stored.
#[test]
fn repositories_that_cannot_be_served_are_refused() {
    let mut world = World::new();
    world.start();
    let file = world.aside("plan.md", &simple(&world));
    let dir = |name: &str| {
        let path = world.dir.path().join(name);
        fs::create_dir_all(&path).expect("writable");
        path
    };
    let (unborn, sha256, none) = (dir("unborn"), dir("sha256"), dir("none"));
    git_in(&world, &unborn, &["init", "-q", "-b", "main"]);
    git_in(&world, &sha256, &["init", "-q", "-b", "main", "--object-format=sha256"]);
    fs::write(sha256.join("test.sh"), "true\n").expect("writable");
    git_in(&world, &sha256, &["add", "-A"]);
    let who = ["-c", "user.name=P", "-c", "user.email=p@example.org"];
    git_in(&world, &sha256, &[&who[..], &["commit", "-q", "-m", "first"]].concat());
    let cases = [
        (&unborn, "has no commit yet; make a first commit"),
        (&sha256, "sha256 object names"),
        (&none, "is not inside a git repository"),
    ];
    for (path, sentence) in cases {
        let place = path.to_str().expect("UTF-8");
        for args in
            [&["plan", "submit", &file][..], &["plan", "check", &file], &["projects", "add"]]
        {
            let ran = world.taskd(&[&["-C", place], args].concat());
            assert_eq!(ran.code, 1, "{args:?} in {place}: {ran:?}");
            assert!(ran.err.contains(sentence), "{args:?} in {place}: {}", ran.err);
        }
    }
    let missing = world.taskd(&["projects", "add", "/nonexistent/path"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    let view = world.view();
    assert!(view.plans.is_empty() && view.projects.is_empty(), "something was stored");
}
