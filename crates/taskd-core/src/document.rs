//! What a loop writes that writes a document: reviews, repairs, and the specs it names.
//!
//! Such a loop works like any other until its gate says that the document is right. Then it is looked
//! through as often as its type says, or until two times in a row change nothing; perhaps a person
//! says yes; and it is taken apart. The specs it names become specs of the same plan, and its own
//! are done. Whoever needs a spec with such a loop needs everything that came of it.

use serde::{Deserialize, Serialize};
use taskd_model::{
    Actor, Digest, DocumentHead, EffectId, Event, Failure, LoopId, MAX_EVENT_BYTES, Oid, Outcome,
    Owner, Reason, SpecHead, SpecId, Time, Usage, Verdict, Work,
};

use crate::{
    Coordinator,
    commands::{ENVELOPE_BYTES, MAX_SPECS},
    engine::LoopEngine,
    state::State,
};

/// Most specs that one document may name.
pub const MAX_CHILDREN: usize = 100;
/// How deep documents may go: a plan names specs, they name phases, they name tasks.
pub const MAX_LEVELS: usize = 4;

/// How far a document is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) head: DocumentHead,
    /// Times it was looked through, the draft included.
    pub(crate) seen: u8,
    /// How many of the last times changed nothing.
    calm: u8,
    /// The tree it was in the last time.
    tree: Option<Oid>,
    /// Wrong documents in a row.
    wrong: u8,
    /// Its text, once it was taken apart.
    pub(crate) artifact: Option<Digest>,
}

impl Document {
    pub(crate) fn new(head: DocumentHead) -> Self {
        Self { head, seen: 0, calm: 0, tree: None, wrong: 0, artifact: None }
    }

    /// What it means that the document in `tree` is right.
    fn review(&self, tree: Oid) -> Event {
        let unchanged = self.tree == Some(tree);
        let converged = unchanged && 1 <= self.calm;
        let done = converged || self.head.reviews <= self.seen;
        Event::Reviewed { n: self.seen, tree, unchanged, done }
    }

    /// It was looked through.
    pub(crate) fn reviewed(&mut self, tree: Oid, unchanged: bool) {
        self.seen = self.seen.saturating_add(1);
        self.calm = if unchanged { self.calm.saturating_add(1) } else { 0 };
        self.tree = Some(tree);
    }

    /// A gate gave an iteration its verdict. Says whether a person is asked now.
    pub(crate) fn judged(&mut self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Red => self.wrong = self.wrong.saturating_add(1),
            Verdict::Green => self.wrong = 0,
            Verdict::Unchanged | Verdict::AgentFailed | Verdict::Conflict | Verdict::Objected => {}
        }
        verdict == Verdict::Red && self.head.repairs < self.wrong
    }

    /// A person sent it back: it is looked through anew.
    pub(crate) fn sent_back(&mut self) {
        let head = self.head;
        *self = Self::new(head);
    }
}

/// What the taking apart of a document brings.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    /// Specs it names that were not there.
    specs: Vec<SpecHead>,
    /// Loops of what an earlier version named and this one does not.
    old: Vec<LoopId>,
}

/// What a right document does next: a person's word, if one is asked for, then it is taken apart.
pub(crate) fn document_step(engine: &LoopEngine, document: &Document) -> Option<Event> {
    if document.head.approve && !engine.approved {
        return engine.asked.is_none().then_some(Event::ApprovalAsked);
    }
    let from = engine.passed?.checkpoint;
    Some(Event::EffectStarted { owner: Owner::Loop(engine.id), work: Work::Decompose { from } })
}

/// How deep a spec stands below what the plan came with.
fn level(state: &State, id: LoopId) -> usize {
    let plan = state.plan(id.plan());
    let parent = |n: &u16| plan.specs[usize::from(*n)].head.parent;
    let above = std::iter::successors(Some(id.spec.index), parent);
    above.count()
}

