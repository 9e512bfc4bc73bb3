//! The way in: one input, the events it caused.

use serde::{Deserialize, Serialize};
use taskd_model::{
    Actor, EffectId, Event, Input, LoopId, Oid, Owner, PlanId, ProjectId, Purse, QueueEnd, QueueOp,
    Record, Seq, SpecId, Time,
};

use crate::{
    Rejected, decide,
    queue::Stage,
    state::{State, WantedChange},
};

/// Most events one input settles at once; the rest follows at the next tick, at once.
const MAX_EVENTS_PER_INPUT: usize = 1_000;
/// Longest message an event carries, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_000;

/// What one input led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Events to append, in order: one batch, written whole or not at all.
    pub records: Vec<Record>,
    /// Effects to start once the events are durable.
    pub start: Vec<EffectId>,
    /// Effects to end once the events are durable.
    pub end: Vec<EffectId>,
    /// What was asked for was refused, and that is worth an event.
    pub refused: Option<Rejected>,
}

/// The state at one place in the log, in a form any later build may throw away.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot(State);

/// The one who decides.
#[derive(Debug, Clone)]
pub struct Coordinator {
    state: State,
    out: Vec<Record>,
    unsettled: bool,
    max_events: usize,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self::with(State::new())
    }
}

impl Coordinator {
    fn with(state: State) -> Self {
        Self { state, out: Vec::new(), unsettled: false, max_events: MAX_EVENTS_PER_INPUT }
    }

    /// Settles at most so many events for each input; the rest follows at the next tick. For the
    /// simulator, whose worlds are too small to meet the real limit.
    pub fn settle_at_most(&mut self, events: usize) {
        self.max_events = events.max(1);
    }

