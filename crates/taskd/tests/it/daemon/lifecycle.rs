//! Starting and stopping: once, in the background or not, in order, and leaving nothing behind.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use taskd_api::Watched;
use taskd_model::{Event, Status};

use super::{
    Foreground, Leash, Own, PATIENCE, all_of, ended, held, in_time, pid, plan, script, serving,
    signal, status,
};
use crate::support::{Door, World};

/// Fields of `/proc/PID/stat` after the name: state, parent, group, session.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let rest = text.rsplit_once(") ").expect("a stat line").1;
    rest.split(' ').map(str::to_owned).collect()
}

/// Proves T4.1a E10: `start` returns, and when its terminal goes away with everything in it the
/// daemon lives on, in a session of its own, a child of nobody of ours, holding nothing of the
/// terminal's.
#[test]
fn a_started_daemon_outlives_its_terminal() {
    let world = World::new();
    let line = format!("{} daemon start && echo over && read _", env!("CARGO_BIN_EXE_taskd"));
    let mut shell = Command::new("sh")
        .args(["-c", &line])
        .current_dir(&world.repo)
        .env_clear()
        .envs(&world.env)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut out = BufReader::new(shell.stdout.take().expect("piped"));
    let err = shell.stderr.take().expect("piped");
    let mut said = String::new();
    out.read_line(&mut said).expect("it returns");
    assert!(said.contains("started, pid"), "{said}");
    // The shell alone gets the signal: it would tell how a child of its own ended.
    let mut over = String::new();
    out.read_line(&mut over).expect("it goes on");
    assert_eq!(over, "over\n");
    let daemon = pid(&world);
    killpg(Pid::from_raw(i32::try_from(shell.id()).expect("a pid")), Signal::SIGHUP).expect("sent");
    let group = shell.id().to_string();
    assert_eq!(ended(shell).signal(), Some(1), "the shell went with its terminal");
    assert_eq!((all_of(out), all_of(err)), (String::new(), String::new()));

    assert_eq!(pid(&world), daemon);
    let stat = stat(daemon);
    assert_eq!(stat[3], daemon.to_string(), "it leads a session of its own");
    let parents = [group, std::process::id().to_string()];
    assert!(!parents.contains(&stat[1]), "its parent is {}", stat[1]);
    for fd in 0..3 {
        let open = fs::read_link(format!("/proc/{daemon}/fd/{fd}")).expect("open");
        let place = open.to_string_lossy().into_owned();
        assert!(place == "/dev/null" || place.ends_with("daemon.log"), "{fd} is {place}");
    }
}

