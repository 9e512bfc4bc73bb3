//! `taskd run`, from its head to the three lines that ask; `plan check` and its problems.

use taskd_api::v1;
use taskd_model::{
    Evidence, GateReport, Observation, Outcome, PrepareMode, QueueEnd, QueueOp, Verdict,
    WaitVerdict,
};

use super::*;
use crate::render::{lines, submit};

fn answer() -> v1::SubmitResponse {
    v1::SubmitResponse {
        plan: Some(7),
        title: "limit every API key to 100 requests a minute".to_owned(),
        target: "main".to_owned(),
        base: oid("3f2a91c").to_string(),
        dirty: 4,
        gate: "cargo test --workspace".to_owned(),
        gate_origin: ".taskd/config.toml".to_owned(),
        worker: "claude".to_owned(),
        limits: Some((&LoopLimits::default()).into()),
        plan_budget_micros: 20_000_000,
        plan_time_ms: 21_600_000,
        land: v1::LandPolicy::Ask.into(),
        land_mode: "squash".to_owned(),
        payers: vec![v1::Payer {
            worker: "claude".to_owned(),
            kind: v1::PayerKind::Login.into(),
            ..v1::Payer::default()
        }],
        ..v1::SubmitResponse::default()
    }
}

fn report(green: bool, summary: &str, tests: u32) -> GateReport {
    let summary = summary.to_owned();
    GateReport {
        green,
        summary,
        log: digest("log"),
        tests: Some(tests),
        ms: 39_000,
        facts: Box::default(),
        proof: None,
    }
}

/// One iteration: an agent that says something and ends, then the gate.
fn iteration(it: &mut Story, n: u32, says: &str, report: GateReport, change: Change) {
    let (id, me) = (id(7, 0), Owner::Loop(id(7, 0)));
    it.of(id, Event::IterationStarted { n });
    let agent =
        it.start(me, Work::Agent { prompt: digest("p"), cap_micros: 5_000_000, reader: None });
    let fact = Observation::Activity(says.to_owned());
    it.after(151).of(id, Event::EffectObserved { effect: agent, index: 0, fact });
    let outcome = Outcome::AgentDone {
        exit: 0,
        summary: String::new(),
        usage: Some(Usage { micros: 420_000, ..Usage::default() }),
        checkpoint: oid("40"),
        log: digest("agent"),
        run: Box::default(),
    };
    it.after(103).of(id, Event::EffectEnded { effect: agent, outcome });
    if n == 2 {
        let target = "main".to_owned();
        let to = oid("91bc4de");
        it.say(Event::MainMoved { target, from: None, to, commits: 2, rewritten: false });
        let entry = it.say(Event::QueueEntered { op: QueueOp::Refresh(PlanId(7)) });
        let evidence = Evidence { seq: Seq(1), tree: oid("51") };
        let (commit, onto) = (oid("a0"), oid("3f"));
        let end = QueueEnd::Done { commit, onto, evidence, with: Vec::new() };
        it.say(Event::QueueLeft { entry, op: QueueOp::Refresh(PlanId(7)), end });
    }
    let gate = it.start(me, Work::Gate);
    let green = report.green;
    let (summary, log, tests) = (report.summary.clone(), Some(report.log), report.tests);
    let outcome = Outcome::Gated {
        checkpoint: oid("50"),
        tree: oid("51"),
        change,
        markers: 0,
        report: Some(report),
    };
    let seq = it.after(41).of(id, Event::EffectEnded { effect: gate, outcome });
    let verdict = if green { Verdict::Green } else { Verdict::Red };
    it.of(id, Event::IterationEnded { n, verdict, summary, log, change, streak: None });
    if green {
        let evidence = Evidence { seq, tree: oid("51") };
        it.of(id, Event::Passed { checkpoint: oid("50"), evidence, tests });
    }
}

