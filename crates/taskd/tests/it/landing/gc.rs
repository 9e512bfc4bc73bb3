//! `taskd gc`: what goes, why, and what is saved before it does.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;
use taskd_model::{Event, Outcome, Status};

use super::{agent, own_ref, plan, refs, until_landed, until_ready, worktree};
use crate::support::{Door, World};

/// What `taskd gc` says, by what it says it about.
#[track_caller]
fn gc(world: &World, args: &[&str]) -> Vec<Value> {
    let out = world.taskd(&[&["gc", "--json"], args].concat()).ok();
    out.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect()
}

#[track_caller]
fn about<'a>(items: &'a [Value], what: &str) -> &'a Value {
    let found = items.iter().find(|it| it["what"] == what);
    found.unwrap_or_else(|| panic!("nothing about {what}: {items:?}"))
}

/// Asserts what became of a thing, and that the reason says this.
#[track_caller]
fn assert_fate(items: &[Value], what: &str, fate: &str, reason: &str) {
    let it = about(items, what);
    assert_eq!(it["fate"], fate, "{it}");
    assert!(it["reason"].as_str().is_some_and(|it| it.contains(reason)), "{it}");
}

/// A plan of loops that land, fail, ask and work, each with files of its own.
fn busy(world: &mut World, door: &Door) {
    let body = format!(
        "echo $TASKD_LOOP > $TASKD_LOOP.txt\n\
         case $TASKD_LOOP in *.bad) echo x > bad.txt ;; *.works) {} ;; esac",
        door.sh()
    );
    let run = agent(world, "agent.sh", &body);
    world.start();
    let head = format!("agent: {run}\nlimits: {{iterations: 1}}");
    world.submit(&plan(&format!("{head}\nland: on-gate"), &[("good", ""), ("bad", "")]));
    world.submit(&plan(&format!("{head}\nland: ask"), &[("ready", ""), ("works", "")]));
    door.reached();
    until_landed(world, "p1.good");
    world.until_status("p1.bad", &[Status::Failed]);
    until_ready(world, "p2.ready");
}

/// Proves P-1, W-30: a dry run says what would go and takes nothing; then worktrees of loops that are over
/// go, each with its reason, after what only they had was saved under a ref; what works or waits for
/// a person, checkouts with fresh caches, directories that are not the daemon's and the person's own
/// checkout stay as they are.
#[test]
fn what_is_over_goes_on_proof_and_nothing_is_lost() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    busy(&mut world, &door);
    let [good, bad, ready, works] =
        ["p1.good", "p1.bad", "p2.ready", "p2.works"].map(|it| worktree(&world, it));
    fs::write(bad.join("later.txt"), "by hand\n").expect("writable");
    world.write("dirt.txt", "mine\n");
    let stranger = good.with_file_name("stranger");
    fs::create_dir_all(&stranger).expect("ours");
    fs::write(stranger.join("file"), "theirs\n").expect("ours");
    let before = refs(&world);
    let text = world.taskd(&["gc", "--dry-run"]).ok();
    assert!(text.contains("would go  worktree of p1.good"), "{text}");
    assert!(text.contains("would remove 2 ("), "{text}");
    assert!(good.exists() && bad.exists());
    assert_eq!(refs(&world), before, "a dry run moves no ref");
    let main = world.git(&["rev-parse", "--short=7", "main"]);
    let items = gc(&world, &[]);
    assert_fate(
        &items,
        "worktree of p1.good",
        "removed",
        &format!("clean; landed on main as {main}"),
    );
    assert_fate(
        &items,
        "worktree of p1.bad",
        "removed",
        "1 file differs from its last checkpoint (later.txt): saved first; failed; its work stays in refs/taskd/",
    );
    assert_fate(&items, "worktree of p2.ready", "kept", "p2.ready is running");
    assert_fate(&items, "worktree of p2.works", "kept", "p2.works works in it");
    assert_fate(&items, "directory stranger", "kept", "not this daemon's");
    assert_fate(&items, "checkout gate-0", "kept", "its caches are kept");
    assert!(!good.exists() && !bad.exists() && ready.exists() && works.exists());
    assert_eq!(fs::read_to_string(stranger.join("file")).expect("there"), "theirs\n");
    assert_eq!(world.git(&["status", "--porcelain"]), "?? dirt.txt");
    let saved = about(&items, "worktree of p1.bad")["saved"][0].as_str().expect("saved").to_owned();
    assert_eq!(world.git(&["show", &format!("{saved}:later.txt")]), "by hand");
    assert_eq!(world.git(&["show", &format!("{saved}:bad.txt")]), "x");
    let mut after = refs(&world);
    assert!(after.remove(&saved).is_some());
    assert_eq!(after, before, "a fresh ref stays");
    door.open();
    until_ready(&world, "p2.works");
    world.taskd(&["land", "p2"]).ok();
    until_landed(&world, "p2.ready");
    until_landed(&world, "p2.works");
}

