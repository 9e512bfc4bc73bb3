//! Documents: what is too long for an event and is stored as a blob named by digest.
//!
//! Plain data with stable field names. Nothing here renders, merges or decides, and nothing knows
//! a model provider: adapters translate the conversation to Anthropic's or OpenAI's own shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Billing, Digest, LandMode, LoopLimits, OnConflict, Params, Unsupported, Worker};

/// The bytes of a document, as they are stored and digested.
#[must_use]
pub fn encode_doc<T: Serialize>(doc: &T) -> Vec<u8> {
    serde_json::to_vec(doc).expect("documents hold nothing JSON cannot say")
}

/// Reads a stored document.
///
/// # Errors
///
/// The bytes are another document or none.
pub fn decode_doc<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// What a plan's work needs to know about the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDoc {
    /// What people call it.
    pub title: String,
    /// Text before the first spec: every spec's prompt has it.
    #[serde(default)]
    pub context: String,
    /// The plan file as it was submitted.
    #[serde(default)]
    pub source: String,
    /// What decides whether work passes.
    pub gate: GateDoc,
    /// Command run once in every new worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<String>,
    /// The client's allow-listed environment: for setup, tools, gates and agents.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The person's checkout.
    pub root: String,
    /// What its work looks like where it lands.
    #[serde(default, skip_serializing_if = "LandMode::is_squash")]
    pub mode: LandMode,
}

/// The gate of a plan, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateDoc {
    /// Run first, to fail fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick: Option<String>,
    /// The commands, in order; none means that a person chose `--no-gate`.
    #[serde(default)]
    pub run: Vec<String>,
    /// Longest run of one command, in milliseconds.
    #[serde(default)]
    pub timeout_ms: u64,
    /// How often a red gate is run again on the same tree before it counts as red.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub retries: u32,
    /// Files an agent must not change, as globs.
    #[serde(default)]
    pub protect: Vec<String>,
    /// Where it comes from, for people: "from .taskd/config.toml", "from the plan", "--gate".
    #[serde(default)]
    pub origin: String,
}

/// Gate settings as a plan file or a loop type gives them: what is absent comes from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSettings {
    /// Run first, to fail fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick: Option<String>,
    /// The commands, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// Longest run of one command, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How often a red gate is run again on the same tree before it counts as red.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Files an agent must not change, as globs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protect: Option<Vec<String>>,
}

impl GateSettings {
    /// These settings, and `under` where they say nothing.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            quick: self.quick.or(under.quick),
            run: if self.run.is_empty() { under.run } else { self.run },
            timeout_ms: self.timeout_ms.or(under.timeout_ms),
            retries: self.retries.or(under.retries),
            // Who protects a file does so whatever others protect.
            protect: match (self.protect, under.protect) {
                (Some(mut own), Some(theirs)) => {
                    own.extend(theirs);
                    own.dedup();
                    Some(own)
                }
                (own, theirs) => own.or(theirs),
            },
        }
    }

    /// A gate of these settings alone.
    #[must_use]
    pub fn into_doc(self) -> GateDoc {
        GateDoc {
            quick: self.quick,
            run: self.run,
            timeout_ms: self.timeout_ms.unwrap_or_default(),
            retries: self.retries.unwrap_or_default(),
            protect: self.protect.unwrap_or_default(),
            origin: String::new(),
        }
    }
}

/// What a loop's work needs to know about its spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecDoc {
    /// The plan file's own id.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The task, verbatim.
    pub text: String,
    /// What the documents above it say of everything they name, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<AboveDoc>,
    /// Commands that are red before the work and green after it.
    #[serde(default)]
    pub accept: Vec<String>,
    /// Files the work is expected to stay in, as globs.
    #[serde(default)]
    pub touches: Vec<String>,
    /// The loop type as it was when the plan was submitted.
    pub loop_type: TypeDoc,
    /// Values of the type's inputs.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputValue>,
    /// Who works on it.
    pub agent: AgentDoc,
    /// A session of a person with the agent, which its first iteration goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The variable that paid for its agent when it was submitted; a run without it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_by: Option<String>,
    /// The same of the agent that is its second reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_paid_by: Option<String>,
}

/// What a document says of everything it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboveDoc {
    /// The id of the spec whose loop wrote it.
    pub name: String,
    /// What people call that spec.
    pub title: String,
    /// Its text before the first thing it names.
    pub text: String,
}

/// The document that a loop writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactDoc {
    /// What it is.
    pub format: Format,
    /// Headings it must have before the first thing it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<String>,
    /// The loop type of what it names and says no type of.
    pub children: String,
    /// A person says whether what it names is worked on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// What it is looked through for, one time after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<String>,
    /// Wrong documents in a row, after the first, before a person is asked.
    #[serde(default, skip_serializing_if = "is_zero_u8")]
    pub repairs: u8,
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A plan file: it names specs.
    Plan,
    /// It names the phases of a spec, one after the other.
    Spec,
    /// It names the tasks of a phase, one after the other.
    Phase,
}

