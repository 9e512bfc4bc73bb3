//! The keys of a plan, of both forms, and the values plans and loop types have in common.
//!
//! Checks each value by itself; what keys mean together is not decided here.

use taskd_model::{AgentDoc, GateSettings, LandMode, LandPolicy, OnConflict, Priority};

use super::{MAX_TITLE_CHARS, PlanKeys};
use crate::problem::{At, Pos, Problems, suggest};
use crate::yaml::{Keys, Kind, Node};

/// Keys of a plan.
pub(crate) const PLAN_KEYS: [&str; 13] = [
    "plan",
    "target",
    "agent",
    "model",
    "gate",
    "land",
    "limits",
    "setup",
    "base",
    "priority",
    "type",
    "conflict",
    "land-unit",
];

const PLAN_MEANT: [(&str, &str); 6] = [
    ("title", "plan"),
    ("name", "plan"),
    ("branch", "target"),
    ("land_unit", "land-unit"),
    ("budget", "limits: {budget: $15}"),
    ("time", "limits: {time: 6h}"),
];

/// Reads the keys of a plan from a map that may hold other keys too, named in `besides`.
pub(crate) fn read_plan_keys<'n>(
    node: &'n Node,
    what: &str,
    besides: &[&str],
    problems: &mut Problems,
) -> (PlanKeys, Keys<'n>) {
    let known: Vec<&str> = PLAN_KEYS.iter().chain(besides).copied().collect();
    let keys = problems.keys(node, what, &known, &PLAN_MEANT);
    let mut head = PlanKeys {
        title: text(&keys, "plan", problems).and_then(|it| title(&it, "plan", problems)),
        target: text(&keys, "target", problems).and_then(|it| branch(it, problems)),
        agent: read_worker(&keys, problems),
        gate: keys.get("gate").and_then(|(_, it)| read_gate(it, problems)),
        setup: text(&keys, "setup", problems),
        base_red_ok: word(&keys, "base", &[("red-ok", ())], problems).is_some(),
        priority: word(&keys, "priority", &PRIORITY, problems),
        loop_type: text(&keys, "type", problems).and_then(|it| name(it, "type", problems)),
        conflict: read_conflict(&keys, problems),
        ..PlanKeys::default()
    };
    (head.land, head.land_mode) = read_land(&keys, problems);
    word(&keys, "land-unit", &[("spec", ())], problems);
    if let Some((_, limits)) = keys.get("limits") {
        read_limits(limits, &mut head, problems);
    }
    (head, keys)
}

const LAND: [(&str, LandPolicy); 4] = [
    ("never", LandPolicy::Never),
    ("ask", LandPolicy::Ask),
    ("on-gate", LandPolicy::OnGate),
    ("pr", LandPolicy::Pr),
];

const MODE: [(&str, LandMode); 3] =
    [("squash", LandMode::Squash), ("merge", LandMode::Merge), ("ff", LandMode::Ff)];

/// `land`: how, or a map of how and as what.
fn read_land(
    keys: &Keys<'_>,
    problems: &mut Problems,
) -> (Option<At<LandPolicy>>, Option<At<LandMode>>) {
    match keys.get("land") {
        Some((_, node)) if matches!(node.kind, Kind::Map(_)) => {
            let meant = [("when", "policy"), ("as", "mode")];
            let own = problems.keys(node, "`land`", &["policy", "mode"], &meant);
            (word(&own, "policy", &LAND, problems), word(&own, "mode", &MODE, problems))
        }
        _ => (word(keys, "land", &LAND, problems), None),
    }
}

const PRIORITY: [(&str, Priority); 4] = [
    ("low", Priority::Low),
    ("normal", Priority::Normal),
    ("high", Priority::High),
    ("critical", Priority::Critical),
];

/// Values that are planned but not served yet.
const NOT_YET: [(&str, &str); 1] = [("land-unit", "plan")];

fn read_limits(node: &Node, head: &mut PlanKeys, problems: &mut Problems) {
    let known = ["budget", "tokens", "time", "iterations"];
    let keys = problems.keys(node, "`limits`", &known, &[("money", "budget"), ("cost", "budget")]);
    let get = |key: &str| keys.get(key).map(|(_, it)| *it);
    head.budget_micros = get("budget").and_then(|it| problems.micros(it, "budget"));
    head.tokens = get("tokens").and_then(|it| problems.tokens(it, "tokens"));
    head.time_ms = get("time").and_then(|it| problems.duration_ms(it, "time"));
    head.iterations = get("iterations").and_then(|it| problems.count(it, "iterations"));
}

