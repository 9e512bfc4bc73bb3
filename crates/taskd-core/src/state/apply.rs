//! `apply`: what each kind of event does to the state.

use std::collections::{BTreeMap, BTreeSet};

use taskd_model::{
    Amount, CircuitChange, Digest, EffectId, Event, Evidence, Limit, Limits, LoopId, Observation,
    Oid, Owner, PlanHead, PlanId, ProjectId, Reason, Record, Seq, SpecHead, SpecId, Status,
    Suspicion, Time, Unit, Usage, Work, Worker,
};

use super::{Asked, Open, State, WantedChange, bucket_of, landing::queue_op};
use crate::{
    decide,
    engine::{LoopEngine, Next, PassedWork, ToolSlot, ToolState, Turn},
    messages::Mailbox,
    money::Told,
    plan::{Plan, PlanState, Reach, Spec},
    unsaved,
};

/// Notes a loop is told at once; older ones make room.
const MAX_NOTES: usize = 8;

impl State {
    /// Folds one record into the state.
    ///
    /// # Panics
    ///
    /// The log has a gap or an event that cannot follow: the log is not ours, or there is a bug.
    pub(crate) fn apply(&mut self, record: &Record) {
        assert_eq!(record.seq, self.next, "the log has a gap");
        assert!(self.now <= record.at, "time went backwards in the log");
        self.next = Seq(record.seq.0 + 1);
        self.now = record.at;
        if let Some(id) = record.loop_id
            && self.apply_to_loop(id, record)
        {
            self.engine_mut(id).last = record.seq;
            self.note_call_wait(id);
            self.touch_loop(id);
            self.touch_plan(id.plan());
            return;
        }
        self.apply_to_rest(record);
    }

    fn release_plan(&mut self, id: PlanId) {
        self.plan_mut(id).state = PlanState::Open;
        self.evict_check(id);
        self.touch_whole_plan(id);
    }

    fn end_plan(&mut self, id: PlanId) {
        self.plan_mut(id).state = PlanState::Ended;
        self.evict_check(id);
        self.touch_plan(id);
        self.evict(&self.lane_of(id));
    }

    fn set_limits(&mut self, limits: &Limits) {
        let other = self.limits.max_behind != limits.max_behind;
        self.limits = limits.clone();
        if other {
            self.reindex();
        }
        self.touch_lanes();
    }

    /// Keeps how long a loop has been blocked for want of money, which is not its time.
    fn note_want_of_money(&mut self, id: LoopId) {
        let now = self.now;
        let engine = self.engine_mut(id);
        let broke = engine.status == Status::Blocked
            && matches!(engine.reason, Some(Reason::Limit(Limit::Budget | Limit::PlanBudget)));
        if broke {
            engine.penniless_at = Some(now);
        } else if let Some(since) = engine.penniless_at.take() {
            self.did_not_count(id, now.ms_since(since));
        }
    }

