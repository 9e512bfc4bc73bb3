//! The saved states of one loop's work, folded from its events.
//!
//! Several events may name one commit, as a gate does that saves what a tool left: that is one state,
//! saved after all of them.

use std::collections::BTreeMap;

use taskd_model::{
    EffectId, Event, Observation, Oid, Outcome, Owner, PrepareMode, Record, Seq, Time, Work,
};

/// The tool that runs a command; what it does elsewhere nobody knows.
const RUN: &str = "run";
/// How tools of other servers are called.
const MCP: &str = "mcp__";

/// One saved state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// From 1; 0 for the base.
    pub(super) n: u32,
    pub(super) commit: Oid,
    /// What it stood on.
    pub(super) base: Oid,
    /// 0 before the first.
    pub(super) iteration: u32,
    pub(super) at: Time,
    /// The last event that names it.
    pub(super) seq: Seq,
    /// After what it was saved.
    pub(super) after: String,
}

impl State {
    /// The base itself, without any work.
    pub(super) fn base(base: Oid) -> Self {
        let after = "base".to_owned();
        Self { n: 0, commit: base, base, iteration: 0, at: Time(0), seq: Seq(0), after }
    }

    /// For a sentence.
    pub(super) fn words(&self) -> String {
        match self.n {
            0 => "its base, without any work".to_owned(),
            n => format!("checkpoint {n}, of iteration {} after {}", self.iteration, self.after),
        }
    }
}

/// The fold.
#[derive(Debug, Default)]
pub(super) struct States {
    /// Oldest first.
    pub(super) all: Vec<State>,
    iteration: u32,
    base: Option<Oid>,
    open: BTreeMap<EffectId, Work>,
    /// After what is being saved now, or soon.
    unsaved: Option<String>,
    /// What may have had effects outside the worktree, and when it ended.
    acts: Vec<(Seq, String)>,
}

impl States {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most events save nothing")]
    pub(super) fn take(&mut self, record: &Record) {
        match &record.event {
            Event::IterationStarted { n } => self.iteration = *n,
            Event::EffectStarted { owner: Owner::Loop(_), work } => {
                self.open.insert(EffectId(record.seq), work.clone());
            }
            Event::EffectObserved { effect, fact: Observation::Checkpoint(commit), .. } => {
                let after = match self.open.get(effect) {
                    Some(Work::Rebase { .. }) => "before a rebase",
                    _ => "agent, at work",
                };
                self.save(record, *commit, after.to_owned());
            }
            Event::EffectEnded { effect, outcome } => {
                if let Some(work) = self.open.remove(effect) {
                    self.ended(record, &work, outcome);
                }
            }
            _ => {}
        }
    }

    fn ended(&mut self, record: &Record, work: &Work, outcome: &Outcome) {
        self.acted(record.seq, work, outcome);
        match (work, outcome) {
            (Work::Prepare { base, mode }, Outcome::Prepared { .. }) => {
                self.base = Some(*base);
                if let PrepareMode::Rewind(to) = mode {
                    self.save(record, *to, "rewind".to_owned());
                }
            }
            (Work::Rebase { onto }, Outcome::Rebased { checkpoint, conflicts, .. }) => {
                self.base = Some(*onto);
                let after = match conflicts {
                    0 => "rebase".to_owned(),
                    n => format!("rebase, {n} conflicts"),
                };
                self.save(record, *checkpoint, after);
            }
            (
                Work::Tool { name, .. },
                Outcome::ToolDone { checkpoint: Some(commit), error, .. },
            ) => {
                let how = if *error { ", with an error" } else { "" };
                self.save(record, *commit, format!("{name}{how}"));
            }
            (Work::Tool { name, .. }, Outcome::ToolDone { unsaved: Some(_), error, .. }) => {
                let how = if *error { ", with an error" } else { "" };
                self.unsaved = Some(format!("{name}{how}"));
            }
            (Work::Save { .. }, Outcome::Saved { checkpoint }) => {
                let after = self.unsaved.take();
                self.save(record, *checkpoint, after.unwrap_or_else(|| "files".to_owned()));
            }
            (Work::Tool { name, .. }, Outcome::Cancelled { checkpoint: Some(commit), .. }) => {
                self.save(record, *commit, format!("{name}, ended early"));
            }
            (Work::Agent { .. }, Outcome::AgentDone { checkpoint, exit, .. }) => {
                let after = match exit {
                    0 => "agent".to_owned(),
                    exit => format!("agent, ended with {exit}"),
                };
                self.save(record, *checkpoint, after);
            }
            (Work::Agent { .. }, Outcome::Cancelled { checkpoint: Some(commit), .. }) => {
                self.save(record, *commit, "agent, ended early".to_owned());
            }
            (Work::Gate, Outcome::Gated { checkpoint, report, .. }) => {
                let said = match report {
                    Some(report) if report.green => "gate green",
                    Some(_) => "gate red",
                    None => "gate, nothing changed",
                };
                self.save(record, *checkpoint, said.to_owned());
            }
            _ => {}
        }
    }

