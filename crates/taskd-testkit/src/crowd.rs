//! A coordinator with many loops at work, to time one input with.

use taskd_core::Coordinator;
use taskd_model::{
    Actor, Change, Command, Digest, EffectId, GateReport, Input, LandPolicy, Limits, LoopLimits,
    Oid, Outcome, PlanHead, Priority, ProjectId, SpecHead, Time, Usage, Work, Worker,
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
    let many = || vec![Vec::new(); usize::from(PER_PLAN)];
    let checks = give(plan(0, LandPolicy::Ask, many()));
    // The base is checked once; every plan begins there.
    let outcome = Outcome::BaseChecked(green());
    let started = give(Input::Ended { effect: checks[0], outcome });
    for n in 1..loops.div_ceil(u32::from(PER_PLAN)) {
        give(plan(n, LandPolicy::Ask, many()));
    }
    let outcome = Outcome::Prepared { salvaged: None };
    (core, now, Input::Ended { effect: started[0], outcome })
}

/// A coordinator with one plan of native loops, each of which needs those named for it, and the check
/// of its base, which has not ended.
///
/// # Panics
///
/// The core refuses what it should take.
#[must_use]
pub fn graph(needs: Vec<Vec<u16>>) -> (Coordinator, Time, EffectId) {
    let mut core = Coordinator::default();
    let mut now = Time(1_000);
    let mut give = |input: Input| {
        now = now.plus_ms(1);
        core.handle(now, &input).expect("well-formed").start
    };
    let (loops, calls) = (10_000, 10_000);
    let (requests_per_minute, request_burst) = (1_000_000, 1_000_000);
    let limits = Limits { loops, calls, requests_per_minute, request_burst, ..Limits::default() };
    give(Input::Limits(limits));
    let (git_dir, root) = ("/repo/.git".to_owned(), "/repo".to_owned());
    give(person(Command::AddProject { git_dir, root }));
    let check = give(plan(0, LandPolicy::Never, needs))[0];
    (core, now, check)
}

/// What a step ends with that goes well.
///
/// # Panics
///
/// It is a step that the loops of [`graph`] never take.
#[must_use]
pub fn well(work: &Work, effect: EffectId) -> Outcome {
    let own = Digest::of(&effect.0.0.to_le_bytes());
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&own.as_bytes()[..20]);
    let (commit, tree) = (Oid::from_bytes(bytes), Oid::from_bytes(bytes));
    if matches!(work, Work::CheckBase { .. }) {
        Outcome::BaseChecked(green())
    } else if matches!(work, Work::Prepare { .. }) {
        Outcome::Prepared { salvaged: None }
    } else if matches!(work, Work::Compose) {
        let (tokens, worst_micros, worst_tokens) = (1, 0, 0);
        Outcome::Composed { request: own, tokens, worst_micros, worst_tokens, context: None }
    } else if matches!(work, Work::Call { .. }) {
        Outcome::Replied {
            reply: own,
            calls: Vec::new(),
            usage: Usage::default(),
            by: None,
            found: None,
        }
    } else if matches!(work, Work::Gate) {
        let change = Change { files: 1, ..Change::default() };
        Outcome::Gated { checkpoint: commit, tree, change, markers: 0, report: Some(green()) }
    } else if matches!(work, Work::Rebase { .. }) {
        Outcome::Rebased { checkpoint: commit, conflicts: 0, files: None }
    } else if matches!(work, Work::BuildCandidate { .. }) {
        Outcome::Built { commit, tree }
    } else if matches!(work, Work::GateCandidate { .. }) {
        Outcome::CandidateGated(green())
    } else if matches!(work, Work::Publish { .. }) {
        Outcome::Published
    } else {
        panic!("{work} is no step of these loops")
    }
}

fn green() -> GateReport {
    GateReport {
        green: true,
        summary: String::new(),
        log: Digest::of(b""),
        tests: None,
        ms: 1,
        facts: Box::default(),
        proof: None,
    }
}

fn person(command: Command) -> Input {
    Input::Command { actor: Actor::Person { uid: 1, via: None }, command }
}

fn plan(n: u32, land: LandPolicy, needs: Vec<Vec<u16>>) -> Input {
    let head = PlanHead {
        project: ProjectId(1),
        title: "many".to_owned(),
        target: "main".to_owned(),
        base: Oid::from_bytes([1; 20]),
        key: Digest::of(&n.to_le_bytes()),
        doc: Digest::of(b"doc"),
        gate: Digest::of(b"gate"),
        base_red_ok: false,
        land,
        priority: Priority::Normal,
        budget_micros: 1_000_000_000,
        tokens: 0,
        time_ms: 1_000_000_000,
        specs: u16::try_from(needs.len()).expect("few"),
        single: false,
        trace: None,
    };
    let spec = |(at, needs): (usize, Vec<u16>)| SpecHead {
        name: format!("s{at}"),
        title: "one of many".to_owned(),
        needs,
        doc: Digest::of(b"doc"),
        gate: Digest::of(b"gate"),
        accept: false,
        worker: Worker::Model("fast".to_owned()),
        fallback: Vec::new(),
        type_name: "ralph".to_owned(),
        left_out: Vec::new(),
        writes: None,
        parent: None,
        review: None,
        touches: Vec::new(),
        limits: LoopLimits::default(),
    };
    let specs = needs.into_iter().enumerate().map(spec).collect();
    person(Command::SubmitPlan { head: Box::new(head), specs })
}
