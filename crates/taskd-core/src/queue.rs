//! The landing queue of one branch of a project: candidates built on the tip, gated on that tip, published by
//! compare-and-swap. One at a time, or several as a stack: one commit on another, of which only
//! the top is gated.
//!
//! This module moves commits it cannot see. If the tip moves, what was built on the old one is
//! built again; only a publish that has begun is asked for again as it was, because it may have
//! happened.
//!
//! A stack whose top is red is searched by halves for the first commit that makes it so: what is
//! below is published, that one is evicted, and what is above waits for its next turn.
//!
//! Invariant: nothing is published whose tree has no green evidence and whose first commit does
//! not stand on the tip it lands on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use taskd_model::{
    Actor, Digest, EffectId, Evidence, LoopId, Oid, Outcome, Priority, ProjectId, QueueEnd,
    QueueOp, Seq, Work,
};

/// What waits and what is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lane {
    /// In the order of their turns; what is under way is among them.
    pub(crate) entries: Vec<Entry>,
    pub(crate) active: Option<Active>,
}

/// Which landing queue: each branch that something lands on has its own, so that none waits for
/// the gates of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId {
    pub(crate) project: ProjectId,
    pub(crate) target: String,
}

/// A person holds something until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnHold {
    /// Who.
    pub by: Actor,
    /// The event that says so.
    pub seq: Seq,
}

/// Something that was put into the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) seq: Seq,
    pub(crate) op: QueueOp,
    pub(crate) priority: Priority,
    /// It stood above the one that made a stack red: it is gated with the others of that stack,
    /// however few they are.
    pub(crate) rest: bool,
    /// A person gave it its place: nobody is put before it for being of a higher class.
    pub(crate) moved: bool,
}

impl Lane {
    /// Puts an entry behind those of its class, and before those of lower ones.
    pub(crate) fn enter(&mut self, seq: Seq, op: QueueOp, priority: Priority) {
        let goes_before = |it: &&Entry| it.priority < priority && !it.moved;
        let at = self.entries.len() - self.entries.iter().rev().take_while(goes_before).count();
        self.entries.insert(at, Entry { seq, op, priority, rest: false, moved: false });
    }

    /// Gives an entry the place before another one, or the first.
    pub(crate) fn move_before(&mut self, entry: Seq, before: Option<Seq>) {
        let Some(at) = self.entries.iter().position(|it| it.seq == entry) else { return };
        let mut it = self.entries.remove(at);
        it.moved = true;
        let to = before.and_then(|seq| self.entries.iter().position(|it| it.seq == seq));
        self.entries.insert(to.unwrap_or(0), it);
    }

    pub(crate) fn entry_of(&self, op: QueueOp) -> Option<&Entry> {
        self.entries.iter().find(|it| it.op == op)
    }

    /// It is what is under way, or part of it, or is being made part of it.
    pub(crate) fn is_active(&self, entry: Seq) -> bool {
        let active = self.active.as_ref();
        active.is_some_and(|it| it.place(entry).is_some() || it.joining == Some(entry))
    }

    /// An entry that is under way goes, and with it what stands on it; that waits again.
    pub(crate) fn cut(&mut self, entry: Seq) {
        let Some(active) = &mut self.active else { return };
        match active.place(entry) {
            Some(0) => self.active = None,
            Some(n) => active.cut(n),
            None => {}
        }
    }

