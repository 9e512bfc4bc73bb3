//! Prompts: a loop type's templates rendered for one iteration, and native conversations put
//! together from what earlier turns left.
//!
//! Pure: no file is read and nothing is sent. What is inserted is text and is never rendered
//! again; templates cannot include files, and run with a fuel limit into a bounded output.

use std::io;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, context};
use taskd_model::{
    AgentDoc, Code, ContextUse, GateDoc, InputValue, IterationNote, PlanDoc, Request, SpecDoc,
    TemplateDoc, ToolDef, TypeDoc, encode_doc,
};

pub(crate) use aside::aside;
pub(crate) use check::check;
pub(crate) use conversation::{Conversation, Turn};
use conversation::{LeftOut, PART_BYTES, part_bytes};
use left_out::json_bytes;
use shape::{Shape, shape};

mod aside;
mod check;
mod conversation;
mod left_out;
mod shape;
#[cfg(test)]
mod tests;

/// Largest rendered template, in bytes.
pub(crate) const MAX_PROMPT_BYTES: usize = 256 * 1024;

/// Largest text of AGENTS.md or CLAUDE.md that is used, in bytes.
pub(crate) const MAX_INSTRUCTION_BYTES: usize = 32 * 1024;

/// Largest findings that are used, in bytes: the beginning and, twice as long, the end.
pub(crate) const MAX_FINDINGS_BYTES: usize = 24 * 1024;

/// Largest message that is used, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// Largest text of a document above that is used, in bytes.
pub(crate) const MAX_ABOVE_BYTES: usize = 24 * 1024;

/// Earlier iterations told about.
pub(crate) const MAX_HISTORY: usize = 5;

/// Characters of each earlier iteration's summary.
pub(crate) const MAX_SUMMARY_CHARS: usize = 500;

/// Needed specs told about.
pub(crate) const MAX_NEEDS: usize = 20;

/// Largest last word of a needed spec that is used, in bytes.
const MAX_SAID_BYTES: usize = 2 * 1024;

/// Names in any one list of files.
const MAX_FILES: usize = 100;

/// Bytes that are about one token.
const BYTES_PER_TOKEN: u64 = 4;

/// Instructions a template may execute.
const FUEL: u64 = 200_000;

/// What a prompt is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// The plan.
    pub(crate) plan: &'a PlanDoc,
    /// The spec, with its loop type and inputs.
    pub(crate) spec: &'a SpecDoc,
    /// The gate this loop's work is judged by.
    pub(crate) gate: &'a GateDoc,
    /// Iteration, from 1.
    pub(crate) iteration: u32,
    /// Iterations allowed.
    pub(crate) max_iterations: u32,
    /// What the gate last said, if it said something about this work.
    pub(crate) last: Option<&'a GateSaid>,
    /// How earlier iterations ended, oldest first.
    pub(crate) history: &'a [IterationNote],
    /// What people or the queue want the loop to know, oldest first.
    pub(crate) messages: &'a [Note],
    /// What the specs it needs have left, in the order of the plan.
    pub(crate) needs: &'a [Left],
    /// Files with conflict markers.
    pub(crate) conflicts: &'a [String],
    /// Times the loop's document was found right, the draft included.
    pub(crate) reviewed: u8,
    /// Text of AGENTS.md, else of CLAUDE.md; only native prompts use it.
    pub(crate) instructions: Option<&'a str>,
}

/// What the gate said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GateSaid {
    /// Its output, as much as is of use.
    pub(crate) findings: String,
    /// One line.
    pub(crate) summary: String,
}

/// A message to a loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Who says it.
    pub(crate) from: String,
    /// What.
    pub(crate) text: String,
    /// It came with passed work that was sent back: the reason why.
    pub(crate) rejects: bool,
    /// Another loop says it, and no person.
    pub(crate) of_loop: bool,
}

/// What a spec that is done has left to one that needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    /// Its loop, as people address it.
    pub(crate) name: String,
    /// Its title.
    pub(crate) title: String,
    /// What its worker said last of its work; may be empty.
    pub(crate) said: String,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// To a model.
    Request(Box<Request>),
    /// To an external agent program.
    Text(String),
}

