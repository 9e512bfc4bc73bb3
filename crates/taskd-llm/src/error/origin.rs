//! Where a failure of a provider came from: facts only, no prose, no prompt, no key.

use std::fmt;

use taskd_model::BodyKind;

/// The longest code of a provider that is kept, in characters.
const MAX_CODE_CHARS: usize = 64;

/// Where and when a call failed, and what the provider answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The provider, as it is configured.
    pub provider: String,
    /// The model, in its provider's word.
    pub model: String,
    /// How often this turn was sent before.
    pub attempt: u32,
    /// Since the call began, in milliseconds.
    pub elapsed_ms: u64,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The provider's type or code of the error, from a field that holds nothing else; at most 64
    /// characters.
    pub code: Option<String>,
    /// What the body was.
    pub body: BodyKind,
}

/// What was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A connection, TLS included.
    Connect,
    /// The first event of the answer.
    FirstEvent,
    /// The next byte of the answer.
    NextByte,
    /// The whole answer.
    Whole,
}

impl Origin {
    /// What is known of an answer before the transport says whose it is.
    pub(crate) fn answer(status: Option<u16>, code: Option<&str>, body: BodyKind) -> Box<Self> {
        Box::new(Self { status, code: code.and_then(bounded), body, ..Self::default() })
    }
}

/// `anthropic:claude-haiku-4-5, send 2, after 1234 ms`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.provider.is_empty() {
            return f.write_str("the model provider");
        }
        write!(f, "{}:{}, send {}", self.provider, self.model, self.attempt.saturating_add(1))?;
        if self.elapsed_ms > 0 {
            write!(f, ", after {} ms", self.elapsed_ms)?;
        }
        Ok(())
    }
}

impl Origin {
    /// `529 overloaded_error`, as far as it is known.
    pub(crate) fn said(&self) -> String {
        let status = self.status.map(|it| it.to_string());
        let words: Vec<_> =
            [status.as_deref(), self.code.as_deref()].into_iter().flatten().collect();
        if words.is_empty() { "no status".to_owned() } else { words.join(" ") }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::FirstEvent => "no first event",
            Self::NextByte => "no further byte",
            Self::Whole => "no end of the reply",
        })
    }
}

/// A code as it may be shown: what is no identifier is no code, and may be prose.
fn bounded(code: &str) -> Option<String> {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
    let is_code = !code.is_empty() && code.chars().all(plain);
    is_code.then(|| code.chars().take(MAX_CODE_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_short_and_no_prose() {
        let code = |it| Origin::answer(None, Some(it), BodyKind::Json).code;
        assert_eq!(code("overloaded_error").as_deref(), Some("overloaded_error"));
        assert_eq!(code("your prompt was: x"), None);
        assert_eq!(code(""), None);
        assert_eq!(code(&"x".repeat(100)).map(|it| it.len()), Some(64));
    }
}
