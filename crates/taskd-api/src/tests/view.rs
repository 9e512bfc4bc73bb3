//! The view on the wire: nothing is lost, nothing is filled in.

use taskd_model::{
    AgentRun, Amount, AnswerView, Base, BodyKind, Change, ClosedView, Code, ContextUse,
    ContextView, DayView, Depth, Digest, Disk, DocumentView, Doing, EffectId, EffectKind,
    EffectView, Evidence, Fault, Found, GateProof, GateView, Inbox, InboxItem, InboxKind,
    Integration, IterationRow, LandPolicy, Landed, Ledger, Limit, Limits, LoopId, LoopLimits,
    LoopView, Note, Oid, OnConflict, Owner, PassedView, PlanId, PlanState, PlanView, Priority,
    ProjectId, ProjectView, QuestionView, QueueEntry, QueueOp, QueuePhase, Reason, RedRun,
    ReviewHead, ReviewView, Room, Seq, Spans, SpecId, Status, Suspicion, Tampered, TargetView,
    TestCounts, Time, Totals, Trouble, Usage, Verdict, Via, View, Worker,
};

use crate::{WireError, v1};

fn oid(n: u8) -> Oid {
    Oid::from_bytes([n; 20])
}

fn digest(n: u8) -> Digest {
    Digest::of(&[n])
}

fn id(n: u16) -> LoopId {
    LoopId { spec: SpecId { plan: PlanId(7), index: n }, run: 1 + n }
}

fn passed(change: Change) -> PassedView {
    let (checkpoint, tree, evidence) = (oid(5), oid(6), Seq(8));
    PassedView { checkpoint, tree, evidence, tests: None, change, at: Time(7) }
}

fn run() -> AgentRun {
    let mut run = AgentRun { processes: 7, judged: true, ..AgentRun::default() };
    run.remark(Code::AgentCommitted, "two commits");
    run.say("I did it.");
    run
}

fn context() -> ContextView {
    let window = Some(10);
    let of = ContextUse { window, turns_left_out: 11, outputs_left_out: 12, bytes_left_out: 13 };
    ContextView { tokens: 9, of }
}

fn usage() -> Usage {
    Usage {
        input: 1,
        output: 2,
        cache_read: 3,
        cache_write: 4,
        micros: 5,
        unpriced: 6,
        estimated: 11,
        input_micros: 7,
        output_micros: 8,
        cache_read_micros: 9,
        cache_write_micros: 10,
    }
}

fn landed() -> Landed {
    let evidence = Some(Evidence { seq: Seq(7), tree: oid(6) });
    Landed { commit: oid(8), onto: oid(9), at: Time(8), evidence }
}

fn gate() -> GateView {
    GateView {
        green: true,
        summary: "3 of 3".to_owned(),
        log: digest(1),
        tests: Some(3),
        ms: 39,
        at: Time(4),
        seq: Seq(5),
        proof: Some(Box::new(GateProof {
            gate: digest(2),
            environment: digest(3),
            tree: oid(4),
            exits: vec![0, -1],
            failed: vec!["a::b".to_owned()],
            earlier: vec![RedRun { log: digest(5), failed: vec!["c".to_owned()] }],
        })),
    }
}

fn plan(n: u32, land: LandPolicy, state: PlanState, priority: Priority) -> PlanView {
    let full = n == 7;
    PlanView {
        id: PlanId(n),
        title: "Rate limits".to_owned(),
        project: ProjectId(1),
        target: "main".to_owned(),
        land,
        priority,
        state,
        base: oid(1),
        base_red_ok: full,
        base_gate: full.then(gate),
        base_tests: full.then_some(3),
        integration: Integration { tip: oid(2), height: 3, target_height: 2 },
        refreshing: full.then_some(Seq(9)),
        budget_micros: 1,
        tokens: 9,
        time_ms: 2,
        spent: usage(),
        uncounted: full,
        gate_ms: full.then_some(7),
        submitted_at: Time(1),
        released_at: full.then_some(Time(2)),
        ended_at: full.then_some(Time(3)),
        single: full,
        trace: full.then(|| "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7".parse().unwrap()),
        specs: 17,
        landed: 1,
        totals: Totals([(Status::Running, 17), (Status::Draft, 0)].into()),
        key: digest(2),
        doc: digest(3),
        gate: digest(4),
        ledger: ledger(full),
    }
}

fn ledger(full: bool) -> Ledger {
    let mut it = Ledger::default();
    for (model, day) in
        [("a/b", 20_000), ("a/b", 20_001), ("c", 20_000)].into_iter().filter(|_| full)
    {
        it.book(model, day, &usage());
    }
    it
}

