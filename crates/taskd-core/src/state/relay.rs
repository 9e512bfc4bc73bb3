//! What the calls of agents do to the state.

use taskd_model::{CallWanted, EffectId, LoopId, Owner, Seq, Time, Work};

use super::State;
use crate::{relay::WantedRelay, scheduler::Cost};

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
        let is_it =
            |work: &Work| matches!(work, Work::Relay(it) if it.agent == agent && it.call == call);
        self.end_open(id, is_it);
        self.note_call_wait(id);
    }

    /// A call was admitted: what it takes is reserved and sent.
    pub(super) fn call_started(&mut self, id: EffectId, owner: Owner, work: &Work, at: Time) {
        let Owner::Loop(loop_id) = owner else { unreachable!("only loops call") };
        let taken = work.taken().expect("a call takes something");
        self.reserve(loop_id, taken.reserved);
        let since = if matches!(work, Work::Relay(_)) {
            Some(self.relay_started(loop_id))
        } else if let Work::Answer(it) = work {
            Some(self.answer_started(loop_id, id, it.query))
        } else {
            self.loops[&loop_id].call_wanted_at
        };
        let waited_ms = since.map_or(0, |it| at.ms_since(it));
        let cost = Cost { input: taken.input_tokens, output: taken.output_tokens };
        let bucket = self.buckets.entry(taken.bucket.to_owned()).or_default();
        bucket.send(&self.limits, (id, loop_id), cost, waited_ms, at);
    }

    /// The call that waited was admitted; says since when it had waited.
    fn relay_started(&mut self, id: LoopId) -> Time {
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
        self.end_open(id, |it| matches!(it, Work::Relay(_)));
    }
}
