//! One loop: what it has, what it wants next, and which step follows by itself.
//!
//! Plain data. The engine knows nothing of other loops, of buckets or of time passing; it is told.
//! A *safe point* is a moment with no effect of this loop open: there the ground may move, people
//! may pause, and the process may die without anything being repeated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    asked::Pending, document::Document, messages::Talk, money::Told, queries::Asking,
    queue::OnHold, relay::WantedRelay, review::Reader, unsaved::UnsavedFiles,
};
use serde::{Deserialize, Serialize};
use taskd_model::{
    Amount, Digest, EffectId, Evidence, IterationNote, Limit, LoopId, LoopLimits, Oid, OnConflict,
    PrepareMode, Reason, Seq, SpecHead, Status, Streak, Suspicion, Time, ToolCall, TurnRef, Usage,
    Worker,
};

/// How many earlier iterations the next one is told about.
pub(crate) const MAX_HISTORY: usize = 5;

/// One loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoopEngine {
    pub(crate) id: LoopId,
    /// What works now: an agent, or one model of `models`.
    pub(crate) worker: Worker,
    /// The models that may work, the best first; one, unless it has a fallback.
    pub(crate) models: Vec<String>,
    /// Those of them that refuse its calls, until a person resumes it.
    pub(crate) unfit: BTreeSet<String>,
    pub(crate) limits: LoopLimits,
    pub(crate) status: Status,
    /// What it does at the next safe point.
    pub(crate) next: Next,
    /// When `next` was set: the place in whatever queue it waits in.
    pub(crate) since: (Time, Seq),
    /// Its last event.
    #[serde(default)]
    pub(crate) last: Seq,
    /// The worktree must be made so first.
    pub(crate) prepare: Option<PrepareMode>,
    /// A person sent it back to this state of its work; its files become that first.
    pub(crate) rewind: Option<Rewind>,
    /// Its next iteration begins with the gate.
    pub(crate) gate_first: bool,
    /// Its open effects, also those that are ending.
    pub(crate) open: BTreeSet<EffectId>,
    pub(crate) turn: Turn,
    /// Finished turns of this iteration.
    pub(crate) turns: Vec<TurnRef>,
    pub(crate) iteration: u32,
    /// The commit its work stands on.
    pub(crate) base: Oid,
    /// Its work as last saved.
    pub(crate) checkpoint: Option<Oid>,
    /// What it has changed since.
    #[serde(default)]
    pub(crate) unsaved: Option<UnsavedFiles>,
    /// A rebase has begun from this checkpoint.
    pub(crate) rebase_from: Option<Oid>,
    pub(crate) conflicts: u32,
    pub(crate) conflict_files: Option<Digest>,
    /// Rebases with conflicts so far.
    pub(crate) conflicted: u32,
    pub(crate) history: Vec<IterationNote>,
    /// How often in a row its iterations ended the same way.
    pub(crate) streak: Option<Streak>,
    pub(crate) notes: Vec<Digest>,
    /// What it and other loops say to one another.
    pub(crate) talk: Talk,
    /// Questions it has asked people.
    pub(crate) questions: u32,
    pub(crate) session: Option<String>,
    pub(crate) spent: Usage,
    /// In which units it was said that its budget comes to its end.
    pub(crate) told: Told,
    /// Since when it is blocked for want of money.
    pub(crate) penniless_at: Option<Time>,
    pub(crate) started_at: Option<Time>,
    /// Since when it wants to call a model and nothing of it runs.
    pub(crate) call_wanted_at: Option<Time>,
    /// How long it was parked until a provider would take a call, or there was money again, in
    /// milliseconds: not its time.
    pub(crate) parked_ms: u64,
    pub(crate) retry_at: Option<Time>,
    /// Why it last waited before it tried again, and the event that says so.
    pub(crate) deferral: Option<(Seq, String)>,
    /// Failures in a row of what it does now.
    pub(crate) attempts: u32,
    /// When the first of them was.
    pub(crate) failing_since: Option<Time>,
    /// Times this turn's request was sent, this time counted.
    pub(crate) sends: u32,
    /// Most tokens a request to this model may have, since it refused a larger one.
    pub(crate) most_tokens: Option<u64>,
    /// The last request was refused as too large, and nothing was answered since.
    pub(crate) refused_as_too_large: bool,
    /// Runs of the agent begun again after a crash.
    pub(crate) restarts: u32,
    pub(crate) pause: bool,
    /// It ends so as soon as nothing of it runs.
    pub(crate) ending: Option<(Status, Reason)>,
    /// It writes this instead of work that lands.
    pub(crate) document: Option<Document>,
    /// Who reads its work once its gate is green.
    #[serde(default)]
    pub(crate) reader: Option<Reader>,
    /// What the gate said yes to.
    pub(crate) passed: Option<PassedWork>,
    /// The event that asks for a person's word.
    pub(crate) asked: Option<Seq>,
    pub(crate) approved: bool,
    /// Its agent ended with an error and its gate was asked all the same: a person says whether
    /// it lands.
    pub(crate) doubted: bool,
    /// What the last gate found against its tree: it goes nowhere until that is approved.
    pub(crate) suspicion: Option<Suspicion>,
    /// Landing was refused by the person's checkout.
    pub(crate) held: bool,
    /// A person holds it in the landing queue.
    pub(crate) on_hold: Option<OnHold>,
    /// A person wants it to land beside the changes of that checkout.
    pub(crate) beside: bool,
    /// A pull request asks for this commit.
    pub(crate) proposed: Option<Oid>,
    /// It does not go onto this tip of the target alone: it waits for what was integrated before.
    pub(crate) refused_on: Option<Oid>,
    /// Its work is on the integration ref as this commit.
    pub(crate) integrated: Option<Placed>,
    pub(crate) landed: Option<Oid>,
    /// It was taken off the target again by this commit.
    pub(crate) undone: Option<Oid>,
    /// The target had its work already.
    pub(crate) already_there: bool,
    /// Why its status last changed.
    pub(crate) reason: Option<Reason>,
    /// Its entry in the landing queue.
    pub(crate) queued: Option<Seq>,
    /// What it will be blocked for at the next safe point.
    pub(crate) stuck: Option<Reason>,
    /// Calls its agent waits to make, the oldest first: the first of them waits in its bucket.
    pub(crate) relays: VecDeque<WantedRelay>,
    /// What calls of it in flight may use.
    pub(crate) reserved: Amount,
}