impl Coordinator {
    /// The tree of a right document was gated: it is done with, or looked through once more.
    pub(crate) fn reviewed(&mut self, now: Time, id: LoopId, tree: Oid) -> bool {
        let Some(document) = &self.state().loops()[&id].document else { return true };
        let event = document.review(tree);
        let done = matches!(event, Event::Reviewed { done: true, .. });
        self.emit(now, Actor::Core, Some(id), event);
        done
    }

    /// The specs an outcome brings, as facts of the plan; what brings too many, or what the log
    /// cannot hold, is an end that only a person can mend.
    pub(crate) fn taken_apart(&self, effect: EffectId, outcome: &mut Outcome) -> Apart {
        let Outcome::Decomposed { specs, same, children, .. } = outcome else {
            return Apart::default();
        };
        let (specs, same) = (std::mem::take(specs), std::mem::take(same));
        *children = u16::try_from(specs.len()).unwrap_or(u16::MAX);
        let open = self.state().effects().get(&effect);
        let Some(Owner::Loop(id)) = open.map(|it| it.owner) else { return Apart::default() };
        match self.placed(id, specs, &same) {
            Ok(specs) => {
                let kept = same.into_iter().flatten().collect();
                Apart { specs, old: self.named_before(id, &kept) }
            }
            Err(message) => {
                let (failure, usage) = (Failure::Permanent, Usage::default());
                *outcome = Outcome::Failed { failure, message, usage, fault: None };
                Apart::default()
            }
        }
    }

    /// The specs as they stand in the plan: after everything its parent needed.
    fn placed(
        &self,
        id: LoopId,
        specs: Vec<SpecHead>,
        same: &[Option<u16>],
    ) -> Result<Vec<SpecHead>, String> {
        let plan = self.state().plan(id.plan());
        let (first, count) = (plan.specs.len(), specs.len());
        if count == 0 {
            return Err("the document names nothing to do".to_owned());
        }
        if MAX_CHILDREN < count || MAX_SPECS < first + count {
            return Err(format!(
                "the document names {count} specs; one may name {MAX_CHILDREN}, and a plan may \
                 have {MAX_SPECS}"
            ));
        }
        if MAX_LEVELS <= level(self.state(), id) {
            return Err(format!("documents go no deeper than {MAX_LEVELS} levels"));
        }
        let places = self.places(id, (first, count), same)?;
        let place = |n: u16| places[usize::from(n)];
        let above = plan.needs_of(id);
        let is_new = |it: &(u16, SpecHead)| first <= usize::from(places[usize::from(it.0)]);
        let placed = |(n, mut head): (u16, SpecHead)| {
            if head.needs.iter().any(|need| n <= *need) {
                return Err(format!("`{}` needs what comes after it", head.name));
            }
            head.needs =
                above.iter().copied().chain(head.needs.iter().map(|it| place(*it))).collect();
            head.parent = Some(id.spec.index);
            let bytes = serde_json::to_string(&head).map_or(usize::MAX, |it| it.len());
            if MAX_EVENT_BYTES < bytes.saturating_add(ENVELOPE_BYTES) {
                return Err(format!(
                    "`{}` needs too many others, or its id is too long",
                    head.name
                ));
            }
            Ok(head)
        };
        (0u16..).zip(specs).filter(is_new).map(placed).collect()
    }

    /// A document was taken apart: what it names is part of the plan, and what an earlier version
    /// named and this one does not ends.
    pub(crate) fn add_children(&mut self, now: Time, id: LoopId, apart: Apart) {
        let Apart { specs, old } = apart;
        let first = self.state().plan(id.plan()).specs.len();
        for (index, head) in (first..).zip(specs) {
            let index = u16::try_from(index).expect("a plan has fewer");
            let spec = SpecId { plan: id.plan(), index };
            self.emit(now, Actor::Core, None, Event::SpecAdded { spec, head: Box::new(head) });
        }
        self.supersede(now, id, &old);
    }
}

impl LoopEngine {
    /// A gate gave an iteration of it its verdict.
    pub(crate) fn document_judged(&mut self, verdict: Verdict) {
        if self.document.as_mut().is_some_and(|it| it.judged(verdict)) {
            self.stuck = Some(Reason::Malformed);
        }
    }
}
