//! The daemon's half of running a program: start it under a supervisor, hear it, end it.
//!
//! A [`Running`] that is dropped is killed, and so is everything when the daemon dies: the control
//! pipe closes either way. Refuses to retry, to wait without being asked, and to hand anything of
//! the daemon's own environment to a program.

use std::ffi::OsString;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};

use super::capture::Captured;
use super::driver::Driver;
use super::identity::{ProcessIdentity, identity_of};
use super::wire::{Control, Ladder, Orders, PIPE_EXTENSION};

/// `on_output` is never handed more than this many bytes at once.
pub const OUTPUT_CHUNK_MAX_BYTES: usize = 8 * 1024;

/// Starts programs under supervisors.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The `taskd` binary, absolute.
    pub program: PathBuf,
    /// What makes it a supervisor: `["supervise"]`.
    pub prefix: Vec<OsString>,
    /// Reports and locks go here: absolute, existing, ours alone, on a local disk.
    pub run_dir: PathBuf,
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Program and arguments; looked up on the `PATH` of `env`.
    pub argv: Vec<OsString>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its complete environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it can read.
    pub stdin: Stdin,
    /// It is ended after this long.
    pub timeout: Option<Duration>,
    /// It is ended after this long without any output.
    pub idle: Option<Duration>,
    /// How it is ended at `timeout` and `idle`.
    pub ladder: Ladder,
    /// Bytes kept from the beginning of its output.
    pub keep_head_bytes: usize,
    /// Bytes kept from the end of its output.
    pub keep_tail_bytes: usize,
}

/// What a program can read on its stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    Null,
    /// This file (absolute).
    File(PathBuf),
    /// What is written to [`Running::stdin`], until that is dropped.
    Piped,
}

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours; 0 is a realtime signal.
    Signalled(i32),
    /// It never began.
    NotStarted {
        /// Why, for people; names the program or the directory.
        reason: String,
    },
    /// `timeout` had passed and we ended it.
    TimedOut,
    /// `idle` had passed and we ended it.
    Idle,
    /// We were asked to end it, or the `Running` was dropped.
    Ended,
    /// Its supervisor is gone without a word (killed by someone, out of memory, disk full). What
    /// could be found of its session was killed.
    Lost,
}

/// Everything about a program that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub how: How,
    /// What it printed.
    pub output: Captured,
    /// From `start` to now.
    pub wall: Duration,
    /// Descendants that outlived the program and were ended.
    pub leftovers: u32,
    /// Processes that could not be ended: stuck in the kernel, or not ours to signal.
    pub survivors: u32,
}

impl Launcher {
    /// Starts `spec`; must be called inside a tokio runtime. Never fails: a program that cannot be
    /// started is a [`Running`] whose outcome is [`How::NotStarted`].
    ///
    /// `on_output` hears everything that is printed, at most 8 KiB at once, on the runtime: it must
    /// not block.
    pub fn start(
        &self,
        spec: &Spec,
        on_output: impl FnMut(Stream, &[u8]) + Send + 'static,
    ) -> Running {
        let began = Instant::now();
        let (requests, heard) = watch::channel(None);
        let (finish, done) = oneshot::channel();
        let mut running = Running { identity: None, stdin: None, ender: Ender(requests), done };
        let orders = self.orders(spec);
        let spawned = pipe_to(spec, &orders).and_then(|stdin| {
            running.stdin = stdin;
            self.spawn(spec, &orders)
        });
        match spawned {
            Ok(child) => {
                running.identity = child.id().and_then(|pid| identity_of(pid).ok());
                let identity = running.identity.clone();
                let driver = Driver::new(child, identity, orders, spec, began, heard);
                #[expect(clippy::disallowed_methods, reason = "`Running::wait` notices its panic")]
                tokio::spawn(async move { finish.send(driver.run(on_output).await).ok() });
            }
            Err(reason) => {
                orders.remove_pipe();
                let how = How::NotStarted { reason };
                let output = Captured::default();
                let wall = began.elapsed();
                finish.send(Finished { how, output, wall, leftovers: 0, survivors: 0 }).ok();
            }
        }
        running
    }

