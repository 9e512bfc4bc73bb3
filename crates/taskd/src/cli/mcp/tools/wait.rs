//! `wait`: until each is over or needs somebody, or the time is up. Whoever asked to be told hears
//! each event on the way.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use taskd_api::Watched;
use taskd_mcp::Progress;
use taskd_model::{Target, View, WaitVerdict};
use tokio::time::{Instant, timeout_at};

use super::{Found, read};
use crate::{
    cli::{failure::Failure, mcp::Fleet, wait::unresolved},
    render::json as object,
};

const DEFAULT_S: u64 = 60;
const MAX_S: u64 = 600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitArgs {
    ids: Vec<String>,
    timeout_s: Option<u64>,
}

pub(super) async fn wait(fleet: &Fleet, args: Value, mut progress: Progress) -> Found {
    let args: WaitArgs = read(args)?;
    if args.ids.is_empty() {
        return Err(Failure::usage("`ids` is empty", "name loops or plans, as `list` shows them"));
    }
    let limit = Duration::from_secs(args.timeout_s.unwrap_or(DEFAULT_S).min(MAX_S));
    let until = Instant::now() + limit;
    let client = fleet.here.client().await?;
    let mut watch = client.watch(args.ids.clone(), false);
    let mut view = client.view("").await?;
    loop {
        let verdicts = verdicts(&view, &args.ids)?;
        if verdicts.values().all(|it| *it != WaitVerdict::Pending) {
            return Ok((answer(&verdicts, false), false));
        }
        let Ok(next) = timeout_at(until, watch.next()).await else {
            return Ok((answer(&verdicts, true), false));
        };
        match next {
            Some(Watched::View(new)) => view = *new,
            Some(Watched::Event(record)) => {
                progress.say(&record.to_string());
                view.apply(&record);
            }
            Some(Watched::Ended(error)) => return Err(error.into()),
            Some(
                Watched::Connected { .. }
                | Watched::Unknown { .. }
                | Watched::Delta { .. }
                | Watched::Heartbeat { .. }
                | Watched::Disconnected { .. },
            ) => {}
            None => return Ok((answer(&verdicts, true), false)),
        }
    }
}

fn verdicts<'a>(view: &View, ids: &'a [String]) -> Result<BTreeMap<&'a str, WaitVerdict>, Failure> {
    let mut verdicts = BTreeMap::new();
    for id in ids {
        let verdict = match view.resolve(id).map_err(|it| unresolved(&it))? {
            Target::Plan(plan) => view.wait_plan(plan),
            Target::Loop(one) => view.wait_loop(one),
        };
        verdicts.insert(id.as_str(), verdict.unwrap_or(WaitVerdict::Pending));
    }
    Ok(verdicts)
}

fn answer(verdicts: &BTreeMap<&str, WaitVerdict>, timed_out: bool) -> Value {
    json!({
        "schema_version": object::SCHEMA_VERSION,
        "verdicts": verdicts,
        "timed_out": timed_out,
    })
}
