//! Writes a request. The same request gives the same bytes: structs and lists, no maps of ours.
//!
//! Arguments and opaque parts go back as the text the model wrote. Arguments that are no JSON
//! object, which this interface does not take, go as an object that holds the text: the model then
//! sees what it wrote beside the complaint it got.
//!
//! The interface refuses texts without a letter, so they are left out, and messages nothing is left
//! of with them. It wants the results of tools before anything else in a message, and names and ids
//! of calls in plain letters: a name that a model invented, or an id of another provider, must not
//! make every further request of a conversation fail.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use taskd_model::{Message, Part, Request, Role, ToolDef};

use super::{PROVIDER, generation::Generation};
use crate::LlmError;

/// Messages of the user that end a cached prefix; with system and tools, four marks.
const CACHED_MESSAGES: usize = 2;
/// The least a budget for thinking may be, in tokens.
const MIN_BUDGET: u32 = 1_024;
/// What such a budget leaves for the rest of the reply, in tokens.
const MIN_REPLY: u32 = 1_024;
/// The longest name or id that is sent.
const MAX_NAME_BYTES: usize = 128;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    messages: Vec<Turn<'a>>,
}

/// How it is asked to think: with so many tokens, or as it sees fit.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinks {
    Enabled { budget_tokens: u32 },
    Adaptive,
}

