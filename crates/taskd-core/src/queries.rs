//! Queries between the loops of a plan: who may be asked, which call answers, and when a query ends
//! without an answer.
//!
//! A query is answered beside what the loop does that is asked: by a call to its model that has its
//! context and no tools, admitted like its own calls and paid by it. So whoever is in the middle of
//! something answers all the same, also two that ask one another. It ends exactly once; a query
//! nobody can answer any more ends at once.

use serde::{Deserialize, Serialize};
use taskd_model::{
    Actor, Answer, EffectId, Event, LoopId, Order, Outcome, Owner, Query, QueryEnd, Saying, Seq,
    SideCall, Spoken, Status, Time, TurnRef, Unsent, Work,
};

use crate::{
    Coordinator, Rejected,
    coordinator::truncate,
    engine::{LoopEngine, Next, ToolSlot, ToolState},
    messages::Talk,
    money::Cap,
    scheduler::Cost,
    state::State,
};

/// Queries to one loop that are open at once.
const MAX_OPEN: usize = 8;
/// Times the call that answers is sent before the query has failed.
const MAX_SENDS: u32 = 3;
/// Longest words about a query or a stop that an event carries, in bytes.
const MAX_WHY_BYTES: usize = 200;

/// A query to a loop that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenQuery {
    pub(crate) id: Seq,
    pub(crate) from: LoopId,
    pub(crate) call: SideCall,
    /// When it was asked: its place in the bucket.
    pub(crate) since: (Time, Seq),
    pub(crate) until: Time,
    pub(crate) wait_ms: u64,
    /// The call that is under way.
    pub(crate) effect: Option<EffectId>,
    /// Times it was sent.
    pub(crate) sends: u32,
}

/// A query of a loop's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asking {
    pub(crate) id: Seq,
    /// How it ended, if it has.
    pub(crate) end: Option<QueryEnd>,
}

impl OpenQuery {
    /// The work it is once it is admitted.
    pub(crate) fn work(&self, cap: &Cap, cost: Cost) -> Work {
        Work::Answer(Box::new(Answer {
            query: self.id,
            call: self.call.clone(),
            cap_micros: cap.micros,
            cap_tokens: cap.tokens,
            input_tokens: cost.input,
            output_tokens: cost.output,
        }))
    }

    /// That it ended so.
    pub(crate) fn ended(&self, end: QueryEnd) -> Event {
        let word = Spoken::QueryEnded { query: self.id, from: self.from, end };
        Event::Spoken { word }
    }
}

impl Talk {
    /// When the first query to it is no longer waited for.
    pub(crate) fn queries_until(&self) -> Option<Time> {
        self.queries.iter().map(|it| it.until).min()
    }

    /// A new life: its effects are gone, and who waits for an answer waits anew.
    pub(crate) fn place_lost(&mut self, now: Time) {
        self.answering.clear();
        for it in &mut self.queries {
            it.effect = None;
            it.until = now.plus_ms(it.wait_ms);
        }
    }
}

impl LoopEngine {
    /// Why it answers nothing, as what is said of it; nothing if it does.
    pub(crate) fn silence(&self) -> Option<String> {
        let said = match self.status {
            Status::Draft | Status::Pending => "has not begun".to_owned(),
            Status::Paused => "was paused by a person".to_owned(),
            Status::Blocked | Status::Complete | Status::Failed | Status::Stopped => {
                let reason = self.reason.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("is {}: {reason}", self.status)
            }
            Status::Running | Status::Rebasing => match &self.ending {
                Some((to, reason)) => format!("is {to}: {reason}"),
                None if self.next == Next::Land => "has passed its gate".to_owned(),
                None if self.asking().is_some() => "waits for a person".to_owned(),
                None => return None,
            },
        };
        Some(truncate(said, MAX_WHY_BYTES))
    }

    /// It works on something it can be asked about, and with a model of ours.
    fn answers(&self) -> bool {
        self.model().is_some() && self.silence().is_none()
    }

    /// The query whose call waits for admission, if one does.
    pub(crate) fn waiting_query(&self) -> Option<&OpenQuery> {
        self.talk.queries.iter().find(|it| it.effect.is_none()).filter(|_| self.answers())
    }

    /// It still waits for the answer to this query.
    fn waits_for(&self, query: Seq) -> bool {
        let asked = self.turn.queried.iter().find(|(_, it)| it.id == query);
        let slot = asked.and_then(|(index, _)| self.turn.tools.get(usize::from(*index)));
        let waits = slot.is_some_and(|it| !matches!(it.state, ToolState::Done(_)));
        waits && self.ending.is_none() && !self.is_over()
    }

    /// The query to it whose time is over, as an event.
    pub(crate) fn query_due(&self, now: Time) -> Option<Event> {
        let late = self.talk.queries.iter().find(|it| it.until <= now)?;
        Some(late.ended(QueryEnd::TimedOut))
    }
}

