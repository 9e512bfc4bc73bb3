//! What an answer does to the state: a run that asked is told, a tool that asked has its result.

use taskd_model::{Digest, EffectId, Event, LoopId, Seq, Time};

use super::State;
use crate::{
    asked::Pending,
    engine::{LoopEngine, ToolState},
};

impl State {
    /// A question was answered: of a run that is open, or of a loop.
    pub(super) fn answered(&mut self, id: LoopId, event: &Event, since: (Time, Seq)) {
        let Event::QuestionAnswered { effect, n, result, .. } = event else { return };
        if let Some(open) = self.effects.get_mut(effect) {
            open.asked.retain(|_, it| it.n != *n);
            return;
        }
        let max_turns = self.max_turns(id);
        let engine = self.engine_mut(id);
        if let Some(waited_ms) = engine.answered(*effect, *result, since, max_turns) {
            self.did_not_count(id, waited_ms);
        }
    }

    /// A loop waited so long for a person: neither its time nor its plan's.
    pub(super) fn did_not_count(&mut self, id: LoopId, waited_ms: u64) {
        let engine = self.engine_mut(id);
        engine.parked_ms = engine.parked_ms.saturating_add(waited_ms);
        let parked_ms = engine.parked_ms;
        if self.plan(id.plan()).parked_ms < parked_ms {
            self.plan_mut(id.plan()).parked_ms = parked_ms;
            self.touch_whole_plan(id.plan());
        }
    }
}

impl LoopEngine {
    /// A tool asked a person: it is over when that is answered.
    pub(super) fn has_asked(&mut self, index: u16, pending: Pending) {
        self.turn.tools[usize::from(index)].state = ToolState::Asked(pending);
        self.questions = self.questions.saturating_add(1);
    }

    /// The tool that asked has its result. Says how long it waited, if it did, in milliseconds.
    fn answered(
        &mut self,
        effect: EffectId,
        result: Option<Digest>,
        since: (Time, Seq),
        max_turns: u32,
    ) -> Option<u64> {
        let pending = *self.asking().filter(|it| it.effect == effect)?;
        for slot in &mut self.turn.tools {
            if slot.state == ToolState::Asked(pending) {
                slot.state = ToolState::Done(result);
            }
        }
        self.finish_turn(since, max_turns);
        Some(since.0.ms_since(pending.since))
    }
}
