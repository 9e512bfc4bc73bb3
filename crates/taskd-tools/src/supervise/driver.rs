//! One program's life as the daemon sees it: read, count time, pass on requests, tell the outcome.
//!
//! Owns the supervisor's process and pipes. When it is dropped the control pipe closes and the
//! supervisor ends everything; when the supervisor itself does not answer, its tree is killed from
//! here.

use std::future::pending;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::time::{Instant as TokioInstant, sleep_until};

use super::capture::Capture;
use super::identity::ProcessIdentity;
use super::launcher::{Finished, How, OUTPUT_CHUNK_MAX_BYTES, Spec, Stream};
use super::past::{kill_session, kill_tree};
use super::wire::{Control, EXIT_NOT_STARTED, EndedBy, Exit, Ladder, Orders, Report};

/// How long a supervisor may take after the last rung of a ladder before its tree is killed from
/// here. More than its own patience with killed processes.
const SUPERVISOR_PATIENCE_MS: u64 = 15_000;
/// How long output is still read when everything of ours is gone but someone outside our tree was
/// handed the pipe.
const FOREIGN_PIPE_READ_MS: u64 = 500;

pub(super) struct Driver {
    child: Child,
    control: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    identity: Option<ProcessIdentity>,
    orders: Orders,
    heard: watch::Receiver<Option<Control>>,
    capture: Capture,
    ladder: Ladder,
    began: Instant,
    timeout: Option<Duration>,
    idle: Option<Duration>,
    last_output: TokioInstant,
    /// Why we are ending it, once we are.
    cause: Option<How>,
    /// When we stop believing in the supervisor.
    patience: Option<TokioInstant>,
    /// What it said, once it has exited.
    fate: Option<Fate>,
    /// When we stop reading, once it has exited.
    last_call: Option<TokioInstant>,
}

/// The outcome as far as the supervisor knows it.
struct Fate {
    how: How,
    leftovers: u32,
    survivors: u32,
}

/// What happened next.
enum Next {
    Output(Stream, usize),
    Closed(Stream),
    SupervisorExited(Option<ExitStatus>),
    Asked(Control),
    TimedOut,
    Quiet,
    OutOfPatience,
    LastCall,
}

impl Driver {
    pub(super) fn new(
        mut child: Child,
        identity: Option<ProcessIdentity>,
        orders: Orders,
        spec: &Spec,
        began: Instant,
        heard: watch::Receiver<Option<Control>>,
    ) -> Self {
        Self {
            control: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            identity,
            orders,
            heard,
            capture: Capture::new(spec.keep_head_bytes, spec.keep_tail_bytes),
            ladder: spec.ladder,
            began,
            timeout: spec.timeout,
            idle: spec.idle,
            last_output: TokioInstant::now(),
            cause: None,
            patience: None,
            fate: None,
            last_call: None,
        }
    }

    pub(super) async fn run(mut self, mut on_output: impl FnMut(Stream, &[u8])) -> Finished {
        let mut out = vec![0; OUTPUT_CHUNK_MAX_BYTES];
        let mut err = vec![0; OUTPUT_CHUNK_MAX_BYTES];
        loop {
            if self.fate.is_some() && self.stdout.is_none() && self.stderr.is_none() {
                break;
            }
            match self.next(&mut out, &mut err).await {
                Next::Output(stream, count) => {
                    let bytes = match stream {
                        Stream::Stdout => &out[..count],
                        Stream::Stderr => &err[..count],
                    };
                    self.last_output = TokioInstant::now();
                    self.capture.push(bytes);
                    on_output(stream, bytes);
                }
                Next::Closed(Stream::Stdout) => self.stdout = None,
                Next::Closed(Stream::Stderr) => self.stderr = None,
                Next::Asked(Control::End(ladder)) => self.end(How::Ended, ladder).await,
                Next::Asked(Control::Kill) => self.kill().await,
                Next::TimedOut => self.end(How::TimedOut, self.ladder).await,
                Next::Quiet => self.end(How::Idle, self.ladder).await,
                Next::OutOfPatience => self.force(),
                Next::SupervisorExited(status) => self.settle(status),
                Next::LastCall => break,
            }
        }
        self.finish()
    }

