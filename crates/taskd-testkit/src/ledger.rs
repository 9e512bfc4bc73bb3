//! What must hold of any log, record by record: a second opinion that shares no code with the core.

mod documents;
mod progress;
mod queue;
mod retry;
mod review;
mod talk;

use std::collections::{BTreeMap, BTreeSet};

use taskd_model::{
    Arranged, CallWanted, CircuitChange, Digest, EffectId, Event, Failure, Limits, LoopId,
    MAX_EVENT_BYTES, Observation, Oid, Outcome, Owner, PlanHead, PlanId, PrepareMode, ProjectId,
    Purse, QueueOp, Reason, Record, Room, Seq, SpecHead, Status, Time, Usage, Work, Worker,
};

pub(crate) use self::talk::LETTER_BYTES;
use self::{progress::Progress, talk::Talks};
use crate::{
    purses::{Days, Pair},
    tally::Tally,
};

/// What the log says of one loop.
#[derive(Debug, Clone)]
pub(crate) struct LoopRow {
    pub(crate) head: SpecHead,
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) passed: bool,
    pub(crate) approved: bool,
    /// Its agent's last run failed and was judged by the gate.
    pub(crate) doubted: bool,
    /// Its last gate found something against it.
    pub(crate) suspect: bool,
    pub(crate) held: bool,
    pub(crate) deferred: bool,
    pub(crate) spent: Usage,
    /// Micro-dollars and tokens its next call uses at most.
    pub(crate) worst: Pair,
    /// Commits by which its work came somewhere; `None` if it was there already.
    pub(crate) brought: Vec<Option<Oid>>,
    /// The model that works now; an agent's name where one does.
    model: String,
    iteration: u32,
    iteration_open: bool,
    /// Its document named further specs.
    named: bool,
    /// Its document does not name it any more.
    superseded: bool,
    pub(crate) landed: bool,
    /// The commit that a pull request asks for.
    pub(crate) proposed: Option<Oid>,
    /// The commit that brought it onto its target, if one did.
    pub(crate) landed_as: Option<Oid>,
    undone: bool,
    /// It was sent back to this state, which stood on that base, and is not there yet.
    rewinding: Option<(Oid, Oid)>,
    /// A person wants it tried again, and it is not back yet.
    again: bool,
    /// Requests in a row that were larger than the provider takes, and the most tokens since.
    too_large: u32,
    most_tokens: u64,
    progress: Progress,
    read: review::Read,
}

#[derive(Debug, Clone)]
struct OpenRow {
    owner: Owner,
    work: Work,
    at: Time,
    booked: Usage,
}

#[derive(Debug, Clone, Default)]
struct BucketRow {
    sends: Vec<Time>,
    in_flight: u32,
    closed_until: Time,
    /// It was refused, and nothing was answered since.
    refused: bool,
    /// Passing faults in a row.
    faults: u32,
    /// It failed so often that nobody calls until then.
    rests_until: Time,
}

/// The fold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) limits: Limits,
    pub(crate) parked: bool,
    pub(crate) room: Room,
    pub(crate) loops: BTreeMap<LoopId, LoopRow>,
    pub(crate) plans: BTreeMap<PlanId, PlanHead>,
    pub(crate) ended: BTreeSet<PlanId>,
    released: BTreeSet<PlanId>,
    open: BTreeMap<EffectId, OpenRow>,
    /// Calls that agents wait to make, by run and number.
    pub(crate) asked: BTreeMap<(EffectId, u32), CallWanted>,
    buckets: BTreeMap<String, BucketRow>,
    /// Trees with a green outcome, by the event that holds it.
    green: BTreeMap<Seq, Oid>,
    /// What people hold.
    pub(crate) loops_on_hold: BTreeSet<LoopId>,
    pub(crate) queues_on_hold: BTreeSet<ProjectId>,
    /// Trees and the gates they passed.
    gates_passed: BTreeSet<(Oid, Digest)>,
    /// Commits that were built for the landing queue, and what each stands on.
    built: BTreeMap<Oid, Oid>,
    agents: u32,
    /// Until when agents said they do not work, by name.
    recesses: BTreeMap<String, Time>,
    gates: u32,
    talks: Talks,
    /// Purses whose end was told of, since they were filled: in which unit, and on which day.
    pub(crate) told: Vec<(Purse, usize, Option<u64>)>,
    /// Budgets of days.
    pub(crate) days: Days,
    /// When the last event was.
    pub(crate) now: Time,
    last: Option<(Option<LoopId>, bool)>,
}

