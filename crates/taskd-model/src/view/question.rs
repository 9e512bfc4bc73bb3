//! Questions of agents that wait for a person, and what became of them.

use serde::{Deserialize, Serialize};

use crate::{EffectId, LoopView, Seq, Time};

use super::Doing;

/// A question of an agent that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionView {
    /// The event that asked it: what it is called.
    pub id: Seq,
    /// The run that asked; with its end the question is gone.
    pub effect: EffectId,
    /// Which question of that run, from 1.
    pub n: u32,
    /// What the agent wants to do.
    pub text: String,
    /// What may be answered.
    pub choices: Vec<String>,
    /// When it was asked.
    pub at: Time,
    /// What was answered, by place in `choices`.
    pub answer: Option<u16>,
}

impl LoopView {
    /// Questions nobody has answered yet, the oldest first.
    pub fn open_questions(&self) -> impl Iterator<Item = &QuestionView> {
        self.questions.iter().filter(|it| it.answer.is_none())
    }

    pub(super) fn asked(&mut self, question: QuestionView) {
        let at = question.at;
        self.questions.push(question);
        self.waits_for_answers(at);
    }

    pub(super) fn answered(&mut self, effect: EffectId, n: u32, choice: u16, at: Time) {
        let of_it = |it: &&mut QuestionView| it.effect == effect && it.n == n;
        if let Some(it) = self.questions.iter_mut().find(of_it) {
            it.answer.get_or_insert(choice);
        }
        self.waits_for_answers(at);
    }

    /// The run is over: its questions are nobody's any more.
    pub(super) fn forget_questions(&mut self, effect: EffectId) {
        self.questions.retain(|it| it.effect != effect);
    }

    fn waits_for_answers(&mut self, at: Time) {
        let first = self.open_questions().next().map(|it| it.text.clone());
        match (first, &self.doing) {
            (Some(text), _) => self.doing(Doing::Asks(text), at),
            (None, Doing::Asks(_)) => self.doing(Doing::Agent(None), at),
            (None, _) => {}
        }
    }
}
