//! What documents may name, and what came of it.

use taskd_model::{LoopId, SpecHead, SpecId};

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

    /// Whether everything that a document named, and so on below, is as `leaf` says.
    pub(crate) fn came_of(&self, id: LoopId, leaf: fn(&LoopRow) -> bool) -> bool {
        let row = &self.loops[&id];
        if row.head.writes.is_none() {
            return leaf(row);
        }
        let of_it = |it: &(&LoopId, &LoopRow)| {
            it.0.plan() == id.plan() && it.1.head.parent == Some(id.spec.index)
        };
        let mut children = self.loops.iter().filter(of_it);
        row.named && children.all(|it| self.came_of(*it.0, leaf))
    }
}