impl Prompt {
    /// The bytes as they are stored: a request's JSON, or the text.
    #[must_use]
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => encode_doc(request),
            Self::Text(text) => text.clone().into_bytes(),
        }
    }
}

/// Why there is no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PromptError {
    /// The template is wrong.
    #[error("{file}:{line}: the {what} cannot be rendered: {message}")]
    Template {
        /// The file it is in.
        file: String,
        /// The line of the file.
        line: u32,
        /// Which template.
        what: &'static str,
        /// What is wrong.
        message: String,
    },
    /// It renders to too much.
    #[error("{file}: the {what} is larger than {MAX_PROMPT_BYTES} bytes when rendered")]
    TooLong {
        /// The file it is in.
        file: String,
        /// Which template.
        what: &'static str,
    },
    /// It renders to nothing.
    #[error("{file}: the {what} is empty when rendered")]
    Empty {
        /// The file it is in.
        file: String,
        /// Which template.
        what: &'static str,
    },
    /// A turn's documents do not belong together: a defect of ours.
    #[error("turn {turn} has {results} results for {calls} tool calls")]
    Turn {
        /// Which, from 1.
        turn: usize,
        /// Tools it asked for.
        calls: usize,
        /// Results there are.
        results: usize,
    },
    /// Whatever is left out, it is more than the model takes.
    #[error(
        "the conversation does not fit: instructions, task and the last turn are about {needs} \
         tokens, and a request to {model} may have {most}. Make the task smaller, or choose a model \
         with a larger window; if its window is larger in fact, set `window` in models.toml and \
         restart the daemon. Then `taskd resume ID`"
    )]
    DoesNotFit {
        /// The model.
        model: String,
        /// Tokens of what must be in the request, about.
        needs: u64,
        /// Tokens it may have.
        most: u64,
    },
}

impl PromptError {
    /// The word for it.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::DoesNotFit { .. } => Code::ContextTooLarge,
            Self::Template { .. }
            | Self::TooLong { .. }
            | Self::Empty { .. }
            | Self::Turn { .. } => Code::TemplateInvalid,
        }
    }
}

/// What is sent, and what of the conversation is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Composed {
    /// What is sent.
    pub(crate) prompt: Prompt,
    /// What is not in it.
    left_out: LeftOut,
}

impl Composed {
    /// What is told of it, for a model with this window.
    pub(crate) fn context_use(&self, window: Option<u32>) -> ContextUse {
        let LeftOut { turns, outputs, bytes } = self.left_out;
        let count = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        ContextUse {
            window,
            turns_left_out: count(turns),
            outputs_left_out: count(outputs),
            bytes_left_out: bytes as u64,
        }
    }
}

/// Renders what the spec's agent is sent: a request for a model, plain text for a program, which
/// has no use for `conversation`.
///
/// # Errors
///
/// The template does not render, turns and results do not belong together, or the least that must be
/// in the request is more than it may have.
pub(crate) fn compose(
    scene: &Scene<'_>,
    conversation: &Conversation<'_>,
) -> Result<Composed, PromptError> {
    let doc = &scene.spec.loop_type;
    match &scene.spec.agent {
        AgentDoc::Agent { .. } => {
            let values = values(&Scene { instructions: None, ..*scene }, &[]);
            let text = prompt_text(&doc.prompt, &values)?;
            Ok(Composed { prompt: Prompt::Text(text), left_out: LeftOut::default() })
        }
        AgentDoc::Model { .. } => {
            let tool = |name: &String| conversation.tools.iter().find(|it| it.name == *name);
            let mut tools: Vec<ToolDef> = doc.tools.iter().filter_map(tool).cloned().collect();
            tools.extend_from_slice(conversation.served);
            let values = values(scene, &tools);
            let system = match &doc.system {
                Some(system) => render(system, "system prompt", &values)?.trim().to_owned(),
                None => String::new(),
            };
            let prompt = prompt_text(&doc.prompt, &values)?;
            let request = Request {
                model: conversation.model.to_owned(),
                system,
                messages: Vec::new(),
                tools,
                max_tokens: conversation.max_tokens,
                params: conversation.params,
                loop_name: conversation.loop_name.to_owned(),
                iteration: scene.iteration,
                turn: conversation.turn(),
            };
            request_of(request, prompt, conversation)
        }
    }
}

