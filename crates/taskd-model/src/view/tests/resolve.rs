//! What people type.

use super::*;
use crate::{ResolveError, Target};

fn story() -> Story {
    let mut it = Story::with_plan(
        LandPolicy::Ask,
        &[("limiter", &[]), ("headers", &[]), ("head", &[]), ("step1", &[]), ("step10", &[])],
    );
    let again = LoopId { run: 2, ..id(1) };
    let head = Box::new(spec_head("headers", &[]));
    it.of(again, Event::SpecAdded { spec: again.spec, head });
    it.submit(8, LandPolicy::Ask, &[("run", &[])], true);
    it
}

#[test]
fn ids_mean_plans_and_loops() {
    let it = story();
    let again = LoopId { run: 2, ..id(1) };
    let single = LoopId { spec: SpecId { plan: PlanId(8), index: 0 }, run: 1 };
    for (typed, meant) in [
        ("p7", Target::Plan(P7)),
        (" 7 ", Target::Plan(P7)),
        ("p8", Target::Loop(single)),
        ("p7.limiter", Target::Loop(id(0))),
        ("7.lim", Target::Loop(id(0))),
        ("p7.headers", Target::Loop(id(1))),
        ("p7.headers.2", Target::Loop(again)),
        ("p7.heade", Target::Loop(again)),
        ("p7.heade.1", Target::Loop(id(1))),
        ("p7.head", Target::Loop(id(2))),
        ("p7.step1", Target::Loop(id(3))),
        ("p7.step10", Target::Loop(id(4))),
    ] {
        assert_eq!(it.view.resolve(typed), Ok(meant), "{typed}");
    }
    assert_eq!(it.view.loops_in(Target::Plan(P7)), [id(0), again, id(2), id(3), id(4)]);
}

#[test]
fn what_is_short_for_several_is_refused() {
    let it = story();
    let Err(ResolveError::Ambiguous { candidates, .. }) = it.view.resolve("p7.hea") else {
        panic!("ambiguous");
    };
    assert_eq!(candidates, ["p7.headers", "p7.head"]);
    let Err(error) = it.view.resolve("p7.step") else { panic!("ambiguous") };
    assert_eq!(error.to_string(), "\"p7.step\" is short for p7.step1, p7.step10");
}

#[test]
fn what_is_not_there_is_suggested() {
    let it = story();
    for (typed, near) in [
        ("p7.limitre", vec!["p7.limiter"]),
        ("limiter", vec!["p7.limiter"]),
        ("p1.limiter", vec!["p7.limiter"]),
        ("p7.heade.3", vec![]),
        ("p77", vec![]),
        ("p07", vec![]),
        ("", vec![]),
        ("p7.", vec![]),
        ("zebra", vec![]),
    ] {
        let Err(ResolveError::NotFound { did_you_mean, .. }) = it.view.resolve(typed) else {
            panic!("{typed} is not there");
        };
        if !near.is_empty() {
            assert_eq!(did_you_mean.first().map(String::as_str), near.first().copied(), "{typed}");
        }
    }
}
