//! `queue`, and `why` of a loop that waits for a model.

use super::*;
use crate::render;
use taskd_api::v1;

fn bucket(name: &str, state: v1::BucketState) -> v1::BucketRow {
    v1::BucketRow {
        name: name.to_owned(),
        in_flight: 2,
        limit: 10,
        state: state.into(),
        ..v1::BucketRow::default()
    }
}

fn room(kind: v1::RoomKind, left: u64, per_minute: u64, of_provider: bool) -> v1::RoomRow {
    v1::RoomRow { kind: kind.into(), left, per_minute, of_provider }
}

fn waiting(name: &str, priority: v1::Priority, seconds: u64) -> v1::WaitingRow {
    let since = NOW - seconds * 1_000;
    v1::WaitingRow { name: name.to_owned(), priority: priority.into(), since }
}

/// One bucket in each state there is.
fn buckets() -> Vec<v1::BucketRow> {
    let refused = v1::BucketRow {
        until: Some(NOW + 39 * 60_000),
        seq: Some(5121),
        in_flight: 0,
        waiting: 12,
        rooms: vec![
            room(v1::RoomKind::Requests, 0, 50, true),
            room(v1::RoomKind::Input, 12_000, 40_000, true),
            room(v1::RoomKind::Output, 8_000, 8_000, false),
        ],
        next: vec![
            waiting("p6.billing", v1::Priority::Critical, 5),
            waiting("p8.lim\u{1b}iter", v1::Priority::Normal, 480),
        ],
        ..bucket("anthropic/claude-haiku-4-5", v1::BucketState::Refused)
    };
    let alone = v1::BucketRow {
        seq: Some(410),
        faults: Some(5),
        looked_at: Some(5),
        ..bucket("openai/gpt-5", v1::BucketState::LeftAlone)
    };
    let rest = v1::BucketRow {
        until: Some(NOW + 20_000),
        ..v1::BucketRow { name: "openai/gpt-5-mini".to_owned(), ..alone.clone() }
    };
    let ramp = v1::BucketRow {
        slots: Some(2),
        seq: Some(77),
        ..bucket("acme/big", v1::BucketState::Ramping)
    };
    vec![ramp, refused, alone, rest, bucket("local/qwen3", v1::BucketState::Open)]
}

#[test]
fn queue_of_calls_and_landings() {
    let entry = |name: &str, target: &str, phase: v1::QueuePhase, refresh| v1::LandingEntry {
        name: name.to_owned(),
        target: target.to_owned(),
        refresh,
        phase: phase.into(),
        since: NOW - 61_000,
        entry: 400,
        held: None,
    };
    let mut entries = vec![
        entry("p8.docs", "main", v1::QueuePhase::Gating, false),
        entry("p8.limiter", "", v1::QueuePhase::Waiting, false),
        entry("p9", "", v1::QueuePhase::Waiting, true),
    ];
    entries[1].held = Some(v1::HeldBy { uid: 1000, seq: 412 });
    let mut answer = v1::QueueResponse {
        buckets: buckets(),
        landing: vec![v1::LandingRow { root: "/h/me/src/gate".to_owned(), entries }],
    };
    insta::assert_snapshot!(render::queue::queue(&answer, &scene(80)), @r#"
MODEL               CALLS    WAITING  STATE
acme/big            2 of 10  0        ramping 2 of 10, event 77
anthropic/claude-…  0 of 10  12       refused until 14:00 (in 39m), event 5121
  requests 0 left of the provider's 50 a minute, input tokens 12000 left of the
  provider's 40000 a minute, output tokens 8000 left of 8000 a minute
openai/gpt-5        2 of 10  0        left alone but for one probe, event 410
openai/gpt-5-mini   2 of 10  0        left alone until 13:21 (in 20s), event 410
local/qwen3         2 of 10  0        open

anthropic/claude-haiku-4-5
NEXT  LOOP              PRIORITY  WAITS
1     p6.billing        critical     5s
2     p8.lim\u{1b}iter  normal       8m
and 10 more

~/src/gate
LANDING     TO                          PHASE                         SINCE
p8.docs     main                        gating                          61s
p8.limiter  its plan                    held by user 1000, event 412    61s
p9          its plan: the target moved  waiting                         61s
"#);
    let json = render::queue::json(&answer);
    assert_eq!(json["buckets"][1]["state"], "refused");
    assert_eq!(json["buckets"][1]["until"], "2026-11-20T14:00:00Z");
    assert_eq!(json["buckets"][1]["rooms"][1]["kind"], "input_tokens");
    assert_eq!(json["landing"][0]["entries"][2]["refresh"], true);

    answer.buckets.drain(..4);
    answer.landing.clear();
    insta::assert_snapshot!(render::queue::queue(&answer, &scene(80)), @r#"
MODEL        CALLS    WAITING  STATE
local/qwen3  2 of 10  0        open

no landing queue has an entry
"#);
    answer.buckets.clear();
    insta::assert_snapshot!(render::queue::queue(&answer, &scene(80)), @"nothing waits: no model was called yet, and no landing queue has an entry");
}

#[test]
fn why_a_call_waits() {
    let row = v1::WhyRow {
        subject: "p8.limiter".to_owned(),
        sentence: "p8.limiter waits for the usage window of anthropic/claude-haiku-4-5".to_owned(),
        since: Some(NOW - 480_000),
        until: Some(NOW + 39 * 60_000),
        seq: Some(5121),
        details: vec!["queue     2nd of 3, after p6.billing".to_owned()],
        evidence: "it refused a call".to_owned(),
        evidence_at: Some(NOW - 500_000),
        fault: None,
    };
    let answer = v1::WhyResponse {
        chain: vec![row],
        not_the_cause: vec!["needs".to_owned(), "call slots (0 of 10 in use)".to_owned()],
        next: String::new(),
    };
    insta::assert_snapshot!(render::why::why(&answer, &scene(80)), @r#"
p8.limiter waits 8m for the usage window of anthropic/claude-haiku-4-5,
    until 14:00 (in 39m)
  queue     2nd of 3, after p6.billing
  evidence  it refused a call at 13:12, event 5121   taskd events --from 5121

not the cause: needs, call slots (0 of 10 in use)
"#);
}
