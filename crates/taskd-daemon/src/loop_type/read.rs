//! One definition file as its keys, each checked by itself.
//!
//! What is inherited is not known here.

use std::collections::BTreeMap;

use taskd_model::{
    AgentDoc, Billing, GateSettings, InputDoc, InputKind, InputValue, McpDoc, OnConflict, Params,
    TemplateDoc, Thinking, TypeLimits, Unsupported,
};

use super::{KNOWN_TOOLS, MAX_TYPE_BYTES, artifact, mcp, review};
use crate::plan_file::head::{self, read_conflict, read_gate, read_worker, shown};
use crate::problem::{At, Pos, Problems, suggest};
use crate::protect;
use crate::yaml::{self, Keys, Kind, Node};

/// A definition as it is written.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) problems: Problems,
    pub(super) extends: Option<At<String>>,
    pub(super) description: Option<String>,
    pub(super) agent: Option<AgentDoc>,
    pub(super) fallback: Option<Vec<String>>,
    pub(super) gate: GateSettings,
    pub(super) limits: TypeLimits,
    pub(super) conflict: Option<OnConflict>,
    pub(super) tools: Tools,
    pub(super) mcp: BTreeMap<String, McpDoc>,
    pub(super) params: Params,
    pub(super) unsupported: Option<Unsupported>,
    pub(super) billing: Option<Billing>,
    pub(super) resume: Option<bool>,
    pub(super) inputs: BTreeMap<String, InputDoc>,
    pub(super) prompt: Option<Template>,
    pub(super) system: Option<Template>,
    pub(super) setup: Option<String>,
    pub(super) artifact: Option<artifact::Written>,
    /// Where `review` stands, and what it says.
    pub(super) review: Option<(Pos, review::Written)>,
}

/// What a definition says about tools.
#[derive(Debug, Default)]
pub(super) enum Tools {
    /// Nothing.
    #[default]
    Inherited,
    /// All of them.
    List(Vec<String>),
    /// Which of the inherited ones to take away.
    Remove(Vec<At<String>>),
}

/// A template and the place of its first character.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) doc: TemplateDoc,
    pub(super) at: Pos,
}

const KEYS: [&str; 21] = [
    "extends",
    "description",
    "agent",
    "model",
    "fallback",
    "gate",
    "limits",
    "conflict",
    "tools",
    "mcp",
    "thinking",
    "temperature",
    "unsupported",
    "billing",
    "resume",
    "inputs",
    "prompt",
    "system",
    "setup",
    "artifact",
    "review",
];

/// Names the prototypes used, and what is written instead.
const THINKING: [(&str, Thinking); 3] =
    [("low", Thinking::Low), ("medium", Thinking::Medium), ("high", Thinking::High)];

const UNSUPPORTED: [(&str, Unsupported); 2] =
    [("refuse", Unsupported::Refuse), ("drop", Unsupported::Drop)];

const BILLING: [(&str, Billing); 2] = [("login", Billing::Login), ("key", Billing::Key)];

const MEANT: [(&str, &str); 24] = [
    ("mcpServers", "mcp"),
    ("mcp_servers", "mcp"),
    ("reasoning", "thinking"),
    ("fallback-model", "fallback"),
    ("fallback_model", "fallback"),
    ("parent", "extends"),
    ("prompt-template", "prompt"),
    ("prompt_template", "prompt"),
    ("system-prompt", "system"),
    ("system_prompt", "system"),
    ("validation-command", "gate: {run: ...}"),
    ("validation_command", "gate: {run: ...}"),
    ("success-exit-code", "gate: {run: ...}; a gate passes with exit code 0"),
    ("max-iterations", "limits: {iterations: 10}"),
    ("max_iterations", "limits: {iterations: 10}"),
    ("iteration-timeout-ms", "limits: {time: 2h}"),
    ("timeout", "limits: {time: 2h}"),
    ("max-turns", "limits: {turns: 50}"),
    ("max-turns-per-iteration", "limits: {turns: 50}"),
    ("max-cost", "limits: {budget: $5}"),
    ("validator", "gate: {run: ...}"),
    ("command", "agent"),
    ("backend", "agent"),
    ("name", "another file name: a type is named by its file"),
];

/// Models a loop may fall back to.
const MAX_FALLBACK: usize = 8;

const LIMITS: [&str; 7] =
    ["iterations", "time", "budget", "tokens", "same_failure", "turns", "restarts"];

/// A definition whose file cannot be read: it hides the type of that name all the same.
pub(super) fn unread(name: &str, path: &str, why: &str) -> Definition {
    let mut definition = read(name, path, "{}", false);
    definition.problems.add(Pos::new(1, 1), format!("the file cannot be read: {why}"));
    definition
}

