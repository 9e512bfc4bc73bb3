//! What people ask for: each command is checked whole before its first event.

use taskd_model::{
    Actor, CircuitChange, Code, Command, Event, LandPolicy, Limit, LoopId, MAX_EVENT_BYTES, Oid,
    PlanHead, PlanId, ProjectId, Purse, Reason, Seq, SpecHead, SpecId, Status, Time, Unit,
};

use crate::{
    Coordinator,
    engine::{LoopEngine, Next},
    money,
    plan::{PlanState, Reach},
};

/// Most specs of one plan: a submission is one batch.
pub(crate) const MAX_SPECS: usize = 2_000;
/// Room an event's envelope takes beside its payload, in bytes.
pub(crate) const ENVELOPE_BYTES: usize = 256;

/// Why a command was refused. A refused command has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// This plan is known already.
    #[error("this plan was submitted before as {0}")]
    Known(PlanId),
    /// No such project.
    #[error("project {} is not known", .0.0)]
    NoProject(ProjectId),
    /// No such loop.
    #[error("there is no loop {0}")]
    NoLoop(LoopId),
    /// A need points at a spec that does not come before it in the plan's order.
    #[error("spec {spec} needs spec {need}, which does not come before it")]
    BadNeed {
        /// The spec, by place.
        spec: u16,
        /// What it needs, by place.
        need: u16,
    },
    /// The plan has no specs, or another number than it says.
    #[error(
        "a plan must bring the {said} specs it announces, and at least one; it brought {brought}"
    )]
    BadCount {
        /// What it announces.
        said: u16,
        /// What it brought.
        brought: usize,
    },
    /// The loop is over.
    #[error("{name} is {status} already")]
    IsOver {
        /// What people call it.
        name: String,
        /// Its status.
        status: Status,
    },
    /// Only what is paused or blocked can go on.
    #[error("{name} is {status}; there is nothing to resume")]
    NotWaiting {
        /// What people call it.
        name: String,
        /// Its status.
        status: Status,
    },
    /// Its need did not pass, so it cannot start.
    #[error("{name} needs work that did not pass; run that again first, or stop {name}")]
    NeedFailed {
        /// What people call it.
        name: String,
    },
    /// It would be blocked again at once.
    #[error("{name} has no money left ({limit}); raise that first: taskd budget set")]
    NoMoney {
        /// What people call it.
        name: String,
        /// Which budget.
        limit: Limit,
    },
    /// No such plan.
    #[error("there is no plan {0}")]
    NoPlan(PlanId),
    /// The plan is over.
    #[error("{0} has ended already")]
    PlanIsOver(PlanId),
    /// It was answered, or never asked, or its run is over.
    #[error("question {0} is not open: it was answered, or the run that asked is over")]
    NoQuestion(Seq),
    /// Somebody was first.
    #[error("i{0} waits for nobody any more")]
    Answered(Seq),
    /// No such answer.
    #[error("question {question} has {choices} answers to choose from")]
    NoChoice {
        /// The question.
        question: Seq,
        /// How many there are.
        choices: u16,
    },
    /// Only passed work can land or be sent back.
    #[error("{name} has not passed its gate, so there is nothing to land or send back yet")]
    NotPassed {
        /// What people call it.
        name: String,
    },
    /// Its plan says that its work never lands.
    #[error("{name} never lands: its plan says `land: never`")]
    NeverLands {
        /// What people call it.
        name: String,
    },
    /// More specs than one plan may have.
    #[error("a plan may have {MAX_SPECS} specs; this one has {0}; split it")]
    TooMany(usize),
    /// A head does not fit into one event.
    #[error("{what} is too large: {bytes} bytes where {MAX_EVENT_BYTES} fit; shorten its texts")]
    TooLarge {
        /// Which: `the plan`, or the spec's name.
        what: String,
        /// How large it would be.
        bytes: usize,
    },
    /// There is nothing to release.
    #[error("{name} is not held in the landing queue")]
    NotHeld {
        /// What people call it.
        name: String,
    },
    /// It would wait on.
    #[error("the whole landing queue is held, {name} with it; taskd queue release --all")]
    AllHeld {
        /// What people call it.
        name: String,
    },
    /// It has no turn to change.
    #[error("{name} does not wait in the landing queue; taskd queue says who does")]
    NotQueued {
        /// What people call it.
        name: String,
    },
    /// Its turn has come.
    #[error("{name} is being brought already; taskd queue hold {name} puts it aside")]
    HasItsTurn {
        /// What people call it.
        name: String,
    },
    /// Two queues.
    #[error("{name} and {other} wait in the landing queues of two projects")]
    OtherQueue {
        /// What people call it.
        name: String,
        /// What people call the other.
        other: String,
    },
    /// No call went through this bucket yet.
    #[error("{0} was not called yet, so there is nothing to reset")]
    NoBucket(String),
    /// It has no earlier state yet.
    #[error("{name} has not begun its first iteration; there is nothing to go back to")]
    NothingToRewind {
        /// What people call it.
        name: String,
    },
    /// Only what did not get there is tried again.
    #[error("{name} is {status}, so there is nothing to try again; taskd rewind sends work back")]
    NothingToRetry {
        /// What people call it.
        name: String,
        /// Its status.
        status: Status,
    },
    /// What it was for is planned otherwise by now.
    #[error(
        "{name} is superseded: the document that named it was written anew; taskd branch {name} brings its work to a branch"
    )]
    Superseded {
        /// What people call it.
        name: String,
    },
    /// Only what is on its target can be taken off it.
    #[error(
        "{name} has not landed, so there is nothing to undo; taskd stop or taskd rewind ends or takes back its work"
    )]
    NotLanded {
        /// What people call it.
        name: String,
    },
    /// No commit of ours brought it.
    #[error(
        "{name} brought no commit to its target itself: that had its work already, or a remote took it"
    )]
    NothingToUndo {
        /// What people call it.
        name: String,
    },
    /// It was undone before.
    #[error("{name} was undone already by {by}; git revert that commit to have it again")]
    IsUndone {
        /// What people call it.
        name: String,
        /// The commit, in short.
        by: String,
    },
    /// There is nobody to tell it to.
    #[error("no other loop of this plan is at work, so nobody would hear it; go on without")]
    NobodyHears,
    /// A loop that talks to itself.
    #[error("that is this loop itself; name another one of the plan")]
    ToItself,
    /// An agent has no context of ours to answer from.
    #[error("{name} is worked on by an external agent, which cannot be asked; share what you need")]
    AgentsAreNotAsked {
        /// What people call it.
        name: String,
    },
    /// It does not work now.
    #[error("{name} {why}, and answers nothing; go on without, or share what it should know")]
    AnswersNot {
        /// What people call it.
        name: String,
        /// What is said of it.
        why: String,
    },
    /// The tool that said it is no longer wanted.
    #[error("nobody waits for this any more")]
    NobodyAsks,
    /// The receiver has not read what waits for it.
    #[error(
        "{name} has not read the messages that wait for it; it takes no more for now, go on without"
    )]
    MailboxFull {
        /// What people call it.
        name: String,
    },
    /// More than a loop may send.
    #[error("that is more messages than a loop may send in a second; put them into one")]
    TooManyMessages,
    /// It sent too much.
    #[error("this loop sent too many messages and is muted for {seconds} s more; go on without")]
    Muted {
        /// How long, in seconds.
        seconds: u64,
    },
    /// It is not any more what whoever asks has seen.
    #[error("{name} has changed: its last event is {last}, and {since} is the last you know")]
    Changed {
        /// The loop's name.
        name: String,
        /// Its last event.
        last: Seq,
        /// The last that whoever asks knows of.
        since: Seq,
    },
    /// A project with open plans stays.
    #[error("project {} has open plans; stop them first", .0.0)]
    ProjectBusy(ProjectId),
    /// Another project is where a moved one is to be.
    #[error(
        "project {} cannot be linked to a repository that is served as project {} already; \
         forget that one first: taskd projects forget", .moved.0, .there.0
    )]
    ProjectThere {
        /// The one that moved.
        moved: ProjectId,
        /// The one that is there.
        there: ProjectId,
    },
}