    async fn next(&mut self, out: &mut [u8], err: &mut [u8]) -> Next {
        let supervised = self.fate.is_none();
        let working = supervised && self.cause.is_none();
        let timeout = self.timeout.filter(|_| working);
        let timeout =
            timeout.and_then(|after| TokioInstant::from_std(self.began).checked_add(after));
        let idle = self.idle.filter(|_| working);
        let quiet = idle.and_then(|after| self.last_output.checked_add(after));
        tokio::select! {
            got = read(&mut self.stdout, out) => match got {
                0 => Next::Closed(Stream::Stdout),
                count => Next::Output(Stream::Stdout, count),
            },
            got = read(&mut self.stderr, err) => match got {
                0 => Next::Closed(Stream::Stderr),
                count => Next::Output(Stream::Stderr, count),
            },
            status = self.child.wait(), if supervised => Next::SupervisorExited(status.ok()),
            Some(asked) = heard(&mut self.heard), if supervised => Next::Asked(asked),
            () = at(timeout) => Next::TimedOut,
            () = at(quiet) => Next::Quiet,
            () = at(self.patience), if supervised => Next::OutOfPatience,
            () = at(self.last_call) => Next::LastCall,
        }
    }

    async fn end(&mut self, cause: How, ladder: Ladder) {
        if self.cause.is_none() {
            self.cause = Some(cause);
            self.say(Control::End(ladder), ladder.int.saturating_add(ladder.term)).await;
        }
    }

    async fn kill(&mut self) {
        self.cause.get_or_insert(How::Ended);
        self.say(Control::Kill, Duration::ZERO).await;
    }

    /// A few short lines at most are ever written, so the pipe always has room.
    async fn say(&mut self, control: Control, ladder: Duration) {
        let patience = ladder.saturating_add(Duration::from_millis(SUPERVISOR_PATIENCE_MS));
        self.patience = TokioInstant::now().checked_add(patience);
        if let Some(pipe) = &mut self.control {
            // A supervisor that cannot be told has exited.
            pipe.write_all(control.line().as_bytes()).await.ok();
        }
    }

    /// The supervisor does not do its work: stopped by someone, or stuck.
    fn force(&mut self) {
        tracing::warn!(supervisor = ?self.identity, "a supervisor does not answer: killing its tree");
        if let Some(identity) = &self.identity {
            kill_tree(identity.pid);
        }
        self.child.start_kill().ok();
        self.patience = None;
    }

    /// The supervisor has exited, so all of ours is gone and the pipes are at their end, unless it
    /// was itself killed, or the program gave a pipe to someone outside its tree.
    fn settle(&mut self, status: Option<ExitStatus>) {
        self.last_call = Some(TokioInstant::now() + Duration::from_millis(FOREIGN_PIPE_READ_MS));
        self.fate = Some(match Report::read(&self.orders.report_path()) {
            Ok(report) => Fate {
                how: how(report.exit, report.ended_by, self.cause.take()),
                leftovers: report.leftovers,
                survivors: report.survivors,
            },
            Err(error) => {
                tracing::warn!(supervisor = ?self.identity, %error, "a supervisor left no report");
                let leftovers = self.identity.as_ref().map_or(0, |it| kill_session(it.pid));
                let started = status.and_then(|it| it.code()) != Some(EXIT_NOT_STARTED.into());
                let reason = "its supervisor could not work; the output says why".to_owned();
                let how = if started { How::Lost } else { How::NotStarted { reason } };
                Fate { how, leftovers, survivors: 0 }
            }
        });
        std::fs::remove_file(self.orders.report_path()).ok();
        std::fs::remove_file(self.orders.lock_path()).ok();
        self.orders.remove_pipe();
    }

    fn finish(self) -> Finished {
        let Fate { how, leftovers, survivors } =
            self.fate.unwrap_or(Fate { how: How::Lost, leftovers: 0, survivors: 0 });
        let output = self.capture.finish();
        Finished { how, output, wall: self.began.elapsed(), leftovers, survivors }
    }
}

/// A program that ended by itself just before we asked has ended by itself.
fn how(exit: Exit, ended_by: EndedBy, cause: Option<How>) -> How {
    match (exit, ended_by) {
        (Exit::NotStarted(reason), _) => How::NotStarted { reason },
        (Exit::Code(code), EndedBy::Own) => How::Exited(code),
        (Exit::Signal(signal), EndedBy::Own) => How::Signalled(signal),
        (
            Exit::Code(_) | Exit::Signal(_) | Exit::Survived,
            EndedBy::Own | EndedBy::Ladder | EndedBy::Kill | EndedBy::DaemonGone,
        ) => cause.unwrap_or(How::Ended),
    }
}

/// Bytes read; 0 at the end of the pipe, which a broken one has reached too. Never ends without a
/// pipe.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => pending().await,
    }
}

/// The latest request, once; nothing when nobody can ask any more.
async fn heard(requests: &mut watch::Receiver<Option<Control>>) -> Option<Control> {
    requests.changed().await.ok()?;
    *requests.borrow_and_update()
}

async fn at(when: Option<TokioInstant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => pending().await,
    }
}