    fn apply_to_rest(&mut self, record: &Record) {
        match &record.event {
            Event::DaemonStarted { .. } => self.lose_place(record.at),
            Event::WorkParked => self.parked = true,
            Event::WorkUnparked => self.parked = false,
            Event::DiskChanged { disk } => self.set_disk(disk),
            Event::LimitsSet { limits } => self.set_limits(limits),
            Event::ProjectAdded { id, git_dir, .. } => self.add_project(*id, git_dir),
            Event::ProjectMoved { id, git_dir, .. } => self.move_project(*id, git_dir),
            Event::ProjectForgotten { id } => self.forget_project(*id),
            Event::MainMoved { target, to, commits, rewritten, .. } => {
                let project = record.project.expect("main belongs to a project");
                self.move_target(project, target, *to, *commits);
                if *rewritten {
                    self.target_rewritten(project, target);
                }
            }
            Event::PlanSubmitted { plan, head } => self.add_plan(*plan, head, record.at),
            Event::SpecAdded { spec, head } => self.add_spec(*spec, head, record),
            Event::PlanReleased { plan, .. } => self.release_plan(*plan),
            Event::IntegrationMoved { plan, to } => self.move_integration(*plan, *to),
            Event::PlanEnded { plan } => self.end_plan(*plan),
            Event::EffectStarted { owner, work } => {
                self.start_effect(EffectId(record.seq), *owner, work, record.at);
            }
            Event::EffectObserved { effect, fact, .. } => self.observe(*effect, fact),
            Event::EffectEnded { effect, outcome } => self.end_effect(*effect, outcome, record),
            Event::BudgetSet { of, micros } => self.set_budget(*of, Unit::Micros, *micros),
            Event::TokensSet { of, tokens } => self.set_budget(*of, Unit::Tokens, *tokens),
            Event::BudgetWarned { of, .. } => self.tell(*of, Unit::Micros),
            Event::TokensWarned { of, .. } => self.tell(*of, Unit::Tokens),
            Event::BudgetSpent { of, until } => self.close(*of, Some(*until)),
            Event::BudgetRenewed { of } => self.close(*of, None),
            Event::CircuitChanged { bucket, change } => {
                self.circuit_changed(bucket, *change, record.seq);
            }
            Event::QueueEntered { op } => self.enter_queue(record.seq, *op),
            Event::QueueLeft { entry, op, end } => self.leave_queue(*entry, *op, end),
            Event::QueueArranged { how } => self.arrange(record, *how),
            Event::DaemonStopped => self.stopped = true,
            // It is told, and changes nothing.
            Event::GateFlaked { .. }
            | Event::NotificationSent { .. }
            | Event::NotificationFailed { .. } => {}
            Event::StatusChanged { .. }
            | Event::IterationStarted { .. }
            | Event::ModelChanged { .. }
            | Event::IterationEnded { .. }
            | Event::Deferred { .. }
            | Event::DeferralOver
            | Event::LimitReached { .. }
            | Event::InternalError { .. }
            | Event::Passed { .. }
            | Event::Reviewed { .. }
            | Event::GateTamperSuspected { .. }
            | Event::ApprovalAsked
            | Event::Approved
            | Event::LandingSeen { .. }
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
            | Event::StopAsked => unreachable!("belongs to a loop"),
        }
    }

    /// Events of one loop that concern nobody else at once. Says whether it was one of them.
    fn apply_to_loop(&mut self, id: LoopId, record: &Record) -> bool {
        let since = (record.at, record.seq);
        let fail = |it: &mut Self, why| it.end_loop(id, Status::Failed, why);
        match &record.event {
            Event::StatusChanged { from, to, reason } => {
                self.has_status(id, (*from, *to), reason, since);
            }
            Event::IterationStarted { n } => self.engine_mut(id).begin_iteration(*n, since),
            Event::ModelChanged { to, gives_up, .. } => {
                self.engine_mut(id).change_model(to, gives_up.is_some(), since);
            }
            event @ Event::IterationEnded { .. } => self.iteration_ended(id, event, since),
            Event::Deferred { until, why } => {
                self.engine_mut(id).defer(Some((*until, record.seq, why)));
            }
            Event::DeferralOver => self.engine_mut(id).defer(None),
            Event::LimitReached { limit } => fail(self, Reason::Limit(*limit)),
            Event::InternalError { message } => fail(self, Reason::Internal(message.clone())),
            Event::StopAsked => self.end_loop(id, Status::Stopped, Reason::Person),
            Event::Passed { checkpoint, evidence, .. } => {
                self.pass(id, *checkpoint, *evidence, since);
            }
            event @ Event::Reviewed { .. } => self.engine_mut(id).reviewed(event, since),
            Event::GateTamperSuspected { suspicion } => self.suspect(id, suspicion),
            Event::ApprovalAsked => self.engine_mut(id).asked = Some(record.seq),
            Event::Approved => self.engine_mut(id).approve(),
            Event::LandingSeen { commit, .. } => self.has_landed(id, *commit, false),
            Event::SyncAsked => self.engine_mut(id).sync(),
            Event::Rejected { note } => self.reject(id, *note, since),
            event @ Event::QuestionAnswered { .. } => self.answered(id, event, since),
            event @ (Event::NoteAdded { .. } | Event::Spoken { .. }) => self.said(id, event, since),
            event @ (Event::Rewound { .. } | Event::Retried { .. } | Event::Superseded { .. }) => {
                self.goes_back(id, event, since);
            }
            Event::PauseAsked => self.engine_mut(id).pause = true,
            Event::ResumeAsked => self.resume(id),
            Event::BudgetSet { of, micros } => self.set_budget(*of, Unit::Micros, *micros),
            Event::TokensSet { of, tokens } => self.set_budget(*of, Unit::Tokens, *tokens),
            Event::BudgetWarned { of, .. } => self.tell(*of, Unit::Micros),
            Event::TokensWarned { of, .. } => self.tell(*of, Unit::Tokens),
            Event::DaemonStarted { .. }
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
            | Event::BudgetSpent { .. }
            | Event::BudgetRenewed { .. }
            | Event::CircuitChanged { .. }
            | Event::QueueEntered { .. }
            | Event::QueueLeft { .. }
            | Event::QueueArranged { .. }
            | Event::NotificationSent { .. }
            | Event::NotificationFailed { .. }
            | Event::GateFlaked { .. } => return false,
        }
        true
    }

