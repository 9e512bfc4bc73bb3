//! The fold of the log. Fields are private to this module tree, and [`State::apply`] is the only
//! thing that changes them.
//!
//! Policy (limits, prices, budgets) is checked before an event is emitted; `apply` asserts
//! structure only, so that a log written under other limits still folds.

mod answers;
mod apply;
mod back;
mod ends;
mod keys;
mod landing;
mod lost;
mod messages;
mod money;
mod progress;
mod projects;
mod queries;
mod relay;
mod replan;
mod retry;
mod room;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use taskd_model::{
    Amount, Digest, Disk, EffectId, Hold, LetterCounts, Limits, LoopId, Oid, Owner, PlanId,
    ProjectId, QueueEnd, QueueOp, Room, Seq, TestCounts, Time, Usage, Work,
};

use crate::{
    engine::LoopEngine,
    flakes::Verdicts,
    index::Index,
    money::DayPurse,
    plan::Plan,
    queue::{Lane, LaneId, OnHold, Stage},
    scheduler::{Bucket, Cost, Recess, Waiters},
};

/// What a loop waits for, besides time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Nothing: an effect of it runs, or a person must act, or it is over.
    Nothing,
    /// A step that needs nothing shared.
    Step,
    /// A loop slot.
    Slot,
    /// Admission to this rate bucket.
    Call(String),
    /// An agent slot.
    Agent,
    /// A gate slot.
    Gate,
}

/// A change of the wanted set: what the runner shall start, or ask to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WantedChange {
    Start(EffectId),
    End(EffectId),
}

/// The call whose turn it is in a bucket.
#[derive(Debug)]
pub(crate) struct NextCall {
    pub(crate) id: LoopId,
    pub(crate) worst: Amount,
    pub(crate) cost: Cost,
    pub(crate) ready_at: Option<Time>,
}

/// An effect that has started and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) owner: Owner,
    pub(crate) project: ProjectId,
    pub(crate) work: Work,
    /// No longer wanted: it was asked to end.
    pub(crate) ending: bool,
    /// Index of the next observation.
    pub(crate) observed: u32,
    /// Spend as last observed, already booked.
    pub(crate) booked: Usage,
    /// Questions of its agent that nobody has answered, by the event that asked.
    #[serde(default)]
    pub(crate) asked: BTreeMap<Seq, Asked>,
}

/// A question of an agent that waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Which of its run, from 1.
    pub(crate) n: u32,
    /// How many answers there are.
    pub(crate) choices: u16,
}

impl Open {
    /// The loop whose call it is.
    fn owner_loop(&self) -> LoopId {
        let Owner::Loop(id) = self.owner else { unreachable!("only loops call") };
        id
    }
}

/// The bucket of a call.
fn bucket_of(work: &Work) -> Option<&str> {
    work.taken().map(|it| it.bucket)
}

/// A project and its targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Project {
    pub(crate) git_dir: String,
    pub(crate) targets: BTreeMap<String, Oid>,
    /// How many commits came onto each target since it is known: what is compared is differences.
    heights: BTreeMap<String, u64>,
    pub(crate) plans: BTreeSet<PlanId>,
    /// The landing queue of each branch that something landed on or is to land on.
    pub(crate) lanes: BTreeMap<String, Lane>,
    /// A person holds all of its landing queues.
    pub(crate) on_hold: Option<OnHold>,
    /// Trees with green evidence, and for which gate.
    evidence: BTreeMap<Oid, Vec<(Digest, Seq)>>,
    /// In which order trees got evidence, so that the oldest can go.
    evidence_order: VecDeque<Oid>,
    /// Bases that were checked: commit, gate, where, tests.
    pub(crate) checked: VecDeque<BaseCheck>,
    /// What gates counted on commits that became bases: commit, gate of the plan, tests.
    counted: VecDeque<(Oid, Digest, TestCounts)>,
    /// Its account of a day.
    pub(crate) purse: DayPurse,
}

/// A base that was gated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseCheck {
    pub(crate) base: Oid,
    pub(crate) gate: Digest,
    pub(crate) seq: Seq,
    pub(crate) green: bool,
    pub(crate) tests: Option<u32>,
}

