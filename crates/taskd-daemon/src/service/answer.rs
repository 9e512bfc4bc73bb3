//! A person's answer to an agent that asks. The first one counts.

use taskd_api::{ApiError, codes, v1};
use taskd_model::{Actor, Command, QuestionView, Seq};

use super::Service;

impl Service {
    /// Answers one question by its number.
    pub(super) async fn answer(
        &self,
        actor: Actor,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let [id] = request.ids.as_slice() else {
            return Err(ApiError::new(codes::INVALID, "name one question").hint("taskd ls"));
        };
        let number = id.parse().map(Seq).map_err(|_| {
            let what = format!("`{}` is no number of a question", short(id));
            ApiError::new(codes::INVALID, what).hint("taskd ls")
        })?;
        let (name, question) = self.question(number)?;
        let choice = chosen(&question, &request.text)?;
        let said = question.choices[usize::from(choice)].clone();
        let mut result = v1::ActResult {
            id: id.clone(),
            name,
            done: !request.dry_run,
            message: format!("answered: {said}"),
            error: None,
        };
        if request.dry_run {
            result.message = format!("would answer: {said}");
            return Ok(v1::ActResponse { results: vec![result], seq: 0 });
        }
        let seq = self.command(actor, Command::Answer { question: number, choice }).await?;
        Ok(v1::ActResponse { results: vec![result], seq })
    }

    /// A question that is open, and what its loop is called.
    fn question(&self, number: Seq) -> Result<(String, QuestionView), ApiError> {
        let view = self.ctx().hub.view();
        let asks = |it: &taskd_model::LoopView| {
            let found = it.open_questions().find(|it| it.id == number)?;
            Some((it.name.clone(), found.clone()))
        };
        view.loops.values().find_map(asks).ok_or_else(|| {
            let refused = taskd_core::Rejected::NoQuestion(number);
            ApiError::new(refused.code(), refused.to_string()).hint("taskd ls")
        })
    }
}

/// Which answer is meant, by number from 1 or by its words.
fn chosen(question: &QuestionView, text: &str) -> Result<u16, ApiError> {
    let text = text.trim();
    let by_number = text.parse::<usize>().ok().and_then(|it| it.checked_sub(1));
    let by_words = || question.choices.iter().position(|it| it.eq_ignore_ascii_case(text));
    let place = by_number.or_else(by_words).filter(|it| *it < question.choices.len());
    place.and_then(|it| u16::try_from(it).ok()).ok_or_else(|| {
        let choices = question.choices.iter().zip(1..).map(|(name, n)| format!("{n} {name}"));
        let choices = choices.collect::<Vec<_>>().join(", ");
        let what = format!("`{}` is no answer to question {}", short(text), question.id);
        ApiError::new(codes::INVALID, what).hint(format!("one of: {choices}"))
    })
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
