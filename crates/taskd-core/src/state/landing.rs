//! What the landing queue's events do to the state: entries come, move, and leave with an end.

use taskd_model::{
    Arranged, EffectId, IterationNote, LoopId, Oid, PlanId, ProjectId, QueueEnd, QueueOp, Reason,
    Record, Seq, Time, Verdict, Work,
};

use super::State;
use crate::{
    decide,
    engine::{Next, Placed},
    plan::{PlanState, Reach},
    queue::{Active, LaneId, OnHold, Stage},
};

/// The operation a landing queue's effect is part of.
pub(super) fn queue_op(work: &Work) -> QueueOp {
    let (Work::BuildCandidate { op, .. }
    | Work::GateCandidate { op, .. }
    | Work::Publish { op, .. }) = work
    else {
        unreachable!("{work} is not the queue's");
    };
    *op
}

/// Where the refs stand.
impl State {
    /// A target stands elsewhere: by our own landing, or because somebody moved it.
    pub(super) fn move_target(&mut self, project: ProjectId, target: &str, to: Oid, commits: u32) {
        let it = self.projects.get_mut(&project).expect("projects come first");
        it.targets.insert(target.to_owned(), to);
        *it.heights.entry(target.to_owned()).or_default() += u64::from(commits.max(1));
        for id in self.open_plans_on(project, target) {
            if 0 < self.limits.max_behind {
                self.touch_whole_plan(id);
            }
            self.touch_plan(id);
            // What did not go onto the old tip alone may go onto this one.
            let unlanded: Vec<LoopId> = self.plan(id).unlanded.iter().copied().collect();
            for loop_id in unlanded {
                self.touch_loop(loop_id);
            }
        }
        self.evict(&LaneId { project, target: target.to_owned() });
    }

    /// History was replaced: what stands on the integration refs may hold commits that are gone.
    pub(super) fn target_rewritten(&mut self, project: ProjectId, target: &str) {
        for id in self.open_plans_on(project, target) {
            let plan = self.plan_mut(id);
            if !plan.unlanded.is_empty() {
                plan.reset = true;
                self.touch_whole_plan(id);
            }
        }
        self.evict(&LaneId { project, target: target.to_owned() });
    }

    fn open_plans_on(&self, project: ProjectId, target: &str) -> Vec<PlanId> {
        let concerned = |it: &PlanId| {
            let plan = self.plan(*it);
            plan.head.target == target && plan.state != PlanState::Ended
        };
        self.projects[&project].plans.iter().copied().filter(concerned).collect()
    }

    pub(super) fn move_integration(&mut self, id: PlanId, to: Oid) {
        let height = self.height_of(self.plan(id));
        let plan = self.plan_mut(id);
        plan.integration = to;
        (plan.refreshed, plan.height) = (to, height);
        plan.ahead.clear();
        if std::mem::take(&mut plan.reset) {
            for loop_id in std::mem::take(&mut plan.unlanded) {
                let engine = self.engine_mut(loop_id);
                engine.integrated = None;
                engine.asked = None;
                engine.refused_on = None;
                let over = engine.is_over();
                let plan = self.plan_mut(id);
                plan.spec_mut(loop_id).reach = Reach::Open;
                if over {
                    plan.again.insert(loop_id);
                }
            }
        }
        self.evict_check(id);
        self.touch_whole_plan(id);
        self.evict(&self.lane_of(id));
    }

    /// A check of a base that the plan no longer has, or no longer asks about, shall end.
    pub(super) fn evict_check(&mut self, id: PlanId) {
        let plan = self.plan(id);
        let Some(effect) = plan.checking else { return };
        let present = Work::CheckBase { base: plan.integration };
        let wanted = plan.state == PlanState::Checking && self.effects[&effect].work == present;
        if !wanted {
            self.end_wanted(effect);
        }
    }

