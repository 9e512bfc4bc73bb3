//! Runs shell commands under the supervisor, bounded, ended with their effect.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use taskd_model::{Code, Delta, Observation};
use taskd_tools::supervise::{Finished, How, Ladder, ProcessIdentity, Spec, Stdin, Stream};

use super::{Job, Trouble};

/// Bytes of output kept from the beginning and from the end of each command.
pub(super) const KEEP_HEAD_BYTES: usize = 64 << 10;
pub(super) const KEEP_TAIL_BYTES: usize = 192 << 10;
/// A line of noise is cut after so many bytes.
const NOISE_LINE_BYTES: usize = 400;

/// A command and the conditions it runs under.
pub(super) struct Command {
    pub(super) argv: Vec<OsString>,
    pub(super) cwd: PathBuf,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) stdin: Stdin,
    pub(super) timeout: Option<Duration>,
    pub(super) idle: Option<Duration>,
    /// How it is ended when it is no longer wanted, and at its limits.
    pub(super) ladder: Ladder,
}

impl Command {
    /// `sh -c` in a directory, with nothing to read.
    pub(super) fn shell(
        command: &str,
        cwd: PathBuf,
        env: Vec<(OsString, OsString)>,
        timeout: Duration,
    ) -> Self {
        Self {
            argv: ["sh", "-c", command].map(OsString::from).to_vec(),
            cwd,
            env,
            stdin: Stdin::Null,
            timeout: Some(timeout),
            idle: None,
            ladder: Ladder::STOP,
        }
    }

    /// The same for the launcher.
    pub(super) fn spec(self) -> Spec {
        Spec {
            argv: self.argv,
            cwd: self.cwd,
            env: self.env,
            stdin: self.stdin,
            timeout: self.timeout,
            idle: self.idle,
            ladder: self.ladder,
            keep_head_bytes: KEEP_HEAD_BYTES,
            keep_tail_bytes: KEEP_TAIL_BYTES,
        }
    }
}

impl Job {
    /// Runs a command to its end. It is ended as soon as the effect is no longer wanted.
    pub(super) async fn run(
        &self,
        command: Command,
        on_output: impl FnMut(Stream, &[u8]) + Send + 'static,
    ) -> Finished {
        self.run_until(command, on_output, |_| std::future::pending()).await
    }

    /// The same, and it is ended when there is `enough` of it, in the way that says. `enough` is
    /// told the number of the supervisor, if there is one.
    pub(super) async fn run_until<E: Future<Output = Ladder>>(
        &self,
        command: Command,
        mut on_output: impl FnMut(Stream, &[u8]) + Send + 'static,
        enough: impl FnOnce(Option<u32>) -> E,
    ) -> Finished {
        let ladder = command.ladder;
        let spec = command.spec();
        let running = self.ctx.launcher.start(&spec, move |stream, bytes| on_output(stream, bytes));
        self.report_process(running.identity()).await;
        let ender = running.ender();
        let enough = enough(running.identity().map(|it| it.pid));
        let wait = running.wait();
        tokio::pin!(wait);
        tokio::select! {
            finished = &mut wait => return finished,
            () = self.no_longer_wanted() => ender.end(ladder),
            ladder = enough => ender.end(ladder),
        }
        wait.await
    }

    /// Writes down which process works for this effect.
    pub(super) async fn report_process(&self, identity: Option<&ProcessIdentity>) {
        if let Some(it) = identity {
            let fact = Observation::Process {
                pid: i32::try_from(it.pid).unwrap_or(i32::MAX),
                start_time: it.start_time,
                boot_id: it.boot_id.clone(),
            };
            self.observe(fact).await;
        }
    }

    /// A consumer of output that turns whole lines into noise.
    pub(super) fn lines_as_noise(&self) -> impl FnMut(Stream, &[u8]) + Send + 'static {
        let noise = self.noise();
        let mut line = Vec::new();
        move |_, bytes| {
            for byte in bytes {
                if *byte == b'\n' {
                    noise(Delta::Line(String::from_utf8_lossy(&line).into_owned()));
                    line.clear();
                } else if line.len() < NOISE_LINE_BYTES {
                    line.push(*byte);
                }
            }
        }
    }
}

/// Says in one line how a command ended, if it did not end well. `limit` is the time it had.
pub(crate) fn ending(finished: &Finished, limit: Duration) -> Option<String> {
    match &finished.how {
        How::Exited(0) => None,
        How::Exited(code) => Some(format!("exit {code}")),
        How::Signalled(signal) => Some(format!("killed by signal {signal}")),
        How::NotStarted { reason } => Some(reason.clone()),
        How::TimedOut => Some(format!("timed out after {} s", limit.as_secs())),
        How::Idle => Some("silent for too long".to_owned()),
        How::Ended => Some("ended because it was no longer wanted".to_owned()),
        How::Lost => Some("lost: its supervisor was killed".to_owned()),
    }
}

/// A command that cannot even start will not start next time either.
pub(super) fn not_started(finished: &Finished) -> Result<(), Trouble> {
    if let How::NotStarted { reason } = &finished.how {
        return Err(Trouble::new(Code::ProgramNotStarted, reason.clone()));
    }
    Ok(())
}
