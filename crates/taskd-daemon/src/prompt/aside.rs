//! A question beside a conversation: what the loop that is asked knows, as text, and the question.
//!
//! The turns are told, not continued: without tools there are no calls to answer, and every
//! provider takes it.

use taskd_model::{Message, Params, Part, Request, Role};

use super::{conversation::INTERRUPTED, middle_cut};

/// Longest answer, in tokens.
const ANSWER_TOKENS: u32 = 1_024;
/// What is shown of one call or one output, in bytes.
const SHOWN_BYTES: usize = 2 << 10;
/// Behind a loop's name, for whoever reads requests by that.
const ASKED: &str = "asked";

/// The request that asks whoever would be sent `request` once the turn under way is over.
pub(crate) fn aside(request: Request, asker: &str, question: &str) -> Request {
    let mut text = String::new();
    for (n, message) in request.messages.iter().enumerate() {
        let is_last = n + 1 == request.messages.len();
        for part in &message.content {
            text.push_str(told(message.role, part, is_last).trim_end());
            text.push_str("\n\n");
        }
    }
    text.push_str(&format!(
        "---\n\nAbove is what you were told for your task, and what you did so far. While you are at \
         it, {asker}, another worker on the same plan, asks you:\n\n{question}\n\nAnswer in a few \
         sentences, from what you know now; say so if you do not know. You can call no tools here, \
         and nothing of this changes your task."
    ));
    Request {
        messages: vec![Message { role: Role::User, content: vec![Part::Text { text }] }],
        tools: Vec::new(),
        max_tokens: request.max_tokens.min(ANSWER_TOKENS),
        params: Params::default(),
        loop_name: format!("{}.{ASKED}", request.loop_name),
        iteration: request.iteration.max(1),
        turn: 1,
        ..request
    }
}

fn told(role: Role, part: &Part, is_last: bool) -> String {
    let cut = |it: &str| middle_cut(it, SHOWN_BYTES);
    match (part, role) {
        (Part::Text { text }, Role::User) => text.clone(),
        (Part::Text { text }, Role::Assistant) => format!("You said: {text}"),
        (Part::ToolUse { name, args, .. }, _) => format!("You called {name} {}", cut(args)),
        // The turn under way: nothing was interrupted.
        (Part::ToolResult { text, .. }, _) if is_last && text == INTERRUPTED => {
            "It has not ended yet.".to_owned()
        }
        (Part::ToolResult { text, .. }, _) => format!("It answered: {}", cut(text)),
        (Part::Opaque { .. }, _) => String::new(),
    }
}