impl Rejected {
    /// The word for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Known(_) => Code::PlanKnown,
            Self::NoProject(_) => Code::NoSuchProject,
            Self::NoLoop(_) => Code::NoSuchLoop,
            Self::NoPlan(_) => Code::NoSuchPlan,
            Self::NoBucket(_) => Code::NoSuchBucket,
            Self::BadNeed { .. }
            | Self::BadCount { .. }
            | Self::TooMany(_)
            | Self::TooLarge { .. } => Code::PlanInvalid,
            Self::IsOver { .. } | Self::PlanIsOver(_) | Self::Superseded { .. } => {
                Code::AlreadyOver
            }
            Self::NotWaiting { .. } => Code::NotWaiting,
            Self::NeedFailed { .. } => Code::NeedFailed,
            Self::NoMoney { .. } => Code::NoMoney,
            Self::NoQuestion(_) | Self::Answered(_) => Code::NoQuestion,
            Self::NoChoice { .. } => Code::Invalid,
            Self::NotPassed { .. } => Code::NotPassed,
            Self::NeverLands { .. } => Code::NeverLands,
            Self::NotHeld { .. }
            | Self::AllHeld { .. }
            | Self::NotQueued { .. }
            | Self::HasItsTurn { .. }
            | Self::OtherQueue { .. } => Code::NotWaiting,
            Self::NothingToRewind { .. } => Code::NothingToRewind,
            Self::NothingToRetry { .. } => Code::NothingToRetry,
            Self::NotLanded { .. } => Code::NotLanded,
            Self::NothingToUndo { .. } | Self::IsUndone { .. } => Code::NothingToUndo,
            Self::NobodyHears
            | Self::ToItself
            | Self::NobodyAsks
            | Self::AgentsAreNotAsked { .. }
            | Self::AnswersNot { .. } => Code::NobodyHears,
            Self::MailboxFull { .. } => Code::MailboxFull,
            Self::TooManyMessages | Self::Muted { .. } => Code::Muted,
            Self::Changed { .. } => Code::Changed,
            Self::ProjectBusy(_) => Code::ProjectBusy,
            Self::ProjectThere { .. } => Code::Refused,
        }
    }
}

