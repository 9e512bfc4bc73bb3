//! What the end of an effect does to the state.
//!
//! Every effect ends once: its holds are freed, its spend is booked, and only if it was still
//! wanted does its outcome move its owner on.

use taskd_model::{
    Amount, Digest, EffectId, Evidence, Failure, LoopId, Oid, Outcome, Owner, PlanId, PrepareMode,
    ProjectId, QueueOp, Reason, Record, Room, Seq, Time, ToolCall, TurnRef, Work, Worker,
};

use super::{BaseCheck, Open, State, landing::queue_op};
use crate::{
    asked::Pending,
    coordinator::loop_of,
    engine::{LoopEngine, Next, ToolSlot, ToolState, Turn},
    plan::{PlanState, Reach},
    scheduler::{Cost, Recess},
};

/// Failures in a row, of anything but a model call, after which a person is asked.
const MAX_ATTEMPTS: u32 = 3;

/// How often and how long something that fails is tried again before a person is asked.
#[derive(Clone, Copy)]
struct Patience {
    attempts: u32,
    ms: u64,
}

impl State {
    pub(super) fn end_effect(&mut self, id: EffectId, outcome: &Outcome, record: &Record) {
        let open = self.effects.remove(&id).expect("an effect ends once");
        self.free(id, &open, outcome);
        self.verdicts.take(record.seq, outcome);
        self.book(open.owner, &open.work, &open.booked, &outcome.usage());
        match open.owner {
            Owner::Loop(loop_id) => self.end_loop_effect(loop_id, id, &open, outcome, record),
            Owner::Plan(plan) => self.end_base_check(plan, &open, outcome, record.seq),
            Owner::Queue(project) => self.end_queue_effect(project, &open, outcome, record.seq),
        }
        self.touch_owner(open.owner);
    }

    /// Gives back the slots of an effect that ended or was lost.
    pub(super) fn free(&mut self, id: EffectId, open: &Open, outcome: &Outcome) {
        match &open.work {
            Work::Call { .. } | Work::Relay(_) | Work::Answer(_) => {
                let taken = open.work.taken().expect("a call takes something");
                self.release(open.owner_loop(), taken.reserved);
                let bucket = self.buckets.get_mut(taken.bucket);
                let bucket = bucket.expect("a call was sent through it");
                let reserved = Cost { input: taken.input_tokens, output: taken.output_tokens };
                let by = Seq(self.next.0 - 1);
                bucket.end(&self.limits, (id, by), reserved, outcome, self.now);
            }
            Work::Agent { .. } => {
                self.agents -= 1;
                self.end_run(id, open, outcome);
            }
            Work::CheckBase { .. }
            | Work::AcceptBefore
            | Work::Gate
            | Work::GateCandidate { .. } => self.gates -= 1,
            Work::Prepare { .. }
            | Work::Compose
            | Work::Tool { .. }
            | Work::Save { .. }
            | Work::Decompose { .. }
            | Work::Rebase { .. }
            | Work::BuildCandidate { .. }
            | Work::Publish { .. } => {}
        }
    }

    /// The agent that work of this owner runs, if it runs one.
    fn run_by<'a>(&'a self, owner: Owner, work: &'a Work) -> Option<&'a String> {
        let Work::Agent { reader, .. } = work else { return None };
        reader.as_ref().or_else(|| self.loops.get(&loop_of(owner)?)?.agent())
    }

    pub(super) fn recess_mut(&mut self, owner: Owner, work: &Work) -> Option<&mut Recess> {
        let agent = self.run_by(owner, work)?.clone();
        self.recesses.get_mut(&agent)
    }