    /// Passed work goes back to its loop: by a person, or because it could not land.
    pub(super) fn send_back(&mut self, id: LoopId, since: (Time, Seq)) {
        let engine = self.engine_mut(id);
        engine.passed = None;
        engine.asked = None;
        engine.approved = false;
        engine.suspicion = None;
        (engine.held, engine.beside, engine.proposed) = (false, false, None);
        engine.refused_on = None;
        engine.integrated = None;
        if let Some(document) = &mut engine.document {
            document.sent_back();
        }
        engine.set_next(Next::Iterate, since);
        // A document that is being taken apart names nothing any more.
        self.end_open(id, |_| true);
        let plan = self.plan_mut(id.plan());
        if plan.unlanded.remove(&id) {
            plan.reset = true;
            plan.spec_mut(id).reach = Reach::Open;
            self.touch_whole_plan(id.plan());
        }
        self.evict(&self.lane_of(id.plan()));
    }

    /// What the landing queue does for nobody, or builds and gates on an old tip, shall end. A
    /// publish that has begun goes on.
    pub(super) fn evict(&mut self, id: &LaneId) {
        let Some(lane) = self.lane(id) else { return };
        let project = id.project;
        let stale = lane.active.as_ref().and_then(|active| {
            let open = active.open.filter(|it| {
                let work = self.effects.get(it).map(|open| &open.work);
                work.is_some_and(|it| !matches!(it, Work::Publish { .. }))
            });
            let tip = self.tip_of(active.op);
            let old = matches!(active.stage, Stage::Built { onto, .. } if onto != tip);
            let joining =
                active.joining.and_then(|seq| lane.entries.iter().find(|it| it.seq == seq));
            let mut ops = active.ops().map(|it| it.1).chain(joining.map(|it| it.op));
            let may = |op| decide::is_wanted(self, op) && !decide::is_on_hold(self, project, op);
            open.filter(|_| old || ops.any(|op| !may(op)))
        });
        if let Some(effect) = stale {
            self.end_wanted(effect);
        }
        self.touch_lane(id);
    }

    /// What a person holds is not under way; a publish that has begun goes on.
    pub(super) fn put_aside(&mut self, id: &LaneId) {
        let Some(active) = self.lane(id).and_then(|it| it.active.as_ref()) else { return };
        if active.open.is_some() {
            return;
        }
        if matches!(active.stage, Stage::Publishing { .. } | Stage::Over(_)) {
            return;
        }
        let held = active.ops().find(|(_, op)| decide::is_on_hold(self, id.project, *op));
        if let Some((entry, _)) = held {
            self.lane_mut(id).cut(entry);
        }
    }

    /// A person arranged something in a landing queue.
    pub(super) fn arrange(&mut self, record: &Record, how: Arranged) {
        let project = record.project.expect("a landing queue belongs to a project");
        let hold = (how == Arranged::Held).then_some(OnHold { by: record.actor, seq: record.seq });
        match (how, record.loop_id) {
            (Arranged::Held | Arranged::Released, Some(id)) => self.engine_mut(id).on_hold = hold,
            (Arranged::Held | Arranged::Released, None) => {
                self.projects.get_mut(&project).expect("known").on_hold = hold;
            }
            (Arranged::Moved { before }, Some(id)) => {
                let queued = |it: LoopId| self.loops[&it].queued;
                let (entry, before) = (queued(id), before.and_then(queued));
                if let Some(entry) = entry {
                    let lane = self.lane_of(id.plan());
                    self.lane_mut(&lane).move_before(entry, before);
                }
            }
            (Arranged::Moved { .. }, None) => {}
        }
        for lane in self.lanes_of(project) {
            self.put_aside(&lane);
            self.evict(&lane);
        }
    }
}

/// Entries of the queue.
impl State {
    pub(super) fn enter_queue(&mut self, seq: Seq, op: QueueOp) {
        let plan_id = op.plan();
        match op.loop_id() {
            Some(id) => self.engine_mut(id).queued = Some(seq),
            None => self.plan_mut(plan_id).refreshing = true,
        }
        let priority = self.plan(plan_id).head.priority;
        let lane = self.lane_of(plan_id);
        self.lane_mut(&lane).enter(seq, op, priority);
        if let Some(id) = op.loop_id() {
            self.touch_loop(id);
        }
        self.touch_plan(plan_id);
        self.touch_lane(&lane);
    }