/// Commands: each is checked whole before its first event.
impl Coordinator {
    pub(crate) fn command(
        &mut self,
        now: Time,
        actor: Actor,
        command: &Command,
    ) -> Result<(), Rejected> {
        match command {
            Command::AddProject { git_dir, root } => self.add_project(now, actor, git_dir, root),
            Command::MoveProject { id, git_dir, root } => {
                self.move_project(now, actor, *id, git_dir, root)?;
            }
            Command::ForgetProject(id) => self.forget_project(now, actor, *id)?,
            Command::SubmitPlan { head, specs } => self.submit(now, actor, head, specs)?,
            Command::Pause(ids) => self.pause(now, actor, ids)?,
            Command::Resume(ids) => self.resume(now, actor, ids)?,
            Command::Stop(ids) => self.stop(now, actor, ids)?,
            Command::Land(ids) => self.land(now, actor, ids)?,
            Command::Sync(ids) => {
                for engine in self.passed(ids)? {
                    if engine.held {
                        self.emit(now, actor, Some(engine.id), Event::SyncAsked);
                    }
                }
            }
            Command::Reject { id, note } => {
                self.passed(&[*id])?;
                self.emit(now, actor, Some(*id), Event::Rejected { note: *note });
            }
            Command::Note { id, note, now: at_once } => {
                self.alive(&[*id])?;
                let event = Event::NoteAdded { note: *note, now: *at_once };
                self.emit(now, actor, Some(*id), event);
            }
            Command::Retry { id, .. } => self.retry(now, actor, *id, command)?,
            Command::Rewind { id, .. } => self.rewind(now, actor, *id, command)?,
            Command::Undo { id, tip } => self.undo(now, actor, *id, tip)?,
            Command::Answer { .. } => self.answer(now, actor, command)?,
            Command::Decide { id, item, note } => self.decided(now, actor, (*id, *item), *note)?,
            Command::SetBudget { of, micros } => {
                self.set_budget(now, actor, (*of, Unit::Micros), *micros)?;
            }
            Command::SetTokens { of, tokens } => {
                self.set_budget(now, actor, (*of, Unit::Tokens), *tokens)?;
            }
            Command::ResetCalls { bucket, refusals } => {
                self.reset_calls(now, actor, bucket, *refusals)?;
            }
            Command::HoldQueue { ids, projects } => self.hold_queue(now, actor, ids, projects)?,
            Command::ReleaseQueue { ids, projects } => {
                self.release_queue(now, actor, ids, projects)?;
            }
            Command::MoveQueue { id, before } => self.move_queue(now, actor, *id, *before)?,
            Command::IfUnchanged { ids, since, then } => {
                for id in ids {
                    let last = self.state().engine(*id).ok_or(Rejected::NoLoop(*id))?.last;
                    if *since < last {
                        let (name, since) = (self.name_of(*id), *since);
                        return Err(Rejected::Changed { name, last, since });
                    }
                }
                self.command(now, actor, then)?;
            }
            Command::Park if !self.state().is_parked() => {
                self.emit(now, actor, None, Event::WorkParked);
            }
            Command::Unpark if self.state().is_parked() => {
                self.emit(now, actor, None, Event::WorkUnparked);
            }
            Command::Park | Command::Unpark => {}
        }
        Ok(())
    }

