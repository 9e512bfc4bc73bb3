//! A world and its driver: what is decided, what is durable, what runs, and what a crash takes.
//!
//! The driver decides ahead of the disk: starts and ends are released when their batch is durable,
//! and a crash takes some of the batches that are not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};

use taskd_core::{Coordinator, Decided, Rejected, Snapshot};
use taskd_model::{
    Actor, Command, Digest, EffectId, Event, Input, LoopId, Oid, Outcome, PlanHead, ProjectId,
    Record, Seq, SpecHead, Time, Work,
};

use crate::{
    git::{Files, Git},
    ledger::{Ledger, check, read_back},
    rng::Rng,
    runner::Job,
    tally::Tally,
};

/// How much there is in a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Plans, from and to.
    pub(crate) plans: (u32, u32),
    /// Specs of each plan, from and to.
    pub(crate) specs: (u64, u64),
    /// Loops that may work at once, from and to.
    pub(crate) loops: (u32, u32),
    /// Of a hundred earlier specs, those that a spec needs.
    pub(crate) needs: u64,
    /// How much more money, time and iterations there is than in a small world.
    pub(crate) means: u32,
    /// Every plan is submitted before anything else happens.
    pub(crate) at_once: bool,
    /// Inputs after which people stop making trouble and only decide what waits for them.
    quiet_after: u64,
    /// Inputs within which every world must end.
    max_inputs: u64,
}

/// A world small enough for hundreds of them in every run of the tests.
const SMALL: Scale = Scale {
    plans: (1, 4),
    specs: (1, 5),
    loops: (1, 8),
    needs: 35,
    means: 1,
    at_once: false,
    quiet_after: 700,
    max_inputs: 6_000,
};
/// More than fifty loops in three plans, all there at once.
const FLEET: Scale = Scale {
    plans: (3, 3),
    specs: (17, 20),
    loops: (20, 60),
    needs: 4,
    means: 20,
    at_once: true,
    quiet_after: 6_000,
    max_inputs: 40_000,
};
/// Of a hundred effects of a fleet, those that fail, and those calls that are refused.
const FLEET_FAULTS: u64 = 5;
/// Of a hundred steps of a fleet, those in which somebody may meddle: every seventh moves a branch.
const FLEET_PEOPLE: u64 = 8;
/// Deaths of the daemon in a thousand steps of a fleet.
const FLEET_CRASHES: u64 = 4;

/// Batches the driver decides ahead of the disk.
const MAX_PENDING: usize = 4;

pub(crate) type Target = (ProjectId, String);

/// A worktree of a loop.
#[derive(Debug, Clone)]
pub(crate) struct Worktree {
    pub(crate) files: Files,
    /// A crash caught a writer halfway: nobody may work on these files.
    pub(crate) torn: bool,
}

/// What was decided and is not yet durable.
#[derive(Debug)]
struct Batch {
    last: Seq,
    start: Vec<EffectId>,
    end: Vec<EffectId>,
}

/// Somebody looks where a target is.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) at: Time,
    pub(crate) target: Target,
    /// What was read long ago; `None` reads now.
    pub(crate) stale: Option<Oid>,
}

/// Which troubles this world knows, in percent.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) failures: u64,
    pub(crate) rate_limits: u64,
    pub(crate) red: u64,
    pub(crate) people: u64,
    pub(crate) crashes_per_mille: u64,
    pub(crate) history: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) scale: Scale,
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    pub(crate) core: Coordinator,
    /// The fold of the log as it is read back, one record at a time.
    shadow: Coordinator,
    /// A snapshot that went through JSON, and the tail after it.
    restored: Coordinator,
    log: Vec<Record>,
    pub(crate) ledger: Ledger,
    durable: Seq,
    pending: VecDeque<Batch>,
    pub(crate) running: BTreeMap<EffectId, Job>,
    /// Effects of earlier lives, whose outcomes may still arrive.
    pub(crate) ghosts: Vec<(EffectId, Outcome)>,
    pub(crate) git: Git,
    pub(crate) worktrees: BTreeMap<LoopId, Worktree>,
    pub(crate) looks: Vec<Look>,
    pub(crate) seen: BTreeMap<Target, Oid>,
    /// Projects in which a tip was lost or reported late, so that ancestry says nothing.
    pub(crate) muddled: Vec<ProjectId>,
    pub(crate) dirty: Vec<ProjectId>,
    /// What was saved of loops: the commit, and the base it stands on.
    pub(crate) saved: Vec<(LoopId, Oid, Oid)>,
    /// Proposed work that a colleague merged: what was proposed, what has it, what that stands on.
    pub(crate) taken: BTreeMap<LoopId, (Oid, Oid, Oid)>,
    pub(crate) submissions: Vec<(PlanHead, Vec<SpecHead>)>,
    /// Trees that were green, under which gate.
    pub(crate) greens: BTreeSet<(Oid, Digest)>,
    pub(crate) weather: Weather,
    /// What loops shared and others have read: who, of whom, what.
    pub(crate) read: Vec<(LoopId, LoopId, Digest)>,
    pub(crate) stuck: u64,
    pub(crate) tally: Tally,
}

