//! What it does to the state that a document does not name a loop any more.

use taskd_model::{LoopId, Reason, Status};

use super::State;

impl State {
    /// It ends, and whoever waited for it because its document did waits no longer. One that is over
    /// already only says why nobody waits.
    pub(super) fn supersede(&mut self, id: LoopId) {
        let plan = self.plan_mut(id.plan());
        for other in plan.spec(id).dependents.clone() {
            let also = &mut plan.specs[usize::from(other)].also_needs;
            also.retain(|it| *it != id.spec.index);
        }
        let engine = self.engine_mut(id);
        if engine.is_over() {
            engine.reason = Some(Reason::Superseded);
        } else if engine.ending.is_none() {
            self.end_loop(id, Status::Stopped, Reason::Superseded);
        }
        self.touch_dependents(id);
    }
}