    /// An entry left. What it did for the others is decided by how.
    pub(crate) fn leave(&mut self, entry: Seq, end: &QueueEnd) -> Option<Active> {
        let place = self.active.as_ref().and_then(|it| it.place(entry));
        let left = self.active.clone().filter(|_| place == Some(0));
        if let (Some(active), Some(n)) = (&mut self.active, place) {
            let red = active.bisect.as_ref().is_some_and(|it| it.first_red() == Some(n));
            let above: Vec<Seq> = active.stack.iter().skip(n + 1).map(|it| it.entry).collect();
            let together = matches!(end, QueueEnd::Done { .. } | QueueEnd::Held { .. });
            if n == 0 && together && !above.is_empty() {
                active.first_left();
            } else {
                self.cut(entry);
            }
            for it in self.entries.iter_mut().filter(|it| red && above.contains(&it.seq)) {
                it.rest = true;
            }
        }
        self.entries.retain(|it| it.seq != entry);
        left
    }
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Active {
    /// The first entry: the one whose turn it was.
    pub(crate) entry: Seq,
    pub(crate) op: QueueOp,
    pub(crate) stage: Stage,
    /// What is built, one on another, the first entry's lowest; nothing of it before it is built.
    pub(crate) stack: Vec<Member>,
    /// The entry that is being built on top of the stack.
    pub(crate) joining: Option<Seq>,
    /// Entries that could not be built on top of it: they wait for a turn of their own.
    pub(crate) apart: BTreeSet<Seq>,
    /// The top was red: which of them made it so is being found out.
    pub(crate) bisect: Option<Bisect>,
    /// Loops of the stack that left when it was published.
    pub(crate) left: Vec<LoopId>,
    /// For a refresh: the target's tip it merges.
    pub(crate) merges: Option<Oid>,
    /// How many commits the target had had when that was its tip.
    pub(crate) height: u64,
    pub(crate) open: Option<EffectId>,
    /// Failures in a row.
    pub(crate) attempts: u32,
}

/// One commit of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) entry: Seq,
    pub(crate) op: QueueOp,
    pub(crate) commit: Oid,
    pub(crate) tree: Oid,
    pub(crate) onto: Oid,
    /// Its tree is known to pass, with the `accept` of it and of all that is below it.
    pub(crate) evidence: Option<Evidence>,
}

/// The search for the first commit of a stack that is red.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bisect {
    /// So many from below are known to be green.
    green: usize,
    /// So many from below are known to be red.
    red: usize,
    /// What their gate said.
    pub(crate) log: Digest,
}

impl Bisect {
    /// Which one it is, if that is known by now.
    pub(crate) fn first_red(&self) -> Option<usize> {
        (self.red == self.green + 1).then_some(self.green)
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Nothing built, or not on the present tip.
    Fresh,
    /// A candidate without evidence: the top of the stack, or what the search gates next.
    Built { commit: Oid, tree: Oid, onto: Oid },
    /// A candidate whose tree has green evidence.
    Gated { commit: Oid, onto: Oid, evidence: Evidence },
    /// A publish has begun; it may have happened.
    Publishing { commit: Oid, onto: Oid, evidence: Evidence },
    /// Decided; the entry leaves the queue.
    Over(QueueEnd),
}

/// Failures in a row after which an entry gives up.
const MAX_ATTEMPTS: u32 = 3;

impl Active {
    pub(crate) fn new(entry: &Entry) -> Self {
        Self {
            entry: entry.seq,
            op: entry.op,
            stage: Stage::Fresh,
            stack: Vec::new(),
            joining: None,
            apart: BTreeSet::new(),
            bisect: None,
            left: Vec::new(),
            merges: None,
            height: 0,
            open: None,
            attempts: 0,
        }
    }

    /// Where an entry is in what is under way, from below.
    pub(crate) fn place(&self, entry: Seq) -> Option<usize> {
        let built = self.stack.iter().position(|it| it.entry == entry);
        built.or_else(|| (self.entry == entry).then_some(0))
    }

    /// The entries under way, the lowest first.
    pub(crate) fn ops(&self) -> impl Iterator<Item = (Seq, QueueOp)> + '_ {
        let above = self.stack.iter().skip(1).map(|it| (it.entry, it.op));
        std::iter::once((self.entry, self.op)).chain(above)
    }

    /// The loops below the commit that is gated: their `accept` must pass too.
    pub(crate) fn below(&self, commit: Oid) -> Vec<LoopId> {
        let below = self.stack.iter().take_while(|it| it.commit != commit);
        below.filter_map(|it| it.op.loop_id()).collect()
    }