/// Trees per project whose evidence is remembered.
const MAX_EVIDENCE: usize = 2_000;
/// Checked bases per project that are remembered.
const MAX_CHECKED: usize = 64;

/// Everything the core knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    next: Seq,
    now: Time,
    limits: Limits,
    parked: bool,
    /// The room on the disk, as measured last.
    #[serde(default)]
    disk: Disk,
    /// Since when there is no room: nobody's time runs.
    #[serde(default)]
    full_since: Option<Time>,
    /// The last daemon said goodbye.
    stopped: bool,
    projects: BTreeMap<ProjectId, Project>,
    by_git_dir: BTreeMap<String, ProjectId>,
    plans: BTreeMap<PlanId, Plan>,
    keys: BTreeMap<Digest, PlanId>,
    loops: BTreeMap<LoopId, LoopEngine>,
    effects: BTreeMap<EffectId, Open>,
    buckets: BTreeMap<String, Bucket>,
    /// Everybody's account of a day.
    all: DayPurse,
    /// Agents that have refused to work, by name.
    recesses: BTreeMap<String, Recess>,
    agents: u32,
    gates: u32,
    /// What gates said lately.
    #[serde(default)]
    verdicts: Verdicts,
    /// Messages between loops so far.
    #[serde(default)]
    letters: LetterCounts,
    #[serde(skip)]
    index: Index,
    /// Changes of the wanted set since they were last taken; no part of the fold.
    #[serde(skip)]
    changes: Changes,
}

/// Output of `apply`, not state: two states are equal whatever was taken out of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(Vec<WantedChange>);

