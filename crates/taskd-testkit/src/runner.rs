//! A model of the runner: starts and ends what it is told to, and ends everything once, late.
//!
//! Outcomes are computed when work ends, from what the world is then.

use std::collections::VecDeque;

use taskd_model::{
    CallWanted, Digest, EffectId, Failure, Hold, Input, Level, LoopId, Observation, Oid, Order,
    Outcome, Owner, PrepareMode, QueueOp, RateLevels, Seq, Subject, Time, ToolCall, Usage, Work,
};

use crate::{
    git::Files,
    ledger::check,
    outcomes::{self, MAX_CALL_MICROS, MAX_CALL_TOKENS},
    world::{Worktree, World},
};

/// Work under way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) order: Order,
    pub(crate) ending: bool,
    pub(crate) usage: Usage,
    /// What a call will reply.
    pub(crate) calls: Vec<ToolCall>,
    /// What a rebase saved before it touched anything.
    pub(crate) saved: Option<Oid>,
    /// Where the last observation stands in the log.
    observed_at: Option<Seq>,
    observations: VecDeque<(Time, Observation)>,
    index: u32,
    /// Calls an agent has asked for.
    asked: u32,
    pub(crate) ends_at: Time,
}

impl Job {
    pub(crate) fn next_at(&self) -> Time {
        self.observations.front().map_or(self.ends_at, |it| it.0.min(self.ends_at))
    }

    pub(crate) fn subject(&self) -> &Subject {
        self.order.subject.as_ref().expect("loops' work has a subject")
    }
}

impl World {
    /// An effect whose start is durable begins.
    pub(crate) fn start(&mut self, id: EffectId) {
        let order = self.order(id);
        if let Err(problem) = self.may_start(&order) {
            self.fail(&format!("{id} {}: {problem}", order.work));
        }
        if let (Work::Compose, Some(it)) = (&order.work, &order.subject)
            && let Err(problem) = self.ledger.reads(it.id, id, &it.mail, &mut self.read)
        {
            self.fail(&problem);
        }
        let takes = match order.work {
            Work::Compose | Work::Prepare { .. } => 200,
            Work::Save { .. } => 1_500,
            Work::Tool { .. } | Work::BuildCandidate { .. } => 2_000,
            Work::Call { .. } | Work::Relay(_) | Work::Answer(_) => 6_000,
            Work::Agent { .. } => 30_000,
            _ => 4_000,
        };
        let ends_at = self.now.plus_ms(self.rng.between(1, takes));
        let mut job = Job {
            order,
            ending: false,
            usage: Usage::default(),
            calls: Vec::new(),
            saved: None,
            observed_at: None,
            observations: VecDeque::new(),
            index: 0,
            asked: 0,
            ends_at,
        };
        self.plan_observations(&mut job);
        self.tally.beside_saving += u64::from(self.is_beside_saving(&job.order));
        self.running.insert(id, job);
    }

    /// A call, and the files that an earlier turn of its loop left are being saved.
    fn is_beside_saving(&self, order: &Order) -> bool {
        let saves =
            |it: &Job| matches!(it.order.work, Work::Save { .. }) && it.order.owner == order.owner;
        matches!(order.work, Work::Call { .. }) && self.running.values().any(saves)
    }

    /// What it will report on the way.
    fn plan_observations(&mut self, job: &mut Job) {
        let span = job.ends_at.ms_since(self.now);
        let mut facts = Vec::new();
        match &job.order.work {
            Work::Call { .. } => {
                job.calls = if job.subject().reads { Vec::new() } else { self.tool_calls() };
                job.usage = self.usage();
                if self.rng.chance(30) {
                    facts.push(Observation::Levels(self.levels()));
                }
                for (index, call) in (0u16..).zip(&job.calls) {
                    if self.rng.chance(60) {
                        facts.push(Observation::ToolCalled { index, call: call.clone() });
                    } else {
                        break;
                    }
                }
                facts.push(Observation::UsageSoFar(part(job.usage)));
            }
            Work::Agent { reader: Some(_), .. } => {
                job.usage = self.usage();
                facts.push(Observation::UsageSoFar(part(job.usage)));
                self.ask_for_calls(job, &mut facts);
            }
            Work::Agent { .. } => {
                job.usage = self.usage();
                facts.push(Observation::Session(format!("session {}", self.rng.below(100))));
                facts.push(Observation::UsageSoFar(part(job.usage)));
                if self.rng.chance(30) {
                    let choices = vec!["yes".to_owned(), "no".to_owned()];
                    facts.push(Observation::Asked { n: 1, text: "run it".to_owned(), choices });
                }
                let id = job.subject().id;
                let at = self.save(id, job.subject().base);
                facts.push(Observation::Checkpoint(at));
                self.ask_for_calls(job, &mut facts);
            }
            Work::Relay(_) | Work::Answer(_) => {
                job.usage = self.usage();
                if self.rng.chance(30) {
                    facts.push(Observation::Levels(self.levels()));
                }
                facts.push(Observation::UsageSoFar(part(job.usage)));
            }
            Work::Rebase { .. } => {
                let at = self.save(job.subject().id, job.subject().base);
                job.saved = Some(at);
                facts.push(Observation::Checkpoint(at));
            }
            Work::Gate => facts.push(Observation::Activity("cargo test".to_owned())),
            _ => {}
        }
        let steps = facts.len() as u64 + 1;
        for (n, fact) in (1u64..).zip(facts) {
            job.observations.push_back((self.now.plus_ms(span * n / steps), fact));
        }
    }

