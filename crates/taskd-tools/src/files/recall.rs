//! `recall`: what of a conversation was left out, as it was, in pages.
//!
//! Reads arguments and cuts pages. What an id stands for is known elsewhere. It is no tool of the
//! catalog: a loop type does not name it, because it gives nothing the loop has not seen before.

use serde::Deserialize;

use super::catalog::{ToolSpec, parse};
use super::{ToolError, ToolOutput};

/// The tool as a model is told about it.
pub const RECALL: ToolSpec = ToolSpec {
    name: "recall",
    description: "Give back what was left out of this conversation, exactly as it was. `id` is \
        named where it was left out: t3 is turn 3 as JSON, t3.1 the output of its first tool. \
        Returns at most 8 KiB from byte `offset` on, and says where to go on.",
    schema: r#"{"type":"object","properties":{"id":{"type":"string","description":"e.g. t3.1"},"offset":{"type":"integer","minimum":0,"description":"bytes; default 0"}},"required":["id"],"additionalProperties":false}"#,
    reads: true,
};

/// Bytes of one page.
pub const RECALL_PAGE_BYTES: usize = 8 << 10;

/// What `recall` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecallSpec {
    /// The turn, from 1.
    pub turn: usize,
    /// Which of its outputs, from 1; nothing for the whole turn.
    pub output: Option<usize>,
    /// The first byte.
    pub offset: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallArgs {
    id: String,
    offset: Option<usize>,
}

/// Reads the arguments of `recall`.
///
/// # Errors
/// An error result for the model.
pub fn recall_spec(args_json: &str) -> Result<RecallSpec, ToolError> {
    let args: RecallArgs = parse(&RECALL, args_json)?;
    let number = |it: &str| it.parse().ok().filter(|it| 0 < *it);
    let id = args.id.trim().strip_prefix('t').and_then(|it| match it.split_once('.') {
        None => Some((number(it)?, None)),
        Some((turn, output)) => Some((number(turn)?, Some(number(output)?))),
    });
    let Some((turn, output)) = id else {
        let what = "`id` is no id; it is like t3 for a turn and like t3.1 for an output".to_owned();
        return Err(ToolError::BadArgument { what });
    };
    Ok(RecallSpec { turn, output, offset: args.offset.unwrap_or(0) })
}

impl RecallSpec {
    /// `t3` or `t3.1`.
    #[must_use]
    pub fn id(&self) -> String {
        match self.output {
            None => format!("t{}", self.turn),
            Some(output) => format!("t{}.{output}", self.turn),
        }
    }

    /// A page of `text`, byte for byte, and behind it one line that says what it is.
    ///
    /// # Errors
    /// The text ends before the offset.
    pub fn page(&self, text: &str) -> Result<ToolOutput, ToolError> {
        let (id, all) = (self.id(), text.len());
        if all < self.offset || (all == self.offset && 0 < all) {
            let what = format!("{id} has {all} bytes; `offset` must be less");
            return Err(ToolError::BadArgument { what });
        }
        let start = text.floor_char_boundary(self.offset);
        let end = text.floor_char_boundary(start.saturating_add(RECALL_PAGE_BYTES));
        let next = match end {
            end if end == all => "that is all".to_owned(),
            end => format!("continue with offset {end}"),
        };
        let page = &text[start..end];
        Ok(ToolOutput::text(format!("{page}\n[{id}: bytes {start} to {end} of {all}; {next}]")))
    }

    /// There is nothing of that id.
    #[must_use]
    pub fn unknown(&self, there: &str) -> ToolOutput {
        let what = format!("there is no {}; {there}", self.id());
        ToolOutput::error(&ToolError::BadArgument { what })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_read_and_what_is_none_is_refused() {
        let spec = recall_spec(r#"{"id":"t3.1","offset":7}"#).unwrap();
        assert_eq!(spec, RecallSpec { turn: 3, output: Some(1), offset: 7 });
        assert_eq!(recall_spec(r#"{"id":" t12"}"#).unwrap().id(), "t12");
        for bad in ["t", "3", "t0", "t1.0", "t1.", "t1.2.3", "t-1", "x1", ""] {
            let error = recall_spec(&format!(r#"{{"id":"{bad}"}}"#)).unwrap_err().for_model();
            assert!(error.contains("like t3.1"), "{bad}: {error}");
        }
        assert!(recall_spec(r#"{"id":"t1","offset":-1}"#).is_err());
        assert!(recall_spec("{}").is_err());
    }

    #[test]
    fn a_page_says_what_it_is() {
        let spec = recall_spec(r#"{"id":"t1.2"}"#).unwrap();
        let short = spec.page("abc").unwrap();
        assert_eq!(short.text, "abc\n[t1.2: bytes 0 to 3 of 3; that is all]");
        assert_eq!(spec.page("").unwrap().text, "\n[t1.2: bytes 0 to 0 of 0; that is all]");
        let beyond = RecallSpec { offset: 3, ..spec }.page("abc").unwrap_err().for_model();
        assert_eq!(beyond, "error: t1.2 has 3 bytes; `offset` must be less");
        let unknown = spec.unknown("there are t1 and t2").text;
        assert_eq!(unknown, "error: there is no t1.2; there are t1 and t2");
    }

    proptest! {
        /// Page after page is the whole, byte for byte.
        #[test]
        fn pages_are_the_whole(part in "[a-zé\n\"\u{1f600}]{1,40}", times in 0usize..1_500) {
            let text = part.repeat(times);
            let mut spec = RecallSpec { turn: 1, output: Some(1), offset: 0 };
            let mut whole = String::new();
            loop {
                let page = spec.page(&text).unwrap().text;
                let (body, said) = page.rsplit_once('\n').unwrap();
                whole.push_str(body);
                let Some((_, next)) = said.split_once("offset ") else { break };
                let next = next.trim_end_matches(']').parse().unwrap();
                prop_assert!(spec.offset < next && body.len() <= RECALL_PAGE_BYTES);
                spec.offset = next;
            }
            prop_assert_eq!(whole, text);
        }
    }
}
