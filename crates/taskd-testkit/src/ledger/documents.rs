//! What documents may name, and what came of it.

use taskd_model::{LoopId, SpecHead, SpecId, Status};

use super::{Ledger, LoopRow, check};
use crate::tally::Tally;

impl Ledger {
    /// A spec, and its first loop.
    pub(super) fn added(
        &mut self,
        spec: SpecId,
        head: &SpecHead,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.named(spec, head, tally)?;
        self.loops.insert(LoopId { spec, run: 1 }, LoopRow::new(head.clone()));
        Ok(())
    }

    /// A document may only name specs where a person said so, if one was asked, once, and after
    /// everything its own spec needed.
    fn named(&mut self, spec: SpecId, head: &SpecHead, tally: &mut Tally) -> Result<(), String> {
        let Some(index) = head.parent else { return Ok(()) };
        let parent = LoopId { spec: SpecId { plan: spec.plan, index }, run: 1 };
        let row = self.loops.get_mut(&parent).ok_or_else(|| format!("{spec} has no parent"))?;
        let document = row.head.writes.ok_or_else(|| format!("{parent} writes no document"))?;
        check(row.approved || !document.approve, || format!("{parent}: nobody said yes"))?;
        check(row.passed && !row.status.is_over(), || format!("{parent} did not pass"))?;
        let kept = row.head.needs.iter().all(|it| head.needs.contains(it));
        check(kept, || format!("{spec} forgets what {parent} needed"))?;
        let before = head.needs.iter().all(|it| *it < spec.index);
        check(before, || format!("{spec} needs what comes after it"))?;
        row.named = true;
        tally.named += 1;
        Ok(())
    }

    /// What a document named and still does, by place.
    pub(crate) fn named_by(&self, id: LoopId) -> Vec<u16> {
        let of_it = |it: &(&LoopId, &LoopRow)| {
            let named = it.0.plan() == id.plan() && it.1.head.parent == Some(id.spec.index);
            named && !it.1.superseded
        };
        self.loops.iter().filter(of_it).map(|it| it.0.spec.index).collect()
    }

    /// Loops whose document was taken apart.
    pub(crate) fn taken_apart(&self) -> Vec<LoopId> {
        let apart = |it: &(&LoopId, &LoopRow)| it.1.named && it.1.status == Status::Complete;
        self.loops.iter().filter(apart).map(|it| *it.0).collect()
    }

    /// A document, or one above it, was written anew without this loop; not one that is done.
    pub(super) fn is_superseded(
        &mut self,
        id: LoopId,
        by: LoopId,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut above = self.loops[&id].head.parent;
        while above.is_some_and(|it| it != by.spec.index) {
            let index = above.unwrap_or_default();
            above = self.loops[&LoopId { spec: SpecId { index, ..id.spec }, run: 1 }].head.parent;
        }
        check(above.is_some(), || format!("{by} never named {id}"))?;
        let row = self.loops.get_mut(&id).expect("just seen");
        let done = row.landed || row.status == Status::Complete;
        check(!done && !row.superseded, || format!("{id} is {} and superseded", row.status))?;
        row.superseded = true;
        tally.superseded += 1;
        Ok(())
    }

    /// Whether everything that a document named, and so on below, is as `leaf` says.
    pub(crate) fn came_of(&self, id: LoopId, leaf: fn(&LoopRow) -> bool) -> bool {
        let row = &self.loops[&id];
        if row.head.writes.is_none() {
            return leaf(row);
        }
        let of_it = |it: &(&LoopId, &LoopRow)| {
            let named = it.0.plan() == id.plan() && it.1.head.parent == Some(id.spec.index);
            named && !it.1.superseded
        };
        let mut children = self.loops.iter().filter(of_it);
        row.named && children.all(|it| self.came_of(*it.0, leaf))
    }
}
