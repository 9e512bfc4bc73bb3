//! `taskd daemon …`: being it, starting it, ending it, asking how it is.

mod log;

pub(crate) use self::log::last_lines;

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use taskd_api::{ApiError, Client, codes, v1};
use taskd_tools::supervise::identity_of;
use tokio::time::Instant;

use super::{
    args::{DaemonCommand, DaemonRunArgs, StartArgs, StopArgs},
    failure::{Done, Failure},
    here::Here,
    install,
    start::{self, How, Started},
};
use crate::render::{self, json};

/// What running work gets to come to a safe point, unless somebody says.
const GRACE_MS: u64 = 10_000;

/// Ending in order takes so much more than the grace.
const MARGIN: Duration = Duration::from_secs(10);

/// A daemon that is well says at once how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How often a process is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `taskd daemon run`.
pub(crate) fn run(here: &Here, args: &DaemonRunArgs) -> Done {
    taskd_daemon::daemon::run(&taskd_daemon::daemon::Options {
        paths: here.paths.clone(),
        detached: args.detached,
        resume: args.start.resume,
        http: args.start.http,
        log_level: args.log_level.clone(),
    })?;
    Ok(0)
}

pub(crate) async fn dispatch(here: &Here, command: DaemonCommand) -> Done {
    if !matches!(command, DaemonCommand::Status) {
        here.only_here("taskd daemon")?;
    }
    match command {
        DaemonCommand::Start(args) => begin(here, args).await,
        DaemonCommand::Run(args) => run(here, &args),
        DaemonCommand::Stop(args) => stop(here, &args).await,
        DaemonCommand::Restart(args) => restart(here, &args).await,
        DaemonCommand::Status => status(here).await,
        DaemonCommand::Install(args) => install::install(here, args).await,
        DaemonCommand::Uninstall(args) => install::uninstall(here, &args),
        DaemonCommand::Upgrade(args) => install::upgrade(here, args).await,
        DaemonCommand::Logs { follow, lines } => log::logs(here, follow, lines).await,
    }
}

async fn begin(here: &Here, args: StartArgs) -> Done {
    let how = How { resume: args.resume, http: args.http };
    let started = start::start(here, &how).await?;
    let (pid, version) = (started.status.pid, &started.status.version);
    if here.out.json {
        here.out.object(&json::status(&started.status))?;
    } else {
        let how = if started.already { "runs already" } else { "started" };
        here.out.print(&format!("taskd {version} {how}, pid {pid}\n"))?;
    }
    here.skew(&started.client);
    offer_to_resume(here, &started, args.resume).await?;
    Ok(0)
}

/// After a person's stop, work of before goes on if the command says so, or the person does.
pub(crate) async fn offer_to_resume(
    here: &Here,
    started: &Started,
    resume: bool,
) -> Result<(), Failure> {
    let paused = started.status.totals.iter().filter(|it| it.status() == v1::Status::Paused);
    let paused: u64 = paused.map(|it| it.count).sum();
    let waits = started.after_stop && paused > 0;
    // One that was just started with --resume needs no second word.
    if !(waits && !resume || started.already && resume) {
        return Ok(());
    }
    let loops = render::text::count(paused, "loop");
    let go = resume
        || here.out.can_ask && {
            let question = format!("{loops} of before the stop: go on? [y/N] ");
            matches!(here.out.ask(&question)?.as_str(), "y" | "Y" | "yes")
        };
    if !go {
        here.out.complain(&format!("{loops} paused since the stop: taskd resume --all -A"));
        return Ok(());
    }
    let verb = v1::Verb::Resume.into();
    let credentials = here.keys(&started.client.providers().await?);
    let request = v1::ActRequest { verb, all: true, credentials, ..v1::ActRequest::default() };
    started.client.act(request).await?;
    here.out.remark("work goes on");
    Ok(())
}