    pub(super) fn leave_queue(&mut self, entry: Seq, op: QueueOp, end: &QueueEnd) {
        let plan_id = op.plan();
        let lane = self.lane_of(plan_id);
        let left = self.lane_mut(&lane).leave(entry, end);
        let merges = left.and_then(|it| Some((it.merges?, it.height)));
        match op {
            QueueOp::Refresh(_) => self.refreshed(plan_id, end, merges),
            QueueOp::Undo(id) => {
                self.engine_mut(id).queued = None;
                self.undone(id, end);
            }
            QueueOp::Integrate(id) => {
                self.engine_mut(id).queued = None;
                self.integrated(id, end);
            }
            QueueOp::Land(id) => {
                self.engine_mut(id).queued = None;
                self.landed(id, end);
            }
        }
        self.touch_whole_plan(plan_id);
        self.touch_lane(&lane);
    }

    fn refreshed(&mut self, id: PlanId, end: &QueueEnd, merges: Option<(Oid, u64)>) {
        let now = (self.target_tip(self.plan(id)), self.height_of(self.plan(id)));
        let complete = self.plan(id).unlanded.iter().any(|it| self.loops[it].is_over());
        let plan = self.plan_mut(id);
        plan.refreshing = false;
        (plan.refreshed, plan.height) = merges.unwrap_or(now);
        match end {
            QueueEnd::Done { commit, .. } => {
                plan.integration = *commit;
                plan.ahead.clear();
            }
            QueueEnd::Empty => plan.ahead.clear(),
            // What is complete has nobody to mend it; better on the old base than not at all.
            QueueEnd::Red { .. } | QueueEnd::Conflict { .. } | QueueEnd::Failed { .. } => {
                plan.reset |= !complete;
            }
            QueueEnd::Proposed { .. } | QueueEnd::Held { .. } | QueueEnd::Withdrawn => {}
        }
    }

    fn integrated(&mut self, id: LoopId, end: &QueueEnd) {
        let placed = match end {
            QueueEnd::Done { commit, onto, evidence, .. } => {
                self.plan_mut(id.plan()).integration = *commit;
                Placed { commit: *commit, onto: *onto, evidence: *evidence }
            }
            QueueEnd::Empty => {
                let tip = self.plan(id.plan()).integration;
                let evidence = self.loops[&id].passed.expect("only passed work is queued").evidence;
                Placed { commit: tip, onto: tip, evidence }
            }
            QueueEnd::Red { .. }
            | QueueEnd::Conflict { .. }
            | QueueEnd::Proposed { .. }
            | QueueEnd::Held { .. }
            | QueueEnd::Failed { .. }
            | QueueEnd::Withdrawn => return self.not_brought(id, end),
        };
        if !decide::is_wanted(self, QueueOp::Integrate(id)) {
            // It was sent back or ended while it was brought: it must come off again.
            self.plan_mut(id.plan()).reset = true;
            return;
        }
        self.engine_mut(id).integrated = Some(placed);
        let plan = self.plan_mut(id.plan());
        plan.unlanded.insert(id);
        plan.again.remove(&id);
        plan.spec_mut(id).reach = Reach::Integrated;
    }

    fn landed(&mut self, id: LoopId, end: &QueueEnd) {
        let plan = self.plan(id.plan());
        let (project, target) = (plan.head.project, plan.head.target.clone());
        let tip = self.target_tip(plan);
        let commit = match end {
            QueueEnd::Done { commit, onto, .. } => {
                // Somebody may have built on it already; then the watcher saw the newer tip.
                if tip == *onto {
                    self.move_target(project, &target, *commit, 1);
                }
                *commit
            }
            QueueEnd::Empty => tip,
            // It was made beside work that waits for a person; it lands after that, or is sent
            // back when that is gone.
            QueueEnd::Red { .. } | QueueEnd::Conflict { .. } if plan.has_unlanded_beside(id) => {
                self.engine_mut(id).refused_on = Some(tip);
                return;
            }
            QueueEnd::Red { .. }
            | QueueEnd::Conflict { .. }
            | QueueEnd::Proposed { .. }
            | QueueEnd::Held { .. }
            | QueueEnd::Failed { .. }
            | QueueEnd::Withdrawn => return self.not_brought(id, end),
        };
        self.has_landed(id, commit, *end == QueueEnd::Empty);
    }

