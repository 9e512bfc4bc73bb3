//! What follows by itself. Questions asked of `&State`; the answers are events.
//!
//! One place and one order, whatever woke us. Every function reads the indexes; none scans.

pub(crate) mod lane;

use taskd_model::{
    Event, Evidence, LandPolicy, Limit, LoopId, Owner, PlanId, PrepareMode, QueryEnd, QueueOp,
    Reason, Room, Spoken, Status, Time, Work,
};

use crate::{
    document::document_step,
    engine::{LoopEngine, Next},
    fallback,
    money::{self, Cap, Money},
    plan::{PlanState, Reach},
    queries,
    queue::LaneId,
    scheduler::Waiters,
    state::{NextCall, State},
    unsaved,
};

pub(crate) use self::lane::{is_on_hold, is_wanted, lane_step, lane_wants_gate, publishes};

/// An event and the loop it belongs to, if to one.
pub(crate) type Step = (Option<LoopId>, Event);

/// The next thing that follows from `state` by itself, if any.
///
/// Asked until it answers `None`, so every input leaves the coordinator settled.
pub(crate) fn next_event(state: &State, now: Time) -> Option<Step> {
    due(state, now)
        .or_else(|| first_of_published(state))
        .or_else(|| first_plan_step(state))
        .or_else(|| first_loop_step(state, now))
        .or_else(|| first_lane_step(state))
        .or_else(|| admit_gate(state))
        .or_else(|| admit_call(state, now))
        .or_else(|| fallback::detour(state, now))
        .or_else(|| admit_agent(state, now))
        .or_else(|| admit_loop(state))
}

/// When to ask again even if nothing happens.
pub(crate) fn next_deadline(state: &State) -> Option<Time> {
    let renewal = state.index().renewals.first().map(|(at, _)| *at);
    let due = state.index().due.first().map(|(at, _)| *at).into_iter().chain(renewal).min();
    if state.rests() {
        return due;
    }
    let admission =
        state.index().calls.iter().filter_map(|(name, waiters)| admission_at(state, name, waiters));
    let others = [fallback::next_at(state), state.recess_over()].into_iter().flatten();
    due.into_iter().chain(admission).chain(others).min()
}

/// When a waiting call can go. Whose turn it is may change while time passes, and with it how much
/// room is needed.
fn admission_at(state: &State, bucket: &str, waiters: &Waiters) -> Option<Time> {
    let mut at = state.now();
    loop {
        let ready_at = state.next_call(bucket, waiters, at).ready_at?;
        if ready_at <= at {
            return Some(at);
        }
        at = ready_at;
    }
}

fn due(state: &State, now: Time) -> Option<Step> {
    if let Some((at, of)) = state.index().renewals.first()
        && *at <= now
    {
        return Some((None, Event::BudgetRenewed { of: *of }));
    }
    let (at, id) = *state.index().due.first()?;
    if now < at {
        return None;
    }
    let engine = &state.loops()[&id];
    let plan = state.plan(id.plan());
    let counts = state.time_counts();
    let event = if let Some(event) = engine.query_due(now) {
        event
    } else if counts && engine.time_runs() && plan.deadline() <= now {
        Event::LimitReached { limit: Limit::PlanTime }
    } else if counts && engine.deadline().is_some_and(|it| it <= now) {
        Event::LimitReached { limit: Limit::Time }
    } else if let Some(event) = engine.default_answer(now) {
        event
    } else {
        Event::DeferralOver
    };
    Some((Some(id), event))
}

fn first_loop_step(state: &State, now: Time) -> Option<Step> {
    let step = |id: &LoopId| {
        let engine = &state.loops()[id];
        let event = loop_step(state, engine).expect("indexed because it has a step");
        let begins = matches!(event, Event::IterationStarted { .. });
        let changed = if begins { fallback::at_boundary(state, engine, now) } else { None };
        let event = changed.unwrap_or(event);
        may_follow(state, &event).then_some((Some(*id), event))
    };
    state.index().steps.iter().find_map(step)
}

fn first_plan_step(state: &State) -> Option<Step> {
    let step = |id: &PlanId| {
        let event = plan_step(state, *id).expect("indexed because it has a step");
        may_follow(state, &event).then_some((None, event))
    };
    state.index().plans.iter().find_map(step)
}

/// What was published as one leaves the queue in one: nobody acts on a tip in between.
fn first_of_published(state: &State) -> Option<Step> {
    let of_stack = |id: &&LaneId| lane::leaves_in_one(state, id);
    let id = state.index().lanes.iter().find(of_stack)?;
    lane_step(state, id).map(|event| (None, event))
}