fn row(n: u32, verdict: Option<Verdict>) -> IterationRow {
    IterationRow {
        n,
        started_at: Time(1),
        verdict,
        summary: "2 of 219".to_owned(),
        log: verdict.map(|_| digest(5)),
        change: Change { files: 1, added: 2, removed: 3 },
        ms: 4,
        micros: 5,
    }
}

/// A day's budget, closed or not.
fn day(closed: bool) -> DayView {
    let closed = closed.then_some(ClosedView { until: Time(9), by: Seq(8) });
    let amount = |micros, tokens| Amount { micros, tokens };
    DayView { budget: amount(1, 2), day: 3, spent: amount(4, 5), closed }
}

fn limits(n: u16) -> LoopLimits {
    let conflict = if n.is_multiple_of(2) { OnConflict::Loop(2) } else { OnConflict::Block };
    LoopLimits {
        conflict,
        tokens: u64::from(n),
        same_failure: u32::from(n),
        turns: 7,
        ..LoopLimits::default()
    }
}

/// Loop `n`; every other one has everything that can be absent.
fn question(answer: Option<u16>) -> QuestionView {
    QuestionView {
        id: Seq(4),
        effect: EffectId(Seq(3)),
        n: 1,
        text: "sh test.sh".to_owned(),
        choices: vec!["yes".to_owned(), "no".to_owned()],
        at: Time(4),
        answer,
        free: answer.is_none(),
        deadline: answer.map(|_| Time(5)),
        default: answer.map(|_| "no".to_owned()),
        said: answer.map(|_| "no".to_owned()),
    }
}

fn inbox() -> Inbox {
    let item = |kind, n: u16, full: bool| InboxItem {
        id: Seq(u64::from(n)),
        kind,
        loop_id: id(n),
        what: "which?".to_owned(),
        choices: vec!["yes".to_owned()],
        free: full,
        since: Time(4),
        deadline: full.then_some(Time(5)),
        default: full.then(|| "yes".to_owned()),
        answer: full.then(|| AnswerView {
            uid: Some(1000),
            via: Some(Via::Tui),
            said: "yes".to_owned(),
            at: Time(6),
        }),
        closed_at: full.then_some(Time(7)),
    };
    let mut inbox = Inbox::default();
    for (n, kind) in (1..).zip(InboxKind::ALL) {
        inbox.open.insert(id(n), vec![item(kind, n, false)]);
        inbox.answered.push_back(item(kind, n, true));
    }
    inbox
}

fn suspicion(n: u16) -> Suspicion {
    let paths = vec!["test.sh".to_owned()];
    let tampered = Tampered { paths, files: 2, list: digest(9) };
    let counts = |run, skipped| TestCounts { run, skipped };
    Suspicion {
        tampered: n.is_multiple_of(4).then_some(tampered),
        tests: Some((counts(5, 0), counts(4, 1))),
    }
}

fn trouble() -> Trouble {
    let message = "429".to_owned();
    Trouble { message, at: Time(9), seq: Seq(9), fault: Some(Box::new(fault())) }
}

fn review() -> ReviewView {
    let head = ReviewHead { by: Worker::Agent("codex".to_owned()), blocks: true };
    let found = Found { count: 2, summary: "2 findings".to_owned(), log: digest(9) };
    let (iteration, readings, objections) = (3, 2, 1);
    ReviewView { head, asked: true, found: Some(found), iteration, readings, objections }
}