    fn add_project(&mut self, now: Time, actor: Actor, git_dir: &str, root: &str) {
        if self.state().project_at(git_dir).is_none() {
            let id = self.state().next_project();
            let (git_dir, root) = (git_dir.to_owned(), root.to_owned());
            self.emit(now, actor, None, Event::ProjectAdded { id, git_dir, root });
        }
    }

    fn move_project(
        &mut self,
        now: Time,
        actor: Actor,
        id: ProjectId,
        git_dir: &str,
        root: &str,
    ) -> Result<(), Rejected> {
        let project = self.state().project(id).ok_or(Rejected::NoProject(id))?;
        if self.state().project_at(&project.git_dir) != Some(id) {
            return Err(Rejected::NoProject(id));
        }
        match self.state().project_at(git_dir) {
            Some(there) if there == id => Ok(()),
            Some(there) => Err(Rejected::ProjectThere { moved: id, there }),
            None => {
                let (git_dir, root) = (git_dir.to_owned(), root.to_owned());
                self.emit(now, actor, None, Event::ProjectMoved { id, git_dir, root });
                Ok(())
            }
        }
    }

    fn forget_project(&mut self, now: Time, actor: Actor, id: ProjectId) -> Result<(), Rejected> {
        let project = self.state().project(id).ok_or(Rejected::NoProject(id))?;
        if self.state().project_at(&project.git_dir) != Some(id) {
            return Err(Rejected::NoProject(id));
        }
        let is_open =
            |it: &PlanId| self.state().plan(*it).state != PlanState::Ended || self.has_queued(*it);
        if project.plans.iter().any(is_open) {
            return Err(Rejected::ProjectBusy(id));
        }
        self.emit(now, actor, None, Event::ProjectForgotten { id });
        Ok(())
    }

    fn stop(&mut self, now: Time, actor: Actor, ids: &[LoopId]) -> Result<(), Rejected> {
        for engine in self.alive(ids)? {
            if engine.ending.is_none() {
                self.emit(now, actor, Some(engine.id), Event::StopAsked);
            }
        }
        Ok(())
    }

    fn submit(
        &mut self,
        now: Time,
        actor: Actor,
        head: &PlanHead,
        specs: &[SpecHead],
    ) -> Result<(), Rejected> {
        if let Some(known) = self.state().plan_with_key(&head.key) {
            return Err(Rejected::Known(known));
        }
        let project = head.project;
        let known = self.state().project(project).ok_or(Rejected::NoProject(project))?;
        if self.state().project_at(&known.git_dir) != Some(project) {
            return Err(Rejected::NoProject(project));
        }
        if specs.is_empty() || specs.len() != usize::from(head.specs) {
            return Err(Rejected::BadCount { said: head.specs, brought: specs.len() });
        }
        for (n, spec) in (0u16..).zip(specs) {
            if let Some(need) = spec.needs.iter().find(|need| n <= **need) {
                return Err(Rejected::BadNeed { spec: n, need: *need });
            }
        }
        if MAX_SPECS < specs.len() {
            return Err(Rejected::TooMany(specs.len()));
        }
        check_sizes(head, specs)?;
        let plan = PlanId(self.state().plans().keys().next_back().map_or(1, |it| it.0 + 1));
        // The tip it was read at is news if the watcher has not come round yet.
        self.target_is_at(now, project, &head.target, &head.base);
        let event = Event::PlanSubmitted { plan, head: Box::new(head.clone()) };
        self.emit(now, actor, None, event);
        for (index, spec) in (0u16..).zip(specs) {
            let event =
                Event::SpecAdded { spec: SpecId { plan, index }, head: Box::new(spec.clone()) };
            self.emit(now, actor, None, event);
        }
        Ok(())
    }

