//! `ask`: what a loop wants to know of the person who gave the task. Only read here; who is asked,
//! and what is answered, is the daemon's.

use serde::Deserialize;
use taskd_model::Question;

use super::catalog::{ToolSpec, parse};
use super::error::ToolError;

/// The tool as a model is told about it.
pub(super) const ASK: ToolSpec = ToolSpec {
    name: "ask",
    description: "Ask the person who gave the task one question, and wait for the answer, which may \
        take hours. Only where the task contradicts itself, or where what it leaves open changes \
        what is built and the code does not tell; never for permission, and never twice the same. \
        `choices` are offered by number. With `default` and `deadline_s` the default counts when \
        nobody has answered in time. A loop may ask a few questions in all.",
    schema: r#"{"type":"object","properties":{"question":{"type":"string","description":"at most 800 bytes; whoever reads it sees nothing else"},"choices":{"type":"array","items":{"type":"string"},"maxItems":8},"default":{"type":"string"},"deadline_s":{"type":"integer","minimum":1,"maximum":2592000,"description":"seconds"}},"required":["question"],"additionalProperties":false}"#,
    reads: false,
};

/// Longest time a person is given, in seconds.
const DEADLINE_MAX_S: u64 = 30 * 24 * 3600;

/// What `ask` asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskSpec {
    /// The question, in one line.
    pub question: String,
    /// Answers to choose from.
    pub choices: Vec<String>,
    /// What counts when the time is up.
    pub default: Option<String>,
    /// How long a person has, in milliseconds.
    pub deadline_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskArgs {
    question: String,
    #[serde(default)]
    choices: Vec<String>,
    default: Option<String>,
    deadline_s: Option<u64>,
}

/// Reads the arguments of `ask`; ask [`super::admit`] first whether it may be used.
///
/// # Errors
/// An error result for the model.
pub fn ask_spec(args_json: &str) -> Result<AskSpec, ToolError> {
    let args: AskArgs = parse(&ASK, args_json)?;
    let bad = |what: String| Err(ToolError::BadArgument { what });
    let line = |text: &str| {
        let words = text.split(char::is_control).map(str::trim).filter(|it| !it.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    let question = line(&args.question);
    if question.is_empty() {
        return bad("`question` is empty; say what you want to know".to_owned());
    }
    let most = Question::MAX_BYTES;
    if most < question.len() {
        return bad(format!("`question` has {} bytes; at most {most}", question.len()));
    }
    let choices: Vec<String> = args.choices.iter().map(|it| line(it)).collect();
    let default = args.default.map(|it| line(&it)).filter(|it| !it.is_empty());
    let most = Question::MAX_CHOICES;
    if most < choices.len() {
        return bad(format!("`choices` has {} answers; at most {most}", choices.len()));
    }
    let most = Question::MAX_CHOICE_BYTES;
    if choices.iter().chain(&default).any(|it| it.is_empty() || most < it.len()) {
        return bad(format!("a choice, or `default`, is empty or longer than {most} bytes"));
    }
    if args.deadline_s.is_some_and(|it| !(1..=DEADLINE_MAX_S).contains(&it)) {
        return bad(format!("`deadline_s` must be between 1 and {DEADLINE_MAX_S} seconds"));
    }
    if args.deadline_s.is_some() && default.is_none() {
        return bad("`deadline_s` needs a `default`: what counts when it is over".to_owned());
    }
    let deadline_ms = args.deadline_s.map(|it| it * 1_000);
    Ok(AskSpec { question, choices, default, deadline_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line_and_bounded() {
        let spec = ask_spec(
            r#"{"question":" Which\none? ","choices":["a","b"],"default":"a","deadline_s":60}"#,
        );
        let spec = spec.unwrap();
        assert_eq!(spec.question, "Which one?");
        assert_eq!((spec.choices.len(), spec.deadline_ms), (2, Some(60_000)));
        let long = "x".repeat(801);
        let nine = ["\"a\""; 9].join(",");
        for bad in [
            r#"{"question":"  "}"#.to_owned(),
            format!(r#"{{"question":"{long}"}}"#),
            format!(r#"{{"question":"q","choices":[{nine}]}}"#),
            format!(r#"{{"question":"q","choices":["{}"]}}"#, "y".repeat(81)),
            r#"{"question":"q","choices":[""]}"#.to_owned(),
            r#"{"question":"q","default":"a","deadline_s":0}"#.to_owned(),
            r#"{"question":"q","deadline_s":9}"#.to_owned(),
            r#"{"q":"x"}"#.to_owned(),
        ] {
            assert!(ask_spec(&bad).is_err(), "{bad}");
        }
    }
}
