//! What goes wrong with a repository while loops work in it: each case says what happened and what
//! to do next, nothing is lost, and the daemon and other projects go on.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use taskd_model::{Event, LoopView, Outcome, Status};

use super::{agent, git_in, own_ref, plan, until_landed, until_loop};
use crate::support::{Door, World};

/// A loop that stands at a door with a file of its own, in a repository beside the first.
fn at_the_door(world: &mut World, head: &str) -> Door {
    let door = Door::new(world, "work");
    let run = agent(world, "agent.sh", &format!("echo x > mine.txt\n{}", door.sh()));
    world.start();
    world.submit(&plan(
        &format!("agent: {run}\nland: on-gate\ntarget: main\n{head}"),
        &[("one", "")],
    ));
    door.reached();
    door
}

/// Another project of the same daemon lands work of its own.
#[track_caller]
fn others_go_on(world: &mut World) {
    let other = world.dir.path().join("other");
    let text = other.to_str().expect("UTF-8").to_owned();
    fs::create_dir_all(&other).expect("writable");
    fs::write(other.join("test.sh"), "true\n").expect("writable");
    let git = |world: &World, args: &[&str]| {
        git_in(world, Path::new("/"), &[&["-C", &text], args].concat())
    };
    let who = ["-c", "user.name=P", "-c", "user.email=p@example.org"];
    let home = std::mem::replace(&mut world.repo, world.dir.path().to_owned());
    git(world, &["init", "-q", "-b", "main"]);
    git(world, &["config", "user.name", "Pat"]);
    git(world, &["config", "user.email", "pat@example.org"]);
    git(world, &["add", "-A"]);
    git(world, &[&who[..], &["commit", "-q", "-m", "first"]].concat());
    world.repo = other;
    let run = agent(world, "other.sh", "echo other > other.txt");
    let name = world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("other", "")]));
    until_landed(world, &format!("{name}.other"));
    world.repo = home;
}

/// Asserts that a loop is Blocked and says this, with a code and a next step.
#[track_caller]
fn blocked(world: &World, words: &[&str]) -> LoopView {
    let it = until_loop(world, "p1.one", "to stop", |it| {
        it.status == Status::Blocked || it.status.is_over()
    });
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    let home = world.dir.path().to_str().expect("UTF-8");
    let why = world.taskd(&["-C", home, "why", "p1.one"]).ok();
    for word in words.iter().chain(&["taskd help ", "taskd show p1.one"]) {
        assert!(why.contains(word), "{word}: {why}");
    }
    let show = world.taskd(&["-C", home, "show", "p1.one"]).ok();
    assert!(show.contains("| resume |"), "{show}");
    let failed = world.events().into_iter().rev().find_map(|it| {
        let Event::EffectEnded { outcome: Outcome::Failed { fault, .. }, .. } = it.event else {
            return None;
        };
        fault
    });
    assert!(failed.is_some(), "{}", world.transcript());
    it
}

/// A repository that is moved away under a working loop blocks it, with the place and the reason;
/// the daemon and other projects go on; moved back, the loop goes on to its landing with its work.
#[test]
fn a_repository_that_is_moved_away_and_back() {
    let mut world = World::new();
    let door = at_the_door(&mut world, "");
    let (here, away) = (world.repo.clone(), world.dir.path().join("away"));
    fs::rename(&here, &away).expect("ours");
    door.open();
    world.repo = world.dir.path().to_owned();
    blocked(&world, &["repo"]);
    others_go_on(&mut world);
    fs::rename(&away, &here).expect("ours");
    world.repo = here;
    world.taskd(&["resume", "p1.one"]).ok();
    until_loop(&world, "p1.one", "to go on", |it| it.status != Status::Blocked);
    door.open();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:mine.txt"]), "x");
}

/// A repository that is deleted under a working loop blocks it and says so; the daemon and other
/// projects go on, also after a restart.
#[test]
fn a_repository_that_is_deleted() {
    let mut world = World::new();
    let door = at_the_door(&mut world, "");
    let here = std::mem::replace(&mut world.repo, world.dir.path().to_owned());
    fs::remove_dir_all(&here).expect("ours");
    door.open();
    blocked(&world, &["repo"]);
    others_go_on(&mut world);
    world.kill();
    world.start();
    blocked(&world, &["repo"]);
    world.taskd(&["-C", "/", "stop", "p1"]).ok();
    until_loop(&world, "p1.one", "to be over", |it| it.status.is_over());
}

/// A `.git` that is a file, as in submodules and with a separate git directory, is followed.
#[test]
fn a_git_directory_elsewhere_works() {
    let mut world = World::new();
    let elsewhere = world.dir.path().join("elsewhere.git");
    world.git(&["init", "-q", "--separate-git-dir", elsewhere.to_str().expect("UTF-8")]);
    assert!(world.repo.join(".git").is_file(), "the premise");
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), landed);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

/// The file of a loose object.
fn object(world: &World, name: &str) -> PathBuf {
    let oid = world.git(&["rev-parse", name]);
    world.repo.join(".git/objects").join(&oid[..2]).join(&oid[2..])
}

/// An object that is damaged while a loop works blocks it and is named; whole again, the loop lands.
#[test]
fn a_damaged_object_is_named() {
    let mut world = World::new();
    let door = at_the_door(&mut world, "");
    let commit = world.git(&["rev-parse", "main"]);
    let file = object(&world, "main^{tree}");
    let whole = fs::read(&file).expect("loose");
    fs::remove_file(&file).expect("ours");
    fs::write(&file, b"garbage").expect("ours");
    door.open();
    blocked(&world, &["reading the tree of", &commit[..7]]);
    others_go_on(&mut world);
    fs::write(&file, whole).expect("ours");
    world.taskd(&["resume", "p1.one"]).ok();
    until_loop(&world, "p1.one", "to go on", |it| it.status != Status::Blocked);
    door.open();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:mine.txt"]), "x");
}

