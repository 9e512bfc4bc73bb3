//! Questions that wait for a person, and what became of them: of agents, which live as long as the
//! run that asked, and of native loops, which live until they are answered.

use serde::{Deserialize, Serialize};

use crate::{EffectId, Event, LoopView, Question, Record, Seq, Time};

use super::Doing;

/// A question of a loop at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionView {
    /// The event that asked it: what it is called.
    pub id: Seq,
    /// The run that asked; with its end the question is gone, unless it is a loop's own.
    pub effect: EffectId,
    /// Which question of that run, from 1.
    pub n: u32,
    /// What the agent wants to do, or what the loop asks.
    pub text: String,
    /// What may be answered.
    pub choices: Vec<String>,
    /// When it was asked.
    pub at: Time,
    /// What was answered, by place in `choices`.
    pub answer: Option<u16>,
    /// It is a loop's own: any words may be answered, and it outlives whatever runs.
    #[serde(default)]
    pub free: bool,
    /// When its default is taken.
    #[serde(default)]
    pub deadline: Option<Time>,
    /// What is answered then.
    #[serde(default)]
    pub default: Option<String>,
    /// What was answered, in words.
    #[serde(default)]
    pub said: Option<String>,
}

impl QuestionView {
    /// What a loop asks with this tool.
    pub(super) fn of_loop(effect: EffectId, question: &Question, record: &Record) -> Self {
        Self {
            id: record.seq,
            effect,
            n: 1,
            text: question.text.clone(),
            choices: question.choices.clone(),
            at: record.at,
            answer: None,
            free: true,
            deadline: question.deadline_ms.map(|ms| record.at.plus_ms(ms)),
            default: question.default.as_ref().map(|it| it.said.clone()),
            said: None,
        }
    }

    /// This was answered: a choice, or words of one's own; neither where its default was taken.
    pub(super) fn answer_is(&mut self, choice: Option<u16>, said: &str) {
        self.answer = choice;
        let chosen = choice.and_then(|choice| self.choices.get(usize::from(choice)));
        let words = Some(said.to_owned()).filter(|it| !it.is_empty());
        self.said = words.or_else(|| chosen.cloned()).or_else(|| self.default.clone());
        self.said.get_or_insert_default();
    }

    /// Nobody has answered it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && self.said.is_none()
    }
}

impl LoopView {
    /// Questions nobody has answered yet, the oldest first.
    pub fn open_questions(&self) -> impl Iterator<Item = &QuestionView> {
        self.questions.iter().filter(|it| it.is_open())
    }

    /// What the loop itself asks, if it waits for that.
    pub(super) fn asks(&self) -> Option<&QuestionView> {
        self.open_questions().find(|it| it.free)
    }

    pub(super) fn asked(&mut self, question: QuestionView) {
        let at = question.at;
        self.questions.push(question);
        self.waits_for_answers(at);
    }

    /// What an event says was answered, in words.
    pub(super) fn answer_in(&self, event: &Event) -> Option<String> {
        let Event::QuestionAnswered { effect, n, choice, said, .. } = event else { return None };
        let of_it = |it: &&QuestionView| it.effect == *effect && it.n == *n;
        let mut asked = self.questions.iter().find(of_it)?.clone();
        asked.answer_is(*choice, said);
        asked.said
    }

    /// The first answer counts; without one, its default.
    pub(super) fn answered(&mut self, event: &Event, at: Time) {
        let Event::QuestionAnswered { effect, n, choice, said, .. } = event else { return };
        let of_it = |it: &&mut QuestionView| it.effect == *effect && it.n == *n;
        if let Some(it) = self.questions.iter_mut().find(of_it).filter(|it| it.is_open()) {
            it.answer_is(*choice, said);
        }
        self.waits_for_answers(at);
    }

    /// The run is over: its questions are nobody's any more.
    pub(super) fn forget_questions(&mut self, effect: EffectId) {
        self.questions.retain(|it| it.effect != effect || it.free);
    }

    /// What it asked itself is void.
    pub(super) fn forget_asked(&mut self) {
        self.questions.retain(|it| !it.free);
    }

    fn waits_for_answers(&mut self, at: Time) {
        let first = self.open_questions().next().map(|it| it.text.clone());
        let agent = self.agent_runs();
        match (first, &self.doing) {
            (Some(text), _) => self.doing(Doing::Asks(text), at),
            (None, Doing::Asks(_)) if agent => self.doing(Doing::Agent(None), at),
            (None, Doing::Asks(_)) => self.rest(at),
            (None, _) => {}
        }
    }

    fn agent_runs(&self) -> bool {
        matches!(self.worker, crate::Worker::Agent(_))
    }
}
