//! Tools that look and change nothing.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};
use taskd_api::{ApiError, v1};
use taskd_model::{Group, LoopId, LoopView, PlanId, Target};

use super::{Found, read};
use crate::{
    cli::{args::ScopeArgs, failure::Failure, here::now, mcp::Fleet},
    render::json as object,
};

/// What of a gate's output `get` shows: its end.
const GATE_BYTES: u64 = 8 << 10;
/// Events in one answer.
const EVENTS: usize = 50;
const MAX_EVENTS: usize = 500;
/// Their JSON, together.
const MAX_EVENTS_BYTES: usize = 48 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    all_projects: bool,
}

pub(super) async fn list(fleet: &Fleet, args: Value) -> Found {
    let args: ListArgs = read(args)?;
    let client = fleet.here.client().await?;
    let scope = ScopeArgs { all_projects: args.all_projects };
    let view = fleet.here.view(&client, scope).await?;
    let mut value = object::ls(&view, now());
    if !args.all {
        let open = view.loops.values().filter(|it| it.group() != Group::Done);
        let open: Vec<String> = open.map(|it| it.id.plan().to_string()).collect();
        let keep = |list: &mut Value, wanted: &dyn Fn(&Value) -> bool| {
            if let Value::Array(list) = list {
                list.retain(|it| wanted(it));
            }
        };
        keep(&mut value["loops"], &|it| it["group"] != "done");
        keep(&mut value["plans"], &|it| open.iter().any(|open| it["name"] == **open));
    }
    Ok((value, false))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdArgs {
    id: String,
}

pub(super) async fn get(fleet: &Fleet, args: Value) -> Found {
    let IdArgs { id } = read(args)?;
    let client = fleet.here.client().await?;
    let more = client.show(v1::ShowRequest { id: id.clone(), at: None }).await?;
    let view = client.view("").await?;
    let asked_for_plan = matches!(view.resolve(&id), Ok(Target::Plan(_)));
    let one = match more.r#loop {
        Some(it) if !asked_for_plan => Some(LoopId::try_from(it).map_err(ApiError::from)?),
        Some(_) | None => None,
    };
    let loops: Vec<&LoopView> = match one {
        Some(id) => view.loops.get(&id).into_iter().collect(),
        None => view.loops_of(PlanId(more.plan)).collect(),
    };
    let mut value = object::show(&view, &loops, &more, now());
    if one.is_some() {
        value["diff_stat"] = diff_stat(&client, &id).await.into();
        value["gate_said"] = gate_said(&client, &id).await?.into();
    }
    Ok((value, false))
}

/// What changed, by file; nothing where there is no work yet.
async fn diff_stat(client: &taskd_api::Client, id: &str) -> Option<String> {
    let request = v1::DiffRequest { id: id.to_owned(), stat: true, ..v1::DiffRequest::default() };
    client.diff(request).await.ok().map(|it| it.text)
}

/// The end of what the last gate printed.
async fn gate_said(client: &taskd_api::Client, id: &str) -> Result<Option<String>, Failure> {
    let request = v1::LogsRequest {
        id: id.to_owned(),
        kind: v1::LogKind::Gate.into(),
        tail_bytes: GATE_BYTES,
        ..v1::LogsRequest::default()
    };
    let Ok(mut chunks) = client.logs(request).await else { return Ok(None) };
    let mut text = String::new();
    while let Some(chunk) = chunks.next().await? {
        text.push_str(&String::from_utf8_lossy(&chunk.data));
    }
    Ok((!text.is_empty()).then_some(text))
}

pub(super) async fn why(fleet: &Fleet, args: Value) -> Found {
    let IdArgs { id } = read(args)?;
    let client = fleet.here.client().await?;
    let answer = client.why(v1::WhyRequest { id }).await?;
    Ok((object::why(&answer), false))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsArgs {
    #[serde(default)]
    ids: Vec<String>,
    from: Option<u64>,
    #[serde(default)]
    kinds: Vec<String>,
    max: Option<usize>,
}

pub(super) async fn events(fleet: &Fleet, args: Value) -> Found {
    let args: EventsArgs = read(args)?;
    let max = args.max.unwrap_or(EVENTS).clamp(1, MAX_EVENTS);
    let client = fleet.here.client().await?;
    let request = v1::EventsRequest {
        from: args.from.unwrap_or(1),
        max: 0,
        ids: args.ids,
        kinds: args.kinds,
    };
    let mut stored = client.events(request).await?;
    let (mut kept, mut bytes, mut left_out) = (VecDeque::new(), 0, 0_u64);
    while let Some(event) = stored.next().await? {
        bytes += event.json.len();
        kept.push_back(event);
        if max < kept.len() || MAX_EVENTS_BYTES < bytes {
            left_out += 1;
            let gone = match args.from {
                Some(_) => kept.pop_back(),
                None => kept.pop_front(),
            };
            bytes -= gone.map_or(0, |it| it.json.len());
            if args.from.is_some() {
                break;
            }
        }
    }
    let event = |it: &v1::Event| serde_json::from_str::<Value>(&it.json).unwrap_or_default();
    let last = kept.back().map(|it| it.seq);
    let mut value = json!({
        "schema_version": object::SCHEMA_VERSION,
        "events": kept.iter().map(event).collect::<Vec<_>>(),
    });
    match (args.from, last) {
        (Some(_), Some(last)) if 0 < left_out => value["next_from"] = (last + 1).into(),
        (None, _) if 0 < left_out => value["earlier"] = left_out.into(),
        (Some(_) | None, _) => {}
    }
    Ok((value, false))
}
