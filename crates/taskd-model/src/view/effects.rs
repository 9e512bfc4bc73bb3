//! The fold of effects: what runs, what it spends, and what its end says about its loop.
//!
//! A lost effect has no end in the log: the next [`crate::Event::DaemonStarted`] is the loss of
//! its place, and it counts what it said it used until then.

use std::mem;

use crate::{
    AgentRun, EffectId, Fault, GateReport, LoopId, Observation, Outcome, Owner, PlanId, ProjectId,
    QueueOp, Record, Time, Usage, Work, day_of,
};

use super::{
    Base, ContextView, DocumentView, Doing, EffectKind, EffectView, GateView, LoopView,
    QuestionView, QueuePhase, Trouble, View,
};

/// The tool that ends an iteration's turns; it is no effect.
const FINISH: &str = "finish";

impl View {
    /// A new life: whatever ran in the one before is lost with its place.
    pub(super) fn daemon_started(&mut self, version: &str, record: &Record) {
        version.clone_into(&mut self.daemon_version);
        self.daemon_started_at = record.at;
        for (id, open) in mem::take(&mut self.effects) {
            match open.owner {
                Owner::Loop(owner) => {
                    if let Some(it) = self.loops.get_mut(&owner) {
                        it.effects.remove(&id);
                        it.forget_questions(id);
                        it.rest(record.at);
                    }
                }
                Owner::Queue(id) => self.candidate_over(id, &open.kind, record.at),
                Owner::Plan(_) => {}
            }
        }
    }

    pub(super) fn effect_started(&mut self, owner: Owner, work: &Work, record: &Record) {
        let id = EffectId(record.seq);
        let at = record.at;
        let effect = EffectView {
            owner,
            kind: self.kind(owner, work),
            since: at,
            activity: None,
            used: Usage::default(),
        };
        match owner {
            Owner::Loop(owner) => self.loop_effect_started(owner, id, &effect, work, at),
            Owner::Queue(_) => {
                if let Some(phase) = phase(&effect.kind) {
                    self.candidate_phase(&effect.kind, phase, at);
                }
                if let Work::GateCandidate { with, .. } = work {
                    for below in with {
                        self.queue_phase(QueueOp::Land(*below), QueuePhase::Gating, at);
                    }
                }
            }
            Owner::Plan(_) => {}
        }
        self.effects.insert(id, effect);
        if let Owner::Loop(owner) = owner {
            self.touch(owner, record);
        }
    }

    fn kind(&self, owner: Owner, work: &Work) -> EffectKind {
        match work {
            Work::CheckBase { .. } => EffectKind::CheckBase,
            Work::Prepare { .. } => EffectKind::Prepare,
            Work::AcceptBefore => EffectKind::Accept,
            Work::Compose => EffectKind::Compose,
            Work::Call { .. } => EffectKind::Call,
            Work::Tool { name, .. } => EffectKind::Tool(name.clone()),
            Work::Save { .. } => EffectKind::Save,
            Work::Agent { .. } => EffectKind::Agent,
            Work::Relay(it) => EffectKind::Relay(it.bucket.clone()),
            Work::Answer(it) => EffectKind::Answer(it.call.bucket.clone()),
            Work::Gate => EffectKind::Gate,
            Work::Decompose { .. } => EffectKind::Decompose,
            Work::Rebase { onto } => {
                let height = match owner {
                    Owner::Loop(id) => self.height_of(id.plan(), *onto),
                    Owner::Plan(_) | Owner::Queue(_) => None,
                };
                EffectKind::Rebase(Base { commit: *onto, height: height.unwrap_or(0) })
            }
            Work::BuildCandidate { op, .. } => EffectKind::Build(*op),
            Work::GateCandidate { op, .. } => EffectKind::GateCandidate(*op),
            Work::Publish { op, .. } => EffectKind::Publish(*op),
        }
    }

    fn loop_effect_started(
        &mut self,
        owner: LoopId,
        id: EffectId,
        effect: &EffectView,
        work: &Work,
        at: Time,
    ) {
        let height = if let Work::Prepare { base, .. } = work {
            self.height_of(owner.plan(), *base)
        } else {
            None
        };
        let plan_gate_ms = self.plans.get(&owner.plan()).and_then(|it| it.gate_ms);
        let Some(it) = self.loops.get_mut(&owner) else { return };
        it.effects.insert(id);
        if matches!(work, Work::Call { .. } | Work::Agent { .. }) {
            it.calls = it.calls.saturating_add(1);
        }
        if let Work::Prepare { base, .. } = work
            && it.base.commit != *base
        {
            it.base = Base { commit: *base, height: height.unwrap_or(it.base.height) };
        }
        if let Some(doing) = it.doing_of(effect, plan_gate_ms) {
            it.doing(doing, at);
        }
    }