impl Ledger {
    /// Folds one record, and says what is wrong with it.
    pub(crate) fn apply(&mut self, record: &Record, tally: &mut Tally) -> Result<(), String> {
        let resumed = matches!(record.event, Event::ResumeAsked | Event::Retried { .. });
        self.at(record.seq, record.at)?;
        match (&record.event, record.loop_id) {
            (Event::DaemonStarted { .. }, _) => self.place_lost(record.at, tally),
            (Event::WorkParked, _) => (self.parked, tally.parked) = (true, tally.parked + 1),
            (Event::WorkUnparked, _) => self.parked = false,
            (Event::DiskChanged { disk }, _) => self.disk_changed(disk, tally),
            (Event::LimitsSet { limits }, _) => {
                self.limits = limits.clone();
                tally.reconfigured += 1;
                // Windows are judged under the limits they lie in.
                self.buckets.values_mut().for_each(|it| it.sends.clear());
            }
            (Event::PlanSubmitted { plan, head }, _) => {
                self.plans.insert(*plan, head.as_ref().clone());
            }
            (Event::SpecAdded { spec, head }, _) => {
                self.added(*spec, head, tally)?;
            }
            (Event::PlanEnded { plan }, _) => {
                self.ended.insert(*plan);
                let over =
                    |(id, it): (&LoopId, &LoopRow)| id.plan() != *plan || it.status.is_over();
                check(self.loops.iter().all(over), || format!("{plan} ended before its loops"))?;
            }
            (Event::PlanReleased { plan, .. }, _) => _ = self.released.insert(*plan),
            (Event::IntegrationMoved { .. }, _) => tally.resets += 1,
            (Event::EffectStarted { owner, work }, _) => {
                self.started(EffectId(record.seq), *owner, work, record.at, tally)?;
            }
            (Event::EffectObserved { effect, fact, .. }, _) => {
                self.observed(*effect, fact, tally)?;
            }
            (Event::EffectEnded { effect, outcome }, _) => {
                self.effect_ended(*effect, outcome, record, tally)?;
            }
            (Event::BudgetSet { of, micros }, _) => self.budget_set(*of, 0, *micros, tally)?,
            (Event::TokensSet { of, tokens }, _) => self.budget_set(*of, 1, *tokens, tally)?,
            (Event::BudgetWarned { of, spent_micros, budget_micros }, _) => {
                self.warned(*of, 0, (*spent_micros, *budget_micros), tally)?;
            }
            (Event::TokensWarned { of, spent, budget }, _) => {
                self.warned(*of, 1, (*spent, *budget), tally)?;
            }
            (Event::BudgetSpent { of, until }, _) => self.closed(*of, *until, tally)?,
            (Event::BudgetRenewed { of }, _) => self.renewed(*of, tally)?,
            (Event::CircuitChanged { bucket, change }, _) => {
                let row = self.buckets.entry(bucket.clone()).or_default();
                if let CircuitChange::Reset { refusals } = change {
                    row.reset(*refusals, record.at);
                }
            }
            (Event::QueueEntered { op }, _) => self.entered(*op)?,
            (Event::QueueLeft { entry, op, end }, _) => self.left(*entry, *op, end, tally)?,
            (Event::QueueArranged { how }, id) => {
                tally.arranged += 1;
                let (project, loops) = (record.project, &mut self.loops_on_hold);
                match (how, id, project) {
                    (Arranged::Held, Some(id), _) => _ = loops.insert(id),
                    (Arranged::Released, Some(id), _) => _ = loops.remove(&id),
                    (Arranged::Held, None, Some(id)) => _ = self.queues_on_hold.insert(id),
                    (Arranged::Released, None, Some(id)) => _ = self.queues_on_hold.remove(&id),
                    _ => {}
                }
            }
            (_, Some(id)) => self.said_of_loop(id, record, tally)?,
            _ => {}
        }
        self.last = Some((record.loop_id, resumed));
        Ok(())
    }