    /// An agent asks for a few calls, several at once, and gives one of them up now and then.
    fn ask_for_calls(&mut self, job: &mut Job, facts: &mut Vec<Observation>) {
        if self.rng.chance(40) {
            return;
        }
        for _ in 0..self.rng.between(1, 5) {
            job.asked += 1;
            facts.push(Observation::CallWanted(self.call_wanted(job.asked)));
            if self.rng.chance(15) {
                let call = u32::try_from(self.rng.between(1, job.asked.into())).unwrap_or(1);
                facts.push(Observation::CallGivenUp { call });
            }
        }
    }

    fn call_wanted(&mut self, call: u32) -> CallWanted {
        let bucket = *self.rng.pick(&["fast", "slow", "other"]).expect("some");
        CallWanted {
            call,
            bucket: bucket.to_owned(),
            input_tokens: self.rng.below(50_000),
            worst_micros: if self.rng.chance(50) { MAX_CALL_MICROS } else { 0 },
            worst_tokens: if self.rng.chance(70) { MAX_CALL_TOKENS } else { 0 },
        }
    }

    /// A call that was refused is asked for again, if the agent is still there.
    fn ask_again(&mut self, agent: EffectId, bucket: String) {
        let Some(call) = self.running.get_mut(&agent).map(|it| {
            it.asked += 1;
            it.asked
        }) else {
            return;
        };
        let wanted = CallWanted { bucket, ..self.call_wanted(call) };
        let now = self.now;
        if let Some(job) = self.running.get_mut(&agent) {
            job.observations.push_front((now, Observation::CallWanted(wanted)));
        }
    }

    /// Whatever the core thinks: nobody shares a worktree with a writer in fact, nobody works on
    /// files that are not there or half written, and what a model wrote is what was saved.
    fn may_start(&self, order: &Order) -> Result<(), String> {
        let holds = order.work.holds(order.owner, order.project);
        for other in self.running.values() {
            let theirs = other.order.work.holds(other.order.owner, other.order.project);
            for hold in &holds {
                let clash = match hold {
                    Hold::WorktreeExclusive(id) => {
                        theirs.contains(&Hold::WorktreeShared(*id)) || theirs.contains(hold)
                    }
                    Hold::WorktreeShared(id) => theirs.contains(&Hold::WorktreeExclusive(*id)),
                    Hold::Repository(_) => theirs.contains(hold),
                    Hold::CallSlot(_) | Hold::AgentSlot | Hold::GateSlot => false,
                };
                check(!clash, || format!("it shares {hold:?} with {}", other.order.work))?;
            }
        }
        let Owner::Loop(id) = order.owner else { return Ok(()) };
        let subject = order.subject.as_ref().expect("a loop's work");
        check(subject.iteration <= subject.max_iterations, || "too many iterations".to_owned())?;
        if let Work::Prepare { base, mode: PrepareMode::Fresh } = &order.work {
            return self.needs_are_there(id, *base);
        }
        let beside = matches!(order.work, Work::Relay(_) | Work::Answer(_));
        let elsewhere = beside || matches!(order.work, Work::Call { .. } | Work::Decompose { .. });
        if elsewhere || matches!(order.work, Work::Prepare { .. }) {
            return Ok(());
        }
        let tree = self.worktrees.get(&id).ok_or("there is no worktree")?;
        check(!tree.torn, || "the files are half written".to_owned())?;
        let writes = matches!(
            order.work,
            Work::Gate | Work::Rebase { .. } | Work::Tool { reads: false, .. }
        );
        if writes && self.ledger.loops[&id].is_native() {
            let saved = &self.git.get(subject.checkpoint.unwrap_or(subject.base)).files;
            check(*saved == tree.files, || "the files are not what was saved".to_owned())?;
        }
        Ok(())
    }