    fn has_status(
        &mut self,
        id: LoopId,
        (from, to): (Status, Status),
        reason: &Reason,
        since: (Time, Seq),
    ) {
        self.engine_mut(id).reason = Some(reason.clone());
        self.change_status(id, from, to, since);
        self.note_want_of_money(id);
    }

    fn reject(&mut self, id: LoopId, note: Digest, since: (Time, Seq)) {
        self.engine_mut(id).add_note(note);
        self.send_back(id, since);
    }

    fn add_plan(&mut self, id: PlanId, head: &PlanHead, at: Time) {
        let project = self.projects.get_mut(&head.project).expect("projects come first");
        project.plans.insert(id);
        project.targets.entry(head.target.clone()).or_insert(head.base);
        let height = project.height(&head.target);
        self.keys.insert(head.key, id);
        let plan = Plan {
            head: head.clone(),
            specs: Vec::new(),
            state: PlanState::Checking,
            submitted_at: at,
            parked_ms: 0,
            integration: head.base,
            refreshed: head.base,
            height,
            unlanded: BTreeSet::new(),
            ahead: BTreeSet::new(),
            reset: false,
            again: BTreeSet::new(),
            attempts: 0,
            trouble: None,
            spent: Usage::default(),
            reserved: Amount::default(),
            told: Told::default(),
            open_loops: 0,
            refreshing: false,
            checking: None,
        };
        let before = self.plans.insert(id, plan);
        assert!(before.is_none(), "{id} submitted twice");
    }

    fn add_spec(&mut self, spec: SpecId, head: &SpecHead, record: &Record) {
        let id = LoopId { spec, run: 1 };
        let plan = self.plan_mut(spec.plan);
        assert_eq!(plan.specs.len(), usize::from(spec.index), "specs come in order");
        for need in &head.needs {
            plan.specs[usize::from(*need)].dependents.push(spec.index);
        }
        let waiting = head.parent.map(|it| plan.wait_also_for(it, spec.index)).unwrap_or_default();
        let base = plan.integration;
        plan.open_loops += 1;
        plan.specs.push(Spec {
            head: head.clone(),
            also_needs: Vec::new(),
            dependents: waiting.clone(),
            latest: id,
            reach: Reach::Open,
        });
        let since = (record.at, record.seq);
        self.loops.insert(id, LoopEngine::new(id, head, base, since));
        self.touch_loop(id);
        self.touch_dependents(id);
        self.touch_plan(spec.plan);
    }

    fn start_effect(&mut self, id: EffectId, owner: Owner, work: &Work, at: Time) {
        let project = self.project_of(owner);
        self.check_holds(owner, work);
        match work {
            Work::Call { .. } | Work::Relay(_) | Work::Answer(_) => {
                self.call_started(id, owner, work, at);
            }
            Work::Agent { .. } => {
                self.agents += 1;
                if let Some(recess) = self.recess_mut(owner, work) {
                    recess.started();
                }
            }
            Work::CheckBase { .. }
            | Work::AcceptBefore
            | Work::Gate
            | Work::GateCandidate { .. } => self.gates += 1,
            Work::Prepare { .. }
            | Work::Compose
            | Work::Tool { .. }
            | Work::Save { .. }
            | Work::Decompose { .. }
            | Work::Rebase { .. }
            | Work::BuildCandidate { .. }
            | Work::Publish { .. } => {}
        }
        let work = work.clone();
        match owner {
            // What answers runs beside everything else.
            Owner::Loop(_) if matches!(work, Work::Answer(_)) => {}
            Owner::Loop(loop_id) => {
                let told = self.engine_mut(loop_id).effect_started(id, &work);
                self.letters.told += told;
            }
            Owner::Queue(_) => self.lane_effect_started(id, &work),
            Owner::Plan(plan) => self.plan_mut(plan).checking = Some(id),
        }
        let open = Open {
            owner,
            project,
            work,
            ending: false,
            observed: 0,
            booked: Usage::default(),
            asked: BTreeMap::new(),
        };
        self.effects.insert(id, open);
        self.changes.0.push(WantedChange::Start(id));
        self.touch_owner(owner);
    }

