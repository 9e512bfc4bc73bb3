//! Where money and time went.

use super::*;
use crate::{Observation, Purse};

const DAY_MS: u64 = 86_400_000;

fn call_work() -> Work {
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

fn replied(usage: Usage) -> Outcome {
    Outcome::Replied {
        reply: digest("y"),
        calls: vec![call("finish")],
        usage,
        by: None,
        found: None,
    }
}

/// Proves S-1.1.6 P-8: a call over midnight (UTC) is booked on the days its usage was told of, whole and once.
#[test]
fn usage_is_booked_by_model_and_day() {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[]), ("b", &[])]);
    it.release(1);
    it.now = 5 * DAY_MS - 1_000;
    let (one, other) =
        (it.start(Owner::Loop(id(0)), call_work()), it.start(Owner::Loop(id(1)), call_work()));
    let fact = Observation::UsageSoFar(classes(1));
    it.of(id(0), Event::EffectObserved { effect: one, index: 0, fact });
    it.after(1).end(one, replied(classes(3)));
    it.end(other, replied(classes(7)));
    let rows = it.view.plans[&P7].ledger.rows();
    let rows: Vec<_> = rows.map(|(model, day, usage)| (model, day, *usage)).collect();
    let mut second = classes(2);
    second.add(&classes(7));
    assert_eq!(rows, [("claude", 4, classes(1)), ("claude", 5, second)]);
    assert_eq!(it.view.plans[&P7].spent.unpriced, 1);
}

/// Time is accounted for by what was waited for; the hours without a daemon are nobody's, except of
/// who waits for a person.
#[test]
fn time_goes_where_it_was_spent() {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[]), ("b", &[])]);
    it.release(1);
    it.status(id(1), Status::Paused, Reason::Person);
    let composed = it.start(Owner::Loop(id(0)), Work::Compose);
    it.after(1).end(
        composed,
        Outcome::Composed {
            request: digest("r"),
            tokens: 1,
            worst_micros: 0,
            worst_tokens: 0,
            context: None,
        },
    );
    it.after(10);
    let failing = it.start(Owner::Loop(id(0)), call_work());
    let (failure, message) = (crate::Failure::Transient, "no luck".to_owned());
    it.after(20)
        .end(failing, Outcome::Failed { failure, message, usage: Usage::default(), fault: None });
    it.of(id(0), Event::Deferred { until: Time(it.now + 5_000), why: "later".to_owned() });
    it.after(5).of(id(0), Event::DeferralOver);
    let called = it.start(Owner::Loop(id(0)), call_work());
    it.after(30).of(id(0), Event::NoteAdded { note: digest("n"), now: false });
    it.after(3_600).say(Event::DaemonStarted { version: "0.2.0".to_owned() });
    assert!(!it.view.effects.contains_key(&called));
    it.after(1);
    let again = it.start(Owner::Loop(id(0)), call_work());
    it.after(2).end(again, replied(cost(1)));
    it.of(id(0), Event::IterationStarted { n: 1 });
    it.gate(id(0), green(1), change(1, 1, 0));
    it.of(id(0), Event::ApprovalAsked);
    it.after(100);
    let now = Time(it.now);
    let spans = it.it(0).spans_until(now);
    assert_eq!((spans.queue_ms, spans.call_ms), (10_000 + 5_000, 20_000 + 30_000 + 2_000));
    assert_eq!((spans.gate_ms, spans.person_ms), (39_000, 100_000));
    assert_eq!((it.it(0).calls, it.it(0).failed_calls), (3, 1));
    let paused = now.ms_since(it.it(1).status_since);
    assert_eq!(it.it(1).spans_until(now).person_ms, paused);
}

/// A budget near its end is told where people look, and setting it changes what they see.
#[test]
fn budgets_are_told() {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[])]);
    it.release(1);
    it.lines.clear();
    let called = it.start(Owner::Loop(id(0)), call_work());
    it.end(called, replied(cost(4_100_000)));
    let of = Purse::Loop(id(0));
    let (spent_micros, budget_micros) = (4_100_000, 5_000_000);
    assert!(it.it(0).budget().near().is_some() && it.view.plans[&P7].budget().near().is_none());
    it.of(id(0), Event::BudgetWarned { of, spent_micros, budget_micros });
    it.of(id(0), Event::BudgetSet { of, micros: 9_000_000 });
    it.say(Event::BudgetSet { of: Purse::Plan(P7), micros: 30_000_000 });
    assert_eq!(
        it.lines,
        [
            "p7.a    82 % of its $5.00 spent",
            "p7.a    may spend $9.00 in all",
            "p7      may spend $30.00 in all"
        ]
    );
    assert_eq!(it.it(0).limits.budget_micros, 9_000_000);
    assert_eq!(it.view.plans[&P7].budget_micros, 30_000_000);
    assert!(it.it(0).budget().near().is_none());
}
