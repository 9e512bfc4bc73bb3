//! A native conversation: the prompt, then each turn's reply and what its tools said.
//!
//! Provider-neutral. News is told at the end, so a caller that keeps the scene as it was when the
//! iteration began gets the same beginning every turn, which providers can cache.

use taskd_model::{Message, Params, Part, Reply, Role, StopReason, ToolDef, ToolResultDoc};

use super::{
    MAX_MESSAGE_BYTES, Note, PromptError, file_list,
    left_out::{self, json_bytes},
    middle_cut,
    shape::{Shape, Weight},
};

/// What a conversation is made of besides its prompt.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conversation<'a> {
    /// The loop, as people address it.
    pub(crate) loop_name: &'a str,
    /// The model that is asked, as people write it.
    pub(crate) model: &'a str,
    /// Longest reply, in tokens.
    pub(crate) max_tokens: u32,
    /// How the model is asked to work.
    pub(crate) params: Params,
    /// Tools there are; the loop type chooses among them.
    pub(crate) tools: &'a [ToolDef],
    /// Tools of the loop type's servers, as this iteration is offered them.
    pub(crate) served: &'a [ToolDef],
    /// The tool that gives back what is left out; offered when something is.
    pub(crate) recall: Option<&'a ToolDef>,
    /// Most tokens the request may have; nothing where that is not known.
    pub(crate) most_tokens: Option<u64>,
    /// Finished turns of this iteration, oldest first.
    pub(crate) turns: &'a [Turn],
    /// Files that changed under the loop since its last turn, because the target moved: what it
    /// read of them is no longer true.
    pub(crate) moved: &'a [String],
}

/// A finished turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// What the model said and asked for.
    pub(crate) reply: Reply,
    /// What its tools said, in order; `None` for a tool that was interrupted.
    pub(crate) results: Vec<Option<ToolResultDoc>>,
    /// What came for the loop right after this turn.
    pub(crate) notes: Vec<Note>,
}

pub(super) const INTERRUPTED: &str = "Interrupted: the daemon was restarted while this ran, or a person stepped \
    in. Look at what it left, and ask for it again if you still need it.";

const CUT_OFF: &str =
    "Your reply reached the length limit and was cut off. Go on in smaller steps.";

const GO_ON: &str = "Go on.";

/// What a tool said, and what it was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output<'a> {
    /// The provider's id of the call.
    id: &'a str,
    /// The tool, as the model wrote it.
    pub(super) name: &'a str,
    /// The arguments, as the model wrote them.
    pub(super) args: &'a str,
    text: &'a str,
    /// Something went wrong.
    pub(super) is_error: bool,
}

/// The turns with their outputs, measured.
pub(super) struct Turns<'a>(Vec<(&'a Turn, Vec<Output<'a>>)>);

/// Longest JSON of a part or a message besides its texts, in bytes.
pub(super) const PART_BYTES: usize = 72;

impl Conversation<'_> {
    /// Number of the turn that is asked for, from 1.
    pub(super) fn turn(&self) -> u32 {
        u32::try_from(self.turns.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The finished turns, each output with its call.
    pub(super) fn outputs(&self) -> Result<Turns<'_>, PromptError> {
        let turns = self.turns.iter().enumerate();
        turns.map(|(n, it)| Ok((it, outputs(n + 1, it)?))).collect::<Result<_, _>>().map(Turns)
    }

    /// All messages; the last is the user's. Begins with the prompt, whole.
    pub(super) fn messages(
        &self,
        prompt: String,
        turns: &Turns<'_>,
        shape: &Shape,
    ) -> (Vec<Message>, LeftOut) {
        let mut messages = Vec::new();
        let mut left_out = LeftOut::default();
        push(&mut messages, Role::User, vec![Part::Text { text: prompt }]);
        let (folded, kept) = turns.0.split_at(shape.folded);
        if !folded.is_empty() {
            let text = left_out::block(folded, shape);
            push(&mut messages, Role::User, vec![Part::Text { text }]);
            let notes = folded.iter().flat_map(|(it, _)| notes(it)).collect();
            push(&mut messages, Role::User, notes);
            left_out.turns = folded.len();
            left_out.bytes = folded.iter().flat_map(|it| &it.1).map(|it| it.text.len()).sum();
        }
        for (n, (turn, outputs)) in kept.iter().enumerate() {
            let n = n + folded.len();
            push(&mut messages, Role::Assistant, said(&turn.reply));
            let answers = answers(n + 1, turn, outputs, shape.shown[n], &mut left_out);
            push(&mut messages, Role::User, answers);
        }
        push(&mut messages, Role::User, self.moved());
        (messages, left_out)
    }

    /// What is told at the end because the ground moved.
    pub(super) fn moved(&self) -> Vec<Part> {
        if self.moved.is_empty() {
            return Vec::new();
        }
        let text = format!(
            "The target branch moved and your worktree now stands on it. These files changed; \
             read them again before you edit them:\n- {}",
            file_list(self.moved).join("\n- ")
        );
        vec![Part::Text { text }]
    }
}

