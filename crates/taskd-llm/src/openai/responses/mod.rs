//! Responses: how a request is written. Reading the answer is [`reader`]'s.
//!
//! Nothing is stored at the provider's: every request carries the whole conversation, and with it
//! the encrypted thoughts of the replies before, each where it was.

mod reader;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, value::RawValue};
use taskd_model::{Message, Part, RateLevels, Request, Role, Usage};

use super::{
    PROVIDER, bearer, call_id, capabilities_of, error_code, limits::levels, may_reason, tool_name,
    tool_result,
};
use crate::{
    CallLimits, Capabilities, LlmError,
    wire::{HttpRequest, Reader, Wire},
};

const ENCRYPTED: [&str; 1] = ["reasoning.encrypted_content"];

/// POST `{base}/responses`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Responses;

impl Wire for Responses {
    fn request(&self, request: &Request) -> Result<HttpRequest, LlmError> {
        let body = serde_json::to_vec(&Body::of(request));
        let body = body.expect("strings, numbers and JSON are always JSON");
        Ok(HttpRequest { path: "/responses", headers: Vec::new(), body })
    }

    fn counting(&self, request: &Request) -> Result<Option<HttpRequest>, LlmError> {
        let body = serde_json::to_vec(&Body::counting(request));
        let body = body.expect("strings, numbers and JSON are always JSON");
        Ok(Some(HttpRequest { path: "/responses/input_tokens", headers: Vec::new(), body }))
    }

    fn capabilities(&self, model: &str) -> Capabilities {
        capabilities_of(model, true)
    }

    fn authorize(&self, key: &str) -> Vec<(&'static str, String)> {
        bearer(key)
    }

    fn reader(&self, limits: CallLimits) -> Box<dyn Reader> {
        Box::new(reader::ResponsesReader::new(limits))
    }

    fn levels(&self, header: &dyn Fn(&str) -> Option<String>, _now_s: u64) -> RateLevels {
        levels(header)
    }

    fn usage(&self, object: &[u8], _so_far: Usage) -> Option<Usage> {
        super::usage(object)
    }

    fn error_code(&self, body: &[u8]) -> Option<String> {
        error_code(body)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct Reasoning {
    effort: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Known(Known<'a>),
    /// The provider's own, as it came.
    Theirs(&'a RawValue),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Known<'a> {
    Message { role: &'static str, content: Vec<Content<'a>> },
    FunctionCall { call_id: Cow<'a, str>, name: Cow<'a, str>, arguments: &'a str },
    FunctionCallOutput { call_id: Cow<'a, str>, output: String },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    InputText { text: &'a str },
    OutputText { text: &'a str },
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    /// Our schemas have optional fields, which strict ones must not have.
    strict: bool,
}

impl<'a> Body<'a> {
    fn of(request: &'a Request) -> Self {
        let mut input = Vec::new();
        for message in &request.messages {
            match message.role {
                Role::User => user(message, &mut input),
                Role::Assistant => assistant(message, &mut input),
            }
        }
        let tools = request.tools.iter().map(|it| Tool {
            kind: "function",
            name: &it.name,
            description: &it.description,
            parameters: &it.schema,
            strict: false,
        });
        Self {
            model: &request.model,
            instructions: &request.system,
            input,
            tools: tools.collect(),
            max_output_tokens: Some(request.max_tokens),
            reasoning: request.params.thinking.map(|it| Reasoning { effort: it.word() }),
            temperature: request.params.temperature.map(|it| f64::from(it) / 1000.0),
            include: if may_reason(&request.model) { &ENCRYPTED } else { &[] },
            store: Some(false),
            stream: Some(true),
        }
    }

    /// The question how many tokens it is: what is read, and how much is thought.
    fn counting(request: &'a Request) -> Self {
        Self {
            max_output_tokens: None,
            temperature: None,
            include: &[],
            store: None,
            stream: None,
            ..Self::of(request)
        }
    }
}

/// Tool results first, as in the other format.
fn user<'a>(message: &'a Message, input: &mut Vec<Item<'a>>) {
    let mut content = Vec::new();
    for part in &message.content {
        match part {
            Part::Text { text } => content.push(Content::InputText { text }),
            Part::ToolResult { id, text, is_error } => {
                let output = tool_result(text, *is_error);
                let call_id = call_id(id);
                input.push(Item::Known(Known::FunctionCallOutput { call_id, output }));
            }
            Part::ToolUse { .. } | Part::Opaque { .. } => {}
        }
    }
    if !content.is_empty() {
        input.push(Item::Known(Known::Message { role: "user", content }));
    }
}

fn assistant<'a>(message: &'a Message, input: &mut Vec<Item<'a>>) {
    // Thoughts that nothing follows come from a reply that was cut off. The provider refuses them
    // without what they led to.
    let led = |it: &Part| matches!(it, Part::Text { .. } | Part::ToolUse { .. });
    let end = message.content.iter().rposition(led).map_or(0, |last| last + 1);
    for part in &message.content[..end] {
        match part {
            Part::Text { text } => match input.last_mut() {
                Some(Item::Known(Known::Message { role: "assistant", content })) => {
                    content.push(Content::OutputText { text });
                }
                _ => input.push(Item::Known(Known::Message {
                    role: "assistant",
                    content: vec![Content::OutputText { text }],
                })),
            },
            Part::ToolUse { id, name, args } => {
                let (call_id, name) = (call_id(id), tool_name(name));
                input.push(Item::Known(Known::FunctionCall { call_id, name, arguments: args }));
            }
            Part::Opaque { provider, json } if provider == PROVIDER => {
                // What is no JSON was not ours.
                input.extend(serde_json::from_str(json).map(Item::Theirs));
            }
            Part::Opaque { .. } | Part::ToolResult { .. } => {}
        }
    }
}
