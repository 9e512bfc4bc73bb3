//! A native conversation: the prompt, then each turn's reply and what its tools said.
//!
//! Provider-neutral. News is told at the end, so a caller that keeps the scene as it was when the
//! iteration began gets the same beginning every turn, which providers can cache.

use taskd_model::{Message, Params, Part, Reply, Role, StopReason, ToolDef, ToolResultDoc};

use super::{MAX_MESSAGE_BYTES, Note, PromptError, file_list, middle_cut};

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

const INTERRUPTED: &str = "Interrupted: the daemon was restarted while this ran. Files are as they \
    were before it. Ask for it again if you still need it.";

const CUT_OFF: &str =
    "Your reply reached the length limit and was cut off. Go on in smaller steps.";

const GO_ON: &str = "Go on.";

impl Conversation<'_> {
    /// Number of the turn that is asked for, from 1.
    pub(super) fn turn(&self) -> u32 {
        u32::try_from(self.turns.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// All messages; the last is the user's.
    pub(super) fn messages(&self, prompt: String) -> Result<Vec<Message>, PromptError> {
        let mut messages = Vec::new();
        push(&mut messages, Role::User, vec![Part::Text { text: prompt }]);
        for (n, turn) in self.turns.iter().enumerate() {
            push(&mut messages, Role::Assistant, said(&turn.reply));
            push(&mut messages, Role::User, answers(n + 1, turn)?);
        }
        if !self.moved.is_empty() {
            let text = format!(
                "The target branch moved and your worktree now stands on it. These files changed; \
                 read them again before you edit them:\n- {}",
                file_list(self.moved).join("\n- ")
            );
            push(&mut messages, Role::User, vec![Part::Text { text }]);
        }
        Ok(messages)
    }
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

fn answers(n: usize, turn: &Turn) -> Result<Vec<Part>, PromptError> {
    let calls: Vec<&str> = turn
        .reply
        .parts
        .iter()
        .filter_map(|it| if let Part::ToolUse { id, .. } = it { Some(id.as_str()) } else { None })
        .collect();
    if turn.results.len() > calls.len() {
        let (calls, results) = (calls.len(), turn.results.len());
        return Err(PromptError::Turn { turn: n, calls, results });
    }
    let mut parts: Vec<Part> = calls
        .iter()
        .enumerate()
        .map(|(place, id)| {
            let (text, is_error) = match turn.results.get(place) {
                Some(Some(it)) => (it.text.clone(), it.is_error),
                Some(None) | None => (INTERRUPTED.to_owned(), true),
            };
            Part::ToolResult { id: (*id).to_owned(), text, is_error }
        })
        .collect();
    let notes = turn.notes.iter().map(|it| Part::Text {
        text: format!("{}: {}", it.from, middle_cut(&it.text, MAX_MESSAGE_BYTES)),
    });
    parts.extend(notes);
    if parts.is_empty() {
        let cut = turn.reply.stop == StopReason::MaxTokens;
        parts.push(Part::Text { text: if cut { CUT_OFF } else { GO_ON }.to_owned() });
    }
    Ok(parts)
}
