//! The pictures of the command line, whole, as golden transcripts.
//!
//! Views are told event by event where that is short, and set by hand where it is not.

mod money;
mod pictures;
mod run;
mod waits;

use jiff::tz::TimeZone;
use taskd_model::{
    Actor, Change, Digest, EffectId, Event, LandPolicy, Limits, LoopId, LoopLimits, LoopView, Oid,
    Outcome, Owner, PassedView, PlanHead, PlanId, Priority, ProjectId, Reason, Record, Seq,
    SpecHead, SpecId, Status, Time, Usage, View, Work, Worker,
};

use super::Scene;

/// Friday, 2026-11-20 13:21:00 UTC.
const NOW: u64 = 1_795_180_860_000;

const PROJECT: ProjectId = ProjectId(1);

fn scene(width: usize) -> Scene {
    let home = "/h/me".to_owned();
    Scene { now: Time(NOW), is_past: false, width, colour: false, zone: TimeZone::UTC, home }
}

fn ago(seconds: u64) -> Time {
    Time(NOW - seconds * 1_000)
}

fn oid(text: &str) -> Oid {
    format!("{text:0<40}").parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn id(plan: u32, index: u16) -> LoopId {
    LoopId { spec: SpecId { plan: PlanId(plan), index }, run: 1 }
}

/// A view being told.
struct Story {
    view: View,
    now: u64,
    /// What a person who follows plan 7 sees.
    lines: String,
}

impl Story {
    fn new() -> Self {
        let mut it = Self { view: View::default(), now: NOW - 7_200_000, lines: String::new() };
        it.say(Event::DaemonStarted { version: "0.1.0".to_owned() });
        it.say(Event::LimitsSet { limits: Limits::default() });
        let root = "/h/me/src/gate".to_owned();
        it.say(Event::ProjectAdded { id: PROJECT, git_dir: format!("{root}/.git"), root });
        it
    }

    fn push(&mut self, loop_id: Option<LoopId>, event: Event) -> Seq {
        let seq = Seq(self.view.seq.0 + 1);
        let record = Record {
            seq,
            at: Time(self.now),
            shard: 0,
            project: Some(PROJECT),
            loop_id,
            v: 1,
            cause: None,
            actor: Actor::Core,
            event,
        };
        if let Some(line) = super::lines::line(&self.view, &record, PlanId(7), &scene(80)) {
            self.lines.push_str(&line);
        }
        self.view.apply(&record);
        seq
    }

    fn say(&mut self, event: Event) -> Seq {
        self.push(None, event)
    }

    fn of(&mut self, id: LoopId, event: Event) -> Seq {
        self.push(Some(id), event)
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * 1_000;
        self
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

    /// A plan of specs with needs; one spec is a plan that came as a sentence.
    fn plan(&mut self, plan: u32, title: &str, specs: &[(&str, &str, &[u16])]) {
        let (plan, single) = (PlanId(plan), specs.len() == 1);
        let head = PlanHead {
            project: PROJECT,
            title: title.to_owned(),
            target: "main".to_owned(),
            base: oid("91bc4de"),
            key: digest("key"),
            doc: digest("doc"),
            gate: digest("gate"),
            base_red_ok: false,
            land: LandPolicy::Ask,
            priority: Priority::Normal,
            budget_micros: 10_000_000,
            tokens: 0,
            time_ms: 21_600_000,
            specs: u16::try_from(specs.len()).unwrap(),
            single,
            trace: None,
        };
        self.say(Event::PlanSubmitted { plan, head: Box::new(head) });
        for (index, (name, title, needs)) in (0..).zip(specs) {
            let head = SpecHead {
                writes: None,
                parent: None,
                review: None,
                name: (*name).to_owned(),
                title: (*title).to_owned(),
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
            };
            let spec = SpecId { plan, index };
            self.of(LoopId { spec, run: 1 }, Event::SpecAdded { spec, head: Box::new(head) });
        }
    }

    fn release(&mut self, plan: u32) {
        self.say(Event::PlanReleased { plan: PlanId(plan), evidence: None, tests: None });
    }

    /// Sets what would take many events.
    fn set(&mut self, id: LoopId, how: impl FnOnce(&mut LoopView)) {
        how(self.view.loops.get_mut(&id).unwrap());
    }
}

/// A running loop in this iteration that has spent so much.
fn running(iteration: u32, cents: u64, sign: Time) -> impl FnOnce(&mut LoopView) {
    move |it| {
        it.status = Status::Running;
        it.status_since = ago(1_440);
        it.started_at = Some(ago(1_440));
        it.iteration = iteration;
        it.spent = Usage { micros: cents * 10_000, ..Usage::default() };
        it.last_sign = sign;
    }
}

fn passed(change: Change, tests: u32, at: Time) -> PassedView {
    PassedView {
        checkpoint: oid("50"),
        tree: oid("51"),
        evidence: Seq(9),
        tests: Some(tests),
        change,
        at,
    }
}

fn change(files: u32, added: u32, removed: u32) -> Change {
    Change { files, added, removed }
}
