//! The demo's own daemon: a child process that is started, killed without warning, started again,
//! and in the end asked to stop. No other daemon is looked for.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use taskd_api::{Client, v1};
use tokio::{
    process::{Child, Command},
    sync::oneshot,
    time::timeout,
};

use super::place::Place;

/// A daemon answers within this time or is broken.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// What runs at the end is given this long.
const STOP_GRACE_MS: u64 = 2_000;
/// A daemon that was asked to stop is killed after this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// What a daemon says when it serves, before the path of its socket.
const READY: &str = " ready socket=";

/// The daemon, running or not. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Server {
    program: std::io::Result<PathBuf>,
    env: Vec<(String, String)>,
    dir: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    client: Option<Client>,
}

impl Server {
    pub(super) fn new(place: &Place) -> Self {
        Self {
            program: std::env::current_exe(),
            env: place.env().clone().into_iter().collect(),
            dir: place.dir().to_owned(),
            log: place.daemon_log(),
            child: None,
            client: None,
        }
    }

    /// Starts it and returns once it has answered.
    pub(super) async fn start(&mut self) -> anyhow::Result<Client> {
        let mut child = self.command()?.spawn().context("starting the demo's daemon")?;
        let stderr = child.stderr.take().context("the daemon has no stderr")?;
        let stderr = File::from(stderr.into_owned_fd().context("taking the daemon's stderr")?);
        self.child = Some(child);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("opening {}", self.log.display()))?;
        let (ready, is_ready) = oneshot::channel();
        std::thread::Builder::new()
            .name("demo-daemon-log".to_owned())
            .spawn(move || copy_log(stderr, log, ready))
            .context("starting a thread for the daemon's log")?;
        let socket = match timeout(START_TIMEOUT, is_ready).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(_)) => bail!("the daemon ended at its start: {}", last_line(&self.log)),
            Err(_) => bail!("the daemon does not answer: {}", last_line(&self.log)),
        };
        let client = Client::connect(&socket).await.context("connecting to the demo's daemon")?;
        client.status(v1::StatusRequest {}).await.context("asking the demo's daemon")?;
        self.client = Some(client.clone());
        Ok(client)
    }

    #[expect(clippy::disallowed_methods, reason = "this very program, in its own environment")]
    fn command(&self) -> anyhow::Result<Command> {
        let program = self.program.as_ref().ok().context("finding our own program")?;
        let mut command = Command::new(program);
        command
            .args(["daemon", "run"])
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A person's Ctrl-C is ours to pass on, in our order.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    /// `kill -9`, and nothing is cleaned up. Returns when the process is gone.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.client = None;
        let mut child = self.child.take().context("there is no daemon to kill")?;
        child.kill().await.context("killing the demo's daemon")
    }

    /// Starts it again after a kill; how long until it answers.
    pub(super) async fn restart(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.start().await.context("starting the daemon again after the kill")?;
        Ok(began.elapsed())
    }

    /// The last line of its log.
    pub(super) fn last_said(&self) -> String {
        last_line(&self.log)
    }

    /// A connection to it, while it serves.
    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Asks it to stop, and kills it if it does not. It is gone afterwards.
    pub(super) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(client) = self.client.take() {
            let request = v1::ShutdownRequest { grace_ms: STOP_GRACE_MS };
            // If nobody takes the request, the kill below is what ends it.
            let asked = timeout(STOP_TIMEOUT, client.shutdown(request)).await;
            if matches!(asked, Ok(Ok(_))) && timeout(STOP_TIMEOUT, child.wait()).await.is_ok() {
                return;
            }
        }
        child.kill().await.ok();
    }
}

/// Copies what the daemon says to its log until it is gone, and tells where it listens.
fn copy_log(stderr: File, mut log: File, ready: oneshot::Sender<PathBuf>) {
    let mut ready = Some(ready);
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { return };
        let text = String::from_utf8_lossy(&line);
        // A log that cannot be written must not stop the daemon, so reading goes on.
        writeln!(log, "{text}").ok();
        if let Some(socket) = socket_in(&text)
            && let Some(ready) = ready.take()
        {
            ready.send(socket).ok();
        }
    }
}

/// The socket a line of the log names, if that line says that the daemon serves.
pub(super) fn socket_in(line: &str) -> Option<PathBuf> {
    let (_, rest) = line.split_once(READY)?;
    let path = rest.split_once(" http=").map_or(rest, |(path, _)| path);
    Some(PathBuf::from(path))
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}
