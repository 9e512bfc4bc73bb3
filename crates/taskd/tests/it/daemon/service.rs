//! The daemon under a service manager, and becoming a service of one.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{PATIENCE, in_time, status};
use crate::support::{World, is_here};

/// What the manager hears until `last`, in order.
fn heard_until(manager: &UnixDatagram, last: &str) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let mut bytes = [0; 1_000];
        let n = manager.recv(&mut bytes).unwrap_or_else(|why| panic!("{why} after {heard:?}"));
        let text = String::from_utf8_lossy(&bytes[..n]).trim().to_owned();
        let found = text == last;
        heard.push(text);
        assert!(heard.len() < 300, "no {last} among signs of life: {:?}", &heard[..9]);
        if found {
            return heard;
        }
    }
}

fn pid(world: &World) -> Pid {
    let pid = status(world)["pid"].as_i64().expect("a number");
    Pid::from_raw(i32::try_from(pid).expect("a pid"))
}

/// Proves SV-1: ready is said when clients are served, signs of life while the loop turns, and the end
/// before it.
#[test]
fn a_service_manager_is_told() {
    let mut world = World::new();
    let place = world.dir.path().join("manager");
    let manager = UnixDatagram::bind(&place).expect("free");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket");
    world.env.insert("NOTIFY_SOCKET".to_owned(), place.display().to_string());
    world.env.insert("WATCHDOG_USEC".to_owned(), "300000".to_owned());
    world.start();
    let heard = heard_until(&manager, "READY=1");
    assert!(!heard.contains(&"STOPPING=1".to_owned()));
    world.taskd(&["ls"]).ok();
    heard_until(&manager, "WATCHDOG=1");
    heard_until(&manager, "WATCHDOG=1");
    kill(pid(&world), Signal::SIGTERM).expect("it runs");
    heard_until(&manager, "STOPPING=1");
}

/// Proves SV-1: the manager listens, the first command starts the daemon, and the socket stays.
#[test]
fn a_socket_is_handed_over() {
    if !is_here("systemd-socket-activate") {
        return;
    }
    let world = World::new();
    let socket = world.socket();
    fs::create_dir_all(socket.parent().expect("a directory")).expect("ours");
    let activate = |socket: &PathBuf| {
        let mut manager = Command::new("systemd-socket-activate");
        manager.arg("-l").arg(socket).arg("env").arg("-u").arg("TERM");
        manager.args(world.env.iter().map(|(name, value)| format!("{name}={value}")));
        manager.arg(env!("CARGO_BIN_EXE_taskd")).args(["daemon", "run"]);
        manager.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        manager.spawn().expect("it runs")
    };
    let mut manager = activate(&socket);
    while !socket.exists() {
        std::thread::yield_now();
    }
    let said = in_time(&world, &["ls"]).ok();
    assert!(said.contains("nothing"), "{said}");
    assert_eq!(pid(&world).as_raw().unsigned_abs(), manager.id(), "it became the daemon");
    kill(pid(&world), Signal::SIGTERM).expect("it runs");
    assert!(manager.wait().expect("ours").success());
    assert!(socket.exists(), "it is the manager's");
    // One that clients do not look for is no use.
    let other = world.dir.path().join("other.sock");
    let manager = activate(&other);
    while !other.exists() {
        std::thread::yield_now();
    }
    let _client = std::os::unix::net::UnixStream::connect(&other).expect("it listens");
    let ended = manager.wait_with_output().expect("ours");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("set ListenStream="), "{said}");
}

/// A manager that writes down what it is asked; returns where.
fn managed(world: &mut World) -> PathBuf {
    let log = world.dir.path().join("asked");
    let bin = world.dir.path().join("bin");
    fs::create_dir_all(&bin).expect("ours");
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display());
    fs::write(bin.join("systemctl"), script).expect("ours");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bin.join("systemctl"), mode).expect("ours");
    let path = format!("{}:{}", bin.display(), world.env["PATH"]);
    world.env.insert("PATH".to_owned(), path);
    let config = world.dir.path().join("config");
    world.env.insert("XDG_CONFIG_HOME".to_owned(), config.display().to_string());
    log
}

