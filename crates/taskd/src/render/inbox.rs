//! `taskd inbox`: what waits for a person, what answers it, and who answered what.

use serde_json::{Value, json};
use taskd_model::{InboxItem, View};

use super::{
    Scene,
    json::{SCHEMA_VERSION, time},
    table::Table,
    text::{clean, wrap},
};

/// Where the second column of one item begins.
const LABEL: usize = 10;

/// Everything that waits, one line each, the oldest first; with `all` what was answered, too.
pub(crate) fn inbox(view: &View, all: bool, scene: &Scene) -> String {
    let waiting = view.inbox.waiting();
    let mut table = Table::new(&["ITEM", "LOOP", "WHAT", "SINCE", "UNTIL"], 2, 9);
    for it in &waiting {
        table.row(vec![
            it.name(),
            clean(&view.loop_name(it.loop_id)),
            format!("{}: {}", it.kind, clean(&it.what)),
            scene.age(it.since),
            it.deadline.map(|at| scene.clock(at)).unwrap_or_default(),
        ]);
    }
    let mut out = Vec::new();
    if table.is_empty() {
        out.push("nothing waits for you".to_owned());
    } else {
        out.extend(table.draw(0, table.total(0).min(scene.width), scene.width));
        out.push(String::new());
        for it in &waiting {
            out.push(format!("{:<8} {}", it.name(), answers(view, it)));
        }
    }
    if all && !view.inbox.answered.is_empty() {
        let mut table = Table::new(&["ANSWERED", "LOOP", "WHAT", "ANSWER", "WHEN"], 2, 9);
        for it in view.inbox.answered.iter().rev() {
            table.row(vec![
                it.name(),
                clean(&view.loop_name(it.loop_id)),
                format!("{}: {}", it.kind, clean(&it.what)),
                clean(&answered(it)),
                it.closed_at.map(|at| format!("{} ago", scene.age(at))).unwrap_or_default(),
            ]);
        }
        out.push(String::new());
        out.extend(table.draw(0, table.total(0).min(scene.width), scene.width));
    }
    out.join("\n") + "\n"
}

/// One item, the whole of it.
pub(crate) fn item(view: &View, it: &InboxItem, scene: &Scene) -> String {
    let name = clean(&view.loop_name(it.loop_id));
    let mut out =
        vec![format!("{}  {} of {name}, {} ago", it.name(), it.kind, scene.age(it.since))];
    let room = scene.width.saturating_sub(LABEL).max(20);
    let mut add = |label: &str, text: &str| {
        for (n, line) in wrap(&clean(text), room).into_iter().enumerate() {
            out.push(format!("{:<LABEL$}{line}", if n == 0 { label } else { "" }));
        }
    };
    add("what", &it.what);
    for (n, choice) in (1..).zip(&it.choices) {
        add(if n == 1 { "choices" } else { "" }, &format!("{n} {choice}"));
    }
    if let (Some(default), Some(at)) = (&it.default, it.deadline) {
        add("default", &format!("{default}, at {}", scene.clock(at)));
    } else if let Some(default) = &it.default {
        add("default", &format!("{default}; it is never taken by itself"));
    }
    if it.closed_at.is_some() {
        add("answer", &answered(it));
    } else {
        add("answer", &answers(view, it));
    }
    out.join("\n") + "\n"
}

/// The command that answers it, and what may be answered.
fn answers(view: &View, it: &InboxItem) -> String {
    let choices = it.choices.iter().zip(1..).map(|(name, n)| format!("{n} {name}"));
    let mut choices = choices.collect::<Vec<_>>().join(", ");
    if it.free && !choices.is_empty() {
        choices.push_str(", or words");
    }
    let command = view.answers(it);
    if choices.is_empty() { clean(&command) } else { clean(&format!("{command}: {choices}")) }
}

fn answered(it: &InboxItem) -> String {
    it.answer.as_ref().map_or_else(|| "nobody; it went away".to_owned(), ToString::to_string)
}

/// `inbox --json`: one object; `inbox ID --json` is the same with one item.
pub(crate) fn json<'a>(view: &View, items: impl Iterator<Item = &'a InboxItem>) -> Value {
    let items: Vec<Value> = items.map(|it| row(view, it)).collect();
    json!({ "schema_version": SCHEMA_VERSION, "items": items })
}

fn row(view: &View, it: &InboxItem) -> Value {
    let plan = view.plans.get(&it.loop_id.plan());
    let root = plan.and_then(|it| view.projects.get(&it.project)).map(|it| it.root.as_str());
    let answer = it
        .answer
        .as_ref()
        .map(|it| json!({ "uid": it.uid, "via": it.via, "said": it.said, "at": time(it.at) }));
    json!({
        "id": it.name(),
        "kind": it.kind,
        "plan": it.loop_id.plan().to_string(),
        "loop": view.loop_name(it.loop_id),
        "root": root,
        "what": it.what,
        "choices": it.choices,
        "free": it.free,
        "since": time(it.since),
        "deadline": it.deadline.map(time),
        "default": it.default,
        "answers": it.closed_at.is_none().then(|| view.answers(it)),
        "answer": answer,
        "closed": it.closed_at.map(time),
    })
}
