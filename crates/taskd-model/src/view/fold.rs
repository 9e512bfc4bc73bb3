//! The fold: one event in, the view one further.
//!
//! Every event is named here, so a new one does not compile until somebody says what it shows.

use crate::{
    AgentRun, Change, Digest, Event, Evidence, LoopId, Oid, PlanHead, PlanId, ProjectId, Reason,
    Record, Seq, SpecHead, SpecId, Spoken, Status, Streak, Suspicion, Time, Unit, Usage, Verdict,
    Worker,
};

use super::{
    Base, ClosedView, Doing, ITERATION_ROWS, Integration, IterationRow, Ledger, LoopView, NOTES,
    Note, PassedView, PlanState, PlanView, ReviewView, Spans, TargetView, Totals, View,
};

impl View {
    /// Takes in one event and says whether it was new. Events at or before [`View::seq`] are not,
    /// so what arrives twice counts once.
    pub fn apply(&mut self, record: &Record) -> bool {
        if record.seq <= self.seq {
            return false;
        }
        self.seq = record.seq;
        if matches!(record.event, Event::DaemonStarted { .. }) {
            self.skip_gap(record.at);
        }
        self.at = self.at.max(record.at);
        self.apply_to_all(record);
        if let Some(id) = record.loop_id {
            self.apply_to_loop(id, record);
            self.touch(id, record);
        }
        self.inbox_follows(record);
        true
    }

    /// Events about the daemon, projects, plans, effects and the queue.
    fn apply_to_all(&mut self, record: &Record) {
        let Record { seq, at, .. } = *record;
        match &record.event {
            Event::DaemonStarted { version } => self.daemon_started(version, record),
            Event::WorkParked => self.parked = true,
            Event::WorkUnparked => self.parked = false,
            Event::DiskChanged { disk } => self.disk = disk.clone(),
            Event::LimitsSet { limits } => self.limits_set(limits),
            Event::ProjectAdded { id, git_dir, root }
            | Event::ProjectMoved { id, git_dir, root } => {
                let it = self.projects.entry(*id).or_default();
                (it.git_dir, it.root, it.forgotten) = (git_dir.clone(), root.clone(), false);
            }
            Event::ProjectForgotten { id } => self.project_forgotten(*id),
            Event::MainMoved { target, to, commits, .. } => {
                if let Some(project) = record.project {
                    self.target_moved(project, target, *to, *commits);
                }
            }
            Event::PlanSubmitted { plan, head } => self.plan_submitted(*plan, head, at),
            Event::SpecAdded { spec, head } => self.spec_added(*spec, head, record),
            Event::PlanReleased { plan, tests, .. } => self.plan_released(*plan, *tests, at),
            Event::IntegrationMoved { plan, to } => self.integration_reset(*plan, *to),
            Event::PlanEnded { plan } => self.plan_is_over(*plan, record),
            Event::NotificationSent { of, .. } => _ = self.untold.remove(of),
            Event::NotificationFailed { of, .. } => _ = self.untold.remove(of),
            Event::EffectStarted { owner, work } => self.effect_started(*owner, work, record),
            Event::EffectObserved { effect, fact, .. } => {
                self.effect_observed(*effect, fact, record);
            }
            Event::EffectEnded { effect, outcome } => self.effect_ended(*effect, outcome, record),
            Event::BudgetSet { of, micros } => self.budget_set(*of, Unit::Micros, *micros),
            Event::TokensSet { of, tokens } => self.budget_set(*of, Unit::Tokens, *tokens),
            Event::BudgetSpent { of, until } => {
                self.budget_closed(*of, Some(ClosedView { until: *until, by: seq }));
            }
            Event::BudgetRenewed { of } => self.budget_closed(*of, None),
            Event::QueueEntered { op } => self.queue_entered(seq, *op, at),
            Event::QueueLeft { entry, op, end } => self.queue_left(*entry, *op, end, record),
            Event::LandingSeen { commit, onto } => self.landing_seen(*commit, *onto, record),
            Event::DaemonStopped
            | Event::StatusChanged { .. }
            | Event::IterationStarted { .. }
            | Event::ModelChanged { .. }
            | Event::IterationEnded { .. }
            | Event::Deferred { .. }
            | Event::DeferralOver
            | Event::LimitReached { .. }
            | Event::InternalError { .. }
            | Event::Passed { .. }
            | Event::GateTamperSuspected { .. }
            | Event::GateFlaked { .. }
            | Event::Reviewed { .. }
            | Event::ApprovalAsked
            | Event::Approved
            | Event::SyncAsked
            | Event::Rejected { .. }
            | Event::NoteAdded { .. }
            | Event::Spoken { .. }
            | Event::Rewound { .. }
            | Event::Retried { .. }
            | Event::Superseded { .. }
            | Event::QuestionAnswered { .. }
            | Event::PauseAsked
            | Event::ResumeAsked
            | Event::StopAsked
            | Event::BudgetWarned { .. }
            | Event::TokensWarned { .. }
            | Event::CircuitChanged { .. }
            | Event::QueueArranged { .. } => {}
        }
    }