    /// A run of an agent ended. One that was refused closes the agent for every loop; one that was
    /// not, after that, lets two go where one went.
    fn end_run(&mut self, id: EffectId, open: &Open, outcome: &Outcome) {
        let now = self.now;
        let wait_ms = match outcome.failure() {
            Some(Failure::NotBefore(ms)) => Some(Some(ms)),
            Some(Failure::RateLimited) => Some(None),
            Some(
                Failure::Transient
                | Failure::Permanent
                | Failure::Auth
                | Failure::TooLarge
                | Failure::Resources
                | Failure::OverBudget,
            )
            | None => None,
        };
        if let Some(recess) = self.recess_mut(open.owner, &open.work) {
            recess.ended();
        }
        let Some(name) = self.run_by(open.owner, &open.work).cloned() else { return };
        if let Some(wait_ms) = wait_ms {
            let runs = |open: &&Open| self.run_by(open.owner, &open.work) == Some(&name);
            let running = u32::try_from(self.effects.values().filter(runs).count());
            let fresh = Recess::new(running.unwrap_or(u32::MAX));
            let recess = self.recesses.entry(name).or_insert(fresh);
            recess.refuse(&self.limits, wait_ms, id.0.0, now);
            // Whoever waits for an agent now waits for this one's allowance, perhaps.
            let waiting: Vec<LoopId> = self.index.agents.iter().map(|it| it.2).collect();
            for id in waiting {
                self.note_call_wait(id);
                self.touch_loop(id);
            }
        } else if matches!(outcome, Outcome::AgentDone { .. } | Outcome::Replied { .. })
            && let Some(recess) = self.recesses.get_mut(&name)
            && recess.worked(&self.limits, now)
        {
            self.recesses.remove(&name);
        }
    }

    fn end_loop_effect(
        &mut self,
        id: LoopId,
        effect: EffectId,
        open: &Open,
        outcome: &Outcome,
        record: &Record,
    ) {
        if matches!(open.work, Work::Answer(_)) {
            self.answer_ended(id, effect, outcome);
            return;
        }
        if matches!(open.work, Work::Relay(_)) {
            // What its end means is for the agent to say.
            self.engine_mut(id).open.remove(&effect);
            return;
        }
        if matches!(open.work, Work::Agent { .. }) {
            self.run_over(id);
        }
        let is_call = matches!(open.work, Work::Call { .. });
        let patience = if outcome.is_disk_full() {
            // Nothing is tried before there is room, and then it costs nothing; sending a call
            // again does. Where the disk looks as if it had room a person must see to it.
            let rests = self.disk.room == Room::Full && !is_call;
            Patience { attempts: if rests { u32::MAX } else { MAX_ATTEMPTS }, ms: u64::MAX }
        } else if is_call {
            Patience { attempts: self.limits.call_attempts, ms: self.limits.call_deadline_ms }
        } else {
            Patience { attempts: MAX_ATTEMPTS, ms: u64::MAX }
        };
        let max_turns = self.max_turns(id);
        let engine = self.engine_mut(id);
        engine.open.remove(&effect);
        let given_up = !open.ending && matches!(outcome, Outcome::Cancelled { .. });
        // A command that was given up is undone, so what it left is not what was last saved.
        if let Some(checkpoint) = checkpoint_in(outcome)
            && !(given_up && matches!(open.work, Work::Tool { .. }))
        {
            engine.checkpoint = Some(checkpoint);
        }
        engine.note_saved(effect, outcome);
        if engine.turn.call == Some(effect) {
            engine.turn.call = None;
        }
        if open.ending {
            return;
        }
        let since = (record.at, record.seq);
        if given_up {
            engine.lost(effect, open);
            engine.finish_turn(since, max_turns);
            if is_call {
                self.drop_turn(id);
            }
            return;
        }
        if let Outcome::Failed { failure, message, .. } = outcome {
            engine.failed(&open.work, *failure, message, patience, since);
            if is_call {
                self.drop_turn(id);
            }
            return;
        }
        // Between two runs of an agent its worktree is ensured, and beside a call files are saved; that
        // says nothing of the agent or the call.
        let beside = matches!(
            (&open.work, &engine.next),
            (Work::Prepare { .. }, Next::Agent { .. }) | (Work::Save { .. }, _)
        );
        if !beside {
            engine.attempts = 0;
            engine.failing_since = None;
        }
        engine.moved_on((effect, &open.work), outcome, since, max_turns);
        if matches!(outcome, Outcome::Decomposed { .. }) {
            // What it named takes its place for whoever needs it.
            self.plan_mut(id.plan()).spec_mut(id).reach = Reach::Landed;
            self.touch_dependents(id);
        }
    }