    /// Somebody has just looked where a target is.
    pub(crate) fn target_is_at(&mut self, now: Time, project: ProjectId, target: &str, tip: &Oid) {
        if let Some(from) = self.is_news(project, target, tip) {
            let (target, from, to) = (target.to_owned(), Some(from), *tip);
            let event = Event::MainMoved { target, from, to, commits: 0, rewritten: false };
            self.emit_for(now, Actor::Daemon, Some(project), None, event);
        }
    }

    /// A person says that a provider is well: what rests before it calls it again rests no longer.
    fn reset_calls(
        &mut self,
        now: Time,
        actor: Actor,
        bucket: &String,
        refusals: bool,
    ) -> Result<(), Rejected> {
        let known = self.state().bucket(bucket);
        let known = known.ok_or_else(|| Rejected::NoBucket(bucket.clone()))?;
        if !known.is_held(refusals, now) {
            return Ok(());
        }
        let change = CircuitChange::Reset { refusals };
        let event = Event::CircuitChanged { bucket: bucket.clone(), change };
        self.emit(now, actor, None, event);
        let rests = |it: &&LoopEngine| {
            it.retry_at.is_some()
                && !it.is_over()
                && matches!(it.next, Next::Call { .. })
                && it.called() == Some(bucket)
        };
        let resting: Vec<LoopId> =
            self.state().loops().values().filter(rests).map(|it| it.id).collect();
        for id in resting {
            self.emit(now, Actor::Core, Some(id), Event::DeferralOver);
        }
        Ok(())
    }

    pub(crate) fn land(&mut self, now: Time, actor: Actor, ids: &[LoopId]) -> Result<(), Rejected> {
        let engines = self.passed(ids)?;
        let never = |it: &&LoopEngine| {
            // What is suspect waits for this word all the same.
            let never = self.state().plan(it.id.plan()).head.land == LandPolicy::Never;
            never && !it.is_suspect() && it.document.is_none()
        };
        if let Some(it) = engines.iter().find(never) {
            return Err(Rejected::NeverLands { name: self.name_of(it.id) });
        }
        for engine in engines {
            // What a pull request asks for is the remote's to take.
            if engine.proposed.is_none() && (!engine.approved || engine.held) {
                self.emit(now, actor, Some(engine.id), Event::Approved);
            }
        }
        Ok(())
    }

    fn pause(&mut self, now: Time, actor: Actor, ids: &[LoopId]) -> Result<(), Rejected> {
        for engine in self.alive(ids)? {
            let rests = matches!(engine.status, Status::Paused | Status::Blocked);
            if !engine.pause && !rests && engine.ending.is_none() {
                self.emit(now, actor, Some(engine.id), Event::PauseAsked);
            }
        }
        Ok(())
    }

    fn resume(&mut self, now: Time, actor: Actor, ids: &[LoopId]) -> Result<(), Rejected> {
        let engines = self.alive(ids)?;
        for engine in &engines {
            let waits = matches!(engine.status, Status::Paused | Status::Blocked) || engine.pause;
            if !waits {
                let name = self.name_of(engine.id);
                return Err(Rejected::NotWaiting { name, status: engine.status });
            }
            self.may_go_on(engine)?;
        }
        for engine in &engines {
            self.go_on(now, actor, engine);
        }
        Ok(())
    }

