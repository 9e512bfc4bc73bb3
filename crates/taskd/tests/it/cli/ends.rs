//! How commands end: exit codes, broken pipes, Ctrl-C.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use taskd_model::Status;

use crate::{
    landing::{agent, plan, until_landed, until_ready},
    support::{Door, World},
};

/// `wait` ends with what became of it: 0 landed, 1 stopped, 3 a limit, 4 a person is needed, 124 no
/// time left, 5 no such thing.
#[test]
fn wait_ends_as_the_work_did() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!(
        "case $TASKD_LOOP in *.good|*.asks) echo x > $TASKD_LOOP.txt ;; *.bad) echo x > bad.txt ;; \
         *.long) {} ;; esac",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let head = |land: &str| format!("agent: {run}\nland: {land}\nlimits: {{iterations: 1}}");
    world.submit(&plan(&head("on-gate"), &[("good", "")]));
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0);
    let submit = |text: &str| {
        let file = world.aside("plan.md", text);
        world.taskd(&["plan", "submit", &file, "-q"]).ok().trim().to_owned()
    };
    assert_eq!(submit(&plan(&head("on-gate"), &[("bad", "")])), "p2");
    let ran = world.taskd(&["wait", "p2"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, "p2  limit reached\n"), "{ran:?}");
    assert_eq!(submit(&plan(&head("ask"), &[("asks", "")])), "p3");
    let ran = world.taskd(&["wait", "p3.asks"]);
    assert_eq!((ran.code, ran.out.as_str()), (4, "p3.asks  needs you\n"), "{ran:?}");
    assert_eq!(submit(&plan(&head("ask"), &[("long", "")])), "p4");
    door.reached();
    let err = world.taskd(&["wait", "p4", "--timeout", "50ms"]).fails(124);
    assert!(err.contains("p4 not over yet"), "{err}");
    world.taskd(&["stop", "p4"]).ok();
    assert_eq!(world.taskd(&["wait", "p4"]).code, 1);
    // Of several the worst counts, and a person comes first.
    assert_eq!(world.taskd(&["wait", "p1", "p2"]).code, 3);
    assert_eq!(world.taskd(&["wait", "p1", "p2", "p3", "p4"]).code, 4);
    let err = world.taskd(&["wait", "p9"]).fails(5);
    assert!(err.contains("there is no \"p9\""), "{err}");
}

/// Without a daemon, reading commands say so, name the next command, and end with 69.
#[test]
fn without_a_daemon_reading_ends_with_69() {
    let mut world = World::new();
    let reading: [&[&str]; 11] = [
        &[],
        &["ls"],
        &["show", "p1"],
        &["why", "p1"],
        &["logs", "p1"],
        &["diff", "p1"],
        &["path", "p1"],
        &["events"],
        &["projects", "ls"],
        &["wait", "p1"],
        &["land", "p1"],
    ];
    for args in reading {
        let err = world.taskd(args).fails(69);
        assert!(err.contains("no taskd daemon runs"), "{args:?}: {err}");
        assert!(err.contains("hint: taskd daemon start"), "{args:?}: {err}");
        let json = world.taskd(&[args, &["--json"]].concat()).fails(69);
        let json: serde_json::Value = serde_json::from_str(&json).expect("one object");
        assert_eq!(json["error"]["code"], "unreachable", "{args:?}");
    }
    assert!(!world.socket().exists(), "reading started a daemon");
    world.start();
    world.taskd(&["ls"]).ok();
    world.stop();
    let err = world.taskd(&["ls"]).fails(69);
    assert!(err.contains("was stopped by a person"), "{err}");
    assert!(!world.socket().exists(), "reading started a daemon");
}

