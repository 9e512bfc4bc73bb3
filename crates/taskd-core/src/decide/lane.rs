//! What follows by itself in a landing queue: whose turn it is, what is built, gated and published,
//! and who leaves.

use taskd_model::{Event, LandPolicy, Oid, Owner, PlanId, ProjectId, QueueEnd, QueueOp, Work};

use crate::{
    engine::Next,
    plan::PlanState,
    queue::{Active, Entry, Lane, LaneId, Stage},
    state::State,
};

/// Most commits that are gated in one.
const MAX_STACK: usize = 16;

/// The landing queue's next step, if it needs no gate slot.
pub(crate) fn lane_step(state: &State, id: &LaneId) -> Option<Event> {
    let step = own_step(state, id)?;
    // Who writes refs of a repository does so alone.
    let writes = matches!(step, Event::EffectStarted { work: Work::Publish { .. }, .. });
    (!writes || !publishes(state, id.project)).then_some(step)
}

/// One of the project's landing queues is writing refs.
pub(crate) fn publishes(state: &State, id: ProjectId) -> bool {
    let lanes = state.project(id).into_iter().flat_map(|it| it.lanes.values());
    let mut open = lanes.filter_map(|it| it.active.as_ref()?.open);
    open.any(|it| {
        let work = state.effects().get(&it).map(|it| &it.work);
        work.is_some_and(|it| matches!(it, Work::Publish { .. }))
    })
}

/// The step of one queue, whatever the others do.
fn own_step(state: &State, lane_id: &LaneId) -> Option<Event> {
    let (lane, id) = (state.lane(lane_id)?, lane_id.project);
    let unwanted = |it: &&Entry| !lane.is_active(it.seq) && !is_wanted(state, it.op);
    if let Some(it) = lane.entries.iter().find(unwanted) {
        return Some(Event::QueueLeft { entry: it.seq, op: it.op, end: QueueEnd::Withdrawn });
    }
    let Some(active) = &lane.active else {
        let next = lane.entries.iter().find(|it| !is_on_hold(state, id, it.op))?;
        return Some(begin_entry(state, id, next.op));
    };
    if active.open.is_some() {
        return None;
    }
    let op = active.op;
    match &active.stage {
        Stage::Publishing { commit, onto, .. } => {
            return Some(publish(id, top_op(active), *commit, *onto));
        }
        Stage::Over(end) => return Some(leave(active, end)),
        Stage::Fresh | Stage::Built { .. } | Stage::Gated { .. } => {}
    }
    if let Some((entry, op)) = active.ops().find(|(_, op)| !is_wanted(state, *op)) {
        return Some(Event::QueueLeft { entry, op, end: QueueEnd::Withdrawn });
    }
    let tip = state.tip_of(op);
    match &active.stage {
        Stage::Built { onto, .. } | Stage::Gated { onto, .. } if *onto != tip => {
            Some(build(state, id, op))
        }
        Stage::Gated { commit, onto, .. } => Some(publish(id, top_op(active), *commit, *onto)),
        Stage::Built { onto, .. } => stack_step(state, id, lane, active, *onto),
        Stage::Fresh => Some(build(state, id, op)),
        Stage::Publishing { .. } | Stage::Over(_) => None,
    }
}

/// What follows for a candidate that was built on the tip, besides its gate.
fn stack_step(
    state: &State,
    id: ProjectId,
    lane: &Lane,
    active: &Active,
    onto: Oid,
) -> Option<Event> {
    if let Some(bisect) = &active.bisect {
        let red = &active.stack[bisect.first_red()?];
        let end = QueueEnd::Red { log: bisect.log };
        return Some(Event::QueueLeft { entry: red.entry, op: red.op, end });
    }
    let top = active.top()?;
    if let Some(op) = joins(state, id, lane, active) {
        let work = Work::BuildCandidate { op, onto: top.commit, merges: None };
        return Some(Event::EffectStarted { owner: Owner::Queue(id), work });
    }
    top.evidence.map(|_| publish(id, top.op, top.commit, onto))
}