/// A query to the loop that must end now, whatever happens in the world.
pub(crate) fn query_step(state: &State, engine: &LoopEngine) -> Option<Event> {
    if engine.talk.queries.is_empty() {
        return None;
    }
    let gone = engine.silence().map(|why| QueryEnd::Gone { why });
    let end = |it: &OpenQuery| {
        if let Some(gone) = &gone {
            return Some(gone.clone());
        }
        let waits = state.engine(it.from).is_some_and(|asker| asker.waits_for(it.id));
        if !waits {
            return Some(QueryEnd::Expired);
        }
        // Rendered for another model, it would wait in that one's bucket and hold up this one.
        let moved = it.effect.is_none() && engine.model() != Some(&it.call.bucket);
        moved.then(|| QueryEnd::Failed { why: "its model was changed; ask again".to_owned() })
    };
    engine.talk.queries.iter().find_map(|it| Some(it.ended(end(it)?)))
}

impl Coordinator {
    /// A tool of a loop asks another one. What is refused for its number is the answer.
    pub(crate) fn ask_loop(
        &mut self,
        now: Time,
        (from, index): (LoopId, u16),
        saying: &Saying,
    ) -> Result<Option<Rejected>, Rejected> {
        let Saying::Query { to, text, call, wait_ms } = saying else { return Ok(None) };
        if self.state().loops()[&from].turn.queried.contains_key(&index) {
            return Ok(None);
        }
        self.may_hear(from, *to)?;
        let (engine, name) = (&self.state().loops()[to], self.name_of(*to));
        if engine.model().is_none() {
            return Err(Rejected::AgentsAreNotAsked { name });
        }
        if let Some(why) = engine.silence() {
            return Err(Rejected::AnswersNot { name, why });
        }
        if let Some(refused) = self.check_rate(now, from)? {
            return Ok(Some(refused));
        }
        if MAX_OPEN <= self.state().loops()[to].talk.queries.len() {
            self.refuse(now, from, Unsent::Full);
            return Ok(Some(Rejected::MailboxFull { name }));
        }
        let (text, call, wait_ms) = (*text, call.clone(), *wait_ms);
        let query = Box::new(Query { from, index, text, call, wait_ms });
        self.emit(now, Actor::Runner, Some(*to), Event::Spoken { word: Spoken::Query { query } });
        Ok(None)
    }

    /// What an order about a loop would be given now, the turn under way included, and nothing that
    /// is wanted: for a query to it.
    #[must_use]
    pub fn context_of(&self, id: LoopId) -> Option<Order> {
        let engine = self.state().engine(id)?;
        let plan = self.state().plan(id.plan());
        // Whoever reads its work now knows nothing else of it.
        let own = (engine.model().cloned(), false);
        let mut subject = self.subject(id);
        (subject.model, subject.reads) = own;
        if let Some(reply) = engine.turn.reply {
            let results = engine.turn.tools.iter().map(ToolSlot::result).collect();
            subject.turns.push(TurnRef { reply, results });
        }
        Some(Order {
            effect: EffectId(Seq(0)),
            owner: Owner::Loop(id),
            work: Work::Compose,
            project: plan.head.project,
            plan: id.plan(),
            plan_doc: plan.head.doc,
            target: plan.head.target.clone(),
            subject: Some(subject),
            beside: Vec::new(),
        })
    }

    /// How the query of this tool ended, if it has, where it asked one.
    #[must_use]
    pub fn asked_by(&self, effect: EffectId) -> Option<Option<QueryEnd>> {
        let (from, index) = self.speaker(effect)?;
        Some(self.state().loops()[&from].turn.queried.get(&index)?.end.clone())
    }

    /// What a call means that was to answer a query.
    pub(crate) fn query_answered(&mut self, now: Time, id: LoopId, work: &Work, outcome: &Outcome) {
        let Work::Answer(answer) = work else { return };
        let queries = &self.state().loops()[&id].talk.queries;
        let Some(it) = queries.iter().find(|it| it.id == answer.query) else { return };
        let end = match (outcome, outcome.failure()) {
            (Outcome::Answered { reply, .. }, _) => QueryEnd::Answered { reply: *reply },
            (Outcome::Failed { message, .. }, Some(failure)) => {
                if failure.may_pass() && it.sends < MAX_SENDS {
                    return;
                }
                QueryEnd::Failed { why: truncate(message.clone(), MAX_WHY_BYTES) }
            }
            // It was given up: it is asked for again.
            (_, _) => return,
        };
        let event = it.ended(end);
        self.emit(now, Actor::Core, Some(id), event);
    }

    /// Queries that are open, of all loops.
    #[must_use]
    pub fn open_queries(&self) -> usize {
        self.state().loops().values().map(|it| it.talk.queries.len()).sum()
    }

    /// A loop ends another one of its plan; whatever it has sent before, this is heard.
    pub(crate) fn stop_by_loop(
        &mut self,
        now: Time,
        (by, index): (LoopId, u16),
        (to, why): (LoopId, &str),
    ) -> Result<Option<Rejected>, Rejected> {
        self.may_hear(by, to)?;
        if self.state().loops()[&to].ending.is_none() {
            let why = truncate(why.replace(char::is_control, " "), MAX_WHY_BYTES);
            let word = Spoken::Stopped { by, index, why };
            self.emit(now, Actor::Runner, Some(to), Event::Spoken { word });
        }
        Ok(None)
    }
}
