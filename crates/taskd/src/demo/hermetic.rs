//! `taskd doctor --hermetic`: one scripted loop from its plan to its landing, in a place of its own.
//!
//! It proves that this binary, this machine's git and its shell work together. It reads no setting,
//! no key and no state of anybody's, opens no connection but the socket of its own daemon, and
//! leaves nothing behind.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::json;
use taskd_api::{Client, Watched, v1};
use taskd_model::{PlanId, Seq, Status, View, WaitVerdict};
use tokio::time::timeout;

use super::{
    follow::{read_log, seconds},
    interrupted,
    place::Place,
    server::Server,
    story::Story,
    submit,
};

/// A loop that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the loop writes.
const FILE: &str = "done.txt";
/// What is in it.
const LINE: &str = "It works.";

/// Green without the file, and with the right one: what the daemon decides by.
const GATE: &str = "test ! -e done.txt || grep -qx 'It works.' done.txt";

const PLAN: &str = "---
plan: Smoke test
model: scripted:@MODEL@
gate: sh gate.sh
land: on-gate
limits: {budget: $1, time: 1m, iterations: 1}
---

## spec smoke: write one line
accept: test -e done.txt

Write done.txt.
";

/// What was done, a row each; all is well if no row has failed.
pub(crate) async fn run() -> Vec<v1::CheckRow> {
    let place = match Place::empty("hermetic") {
        Ok(place) => place,
        Err(why) => return vec![failed("place", &why, "")],
    };
    let dir = place.dir().display().to_string();
    let mut rows = vec![ok("place", &format!("a repository and a state of its own in {dir}"))];
    let mut server = Server::new(&place);
    let ended = tokio::select! {
        ended = timeout(PATIENCE, Box::pin(go(&place, &mut server, &mut rows))) => match ended {
            Ok(ended) => ended,
            Err(_) => Err(anyhow!("not over after {} s", PATIENCE.as_secs())),
        },
        () = interrupted() => Err(anyhow!("interrupted")),
    };
    if let Err(why) = ended {
        rows.push(failed("loop", &why, &format!("its daemon said last: {}", server.last_said())));
    }
    server.stop().await;
    place.remove();
    rows.push(if place.dir().exists() {
        failed("removed", &anyhow!("{dir} is still there"), "remove it")
    } else {
        ok("removed", "its daemon is stopped, its folder is gone")
    });
    rows
}

async fn go(
    place: &Place,
    server: &mut Server,
    rows: &mut Vec<v1::CheckRow>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    prepare(place)?;
    let client = server.start().await?;
    rows.push(ok("daemon", &format!("serves after {} ms", began.elapsed().as_millis())));
    let plan = submit(&client, place).await?;
    let view = follow(&client, plan).await?;
    let worked = view.loops_of(plan).next().context("the plan has no loop")?;
    let reason = worked.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    ensure!(worked.status == Status::Complete, "{} {}: {reason}", worked.name, worked.status);
    let story = Story::of(&read_log(&client, Seq(u64::MAX)).await?);
    let done = format!(
        "{} red before the work, green after it: {} scripted calls, no network, no key",
        worked.name, story.calls
    );
    rows.push(ok("loop", &done));
    let landed = place.git(&["show", &format!("main:{FILE}")])?;
    ensure!(landed.trim_end() == LINE, "main has another {FILE}");
    let tip = place.git(&["rev-parse", "--short", "main"])?;
    let took = seconds(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    rows.push(ok("landed", &format!("{} on main, {took} after the start", tip.trim_end())));
    Ok(())
}

/// A repository with a gate, a script that does the work, and the plan.
fn prepare(place: &Place) -> anyhow::Result<()> {
    let turns = json!([
        {"say": "I write it.", "tools": [{"write": {"path": FILE, "content": format!("{LINE}\n")}}]},
        {"say": "Done.", "tools": [{"finish": {"summary": "wrote one line"}}]},
    ]);
    let script = json!({"loops": {"smoke": [{"iteration": 1, "turns": turns}]}});
    let model = place.dir().join("model.json");
    place.write(&model, &script.to_string())?;
    let plan = PLAN.replace("@MODEL@", &model.to_string_lossy());
    place.write(&place.plan_file(), &plan)?;
    place.write(&place.repo().join("gate.sh"), &format!("{GATE}\n"))?;
    place.commit_all("a gate")
}

/// Until nothing of the plan moves by itself any more.
async fn follow(client: &Client, plan: PlanId) -> anyhow::Result<View> {
    let mut watch = client.watch(Vec::new(), false);
    let mut view = View::default();
    loop {
        match watch.next().await {
            Some(Watched::View(whole)) => view = *whole,
            Some(Watched::Event(record)) => {
                view.apply(&record);
            }
            Some(Watched::Ended(why)) => return Err(why.into()),
            Some(_) => {}
            None => bail!("the watch ended"),
        }
        let over = view.wait_plan(plan).is_some_and(|it| it != WaitVerdict::Pending);
        if over && view.effects.is_empty() {
            return Ok(view);
        }
    }
}

fn ok(name: &str, detail: &str) -> v1::CheckRow {
    row(name, v1::CheckState::Ok, detail, "")
}

fn failed(name: &str, why: &anyhow::Error, hint: &str) -> v1::CheckRow {
    row(name, v1::CheckState::Failed, &format!("{why:#}"), hint)
}

fn row(name: &str, state: v1::CheckState, detail: &str, hint: &str) -> v1::CheckRow {
    let (name, detail, hint) = (name.to_owned(), detail.to_owned(), hint.to_owned());
    let why = match state {
        v1::CheckState::Ok | v1::CheckState::Unspecified => "",
        v1::CheckState::Warning | v1::CheckState::Failed => {
            "what is installed here does not do its work"
        }
    };
    let (code, why) = ("hermetic".to_owned(), why.to_owned());
    v1::CheckRow { name, state: state.into(), detail, hint, code, why }
}