/// Who is gated in one with what is built: others that land on the same branch under the same
/// gate, if so many wait that it pays.
fn joins(state: &State, id: ProjectId, lane: &Lane, active: &Active) -> Option<QueueOp> {
    let batch = usize::try_from(state.limits().batch).unwrap_or(usize::MAX);
    let QueueOp::Land(first) = active.op else { return None };
    if batch < 2 || MAX_STACK <= active.stack.len() {
        return None;
    }
    // What lands beside the changes of a person's checkout does so alone, and so does what changes
    // what decides about it, and what has a pull request of its own.
    let alone = |op: QueueOp| {
        let engine = op.loop_id().map(|it| &state.loops()[&it]);
        let pr = state.plan(op.plan()).head.land == LandPolicy::Pr;
        pr || engine.is_some_and(|it| it.beside || it.suspicion.is_some())
    };
    if alone(active.op) {
        return None;
    }
    let head = &state.plan(first.plan()).head;
    let fits = |it: &&Entry| {
        let theirs = &state.plan(it.op.plan()).head;
        matches!(it.op, QueueOp::Land(_))
            && (&theirs.target, theirs.gate) == (&head.target, head.gate)
            && !lane.is_active(it.seq)
            && !active.apart.contains(&it.seq)
            && !is_on_hold(state, id, it.op)
            && !alone(it.op)
    };
    let waiting: Vec<&Entry> = lane.entries.iter().filter(fits).collect();
    let enough = batch <= active.stack.len() + waiting.len();
    if enough || 1 < active.stack.len() {
        return waiting.first().map(|it| it.op);
    }
    // The rest of a stack that was red stays together, so that it costs one gate and not one each.
    let of_rest = |it: &&Entry| it.rest;
    lane.entry_of(active.op).filter(of_rest)?;
    waiting.into_iter().find(of_rest).map(|it| it.op)
}

/// The gate the landing queue waits for: the candidate is built on the tip and has no evidence.
pub(crate) fn lane_wants_gate(state: &State, lane: &LaneId) -> Option<Event> {
    let (active, id) = (state.lane(lane)?.active.as_ref()?, lane.project);
    let Stage::Built { commit, tree, onto } = active.stage else { return None };
    if active.open.is_some() || onto != state.tip_of(active.op) || own_step(state, lane).is_some() {
        return None;
    }
    let of_it = active.stack.iter().find(|it| it.commit == commit);
    let op = of_it.map_or(active.op, |it| it.op);
    let work = Work::GateCandidate { op, commit, tree, with: active.below(commit) };
    Some(Event::EffectStarted { owner: Owner::Queue(id), work })
}

/// Several that were published as one are leaving.
pub(super) fn leaves_in_one(state: &State, id: &LaneId) -> bool {
    let active = state.lane(id).and_then(|it| it.active.as_ref());
    active.is_some_and(|it| {
        let over = matches!(it.stage, Stage::Over(QueueEnd::Done { .. }));
        over && (1 < it.stack.len() || !it.left.is_empty())
    })
}

fn begin_entry(state: &State, id: ProjectId, op: QueueOp) -> Event {
    // Work that is integrated on exactly this tip lands as the commit that was gated there.
    if let QueueOp::Land(loop_id) = op
        && let Some(placed) = state.loops()[&loop_id].integrated
        && placed.onto == state.tip_of(op)
        && placed.commit != placed.onto
    {
        return publish(id, op, placed.commit, placed.onto);
    }
    build(state, id, op)
}

fn build(state: &State, id: ProjectId, op: QueueOp) -> Event {
    let merges = match op {
        QueueOp::Refresh(plan) => Some(state.target_tip(state.plan(plan))),
        QueueOp::Integrate(_) | QueueOp::Land(_) | QueueOp::Undo(_) => None,
    };
    let work = Work::BuildCandidate { op, onto: state.tip_of(op), merges };
    Event::EffectStarted { owner: Owner::Queue(id), work }
}

/// Whose commit is published: the highest.
fn top_op(active: &Active) -> QueueOp {
    active.stack.last().map_or(active.op, |it| it.op)
}

fn publish(id: ProjectId, op: QueueOp, commit: Oid, expected: Oid) -> Event {
    let work = Work::Publish { op, commit, expected };
    Event::EffectStarted { owner: Owner::Queue(id), work }
}

fn leave(active: &Active, end: &QueueEnd) -> Event {
    Event::QueueLeft { entry: active.entry, op: active.op, end: active.end_of_first(end) }
}

/// A person holds it, or all of the queue.
pub(crate) fn is_on_hold(state: &State, id: ProjectId, op: QueueOp) -> bool {
    let of_loop = op.loop_id().is_some_and(|it| state.loops()[&it].on_hold.is_some());
    of_loop || state.project(id).is_some_and(|it| it.on_hold.is_some())
}

/// The queue entry still has somebody who wants it.
pub(crate) fn is_wanted(state: &State, op: QueueOp) -> bool {
    match op.loop_id() {
        Some(id) if matches!(op, QueueOp::Undo(_)) => {
            let engine = &state.loops()[&id];
            engine.landed.is_some() && engine.undone.is_none()
        }
        Some(id) => {
            let engine = &state.loops()[&id];
            let alive = engine.ending.is_none() && !engine.is_over() && !engine.is_suspect();
            let again = state.plan(id.plan()).again.contains(&id);
            engine.passed.is_some() && engine.next == Next::Land && (alive || again)
        }
        None => plan_wants_refresh(state, op.plan()),
    }
}

fn plan_wants_refresh(state: &State, id: PlanId) -> bool {
    let plan = state.plan(id);
    !plan.reset && !plan.unlanded.is_empty() && plan.state != PlanState::Ended
}
