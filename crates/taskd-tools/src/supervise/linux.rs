//! The supervisor process on Linux: one thread, no runtime, `poll` over a signalfd and the control
//! pipe.
//!
//! It is a child subreaper, so whatever its program forks stays below it, however often it forks or
//! starts a session of its own; `waitpid` saying `ECHILD` is then the proof that nothing is left.
//! Every signal is blocked here and read from the signalfd, so one sent to a whole group cannot end
//! the supervisor before its children; `posix_spawn` gives the program an empty mask again.
//!
//! Refuses to: exit while a descendant can still be ended, or start a program when the daemon is
//! already gone.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{Stdin, Write as _, stdin};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, read, setsid};

use super::identity::{descendants, identity_of, is_running};
use super::wire::{Control, EndedBy, Exit, Ladder, Orders, Report, SuperviseError};

/// Between TERM and KILL for what the program leaves behind.
const LEFTOVER_TERM_MS: u64 = 500;
/// How long killed processes may take to go before they are reported as survivors.
const KILL_WAIT_MS: u64 = 10_000;
/// A control line is at most this long.
const CONTROL_LINE_MAX_BYTES: usize = 256;

/// Runs the ordered program to its end, and everything it started to theirs.
pub(super) fn supervise(orders: &Orders) -> Result<(), SuperviseError> {
    let system =
        |doing| move |source: Errno| SuperviseError::System { doing, source: source.into() };
    // Fails only if we lead a group already; then we have our own session or a person's shell is
    // asking, and either is fine.
    setsid().ok();
    let all = SigSet::all();
    all.thread_block().map_err(system("block signals"))?;
    set_child_subreaper(true).map_err(system("adopt descendants"))?;
    let mut only_chld = SigSet::empty();
    only_chld.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&only_chld, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(system("listen for the end of children"))?;

    // In this order: whoever finds no lock after the daemon's death may rely on us finding the
    // closed pipe before we start anything.
    let lock = take_lock(orders)?;
    let mut control = ControlPipe::new();
    let report = if control.daemon_is_gone() {
        Report::not_started("the daemon is gone".to_owned())
    } else {
        match spawn(orders) {
            Ok(main) => Supervisor::new(main).run(&signals, &mut control),
            Err(reason) => Report::not_started(reason),
        }
    };
    let written = report.write(orders);
    std::fs::remove_file(orders.lock_path()).ok();
    drop(lock);
    written
}

fn take_lock(orders: &Orders) -> Result<Flock<File>, SuperviseError> {
    let path = orders.lock_path();
    let fail = |source| SuperviseError::File { doing: "hold", path: path.clone(), source };
    let file = File::create(&path).map_err(fail)?;
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| fail(errno.into()))?;
    let identity = identity_of(std::process::id()).map_err(fail)?;
    let text = serde_json::to_vec(&identity).map_err(|error| fail(error.into()))?;
    lock.write_all(&text).map_err(fail)?;
    Ok(lock)
}

/// Starts the program in a process group of its own with default signals, or says for people why
/// it could not.
fn spawn(orders: &Orders) -> Result<Pid, String> {
    let stdin = orders.open_stdin()?;
    let inner = || -> Result<Pid, Errno> {
        let mut actions = PosixSpawnFileActions::init()?;
        actions.add_dup2(stdin.as_raw_fd(), 0)?;
        let mut attr = PosixSpawnAttr::init()?;
        attr.set_flags(
            PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
        )?;
        attr.set_pgroup(Pid::from_raw(0))?;
        attr.set_sigmask(&SigSet::empty())?;
        attr.set_sigdefault(&SigSet::all())?;
        let argv = c_strings(orders.argv.iter().map(OsString::as_os_str))?;
        let env = std::env::vars_os().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        });
        let env = c_strings(env.collect::<Vec<_>>().iter().map(OsString::as_os_str))?;
        posix_spawnp(&argv[0], &actions, &attr, &argv, &env)
    };
    inner().map_err(|errno| not_started(&orders.argv[0], errno))
}

fn c_strings<'a>(texts: impl Iterator<Item = &'a OsStr>) -> Result<Vec<CString>, Errno> {
    texts.map(|text| CString::new(text.as_bytes()).map_err(|_| Errno::EINVAL)).collect()
}