    pub(super) fn effect_observed(&mut self, id: EffectId, fact: &Observation, record: &Record) {
        let Some(mut open) = self.effects.remove(&id) else { return };
        if let Observation::UsageSoFar(used) = fact {
            self.spend(&mut open, *used, record.at);
        }
        if let Observation::Activity(text) = fact {
            open.activity = Some(text.clone());
        }
        if let Owner::Loop(owner) = open.owner {
            if let Some(it) = self.loops.get_mut(&owner) {
                it.observe((id, &open), fact, record);
            }
            self.touch(owner, record);
        }
        self.effects.insert(id, open);
    }

    pub(super) fn effect_ended(&mut self, id: EffectId, outcome: &Outcome, record: &Record) {
        let Some(mut open) = self.effects.remove(&id) else { return };
        self.spend(&mut open, outcome.usage(), record.at);
        match open.owner {
            Owner::Loop(owner) => {
                self.loop_effect_ended(owner, id, &open, outcome, record);
                self.touch(owner, record);
            }
            Owner::Plan(plan) => self.base_checked(plan, outcome, record),
            Owner::Queue(id) => self.candidate_over(id, &open.kind, record.at),
        }
    }

    fn base_checked(&mut self, plan: PlanId, outcome: &Outcome, record: &Record) {
        let Some(plan) = self.plans.get_mut(&plan) else { return };
        if let Outcome::BaseChecked(report) = outcome {
            plan.gate_ms = Some(report.ms);
            plan.base_tests = report.tests;
            plan.base_gate = Some(gate_view(report, record));
        }
    }

    fn loop_effect_ended(
        &mut self,
        owner: LoopId,
        id: EffectId,
        open: &EffectView,
        outcome: &Outcome,
        record: &Record,
    ) {
        let uncounted = matches!(outcome, Outcome::AgentDone { usage: None, .. });
        if let Some(plan) = self.plans.get_mut(&owner.plan()) {
            plan.uncounted |= uncounted;
            if let Outcome::Gated { report: Some(report), .. } = outcome {
                plan.gate_ms = Some(report.ms);
            }
        }
        let plan_gate_ms = self.plans.get(&owner.plan()).and_then(|it| it.gate_ms);
        let Some(it) = self.loops.get_mut(&owner) else { return };
        it.effects.remove(&id);
        it.forget_questions(id);
        it.uncounted |= uncounted;
        it.take_in(open, outcome, record);
        if let Outcome::Asks { question } = outcome {
            it.asked(QuestionView::of_loop(id, question, record));
        }
        if it.status.is_over() {
            return;
        }
        // Calls of agents and answers come and go while it works, and files are saved beside the next
        // call.
        let beside = |it: &EffectView| {
            matches!(it.kind, EffectKind::Relay(_) | EffectKind::Answer(_) | EffectKind::Save)
        };
        if beside(open) {
            return;
        }
        let mut others = it.effects.iter().rev().filter_map(|other| self.effects.get(other));
        let other = others.find(|it| !beside(it));
        let next = match other {
            Some(other) => it.doing_of(other, plan_gate_ms),
            None => it.after(outcome),
        };
        match next {
            Some(doing) => it.doing(doing, record.at),
            None => it.rest(record.at),
        }
    }

    /// Raises what an effect used to `used`, for its loop and its plan too. It never falls: an
    /// end that reports less than was seen on the way does not give money back.
    fn spend(&mut self, open: &mut EffectView, used: Usage, at: Time) {
        let more = used.beyond(&open.used);
        open.used.add(&more);
        let Owner::Loop(id) = open.owner else { return };
        if let Some(project) = self.plans.get(&id.plan()).map(|it| it.project) {
            self.book_day(project, &more, at);
        }
        let (plan, it) = (self.plans.get_mut(&id.plan()), self.loops.get_mut(&id));
        if let Some(plan) = plan {
            plan.spent.add(&more);
            if let Some(it) = &it
                && more != Usage::default()
            {
                plan.ledger.book(&it.paid_to(&open.kind), day_of(at), &more);
            }
        }
        if let Some(it) = it {
            it.spent.add(&more);
            if let Some(row) = it.iterations.last_mut().filter(|row| row.verdict.is_none()) {
                row.micros = row.micros.saturating_add(more.micros);
            }
        }
    }

    /// An effect of a landing queue is over; several entries may have been gated in one.
    fn candidate_over(&mut self, id: ProjectId, kind: &EffectKind, at: Time) {
        self.candidate_phase(kind, QueuePhase::Waiting, at);
        if !matches!(kind, EffectKind::GateCandidate(_)) {
            return;
        }
        let entries = self.queue.get(&id).into_iter().flat_map(|it| it.values());
        let target = op(kind).and_then(|it| self.plans.get(&it.plan())).map(|it| &it.target);
        let beside = |it: &QueueOp| self.plans.get(&it.plan()).map(|it| &it.target) == target;
        let gated = entries.filter(|it| it.phase == QueuePhase::Gating).map(|it| it.op);
        let gated = gated.filter(beside);
        for op in gated.collect::<Vec<_>>() {
            self.queue_phase(op, QueuePhase::Waiting, at);
        }
    }