impl World {
    /// A small world, with its own weather.
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(seed, SMALL)
    }

    /// A large one, in which five of a hundred things go wrong and main moves.
    pub(crate) fn fleet(seed: u64) -> Self {
        let mut world = Self::of(seed, FLEET);
        world.weather.failures = FLEET_FAULTS;
        world.weather.rate_limits = FLEET_FAULTS;
        world.weather.people = FLEET_PEOPLE;
        world.weather.crashes_per_mille = FLEET_CRASHES;
        world
    }

    fn of(seed: u64, scale: Scale) -> Self {
        let mut rng = Rng::new(seed);
        let weather = Weather {
            failures: rng.below(12),
            rate_limits: rng.below(12),
            red: rng.between(2, 35),
            people: rng.between(1, 8),
            crashes_per_mille: rng.below(45),
            history: rng.chance(45),
        };
        let mut core = Coordinator::default();
        if rng.chance(40) {
            core.settle_at_most(usize::try_from(rng.between(1, 6)).unwrap_or(1));
        }
        Self {
            seed,
            scale,
            now: Time(1_700_000_000_000 + rng.below(1_000_000)),
            rng,
            core,
            shadow: Coordinator::default(),
            restored: Coordinator::default(),
            log: Vec::new(),
            ledger: Ledger::default(),
            durable: Seq(0),
            pending: VecDeque::new(),
            running: BTreeMap::new(),
            ghosts: Vec::new(),
            git: Git::default(),
            worktrees: BTreeMap::new(),
            looks: Vec::new(),
            seen: BTreeMap::new(),
            muddled: Vec::new(),
            saved: Vec::new(),
            dirty: Vec::new(),
            taken: BTreeMap::new(),
            submissions: Vec::new(),
            greens: BTreeSet::new(),
            weather,
            read: Vec::new(),
            stuck: 0,
            tally: Tally::default(),
        }
    }

    /// Runs until every plan has ended; what happened, and a digest of the log.
    pub(crate) fn run(mut self) -> (Tally, Digest) {
        self.begin();
        while !self.is_over() {
            if self.scale.max_inputs < self.tally.inputs {
                self.fail("it never ends");
            }
            if self.rng.rarely(self.weather.crashes_per_mille) && !self.is_quiet() {
                self.crash();
            } else if !self.meddle() {
                self.go_on();
            }
        }
        self.flush();
        if let Err(problem) = self.ledger.all_answered() {
            self.fail(&problem);
        }
        let dangling: Vec<_> = self.core.open_effects().collect();
        if !dangling.is_empty() || !self.running.is_empty() {
            self.fail("it is over, and something still runs");
        }
        self.books_are_right();
        self.tally.loops = self.ledger.loops.len() as u64;
        let log = Digest::of(&serde_json::to_vec(&self.log).expect("records are JSON"));
        (self.tally, log)
    }

    fn is_over(&self) -> bool {
        let ended = self.ledger.plans.keys().all(|it| self.ledger.ended.contains(it));
        // What was decided and is not durable yet does not run yet.
        let still = self.running.is_empty() && self.core.open_effects().next().is_none();
        self.next_submission().is_none() && ended && still && self.settled()
    }

    pub(crate) fn settled(&self) -> bool {
        self.core.next_deadline().is_none_or(|it| self.now < it)
    }

    /// Late in its life a world has good weather.
    pub(crate) fn is_quiet(&self) -> bool {
        self.scale.quiet_after < self.tally.inputs
    }

    /// The next thing that ends, reports, is seen or falls due.
    fn go_on(&mut self) {
        let job = self.running.iter().map(|(id, job)| (job.next_at(), *id)).min();
        let look = self.looks.iter().map(|it| it.at).min();
        let due = self.core.next_deadline();
        let at = [job.map(|it| it.0), look, due].into_iter().flatten().min();
        if self.running.is_empty() && !self.pending.is_empty() {
            return self.flush();
        }
        let Some(at) = at else { return self.decide() };
        self.tally.unsettled += u64::from(due.is_some_and(|it| it <= self.now));
        self.now = self.now.max(at);
        if job.is_some_and(|it| it.0 <= self.now)
            && due.is_none_or(|it| job.map_or(it, |j| j.0) <= it)
        {
            let id = job.expect("just compared").1;
            return self.advance(id);
        }
        if look == Some(at) && due.is_none_or(|it| at < it) {
            return self.look();
        }
        let before = (self.core.head(), self.core.next_deadline());
        self.input(&Input::Tick);
        if (self.core.head(), self.core.next_deadline()) == before {
            self.fail("a tick at its deadline changes nothing: a busy loop");
        }
    }

    /// Hands in one input and takes what was decided.
    pub(crate) fn input(&mut self, input: &Input) {
        if let Err(error) = self.try_input(input) {
            self.fail(&format!("{input:?} was refused: {error}"));
        }
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<(), Rejected> {
        let result =
            self.try_input(&Input::Command { actor: Actor::Person { uid: 1, via: None }, command });
        self.tally.refused += u64::from(result.is_err());
        result
    }

    pub(crate) fn try_input(&mut self, input: &Input) -> Result<(), Rejected> {
        self.tally.inputs += 1;
        let before = self.core.head();
        let (core, now) = (&mut self.core, self.now);
        let decided = match catch_unwind(AssertUnwindSafe(|| core.handle(now, input))) {
            Ok(Ok(decided)) => decided,
            Err(_) => self.fail(&format!("the core panicked on {input:?}")),
            Ok(Err(error)) => {
                if self.core.head() != before || !self.core.same_state(&self.shadow) {
                    self.fail("a refused command changed something");
                }
                return Err(error);
            }
        };
        self.take(decided);
        if MAX_PENDING <= self.pending.len() || self.rng.chance(60) {
            self.flush();
        }
        Ok(())
    }

    fn take(&mut self, decided: Decided) {
        let Decided { records, start, end, .. } = decided;
        self.tally.events += records.len() as u64;
        self.tally.ends += end.len() as u64;
        for record in &records {
            let folded = self.ledger.apply(record, &mut self.tally);
            match folded.and_then(|()| read_back(record)) {
                Ok(back) => {
                    self.shadow.apply(&back);
                    self.restored.apply(&back);
                }
                Err(problem) => {
                    self.log.extend(records.iter().cloned());
                    self.fail(&problem);
                }
            }
        }
        self.log.extend(records);
        self.pending.push_back(Batch { last: self.core.head(), start, end });
        if let Err(problem) = self.invariants() {
            self.fail(&problem);
        }
        if self.rng.rarely(6) {
            self.reload();
        }
    }

    /// What must hold after every input.
    fn invariants(&self) -> Result<(), String> {
        check(self.core.same_state(&self.shadow), || "replay differs from live".to_owned())?;
        check(self.core.same_state(&self.restored), || "snapshot and tail differ".to_owned())?;
        check(self.core.indexes_are_exact(), || "an index is not exact".to_owned())?;
        crate::holds::exclusive(&self.core)?;
        self.ledger.all_told()?;
        let of_core: Vec<EffectId> = self.core.open_effects().map(|it| it.0).collect();
        let of_log: Vec<EffectId> = self.ledger.open().collect();
        check(of_core == of_log, || format!("open {of_core:?}, by the log {of_log:?}"))?;
        for (id, work, ending) in self.core.open_effects() {
            let waits = self.pending.iter().any(|it| it.start.contains(&id));
            let job = self.running.get(&id);
            check(waits || job.is_some(), || format!("{id} {work} is wanted and nobody runs it"))?;
            let told = job.is_some_and(|it| it.ending)
                || self.pending.iter().any(|it| it.end.contains(&id));
            check(told == ending, || format!("{id} {work}: ending {ending}, told {told}"))?;
        }
        let known = |it: &EffectId| of_core.binary_search(it).is_ok();
        check(self.running.keys().all(known), || "something runs that nobody wants".to_owned())
    }

    /// A snapshot through JSON becomes the one that is followed.
    fn reload(&mut self) {
        self.tally.snapshots += 1;
        let text = serde_json::to_string(&self.core.snapshot()).expect("snapshots are JSON");
        let snapshot: Snapshot = serde_json::from_str(&text).expect("and come back");
        self.restored = Coordinator::restore(snapshot);
    }

    /// Makes everything durable, and releases what waited for it.
    pub(crate) fn flush(&mut self) {
        while let Some(batch) = self.pending.pop_front() {
            self.durable = batch.last;
            for id in batch.start {
                self.start(id);
            }
            for id in batch.end {
                self.ask_to_end(id);
            }
        }
    }

    /// What was said for the second time, or from another life, left no trace.
    pub(crate) fn nothing_is_said_of(&self, effect: EffectId, since: Seq) {
        let from = usize::try_from(since.0).expect("small");
        let of_it = |record: &Record| match &record.event {
            Event::EffectEnded { effect: it, .. } | Event::EffectObserved { effect: it, .. } => {
                *it == effect
            }
            _ => false,
        };
        if self.log[from..].iter().any(of_it) {
            self.fail(&format!("{effect} was heard again"));
        }
    }

    pub(crate) fn is_durable(&self, seq: Seq) -> bool {
        seq <= self.durable
    }

    /// The process dies. What was not durable was never said to anybody.
    pub(crate) fn crash(&mut self) {
        self.tally.crashes += 1;
        let cut = self.cut();
        self.tally.records_lost += self.core.head().0 - cut.0;
        self.lose_place();
        let keep = usize::try_from(cut.0).expect("small");
        self.log.truncate(keep);
        self.pending.clear();
        self.durable = cut;
        self.restart();
    }

    /// The last record that reached the disk: the store writes a batch whole or not at all.
    fn cut(&mut self) -> Seq {
        let ends: Vec<Seq> = self.pending.iter().map(|it| it.last).collect();
        let kept = self.rng.below(ends.len() as u64 + 1);
        let last = kept.checked_sub(1).and_then(|it| usize::try_from(it).ok());
        last.map_or(self.durable, |it| ends[it])
    }

    /// A new life begins on the log of the old one.
    fn restart(&mut self) {
        let mut unused = Tally::default();
        self.ledger = Ledger::default();
        for record in &self.log {
            self.ledger.apply(record, &mut unused).expect("it held before");
        }
        self.core = Coordinator::replay(&self.log);
        if self.rng.chance(40) {
            self.core.settle_at_most(usize::try_from(self.rng.between(1, 6)).unwrap_or(1));
        }
        self.shadow = Coordinator::replay(&self.log);
        self.reload();
        self.now = self.now.plus_ms(self.rng.below(20_000));
        self.look_everywhere();
        self.input(&Input::Started { version: "0.1.0".to_owned() });
    }

    /// An orderly stop: everything is given up and says so; then a new start.
    pub(crate) fn restart_orderly(&mut self) {
        self.tally.restarts += 1;
        self.command(Command::Park).expect("parking is always possible");
        self.flush();
        let ids: Vec<EffectId> = self.running.keys().copied().collect();
        for id in ids {
            self.give_up(id);
        }
        while !self.settled() {
            self.input(&Input::Tick);
        }
        self.input(&Input::Stopped);
        self.flush();
        if !self.running.is_empty() {
            self.fail("something starts while everything is parked");
        }
        self.restart();
        self.command(Command::Unpark).expect("unparking is always possible");
    }

    /// Spend as the state has it is what the outcomes of the log add up to.
    fn books_are_right(&self) {
        let state = serde_json::to_value(self.core.snapshot()).expect("snapshots are JSON");
        for (id, row) in &self.ledger.loops {
            let spent = &state["loops"][id.to_string()]["spent"];
            let same = spent["micros"] == row.spent.micros && spent["input"] == row.spent.input;
            if !same {
                self.fail(&format!("{id} spent {spent}, by its outcomes {:?}", row.spent));
            }
        }
    }

    /// Prints the story and panics with the seed.
    #[expect(clippy::print_stderr, reason = "the story of the failure")]
    pub(crate) fn fail(&self, problem: &str) -> ! {
        let lines = std::env::var("STORY").ok().and_then(|it| it.parse().ok()).unwrap_or(60);
        let from = self.log.len().saturating_sub(lines);
        for record in &self.log[from..] {
            let at = record.at.ms_since(self.log[0].at);
            eprintln!("{:>5} {at:>8}  {record}", record.seq.0);
        }
        for (id, work, ending) in self.core.open_effects() {
            eprintln!("      open {id} {work}{}", if ending { ", ending" } else { "" });
        }
        for (id, row) in &self.ledger.loops {
            let reason = row.reason.as_ref().map(ToString::to_string).unwrap_or_default();
            let reason: String = reason.chars().take(60).collect();
            eprintln!("      {id} {}: {reason}, passed {}", row.status, row.passed);
        }
        panic!("seed {}: {problem}", self.seed)
    }

    pub(crate) fn order(&self, id: EffectId) -> taskd_model::Order {
        self.core.order(id).expect("what starts is open")
    }

    pub(crate) fn work(&self, id: EffectId) -> &Work {
        &self.running[&id].order.work
    }
}
