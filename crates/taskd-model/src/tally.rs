//! What happened how often and how long it took, since the log began: the fold behind metrics.
//!
//! It goes through the log beside the view and looks things up in it. Like the view it is total and
//! decides nothing; what it counts is in events, so a restart changes no figure.

mod spread;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    EffectId, EffectKind, Event, GateReport, LoopId, Observation, Outcome, Owner, QueueEnd,
    QueueOp, Record, Seq, Status, Time, Usage, Verdict, View, Work,
};

pub use spread::{BOUNDS_MS, Spread};

/// How often, by a word.
pub type Counts = BTreeMap<String, u64>;

/// Everything that is counted. It grows with types, models and words, not with events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Daemons that opened the log.
    pub starts: u64,
    /// Plans that were submitted.
    pub plans: u64,
    /// Times a target branch was seen elsewhere.
    pub target_moves: u64,
    /// By loop type.
    pub types: BTreeMap<String, TypeTally>,
    /// Gates, by what was gated: `base`, `loop` or `landing`.
    pub gates: BTreeMap<String, GateTally>,
    /// What left a landing queue, by what was wanted: `integrate`, `land`, `refresh` or `undo`.
    pub landings: BTreeMap<String, LandingTally>,
    /// How long model calls took, by bucket.
    pub calls: BTreeMap<String, Spread>,
    /// Effects that failed, by code.
    pub failures: Counts,
    /// Calls under way: their bucket, and since when.
    open: BTreeMap<EffectId, (String, Time)>,
}

/// What loops of one type did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeTally {
    /// Loops that were added.
    pub added: u64,
    /// Times one was over, by status.
    pub ends: BTreeMap<Status, u64>,
    /// Iterations that ended, by verdict.
    pub iterations: Counts,
    /// Tools that ran, by outcome: `ok` or `error`.
    pub tools: Counts,
    /// Runs of agents, by outcome: `ok` or `failed`.
    pub agent_runs: Counts,
    /// Rebases, by outcome: `clean`, `conflicts` or `failed`.
    pub rebases: Counts,
    /// What they used.
    pub used: Usage,
}

/// Gates of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateTally {
    /// Those that were green.
    pub green: u64,
    /// Those that were red.
    pub red: u64,
    /// How long they took.
    pub took: Spread,
}

/// Entries of landing queues of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LandingTally {
    /// How they ended.
    pub ends: Counts,
    /// From entering the queue to leaving it.
    pub took: Spread,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "named is what is counted")]
impl Tally {
    /// Takes in one event. `before` is the view without it: events that it has are not new.
    pub fn apply(&mut self, before: &View, record: &Record) {
        if record.seq <= before.seq {
            return;
        }
        match &record.event {
            Event::DaemonStarted { .. } => {
                self.starts += 1;
                self.open.clear();
            }
            Event::PlanSubmitted { .. } => self.plans += 1,
            Event::MainMoved { .. } => self.target_moves += 1,
            Event::SpecAdded { head, .. } => self.of(&head.type_name).added += 1,
            Event::EffectStarted { work, .. } => self.started(work, record),
            Event::EffectObserved { effect, fact: Observation::UsageSoFar(used), .. } => {
                self.used(before, *effect, used);
            }
            Event::EffectEnded { effect, outcome } => self.ended(before, *effect, outcome, record),
            Event::QueueLeft { entry, op, end } => self.left(before, (*entry, *op), end, record),
            Event::StatusChanged { to, .. } if to.is_over() => {
                if let Some(it) = self.of_loop(before, record.loop_id) {
                    *it.ends.entry(*to).or_default() += 1;
                }
            }
            Event::IterationEnded { verdict, .. } => {
                if let Some(it) = self.of_loop(before, record.loop_id) {
                    count(&mut it.iterations, verdict_word(*verdict));
                }
            }
            _ => {}
        }
    }

    fn of(&mut self, type_name: &str) -> &mut TypeTally {
        if !self.types.contains_key(type_name) {
            self.types.insert(type_name.to_owned(), TypeTally::default());
        }
        self.types.get_mut(type_name).expect("just made sure")
    }

    fn of_loop(&mut self, view: &View, id: Option<LoopId>) -> Option<&mut TypeTally> {
        let name = &view.loops.get(&id?)?.type_name;
        Some(self.of(name))
    }

    fn started(&mut self, work: &Work, record: &Record) {
        let bucket = match work {
            Work::Call { bucket, .. } => bucket,
            Work::Relay(it) => &it.bucket,
            Work::Answer(it) => &it.call.bucket,
            _ => return,
        };
        self.open.insert(EffectId(record.seq), (bucket.clone(), record.at));
    }

