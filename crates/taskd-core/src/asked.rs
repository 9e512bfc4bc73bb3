//! Questions that wait for a person, and their answers: the first one counts.
//!
//! An agent's question lives as long as the run that asked. A loop's own is a tool whose result is
//! the answer: it is part of the turn, so it lives as long as that, whatever happens to the daemon.
//! While it waits nothing of the loop runs, it has no slot, and its time does not pass.

use serde::{Deserialize, Serialize};
use taskd_model::{Actor, Command, Digest, EffectId, Event, LoopId, Owner, Question, Seq, Time};

use crate::{
    Coordinator, Rejected,
    coordinator::truncate,
    engine::{LoopEngine, ToolState},
    state::Open,
};

/// Longest words of an answer that an event carries, in bytes.
const MAX_SAID_BYTES: usize = 200;

/// A question of a loop's own that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The tool that asked.
    pub(crate) effect: EffectId,
    /// The event that asked: what the question is called.
    pub(crate) id: Seq,
    pub(crate) since: Time,
    choices: u16,
    /// What is answered if nobody does, and when.
    due: Option<Due>,
}

/// An answer that comes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Due {
    at: Time,
    choice: Option<u16>,
    result: Digest,
}

impl Pending {
    pub(crate) fn new(effect: EffectId, question: &Question, (since, id): (Time, Seq)) -> Self {
        let choices = u16::try_from(question.choices.len()).unwrap_or(u16::MAX);
        let due = |ms: u64| {
            let it = question.default.as_ref()?;
            Some(Due { at: since.plus_ms(ms), choice: it.choice, result: it.result })
        };
        Self { effect, id, since, choices, due: question.deadline_ms.and_then(due) }
    }

    /// When its default is taken.
    pub(crate) fn due_at(&self) -> Option<Time> {
        self.due.map(|it| it.at)
    }
}

impl LoopEngine {
    /// What it asks, if it waits for an answer.
    pub(crate) fn asking(&self) -> Option<&Pending> {
        self.turn.tools.iter().find_map(|it| match &it.state {
            ToolState::Asked(pending) => Some(pending),
            ToolState::Seen | ToolState::Running(_) | ToolState::Done(_) => None,
        })
    }

    /// The answer that comes by itself, once it is time.
    pub(crate) fn default_answer(&self, now: Time) -> Option<Event> {
        let pending = self.asking()?;
        let due = pending.due.filter(|it| it.at <= now)?;
        Some(Event::QuestionAnswered {
            effect: pending.effect,
            n: 1,
            choice: due.choice,
            said: String::new(),
            result: Some(due.result),
        })
    }
}

impl Coordinator {
    /// Every question nobody has answered.
    pub fn open_questions(&self) -> impl Iterator<Item = Seq> + '_ {
        let of_runs = self.state().effects().values().flat_map(|it| it.asked.keys().copied());
        let asking = |it: &LoopEngine| it.asking().filter(|_| !it.is_over()).map(|it| it.id);
        of_runs.chain(self.state().loops().values().filter_map(asking))
    }

    /// The first answer counts.
    pub(crate) fn answer(
        &mut self,
        now: Time,
        actor: Actor,
        command: &Command,
    ) -> Result<(), Rejected> {
        let Command::Answer { question, choice, said, result } = command else { return Ok(()) };
        let asked = self.open_question(*question).ok_or(Rejected::NoQuestion(*question))?;
        let wrong = match choice {
            Some(choice) => asked.choices <= *choice,
            None => !asked.free,
        };
        if wrong || asked.free != result.is_some() {
            return Err(Rejected::NoChoice { question: *question, choices: asked.choices });
        }
        let event = Event::QuestionAnswered {
            effect: asked.effect,
            n: asked.n,
            choice: *choice,
            said: truncate(said.replace(char::is_control, " "), MAX_SAID_BYTES),
            result: *result,
        };
        self.emit(now, actor, Some(asked.of), event);
        Ok(())
    }

    /// Yes or no to what an item of the inbox asks. Whoever comes second is refused, also where the
    /// same loop asks anew since.
    pub(crate) fn decided(
        &mut self,
        now: Time,
        actor: Actor,
        (id, item): (LoopId, Seq),
        note: Option<Digest>,
    ) -> Result<(), Rejected> {
        let open = |it: &LoopEngine| {
            !it.is_over() && !it.approved && it.asked.is_some_and(|asked| asked <= item)
        };
        let engine = self.state().engine(id).ok_or(Rejected::NoLoop(id))?;
        if !open(engine) {
            return Err(Rejected::Answered(item));
        }
        match note {
            None => self.land(now, actor, &[id]),
            Some(note) => {
                self.passed(&[id])?;
                self.emit(now, actor, Some(id), Event::Rejected { note });
                Ok(())
            }
        }
    }

    /// Whose question it is, if it is open.
    fn open_question(&self, question: Seq) -> Option<Found> {
        let of_run = |(effect, open): (&EffectId, &Open)| {
            let Owner::Loop(of) = open.owner else { return None };
            let it = open.asked.get(&question)?;
            Some(Found { of, effect: *effect, n: it.n, choices: it.choices, free: false })
        };
        let of_loop = |engine: &LoopEngine| {
            let it = engine.asking().filter(|it| it.id == question && !engine.is_over())?;
            let (of, effect) = (engine.id, it.effect);
            Some(Found { of, effect, n: 1, choices: it.choices, free: true })
        };
        let found = self.state().effects().iter().find_map(of_run);
        found.or_else(|| self.state().loops().values().find_map(of_loop))
    }
}

/// An open question.
struct Found {
    of: LoopId,
    effect: EffectId,
    n: u32,
    choices: u16,
    /// A loop's own.
    free: bool,
}
