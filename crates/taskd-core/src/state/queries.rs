//! What queries between loops, and a loop that stops another one, do to the state.

use taskd_model::{EffectId, LoopId, Outcome, Query, QueryEnd, Reason, Seq, Status, Time};

use super::State;
use crate::queries::{Asking, OpenQuery};

impl State {
    /// A loop was asked something; its asker waits.
    pub(super) fn query_asked(&mut self, id: LoopId, query: &Query, since: (Time, Seq)) {
        self.letters.queries += 1;
        let asker = self.engine_mut(query.from);
        asker.turn.queried.insert(query.index, Asking { id: since.1, end: None });
        asker.talk.awaits.insert(since.1, id);
        asker.talk.sender.sent(since.0);
        self.engine_mut(id).talk.queries.push(OpenQuery {
            id: since.1,
            from: query.from,
            call: query.call.clone(),
            since,
            until: since.0.plus_ms(query.wait_ms),
            wait_ms: query.wait_ms,
            effect: None,
            sends: 0,
        });
    }

    /// A query ended: nobody answers it any more, and whoever asked knows how.
    pub(super) fn query_ended(&mut self, id: LoopId, query: Seq, from: LoopId, end: &QueryEnd) {
        self.letters.timeouts += u64::from(*end == QueryEnd::TimedOut);
        let queries = &mut self.engine_mut(id).talk.queries;
        let place = queries.iter().position(|it| it.id == query);
        let effect = place.and_then(|it| queries.remove(it).effect);
        if let Some(effect) = effect.filter(|it| self.effects.contains_key(it)) {
            self.end_wanted(effect);
        }
        let asker = self.engine_mut(from);
        asker.talk.awaits.remove(&query);
        for asking in asker.turn.queried.values_mut().filter(|it| it.id == query) {
            asking.end = Some(end.clone());
        }
    }

    /// The call that answers was admitted; says since when it had waited.
    pub(super) fn answer_started(&mut self, id: LoopId, effect: EffectId, query: Seq) -> Time {
        let talk = &mut self.engine_mut(id).talk;
        talk.answering.insert(effect);
        let query = talk.queries.iter_mut().find(|it| it.id == query);
        let query = query.expect("only queries that wait are admitted");
        query.effect = Some(effect);
        query.sends += 1;
        query.since.0
    }

    /// The call that answers ended; what its end means is decided elsewhere.
    pub(super) fn answer_ended(&mut self, id: LoopId, effect: EffectId, outcome: &Outcome) {
        let talk = &mut self.engine_mut(id).talk;
        talk.answering.remove(&effect);
        // An answer ends the query with the next event: nothing is sent in between.
        if matches!(outcome, Outcome::Answered { .. }) {
            return;
        }
        for it in talk.queries.iter_mut().filter(|it| it.effect == Some(effect)) {
            it.effect = None;
        }
    }

    /// Another loop of its plan ends the loop; its tool has said so once.
    pub(super) fn stopped_by(&mut self, id: LoopId, by: LoopId, index: u16) {
        self.engine_mut(by).turn.sent.insert(index);
        let name = self.plan(by.plan()).name_of(by);
        self.end_loop(id, Status::Stopped, Reason::Loop(name));
    }
}