    fn orders(&self, spec: &Spec) -> Orders {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", std::process::id());
        Orders {
            stdin: match &spec.stdin {
                Stdin::Null => None,
                Stdin::File(path) => Some(path.clone()),
                Stdin::Piped => Some(self.run_dir.join(format!("{id}.{PIPE_EXTENSION}"))),
            },
            run_dir: self.run_dir.clone(),
            id,
            argv: spec.argv.clone(),
        }
    }

    fn spawn(&self, spec: &Spec, orders: &Orders) -> Result<Child, String> {
        if spec.argv.is_empty() {
            return Err("no program was given".to_owned());
        }
        // A report of an earlier life under the same name would be taken for ours.
        std::fs::remove_file(orders.report_path()).ok();
        #[expect(clippy::disallowed_methods, reason = "this is the place where programs start")]
        Command::new(&self.program)
            .args(&self.prefix)
            .args(orders.args())
            .env_clear()
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                if spec.cwd.is_dir() {
                    format!("could not start its supervisor {}: {error}", self.program.display())
                } else {
                    format!("its directory {} cannot be entered", spec.cwd.display())
                }
            })
    }
}

/// Makes the pipe of a program that is written to, and opens our end. Ours counts as a reader too,
/// so that neither side waits for the other to open it.
fn pipe_to(spec: &Spec, orders: &Orders) -> Result<Option<pipe::Sender>, String> {
    let (Stdin::Piped, Some(path)) = (&spec.stdin, &orders.stdin) else { return Ok(None) };
    let fail = |why: std::io::Error| format!("could not make its stdin {}: {why}", path.display());
    orders.remove_pipe();
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|errno| fail(errno.into()))?;
    let mut open = std::fs::File::options();
    open.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let pipe = open.open(path).and_then(pipe::Sender::from_file).map_err(fail)?;
    Ok(Some(pipe))
}

/// A program that runs; dropping it kills the program and all its descendants.
#[derive(Debug)]
pub struct Running {
    identity: Option<ProcessIdentity>,
    stdin: Option<pipe::Sender>,
    ender: Ender,
    done: oneshot::Receiver<Finished>,
}

impl Running {
    /// Its supervisor, for the log and [`Launcher::end_recorded`]; nothing if it was not started or
    /// this system cannot tell processes apart.
    #[must_use]
    pub fn identity(&self) -> Option<&ProcessIdentity> {
        self.identity.as_ref()
    }

    /// Where to write what it reads, once; nothing unless its stdin is [`Stdin::Piped`]. Dropping it
    /// is the end of what it reads. A write does not fail when the program has ended: it waits, so
    /// wait for the end beside it.
    #[must_use]
    pub fn stdin(&mut self) -> Option<pipe::Sender> {
        self.stdin.take()
    }

    /// A handle that can end the program while somebody waits for it.
    #[must_use]
    pub fn ender(&self) -> Ender {
        self.ender.clone()
    }

    /// Asks it to end; only the first ladder counts.
    pub fn end(&self, ladder: Ladder) {
        self.ender.end(ladder);
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.ender.kill();
    }

    /// Waits until the program and all its descendants are gone. Dropping this future kills.
    pub async fn wait(mut self) -> Finished {
        (&mut self.done).await.unwrap_or_else(|_gone| Finished {
            // The driver was dropped with its runtime, and the control pipe with it.
            how: How::Lost,
            output: Captured::default(),
            wall: Duration::ZERO,
            leftovers: 0,
            survivors: 0,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ender.kill();
    }
}

/// Ends a program; does not keep it alive.
#[derive(Debug, Clone)]
pub struct Ender(watch::Sender<Option<Control>>);

impl Ender {
    /// Asks it to end; only the first ladder counts.
    pub fn end(&self, ladder: Ladder) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(Control::End(ladder));
            first
        });
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.0.send_replace(Some(Control::Kill));
    }
}
