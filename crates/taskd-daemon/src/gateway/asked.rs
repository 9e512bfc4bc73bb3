//! What must be known of a call before it is admitted: its model, and how much it may use.
//!
//! The body is looked at once and nothing of it is kept; what this build does not know goes through
//! as it is.

use axum::http::header::CONTENT_ENCODING;
use serde::Deserialize;
use taskd_llm::{Forward, ModelFacts, at_most};

use super::Refusal;
use crate::prompt::estimate_tokens;

/// Longest name of a model.
const MAX_MODEL_BYTES: usize = 120;
/// Tokens a reply is taken to have at most where neither the call nor the catalog says.
const MAX_REPLY_TOKENS: u64 = 8_192;

/// What a call says of itself.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) model: String,
    /// Tokens it reads, about.
    pub(super) input_tokens: u64,
    max_output: Option<u64>,
}

/// The fields of all three interfaces; the rest is not looked at.
#[derive(Deserialize)]
struct Fields {
    model: String,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
}

impl Asked {
    /// Reads a call.
    ///
    /// # Errors
    /// It is compressed, or no JSON with the name of a model.
    pub(super) fn read(call: &Forward) -> Result<Self, Refusal> {
        if call.headers.contains_key(CONTENT_ENCODING) {
            return Err(Refusal::Compressed);
        }
        let body = call.body.as_deref().unwrap_or_default();
        let fields: Fields = serde_json::from_slice(body).map_err(|_| Refusal::NoModel)?;
        let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.:/@[]".contains(&it);
        let is_name =
            (1..=MAX_MODEL_BYTES).contains(&fields.model.len()) && fields.model.bytes().all(plain);
        if !is_name {
            return Err(Refusal::NoModel);
        }
        let Fields { model, max_tokens, max_completion_tokens, max_output_tokens } = fields;
        let max_output = max_tokens.or(max_completion_tokens).or(max_output_tokens);
        Ok(Self { model, input_tokens: estimate_tokens(body.len()), max_output })
    }

    /// What it uses at most, in micro-dollars and in tokens of all classes.
    pub(super) fn worst(&self, facts: &ModelFacts) -> (u64, u64) {
        let known = facts.max_output.map(u64::from);
        let output = self.max_output.or(known.map(|it| it.min(MAX_REPLY_TOKENS)));
        let output = output.unwrap_or(MAX_REPLY_TOKENS);
        let micros = facts.price.map_or(0, |it| it.worst_micros(self.input_tokens, output));
        (micros, at_most(self.input_tokens).saturating_add(output))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    fn read(body: &str) -> Result<Asked, Refusal> {
        let body = Some(body.to_owned().into());
        Asked::read(&Forward { path: String::new(), headers: HeaderMap::new(), body })
    }

    #[test]
    fn a_call_says_its_model_and_its_longest_reply() {
        let it = read("{\"messages\":[{}],\"model\":\"m-1.5:x\",\"max_tokens\":9}").unwrap();
        assert_eq!((it.model.as_str(), it.max_output), ("m-1.5:x", Some(9)));
        assert_eq!(it.worst(&ModelFacts::default()).1, at_most(it.input_tokens) + 9);
        let it = read("{\"model\":\"m\"}").unwrap();
        assert_eq!(it.worst(&ModelFacts::default()).1, at_most(it.input_tokens) + 8_192);
        for bad in ["", "[]", "{}", "{\"model\":1}", "{\"model\":\"\"}", "{\"model\":\"a b\"}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&format!("{{\"model\":\"{}\"}}", "x".repeat(121))).is_err());
    }
}
