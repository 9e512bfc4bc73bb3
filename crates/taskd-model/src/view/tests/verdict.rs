//! What `wait` says.

use super::*;
use crate::{Limit, WaitVerdict as V};

fn two(land: LandPolicy) -> Story {
    let mut it = Story::with_plan(land, &[("a", &[]), ("b", &[0])]);
    it.release(1);
    it
}

fn verdicts(it: &Story) -> (V, V, V) {
    let of = |n| it.view.wait_loop(id(n)).unwrap();
    (of(0), of(1), it.view.wait_plan(P7).unwrap())
}

#[test]
fn pending_until_nothing_moves() {
    let mut it = two(LandPolicy::Ask);
    assert_eq!(verdicts(&it), (V::Pending, V::Pending, V::Pending));
    it.of(id(0), Event::ApprovalAsked);
    assert_eq!(verdicts(&it), (V::NeedsYou, V::NeedsYou, V::NeedsYou), "b waits for a, a for you");
    it.bring(QueueOp::Integrate(id(0)), oid(4), oid(1));
    assert_eq!(verdicts(&it).1, V::Pending, "b may start");
    assert_eq!(verdicts(&it).2, V::Pending, "b moves");
}

#[test]
fn landed_and_passed_are_two_things() {
    let mut it = two(LandPolicy::OnGate);
    it.bring(QueueOp::Land(id(0)), oid(4), oid(1));
    it.status(id(0), Status::Complete, Reason::Done);
    assert_eq!(verdicts(&it), (V::Landed, V::Pending, V::Pending));
    it.status(id(1), Status::Running, Reason::Started);
    it.status(id(1), Status::Complete, Reason::AlreadyThere);
    assert_eq!(verdicts(&it).2, V::Landed);
    let mut it = two(LandPolicy::Never);
    it.status(id(0), Status::Complete, Reason::Done);
    assert_eq!(verdicts(&it).0, V::Passed);
}

#[test]
fn the_cause_says_more_than_what_it_caused() {
    let mut it = two(LandPolicy::OnGate);
    it.status(id(0), Status::Failed, Reason::Limit(Limit::Budget));
    it.status(id(1), Status::Failed, Reason::NeedFailed);
    assert_eq!(verdicts(&it), (V::Limit, V::Failed, V::Limit));
    let mut it = two(LandPolicy::OnGate);
    it.status(id(0), Status::Stopped, Reason::Person);
    it.status(id(1), Status::Failed, Reason::NeedFailed);
    assert_eq!(verdicts(&it).2, V::Stopped);
}

#[test]
fn what_waits_behind_a_blocked_need_does_not_keep_the_plan_pending() {
    let mut it = Story::with_plan(LandPolicy::OnGate, &[("a", &[]), ("b", &[0]), ("c", &[1])]);
    it.release(1);
    it.status(id(0), Status::Failed, Reason::Limit(Limit::Iterations));
    it.status(id(1), Status::Blocked, Reason::NeedFailed);
    assert_eq!(it.view.wait_plan(P7), Some(V::Limit));
}

/// A person sent the need back after what stands on it had passed, and then it was stuck.
#[test]
fn passed_work_waits_for_a_need_that_was_taken_back() {
    let mut it = two(LandPolicy::OnGate);
    it.bring(QueueOp::Integrate(id(0)), oid(4), oid(1));
    it.status(id(1), Status::Running, Reason::Started);
    it.of(id(1), Event::IterationStarted { n: 1 });
    it.gate(id(1), green(3), change(1, 2, 0));
    assert_eq!(verdicts(&it).2, V::Pending, "both may land");
    it.of(id(0), Event::Rejected { note: digest("not so") });
    it.status(id(0), Status::Blocked, Reason::Conflict);
    assert_eq!(verdicts(&it), (V::NeedsYou, V::NeedsYou, V::NeedsYou));
}

#[test]
fn a_paused_plan_is_pending_and_a_blocked_one_needs_you() {
    let mut it = two(LandPolicy::OnGate);
    it.status(id(0), Status::Paused, Reason::Person);
    assert_eq!(verdicts(&it).2, V::Pending);
    it.status(id(0), Status::Running, Reason::Person);
    it.status(id(0), Status::Blocked, Reason::Conflict);
    assert_eq!(verdicts(&it).2, V::NeedsYou);
}

#[test]
fn exit_codes_are_the_published_ones() {
    let all = [V::Pending, V::Landed, V::Passed, V::Failed, V::Stopped, V::Limit, V::NeedsYou];
    let exits = all.map(V::exit);
    assert_eq!(exits, [None, Some(0), Some(0), Some(1), Some(1), Some(3), Some(4)]);
}