    /// A loop begins on a commit that has what it needs.
    fn needs_are_there(&self, id: LoopId, base: Oid) -> Result<(), String> {
        let row = &self.ledger.loops[&id];
        let project = self.ledger.plans[&id.plan()].project;
        if self.muddled.contains(&project) {
            return Ok(());
        }
        for need in &row.head.needs {
            let mut need_id = id;
            need_id.spec.index = *need;
            if self.ledger.loops[&need_id].head.writes.is_some() {
                let brought = self.ledger.came_of(need_id, |it| !it.brought.is_empty());
                check(brought, || format!("what {need_id} named was never brought anywhere"))?;
                continue;
            }
            let brought = &self.ledger.loops[&need_id].brought;
            check(!brought.is_empty(), || format!("{need_id} was never brought anywhere"))?;
            let there = |it: &Option<Oid>| it.is_none_or(|it| self.git.is_ancestor(it, base));
            check(brought.iter().any(there), || format!("the work of {need_id} is not there"))?;
        }
        Ok(())
    }

    /// The runner was told to end something; it ends soon, in one way or another.
    pub(crate) fn ask_to_end(&mut self, id: EffectId) {
        let soon = self.now.plus_ms(self.rng.between(1, 1_500));
        if let Some(job) = self.running.get_mut(&id) {
            job.ending = true;
            job.ends_at = job.ends_at.min(soon);
        }
    }

    /// The next report of an effect, or its end.
    pub(crate) fn advance(&mut self, id: EffectId) {
        let job = self.running.get_mut(&id).expect("it runs");
        if let Some((at, fact)) = job.observations.pop_front() {
            if at <= job.ends_at {
                return self.observe(id, fact);
            }
            job.observations.clear();
        }
        self.finish(id);
    }

    fn observe(&mut self, id: EffectId, fact: Observation) {
        let job = self.running.get_mut(&id).expect("it runs");
        let index = job.index;
        job.index += 1;
        let early = matches!(&fact, Observation::ToolCalled { call, .. } if call.reads);
        let input = Input::Observed { effect: id, index, fact };
        let before = self.core.open_effects().count();
        self.input(&input);
        let more = before < self.core.open_effects().count();
        self.tally.early_reads += u64::from(early && more);
        let at = self.core.head();
        if let Some(job) = self.running.get_mut(&id) {
            job.observed_at = Some(at);
        }
        if self.rng.chance(5) {
            let before = self.core.head();
            self.input(&input);
            self.nothing_is_said_of(id, before);
        }
    }

    fn finish(&mut self, id: EffectId) {
        // A rebase touches files only when what it saved is named in the log.
        let job = &self.running[&id];
        if job.saved.is_some() && job.observed_at.is_some_and(|it| !self.is_durable(it)) {
            self.flush();
        }
        let outcome = outcomes::of(self, id);
        let job = self.running.remove(&id);
        self.input(&Input::Ended { effect: id, outcome: outcome.clone() });
        if let Some(Work::Relay(relay)) = job.map(|it| it.order.work)
            && matches!(outcome.failure(), Some(Failure::NotBefore(_) | Failure::RateLimited))
        {
            self.ask_again(relay.agent, relay.bucket);
        }
        if self.rng.chance(2) {
            self.ghosts.push((id, outcome));
        }
    }

    /// The place stops: what it did until then is all there is.
    pub(crate) fn give_up(&mut self, id: EffectId) {
        let outcome = outcomes::cancelled(self, id);
        self.running.remove(&id);
        self.input(&Input::Ended { effect: id, outcome });
    }

    /// An outcome of another life, or a second one, says nothing.
    pub(crate) fn haunt(&mut self) -> bool {
        let Some((effect, outcome)) = self.ghosts.pop() else { return false };
        self.tally.stale += 1;
        let before = self.core.head();
        self.input(&Input::Ended { effect, outcome });
        self.nothing_is_said_of(effect, before);
        true
    }

    /// What a rebase saved is named in the log for good, so files may be touched.
    pub(crate) fn may_touch(&self, job: &Job) -> bool {
        job.observed_at.is_some_and(|it| self.is_durable(it))
    }