    fn place_lost(&mut self, at: Time, tally: &mut Tally) {
        self.asks_again(at);
        tally.effects_lost += self.open.len() as u64;
        self.asked.clear();
        for open in std::mem::take(&mut self.open).into_values() {
            self.free(&open.work);
            let run = matches!(&open.work, Work::Tool { name, .. } if name == "run");
            tally.interrupted += u64::from(run);
        }
    }

    fn free(&mut self, work: &Work) {
        match work {
            Work::Call { .. } | Work::Relay(_) | Work::Answer(_) => {
                let bucket = work.taken().expect("a call takes something").bucket.to_owned();
                self.buckets.entry(bucket).or_default().in_flight -= 1;
            }
            Work::Agent { .. } => self.agents -= 1,
            Work::CheckBase { .. } | Work::AcceptBefore | Work::Gate => self.gates -= 1,
            Work::GateCandidate { .. } => self.gates -= 1,
            _ => {}
        }
    }

    fn started(
        &mut self,
        id: EffectId,
        owner: Owner,
        work: &Work,
        at: Time,
        tally: &mut Tally,
    ) -> Result<(), String> {
        check(!self.rests(), || format!("{id} {work} starts while everything rests"))?;
        if let Owner::Loop(loop_id) = owner {
            let row = &self.loops[&loop_id];
            let works = matches!(row.status, Status::Running | Status::Rebasing);
            check(works, || format!("{loop_id} starts {work} while {}", row.status))?;
            check(!row.landed, || format!("{loop_id} starts {work} after it landed"))?;
            let back = row.rewinding.is_none_or(|(to, base)| {
                *work == Work::Prepare { base, mode: PrepareMode::Rewind(to) }
                    || matches!(work, Work::Answer(_))
            });
            check(back, || format!("{loop_id} starts {work} before its files are those"))?;
            let released = self.released.contains(&loop_id.plan());
            check(released, || format!("{loop_id} starts {work} before its base was checked"))?;
        }
        match work {
            Work::Call { bucket, cap_micros, input_tokens, .. } => {
                tally.sends += 1;
                check(0 < *cap_micros, || format!("{id} may spend nothing"))?;
                self.afforded(owner, work)?;
                let Owner::Loop(of) = owner else { return Err(format!("{owner} calls a model")) };
                let row = &self.loops[&of];
                let model = row.may_call()?;
                check(model == *bucket, || format!("{of} calls {bucket}, not {model}"))?;
                let smaller = row.too_large < 2 && *input_tokens <= row.most_tokens;
                check(smaller, || format!("{of} sends what was refused as too large"))?;
                self.sent(bucket, at)?;
            }
            Work::Relay(relay) => {
                tally.relays += 1;
                check(0 < relay.cap_micros, || format!("{id} may spend nothing"))?;
                self.afforded(owner, work)?;
                let run = self.open.get(&relay.agent);
                let runs = run
                    .is_some_and(|it| matches!(it.work, Work::Agent { .. }) && it.owner == owner);
                check(runs, || format!("{id} passes on a call of a run that is over"))?;
                let asked = self.asked.remove(&(relay.agent, relay.call));
                let same = asked.is_some_and(|it| it.bucket == relay.bucket);
                check(same, || format!("{id} passes on what nobody asked for"))?;
                self.sent(&relay.bucket, at)?;
            }
            Work::Answer(it) => {
                tally.answers += 1;
                self.answers(owner, it.query)?;
                check(0 < it.cap_micros, || format!("{id} may spend nothing"))?;
                self.afforded(owner, work)?;
                self.sent(&it.call.bucket, at)?;
            }
            Work::Agent { .. } => {
                self.afforded(owner, work)?;
                self.agents += 1;
                check(self.agents <= self.limits.agents, || format!("{id}: too many agents"))?;
                let Owner::Loop(of) = owner else { return Err(format!("{owner} runs an agent")) };
                let until = self.recesses.get(self.loops[&of].may_run(work)?).copied();
                check(until.is_none_or(|it| it <= at), || format!("{id}: its agent refused"))?;
            }
            Work::CheckBase { .. }
            | Work::AcceptBefore
            | Work::Gate
            | Work::GateCandidate { .. } => {
                self.gates += 1;
                check(self.gates <= self.limits.gates, || format!("{id}: too many gates"))?;
            }
            _ => {}
        }
        if let Work::BuildCandidate { op, .. } | Work::GateCandidate { op, .. } = work {
            let held = self.is_on_hold(*op);
            check(!held, || format!("{id} {work} starts while a person holds it"))?;
        }
        self.open.insert(id, OpenRow { owner, work: work.clone(), at, booked: Usage::default() });
        Ok(())
    }

