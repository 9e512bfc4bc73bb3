//! Any log at all: the fold never fails, and stopping on the way changes nothing.

use proptest::prelude::*;

use super::*;
use crate::{
    Letter, LetterKind, Observation, PrepareMode, Purse, QueryEnd, Spans, Spoken, Totals, Unsent,
};

fn tool_done(error: bool, m: u8) -> Outcome {
    Outcome::ToolDone {
        result: digest("r"),
        error,
        checkpoint: Some(oid(m)),
        code: None,
        unsaved: None,
    }
}

fn some_call() -> Work {
    Work::Call {
        request: digest("r"),
        bucket: "m".to_owned(),
        cap_micros: 9,
        cap_tokens: 0,
        reserved_micros: 0,
        reserved_tokens: 0,
        input_tokens: 0,
        output_tokens: 0,
    }
}

/// What some loop says to another one.
fn spoken(n: u8, m: u8) -> Spoken {
    let (from, kind, text) = (id(0), LetterKind::Share, digest("n"));
    match n % 5 {
        0 => Spoken::Told { letter: Letter { from, kind, text, bytes: 1, index: u16::from(m) } },
        1 => Spoken::Refused { why: Unsent::Full },
        2 => Spoken::Muted { until: Time(u64::from(m)) },
        3 => Spoken::QueryEnded { query: Seq(u64::from(m)), from, end: QueryEnd::TimedOut },
        _ => Spoken::Stopped { by: from, index: u16::from(m), why: "no need".to_owned() },
    }
}

/// What becomes of some budget.
fn budget(n: u8, m: u8) -> Event {
    let of = [Purse::All, Purse::Project(PROJECT), Purse::Plan(P7), Purse::Loop(id(0))];
    let of = of[usize::from(n % 4)];
    match m % 5 {
        0 => Event::BudgetSet { of, micros: u64::from(m) },
        1 => Event::TokensSet { of, tokens: u64::from(m) },
        2 => Event::TokensWarned { of, spent: 4, budget: 5 },
        3 => Event::BudgetSpent { of, until: Time(u64::from(m)) },
        _ => Event::BudgetRenewed { of },
    }
}

fn composed() -> Outcome {
    let (worst_micros, worst_tokens) = (0, 0);
    Outcome::Composed { request: digest("r"), tokens: 1, worst_micros, worst_tokens, context: None }
}

fn asked(n: u8) -> Observation {
    let choices = vec!["yes".to_owned(), "no".to_owned()];
    Observation::Asked { n: u32::from(n % 3), text: "t".to_owned(), choices }
}

fn answered(effect: EffectId, n: u8, m: u8) -> Event {
    let (n, choice) = (u32::from(n % 3), Some(u16::from(m % 2)));
    Event::QuestionAnswered { effect, n, choice, said: String::new(), result: None }
}

/// A reply that asks for nothing but the end.
fn finished() -> Outcome {
    let calls = vec![call("finish")];
    Outcome::Replied { reply: digest("y"), calls, usage: cost(3), by: None, found: None }
}

/// Some event about plan 7, its three loops and the last few effects; it need not make sense.
fn event(kind: u8, n: u8, m: u8, seq: u64) -> (Option<LoopId>, Event) {
    let me = id(u16::from(n % 4));
    let effect = EffectId(Seq(seq.saturating_sub(u64::from(m % 6) + 1)));
    let op = match m % 4 {
        0 => QueueOp::Integrate(me),
        1 => QueueOp::Land(me),
        2 => QueueOp::Undo(me),
        _ => QueueOp::Refresh(P7),
    };
    let status = Status::ALL[usize::from(m % 9)];
    let works = [
        Work::Compose,
        Work::Gate,
        some_call(),
        Work::Tool { index: 0, name: "read".to_owned(), args: digest("a"), reads: true },
        Work::Agent { prompt: digest("r"), cap_micros: 9, reader: None },
        Work::Rebase { onto: oid(m) },
        Work::Prepare { base: oid(m), mode: PrepareMode::Fresh },
        Work::Publish { op, commit: oid(m), expected: oid(n) },
    ];
    let outcomes = [
        composed(),
        Outcome::Gated {
            checkpoint: oid(m),
            tree: oid(m),
            change: change(1, 2, 3),
            markers: 0,
            report: Some(green(u32::from(n))),
        },
        finished(),
        tool_done(n > 9, m),
        agent_done(i32::from(n % 2), (m > 9).then(|| cost(u64::from(m)))),
        Outcome::Rebased { checkpoint: oid(m), conflicts: u32::from(n % 2), files: None },
        Outcome::Published,
        Outcome::Cancelled { usage: cost(1), checkpoint: None },
    ];
    let evidence = Evidence { seq: Seq(1), tree: oid(n) };
    let done = QueueEnd::Done { commit: oid(m), onto: oid(n), evidence, with: Vec::new() };
    let owners = [Owner::Loop(me), Owner::Loop(me), Owner::Plan(P7), Owner::Queue(PROJECT)];
    let event = match kind {
        0..=19 => Event::EffectStarted {
            owner: owners[usize::from(n % 4)],
            work: works[usize::from(m % 8)].clone(),
        },
        20..=39 => Event::EffectEnded { effect, outcome: outcomes[usize::from(n % 8)].clone() },
        40..=44 => {
            let fact = Observation::UsageSoFar(classes(u64::from(m)));
            Event::EffectObserved { effect, index: 0, fact }
        }
        45..=54 => Event::StatusChanged { from: status, to: status, reason: Reason::Person },
        55..=59 => Event::IterationStarted { n: u32::from(m) },
        60..=64 => Event::QueueEntered { op },
        65..=69 => Event::QueueLeft { entry: effect.0, op, end: done },
        70..=71 => Event::ApprovalAsked,
        72 => Event::Rejected { note: digest("n") },
        73..=76 => {
            let target = "main".to_owned();
            Event::MainMoved { target, from: None, to: oid(m), commits: 1, rewritten: false }
        }
        77..=79 => Event::IntegrationMoved { plan: P7, to: oid(m) },
        80 => Event::DaemonStarted { version: "2".to_owned() },
        81 => Event::Passed { checkpoint: oid(m), evidence, tests: None },
        82 => Event::Deferred { until: Time(u64::from(m)), why: "why".to_owned() },
        83..=86 => budget(n, m),
        87 => Event::EffectObserved { effect, index: 0, fact: asked(n) },
        88 => answered(effect, n, m),
        89..=91 => Event::Spoken { word: spoken(n, m) },
        _ => Event::NoteAdded { note: digest("n"), now: n.is_multiple_of(2) },
    };
    (Some(me), event)
}

