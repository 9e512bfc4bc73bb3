//! Tells somebody that a plan ended or needs a person: `notify.command`, with one JSON object on its
//! stdin.
//!
//! What is to be told is in the view, so it outlives a crash: what was not said to be told is told
//! again, under the same id. It waits for nobody's work and nobody's work waits for it. The command is
//! the person's own; a project cannot name one.

mod words;

use std::{collections::BTreeSet, ffi::OsString, sync::Arc, time::Duration};

use serde_json::Value;
use taskd_model::{Event, Input, Record, Seq};
use taskd_store::Filter;
use taskd_tools::supervise::{Ladder, Spec, Stdin};
use tokio::{sync::broadcast::error::RecvError, task::JoinSet};
use tracing::{info, warn};

use crate::{
    private::PrivateFile,
    runner::{Context, ending, lock},
};

/// Times it is tried.
const TRIES: u32 = 3;
/// Rest before the second try; four times as long before the third.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The command is ended after so long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Commands at once.
const AT_ONCE: usize = 4;
/// Bytes kept of what it prints, from the beginning and from the end.
const KEPT_BYTES: usize = 2 << 10;
/// Longest reason in the log, in characters.
const MAX_WHY_CHARS: usize = 200;
/// What the command gets of the daemon's environment: what a person's own programs need to find
/// their way to that person.
const ENVIRONMENT: [&str; 15] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
];

/// Tells what is to be told, until the daemon stops.
pub(crate) async fn follow(ctx: Arc<Context>) {
    let mut telling: JoinSet<Seq> = JoinSet::new();
    let mut busy = BTreeSet::new();
    let (_, mut events) = ctx.hub.follow(|_| ());
    loop {
        let next: Vec<Seq> = {
            let view = ctx.hub.view();
            let free = AT_ONCE.saturating_sub(busy.len());
            view.untold.iter().filter(|it| !busy.contains(*it)).take(free).copied().collect()
        };
        for of in next {
            busy.insert(of);
            let ctx = Arc::clone(&ctx);
            telling.spawn(async move {
                tell(&ctx, of).await;
                of
            });
        }
        tokio::select! {
            // What was told is no longer in the view when it is looked at again.
            Some(done) = telling.join_next() => {
                match done {
                    Ok(of) => _ = busy.remove(&of),
                    Err(why) => {
                        warn!("telling somebody: {why}");
                        busy.clear();
                    }
                }
            }
            event = events.recv() => {
                if matches!(event, Err(RecvError::Closed)) {
                    return;
                }
            }
        }
    }
}

/// Tells one thing, and writes down how that ended.
async fn tell(ctx: &Context, of: Seq) {
    let mut last = String::new();
    for n in 1..=TRIES {
        // Looked at again each time: what was answered meanwhile is not told any more.
        let told = lock(&ctx.config).notify_command.clone().zip(notice(ctx, of));
        let Some((command, notice)) = told else {
            if ctx.hub.view().untold.contains(&of) {
                let why = "there is no notify.command any more".to_owned();
                note(ctx, of, n, Some(why)).await;
            }
            return;
        };
        match run(ctx, of, &command, &notice).await {
            Ok(()) => {
                info!(of = of.0, tries = n, "told");
                return note(ctx, of, n, None).await;
            }
            Err(why) => {
                warn!(of = of.0, tries = n, "not told: {why}");
                last = why;
            }
        }
        if n < TRIES {
            #[expect(clippy::disallowed_methods, reason = "whoever failed is left alone a while")]
            tokio::time::sleep(FIRST_REST * 4_u32.pow(n - 1)).await;
        }
    }
    note(ctx, of, TRIES, Some(last)).await;
}

async fn note(ctx: &Context, of: Seq, tries: u32, failed: Option<String>) {
    // If the loop is gone the next life tells it again.
    ctx.handle.input(Input::Notified { of, tries, failed }).await.ok();
}

/// What is told, if there still is something to tell.
fn notice(ctx: &Context, of: Seq) -> Option<Value> {
    let ended = ended(ctx, of);
    let view = ctx.hub.view();
    if !view.untold.contains(&of) {
        return None;
    }
    let id = format!("{}-{of}", ctx.tag);
    match (ended, view.inbox.find(of)) {
        (Some(plan), _) => words::plan_ended(&view, &id, plan),
        (None, Some(item)) => words::needs_you(&view, &id, item),
        (None, None) => None,
    }
}

/// The plan that ended with this event, and when, if that is what it says.
fn ended(ctx: &Context, of: Seq) -> Option<(taskd_model::PlanId, taskd_model::Time)> {
    let rows = tokio::task::block_in_place(|| ctx.store.read(of, 1, Filter::default()));
    let record = Record::decode(&rows.ok()?.first()?.json).ok()?;
    let Event::PlanEnded { plan } = record.event else { return None };
    (record.seq == of).then_some((plan, record.at))
}

/// Runs the command once. Says in one line what went wrong.
async fn run(ctx: &Context, of: Seq, command: &str, notice: &Value) -> Result<(), String> {
    let file = ctx.paths.run_dir().join(format!("notice-{of}.json"));
    let file = PrivateFile::write(&file, &format!("{notice}\n")).map_err(|it| it.to_string())?;
    let env = |name: &&str| Some((OsString::from(*name), std::env::var_os(name)?));
    let spec = Spec {
        argv: ["sh", "-c", command].map(OsString::from).to_vec(),
        cwd: ctx.paths.run_dir(),
        env: ENVIRONMENT.iter().filter_map(env).collect(),
        stdin: Stdin::File(file.path().to_owned()),
        timeout: Some(TIMEOUT),
        idle: None,
        ladder: Ladder::STOP,
        keep_head_bytes: KEPT_BYTES,
        keep_tail_bytes: KEPT_BYTES,
    };
    let finished = ctx.launcher.start(&spec, |_, _| ()).wait().await;
    drop(file);
    let Some(how) = ending(&finished, TIMEOUT) else { return Ok(()) };
    let output = finished.output.text();
    let line = output.lines().rev().find(|it| !it.trim().is_empty()).unwrap_or_default();
    let why = if line.is_empty() { how } else { format!("{how}: {line}") };
    Err(why.chars().filter(|it| !it.is_control()).take(MAX_WHY_CHARS).collect())
}
