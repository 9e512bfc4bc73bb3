//! What a `session/update` says, as words for people and numbers: pure.
//!
//! What is not understood is nothing: the protocol grows by new kinds of updates.

use serde_json::Value;

use super::link::Permission;
use crate::agents::{micros, one_line};

/// Something an agent said while it works on a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A piece of what it writes for people, as it comes.
    Text(String),
    /// What it does, in one line of at most 200 characters.
    Activity(String),
    /// What its session has cost so far, in millionths of a US dollar.
    Cost(u64),
    /// It asks whether it may.
    Asks(Permission),
    /// A line it printed beside the protocol.
    Aside(String),
}

/// One answer an agent offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name in the protocol.
    pub id: String,
    /// What people call it; one line.
    pub name: String,
    /// It lets the agent go on.
    pub allows: bool,
    /// It is for this once.
    pub once: bool,
}

/// More at once is cut: it is for people to look at.
const TEXT_MAX_BYTES: usize = 16 << 10;
/// Choices one question may have; the rest is not shown.
const CHOICES_MAX: usize = 8;
/// A longer name of a choice is no name.
const CHOICE_ID_MAX_BYTES: usize = 256;

/// What the `update` of a `session/update` says.
pub(super) fn said(update: &Value) -> Option<Said> {
    let text = |pointer: &str| update.pointer(pointer).and_then(Value::as_str);
    match text("/sessionUpdate")? {
        "agent_message_chunk" => {
            let text = text("/content/text")?;
            Some(Said::Text(text[..text.floor_char_boundary(TEXT_MAX_BYTES)].to_owned()))
        }
        "agent_thought_chunk" => {
            one_line(text("/content/text")?).map(|it| Said::Activity(format!("thinks: {it}")))
        }
        "tool_call" | "tool_call_update" => {
            let title = one_line(text("/title")?)?;
            let kind = text("/kind").filter(|it| *it != "other").map(|it| format!("{it} "));
            one_line(&format!("{}{title}", kind.unwrap_or_default())).map(Said::Activity)
        }
        "plan" => plan(update.pointer("/entries")?.as_array()?),
        "usage_update" if text("/cost/currency") == Some("USD") => {
            micros(update.pointer("/cost/amount")?.as_f64()?).map(Said::Cost)
        }
        _ => None,
    }
}

/// `plan 2 of 5: write the tests`.
fn plan(entries: &[Value]) -> Option<Said> {
    let status = |it: &Value| it["status"].as_str().unwrap_or_default().to_owned();
    let done = entries.iter().filter(|it| status(it) == "completed").count();
    let now = entries.iter().find(|it| status(it) == "in_progress");
    let now = now.or_else(|| entries.iter().find(|it| status(it) == "pending"));
    let what = now.and_then(|it| it["content"].as_str()).unwrap_or("done");
    let line = format!("plan {done} of {}: {what}", entries.len());
    one_line(&line).map(Said::Activity)
}

/// What a `session/request_permission` asks: the words, and the choices.
pub(super) fn question(params: &Value) -> (String, Vec<Choice>) {
    let title = params.pointer("/toolCall/title").and_then(Value::as_str).unwrap_or_default();
    let kind = params.pointer("/toolCall/kind").and_then(Value::as_str).unwrap_or_default();
    let text = one_line(title).or_else(|| one_line(kind)).unwrap_or_else(|| "a tool".to_owned());
    let choice = |it: &Value| {
        let id = it["optionId"].as_str().filter(|it| it.len() <= CHOICE_ID_MAX_BYTES)?;
        let kind = it["kind"].as_str().unwrap_or_default();
        let name = it["name"].as_str().and_then(one_line).or_else(|| one_line(kind));
        let name = name.unwrap_or_else(|| id.to_owned());
        let (allows, once) = (kind.starts_with("allow"), kind.ends_with("_once"));
        Some(Choice { id: id.to_owned(), name, allows, once })
    };
    let options = params["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    (text, options.iter().filter_map(choice).take(CHOICES_MAX).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn activity(update: &Value) -> String {
        match said(update) {
            Some(Said::Activity(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn updates_are_lines_for_people() {
        let chunk = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "a\n"}});
        assert_eq!(said(&chunk), Some(Said::Text("a\n".to_owned())));
        let call =
            json!({"sessionUpdate": "tool_call", "title": "sh test.sh\nx", "kind": "execute"});
        assert_eq!(activity(&call), "execute sh test.sh");
        let plan = json!({"sessionUpdate": "plan", "entries": [
            {"content": "look", "status": "completed"}, {"content": "write", "status": "in_progress"}]});
        assert_eq!(activity(&plan), "plan 1 of 2: write");
        let cost = json!({"sessionUpdate": "usage_update", "used": 1, "cost": {"amount": 0.0153, "currency": "USD"}});
        assert_eq!(said(&cost), Some(Said::Cost(15_300)));
        for nothing in [
            json!({}),
            json!({"sessionUpdate": 4}),
            json!({"sessionUpdate": "of_tomorrow"}),
            json!({"sessionUpdate": "usage_update", "cost": {"amount": 1, "currency": "EUR"}}),
            json!({"sessionUpdate": "tool_call", "title": ""}),
            json!({"sessionUpdate": "plan", "entries": {}}),
        ] {
            assert_eq!(said(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_question_has_words_and_bounded_choices() {
        let option = json!({"optionId": "o", "name": "Yes", "kind": "allow_once"});
        let params = json!({"toolCall": {"title": "rm -rf x"}, "options": vec![option; 20]});
        let (text, choices) = question(&params);
        assert_eq!((text.as_str(), choices.len()), ("rm -rf x", CHOICES_MAX));
        assert!(choices[0].allows && choices[0].once);
        assert_eq!(question(&json!({})), ("a tool".to_owned(), Vec::new()));
    }
}
