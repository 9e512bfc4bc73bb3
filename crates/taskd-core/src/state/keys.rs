//! Keeps the indexes up: recomputes the keys of what an event touched, and of nothing else.

use taskd_model::{LoopId, PlanId, ProjectId, Purse, Status, Time, touches};

use super::{State, Want};
use crate::{
    asked::Pending,
    decide,
    engine::{LoopEngine, Next},
    fallback,
    index::{Index, Keys, mark},
    plan::PlanState,
    queue::LaneId,
};

impl State {
    /// The keys of a loop, computed afresh. The simulator compares them with the index.
    pub(crate) fn keys_of(&self, engine: &LoopEngine) -> Keys {
        let plan = self.plan(engine.id.plan());
        Keys {
            want: self.want_of(engine),
            priority: plan.head.priority,
            since: engine.waits_since(),
            due: self.due_of(engine),
            slot: engine.holds_slot() && !decide::waits_for_need(self, engine),
            detour: fallback::detour_of(engine).filter(|_| self.closed_for(engine.id).is_none()),
        }
    }

    /// The indexes as a scan over everything finds them.
    pub(crate) fn index_afresh(&self) -> Index {
        let mut index = Index::default();
        for (id, engine) in &self.loops {
            index.set(*id, Some(self.keys_of(engine)));
        }
        for id in self.plans.keys() {
            mark(&mut index.plans, *id, decide::plan_step(self, *id).is_some());
            mark(&mut index.checks, *id, decide::wants_base_check(self, *id));
        }
        let projects = self.projects.keys().map(|id| Purse::Project(*id));
        for of in projects.chain([Purse::All]) {
            if let Some(closed) = self.day(of).and_then(|it| it.closed) {
                index.renewals.insert((closed.until, of));
            }
        }
        for id in self.projects.keys().flat_map(|it| self.lanes_of(*it)) {
            mark(&mut index.lanes, id.clone(), decide::lane_step(self, &id).is_some());
            mark(&mut index.lane_gates, id.clone(), decide::lane_wants_gate(self, &id).is_some());
        }
        index
    }

    fn want_of(&self, engine: &LoopEngine) -> Want {
        if decide::loop_step(self, engine).is_some() {
            return Want::Step;
        }
        let plan = self.plan(engine.id.plan());
        if engine.status == Status::Pending {
            let may = plan.state == PlanState::Open
                && plan.needs_are_there(engine.id)
                && engine.ending.is_none()
                && self.held_by(engine).is_none();
            return if may { Want::Slot } else { Want::Nothing };
        }
        if let Some(relay) = engine.waiting_relay() {
            return Want::Call(relay.wanted.bucket.clone());
        }
        if let Some(query) = engine.waiting_query() {
            return Want::Call(query.call.bucket.clone());
        }
        if !engine.is_idle() || self.waits_for_day(engine).is_some() {
            return Want::Nothing;
        }
        if decide::waits_for_save(self, engine) {
            return Want::Nothing;
        }
        match &engine.next {
            Next::Accept | Next::Gate | Next::Agent { .. } if !engine.is_quiet() => Want::Nothing,
            Next::Accept | Next::Gate => Want::Gate,
            Next::Call { .. } => engine.called().map_or(Want::Nothing, |it| Want::Call(it.clone())),
            Next::Agent { .. } => Want::Agent,
            Next::Iterate | Next::Compose | Next::Tools | Next::Land => Want::Nothing,
        }
    }

    fn due_of(&self, engine: &LoopEngine) -> Option<Time> {
        if engine.is_over() || engine.ending.is_some() {
            return None;
        }
        let plan = self.plan(engine.id.plan());
        let counts = self.time_counts();
        let plan_deadline = (counts && engine.time_runs()).then(|| plan.deadline());
        let deadline = engine.deadline().filter(|_| counts);
        let retry =
            engine.retry_at.filter(|_| matches!(engine.status, Status::Running | Status::Rebasing));
        let answer = engine.asking().and_then(Pending::due_at);
        let queries = engine.talk.queries_until();
        [retry, deadline, plan_deadline, answer, queries].into_iter().flatten().min()
    }

    pub(super) fn touch_loop(&mut self, id: LoopId) {
        let keys = self.loops.get(&id).map(|engine| self.keys_of(engine));
        let had_slot = self.index.has_slot(id);
        self.index.set(id, keys);
        if had_slot != self.index.has_slot(id) {
            self.touch_held(id);
        }
        self.touch_asked(id);
    }

