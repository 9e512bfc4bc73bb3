//! A request as it would be on any machine at any time: what recordings are found by and hold.
//!
//! Two things are read over, both written by taskd itself: the folder of a script, and the commit in
//! the labels of conflict markers, whose id holds the time it was made. What people, models and
//! programs write is never touched.

use std::path::Path;

use taskd_model::{Part, Request};

use super::file_name;
use crate::SCRIPTED;

/// What stands before the commit in a label.
const LABEL: &str = "<<<<<<< taskd main ";
/// Digits of the commit in a label.
const DIGITS: usize = 7;
/// Stands for any commit.
const ANY: &str = "0000000";

/// The request without them.
pub(super) fn request(request: &Request) -> Request {
    let mut request = request.clone();
    if let Some(path) = request.model.strip_prefix(SCRIPTED) {
        request.model = format!("{SCRIPTED}{}", file_name(Path::new(path)));
    }
    for part in request.messages.iter_mut().flat_map(|it| &mut it.content) {
        match part {
            Part::Text { text } | Part::ToolResult { text, .. } if text.contains(LABEL) => {
                *text = without_commits(text);
            }
            Part::Text { .. }
            | Part::ToolResult { .. }
            | Part::ToolUse { .. }
            | Part::Opaque { .. } => {}
        }
    }
    request
}

fn without_commits(text: &str) -> String {
    let mut parts = text.split(LABEL);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let commit = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (told, rest) = part.split_at(commit);
        whole.push_str(LABEL);
        whole.push_str(if commit == DIGITS { ANY } else { told });
        whole.push_str(rest);
    }
    whole
}