/// What a request has less than the conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Turns.
    pub(super) turns: usize,
    /// Outputs of the others.
    pub(super) outputs: usize,
    /// Bytes of outputs.
    pub(super) bytes: usize,
}

impl Turns<'_> {
    /// How long each turn is.
    pub(super) fn weights(&self) -> Vec<Weight> {
        self.0.iter().map(|(turn, outputs)| weight(turn, outputs)).collect()
    }
}

fn weight(turn: &Turn, outputs: &[Output<'_>]) -> Weight {
    let asides = |it: &[Part]| it.iter().map(part_bytes).sum::<usize>();
    let ids: usize = outputs.iter().map(|it| PART_BYTES + json_bytes(it.id)).sum();
    let parts: usize = turn.reply.parts.iter().map(part_bytes).sum();
    Weight {
        fixed: 2 * PART_BYTES + parts + ids + asides(&prompted(turn, outputs)),
        notes: asides(&notes(turn)),
        outputs: outputs.iter().map(|it| json_bytes(it.text)).collect(),
    }
}

/// The most a part takes as JSON, with what separates it from the next.
pub(super) fn part_bytes(part: &Part) -> usize {
    let texts: [&str; 3] = match part {
        Part::Text { text } => [text, "", ""],
        Part::ToolUse { id, name, args } => [id, name, args],
        Part::ToolResult { id, text, .. } => [id, text, ""],
        Part::Opaque { provider, json } => [provider, json, ""],
    };
    PART_BYTES + texts.into_iter().map(json_bytes).sum::<usize>()
}

/// Adds to the last message if the same side speaks, so that sides always alternate.
fn push(messages: &mut Vec<Message>, role: Role, mut content: Vec<Part>) {
    match messages.last_mut() {
        _ if content.is_empty() => {}
        Some(last) if last.role == role => last.content.append(&mut content),
        _ => messages.push(Message { role, content }),
    }
}

/// A reply without empty texts, which providers refuse to take back.
fn said(reply: &Reply) -> Vec<Part> {
    let empty = |it: &Part| matches!(it, Part::Text { text } if text.trim().is_empty());
    reply.parts.iter().filter(|it| !empty(it)).cloned().collect()
}

/// What each call of a turn was answered.
fn outputs(n: usize, turn: &Turn) -> Result<Vec<Output<'_>>, PromptError> {
    let mut outputs = Vec::new();
    for part in &turn.reply.parts {
        let Part::ToolUse { id, name, args } = part else { continue };
        let (text, is_error) = match turn.results.get(outputs.len()) {
            Some(Some(it)) => (it.text.as_str(), it.is_error),
            Some(None) | None => (INTERRUPTED, true),
        };
        outputs.push(Output { id, name, args, text, is_error });
    }
    if turn.results.len() > outputs.len() {
        let (calls, results) = (outputs.len(), turn.results.len());
        return Err(PromptError::Turn { turn: n, calls, results });
    }
    Ok(outputs)
}

fn answers(
    n: usize,
    turn: &Turn,
    outputs: &[Output<'_>],
    shown: usize,
    left_out: &mut LeftOut,
) -> Vec<Part> {
    let result = |(place, it): (usize, &Output<'_>)| {
        let (text, less) = left_out::shown(it.text, &format!("t{n}.{}", place + 1), shown);
        left_out.outputs += usize::from(0 < less);
        left_out.bytes += less;
        Part::ToolResult { id: it.id.to_owned(), text, is_error: it.is_error }
    };
    let mut parts: Vec<Part> = outputs.iter().enumerate().map(result).collect();
    parts.extend(notes(turn));
    parts.extend(prompted(turn, outputs));
    parts
}

/// What people said after a turn.
fn notes(turn: &Turn) -> Vec<Part> {
    let note = |it: &Note| Part::Text {
        text: format!("{}: {}", it.from, middle_cut(&it.text, MAX_MESSAGE_BYTES)),
    };
    turn.notes.iter().map(note).collect()
}

/// What is said to a model that asked for nothing, so that the user speaks last.
fn prompted(turn: &Turn, outputs: &[Output<'_>]) -> Vec<Part> {
    if !outputs.is_empty() || !turn.notes.is_empty() {
        return Vec::new();
    }
    let cut = turn.reply.stop == StopReason::MaxTokens;
    vec![Part::Text { text: if cut { CUT_OFF } else { GO_ON }.to_owned() }]
}