/// What a loop does next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Next {
    /// Run the `accept` commands, which should be red.
    Accept,
    /// Begin an iteration, if one is left.
    Iterate,
    /// Render the next request or prompt.
    Compose,
    /// Send this request, when admitted.
    Call {
        request: Digest,
        /// Tokens it has, about.
        tokens: u64,
        /// What it uses at most; no money where no price is known.
        worst: Amount,
    },
    /// Run the tools of a reply that is in the log.
    Tools,
    /// Run the agent with this prompt, when admitted.
    Agent { prompt: Digest },
    /// Run the gate, when admitted.
    Gate,
    /// Passed: the landing queue and perhaps a person come next.
    Land,
}

/// The turn in progress: at most one reply, and the tools it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) call: Option<EffectId>,
    pub(crate) reply: Option<Digest>,
    pub(crate) tools: Vec<ToolSlot>,
    /// Those of them that told other loops something: it is not told twice.
    pub(crate) sent: BTreeSet<u16>,
    /// Those of them that asked another loop something.
    #[serde(default)]
    pub(crate) queried: BTreeMap<u16, Asking>,
}

/// One tool call of the turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToolSlot {
    pub(crate) call: ToolCall,
    pub(crate) state: ToolState,
}

/// How far a tool call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToolState {
    /// Asked for.
    Seen,
    /// Its effect is open.
    Running(EffectId),
    /// It asked a person, and waits.
    Asked(Pending),
    /// It ended with this result; `None` when it was interrupted.
    Done(Option<Digest>),
}

/// Work that passed its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassedWork {
    pub(crate) checkpoint: Oid,
    pub(crate) evidence: Evidence,
}

/// Work as one commit on a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) commit: Oid,
    pub(crate) onto: Oid,
    pub(crate) evidence: Evidence,
}

/// An earlier state of a loop's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rewind {
    /// The commit with the files.
    pub(crate) to: Oid,
    /// The commit that work stood on then.
    pub(crate) base: Oid,
}

/// Waits for a provider from which on a loop counts as parked, in milliseconds.
const PARKED_MS: u64 = 10 * 60 * 1000;

/// The tool that ends an iteration's turns; it is no effect.
pub(crate) const FINISH: &str = "finish";