impl PartialEq for Changes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Changes {}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            next: Seq(1),
            now: Time(0),
            limits: Limits::default(),
            parked: false,
            disk: Disk::default(),
            full_since: None,
            stopped: false,
            projects: BTreeMap::new(),
            by_git_dir: BTreeMap::new(),
            plans: BTreeMap::new(),
            keys: BTreeMap::new(),
            loops: BTreeMap::new(),
            effects: BTreeMap::new(),
            buckets: BTreeMap::new(),
            all: DayPurse::default(),
            recesses: BTreeMap::new(),
            agents: 0,
            gates: 0,
            verdicts: Verdicts::default(),
            letters: LetterCounts::default(),
            index: Index::default(),
            changes: Changes::default(),
        }
    }

    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    /// The time of the last record: the earliest the next one may have.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.parked
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Nothing goes on that is at a safe point: a person said so, or there is no room for it.
    pub(crate) fn rests(&self) -> bool {
        self.parked || self.disk.room == Room::Full
    }

    /// The time of loops and plans runs: it does not while there is no room for anything.
    pub(crate) fn time_counts(&self) -> bool {
        self.full_since.is_none()
    }

    pub(crate) fn project(&self, id: ProjectId) -> Option<&Project> {
        self.projects.get(&id)
    }

    pub(crate) fn project_at(&self, git_dir: &str) -> Option<ProjectId> {
        self.by_git_dir.get(git_dir).copied()
    }

    pub(crate) fn next_project(&self) -> ProjectId {
        ProjectId(self.projects.keys().next_back().map_or(1, |it| it.0 + 1))
    }

    pub(crate) fn plan(&self, id: PlanId) -> &Plan {
        self.plans.get(&id).expect("loops belong to plans that were submitted")
    }

    pub(crate) fn plans(&self) -> &BTreeMap<PlanId, Plan> {
        &self.plans
    }

    pub(crate) fn plan_with_key(&self, key: &Digest) -> Option<PlanId> {
        self.keys.get(key).copied()
    }

    pub(crate) fn loops(&self) -> &BTreeMap<LoopId, LoopEngine> {
        &self.loops
    }

    pub(crate) fn engine(&self, id: LoopId) -> Option<&LoopEngine> {
        self.loops.get(&id)
    }

    pub(crate) fn effects(&self) -> &BTreeMap<EffectId, Open> {
        &self.effects
    }

    pub(crate) fn bucket(&self, name: &str) -> Option<&Bucket> {
        self.buckets.get(name)
    }

    /// Who calls next through a bucket that loops wait for, what the call is expected to use, and
    /// when it may go: `None` if that takes the end of another call.
    pub(crate) fn next_call(&self, name: &str, waiters: &Waiters, now: Time) -> NextCall {
        let unused = Bucket::default();
        let bucket = self.bucket(name).unwrap_or(&unused);
        let first = waiters.first(&self.limits, bucket.shares(), now);
        let id = first.expect("empty classes are not indexed");
        let size = self.loops[&id].call_size();
        let (tokens, worst) = size.expect("indexed as a waiting call");
        let cost = bucket.cost(tokens);
        let ready_at = bucket.ready_at(&self.limits, cost, now);
        NextCall { id, worst, cost, ready_at }
    }

    pub(crate) fn buckets(&self) -> &BTreeMap<String, Bucket> {
        &self.buckets
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// The recess of the agent that works for a loop now, if it has one.
    pub(crate) fn recess(&self, engine: &LoopEngine) -> Option<&Recess> {
        self.recesses.get(engine.run()?)
    }

    /// When the next recess is over; nothing if nobody waits for that.
    pub(crate) fn recess_over(&self) -> Option<Time> {
        if self.index.agents.is_empty() {
            return None;
        }
        self.recesses.values().filter_map(Recess::over_at).filter(|it| self.now < *it).min()
    }

    pub(crate) fn has_agent_slot(&self) -> bool {
        self.agents < self.limits.agents
    }

    pub(crate) fn has_gate_slot(&self) -> bool {
        self.gates < self.limits.gates
    }

    pub(crate) fn has_loop_slot(&self) -> bool {
        self.index.active < self.limits.loops && self.disk.room == Room::Enough
    }

    /// The target's tip as last seen or moved by us.
    pub(crate) fn target_tip(&self, plan: &Plan) -> Oid {
        self.projects[&plan.head.project].targets[&plan.head.target]
    }

    /// How many commits the plan's target has had since it is known.
    pub(crate) fn height_of(&self, plan: &Plan) -> u64 {
        self.projects[&plan.head.project].height(&plan.head.target)
    }

    /// How many commits of its target a plan's integration ref lacks, if that is more than an
    /// iteration may start on and about to be mended.
    pub(crate) fn too_far_behind(&self, plan: &Plan) -> Option<u64> {
        let behind = self.height_of(plan).saturating_sub(plan.height);
        let limit = u64::from(self.limits.max_behind);
        let mended = plan.refreshing || plan.reset || plan.refreshed != self.target_tip(plan);
        (0 < limit && limit < behind && mended).then_some(behind)
    }

    /// A publish that has begun may be moving this plan's integration ref.
    pub(crate) fn integration_in_hand(&self, id: PlanId) -> bool {
        let active = self.lane(&self.lane_of(id)).and_then(|it| it.active.as_ref());
        active.is_some_and(|it| {
            let of_target = matches!(it.op, QueueOp::Land(_) | QueueOp::Undo(_));
            let ours = it.op.plan() == id && !of_target;
            ours && matches!(
                it.stage,
                Stage::Publishing { .. } | Stage::Over(QueueEnd::Done { .. })
            )
        })
    }

    /// The landing queue of a plan's work.
    pub(crate) fn lane_of(&self, id: PlanId) -> LaneId {
        let head = &self.plan(id).head;
        LaneId { project: head.project, target: head.target.clone() }
    }

    /// A landing queue, if anything was ever in it.
    pub(crate) fn lane(&self, id: &LaneId) -> Option<&Lane> {
        self.projects.get(&id.project)?.lanes.get(&id.target)
    }

    /// A landing queue, made if there is none yet.
    fn lane_mut(&mut self, id: &LaneId) -> &mut Lane {
        let lanes = &mut self.projects.get_mut(&id.project).expect("known").lanes;
        lanes.entry(id.target.clone()).or_default()
    }

    /// The landing queues of a project.
    fn lanes_of(&self, project: ProjectId) -> Vec<LaneId> {
        let lanes = self.projects[&project].lanes.keys();
        lanes.map(|it| LaneId { project, target: it.clone() }).collect()
    }

    /// The tip a queue operation builds on.
    pub(crate) fn tip_of(&self, op: QueueOp) -> Oid {
        let plan = self.plan(op.plan());
        match op {
            QueueOp::Land(_) | QueueOp::Undo(_) => self.target_tip(plan),
            QueueOp::Integrate(_) | QueueOp::Refresh(_) => plan.integration,
        }
    }

    /// Which gate decides about a queue operation.
    pub(crate) fn gate_of(&self, op: QueueOp) -> Digest {
        let plan = self.plan(op.plan());
        // What a loop's own commands ask for is gone with its work.
        let own = op.loop_id().filter(|_| !matches!(op, QueueOp::Undo(_)));
        own.map_or(plan.head.gate, |id| plan.spec(id).head.gate)
    }

    /// Green evidence for this tree under this gate.
    pub(crate) fn evidence(&self, project: ProjectId, tree: Oid, gate: Digest) -> Option<Seq> {
        let rows = self.projects[&project].evidence.get(&tree)?;
        rows.iter().find(|(it, _)| *it == gate).map(|(_, seq)| *seq)
    }

    /// What the gate counted on the base of a loop's work; where that very commit was never gated,
    /// on the base its plan began with.
    pub(crate) fn counts_on(&self, id: LoopId) -> Option<TestCounts> {
        let plan = self.plan(id.plan());
        let counted = &self.projects[&plan.head.project].counted;
        let on = |commit: Oid| {
            let found = |it: &&(Oid, Digest, TestCounts)| it.0 == commit && it.1 == plan.head.gate;
            counted.iter().find(found).map(|it| it.2)
        };
        on(self.loops[&id].base).or_else(|| on(plan.head.base))
    }

    /// What gates said lately.
    pub(crate) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Every hold in force, by effect. For the simulator and for `why`.
    pub(crate) fn holds(&self) -> impl Iterator<Item = (EffectId, Hold)> + '_ {
        self.effects.iter().flat_map(|(id, open)| {
            open.work.holds(open.owner, open.project).into_iter().map(|hold| (*id, hold))
        })
    }

    pub(crate) fn take_changes(&mut self) -> Vec<WantedChange> {
        std::mem::take(&mut self.changes.0)
    }

    /// Rebuilds what is derived, after loading a snapshot.
    pub(crate) fn reindex(&mut self) {
        self.index = self.index_afresh();
    }
}

