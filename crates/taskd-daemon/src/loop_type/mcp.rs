//! `mcp`: the tool servers of a loop type, by name.
//!
//! Whoever may name a gate or a setup command may name a server: a project's types too. A key is
//! handed to a server only by the person's own file.

use std::collections::BTreeMap;

use taskd_model::McpDoc;

use crate::plan_file::head::{NAME_RULE, is_name, shown};
use crate::problem::{Pos, Problems};
use crate::yaml::{Kind, Node};

/// Servers of one loop type.
pub(super) const MAX_SERVERS: usize = 8;
/// A server's name is the beginning of its tools' names, which may have 64 characters.
const MAX_NAME_CHARS: usize = 20;
/// Longest call that may be asked for, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 600_000;
/// Tools and variables in one list.
const MAX_NAMES: usize = 128;

const KEYS: [&str; 4] = ["command", "env", "tools", "timeout"];
const MEANT: [(&str, &str); 3] =
    [("args", "command: [program, argument]"), ("timeout_ms", "timeout: 60s"), ("cmd", "command")];

/// Reads the servers. What is wrong is noted, and the server left out.
pub(super) fn read(
    node: &Node,
    of_project: bool,
    problems: &mut Problems,
) -> BTreeMap<String, McpDoc> {
    let Kind::Map(entries) = &node.kind else {
        problems.add_hint(node.at, "`mcp` is no map", "write `name: {command: [program]}`");
        return BTreeMap::new();
    };
    let mut servers = BTreeMap::new();
    for (name, node) in entries {
        let fits = is_name(&name.value) && name.value.len() <= MAX_NAME_CHARS;
        if !fits || name.value.contains("__") {
            let what = format!("`{}` is no name of a tool server", shown(&name.value));
            let hint = format!("{NAME_RULE}; here at most {MAX_NAME_CHARS}, and no `__`");
            problems.add_hint(name.at, what, hint);
        } else if let Some(server) = read_server(&name.value, node, of_project, problems) {
            servers.insert(name.value.clone(), server);
        }
    }
    servers
}

fn read_server(
    name: &str,
    node: &Node,
    of_project: bool,
    problems: &mut Problems,
) -> Option<McpDoc> {
    if let Kind::Map(entries) = &node.kind
        && let Some((url, _)) = entries.iter().find(|(key, _)| key.value == "url")
    {
        let hint = "name a `command` that speaks with it over stdin and stdout";
        problems.add_hint(url.at, format!("`url` of `{name}` is not in this version"), hint);
        return None;
    }
    let keys = problems.keys(node, &format!("tool server `{name}`"), &KEYS, &MEANT);
    let get = |key: &str| keys.get(key).map(|(_, it)| *it);
    let command = match get("command") {
        Some(node) if !node.is_empty_list() => texts(node, "command", problems),
        Some(_) | None => {
            problems.add_hint(
                node.at,
                format!("tool server `{name}` has no `command`"),
                "write `command: [program, argument]`",
            );
            return None;
        }
    };
    let env = get("env").map(|it| (it.at, names(it, "env", problems)));
    let timeout = get("timeout").and_then(|it| problems.duration_ms(it, "timeout"));
    if let Some(it) = timeout
        && MAX_TIMEOUT_MS < it.value
    {
        problems.add(it.at, format!("`timeout` of `{name}` is more than 10m"));
    }
    Some(McpDoc {
        command,
        env: env.map(|(at, it)| held(at, it, of_project, problems)).unwrap_or_default(),
        tools: get("tools").map(|it| names(it, "tools", problems)),
        timeout_ms: timeout.map_or(0, |it| it.value),
    })
}

/// Variables that are handed over; nobody who writes a repository decides that.
fn held(at: Pos, names: Vec<String>, of_project: bool, problems: &mut Problems) -> Vec<String> {
    if of_project {
        let hint = "a project's loop type hands over no key; copy it to ~/.config/taskd/types \
            under another name if you trust it";
        problems.add_hint(at, "`env` of a tool server is for your own loop types", hint);
    }
    names
}

fn names(node: &Node, key: &str, problems: &mut Problems) -> Vec<String> {
    if node.is_empty_list() {
        return Vec::new();
    }
    let names = texts(node, key, problems);
    if MAX_NAMES < names.len() {
        problems.add(node.at, format!("`{key}` may name {MAX_NAMES}"));
    }
    names
}

fn texts(node: &Node, key: &str, problems: &mut Problems) -> Vec<String> {
    problems.texts(node, key).into_iter().map(|it| it.value).collect()
}