    /// The commit that is built on, if more may come on top of it.
    pub(crate) fn top(&self) -> Option<&Member> {
        let top = self.stack.last()?;
        let whole = matches!(self.stage, Stage::Built { commit, .. } if commit == top.commit);
        (whole && self.bisect.is_none()).then_some(top)
    }

    /// The tip of the ref that the lowest commit was built on.
    pub(crate) fn onto(&self) -> Option<Oid> {
        match self.stage {
            Stage::Built { onto, .. }
            | Stage::Gated { onto, .. }
            | Stage::Publishing { onto, .. } => Some(onto),
            Stage::Fresh | Stage::Over(_) => None,
        }
    }

    /// It is built anew from the first entry on.
    pub(crate) fn begin_anew(&mut self) {
        self.stage = Stage::Fresh;
        self.stack.clear();
        self.bisect = None;
    }

    /// What is at this place and above it goes.
    fn cut(&mut self, at: usize) {
        let onto = self.onto();
        self.stack.truncate(at);
        self.bisect = None;
        let (Some(top), Some(onto)) = (self.stack.last(), onto) else { return };
        let (commit, tree) = (top.commit, top.tree);
        self.stage = match top.evidence {
            Some(evidence) => Stage::Gated { commit, onto, evidence },
            None => Stage::Built { commit, tree, onto },
        };
    }

    /// The lowest was published or held with the others, and has left before them.
    fn first_left(&mut self) {
        self.left.extend(self.op.loop_id());
        self.stack.remove(0);
        if let Some(next) = self.stack.first() {
            (self.entry, self.op) = (next.entry, next.op);
        }
    }

    /// How the first entry ends, where the end of the whole is `end`: of a stack every commit ends
    /// as itself.
    pub(crate) fn end_of_first(&self, end: &QueueEnd) -> QueueEnd {
        let with: Vec<LoopId> = self.left.iter().copied().chain(self.loops_above()).collect();
        match (end, self.stack.first()) {
            (QueueEnd::Done { evidence, .. }, Some(it)) if !with.is_empty() => {
                let (commit, onto, evidence) = (it.commit, it.onto, *evidence);
                QueueEnd::Done { commit, onto, evidence, with }
            }
            _ => end.clone(),
        }
    }

