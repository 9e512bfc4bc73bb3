//! An answer that is too long is cut where it is longest, and says what was left out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Longest answer, as JSON, in bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 10;
/// A text is not made shorter than this.
const SHORTEST_TEXT_BYTES: usize = 200;
/// Remarks about what was left out, in bytes.
const REMARKS_BYTES: usize = 2 << 10;

/// The value, if need be without the ends of its longest lists and texts; `left_out` names them.
pub(super) fn bounded(mut value: Value, max_bytes: usize) -> Value {
    let room = max_bytes.saturating_sub(REMARKS_BYTES);
    if size(&value) <= max_bytes {
        return value;
    }
    let mut cuts: BTreeMap<String, (usize, usize, &'static str)> = BTreeMap::new();
    while room < size(&value) {
        let Some((path, before, after, unit)) = halve(&mut value, String::new()) else { break };
        cuts.entry(path).and_modify(|it| it.1 = after).or_insert((before, after, unit));
    }
    let mut remarks: Vec<String> = Vec::new();
    for (path, (before, after, unit)) in &cuts {
        let remark = format!("{path}: {after} of {before} {unit} are here");
        if remarks.iter().map(String::len).sum::<usize>() + remark.len() < REMARKS_BYTES / 2 {
            remarks.push(remark);
        }
    }
    let rest = cuts.len() - remarks.len();
    if 0 < rest {
        remarks.push(format!("and {rest} more places"));
    }
    if let Value::Object(object) = &mut value {
        object.insert("left_out".to_owned(), json!(remarks));
    }
    value
}

/// Halves what is longest: where, how much there was and is, and of what.
fn halve(value: &mut Value, path: String) -> Option<(String, usize, usize, &'static str)> {
    match value {
        Value::String(text) => {
            let before = text.len();
            let keep = text.floor_char_boundary((before / 2).max(SHORTEST_TEXT_BYTES));
            if before <= keep {
                return None;
            }
            text.truncate(keep);
            Some((path, before, keep, "bytes"))
        }
        Value::Array(list) => {
            let sizes: Vec<usize> = list.iter().map(size).collect();
            let all: usize = sizes.iter().sum();
            let (at, longest) =
                sizes.iter().enumerate().max_by_key(|it| it.1).map(|(at, it)| (at, *it))?;
            if list.len() == 1 || all / 2 < longest {
                let inner = halve(&mut list[at], format!("{path}[{at}]"));
                if inner.is_some() || list.len() == 1 {
                    return inner;
                }
            }
            let before = list.len();
            list.truncate(before / 2);
            Some((path, before, before / 2, "entries"))
        }
        Value::Object(object) => {
            let (name, inner) = object.iter_mut().max_by_key(|(_, it)| size(it))?;
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            halve(inner, path)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_as_it_was_and_what_does_not_says_what_is_missing() {
        let small = json!({ "a": [1, 2, 3] });
        assert_eq!(bounded(small.clone(), 4_000), small);
        let rows: Vec<Value> =
            (0..1_000).map(|n| json!({ "n": n, "text": "x".repeat(50) })).collect();
        let cut = bounded(json!({ "rows": rows, "id": "p1" }), 8_000);
        assert!(cut.to_string().len() <= 8_000);
        assert_eq!((&cut["id"], &cut["rows"][0]["n"]), (&json!("p1"), &json!(0)));
        let kept = cut["rows"].as_array().expect("still a list").len();
        assert_eq!(cut["left_out"], json!([format!("rows: {kept} of 1000 entries are here")]));
        let text = bounded(json!({ "loops": [{ "text": "é".repeat(50_000) }] }), 8_000);
        assert!(text["left_out"][0].as_str().expect("a text").starts_with("loops[0].text: "));
        assert!(text.to_string().len() <= 8_000);
    }
}
