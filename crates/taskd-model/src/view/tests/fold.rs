//! The fold itself: what is lost, bounded, counted.

use super::*;
use crate::{Doing, ITERATION_ROWS, Observation, PlanState};

#[test]
fn tools_run_beside_a_call_and_each_other() {
    let mut it = Story::with_single(LandPolicy::Ask);
    it.release(1);
    let me = Owner::Loop(id(0));
    let work =
        |index| Work::Tool { index, name: format!("read{index}"), args: digest("a"), reads: true };
    let call_work = Work::Call {
        request: digest("r"),
        bucket: "m".to_owned(),
        cap_micros: 1_000,
        cap_tokens: 0,
        reserved_micros: 0,
        reserved_tokens: 0,
        input_tokens: 0,
        output_tokens: 0,
    };
    let called = it.start(me, call_work);
    assert_eq!(it.it(0).doing, Doing::Calling);
    let (first, second) = (it.start(me, work(0)), it.start(me, work(1)));
    let done = || Outcome::ToolDone {
        result: digest("r"),
        error: false,
        checkpoint: None,
        code: None,
        unsaved: None,
    };
    it.end(second, done());
    assert_eq!(it.it(0).doing, Doing::Tool("read0".to_owned()));
    let calls = vec![call("read0"), call("read1")];
    it.end(
        called,
        Outcome::Replied { reply: digest("y"), calls, usage: cost(7), by: None, found: None },
    );
    assert_eq!(it.it(0).doing, Doing::Tool("read0".to_owned()));
    it.end(first, done());
    assert_eq!((&it.it(0).doing, it.it(0).effects.len()), (&Doing::Idle, 0));
    assert_eq!(it.view.plans[&P7].spent.micros, 7);
}

#[test]
fn a_new_life_loses_what_ran() {
    let mut it = Story::with_single(LandPolicy::Ask);
    it.release(1);
    let call_work = Work::Call {
        request: digest("r"),
        bucket: "m".to_owned(),
        cap_micros: 1_000,
        cap_tokens: 0,
        reserved_micros: 0,
        reserved_tokens: 0,
        input_tokens: 0,
        output_tokens: 0,
    };
    let called = it.start(Owner::Loop(id(0)), call_work);
    let fact = Observation::UsageSoFar(cost(300));
    it.of(id(0), Event::EffectObserved { effect: called, index: 0, fact });
    it.say(Event::DaemonStarted { version: "0.2.0".to_owned() });
    assert!(it.view.effects.is_empty());
    assert!(it.it(0).effects.is_empty());
    assert_eq!((&it.it(0).doing, it.it(0).spent.micros), (&Doing::Idle, 300));
    assert_eq!(it.view.daemon_version, "0.2.0");
}

#[test]
fn iterations_keep_both_ends() {
    let mut it = Story::with_single(LandPolicy::Ask);
    it.release(1);
    let most = u32::try_from(ITERATION_ROWS).unwrap();
    for n in 1..=3 * most {
        it.of(id(0), Event::IterationStarted { n });
    }
    let rows: Vec<u32> = it.it(0).iterations.iter().map(|it| it.n).collect();
    let kept: Vec<u32> = (1..=most).chain(2 * most + 1..=3 * most).collect();
    assert_eq!(rows, kept);
}

#[test]
fn notes_and_rejections_are_kept() {
    let mut it = Story::with_single(LandPolicy::Ask);
    it.release(1);
    it.of(id(0), Event::IterationStarted { n: 1 });
    it.gate(id(0), green(3), change(1, 1, 0));
    it.of(id(0), Event::ApprovalAsked);
    it.of(id(0), Event::NoteAdded { note: digest("a"), now: false });
    it.of(id(0), Event::Rejected { note: digest("b") });
    let notes: Vec<_> = it.it(0).notes.iter().map(|it| (it.text, it.rejects)).collect();
    assert_eq!(notes, [(digest("a"), false), (digest("b"), true)]);
    assert_eq!((&it.it(0).doing, &it.it(0).passed), (&Doing::Idle, &None));
}

#[test]
fn all_nine_statuses_are_counted() {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[]), ("b", &[]), ("c", &[])]);
    it.release(1);
    it.status(id(0), Status::Blocked, Reason::Conflict);
    it.status(id(1), Status::Rebasing, Reason::BaseMoved);
    let totals: Vec<_> = it.view.totals().filter(|(_, n)| *n > 0).collect();
    let one = |status| (status, 1);
    assert_eq!(totals, [one(Status::Running), one(Status::Rebasing), one(Status::Blocked)]);
    assert_eq!(it.view.totals().count(), 9);
    assert_eq!(it.view.totals, it.view.plans[&P7].totals);
}

#[test]
fn an_integration_ref_that_starts_again_asks_for_the_work_again() {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[]), ("b", &[0])]);
    it.release(1);
    it.bring(QueueOp::Integrate(id(0)), oid(4), oid(1));
    assert_eq!(it.view.waits_for(it.it(1)).count(), 0);
    it.say(Event::IntegrationMoved { plan: P7, to: oid(4) });
    assert!(it.it(0).integrated.is_some(), "an echo of the queue's move is no reset");
    it.say(Event::IntegrationMoved { plan: P7, to: oid(1) });
    assert!(it.it(0).integrated.is_none());
    assert_eq!(it.view.waits_for(it.it(1)).count(), 1);
}

#[test]
fn plans_pass_through_their_states() {
    let mut it = Story::with_plan(LandPolicy::Never, &[("a", &[])]);
    let state = |it: &Story| it.view.plans[&P7].state;
    assert_eq!((state(&it), it.it(0).status), (PlanState::Checking, Status::Draft));
    it.release(214);
    assert_eq!((state(&it), it.it(0).status), (PlanState::Open, Status::Running));
    let plan = &it.view.plans[&P7];
    assert_eq!((plan.base_tests, plan.gate_ms), (Some(214), Some(39_000)));
    it.say(Event::PlanEnded { plan: P7 });
    assert_eq!(state(&it), PlanState::Ended);
}

#[test]
fn a_later_run_has_its_own_name() {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[])]);
    let again = LoopId { run: 2, ..id(0) };
    let head = Box::new(spec_head("a", &[]));
    it.of(again, Event::SpecAdded { spec: again.spec, head });
    assert_eq!(it.view.loops[&again].name, "p7.a.2");
    assert_eq!(it.view.latest_run(again.spec).map(|it| it.id), Some(again));
}