    /// How far the entry of a candidate is.
    fn candidate_phase(&mut self, kind: &EffectKind, phase: QueuePhase, at: Time) {
        if let Some(op) = op(kind) {
            self.queue_phase(op, phase, at);
        }
    }
}

impl LoopView {
    /// What a running effect means its loop does; `None` for what is not worth saying.
    fn doing_of(&self, effect: &EffectView, plan_gate_ms: Option<u64>) -> Option<Doing> {
        Some(match &effect.kind {
            EffectKind::Prepare => Doing::Preparing,
            EffectKind::Accept => Doing::Accept,
            EffectKind::Compose => Doing::Composing,
            EffectKind::Call => Doing::Calling,
            EffectKind::Tool(name) => Doing::Tool(name.clone()),
            EffectKind::Agent => Doing::Agent(effect.activity.clone()),
            EffectKind::Gate => Doing::Gate {
                since: effect.since,
                estimate_ms: self.gate.as_ref().map(|it| it.ms).or(plan_gate_ms),
            },
            EffectKind::Rebase(_) => Doing::Rebasing,
            EffectKind::CheckBase
            | EffectKind::Save
            | EffectKind::Relay(_)
            | EffectKind::Answer(_)
            | EffectKind::Decompose
            | EffectKind::Build(_)
            | EffectKind::GateCandidate(_)
            | EffectKind::Publish(_) => return None,
        })
    }

    fn observe(&mut self, run: (EffectId, &EffectView), fact: &Observation, record: &Record) {
        let ((effect, open), at) = (run, record.at);
        match fact {
            Observation::Asked { n, text, choices } => self.asked(QuestionView {
                id: record.seq,
                effect,
                n: *n,
                text: text.clone(),
                choices: choices.clone(),
                at,
                answer: None,
                free: false,
                deadline: None,
                default: None,
                said: None,
            }),
            Observation::Session(it) => self.session = Some(it.clone()),
            Observation::Checkpoint(it) => self.checkpoint = Some(*it),
            Observation::Counted(depth) => self.counted = Some(*depth),
            Observation::Activity(text) => match (&open.kind, &mut self.doing) {
                (EffectKind::Agent, Doing::Asks(_)) => {}
                (EffectKind::Agent, _) => self.doing(Doing::Agent(Some(text.clone())), at),
                (_, Doing::Gate { since, .. }) => *since = at,
                _ => {}
            },
            Observation::Process { .. }
            | Observation::CallWanted(_)
            | Observation::CallGivenUp { .. }
            | Observation::ToolCalled { .. }
            | Observation::Levels(_)
            | Observation::UsageSoFar(_) => {}
        }
    }

    /// What the end of an effect says about the loop.
    fn take_in(&mut self, open: &EffectView, outcome: &Outcome, record: &Record) {
        match outcome {
            Outcome::AcceptRan { green, .. } => self.accept_green = Some(*green),
            Outcome::Answered { .. } => {}
            Outcome::Replied { found, .. } => {
                self.trouble = None;
                self.was_read(found.as_deref());
            }
            Outcome::Relayed { .. } => self.trouble = None,
            Outcome::ToolDone { checkpoint, .. } | Outcome::Cancelled { checkpoint, .. } => {
                self.checkpoint = checkpoint.or(self.checkpoint);
            }
            Outcome::Saved { checkpoint } => self.checkpoint = Some(*checkpoint),
            Outcome::AgentDone { exit, summary, checkpoint, run, .. } => {
                self.checkpoint = Some(*checkpoint);
                self.last_run = AgentRun::clone(run);
                self.trouble = None;
                if *exit != 0 {
                    self.failed_calls = self.failed_calls.saturating_add(1);
                    self.in_trouble(summary, None, record);
                }
            }
            Outcome::Gated { checkpoint, change, markers, report, .. } => {
                self.checkpoint = Some(*checkpoint);
                self.conflicts = *markers;
                self.change = *change;
                self.suspicion = None;
                let green = report.as_ref().is_some_and(|it| it.green);
                self.reads(green && *markers == 0 && 0 < change.files);
                if let Some(report) = report {
                    self.gate = Some(gate_view(report, record));
                }
            }
            Outcome::Rebased { checkpoint, conflicts, .. } => {
                self.checkpoint = Some(*checkpoint);
                self.conflicts = *conflicts;
                self.passed = None;
                self.rebases = self.rebases.saturating_add(1);
                if let EffectKind::Rebase(base) = open.kind {
                    self.base = base;
                }
            }
            // Whoever asked goes on without, and this loop never waited for it.
            Outcome::Failed { .. } if matches!(open.kind, EffectKind::Answer(_)) => {}
            Outcome::Failed { message, fault, .. } => {
                if matches!(open.kind, EffectKind::Call | EffectKind::Agent) {
                    self.failed_calls = self.failed_calls.saturating_add(1);
                }
                self.in_trouble(message, fault.clone(), record);
            }
            Outcome::Decomposed { artifact, children, format, .. } => {
                let (artifact, children, format) = (*artifact, *children, *format);
                self.document = Some(DocumentView { artifact, children, format });
            }
            Outcome::Composed { tokens, context, .. } => {
                self.context = context.map(|of| ContextView { tokens: *tokens, of });
            }
            Outcome::BaseChecked(_)
            | Outcome::Prepared { .. }
            | Outcome::Built { .. }
            | Outcome::BuiltEmpty
            | Outcome::BuildConflict { .. }
            | Outcome::CandidateGated(_)
            | Outcome::Published
            | Outcome::PublishMoved { .. }
            | Outcome::Proposed { .. }
            | Outcome::Asks { .. }
            | Outcome::PublishHeld { .. } => {}
        }
    }

