//! `share` and `alert`: what a loop tells other loops of its plan.
//!
//! Only the arguments are read here. Who there is, and whether a message is taken, is the daemon's.

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

/// Whether a tool of that name tells other loops something.
#[must_use]
pub fn talks(name: &str) -> bool {
    name == SHARE.name || name == ALERT.name
}

/// Reads the arguments of a tool that tells other loops something.
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
        return Ok(Talk::Alert { topic, text: checked(text)? });
    }
    let ShareArgs { to, text } = parse(&SHARE, args_json)?;
    Ok(Talk::Share { to: to.trim().to_owned(), text: checked(text)? })
}

fn checked(text: String) -> Result<String, ToolError> {
    if text.trim().is_empty() {
        let what = "`text` is empty; say something".to_owned();
        return Err(ToolError::BadArgument { what });
    }
    if MAX_LETTER_BYTES < text.len() {
        return Err(ToolError::TooLarge {
            what: "`text`".to_owned(),
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
        let topic = |it: &str| talk_spec("alert", &format!(r#"{{"topic":"{it}","text":"x"}}"#));
        assert!(topic("the  api").is_ok());
        for bad in ["", "  ", &"x".repeat(MAX_TOPIC_CHARS + 1)] {
            assert!(topic(bad).is_err(), "{bad:?}");
        }
    }
}