impl LoopEngine {
    pub(crate) fn new(id: LoopId, head: &SpecHead, base: Oid, since: (Time, Seq)) -> Self {
        let SpecHead { worker, fallback, limits, accept, writes, .. } = head.clone();
        Self {
            id,
            reader: Reader::of(head),
            models: models_of(&worker, fallback),
            unfit: BTreeSet::new(),
            worker,
            limits,
            status: Status::Draft,
            next: if accept { Next::Accept } else { Next::Iterate },
            since,
            last: since.1,
            prepare: Some(PrepareMode::Fresh),
            rewind: None,
            gate_first: false,
            open: BTreeSet::new(),
            turn: Turn::default(),
            turns: Vec::new(),
            iteration: 0,
            base,
            checkpoint: None,
            unsaved: None,
            rebase_from: None,
            conflicts: 0,
            conflict_files: None,
            conflicted: 0,
            history: Vec::new(),
            streak: None,
            notes: Vec::new(),
            talk: Talk::default(),
            questions: 0,
            session: None,
            spent: Usage::default(),
            told: Told::default(),
            penniless_at: None,
            started_at: None,
            call_wanted_at: None,
            parked_ms: 0,
            retry_at: None,
            deferral: None,
            attempts: 0,
            failing_since: None,
            sends: 0,
            most_tokens: None,
            refused_as_too_large: false,
            restarts: 0,
            pause: false,
            ending: None,
            document: writes.map(Document::new),
            passed: None,
            asked: None,
            approved: false,
            doubted: false,
            suspicion: None,
            held: false,
            on_hold: None,
            beside: false,
            proposed: None,
            refused_on: None,
            integrated: None,
            landed: None,
            undone: None,
            already_there: false,
            reason: None,
            queued: None,
            stuck: None,
            relays: VecDeque::new(),
            reserved: Amount::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.status.is_over()
    }

    /// Nothing of it runs.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// Nothing of it runs that the next call would wait for, nothing rests or ends, and its files are
    /// there: it can do what comes next.
    pub(crate) fn is_idle(&self) -> bool {
        self.status == Status::Running
            && (self.is_quiet() || self.goes_on_unsaved())
            && self.retry_at.is_none()
            && self.preparation().is_none()
            && self.ending.is_none()
    }

    /// How its worktree must be made before anything else is done in it, if it must.
    pub(crate) fn preparation(&self) -> Option<PrepareMode> {
        self.rewind.map(|it| PrepareMode::Rewind(it.to)).or(self.prepare)
    }

    /// It has a loop slot: it works, or waits for something that will come by itself.
    pub(crate) fn holds_slot(&self) -> bool {
        let waits_for_person = self.next == Next::Land && self.queued.is_none();
        let waits_for_person = waits_for_person || self.asking().is_some();
        matches!(self.status, Status::Running | Status::Rebasing) && !waits_for_person
    }

    /// It changes what decides about it, or has fewer tests, and no person has said yes to that.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspicion.is_some() && !self.approved
    }

    /// The model that works now, if one does.
    pub(crate) fn model(&self) -> Option<&String> {
        match &self.worker {
            Worker::Model(name) => Some(name),
            Worker::Agent(_) => None,
        }
    }

    /// The agent that works, if one does.
    pub(crate) fn agent(&self) -> Option<&String> {
        match &self.worker {
            Worker::Agent(name) => Some(name),
            Worker::Model(_) => None,
        }
    }

    /// The models that do not refuse its calls, the best first.
    pub(crate) fn fit_models(&self) -> impl Iterator<Item = &String> {
        self.models.iter().filter(|it| !self.unfit.contains(*it))
    }

    /// The model that works now refuses its calls, and there is another.
    pub(crate) fn must_change_model(&self) -> bool {
        let unfit = self.model().is_some_and(|it| self.unfit.contains(it));
        unfit && !self.is_read() && self.fit_models().next().is_some()
    }

    /// Between turns for a model, between iterations for an agent (decision D12).
    pub(crate) fn ground_may_move(&self) -> bool {
        match (&self.worker, &self.next) {
            // What is read is what was gated.
            _ if self.is_read() => false,
            (_, Next::Iterate) => true,
            (Worker::Model(_), Next::Compose | Next::Call { .. }) => true,
            (Worker::Agent(_), Next::Compose) => true,
            (_, Next::Accept | Next::Tools | Next::Agent { .. } | Next::Gate | Next::Land) => false,
            (Worker::Agent(_), Next::Call { .. }) => false,
        }
    }

