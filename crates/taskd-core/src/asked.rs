//! Questions of agents that wait for a person. They live as long as the run that asked.

use taskd_model::{EffectId, LoopId, Owner, Seq};

use crate::{Coordinator, Rejected};

impl Coordinator {
    /// Every question nobody has answered.
    pub fn open_questions(&self) -> impl Iterator<Item = Seq> + '_ {
        self.state().effects().values().flat_map(|it| it.asked.keys().copied())
    }

    /// Whose question it is, if it is open and has such an answer.
    pub(crate) fn open_question(
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
