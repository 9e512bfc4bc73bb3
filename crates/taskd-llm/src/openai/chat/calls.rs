//! Tool calls in pieces: which piece belongs to which call.
//!
//! `OpenAI` numbers the calls, names each once and then sends its arguments in pieces. Imitators
//! send whole calls at once, number all of them 0, leave out the number or the id, or repeat id and
//! name with every piece. One call is open at a time; what shows that the next one begins is in
//! [`Open::continues`].

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// A piece of a tool call.
#[derive(Deserialize)]
pub(super) struct Piece {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
    /// What Google wants back with the call: the signature of the thoughts that led to it.
    #[serde(default)]
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    /// JSON text, though some servers send the JSON itself.
    #[serde(default)]
    arguments: Option<Value>,
}

/// The call whose pieces are arriving.
#[derive(Default)]
pub(super) struct Open {
    index: Option<u64>,
    /// The provider's id; empty if it gave none.
    pub(super) id: String,
    /// The tool; empty until it is named.
    pub(super) name: String,
    /// The arguments so far.
    pub(super) args: String,
    /// What its provider wants back with it.
    pub(super) extra: Option<Value>,
}

impl Open {
    /// What the model wrote of this call so far, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.args.len()
    }

    /// `piece` belongs to this call and not to the next.
    pub(super) fn continues(&self, piece: &Piece) -> bool {
        if let (Some(ours), Some(theirs)) = (self.index, piece.index)
            && ours != theirs
        {
            return false;
        }
        let id = piece.id.as_deref().unwrap_or_default();
        if !id.is_empty() && !self.id.is_empty() {
            return id == self.id;
        }
        let name = piece.name();
        name.is_empty() || self.name.is_empty() || (name == self.name && !self.is_whole())
    }

    /// Takes `piece` in.
    pub(super) fn take(&mut self, piece: Piece) {
        self.index = self.index.or(piece.index);
        if self.id.is_empty() {
            self.id = piece.id.unwrap_or_default();
        }
        if piece.extra_content.as_ref().is_some_and(Value::is_object) {
            self.extra = piece.extra_content;
        }
        let Some(function) = piece.function else { return };
        if self.name.is_empty() {
            self.name = function.name.unwrap_or_default();
        }
        match function.arguments {
            Some(Value::String(text)) => self.args.push_str(&text),
            Some(Value::Null) | None => {}
            Some(json) => self.args.push_str(&json.to_string()),
        }
    }

    /// The arguments are JSON already.
    pub(super) fn is_whole(&self) -> bool {
        serde_json::from_str::<IgnoredAny>(&self.args).is_ok()
    }
}

impl Piece {
    fn name(&self) -> &str {
        self.function.as_ref().and_then(|it| it.name.as_deref()).unwrap_or_default()
    }
}
