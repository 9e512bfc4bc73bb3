//! Questions of agents that wait for a person. They live as long as the run that asked.

use taskd_model::{Actor, EffectId, Event, LoopId, Owner, Seq, Time};

use crate::{Coordinator, Rejected};

impl Coordinator {
    /// Every question nobody has answered.
    pub fn open_questions(&self) -> impl Iterator<Item = Seq> + '_ {
        self.state().effects().values().flat_map(|it| it.asked.keys().copied())
    }

    /// The first answer counts.
    pub(crate) fn answer(
        &mut self,
        now: Time,
        actor: Actor,
        question: Seq,
        choice: u16,
    ) -> Result<(), Rejected> {
        let (id, effect, n) = self.open_question(question, choice)?;
        self.emit(now, actor, Some(id), Event::QuestionAnswered { effect, n, choice });
        Ok(())
    }

    /// Whose question it is, if it is open and has such an answer.
    fn open_question(
        &self,
        question: Seq,
        choice: u16,
    ) -> Result<(LoopId, EffectId, u32), Rejected> {
        let asks = |(effect, open): (&EffectId, &crate::state::Open)| {
            let Owner::Loop(id) = open.owner else { return None };
            open.asked.get(&question).map(|it| (id, *effect, *it))
        };
        let found = self.state().effects().iter().find_map(asks);
        let (id, effect, asked) = found.ok_or(Rejected::NoQuestion(question))?;
        if asked.choices <= choice {
            return Err(Rejected::NoChoice { question, choices: asked.choices });
        }
        Ok((id, effect, asked.n))
    }
}
