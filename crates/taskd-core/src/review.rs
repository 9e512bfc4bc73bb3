//! A second reader: who looks at work whose gate is green, before that goes anywhere.
//!
//! It is a call of the loop's own, through a bucket of its own, or a run of an agent: composed, admitted
//! and paid for like any other, so nothing here waits, retries or counts money. What it finds belongs
//! to the tree it read: the same tree is not read twice, and the same findings on it three times are
//! no progress. An agent reads beside the work; should it have written there, the files go back.

use serde::{Deserialize, Serialize};
use taskd_model::{
    Actor, Change, Digest, Event, Evidence, Found, LoopId, Oid, Outcome, ReviewHead, Seq, SpecHead,
    Time, Verdict, Worker,
};

use crate::{
    Coordinator,
    engine::{LoopEngine, Next, Turn},
};

/// A loop's second reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reader {
    head: ReviewHead,
    /// The work it is asked about.
    now: Option<Green>,
    /// What it found last, and in which tree.
    last: Option<(Oid, Found)>,
}

/// Work whose gate was green, and what is said of it if nothing speaks against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Green {
    checkpoint: Oid,
    evidence: Evidence,
    tests: Option<u32>,
    change: Change,
    summary: String,
    log: Digest,
}

impl Reader {
    /// The second reader of a spec's work. A document is looked through by its own loop.
    pub(crate) fn of(head: &SpecHead) -> Option<Self> {
        let review = head.review.clone().filter(|_| head.writes.is_none())?;
        Some(Self { head: review, now: None, last: None })
    }
}

impl LoopEngine {
    /// Its gate was green, and its second reader has not said what it finds.
    pub(crate) fn is_read(&self) -> bool {
        self.reader.as_ref().is_some_and(|it| it.now.is_some())
    }

    /// Who works for it now: what works on its spec, or its second reader.
    pub(crate) fn at_work(&self) -> &Worker {
        match &self.reader {
            Some(Reader { head, now: Some(_), .. }) => &head.by,
            Some(Reader { now: None, .. }) | None => &self.worker,
        }
    }

    /// The model it calls now, if it calls one: its own, or its second reader's.
    pub(crate) fn called(&self) -> Option<&String> {
        match self.at_work() {
            Worker::Model(name) => Some(name),
            Worker::Agent(_) => None,
        }
    }

    /// The agent it runs now, if it runs one: its own, or its second reader's.
    pub(crate) fn run(&self) -> Option<&String> {
        match self.at_work() {
            Worker::Agent(name) => Some(name),
            Worker::Model(_) => None,
        }
    }

    /// The agent that reads its work now, if one does.
    pub(crate) fn agent_that_reads(&self) -> Option<String> {
        self.run().filter(|_| self.is_read()).cloned()
    }

    /// A gate of it ended: what is green is read next, unless that very tree was.
    pub(crate) fn green_to_read(&mut self, outcome: &Outcome, since: (Time, Seq)) {
        let Outcome::Gated { checkpoint, tree, change, markers: 0, report: Some(report) } = outcome
        else {
            return;
        };
        let Some(reader) = &mut self.reader else { return };
        if !report.green || change.files == 0 {
            return;
        }
        reader.now = Some(Green {
            checkpoint: *checkpoint,
            evidence: Evidence { seq: since.1, tree: *tree },
            tests: report.tests,
            change: *change,
            summary: report.summary.clone(),
            log: report.log,
        });
        if reader.last.as_ref().is_none_or(|it| it.0 != *tree) {
            self.sends = 0;
            self.set_next(Next::Compose, since);
        }
    }

    /// Its second reader replied. One that was not understood has found something: it did not say
    /// that there is nothing.
    pub(crate) fn was_read(&mut self, reply: Digest, found: Option<&Found>) {
        self.turn = Turn::default();
        self.sends = 0;
        self.refused_as_too_large = false;
        let Some(reader) = &mut self.reader else { return };
        let Some(green) = &reader.now else { return };
        let unclear =
            || Found { count: 1, summary: "its words were not understood".to_owned(), log: reply };
        reader.last = Some((green.evidence.tree, found.cloned().unwrap_or_else(unclear)));
    }

    /// Nobody wants to know any more.
    pub(crate) fn not_read(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.now = None;
        }
    }
}

impl Coordinator {
    /// What was read of a loop's work, if it is known, ends the iteration: it passes, or it goes on
    /// with what was found.
    pub(crate) fn read(&mut self, now: Time, id: LoopId) {
        let engine = &self.state().loops()[&id];
        let Some(Reader { head, now: Some(green), last: Some((tree, found)) }) =
            engine.reader.clone()
        else {
            return;
        };
        if tree != green.evidence.tree {
            return;
        }
        let objects = head.blocks && 0 < found.count;
        let (verdict, summary, log) = if objects {
            (Verdict::Objected, found.summary, found.log)
        } else {
            (Verdict::Green, green.summary, green.log)
        };
        let streak = self.streak(id, verdict, tree, found.log.as_bytes());
        let n = self.state().loops()[&id].iteration;
        let (log, change) = (Some(log), green.change);
        let event = Event::IterationEnded { n, verdict, summary, log, change, streak };
        self.emit(now, Actor::Core, Some(id), event);
        if verdict == Verdict::Green {
            let Green { checkpoint, evidence, tests, .. } = green;
            let event = Event::Passed { checkpoint, evidence, tests };
            self.emit(now, Actor::Core, Some(id), event);
        }
    }
}