impl Format {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Spec => "spec",
            Self::Phase => "phase",
        }
    }

    /// What it names: the word in its headings.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Plan => "spec",
            Self::Spec => "phase",
            Self::Phase => "task",
        }
    }

    /// The file in the loop's worktree that is the document.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Plan => "taskd-plan.md",
            Self::Spec => "taskd-spec.md",
            Self::Phase => "taskd-phase.md",
        }
    }
}

/// Who works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AgentDoc {
    /// A native loop that calls this model.
    Model {
        /// As people write it: `provider/model`.
        name: String,
    },
    /// An external agent program.
    Agent {
        /// A preset's name, or a command line.
        run: String,
    },
}

impl AgentDoc {
    /// The same as events name it.
    #[must_use]
    pub fn worker(&self) -> Worker {
        match self {
            Self::Model { name } => Worker::Model(name.clone()),
            Self::Agent { run } => Worker::Agent(run.clone()),
        }
    }
}

/// A loop type with everything it extends merged in: a running loop keeps the one it began with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeDoc {
    /// Its name.
    pub name: String,
    /// The file that defines it; those of `built-in/` are part of the program.
    pub origin: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Who works, unless plan or spec say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentDoc>,
    /// Models that work instead while an earlier one cannot, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// Its gate, where it has its own.
    #[serde(default)]
    pub gate: GateSettings,
    /// Its limits, where it has its own.
    #[serde(default)]
    pub limits: TypeLimits,
    /// What to do about conflicts, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<OnConflict>,
    /// Tools a native loop may use.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Tool servers that are offered besides, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mcp: BTreeMap<String, McpDoc>,
    /// How its model is asked to work.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub params: Params,
    /// What happens to those its model does not take.
    #[serde(default, skip_serializing_if = "Unsupported::is_default")]
    pub unsupported: Unsupported,
    /// What shall pay for an external agent, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing: Option<Billing>,
    /// Each run of an external agent goes on with its last session, if it can.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
    /// What `--set` may give.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputDoc>,
    /// The template of an iteration's prompt.
    pub prompt: TemplateDoc,
    /// The template of a native loop's system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<TemplateDoc>,
    /// Command run once in every new worktree, after the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<String>,
    /// The document its loops write, where they write no work that lands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactDoc>,
    /// A second reader of work whose gate is green.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewDoc>,
}

/// A second reader of a loop's work, before that goes anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDoc {
    /// The model or the agent that reads, as people write it.
    #[serde(flatten)]
    pub by: Worker,
    /// What it shall look for.
    pub prompt: String,
    /// What it finds goes into the next iteration, as what a gate finds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocks: bool,
}

/// An MCP server of a loop type: a program that offers tools over its stdin and stdout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpDoc {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Variables it gets besides the loop's own, as far as the daemon holds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Which of its tools are offered; all if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Longest call, its start included, in milliseconds; 0 for the usual.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero_u8(it: &u8) -> bool {
    *it == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero_u32(it: &u32) -> bool {
    *it == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(it: &u64) -> bool {
    *it == 0
}

/// A template and where it stands, so that errors can name the place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateDoc {
    /// The template.
    pub text: String,
    /// The file it is in.
    #[serde(default)]
    pub file: String,
    /// The line of the file it begins on, from 1.
    #[serde(default)]
    pub line: u32,
}

/// Limits as a loop type gives them: what is absent comes from elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeLimits {
    /// Iterations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u32>,
    /// Wall time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Spend, in micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micros: Option<u64>,
    /// Tokens of all classes; 0 for as many as its money pays for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Equal failures on equal trees after which a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_failure: Option<u32>,
    /// Turns of one iteration before the gate is run anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// Times an external agent's run is begun again after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
}

impl TypeLimits {
    /// These limits, and `under` where they say nothing.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            iterations: self.iterations.or(under.iterations),
            time_ms: self.time_ms.or(under.time_ms),
            budget_micros: self.budget_micros.or(under.budget_micros),
            tokens: self.tokens.or(under.tokens),
            same_failure: self.same_failure.or(under.same_failure),
            turns: self.turns.or(under.turns),
            restarts: self.restarts.or(under.restarts),
        }
    }

    /// Limits of one loop: these, and `under` where they say nothing.
    #[must_use]
    pub fn loop_limits(self, conflict: Option<OnConflict>, under: &LoopLimits) -> LoopLimits {
        LoopLimits {
            iterations: self.iterations.unwrap_or(under.iterations),
            time_ms: self.time_ms.unwrap_or(under.time_ms),
            budget_micros: self.budget_micros.unwrap_or(under.budget_micros),
            tokens: self.tokens.unwrap_or(under.tokens),
            restarts: self.restarts.unwrap_or(under.restarts),
            conflict: conflict.unwrap_or(under.conflict),
            same_failure: self.same_failure.unwrap_or(under.same_failure),
            turns: self.turns.unwrap_or(under.turns),
        }
    }
}

/// An input of a loop type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDoc {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: InputKind,
    /// It must be given.
    #[serde(default)]
    pub required: bool,
    /// Its value when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<InputValue>,
}

/// What an input holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// Value of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum InputValue {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
}