/// Proves SV-2: installing says what it writes and runs, hands over what runs, is the same when it is
/// done again, and is undone by one command.
#[test]
fn the_daemon_becomes_a_service_and_none_again() {
    let mut world = World::new();
    let log = managed(&mut world);
    let unit = world.dir.path().join("config/systemd/user/taskd.service");
    let asked = || fs::read_to_string(&log).unwrap_or_default();
    world.start();
    let would = world.taskd(&["daemon", "install", "--dry-run"]).ok();
    assert!(would.contains(&format!("would be written  {}", unit.display())), "{would}");
    assert!(!unit.exists() && asked().is_empty() && world.socket().exists());
    let said = world.taskd(&["daemon", "install"]).ok();
    assert_eq!(asked(), "--user daemon-reload\n--user enable --now taskd.service\n");
    assert!(said.contains(&format!("written  {}", unit.display())), "{said}");
    let text = fs::read_to_string(&unit).expect("written");
    let exec = format!("ExecStart={} daemon run\n", env!("CARGO_BIN_EXE_taskd"));
    assert!(text.contains(&exec), "{text}");
    assert!(!world.socket().exists(), "the one that ran made way");
    assert!(!world.state().join("stopped").exists(), "and was not stopped by a person");
    if is_here("systemd-analyze") {
        let judged = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
        let judged = judged.expect("it runs");
        let said = String::from_utf8_lossy(&judged.stderr);
        assert!(judged.status.success() && !said.contains("taskd.service"), "{said}");
    }
    fs::remove_file(&log).expect("ours");
    let again = world.taskd(&["daemon", "install", "--socket"]).ok();
    assert!(!again.contains(&unit.display().to_string()), "{again}");
    assert!(asked().ends_with("--user enable --now taskd.service taskd.socket\n"));
    fs::remove_file(&log).expect("ours");
    world.taskd(&["daemon", "upgrade"]).ok();
    assert_eq!(asked(), "--user daemon-reload\n--user restart taskd.service\n");
    world.taskd(&["daemon", "uninstall"]).ok();
    assert!(asked().ends_with("disable --now taskd.service taskd.socket\n--user daemon-reload\n"));
    assert!(!unit.exists() && !unit.with_file_name("taskd.socket").exists());
    world.taskd(&["daemon", "uninstall"]).fails(1);
    // What somebody else wrote is theirs.
    fs::write(&unit, "[Service]\nExecStart=/usr/bin/true\n").expect("ours");
    for verb in ["install", "uninstall", "upgrade"] {
        let said = world.taskd(&["daemon", verb]).fails(1);
        assert!(said.contains("was not written by taskd"), "{said}");
    }
    assert_eq!(fs::read_to_string(&unit).expect("there").lines().count(), 2);
}

/// The file for containers is of this toolchain, begins the daemon and gives it no rights. Whether it
/// builds is for who has an engine and a network.
#[test]
fn the_container_has_no_rights() {
    let file = include_str!("../../../../../deploy/Containerfile");
    let manifest = include_str!("../../../../../Cargo.toml");
    let rust = manifest.lines().find_map(|it| it.strip_prefix("rust-version = ")).expect("it says");
    assert!(file.contains(&format!("rust:{}-", rust.trim_matches('"'))), "built by {rust}");
    let last = file.rsplit("\nFROM ").next().expect("a stage");
    let user = last.lines().find_map(|it| it.strip_prefix("USER ")).expect("a user");
    assert!(
        user != "root"
            && last.contains(&format!(
                "useradd --create-home --home-dir /srv/{user} --uid 1000 {user}"
            ))
    );
    assert!(last.contains("ENTRYPOINT [\"taskd\"]\nCMD [\"daemon\", \"run\"]"), "{last}");
    is_here("podman");
}

/// Proves SV-2: without a service an upgrade is a restart with this program, and work is kept.
#[test]
fn an_upgrade_without_a_service_is_a_restart() {
    let mut world = World::new();
    managed(&mut world);
    world.start();
    let before = pid(&world);
    in_time(&world, &["daemon", "upgrade"]).ok();
    let after = pid(&world);
    assert_ne!(before, after);
    in_time(&world, &["daemon", "stop"]).ok();
}