    fn in_trouble(&mut self, message: &str, fault: Option<Box<Fault>>, record: &Record) {
        let message = message.to_owned();
        self.trouble = Some(Trouble { message, at: record.at, seq: record.seq, fault });
    }

    /// What it waits for when this was its last effect, if that is not its next step at once.
    fn after(&self, outcome: &Outcome) -> Option<Doing> {
        match outcome {
            Outcome::Composed { .. } => Some(self.queued()),
            Outcome::Replied { calls, found: None, .. }
                if calls.iter().all(|it| it.name == FINISH) =>
            {
                Some(Doing::QueuedForGate)
            }
            Outcome::AgentDone { exit, run, .. } if run.is_gated(*exit) => {
                Some(Doing::QueuedForGate)
            }
            Outcome::BaseChecked(_)
            | Outcome::Prepared { .. }
            | Outcome::AcceptRan { .. }
            | Outcome::Replied { .. }
            | Outcome::Answered { .. }
            | Outcome::Relayed { .. }
            | Outcome::Asks { .. }
            | Outcome::ToolDone { .. }
            | Outcome::Saved { .. }
            | Outcome::AgentDone { .. }
            | Outcome::Gated { .. }
            | Outcome::Decomposed { .. }
            | Outcome::Rebased { .. }
            | Outcome::Built { .. }
            | Outcome::BuiltEmpty
            | Outcome::BuildConflict { .. }
            | Outcome::CandidateGated(_)
            | Outcome::Published
            | Outcome::PublishMoved { .. }
            | Outcome::Proposed { .. }
            | Outcome::PublishHeld { .. }
            | Outcome::Failed { .. }
            | Outcome::Cancelled { .. } => None,
        }
    }
}

impl EffectKind {
    /// What is being brought where, if the effect is a landing queue's.
    #[must_use]
    pub fn op(&self) -> Option<QueueOp> {
        op(self)
    }
}

fn op(kind: &EffectKind) -> Option<QueueOp> {
    match kind {
        EffectKind::Build(op) | EffectKind::GateCandidate(op) | EffectKind::Publish(op) => {
            Some(*op)
        }
        EffectKind::CheckBase
        | EffectKind::Prepare
        | EffectKind::Accept
        | EffectKind::Compose
        | EffectKind::Call
        | EffectKind::Tool(_)
        | EffectKind::Save
        | EffectKind::Agent
        | EffectKind::Relay(_)
        | EffectKind::Answer(_)
        | EffectKind::Gate
        | EffectKind::Decompose
        | EffectKind::Rebase(_) => None,
    }
}

fn phase(kind: &EffectKind) -> Option<QueuePhase> {
    match kind {
        EffectKind::Build(_) => Some(QueuePhase::Building),
        EffectKind::GateCandidate(_) => Some(QueuePhase::Gating),
        EffectKind::Publish(_) => Some(QueuePhase::Publishing),
        EffectKind::CheckBase
        | EffectKind::Prepare
        | EffectKind::Accept
        | EffectKind::Compose
        | EffectKind::Call
        | EffectKind::Tool(_)
        | EffectKind::Save
        | EffectKind::Agent
        | EffectKind::Relay(_)
        | EffectKind::Answer(_)
        | EffectKind::Gate
        | EffectKind::Decompose
        | EffectKind::Rebase(_) => None,
    }
}

fn gate_view(report: &GateReport, record: &Record) -> GateView {
    GateView {
        green: report.green,
        summary: report.summary.clone(),
        log: report.log,
        tests: report.tests,
        ms: report.ms,
        at: record.at,
        seq: record.seq,
        proof: report.proof.clone(),
    }
}