    /// A loop's work is on its target, as this commit.
    pub(super) fn has_landed(&mut self, id: LoopId, commit: Oid, already_there: bool) {
        let engine = self.engine_mut(id);
        engine.landed = Some(commit);
        engine.already_there = already_there;
        let was_integrated = engine.integrated.is_some();
        let tip = self.target_tip(self.plan(id.plan()));
        let plan = self.plan_mut(id.plan());
        if !was_integrated && plan.refreshed != tip {
            plan.ahead.insert(id.spec.index);
        }
        plan.unlanded.remove(&id);
        plan.spec_mut(id).reach = Reach::Landed;
        self.touch_whole_plan(id.plan());
    }

    /// The queue could not bring a loop's work: the loop mends it, or a person does.
    fn not_brought(&mut self, id: LoopId, end: &QueueEnd) {
        let since = (self.now, Seq(self.next.0 - 1));
        if !decide::is_wanted(self, QueueOp::Land(id)) {
            // It was sent back or ended meanwhile; what the queue says of it is about the past.
            return;
        }
        let plan = self.plan_mut(id.plan());
        if plan.again.remove(&id) {
            plan.spec_mut(id).reach = Reach::Lost;
            return;
        }
        let engine = self.engine_mut(id);
        let n = engine.iteration;
        let note = |verdict, summary: &str, log| IterationNote {
            n,
            verdict,
            summary: summary.to_owned(),
            log,
        };
        match end {
            QueueEnd::Red { log } => {
                let summary = "green alone, red together with what landed since";
                engine.note_iteration(note(Verdict::Red, summary, Some(*log)));
                self.send_back(id, since);
            }
            QueueEnd::Conflict { .. } => {
                let summary = "does not merge with what landed since";
                engine.note_iteration(note(Verdict::Conflict, summary, None));
                self.send_back(id, since);
            }
            QueueEnd::Proposed { commit, .. } => engine.proposed = Some(*commit),
            QueueEnd::Held { .. } => (engine.held, engine.beside) = (true, false),
            QueueEnd::Failed { message } => engine.stuck = Some(Reason::Stuck(message.clone())),
            QueueEnd::Done { .. } | QueueEnd::Empty | QueueEnd::Withdrawn => {}
        }
    }

    pub(super) fn lane_effect_started(&mut self, id: EffectId, work: &Work) {
        let op = &queue_op(work);
        let integrated = op.loop_id().and_then(|id| self.loops[&id].integrated);
        let height = self.height_of(self.plan(op.plan()));
        let lane = self.lane_of(op.plan());
        let lane = self.lane_mut(&lane);
        let entry = lane.entry_of(*op).expect("what runs was queued").clone();
        let active = lane.active.get_or_insert_with(|| Active::new(&entry));
        active.open = Some(id);
        match (work, &active.stage) {
            (Work::BuildCandidate { merges, .. }, _) if active.op == *op => {
                active.begin_anew();
                (active.merges, active.height) = (*merges, height);
            }
            (Work::BuildCandidate { .. }, Stage::Built { .. }) => active.joining = Some(entry.seq),
            (Work::Publish { commit, expected, .. }, Stage::Built { .. }) => {
                let evidence = active.stack.last().and_then(|it| it.evidence);
                let evidence = evidence.expect("a stack is published whose top is known to pass");
                active.stage = Stage::Publishing { commit: *commit, onto: *expected, evidence };
            }
            (Work::Publish { commit, expected, .. }, Stage::Gated { evidence, .. }) => {
                let evidence = *evidence;
                active.stage = Stage::Publishing { commit: *commit, onto: *expected, evidence };
            }
            (Work::Publish { commit, expected, .. }, Stage::Fresh) => {
                let evidence = integrated.expect("published as it was integrated").evidence;
                active.stage = Stage::Publishing { commit: *commit, onto: *expected, evidence };
            }
            _ => {}
        }
    }
}
