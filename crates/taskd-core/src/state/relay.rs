//! What the calls of agents do to the state.

use taskd_model::{CallWanted, EffectId, LoopId, Seq, Time, Work};

use super::State;
use crate::relay::WantedRelay;

impl State {
    /// An agent asks for a call. One that a day's budget does not pay for today ends the run: it goes
    /// on when there is money again.
    pub(super) fn relay_wanted(&mut self, id: LoopId, agent: EffectId, wanted: &CallWanted) {
        let since = (self.now, Seq(self.next.0 - 1));
        let wanted = WantedRelay { agent, wanted: wanted.clone(), since };
        self.engine_mut(id).relays.push_back(wanted);
        if self.closed_for(id).is_some() {
            self.end_relays(id);
        }
        self.note_call_wait(id);
    }

    /// An agent no longer waits for a call; one that is under way ends.
    pub(super) fn relay_given_up(&mut self, id: LoopId, agent: EffectId, call: u32) {
        let engine = self.engine_mut(id);
        engine.relays.retain(|it| it.agent != agent || it.wanted.call != call);
        let open: Vec<EffectId> = engine.open.iter().copied().collect();
        for effect in open {
            let is_it = |work: &Work| matches!(work, Work::Relay(it) if it.agent == agent && it.call == call);
            if is_it(&self.effects[&effect].work) {
                self.end_wanted(effect);
            }
        }
        self.note_call_wait(id);
    }

    /// The call that waited was admitted; says since when it had waited.
    pub(super) fn relay_started(&mut self, id: LoopId) -> Time {
        let relay = self.engine_mut(id).relays.pop_front();
        relay.expect("only calls that wait are admitted").since.0
    }

    /// A run that waits for a call which nobody pays for ends; with it what it has asked for.
    pub(super) fn end_relays(&mut self, id: LoopId) {
        let engine = self.engine_mut(id);
        let Some(agent) = engine.relays.front().map(|it| it.agent) else { return };
        engine.relays.clear();
        self.end_wanted(agent);
    }

    /// The run of an agent is over: nobody waits for its calls any more.
    pub(super) fn run_over(&mut self, id: LoopId) {
        let engine = self.engine_mut(id);
        engine.relays.clear();
        // It rested for a call of the run, if at all.
        engine.retry_at = None;
        engine.deferral = None;
        let open: Vec<EffectId> = engine.open.iter().copied().collect();
        for effect in open {
            let is_call =
                self.effects.get(&effect).is_some_and(|it| matches!(it.work, Work::Relay(_)));
            if is_call {
                self.end_wanted(effect);
            }
        }
    }
}
