//! What happened to each loop, read off the log and nothing else.
//!
//! A fold beside the view's: it keeps what the view forgets, such as how long a refusal was waited
//! for or which turn a dead daemon was in.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "it keeps a few kinds of events; what a new kind means to people is the view's matter"
)]

use std::collections::{BTreeMap, BTreeSet};

use taskd_model::{
    Digest, EffectId, Event, Failure, LoopId, Oid, Outcome, Owner, PlanId, QueueEnd, QueueOp,
    Record, Seq, Time, Verdict, View, Work,
};

use super::follow::Turns;

/// The whole log, understood.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// The view after the last event.
    pub(super) view: View,
    pub(super) tales: BTreeMap<LoopId, Tale>,
    /// Work that came to main, in its order.
    pub(super) landings: Vec<Landing>,
    /// Model calls that were sent.
    pub(super) calls: u32,
    /// Effects that ended twice, replies that were asked for twice, work that landed twice.
    pub(super) repeated: u32,
    turns: Turns,
    open: BTreeMap<EffectId, (Owner, Work)>,
    ended: BTreeSet<EffectId>,
    replied: BTreeSet<Digest>,
    /// Tests of each gate, by the event that reports it.
    gates: BTreeMap<Seq, Option<u32>>,
    /// A daemon has opened this log before.
    lived: bool,
}

/// One loop's work on main.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Landing {
    pub(super) id: LoopId,
    pub(super) commit: Oid,
    /// Tests its gate has run, all of them green.
    pub(super) tests: Option<u32>,
}

/// What is worth telling of one loop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tale {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) waits: Vec<Wait>,
    pub(super) clashes: Vec<Clash>,
    /// Places in `landings` of what it was put upon.
    pub(super) moved: BTreeSet<usize>,
    pub(super) cuts: Vec<Cut>,
}

/// A provider refused, and the loop waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    /// What the provider said.
    pub(super) why: String,
    /// When.
    since: Time,
    /// Until it was asked again, in milliseconds.
    pub(super) ms: Option<u64>,
    /// Iteration before.
    iteration: u32,
    /// It went on in the same iteration.
    pub(super) same_iteration: bool,
}

/// Its work did not merge with what had landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clash {
    /// Places in `landings` of what had landed since its base.
    pub(super) with: BTreeSet<usize>,
    /// The iteration that ended green on it.
    pub(super) solved_by: Option<u32>,
}

/// The daemon died while something of it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) iteration: u32,
    pub(super) turn: u32,
    pub(super) what: CutOff,
    /// The turn of the first call afterwards, if it is of the same iteration.
    pub(super) went_on: Option<u32>,
    /// An agent was run again.
    pub(super) again: bool,
}

/// What ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutOff {
    Call,
    Command,
    Agent,
}

impl Story {
    pub(super) fn of(log: &[Record]) -> Self {
        let mut story = Self::default();
        for record in log {
            story.take(record);
        }
        story
    }

    /// The landed commit of a loop.
    pub(super) fn landing(&self, id: LoopId) -> Option<&Landing> {
        self.landings.iter().find(|it| it.id == id)
    }

    /// The plan file's own id of a loop's spec.
    pub(super) fn spec(&self, id: LoopId) -> &str {
        self.view.loops.get(&id).map_or("?", |it| it.spec.as_str())
    }

    /// From submission to the end, in milliseconds.
    pub(super) fn took_ms(&self, plan: PlanId) -> u64 {
        let Some(plan) = self.view.plans.get(&plan) else { return 0 };
        plan.ended_at.unwrap_or(self.view.at).ms_since(plan.submitted_at)
    }

    fn take(&mut self, record: &Record) {
        self.turns.apply(record);
        match &record.event {
            Event::DaemonStarted { .. } if !self.lived => self.lived = true,
            Event::DaemonStarted { .. } => self.cut_off(),
            Event::EffectStarted { owner, work } => self.started(record, *owner, work),
            Event::EffectEnded { effect, outcome } => self.ended(record, *effect, outcome),
            Event::IterationEnded { n, verdict, .. } => {
                if let Some(id) = record.loop_id {
                    self.iteration_ended(id, *n, *verdict);
                }
            }
            Event::QueueLeft { op, end, .. } => self.left_queue(*op, end),
            _ => {}
        }
        self.view.apply(record);
    }

    fn tale(&mut self, id: LoopId) -> &mut Tale {
        self.tales.entry(id).or_default()
    }

