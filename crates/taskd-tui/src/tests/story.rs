//! A log being told to a monitor, event by event, as a daemon would.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, style::Color};
use taskd_api::Watched;
use taskd_model::{
    Actor, Change, Delta, Digest, EffectId, Event, Evidence, GateReport, LandPolicy, LoopId,
    LoopLimits, Observation, Oid, Outcome, Owner, PlanHead, PlanId, Priority, ProjectId, QueueEnd,
    QueueOp, Reason, Record, Seq, SpecHead, SpecId, Status, Time, Usage, Verdict, Work, Worker,
};

use crate::{App, Step};

pub(crate) const PROJECT: ProjectId = ProjectId(1);

/// A monitor, and the log it is told.
pub(crate) struct Story {
    pub(crate) app: App,
    /// Every record there was.
    pub(crate) log: Vec<Record>,
    /// The agent that works on p8.docs.
    pub(crate) agent: EffectId,
    seq: u64,
    pub(crate) now: u64,
}

impl Story {
    /// An attached monitor of a daemon that knows one project.
    pub(crate) fn new() -> Self {
        let (app, log, agent) = (App::new(""), Vec::new(), EffectId(Seq(0)));
        let mut it = Self { app, log, agent, seq: 0, now: 1_000_000 };
        it.app.on_watched(Watched::Connected { version: Some("0.1.0".to_owned()) });
        it.app.on_watched(Watched::View(Box::default()));
        it.say(Event::DaemonStarted { version: "0.1.0".to_owned() });
        let (git_dir, root) = ("/r/.git".to_owned(), "/r".to_owned());
        it.say(Event::ProjectAdded { id: PROJECT, git_dir, root });
        it
    }

    /// One with all four groups: p7 waits for a word, p8 works, waits and is done, p9 failed.
    pub(crate) fn busy() -> Self {
        let mut it = Self::new();
        it.plan(7, "limit every API key to 100 requests a minute", &["run"], &[]);
        it.attempt(at(7, 0), 1, false);
        it.attempt(at(7, 0), 2, true);
        it.of(at(7, 0), Event::ApprovalAsked);
        it.plan(9, "try the other allocator", &["run"], &[]);
        it.attempt(at(9, 0), 1, false);
        it.status(at(9, 0), Status::Failed, Reason::Limit(taskd_model::Limit::Iterations));
        let specs = ["metrics", "limiter", "docs", "headers"];
        it.plan(8, "Rate limits for the public API", &specs, &[1]);
        it.attempt(at(8, 0), 1, true);
        it.land(at(8, 0));
        it.of(at(8, 2), Event::IterationStarted { n: 1 });
        let (prompt, cap_micros) = (digest("prompt"), 1);
        let agent = it.start(at(8, 2), Work::Agent { prompt, cap_micros, reader: None });
        it.agent = agent;
        it.after(30);
        let fact = Observation::Activity("edit limits.md".to_owned());
        it.of(at(8, 2), Event::EffectObserved { effect: agent, index: 0, fact });
        it.of(at(8, 1), Event::IterationStarted { n: 1 });
        it.start(at(8, 1), Work::Gate);
        it.after(4);
        it.app.on_time(Time(it.now));
        it
    }

    pub(crate) fn after(&mut self, seconds: u64) {
        self.now += seconds * 1_000;
    }

    pub(crate) fn say(&mut self, event: Event) -> Seq {
        self.push(None, event)
    }

    pub(crate) fn of(&mut self, id: LoopId, event: Event) -> Seq {
        self.push(Some(id), event)
    }

    fn push(&mut self, loop_id: Option<LoopId>, event: Event) -> Seq {
        let record = self.record(loop_id, event);
        self.app.on_watched(Watched::Event(Box::new(record)));
        Seq(self.seq)
    }

    /// A record that the monitor is not told.
    pub(crate) fn record(&mut self, loop_id: Option<LoopId>, event: Event) -> Record {
        self.seq += 1;
        let record = Record {
            seq: Seq(self.seq),
            at: Time(self.now),
            shard: 0,
            project: Some(PROJECT),
            loop_id,
            v: 1,
            cause: None,
            actor: Actor::Core,
            event,
        };
        self.log.push(record.clone());
        record
    }

    /// A plan whose loops run, except the last of several: it needs those in `needs`.
    pub(crate) fn plan(&mut self, plan: u32, title: &str, specs: &[&str], needs: &[u16]) {
        let (id, single) = (PlanId(plan), specs.len() == 1);
        let head = plan_head(title, u16::try_from(specs.len()).unwrap(), single);
        self.say(Event::PlanSubmitted { plan: id, head: Box::new(head) });
        for (index, name) in (0..).zip(specs) {
            let last = usize::from(index) + 1 == specs.len();
            let head = Box::new(spec_head(name, title, if last { needs } else { &[] }));
            self.of(at(plan, index), Event::SpecAdded { spec: at(plan, index).spec, head });
        }
        let work = Work::CheckBase { base: oid(1) };
        let check = self.say(Event::EffectStarted { owner: Owner::Plan(id), work });
        self.after(41);
        let outcome = Outcome::BaseChecked(report(true));
        self.say(Event::EffectEnded { effect: EffectId(check), outcome });
        self.say(Event::PlanReleased { plan: id, evidence: None, tests: Some(214) });
        for index in 0..u16::try_from(specs.len()).unwrap() {
            self.status(at(plan, index), Status::Pending, Reason::Released);
            if usize::from(index) + 1 < specs.len() || needs.is_empty() {
                self.status(at(plan, index), Status::Running, Reason::Started);
            }
        }
    }