fn first_lane_step(state: &State) -> Option<Step> {
    let step = |id: &LaneId| {
        let event = lane_step(state, id).expect("indexed because it has a step");
        may_follow(state, &event).then_some((None, event))
    };
    state.index().lanes.iter().find_map(step)
}

/// Work that rests may end, but nothing of it starts or goes on.
fn may_follow(state: &State, event: &Event) -> bool {
    let ends = if let Event::StatusChanged { to, .. } = event {
        !matches!(to, Status::Running | Status::Rebasing)
    } else {
        matches!(
            event,
            Event::QueueLeft { .. }
                | Event::PlanEnded { .. }
                | Event::LimitReached { .. }
                | Event::Spoken { word: Spoken::QueryEnded { .. } }
        )
    };
    ends || !state.rests()
}

fn admit_gate(state: &State) -> Option<Step> {
    if state.rests() || !state.has_gate_slot() {
        return None;
    }
    // Candidates first: they are nearest to landing. Then bases, which everybody waits for.
    if let Some(lane) = state.index().lane_gates.first() {
        return lane_wants_gate(state, lane).map(|event| (None, event));
    }
    if let Some(plan) = state.index().checks.first()
        && state.disk().room == Room::Enough
    {
        let work = Work::CheckBase { base: state.plan(*plan).integration };
        return Some((None, Event::EffectStarted { owner: Owner::Plan(*plan), work }));
    }
    let (_, _, id) = *state.index().gates.first()?;
    let accept = state.loops()[&id].next == Next::Accept;
    let work = if accept { Work::AcceptBefore } else { Work::Gate };
    Some(start(id, work))
}

fn admit_call(state: &State, now: Time) -> Option<Step> {
    if state.rests() {
        return None;
    }
    let (bucket, call) = state.index().calls.iter().find_map(|(name, waiters)| {
        let call = state.next_call(name, waiters, now);
        call.ready_at.is_some_and(|it| it <= now).then_some((name, call))
    })?;
    let money = money::afford(state, call.id, call.worst, now);
    let pays = matches!(money, Money::Cap(_)) && state.closed_for(call.id).is_none();
    if let Some(query) = state.loops()[&call.id].waiting_query()
        && !pays
    {
        // Who is asked is not held up by that.
        return Some((Some(call.id), query.ended(QueryEnd::Unpaid)));
    }
    Some(match money {
        Money::Gone(of) => money::out_of(call.id, of, now),
        Money::TooMuch(of, unit) => money::too_much(state, call.id, of, unit, call.worst),
        Money::Reserved(of, _) => {
            let until = now.plus_ms(RESERVED_WAIT_MS);
            (Some(call.id), Event::Deferred { until, why: money::reserved(of) })
        }
        Money::Cap(cap) => {
            let work = call_work(&state.loops()[&call.id], bucket, &call, &cap);
            start(call.id, work)
        }
    })
}

/// The call a loop was admitted for: its own, or one of its agent's.
fn call_work(engine: &LoopEngine, bucket: &str, call: &NextCall, cap: &Cap) -> Work {
    if let Some(relay) = engine.waiting_relay() {
        return relay.work(cap, call.cost);
    }
    if let Some(query) = engine.waiting_query() {
        return query.work(cap, call.cost);
    }
    let Next::Call { request, .. } = engine.next else { unreachable!("indexed as a waiting call") };
    Work::Call {
        request,
        bucket: bucket.to_owned(),
        cap_micros: cap.micros,
        cap_tokens: cap.tokens,
        reserved_micros: call.worst.micros,
        reserved_tokens: call.worst.tokens,
        input_tokens: call.cost.input,
        output_tokens: call.cost.output,
    }
}

/// How long a call waits whose money others have reserved, in milliseconds.
const RESERVED_WAIT_MS: u64 = 5_000;

fn admit_agent(state: &State, now: Time) -> Option<Step> {
    if state.rests() || !state.has_agent_slot() {
        return None;
    }
    let may = |id: &LoopId| state.recess(&state.loops()[id]).is_none_or(|it| it.may_start(now));
    let id = state.index().agents.iter().map(|it| it.2).find(may)?;
    let engine = &state.loops()[&id];
    let Next::Agent { prompt } = engine.next else { unreachable!("indexed as a waiting agent") };
    Some(match money::spent_up(state, id, now) {
        Some(of) => money::out_of(id, of, now),
        None => {
            let cap_micros = money::money_left(state, id, now);
            start(id, Work::Agent { prompt, cap_micros, reader: engine.agent_that_reads() })
        }
    })
}