    /// Loops this one asks something: whether it still waits is for them to know.
    fn touch_asked(&mut self, id: LoopId) {
        let asked =
            self.loops.get(&id).map(|it| it.talk.awaits.values().copied().collect::<Vec<_>>());
        for id in asked.unwrap_or_default() {
            let keys = self.loops.get(&id).map(|engine| self.keys_of(engine));
            self.index.set(id, keys);
        }
    }

    /// Loops that wait to touch what this one does, if they do: it has begun to work, or no longer
    /// does.
    fn touch_held(&mut self, id: LoopId) {
        let plan = self.plan(id.plan());
        let ours = &plan.spec(id).head.touches;
        if ours.is_empty() {
            return;
        }
        let waits = |it: &&LoopEngine| {
            let theirs = &self.plan(it.id.plan()).spec(it.id).head.touches;
            it.status == Status::Pending && it.id != id && touches::shared(theirs, ours).is_some()
        };
        let all = self.touching(plan.head.project).filter(waits);
        for id in all.map(|it| it.id).collect::<Vec<_>>() {
            let keys = self.loops.get(&id).map(|engine| self.keys_of(engine));
            self.index.set(id, keys);
        }
    }

    /// Loops of a project that say what they touch and are not over with their plans.
    fn touching(&self, project: ProjectId) -> impl Iterator<Item = &LoopEngine> {
        let plans = self.projects[&project].plans.iter().map(|it| self.plan(*it));
        let open = plans.filter(|it| it.state != PlanState::Ended);
        let specs = open.flat_map(|it| &it.specs).filter(|it| !it.head.touches.is_empty());
        specs.filter_map(|it| self.loops.get(&it.latest))
    }

    /// The loop that works on something this one says it touches too, and the glob of this one.
    pub(crate) fn held_by(&self, engine: &LoopEngine) -> Option<(LoopId, &str)> {
        let plan = self.plan(engine.id.plan());
        let ours = &plan.spec(engine.id).head.touches;
        if ours.is_empty() {
            return None;
        }
        self.touching(plan.head.project).find_map(|it| {
            let works = it.holds_slot() && !decide::waits_for_need(self, it);
            let theirs = &self.plan(it.id.plan()).spec(it.id).head.touches;
            let shared = (works && it.id != engine.id).then(|| touches::shared(ours, theirs));
            Some((it.id, shared.flatten()?))
        })
    }

    /// Touches a plan's own step and all its loops: for what concerns all of them.
    pub(super) fn touch_whole_plan(&mut self, id: PlanId) {
        let loops: Vec<LoopId> = self.plan(id).specs.iter().map(|it| it.latest).collect();
        for id in loops {
            self.touch_loop(id);
        }
        self.touch_plan(id);
    }

    pub(super) fn touch_plan(&mut self, id: PlanId) {
        let step = decide::plan_step(self, id).is_some();
        let check = decide::wants_base_check(self, id);
        mark(&mut self.index.plans, id, step);
        mark(&mut self.index.checks, id, check);
    }

    /// Touches every landing queue: for what concerns all of them.
    pub(super) fn touch_lanes(&mut self) {
        let projects: Vec<ProjectId> = self.projects.keys().copied().collect();
        for id in projects {
            self.touch_lanes_of(id);
        }
    }

    /// Touches the landing queues of a project: one publishes at a time, so what one does may be
    /// what others wait for.
    pub(super) fn touch_lanes_of(&mut self, project: ProjectId) {
        for id in self.lanes_of(project) {
            self.touch_lane(&id);
        }
    }

    pub(super) fn touch_lane(&mut self, id: &LaneId) {
        if let Some(op) = self.lane(id).and_then(|it| it.active.as_ref()).map(|it| it.op) {
            self.touch_plan(op.plan());
        }
        let step = decide::lane_step(self, id).is_some();
        let gate = decide::lane_wants_gate(self, id).is_some();
        mark(&mut self.index.lanes, id.clone(), step);
        mark(&mut self.index.lane_gates, id.clone(), gate);
    }

    /// Loops whose start depends on how far this one's spec has come.
    pub(super) fn touch_dependents(&mut self, id: LoopId) {
        let plan = self.plan(id.plan());
        let dependents = plan.spec(id).dependents.iter();
        let loops: Vec<LoopId> = dependents.map(|n| plan.specs[usize::from(*n)].latest).collect();
        for id in loops {
            self.touch_loop(id);
        }
    }
}