/// `agent` or `model`, not both.
pub(crate) fn read_worker(keys: &Keys<'_>, problems: &mut Problems) -> Option<At<AgentDoc>> {
    let agent = text(keys, "agent", problems);
    let model = text(keys, "model", problems);
    if let (Some((agent, _)), Some((model, _))) = (keys.get("agent"), keys.get("model")) {
        both_workers(*agent.max(model), problems);
    }
    let agent = agent.and_then(|it| worker("agent", &it, problems));
    agent.or_else(|| model.and_then(|it| worker("model", &it, problems)))
}

/// Notes that there are both an agent and a model.
pub(crate) fn both_workers(at: Pos, problems: &mut Problems) {
    problems.add_hint(at, "both `agent` and `model` are given", "keep exactly one of them");
}

/// The value of an `agent` or a `model` key.
pub(crate) fn worker(
    key: &str,
    text: &At<String>,
    problems: &mut Problems,
) -> Option<At<AgentDoc>> {
    let At { value, at } = one_line(text, key, problems)?;
    Some(At::new(
        if key == "agent" {
            AgentDoc::Agent { run: value }
        } else {
            AgentDoc::Model { name: value }
        },
        at,
    ))
}

/// `gate`: one command, a list of commands, or a map.
pub(crate) fn read_gate(node: &Node, problems: &mut Problems) -> Option<At<GateSettings>> {
    let mut gate = GateSettings::default();
    if matches!(node.kind, Kind::Map(_)) {
        let known = ["quick", "run", "timeout", "retries", "protect"];
        let keys = problems.keys(node, "`gate`", &known, &[("command", "run")]);
        let get = |key: &str| keys.get(key).map(|(_, it)| *it);
        gate.quick = text(&keys, "quick", problems).map(|it| it.value);
        gate.run = get("run").map(|it| commands(it, "run", problems)).unwrap_or_default();
        let timeout = get("timeout").and_then(|it| problems.duration_ms(it, "timeout"));
        gate.timeout_ms = timeout.map(|it| it.value);
        gate.retries = get("retries").and_then(|it| read_retries(it, problems));
        gate.protect = get("protect").map(|it| read_globs(it, "protect", problems));
    } else {
        gate.run = commands(node, "gate", problems);
    }
    Some(At::new(gate, node.at))
}

/// Most runs of a red gate that are made again on the same tree.
pub(crate) const MAX_RETRIES: u32 = 3;

/// How often a red gate is run again: none, or a few times.
fn read_retries(node: &Node, problems: &mut Problems) -> Option<u32> {
    if let Kind::Integer(it) = node.kind
        && let Ok(it @ 0..=MAX_RETRIES) = u32::try_from(it)
    {
        return Some(it);
    }
    problems.add(node.at, format!("`retries` must be a number from 0 to {MAX_RETRIES}"));
    None
}

fn commands(node: &Node, key: &str, problems: &mut Problems) -> Vec<String> {
    if node.is_empty_list() {
        let hint = "name a command, or leave the key out; `--no-gate` goes without one";
        problems.add_hint(node.at, format!("`{key}` has no command"), hint);
    }
    problems.texts(node, key).into_iter().map(|it| it.value.trim().to_owned()).collect()
}

fn read_globs(node: &Node, key: &str, problems: &mut Problems) -> Vec<String> {
    let globs = if node.is_empty_list() { Vec::new() } else { problems.texts(node, key) };
    globs.into_iter().filter_map(|it| glob(&it, key, problems)).map(|it| it.value).collect()
}

/// A glob below the repository's root.
pub(crate) fn glob(text: &At<String>, key: &str, problems: &mut Problems) -> Option<At<String>> {
    let text = one_line(text, key, problems)?;
    let outside = text.value.starts_with('/') || text.value.split('/').any(|it| it == "..");
    if outside {
        let what = format!("`{}` in `{key}` leaves the repository", shown(&text.value));
        problems.add_hint(text.at, what, "write globs from the repository's root, as `src/**`");
        return None;
    }
    Some(text)
}