    /// What may have done something outside of the worktree, as far as the log knows.
    fn acted(&mut self, seq: Seq, work: &Work, outcome: &Outcome) {
        let what = match work {
            Work::Tool { name, .. } if name == RUN => "a command (run)".to_owned(),
            Work::Tool { name, .. } if name.starts_with(MCP) => format!("a call of {name}"),
            Work::Agent { .. } => {
                if let Outcome::AgentDone { run, .. } = outcome {
                    let told = run.remarks.iter().map(|it| (seq, it.text.clone()));
                    self.acts.extend(told);
                }
                "a run of its agent".to_owned()
            }
            Work::CheckBase { .. }
            | Work::Prepare { .. }
            | Work::AcceptBefore
            | Work::Decompose { .. }
            | Work::Compose
            | Work::Call { .. }
            | Work::Tool { .. }
            | Work::Save { .. }
            | Work::Relay(_)
            | Work::Answer(_)
            | Work::Gate
            | Work::Rebase { .. }
            | Work::BuildCandidate { .. }
            | Work::GateCandidate { .. }
            | Work::Publish { .. } => return,
        };
        self.acts.push((seq, what));
    }

    fn save(&mut self, record: &Record, commit: Oid, after: String) {
        let (base, iteration) = (self.base.unwrap_or(commit), self.iteration);
        if let Some(last) = self.all.last_mut()
            && (last.commit, last.base, last.iteration) == (commit, base, iteration)
        {
            if !last.after.split("; ").any(|it| it == after) {
                last.after = format!("{}; {after}", last.after);
            }
            last.seq = record.seq;
            return;
        }
        let n = u32::try_from(self.all.len() + 1).unwrap_or(u32::MAX);
        self.all.push(State { n, commit, base, iteration, at: record.at, seq: record.seq, after });
    }

    /// A number, `i2` for the last state of iteration 2, or the beginning of a commit.
    pub(super) fn named(&self, text: &str) -> Option<&State> {
        if let Some(n) = text.strip_prefix('i').and_then(|it| it.parse::<u32>().ok()) {
            // An iteration that saved nothing ended as the one before it.
            let begun = 0 < n && n <= self.iteration;
            return self.all.iter().rfind(|it| it.iteration <= n).filter(|_| begun);
        }
        let by_number = text.parse::<u32>().ok().filter(|_| text.len() < 7);
        if let Some(n) = by_number {
            return self.all.iter().find(|it| it.n == n);
        }
        let fits = |it: &&State| 7 <= text.len() && it.commit.to_string().starts_with(text);
        let mut found = self.all.iter().rev().filter(fits);
        let first = found.next()?;
        found.all(|it| it.commit == first.commit).then_some(first)
    }

    /// What happened after an event and is not taken back with the files: each thing once, and how
    /// often.
    pub(super) fn stays_after(&self, seq: Seq) -> Vec<String> {
        let mut counted: Vec<(&str, u32)> = Vec::new();
        for (_, what) in self.acts.iter().filter(|(at, _)| seq < *at) {
            match counted.iter_mut().find(|(it, _)| it == what) {
                Some((_, n)) => *n += 1,
                None => counted.push((what, 1)),
            }
        }
        let line = |(what, n): (&str, u32)| match n {
            1 => what.to_owned(),
            n => format!("{what}, {n} times"),
        };
        counted.into_iter().map(line).collect()
    }
}