/// Proves T4.1b E10: of twenty starts at once one makes the daemon, and everybody names its pid.
#[test]
fn twenty_starts_at_once_make_one_daemon() {
    let world = World::new();
    let start = || {
        let mut command = world.command(&["daemon", "start"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("taskd runs")
    };
    let starters: Vec<_> = (0..20).map(|_| start()).collect();
    let said: Vec<_> = starters
        .into_iter()
        .map(|it| it.wait_with_output().expect("it ends"))
        .map(|it| {
            assert!(it.status.success(), "{}", String::from_utf8_lossy(&it.stderr));
            String::from_utf8_lossy(&it.stdout).into_owned()
        })
        .collect();
    let named = format!("pid {}\n", pid(&world));
    assert!(said.iter().all(|it| it.ends_with(&named)), "{named} {said:?}");
    assert_eq!(said.iter().filter(|it| it.contains("started")).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|it| it.contains("runs already")).count(), 19, "{said:?}");
    let starts = world.events().into_iter().filter(|it| it.event.kind() == "daemon_started");
    assert_eq!(starts.count(), 1, "one life");
}

/// Proves T4.1c X35 E10: neither the pid of a dead daemon nor one that belongs to somebody else by
/// now keeps a daemon from starting, is taken for a daemon, or is signalled.
#[test]
fn a_stale_pid_is_nobody() {
    let mut world = World::new();
    world.start();
    let first = pid(&world);
    world.kill();
    assert!(world.socket().exists() && world.state().join("daemon.json").exists());
    assert!(world.taskd(&["daemon", "start"]).ok().contains("started"));
    let second = pid(&world);
    assert_ne!(first, second);
    signal(second, Signal::SIGKILL);
    // It is nobody's child here; its lock is free when it is gone.
    let dead = fs::File::open(world.state().join("taskd.lock")).expect("it was there");
    dead.lock().expect("free at last");
    drop(dead);

    let mut stranger = Own::idle();
    let theirs = stranger.0.id();
    let state = world.state();
    fs::write(state.join("taskd.lock"), format!("{theirs}\n")).expect("writable");
    fs::write(state.join("daemon.json"), format!("{{\"pid\":{theirs}}}\n")).expect("writable");
    // A program of the earlier life, whose number the stranger has got since: the same boot, but
    // another start. Somebody holds its lock, so that it looks alive.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux");
    let began: u64 = stat(theirs)[19].parse().expect("a number");
    let mark = |began: u64| {
        let boot = boot.trim();
        format!("{{\"pid\":{theirs},\"start_time\":{began},\"boot_id\":\"{boot}\"}}")
    };
    let lock = state.join("run/1-1.lock");
    fs::write(&lock, mark(began + 1)).expect("writable");
    let held = fs::File::open(&lock).expect("ours");
    held.lock().expect("free");

    let said = in_time(&world, &["daemon", "status"]).fails(69);
    assert!(!said.contains(&theirs.to_string()), "{said}");
    in_time(&world, &["daemon", "stop"]).ok();
    assert!(stranger.lives(), "stop signalled a stranger");
    assert!(world.taskd(&["daemon", "start"]).ok().contains("started"));
    assert!(![first, second, theirs].contains(&pid(&world)));
    assert!(stranger.lives(), "start ended a stranger");
}

/// Proves S-5.4.3, T4.1d E10: a stop lets what runs end within the grace, then neither pid nor socket nor
/// any process is left.
#[test]
fn a_stop_drains_and_leaves_nothing() {
    let world = World::new();
    let (leash, door) = (Leash::new(&world), Door::new(&world, "a"));
    let tidy = format!(
        "{}\ntrap 'echo tidied >&9; exit 0' INT\nsleep 1000 &\nsetsid sleep 1000 &\n{}",
        leash.sh(),
        door.sh()
    );
    let agent = script(&world, "tidy.sh", &tidy);
    world.taskd(&["daemon", "start"]).ok();
    world.submit(&plan("Tidy", "", &[("a", format!("agent: {agent}"))]));
    door.reached();
    in_time(&world, &["daemon", "stop", "--grace", "20s"]).ok();
    assert_eq!(leash.gone(), "tidied\n", "the agent was asked first");
    let state = world.state();
    for gone in ["taskd.sock", "daemon.json"] {
        assert!(!state.join(gone).exists(), "{gone} is left");
    }
    assert_eq!(processes_of(&world), Vec::<String>::new());
    assert!(!log(&world).contains("did not end within the grace"), "{}", log(&world));
}

/// Proves T4.1d E10: what does not end within the grace is killed with everything it started.
#[test]
fn the_grace_is_the_one_that_was_given() {
    let world = World::new();
    let (leash, door) = (Leash::new(&world), Door::new(&world, "a"));
    let stubborn = format!("{}\ntrap '' INT TERM\nsleep 1000 &\n{}", leash.sh(), door.sh());
    let agent = script(&world, "stubborn.sh", &stubborn);
    world.taskd(&["daemon", "start"]).ok();
    world.submit(&plan("Stubborn", "", &[("a", format!("agent: {agent}"))]));
    door.reached();
    // The ladder alone takes a second.
    in_time(&world, &["daemon", "stop", "--grace", "100ms"]).ok();
    leash.gone();
    assert!(log(&world).contains("did not end within the grace"), "{}", log(&world));
    assert!(!world.socket().exists());
}

/// Programs whose command line or directory names this world.
fn processes_of(world: &World) -> Vec<String> {
    let place = world.dir.path().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("Linux").flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if line.contains(&place) || cwd.to_string_lossy().contains(&place) {
            found.push(format!("{} {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// What a daemon in the background said.
fn log(world: &World) -> String {
    fs::read_to_string(world.state().join("daemon.log")).expect("it is there")
}

/// Proves T4.1e E10: a daemon in the foreground is seen and stopped like any other.
#[test]
fn a_daemon_in_the_foreground_is_seen_and_stopped() {
    let mut world = World::new();
    world.start();
    let child = world.daemon.as_ref().expect("just started").id();
    assert_eq!(pid(&world), child);
    let said = world.taskd(&["daemon", "status"]).ok();
    assert!(said.contains(&format!("pid {child},")), "{said}");
    assert!(world.taskd(&["daemon", "start"]).ok().contains(&format!("runs already, pid {child}")));
    world.stop();
    assert!(world.taskd(&["daemon", "status"]).fails(69).contains("stopped by a person"));
}

/// Proves T4.1f E10: what is said to the starter is true of the daemon: where it serves, what it
/// logs, and whether work goes on.
#[test]
fn flags_reach_the_daemon() {
    let world = World::new();
    let free = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound").to_string()
    };
    let (flag, file) = (free(), free());
    super::configure(&world, &format!("[http]\nlisten = \"{file}\"\n"));
    world.taskd(&["daemon", "start"]).ok();
    assert_eq!(serving::get(&file, "/healthz").0, 200, "as configured");
    world.taskd(&["daemon", "stop"]).ok();
    world.taskd(&["daemon", "start", "--http", &flag]).ok();
    assert_eq!(serving::get(&flag, "/healthz").0, 200, "the flag wins");
    assert!(std::net::TcpStream::connect(&file).is_err());
    let listens = status(&world)["sockets"].to_string();
    assert!(listens.contains(&format!("http://{flag}")), "{listens}");
    world.taskd(&["daemon", "stop"]).ok();

    let words = ["daemon", "run", "--log-level", "trace"];
    Foreground::start(world.command(&words)).until("TRACE");
}

/// A signal ends the daemon in order: the log says so, nothing is left, and the next start goes on
/// by itself, because no person stopped it.
///
/// Proves S-5.4.4.
#[test]
fn after_a_signal_the_next_start_goes_on_by_itself() {
    let mut world = World::new();
    let (leash, door) = (Leash::new(&world), Door::new(&world, "a"));
    let body = format!("{}\necho began > began.txt\n{}\necho a > a.txt", leash.sh(), door.sh());
    let agent = script(&world, "leashed.sh", &body);
    world.start();
    world.submit(&plan("Signal", "", &[("a", format!("agent: {agent}"))]));
    door.reached();
    let daemon = world.daemon.take().expect("it runs");
    signal(daemon.id(), Signal::SIGTERM);
    let status = ended(daemon);
    assert!(status.success(), "{status}");
    leash.gone();
    assert!(!world.socket().exists() && !world.state().join("daemon.json").exists());
    assert!(!world.state().join("stopped").exists(), "no person stopped it");
    assert!(world.taskd(&["ls"]).fails(69).contains("no taskd daemon runs"));

    world.start();
    door.reached();
    let kinds: Vec<_> = world.events().iter().map(|it| it.event.kind()).collect();
    let stopped = kinds.iter().position(|it| *it == "daemon_stopped").expect("it is in the log");
    assert_eq!(kinds[stopped + 1], "daemon_started", "{}", world.transcript());
    assert!(!kinds.contains(&"work_parked"), "{}", world.transcript());
    door.open();
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(world.row("p1.a").iteration, 1, "the same iteration went on");
}

/// Whoever asks a second time does not wait for what does not end; nothing is left all the same.
///
/// Proves S-5.4.1.
#[test]
fn a_second_signal_ends_at_once() {
    for first in ["signal", "stop"] {
        let mut world = World::new();
        let (leash, door) = (Leash::new(&world), Door::new(&world, "a"));
        let agent = script(&world, "a.sh", &format!("{}\n{}", leash.sh(), door.sh()));
        let daemon = Foreground::start(world.command(&["daemon", "run"]));
        daemon.until("ready socket=");
        world.submit(&plan("Held", "", &[("a", format!("agent: {agent}"))]));
        door.reached();
        // A supervisor that is stopped walks no ladder, so that ending takes its time.
        for it in processes_of(&world).iter().filter(|it| it.contains(" supervise ")) {
            let pid = it.split(' ').next().and_then(|it| it.parse().ok()).expect("a pid");
            signal(pid, Signal::SIGSTOP);
        }
        let mut stopping = None;
        if first == "signal" {
            signal(daemon.pid(), Signal::SIGTERM);
        } else {
            let mut command = world.command(&["daemon", "stop"]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            stopping = Some(Own(command.spawn().expect("taskd runs")));
        }
        daemon.until("daemon: ending");
        signal(daemon.pid(), Signal::SIGTERM);
        let (status, said) = daemon.ended();
        assert_eq!(status.code(), Some(130), "{first}: {said}");
        drop(stopping);
        // The next life ends what this one left.
        world.start();
        leash.gone();
    }
}

/// A client that watches does not keep the daemon from stopping.
#[test]
fn a_watch_does_not_hold_up_a_stop() {
    let mut world = World::new();
    world.start();
    let mut watch = world.client().watch(Vec::new(), false);
    let begun = async { while !matches!(watch.next().await, Some(Watched::View(_))) {} };
    let begun = async { tokio::time::timeout(PATIENCE, begun).await };
    world.runtime.block_on(begun).expect("the watch begins");
    // One that nobody drives takes nothing and does not go away.
    let said = in_time(&world, &["daemon", "stop"]).err;
    let status = ended(world.daemon.take().expect("it ran"));
    assert!(status.success(), "{status}");
    assert!(!said.contains("does not end"), "{said}");
    drop(watch);
}

/// Every end in order is the last event of its life.
#[test]
fn a_stop_is_in_the_log() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    world.start();
    world.submit(&held(&world, &door));
    door.reached();
    world.stop();
    world.start();
    let events = world.events();
    let end = events.iter().position(|it| it.event == Event::DaemonStopped).expect("in the log");
    assert_eq!(events[end - 1].event, Event::WorkParked, "{}", world.transcript());
    assert_eq!(events[end + 1].event.kind(), "daemon_started");
}

/// Proves MC-PROV-12 P-10: a daemon started from a shell that has credentials does not carry them in
/// its environment, where every program of the same person could read them.
#[test]
fn a_daemon_does_not_carry_the_shells_credentials() {
    let mut world = World::new();
    for name in ["ANTHROPIC_API_KEY", "TASKD_LOCAL_KEY", "GH_TOKEN", "DB_PASSWORD"] {
        world.env.insert(name.to_owned(), "sentinel-of-a-secret".to_owned());
    }
    world.env.insert("TASKD_LIMITS__LOOPS".to_owned(), "7".to_owned());
    world.taskd(&["daemon", "start"]).ok();
    let environment = fs::read(format!("/proc/{}/environ", pid(&world))).expect("ours");
    let environment = String::from_utf8_lossy(&environment);
    assert!(!environment.contains("sentinel-of-a-secret"), "{environment}");
    assert!(environment.contains("TASKD_LIMITS__LOOPS=7"), "settings reach it");
    world.taskd(&["daemon", "stop"]).ok();
}
