//! What OpenAI and the many servers that imitate it speak: two wire formats, and what both share.
//!
//! [`Chat`] is the older one, which every local server offers too. [`Responses`] is the newer one,
//! in which models that reason get their own thoughts back. Pure, like every [`crate::wire::Wire`]:
//! nothing here opens a connection.

mod chat;
mod limits;
mod responses;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use taskd_model::{Digest, Params, Usage};

pub(crate) use self::{
    chat::{Chat, Dialect},
    responses::Responses,
};
use crate::{BodyKind, Capabilities, LlmError, StreamEvent};

/// Whose [`taskd_model::Part::Opaque`] is ours.
const PROVIDER: &str = "openai";

/// The longest code, model name or stop reason taken over from a provider, in characters.
const MAX_WORD: usize = 64;

/// What ends a stream of either format.
const DONE: &str = "[DONE]";

/// The longest name of a tool that is sent, in bytes.
const MAX_NAME: usize = 64;
/// The longest id of a call that is sent, in bytes: Chat Completions' limit, the lower one.
const MAX_ID: usize = 40;
/// Digits of a digest that are an id.
const ID_DIGITS: usize = 32;

/// What stands before the text of a failed tool: neither format has a place to say so.
const TOOL_FAILED: &str = "error: ";

fn bearer(key: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {key}"))]
}

/// The first [`MAX_WORD`] characters.
fn word(text: &str) -> String {
    text.chars().take(MAX_WORD).collect()
}

/// What a tool said, for the model.
fn tool_result(text: &str, is_error: bool) -> String {
    if is_error { format!("{TOOL_FAILED}{text}") } else { text.to_owned() }
}

/// The name of a tool as both formats take it. A name that a model made up, or that another provider
/// allows, must not make every further request of a conversation fail.
fn tool_name(name: &str) -> Cow<'_, str> {
    if is_plain(name, MAX_NAME) {
        return Cow::Borrowed(name);
    }
    let plain = |it: char| if it.is_ascii_alphanumeric() || it == '-' { it } else { '_' };
    let name: String = name.chars().take(MAX_NAME).map(plain).collect();
    Cow::Owned(if name.is_empty() { "_".to_owned() } else { name })
}

/// The id of a call as both formats take it. Ids stay apart: one that will not do becomes a digest
/// of itself, in the call and in its result alike.
fn call_id(id: &str) -> Cow<'_, str> {
    if is_plain(id, MAX_ID) {
        return Cow::Borrowed(id);
    }
    let digest = Digest::of(id.as_bytes()).to_string();
    Cow::Owned(format!("call_{}", &digest[..ID_DIGITS]))
}

fn is_plain(name: &str, max: usize) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-');
    !name.is_empty() && name.len() <= max && name.bytes().all(plain)
}

/// Arguments of a call that has none arrive as nothing at all from some servers, and nothing at all
/// is not JSON.
fn or_empty_object(args: String) -> String {
    if args.trim().is_empty() { "{}".to_owned() } else { args }
}

/// The payload of one event: an object. A list would be taken for one by the places of its items.
fn parse<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, LlmError> {
    let read = if data.starts_with('{') { serde_json::from_str(data).ok() } else { None };
    read.ok_or_else(|| LlmError::garbled("an event that is not what it should be"))
}

/// The code in an error object: `code` if it is text, otherwise `type`.
fn code_of(error: &Value) -> Option<String> {
    let text = |field: &str| error.get(field).and_then(Value::as_str).filter(|it| !it.is_empty());
    text("code").or_else(|| text("type")).map(word)
}

/// The code in the body of an answer that is an error.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    code_of(body.get("error")?)
}

/// What a model of `OpenAI`'s own takes: those that think have no temperature.
fn capabilities_of(model: &str, counts_tokens: bool) -> Capabilities {
    let thinking = may_reason(model);
    let max_temperature = (!thinking).then_some(Params::MAX_TEMPERATURE);
    Capabilities { thinking, max_temperature, both: false, counts_tokens }
}

/// Whether a model may have thoughts that can be asked for. Models that have none refuse the whole
/// request when asked; those of `OpenAI`'s are known by name, and there will be no more of them.
fn may_reason(model: &str) -> bool {
    // `openai/gpt-4o` of a gateway, `ft:gpt-4o:acme` of one's own.
    let name = model.rsplit('/').next().unwrap_or_default();
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let old = ["gpt-3", "gpt-4", "chatgpt-"].iter().any(|it| name.starts_with(it));
    !old && !name.contains("-chat")
}

/// The failure that an error object in a stream stands for. `OpenAI` names codes; local servers
/// repeat the HTTP status they could not send any more. An error that is bare text is prose and stays
/// unread.
fn stream_error(error: &Value) -> LlmError {
    let status = ["code", "status"].iter().find_map(|it| error.get(*it)?.as_u64());
    let status = status.filter(|it| (400..600).contains(it)).and_then(|it| u16::try_from(it).ok());
    LlmError::answered(status, code_of(error).as_deref(), None, BodyKind::EventStream)
}

/// Token counts of either format.
#[derive(Deserialize)]
struct WireUsage {
    #[serde(alias = "prompt_tokens", default)]
    input_tokens: Option<u64>,
    #[serde(alias = "completion_tokens", default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(alias = "prompt_tokens_details", default)]
    input_tokens_details: Option<InputDetails>,
}

/// What the tokens read consist of.
#[derive(Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl WireUsage {
    /// OpenAI counts cached tokens as read ones as well; we count them once. Google counts what was
    /// thought only in the total, and charges it as written.
    fn event(&self) -> StreamEvent {
        StreamEvent::Usage(self.usage())
    }

    fn usage(&self) -> Usage {
        let read = self.input_tokens.unwrap_or(0);
        let thought = self.total_tokens.map_or(0, |it| it.saturating_sub(read));
        let cached = self.input_tokens_details.as_ref().and_then(|it| it.cached_tokens);
        let cache_read = cached.unwrap_or(0).min(read);
        Usage {
            input: read - cache_read,
            output: self.output_tokens.unwrap_or(0).max(thought),
            cache_read,
            ..Usage::default()
        }
    }
}

/// What a `usage` object of either format says; nothing if it names no tokens.
fn usage(object: &[u8]) -> Option<Usage> {
    let said: WireUsage = serde_json::from_slice(object).ok()?;
    said.input_tokens.or(said.output_tokens)?;
    Some(said.usage())
}

/// The id of the next call after those called `used`: `given`, unless it is empty or was given to
/// another call already. A result must answer to one call only.
fn unused_id(given: String, used: &[String]) -> String {
    let mut id = given;
    let mut number = used.len();
    while id.is_empty() || used.contains(&id) {
        id = format!("call_{number}");
        number += 1;
    }
    id
}
