//! Room on the disk, as last told. While there is none, nobody's time runs.

use taskd_model::{Disk, LoopId, PlanId, Room, Status};

use super::State;
use crate::plan::PlanState;

impl State {
    pub(super) fn set_disk(&mut self, disk: &Disk) {
        let is_full = disk.room == Room::Full;
        let was_full = self.full_since.is_some();
        self.disk = disk.clone();
        if is_full != was_full {
            if was_full {
                self.had_no_room();
            }
            self.full_since = is_full.then_some(self.now);
            // Deadlines are due, or no longer are.
            let at_work: Vec<LoopId> = self.at_work().collect();
            for id in at_work {
                self.touch_loop(id);
            }
        }
    }

    /// What rested for want of room has so much more time.
    fn had_no_room(&mut self) {
        let (Some(since), now) = (self.full_since, self.now) else { return };
        let open = self.plans.iter().filter(|(_, it)| it.state != PlanState::Ended);
        let open: Vec<PlanId> = open.map(|(id, _)| *id).collect();
        for id in open {
            let plan = self.plan_mut(id);
            let rested = now.ms_since(since.max(plan.submitted_at));
            plan.parked_ms = plan.parked_ms.saturating_add(rested);
        }
        let at_work: Vec<LoopId> = self.at_work().collect();
        for id in at_work {
            let engine = self.engine_mut(id);
            // Waits for a provider are added when they end.
            if engine.time_runs() {
                engine.parked_ms = engine.parked_ms.saturating_add(now.ms_since(since));
            }
        }
    }

    fn at_work(&self) -> impl Iterator<Item = LoopId> {
        let works = |status| matches!(status, Status::Running | Status::Rebasing);
        self.loops.values().filter(move |it| works(it.status)).map(|it| it.id)
    }
}
