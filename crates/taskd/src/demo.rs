//! `taskd demo`: six scripted specs in a repository of its own, with a daemon of its own, and
//! everything that can go wrong on the way: a red gate, a rate limit, a conflict, a `kill -9`.
//!
//! The only thing that is made up is the model. Every sentence of the summary is read off the event
//! log, and the verdict is the test suite on a fresh clone of main. It never touches the caller's
//! repositories, daemon or settings.

mod cassette;
mod follow;
pub(crate) mod hermetic;
mod place;
mod report;
mod script;
mod seed;
mod sentences;
mod server;
mod story;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use taskd_api::v1;
use taskd_model::PlanId;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    cassette::Source,
    follow::{Followed, Follower},
    place::Place,
    report::Report,
    seed::Choices,
    server::Server,
};

/// Exit code of a demo that did not show what it promises.
const EXIT_FAILED: u8 = 1;
/// Exit code after Ctrl-C, as shells report it.
const EXIT_INTERRUPTED: u8 = 130;

/// What `taskd demo` takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DemoArgs {
    /// Varies order, timing and the moment of the kill; the same seed plans the same run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print every event afterwards
    #[arg(long)]
    events: bool,
    /// Leave the folder with the repository, the script and the log
    #[arg(long)]
    keep: bool,
    /// Record the model calls in this folder, which is new or empty
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Use no model: what was recorded in this folder answers, with the seed it was recorded with
    #[arg(long, value_name = "DIR", conflicts_with_all = ["seed", "break_fix"])]
    replay: Option<PathBuf>,
    /// Take one fix out of the script: proof that a red gate keeps work off main
    #[arg(long, hide = true)]
    break_fix: bool,
}

/// Runs the demo; the exit code is 0 only if everything it promises came true.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let source = Source::new(args.record.as_deref(), args.replay.as_deref())?;
    let seed = source.seed(args.seed.unwrap_or_else(seed::any))?;
    let mut choices = Choices::new(seed, args.break_fix);
    if source != Source::Script {
        choices = choices.recorded();
    }
    let place = Place::make(&choices, &source)?;
    print(&format!("six specs, seed {}, in {}\n", choices.seed, place.dir().display()))?;
    let mut server = Server::new(&place);
    // On any way out of here the daemon ends before its folder goes.
    let ended = tokio::select! {
        shown = Box::pin(show(&args, &choices, &source, &place, &mut server)) => Some(shown),
        () = interrupted() => None,
    };
    server.stop().await;
    let good = matches!(ended, Some(Ok(true)));
    if args.keep || (!good && ended.is_some()) {
        place.keep();
        print(&format!("DEMO_DIR={}", place.dir().display()))?;
    } else {
        place.remove();
    }
    match ended {
        Some(Ok(true)) => Ok(ExitCode::SUCCESS),
        Some(Ok(false)) => Ok(ExitCode::from(EXIT_FAILED)),
        Some(Err(why)) => Err(why.context("the demo failed")),
        None => Ok(ExitCode::from(EXIT_INTERRUPTED)),
    }
}

/// The whole show; says whether it came out as promised.
async fn show(
    args: &DemoArgs,
    choices: &Choices,
    source: &Source,
    place: &Place,
    server: &mut Server,
) -> anyhow::Result<bool> {
    let client = server.start().await?;
    let mut follower = Follower::begin(client.clone()).await?;
    let plan = submit(&client, place).await?;
    let Followed { log, kill } = follower.follow(plan, choices, server).await?;
    let main = place.gate_main()?;
    let report = Report::new(&log, kill, &main, plan).with_calls(source.calls());
    let keeps = args.keep || !report.is_good();
    print(&report.text(place.repo(), keeps))?;
    if args.events {
        let lines: Vec<String> = log.iter().map(|it| format!("{:>5}  {it}", it.seq.0)).collect();
        print(&format!("\n{}", lines.join("\n")))?;
    }
    Ok(report.is_good())
}

async fn submit(client: &taskd_api::Client, place: &Place) -> anyhow::Result<PlanId> {
    let request = v1::SubmitRequest {
        source: Some(v1::submit_request::Source::Document(place.plan_text()?)),
        file_name: "plan.md".to_owned(),
        repository: place.repo().display().to_string(),
        environment: place.submitted_env(),
        ..v1::SubmitRequest::default()
    };
    let answer = client.submit(request).await.context("submitting the plan")?;
    match answer.plan {
        Some(n) => Ok(PlanId(n)),
        None => {
            let problems = answer.problems.iter().map(|it| it.message.as_str());
            bail!("the plan was refused: {}", problems.collect::<Vec<_>>().join("; "));
        }
    }
}

/// Returns when a person or a service manager wants it to end.
async fn interrupted() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut int), Ok(mut term), Ok(mut hup)] = kinds.map(signal) else {
        // Without handlers the signals end us the way they always do.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
}

/// One block on stdout, at once: a reader that went away ends the demo like any other error.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
