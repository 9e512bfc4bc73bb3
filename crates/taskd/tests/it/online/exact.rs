//! Every call of a plan, asserted: how many, in which order, with which body.

use serde_json::Value;

use super::*;
use crate::provider::{Exact, Expected};

fn bodies(seen: &[Seen]) -> Vec<Value> {
    seen.iter().map(|it| serde_json::from_str(&it.body).expect("JSON")).collect()
}

/// Looks first, then does the work.
fn answers() -> Vec<Answer> {
    vec![Answer::Stream(vec![tool("run", &json!({"command": "ls"}))]), work()]
}

fn expected(bodies: &[Value]) -> Vec<Expected> {
    let both = bodies.iter().zip(answers());
    both.map(|(body, answer)| Expected { body: body.clone(), answer }).collect()
}

fn run_of(provider: &Provider) -> World {
    let world = one_loop(provider, "");
    over(&world);
    world
}

/// Proves AY-10.5: a second run of a plan makes the calls of the first, in their order, body for
/// body. A call that differs in one word fails with the place and both texts, and so does one too
/// many, and one that was expected and never came.
#[test]
fn calls_are_asserted_by_count_order_and_whole_body() {
    let first = Provider::new(|seen| answers()[seen.n].clone());
    run_of(&first);
    let bodies = bodies(&first.seen());
    assert_eq!(bodies.len(), 2);

    let same = Exact::new(expected(&bodies));
    let world = run_of(&same.provider);
    same.is_done();
    assert_eq!(world.row("p1.a").status, Status::Complete);

    let mut other = bodies.clone();
    other[1]["max_tokens"] = json!(7);
    let differs = Exact::new(expected(&other));
    run_of(&differs.provider);
    let is = &bodies[1]["max_tokens"];
    let wanted = [
        format!("call 2 is not the expected one: /max_tokens: expected 7, it is {is}"),
        "1 expected calls were never made".to_owned(),
    ];
    assert_eq!(differs.problems(), wanted);

    let short = Exact::new(expected(&bodies[..1]));
    run_of(&short.provider);
    let problems = short.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("call 2 is one too many: {"), "{problems:?}");

    let swapped = Exact::new(expected(&[bodies[1].clone(), bodies[0].clone()]));
    run_of(&swapped.provider);
    let problems = swapped.problems();
    assert!(problems[0].starts_with("call 1 is not the expected one: /messages/"), "{problems:?}");
}
