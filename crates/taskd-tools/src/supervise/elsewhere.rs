//! The supervisor process where there is neither a child subreaper nor a signalfd (macOS).
//!
//! It ends the program's process group and nothing else: a descendant that starts a session of its
//! own escapes, and is not reported. Compiled everywhere so that it keeps compiling; used only
//! where `linux` is not.
#![cfg_attr(target_os = "linux", allow(dead_code, reason = "kept compiling by the Linux tests"))]

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, stdin};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};

use super::wire::{Control, EndedBy, Exit, Orders, Report, SuperviseError};

/// What the two waiting threads say.
enum Heard {
    Ended(Option<ExitStatus>),
    Said(Control),
    DaemonGone,
}

/// Runs the ordered program to its end, and its process group to its.
pub(super) fn supervise(orders: &Orders) -> Result<(), SuperviseError> {
    setsid().ok();
    let path = orders.lock_path();
    let fail = |source| SuperviseError::File { doing: "hold", path: path.clone(), source };
    let file = File::create(&path).map_err(fail)?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| fail(errno.into()))?;
    let report = match spawn(orders) {
        Ok(child) => run(child),
        Err(reason) => Report::not_started(reason),
    };
    let written = report.write(orders);
    std::fs::remove_file(&path).ok();
    drop(lock);
    written
}

fn spawn(orders: &Orders) -> Result<Child, String> {
    let input = orders.open_stdin()?;
    let program = &orders.argv[0];
    #[expect(clippy::disallowed_methods, reason = "this is the place where programs start")]
    let spawned =
        Command::new(program).args(&orders.argv[1..]).stdin(input).process_group(0).spawn();
    spawned.map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            format!("program `{}` not found", program.display())
        } else {
            format!("program `{}` could not be started: {error}", program.display())
        }
    })
}

fn run(mut child: Child) -> Report {
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a process number fits pid_t"));
    let (say, heard) = sync_channel(1);
    let listen = say.clone();
    thread::spawn(move || listen_to_daemon(&listen));
    thread::spawn(move || say.send(Heard::Ended(child.wait().ok())).ok());

    let mut cause = EndedBy::Own;
    let mut steps: Vec<(Instant, Signal)> = Vec::new();
    let status = loop {
        match next(&heard, steps.first().map(|step| step.0)) {
            Some(Heard::Ended(status)) => break status,
            Some(Heard::Said(Control::End(ladder))) if cause == EndedBy::Own => {
                cause = EndedBy::Ladder;
                let (now, term) = (Instant::now(), Instant::now() + ladder.int);
                steps = vec![
                    (now, Signal::SIGINT),
                    (term, Signal::SIGTERM),
                    (term + ladder.term, Signal::SIGKILL),
                ];
            }
            Some(Heard::Said(Control::End(_))) => {}
            Some(said @ (Heard::Said(Control::Kill) | Heard::DaemonGone)) => {
                if cause == EndedBy::Own {
                    let gone = matches!(said, Heard::DaemonGone);
                    cause = if gone { EndedBy::DaemonGone } else { EndedBy::Kill };
                }
                steps = vec![(Instant::now(), Signal::SIGKILL)];
            }
            None => {
                killpg(group, steps.remove(0).1).ok();
            }
        }
    };
    let leftovers = u32::from(killpg(group, Signal::SIGKILL) != Err(Errno::ESRCH));
    let exit = status.map_or(Exit::Survived, |status| match status.code() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.signal().unwrap_or(0)),
    });
    Report { exit, ended_by: cause, leftovers, survivors: 0 }
}

/// Waits for word, at most until `deadline`; `None` when that has passed.
fn next(heard: &Receiver<Heard>, deadline: Option<Instant>) -> Option<Heard> {
    let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
    match heard.recv_timeout(left) {
        Ok(heard) => Some(heard),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Heard::Ended(None)),
    }
}

fn listen_to_daemon(say: &SyncSender<Heard>) {
    for line in BufReader::new(stdin()).lines() {
        let Ok(line) = line else { break };
        if say.send(Heard::Said(Control::parse(&line))).is_err() {
            return;
        }
    }
    say.send(Heard::DaemonGone).ok();
}