    /// Whoever owns an effect has used so much with it in all.
    fn used(&mut self, before: &View, effect: EffectId, used: &Usage) {
        let Some(open) = before.effects.get(&effect) else { return };
        let Owner::Loop(id) = open.owner else { return };
        let more = used.beyond(&open.used);
        if let Some(it) = self.of_loop(before, Some(id)) {
            it.used.add(&more);
        }
    }

    fn ended(&mut self, before: &View, effect: EffectId, outcome: &Outcome, record: &Record) {
        self.used(before, effect, &outcome.usage());
        if let Some((bucket, since)) = self.open.remove(&effect) {
            self.calls.entry(bucket).or_default().note(record.at.ms_since(since));
        }
        let Some(open) = before.effects.get(&effect) else { return };
        let id = if let Owner::Loop(id) = open.owner { Some(id) } else { None };
        match outcome {
            Outcome::BaseChecked(it) => self.gated("base", it),
            Outcome::CandidateGated(it) => self.gated("landing", it),
            Outcome::Gated { report: Some(it), .. } => self.gated("loop", it),
            Outcome::ToolDone { error, .. } => {
                let word = if *error { "error" } else { "ok" };
                self.by_type(before, id, |it| count(&mut it.tools, word));
            }
            Outcome::AgentDone { exit, .. } => {
                let word = if *exit == 0 { "ok" } else { "failed" };
                self.by_type(before, id, |it| count(&mut it.agent_runs, word));
            }
            Outcome::Rebased { conflicts, .. } => {
                let word = if *conflicts == 0 { "clean" } else { "conflicts" };
                self.by_type(before, id, |it| count(&mut it.rebases, word));
            }
            Outcome::Failed { fault, .. } => {
                let code = fault.as_ref().map_or("unknown", |it| it.code.as_str());
                count(&mut self.failures, code);
                match open.kind {
                    EffectKind::Agent => {
                        self.by_type(before, id, |it| count(&mut it.agent_runs, "failed"));
                    }
                    EffectKind::Rebase(_) => {
                        self.by_type(before, id, |it| count(&mut it.rebases, "failed"));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn by_type(&mut self, before: &View, id: Option<LoopId>, note: impl FnOnce(&mut TypeTally)) {
        if let Some(it) = self.of_loop(before, id) {
            note(it);
        }
    }

    fn gated(&mut self, of: &str, report: &GateReport) {
        let it = self.gates.entry(of.to_owned()).or_default();
        if report.green {
            it.green += 1;
        } else {
            it.red += 1;
        }
        it.took.note(report.ms);
    }

    fn left(
        &mut self,
        before: &View,
        (entry, op): (Seq, QueueOp),
        end: &QueueEnd,
        record: &Record,
    ) {
        let mut queues = before.queue.values();
        let Some(since) = queues.find_map(|it| it.get(&entry)).map(|it| it.entered_at) else {
            return;
        };
        let it = self.landings.entry(op_word(op).to_owned()).or_default();
        count(&mut it.ends, end_word(end));
        it.took.note(record.at.ms_since(since));
    }
}

fn count(counts: &mut Counts, word: &str) {
    match counts.get_mut(word) {
        Some(n) => *n += 1,
        None => _ = counts.insert(word.to_owned(), 1),
    }
}

fn verdict_word(it: Verdict) -> &'static str {
    match it {
        Verdict::Green => "green",
        Verdict::Red => "red",
        Verdict::Unchanged => "unchanged",
        Verdict::AgentFailed => "agent_failed",
        Verdict::Conflict => "conflict",
        Verdict::Objected => "objected",
    }
}

fn op_word(it: QueueOp) -> &'static str {
    match it {
        QueueOp::Integrate(_) => "integrate",
        QueueOp::Land(_) => "land",
        QueueOp::Refresh(_) => "refresh",
        QueueOp::Undo(_) => "undo",
    }
}

fn end_word(it: &QueueEnd) -> &'static str {
    match it {
        QueueEnd::Done { .. } => "done",
        QueueEnd::Empty => "empty",
        QueueEnd::Red { .. } => "red",
        QueueEnd::Conflict { .. } => "conflict",
        QueueEnd::Proposed { .. } => "proposed",
        QueueEnd::Held { .. } => "held",
        QueueEnd::Failed { .. } => "failed",
        QueueEnd::Withdrawn => "withdrawn",
    }
}