fn admit_loop(state: &State) -> Option<Step> {
    if state.rests() || !state.has_loop_slot() {
        return None;
    }
    let (_, _, id) = *state.index().slots.first()?;
    Some((Some(id), status(Status::Pending, Status::Running, Reason::Started)))
}

fn start(id: LoopId, work: Work) -> Step {
    (Some(id), Event::EffectStarted { owner: Owner::Loop(id), work })
}

fn status(from: Status, to: Status, reason: Reason) -> Event {
    Event::StatusChanged { from, to, reason }
}

/// A loop's own next step: one that needs neither time nor anything shared.
pub(crate) fn loop_step(state: &State, engine: &LoopEngine) -> Option<Event> {
    if let Some(event) = queries::query_step(state, engine) {
        return Some(event);
    }
    if engine.is_over() {
        return None;
    }
    if let Some(event) = ending_step(engine) {
        return event;
    }
    let plan = state.plan(engine.id.plan());
    match engine.status {
        Status::Draft => match plan.state {
            _ if engine.pause => Some(status(Status::Draft, Status::Paused, Reason::Person)),
            PlanState::Open => Some(status(Status::Draft, Status::Pending, Reason::Released)),
            PlanState::Refused => {
                let reason = plan.trouble.clone().map_or(Reason::BaseRed, Reason::Stuck);
                Some(status(Status::Draft, Status::Blocked, reason))
            }
            PlanState::Checking | PlanState::Ended => None,
        },
        Status::Pending => match plan.state {
            _ if engine.pause => Some(status(Status::Pending, Status::Paused, Reason::Person)),
            PlanState::Refused => {
                let reason = plan.trouble.clone().map_or(Reason::BaseRed, Reason::Stuck);
                Some(status(Status::Pending, Status::Blocked, reason))
            }
            _ if plan.needs_reach(engine.id) == Reach::Lost => {
                Some(status(Status::Pending, Status::Blocked, Reason::NeedFailed))
            }
            PlanState::Checking | PlanState::Open | PlanState::Ended => None,
        },
        Status::Running | Status::Rebasing => working_step(state, engine),
        Status::Paused | Status::Blocked | Status::Complete | Status::Failed | Status::Stopped => {
            None
        }
    }
}

/// Landed work is complete, and a loop that shall end does so when its last effect has ended.
fn ending_step(engine: &LoopEngine) -> Option<Option<Event>> {
    let taken_apart = engine.document.as_ref().is_some_and(|it| it.artifact.is_some());
    let done = engine.landed.is_some() || taken_apart;
    let quiet = engine.is_quiet() && engine.talk.answering.is_empty();
    if done && engine.status == Status::Running && quiet {
        let reason = if engine.already_there { Reason::AlreadyThere } else { Reason::Done };
        return Some(Some(status(Status::Running, Status::Complete, reason)));
    }
    let (to, reason) = engine.ending.as_ref()?;
    // Its entry in the landing queue leaves first, in case a publish has happened.
    if !quiet || engine.queued.is_some() {
        return Some(None);
    }
    Some(Some(status(engine.status, *to, reason.clone())))
}

fn working_step(state: &State, engine: &LoopEngine) -> Option<Event> {
    if let Some(event) = engine.save_step() {
        return Some(event);
    }
    if engine.is_quiet() {
        return quiet_step(state, engine);
    }
    if !engine.only_saves() {
        return tool_step(engine);
    }
    let shares =
        |it: &Event| matches!(it, Event::EffectStarted { work, .. } if unsaved::shares(work));
    quiet_step(state, engine).filter(|it| engine.goes_on_unsaved() && shares(it))
}

/// Its next step is nothing that may be done while its files are being saved.
pub(crate) fn waits_for_save(state: &State, engine: &LoopEngine) -> bool {
    engine.only_saves() && quiet_step(state, engine).is_some()
}