    /// Turns of one iteration before the gate is run anyway.
    pub(super) fn max_turns(&self, id: LoopId) -> u32 {
        match self.loops[&id].limits.turns {
            0 => self.limits.turns,
            own => own,
        }
    }

    /// A call failed: what its stream asked for so far is void, and what runs of it ends.
    fn drop_turn(&mut self, id: LoopId) {
        self.engine_mut(id).turn = Turn::default();
        // What an earlier turn left is saved all the same.
        self.end_open(id, |it| !matches!(it, Work::Save { .. }));
    }

    fn end_base_check(&mut self, id: PlanId, open: &Open, outcome: &Outcome, seq: Seq) {
        let Work::CheckBase { base } = open.work else { unreachable!("plans only check bases") };
        let plan = self.plan_mut(id);
        plan.checking = None;
        // A base that is no longer the plan's says nothing against it.
        let present = !open.ending && base == plan.integration;
        let (project, gate, red_ok) = (plan.head.project, plan.head.gate, plan.head.base_red_ok);
        if let Outcome::BaseChecked(report) = outcome {
            plan.attempts = 0;
            let (green, tests) = (report.green, report.tests);
            if !green && !red_ok && present {
                plan.state = PlanState::Refused;
            }
            if let Some(counts) = report.facts.counts.filter(|_| green) {
                let project = self.projects.get_mut(&project).expect("known");
                project.remember_counts(base, gate, counts);
            }
            if green || red_ok {
                self.base_was_checked(project, BaseCheck { base, gate, seq, green, tests });
            }
        } else if let Outcome::Failed { failure, message, .. } = outcome
            && present
        {
            if self.disk.room != Room::Full {
                self.plan_mut(id).attempts += 1;
            }
            let plan = self.plan_mut(id);
            let hopeless =
                matches!(failure, Failure::Permanent | Failure::Auth | Failure::TooLarge);
            if hopeless || MAX_ATTEMPTS <= plan.attempts {
                plan.trouble = Some(message.clone());
                plan.state = PlanState::Refused;
            }
        }
        self.touch_whole_plan(id);
    }

    /// Whoever waits for a check of the same base need not make its own.
    fn base_was_checked(&mut self, id: ProjectId, check: BaseCheck) {
        let project = self.projects.get_mut(&id).expect("known");
        project.remember_check(check);
        let plans: Vec<PlanId> = project.plans.iter().copied().collect();
        for plan in plans {
            if self.plan(plan).state == PlanState::Checking {
                self.touch_plan(plan);
            }
        }
    }

