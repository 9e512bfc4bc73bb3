//! `review`: a second reader of work whose gate is green.

use taskd_model::{ReviewDoc, Worker};

use crate::plan_file::head;
use crate::problem::Problems;
use crate::yaml::{Kind, Node};

const KEYS: [&str; 4] = ["model", "agent", "prompt", "blocks"];
const MEANT: [(&str, &str); 3] =
    [("block", "blocks"), ("required", "blocks"), ("backend", "model")];

/// What it looks for where the type does not say.
const PROMPT: &str = "Find what is wrong with this change, and what the gate does not check.";

/// What a definition says about its second reader.
#[derive(Debug, Clone)]
pub(super) enum Written {
    /// There is none, whatever the type extends.
    None,
    /// This one.
    By(ReviewDoc),
}

/// Reads it. What is wrong is noted, and the reader left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Written {
    if node.kind == Kind::Flag(false) {
        return Written::None;
    }
    let keys = problems.keys(node, "`review`", &KEYS, &MEANT);
    let model = head::text(&keys, "model", problems).map(|it| Worker::Model(it.value));
    let agent = head::text(&keys, "agent", problems).map(|it| Worker::Agent(it.value));
    let by = match (model, agent) {
        (Some(by), None) | (None, Some(by)) => by,
        (Some(_), Some(_)) => {
            let hint = "a second reader is one or the other";
            problems.add_hint(node.at, "`review` names a `model` and an `agent`", hint);
            return Written::None;
        }
        (None, None) => {
            problems.add_hint(
                node.at,
                "`review` names no `model` and no `agent`",
                "write `review: {model: PROVIDER/NAME, prompt: ...}`, or `review: false` for none",
            );
            return Written::None;
        }
    };
    let prompt = head::text(&keys, "prompt", problems).map(|it| it.value);
    let blocks = keys.get("blocks").and_then(|(_, it)| problems.flag(it, "blocks"));
    Written::By(ReviewDoc {
        by,
        prompt: prompt.unwrap_or_else(|| PROMPT.to_owned()),
        blocks: blocks.unwrap_or(false),
    })
}

impl Written {
    /// The second reader, over that of the type it extends.
    pub(super) fn over(self) -> Option<ReviewDoc> {
        match self {
            Self::None => None,
            Self::By(it) => Some(it),
        }
    }
}
