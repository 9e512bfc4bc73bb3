//! What the page shows: the objects of `ls --json` and `inbox --json`, each by a key of its own, so
//! that only those that changed are sent.

use std::collections::BTreeMap;

use serde_json::Value;
use taskd_model::{Time, View};

use super::{inbox, json};

/// Everything that is shown at once, plans and loops with their place. What stands under `head` is
/// about the whole.
pub(crate) fn picture(view: &View, now: Time) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    let mut head = json::ls(view, now);
    head["version"] = view.daemon_version.as_str().into();
    let mut items = inbox::json(view, view.inbox.waiting().into_iter());
    let lists = [
        ("loop", head["loops"].take(), "name"),
        ("plan", head["plans"].take(), "name"),
        ("item", items["items"].take(), "id"),
    ];
    for (kind, list, name) in lists {
        let Value::Array(list) = list else { continue };
        for (n, mut it) in list.into_iter().enumerate() {
            if kind != "item" {
                it["place"] = n.into();
            }
            let key = format!("{kind}/{}", it[name].as_str().unwrap_or_default());
            rows.insert(key, it);
        }
    }
    if let Value::Object(head) = &mut head {
        head.retain(|_, it| !it.is_null());
    }
    rows.insert("head".to_owned(), head);
    rows
}