/// Refs of ours that somebody deletes under a working loop are made again, and its work lands.
#[test]
fn refs_deleted_under_a_loop_are_made_again() {
    let mut world = World::new();
    let door = Door::new(&world, "two");
    let body = format!(
        "echo $TASKD_ITERATION >> mine.txt\n[ $TASKD_ITERATION = 2 ] && rm bad.txt || echo > bad.txt\n{}",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\ntarget: main"), &[("one", "")]));
    door.reached();
    door.open();
    door.reached();
    let own = own_ref(&world, "/loops/p1-one-1");
    for name in super::refs(&world).keys().filter(|it| it.starts_with("refs/taskd/")) {
        world.git(&["update-ref", "-d", name]);
    }
    door.open();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:mine.txt"]), "1\n2");
    assert_eq!(own_ref(&world, "/loops/p1-one-1"), own);
}

/// Proves S-2.2.6: a name that changes in case only, and names with a newline, a quote and bytes
/// that are no UTF-8, go through a worktree, a checkpoint, a rebase, landing and the checkout that
/// follows, byte for byte.
#[test]
fn names_of_every_kind_land() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!(
        "mv a.txt A.txt\nmkdir 'New\nline'\nprintf x > 'New\nline/a\"b'\n\
         printf y > \"$(printf 'latin-\\351')\"\n{}",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    door.reached();
    super::person_commits(&world, "theirs.txt", "theirs\n");
    door.open();
    until_landed(&world, "p1.one");
    let names = world.git(&["ls-tree", "-r", "--name-only", "main"]);
    let quoted = ["A.txt", r#""New\nline/a\"b""#, r#""latin-\351""#, "test.sh", "theirs.txt"];
    assert_eq!(names.lines().collect::<Vec<_>>(), quoted);
    let on_disk: [(&[u8], &str); 3] =
        [(b"A.txt", "a\n"), (b"New\nline/a\"b", "x"), (b"latin-\xe9", "y")];
    for (name, text) in on_disk {
        let path = world.repo.join(OsStr::from_bytes(name));
        assert_eq!(fs::read_to_string(path).expect("followed"), text);
    }
    assert!(!world.repo.join("a.txt").exists());
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    let diff = world.taskd(&["diff", "p1.one"]).ok();
    assert!(diff.contains("A.txt"), "{diff}");
}

/// A repository of twenty thousand files is worked in and landed on.
#[test]
fn twenty_thousand_files_are_not_too_many() {
    const FILES: usize = 20_000;
    let mut world = World::new();
    let mut stream = Vec::new();
    writeln!(stream, "blob\nmark :1\ndata 2\nx").expect("memory");
    writeln!(stream, "\ncommit refs/heads/main\ncommitter P <p@example.org> 1700000000 +0000")
        .expect("memory");
    writeln!(stream, "data 4\nmany\nfrom refs/heads/main^0").expect("memory");
    for n in 0..FILES {
        writeln!(stream, "M 100644 :1 many/{}/{n}", n % 500).expect("memory");
    }
    let file = world.dir.path().join("stream");
    fs::write(&file, stream).expect("writable");
    let script = format!(
        "cd {} && git fast-import --quiet --force < {}",
        world.repo.display(),
        file.display()
    );
    crate::support::bash(&world.aside("import.sh", &script));
    world.git(&["checkout", "-q", "--detach"]);
    assert_eq!(world.git(&["ls-tree", "-r", "--name-only", "main"]).lines().count(), FILES + 2);
    let run = agent(&world, "agent.sh", "echo changed > many/7/7\necho x > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\ntarget: main"), &[("one", "")]));
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["diff", "--name-only", "main^", "main"]), "many/7/7\nmine.txt");
}

/// Proves S-2.2.4: locks that another git holds are waited for, then told of by name, and never
/// taken away: the index's, HEAD's and the target's hold landing until they are gone; that of what
/// landing does not write (packed refs) is in nobody's way.
#[test]
fn locks_of_others_are_told_and_never_stolen() {
    for (lock, holds) in [
        ("index.lock", true),
        ("refs/heads/main.lock", true),
        ("HEAD.lock", true),
        ("packed-refs.lock", false),
    ] {
        let mut world = World::new();
        let door = at_the_door(&mut world, "");
        let path = world.repo.join(".git").join(lock);
        fs::write(&path, "somebody's\n").expect("writable");
        door.open();
        if holds {
            let it = until_loop(&world, "p1.one", "to be held", |it| it.held.is_some());
            let why = it.held.expect("just seen");
            assert!(why.contains(lock), "{lock}: {why}");
            assert_eq!(fs::read_to_string(&path).expect("still there"), "somebody's\n");
            until_loop(&world, "p1.one", "to be integrated", |it| it.integrated.is_some());
            fs::remove_file(&path).expect("ours");
            world.taskd(&["land", "p1"]).ok();
            until_landed(&world, "p1.one");
        } else {
            until_landed(&world, "p1.one");
            assert_eq!(fs::read_to_string(&path).expect("still there"), "somebody's\n");
            fs::remove_file(&path).expect("ours");
        }
        assert_eq!(world.git(&["status", "--porcelain"]), "", "{lock}");
        assert_eq!(world.git(&["show", "main:mine.txt"]), "x", "{lock}");
    }
}