/// `conflict`: `block`, or `loop(n)`.
pub(crate) fn read_conflict(keys: &Keys<'_>, problems: &mut Problems) -> Option<At<OnConflict>> {
    let text = text(keys, "conflict", problems)?;
    let value = text.value.trim();
    let times = value.strip_prefix("loop(").and_then(|it| it.strip_suffix(')'));
    let parsed = match (value, times) {
        ("block", _) => Some(OnConflict::Block),
        ("loop", _) => Some(OnConflict::default()),
        (_, Some(times)) => times.parse().ok().filter(|it| *it > 0).map(OnConflict::Loop),
        (_, None) => None,
    };
    if parsed.is_none() {
        let what = format!("`conflict` cannot be `{}`", shown(value));
        problems.add_hint(text.at, what, "write `loop(2)` or `block`");
    }
    Some(At::new(parsed?, text.at))
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    keys: &Keys<'_>,
    key: &str,
    known: &[(&str, T)],
    problems: &mut Problems,
) -> Option<At<T>> {
    let text = text(keys, key, problems)?;
    let value = text.value.trim();
    if let Some((_, it)) = known.iter().find(|(name, _)| *name == value) {
        return Some(At::new(*it, text.at));
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    if NOT_YET.contains(&(key, value)) {
        let what = format!("`{key}: {value}` is not in this version");
        problems.add_hint(text.at, what, format!("use {}", names.join(", ")));
    } else {
        let what = format!("`{key}` cannot be `{}`", shown(value));
        problems.add_hint(text.at, what, suggest(value, &names));
    }
    None
}

/// The text of a key, if the key is there.
pub(crate) fn text(keys: &Keys<'_>, key: &str, problems: &mut Problems) -> Option<At<String>> {
    let text = keys.get(key).and_then(|(_, it)| problems.text(it, key))?;
    Some(At::new(text.value.trim().to_owned(), text.at))
}

/// A title: one line that a terminal can show, not too long.
pub(crate) fn title(text: &At<String>, key: &str, problems: &mut Problems) -> Option<At<String>> {
    let text = one_line(text, key, problems)?;
    let length = text.value.chars().count();
    if length > MAX_TITLE_CHARS {
        let what = format!("the title has {length} characters; it may have {MAX_TITLE_CHARS}");
        problems.add_hint(text.at, what, "put the rest into the text");
        return None;
    }
    Some(text)
}

/// A name of a loop type.
pub(crate) fn name(text: At<String>, key: &str, problems: &mut Problems) -> Option<At<String>> {
    if is_name(&text.value) {
        return Some(text);
    }
    let what = format!("`{}` is no name for `{key}`", shown(&text.value));
    problems.add_hint(text.at, what, NAME_RULE);
    None
}

/// What a name looks like, for people.
pub(crate) const NAME_RULE: &str =
    "use a-z, 0-9, - and _, begin with a letter or digit, at most 40 characters";

/// `[a-z0-9][a-z0-9_-]{0,39}`
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    text.len() <= 40
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|it| plain(it) || it == b'_' || it == b'-')
}

fn branch(text: At<String>, problems: &mut Problems) -> Option<At<String>> {
    let bad = |it: char| it.is_control() || it.is_whitespace() || "~^:?*[\\".contains(it);
    if !text.value.contains(bad) && !text.value.starts_with('-') {
        return Some(text);
    }
    let what = format!("`{}` is no branch name", shown(&text.value));
    problems.add_hint(text.at, what, "name the branch the work lands on, as `main`");
    None
}

/// Text of one line without control characters, trimmed.
pub(crate) fn one_line(
    text: &At<String>,
    key: &str,
    problems: &mut Problems,
) -> Option<At<String>> {
    let value = text.value.trim();
    if value.is_empty() {
        problems.add(text.at, format!("`{key}` is empty"));
        return None;
    }
    if value.contains(|it: char| it.is_control() && it != '\t') {
        problems.add(text.at, format!("`{key}` must be one line without control characters"));
        return None;
    }
    Some(At::new(value.to_owned(), text.at))
}

/// What a person wrote, short enough to be quoted in a message.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().filter(|it| !it.is_control()).take(60).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}
