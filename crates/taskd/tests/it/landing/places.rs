//! What a worktree has besides its files: temporary files, ports, and the variables that name them.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    time::{Duration, Instant},
};

use taskd_model::Status;

use super::{agent, plan, until_landed, worktree};
use crate::support::{Door, World};

/// Writes down the environment of a program as `env-WHO-LOOP` beside the repository.
fn noted(world: &World, who: &str) -> String {
    format!("env > {}/env-{who}-$TASKD_LOOP", world.dir.path().display())
}

/// What was written down.
#[track_caller]
fn seen(world: &World, who: &str, name: &str) -> BTreeMap<String, String> {
    let path = world.dir.path().join(format!("env-{who}-{name}"));
    let text = fs::read_to_string(&path).unwrap_or_else(|it| panic!("{}: {it}", path.display()));
    let pair = |line: &str| line.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
    text.lines().filter_map(pair).collect()
}

/// Names in the directory of temporary files.
fn temporary(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.state().join("tmp")).expect("there");
    entries.map(|it| it.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

/// Waits until no temporary file is left.
#[track_caller]
fn until_none_left(world: &World) {
    let (mut since, mut before) = (Instant::now(), usize::MAX);
    loop {
        let left = temporary(world);
        match left.len() {
            0 => return,
            fewer if fewer < before => (since, before) = (Instant::now(), fewer),
            _ => {}
        }
        assert!(since.elapsed() < Duration::from_secs(60), "left: {left:?}");
        std::thread::yield_now();
    }
}

/// Proves P-6: setup, agent and gate of a loop are told its worktree, its project, a directory for
/// temporary files and ten ports of its own, which are the same after `kill -9`; another loop has
/// others, and a candidate's gate has its own. What `.worktreeinclude` names is copied.
#[test]
fn every_program_of_a_loop_is_told_its_place() {
    let mut world = World::new();
    world.env.insert("TASKD_WORK__PORT".to_owned(), "24000".to_owned());
    // Somebody has a port of the first block: it is not handed out.
    let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, 24_003)).ok();
    world.write(".gitignore", ".env\n");
    world.write(".worktreeinclude", ".env\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "what is not for git"]);
    world.write(".env", "KEY=value\n");
    let door = Door::new(&world, "work");
    let run = agent(
        &world,
        "agent.sh",
        &format!(
            "{}; touch $TMPDIR/left; {}; echo x > $TASKD_LOOP.txt",
            noted(&world, "agent"),
            door.sh()
        ),
    );
    let gate = format!("test $TASKD_LOOP = p1 || {}", noted(&world, "gate-$(basename $PWD)"));
    let head = format!("agent: {run}\nland: on-gate\nsetup: '{}'", noted(&world, "setup"));
    let text = plan(&head, &[("one", ""), ("two", "")])
        .replace("gate: sh test.sh", &format!("gate: ['{gate}', 'sh test.sh']"));
    world.start();
    world.submit(&text);
    door.reached();
    door.reached();
    let names = ["p1.one", "p1.two"];
    let first = names.map(|it| seen(&world, "agent", it));
    for (name, env) in names.iter().zip(&first) {
        let setup = seen(&world, "setup", name);
        for variable in ["TASKD_PORT", "TASKD_TMP", "TASKD_WORKTREE", "TASKD_PROJECT", "TMPDIR"] {
            assert_eq!(setup[variable], env[variable], "{name} {variable}");
        }
        assert_eq!(env["TASKD_PORT_COUNT"], "10");
        assert_eq!(Path::new(&env["TASKD_WORKTREE"]), worktree(&world, name));
        assert_eq!(Path::new(&env["TASKD_PROJECT"]), world.repo);
        let tmp = Path::new(&env["TMPDIR"]);
        assert!(tmp.starts_with(world.state().join("tmp")), "{tmp:?}");
        assert_eq!(fs::metadata(tmp).expect("there").mode() & 0o777, 0o700);
        assert!(tmp.join("left").exists());
        let copied = fs::read_to_string(worktree(&world, name).join(".env"));
        assert_eq!(copied.expect("copied"), "KEY=value\n");
    }
    let port = |env: &BTreeMap<String, String>| env["TASKD_PORT"].parse::<u16>().expect("a port");
    let ports = [port(&first[0]), port(&first[1])];
    assert!(24_010 <= ports[0].min(ports[1]) && 10 <= ports[0].abs_diff(ports[1]), "{ports:?}");
    world.kill();
    world.start();
    door.reached();
    door.reached();
    for (name, before) in names.iter().zip(&first) {
        let after = seen(&world, "agent", name);
        assert_eq!((port(&after), &after["TMPDIR"]), (port(before), &before["TMPDIR"]), "{name}");
    }
    door.open();
    door.open();
    for name in names {
        until_landed(&world, name);
        let dir = worktree(&world, name).file_name().expect("named").to_string_lossy().into_owned();
        let own = seen(&world, &format!("gate-{dir}"), name);
        assert!(ports.contains(&port(&own)), "{own:?}");
    }
    // The first lands with the evidence of its own gate.
    let gated = |it: &&&str| world.dir.path().join(format!("env-gate-gate-0-{it}")).exists();
    let second = names.iter().find(gated).expect("the second one is gated again");
    let [own, candidate] = ["agent", "gate-gate-0"].map(|it| port(&seen(&world, it, second)));
    assert!(10 <= own.abs_diff(candidate), "{own} {candidate}");
    until_none_left(&world);
    assert_eq!(fs::read_to_string(world.state().join("ports")).expect("there"), "");
}