    fn project_forgotten(&mut self, id: ProjectId) {
        self.projects.entry(id).and_modify(|it| it.forgotten = true);
    }

    /// Events about one loop.
    fn apply_to_loop(&mut self, id: LoopId, record: &Record) {
        if matches!(record.event, Event::StatusChanged { .. } | Event::Superseded { .. }) {
            return self.stands(id, record);
        }
        let (Some(it), at) = (self.loops.get_mut(&id), record.at) else { return };
        match &record.event {
            Event::IterationStarted { n } => it.begin_iteration(*n, at),
            Event::ModelChanged { from, to, gives_up, .. } => {
                it.change_model(from, to, *gives_up, at);
            }
            Event::IterationEnded { n, verdict, summary, log, change, streak } => {
                it.end_iteration(*n, (*verdict, summary, *log, *change), *streak, at);
            }
            // A call of an agent rests; the agent works.
            Event::Deferred { .. } | Event::DeferralOver if matches!(it.doing, Doing::Agent(_)) => {
            }
            Event::Deferred { until, why } => {
                it.doing(Doing::Deferred { until: *until, why: why.clone() }, at);
            }
            Event::DeferralOver => it.doing(it.queued(), at),
            Event::LimitReached { limit } => it.ending = Some(Reason::Limit(*limit)),
            Event::InternalError { message } => it.ending = Some(Reason::Internal(message.clone())),
            Event::Passed { checkpoint, evidence, tests } => {
                it.pass(*checkpoint, *evidence, *tests, at);
            }
            Event::GateTamperSuspected { suspicion } => it.is_suspect(suspicion, at),
            Event::GateFlaked { .. } => it.flaked = it.flaked.saturating_add(1),
            Event::Reviewed { .. } => it.rest(at),
            Event::ApprovalAsked => it.asks_to_land(Some(at), at),
            Event::Approved | Event::SyncAsked => it.may_land(at),
            Event::Rejected { note } => it.reject(*note, at),
            Event::NoteAdded { note, .. } => it.note(*note, false, at),
            event @ (Event::Rewound { .. } | Event::Retried { .. }) => it.sent_to(event, at),
            event @ Event::QuestionAnswered { .. } => it.answered(event, at),
            Event::PauseAsked => it.pausing = true,
            Event::ResumeAsked => (it.pausing, it.alike) = (false, 0),
            Event::StopAsked | Event::Spoken { word: Spoken::Stopped { .. } } => it.stopping = true,
            Event::Spoken { .. }
            | Event::Superseded { .. }
            | Event::DaemonStarted { .. }
            | Event::DaemonStopped
            | Event::WorkParked
            | Event::WorkUnparked
            | Event::DiskChanged { .. }
            | Event::LimitsSet { .. }
            | Event::ProjectAdded { .. }
            | Event::ProjectMoved { .. }
            | Event::ProjectForgotten { .. }
            | Event::MainMoved { .. }
            | Event::PlanSubmitted { .. }
            | Event::SpecAdded { .. }
            | Event::PlanReleased { .. }
            | Event::IntegrationMoved { .. }
            | Event::PlanEnded { .. }
            | Event::EffectStarted { .. }
            | Event::EffectObserved { .. }
            | Event::EffectEnded { .. }
            | Event::StatusChanged { .. }
            | Event::LandingSeen { .. }
            | Event::BudgetSet { .. }
            | Event::BudgetWarned { .. }
            | Event::TokensSet { .. }
            | Event::TokensWarned { .. }
            | Event::BudgetSpent { .. }
            | Event::BudgetRenewed { .. }
            | Event::CircuitChanged { .. }
            | Event::QueueEntered { .. }
            | Event::QueueLeft { .. }
            | Event::NotificationSent { .. }
            | Event::NotificationFailed { .. }
            | Event::QueueArranged { .. } => {}
        }
    }

