//! What the log says of landing queues: who entered, who left, and whether that was right.

use taskd_model::{Digest, LandPolicy, Oid, QueueEnd, QueueOp, Seq, Status};

use super::{Ledger, LoopRow, check};
use crate::tally::Tally;

impl Ledger {
    pub(super) fn entered(&mut self, op: QueueOp) -> Result<(), String> {
        if let QueueOp::Undo(id) = op {
            let row = &self.loops[&id];
            let may = row.status == Status::Complete && row.landed_as.is_some() && !row.undone;
            return check(may, || format!("{op} while {}", row.status));
        }
        check(!self.rests(), || format!("{op} is queued while everything rests"))?;
        let Some(id) = op.loop_id() else { return Ok(()) };
        let (row, plan) = (&self.loops[&id], &self.plans[&id.plan()]);
        let again = row.status == Status::Complete && matches!(op, QueueOp::Integrate(_));
        check(row.passed, || format!("{op} without having passed"))?;
        check(row.status == Status::Running || again, || format!("{op} while {}", row.status))?;
        check(again || !row.suspect || row.approved, || format!("{op} though it is suspect"))?;
        if matches!(op, QueueOp::Land(_)) {
            let may = match plan.land {
                LandPolicy::Never => false,
                LandPolicy::Ask => row.approved,
                LandPolicy::OnGate | LandPolicy::Pr => row.approved || !row.doubted,
            };
            check(may && !row.held, || format!("{op} without a person's word"))?;
            let landed = |need: &u16| {
                let mut need_id = id;
                need_id.spec.index = *need;
                self.came_of(need_id, |it| it.landed)
            };
            check(row.head.needs.iter().all(landed), || format!("{op} before what it needs"))?;
        }
        Ok(())
    }

    pub(super) fn is_on_hold(&self, op: QueueOp) -> bool {
        let project = self.plans[&op.plan()].project;
        let of_loop = op.loop_id().is_some_and(|it| self.loops_on_hold.contains(&it));
        of_loop || self.queues_on_hold.contains(&project)
    }

    pub(super) fn gate_of(&self, op: QueueOp) -> Digest {
        // What a loop's own commands ask for is gone with its work.
        let own = op.loop_id().filter(|_| !matches!(op, QueueOp::Undo(_)));
        own.map_or(self.plans[&op.plan()].gate, |id| self.loops[&id].head.gate)
    }

    pub(super) fn left(
        &mut self,
        entry: Seq,
        op: QueueOp,
        end: &QueueEnd,
        tally: &mut Tally,
    ) -> Result<(), String> {
        if let QueueEnd::Done { evidence, commit, onto, with } = end {
            tally.evidence_reused += u64::from(evidence.seq < entry);
            tally.landed_together += u64::from(!with.is_empty());
            let green = self.green.get(&evidence.seq) == Some(&evidence.tree);
            check(green, || format!("{op} without evidence for its tree"))?;
            let passed = self.gates_passed.contains(&(evidence.tree, self.gate_of(op)));
            check(passed, || format!("{op} on a tree that did not pass its gate"))?;
            let stands = self.built.get(commit).is_none_or(|it| it == onto);
            check(stands, || format!("{op} does not stand where it says"))?;
        }
        let Some(id) = op.loop_id() else {
            tally.refreshed += u64::from(matches!(end, QueueEnd::Done { .. }));
            return Ok(());
        };
        let row = self.loops.get_mut(&id).expect("added");
        if matches!(op, QueueOp::Undo(_)) {
            let done = matches!(end, QueueEnd::Done { .. });
            check(!done || !row.undone, || format!("{id} is undone twice"))?;
            row.undone |= done;
            tally.undone += u64::from(done);
            tally.not_undone += u64::from(!done);
            return Ok(());
        }
        let lands = matches!(op, QueueOp::Land(_));
        match end {
            QueueEnd::Done { commit, .. } => {
                row.brought.push(Some(*commit));
                row.landed_as = lands.then_some(*commit).or(row.landed_as);
            }
            QueueEnd::Empty => row.brought.push(None),
            QueueEnd::Proposed { commit, .. } => {
                (row.held, row.proposed) = (true, Some(*commit));
                tally.proposed += 1;
            }
            QueueEnd::Held { .. } => (row.held, tally.held) = (true, tally.held + 1),
            QueueEnd::Red { .. } | QueueEnd::Conflict { .. } => tally.sent_back += 1,
            QueueEnd::Failed { .. } | QueueEnd::Withdrawn => {}
        }
        if matches!(end, QueueEnd::Done { .. } | QueueEnd::Empty) {
            check(!lands || !row.landed, || format!("{id} lands twice"))?;
            row.landed |= lands;
            tally.landed += u64::from(lands);
            tally.integrated += u64::from(!lands);
        }
        Ok(())
    }
}

impl LoopRow {
    pub(super) fn was_rejected(&mut self, tally: &mut Tally) {
        (self.passed, self.approved, self.held) = (false, false, false);
        self.progress.begins_anew();
        tally.rejected += 1;
    }

    /// Somebody took what was proposed.
    pub(super) fn was_taken(&mut self, commit: Oid, tally: &mut Tally) -> Result<(), String> {
        check(self.passed && self.held, || "it is seen landed, and was not proposed".to_owned())?;
        check(!self.landed, || "it is seen landed twice".to_owned())?;
        (self.landed, self.landed_as) = (true, Some(commit));
        self.brought.push(Some(commit));
        tally.landed += 1;
        tally.landed_elsewhere += 1;
        Ok(())
    }
}
