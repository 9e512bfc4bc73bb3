//! The fold of landing queues and of the refs they move.
//!
//! Heights count commits and are compared, never tips: how far a base is behind is a difference.
//! A move is counted once, whichever of its two events comes first.

use crate::{
    Evidence, LoopId, Oid, PlanId, ProjectId, QueueEnd, QueueOp, Record, Seq, SpecId, Time,
};

use super::{Doing, Landed, LoopView, QueueEntry, QueuePhase, TargetView, Trouble, View};

impl View {
    /// A target branch is elsewhere.
    pub(super) fn target_moved(&mut self, project: ProjectId, name: &str, to: Oid, commits: u32) {
        let Some(project) = self.projects.get_mut(&project) else { return };
        match project.targets.get_mut(name) {
            Some(it) if it.tip == to => {}
            Some(it) => {
                *it = TargetView { tip: to, height: it.height + u64::from(commits.max(1)) };
            }
            None => {
                project.targets.insert(name.to_owned(), TargetView { tip: to, height: 0 });
            }
        }
    }

    /// A plan's integration ref starts again from the target: what was on it and has not landed
    /// is to be brought again. What the queue brings comes with the end of its entry.
    pub(super) fn integration_reset(&mut self, id: PlanId, to: Oid) {
        if self.plans.get(&id).is_none_or(|it| it.integration.tip == to) {
            return;
        }
        self.integration_moved(id, to);
        let whole = LoopId { spec: SpecId { plan: id, index: 0 }, run: 0 }..;
        let loops = self.loops.range_mut(whole).take_while(|(it, _)| it.plan() == id);
        for (_, it) in loops.filter(|(_, it)| it.landed.is_none()) {
            if it.integrated.take().is_some() {
                it.approval_asked = None;
            }
        }
    }

    /// A plan's integration ref is elsewhere: it took in the target, or one loop's work.
    fn integration_moved(&mut self, id: PlanId, to: Oid) {
        let Some(plan) = self.plans.get(&id) else { return };
        let target = self.target_of(plan).copied();
        let took_target = plan.refreshing.is_some() || target.is_some_and(|it| it.tip == to);
        let reach = self.reach(plan);
        let Some(plan) = self.plans.get_mut(&id) else { return };
        if plan.integration.tip == to {
            return;
        }
        plan.integration.tip = to;
        match target {
            Some(target) if took_target => {
                plan.integration.height = reach;
                plan.integration.target_height = target.height;
            }
            Some(_) | None => plan.integration.height += 1,
        }
    }

    pub(super) fn queue_entered(&mut self, seq: Seq, op: QueueOp, at: Time) {
        let Some(plan) = self.plans.get_mut(&op.plan()) else { return };
        let entry = QueueEntry { op, entered_at: at, phase: QueuePhase::Waiting };
        self.queue.entry(plan.project).or_default().insert(seq, entry);
        match op {
            QueueOp::Refresh(_) => plan.refreshing = Some(seq),
            QueueOp::Integrate(id) | QueueOp::Land(id) | QueueOp::Undo(id) => {
                if let Some(it) = self.loops.get_mut(&id) {
                    it.queue_entry = Some(seq);
                    if matches!(op, QueueOp::Land(_)) {
                        (it.approval_asked, it.held) = (None, None);
                    }
                }
            }
        }
        self.queue_phase(op, QueuePhase::Waiting, at);
    }

    /// An entry is so far.
    pub(super) fn queue_phase(&mut self, op: QueueOp, phase: QueuePhase, at: Time) {
        let Some(plan) = self.plans.get(&op.plan()) else { return };
        let (project, refreshing) = (plan.project, plan.refreshing);
        let entry = match op {
            QueueOp::Refresh(_) => refreshing,
            QueueOp::Integrate(id) | QueueOp::Land(id) | QueueOp::Undo(id) => {
                let Some(it) = self.loops.get_mut(&id) else { return };
                if it.queue_entry.is_some() && !it.status.is_over() {
                    let landing = matches!(op, QueueOp::Land(_));
                    it.doing(Doing::InQueue { landing, phase }, at);
                }
                it.queue_entry
            }
        };
        let entries = self.queue.get_mut(&project);
        if let (Some(entry), Some(entries)) = (entry, entries)
            && let Some(it) = entries.get_mut(&entry)
        {
            it.phase = phase;
        }
    }