    fn plan_released(&mut self, plan: PlanId, tests: Option<u32>, at: Time) {
        if let Some(it) = self.plans.get_mut(&plan) {
            it.state = PlanState::Open;
            it.released_at = Some(at);
            it.base_tests = tests.or(it.base_tests);
        }
    }

    fn plan_is_over(&mut self, plan: PlanId, record: &Record) {
        if let Some(it) = self.plans.get_mut(&plan) {
            it.state = PlanState::Ended;
            it.ended_at = Some(record.at);
            self.tell_of(record.seq);
        }
    }

    /// A sign of life.
    pub(super) fn touch(&mut self, id: LoopId, record: &Record) {
        if let Some(it) = self.loops.get_mut(&id) {
            it.last_sign = record.at;
            it.last_seq = record.seq;
        }
    }

    fn plan_submitted(&mut self, id: PlanId, head: &PlanHead, at: Time) {
        let project = self.projects.entry(head.project).or_default();
        let target = project
            .targets
            .entry(head.target.clone())
            .or_insert(TargetView { tip: head.base, height: 0 });
        if target.tip != head.base {
            *target = TargetView { tip: head.base, height: target.height + 1 };
        }
        let target_height = target.height;
        let plan = PlanView {
            id,
            title: head.title.clone(),
            project: head.project,
            target: head.target.clone(),
            land: head.land,
            priority: head.priority,
            state: PlanState::Checking,
            base: head.base,
            base_red_ok: head.base_red_ok,
            base_gate: None,
            base_tests: None,
            integration: Integration { tip: head.base, height: 0, target_height },
            refreshing: None,
            budget_micros: head.budget_micros,
            tokens: head.tokens,
            time_ms: head.time_ms,
            spent: Usage::default(),
            uncounted: false,
            gate_ms: None,
            submitted_at: at,
            released_at: None,
            ended_at: None,
            single: head.single,
            trace: head.trace,
            specs: head.specs,
            landed: 0,
            totals: Totals::default(),
            key: head.key,
            doc: head.doc,
            gate: head.gate,
            ledger: Ledger::default(),
        };
        self.plans.insert(id, plan);
    }

    fn spec_added(&mut self, spec: SpecId, head: &SpecHead, record: &Record) {
        if let Some(parent) = head.parent {
            // Whoever needs a document needs what it names.
            let id = |index, run| LoopId { spec: SpecId { plan: spec.plan, index }, run };
            let of_plan = self.loops.range_mut(id(0, 0)..=id(u16::MAX, u16::MAX));
            for (_, it) in of_plan.filter(|(_, it)| it.needs.contains(&parent)) {
                it.needs.push(spec.index);
            }
        }
        let Some(plan) = self.plans.get_mut(&spec.plan) else { return };
        let run = record.loop_id.filter(|it| it.spec == spec).map_or(1, |it| it.run);
        let id = LoopId { spec, run };
        let name = if plan.single { spec.plan.to_string() } else { full_name(spec, &head.name) };
        let name = if run > 1 { format!("{name}.{run}") } else { name };
        let base = Base { commit: plan.integration.tip, height: plan.integration.height };
        let it = LoopView::new(id, name, head, base, record);
        // A document lands nowhere; what it names was not counted when the plan came.
        match (head.writes.is_some(), head.parent) {
            (true, None) => plan.specs = plan.specs.saturating_sub(1),
            (false, Some(_)) => plan.specs = plan.specs.saturating_add(1),
            (true, Some(_)) | (false, None) => {}
        }
        plan.totals.moved(None, it.status);
        self.totals.moved(None, it.status);
        self.loops.insert(id, it);
    }

