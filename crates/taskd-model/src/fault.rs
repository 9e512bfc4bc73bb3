//! The facts about a failure, as they stand in the log: what programs need to know, in fields, and
//! the causes beneath it, one text each. No prompt, no key, no prose of a provider.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

use crate::Code;

/// Causes that are kept, from the outermost.
const MAX_CAUSES: usize = 6;
/// Longest cause, in bytes, and all of them together: an event has a size it must keep to.
const MAX_CAUSE_BYTES: usize = 200;
const MAX_CAUSES_BYTES: usize = 500;
/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// What failed, where, when, and why. Which effect of which loop is in the event around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What went wrong.
    pub code: Code,
    /// The provider, as it is configured; at most 100 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model, in its provider's word; at most 100 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// HTTP status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's own type or code of the error; at most 64 bytes.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What the body of the answer was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyKind>,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The causes beneath the message, from the outermost; at most 6 of at most 200 bytes, and 500
    /// in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

/// What the body of an answer was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// There was none to look at.
    #[default]
    Unseen,
    /// No byte.
    Empty,
    /// JSON.
    Json,
    /// A page for people, as proxies and captive portals send it.
    Html,
    /// Server-sent events.
    EventStream,
    /// Anything else.
    Other,
}

impl Fault {
    /// A failure of the first try, of which nothing else is known yet.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            provider: None,
            model: None,
            status: None,
            kind: None,
            body: None,
            attempt: 1,
            elapsed_ms: 0,
            causes: Vec::new(),
        }
    }

    /// The same within its bounds, whoever filled it in.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let names = [&mut self.provider, &mut self.model, &mut self.kind];
        for it in names.into_iter().flatten() {
            *it = short(it, MAX_NAME_BYTES);
        }
        let mut room = MAX_CAUSES_BYTES;
        self.causes.truncate(MAX_CAUSES);
        self.causes.retain_mut(|it| {
            *it = short(it, MAX_CAUSE_BYTES.min(room));
            room -= it.len();
            !it.is_empty()
        });
        self
    }
}

impl BodyKind {
    const WORDS: [(Self, &'static str); 6] = [
        (Self::Unseen, "unseen"),
        (Self::Empty, "empty"),
        (Self::Json, "json"),
        (Self::Html, "html"),
        (Self::EventStream, "event_stream"),
        (Self::Other, "other"),
    ];

    /// The word for it, as in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize].1
    }

    /// The kind a word stands for; a word of a later version is something else.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        Self::WORDS.iter().find(|it| it.1 == word).map_or(Self::Other, |it| it.0)
    }
}

/// The texts beneath an error, from the outermost.
#[must_use]
pub fn causes(error: &dyn Error) -> Vec<String> {
    let sources = std::iter::successors(error.source(), |it| (*it).source());
    sources.take(MAX_CAUSES).map(|it| short(&it.to_string(), MAX_CAUSE_BYTES)).collect()
}

/// One line of at most `most` bytes that JSON writes as it is.
fn short(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0);
    let plain = |it: char| match it {
        '"' => '\'',
        '\\' => '/',
        it if it.is_control() => ' ',
        it => it,
    };
    text[..end].chars().map(plain).collect()
}

impl fmt::Display for BodyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unseen => "no body",
            Self::Empty => "an empty body",
            Self::Json => "JSON",
            Self::Html => "an HTML page",
            Self::EventStream => "an event stream",
            Self::Other => "neither JSON nor HTML",
        })
    }
}

/// `rate_limited: scripted, model x, status 429, try 2, after 12 ms`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.code)?;
        for (label, it) in
            [("provider", &self.provider), ("model", &self.model), ("type", &self.kind)]
        {
            if let Some(it) = it {
                write!(f, " {label} {it},")?;
            }
        }
        if let Some(status) = self.status {
            write!(f, " status {status},")?;
        }
        if let Some(body) = self.body {
            write!(f, " {body},")?;
        }
        write!(f, " try {}, after {} ms", self.attempt, self.elapsed_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_put_in_has_its_bounds_and_reads_back() {
        let long = "\u{1}ä\"".repeat(400);
        let fault = Fault {
            provider: Some(long.clone()),
            model: Some(long.clone()),
            kind: Some(long.clone()),
            status: Some(529),
            body: Some(BodyKind::Html),
            attempt: u32::MAX,
            elapsed_ms: u64::MAX,
            causes: vec![long; 50],
            ..Fault::new(Code::Overloaded)
        };
        let fault = fault.bounded();
        let text = serde_json::to_string(&fault).unwrap();
        assert!(text.len() < 1_100, "{} bytes", text.len());
        assert!(fault.causes.len() == 3 && !text.contains("\\u00"), "{text}");
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
    }

    #[test]
    fn kinds_of_bodies_have_one_word() {
        for (kind, word) in BodyKind::WORDS {
            assert_eq!((kind.as_str(), BodyKind::parse(word)), (word, kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), word);
        }
        assert_eq!(BodyKind::parse("later"), BodyKind::Other);
    }
}