fn a_loop(n: u16, status: Status, doing: Doing, reason: Option<Reason>) -> LoopView {
    let full = n.is_multiple_of(2);
    let worker = if full { Worker::Model } else { Worker::Agent };
    let verdicts = [
        Verdict::Green,
        Verdict::Red,
        Verdict::Unchanged,
        Verdict::AgentFailed,
        Verdict::Conflict,
        Verdict::Objected,
    ];
    let rows = (1..).zip(verdicts.map(Some).into_iter().chain([None]));
    let change = Change { files: 3, added: 131, removed: 9 };
    LoopView {
        last_run: run(),
        review: full.then(review),
        id: id(n),
        name: format!("p7.spec{n}"),
        spec: format!("spec{n}"),
        title: "Title".to_owned(),
        type_name: "ralph".to_owned(),
        worker: worker("claude".to_owned()),
        instead_of: full.then(|| "anthropic/claude-sonnet-4-5".to_owned()),
        needs: vec![0, 1],
        touches: vec!["src/**".to_owned()],
        limits: limits(n),
        doc: digest(6),
        gate_key: digest(7),
        accept: full,
        accept_green: full.then_some(false),
        status,
        status_since: Time(3),
        reason: reason.clone(),
        reason_seq: full.then_some(Seq(4)),
        doing,
        doing_since: Time(5),
        pausing: full,
        stopping: !full,
        ending: reason.filter(|_| full),
        approval_asked: full.then_some(Time(6)),
        suspicion: full.then(|| suspicion(n)),
        held: full.then(|| "4 files changed".to_owned()),
        pull_request: full.then(|| "https://x/1".to_owned()),
        queue_entry: full.then_some(Seq(7)),
        iteration: 2,
        alike: 2,
        iterations: rows.map(|(n, verdict)| row(n, verdict)).collect(),
        base: Base { commit: oid(3), height: 9 },
        checkpoint: full.then(|| oid(4)),
        change,
        conflicts: 2,
        gate: full.then(gate),
        spent: usage(),
        uncounted: full,
        passed: full.then(|| passed(change)),
        integrated: full.then(|| oid(7)),
        landed: full.then(landed),
        undone: full.then(landed),
        trouble: full.then(trouble),
        counted: full.then_some(Depth::ByCall),
        session: full.then(|| "s1".to_owned()),
        questions: vec![question(full.then_some(1))],
        notes: vec![Note { at: Time(1), text: digest(8), rejects: full }],
        effects: [EffectId(Seq(3)), EffectId(Seq(5))].into(),
        started_at: full.then_some(Time(2)),
        ended_at: full.then_some(Time(3)),
        last_sign: Time(10),
        last_seq: Seq(11),
        spans: Spans { queue_ms: 1, call_ms: 2, gate_ms: 3, person_ms: 4 },
        spans_at: Time(12),
        calls: 5,
        failed_calls: 6,
        rebases: 7,
        flaked: 2,
        writes: true,
        parent: Some(3),
        document: Some(DocumentView {
            artifact: digest(9),
            children: 4,
            format: full.then_some(taskd_model::Format::Spec),
        }),
        context: full.then(context),
    }
}

fn doings() -> Vec<Doing> {
    let in_queue =
        [QueuePhase::Waiting, QueuePhase::Building, QueuePhase::Gating, QueuePhase::Publishing]
            .map(|phase| Doing::InQueue { landing: phase == QueuePhase::Gating, phase });
    let mut all = vec![
        Doing::NotStarted,
        Doing::Preparing,
        Doing::Accept,
        Doing::Composing,
        Doing::QueuedForModel,
        Doing::Calling,
        Doing::Tool("run".to_owned()),
        Doing::QueuedForAgent,
        Doing::Agent(None),
        Doing::Agent(Some(String::new())),
        Doing::Asks("sh test.sh".to_owned()),
        Doing::QueuedForGate,
        Doing::Gate { since: Time(1), estimate_ms: None },
        Doing::Gate { since: Time(1), estimate_ms: Some(2) },
        Doing::Rebasing,
        Doing::ReadyToLand,
        Doing::Held("why".to_owned()),
        Doing::Deferred { until: Time(3), why: "window".to_owned() },
        Doing::Idle,
    ];
    all.extend(in_queue);
    all
}

fn reasons() -> Vec<Reason> {
    let limits = [
        Limit::Iterations,
        Limit::Time,
        Limit::Budget,
        Limit::PlanBudget,
        Limit::PlanTime,
        Limit::Restarts,
    ];
    let mut all = vec![
        Reason::Released,
        Reason::Started,
        Reason::BaseMoved,
        Reason::Rebased,
        Reason::Person,
        Reason::Conflict,
        Reason::AcceptGreen,
        Reason::Malformed,
        Reason::Superseded,
        Reason::NoProgress(3),
        Reason::NeedFailed,
        Reason::BaseRed,
        Reason::Stuck("why".to_owned()),
        Reason::Done,
        Reason::AlreadyThere,
        Reason::Internal("what".to_owned()),
    ];
    all.extend(limits.map(Reason::Limit));
    all
}

fn effects() -> impl Iterator<Item = (EffectId, EffectView)> {
    let op = QueueOp::Land(id(1));
    let kinds = [
        EffectKind::CheckBase,
        EffectKind::Prepare,
        EffectKind::Accept,
        EffectKind::Compose,
        EffectKind::Call,
        EffectKind::Tool("run".to_owned()),
        EffectKind::Save,
        EffectKind::Agent,
        EffectKind::Relay("anthropic/claude-haiku-4-5".to_owned()),
        EffectKind::Gate,
        EffectKind::Decompose,
        EffectKind::Rebase(Base { commit: oid(1), height: 2 }),
        EffectKind::Build(op),
        EffectKind::GateCandidate(QueueOp::Integrate(id(2))),
        EffectKind::Publish(QueueOp::Refresh(PlanId(7))),
    ];
    let owners = [Owner::Loop(id(1)), Owner::Plan(PlanId(7)), Owner::Queue(ProjectId(1))];
    (1_u64..).zip(kinds.into_iter().zip(owners.into_iter().cycle())).map(|(n, (kind, owner))| {
        let activity = n.is_multiple_of(2).then(|| "cargo test".to_owned());
        (EffectId(Seq(n)), EffectView { owner, kind, since: Time(n), activity, used: usage() })
    })
}