    fn end_queue_effect(&mut self, id: ProjectId, open: &Open, outcome: &Outcome, seq: Seq) {
        let op = queue_op(&open.work);
        if let Outcome::PublishMoved { actual } = outcome {
            self.tip_was_elsewhere(op, *actual);
        }
        let lane = self.lane_of(op.plan());
        let active = self.lane(&lane).and_then(|it| it.active.as_ref());
        let first = active.expect("the queue's effects have an entry").op;
        let (tip, gate) = (self.tip_of(first), self.gate_of(op));
        let known = match (&open.work, outcome) {
            // The same tree under the same gate need not be gated again (decision D43).
            (Work::BuildCandidate { .. }, Outcome::Built { tree, .. }) => {
                self.evidence_of_stack(id, op, *tree).filter(|_| !open.ending)
            }
            _ => None,
        };
        let with = if let Work::GateCandidate { with, .. } = &open.work { &with[..] } else { &[] };
        let below: Vec<Digest> = with.iter().map(|it| self.gate_of(QueueOp::Land(*it))).collect();
        let plan_gate = self.plan(op.plan()).head.gate;
        let project = self.projects.get_mut(&id).expect("known");
        if let (Work::GateCandidate { commit, .. }, Outcome::CandidateGated(report)) =
            (&open.work, outcome)
            && let Some(counts) = report.facts.counts.filter(|_| report.green)
        {
            project.remember_counts(*commit, plan_gate, counts);
        }
        // What failed for want of room is asked for again once there is some.
        let again = self.disk.room == Room::Full && outcome.is_disk_full();
        let active = project.lanes.get_mut(&lane.target).and_then(|it| it.active.as_mut());
        let active = active.expect("just seen");
        active.ended(&open.work, seq, outcome, open.ending || again, tip);
        if let Some(evidence) = known {
            active.has_evidence(evidence);
        }
        if let (Work::GateCandidate { tree, .. }, Outcome::CandidateGated(report)) =
            (&open.work, outcome)
            && report.green
            && !open.ending
        {
            for gate in below.into_iter().chain([gate]) {
                project.remember_evidence(*tree, gate, seq);
            }
        }
        self.put_aside(&lane);
    }

    /// Evidence that this tree passes for whoever is below it on the stack, and for `op` on top.
    fn evidence_of_stack(&self, id: ProjectId, op: QueueOp, tree: Oid) -> Option<Evidence> {
        let active = self.lane(&self.lane_of(op.plan()))?.active.as_ref()?;
        let joins = active.joining.is_some();
        let below = active.stack.iter().filter(|_| joins).map(|it| it.op);
        for below in below {
            self.evidence(id, tree, self.gate_of(below))?;
        }
        let seq = self.evidence(id, tree, self.gate_of(op))?;
        Some(Evidence { seq, tree })
    }

    /// A compare-and-swap met another tip than ours: that tip is a fact now.
    fn tip_was_elsewhere(&mut self, op: QueueOp, actual: Oid) {
        let plan = self.plan(op.plan());
        let (project, target) = (plan.head.project, plan.head.target.clone());
        match op {
            QueueOp::Land(_) | QueueOp::Undo(_) => self.move_target(project, &target, actual, 1),
            QueueOp::Integrate(_) | QueueOp::Refresh(_) => {
                self.plan_mut(op.plan()).integration = actual;
                self.touch_whole_plan(op.plan());
            }
        }
    }
}