    /// Sends are counted, not replies: burst and rate over every window, slots, and silence while
    /// the provider said so.
    fn sent(&mut self, name: &str, at: Time) -> Result<(), String> {
        let limits = self.limits.clone();
        let bucket = self.buckets.entry(name.to_owned()).or_default();
        check(bucket.closed_until <= at, || format!("{name} is closed, and a call is sent"))?;
        check(bucket.rests_until <= at, || format!("{name} keeps failing, and a call is sent"))?;
        let alone = bucket.in_flight == 0;
        check(!bucket.refused || alone, || format!("{name} was refused, and two calls are sent"))?;
        bucket.in_flight += 1;
        check(bucket.in_flight <= limits.calls, || format!("{name}: too many calls in flight"))?;
        bucket.sends.push(at);
        for (n, from) in (0u64..).zip(bucket.sends.iter().rev()) {
            let window = at.ms_since(*from);
            let gained = window * u64::from(limits.requests_per_minute) / 60_000;
            let may = u64::from(limits.request_burst) + gained;
            check(n < may, || format!("{name}: {} sends in {window} ms", n + 1))?;
        }
        Ok(())
    }

    fn observed(
        &mut self,
        id: EffectId,
        fact: &Observation,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let open = self.open.get_mut(&id).ok_or_else(|| format!("{id} is not open"))?;
        if let Observation::UsageSoFar(usage) = fact {
            let before = std::mem::replace(&mut open.booked, *usage);
            let owner = open.owner;
            self.book(owner, before, *usage);
        }
        match fact {
            Observation::CallWanted(it) => drop(self.asked.insert((id, it.call), it.clone())),
            Observation::CallGivenUp { call } => {
                tally.given_up += u64::from(self.asked.remove(&(id, *call)).is_some());
            }
            _ => {}
        }
        Ok(())
    }

    fn book(&mut self, owner: Owner, before: Usage, now: Usage) {
        let Owner::Loop(id) = owner else { return };
        let more = Usage {
            micros: now.micros.saturating_sub(before.micros),
            input: now.input.saturating_sub(before.input),
            output: now.output.saturating_sub(before.output),
            ..Usage::default()
        };
        let row = self.loops.get_mut(&id).expect("added");
        row.spent.micros += more.micros;
        row.spent.input += more.input;
        row.spent.output += more.output;
        self.book_day(id, &more);
    }

