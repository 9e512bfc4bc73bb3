//! Bringing work home: worktrees, rebases, the landing queue, and the checkout a person works in.

mod ask;
mod back;
mod bad;
mod blame;
mod branch;
mod by_hand;
mod canary;
mod checkout;
mod drift;
mod elsewhere;
mod evidence;
mod fifty;
mod flakes;
mod gates;
mod gc;
mod kept;
mod modes;
mod moved;
mod places;
mod pool;
mod pr;
mod queue;
mod relinked;
mod repos;
mod stack;
mod sync;
mod touches;
mod verify;
mod window;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use taskd_model::{Actor, EffectId, Event, LoopView, Outcome, Record, View, Work};

use crate::support::World;

/// A plan file: a head, then specs of `id`, settings, and a text.
pub(crate) fn plan(head: &str, specs: &[(&str, &str)]) -> String {
    let mut text = format!("---\nplan: Test plan\ngate: sh test.sh\n{head}\n---\n");
    for (id, settings) in specs {
        let settings = if settings.is_empty() { String::new() } else { format!("{settings}\n") };
        text.push_str(&format!("\n## spec {id}: Work on {id}\n{settings}\nDo {id}.\n"));
    }
    text
}

/// A shell script beside the repository, executable; returns its path. Its prompts are kept in
/// `prompt-LOOP-ITERATION` beside it.
pub(crate) fn agent(world: &World, name: &str, body: &str) -> String {
    let dir = world.dir.path().display();
    let keep = format!("cat > \"{dir}/prompt-$TASKD_LOOP-$TASKD_ITERATION\"");
    let path = world.aside(name, &format!("#!/bin/sh\nset -e\n{keep}\n{body}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

/// What an agent was told.
#[track_caller]
pub(crate) fn prompt(world: &World, name: &str, iteration: u32) -> String {
    let path = world.dir.path().join(format!("prompt-{name}-{iteration}"));
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Commits a file in the person's checkout and waits until the daemon knows.
#[track_caller]
pub(crate) fn person_commits(world: &World, file: &str, text: &str) -> String {
    world.write(file, text);
    world.git(&["add", file]);
    world.git(&["commit", "-q", "-m", &format!("person: {file}")]);
    let tip = world.git(&["rev-parse", "HEAD"]);
    until_main_is(world, &tip);
    tip
}

/// Waits until the daemon has seen main there, and the person's git may write again: a checkout
/// that moves with it is locked a moment longer.
#[track_caller]
pub(crate) fn until_main_is(world: &World, tip: &str) {
    world.until(&format!("main to be seen at {tip}"), |view| {
        view.projects.values().any(|it| it.targets["main"].tip.to_string() == tip)
    });
    let git = world.repo.join(".git");
    while ["index.lock", "HEAD.lock"].iter().any(|it| git.join(it).exists()) {
        std::thread::yield_now();
    }
}

/// Waits until a loop is as `done` says.
#[track_caller]
pub(crate) fn until_loop(
    world: &World,
    name: &str,
    what: &str,
    done: impl Fn(&LoopView) -> bool,
) -> LoopView {
    let found = |view: &View| view.loops.values().find(|it| it.name == name).cloned();
    let view =
        world.until(&format!("{name} {what}"), |view| found(view).is_some_and(|it| done(&it)));
    found(&view).expect("just seen")
}

/// Waits until a loop's work is on the target; returns the commit.
#[track_caller]
pub(crate) fn until_landed(world: &World, name: &str) -> String {
    let it = until_loop(world, name, "to land", |it| it.landed.is_some() && it.status.is_over());
    it.landed.expect("just seen").commit.to_string()
}

/// Waits until a loop asks to land.
#[track_caller]
pub(crate) fn until_ready(world: &World, name: &str) -> LoopView {
    until_loop(world, name, "to ask", |it| it.approval_asked.is_some() && it.integrated.is_some())
}

/// How many events were caused by a person.
pub(crate) fn words_of_persons(world: &World) -> usize {
    let persons = |it: &&Record| matches!(it.actor, Actor::Person { .. });
    world.events().iter().filter(persons).count()
}

/// The path of a loop's worktree, by the command people use.
#[track_caller]
fn worktree(world: &World, name: &str) -> std::path::PathBuf {
    world.taskd(&["path", name]).ok().trim().into()
}

/// Runs git in any directory.
#[track_caller]
fn git_in(world: &World, dir: &Path, args: &[&str]) -> String {
    let dir = dir.to_str().expect("UTF-8");
    world.git(&[&["-C", dir], args].concat())
}

/// `name oid` of every ref.
fn refs(world: &World) -> BTreeMap<String, String> {
    let text = world.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
    let pair = |line: &str| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
    text.lines().filter_map(pair).collect()
}

/// The one ref of ours that ends like this.
#[track_caller]
fn own_ref(world: &World, end: &str) -> String {
    let all = refs(world);
    let mut found = all.keys().filter(|it| it.starts_with("refs/taskd/") && it.ends_with(end));
    let first = found.next().unwrap_or_else(|| panic!("no ref of ours ends with {end}: {all:?}"));
    assert_eq!(found.next(), None, "{end} is not unique");
    first.clone()
}

/// Asserts that main is a line without merges, and returns its subjects, newest first.
#[track_caller]
fn line_of_main(world: &World) -> Vec<String> {
    let merges = world.git(&["rev-list", "--merges", "main"]);
    assert_eq!(merges, "", "main has merges");
    world.git(&["log", "--format=%s", "main"]).lines().map(str::to_owned).collect()
}

/// How the gates of candidates ended, in order: `Some(green)`, or nothing for one that was ended.
fn candidate_gates(world: &World) -> Vec<Option<bool>> {
    let events = world.events();
    let gates: Vec<EffectId> = events
        .iter()
        .filter(|it| {
            let Event::EffectStarted { work, .. } = &it.event else { return false };
            matches!(work, Work::GateCandidate { .. })
        })
        .map(|it| EffectId(it.seq))
        .collect();
    let ended = |record: &Record| {
        let Event::EffectEnded { effect, outcome } = &record.event else { return None };
        let green = if let Outcome::CandidateGated(it) = outcome { Some(it.green) } else { None };
        gates.contains(effect).then_some(green)
    };
    events.iter().filter_map(ended).collect()
}

impl World {
    /// Whether git finds this object, as in `main:a.txt`.
    fn has(&self, object: &str) -> bool {
        let (commit, path) = object.split_once(':').expect("COMMIT:PATH");
        !self.git(&["ls-tree", "-r", "--name-only", commit, "--", path]).is_empty()
    }
}