    /// Rebuilds the coordinator from its log.
    pub fn replay<'a>(log: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut it = Self::default();
        for record in log {
            it.apply(record);
        }
        it
    }

    /// Rebuilds the coordinator from a snapshot; the rest of the log is then applied.
    #[must_use]
    pub fn restore(snapshot: Snapshot) -> Self {
        let mut state = snapshot.0;
        state.reindex();
        Self::with(state)
    }

    /// The state, to be stored with the seq of [`Coordinator::head`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state.clone())
    }

    /// Applies one record of the log while replaying.
    pub fn apply(&mut self, record: &Record) {
        self.state.apply(record);
        self.state.take_changes();
    }

    /// The last event decided.
    #[must_use]
    pub fn head(&self) -> Seq {
        Seq(self.state.next().0 - 1)
    }

    /// Handles one input and returns the events to append, in order.
    ///
    /// # Errors
    ///
    /// The input was a command that cannot be followed; nothing has changed.
    pub fn handle(&mut self, now: Time, input: &Input) -> Result<Decided, Rejected> {
        assert!(self.out.is_empty(), "one input at a time");
        let now = now.max(self.state.now());
        let refused = self.note(now, input)?;
        self.settle(now);
        let mut decided =
            Decided { records: std::mem::take(&mut self.out), refused, ..Decided::default() };
        for change in self.state.take_changes() {
            match change {
                // What started and was lost again within one input never was.
                WantedChange::Start(id) if self.state.effects().contains_key(&id) => {
                    decided.start.push(id);
                }
                WantedChange::End(id) if self.state.effects().contains_key(&id) => {
                    decided.end.push(id);
                }
                WantedChange::Start(_) | WantedChange::End(_) => {}
            }
        }
        Ok(decided)
    }

    /// When to hand in a tick even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.unsettled { Some(self.state.now()) } else { decide::next_deadline(&self.state) }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    fn settle(&mut self, now: Time) {
        self.unsettled = false;
        let noted = self.out.len();
        while let Some((id, event)) = decide::next_event(&self.state, now) {
            if self.max_events <= self.out.len() - noted {
                self.unsettled = true;
                return;
            }
            self.emit(now, Actor::Core, id, event);
        }
    }

    pub(crate) fn emit(&mut self, now: Time, actor: Actor, loop_id: Option<LoopId>, event: Event) {
        let project = self.project_of(&event, loop_id);
        self.emit_for(now, actor, project, loop_id, event);
    }

    /// The project an event belongs to, if to one.
    fn project_of(&self, event: &Event, loop_id: Option<LoopId>) -> Option<ProjectId> {
        let of_plan = |plan: &PlanId| Some(self.state.plan(*plan).head.project);
        if let Some(id) = loop_id {
            return of_plan(&id.plan());
        }
        match event {
            Event::ProjectAdded { id, .. }
            | Event::ProjectMoved { id, .. }
            | Event::ProjectForgotten { id }
            | Event::EffectStarted { owner: Owner::Queue(id), .. } => Some(*id),
            Event::PlanSubmitted { head, .. } => Some(head.project),
            Event::SpecAdded { spec: SpecId { plan, .. }, .. }
            | Event::PlanReleased { plan, .. }
            | Event::IntegrationMoved { plan, .. }
            | Event::PlanEnded { plan }
            | Event::EffectStarted { owner: Owner::Plan(plan), .. } => of_plan(plan),
            Event::EffectStarted { owner: Owner::Loop(id), .. } => of_plan(&id.plan()),
            Event::QueueEntered { op } | Event::QueueLeft { op, .. } => of_plan(&op.plan()),
            Event::BudgetSet { of, .. }
            | Event::BudgetWarned { of, .. }
            | Event::TokensSet { of, .. }
            | Event::TokensWarned { of, .. }
            | Event::BudgetSpent { of, .. }
            | Event::BudgetRenewed { of } => match of {
                Purse::Project(id) => Some(*id),
                Purse::Loop(_) | Purse::Plan(_) | Purse::All => {
                    of.plan().as_ref().and_then(of_plan)
                }
            },
            Event::EffectEnded { effect, .. } | Event::EffectObserved { effect, .. } => {
                Some(self.state.effects()[effect].project)
            }
            Event::DaemonStarted { .. }
            | Event::DaemonStopped
            | Event::DiskChanged { .. }
            | Event::WorkParked
            | Event::WorkUnparked
            | Event::LimitsSet { .. }
            | Event::MainMoved { .. }
            | Event::StatusChanged { .. }
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
            | Event::GateFlaked { .. }
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
            | Event::StopAsked
            | Event::CircuitChanged { .. }
            | Event::NotificationSent { .. }
            | Event::NotificationFailed { .. }
            | Event::QueueArranged { .. } => None,
        }
    }

    pub(crate) fn emit_for(
        &mut self,
        at: Time,
        actor: Actor,
        project: Option<ProjectId>,
        loop_id: Option<LoopId>,
        event: Event,
    ) {
        let op = if let Event::QueueEntered { op } | Event::QueueLeft { op, .. } = &event {
            Some(*op)
        } else {
            None
        };
        let loop_id = loop_id.or_else(|| op.and_then(QueueOp::loop_id));
        let cause = self.out.first().map(|first| first.seq);
        let seq = self.state.next();
        let record = Record { seq, at, shard: 0, project, loop_id, v: 1, cause, actor, event };
        self.state.apply(&record);
        self.out.push(record);
    }

    /// Writes down what came from outside; what follows is not decided here. Some inputs are refused
    /// and written down all the same.
    fn note(&mut self, now: Time, input: &Input) -> Result<Option<Rejected>, Rejected> {
        match input {
            Input::Started { version } => {
                let event = Event::DaemonStarted { version: version.clone() };
                self.emit(now, Actor::Daemon, None, event);
            }
            Input::Stopped => self.emit(now, Actor::Daemon, None, Event::DaemonStopped),
            Input::Limits(limits) => {
                if limits != self.state.limits() {
                    let event = Event::LimitsSet { limits: limits.clone() };
                    self.emit(now, Actor::Daemon, None, event);
                }
            }
            Input::Disk(disk) => {
                if disk.room != self.state.disk().room {
                    let event = Event::DiskChanged { disk: disk.clone() };
                    self.emit(now, Actor::Daemon, None, event);
                }
            }
            Input::Command { actor, command } => self.command(now, *actor, command)?,
            Input::Observed { effect, index, fact } => {
                if let Some(open) = self.state.effects().get(effect)
                    && open.observed == *index
                {
                    let id = loop_of(open.owner);
                    let (effect, index) = (*effect, *index);
                    let event = Event::EffectObserved { effect, index, fact: fact.clone() };
                    self.emit(now, Actor::Runner, id, event);
                    self.warn_of_budgets(now, id);
                }
            }
            Input::Ended { effect, outcome } => self.ended(now, *effect, outcome),
            Input::Said { effect, saying } => return self.say(now, *effect, saying),
            Input::MainSeen { project, target, tip, commits, rewritten } => {
                if let Some(from) = self.is_news(*project, target, tip) {
                    let event = Event::MainMoved {
                        target: target.clone(),
                        from: Some(from),
                        to: *tip,
                        commits: *commits,
                        rewritten: *rewritten,
                    };
                    self.emit_for(now, Actor::Daemon, Some(*project), None, event);
                }
            }
            Input::LandingSeen { id, proposed, commit, onto } => {
                let waits = |it: &crate::engine::LoopEngine| {
                    let asked = it.proposed == Some(*proposed) && it.landed.is_none();
                    asked && it.queued.is_none() && !it.is_over()
                };
                if self.state.engine(*id).is_some_and(waits) {
                    let event = Event::LandingSeen { commit: *commit, onto: *onto };
                    self.emit(now, Actor::Daemon, Some(*id), event);
                }
            }
            Input::Panicked { id, message } => {
                let alive =
                    self.state.engine(*id).is_some_and(|it| !it.is_over() && it.ending.is_none());
                if alive {
                    let message = truncate(message.clone(), MAX_MESSAGE_BYTES);
                    let event = Event::InternalError { message };
                    self.emit(now, Actor::Daemon, Some(*id), event);
                }
            }
            Input::Notified { of, tries, failed } => {
                let event = notified(*of, *tries, failed.clone());
                self.emit(now, Actor::Daemon, None, event);
            }
            Input::Tick => {}
        }
        Ok(None)
    }

    /// Where the target was, if the tip differs from that and is not what we are publishing right
    /// now.
    pub(crate) fn is_news(&self, project: ProjectId, target: &str, tip: &Oid) -> Option<Oid> {
        let it = self.state.project(project)?;
        let active = it.lanes.get(target).and_then(|it| it.active.as_ref());
        let publishing = active.is_some_and(|active| {
            let ours = matches!(
                &active.stage,
                Stage::Publishing { commit, .. } | Stage::Over(QueueEnd::Done { commit, .. })
                    if commit == tip
            );
            ours && matches!(active.op, QueueOp::Land(_) | QueueOp::Undo(_))
        });
        it.targets.get(target).copied().filter(|known| known != tip && !publishing)
    }
}

/// Whether somebody could be told.
fn notified(of: Seq, tries: u32, failed: Option<String>) -> Event {
    match failed {
        None => Event::NotificationSent { of, tries },
        Some(why) => Event::NotificationFailed { of, tries, why: truncate(why, MAX_MESSAGE_BYTES) },
    }
}

/// Cuts `text` to at most `max` bytes, on a character boundary.
pub(crate) fn truncate(mut text: String, max: usize) -> String {
    if max < text.len() {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

pub(crate) fn loop_of(owner: Owner) -> Option<LoopId> {
    match owner {
        Owner::Loop(id) => Some(id),
        Owner::Plan(_) | Owner::Queue(_) => None,
    }
}