#[test]
fn run_from_head_to_question() {
    let label = "agent".to_owned();
    let who = submit::Who { label, detached: false };
    let mut it = Story::new();
    it.plan(7, "limit every API key to 100 requests a minute", &[("task", "limit", &[])]);
    it.plan(8, "somebody else's", &[("a", "A", &[]), ("b", "B", &[])]);
    let check = it.start(Owner::Plan(PlanId(7)), Work::CheckBase { base: oid("3f2a91c") });
    let outcome = Outcome::BaseChecked(report(true, "214 of 214", 214));
    let seq = it.after(41).say(Event::EffectEnded { effect: check, outcome });
    let evidence = Some(Evidence { seq, tree: oid("99") });
    it.say(Event::PlanReleased { plan: PlanId(7), evidence, tests: Some(214) });
    for (from, to, reason) in [
        (Status::Draft, Status::Pending, Reason::Released),
        (Status::Pending, Status::Running, Reason::Started),
    ] {
        it.of(id(7, 0), Event::StatusChanged { from, to, reason });
    }
    let prepare = Work::Prepare { base: oid("3f2a91c"), mode: PrepareMode::Fresh };
    let ready = it.start(Owner::Loop(id(7, 0)), prepare);
    it.of(
        id(7, 0),
        Event::EffectEnded { effect: ready, outcome: Outcome::Prepared { salvaged: None } },
    );
    it.of(id(8, 0), Event::NoteAdded { note: digest("not ours"), now: false });
    let says =
        "edited src/limit.rs +88, src/server.rs +12 -4, and so many more files that it is long";
    iteration(
        &mut it,
        1,
        says,
        report(false, "2 of 219: limit::refill, limit::two_keys", 219),
        change(2, 88, 3),
    );
    iteration(
        &mut it,
        2,
        "ran cargo test -p api",
        report(true, "221 of 221", 221),
        change(3, 131, 9),
    );
    it.of(id(7, 0), Event::ApprovalAsked);
    assert_eq!(it.view.wait_plan(PlanId(7)), Some(WaitVerdict::NeedsYou));
    let head = submit::head(&answer(), &who, &scene(80));
    let asked = lines::needs_you(&it.view, PlanId(7));
    insta::assert_snapshot!(format!("{head}\n{}\n{asked}", it.lines), @r#"
p7  limit every API key to 100 requests a minute
    from    main 3f2a91c; your 4 uncommitted files stay yours, not included
    agent   claude, its own login pays (no API key is handed on)
    gate    cargo test --workspace        from .taskd/config.toml
    limits  10 iterations, 2h, $5.00      landing: asks you first
    Ctrl-C leaves it running. `taskd stop p7` ends it and keeps the work.

 0:41  gate on untouched main: green, 214 tests
 0:41  worktree ready
 0:41  iteration 1/10
 3:12    edited src/limit.rs +88, src/server.rs +12 -4, and so many more files …
 4:55    agent says it is done; that decides nothing
 5:36    gate RED    2 of 219: limit::refill, limit::two_keys
 5:36  iteration 2/10, told about the 2 failures
 8:07    ran cargo test -p api
 9:50    agent says it is done; that decides nothing
 9:50  main moved +2
 9:50  took in the new main
10:31    gate GREEN  221 tests, 7 more than before, 39s
10:31  ready to land: 3 files, +131 -9, 2 iterations, $0.84

? needs you   read   taskd diff p7
              land   taskd land p7
              redo   taskd reject p7 -m "what is wrong"
"#);
}

#[test]
fn several_specs_are_told_by_name() {
    let mut it = Story::new();
    it.plan(7, "Rate limits", &[("limiter", "A", &[]), ("headers", "B", &[0])]);
    it.release(7);
    it.after(5).of(id(7, 0), Event::IterationStarted { n: 1 });
    let why = "claude 5-hour window".to_owned();
    it.after(5).of(id(7, 0), Event::Deferred { until: Time(NOW + 39 * 60_000), why });
    let message = "cannot start the agent: no such file or directory; it is looked for on the PATH \
                   of the submission";
    let blocked = Reason::Stuck(message.to_owned());
    let (from, to) = (Status::Running, Status::Blocked);
    it.after(5).of(id(7, 0), Event::StatusChanged { from, to, reason: blocked });
    let asked = lines::needs_you(&it.view, PlanId(7));
    insta::assert_snapshot!(format!("{}\n{asked}", it.lines), @r#"
 0:00  p7          released    the untouched base need not be green
 0:05  limiter     iteration 1/10
 0:10  limiter     waits: claude 5-hour window, until 14:00
 0:15  limiter     needs you: cannot start the agent: no such file or
           directory; it is looked for on the PATH of the submission

? needs you   why    taskd why p7.limiter
              go on  taskd resume p7.limiter
              end    taskd stop p7.limiter
"#);
}

#[test]
fn endings_say_what_to_do() {
    let mut it = Story::new();
    it.plan(7, "x", &[("task", "x", &[])]);
    let ended = |verdict| lines::ended(&it.view, PlanId(7), verdict);
    insta::assert_snapshot!(
        [WaitVerdict::Landed, WaitVerdict::Passed, WaitVerdict::Failed, WaitVerdict::Limit, WaitVerdict::Stopped]
            .map(ended)
            .concat(),
        @r#"
passed, and lands nowhere.  taskd diff p7
failed.  taskd why p7   taskd logs p7
limit reached.  taskd why p7   taskd logs p7
stopped; the work is kept.  taskd diff p7
"#
    );
}

#[test]
fn plan_check_draws_the_graph() {
    let row = |name: &str, title: &str, needs: &[&str], accept: &[&str], red| v1::GraphRow {
        name: name.to_owned(),
        title: title.to_owned(),
        needs: needs.iter().map(|it| (*it).to_owned()).collect(),
        worker: "claude".to_owned(),
        accept: accept.iter().map(|it| (*it).to_owned()).collect(),
        accept_red: red,
    };
    let graph = vec![
        row("limiter", "Token bucket per API key", &[], &["cargo test -p limit"], Some(true)),
        row("headers", "Tell clients what is left", &["limiter"], &[], None),
        row("docs", "Document limits", &["limiter", "headers"], &[], None),
    ];
    let answer =
        v1::SubmitResponse { graph, dirty: 0, title: "Rate limits".to_owned(), ..answer() };
    insta::assert_snapshot!(submit::check(&answer, &scene(80)), @r#"
Rate limits  3 specs
    from    main 3f2a91c
    gate    cargo test --workspace        from .taskd/config.toml
    limits  $20.00, 6h in all             landing: asks you first

SPEC     TITLE                      AFTER             WORKER  ACCEPT
limiter  Token bucket per API key                     claude  red
headers  Tell clients what is left  limiter           claude
docs     Document limits            limiter, headers  claude

nothing was stored
"#);
}

#[test]
fn problems_name_their_place() {
    let problem = |line, column, message: &str, hint: &str, warning| {
        let (message, hint) = (message.to_owned(), hint.to_owned());
        v1::Problem { line, column, message, hint, warning }
    };
    let problems = vec![
        problem(3, 7, "unknown key `agnet`", "did you mean `agent`?", false),
        problem(
            0,
            0,
            "no gate is set; Cargo.toml suggests `cargo test`",
            "--gate 'cargo test'",
            false,
        ),
        problem(9, 1, "`docs` has no text", "", true),
    ];
    let answer = v1::SubmitResponse { problems, ..v1::SubmitResponse::default() };
    insta::assert_snapshot!(submit::problems(&answer, "plan.md"), @r#"
error: plan.md:3:7: unknown key `agnet`
hint: did you mean `agent`?
error: plan.md: no gate is set; Cargo.toml suggests `cargo test`
hint: --gate 'cargo test'
warning: plan.md:9:1: `docs` has no text
"#);
}
