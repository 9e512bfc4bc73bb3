//! `share`, `alert`, `query` and `stop`: what a loop says to other loops of its plan.
//!
//! Only the arguments are read here. Who there is, and whether a message is taken, is the daemon's.

use std::time::Duration;

use serde::Deserialize;
use taskd_model::{MAX_LETTER_BYTES, MAX_TOPIC_CHARS};

use super::catalog::{ToolSpec, parse};
use super::{ToolError, ToolOutput};

/// Tells one loop something.
pub const SHARE: ToolSpec = ToolSpec {
    name: "share",
    description: "Tell another loop of this plan something it should know, e.g. a name you chose \
        that it will need. It reads that before its next turn, with your name. Nobody answers. At \
        most 8 KiB; of more name a file.",
    schema: r#"{"type":"object","properties":{"to":{"type":"string","description":"the loop, e.g. p7.limiter or limiter"},"text":{"type":"string"}},"required":["to","text"],"additionalProperties":false}"#,
    reads: false,
};

/// Tells all of them.
pub const ALERT: ToolSpec = ToolSpec {
    name: "alert",
    description: "Tell every loop of this plan that is at work something that concerns all of \
        them. Of one topic only the newest that is not yet read is kept. Use it rarely.",
    schema: r#"{"type":"object","properties":{"topic":{"type":"string","description":"what it is about, in a word or two"},"text":{"type":"string"}},"required":["topic","text"],"additionalProperties":false}"#,
    reads: false,
};

/// Asks one loop something.
pub const QUERY: ToolSpec = ToolSpec {
    name: "query",
    description: "Ask another loop of this plan that is at work, e.g. how it names something. It \
        answers from what it knows now, beside its work; that takes a few seconds.",
    schema: r#"{"type":"object","properties":{"to":{"type":"string","description":"the loop, e.g. p7.limiter or limiter"},"question":{"type":"string"},"timeout_s":{"type":"integer","minimum":1,"maximum":300,"description":"seconds; default 30"}},"required":["to","question"],"additionalProperties":false}"#,
    reads: true,
};

/// Ends one loop.
pub const STOP: ToolSpec = ToolSpec {
    name: "stop",
    description: "End another loop of this plan for good, because what it does is wrong or needless \
        now. Its work is kept, and only a person can begin it again.",
    schema: r#"{"type":"object","properties":{"to":{"type":"string","description":"the loop, e.g. p7.limiter or limiter"},"reason":{"type":"string"}},"required":["to","reason"],"additionalProperties":false}"#,
    reads: false,
};

/// How long an answer is waited for unless the model says otherwise, and at most, in seconds.
const WAIT_DEFAULT_S: u64 = 30;
const WAIT_MAX_S: u64 = 300;