    /// Two writers in one worktree, or two hands on one repository, cannot be written down.
    fn check_holds(&self, owner: Owner, work: &Work) {
        match owner {
            Owner::Loop(id) => {
                let engine = &self.loops[&id];
                let reads = |it: &Work| matches!(it, Work::Tool { reads: true, .. });
                let shares = |it: &EffectId| {
                    let theirs = &self.effects[it].work;
                    matches!(theirs, Work::Call { .. })
                        || (reads(theirs) && reads(work))
                        || unsaved::share(theirs, work)
                };
                // An agent's call goes on beside it, and touches no files.
                let passes_on = matches!(work, Work::Relay(_) | Work::Answer(_));
                let free = passes_on || engine.open.iter().all(shares);
                assert!(free, "{id}: {work} would share the worktree with {:?}", engine.open);
            }
            Owner::Queue(id) => {
                let lane = self.lane_of(queue_op(work).plan());
                let active = self.lane(&lane).and_then(|it| it.active.as_ref());
                let free = active.is_none_or(|it| it.open.is_none());
                assert!(free, "queue of {} in project {} is busy", lane.target, id.0);
                let hands = matches!(work, Work::Publish { .. }) && decide::publishes(self, id);
                assert!(!hands, "two would write the refs of project {}", id.0);
            }
            Owner::Plan(id) => {
                let free = self.plan(id).checking.is_none();
                assert!(free, "{id} is being checked already");
            }
        }
    }

    fn observe(&mut self, id: EffectId, fact: &Observation) {
        let open = self.effects.get_mut(&id).expect("observations of open effects only");
        open.observed += 1;
        let (owner, ending, is_rebase) =
            (open.owner, open.ending, matches!(open.work, Work::Rebase { .. }));
        let (work, booked) = (open.work.clone(), open.booked);
        if let Observation::Asked { n, choices, .. } = fact {
            let choices = u16::try_from(choices.len()).unwrap_or(u16::MAX);
            open.asked.insert(Seq(self.next.0 - 1), Asked { n: *n, choices });
        }
        if let Observation::UsageSoFar(usage) = fact {
            open.booked = *usage;
            self.book(owner, &work, &booked, usage);
        }
        if let (Observation::Levels(levels), Some(name)) = (fact, bucket_of(&work))
            && let Some(bucket) = self.buckets.get_mut(name)
        {
            let by = Seq(self.next.0 - 1);
            bucket.learn(&self.limits, levels, by, self.now);
        }
        let Owner::Loop(loop_id) = owner else { return };
        let engine = self.engine_mut(loop_id);
        match fact {
            Observation::ToolCalled { index, call }
                if !ending && !matches!(work, Work::Answer(_)) =>
            {
                if usize::from(*index) == engine.turn.tools.len() {
                    engine.turn.tools.push(ToolSlot::new(call.clone()));
                }
            }
            Observation::Session(session) => engine.session = Some(session.clone()),
            Observation::Checkpoint(commit) => {
                engine.checkpoint = Some(*commit);
                if is_rebase {
                    engine.rebase_from = Some(*commit);
                }
            }
            Observation::CallWanted(wanted) if !ending => self.relay_wanted(loop_id, id, wanted),
            Observation::CallGivenUp { call } => self.relay_given_up(loop_id, id, *call),
            Observation::ToolCalled { .. }
            | Observation::CallWanted(_)
            | Observation::Counted(_)
            | Observation::UsageSoFar(_)
            | Observation::Levels(_)
            | Observation::Process { .. }
            | Observation::Asked { .. }
            | Observation::Activity(_) => {}
        }
        self.touch_loop(loop_id);
    }

    /// That a circuit opened or closed follows from the ends of calls, and was folded with them.
    fn circuit_changed(&mut self, bucket: &str, change: CircuitChange, by: Seq) {
        if let CircuitChange::Reset { refusals } = change {
            let bucket = self.buckets.get_mut(bucket).expect("it was called");
            bucket.reset(&self.limits, refusals, by, self.now);
        }
    }

