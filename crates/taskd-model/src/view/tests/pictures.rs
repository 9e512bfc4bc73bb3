//! The pictures of `run`, `ls` and `show`, told event by event.

use super::*;
use crate::{Doing, Group, Observation, PrepareMode, QueuePhase};

/// `taskd run "…" --agent claude`, from the base's gate to a person's word.
fn run() -> Story {
    let mut it = Story::with_single(LandPolicy::Ask);
    it.release(214);
    let (me, id) = (Owner::Loop(id(0)), id(0));
    let prepare = Work::Prepare { base: oid(1), mode: PrepareMode::Fresh };
    let ready = it.start(me, prepare);
    it.end(ready, Outcome::Prepared { salvaged: None });
    it.of(id, Event::IterationStarted { n: 1 });
    let agent =
        it.start(me, Work::Agent { prompt: digest("p"), cap_micros: 5_000_000, reader: None });
    let fact = Observation::Activity("edited src/limit.rs +88".to_owned());
    it.of(id, Event::EffectObserved { effect: agent, index: 0, fact });
    let fact = Observation::UsageSoFar(cost(100_000));
    it.of(id, Event::EffectObserved { effect: agent, index: 1, fact });
    it.after(200).end(agent, agent_done(0, Some(cost(410_000))));
    it.gate(id, red("2 of 219: limit::refill, limit::two_keys"), change(2, 88, 3));
    it.of(id, Event::IterationStarted { n: 2 });
    let agent =
        it.start(me, Work::Agent { prompt: digest("p"), cap_micros: 4_000_000, reader: None });
    it.after(180).end(agent, agent_done(0, Some(cost(430_000))));
    let moved = Event::MainMoved {
        target: "main".to_owned(),
        from: Some(oid(1)),
        to: oid(2),
        commits: 2,
        rewritten: false,
    };
    it.say(moved);
    it.bring(QueueOp::Refresh(P7), oid(3), oid(1));
    it.status(id, Status::Rebasing, Reason::BaseMoved);
    let rebase = it.start(me, Work::Rebase { onto: oid(3) });
    it.end(rebase, Outcome::Rebased { checkpoint: oid(41), conflicts: 0, files: None });
    it.status(id, Status::Running, Reason::Rebased);
    it.gate(id, green(221), change(3, 131, 9));
    it.of(id, Event::ApprovalAsked);
    it
}

#[test]
fn run_is_told_line_by_line() {
    let mut it = run();
    it.of(id(0), Event::Approved);
    it.bring(QueueOp::Land(id(0)), oid(5), oid(3));
    it.status(id(0), Status::Complete, Reason::Done);
    it.say(Event::PlanEnded { plan: P7 });
    let told = "\
p7      gate on untouched main: green, 214 tests
p7      worktree ready
p7      iteration 1/10
p7        edited src/limit.rs +88
p7        agent says it is done; that decides nothing
p7        gate RED                                2 of 219: limit::refill, limit::two_keys
p7      iteration 2/10, told about the 2 failures
p7        agent says it is done; that decides nothing
main    main moved +2
p7      took in the new main
p7        rebased onto 0303030, clean
p7        gate GREEN                              221 tests, 7 more than before, 39s
p7      ready to land: 3 files, +131 -9, 2 iterations, $0.84
p7      approved
p7      in the queue to land
p7      landed 0505050 on main                  gated on 0303030";
    assert_eq!(it.lines.join("\n"), told);
}

#[test]
fn ls_shows_what_is_ready_to_land() {
    let it = run();
    let it = it.it(0);
    assert_eq!(it.name, "p7");
    assert_eq!(it.group(), Group::NeedsYou);
    assert_eq!(it.doing, Doing::ReadyToLand);
    assert_eq!(it.change, change(3, 131, 9));
    assert_eq!(it.passed.as_ref().unwrap().tests, Some(221));
    assert_eq!(it.passed.as_ref().unwrap().change, change(3, 131, 9));
    assert_eq!(it.spent.micros, 840_000, "usage on the way counts once");
    assert_eq!((it.iteration, it.max()), (2, 10));
}

#[test]
fn show_lists_iterations() {
    let it = run();
    let rows: Vec<_> = it
        .it(0)
        .iterations
        .iter()
        .map(|row| (row.n, row.change.added, row.verdict, row.ms, row.micros))
        .collect();
    let first = (1, 88, Some(Verdict::Red), 239_000, 410_000);
    let second = (2, 131, Some(Verdict::Green), 219_000, 430_000);
    assert_eq!(rows, [first, second]);
    assert_eq!(it.it(0).iterations[0].log, Some(digest("red")));
    assert_eq!(it.it(0).iterations[0].summary, "2 of 219: limit::refill, limit::two_keys");
}