/// The request with as much of the conversation as it may have.
fn request_of(
    mut request: Request,
    prompt: String,
    conversation: &Conversation<'_>,
) -> Result<Composed, PromptError> {
    let turns = conversation.outputs()?;
    let shape = match conversation.most_tokens {
        None => Shape::whole(conversation.turns.len()),
        Some(most) => {
            let head = head_bytes(&request, &prompt, conversation);
            let limit = usize::try_from(most.saturating_mul(BYTES_PER_TOKEN)).unwrap_or(usize::MAX);
            shape(&turns.weights(), head, limit).map_err(|bytes| PromptError::DoesNotFit {
                model: request.model.clone(),
                needs: estimate_tokens(bytes),
                most,
            })?
        }
    };
    let (messages, left_out) = conversation.messages(prompt, &turns, &shape);
    request.messages = messages;
    if left_out != LeftOut::default() {
        request.tools.extend(conversation.recall.cloned());
    }
    Ok(Composed { prompt: Prompt::Request(Box::new(request)), left_out })
}

/// The most that is in a request without any turn, in bytes of JSON.
fn head_bytes(request: &Request, prompt: &str, conversation: &Conversation<'_>) -> usize {
    let recall = conversation.recall.map_or(0, |it| encode_doc(it).len() + 1);
    let aside: usize = conversation.moved().iter().map(part_bytes).sum();
    // The message, the prompt in it, and the block behind that.
    encode_doc(request).len() + recall + 3 * PART_BYTES + json_bytes(prompt) + aside
}

/// Tokens of so many bytes of English or code: a quarter, rounded up. An estimate for reservations;
/// what is paid for comes from the provider.
#[must_use]
pub(crate) fn estimate_tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

fn prompt_text(template: &TemplateDoc, values: &Value) -> Result<String, PromptError> {
    const WHAT: &str = "prompt";
    let text = render(template, WHAT, values)?.trim().to_owned();
    if text.is_empty() {
        return Err(PromptError::Empty { file: template.file.clone(), what: WHAT });
    }
    Ok(text)
}

/// Whether a template of the type has this word in it, in whatever way.
pub(crate) fn uses(doc: &TypeDoc, word: &str) -> bool {
    doc.prompt.text.contains(word) || doc.system.as_ref().is_some_and(|it| it.text.contains(word))
}

