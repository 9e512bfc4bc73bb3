//! `taskd gc`: one block for each thing, with the reason it goes or stays.

use serde_json::{Value, json};
use taskd_api::v1;

use super::{
    Scene,
    daemon::bytes,
    json::SCHEMA_VERSION,
    text::{clean, wrap},
};

/// The picture: what goes first, then what stays.
pub(crate) fn picture(items: &[v1::GcItem], scene: &Scene) -> String {
    let (goes, stays): (Vec<_>, Vec<_>) = items.iter().partition(|it| goes(it));
    let mut out = String::new();
    for it in goes.iter().chain(&stays) {
        let size = if it.bytes == 0 { String::new() } else { format!(", {}", bytes(it.bytes)) };
        out.push_str(&format!("{:<8}  {}{size}\n", word(it), clean(&it.what)));
        let saved = it.saved.iter().map(|it| format!("saved as {it}"));
        for text in std::iter::once(it.reason.clone()).chain(saved) {
            for line in wrap(&clean(&text), scene.width.saturating_sub(10)) {
                out.push_str(&format!("{:<8}  {line}\n", ""));
            }
        }
    }
    out.push_str(&sum(&goes, &stays));
    out
}

fn sum(goes: &[&v1::GcItem], stays: &[&v1::GcItem]) -> String {
    let of = |items: &[&v1::GcItem]| bytes(items.iter().map(|it| it.bytes).sum());
    let would = goes.iter().any(|it| it.fate() == v1::GcFate::Would);
    let word = if would { "would remove" } else { "removed" };
    let gone = match goes.len() {
        0 => "nothing to remove".to_owned(),
        n => format!("{word} {n} ({})", of(goes)),
    };
    match stays.len() {
        0 => format!("{gone}\n"),
        n => format!("{gone}, {n} stay ({})\n", of(stays)),
    }
}

fn goes(it: &v1::GcItem) -> bool {
    matches!(it.fate(), v1::GcFate::Removed | v1::GcFate::Would)
}

fn word(it: &v1::GcItem) -> &'static str {
    match it.fate() {
        v1::GcFate::Removed => "removed",
        v1::GcFate::Would => "would go",
        v1::GcFate::Kept | v1::GcFate::Unspecified => "stays",
        v1::GcFate::Failed => "FAILED",
    }
}

/// One object.
pub(crate) fn json(it: &v1::GcItem) -> Value {
    let fate = match it.fate() {
        v1::GcFate::Removed => "removed",
        v1::GcFate::Would => "would",
        v1::GcFate::Kept | v1::GcFate::Unspecified => "kept",
        v1::GcFate::Failed => "failed",
    };
    json!({
        "schema_version": SCHEMA_VERSION,
        "what": it.what,
        "place": it.place,
        "bytes": it.bytes,
        "fate": fate,
        "reason": it.reason,
        "saved": it.saved,
    })
}