    fn effect_ended(
        &mut self,
        id: EffectId,
        outcome: &Outcome,
        record: &Record,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let open = self.open.remove(&id).ok_or_else(|| format!("{id} ends twice"))?;
        self.free(&open.work);
        self.book(open.owner, open.booked, outcome.usage());
        self.asked.retain(|(run, _), _| *run != id);
        if let Some(taken) = open.work.taken() {
            let bucket = self.buckets.entry(taken.bucket.to_owned()).or_default();
            let refused = bucket.ended(open.at, outcome, record.at);
            tally.rate_limits += u64::from(refused);
            self.measured(&open, outcome, tally);
        }
        if let (Owner::Loop(of), Outcome::Composed { worst_micros, worst_tokens, .. }) =
            (open.owner, outcome)
        {
            self.composed(of, [*worst_micros, *worst_tokens]);
        }
        self.answer_came(&open.work, outcome);
        if let Owner::Loop(of) = open.owner
            && let Some(row) = self.loops.get_mut(&of)
        {
            row.ended(&open.work, outcome);
            row.read_ended(&open.work, outcome, tally);
        }
        if let (Work::Agent { .. }, Owner::Loop(of)) = (&open.work, open.owner)
            && let Some(Failure::NotBefore(ms)) = outcome.failure()
        {
            let until = record.at.plus_ms(ms);
            let known =
                self.recesses.entry(self.loops[&of].run_by(&open.work).to_owned()).or_default();
            *known = until.max(*known);
        }
        match (outcome, &open.work) {
            (Outcome::Failed { failure: Failure::OverBudget, .. }, _) => tally.over_budget += 1,
            (Outcome::Failed { .. }, _) => tally.failures += 1,
            (Outcome::Gated { tree, report: Some(report), .. }, _) if report.green => {
                self.green.insert(record.seq, *tree);
                if let Owner::Loop(of) = open.owner {
                    self.gates_passed.insert((*tree, self.loops[&of].head.gate));
                }
            }
            (Outcome::CandidateGated(report), Work::GateCandidate { op, tree, with, .. }) => {
                tally.stacks_red += u64::from(!report.green && !with.is_empty());
                if report.green {
                    self.green.insert(record.seq, *tree);
                    let below = with.iter().map(|it| QueueOp::Land(*it));
                    let gates = below.chain([*op]).map(|it| (*tree, self.gate_of(it)));
                    let gates: Vec<_> = gates.collect();
                    self.gates_passed.extend(gates);
                }
            }
            (Outcome::Built { commit, .. }, Work::BuildCandidate { onto, .. }) => {
                self.built.insert(*commit, *onto);
            }
            (Outcome::BaseChecked(report), _) => tally.bases_red += u64::from(!report.green),
            (Outcome::Rebased { conflicts: 0, .. }, _) => tally.rebases += 1,
            (Outcome::Rebased { .. } | Outcome::BuildConflict { .. }, _) => tally.conflicts += 1,
            (Outcome::PublishMoved { .. }, _) => tally.swaps_lost += 1,
            (
                Outcome::Cancelled { .. },
                Work::BuildCandidate { .. } | Work::GateCandidate { .. } | Work::CheckBase { .. },
            ) => tally.evictions += u64::from(!self.parked),
            _ => {}
        }
        Ok(())
    }

    /// What the end of a call says about how large the next request may be.
    fn measured(&mut self, open: &OpenRow, outcome: &Outcome, tally: &mut Tally) {
        let (Owner::Loop(id), Work::Call { input_tokens, .. }) = (open.owner, &open.work) else {
            return;
        };
        let row = self.loops.get_mut(&id).expect("added");
        match outcome {
            Outcome::Replied { .. } => row.too_large = 0,
            Outcome::Failed { failure: Failure::TooLarge, .. } => {
                tally.too_large += 1;
                row.too_large += 1;
                row.most_tokens = input_tokens / 4 * 3;
            }
            _ => {}
        }
    }