    fn started(&mut self, record: &Record, owner: Owner, work: &Work) {
        self.open.insert(EffectId(record.seq), (owner, work.clone()));
        let Owner::Loop(id) = owner else { return };
        let at = self.turns.of(id);
        match work {
            Work::Call { .. } => {
                self.calls += 1;
                let tale = self.tale(id);
                for wait in tale.waits.iter_mut().filter(|it| it.ms.is_none()) {
                    wait.ms = Some(record.at.ms_since(wait.since));
                    wait.same_iteration = wait.iteration == at.iteration;
                }
                for cut in tale.cuts.iter_mut().filter(|it| it.went_on.is_none()) {
                    cut.went_on = (cut.iteration == at.iteration).then_some(at.turn);
                }
            }
            Work::Agent { .. } => {
                self.tale(id).cuts.iter_mut().for_each(|it| it.again = true);
            }
            _ => {}
        }
    }

    fn ended(&mut self, record: &Record, effect: EffectId, outcome: &Outcome) {
        self.repeated += u32::from(!self.ended.insert(effect));
        if let Outcome::Gated { report: Some(report), .. } | Outcome::CandidateGated(report) =
            outcome
        {
            self.gates.insert(record.seq, report.tests);
        }
        let Some((owner, work)) = self.open.remove(&effect) else { return };
        if let (Work::Call { request, .. }, Outcome::Replied { .. }) = (&work, outcome) {
            self.repeated += u32::from(!self.replied.insert(*request));
        }
        let Owner::Loop(id) = owner else { return };
        match (&work, outcome) {
            (
                Work::Call { .. },
                Outcome::Failed { failure: Failure::NotBefore(_), message, .. },
            ) => {
                let iteration = self.turns.of(id).iteration;
                let (why, since) = (message.clone(), record.at);
                let wait = Wait { why, since, ms: None, iteration, same_iteration: false };
                self.tale(id).waits.push(wait);
            }
            (Work::Rebase { onto }, Outcome::Rebased { conflicts, .. }) => {
                let since = self.landed_since_base(id, *onto);
                if *conflicts == 0 {
                    self.tale(id).moved.extend(since);
                } else {
                    self.clash(id, since);
                }
            }
            _ => {}
        }
    }

    /// Places in `landings` of what lies between a loop's base and `tip`.
    fn landed_since_base(&self, id: LoopId, tip: Oid) -> BTreeSet<usize> {
        let place = |commit: Oid| self.landings.iter().position(|it| it.commit == commit);
        let base = self.view.loops.get(&id).map(|it| it.base.commit);
        let from = base.and_then(place).map_or(0, |it| it + 1);
        let to = place(tip).map_or(0, |it| it + 1);
        (from..to).collect()
    }

    /// One clash, however often it is met before it is solved.
    fn clash(&mut self, id: LoopId, with: BTreeSet<usize>) {
        let clashes = &mut self.tale(id).clashes;
        match clashes.last_mut().filter(|it| it.solved_by.is_none()) {
            Some(clash) => clash.with.extend(with),
            None => clashes.push(Clash { with, solved_by: None }),
        }
    }

    fn iteration_ended(&mut self, id: LoopId, n: u32, verdict: Verdict) {
        let tale = self.tale(id);
        tale.verdicts.push(verdict);
        if verdict == Verdict::Green {
            let open = tale.clashes.iter_mut().filter(|it| it.solved_by.is_none());
            open.for_each(|it| it.solved_by = Some(n));
        }
    }

    fn left_queue(&mut self, op: QueueOp, end: &QueueEnd) {
        let QueueOp::Land(id) = op else { return };
        match end {
            QueueEnd::Done { commit, onto, evidence, .. } => {
                // Work that was made on an older tip was put upon what landed since.
                let since = self.landed_since_base(id, *onto);
                self.tale(id).moved.extend(since);
                self.repeated += u32::from(self.landing(id).is_some());
                let tests = self.gates.get(&evidence.seq).copied().flatten();
                self.landings.push(Landing { id, commit: *commit, tests });
            }
            QueueEnd::Conflict { .. } => {
                let Some(tip) = self.landings.last().map(|it| it.commit) else { return };
                let since = self.landed_since_base(id, tip);
                self.clash(id, since);
            }
            _ => {}
        }
    }

    /// A new daemon: what ran in the old one is gone.
    fn cut_off(&mut self) {
        for (owner, work) in std::mem::take(&mut self.open).into_values() {
            let Owner::Loop(id) = owner else { continue };
            let what = match work {
                Work::Call { .. } => CutOff::Call,
                Work::Tool { name, .. } if name == "run" => CutOff::Command,
                Work::Agent { .. } => CutOff::Agent,
                _ => continue,
            };
            let at = self.turns.of(id);
            let (iteration, turn) = (at.iteration, at.turn);
            let cut = Cut { iteration, turn, what, went_on: None, again: false };
            self.tale(id).cuts.push(cut);
        }
    }
}