    fn change_status(&mut self, id: LoopId, from: Status, to: Status, since: (Time, Seq)) {
        let engine = self.engine_mut(id);
        assert_eq!(engine.status, from, "{id}: the log says otherwise");
        engine.status.check(to).expect("checked before it was emitted");
        engine.status = to;
        if from.is_over() {
            self.loop_is_back(id);
        }
        let engine = self.engine_mut(id);
        match to {
            Status::Running if engine.started_at.is_none() => {
                engine.started_at = Some(since.0);
                engine.since = since;
            }
            Status::Paused => engine.pause = false,
            Status::Blocked => {
                engine.stuck = None;
                // An agent may run still, whose next call nobody pays for.
                self.end_relays(id);
            }
            Status::Draft | Status::Pending | Status::Running | Status::Rebasing => {}
            Status::Complete | Status::Failed | Status::Stopped => self.loop_over(id, to),
        }
    }

    fn loop_over(&mut self, id: LoopId, status: Status) {
        // Nobody reads that any more.
        self.engine_mut(id).talk.mail = Mailbox::default();
        let plan = self.plan_mut(id.plan());
        plan.open_loops -= 1;
        let mut reset = false;
        if status != Status::Complete {
            reset = plan.unlanded.remove(&id);
            plan.reset |= reset;
            let spec = plan.spec_mut(id);
            if spec.reach != Reach::Landed {
                spec.reach = Reach::Lost;
            }
        }
        if reset {
            self.touch_whole_plan(id.plan());
        }
        self.touch_dependents(id);
        self.evict(&self.lane_of(id.plan()));
    }

    pub(super) fn end_loop(&mut self, id: LoopId, status: Status, reason: Reason) {
        self.engine_mut(id).ending = Some((status, reason));
        self.end_open(id, |_| true);
        self.evict(&self.lane_of(id.plan()));
    }

    /// What runs of a loop shall end, as far as it is that.
    pub(super) fn end_open(&mut self, id: LoopId, ends: impl Fn(&Work) -> bool) {
        let is_it = |it: &EffectId| self.effects.get(it).is_some_and(|it| ends(&it.work));
        let open = self.loops[&id].open.iter().copied().filter(is_it);
        for effect in open.collect::<Vec<_>>() {
            self.end_wanted(effect);
        }
    }

    /// The runner shall end this effect; its outcome is still to come.
    pub(super) fn end_wanted(&mut self, id: EffectId) {
        let open = self.effects.get_mut(&id).expect("only open effects end");
        if !open.ending {
            open.ending = true;
            self.changes.0.push(WantedChange::End(id));
        }
    }

    fn pass(&mut self, id: LoopId, checkpoint: Oid, evidence: Evidence, since: (Time, Seq)) {
        let engine = self.engine_mut(id);
        engine.passed = Some(PassedWork { checkpoint, evidence });
        engine.set_next(Next::Land, since);
        let plan = self.plan(id.plan());
        let (project, gate) = (plan.head.project, plan.spec(id).head.gate);
        if self.loops[&id].suspicion.is_some() {
            // What was green is green beside this base only; another base has other files to keep.
            return;
        }
        let project = self.projects.get_mut(&project).expect("known");
        project.remember_evidence(evidence.tree, gate, evidence.seq);
    }

    /// A gate found something against the tree: whatever was said of it before was said without
    /// knowing that.
    fn suspect(&mut self, id: LoopId, suspicion: &Suspicion) {
        let engine = self.engine_mut(id);
        engine.suspicion = Some(suspicion.clone());
        engine.approved = false;
        engine.asked = None;
        self.evict(&self.lane_of(id.plan()));
    }

    fn resume(&mut self, id: LoopId) {
        let engine = self.engine_mut(id);
        engine.attempts = 0;
        engine.failing_since = None;
        engine.conflicted = 0;
        engine.restarts = 0;
        engine.save_again();
        engine.stuck = None;
        engine.unfit.clear();
        engine.most_tokens = None;
        engine.refused_as_too_large = false;
        engine.pause = false;
        engine.retry_at = None;
        engine.begins_anew();
        let plan = self.plan_mut(id.plan());
        if plan.state == PlanState::Refused {
            plan.state = PlanState::Checking;
            plan.trouble = None;
            plan.attempts = 0;
            self.touch_whole_plan(id.plan());
        }
    }