    /// One iteration of an agent, and what the gate said.
    fn attempt(&mut self, id: LoopId, n: u32, green: bool) {
        self.of(id, Event::IterationStarted { n });
        let agent =
            self.start(id, Work::Agent { prompt: digest("prompt"), cap_micros: 1, reader: None });
        self.after(200);
        let usage = Some(Usage { micros: 420_000, ..Usage::default() });
        let (checkpoint, log, run) = (oid(40), digest("agent"), Box::default());
        let outcome =
            Outcome::AgentDone { exit: 0, summary: String::new(), usage, checkpoint, log, run };
        self.of(id, Event::EffectEnded { effect: agent, outcome });
        let gate = self.start(id, Work::Gate);
        self.after(39);
        let change = Change { files: 3, added: 131, removed: 9 };
        let (report, tree) = (Some(report(green)), oid(51));
        let outcome = Outcome::Gated { checkpoint, tree, change, markers: 0, report };
        let seq = self.of(id, Event::EffectEnded { effect: gate, outcome });
        let verdict = if green { Verdict::Green } else { Verdict::Red };
        let (summary, log) = (report_summary(green), None);
        self.of(id, Event::IterationEnded { n, verdict, summary, log, change, streak: None });
        if green {
            let evidence = Evidence { seq, tree };
            self.of(id, Event::Passed { checkpoint, evidence, tests: Some(221) });
        }
    }

    fn land(&mut self, id: LoopId) {
        let op = QueueOp::Land(id);
        let entry = self.of(id, Event::QueueEntered { op });
        let evidence = Evidence { seq: Seq(1), tree: oid(51) };
        let (commit, onto) = (oid(0x9c), oid(1));
        let end = QueueEnd::Done { commit, onto, evidence, with: Vec::new() };
        self.of(id, Event::QueueLeft { entry, op, end });
        self.status(id, Status::Complete, Reason::Done);
    }

    pub(crate) fn start(&mut self, id: LoopId, work: Work) -> EffectId {
        EffectId(self.of(id, Event::EffectStarted { owner: Owner::Loop(id), work }))
    }

    pub(crate) fn status(&mut self, id: LoopId, to: Status, reason: Reason) {
        let from = self.app.view().loops[&id].status;
        self.of(id, Event::StatusChanged { from, to, reason });
    }

    pub(crate) fn noise(&mut self, name: &str, effect: u64, delta: Delta) {
        let (name, effect) = (name.to_owned(), EffectId(Seq(effect)));
        self.app.on_watched(Watched::Delta { name, effect, delta });
    }

    pub(crate) fn key(&mut self, code: KeyCode) -> Step {
        self.app.on_key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    pub(crate) fn keys(&mut self, keys: &str) -> Step {
        let mut step = Step::GoOn;
        for it in keys.chars() {
            step = self.key(KeyCode::Char(it));
        }
        step
    }

    /// Some cell of the picture has a colour.
    pub(crate) fn has_colours(&mut self, columns: u16, rows: u16) -> bool {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| self.app.draw(frame)).unwrap();
        let cells = terminal.backend().buffer().content();
        cells.iter().any(|it| it.fg != Color::Reset || it.bg != Color::Reset)
    }

    /// What is seen, without the spaces at the ends of lines.
    pub(crate) fn screen(&mut self, columns: u16, rows: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| self.app.draw(frame)).unwrap();
        let text = terminal.backend().to_string();
        // Behind a line with wide characters stands which cells they hide.
        let seen = |it: &str| it.split("\" Hidden by").next().unwrap_or_default().to_owned();
        let lines = text.lines().map(|it| seen(it).trim_matches('"').trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// First run of a spec.
pub(crate) fn at(plan: u32, index: u16) -> LoopId {
    LoopId { spec: SpecId { plan: PlanId(plan), index }, run: 1 }
}

fn plan_head(title: &str, specs: u16, single: bool) -> PlanHead {
    PlanHead {
        project: PROJECT,
        title: title.to_owned(),
        target: "main".to_owned(),
        base: oid(1),
        key: digest("key"),
        doc: digest("doc"),
        gate: digest("gate"),
        base_red_ok: false,
        land: LandPolicy::Ask,
        priority: Priority::Normal,
        budget_micros: 20_000_000,
        tokens: 0,
        time_ms: 1_000,
        specs,
        single,
        trace: None,
    }
}

fn spec_head(name: &str, title: &str, needs: &[u16]) -> SpecHead {
    SpecHead {
        writes: None,
        parent: None,
        review: None,
        name: name.to_owned(),
        title: title.to_owned(),
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

fn report(green: bool) -> GateReport {
    let summary = report_summary(green);
    GateReport {
        green,
        summary,
        log: digest("log"),
        tests: Some(221),
        ms: 39_000,
        facts: Box::default(),
        proof: None,
    }
}

fn report_summary(green: bool) -> String {
    if green { "221 of 221" } else { "2 of 219: limit::refill, limit::two_keys" }.to_owned()
}

fn oid(n: u8) -> Oid {
    Oid::from_bytes([n; 20])
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}