/// Reads one definition. What is wrong is in its `problems`.
pub(super) fn read(name: &str, path: &str, text: &str, of_project: bool) -> Definition {
    let mut problems = Problems::new(path);
    let node = parse(text, &mut problems);
    let keys = match &node {
        Some(node) => problems.keys(node, "a loop type", &KEYS, &MEANT),
        None => Keys::new(),
    };
    let sink = &mut problems;
    let get = |key: &str| keys.get(key).map(|(_, it)| *it);
    let gate = get("gate").and_then(|it| read_gate(it, sink));
    if let Some(gate) = &gate {
        check_globs(gate, sink);
    }
    Definition {
        name: name.to_owned(),
        extends: head::text(&keys, "extends", sink).and_then(|it| head::name(it, "extends", sink)),
        description: head::text(&keys, "description", sink)
            .and_then(|it| head::title(&it, "description", sink))
            .map(|it| it.value),
        agent: read_worker(&keys, sink).map(|it| it.value),
        fallback: get("fallback").map(|it| read_fallback(it, sink)),
        gate: gate.map(|it| it.value).unwrap_or_default(),
        limits: get("limits").map(|it| read_limits(it, sink)).unwrap_or_default(),
        conflict: read_conflict(&keys, sink).map(|it| it.value),
        tools: get("tools").map(|it| read_tools(it, sink)).unwrap_or_default(),
        mcp: get("mcp").map(|it| mcp::read(it, of_project, sink)).unwrap_or_default(),
        params: Params {
            thinking: head::word(&keys, "thinking", &THINKING, sink).map(|it| it.value),
            temperature: get("temperature").and_then(|it| read_temperature(it, sink)),
        },
        unsupported: head::word(&keys, "unsupported", &UNSUPPORTED, sink).map(|it| it.value),
        billing: head::word(&keys, "billing", &BILLING, sink).map(|it| it.value),
        resume: get("resume").and_then(|it| sink.flag(it, "resume")),
        inputs: get("inputs").map(|it| read_inputs(it, sink)).unwrap_or_default(),
        prompt: get("prompt").and_then(|it| read_template(it, "prompt", sink)),
        system: get("system").and_then(|it| read_template(it, "system", sink)),
        setup: head::text(&keys, "setup", sink).map(|it| it.value),
        artifact: get("artifact").map(|it| artifact::read(it, sink)),
        review: keys.get("review").map(|(at, it)| (*at, review::read(it, sink))),
        problems,
    }
}

/// What `protect` names must be globs: one that is none would protect nothing.
fn check_globs(gate: &At<GateSettings>, problems: &mut Problems) {
    for glob in gate.value.protect.iter().flatten() {
        if let Some(wrong) = protect::wrong(glob) {
            let what = format!("`{}` in `protect` is no glob: {wrong}", shown(glob));
            problems.add_hint(
                gate.at,
                what,
                "write globs from the repository's root, as `tests/**`",
            );
        }
    }
}

fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let top = Pos::new(1, 1);
    if text.len() > MAX_TYPE_BYTES {
        let what = format!("the file has {} bytes; it may have {MAX_TYPE_BYTES}", text.len());
        problems.add(top, what);
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let node = yaml::parse(&text, 1, problems)?;
    if node.kind == Kind::Null {
        problems.add_hint(top, "the file is empty", "write at least `extends: ralph`");
    }
    Some(node)
}

/// Models that work instead; an empty list takes an inherited one away.
fn read_fallback(node: &Node, problems: &mut Problems) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in if node.is_empty_list() { Vec::new() } else { problems.texts(node, "fallback") } {
        if names.contains(&name.value) {
            problems.add(name.at, format!("model `{}` is there twice", shown(&name.value)));
        } else if MAX_FALLBACK <= names.len() {
            let what = format!("`fallback` may name {MAX_FALLBACK} models");
            problems.add(name.at, what);
            break;
        } else {
            names.push(name.value);
        }
    }
    names
}

fn read_limits(node: &Node, problems: &mut Problems) -> TypeLimits {
    let meant = [("max-iterations", "iterations"), ("timeout", "time"), ("cost", "budget")];
    let keys = problems.keys(node, "`limits`", &LIMITS, &meant);
    let mut count =
        |key: &str| keys.get(key).and_then(|(_, it)| problems.count(it, key)).map(|it| it.value);
    let (iterations, same_failure) = (count("iterations"), count("same_failure"));
    let (turns, restarts) = (count("turns"), count("restarts"));
    let time = keys.get("time").and_then(|(_, it)| problems.duration_ms(it, "time"));
    let budget = keys.get("budget").and_then(|(_, it)| problems.micros(it, "budget"));
    let tokens = keys.get("tokens").and_then(|(_, it)| problems.tokens(it, "tokens"));
    TypeLimits {
        iterations,
        time_ms: time.map(|it| it.value),
        budget_micros: budget.map(|it| it.value),
        tokens: tokens.map(|it| it.value),
        same_failure,
        turns,
        restarts,
    }
}

