//! What is known of one run of an agent besides its end: its processes, and what a person should
//! know of it. Nothing here decides whether its work is good.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Code;
use crate::code::Reaction;

/// Most characters of a remark.
const MAX_REMARK_CHARS: usize = 400;
/// Most bytes of an agent's last word.
const MAX_SAID_BYTES: usize = 600;
/// A run has at most so many remarks.
const MAX_REMARKS: usize = 12;

/// One run of an agent, besides how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRun {
    /// Most processes that were seen alive under it at once, itself included; 0 if none was counted.
    #[serde(default, skip_serializing_if = "is_none")]
    pub processes: u32,
    /// It ended by itself with an error and has changed files: the gate decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub judged: bool,
    /// What a person should know, at most a dozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// Its last word, where it is known which words are: what it says that it did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// One thing a person should know of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The word for it; where the word asks a person, the loop is blocked.
    pub code: Code,
    /// What happened, to what, and what to do next; at most 400 characters.
    pub text: String,
}

impl AgentRun {
    /// Nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a remark, bounded and in one line.
    pub fn remark(&mut self, code: Code, text: &str) {
        if self.remarks.len() < MAX_REMARKS {
            let plain = |it: char| if it.is_control() { ' ' } else { it };
            let text = text.chars().take(MAX_REMARK_CHARS).map(plain).collect();
            self.remarks.push(Remark { code, text });
        }
    }

    /// Keeps the last word of the agent: the end of its text, its last paragraphs as far as they fit.
    pub fn say(&mut self, text: &str) {
        let plain = |it: char| if it.is_control() && it != '\n' { ' ' } else { it };
        let text: String = text.trim().chars().map(plain).collect();
        let from = text.ceil_char_boundary(text.len().saturating_sub(MAX_SAID_BYTES));
        let whole = if from == 0 { Some(0) } else { text[from..].find("\n\n").map(|it| from + it) };
        let cut = text.floor_char_boundary(MAX_SAID_BYTES);
        // One long paragraph is told from its beginning.
        self.said = whole.map_or(&text[..cut], |from| &text[from..]).trim().to_owned();
    }

    /// What a person is asked before the loop goes on, if anything.
    #[must_use]
    pub fn question(&self) -> Option<&str> {
        self.remarks.iter().find(|it| it.asks()).map(|it| it.text.as_str())
    }

    /// The work of a run that ended with `exit` goes to the gate.
    #[must_use]
    pub fn is_gated(&self, exit: i32) -> bool {
        exit == 0 || self.judged
    }
}

impl Remark {
    /// A person is asked before the loop goes on.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.code.entry().reaction == Reaction::Asks
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_none(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_bounded_and_the_first_that_asks_is_the_question() {
        let mut run = AgentRun::default();
        assert_eq!(serde_json::to_string(&run).unwrap(), "{}");
        run.remark(Code::AgentCommitted, "it\nhas committed");
        assert_eq!((run.remarks[0].text.as_str(), run.question()), ("it has committed", None));
        run.remark(Code::AgentMovedRefs, "first");
        run.remark(Code::AgentMovedRefs, "second");
        assert_eq!(run.question(), Some("first"));
        for _ in 0..20 {
            run.remark(Code::AgentCommitted, &"x".repeat(1_000));
        }
        assert_eq!((run.remarks.len(), run.remarks[5].text.len()), (12, 400));
        run.say(&format!("{}\n\nI added\ta test.\n\nDone.\n", "thinking ".repeat(100)));
        assert_eq!(run.said, "I added a test.\n\nDone.");
        run.say(&"long ".repeat(300));
        assert_eq!(run.said.len(), 599);
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<AgentRun>(&text).unwrap(), run);
    }
}