    /// Refuses what would be blocked again at once.
    pub(crate) fn may_go_on(&self, engine: &LoopEngine) -> Result<(), Rejected> {
        let name = self.name_of(engine.id);
        let plan = self.state().plan(engine.id.plan());
        if engine.reason == Some(Reason::NeedFailed) && plan.needs_reach(engine.id) == Reach::Lost {
            return Err(Rejected::NeedFailed { name });
        }
        if matches!(engine.reason, Some(Reason::Limit(_)))
            && let Some(limit) = money::cannot_pay(self.state(), engine)
        {
            return Err(Rejected::NoMoney { name, limit });
        }
        Ok(())
    }

    /// A person asked a loop to go on.
    pub(crate) fn go_on(&mut self, now: Time, actor: Actor, engine: &LoopEngine) {
        self.emit(now, actor, Some(engine.id), Event::ResumeAsked);
        let from = engine.status;
        // What waits for a person needs no slot; everybody else goes on as soon as one is free.
        let goes_on = self.state().has_loop_slot() || engine.next == Next::Land;
        let started = engine.started_at.is_some();
        let to = if started && goes_on { Status::Running } else { Status::Pending };
        if matches!(from, Status::Paused | Status::Blocked) {
            let event = Event::StatusChanged { from, to, reason: Reason::Person };
            self.emit(now, actor, Some(engine.id), event);
        }
    }

    /// Sets what may be spent of a budget from now on.
    fn set_budget(
        &mut self,
        now: Time,
        actor: Actor,
        (of, unit): (Purse, Unit),
        amount: u64,
    ) -> Result<(), Rejected> {
        match of {
            Purse::Loop(id) => {
                self.alive(&[id])?;
            }
            Purse::Plan(id) => {
                let plan = self.state().plans().get(&id).ok_or(Rejected::NoPlan(id))?;
                if plan.state == PlanState::Ended {
                    return Err(Rejected::PlanIsOver(id));
                }
            }
            Purse::Project(id) => {
                self.state().project(id).ok_or(Rejected::NoProject(id))?;
            }
            Purse::All => {}
        }
        let before = money::account(self.state(), of, now).limit(unit);
        // What is for a whole life may be nothing; everywhere else that is no limit.
        let lifelong = unit == Unit::Micros && !of.is_daily();
        let amount_is = if amount == 0 && !lifelong { None } else { Some(amount) };
        if before == amount_is {
            return Ok(());
        }
        let event = match unit {
            Unit::Micros => Event::BudgetSet { of, micros: amount },
            Unit::Tokens => Event::TokensSet { of, tokens: amount },
        };
        self.emit(now, actor, of.loop_id(), event);
        self.warn_of(now, of);
        Ok(())
    }

    pub(crate) fn alive(&self, ids: &[LoopId]) -> Result<Vec<LoopEngine>, Rejected> {
        let engine = |id: &LoopId| {
            let engine = self.state().engine(*id).ok_or(Rejected::NoLoop(*id))?;
            if engine.is_over() {
                let (name, status) = (self.name_of(*id), engine.status);
                return Err(Rejected::IsOver { name, status });
            }
            Ok(engine.clone())
        };
        ids.iter().map(engine).collect()
    }

    pub(crate) fn passed(&self, ids: &[LoopId]) -> Result<Vec<LoopEngine>, Rejected> {
        let engines = self.alive(ids)?;
        let not_passed = |it: &&LoopEngine| it.passed.is_none() || it.next != Next::Land;
        match engines.iter().find(not_passed) {
            Some(it) => Err(Rejected::NotPassed { name: self.name_of(it.id) }),
            None => Ok(engines),
        }
    }

    /// What people call a loop.
    #[must_use]
    pub fn name_of(&self, id: LoopId) -> String {
        self.state().plan(id.plan()).name_of(id)
    }
}

/// Refuses what the log cannot hold, before anything of it is written.
fn check_sizes(head: &PlanHead, specs: &[SpecHead]) -> Result<(), Rejected> {
    let check = |what: &str, json: serde_json::Result<String>| {
        let bytes = json.map_or(usize::MAX, |it| it.len()).saturating_add(ENVELOPE_BYTES);
        if bytes <= MAX_EVENT_BYTES {
            return Ok(());
        }
        Err(Rejected::TooLarge { what: what.chars().take(80).collect(), bytes })
    };
    check("the plan", serde_json::to_string(head))?;
    specs.iter().try_for_each(|it| check(&it.name, serde_json::to_string(it)))
}