    fn of_loop(&mut self, id: LoopId, event: &Event, tally: &mut Tally) -> Result<(), String> {
        let busy = self.may_begin(id, event)?;
        let row = self.loops.get_mut(&id).ok_or_else(|| format!("{id} is not known"))?;
        let again = row.again || matches!(event, Event::Retried { .. } | Event::Superseded { .. });
        check(!row.status.is_over() || again, || format!("{id} is over, and {event}"))?;
        match event {
            Event::StatusChanged { from, to, reason } => {
                self.status_changed(id, (*from, *to, reason), busy, tally)?;
            }
            Event::IterationStarted { n } => {
                let next = *n == row.iteration + 1 && *n <= row.head.limits.iterations;
                check(next && !row.iteration_open, || {
                    format!("{id} counts {n} after {}", row.iteration)
                })?;
                row.begins(*n)?;
            }
            Event::ModelChanged { from, to, gives_up, .. } => {
                check(row.model == *from, || format!("{id} calls {}, not {from}", row.model))?;
                let known =
                    Worker::Model(to.clone()) == row.head.worker || row.head.fallback.contains(to);
                check(known && from != to && !busy, || format!("{id} goes from {from} to {to}"))?;
                let under_way = row.iteration_open.then_some(row.iteration);
                check(*gives_up == under_way, || format!("{id} gives up {gives_up:?}"))?;
                row.read.forget();
                row.iteration -= u32::from(row.iteration_open);
                row.iteration_open = false;
                row.forget_measures();
                row.model.clone_from(to);
                tally.models_changed += 1;
            }
            Event::IterationEnded { n, verdict, streak, .. } => {
                row.read_and_ended(*verdict, tally)?;
                row.progress.ended(*verdict, *streak)?;
                let open = *n == row.iteration && row.iteration_open;
                check(open, || format!("{id}: iteration {n} ends again"))?;
                row.iteration_open = false;
                match verdict {
                    taskd_model::Verdict::Green => tally.greens += 1,
                    taskd_model::Verdict::Unchanged => tally.unchanged += 1,
                    _ => tally.reds += 1,
                }
            }
            Event::Passed { evidence, .. } => {
                let green = self.green.get(&evidence.seq) == Some(&evidence.tree);
                check(green, || format!("{id} passes without evidence"))?;
                (row.passed, row.approved, row.held) = (true, false, false);
            }
            Event::GateTamperSuspected { .. } => row.is_suspect(tally),
            Event::Approved => (row.approved, row.held) = (true, false),
            Event::SyncAsked => row.held = false,
            Event::LandingSeen { commit, .. } => row.was_taken(*commit, tally)?,
            Event::Rejected { .. } => row.was_rejected(tally),
            Event::Rewound { to, base, .. } => row.sent_to((*to, *base), tally)?,
            Event::NoteAdded { .. } => row.progress.begins_anew(),
            Event::Superseded { by } => self.is_superseded(id, *by, tally)?,
            Event::Retried { to, limits, .. } => self.retried(id, *to, limits, tally),
            Event::ResumeAsked => row.resumed(tally),
            Event::Deferred { .. } => row.deferred = true,
            Event::DeferralOver => row.deferred = false,
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn is_busy(&self, id: LoopId) -> bool {
        self.open.values().any(|it| it.owner == Owner::Loop(id))
    }

    /// The model that works for a loop.
    pub(crate) fn model_of(&self, id: LoopId) -> &str {
        &self.loops[&id].model
    }

    /// What calls that agents of this loop wait to make use at most.
    pub(crate) fn asked_by(&self, id: LoopId) -> impl Iterator<Item = Pair> + '_ {
        let owner = move |run: &EffectId| self.open.get(run).map(|it| it.owner);
        let asked =
            self.asked.iter().filter(move |((run, _), _)| owner(run) == Some(Owner::Loop(id)));
        asked.map(|(_, it)| [it.worst_micros, it.worst_tokens])
    }

    /// What runs, and whose it is.
    pub(crate) fn open_work(&self) -> impl Iterator<Item = (Owner, &Work)> {
        self.open.values().map(|it| (it.owner, &it.work))
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = EffectId> + '_ {
        self.open.keys().copied()
    }
}

impl LoopRow {
    fn new(head: SpecHead) -> Self {
        Self {
            model: head.worker.to_string(),
            head,
            status: Status::Draft,
            reason: None,
            passed: false,
            approved: false,
            doubted: false,
            suspect: false,
            held: false,
            proposed: None,
            deferred: false,
            spent: Usage::default(),
            worst: [0, 0],
            brought: Vec::new(),
            iteration: 0,
            iteration_open: false,
            landed: false,
            landed_as: None,
            undone: false,
            named: false,
            superseded: false,
            rewinding: None,
            again: false,
            too_large: 0,
            most_tokens: u64::MAX,
            progress: Progress::default(),
            read: review::Read::default(),
        }
    }

    /// It passed, and a document has named something.
    fn may_be_complete(&self, id: LoopId) -> Result<(), String> {
        let document = self.head.writes.is_some();
        check(document == self.named, || format!("{id} is complete, and named nothing"))?;
        check(self.passed || self.landed, || format!("{id} never passed"))
    }