impl LoopEngine {
    /// An effect that was still wanted ended well.
    fn moved_on(
        &mut self,
        (effect, work): (EffectId, &Work),
        outcome: &Outcome,
        since: (Time, Seq),
        max_turns: u32,
    ) {
        match (work, outcome) {
            (Work::Prepare { base, mode }, Outcome::Prepared { .. }) => {
                self.prepare = None;
                self.base = *base;
                if let PrepareMode::Rewind(to) = mode {
                    self.rewound(*to);
                }
            }
            (Work::AcceptBefore, Outcome::AcceptRan { green, .. }) => {
                if *green {
                    self.stuck = Some(Reason::AcceptGreen);
                }
                self.set_next(Next::Iterate, since);
            }
            (
                Work::Compose,
                Outcome::Composed { request, tokens, worst_micros, worst_tokens, .. },
            ) => {
                let worst = Amount { micros: *worst_micros, tokens: *worst_tokens };
                self.composed(*request, *tokens, worst, since);
            }
            (_, Outcome::Replied { reply, found, .. }) if self.is_read() => {
                self.was_read(*reply, found.as_deref());
            }
            (Work::Call { .. }, Outcome::Replied { reply, calls, .. }) => {
                self.replied(*reply, calls, since, max_turns);
            }
            (Work::Tool { index, .. }, Outcome::ToolDone { result, .. }) => {
                self.turn.tools[usize::from(*index)].state = ToolState::Done(Some(*result));
                self.finish_turn(since, max_turns);
            }
            (Work::Agent { .. }, Outcome::AgentDone { exit, run, .. }) => {
                self.doubted = run.judged;
                if run.is_gated(*exit) {
                    self.set_next(Next::Gate, since);
                }
                if let Some(question) = run.question() {
                    self.stuck = Some(Reason::Stuck(question.to_owned()));
                }
            }
            // It is noted, wanted or not.
            (Work::Save { .. }, Outcome::Saved { .. }) => {}
            (Work::Tool { index, .. }, Outcome::Asks { question }) => {
                self.has_asked(*index, Pending::new(effect, question, since));
            }
            // Verdict and evidence follow as events of their own.
            (Work::Gate, Outcome::Gated { markers, .. }) => {
                self.suspicion = None;
                if *markers == 0 {
                    self.conflicts = 0;
                    self.conflict_files = None;
                }
                self.green_to_read(outcome, since);
            }
            (Work::Rebase { onto }, Outcome::Rebased { conflicts, files, .. }) => {
                self.base = *onto;
                self.rebase_from = None;
                self.conflicts = *conflicts;
                self.conflict_files = *files;
                self.conflicted += u32::from(*conflicts != 0);
                if matches!(self.next, Next::Call { .. }) {
                    self.set_next(Next::Compose, since);
                }
            }
            (Work::Decompose { .. }, Outcome::Decomposed { artifact, .. }) => {
                if let Some(document) = &mut self.document {
                    document.artifact = Some(*artifact);
                }
            }
            (work, outcome) => unreachable!("{work} cannot end in {outcome}"),
        }
    }

    /// A prompt or a request is rendered.
    fn composed(&mut self, request: Digest, tokens: u64, worst: Amount, since: (Time, Seq)) {
        let next = match self.at_work() {
            Worker::Agent(_) => Next::Agent { prompt: request },
            Worker::Model(_) => Next::Call { request, tokens, worst },
        };
        self.set_next(next, since);
    }

    fn replied(&mut self, reply: Digest, calls: &[ToolCall], since: (Time, Seq), max_turns: u32) {
        self.turn.reply = Some(reply);
        self.sends = 0;
        self.refused_as_too_large = false;
        // What was observed in the stream keeps its state; the reply says what there is in all.
        for call in calls.iter().skip(self.turn.tools.len()) {
            self.turn.tools.push(ToolSlot::new(call.clone()));
        }
        self.set_next(Next::Tools, since);
        self.finish_turn(since, max_turns);
    }

    /// Ends the turn if reply and results are complete; a tool that finished ends the iteration's
    /// turns (and decides nothing).
    pub(super) fn finish_turn(&mut self, since: (Time, Seq), max_turns: u32) {
        if !self.turn_is_complete() {
            return;
        }
        let turn = std::mem::take(&mut self.turn);
        let reply = turn.reply.expect("complete turns have a reply");
        let finished = turn.tools.iter().any(|it| it.call.name == crate::engine::FINISH);
        let says_no_more = turn.tools.is_empty();
        let results = turn
            .tools
            .iter()
            .map(|it| match it.state {
                ToolState::Done(result) => result,
                ToolState::Seen | ToolState::Running(_) | ToolState::Asked(_) => None,
            })
            .collect();
        self.turns.push(TurnRef { reply, results });
        let enough = max_turns as usize <= self.turns.len();
        let gate = finished || says_no_more || enough;
        self.set_next(if gate { Next::Gate } else { Next::Compose }, since);
    }

