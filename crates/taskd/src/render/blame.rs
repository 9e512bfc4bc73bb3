//! `taskd why FILE:LINE`: whose a line is, in a few lines.

use serde_json::{Value, json};
use taskd_api::v1;

use super::{
    Scene,
    json::SCHEMA_VERSION,
    text::{clean, cut, wrap},
};

/// Room for labels.
const LABEL: usize = 12;
/// Most lines of the task.
const TASK_LINES: usize = 6;

/// The picture.
pub(crate) fn blame(place: &str, it: &v1::BlameResponse, scene: &Scene) -> String {
    let mut out = Vec::new();
    let mut pair = |label: &str, text: &str, most: usize| {
        let room = scene.width.saturating_sub(LABEL).max(20);
        for (n, line) in wrap(&clean(text), room).iter().take(most).enumerate() {
            out.push(format!("{:<LABEL$}{line}", if n == 0 { label } else { "" }));
        }
    };
    let commit = it.commit.get(..7).unwrap_or(&it.commit);
    if it.commit.is_empty() {
        return format!("{} is not committed yet\n", clean(place));
    }
    if it.name.is_empty() {
        pair("line", &format!("{place} is {}'s", it.author), 1);
        pair("commit", &format!("{commit} {}", it.summary), 1);
        pair("", "taskd did not write it", 1);
        return out.join("\n") + "\n";
    }
    let wrote = match it.iteration {
        0 => it.name.clone(),
        n => format!("{}, iteration {n}", it.name),
    };
    pair("line", &format!("{place} was written by {wrote}"), 2);
    pair("commit", &format!("{commit} {}", it.summary), 1);
    pair("plan", &it.plan, 1);
    pair("task", &it.task, TASK_LINES);
    pair("gate", &it.gate.join(" && "), 2);
    for (n, verdict) in it.verdicts.iter().enumerate() {
        pair(if n == 0 { "verdicts" } else { "" }, verdict, 1);
    }
    if let Some(uid) = it.approved_by {
        pair("approved", &format!("by a person (user {uid})"), 1);
    }
    if let Some(seq) = it.evidence {
        pair("evidence", &format!("event {seq}   taskd verify {}", it.name), 1);
    } else {
        pair("evidence", &format!("this store did not land it   taskd verify {commit}"), 1);
    }
    out.iter().map(|it| cut(it, scene.width)).collect::<Vec<_>>().join("\n") + "\n"
}

/// The same for programs.
pub(crate) fn json(it: &v1::BlameResponse) -> Value {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "schema_version": SCHEMA_VERSION,
        "commit": some(&it.commit),
        "summary": it.summary,
        "author": it.author,
        "loop": some(&it.name),
        "plan": it.plan,
        "iteration": (it.iteration != 0).then_some(it.iteration),
        "prompt": some(&it.prompt),
        "task": it.task,
        "gate": it.gate,
        "verdicts": it.verdicts,
        "approved_by": it.approved_by,
        "evidence": it.evidence,
    })
}