fn values(scene: &Scene<'_>, tools: &[ToolDef]) -> Value {
    let spec = scene.spec;
    let last = scene.last.map(|it| {
        let findings = middle_cut(it.findings.trim_end(), MAX_FINDINGS_BYTES);
        context! { findings, summary => it.summary.as_str() }
    });
    let history = &scene.history[scene.history.len().saturating_sub(MAX_HISTORY)..];
    let history = history.iter().map(|it| {
        let summary: String = it.summary.chars().take(MAX_SUMMARY_CHARS).collect();
        context! { n => it.n, verdict => it.verdict.to_string(), summary }
    });
    let messages = scene.messages.iter().map(|it| {
        let text = middle_cut(&it.text, MAX_MESSAGE_BYTES);
        let (rejects, by_person) = (it.rejects, !it.of_loop);
        context! { from => it.from.as_str(), text, rejects, by_person }
    });
    let needs = scene.needs.iter().take(MAX_NEEDS).map(|it| {
        let said = middle_cut(it.said.trim(), MAX_SAID_BYTES);
        context! { name => it.name.as_str(), title => it.title.as_str(), said }
    });
    let inputs = spec.inputs.iter().map(|(name, value)| {
        let value = match value {
            InputValue::Flag(it) => Value::from(*it),
            InputValue::Number(it) => Value::from(*it),
            InputValue::Text(it) => Value::from(it.as_str()),
        };
        (name.as_str(), value)
    });
    let instructions = scene.instructions.unwrap_or_default().trim();
    context! {
        spec => context! {
            name => spec.name.as_str(), title => spec.title.as_str(), text => spec.text.as_str(),
            accept => spec.accept.clone(), touches => spec.touches.clone(),
        },
        plan => context! { title => scene.plan.title.as_str(), context => scene.plan.context.as_str() },
        inputs => Value::from_pairs(inputs),
        above => spec.above.iter().map(|it| context! {
            name => it.name.as_str(), title => it.title.as_str(),
            text => middle_cut(&it.text, MAX_ABOVE_BYTES),
        }).collect::<Vec<_>>(),
        artifact => spec.loop_type.artifact.as_ref().map(|it| context! {
            file => it.format.file(), unit => it.format.unit(), sections => it.sections.clone(),
        }),
        review => review(scene),
        iteration => scene.iteration,
        max_iterations => scene.max_iterations,
        gate => context! {
            last => last,
            command => scene.gate.run.join(" && "),
            protect => scene.gate.protect.clone(),
        },
        history => history.collect::<Vec<_>>(),
        messages => messages.collect::<Vec<_>>(),
        needs => needs.collect::<Vec<_>>(),
        conflicts => file_list(scene.conflicts),
        tools => tools.iter().map(|it| it.name.clone()).collect::<Vec<_>>(),
        instructions => head_cut(instructions, MAX_INSTRUCTION_BYTES),
    }
}

/// What the loop's document is looked through for now, if it is.
fn review(scene: &Scene<'_>) -> Option<Value> {
    let reviews = &scene.spec.loop_type.artifact.as_ref()?.reviews;
    let n = usize::from(scene.reviewed);
    let name = reviews.get(n.checked_sub(1)?)?;
    Some(context! { n, of => reviews.len(), name => name.as_str() })
}

/// The templates' language: strict, without escaping, loaders or endless loops.
fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(50);
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    if let Ok(syntax) = syntax.trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env
}

fn render(
    template: &TemplateDoc,
    what: &'static str,
    values: &Value,
) -> Result<String, PromptError> {
    let env = environment();
    let mut out = Bounded { bytes: Vec::new(), full: false };
    let parsed = env.template_from_named_str(&template.file, &template.text);
    let done = parsed.and_then(|it| it.render_captured_to(values.clone(), &mut out).map(drop));
    match done {
        Ok(()) => Ok(String::from_utf8_lossy(&out.bytes).into_owned()),
        Err(_) if out.full => Err(PromptError::TooLong { file: template.file.clone(), what }),
        Err(error) => Err(PromptError::Template {
            file: template.file.clone(),
            line: template.line.max(1).saturating_add(check::error_line(&error)) - 1,
            what,
            message: error_text(&error),
        }),
    }
}

/// What an error says, without its place.
fn error_text(error: &minijinja::Error) -> String {
    let kind = error.kind();
    if kind == ErrorKind::OutOfFuel {
        return format!("it runs for more than {FUEL} steps");
    }
    error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}"))
}

/// Output that refuses to grow beyond the limit.
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_PROMPT_BYTES {
            self.full = true;
            return Err(io::Error::other("full"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first names, and how many more there are.
fn file_list(files: &[String]) -> Vec<String> {
    let mut list: Vec<String> = files.iter().take(MAX_FILES).cloned().collect();
    if files.len() > MAX_FILES {
        list.push(format!("... and {} more", files.len() - MAX_FILES));
    }
    list
}

/// The beginning of a text that is too long.
fn head_cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit);
    format!("{}\n[... {} more bytes left out ...]", &text[..end], text.len() - end)
}

/// The beginning and the end of a text that is too long: compilers say it first, tests last.
fn middle_cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(limit / 3);
    let tail = text.ceil_char_boundary(text.len() - (limit - limit / 3));
    format!("{}\n[... {} bytes left out ...]\n{}", &text[..head], tail - head, &text[tail..])
}
