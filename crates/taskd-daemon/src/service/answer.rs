//! Answers: to questions of agents and of loops, and yes or no to what else is in the inbox.
//!
//! The core decides who was first. Here a person is told who that was, and what they said.

use taskd_api::{ApiError, codes, v1};
use taskd_core::Rejected;
use taskd_model::{
    Actor, Command, InboxItem, InboxKind, QuestionView, Seq, encode_doc, inbox_number,
};

use super::{Service, act::refused, internal};
use crate::runner::answer_doc;

/// Longest answer in words of one's own, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// What a person means by an answer.
struct Meant {
    /// Which of the choices, from 0.
    choice: Option<u16>,
    /// In words.
    said: String,
}

impl Service {
    /// Answers one question by its number.
    pub(super) async fn answer(
        &self,
        actor: Actor,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let [id] = request.ids.as_slice() else {
            return Err(ApiError::new(codes::INVALID, "name one question").hint("taskd inbox"));
        };
        let number = inbox_number(id).ok_or_else(|| {
            let what = format!("`{}` is no number of a question", short(id));
            ApiError::new(codes::INVALID, what).hint("taskd inbox")
        })?;
        let (name, question) = self.question(number)?;
        let Meant { choice, said } = meant(&question, &request.text)?;
        let mut result = v1::ActResult {
            id: id.clone(),
            name,
            done: !request.dry_run,
            message: format!("answered: {}", short(&said)),
            error: None,
        };
        if request.dry_run {
            result.message = format!("would answer: {}", short(&said));
            return Ok(v1::ActResponse { results: vec![result], seq: 0 });
        }
        let doc = question.free.then(|| {
            let text = format!("The person who gave the task answers: {said}");
            self.ctx().store.queue_blob(encode_doc(&answer_doc(&text))).map_err(|it| internal(&it))
        });
        let said = if choice.is_some() { String::new() } else { said };
        let command = Command::Answer { question: number, choice, said, result: doc.transpose()? };
        let seq = self.first_command(actor, command, number).await?;
        Ok(v1::ActResponse { results: vec![result], seq })
    }

    /// Yes, or no with a note, to items of the inbox. The first word counts.
    pub(super) async fn decide(
        &self,
        actor: Actor,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let rejects = request.verb() == v1::Verb::Reject;
        if rejects && request.text.trim().is_empty() {
            return Err(ApiError::new(codes::INVALID, "the text is empty").hint("-m \"...\""));
        }
        let mut response = v1::ActResponse { seq: self.ctx().hub.head().0, results: Vec::new() };
        for id in &request.ids {
            let number = inbox_number(id).unwrap_or_default();
            let (name, item) = self.item(number)?;
            if !matches!(item.kind, InboxKind::Plan | InboxKind::Landing) {
                let what =
                    format!("{id} is no plan and no landing, so there is no yes or no to it");
                let how = self.ctx().hub.view().answers(&item);
                return Err(ApiError::new(codes::REFUSED, what).hint(how));
            }
            if !request.dry_run {
                let note = rejects.then(|| {
                    let note = request.text.as_bytes().to_vec();
                    self.ctx().store.queue_blob(note).map_err(|it| internal(&it))
                });
                if rejects {
                    self.tell_edits(actor, &[item.loop_id]).await;
                }
                let (id, note) = (item.loop_id, note.transpose()?);
                let command = Command::Decide { id, item: number, note };
                response.seq = self.first_command(actor, command, number).await?;
            }
            let message = match (request.dry_run, rejects) {
                (true, _) => "would change",
                (false, true) => "sent back",
                (false, false) if item.kind == InboxKind::Plan => "approved",
                (false, false) => "will land",
            };
            response.results.push(v1::ActResult {
                id: id.clone(),
                name,
                done: !request.dry_run,
                message: message.to_owned(),
                error: None,
            });
        }
        Ok(response)
    }

    /// Hands in an answer. Whoever comes second is told who was first.
    async fn first_command(
        &self,
        actor: Actor,
        command: Command,
        item: Seq,
    ) -> Result<u64, ApiError> {
        self.hand_in(actor, command).await?.map_err(|rejected| {
            let late = matches!(rejected, Rejected::NoQuestion(_) | Rejected::Answered(_));
            let first = if late { self.over(item) } else { None };
            first.unwrap_or_else(|| refused(&rejected))
        })
    }

    /// Why an item that was there waits no longer.
    fn over(&self, item: Seq) -> Option<ApiError> {
        let view = self.ctx().hub.view();
        let item = view.inbox.find(item)?;
        let name = item.name();
        let what = match (&item.answer, item.closed_at) {
            (Some(answer), _) => format!("{name} is not open: it was answered already: {answer}"),
            (None, Some(_)) => format!("{name} is not open: whoever asked is over"),
            (None, None) => return None,
        };
        Some(ApiError::new(Rejected::Answered(item.id).code(), what).hint("taskd inbox -a"))
    }

    /// An item that is open, and what its loop is called.
    fn item(&self, number: Seq) -> Result<(String, InboxItem), ApiError> {
        let found = {
            let view = self.ctx().hub.view();
            let open = view.inbox.find(number).filter(|it| it.closed_at.is_none());
            open.map(|it| (view.loop_name(it.loop_id), it.clone()))
        };
        let none = || {
            let what = format!("there is nothing called i{number} in the inbox");
            ApiError::new(codes::NOT_FOUND, what).hint("taskd inbox")
        };
        found.ok_or_else(|| self.over(number).unwrap_or_else(none))
    }

    /// A question that is open, and what its loop is called.
    fn question(&self, number: Seq) -> Result<(String, QuestionView), ApiError> {
        let found = {
            let view = self.ctx().hub.view();
            let asks = |it: &taskd_model::LoopView| {
                let found = it.open_questions().find(|it| it.id == number)?;
                Some((it.name.clone(), found.clone()))
            };
            view.loops.values().find_map(asks)
        };
        found.ok_or_else(|| {
            let refused = Rejected::NoQuestion(number);
            let none = || ApiError::new(refused.code(), refused.to_string()).hint("taskd inbox");
            self.over(number).unwrap_or_else(none)
        })
    }
}

/// Which answer is meant: by number from 1, by its words, or words of one's own where a loop asks.
fn meant(question: &QuestionView, text: &str) -> Result<Meant, ApiError> {
    let text = text.trim();
    let by_number = text.parse::<usize>().ok().and_then(|it| it.checked_sub(1));
    let by_words = || question.choices.iter().position(|it| it.eq_ignore_ascii_case(text));
    let place = by_number.or_else(by_words).filter(|it| *it < question.choices.len());
    if let Some(place) = place {
        let choice = u16::try_from(place).ok();
        return Ok(Meant { choice, said: question.choices[place].clone() });
    }
    if question.free && !text.is_empty() {
        if MAX_ANSWER_BYTES < text.len() {
            let what = format!("the answer is longer than {MAX_ANSWER_BYTES} bytes");
            return Err(
                ApiError::new(codes::INVALID, what).hint("put it into a file, and name that")
            );
        }
        return Ok(Meant { choice: None, said: text.to_owned() });
    }
    let choices = question.choices.iter().zip(1..).map(|(name, n)| format!("{n} {name}"));
    let choices = choices.collect::<Vec<_>>().join(", ");
    let what = format!("`{}` is no answer to question {}", short(text), question.id);
    Err(ApiError::new(codes::INVALID, what).hint(format!("one of: {choices}")))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