/// Proves P-1: a worktree that a process is in, and one that no loop of this daemon's log has, are
/// named and left alone, however old they are.
#[test]
fn what_somebody_is_in_and_what_nobody_knows_stays() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > x.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_landed(&world, "p1.one");
    let dir = worktree(&world, "p1.one");
    #[expect(clippy::disallowed_methods, reason = "a person's own program")]
    let mut shell = Command::new("cat")
        .current_dir(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("cat is installed");
    // As another daemon's log would have it: the same tag, a loop that is not in ours.
    let tag = own_ref(&world, "/loops/p1-one-1").split('/').nth(2).expect("a tag").to_owned();
    let unknown = dir.with_file_name("p9-two-1");
    let meta = world.repo.join(format!(".git/worktrees/taskd-{tag}-p9-two-1"));
    for made in [&unknown, &meta] {
        fs::create_dir_all(made).expect("ours");
    }
    let marker =
        format!("taskd {tag} work\n{}\n", unknown.canonicalize().expect("there").display());
    fs::write(meta.join("taskd"), marker).expect("ours");
    let items = gc(&world, &["--older", "0s"]);
    let pid = shell.id();
    assert_fate(&items, "worktree of p1.one", "kept", &format!("process {pid} is in it"));
    assert_fate(&items, "worktree p9-two-1", "kept", "no loop of this daemon's log has it");
    assert!(dir.exists() && unknown.exists() && meta.exists());
    drop(shell.stdin.take());
    shell.wait().expect("it ends with its input");
    assert_fate(&gc(&world, &[]), "worktree of p1.one", "removed", "clean");
}

/// Proves W-30: refs of work that landed go when they are older than asked, checkouts for gates when
/// nobody used them for so long; refs of work that did not land stay, whatever their age.
#[test]
fn old_refs_of_landed_work_and_unused_checkouts_go() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    busy(&mut world, &door);
    // Whichever of the two plans came first, the other's work was gated on top of it.
    world.until_event("a candidate to be gated", |it| {
        matches!(&it.event, Event::EffectEnded { outcome: Outcome::CandidateGated(_), .. })
    });
    let items = gc(&world, &["--older", "0s"]);
    let gone = own_refs_named(&items);
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].ends_with("/loops/p1-good-1"), "{gone:?}");
    let left = refs(&world);
    assert!(!left.contains_key(&gone[0]));
    assert!(left.keys().any(|it| it.ends_with("/loops/p1-bad-1")), "{left:?}");
    assert!(left.keys().any(|it| it.ends_with("/loops/p2-ready-1")), "{left:?}");
    let scratch = about(&items, "checkout gate-0");
    assert_eq!(scratch["fate"], "removed", "{scratch}");
    door.open();
    until_ready(&world, "p2.works");
}

fn own_refs_named(items: &[Value]) -> Vec<String> {
    let refs =
        items.iter().filter(|it| it["what"].as_str().is_some_and(|it| it.starts_with("ref ")));
    refs.map(|it| it["place"].as_str().expect("a ref").to_owned()).collect()
}

/// Proves P-1: a daemon that is killed while it takes a worktree away, before or in the middle, ends
/// that in its next life, and what was to be saved is saved.
#[test]
fn a_killed_gc_is_ended_by_the_next() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > bad.txt");
    world.env.insert("TASKD_FAULT".to_owned(), "kill:gc:p1.one".to_owned());
    world.start();
    let head = format!("agent: {run}\nlimits: {{iterations: 1}}");
    world.submit(&plan(&head, &[("one", ""), ("two", "")]));
    for name in ["p1.one", "p1.two"] {
        world.until_status(name, &[Status::Failed]);
    }
    let [one, two] = ["p1.one", "p1.two"].map(|it| worktree(&world, it));
    for dir in [&one, &two] {
        fs::write(dir.join("later.txt"), "by hand\n").expect("writable");
    }
    let ran = world.taskd(&["gc"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    world.kill();
    assert!(one.exists() && two.exists());
    // In the middle: proven, saved and marked, and half of the files are gone.
    let tag = own_ref(&world, "/loops/p1-two-1").split('/').nth(2).expect("a tag").to_owned();
    let meta = world.repo.join(format!(".git/worktrees/taskd-{tag}-p1-two-1"));
    fs::write(meta.join("taskd-removing"), "").expect("ours");
    fs::remove_file(two.join("a.txt")).expect("there");
    world.env.remove("TASKD_FAULT");
    world.start();
    let items = gc(&world, &[]);
    assert_fate(&items, "worktree of p1.one", "removed", "saved first");
    assert_fate(&items, "worktree of p1.two", "removed", "its removal was cut off");
    let saved = about(&items, "worktree of p1.one")["saved"][0].as_str().expect("saved").to_owned();
    assert_eq!(world.git(&["show", &format!("{saved}:later.txt")]), "by hand");
    assert!(!one.exists() && !two.exists() && !meta.exists());
    world.git(&["fsck", "--strict"]);
}
