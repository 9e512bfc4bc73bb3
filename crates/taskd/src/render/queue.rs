//! `taskd queue`: model calls by bucket with who waits for them, and landing queues.

use serde_json::{Value, json};
use taskd_api::v1;
use taskd_model::{Time, format_age_ms};

use super::{
    Scene,
    json::{SCHEMA_VERSION, time},
    table::Table,
    text::{clean, wrap},
};

/// The picture.
pub(crate) fn queue(answer: &v1::QueueResponse, scene: &Scene) -> String {
    if answer.buckets.is_empty() && answer.landing.is_empty() {
        return "nothing waits: no model was called yet, and no landing queue has an entry\n"
            .to_owned();
    }
    let mut blocks = Vec::new();
    if !answer.buckets.is_empty() {
        blocks.push(buckets(&answer.buckets, scene));
    }
    let busy = answer.buckets.iter().filter(|it| !it.next.is_empty());
    blocks.extend(busy.map(|it| order(it, scene)));
    blocks.extend(answer.landing.iter().map(|it| landing(it, scene)));
    if answer.landing.is_empty() {
        blocks.push("no landing queue has an entry\n".to_owned());
    }
    blocks.join("\n")
}

fn buckets(rows: &[v1::BucketRow], scene: &Scene) -> String {
    let mut table = Table::new(&["MODEL", "CALLS", "WAITING", "STATE"], 0, 9);
    for it in rows {
        table.row(vec![
            clean(&it.name),
            format!("{} of {}", it.in_flight, it.limit),
            it.waiting.to_string(),
            state(it, scene),
        ]);
    }
    // A line for each bucket, and below it what is left of its limits.
    let lines = table.draw(0, table.total(0).min(scene.width), scene.width);
    let mut out = String::new();
    for (n, line) in lines.iter().enumerate() {
        out.push_str(&format!("{line}\n"));
        let Some(it) = n.checked_sub(1).and_then(|n| rows.get(n)) else { continue };
        let left = it.rooms.iter().map(room).collect::<Vec<_>>().join(", ");
        let below = wrap(&left, scene.width.saturating_sub(2));
        for line in below.iter().filter(|it| !it.is_empty()) {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}

/// `refused until 14:00 (in 39m), event 412`.
pub(super) fn state(it: &v1::BucketRow, scene: &Scene) -> String {
    let event = it.seq.map(|it| format!(", event {it}")).unwrap_or_default();
    let until = it.until.map(Time).filter(|it| scene.now < *it).map(|until| {
        let left = format_age_ms(until.ms_since(scene.now));
        format!(" until {} (in {left})", scene.clock(until))
    });
    match it.state() {
        v1::BucketState::Open | v1::BucketState::Unspecified => "open".to_owned(),
        v1::BucketState::Refused => format!("refused{}{event}", until.unwrap_or_default()),
        v1::BucketState::LeftAlone => match until {
            Some(until) => format!("left alone{until}{event}"),
            None => format!("left alone but for one probe{event}"),
        },
        v1::BucketState::Ramping => {
            format!("ramping {} of {}{event}", it.slots.unwrap_or_default(), it.limit)
        }
    }
}

/// `requests 9 left of 60 a minute`.
fn room(it: &v1::RoomRow) -> String {
    let whose = if it.of_provider { "the provider's " } else { "" };
    format!("{} {} left of {whose}{} a minute", kind(it.kind()), it.left, it.per_minute)
}

fn kind(it: v1::RoomKind) -> &'static str {
    match it {
        v1::RoomKind::Requests => "requests",
        v1::RoomKind::Input => "input tokens",
        v1::RoomKind::Output => "output tokens",
        v1::RoomKind::Tokens | v1::RoomKind::Unspecified => "tokens",
    }
}

/// The calls that go next.
fn order(it: &v1::BucketRow, scene: &Scene) -> String {
    let mut table = Table::new(&["NEXT", "LOOP", "PRIORITY", "WAITS"], 1, 3);
    for (n, row) in (1..).zip(&it.next) {
        table.row(vec![
            format!("{n}"),
            clean(&row.name),
            priority(row.priority()).to_owned(),
            scene.age(Time(row.since)),
        ]);
    }
    let more = it.waiting.saturating_sub(it.next.len() as u64);
    let more = if more == 0 { String::new() } else { format!("and {more} more\n") };
    format!("{}\n{}{more}", clean(&it.name), drawn(&table, scene))
}

fn landing(it: &v1::LandingRow, scene: &Scene) -> String {
    let mut table = Table::new(&["LANDING", "TO", "PHASE", "SINCE"], 0, 3);
    for row in &it.entries {
        table.row(vec![
            clean(&row.name),
            goal(row),
            match row.held {
                Some(it) => format!("held by user {}, event {}", it.uid, it.seq),
                None => phase(row.phase()).to_owned(),
            },
            scene.age(Time(row.since)),
        ]);
    }
    format!("{}\n{}", scene.path(&it.root), drawn(&table, scene))
}

fn goal(row: &v1::LandingEntry) -> String {
    match (row.refresh, row.target.is_empty()) {
        (true, _) => "its plan: the target moved".to_owned(),
        (false, true) => "its plan".to_owned(),
        (false, false) => clean(&row.target),
    }
}

fn phase(it: v1::QueuePhase) -> &'static str {
    match it {
        v1::QueuePhase::Waiting | v1::QueuePhase::Unspecified => "waiting",
        v1::QueuePhase::Building => "building",
        v1::QueuePhase::Gating => "gating",
        v1::QueuePhase::Publishing => "publishing",
    }
}