    fn project_of(&self, owner: Owner) -> ProjectId {
        match owner {
            Owner::Loop(id) => self.plan(id.plan()).head.project,
            Owner::Plan(id) => self.plan(id).head.project,
            Owner::Queue(id) => id,
        }
    }

    pub(super) fn touch_owner(&mut self, owner: Owner) {
        match owner {
            Owner::Loop(id) => {
                self.note_call_wait(id);
                self.touch_loop(id);
            }
            Owner::Plan(id) => self.touch_plan(id),
            Owner::Queue(id) => self.touch_lanes_of(id),
        }
    }

    pub(super) fn engine_mut(&mut self, id: LoopId) -> &mut LoopEngine {
        self.loops.get_mut(&id).expect("loops are added before anything happens to them")
    }

    pub(super) fn plan_mut(&mut self, id: PlanId) -> &mut Plan {
        self.plans.get_mut(&id).expect("plans are submitted before anything happens to them")
    }
}

impl LoopEngine {
    pub(crate) fn set_next(&mut self, next: Next, since: (Time, Seq)) {
        self.next = next;
        self.since = since;
    }

    pub(super) fn add_note(&mut self, note: Digest) {
        if self.notes.len() == MAX_NOTES {
            self.notes.remove(0);
        }
        self.notes.push(note);
        self.begins_anew();
    }

    fn approve(&mut self) {
        self.approved = true;
        self.held = false;
    }

    /// What a checkout holds shall come to the target beside the changes there.
    fn sync(&mut self) {
        (self.held, self.beside) = (false, true);
    }

    /// Waits until then, or no longer.
    pub(super) fn defer(&mut self, until: Option<(Time, Seq, &String)>) {
        self.retry_at = until.map(|(until, _, _)| until);
        self.deferral = until.map(|(_, seq, why)| (seq, why.clone()));
    }

    fn begin_iteration(&mut self, n: u32, since: (Time, Seq)) {
        self.iteration = n;
        self.turns.clear();
        self.turn = Turn::default();
        self.talk.mail.begin();
        self.sends = 0;
        self.refused_as_too_large = false;
        let gate = std::mem::take(&mut self.gate_first);
        self.set_next(if gate { Next::Gate } else { Next::Compose }, since);
    }

    /// Another model works from here on; an iteration that was under way counts for nothing.
    fn change_model(&mut self, to: &str, gives_up: bool, since: (Time, Seq)) {
        self.worker = Worker::Model(to.to_owned());
        self.most_tokens = None;
        self.refused_as_too_large = false;
        self.attempts = 0;
        self.defer(None);
        if gives_up {
            self.iteration = self.iteration.saturating_sub(1);
            self.turns.clear();
            self.turn = Turn::default();
            self.set_next(Next::Iterate, since);
        }
    }

    /// Its document was looked through, perhaps not for the last time.
    fn reviewed(&mut self, event: &Event, since: (Time, Seq)) {
        let (Event::Reviewed { tree, unchanged, done, .. }, Some(document)) =
            (event, &mut self.document)
        else {
            return;
        };
        document.reviewed(*tree, *unchanged);
        if !done {
            self.set_next(Next::Iterate, since);
        }
    }

    /// How many messages of others it is told with that.
    fn effect_started(&mut self, id: EffectId, work: &Work) -> u64 {
        self.open.insert(id);
        match work {
            Work::Call { .. } => {
                self.turn.call = Some(id);
                self.sends += 1;
            }
            Work::Tool { index, .. } => {
                self.turn.tools[usize::from(*index)].state = ToolState::Running(id);
            }
            Work::Save { .. } => self.saving(id),
            Work::Compose => return self.talk.mail.tell(self.turns.len()),
            Work::CheckBase { .. }
            | Work::Prepare { .. }
            | Work::AcceptBefore
            | Work::Agent { .. }
            | Work::Relay(_)
            | Work::Answer(_)
            | Work::Gate
            | Work::Decompose { .. }
            | Work::Rebase { .. }
            | Work::BuildCandidate { .. }
            | Work::GateCandidate { .. }
            | Work::Publish { .. } => {}
        }
        0
    }
}