/// What is typed wrongly ends with 2, and the configuration with 78; neither stores anything.
#[test]
fn usage_ends_with_2_and_configuration_with_78() {
    let mut world = World::new();
    world.start();
    let wrong: [&[&str]; 9] = [
        &["frobnicate"],
        &["show"],
        &["wait"],
        &["land"],
        &["ls", "--nonsense"],
        &["run", "x", "--agent", "true", "--model", "scripted:x"],
        &["plan", "submit", "/nonexistent.md"],
        &["reject", "p1"],
        &["wait", "p1", "--timeout", "soon"],
    ];
    for args in wrong {
        let ran = world.taskd(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.out.is_empty() && ran.err.starts_with("error: "), "{args:?}: {ran:?}");
    }
    let seq = world.view().seq;
    world.write(".taskd/config.toml", "[gate]\ncomand = \"sh test.sh\"\n");
    let ran = world.taskd(&["run", "x", "--agent", "true", "-d"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains(".taskd/config.toml"), "{}", ran.err);
    assert!(
        ran.err.contains(":2:1: unknown key `comand`") && ran.err.contains("`command`?"),
        "{}",
        ran.err
    );
    assert_eq!(world.view().seq, seq, "something was stored");
}

/// A daemon whose own configuration is wrong does not start, and says where it is wrong.
#[test]
fn a_daemon_with_a_wrong_configuration_ends_with_78() {
    let world = World::new();
    let dir = world.dir.path().join("home/.config/taskd");
    std::fs::create_dir_all(&dir).expect("ours");
    std::fs::write(dir.join("config.toml"), "[limits]\nloops = \"many\"\n").expect("ours");
    let ran = world.taskd(&["daemon", "run"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("config.toml") && ran.err.contains("limits.loops"), "{}", ran.err);
    assert!(!world.socket().exists());
}

/// A reader that goes away is no error: whatever is printed, it ends silently.
///
/// Proves S-5.2.2.
#[test]
fn a_broken_pipe_is_silent() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_landed(&world, "p1.one");
    let printing: [&[&str]; 12] = [
        &[],
        &["ls", "-a"],
        &["ls", "--json"],
        &["show", "p1.one"],
        &["why", "p1.one"],
        &["logs", "p1.one"],
        &["diff", "p1.one"],
        &["events"],
        &["events", "--json"],
        &["projects", "ls"],
        &["help", "all"],
        &["--help"],
    ];
    for args in printing {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let out = world.command(args).stdout(writer).output().expect("it runs");
        assert!(out.status.success(), "{args:?}: {}", out.status);
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{args:?}");
    }
}

/// Ctrl-C while following a run detaches, says so, ends with 0, and the run goes on.
///
/// Proves S-5.4.1.
#[test]
fn ctrl_c_detaches_and_the_run_goes_on() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", door.sh()));
    world.start();
    let args = ["run", "write mine.txt", "--agent", &run, "--gate", "sh test.sh"];
    let mut command = world.command(&args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut seen = String::new();
    while !seen.contains("iteration 1/10") {
        seen += &lines.next().expect("it follows").expect("text");
        seen.push('\n');
    }
    door.reached();
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGINT).expect("it runs");
    let status = child.wait().expect("it ends");
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains("detached; p1 goes on. `taskd stop p1` ends it"), "{err}");
    assert_eq!(world.row("p1").status, Status::Running);
    door.open();
    until_ready(&world, "p1");
}

/// A gate that does not exist is found before any work is paid for: nothing starts, and the reason
/// is said.
#[test]
fn a_gate_that_does_not_exist_stops_the_plan() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.start();
    let text = plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]);
    world.submit(&text.replace("sh test.sh", "no-such-gate --fast"));
    let ran = world.taskd(&["wait", "p1"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(world.row("p1.one").iteration, 0, "work was begun");
    let why = world.taskd(&["why", "p1.one"]).ok();
    assert!(why.contains("p1.one is blocked: the base does not pass its own gate"), "{why}");
    let show = world.taskd(&["show", "p1.one"]).ok();
    assert!(show.contains("no-such-gate"), "{show}");
}