    pub(super) fn status_changed(
        &mut self,
        id: LoopId,
        to: Status,
        reason: &Reason,
        record: &Record,
    ) {
        let Some(it) = self.loops.get_mut(&id) else { return };
        let from = it.status;
        it.account(record.at);
        it.status = to;
        it.status_since = record.at;
        it.reason = Some(reason.clone());
        it.reason_seq = Some(record.seq);
        match to {
            Status::Running => {
                it.started_at.get_or_insert(record.at);
                it.pausing = false;
                if matches!(it.doing, Doing::NotStarted | Doing::Rebasing) {
                    it.rest(record.at);
                }
            }
            Status::Paused => it.pausing = false,
            Status::Rebasing => it.doing(Doing::Rebasing, record.at),
            Status::Complete | Status::Failed | Status::Stopped => {
                (it.pausing, it.stopping, it.ending) = (false, false, None);
                (it.approval_asked, it.held) = (None, None);
                it.forget_asked();
                it.ended_at = Some(record.at);
                it.doing(Doing::Idle, record.at);
            }
            Status::Draft | Status::Pending | Status::Blocked => {}
        }
        let superseded = *reason == Reason::Superseded && it.is_still_to_land();
        self.totals.moved(Some(from), to);
        if let Some(plan) = self.plans.get_mut(&id.plan()) {
            plan.totals.moved(Some(from), to);
            plan.specs = plan.specs.saturating_sub(u16::from(superseded));
            if from.is_over() && plan.state == PlanState::Ended {
                (plan.state, plan.ended_at) = (PlanState::Checking, None);
            }
        }
    }
}

/// What people write for the first run of a spec.
fn full_name(spec: SpecId, name: &str) -> String {
    format!("{}.{name}", spec.plan)
}

impl LoopView {
    fn new(id: LoopId, name: String, head: &SpecHead, base: Base, record: &Record) -> Self {
        Self {
            id,
            name,
            spec: head.name.clone(),
            title: head.title.clone(),
            type_name: head.type_name.clone(),
            worker: head.worker.clone(),
            instead_of: None,
            context: None,
            last_run: AgentRun::default(),
            review: head.review.clone().map(ReviewView::new),
            needs: head.needs.clone(),
            writes: head.writes.is_some(),
            parent: head.parent,
            document: None,
            touches: head.touches.clone(),
            limits: head.limits.clone(),
            doc: head.doc,
            gate_key: head.gate,
            accept: head.accept,
            accept_green: None,
            status: Status::Draft,
            status_since: record.at,
            reason: None,
            reason_seq: None,
            doing: Doing::NotStarted,
            doing_since: record.at,
            pausing: false,
            stopping: false,
            ending: None,
            approval_asked: None,
            suspicion: None,
            held: None,
            pull_request: None,
            queue_entry: None,
            iteration: 0,
            iterations: Vec::new(),
            alike: 0,
            base,
            checkpoint: None,
            change: Change::default(),
            conflicts: 0,
            gate: None,
            spent: Usage::default(),
            uncounted: false,
            passed: None,
            integrated: None,
            landed: None,
            undone: None,
            trouble: None,
            counted: None,
            session: None,
            questions: Vec::new(),
            notes: Vec::new(),
            effects: std::collections::BTreeSet::new(),
            started_at: None,
            ended_at: None,
            last_sign: record.at,
            last_seq: record.seq,
            spans: Spans::default(),
            spans_at: record.at,
            calls: 0,
            failed_calls: 0,
            rebases: 0,
            flaked: 0,
        }
    }

    /// It does something else now.
    pub(super) fn doing(&mut self, doing: Doing, at: Time) {
        if self.doing != doing {
            self.account(at);
            self.doing = doing;
            self.doing_since = at;
        }
    }

    /// Nothing of it runs: it waits for a person, for the queue, or for its next step.
    pub(super) fn rest(&mut self, at: Time) {
        if self.status.is_over() || self.queue_entry.is_some() {
            return;
        }
        let doing = match (self.asks(), &self.held, self.approval_asked) {
            (Some(question), _, _) => Doing::Asks(question.text.clone()),
            (None, Some(why), _) => Doing::Held(why.clone()),
            (None, None, Some(_)) => Doing::ReadyToLand,
            (None, None, None) => Doing::Idle,
        };
        self.doing(doing, at);
    }

