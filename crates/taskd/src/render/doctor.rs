//! `taskd doctor`: what was looked at, a line each; what is not well with why and what to do.

use serde_json::{Value, json as value};
use taskd_api::v1;

use super::{Scene, json::SCHEMA_VERSION, text::clean};

/// One thing that was looked at, and whether it was mended.
pub(crate) struct Row {
    pub(crate) check: v1::CheckRow,
    pub(crate) fixed: bool,
}

/// For people.
pub(crate) fn checks(rows: &[Row], scene: &Scene) -> String {
    let name = rows.iter().map(|it| it.check.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for Row { check: it, fixed } in rows {
        let word = match it.state() {
            v1::CheckState::Ok if *fixed => scene.paint("32", "mended "),
            v1::CheckState::Ok => scene.paint("32", "ok     "),
            v1::CheckState::Warning => scene.paint("33", "warning"),
            v1::CheckState::Failed | v1::CheckState::Unspecified => scene.paint("31;1", "FAILED "),
        };
        out.push_str(&format!("{word}  {:<name$}  {}\n", clean(&it.name), clean(&it.detail)));
        if it.state() == v1::CheckState::Ok {
            continue;
        }
        for line in [&it.why, &it.hint].into_iter().filter(|it| !it.is_empty()) {
            out.push_str(&format!("         {:<name$}  {}\n", "", clean(line)));
        }
    }
    out
}

/// For programs: one object.
pub(crate) fn json(Row { check: it, fixed }: &Row) -> Value {
    let state = it.state().as_str_name().trim_start_matches("CHECK_STATE_").to_lowercase();
    value!({
        "schema_version": SCHEMA_VERSION,
        "code": it.code,
        "name": it.name,
        "state": state,
        "detail": it.detail,
        "why": it.why,
        "hint": it.hint,
        "fixed": fixed,
    })
}