#[derive(Serialize)]
struct OutputConfig {
    effort: &'static str,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Cache>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Block<'a> {
    Known {
        #[serde(flatten)]
        kind: Kind<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Cache>,
    },
    /// As it came.
    Raw(Box<RawValue>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind<'a> {
    Text {
        text: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

/// Marks the end of a prefix that is worth keeping.
#[derive(Serialize)]
struct Cache {
    #[serde(rename = "type")]
    kind: &'static str,
}

const EPHEMERAL: Option<Cache> = Some(Cache { kind: "ephemeral" });

/// The body of `request`.
pub(super) fn body(request: &Request) -> Result<Vec<u8>, LlmError> {
    let (thinking, output_config) = thinking(request)?;
    written(&Body {
        max_tokens: Some(request.max_tokens),
        thinking,
        output_config,
        temperature: request.params.temperature.map(|it| f64::from(it) / 1000.0),
        stream: true,
        ..asked(request)
    })
}

/// The body of the question how many tokens `request` is: what is read, and whether it is thought.
pub(super) fn counting(request: &Request) -> Result<Vec<u8>, LlmError> {
    let (thinking, _) = thinking(request)?;
    written(&Body { thinking, ..asked(request) })
}

fn written(body: &Body<'_>) -> Result<Vec<u8>, LlmError> {
    serde_json::to_vec(body).map_err(|_| LlmError::inexpressible("it cannot be written as JSON"))
}

/// What is read.
fn asked(request: &Request) -> Body<'_> {
    let mut system = Vec::new();
    if !request.system.trim().is_empty() {
        system.push(known(Kind::Text { text: &request.system }));
    }
    mark(&mut system);
    let mut tools: Vec<_> = request.tools.iter().map(tool).collect();
    if let Some(last) = tools.last_mut() {
        last.cache_control = EPHEMERAL;
    }
    let mut messages: Vec<_> =
        request.messages.iter().map(turn).filter(|it| !it.content.is_empty()).collect();
    let ours = messages.iter_mut().rev().filter(|it| it.role == "user");
    for message in ours.take(CACHED_MESSAGES) {
        mark(&mut message.content);
    }
    Body {
        model: &request.model,
        max_tokens: None,
        thinking: None,
        output_config: None,
        temperature: None,
        stream: false,
        system,
        tools,
        messages,
    }
}

/// What is thought is part of the reply, so a budget leaves room for the rest of it.
fn thinking(request: &Request) -> Result<(Option<Thinks>, Option<OutputConfig>), LlmError> {
    let Some(level) = request.params.thinking else { return Ok((None, None)) };
    if matches!(Generation::of(&request.model), Generation::Early | Generation::Adaptive) {
        return Ok((Some(Thinks::Adaptive), Some(OutputConfig { effort: level.word() })));
    }
    let room = request.max_tokens.saturating_sub(MIN_REPLY);
    let budget_tokens = level.tokens().min(room);
    if budget_tokens < MIN_BUDGET {
        return Err(LlmError::inexpressible("its longest reply leaves no room for thinking"));
    }
    Ok((Some(Thinks::Enabled { budget_tokens }), None))
}

fn known(kind: Kind<'_>) -> Block<'_> {
    Block::Known { kind, cache_control: None }
}

fn mark(blocks: &mut [Block<'_>]) {
    let last = blocks.iter_mut().rev().find_map(|it| match it {
        Block::Known { cache_control, .. } => Some(cache_control),
        Block::Raw(_) => None,
    });
    if let Some(cache_control) = last {
        *cache_control = EPHEMERAL;
    }
}

fn tool(tool: &ToolDef) -> Tool<'_> {
    Tool {
        name: &tool.name,
        description: &tool.description,
        input_schema: &tool.schema,
        cache_control: None,
    }
}

fn turn(message: &Message) -> Turn<'_> {
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let is_result = |it: &&Part| matches!(it, Part::ToolResult { .. });
    let results = message.content.iter().filter(is_result);
    let others = message.content.iter().filter(|it| !is_result(it));
    Turn { role, content: results.chain(others).filter_map(block).collect() }
}

fn block(part: &Part) -> Option<Block<'_>> {
    Some(known(match part {
        Part::Text { text } if text.trim().is_empty() => return None,
        Part::Text { text } => Kind::Text { text },
        Part::ToolUse { id, name, args } => {
            Kind::ToolUse { id: plain(id), name: plain(name), input: input(args) }
        }
        Part::ToolResult { id, text, is_error } => {
            Kind::ToolResult { tool_use_id: plain(id), content: text, is_error: *is_error }
        }
        Part::Opaque { provider, json } if provider == PROVIDER => {
            return RawValue::from_string(json.clone()).ok().map(Block::Raw);
        }
        Part::Opaque { .. } => return None,
    }))
}

/// A name or id as the interface takes it; the same one always becomes the same.
fn plain(name: &str) -> Cow<'_, str> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    if !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let letters = name.chars().take(MAX_NAME_BYTES).map(|it| if is_plain(it) { it } else { '_' });
    let name: String = letters.collect();
    Cow::Owned(if name.is_empty() { "_".to_owned() } else { name })
}

/// The arguments of a tool call as the interface takes them: an object.
fn input(args: &str) -> Box<RawValue> {
    #[derive(Serialize)]
    struct NoObject<'a> {
        not_a_json_object: &'a str,
    }
    let text = args.trim();
    let text = if text.is_empty() { "{}" } else { text };
    let object = RawValue::from_string(text.to_owned()).ok().filter(|_| text.starts_with('{'));
    object.unwrap_or_else(|| {
        serde_json::value::to_raw_value(&NoObject { not_a_json_object: args })
            .expect("a struct of one text is JSON")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use taskd_model::Params;

    use super::*;

    fn request(messages: Vec<(Role, Vec<Part>)>) -> Request {
        let messages = messages.into_iter().map(|(role, content)| Message { role, content });
        Request {
            model: "claude-haiku-4-5".into(),
            system: "You write shell.".into(),
            messages: messages.collect(),
            tools: ["look", "run"].map(def).into(),
            max_tokens: 1000,
            params: Params::default(),
            loop_name: "p1.parse".into(),
            iteration: 1,
            turn: 1,
        }
    }

    fn def(name: &str) -> ToolDef {
        let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}});
        ToolDef { name: name.into(), description: format!("{name}s"), schema }
    }

    fn text(text: &str) -> Part {
        Part::Text { text: text.into() }
    }

    fn uses(id: &str, args: &str) -> Part {
        Part::ToolUse { id: id.into(), name: "look".into(), args: args.into() }
    }

    fn result(id: &str, is_error: bool) -> Part {
        Part::ToolResult { id: id.into(), text: "said".into(), is_error }
    }

    fn opaque(provider: &str, json: &str) -> Part {
        Part::Opaque { provider: provider.into(), json: json.into() }
    }

    fn written(request: &Request) -> String {
        String::from_utf8(body(request).expect("a body")).expect("text")
    }

    #[test]
    fn a_whole_conversation_is_written_byte_for_byte() {
        let thinking = r#"{"type":"thinking","thinking":"hm","signature":"s=="}"#;
        let request = request(vec![
            (Role::User, vec![text("first")]),
            (
                Role::Assistant,
                vec![
                    opaque("anthropic", thinking),
                    opaque("openai", r#"{"type":"reasoning"}"#),
                    text("I look."),
                    uses("t1", r#"{"path": "a",  "n": 1e2}"#),
                    uses("t2", ""),
                ],
            ),
            (Role::User, vec![text("and quick"), result("t1", false), result("t2", true)]),
            (Role::Assistant, vec![text(" \n")]),
            (Role::User, vec![text("go on")]),
        ]);
        let expected = concat!(
            r#"{"model":"claude-haiku-4-5","max_tokens":1000,"stream":true,"#,
            r#""system":[{"type":"text","text":"You write shell.","cache_control":{"type":"ephemeral"}}],"#,
            r#""tools":[{"name":"look","description":"looks","#,
            r#""input_schema":{"properties":{"path":{"type":"string"}},"type":"object"}},"#,
            r#"{"name":"run","description":"runs","#,
            r#""input_schema":{"properties":{"path":{"type":"string"}},"type":"object"},"#,
            r#""cache_control":{"type":"ephemeral"}}],"#,
            r#""messages":[{"role":"user","content":[{"type":"text","text":"first"}]},"#,
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s=="},"#,
            r#"{"type":"text","text":"I look."},"#,
            r#"{"type":"tool_use","id":"t1","name":"look","input":{"path": "a",  "n": 1e2}},"#,
            r#"{"type":"tool_use","id":"t2","name":"look","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"said"},"#,
            r#"{"type":"tool_result","tool_use_id":"t2","content":"said","is_error":true},"#,
            r#"{"type":"text","text":"and quick","cache_control":{"type":"ephemeral"}}]},"#,
            r#"{"role":"user","content":[{"type":"text","text":"go on","cache_control":{"type":"ephemeral"}}]}]}"#,
        );
        assert_eq!(written(&request), expected);
        assert_eq!(written(&request), written(&request.clone()));
    }

    #[test]
    fn arguments_that_are_no_object_are_kept_as_text() {
        let cases = [
            ("{}", "{}"),
            ("  ", "{}"),
            (r#" {"a":{"b":[1]}} "#, r#"{"a":{"b":[1]}}"#),
            ("{\"path\": \"a", r#"{"not_a_json_object":"{\"path\": \"a"}"#),
            ("[1]", r#"{"not_a_json_object":"[1]"}"#),
            ("null", r#"{"not_a_json_object":"null"}"#),
            ("{} {}", r#"{"not_a_json_object":"{} {}"}"#),
        ];
        for (args, expected) in cases {
            assert_eq!(input(args).get(), expected, "{args:?}");
        }
    }

    #[test]
    fn odd_names_do_not_spoil_a_conversation() {
        let long = "n".repeat(200);
        let cases = [
            ("toolu_01-A", "toolu_01-A"),
            ("call|fc.1", "call_fc_1"),
            ("run shell", "run_shell"),
            ("ž", "_"),
            ("", "_"),
            (&long, &long[..128]),
        ];
        for (name, expected) in cases {
            assert_eq!(plain(name), expected);
        }
        let odd = Part::ToolUse { id: "a:1".into(), name: "b c".into(), args: "{}".into() };
        let both = [(Role::Assistant, vec![odd]), (Role::User, vec![result("a:1", false)])];
        let body = written(&request(both.into()));
        assert!(body.contains(r#""id":"a_1","name":"b_c""#), "{body}");
        assert!(body.contains(r#""tool_use_id":"a_1""#), "{body}");
    }

    #[test]
    fn at_most_four_marks_and_none_where_nothing_is() {
        let long = (0..9).map(|n| (Role::User, vec![text(&n.to_string())])).collect();
        assert_eq!(written(&request(long)).matches("cache_control").count(), 4);
        let mut bare = request(vec![(Role::User, vec![text("x")])]);
        bare.system.clear();
        bare.tools.clear();
        let expected = r#"{"model":"claude-haiku-4-5","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]}"#;
        assert_eq!(written(&bare), expected);
    }
}