    pub(super) fn queue_left(&mut self, entry: Seq, op: QueueOp, end: &QueueEnd, record: &Record) {
        let Some(project) = self.plans.get(&op.plan()).map(|it| it.project) else { return };
        let Some(entries) = self.queue.get_mut(&project) else { return };
        let Some(QueueEntry { op, .. }) = entries.remove(&entry) else { return };
        if entries.is_empty() {
            self.queue.remove(&project);
        }
        if let QueueEnd::Done { commit, onto, evidence, .. } = end {
            self.brought(op, (*commit, *onto), *evidence, record.at);
        }
        match op {
            QueueOp::Refresh(plan) => {
                if let Some(plan) = self.plans.get_mut(&plan) {
                    plan.refreshing.take_if(|it| *it == entry);
                }
            }
            QueueOp::Undo(id) => {
                if let Some(it) = self.loops.get_mut(&id) {
                    it.queue_entry.take_if(|it| *it == entry);
                    it.not_undone(end, record);
                }
                self.touch(id, record);
            }
            QueueOp::Integrate(id) | QueueOp::Land(id) => {
                if let Some(it) = self.loops.get_mut(&id) {
                    it.queue_entry.take_if(|it| *it == entry);
                    it.not_brought(end, record);
                    it.rest(record.at);
                }
                self.touch(id, record);
            }
        }
    }

    /// A remote's branch has what was proposed.
    pub(super) fn landing_seen(&mut self, commit: Oid, onto: Oid, record: &Record) {
        let (Some(id), at) = (record.loop_id, record.at) else { return };
        let Some(it) = self.loops.get_mut(&id) else { return };
        // What the remote merged is its own tree, of which no gate of ours said anything.
        let landed = Landed { commit, onto, at, evidence: None };
        let first = it.landed.replace(landed).is_none();
        it.held = None;
        it.rest(at);
        if let Some(plan) = self.plans.get_mut(&id.plan()) {
            plan.landed += u32::from(first);
        }
    }

    /// A ref is at what a queue entry made.
    fn brought(&mut self, op: QueueOp, (commit, onto): (Oid, Oid), evidence: Evidence, at: Time) {
        match op {
            QueueOp::Refresh(plan) => self.integration_moved(plan, commit),
            QueueOp::Integrate(id) => {
                if let Some(it) = self.loops.get_mut(&id) {
                    it.integrated = Some(commit);
                }
                self.integration_moved(id.plan(), commit);
            }
            QueueOp::Undo(id) => {
                let Some(it) = self.loops.get_mut(&id) else { return };
                it.undone = Some(Landed { commit, onto, at, evidence: Some(evidence) });
                let Some(plan) = self.plans.get(&id.plan()) else { return };
                let (project, name) = (plan.project, plan.target.clone());
                self.target_moved(project, &name, commit, 1);
            }
            QueueOp::Land(id) => {
                let Some(it) = self.loops.get_mut(&id) else { return };
                let known = it.integrated.is_some();
                let first =
                    it.landed.replace(Landed { commit, onto, at, evidence: Some(evidence) });
                let first = first.is_none();
                let Some(plan) = self.plans.get_mut(&id.plan()) else { return };
                plan.landed += u32::from(first);
                let (project, name) = (plan.project, plan.target.clone());
                // What the integration ref has already does not put it behind.
                plan.integration.target_height += u64::from(known);
                self.target_moved(project, &name, commit, 1);
            }
        }
    }
}

impl LoopView {
    /// Why its landed work is still on the target, if taking it off again did not work.
    fn not_undone(&mut self, end: &QueueEnd, record: &Record) {
        let why = match end {
            QueueEnd::Done { .. } => {
                self.trouble = None;
                return;
            }
            QueueEnd::Withdrawn | QueueEnd::Proposed { .. } => return,
            QueueEnd::Empty => "nothing of it is left on the target".to_owned(),
            QueueEnd::Red { .. } => "the gate is red without it".to_owned(),
            QueueEnd::Conflict { .. } => "later work changed the same lines".to_owned(),
            QueueEnd::Held { why } => why.clone(),
            QueueEnd::Failed { message } => message.clone(),
        };
        let (message, at, seq) = (format!("not undone: {why}"), record.at, record.seq);
        self.trouble = Some(Trouble { message, at, seq, fault: None });
    }

    /// What is in the way of landing it, if the end of its entry names something.
    fn not_brought(&mut self, end: &QueueEnd, record: &Record) {
        match end {
            QueueEnd::Proposed { url, .. } => {
                self.held = Some(format!("pull request {url}"));
                self.pull_request = Some(url.clone());
            }
            QueueEnd::Held { why } => self.held = Some(why.clone()),
            QueueEnd::Failed { message } => {
                let message = message.clone();
                let (at, seq) = (record.at, record.seq);
                self.trouble = Some(Trouble { message, at, seq, fault: None });
            }
            QueueEnd::Done { .. }
            | QueueEnd::Empty
            | QueueEnd::Red { .. }
            | QueueEnd::Conflict { .. }
            | QueueEnd::Withdrawn => {}
        }
    }
}