/// Proves P-6: `work.teardown` is run once in the worktree of a loop that is over, with the variables
/// setup had; killed in the middle it is run again; one that fails is in the log and nothing else.
#[test]
fn teardown_takes_back_what_setup_made() {
    let mut world = World::new();
    let made = world.dir.path().join("made");
    let (begun, ended) = (world.dir.path().join("begun"), world.dir.path().join("ended"));
    fs::create_dir(&made).expect("writable");
    let door = Door::new(&world, "teardown");
    let teardown = format!(
        "echo $TASKD_LOOP >> {}; case $TASKD_LOOP in p1.one) {};; esac; pwd; \
         rm {}/$TASKD_PORT && echo $TASKD_LOOP $PWD >> {}; exit 3",
        begun.display(),
        door.sh(),
        made.display(),
        ended.display()
    );
    world.env.insert("TASKD_WORK__TEARDOWN".to_owned(), teardown);
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    let setup = format!("setup: 'touch {}/$TASKD_PORT'", made.display());
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\n{setup}"), &[("one", "")]));
    until_landed(&world, "p1.one");
    door.reached();
    world.kill();
    world.start();
    door.reached();
    door.open();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\n{setup}"), &[("two", "")]));
    until_landed(&world, "p2.two");
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let since = Instant::now();
    while text(&ended).lines().count() < 2 {
        assert!(since.elapsed() < Duration::from_secs(20), "{}", text(&begun));
        std::thread::yield_now();
    }
    until_none_left(&world);
    assert_eq!(text(&begun), "p1.one\np1.one\np2.two\n");
    let line = |name: &str| format!("{name} {}\n", worktree(&world, name).display());
    assert_eq!(text(&ended), line("p1.one") + &line("p2.two"));
    world.stop();
    let log = text(&world.dir.path().join("daemon.log"));
    assert!(log.contains("failed (exit 3)"), "{log}");
    assert_eq!(text(&begun).lines().count(), 3, "once each");
}

/// How many loops the test below runs.
const MANY: usize = 100;

/// Proves S-2.2.3: programs get a `TMPDIR` of their loop's own; after a hundred loops, with the daemon
/// killed three times meanwhile and files in it that cannot be removed at once, none is left.
#[test]
fn temporary_files_end_with_their_loop() {
    let mut world = World::new();
    for (name, value) in [("LIMITS__AGENTS", "8"), ("RUN__ITERATIONS", "1")] {
        world.env.insert(format!("TASKD_{name}"), value.to_owned());
    }
    let door = Door::new(&world, "work");
    let body = format!(
        "mkdir -p $TMPDIR/a/b; date > $TMPDIR/a/b/c; chmod 500 $TMPDIR/a/b\n\
         case $TASKD_LOOP in p1.s10|p1.s50|p1.s90) {};; esac; touch bad",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    let names: Vec<String> = (0..MANY).map(|n| format!("s{n:02}")).collect();
    let specs: Vec<(&str, &str)> = names.iter().map(|it| (it.as_str(), "")).collect();
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: never"), &specs));
    for _ in 0..3 {
        door.reached();
        assert!(!temporary(&world).is_empty(), "the premise");
        world.kill();
        assert!(!temporary(&world).is_empty(), "the premise");
        world.start();
        door.reached();
        door.open();
    }
    // Two may have stood there at once: who was let through and then killed stands there again.
    (0..3).for_each(|_| door.open());
    for name in &names {
        let name = format!("p1.{name}");
        let it = world.until_status(&name, &[Status::Failed, Status::Blocked, Status::Complete]);
        if it.status == Status::Blocked {
            world.taskd(&["stop", &name]).ok();
        }
    }
    until_none_left(&world);
}

/// Proves S-2.2.3, S-3.1.6: a link planted where temporary files go is not followed: the daemon does
/// not start, and a loop that finds one is blocked with the reason.
#[test]
fn planted_links_are_not_followed() {
    let mut world = World::new();
    let theirs = world.dir.path().join("theirs");
    fs::create_dir(&theirs).expect("writable");
    fs::write(theirs.join("precious"), "x").expect("writable");
    fs::create_dir_all(world.state()).expect("writable");
    symlink(&theirs, world.state().join("tmp")).expect("a link");
    let ran = world.taskd(&["daemon", "run"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("not a directory of yours alone; remove it"), "{ran:?}");
    fs::remove_file(world.state().join("tmp")).expect("ours");
    world.start();
    // An agent puts a link where its own directory was; the gate after it goes nowhere.
    let swap = format!("echo x > mine.txt; rm -r $TMPDIR; ln -s {} $TMPDIR", theirs.display());
    let run = agent(&world, "agent.sh", &swap);
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let it = world.until_status("p1.one", &[Status::Blocked, Status::Failed, Status::Complete]);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    let why = format!("{:?}", it.reason);
    assert!(why.contains("not a directory of yours alone"), "{why}");
    world.taskd(&["stop", "p1.one"]).ok();
    until_none_left(&world);
    assert!(theirs.join("precious").exists());
}