fn priority(it: v1::Priority) -> &'static str {
    match it {
        v1::Priority::Low => "low",
        v1::Priority::Normal | v1::Priority::Unspecified => "normal",
        v1::Priority::High => "high",
        v1::Priority::Critical => "critical",
    }
}

fn drawn(table: &Table, scene: &Scene) -> String {
    table.draw(0, table.total(0).min(scene.width), scene.width).join("\n") + "\n"
}

/// One bucket.
pub(super) fn bucket_json(it: &v1::BucketRow) -> Value {
    let rooms = it.rooms.iter().map(|it| {
        json!({
            "kind": kind(it.kind()).replace(' ', "_"),
            "left": it.left,
            "per_minute": it.per_minute,
            "of_provider": it.of_provider,
        })
    });
    let next = it.next.iter().map(|it| {
        let since = time(Time(it.since));
        json!({ "name": it.name, "priority": priority(it.priority()), "since": since })
    });
    let state = it.state().as_str_name().trim_start_matches("BUCKET_STATE_").to_lowercase();
    json!({
        "name": it.name,
        "in_flight": it.in_flight,
        "limit": it.limit,
        "waiting": it.waiting,
        "state": state,
        "until": it.until.map(|it| time(Time(it))),
        "seq": it.seq,
        "slots": it.slots,
        "faults": it.faults,
        "looked_at": it.looked_at,
        "rooms": rooms.collect::<Vec<_>>(),
        "next": next.collect::<Vec<_>>(),
    })
}

/// `queue --json`: one object.
pub(crate) fn json(answer: &v1::QueueResponse) -> Value {
    let buckets = answer.buckets.iter().map(bucket_json);
    let landing = answer.landing.iter().map(|it| {
        let entries = it.entries.iter().map(|it| {
            json!({
                "name": it.name,
                "target": (!it.target.is_empty()).then_some(&it.target),
                "refresh": it.refresh,
                "phase": phase(it.phase()),
                "since": time(Time(it.since)),
                "entry": it.entry,
                "held": it.held.map(|it| json!({ "uid": it.uid, "event": it.seq })),
            })
        });
        json!({ "root": it.root, "entries": entries.collect::<Vec<_>>() })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "buckets": buckets.collect::<Vec<_>>(),
        "landing": landing.collect::<Vec<_>>(),
    })
}
