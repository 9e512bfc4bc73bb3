//! Starting the daemon in the background, once, however many ask at the same time.
//!
//! Starters take turns on a lock file, so all but the first find it running. Ready is when it
//! answers, never when some time has passed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use taskd_api::{ApiError, Client, codes, v1};
use tokio::{process::Child, time::Instant};

use super::{failure::Failure, here::Here};
use crate::render::text::clean_lines;

/// A daemon that does not answer for so long after its start is not waited for.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// One that ended may have met another one, which is about to answer.
const OTHER_WITHIN: Duration = Duration::from_secs(3);

/// How often a socket is tried.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Lines and bytes of the log that are shown when it fails.
const LOG_LINES: usize = 10;
const LOG_BYTES: u64 = 64 << 10;

/// How to start it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Go on with parked work.
    pub(crate) resume: bool,
    /// Where health and metrics are served.
    pub(crate) http: Option<SocketAddr>,
}

/// A daemon that answers.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) client: Client,
    pub(crate) status: v1::StatusResponse,
    /// It was there before.
    pub(crate) already: bool,
    /// A person had stopped it: work of before is paused, unless it was told to go on.
    pub(crate) after_stop: bool,
}

/// Makes sure that one runs.
pub(crate) async fn start(here: &Here, how: &How) -> Result<Started, Failure> {
    // Most often it runs, and no lock is needed to see that.
    if let Some((client, status)) = answering(here).await? {
        return Ok(Started { client, status, already: true, after_stop: false });
    }
    taskd_daemon::private::directory(&here.paths.state)?;
    let place = here.paths.state.join("start.lock");
    let turn = tokio::task::spawn_blocking(move || take_turn(&place)).await;
    let turn = turn.map_err(|it| Failure::failed(it.to_string(), ""))??;
    if let Some((client, status)) = answering(here).await? {
        return Ok(Started { client, status, already: true, after_stop: false });
    }
    let after_stop = here.paths.stopped_file().exists();
    let log = here.paths.log_file();
    let before = fs::metadata(&log).map_or(0, |it| it.len());
    let child = spawn(here, how, &log)?;
    let (client, status) = ready(here, child, &log, before).await?;
    drop(turn);
    Ok(Started { client, status, already: false, after_stop })
}

/// The daemon that answers now; anything but silence is an error.
async fn answering(here: &Here) -> Result<Option<(Client, v1::StatusResponse)>, Failure> {
    let asked = async {
        let client = Client::connect(&here.paths.socket).await?;
        let status = client.status(v1::StatusRequest {}).await?;
        Ok((client, status))
    };
    match asked.await {
        Ok(found) => Ok(Some(found)),
        Err(error) if ApiError::is_unreachable(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The right to start one, held until the file is closed; whoever dies gives it back.
fn take_turn(place: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(place)?;
    file.lock()?;
    Ok(file)
}

fn spawn(here: &Here, how: &How, log: &Path) -> Result<Child, Failure> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    let program = std::env::current_exe()?;
    #[expect(clippy::disallowed_methods, reason = "the daemon itself; it must outlive us")]
    let mut command = tokio::process::Command::new(&program);
    command.args(["daemon", "run", "--detached"]);
    if how.resume {
        command.arg("--resume");
    }
    if let Some(http) = how.http {
        command.arg("--http").arg(http.to_string());
    }
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_secret) {
            command.env_remove(name);
        }
    }
    let started = command
        .current_dir(&here.paths.state)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn();
    started.map_err(|it| Failure::failed(format!("cannot start {}: {it}", program.display()), ""))
}

/// A variable that holds a credential, by its name. The daemon outlives the shell it was started
/// from: it is told credentials over its socket, and its environment shows none to others.
fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];
    let name = name.to_ascii_uppercase();
    // A variable of the configuration names where a key is, and is none.
    if name.starts_with("TASKD_") && name.contains("__") {
        return false;
    }
    WORDS.iter().any(|it| name.contains(it))
}

/// Waits until it answers, or says why it never will.
async fn ready(
    here: &Here,
    mut child: Child,
    log: &Path,
    before: u64,
) -> Result<(Client, v1::StatusResponse), Failure> {
    let mut until = Instant::now() + READY_WITHIN;
    let mut ended: Option<ExitStatus> = None;
    let mut tries = tokio::time::interval(TRY_EVERY);
    loop {
        tokio::select! {
            status = child.wait(), if ended.is_none() => {
                ended = Some(status?);
                until = until.min(Instant::now() + OTHER_WITHIN);
                if !already_running(log, before) {
                    return Err(failed(ended, log, before));
                }
            }
            _ = tries.tick() => {
                if let Some(found) = answering(here).await? {
                    return Ok(found);
                }
                if until < Instant::now() {
                    return Err(failed(ended, log, before));
                }
            }
        }
    }
}

/// It met another one: that one may answer soon.
fn already_running(log: &Path, before: u64) -> bool {
    tail(log, before).is_ok_and(|it| it.contains("already running"))
}

fn failed(ended: Option<ExitStatus>, log: &Path, before: u64) -> Failure {
    let what = match ended {
        Some(status) => format!("the daemon did not start ({status})"),
        None => format!("the daemon does not answer after {} s", READY_WITHIN.as_secs()),
    };
    let said = tail(log, before).unwrap_or_default();
    let lines: Vec<&str> = said.lines().filter(|it| !it.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    let mut message = what;
    for line in &lines[from..] {
        message.push_str(&format!("\n{}", clean_lines(line)));
    }
    let hint = format!("its log: {}", log.display());
    Failure::Api(ApiError::new(codes::REFUSED, message).hint(hint))
}

/// What was written to the log since, at most its end.
fn tail(log: &Path, before: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(before.min(len).max(len.saturating_sub(LOG_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