    /// Work of its own ended.
    fn ended(&mut self, work: &Work, outcome: &Outcome) {
        self.progress.worked(outcome);
        if let Outcome::AgentDone { run, .. } = outcome {
            self.doubted = run.judged;
        }
        if let Outcome::Gated { .. } = outcome {
            self.suspect = false;
        }
        let back = matches!(work, Work::Prepare { mode: PrepareMode::Rewind(_), .. });
        if back && matches!(outcome, Outcome::Prepared { .. }) {
            self.rewinding = None;
        }
    }

    /// Whatever was said of it was said without knowing that.
    fn is_suspect(&mut self, tally: &mut Tally) {
        (self.suspect, self.approved) = (true, false);
        tally.suspected += 1;
    }

    /// It was sent back to an earlier state, and the base that stood on.
    fn sent_to(&mut self, state: (Oid, Oid), tally: &mut Tally) -> Result<(), String> {
        tally.rewound += 1;
        check(0 < self.iteration, || "a loop goes back before it began".to_owned())?;
        (self.passed, self.approved, self.held) = (false, false, false);
        self.suspect = false;
        self.progress.begins_anew();
        (self.iteration_open, self.deferred) = (false, false);
        self.read.forget();
        self.rewinding = Some(state);
        self.head.limits.iterations = self.head.limits.iterations.max(self.iteration + 1);
        Ok(())
    }

    fn begins(&mut self, n: u32) -> Result<(), String> {
        self.progress.may_go_on(&self.head.limits)?;
        self.read.forget();
        (self.iteration, self.iteration_open, self.too_large) = (n, true, 0);
        (self.passed, self.approved, self.held) = (false, false, false);
        self.suspect = false;
        Ok(())
    }

    /// A person let it go on.
    fn resumed(&mut self, tally: &mut Tally) {
        self.forget_measures();
        self.progress.begins_anew();
        (self.deferred, tally.resumed) = (false, tally.resumed + 1);
    }

    /// Nothing is known of how large a request may be.
    fn forget_measures(&mut self) {
        (self.too_large, self.most_tokens) = (0, u64::MAX);
    }

    pub(crate) fn is_native(&self) -> bool {
        matches!(self.head.worker, Worker::Model(_))
    }
}

/// The record as it is read back from storage: the same.
pub(crate) fn read_back(record: &Record) -> Result<Record, String> {
    let text = record.encode();
    check(text.len() <= MAX_EVENT_BYTES, || format!("{} bytes: {record}", text.len()))?;
    let back = Record::decode(&text).map_err(|error| format!("{error}: {text}"))?;
    check(back == *record, || format!("comes back different: {text}"))?;
    Ok(back)
}

pub(crate) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Faults in a row after which nobody calls, and for how long, in milliseconds.
const FAULTS: u32 = 5;
const REST_MS: u64 = 30_000;

impl BucketRow {
    /// A person said that the provider is well.
    fn reset(&mut self, refusals: bool, at: Time) {
        (self.faults, self.rests_until) = (0, self.rests_until.min(at));
        if refusals {
            self.closed_until = self.closed_until.min(at);
        }
    }

    /// A call that was sent at `sent` ended; says whether it was refused.
    fn ended(&mut self, sent: Time, outcome: &Outcome, at: Time) -> bool {
        match outcome {
            Outcome::Replied { .. } | Outcome::Answered { .. } | Outcome::Relayed { .. } => {
                (self.refused, self.faults) = (false, 0);
            }
            Outcome::Failed { failure: Failure::NotBefore(ms), .. } => {
                self.refused = true;
                self.closed_until = self.closed_until.max(at.plus_ms(*ms));
            }
            Outcome::Failed { failure: Failure::RateLimited, .. } => self.refused = true,
            // What was sent before it was left alone says nothing new.
            Outcome::Failed { failure: Failure::Transient, .. } if self.rests_until <= sent => {
                self.faults += 1;
                if self.faults == FAULTS {
                    (self.faults, self.rests_until) = (0, at.plus_ms(REST_MS));
                }
            }
            _ => {}
        }
        let refusals = |it: &Failure| matches!(it, Failure::NotBefore(_) | Failure::RateLimited);
        matches!(outcome, Outcome::Failed { failure, .. } if refusals(failure))
    }
}