    /// An effect that was still wanted failed. Whether to wait and try again is decided here from
    /// counts alone; for how long, by the coordinator.
    fn failed(
        &mut self,
        work: &Work,
        failure: Failure,
        message: &str,
        patience: Patience,
        since: (Time, Seq),
    ) {
        let now = since.0;
        let stuck = match failure {
            // The other side works; it said when to come again, or its bucket is closed for all.
            // What came to its budget asks for money again.
            Failure::NotBefore(_) | Failure::RateLimited | Failure::OverBudget => false,
            Failure::Permanent | Failure::Auth => true,
            Failure::TooLarge => self.refused_as_too_large || !matches!(work, Work::Call { .. }),
            Failure::Transient | Failure::Resources if matches!(work, Work::Save { .. }) => {
                let failures = self.unsaved.as_mut().map(|it| {
                    it.failures += 1;
                    it.failures
                });
                failures.is_some_and(|it| patience.attempts <= it)
            }
            Failure::Transient | Failure::Resources => {
                self.attempts += 1;
                let since = *self.failing_since.get_or_insert(now);
                patience.attempts <= self.attempts || patience.ms <= now.ms_since(since)
            }
        };
        if matches!(work, Work::Agent { reader: None, .. }) {
            // Perhaps it could not go on with it.
            self.session = None;
        }
        match work {
            Work::Tool { index, reads, .. } => {
                self.turn.tools[usize::from(*index)].state = ToolState::Seen;
                if !reads {
                    self.undo_files();
                }
            }
            Work::Agent { reader: Some(_), .. } => self.undo_files(),
            Work::Agent { .. } => self.prepare = Some(PrepareMode::Keep(self.checkpoint)),
            Work::Rebase { .. } => self.rebase_undone(),
            Work::CheckBase { .. }
            | Work::Prepare { .. }
            | Work::AcceptBefore
            | Work::Compose
            | Work::Call { .. }
            | Work::Save { .. }
            | Work::Relay(_)
            | Work::Answer(_)
            | Work::Gate
            | Work::Decompose { .. }
            | Work::BuildCandidate { .. }
            | Work::GateCandidate { .. }
            | Work::Publish { .. } => {}
        }
        if let (Failure::TooLarge, Work::Call { .. }, Next::Call { tokens, .. }) =
            (failure, work, &self.next)
        {
            self.most_tokens = Some(tokens / 4 * 3);
            self.refused_as_too_large = true;
            self.sends = 0;
            self.set_next(Next::Compose, since);
        }
        if let (Failure::Auth, Work::Call { bucket, .. }, false) = (failure, work, self.is_read()) {
            self.unfit.insert(bucket.clone());
        }
        let saves = matches!(work, Work::Save { .. });
        if stuck && (saves || !self.must_change_model()) {
            self.stuck = Some(Reason::Stuck(message.to_owned()));
        }
    }
}

fn checkpoint_in(outcome: &Outcome) -> Option<Oid> {
    match outcome {
        Outcome::ToolDone { checkpoint, .. } | Outcome::Cancelled { checkpoint, .. } => *checkpoint,
        Outcome::AgentDone { checkpoint, .. }
        | Outcome::Saved { checkpoint }
        | Outcome::Gated { checkpoint, .. }
        | Outcome::Rebased { checkpoint, .. } => Some(*checkpoint),
        Outcome::BaseChecked(_)
        | Outcome::Prepared { .. }
        | Outcome::AcceptRan { .. }
        | Outcome::Composed { .. }
        | Outcome::Asks { .. }
        | Outcome::Replied { .. }
        | Outcome::Answered { .. }
        | Outcome::Relayed { .. }
        | Outcome::Decomposed { .. }
        | Outcome::Built { .. }
        | Outcome::BuiltEmpty
        | Outcome::BuildConflict { .. }
        | Outcome::CandidateGated(_)
        | Outcome::Published
        | Outcome::PublishMoved { .. }
        | Outcome::Proposed { .. }
        | Outcome::PublishHeld { .. }
        | Outcome::Failed { .. } => None,
    }
}