/// What it does when nothing of it runs.
fn quiet_step(state: &State, engine: &LoopEngine) -> Option<Event> {
    let now_is = engine.status;
    if let Some(reason) = &engine.stuck {
        return Some(status(now_is, Status::Blocked, reason.clone()));
    }
    if engine.queued.is_some() {
        return None;
    }
    if engine.must_change_model() {
        return fallback::away(state, engine);
    }
    let plan = state.plan(engine.id.plan());
    if plan.needs_reach(engine.id) == Reach::Lost {
        return Some(status(now_is, Status::Blocked, Reason::NeedFailed));
    }
    if engine.pause {
        return Some(status(now_is, Status::Paused, Reason::Person));
    }
    if engine.retry_at.is_some() {
        return None;
    }
    if waits_for_need(state, engine) {
        return None;
    }
    // Passed work is brought from its checkpoint; it needs no worktree until it is sent back.
    if engine.next == Next::Land {
        return match &engine.document {
            Some(document) => document_step(engine, document),
            None => land_step(state, engine),
        };
    }
    if let Some(mode) = engine.preparation() {
        return Some(prepare_step(state, engine, mode));
    }
    if engine.gives_up_on_conflicts() {
        return Some(status(now_is, Status::Blocked, Reason::Conflict));
    }
    let tip = plan.integration;
    let behind = engine.base != tip && engine.ground_may_move();
    match (now_is, behind) {
        (Status::Rebasing, true) => Some(begin(engine, Work::Rebase { onto: tip })),
        (Status::Rebasing, false) => {
            Some(status(Status::Rebasing, Status::Running, Reason::Rebased))
        }
        // It is brought onto the newer one, once that is there.
        (_, true) if waits_for_base(state, engine) => None,
        (_, true) => Some(status(Status::Running, Status::Rebasing, Reason::BaseMoved)),
        (_, false) => next_step(state, engine),
    }
}

/// What it needs was taken off the integration ref again and has not come back: it begins nothing
/// until then.
pub(crate) fn waits_for_need(state: &State, engine: &LoopEngine) -> bool {
    let begins = match engine.next {
        Next::Iterate | Next::Compose => true,
        Next::Accept => engine.preparation().is_some(),
        Next::Call { .. } | Next::Tools | Next::Agent { .. } | Next::Gate | Next::Land => false,
    };
    let works = matches!(engine.status, Status::Running | Status::Rebasing);
    let idle = begins && works && engine.is_quiet() && engine.queued.is_none();
    idle && !state.plan(engine.id.plan()).needs_are_there(engine.id)
}

/// The base of its next iteration would be older than it may be, and a newer one is being made.
pub(crate) fn waits_for_base(state: &State, engine: &LoopEngine) -> bool {
    let works = matches!(engine.status, Status::Running | Status::Rebasing);
    let begins = engine.next == Next::Iterate && works && engine.is_quiet();
    begins && state.too_far_behind(state.plan(engine.id.plan())).is_some()
}

fn next_step(state: &State, engine: &LoopEngine) -> Option<Event> {
    match engine.next {
        Next::Iterate if waits_for_base(state, engine) => None,
        Next::Iterate | Next::Compose => {
            Some(match (money::gone_for_good(state, engine.id), engine.exhausted()) {
                // More money would not help it.
                (_, Some(limit)) => Event::LimitReached { limit },
                (Some(limit), None) => {
                    status(Status::Running, Status::Blocked, Reason::Limit(limit))
                }
                (None, None) if engine.next == Next::Compose => begin(engine, Work::Compose),
                (None, None) => Event::IterationStarted { n: engine.iteration + 1 },
            })
        }
        Next::Tools => tool_step(engine),
        Next::Agent { .. } if engine.limits.restarts < engine.restarts => {
            Some(Event::LimitReached { limit: Limit::Restarts })
        }
        Next::Accept | Next::Call { .. } | Next::Agent { .. } | Next::Gate | Next::Land => None,
    }
}

fn begin(engine: &LoopEngine, work: Work) -> Event {
    Event::EffectStarted { owner: Owner::Loop(engine.id), work }
}

fn prepare_step(state: &State, engine: &LoopEngine, mode: PrepareMode) -> Event {
    let untouched = engine.checkpoint.is_none() && engine.iteration == 0;
    let work = if untouched {
        // Whatever is there stands on an older tip: kept, it would undo what came since.
        let base = state.plan(engine.id.plan()).integration;
        Work::Prepare { base, mode: PrepareMode::Fresh }
    } else if let Some(it) = engine.rewind {
        Work::Prepare { base: it.base, mode: PrepareMode::Rewind(it.to) }
    } else {
        Work::Prepare { base: engine.base, mode }
    };
    begin(engine, work)
}

fn tool_step(engine: &LoopEngine) -> Option<Event> {
    if engine.ending.is_some() || engine.status != Status::Running {
        return None;
    }
    // What runs may end, but nothing joins it: the files are not ready, or it shall rest first.
    let rests = engine.pause || engine.stuck.is_some() || engine.retry_at.is_some();
    if rests || engine.preparation().is_some() {
        return None;
    }
    // Only the call of this turn and reads of it may run beside a tool.
    if engine.turn.call.is_none() && engine.turn.reply.is_none() {
        return None;
    }
    let (index, call) = engine.startable_tool()?;
    // What it writes over must be saved, in case it is interrupted.
    if !call.reads && engine.unsaved.is_some() {
        return None;
    }
    let work = Work::Tool { index, name: call.name.clone(), args: call.args, reads: call.reads };
    Some(begin(engine, work))
}