async fn stop(here: &Here, args: &StopArgs) -> Done {
    let Some((client, status)) = found(here).await? else {
        here.out.remark("no taskd daemon runs");
        return Ok(0);
    };
    let grace_ms = args.grace.unwrap_or(GRACE_MS);
    let process = Process::new(status.pid)?;
    client.shutdown(v1::ShutdownRequest { grace_ms }).await?;
    drop(client);
    process.gone(here, Duration::from_millis(grace_ms) + MARGIN).await?;
    here.out.remark("stopped; work is kept and waits for  taskd daemon start --resume");
    Ok(0)
}

pub(crate) async fn restart(here: &Here, args: &StopArgs) -> Done {
    make_way(here, args.grace).await?;
    begin(here, StartArgs { resume: false, http: None }).await
}

/// Ends a daemon that runs by a signal: that is not a person's stop, so its work goes on by itself in
/// the next one.
pub(crate) async fn make_way(here: &Here, grace: Option<u64>) -> Result<(), Failure> {
    let Some((client, status)) = found(here).await? else { return Ok(()) };
    drop(client);
    let process = Process::new(status.pid)?;
    process.signal(Signal::SIGTERM)?;
    let grace = Duration::from_millis(grace.unwrap_or(GRACE_MS));
    process.gone(here, grace + MARGIN).await
}

async fn status(here: &Here) -> Done {
    let client = here.client().await?;
    let status = ask(&client).await?;
    if here.out.json {
        here.out.object(&json::status(&status))?;
    } else {
        here.out.print(&render::daemon::status(&status, &here.scene()))?;
    }
    here.skew(&client);
    Ok(0)
}

/// What a daemon says of itself, or that it hangs.
async fn ask(client: &Client) -> Result<v1::StatusResponse, ApiError> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, client.status(v1::StatusRequest {})).await;
    answer.unwrap_or_else(|_| {
        let what = format!("the daemon is there and does not answer: {}", client.place());
        Err(ApiError::new(codes::TIMEOUT, what).hint("taskd daemon logs; end it with kill -9"))
    })
}

/// The daemon that runs, if one does.
async fn found(here: &Here) -> Result<Option<(Client, v1::StatusResponse)>, Failure> {
    let asked = async {
        let client = Client::connect(&here.paths.socket).await?;
        let status = ask(&client).await?;
        Ok::<_, ApiError>((client, status))
    };
    match asked.await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_unreachable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A daemon's process, told apart from any later one with its number.
struct Process {
    pid: Pid,
    identity: Option<taskd_tools::supervise::ProcessIdentity>,
}

impl Process {
    fn new(pid: u32) -> Result<Self, Failure> {
        // Zero and what does not fit would mean more than one process.
        let number = i32::try_from(pid).ok().filter(|it| 1 < *it);
        let number = number.ok_or_else(|| Failure::failed(format!("{pid} is no daemon"), ""))?;
        Ok(Self { pid: Pid::from_raw(number), identity: identity_of(pid).ok() })
    }

    fn is_alive(&self) -> bool {
        match &self.identity {
            Some(it) => it.is_alive(),
            None => kill(self.pid, None).is_ok(),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        if !self.is_alive() {
            return Ok(());
        }
        match kill(self.pid, signal) {
            Err(error) if error != nix::Error::ESRCH => {
                Err(Failure::failed(format!("cannot end pid {}: {error}", self.pid), ""))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Waits until it is gone; one that does not go is told louder.
    async fn gone(&self, here: &Here, within: Duration) -> Result<(), Failure> {
        if self.gone_within(within).await {
            return Ok(());
        }
        here.out.complain(&format!("pid {} does not end; sending TERM", self.pid));
        self.signal(Signal::SIGTERM)?;
        if self.gone_within(Duration::from_secs(5)).await {
            return Ok(());
        }
        here.out.complain(&format!("pid {} does not end; sending KILL", self.pid));
        self.signal(Signal::SIGKILL)?;
        if self.gone_within(Duration::from_secs(5)).await {
            return Ok(());
        }
        Err(Failure::failed(format!("pid {} cannot be ended", self.pid), "taskd daemon logs"))
    }

    async fn gone_within(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while self.is_alive() {
            if until < Instant::now() {
                return false;
            }
            looks.tick().await;
        }
        true
    }
}
