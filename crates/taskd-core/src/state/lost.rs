//! What the loss of a place does: a new life begins, and whatever ran in the old one is gone.
//!
//! The turn is the unit of recovery. Replies and finished tools are in the log and are never asked
//! for again. Reads, gates, git steps and unfinished calls are asked for again under new ids. A
//! writing tool caught halfway is undone to the checkpoint before it; a command is then not
//! repeated, its result says "interrupted". An agent goes on from the tree it left.

use taskd_model::{EffectId, LoopId, Outcome, Owner, PrepareMode, Seq, Time, Usage, Work};

use super::{Open, State, landing::queue_op};
use crate::engine::{LoopEngine, ToolState, Turn};

/// The tool that runs a command; its effects are not ours to repeat.
const RUN: &str = "run";

impl State {
    pub(super) fn lose_place(&mut self, at: Time) {
        let lost = std::mem::take(&mut self.effects);
        let nothing = Outcome::Cancelled { usage: Usage::default(), checkpoint: None };
        let was_stopped = std::mem::take(&mut self.stopped);
        for (id, open) in lost {
            // A call that was sent stays admitted; its spend so far is booked already.
            self.free(id, &open, &nothing);
            match open.owner {
                // It is asked for again.
                Owner::Loop(_) if matches!(open.work, Work::Answer(_)) => {}
                Owner::Loop(loop_id) => {
                    let since = (at, Seq(self.next.0 - 1));
                    let max_turns = self.max_turns(loop_id);
                    let engine = self.engine_mut(loop_id);
                    let restarts = engine.restarts;
                    engine.lost(id, &open);
                    if was_stopped {
                        // A person's stop is no crash; it may happen as often as they like.
                        engine.restarts = restarts;
                    }
                    engine.finish_turn(since, max_turns);
                }
                Owner::Queue(_) => {
                    let lane = self.lane_of(queue_op(&open.work).plan());
                    let active = self.lane_mut(&lane).active.as_mut();
                    let active = active.expect("its effects have an entry");
                    (active.open, active.joining) = (None, None);
                    self.put_aside(&lane);
                }
                Owner::Plan(plan) => self.plan_mut(plan).checking = None,
            }
        }
        for engine in self.loops.values_mut() {
            engine.place_lost(at);
        }
        let loops: Vec<LoopId> = self.loops.keys().copied().collect();
        loops.into_iter().for_each(|id| self.note_call_wait(id));
        self.changes.0.clear();
        self.reindex();
    }
}

impl LoopEngine {
    /// Its worktree may have gone with the place; ensure it before anything else is done in it.
    fn place_lost(&mut self, at: Time) {
        self.talk.place_lost(at);
        self.saving_lost();
        let begun = self.started_at.is_some() && !self.is_over();
        if begun && self.prepare.is_none() {
            self.prepare = Some(PrepareMode::Keep(self.checkpoint));
        }
    }

    /// An effect ended without an outcome of its own: with its place, or because the place gave
    /// it up.
    pub(super) fn lost(&mut self, id: EffectId, open: &Open) {
        self.open.remove(&id);
        match &open.work {
            Work::Call { .. } => {
                // Reads that had begun early belong to a stream that nobody will finish.
                self.turn = Turn::default();
            }
            Work::Tool { index, name, reads, .. } => {
                if let Some(slot) = self.turn.tools.get_mut(usize::from(*index)) {
                    let again = *reads || name != RUN;
                    slot.state = if again { ToolState::Seen } else { ToolState::Done(None) };
                }
                if !reads {
                    self.undo_files();
                }
            }
            Work::Agent { reader, .. } => {
                self.restarts += 1;
                self.relays.clear();
                if reader.is_some() {
                    self.undo_files();
                } else {
                    self.prepare = Some(PrepareMode::Keep(self.checkpoint));
                }
            }
            Work::Gate | Work::AcceptBefore => {
                self.prepare = Some(PrepareMode::Keep(self.checkpoint));
            }
            Work::Rebase { .. } => self.rebase_undone(),
            // It is asked for again.
            Work::Save { .. }
            | Work::CheckBase { .. }
            | Work::Relay(_)
            | Work::Answer(_)
            | Work::Prepare { .. }
            | Work::Compose
            | Work::Decompose { .. }
            | Work::BuildCandidate { .. }
            | Work::GateCandidate { .. }
            | Work::Publish { .. } => {}
        }
    }
    /// The files go back to what was last saved.
    pub(super) fn undo_files(&mut self) {
        self.prepare = Some(self.checkpoint.map_or(PrepareMode::Fresh, PrepareMode::Restore));
    }

    /// A rebase stopped halfway: the files go back to where it began, if it had begun.
    pub(super) fn rebase_undone(&mut self) {
        if self.rebase_from.take().is_some() {
            self.undo_files();
        } else {
            self.prepare = Some(PrepareMode::Keep(self.checkpoint));
        }
    }
}
