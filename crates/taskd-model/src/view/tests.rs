//! Stories: events in, what people see out.

mod fold;
mod ledger;
mod pictures;
mod random;
mod resolve;
mod verdict;

use crate::{
    Actor, Change, Digest, EffectId, Event, Evidence, GateReport, LandPolicy, LoopId, LoopLimits,
    Oid, Outcome, Owner, PlanHead, PlanId, Priority, ProjectId, QueueEnd, QueueOp, Reason, Record,
    Seq, SpecHead, SpecId, Status, Time, ToolCall, Usage, Verdict, View, Work, Worker,
};

/// A log being told, the view of it, and the lines a person who follows it sees.
struct Story {
    view: View,
    log: Vec<Record>,
    lines: Vec<String>,
    now: u64,
}

impl Story {
    fn new() -> Self {
        let mut it =
            Self { view: View::default(), log: Vec::new(), lines: Vec::new(), now: 1_000_000 };
        it.say(Event::DaemonStarted { version: "0.1.0".to_owned() });
        let (git_dir, root) = ("/r/.git".to_owned(), "/r".to_owned());
        it.say(Event::ProjectAdded { id: PROJECT, git_dir, root });
        it.lines.clear();
        it
    }

    /// One with plan 7 of these specs: name and needs.
    fn with_plan(land: LandPolicy, specs: &[(&str, &[u16])]) -> Self {
        let mut it = Self::new();
        it.submit(7, land, specs, false);
        it
    }

    /// One with plan 7, submitted as one sentence.
    fn with_single(land: LandPolicy) -> Self {
        let mut it = Self::new();
        it.submit(7, land, &[("run", &[])], true);
        it
    }

    fn submit(&mut self, plan: u32, land: LandPolicy, specs: &[(&str, &[u16])], single: bool) {
        let plan = PlanId(plan);
        let head = PlanHead {
            project: PROJECT,
            title: "Rate limits".to_owned(),
            target: "main".to_owned(),
            base: oid(1),
            key: digest("key"),
            doc: digest("doc"),
            gate: digest("gate"),
            base_red_ok: false,
            land,
            priority: Priority::Normal,
            budget_micros: 20_000_000,
            tokens: 0,
            time_ms: 1_000,
            specs: u16::try_from(specs.len()).unwrap(),
            single,
            trace: None,
        };
        self.say(Event::PlanSubmitted { plan, head: Box::new(head) });
        for (index, (name, needs)) in (0..).zip(specs) {
            let head = spec_head(name, needs);
            let spec = SpecId { plan, index };
            self.of(LoopId { spec, run: 1 }, Event::SpecAdded { spec, head: Box::new(head) });
        }
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * 1_000;
        self
    }

    fn say(&mut self, event: Event) -> Seq {
        self.push(None, event)
    }

    fn of(&mut self, id: LoopId, event: Event) -> Seq {
        self.push(Some(id), event)
    }

    fn push(&mut self, loop_id: Option<LoopId>, event: Event) -> Seq {
        let seq = Seq(self.view.seq.0 + 1);
        let (at, project) = (Time(self.now), Some(PROJECT));
        let record = Record {
            seq,
            at,
            shard: 0,
            project,
            loop_id,
            v: 1,
            cause: None,
            actor: Actor::Core,
            event,
        };
        if let Some(line) = self.view.narrate(&record) {
            let indent = if line.within { "  " } else { "" };
            let text = format!("{:<8}{indent}{:<40}{}", line.name, line.text, line.detail);
            self.lines.push(text.trim_end().to_owned());
        }
        assert!(self.view.apply(&record), "{record} is new");
        assert!(!self.view.apply(&record), "{record} counts once");
        self.log.push(record);
        seq
    }

    fn start(&mut self, owner: Owner, work: Work) -> EffectId {
        let loop_id = if let Owner::Loop(id) = owner { Some(id) } else { None };
        EffectId(self.push(loop_id, Event::EffectStarted { owner, work }))
    }

    fn end(&mut self, effect: EffectId, outcome: Outcome) -> Seq {
        let owner = self.view.effects[&effect].owner;
        let loop_id = if let Owner::Loop(id) = owner { Some(id) } else { None };
        self.push(loop_id, Event::EffectEnded { effect, outcome })
    }

    fn status(&mut self, id: LoopId, to: Status, reason: Reason) {
        let from = self.view.loops[&id].status;
        self.of(id, Event::StatusChanged { from, to, reason });
    }