fn not_started(program: &OsStr, errno: Errno) -> String {
    let program = program.display();
    if errno == Errno::ENOENT {
        format!("program `{program}` not found")
    } else {
        format!("program `{program}` could not be started: {}", errno.desc())
    }
}

/// The read end of the control pipe, our stdin.
struct ControlPipe {
    stdin: Stdin,
    partial: Vec<u8>,
    open: bool,
}

impl ControlPipe {
    fn new() -> Self {
        Self { stdin: stdin(), partial: Vec::new(), open: true }
    }

    /// Looks without waiting and without reading.
    fn daemon_is_gone(&self) -> bool {
        let mut fds = [PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok()
            && fds[0].revents().is_some_and(|got| {
                got.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL)
                    && !got.contains(PollFlags::POLLIN)
            })
    }

    /// Reads what is there once; `None` at the end means the daemon is gone.
    fn read(&mut self) -> Vec<Option<Control>> {
        let mut buffer = [0; CONTROL_LINE_MAX_BYTES];
        let count = match read(&self.stdin, &mut buffer) {
            Err(Errno::EINTR | Errno::EAGAIN) => return Vec::new(),
            Err(_) | Ok(0) => {
                self.open = false;
                return vec![None];
            }
            Ok(count) => count,
        };
        self.partial.extend_from_slice(&buffer[..count]);
        let mut said = Vec::new();
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            said.push(Some(Control::parse(&String::from_utf8_lossy(&line))));
        }
        if self.partial.len() > CONTROL_LINE_MAX_BYTES {
            self.partial.clear();
            said.push(Some(Control::Kill));
        }
        said
    }
}

/// Where on the ladder we stand, and until when.
#[derive(Debug, Clone, Copy)]
enum Rung {
    Working,
    Int { until: Instant, then_term: Duration },
    Term { until: Instant },
    Kill { until: Instant },
}

struct Supervisor {
    main: Pid,
    main_exit: Option<Exit>,
    /// What the end of the program is put down to if it ends now.
    cause: EndedBy,
    ended_by: EndedBy,
    rung: Rung,
    /// Who has had the signal of this rung.
    told: BTreeSet<u32>,
    leftovers: BTreeSet<u32>,
}

impl Supervisor {
    fn new(main: Pid) -> Self {
        Self {
            main,
            main_exit: None,
            cause: EndedBy::Own,
            ended_by: EndedBy::Own,
            rung: Rung::Working,
            told: BTreeSet::new(),
            leftovers: BTreeSet::new(),
        }
    }

    fn run(mut self, signals: &SignalFd, control: &mut ControlPipe) -> Report {
        loop {
            // Signals first, then the dead: a death after the reaping is a new signal.
            while let Ok(Some(_)) = signals.read_signal() {}
            if self.reap() {
                return self.report(0);
            }
            self.step(Instant::now());
            if let Rung::Kill { until } = self.rung
                && Instant::now() >= until
            {
                return self.give_up();
            }
            match wait(signals, control, self.deadline()) {
                Ok(false) => {}
                Ok(true) => control.read().into_iter().for_each(|said| self.hear(said)),
                // Out of kernel memory: we cannot watch it, so it must not go on.
                Err(_) => self.hear(Some(Control::Kill)),
            }
        }
    }

