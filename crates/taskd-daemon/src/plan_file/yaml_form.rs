//! The YAML form of a plan: the same graph for programs.
//!
//! `plan` and its keys at the top, `context`, and `specs` as a list of maps.

use super::head::{self, read_plan_keys, read_worker};
use super::{Draft, PlanKeys, SpecDraft};
use crate::problem::{At, Problems};
use crate::yaml::{self, Kind, Node};

const SPEC_KEYS: [&str; 9] =
    ["id", "title", "needs", "accept", "touches", "agent", "model", "type", "task"];

const SPEC_MEANT: [(&str, &str); 5] = [
    ("name", "id"),
    ("text", "task"),
    ("prompt", "task"),
    ("depends", "needs"),
    ("depends_on", "needs"),
];

/// Reads the YAML form.
pub(super) fn read(text: &str, problems: &mut Problems) -> Draft {
    let mut draft = Draft {
        head: PlanKeys::default(),
        context: String::new(),
        specs: Vec::new(),
        warnings: Problems::new(problems.file()),
    };
    let Some(root) = yaml::parse(text, 1, problems) else { return draft };
    let (plan, keys) = read_plan_keys(&root, "the plan", &["context", "specs"], problems);
    draft.head = plan;
    if let Some(context) = head::text(&keys, "context", problems) {
        draft.context = context.value;
    }
    match keys.get("specs").map(|(_, it)| (it, &it.kind)) {
        Some((_, Kind::List(items))) if !items.is_empty() => {
            draft.specs = items.iter().filter_map(|it| read_spec(it, problems)).collect();
        }
        Some((node, _)) => {
            problems.add_hint(node.at, "`specs` has no specs", "write a list: `- id: limiter`");
        }
        None if matches!(root.kind, Kind::Map(_)) => {
            problems.add_hint(root.at, "there is no `specs`", "write a list: `- id: limiter`");
        }
        None => {}
    }
    draft
}

fn read_spec(node: &Node, problems: &mut Problems) -> Option<SpecDraft> {
    let keys = problems.keys(node, "a spec", &SPEC_KEYS, &SPEC_MEANT);
    let get = |key: &str| keys.get(key).map(|(_, it)| *it);
    for key in ["id", "title"] {
        if get(key).is_none() {
            problems.add(node.at, format!("the spec has no `{key}`"));
        }
    }
    let list = |key: &str, problems: &mut Problems| match get(key) {
        Some(it) if !it.is_empty_list() => problems.texts(it, key),
        _ => Vec::new(),
    };
    let lines = |key: &str, problems: &mut Problems| -> Vec<At<String>> {
        let texts = list(key, problems);
        texts.into_iter().filter_map(|it| head::one_line(&it, key, problems)).collect()
    };
    let needs = lines("needs", problems);
    let accept = lines("accept", problems);
    let touches = list("touches", problems);
    let touches =
        touches.into_iter().filter_map(|it| head::glob(&it, "touches", problems)).collect();
    let task = get("task").and_then(|it| problems.text(it, "task"));
    let agent = read_worker(&keys, problems);
    let loop_type =
        head::text(&keys, "type", problems).and_then(|it| head::name(it, "type", problems));
    let title =
        head::text(&keys, "title", problems).and_then(|it| head::title(&it, "title", problems));
    let id = head::text(&keys, "id", problems)?;
    let title = title.map(|it| it.value).unwrap_or_default();
    let text = task.map_or_else(|| title.clone(), |it| super::markdown::body(&it.value).to_owned());
    Some(SpecDraft { id, title, text, needs, accept, touches, agent, loop_type })
}
