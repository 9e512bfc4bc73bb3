//! Loops whose document was written anew without them.

use crate::{Event, LoopId, Reason, Record, SpecId};

use super::{LoopView, View};

impl LoopView {
    /// The document that named it does not name it any more.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        let old = Some(&Reason::Superseded);
        self.reason.as_ref() == old || self.ending.as_ref() == old
    }

    /// It is one of the specs its plan is to land, came from a document, and has not landed.
    pub(super) fn is_still_to_land(&self) -> bool {
        !self.writes && self.parent.is_some() && self.landed.is_none()
    }
}

impl View {
    /// Its status is another, or nobody wants it any more.
    pub(super) fn stands(&mut self, id: LoopId, record: &Record) {
        if let Event::StatusChanged { to, reason, .. } = &record.event {
            self.status_changed(id, *to, reason, record);
        } else {
            self.superseded(id, record);
        }
    }

    /// Nobody waits for it any more. What is over already says so itself.
    fn superseded(&mut self, id: LoopId, record: &Record) {
        let (plan, index) = (id.plan(), id.spec.index);
        let run = |index, run| LoopId { spec: SpecId { plan, index }, run };
        for (_, it) in self.loops.range_mut(run(0, 0)..=run(u16::MAX, u16::MAX)) {
            it.needs.retain(|need| *need != index);
        }
        let Some(it) = self.loops.get_mut(&id) else { return };
        if !it.status.is_over() {
            it.ending = Some(Reason::Superseded);
            return;
        }
        (it.reason, it.reason_seq) = (Some(Reason::Superseded), Some(record.seq));
        let counts = it.is_still_to_land();
        if let Some(plan) = self.plans.get_mut(&plan) {
            plan.specs = plan.specs.saturating_sub(u16::from(counts));
        }
    }
}