/// A view in which every variant and every absence occurs.
pub(super) fn everything() -> View {
    let statuses = Status::ALL.into_iter().cycle();
    let some_reasons = reasons().into_iter().map(Some).chain([None]).cycle();
    let loops = (0..).zip(doings().into_iter().zip(statuses.zip(some_reasons)));
    let loops = loops.map(|(n, (doing, (status, reason)))| a_loop(n, status, doing, reason));
    let plans = [
        plan(7, LandPolicy::Never, PlanState::Checking, Priority::Low),
        plan(8, LandPolicy::Ask, PlanState::Open, Priority::Normal),
        plan(9, LandPolicy::OnGate, PlanState::Ended, Priority::High),
        plan(10, LandPolicy::OnGate, PlanState::Ended, Priority::Critical),
    ];
    let target = TargetView { tip: oid(1), height: 2 };
    let project = |forgotten| ProjectView {
        git_dir: "/r/.git".to_owned(),
        root: "/r".to_owned(),
        forgotten,
        targets: [("main".to_owned(), target)].into(),
        day: day(forgotten),
    };
    let entry = |op| QueueEntry { op, entered_at: Time(5), phase: QueuePhase::Gating };
    let queue = [
        (Seq(4), entry(QueueOp::Land(id(1)))),
        (Seq(6), entry(QueueOp::Undo(id(2)))),
        (Seq(9), entry(QueueOp::Refresh(PlanId(7)))),
    ];
    View {
        seq: Seq(99),
        at: Time(100),
        parked: true,
        daemon_version: "0.1.0".to_owned(),
        daemon_started_at: Time(1),
        limits: Some(Limits::default()),
        projects: [(ProjectId(1), project(false)), (ProjectId(2), project(true))].into(),
        plans: plans.into_iter().map(|it| (it.id, it)).collect(),
        loops: loops.map(|it| (it.id, it)).collect(),
        queue: [(ProjectId(1), queue.into())].into(),
        effects: effects().collect(),
        totals: Totals(Status::ALL.into_iter().zip(0..).collect()),
        day: day(true),
        inbox: inbox(),
        untold: [Seq(3), Seq(9)].into(),
        disk: Disk {
            room: Room::Low,
            free_bytes: 1,
            again_bytes: 2,
            used_bytes: 3,
            quota_bytes: 4,
            place: "/s".to_owned(),
        },
    }
}

#[test]
fn a_view_survives_the_wire() {
    for view in [everything(), View::default()] {
        let wire = v1::View::from(&view);
        let bytes = prost::Message::encode_to_vec(&wire);
        let read: v1::View = prost::Message::decode(bytes.as_slice()).unwrap();
        assert_eq!(View::try_from(read), Ok(view));
    }
}

#[test]
fn every_reason_survives_the_wire() {
    for reason in reasons() {
        let wire = v1::Reason::from(&reason);
        assert_eq!(wire.text, reason.to_string());
        assert_eq!(Reason::try_from(wire), Ok(reason));
    }
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    let error = |spoil: fn(&mut v1::View)| -> String {
        let mut wire = v1::View::from(&everything());
        spoil(&mut wire);
        let error: WireError = View::try_from(wire).unwrap_err();
        error.to_string()
    };
    assert!(error(|it| it.loops[0].status = 0).ends_with("Status is unknown: 0"));
    assert!(error(|it| it.loops[0].status = 77).ends_with("Status is unknown: 77"));
    assert!(error(|it| it.loops[0].base = None).ends_with("Loop.base is missing"));
    assert!(error(|it| it.plans[0].base = "xyz".to_owned()).contains("Plan.base \"xyz\""));
    assert!(error(|it| it.plans[0].specs = 70_000).ends_with("Plan.specs is out of range: 70000"));
}

fn fault() -> Fault {
    let some = |it: &str| Some(it.to_owned());
    Fault {
        provider: some("acme"),
        model: some("m-1"),
        status: Some(429),
        kind: some("rate_limit_error"),
        body: Some(BodyKind::Json),
        attempt: 2,
        elapsed_ms: 17,
        causes: vec!["one".to_owned(), "two".to_owned()],
        ..Fault::new(Code::RateLimited)
    }
}
