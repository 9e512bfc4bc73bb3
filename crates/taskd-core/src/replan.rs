//! A document that was taken apart, written anew: what stays, what ends, what begins.
//!
//! It is the same loop, tried again ([`crate::retry`]), so until its new version is taken apart
//! everything goes on as the old one says. Then what is the same stays, with its work; what landed
//! stays landed; the rest of what the old one named ends, with whatever came of it, and its work is
//! kept. All of that is one batch, so a crash leaves the old version or the new one.

use std::collections::BTreeSet;

use taskd_model::{Actor, Event, LoopId, Reason, Status, Time};

use crate::{Coordinator, engine::LoopEngine};

impl LoopEngine {
    /// It wrote a document, and that was taken apart.
    pub(crate) fn was_taken_apart(&self) -> bool {
        let apart = self.document.as_ref().is_some_and(|it| it.artifact.is_some());
        apart && self.status == Status::Complete
    }

    /// What named it does not name it any more.
    pub(crate) fn is_superseded(&self) -> bool {
        let ends = self.ending.as_ref().is_some_and(|it| it.1 == Reason::Superseded);
        ends || self.reason == Some(Reason::Superseded)
    }
}

impl Coordinator {
    /// The places of what a document names in its plan: those of what is the same, and new ones.
    pub(crate) fn places(
        &self,
        id: LoopId,
        (first, count): (usize, usize),
        same: &[Option<u16>],
    ) -> Result<Vec<u16>, String> {
        let plan = self.state().plan(id.plan());
        let mut next = first;
        let place = |n: usize| match same.get(n).copied().flatten() {
            Some(it) => {
                let known = plan.specs.get(usize::from(it));
                let child = known.is_some_and(|it| it.head.parent == Some(id.spec.index));
                if child { Ok(it) } else { Err(format!("spec {it} was not named by it before")) }
            }
            None => {
                let it = u16::try_from(next).unwrap_or(u16::MAX);
                next += 1;
                Ok(it)
            }
        };
        (0..count).map(place).collect()
    }

    /// Loops of everything that came of earlier versions of a document, but for what it still names
    /// and what is done.
    pub(crate) fn named_before(&self, id: LoopId, kept: &BTreeSet<u16>) -> Vec<LoopId> {
        let plan = self.state().plan(id.plan());
        let (mut of, mut old) = (vec![id.spec.index], Vec::new());
        while let Some(parent) = of.pop() {
            for (index, spec) in (0u16..).zip(&plan.specs) {
                let stays = parent == id.spec.index && kept.contains(&index);
                if spec.head.parent != Some(parent) || stays {
                    continue;
                }
                of.push(index);
                let engine = &self.state().loops()[&spec.latest];
                let done = engine.landed.is_some() || engine.status == Status::Complete;
                if !done && !engine.is_superseded() {
                    old.push(spec.latest);
                }
            }
        }
        old.sort_unstable();
        old
    }

    /// Those end. Who was blocked for want of one of them, and of nothing else, goes on.
    pub(crate) fn supersede(&mut self, now: Time, id: LoopId, old: &[LoopId]) {
        for it in old {
            self.emit(now, Actor::Core, Some(*it), Event::Superseded { by: id });
        }
        if old.is_empty() {
            return;
        }
        for it in self.blocked_by(id) {
            self.go_on(now, Actor::Core, &it);
        }
    }
}
