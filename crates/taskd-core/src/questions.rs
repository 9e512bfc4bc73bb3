//! Questions to the coordinator: bounded and read-only.

use taskd_model::{
    Digest, EffectId, Hold, LoopId, Oid, Order, Owner, PlanId, ProjectId, QueueOp, Seq, Subject,
    Time, Work,
};

use crate::{
    Coordinator, WantedCall,
    plan::PlanState,
    queue::{Active, OnHold},
};

/// One step of the answer to "why does this not go on?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyRow {
    /// The loop the sentence is about.
    pub subject: LoopId,
    /// The sentence.
    pub sentence: String,
    /// Until when, if that is known.
    pub until: Option<Time>,
    /// The model call it waits to make, with the figures the sentence is made of.
    pub call: Option<WantedCall>,
    /// The event that is the root, if there is one.
    pub evidence: Option<Evidence>,
    /// More about it, each a label and a sentence.
    pub details: Vec<(&'static str, String)>,
}

/// An event that is the root of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The event.
    pub seq: Seq,
    /// When it was, where that says more than the wait itself.
    pub at: Option<Time>,
    /// What it says.
    pub text: String,
}

/// One entry of a landing queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// When it was queued.
    pub entry: Seq,
    /// What it does.
    pub op: QueueOp,
    /// It is under way.
    pub active: bool,
    /// A person holds it, or all of the queue.
    pub on_hold: Option<OnHold>,
}

/// Questions: bounded and read-only.
impl Coordinator {
    /// An open effect as the runner is given it.
    #[must_use]
    pub fn order(&self, effect: EffectId) -> Option<Order> {
        let open = self.state().effects().get(&effect)?;
        let (plan_id, subject) = match open.owner {
            Owner::Loop(id) => (id.plan(), Some(id)),
            Owner::Plan(id) => (id, None),
            Owner::Queue(_) => {
                let (Work::BuildCandidate { op, .. }
                | Work::GateCandidate { op, .. }
                | Work::Publish { op, .. }) = &open.work
                else {
                    return None;
                };
                (op.plan(), op.loop_id())
            }
        };
        let plan = self.state().plan(plan_id);
        Some(Order {
            effect,
            owner: open.owner,
            work: open.work.clone(),
            project: open.project,
            plan: plan_id,
            plan_doc: plan.head.doc,
            target: plan.head.target.clone(),
            subject: subject.map(|id| self.subject(id)),
            beside: self.beside(&open.work),
        })
    }

    /// The documents of the specs whose work a candidate holds besides that of its own loop.
    fn beside(&self, work: &Work) -> Vec<Digest> {
        let Work::GateCandidate { with, .. } = work else { return Vec::new() };
        let doc = |id: &LoopId| self.state().plan(id.plan()).spec(*id).head.doc;
        with.iter().map(doc).collect()
    }

    pub(crate) fn subject(&self, id: LoopId) -> Subject {
        let engine = &self.state().loops()[&id];
        let plan = self.state().plan(id.plan());
        let passed = engine.passed.map(|it| it.checkpoint);
        Subject {
            id,
            spec_doc: plan.spec(id).head.doc,
            base: engine.base,
            checkpoint: passed.or(engine.checkpoint),
            iteration: engine.iteration,
            max_iterations: engine.limits.iterations,
            turns: engine.turns.clone(),
            results: engine.turn_results(),
            history: engine.history.clone(),
            notes: engine.notes.clone(),
            mail: engine.talk.mail.told().to_vec(),
            conflicts: engine.conflict_files.filter(|_| 0 < engine.conflicts),
            rebase_from: engine.rebase_from,
            model: engine.called().cloned(),
            most_tokens: engine.most_tokens,
            call_left_ms: engine.failing_since.map(|since| {
                let until = since.plus_ms(self.state().limits().call_deadline_ms);
                until.ms_since(self.state().now())
            }),
            attempt: engine.sends.saturating_sub(1),
            session: engine.session.clone(),
            questions: engine.questions,
            reviewed: engine.document.as_ref().map_or(0, |it| it.seen),
            beside: engine.beside,
            reads: engine.is_read(),
        }
    }

    /// Where a project's repository is, for the runner.
    #[must_use]
    pub fn git_dir_of(&self, id: ProjectId) -> Option<&str> {
        self.state().project(id).map(|it| it.git_dir.as_str())
    }

    /// The project of a repository, if it is known.
    #[must_use]
    pub fn project_at(&self, git_dir: &str) -> Option<ProjectId> {
        self.state().project_at(git_dir)
    }

    /// Work that pull requests ask for: whose, on which target, as which commit.
    #[must_use]
    pub fn proposed(&self) -> Vec<(LoopId, ProjectId, String, Oid)> {
        let row = |it: &crate::engine::LoopEngine| {
            let head = &self.state().plan(it.id.plan()).head;
            let commit = it.proposed.filter(|_| !it.is_over() && it.landed.is_none())?;
            Some((it.id, head.project, head.target.clone(), commit))
        };
        self.state().loops().values().filter_map(row).collect()
    }

    /// Targets to watch: those of open plans.
    #[must_use]
    pub fn watched(&self) -> Vec<(ProjectId, String)> {
        let open = self.state().plans().values().filter(|it| it.state != PlanState::Ended);
        let mut rows: Vec<_> = open.map(|it| (it.head.project, it.head.target.clone())).collect();
        rows.sort();
        rows.dedup();
        rows
    }

    /// Every effect that is open, with whether it is ending.
    pub fn open_effects(&self) -> impl Iterator<Item = (EffectId, &Work, bool)> + '_ {
        self.state().effects().iter().map(|(id, open)| (*id, &open.work, open.ending))
    }

    /// Every hold in force.
    pub fn holds(&self) -> impl Iterator<Item = (EffectId, Hold)> + '_ {
        self.state().holds()
    }

    /// The entries of a project's landing queues, one branch after another: what is under way, then
    /// the others in the order of their turns.
    #[must_use]
    pub fn queue(&self, id: ProjectId) -> Vec<QueueRow> {
        let Some(project) = self.state().project(id) else { return Vec::new() };
        let on_hold = |op: QueueOp| {
            let of_loop = op.loop_id().and_then(|it| self.state().loops()[&it].on_hold);
            of_loop.or(project.on_hold)
        };
        let row = |entry, op, active| QueueRow { entry, op, active, on_hold: on_hold(op) };
        let mut rows = Vec::new();
        for lane in project.lanes.values() {
            let active = lane.active.iter().flat_map(Active::ops);
            rows.extend(active.map(|(entry, op)| row(entry, op, true)));
            let placed = |entry| lane.active.as_ref().is_some_and(|it| it.place(entry).is_some());
            let waiting = lane.entries.iter().filter(|it| !placed(it.seq));
            rows.extend(waiting.map(|it| row(it.seq, it.op, false)));
        }
        rows
    }

    /// The same plan was submitted before.
    #[must_use]
    pub fn plan_with_key(&self, key: &Digest) -> Option<PlanId> {
        self.state().plan_with_key(key)
    }

    /// Nothing new starts.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.state().is_parked()
    }

    /// Some loop of the log is not over.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.state().plans().values().any(|it| it.state != PlanState::Ended)
    }

    /// Two coordinators know the same.
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool {
        self.state() == other.state()
    }

    /// The indexes equal what a scan over all loops, plans and queues finds. For the simulator.
    #[must_use]
    pub fn indexes_are_exact(&self) -> bool {
        self.state().index_afresh() == *self.state().index()
    }
}