/// One request to a model: every attempt sends exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The model, as people write it.
    pub model: String,
    /// The system prompt; empty for none.
    #[serde(default)]
    pub system: String,
    /// The conversation so far; the last message is the user's.
    pub messages: Vec<Message>,
    /// Tools it may ask for.
    #[serde(default)]
    pub tools: Vec<ToolDef>,
    /// Longest reply, in tokens; what is thought counts too.
    pub max_tokens: u32,
    /// How the model is asked to work.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub params: Params,
    /// The loop, as people address it.
    #[serde(default)]
    pub loop_name: String,
    /// Iteration, from 1.
    #[serde(default)]
    pub iteration: u32,
    /// Turn of the iteration, from 1.
    #[serde(default)]
    pub turn: u32,
}

/// A tool a model may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolDef {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: serde_json::Value,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// We do; tool results are ours too.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Vec<Part>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// The model asks for a tool.
    ToolUse {
        /// The provider's id of the call; the result answers to it.
        id: String,
        /// The tool.
        name: String,
        /// The arguments, as the JSON text the model wrote.
        args: String,
    },
    /// What a tool said.
    ToolResult {
        /// The call it answers.
        id: String,
        /// What the model reads.
        text: String,
        /// Something went wrong.
        #[serde(default)]
        is_error: bool,
    },
    /// Something only its provider understands and wants back unchanged, such as signed reasoning.
    /// Adapters of other providers leave it out.
    Opaque {
        /// The provider that made it.
        provider: String,
        /// Its JSON text.
        json: String,
    },
}

/// What a model replied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What it said and asked for, in order.
    pub parts: Vec<Part>,
    /// Why it stopped.
    pub stop: StopReason,
    /// The model that answered, in its provider's word, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It had finished.
    End,
    /// It wants tools.
    ToolUse,
    /// It reached the longest reply.
    MaxTokens,
    /// It or its provider refused.
    Refusal,
    /// Anything else, in the provider's word.
    Other(String),
}

/// What a tool did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResultDoc {
    /// What the model reads.
    pub text: String,
    /// Something went wrong.
    #[serde(default)]
    pub is_error: bool,
    /// Files it read, with digests of what it saw.
    #[serde(default)]
    pub reads: Vec<(String, Digest)>,
    /// Files it wrote.
    #[serde(default)]
    pub wrote: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_survive_storage() {
        let reply = Reply {
            parts: vec![
                Part::Opaque { provider: "anthropic".into(), json: r#"{"signature":"x"}"#.into() },
                Part::Text { text: "reading".into() },
                Part::ToolUse { id: "t1".into(), name: "read".into(), args: "{}".into() },
            ],
            stop: StopReason::Other("pause_turn".into()),
            model: Some("claude-haiku-4-5".into()),
        };
        assert_eq!(decode_doc::<Reply>(&encode_doc(&reply)).unwrap(), reply);
        let result = ToolResultDoc {
            text: "ok".into(),
            is_error: false,
            reads: vec![("a.rs".into(), Digest::of(b"a"))],
            wrote: vec!["b.rs".into()],
        };
        assert_eq!(decode_doc::<ToolResultDoc>(&encode_doc(&result)).unwrap(), result);
    }

    #[test]
    fn field_names_are_stable() {
        fn text<T: Serialize>(doc: &T) -> String {
            String::from_utf8(encode_doc(doc)).unwrap()
        }
        assert_eq!(
            text(&Message {
                role: Role::User,
                content: vec![Part::ToolResult {
                    id: "t1".into(),
                    text: "no".into(),
                    is_error: true
                }],
            }),
            r#"{"role":"user","content":[{"type":"tool_result","id":"t1","text":"no","is_error":true}]}"#
        );
        assert_eq!(
            text(&AgentDoc::Agent { run: "claude".into() }),
            r#"{"kind":"agent","run":"claude"}"#
        );
        assert_eq!(
            text(&InputDoc {
                kind: InputKind::Integer,
                required: false,
                default: Some(InputValue::Number(3))
            }),
            r#"{"type":"integer","required":false,"default":3}"#
        );
    }

    #[test]
    fn old_documents_without_newer_fields_are_read() {
        let text = br#"{"title":"t","gate":{},"root":"/r"}"#;
        let plan: PlanDoc = decode_doc(text).unwrap();
        assert_eq!(plan, PlanDoc { title: "t".into(), root: "/r".into(), ..PlanDoc::default() });
        let flag: InputValue = decode_doc(b"true").unwrap();
        assert_eq!(flag, InputValue::Flag(true));
    }

    #[test]
    fn the_nearer_settings_win_key_by_key() {
        let own = TypeLimits { iterations: Some(8), ..TypeLimits::default() };
        let under = TypeLimits { iterations: Some(3), turns: Some(9), ..TypeLimits::default() };
        let merged = own.over(under);
        assert_eq!((merged.iterations, merged.turns), (Some(8), Some(9)));
        let limits = merged.loop_limits(Some(OnConflict::Block), &LoopLimits::default());
        assert_eq!((limits.iterations, limits.budget_micros), (8, 5_000_000));
        assert_eq!(limits.conflict, OnConflict::Block);
    }
}
