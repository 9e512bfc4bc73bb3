//! What waits for a person.

use taskd_model::{self as model, Seq, Time, Via};

use super::{WireError, inbox_kind, need};
use crate::v1;

/// Open items and answered ones, each in their order.
pub(super) fn write(it: &model::Inbox) -> Vec<v1::InboxItem> {
    it.open.values().flatten().chain(&it.answered).map(item).collect()
}

fn item(it: &model::InboxItem) -> v1::InboxItem {
    let answer = it.answer.as_ref().map(|it| v1::InboxAnswer {
        uid: it.uid,
        via: it.via.map(|it| it.word().to_owned()),
        said: it.said.clone(),
        at: it.at.0,
    });
    v1::InboxItem {
        id: it.id.0,
        kind: v1::InboxKind::from(it.kind).into(),
        r#loop: Some(it.loop_id.into()),
        what: it.what.clone(),
        choices: it.choices.clone(),
        free: it.free,
        since: it.since.0,
        deadline: it.deadline.map(|it| it.0),
        default_answer: it.default.clone(),
        answer,
        closed_at: it.closed_at.map(|it| it.0),
    }
}

/// The same, read.
pub(super) fn read(items: Vec<v1::InboxItem>) -> Result<model::Inbox, WireError> {
    let mut inbox = model::Inbox::default();
    for it in items {
        let item = read_item(it)?;
        if item.closed_at.is_some() {
            inbox.answered.push_back(item);
        } else {
            inbox.open.entry(item.loop_id).or_default().push(item);
        }
    }
    Ok(inbox)
}

fn read_item(it: v1::InboxItem) -> Result<model::InboxItem, WireError> {
    let answer = it.answer.map(|it| {
        let via = it.via.map(|word| {
            let via = Via::parse(&word);
            via.ok_or_else(|| WireError::new("InboxAnswer.via", format!("is unknown: {word}")))
        });
        Ok(model::AnswerView { uid: it.uid, via: via.transpose()?, said: it.said, at: Time(it.at) })
    });
    Ok(model::InboxItem {
        id: Seq(it.id),
        kind: inbox_kind(it.kind)?,
        loop_id: need(it.r#loop, "InboxItem.loop")?.try_into()?,
        what: it.what,
        choices: it.choices,
        free: it.free,
        since: Time(it.since),
        deadline: it.deadline.map(Time),
        default: it.default_answer,
        answer: answer.transpose()?,
        closed_at: it.closed_at.map(Time),
    })
}