fn log(steps: &[(u8, u8, u8)]) -> Vec<Record> {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[]), ("b", &[0]), ("c", &[0, 1])]);
    for (kind, n, m) in steps {
        let (loop_id, event) = event(*kind, *n, *m, it.view.seq.0 + 1);
        it.after(1).push(loop_id, event);
    }
    it.log
}

fn fold(view: &mut View, log: &[Record]) {
    for record in log {
        view.apply(record);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_anywhere_changes_nothing(
        steps in prop::collection::vec((0_u8..90, 0_u8..20, 0_u8..20), 0..120),
        cut in 0_usize..120,
    ) {
        let log = log(&steps);
        let mut whole = View::default();
        fold(&mut whole, &log);

        let (before, rest) = log.split_at(cut.min(log.len()));
        let mut part = View::default();
        fold(&mut part, before);
        let stored = serde_json::to_string(&part).unwrap();
        let mut part: View = serde_json::from_str(&stored).unwrap();
        // Whoever reconnects may hear the last events again.
        fold(&mut part, &log[before.len().saturating_sub(3)..]);
        prop_assert_eq!(&part, &whole);
        prop_assert_eq!(whole.seq, log.last().unwrap().seq);
        prop_assert!(rest.iter().all(|it| it.seq > Seq(before.len() as u64)));
    }

    #[test]
    fn what_is_kept_up_equals_what_is_counted_afresh(
        steps in prop::collection::vec((0_u8..90, 0_u8..20, 0_u8..20), 0..120),
    ) {
        let mut view = View::default();
        fold(&mut view, &log(&steps));
        let mut totals = Totals::default();
        view.loops.values().for_each(|it| totals.moved(None, it.status));
        for (status, n) in view.totals() {
            prop_assert_eq!(n, totals.of(status));
            prop_assert_eq!(n, view.plans[&P7].totals.of(status));
        }
        for it in view.loops.values() {
            let open = view.effects.iter().filter(|(_, open)| open.owner == Owner::Loop(it.id));
            prop_assert!(open.map(|(id, _)| id).eq(it.effects.iter()));
            let waits = it.queue_entry.and_then(|entry| view.queue.get(&PROJECT)?.get(&entry));
            prop_assert_eq!(waits.is_some(), it.queue_entry.is_some());
        }
        let mut booked = Usage::default();
        view.plans[&P7].ledger.rows().for_each(|(_, _, usage)| booked.add(usage));
        prop_assert_eq!(booked, view.plans[&P7].spent);
        let mut of_loops = Usage::default();
        view.loops.values().for_each(|it| of_loops.add(&it.spent));
        prop_assert_eq!(of_loops, view.plans[&P7].spent);
        for it in view.loops.values() {
            let Spans { queue_ms, call_ms, gate_ms, person_ms } = it.spans_until(view.at);
            let known = queue_ms + call_ms + gate_ms + person_ms;
            prop_assert!(known <= view.at.ms_since(Time(1_000_000)), "{known}");
        }
        let spent: u64 = view.loops.values().map(|it| it.spent.micros).sum();
        prop_assert_eq!(spent, view.plans[&P7].spent.micros);
    }
}