impl Project {
    /// How many commits came onto a target.
    pub(crate) fn height(&self, target: &str) -> u64 {
        self.heights.get(target).copied().unwrap_or_default()
    }

    pub(crate) fn new(git_dir: String) -> Self {
        Self {
            git_dir,
            targets: BTreeMap::new(),
            heights: BTreeMap::new(),
            plans: BTreeSet::new(),
            lanes: BTreeMap::new(),
            on_hold: None,
            evidence: BTreeMap::new(),
            evidence_order: VecDeque::new(),
            checked: VecDeque::new(),
            counted: VecDeque::new(),
            purse: DayPurse::default(),
        }
    }

    fn remember_evidence(&mut self, tree: Oid, gate: Digest, seq: Seq) {
        let rows = self.evidence.entry(tree).or_default();
        if rows.is_empty() {
            self.evidence_order.push_back(tree);
        }
        if !rows.iter().any(|(it, _)| *it == gate) {
            rows.push((gate, seq));
        }
        if MAX_EVIDENCE < self.evidence_order.len()
            && let Some(oldest) = self.evidence_order.pop_front()
        {
            self.evidence.remove(&oldest);
        }
    }

    /// What the gate counted on a commit that others will start from.
    fn remember_counts(&mut self, commit: Oid, gate: Digest, counts: TestCounts) {
        self.counted.retain(|(it, by, _)| *it != commit || *by != gate);
        if self.counted.len() == MAX_CHECKED {
            self.counted.pop_front();
        }
        self.counted.push_back((commit, gate, counts));
    }

    fn remember_check(&mut self, check: BaseCheck) {
        // The latest word counts.
        self.checked.retain(|it| it.base != check.base || it.gate != check.gate);
        if self.checked.len() == MAX_CHECKED {
            self.checked.pop_front();
        }
        self.checked.push_back(check);
    }
}
