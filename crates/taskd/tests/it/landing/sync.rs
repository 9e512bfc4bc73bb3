//! `taskd sync`: what a person's checkout holds comes to the target on their word, beside changes
//! that are not in the way.

use std::fs;

use super::{agent, candidate_gates, line_of_main, plan, until_landed, until_loop};
use crate::support::World;

/// Brings `p1.one` to where its landing is held, whose agent does this.
fn held(world: &mut World, body: &str) {
    let run = agent(world, "agent.sh", body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_held(world);
}

fn until_held(world: &World) {
    until_loop(world, "p1.one", "to be held", |it| it.held.is_some() && it.integrated.is_some());
}

/// The lines of `git status`, and the bytes of the files they name.
fn changes(world: &World) -> Vec<(String, Option<String>)> {
    let status = world.git(&["status", "--porcelain", "-uall"]);
    let file = |line: &str| fs::read_to_string(world.repo.join(&line[3..])).ok();
    status.lines().map(|it| (it.to_owned(), file(it))).collect()
}

/// Changes of every kind, to files the work leaves alone.
fn make_changes(world: &World) {
    for (file, text) in [("staged.md", "1\n"), ("both.md", "1\n"), ("gone.md", "1\n")] {
        world.write(file, text);
    }
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "more"]);
    world.write("staged.md", "2\n");
    world.write("both.md", "2\n");
    world.write("new.md", "2\n");
    world.git(&["add", "-A"]);
    world.write("both.md", "3\n");
    fs::remove_file(world.repo.join("gone.md")).expect("it is ours");
    world.write("untracked.md", "mine\n");
}

/// Proves PE-1: work that changes in the person's checkout hold lands when they say `taskd sync`,
/// if the changes are to other files: those stay, staged, unstaged, deleted and untracked alike, and
/// the checkout has the work's files. Before, `sync --dry-run` says so and does nothing.
#[test]
fn what_is_held_lands_beside_changes_to_other_files() {
    let mut world = World::new();
    make_changes(&world);
    let old = world.git(&["rev-parse", "main"]);
    held(&mut world, "echo x > mine.txt\necho agent > a.txt");
    let before = changes(&world);
    assert_eq!(before.len(), 5, "{before:?}");
    let why = world.taskd(&["why", "p1.one"]).ok();
    assert!(why.contains("`taskd sync`"), "{why}");

    let dry = world.taskd(&["sync", "--dry-run"]).ok();
    assert!(dry.contains("p1.one") && dry.contains("would land on main"), "{dry}");
    assert_eq!(world.git(&["rev-parse", "main"]), old);
    assert_eq!(changes(&world), before);

    let said = world.taskd(&["sync"]).ok();
    assert!(said.contains("p1.one") && said.contains("lands on main"), "{said}");
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "HEAD^"]), old);
    assert_eq!(world.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), landed);
    assert_eq!(changes(&world), before);
    assert_eq!(fs::read_to_string(world.repo.join("mine.txt")).expect("it came"), "x\n");
    assert_eq!(fs::read_to_string(world.repo.join("a.txt")).expect("it came"), "agent\n");
    let nothing = world.taskd(&["sync"]);
    assert!(nothing.err.contains("nothing of it applies here"), "{}", nothing.err);
}

/// Proves PE-2: a changed or untracked file the work would overwrite is named and stays, whatever
/// else is there, and main stays too; once it is out of the way `taskd sync` lands the work.
#[test]
fn what_is_in_the_way_is_named_and_stays() {
    let mut world = World::new();
    make_changes(&world);
    world.write("mine.txt", "the person's own\n");
    world.write("a.txt", "the person's own\n");
    let old = world.git(&["rev-parse", "main"]);
    held(&mut world, "echo x > mine.txt\necho agent > a.txt");
    let before = changes(&world);
    for args in [&["sync", "--dry-run"][..], &["sync"], &["sync", "p1.one"]] {
        let ran = world.taskd(args);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("in the way: a.txt, mine.txt, changed"), "{}", ran.err);
        assert!(ran.err.contains("then: taskd sync p1.one"), "{}", ran.err);
    }
    assert_eq!((world.git(&["rev-parse", "main"]), changes(&world)), (old, before));
    world.git(&["checkout", "-q", "a.txt"]);
    fs::rename(world.repo.join("mine.txt"), world.repo.join("theirs.txt")).expect("ours");
    let before = changes(&world);
    world.taskd(&["sync", "p1"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(changes(&world), before);
    assert_eq!(world.git(&["show", "main:a.txt"]), "agent");
}

/// Proves PE-3: where `land.follow` is off a checkout of the target moves only by `taskd sync`; a
/// person's word to land does not move it.
#[test]
fn a_checkout_that_does_not_follow_moves_by_sync_alone() {
    let mut world = World::new();
    world.write(".taskd/config.toml", "[land]\nfollow = false\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "settings"]);
    let old = world.git(&["rev-parse", "main"]);
    held(&mut world, "echo x > mine.txt");
    let before = world.row("p1.one").last_seq;
    world.taskd(&["land", "p1.one"]).ok();
    until_loop(&world, "p1.one", "to be held again", |it| {
        before < it.last_seq && it.held.is_some() && it.queue_entry.is_none()
    });
    assert_eq!(world.git(&["rev-parse", "HEAD"]), old);
    world.taskd(&["sync"]).ok();
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), landed);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

/// Proves PE-4: a commit the person made meanwhile stays under what lands: the work is built on it
/// and gated again, and what they have not committed is neither in it nor touched.
#[test]
fn what_was_committed_meanwhile_is_under_it() {
    let mut world = World::new();
    world.write("a.txt", "changed by the person\n");
    held(&mut world, "echo x > mine.txt");
    let gates = candidate_gates(&world).len();
    world.write("bread.txt", "theirs\n");
    world.git(&["add", "bread.txt"]);
    world.git(&["commit", "-q", "-m", "mine", "bread.txt"]);
    let theirs = world.git(&["rev-parse", "HEAD"]);
    super::until_main_is(&world, &theirs);
    let before = changes(&world);
    world.taskd(&["sync"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "main^"]), theirs);
    assert_eq!(line_of_main(&world), ["one: Work on one", "mine", "first"]);
    assert!(gates < candidate_gates(&world).len(), "not gated with their commit");
    assert_eq!(changes(&world), before);
    assert_eq!(world.git(&["show", "main:a.txt"]), "a");
}