/// What passed work does next: onto the integration ref, then perhaps a person, then the target.
fn land_step(state: &State, engine: &LoopEngine) -> Option<Event> {
    let id = engine.id;
    let plan = state.plan(id.plan());
    if plan.reset {
        return None;
    }
    let policy = match plan.head.land {
        LandPolicy::OnGate | LandPolicy::Pr if engine.doubted => LandPolicy::Ask,
        policy @ (LandPolicy::Never | LandPolicy::Ask | LandPolicy::OnGate | LandPolicy::Pr) => {
            policy
        }
    };
    if engine.is_suspect() {
        // Not even others of its plan build on a gate that nobody has looked at.
        return engine.asked.is_none().then_some(Event::ApprovalAsked);
    }
    // Who needs it starts on the integration ref; what a remote does with it takes its time.
    let first = plan.head.land == LandPolicy::Pr && engine.integrated.is_none();
    let by_itself = match policy {
        LandPolicy::OnGate | LandPolicy::Pr => true,
        LandPolicy::Ask => engine.approved,
        LandPolicy::Never => false,
    };
    let may_land = by_itself && !first && engine.proposed.is_none();
    let needs_landed = plan.needs_reach(id) == Reach::Landed;
    let alone = engine.refused_on != Some(state.target_tip(plan)) || !plan.has_unlanded_beside(id);
    if may_land && !engine.held && needs_landed && alone {
        return Some(Event::QueueEntered { op: QueueOp::Land(id) });
    }
    if engine.integrated.is_none() {
        if !plan.needs_are_there(id) {
            return None;
        }
        return Some(Event::QueueEntered { op: QueueOp::Integrate(id) });
    }
    if policy == LandPolicy::Never {
        return Some(status(Status::Running, Status::Complete, Reason::Done));
    }
    let silent = !engine.approved && engine.asked.is_none();
    (policy == LandPolicy::Ask && silent).then_some(Event::ApprovalAsked)
}

/// A plan's own next step.
pub(crate) fn plan_step(state: &State, id: PlanId) -> Option<Event> {
    let plan = state.plan(id);
    if plan.specs.len() < usize::from(plan.head.specs) || plan.state == PlanState::Ended {
        return None;
    }
    if plan.open_loops == 0 && plan.again.is_empty() {
        return Some(Event::PlanEnded { plan: id });
    }
    let tip = state.target_tip(plan);
    // While a publish may be moving the integration ref, where it stands is not ours to say.
    if !plan.refreshing && !state.integration_in_hand(id) {
        let fresh = plan.unlanded.is_empty() && plan.integration != tip;
        if plan.reset || fresh {
            return Some(Event::IntegrationMoved { plan: id, to: tip });
        }
        let busy = plan.unlanded.iter().any(|it| state.loops()[it].queued.is_some());
        if plan.refreshed != tip && !plan.unlanded.is_empty() && !busy {
            return Some(Event::QueueEntered { op: QueueOp::Refresh(id) });
        }
    }
    if let Some(complete) = plan.again.iter().find(|it| state.loops()[it].queued.is_none()) {
        return Some(Event::QueueEntered { op: QueueOp::Integrate(*complete) });
    }
    if plan.state == PlanState::Checking {
        return base_check(state, id);
    }
    None
}

/// The release of a plan whose base is known to pass.
fn base_check(state: &State, id: PlanId) -> Option<Event> {
    let plan = state.plan(id);
    let project = state.project(plan.head.project).expect("plans have a project");
    let known = project
        .checked
        .iter()
        .find(|it| it.base == plan.integration && it.gate == plan.head.gate)?;
    if !known.green && !plan.head.base_red_ok {
        return None;
    }
    let evidence = Evidence { seq: known.seq, tree: known.base };
    let evidence = known.green.then_some(evidence);
    Some(Event::PlanReleased { plan: id, evidence, tests: known.tests })
}

/// The plan's base must be gated before any loop of it starts.
pub(crate) fn wants_base_check(state: &State, id: PlanId) -> bool {
    let plan = state.plan(id);
    plan.state == PlanState::Checking
        && usize::from(plan.head.specs) <= plan.specs.len()
        && 0 < plan.open_loops
        && plan.checking.is_none()
        && plan_step(state, id).is_none()
}