    fn loops_above(&self) -> impl Iterator<Item = LoopId> + '_ {
        self.stack.iter().skip(1).filter_map(|it| it.op.loop_id())
    }

    /// The effect under way ended. `seq` is where its outcome stands in the log.
    /// `tip` is where the ref it works on stands now.
    pub(crate) fn ended(
        &mut self,
        work: &Work,
        seq: Seq,
        outcome: &Outcome,
        was_ending: bool,
        tip: Oid,
    ) {
        self.open = None;
        if let Some(entry) = self.joining.take() {
            return self.joined(entry, work, outcome, was_ending);
        }
        if let Work::BuildCandidate { onto, .. } = work
            && !matches!(outcome, Outcome::Failed { .. })
            && *onto != tip
        {
            // Whatever it says about an old tip, it says nothing about this one.
            return self.begin_anew();
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Fresh);
        self.stage = match (stage, outcome) {
            (Stage::Publishing { commit, onto, evidence }, Outcome::Published) => {
                Stage::Over(QueueEnd::Done { commit, onto, evidence, with: Vec::new() })
            }
            (Stage::Publishing { commit, .. }, Outcome::Proposed { url }) => {
                Stage::Over(QueueEnd::Proposed { commit, url: url.clone() })
            }
            (Stage::Publishing { .. }, Outcome::PublishMoved { .. }) => Stage::Fresh,
            (_, Outcome::PublishHeld { why }) => Stage::Over(QueueEnd::Held { why: why.clone() }),
            (stage @ Stage::Publishing { .. }, _) if was_ending => stage,
            (_, _) if was_ending => Stage::Fresh,
            (stage, Outcome::Failed { message, .. }) => {
                self.attempts += 1;
                let message = message.clone();
                if self.attempts < MAX_ATTEMPTS {
                    stage
                } else {
                    Stage::Over(QueueEnd::Failed { message })
                }
            }
            (stage @ Stage::Publishing { .. }, _) => stage,
            (_, Outcome::Built { commit, tree }) => {
                let (commit, tree) = (*commit, *tree);
                self.push(self.entry, self.op, (commit, tree), tip);
                Stage::Built { commit, tree, onto: tip }
            }
            (_, Outcome::BuiltEmpty) => Stage::Over(QueueEnd::Empty),
            (_, Outcome::BuildConflict { files }) => {
                Stage::Over(QueueEnd::Conflict { files: *files })
            }
            (Stage::Built { commit, tree, onto }, Outcome::CandidateGated(report)) => {
                self.attempts = 0;
                if report.green {
                    self.gated_green((commit, onto), Evidence { seq, tree })
                } else {
                    self.gated_red((commit, onto), report.log)
                }
            }
            (stage, _) => stage,
        };
        if self.stage == Stage::Fresh {
            self.begin_anew();
        }
    }

    fn push(&mut self, entry: Seq, op: QueueOp, (commit, tree): (Oid, Oid), onto: Oid) {
        self.stack.push(Member { entry, op, commit, tree, onto, evidence: None });
    }

    /// An entry was built on top of the stack, or could not be: that says nothing of it alone.
    fn joined(&mut self, entry: Seq, work: &Work, outcome: &Outcome, was_ending: bool) {
        let Work::BuildCandidate { op, onto: below, .. } = work else { return };
        match (was_ending, outcome) {
            (false, Outcome::Built { commit, tree }) => {
                let (commit, tree) = (*commit, *tree);
                self.push(entry, *op, (commit, tree), *below);
                if let Stage::Built { onto, .. } = self.stage {
                    self.stage = Stage::Built { commit, tree, onto };
                }
            }
            (
                false,
                Outcome::BuiltEmpty | Outcome::BuildConflict { .. } | Outcome::Failed { .. },
            ) => _ = self.apart.insert(entry),
            // Given up: it is asked for again.
            (_, _) => {}
        }
    }

    fn gated_green(&mut self, (commit, onto): (Oid, Oid), evidence: Evidence) -> Stage {
        let at = self.stack.iter().position(|it| it.commit == commit);
        if let Some(at) = at {
            self.stack[at].evidence = Some(evidence);
        }
        match (&mut self.bisect, at) {
            (Some(bisect), Some(at)) => {
                bisect.green = at + 1;
                self.search(onto)
            }
            _ => Stage::Gated { commit, onto, evidence },
        }
    }

    fn gated_red(&mut self, (commit, onto): (Oid, Oid), log: Digest) -> Stage {
        let at = self.stack.iter().position(|it| it.commit == commit);
        let Some(at) = at.filter(|_| 1 < self.stack.len()) else {
            return Stage::Over(QueueEnd::Red { log });
        };
        let known = self.stack[..at].iter().rposition(|it| it.evidence.is_some());
        let green = known.map_or(0, |it| it + 1);
        self.bisect = Some(Bisect { green, red: at + 1, log });
        self.search(onto)
    }

    /// What is gated next: the middle of those that may be the first red one.
    fn search(&self, onto: Oid) -> Stage {
        let half = self.bisect.as_ref().map_or(1, |it| usize::midpoint(it.green, it.red));
        let probe = &self.stack[half.max(1) - 1];
        Stage::Built { commit: probe.commit, tree: probe.tree, onto }
    }

    /// The candidate's tree is known to pass. One alone is published as it is; on a stack more may
    /// come.
    pub(crate) fn has_evidence(&mut self, evidence: Evidence) {
        let Stage::Built { commit, onto, .. } = self.stage else { return };
        if let Some(top) = self.stack.last_mut() {
            top.evidence = Some(evidence);
        }
        if self.stack.len() == 1 {
            self.stage = Stage::Gated { commit, onto, evidence };
        }
    }
}