    /// Everything that runs is gone; some of it had happened.
    pub(crate) fn lose_place(&mut self) {
        for (id, job) in std::mem::take(&mut self.running) {
            self.tally.saves_lost += u64::from(matches!(job.order.work, Work::Save { .. }));
            let half = self.rng.chance(50);
            let begun = self.may_touch(&job);
            match &job.order.work {
                Work::Publish { op: QueueOp::Land(_) | QueueOp::Undo(_), commit, expected }
                    if half =>
                {
                    let target = (job.order.project, job.order.target.clone());
                    if !self.dirty.contains(&job.order.project) {
                        self.git.swap(&target, *expected, *commit);
                        self.tally.publishes_lost += 1;
                    }
                }
                Work::Tool { reads: false, .. } if half => self.tear(job.subject().id),
                Work::Prepare {
                    mode: PrepareMode::Fresh | PrepareMode::Restore(_) | PrepareMode::Rewind(_),
                    ..
                } if half => {
                    self.tear(job.subject().id);
                }
                Work::Rebase { .. } if half && begun => self.tear(job.subject().id),
                Work::Agent { .. } if half => self.scribble(job.subject().id),
                _ => {}
            }
            let outcome = Outcome::Cancelled { usage: job.usage, checkpoint: None };
            self.ghosts.push((id, outcome));
        }
        let gone: Vec<LoopId> = self.worktrees.keys().copied().collect();
        for id in gone {
            if self.rng.chance(10) {
                self.worktrees.remove(&id);
            }
        }
        self.seen.clear();
    }

    fn tear(&mut self, id: LoopId) {
        if let Some(tree) = self.worktrees.get_mut(&id) {
            tree.torn = true;
        }
    }

    /// Somebody writes into a worktree.
    pub(crate) fn scribble(&mut self, id: LoopId) {
        let version = self.git.new_version();
        let (file, kind) = (self.rng.below(6), self.rng.below(20));
        let base = self.core_base(id);
        let Some(tree) = self.worktrees.get_mut(&id) else { return };
        if kind == 0 {
            tree.files = base;
            return;
        }
        tree.files.insert(u8::try_from(file).unwrap_or(0), version);
        if kind < 14 {
            // Whoever sees markers solves them.
            tree.files.values_mut().filter(|it| crate::git::is_marked(**it)).for_each(|it| {
                *it = version;
            });
        }
    }

    fn core_base(&self, id: LoopId) -> Files {
        let job = self.running.values().find(|it| it.order.owner == Owner::Loop(id));
        job.map(|it| self.git.files(it.subject().base)).unwrap_or_default()
    }

    /// The files of a worktree as a commit.
    pub(crate) fn save(&mut self, id: LoopId, base: Oid) -> Oid {
        let files = self.worktrees.get(&id).map(|it| it.files.clone()).unwrap_or_default();
        let commit = self.git.commit(&[base], files);
        self.saved.push((id, commit, base));
        commit
    }

    pub(crate) fn set_files(&mut self, id: LoopId, files: Files) {
        self.worktrees.insert(id, Worktree { files, torn: false });
    }

    fn tool_calls(&mut self) -> Vec<ToolCall> {
        let count = self.rng.below(4);
        let mut call = || {
            let (name, reads) = *self
                .rng
                .pick(&[("read", true), ("grep", true), ("edit", false), ("run", false)])
                .expect("some");
            ToolCall { name: name.to_owned(), args: Digest::of(name.as_bytes()), reads }
        };
        let mut calls: Vec<ToolCall> = (0..count).map(|_| call()).collect();
        if self.rng.chance(25) {
            let args = Digest::of(b"finish");
            calls.push(ToolCall { name: "finish".to_owned(), args, reads: true });
        }
        calls
    }

    fn usage(&mut self) -> Usage {
        Usage {
            input: self.rng.below(9_000),
            output: self.rng.below(2_000),
            micros: self.rng.below(MAX_CALL_MICROS),
            ..Usage::default()
        }
    }

    /// What a provider's headers say, true or not.
    fn levels(&mut self) -> RateLevels {
        let mut level = |most| {
            let limit = self.rng.between(1, most);
            let remaining = self.rng.below(limit + 1);
            let reset_ms = self.rng.below(60_000);
            self.rng.chance(70).then_some(Level { limit, remaining, reset_ms })
        };
        RateLevels {
            requests: level(200),
            input_tokens: level(200_000),
            output_tokens: level(50_000),
            tokens: level(400_000),
        }
    }

    pub(crate) fn failure(&mut self) -> Failure {
        match self.rng.below(10) {
            0 => Failure::Permanent,
            1 => Failure::Auth,
            2 | 3 => Failure::Resources,
            4 => Failure::TooLarge,
            _ => Failure::Transient,
        }
    }
}

fn part(usage: Usage) -> Usage {
    Usage { input: usage.input / 2, output: usage.output / 3, micros: usage.micros / 2, ..usage }
}
