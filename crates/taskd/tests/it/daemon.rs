//! The daemon as a process: starting, stopping, refusing, being killed, and going on.
#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

mod again;
mod crash;
pub(crate) mod disk;
mod lifecycle;
mod logs;
mod network;
mod parked;
mod past;
mod places;
mod python;
mod refusal;
mod reload;
mod remote;
mod retention;
mod service;
pub(crate) mod serving;
mod state;
mod tidy;
mod traces;
mod trust;
mod waits;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{Door, World};

/// Longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plan file: a head, then specs of `id`, settings, and a text.
fn plan(title: &str, head: &str, specs: &[(&str, String)]) -> String {
    let mut text = format!("---\nplan: {title}\ngate: sh test.sh\nland: on-gate\n{head}---\n");
    for (id, settings) in specs {
        text.push_str(&format!("\n## spec {id}: Work on {id}\n{settings}\n\nDo {id}.\n"));
    }
    text
}

/// A shell script beside the repository, executable; returns its path.
fn script(world: &World, name: &str, body: &str) -> String {
    let path = world.aside(name, &format!("#!/bin/sh\nset -e\n{body}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

/// A plan of one spec, `a`, whose agent writes `a-began.txt`, waits at the door, and writes `a.txt`.
fn held(world: &World, door: &Door) -> String {
    let body = format!("echo began > a-began.txt\n{}\necho a > a.txt", door.sh());
    let agent = script(world, "held.sh", &body);
    plan("Held", "", &[("a", format!("agent: {agent}"))])
}

/// The person's own configuration.
pub(crate) fn configure(world: &World, text: &str) {
    let dir = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&dir).expect("writable");
    fs::write(dir.join("config.toml"), text).expect("writable");
}

/// What `daemon status` says.
#[track_caller]
fn status(world: &World) -> Value {
    let text = world.taskd(&["daemon", "status", "--json"]).ok();
    serde_json::from_str(&text).expect("JSON")
}

#[track_caller]
fn pid(world: &World) -> u32 {
    let pid = status(world)["pid"].as_u64().expect("a pid");
    u32::try_from(pid).expect("a pid")
}

#[track_caller]
fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal).expect("it is there");
}

/// How a process ended, in time.
#[track_caller]
fn ended(mut child: Child) -> ExitStatus {
    within("a process to end", move || child.wait().expect("it is ours"))
}

/// What a process wrote until everybody who could write is gone, in time.
#[track_caller]
fn all_of(mut from: impl std::io::Read + Send + 'static) -> String {
    within("the end of what is written", move || {
        let mut text = String::new();
        from.read_to_string(&mut text).expect("text");
        text
    })
}

/// Waits for something that blocks.
#[track_caller]
fn within<T: Send + 'static>(what: &str, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || tell.send(wait()).ok());
    told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// What `taskd` says when it is run in `world`, in time; ended if it does not.
#[track_caller]
fn in_time(world: &World, args: &[&str]) -> crate::support::Ran {
    let mut command = world.command(args);
    let out = within(&format!("{args:?}"), move || command.output().expect("taskd runs"));
    crate::support::Ran {
        code: out.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&out.stdout).into_owned(),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// Every file below a directory with its bytes, but for locks, logs and shared memory.
fn bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("readable") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file()
                && !name.ends_with("-shm")
                && !name.ends_with(".lock")
                && !name.ends_with(".log")
            {
                let bytes = fs::read(&path).expect("readable");
                // An empty write-ahead log says nothing.
                if !(bytes.is_empty() && name.ends_with("-wal")) {
                    all.insert(path, bytes);
                }
            }
        }
    }
    all
}

/// Held by processes: once they have it, the test sees when the last of them is gone.
struct Leash {
    path: PathBuf,
    end: fs::File,
}

impl Leash {
    fn new(world: &World) -> Self {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = world.dir.path().join("leash");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe can be made");
        let mut options = fs::File::options();
        options.read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
        let end = options.open(&path).expect("ours");
        Self { path, end }
    }

    /// What a shell does to be on it, with everything it starts.
    fn sh(&self) -> String {
        format!("exec 9> {}", self.path.display())
    }

    /// Waits until nobody is on it any more; returns what was written to it.
    #[track_caller]
    fn gone(&self) -> String {
        let mut text = String::new();
        loop {
            let mut polled = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
            let patience = u16::try_from(PATIENCE.as_millis()).expect("about a minute");
            assert_eq!(poll(&mut polled, patience), Ok(1), "somebody is still on the leash");
            let mut bytes = [0; 4_096];
            match (&self.end).read(&mut bytes) {
                Ok(0) => return text,
                Ok(n) => text.push_str(&String::from_utf8_lossy(&bytes[..n])),
                Err(why) => panic!("{why}"),
            }
        }
    }
}

/// A program of a test's own; killed at the end.
struct Own(Child);

impl Own {
    /// Waits for input that never comes.
    fn idle() -> Self {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("cat is installed"))
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("it is ours").is_none()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A daemon in the foreground whose words are read one by one.
struct Foreground {
    daemon: Own,
    said: mpsc::Receiver<String>,
}

impl Foreground {
    /// Starts it with a command of its own.
    #[track_caller]
    fn start(mut command: Command) -> Self {
        let mut daemon = Own(command.stderr(Stdio::piped()).spawn().expect("it runs"));
        let err = BufReader::new(daemon.0.stderr.take().expect("piped"));
        // More than any test has it say, so that the daemon never waits for us.
        let (tell, said) = mpsc::sync_channel(100_000);
        thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|it| tell.send(it)));
        Self { daemon, said }
    }

    /// The next line that says this.
    #[track_caller]
    fn until(&self, what: &str) -> String {
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(what) => return line,
                Ok(_) => {}
                Err(why) => panic!("the daemon did not say {what:?}: {why}"),
            }
        }
    }

    fn pid(&self) -> u32 {
        self.daemon.0.id()
    }

    /// How it ended, and what it said that nobody had read.
    #[track_caller]
    fn ended(mut self) -> (ExitStatus, String) {
        let status = within("the daemon to end", move || self.daemon.0.wait().expect("it is ours"));
        let rest: Vec<String> = self.said.iter().collect();
        (status, rest.join("\n"))
    }
}