    /// Collects the dead; true when there is nobody left.
    fn reap(&mut self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.gone(pid, Exit::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.gone(pid, Exit::Signal(signal as i32));
                }
                Ok(WaitStatus::StillAlive) => return false,
                Err(Errno::ECHILD) => return true,
                // Ended by a realtime signal: reaped, but nix has no name for the signal.
                Err(Errno::EINVAL) => self.gone_unnamed(),
                // Stops and continues are not asked for, and every signal is blocked.
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn gone(&mut self, pid: Pid, exit: Exit) {
        if pid == self.main {
            self.main_exit = Some(exit);
            self.ended_by = self.cause;
        }
    }

    /// Someone was reaped and we were not told who: if it was the program, it is not ours any more.
    fn gone_unnamed(&mut self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if self.main_exit.is_none()
            && matches!(waitid(Id::Pid(self.main), flags), Err(Errno::ECHILD))
        {
            self.gone(self.main, Exit::Signal(0));
        }
    }

    /// Climbs if it is time, then tells everyone who does not know yet.
    fn step(&mut self, now: Instant) {
        if self.main_exit.is_some() && matches!(self.rung, Rung::Working) {
            self.climb_to_term(now, Duration::from_millis(LEFTOVER_TERM_MS));
        }
        match self.rung {
            Rung::Int { until, then_term } if now >= until => self.climb_to_term(now, then_term),
            Rung::Term { until } if now >= until => self.climb_to_kill(now),
            Rung::Working | Rung::Int { .. } | Rung::Term { .. } | Rung::Kill { .. } => {}
        }
        // Whoever was born since the last look has not had this rung's signal yet.
        match self.rung {
            Rung::Working => {}
            Rung::Int { .. } => self.signal_new(Signal::SIGINT),
            Rung::Term { .. } => self.signal_new(Signal::SIGTERM),
            Rung::Kill { .. } => {
                self.told.clear();
                self.signal_new(Signal::SIGKILL);
            }
        }
    }

    fn hear(&mut self, said: Option<Control>) {
        let now = Instant::now();
        match said {
            Some(Control::End(ladder)) => self.begin_ladder(now, ladder),
            Some(Control::Kill) => {
                self.blame(EndedBy::Kill);
                self.climb_to_kill(now);
            }
            None => {
                self.blame(EndedBy::DaemonGone);
                self.climb_to_kill(now);
            }
        }
    }

    /// A second request changes nothing: the first ladder is being walked.
    fn begin_ladder(&mut self, now: Instant, ladder: Ladder) {
        if !matches!(self.rung, Rung::Working) {
            return;
        }
        self.blame(EndedBy::Ladder);
        if ladder.int.is_zero() {
            return self.climb_to_term(now, ladder.term);
        }
        self.rung = Rung::Int { until: now + ladder.int, then_term: ladder.term };
    }

    fn climb_to_term(&mut self, now: Instant, term: Duration) {
        if term.is_zero() {
            return self.climb_to_kill(now);
        }
        self.rung = Rung::Term { until: now + term };
        self.told.clear();
    }

    fn climb_to_kill(&mut self, now: Instant) {
        if !matches!(self.rung, Rung::Kill { .. }) {
            self.rung = Rung::Kill { until: now + Duration::from_millis(KILL_WAIT_MS) };
        }
    }

    /// The first cause stands.
    fn blame(&mut self, cause: EndedBy) {
        if self.cause == EndedBy::Own {
            self.cause = cause;
        }
    }

    /// Signals every descendant that has not been told, and counts those the program left behind.
    fn signal_new(&mut self, signal: Signal) {
        let everyone = descendants(std::process::id());
        if self.main_exit.is_some() {
            self.leftovers.extend(everyone.iter().filter(|pid| is_running(**pid)));
        }
        for pid in everyone {
            if self.told.insert(pid)
                && let Ok(pid) = i32::try_from(pid)
            {
                // Gone already, or not ours to signal: the survivors are counted at the end.
                kill(Pid::from_raw(pid), signal).ok();
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.rung {
            Rung::Working => None,
            Rung::Int { until, .. } | Rung::Term { until } | Rung::Kill { until } => Some(until),
        }
    }

    fn give_up(self) -> Report {
        let survivors =
            descendants(std::process::id()).into_iter().filter(|pid| is_running(*pid)).count();
        self.report(u32::try_from(survivors).unwrap_or(u32::MAX))
    }

    fn report(self, survivors: u32) -> Report {
        Report {
            ended_by: if self.main_exit.is_some() { self.ended_by } else { self.cause },
            exit: self.main_exit.unwrap_or(Exit::Survived),
            leftovers: u32::try_from(self.leftovers.len()).unwrap_or(u32::MAX),
            survivors,
        }
    }
}

/// Waits for a death, a control line or the deadline; true if the control pipe has something.
fn wait(
    signals: &SignalFd,
    control: &ControlPipe,
    deadline: Option<Instant>,
) -> Result<bool, Errno> {
    let timeout = match deadline {
        None => PollTimeout::NONE,
        // Rounded up, or the last millisecond would be spent spinning.
        Some(at) => {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        }
    };
    let mut fds = [
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(control.stdin.as_fd(), PollFlags::POLLIN),
    ];
    let watched = if control.open { &mut fds[..] } else { &mut fds[..1] };
    match poll(watched, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    Ok(control.open && fds[1].any().unwrap_or(true))
}