    /// The next tool that may start now, if any.
    ///
    /// A read may start as soon as its call is complete in the stream, beside other reads, but not
    /// before an earlier write of the same reply. A write waits for the whole reply and for every
    /// earlier tool, and runs alone.
    pub(crate) fn startable_tool(&self) -> Option<(u16, &ToolCall)> {
        for (n, slot) in (0u16..).zip(&self.turn.tools) {
            match slot.state {
                ToolState::Done(_) => {}
                ToolState::Running(_) if slot.call.reads => {}
                ToolState::Running(_) | ToolState::Asked(_) => return None,
                ToolState::Seen if slot.call.name == FINISH => {}
                ToolState::Seen if slot.call.reads => return Some((n, &slot.call)),
                ToolState::Seen => {
                    let earlier = &self.turn.tools[..usize::from(n)];
                    let all_done = earlier.iter().all(ToolSlot::is_done);
                    return (self.turn.reply.is_some() && all_done).then_some((n, &slot.call));
                }
            }
        }
        None
    }

    /// Results of this turn's tools so far, in the order they were asked for.
    pub(crate) fn turn_results(&self) -> Vec<Digest> {
        self.turn.tools.iter().filter_map(ToolSlot::result).collect()
    }

    /// The reply is in the log and so is every result.
    pub(crate) fn turn_is_complete(&self) -> bool {
        self.turn.reply.is_some() && self.turn.tools.iter().all(ToolSlot::is_done)
    }

    /// The limit, other than money, that ends the loop before more is spent, if one is reached.
    pub(crate) fn exhausted(&self) -> Option<Limit> {
        if self.limits.restarts < self.restarts {
            return Some(Limit::Restarts);
        }
        (self.next == Next::Iterate && self.limits.iterations <= self.iteration)
            .then_some(Limit::Iterations)
    }

    /// One more conflict would be one too many.
    pub(crate) fn gives_up_on_conflicts(&self) -> bool {
        match self.limits.conflict {
            OnConflict::Loop(max) => max < self.conflicted,
            OnConflict::Block => 0 < self.conflicted,
        }
    }

    /// When its own time is up; waiting for a person or a provider does not count.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let started = self.started_at.filter(|_| self.time_runs())?;
        Some(started.plus_ms(self.limits.time_ms.saturating_add(self.parked_ms)))
    }

    /// Its time passes: it does something, or waits for something of ours.
    pub(crate) fn time_runs(&self) -> bool {
        let active = matches!(self.status, Status::Running | Status::Rebasing);
        let waits = self.call_wanted_at.is_some() || self.asking().is_some();
        active && self.next != Next::Land && !waits
    }

    /// From now on it waits for a call, or no longer does. A wait of more than ten minutes was
    /// parked; a shorter one is part of its time. Says how long it was parked in all, if longer now.
    pub(crate) fn wants_call(&mut self, wants: bool, now: Time) -> Option<u64> {
        let since = std::mem::replace(&mut self.call_wanted_at, wants.then_some(now))?;
        let waited = now.ms_since(since);
        if waited < PARKED_MS {
            return None;
        }
        self.parked_ms = self.parked_ms.saturating_add(waited);
        Some(self.parked_ms)
    }

    pub(crate) fn note_iteration(&mut self, note: IterationNote) {
        if self.history.len() == MAX_HISTORY {
            self.history.remove(0);
        }
        self.history.push(note);
    }
}

/// The models that may work, the best first.
fn models_of(worker: &Worker, fallback: Vec<String>) -> Vec<String> {
    match worker {
        Worker::Model(name) => std::iter::once(name.clone()).chain(fallback).collect(),
        Worker::Agent(_) => Vec::new(),
    }
}

impl ToolSlot {
    pub(crate) fn new(call: ToolCall) -> Self {
        Self { call, state: ToolState::Seen }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, ToolState::Done(_)) || self.call.name == FINISH
    }

    /// Its result, if it has one.
    pub(crate) fn result(&self) -> Option<Digest> {
        match self.state {
            ToolState::Done(result) => result,
            ToolState::Seen | ToolState::Running(_) | ToolState::Asked(_) => None,
        }
    }
}