    /// Plan 7's base is green with so many tests, and its loops run.
    fn release(&mut self, tests: u32) {
        let check = self.start(Owner::Plan(P7), Work::CheckBase { base: oid(1) });
        self.after(41);
        let seq = self.end(check, Outcome::BaseChecked(green(tests)));
        let evidence = Some(Evidence { seq, tree: oid(99) });
        self.say(Event::PlanReleased { plan: P7, evidence, tests: Some(tests) });
        let ids: Vec<LoopId> = self.view.loops_of(P7).map(|it| it.id).collect();
        for id in ids {
            self.status(id, Status::Pending, Reason::Released);
            let ready = self.view.waits_for(&self.view.loops[&id]).next().is_none();
            if ready {
                self.status(id, Status::Running, Reason::Started);
            }
        }
    }

    /// The loop gates its tree, and its iteration ends so.
    fn gate(&mut self, id: LoopId, report: GateReport, change: Change) {
        let n = self.view.loops[&id].iteration;
        let gate = self.start(Owner::Loop(id), Work::Gate);
        self.after(39);
        let verdict = if report.green { Verdict::Green } else { Verdict::Red };
        let (tests, log, summary) = (report.tests, Some(report.log), report.summary.clone());
        let outcome = Outcome::Gated {
            checkpoint: oid(50),
            tree: oid(51),
            change,
            markers: 0,
            report: Some(report),
        };
        let seq = self.end(gate, outcome);
        self.of(id, Event::IterationEnded { n, verdict, summary, log, change, streak: None });
        if verdict == Verdict::Green {
            let evidence = Evidence { seq, tree: oid(51) };
            self.of(id, Event::Passed { checkpoint: oid(50), evidence, tests });
        }
    }

    /// The queue brings the loop's work where `op` says.
    fn bring(&mut self, op: QueueOp, commit: Oid, onto: Oid) {
        let entry = self.push(op.loop_id(), Event::QueueEntered { op });
        let evidence = Evidence { seq: Seq(1), tree: oid(51) };
        let end = QueueEnd::Done { commit, onto, evidence, with: Vec::new() };
        self.push(op.loop_id(), Event::QueueLeft { entry, op, end });
    }

    fn it(&self, index: u16) -> &super::LoopView {
        &self.view.loops[&id(index)]
    }
}

const PROJECT: ProjectId = ProjectId(1);
const P7: PlanId = PlanId(7);

/// First run of a spec of plan 7.
fn id(index: u16) -> LoopId {
    LoopId { spec: SpecId { plan: P7, index }, run: 1 }
}

fn oid(n: u8) -> Oid {
    Oid::from_bytes([n; 20])
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn spec_head(name: &str, needs: &[u16]) -> SpecHead {
    SpecHead {
        writes: None,
        parent: None,
        review: None,
        name: name.to_owned(),
        title: format!("Title of {name}"),
        needs: needs.to_vec(),
        doc: digest(name),
        gate: digest("gate"),
        accept: false,
        worker: Worker::Agent("claude".to_owned()),
        fallback: Vec::new(),
        type_name: "ralph".to_owned(),
        left_out: Vec::new(),
        touches: Vec::new(),
        limits: LoopLimits::default(),
    }
}

fn green(tests: u32) -> GateReport {
    let summary = format!("{tests} of {tests}");
    GateReport {
        green: true,
        summary,
        log: digest("green"),
        tests: Some(tests),
        ms: 39_000,
        facts: Box::default(),
        proof: None,
    }
}

fn red(summary: &str) -> GateReport {
    let summary = summary.to_owned();
    GateReport {
        green: false,
        summary,
        log: digest("red"),
        tests: Some(219),
        ms: 41_000,
        facts: Box::default(),
        proof: None,
    }
}

fn change(files: u32, added: u32, removed: u32) -> Change {
    Change { files, added, removed }
}

fn cost(micros: u64) -> Usage {
    Usage { micros, ..Usage::default() }
}

/// What uses something of each class.
fn classes(n: u64) -> Usage {
    Usage {
        input: n,
        output: 2 * n,
        cache_read: 3 * n,
        cache_write: 4 * n,
        micros: 5 * n,
        unpriced: u32::from(n == 7),
        estimated: u32::from(n == 7),
        input_micros: n,
        output_micros: n,
        cache_read_micros: n,
        cache_write_micros: n,
    }
}

fn call(name: &str) -> ToolCall {
    ToolCall { name: name.to_owned(), args: digest("args"), reads: true }
}

fn agent_done(exit: i32, usage: Option<Usage>) -> Outcome {
    let summary = if exit == 0 { "" } else { "limit reached" }.to_owned();
    Outcome::AgentDone {
        exit,
        summary,
        usage,
        checkpoint: oid(40),
        log: digest("agent"),
        run: Box::default(),
    }
}