    /// It waits for a person's word to land since then, or no longer.
    fn asks_to_land(&mut self, since: Option<Time>, at: Time) {
        self.approval_asked = since;
        self.rest(at);
    }

    /// A person looks at it before it goes anywhere, whatever was said before.
    fn is_suspect(&mut self, suspicion: &Suspicion, at: Time) {
        self.suspicion = Some(suspicion.clone());
        self.asks_to_land(None, at);
    }

    fn reject(&mut self, note: Digest, at: Time) {
        self.send_back();
        self.note(note, true, at);
        self.rest(at);
    }

    /// What it passed with counts no longer.
    fn send_back(&mut self) {
        self.approval_asked = None;
        self.suspicion = None;
        self.held = None;
        self.passed = None;
        self.integrated = None;
    }

    fn pass(&mut self, checkpoint: Oid, evidence: Evidence, tests: Option<u32>, at: Time) {
        self.checkpoint = Some(checkpoint);
        self.trouble = None;
        let (tree, evidence, change) = (evidence.tree, evidence.seq, self.change);
        self.passed = Some(PassedView { checkpoint, tree, evidence, tests, change, at });
    }

    fn begin_iteration(&mut self, n: u32, at: Time) {
        self.iteration = n;
        self.forget_asked();
        self.send_back();
        self.iterations.push(IterationRow {
            n,
            started_at: at,
            verdict: None,
            summary: String::new(),
            log: None,
            change: Change::default(),
            ms: 0,
            micros: 0,
        });
        if self.iterations.len() > 2 * ITERATION_ROWS {
            self.iterations.remove(ITERATION_ROWS);
        }
        self.doing(Doing::Idle, at);
    }

    /// A person said yes to its landing.
    fn may_land(&mut self, at: Time) {
        self.held = None;
        self.asks_to_land(None, at);
    }

    /// It goes on from an earlier state: what is under way is given up, and one more iteration is
    /// its if it has used all of them.
    pub(super) fn rewound(&mut self, note: Digest, at: Time) {
        self.note(note, false, at);
        self.forget_asked();
        self.send_back();
        self.trouble = None;
        self.conflicts = 0;
        self.session = None;
        self.limits.iterations = self.limits.iterations.max(self.iteration.saturating_add(1));
        self.rest(at);
    }

    /// Another model works; an iteration that is given up for it is as if it had not begun.
    fn change_model(&mut self, from: &str, to: &str, gives_up: Option<u32>, at: Time) {
        self.worker = Worker::Model(to.to_owned());
        let wanted = self.instead_of.take().unwrap_or_else(|| from.to_owned());
        self.instead_of = (wanted != to).then_some(wanted);
        if let Some(n) = gives_up {
            self.forget_asked();
            self.iteration = n.saturating_sub(1);
            self.iterations.retain(|it| it.n != n);
        }
        self.doing(Doing::Idle, at);
    }

    fn end_iteration(
        &mut self,
        n: u32,
        (verdict, summary, log, change): (Verdict, &str, Option<Digest>, Change),
        streak: Option<Streak>,
        at: Time,
    ) {
        self.alike = streak.map_or(0, |it| it.times);
        self.change = change;
        self.reads(false);
        let Some(row) = self.iterations.last_mut().filter(|row| row.n == n) else { return };
        row.verdict = Some(verdict);
        summary.clone_into(&mut row.summary);
        row.log = log;
        row.change = change;
        row.ms = at.ms_since(row.started_at);
    }

    fn note(&mut self, text: Digest, rejects: bool, at: Time) {
        if self.notes.len() == NOTES {
            self.notes.remove(0);
        }
        self.notes.push(Note { at, text, rejects });
        self.alike = 0;
    }

    /// The most iterations it may take.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.limits.iterations
    }

    /// Its work is where the specs that need it start: on the integration ref, or landed.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.integrated.is_some() || self.landed.is_some() || self.status == Status::Complete
    }

    /// The event to look at first when asking why.
    #[must_use]
    pub fn evidence(&self) -> Option<Seq> {
        self.trouble.as_ref().map(|it| it.seq).or(self.reason_seq)
    }
}
