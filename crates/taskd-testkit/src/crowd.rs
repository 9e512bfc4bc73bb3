//! A coordinator with many loops at work, to time one input with.

use taskd_core::Coordinator;
use taskd_model::{
    Actor, Command, Digest, GateReport, Input, LandPolicy, Limits, LoopLimits, Oid, Outcome,
    PlanHead, Priority, ProjectId, SpecHead, Time, Worker,
};

/// Specs of one plan.
const PER_PLAN: u16 = 100;

/// A coordinator with about `loops` native loops, each with a step under way, and an input for one
/// of them.
///
/// # Panics
///
/// The core refuses what it should take.
#[must_use]
pub fn crowd(loops: u32) -> (Coordinator, Time, Input) {
    let mut core = Coordinator::default();
    let mut now = Time(1_000);
    let mut give = |input: Input| {
        now = now.plus_ms(1);
        core.handle(now, &input).expect("well-formed").start
    };
    let limits = Limits { loops, calls: loops, ..Limits::default() };
    give(Input::Limits(limits));
    let (git_dir, root) = ("/repo/.git".to_owned(), "/repo".to_owned());
    give(person(Command::AddProject { git_dir, root }));
    let checks = give(plan(0));
    let green = GateReport {
        green: true,
        summary: String::new(),
        log: Digest::of(b""),
        tests: None,
        ms: 1,
        facts: Box::default(),
        proof: None,
    };
    // The base is checked once; every plan begins there.
    let outcome = Outcome::BaseChecked(green);
    let started = give(Input::Ended { effect: checks[0], outcome });
    for n in 1..loops.div_ceil(u32::from(PER_PLAN)) {
        give(plan(n));
    }
    let outcome = Outcome::Prepared { salvaged: None };
    (core, now, Input::Ended { effect: started[0], outcome })
}

fn person(command: Command) -> Input {
    Input::Command { actor: Actor::Person { uid: 1, via: None }, command }
}

fn plan(n: u32) -> Input {
    let head = PlanHead {
        project: ProjectId(1),
        title: "many".to_owned(),
        target: "main".to_owned(),
        base: Oid::from_bytes([1; 20]),
        key: Digest::of(&n.to_le_bytes()),
        doc: Digest::of(b"doc"),
        gate: Digest::of(b"gate"),
        base_red_ok: false,
        land: LandPolicy::Ask,
        priority: Priority::Normal,
        budget_micros: 1_000_000_000,
        tokens: 0,
        time_ms: 1_000_000_000,
        specs: PER_PLAN,
        single: false,
    };
    let spec = |at: u16| SpecHead {
        name: format!("s{at}"),
        title: "one of many".to_owned(),
        needs: Vec::new(),
        doc: Digest::of(b"doc"),
        gate: Digest::of(b"gate"),
        accept: false,
        worker: Worker::Model("fast".to_owned()),
        fallback: Vec::new(),
        type_name: "ralph".to_owned(),
        left_out: Vec::new(),
        writes: None,
        parent: None,
        touches: Vec::new(),
        limits: LoopLimits::default(),
    };
    person(Command::SubmitPlan { head: Box::new(head), specs: (0..PER_PLAN).map(spec).collect() })
}
