//! Chat Completions: how a request is written. Reading the answer is [`reader`]'s.
//!
//! Everything a conversation holds fits but one thing: a reply's texts and tool calls lose their
//! order among each other, because an assistant's message has one text and one list of calls.

mod calls;
mod reader;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taskd_model::{Message, Params, Part, RateLevels, Request, Role, Thinking, Usage};

use super::{bearer, call_id, capabilities_of, error_code, limits::levels, tool_name, tool_result};
use crate::{
    CallLimits, Capabilities, LlmError,
    wire::{HttpRequest, Reader, Wire},
};

/// Whose [`Part::Opaque`] is what belongs to a call and goes back with it.
const PROVIDER: &str = "openai-chat";
/// What stands between texts that become one.
const BETWEEN: &str = "\n\n";

/// POST `{base}/chat/completions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chat {
    /// Who is spoken to.
    pub(crate) dialect: Dialect,
}

/// Where servers of this format differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// api.openai.com. The longest reply is `max_completion_tokens`: its reasoning models refuse
    /// the old name.
    OpenAi,
    /// Everybody else: Ollama, llama.cpp, vLLM, LM Studio, gateways. The longest reply is
    /// `max_tokens`, which some of them know alone and ignore the new name. They parse the
    /// arguments of past calls for their prompt template and refuse the whole request if those
    /// are not a JSON object, so such arguments are sent inside of one.
    Compatible,
}

impl Dialect {
    /// The dialect spoken at `base_url`: `OpenAI`'s own at its own hosts (`us.api.openai.com` and
    /// the like are regions of it).
    pub(crate) fn of(base_url: &str) -> Self {
        let host = base_url.strip_prefix("https://").unwrap_or_default();
        let host = host.split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
        let is_theirs = host == "api.openai.com" || host.ends_with(".api.openai.com");
        if is_theirs { Self::OpenAi } else { Self::Compatible }
    }
}

impl Wire for Chat {
    fn request(&self, request: &Request) -> Result<HttpRequest, LlmError> {
        let body = Body::of(request, self.dialect);
        let body = serde_json::to_vec(&body).expect("strings and numbers are always JSON");
        Ok(HttpRequest { path: "/chat/completions", headers: Vec::new(), body })
    }

    fn capabilities(&self, model: &str) -> Capabilities {
        match self.dialect {
            Dialect::OpenAi => capabilities_of(model, false),
            // Whether a server elsewhere minds an effort is not known, and many ignore it.
            Dialect::Compatible => Capabilities {
                max_temperature: Some(Params::MAX_TEMPERATURE),
                both: true,
                ..Capabilities::default()
            },
        }
    }

    fn authorize(&self, key: &str) -> Vec<(&'static str, String)> {
        bearer(key)
    }

    fn reader(&self, limits: CallLimits) -> Box<dyn Reader> {
        Box::new(reader::ChatReader::new(limits))
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
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum WireMessage<'a> {
    System {
        content: &'a str,
    },
    User {
        content: String,
    },
    Assistant {
        // Sent although it is empty: some servers insist on it.
        content: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall<'a>>,
    },
    Tool {
        tool_call_id: Cow<'a, str>,
        content: String,
    },
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Called<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Value>,
}

/// What belongs to a call, as it was kept.
#[derive(Deserialize)]
struct Extra {
    id: String,
    extra_content: Value,
}

#[derive(Serialize)]
struct Called<'a> {
    name: Cow<'a, str>,
    arguments: String,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> Body<'a> {
    fn of(request: &'a Request, dialect: Dialect) -> Self {
        let mut messages = Vec::new();
        if !request.system.is_empty() {
            messages.push(WireMessage::System { content: &request.system });
        }
        for message in &request.messages {
            match message.role {
                Role::User => user(message, &mut messages),
                Role::Assistant => assistant(message, dialect, &mut messages),
            }
        }
        let tools = request.tools.iter().map(|it| Tool {
            kind: "function",
            function: Function {
                name: &it.name,
                description: &it.description,
                parameters: &it.schema,
            },
        });
        let of = |wanted: Dialect| (dialect == wanted).then_some(request.max_tokens);
        Self {
            model: &request.model,
            messages,
            tools: tools.collect(),
            max_completion_tokens: of(Dialect::OpenAi),
            max_tokens: of(Dialect::Compatible),
            reasoning_effort: request.params.thinking.map(Thinking::word),
            temperature: request.params.temperature.map(|it| f64::from(it) / 1000.0),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
        }
    }
}

/// Tool results first: nothing may stand between a call and its answer.
fn user<'a>(message: &'a Message, messages: &mut Vec<WireMessage<'a>>) {
    let mut texts = Vec::new();
    for part in &message.content {
        match part {
            Part::Text { text } => texts.push(text.as_str()),
            Part::ToolResult { id, text, is_error } => messages.push(WireMessage::Tool {
                tool_call_id: call_id(id),
                content: tool_result(text, *is_error),
            }),
            Part::ToolUse { .. } | Part::Opaque { .. } => {}
        }
    }
    if !texts.is_empty() {
        messages.push(WireMessage::User { content: texts.join(BETWEEN) });
    }
}

fn assistant<'a>(message: &'a Message, dialect: Dialect, messages: &mut Vec<WireMessage<'a>>) {
    let mut texts = Vec::new();
    let mut tool_calls = Vec::new();
    let mut extra: Option<Extra> = None;
    for part in &message.content {
        match part {
            Part::Text { text } => texts.push(text.as_str()),
            Part::ToolUse { id, name, args } => tool_calls.push(ToolCall {
                id: call_id(id),
                kind: "function",
                function: Called { name: tool_name(name), arguments: arguments(args, dialect) },
                extra_content: extra.take().filter(|it| it.id == *id).map(|it| it.extra_content),
            }),
            // It stands just before its call. OpenAI itself has no such thing and refuses it.
            Part::Opaque { provider, json }
                if provider == PROVIDER && dialect == Dialect::Compatible =>
            {
                extra = serde_json::from_str(json).ok();
            }
            Part::ToolResult { .. } | Part::Opaque { .. } => {}
        }
    }
    if !texts.is_empty() || !tool_calls.is_empty() {
        messages.push(WireMessage::Assistant { content: texts.join(BETWEEN), tool_calls });
    }
}

fn arguments(args: &str, dialect: Dialect) -> String {
    match (dialect, serde_json::from_str(args)) {
        (Dialect::OpenAi, _) | (Dialect::Compatible, Ok(Value::Object(_))) => args.to_owned(),
        (Dialect::Compatible, _) => serde_json::json!({ "not_a_json_object": args }).to_string(),
    }
}
