//! The words for what a request leaves out: a reference for an output, a line for a turn.
//!
//! Each says how the model gets the thing back with `recall`. Bounded whatever they stand for, and
//! measured as JSON, because that is how a request is stored and estimated.

use std::collections::BTreeMap;

use taskd_model::{Part, Reply};

use super::{
    conversation::{Output, Turn},
    shape::{BLOCK_HEAD_BYTES, FIRST_BYTES, LINE_BYTES, Shape, shown_bytes},
};

/// Characters of a tool's argument, and of what the model said, in a turn's line.
const ARGUMENT_CHARS: usize = 60;
const SAID_CHARS: usize = 80;

/// Tools that are named of turns without a line of their own.
const NAMED_TOOLS: usize = 8;

/// Longest JSON of what is said of them, in bytes.
const TOGETHER_BYTES: usize = 350;

/// Length of a text as a JSON string, in bytes, without its quotes.
pub(super) fn json_bytes(text: &str) -> usize {
    text.bytes().map(byte_bytes).sum()
}

fn byte_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..=31 => 6,
        _ => 1,
    }
}

/// The beginning of a text, of so many bytes of JSON at most; whole lines, unless the last of them is
/// most of it.
fn beginning(text: &str, most: usize) -> &str {
    let mut bytes = 0;
    let end = text.bytes().position(|it| {
        bytes += byte_bytes(it);
        most < bytes
    });
    let Some(end) = end else { return text };
    let head = &text[..text.floor_char_boundary(end)];
    match head.rfind('\n') {
        Some(at) if head.len() / 2 <= at => &head[..=at],
        Some(_) | None => head,
    }
}

/// What is shown of an output, and how many of its bytes are not.
pub(super) fn shown(text: &str, id: &str, shown: usize) -> (String, usize) {
    if shown == usize::MAX || json_bytes(text) <= shown_bytes(shown) {
        return (text.to_owned(), 0);
    }
    let head = beginning(text, shown.max(FIRST_BYTES));
    let (offset, left_out) = (head.len(), text.len() - head.len());
    let newline = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
    let all = text.len();
    let said = format!(
        "{head}{newline}[{left_out} of {all} bytes left out; \
         `recall` with {{\"id\": \"{id}\", \"offset\": {offset}}} gives them]"
    );
    (said, left_out)
}

/// The block that stands for the oldest turns: what they were together, then a line each for as many
/// of the later ones as there is room.
pub(super) fn block(turns: &[(&Turn, Vec<Output<'_>>)], shape: &Shape) -> String {
    let folded = shape.folded;
    let mut room = shape.block_bytes.saturating_sub(BLOCK_HEAD_BYTES);
    let mut lines = Vec::new();
    for (n, (turn, outputs)) in turns[..folded].iter().enumerate().rev() {
        let line = line(n + 1, &turn.reply, outputs);
        let Some(left) = room.checked_sub(json_bytes(&line) + 2) else { break };
        room = left;
        lines.push(line);
    }
    let mut text = format!(
        "[To fit your window, turns t1 to t{folded} are not here as they were. `recall` with \
         {{\"id\": \"t{folded}\"}} gives a turn back, {{\"id\": \"t{folded}.1\"}} what its first tool \
         said. What they did to files is done.]"
    );
    let unlisted = folded - lines.len();
    if 0 < unlisted {
        text.push('\n');
        text.push_str(&together(&turns[..unlisted]));
    }
    for line in lines.iter().rev() {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// `t1 to t40: read 31, run 9; 2 ended in an error`.
fn together(turns: &[(&Turn, Vec<Output<'_>>)]) -> String {
    let mut tools: BTreeMap<String, usize> = BTreeMap::new();
    let mut errors = 0;
    for output in turns.iter().flat_map(|it| &it.1) {
        *tools.entry(one_line(output.name, 16)).or_default() += 1;
        errors += usize::from(output.is_error);
    }
    let mut tools: Vec<(usize, String)> = tools.into_iter().map(|(a, b)| (b, a)).collect();
    tools.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let more = tools.len().saturating_sub(NAMED_TOOLS);
    let mut named: Vec<String> =
        tools.iter().take(NAMED_TOOLS).map(|(count, name)| format!("{name} {count}")).collect();
    if 0 < more {
        named.push(format!("{more} more"));
    }
    let mut text = format!("t1 to t{}: {}", turns.len(), named.join(", "));
    if 0 < errors {
        text.push_str(&format!("; {errors} ended in an error"));
    }
    beginning(&text, TOGETHER_BYTES).to_owned()
}

/// `t12: "I look at the parser." read src/parse.rs; run cargo test: error`.
fn line(n: usize, reply: &Reply, outputs: &[Output<'_>]) -> String {
    let mut text = format!("t{n}:");
    let says = |it: &Part| match it {
        Part::Text { text } if !text.trim().is_empty() => Some(one_line(text.trim(), SAID_CHARS)),
        Part::Text { .. }
        | Part::ToolUse { .. }
        | Part::ToolResult { .. }
        | Part::Opaque { .. } => None,
    };
    if let Some(said) = reply.parts.iter().find_map(says) {
        text.push_str(&format!(" \"{said}\""));
    }
    let tools = outputs.iter().map(|it| {
        let argument = argument(it.args).unwrap_or_default();
        let end = if it.is_error { ": error" } else { "" };
        format!(" {} {argument}", one_line(it.name, ARGUMENT_CHARS)).trim_end().to_owned() + end
    });
    text.push_str(&tools.collect::<Vec<_>>().join(";"));
    if LINE_BYTES - 2 < json_bytes(&text) {
        text = format!("{}…", beginning(&text, LINE_BYTES - 8));
    }
    text
}

/// The argument that says best what a call was about.
fn argument(args: &str) -> Option<String> {
    let args: serde_json::Value = serde_json::from_str(args).ok()?;
    let named = ["path", "pattern", "command", "id", "summary"];
    let value = named.iter().find_map(|it| args.get(it)?.as_str())?;
    Some(one_line(value, ARGUMENT_CHARS))
}

/// So many characters of a text, on one line.
fn one_line(text: &str, chars: usize) -> String {
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    text.chars().take(chars).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_json() {
        for text in ["", "a\"b\\c", "x\n\r\t\u{8}\u{c}\u{1}\u{1f}", "é\u{7f}\u{2028}ß", "/<&>"] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(json_bytes(text), json.len() - 2, "{text:?}");
        }
    }

    #[test]
    fn a_reference_begins_with_whole_lines_and_says_where_to_go_on() {
        let line = "x".repeat(149);
        let text = format!("{line}\n{}", "y".repeat(5_000));
        let (said, left_out) = shown(&text, "t3.1", 0);
        let expected = format!(
            "{line}\n[5000 of 5150 bytes left out; \
             `recall` with {{\"id\": \"t3.1\", \"offset\": 150}} gives them]"
        );
        assert_eq!((said, left_out), (expected, 5_000));
        assert_eq!(shown("short", "t3.1", 0), ("short".to_owned(), 0));
        let (said, _) = shown(&"é".repeat(5_000), "t1.1", 1_000);
        assert!(said.starts_with("é") && json_bytes(&said) <= shown_bytes(1_000), "{said}");
        assert!(said.contains("\"offset\": 1000}"), "{said}");
    }
}
