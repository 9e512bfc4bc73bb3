//! Going back, as people ask for it: a loop to an earlier state of its work, a target to before a
//! loop's work landed. Each is checked whole before its first event.

use taskd_model::{Actor, Command, Event, LandPolicy, LoopId, Oid, PlanId, QueueOp, Status, Time};

use crate::{Coordinator, Rejected};

impl Coordinator {
    /// A loop's files become those of an earlier state, and it goes on from there, also if it was
    /// paused or blocked.
    pub(crate) fn rewind(
        &mut self,
        now: Time,
        actor: Actor,
        id: LoopId,
        command: &Command,
    ) -> Result<(), Rejected> {
        self.may_rewind(id)?;
        let Command::Rewind { to, base, iteration, note, .. } = command else { return Ok(()) };
        let event = Event::Rewound { to: *to, base: *base, iteration: *iteration, note: *note };
        self.emit(now, actor, Some(id), event);
        let engine = self.state().loops()[&id].clone();
        if engine.pause || matches!(engine.status, Status::Paused | Status::Blocked) {
            self.go_on(now, actor, &engine);
        }
        Ok(())
    }

    /// Whether [`Command::Rewind`] would be refused now.
    ///
    /// # Errors
    ///
    /// Why.
    pub fn may_rewind(&self, id: LoopId) -> Result<(), Rejected> {
        let engine = self.alive(&[id])?.remove(0);
        let name = self.name_of(id);
        if let Some((status, _)) = engine.ending {
            return Err(Rejected::IsOver { name, status });
        }
        if engine.landed.is_some() {
            return Err(Rejected::IsOver { name, status: Status::Complete });
        }
        if engine.iteration == 0 {
            return Err(Rejected::NothingToRewind { name });
        }
        self.may_go_on(&engine)
    }

    /// A revert of what a loop landed goes through the landing queue.
    pub(crate) fn undo(
        &mut self,
        now: Time,
        actor: Actor,
        id: LoopId,
        tip: &Oid,
    ) -> Result<(), Rejected> {
        self.may_undo(id)?;
        if self.state().loops()[&id].queued.is_none() {
            let head = &self.state().plan(id.plan()).head;
            let (project, target) = (head.project, head.target.clone());
            self.target_is_at(now, project, &target, tip);
            self.emit(now, actor, None, Event::QueueEntered { op: QueueOp::Undo(id) });
        }
        Ok(())
    }

    /// Whether [`Command::Undo`] would be refused now.
    ///
    /// # Errors
    ///
    /// Why.
    pub fn may_undo(&self, id: LoopId) -> Result<(), Rejected> {
        let engine = self.state().engine(id).ok_or(Rejected::NoLoop(id))?;
        let name = self.name_of(id);
        if let Some(by) = &engine.undone {
            return Err(Rejected::IsUndone { name, by: by.short().to_string() });
        }
        // What a remote took is the remote's to revert.
        let by_remote = self.state().plan(id.plan()).head.land == LandPolicy::Pr;
        if engine.already_there || by_remote {
            return Err(Rejected::NothingToUndo { name });
        }
        // What is complete and not yet at rest still leaves the queue.
        if engine.landed.is_none() || !engine.is_over() {
            return Err(Rejected::NotLanded { name });
        }
        Ok(())
    }

    /// Something of this plan waits in its landing queue.
    pub(crate) fn has_queued(&self, plan: PlanId) -> bool {
        let state = self.state();
        let lane = state.lane(&state.lane_of(plan));
        lane.is_some_and(|it| it.entries.iter().any(|it| it.op.plan() == plan))
    }
}
