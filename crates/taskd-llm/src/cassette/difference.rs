//! Where two requests first differ: said by place, never by content.

use serde_json::Value;

/// The first place where `ours` is not as `theirs`, as a JSON pointer, with the byte where two texts
/// part; `None` if they are equal.
pub(super) fn first_difference(theirs: &Value, ours: &Value) -> Option<String> {
    let mut pointer = String::new();
    differs(theirs, ours, &mut pointer)
}

fn differs(theirs: &Value, ours: &Value, pointer: &mut String) -> Option<String> {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|it| !a.contains_key(*it)));
            keys.into_iter().find_map(|key| {
                let key_text = key.replace('~', "~0").replace('/', "~1");
                below(a.get(key), b.get(key), pointer, &key_text)
            })
        }
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len()))
            .find_map(|n| below(a.get(n), b.get(n), pointer, &n.to_string())),
        (Value::String(a), Value::String(b)) if a != b => {
            let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            Some(format!("{pointer} from byte {same}"))
        }
        (a, b) if a != b => Some(pointer.clone()),
        _ => None,
    }
}

fn below(
    theirs: Option<&Value>,
    ours: Option<&Value>,
    pointer: &mut String,
    step: &str,
) -> Option<String> {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(step);
    let found = match (theirs, ours) {
        (Some(a), Some(b)) => differs(a, b, pointer),
        (Some(_), None) => Some(format!("{pointer}, which is recorded only")),
        (None, Some(_)) => Some(format!("{pointer}, which is new")),
        (None, None) => None,
    };
    pointer.truncate(length);
    found
}
