//! A person's word about a landing queue: what is held, what is released, whose turn comes when.

use taskd_model::{Actor, Arranged, Event, LoopId, ProjectId, Time};

use crate::{Coordinator, Rejected, engine::LoopEngine, queue::LaneId, state::Project};

/// Commands: each is checked whole before its first event.
impl Coordinator {
    pub(crate) fn hold_queue(
        &mut self,
        now: Time,
        actor: Actor,
        ids: &[LoopId],
        projects: &[ProjectId],
    ) -> Result<(), Rejected> {
        let engines = self.alive(ids)?;
        self.projects(projects)?;
        let how = Arranged::Held;
        for engine in engines.iter().filter(|it| it.on_hold.is_none()) {
            self.emit(now, actor, Some(engine.id), Event::QueueArranged { how });
        }
        for id in projects {
            if self.projects(&[*id])?[0].on_hold.is_none() {
                self.emit_for(now, actor, Some(*id), None, Event::QueueArranged { how });
            }
        }
        Ok(())
    }

    pub(crate) fn release_queue(
        &mut self,
        now: Time,
        actor: Actor,
        ids: &[LoopId],
        projects: &[ProjectId],
    ) -> Result<(), Rejected> {
        let engines = self.alive(ids)?;
        let how = Arranged::Released;
        let held = |it: &&LoopEngine| it.on_hold.is_some();
        if let Some(first) = engines.first().filter(|_| !engines.iter().any(|it| held(&it))) {
            let name = self.name_of(first.id);
            let project = self.state().plan(first.id.plan()).head.project;
            let all = self.projects(&[project])?[0].on_hold.is_some();
            let why = if all { Rejected::AllHeld { name } } else { Rejected::NotHeld { name } };
            return Err(why);
        }
        let of_projects: Vec<Vec<LoopId>> =
            self.projects(projects)?.iter().map(|it| self.held_in(it)).collect();
        for engine in engines.iter().filter(held) {
            self.emit(now, actor, Some(engine.id), Event::QueueArranged { how });
        }
        for (id, loops) in projects.iter().zip(of_projects) {
            if self.projects(&[*id])?[0].on_hold.is_some() {
                self.emit_for(now, actor, Some(*id), None, Event::QueueArranged { how });
            }
            for id in loops {
                self.emit(now, actor, Some(id), Event::QueueArranged { how });
            }
        }
        Ok(())
    }

    pub(crate) fn move_queue(
        &mut self,
        now: Time,
        actor: Actor,
        id: LoopId,
        before: Option<LoopId>,
    ) -> Result<(), Rejected> {
        let lane = self.waiting_lane(id)?;
        if let Some(other) = before {
            if self.waiting_lane(other)? != lane {
                let (name, other) = (self.name_of(id), self.name_of(other));
                return Err(Rejected::OtherQueue { name, other });
            }
            if other == id {
                return Ok(());
            }
        }
        let how = Arranged::Moved { before };
        self.emit(now, actor, Some(id), Event::QueueArranged { how });
        Ok(())
    }

    /// The queue in which a loop waits for its turn.
    fn waiting_lane(&self, id: LoopId) -> Result<LaneId, Rejected> {
        let engine = &self.alive(&[id])?[0];
        let entry = engine.queued.ok_or_else(|| Rejected::NotQueued { name: self.name_of(id) })?;
        let lane = self.state().lane_of(id.plan());
        if self.state().lane(&lane).is_some_and(|it| it.is_active(entry)) {
            return Err(Rejected::HasItsTurn { name: self.name_of(id) });
        }
        Ok(lane)
    }

    fn projects(&self, ids: &[ProjectId]) -> Result<Vec<&Project>, Rejected> {
        let known = |id: &ProjectId| self.state().project(*id).ok_or(Rejected::NoProject(*id));
        ids.iter().map(known).collect()
    }

    fn held_in(&self, project: &Project) -> Vec<LoopId> {
        let specs = project.plans.iter().flat_map(|it| &self.state().plan(*it).specs);
        let held = |it: &LoopId| {
            let engine = &self.state().loops()[it];
            engine.on_hold.is_some() && !engine.is_over()
        };
        specs.map(|it| it.latest).filter(held).collect()
    }
}