fn read_tools(node: &Node, problems: &mut Problems) -> Tools {
    if matches!(node.kind, Kind::Map(_)) {
        let keys = problems.keys(node, "`tools`", &["remove"], &[]);
        let removed = keys.get("remove").map(|(_, it)| tool_names(it, problems));
        return Tools::Remove(removed.unwrap_or_default());
    }
    Tools::List(tool_names(node, problems).into_iter().map(|it| it.value).collect())
}

fn tool_names(node: &Node, problems: &mut Problems) -> Vec<At<String>> {
    let mut names: Vec<At<String>> = Vec::new();
    for name in if node.is_empty_list() { Vec::new() } else { problems.texts(node, "tools") } {
        if !KNOWN_TOOLS.contains(&name.value.as_str()) {
            let what = format!("unknown tool `{}`", shown(&name.value));
            problems.add_hint(name.at, what, suggest(&name.value, &KNOWN_TOOLS));
        } else if names.iter().any(|it| it.value == name.value) {
            problems.add(name.at, format!("tool `{}` is there twice", name.value));
        } else {
            names.push(name);
        }
    }
    names
}

/// A temperature in thousandths: documents hold no fractions.
fn read_temperature(node: &Node, problems: &mut Problems) -> Option<u16> {
    let number = match node.kind {
        Kind::Integer(it) => i32::try_from(it).ok().map(f64::from),
        Kind::Number(it) => Some(it),
        Kind::Text(_) | Kind::Flag(_) | Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    };
    let Some(number) = number.filter(|it| (0.0..=2.0).contains(it)) else {
        problems.add_hint(node.at, "`temperature` is no number from 0 to 2", "write 0.7");
        return None;
    };
    format!("{number:.3}").replace('.', "").parse().ok()
}

fn read_inputs(node: &Node, problems: &mut Problems) -> BTreeMap<String, InputDoc> {
    let Kind::Map(entries) = &node.kind else {
        problems.add_hint(node.at, "`inputs` is no map", "write `name: {type: string}`");
        return BTreeMap::new();
    };
    let mut inputs = BTreeMap::new();
    for (name, node) in entries {
        let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
        if !name.value.chars().all(plain) || name.value.starts_with(|it: char| it.is_ascii_digit())
        {
            let what = format!("`{}` is no input name", shown(&name.value));
            problems.add_hint(name.at, what, "use a-z, 0-9 and _, begin with a letter");
        } else {
            inputs.insert(name.value.clone(), read_input(&name.value, node, problems));
        }
    }
    inputs
}

fn read_input(name: &str, node: &Node, problems: &mut Problems) -> InputDoc {
    let keys =
        problems.keys(node, &format!("input `{name}`"), &["type", "required", "default"], &[]);
    let kind = match head::text(&keys, "type", problems) {
        None => InputKind::default(),
        Some(text) => match text.value.as_str() {
            "string" => InputKind::String,
            "integer" => InputKind::Integer,
            "boolean" => InputKind::Boolean,
            other => {
                let what = format!("unknown type `{}` of input `{name}`", shown(other));
                problems.add_hint(text.at, what, suggest(other, &["string", "integer", "boolean"]));
                InputKind::default()
            }
        },
    };
    let required = keys.get("required").and_then(|(_, it)| problems.flag(it, "required"));
    let default = keys.get("default").and_then(|(_, it)| match (&it.kind, kind) {
        (Kind::Text(it), InputKind::String) => Some(InputValue::Text(it.clone())),
        (Kind::Integer(it), InputKind::Integer) => Some(InputValue::Number(*it)),
        (Kind::Flag(it), InputKind::Boolean) => Some(InputValue::Flag(*it)),
        _ => {
            let what = format!("the default of input `{name}` is not {}", super::kind_name(kind));
            problems.add(it.at, what);
            None
        }
    });
    if let (Some(true), Some((at, _))) = (required, keys.get("default")) {
        let what = format!("input `{name}` is required, so its default is never used");
        problems.add_hint(*at, what, "keep one of the two");
    }
    InputDoc { kind, required: required.unwrap_or(false), default }
}

fn read_template(node: &Node, key: &str, problems: &mut Problems) -> Option<Template> {
    let text = problems.text(node, key)?;
    // The position is that of the first character that is no line end.
    let empty = text.value.chars().take_while(|it| *it == '\n').count();
    let line = text.at.line.saturating_sub(u32::try_from(empty).unwrap_or(0)).max(1);
    let doc = TemplateDoc { text: text.value, file: problems.file().to_owned(), line };
    Some(Template { doc, at: Pos { line, ..text.at } })
}