#[test]
fn behind_counts_what_the_base_lacks() {
    let mut it = Story::with_plan(LandPolicy::Ask, &[("a", &[]), ("b", &[]), ("c", &[])]);
    it.release(1);
    let behind = |it: &Story, n: u16| it.view.behind(it.it(n));
    assert_eq!(behind(&it, 0), 0);
    let main = |to, commits| {
        let target = "main".to_owned();
        Event::MainMoved { target, from: None, to, commits, rewritten: false }
    };
    it.say(main(oid(2), 2));
    it.say(main(oid(2), 2));
    assert_eq!(behind(&it, 0), 2, "the same tip twice is one move");
    it.bring(QueueOp::Refresh(P7), oid(3), oid(1));
    it.say(Event::IntegrationMoved { plan: P7, to: oid(3) });
    assert_eq!(behind(&it, 0), 2, "the integration ref has it, the loop has not");
    let rebase = it.start(Owner::Loop(id(0)), Work::Rebase { onto: oid(3) });
    it.end(rebase, Outcome::Rebased { checkpoint: oid(9), conflicts: 0, files: None });
    assert_eq!((behind(&it, 0), behind(&it, 1)), (0, 2));
    it.bring(QueueOp::Integrate(id(0)), oid(4), oid(3));
    assert_eq!((behind(&it, 0), behind(&it, 1)), (1, 3));
    let base = Work::Prepare { base: oid(4), mode: PrepareMode::Fresh };
    it.start(Owner::Loop(id(2)), base);
    assert_eq!(behind(&it, 2), 0);
    it.bring(QueueOp::Land(id(0)), oid(4), oid(2));
    assert_eq!((behind(&it, 1), behind(&it, 2)), (3, 0), "landing what they have changes nothing");
    assert_eq!(it.view.plans[&P7].landed, 1);
}

#[test]
fn ls_says_what_each_loop_does() {
    let mut it = Story::with_plan(LandPolicy::OnGate, &[("a", &[]), ("b", &[0])]);
    it.release(1);
    let me = Owner::Loop(id(0));
    assert_eq!(it.it(1).group(), Group::Waiting);
    let names: Vec<_> = it.view.waits_for(it.it(1)).map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["p7.a"]);
    let names: Vec<_> = it.view.unblocks(it.it(0)).map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["p7.b"]);

    let compose = it.start(me, Work::Compose);
    assert_eq!(it.it(0).doing, Doing::Composing);
    it.end(
        compose,
        Outcome::Composed {
            request: digest("r"),
            tokens: 9,
            worst_micros: 0,
            worst_tokens: 0,
            context: None,
        },
    );
    assert_eq!((&it.it(0).doing, it.it(0).group()), (&Doing::QueuedForAgent, Group::Waiting));
    let agent = it.start(me, Work::Agent { prompt: digest("r"), cap_micros: 1, reader: None });
    let fact = Observation::Activity("cargo test -p api".to_owned());
    it.of(id(0), Event::EffectObserved { effect: agent, index: 0, fact });
    assert_eq!(it.it(0).doing, Doing::Agent(Some("cargo test -p api".to_owned())));
    it.end(agent, agent_done(0, None));
    assert_eq!((&it.it(0).doing, it.it(0).uncounted), (&Doing::QueuedForGate, true));
    let gate = it.start(me, Work::Gate);
    let doing = Doing::Gate { since: Time(it.now), estimate_ms: Some(39_000) };
    assert_eq!((&it.it(0).doing, it.it(0).group()), (&doing, Group::Working));
    it.after(3);
    let fact = Observation::Activity("gate".to_owned());
    it.of(id(0), Event::EffectObserved { effect: gate, index: 0, fact });
    let doing = Doing::Gate { since: Time(it.now), estimate_ms: Some(39_000) };
    assert_eq!(it.it(0).doing, doing, "setup is not part of the gate");
}

#[test]
fn a_wait_for_a_time_shows_until_when() {
    let mut it = Story::with_single(LandPolicy::Ask);
    it.release(1);
    let agent = it.start(
        Owner::Loop(id(0)),
        Work::Agent { prompt: digest("r"), cap_micros: 1, reader: None },
    );
    let seq = it.end(agent, agent_done(1, None));
    let until = Time(9_999_999);
    it.of(id(0), Event::Deferred { until, why: "claude 5-hour window".to_owned() });
    assert_eq!(it.it(0).group(), Group::Waiting);
    assert_eq!(it.it(0).trouble.as_ref().map(|it| it.seq), Some(seq), "the evidence");
    it.of(id(0), Event::DeferralOver);
    assert_eq!(it.it(0).doing, Doing::QueuedForAgent);
}

#[test]
fn the_landing_queue_is_shown_in_order() {
    let mut it = Story::with_plan(LandPolicy::OnGate, &[("a", &[]), ("b", &[])]);
    it.release(1);
    for n in 0..2 {
        it.of(id(n), Event::QueueEntered { op: QueueOp::Land(id(n)) });
    }
    assert_eq!(it.view.queue_place(it.it(1)), Some((2, 2)));
    let op = QueueOp::Land(id(0));
    let queue = Owner::Queue(PROJECT);
    it.start(queue, Work::GateCandidate { op, commit: oid(5), tree: oid(6), with: Vec::new() });
    let doing = |phase| Doing::InQueue { landing: true, phase };
    assert_eq!(it.it(0).doing, doing(QueuePhase::Gating));
    assert_eq!(it.it(1).doing, doing(QueuePhase::Waiting));
    assert_eq!((it.it(0).group(), it.it(1).group()), (Group::Working, Group::Waiting));
    let end = QueueEnd::Held { why: "4 files changed".to_owned() };
    let entry = it.it(0).queue_entry.unwrap();
    it.of(id(0), Event::QueueLeft { entry, op, end });
    assert_eq!(it.it(0).doing, Doing::Held("4 files changed".to_owned()));
    assert_eq!(it.it(0).group(), Group::NeedsYou);
    assert_eq!(it.view.queue_place(it.it(1)), Some((1, 1)));
}