/// A message as a model asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Talk {
    /// For one loop.
    Share {
        /// The loop, as the model wrote it.
        to: String,
        /// What it is told.
        text: String,
    },
    /// A query to one loop.
    Query {
        /// The loop, as the model wrote it.
        to: String,
        /// What it is asked.
        question: String,
        /// How long an answer is waited for.
        wait: Duration,
    },
    /// The end of one loop.
    Stop {
        /// The loop, as the model wrote it.
        to: String,
        /// Why.
        reason: String,
    },
    /// For all of them.
    Alert {
        /// What it is about.
        topic: String,
        /// What they are told.
        text: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareArgs {
    to: String,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertArgs {
    topic: String,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryArgs {
    to: String,
    question: String,
    timeout_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StopArgs {
    to: String,
    reason: String,
}

/// Whether a tool of that name says something to other loops.
#[must_use]
pub fn talks(name: &str) -> bool {
    [SHARE, ALERT, QUERY, STOP].iter().any(|it| it.name == name)
}

/// Reads the arguments of a tool that says something to other loops.
///
/// # Errors
/// An error result for the model.
pub fn talk_spec(name: &str, args_json: &str) -> Result<Talk, ToolError> {
    if name == ALERT.name {
        let AlertArgs { topic, text } = parse(&ALERT, args_json)?;
        let topic = topic.split_whitespace().collect::<Vec<_>>().join(" ");
        if topic.is_empty() || MAX_TOPIC_CHARS < topic.chars().count() {
            let what = format!("`topic` must have 1 to {MAX_TOPIC_CHARS} characters");
            return Err(ToolError::BadArgument { what });
        }
        return Ok(Talk::Alert { topic, text: checked("text", text)? });
    }
    if name == QUERY.name {
        let QueryArgs { to, question, timeout_s } = parse(&QUERY, args_json)?;
        let timeout_s = timeout_s.unwrap_or(WAIT_DEFAULT_S);
        if !(1..=WAIT_MAX_S).contains(&timeout_s) {
            let what = format!("`timeout_s` must be between 1 and {WAIT_MAX_S} seconds");
            return Err(ToolError::BadArgument { what });
        }
        let (to, wait) = (to.trim().to_owned(), Duration::from_secs(timeout_s));
        return Ok(Talk::Query { to, question: checked("question", question)?, wait });
    }
    if name == STOP.name {
        let StopArgs { to, reason } = parse(&STOP, args_json)?;
        return Ok(Talk::Stop { to: to.trim().to_owned(), reason: checked("reason", reason)? });
    }
    let ShareArgs { to, text } = parse(&SHARE, args_json)?;
    Ok(Talk::Share { to: to.trim().to_owned(), text: checked("text", text)? })
}

fn checked(name: &str, text: String) -> Result<String, ToolError> {
    if text.trim().is_empty() {
        let what = format!("`{name}` is empty; say something");
        return Err(ToolError::BadArgument { what });
    }
    if MAX_LETTER_BYTES < text.len() {
        return Err(ToolError::TooLarge {
            what: format!("`{name}`"),
            bytes: text.len() as u64,
            max_bytes: MAX_LETTER_BYTES as u64,
            advice: "say what matters, and name a file for the rest",
        });
    }
    Ok(text)
}

impl ToolOutput {
    /// What a tool answers that has touched no file.
    #[must_use]
    pub fn said(text: String) -> Self {
        Self::text(text)
    }

    /// The same of one that could not be done, with its word.
    #[must_use]
    pub fn refused(text: &str, code: taskd_model::Code) -> Self {
        Self { is_error: true, code: Some(code), ..Self::text(format!("error: {text}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_bounds() {
        let share = |args: &str| talk_spec("share", args);
        let ok = share(r#"{"to":" limiter ","text":"x"}"#).expect("fine");
        assert_eq!(ok, Talk::Share { to: "limiter".to_owned(), text: "x".to_owned() });
        let long = format!(r#"{{"to":"a","text":"{}"}}"#, "x".repeat(MAX_LETTER_BYTES + 1));
        for bad in [&long, r#"{"to":"a","text":" "}"#, r#"{"text":"x"}"#, "[]", ""] {
            assert!(share(bad).is_err(), "{bad:.60}");
        }
        let query = |args: &str| talk_spec("query", args);
        let asked = query(r#"{"to":"a","question":"x?"}"#).expect("fine");
        let wait = Duration::from_secs(30);
        assert_eq!(asked, Talk::Query { to: "a".to_owned(), question: "x?".to_owned(), wait });
        for bad in [r#"{"to":"a","question":"x","timeout_s":301}"#, r#"{"to":"a","question":""}"#] {
            assert!(query(bad).is_err(), "{bad}");
        }
        assert!(talk_spec("stop", r#"{"to":"a","reason":" "}"#).is_err());
        let topic = |it: &str| talk_spec("alert", &format!(r#"{{"topic":"{it}","text":"x"}}"#));
        assert!(topic("the  api").is_ok());
        for bad in ["", "  ", &"x".repeat(MAX_TOPIC_CHARS + 1)] {
            assert!(topic(bad).is_err(), "{bad:?}");
        }
    }
}
