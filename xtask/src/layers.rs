//! `cargo xtask layers`: the arrows of docs/ARCHITECTURE.md, against `cargo metadata`.
//!
//! Adding an arrow here is a decision: write the ADR first.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::repo;

/// What each crate may use inside the workspace.
const ARROWS: &[(&str, &[&str])] = &[
    ("taskd-model", &[]),
    ("taskd-core", &["taskd-model"]),
    ("taskd-store", &["taskd-model"]),
    ("taskd-llm", &["taskd-model"]),
    ("taskd-tools", &["taskd-model"]),
    ("taskd-git", &["taskd-model"]),
    ("taskd-api", &["taskd-model"]),
    ("taskd-mcp", &[]),
    (
        "taskd-daemon",
        &[
            "taskd-api",
            "taskd-core",
            "taskd-git",
            "taskd-llm",
            "taskd-mcp",
            "taskd-model",
            "taskd-store",
            "taskd-tools",
        ],
    ),
    ("taskd-tui", &["taskd-api", "taskd-model"]),
    ("taskd-web", &["taskd-api", "taskd-model"]),
    // taskd-tools: the supervisor is this binary, entered by another door.
    (
        "taskd",
        &[
            "taskd-api",
            "taskd-daemon",
            "taskd-mcp",
            "taskd-model",
            "taskd-tools",
            "taskd-tui",
            "taskd-web",
        ],
    ),
    ("taskd-testkit", &["taskd-core", "taskd-model"]),
    ("xtask", &["taskd-model", "taskd-testkit"]),
];

/// What a crate's tests and build scripts may use besides.
const DEV_ARROWS: &[(&str, &[&str])] =
    &[("taskd-daemon", &["taskd-testkit"]), ("taskd", &["taskd-testkit"])];

/// The crates that decide: no IO, no async, no clock, no randomness.
const PURE: &[&str] = &["taskd-model", "taskd-core"];

/// What must not be reachable from a pure crate.
const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "crossterm",
    "fastrand",
    "futures-timer",
    "getrandom",
    "git2",
    "hyper",
    "ignore",
    "jiff",
    "libc",
    "libgit2-sys",
    "libsqlite3-sys",
    "mio",
    "nix",
    "notify",
    "parking_lot",
    "quanta",
    "rand",
    "rand_core",
    "refinery",
    "reqwest",
    "rusqlite",
    "rustix",
    "signal-hook",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tonic",
    "uuid",
    "walkdir",
    "web-time",
];

/// Impure crates that a pure crate may reach through one other, and why that is harmless.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("governor", "futures-timer", "its async waiting, which the core never calls"),
    ("governor", "parking_lot", "its keyed store; ours is the one inside State"),
    ("governor", "libc", "below parking_lot"),
    ("governor", "web-time", "its default clock; ours is the record's time"),
];

/// Who alone may name a crate.
const ONLY_UNDER: &[(&str, &str)] = &[
    ("rusqlite", "taskd-store"),
    ("refinery", "taskd-store"),
    ("libsqlite3-sys", "taskd-store"),
    ("git2", "taskd-git"),
    ("libgit2-sys", "taskd-git"),
    ("libz-sys", "taskd-git"),
];

/// What the binary is built on; a name that is no longer reached has become an ornament.
const REACHED_BY_TASKD: &[&str] = &[
    "axum",
    "clap",
    "git2",
    "governor",
    "nix",
    "notify",
    "prost",
    "rusqlite",
    "serde",
    "tokio",
    "tonic",
    "tracing",
    "tracing-subscriber",
];

pub(crate) fn run() -> Result<()> {
    let graph = Graph::new(&repo::metadata()?)?;
    let mut bad = Vec::new();
    for member in &graph.members {
        check_arrows(&graph, member, &mut bad);
        check_owners(&graph, member, &mut bad);
    }
    for pure in PURE {
        check_purity(&graph, pure, &mut bad);
    }
    let reached = graph.reachable("taskd");
    for wanted in REACHED_BY_TASKD.iter().filter(|it| !reached.contains(*it)) {
        bad.push(format!("taskd does not reach {wanted}, which the product is built on"));
    }
    repo::verdict("layers", &bad)?;
    println!("{} crates, every arrow drawn", graph.members.len());
    Ok(())
}

fn check_arrows(graph: &Graph, member: &str, bad: &mut Vec<String>) {
    let Some(allowed) = row(ARROWS, member) else {
        bad.push(format!("{member}: not in the table of layers"));
        return;
    };
    let for_tests = row(DEV_ARROWS, member).unwrap_or_default();
    let inside = |deps: &BTreeSet<String>| -> Vec<String> {
        deps.intersection(&graph.members).cloned().collect()
    };
    for dep in inside(&graph.normal[member]) {
        if !allowed.contains(&dep.as_str()) {
            bad.push(format!("{member} -> {dep}: not an arrow we drew"));
        }
    }
    for dep in inside(&graph.other[member]) {
        if !allowed.contains(&dep.as_str()) && !for_tests.contains(&dep.as_str()) {
            bad.push(format!("{member} -> {dep} (dev or build): not an arrow we drew"));
        }
    }
}

fn check_owners(graph: &Graph, member: &str, bad: &mut Vec<String>) {
    for (name, owner) in ONLY_UNDER.iter().filter(|(_, owner)| *owner != member) {
        if graph.normal[member].contains(*name) || graph.other[member].contains(*name) {
            bad.push(format!("{member} -> {name}: only {owner} may name it"));
        }
    }
}

/// Walks down with the outermost foreign crate in hand: an excuse is given to that one alone.
fn check_purity(graph: &Graph, pure: &str, bad: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut stack = vec![(pure.to_owned(), String::new())];
    while let Some((name, via)) = stack.pop() {
        if !seen.insert((name.clone(), via.clone())) {
            continue;
        }
        let excused = EXCUSED.iter().any(|(by, what, _)| *by == via && *what == name);
        if IMPURE.contains(&name.as_str()) && !excused {
            bad.push(format!("{pure} reaches {name} (by way of {via})"));
        }
        for dep in &graph.normal[&name] {
            let via = match (graph.members.contains(dep), via.as_str()) {
                (true, _) => String::new(),
                (false, "") => dep.clone(),
                (false, outermost) => outermost.to_owned(),
            };
            stack.push((dep.clone(), via));
        }
    }
}

/// The names of the workspace's crates, sorted.
pub(crate) fn member_names(metadata: &Value) -> Result<BTreeSet<String>> {
    let names = names_by_id(metadata)?;
    let members = repo::list_of(metadata, "workspace_members")?;
    members.iter().map(|id| name_of(&names, id)).collect()
}

/// Who depends on whom, by name. Two versions of one crate count as one.
struct Graph {
    members: BTreeSet<String>,
    normal: BTreeMap<String, BTreeSet<String>>,
    /// Dev and build dependencies.
    other: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn new(metadata: &Value) -> Result<Self> {
        let names = names_by_id(metadata)?;
        let mut graph = Self {
            members: member_names(metadata)?,
            normal: BTreeMap::new(),
            other: BTreeMap::new(),
        };
        for node in repo::list_of(&metadata["resolve"], "nodes")? {
            let name = name_of(&names, &node["id"])?;
            let normal = graph.normal.entry(name.clone()).or_default();
            let other = graph.other.entry(name).or_default();
            for dep in repo::list_of(node, "deps")? {
                let to = name_of(&names, &dep["pkg"])?;
                for kind in repo::list_of(dep, "dep_kinds")? {
                    let set = if kind["kind"].is_null() { &mut *normal } else { &mut *other };
                    set.insert(to.clone());
                }
            }
        }
        Ok(graph)
    }

    /// Everything below a crate through normal dependencies.
    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut stack = vec![from];
        while let Some(name) = stack.pop() {
            let Some((name, deps)) = self.normal.get_key_value(name) else { continue };
            if seen.insert(name.as_str()) {
                stack.extend(deps.iter().map(String::as_str));
            }
        }
        seen
    }
}

fn names_by_id(metadata: &Value) -> Result<BTreeMap<&str, &str>> {
    let packages = repo::list_of(metadata, "packages")?.iter();
    packages.map(|it| Ok((repo::text_of(it, "id")?, repo::text_of(it, "name")?))).collect()
}

fn name_of(names: &BTreeMap<&str, &str>, id: &Value) -> Result<String> {
    let id = id.as_str().context("a package id is text")?;
    let name = names.get(id).with_context(|| format!("no package {id}"))?;
    Ok((*name).to_owned())
}

fn row(table: &[(&str, &'static [&'static str])], name: &str) -> Option<&'static [&'static str]> {
    table.iter().find(|(it, _)| *it == name).map(|(_, row)| *row)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Graph, check_arrows, check_owners, check_purity};

    /// `a: b c` means that a depends on b and c; `ours` are the workspace's crates.
    fn graph(ours: &str, arrows: &[&str]) -> Graph {
        let words = |it: &str| -> BTreeSet<String> { it.split(' ').map(String::from).collect() };
        let mut normal = BTreeMap::new();
        for arrow in arrows {
            let (from, to) = arrow.split_once(": ").expect("written as `a: b c`");
            for leaf in words(to) {
                normal.entry(leaf).or_insert_with(BTreeSet::new);
            }
            normal.insert(from.to_owned(), words(to));
        }
        let other = normal.keys().map(|it| (it.clone(), BTreeSet::new())).collect();
        Graph { members: words(ours), normal, other }
    }

    fn complaints(check: fn(&Graph, &str, &mut Vec<String>), of: &str, graph: &Graph) -> String {
        let mut bad = Vec::new();
        check(graph, of, &mut bad);
        bad.join("\n")
    }

    #[test]
    fn an_adapter_may_not_use_another() {
        let graph =
            graph("taskd-model taskd-git taskd-store", &["taskd-git: taskd-model taskd-store"]);
        let said = complaints(check_arrows, "taskd-git", &graph);
        assert_eq!(said, "taskd-git -> taskd-store: not an arrow we drew");
    }

    #[test]
    fn a_crate_outside_the_table_is_named() {
        let graph = graph("taskd-utils", &["taskd-utils: serde"]);
        let said = complaints(check_arrows, "taskd-utils", &graph);
        assert_eq!(said, "taskd-utils: not in the table of layers");
    }

    #[test]
    fn sqlite_has_one_owner() {
        let graph = graph("taskd-git", &["taskd-git: rusqlite git2"]);
        let said = complaints(check_owners, "taskd-git", &graph);
        assert_eq!(said, "taskd-git -> rusqlite: only taskd-store may name it");
    }

    #[test]
    fn an_excuse_holds_only_for_the_crate_it_names() {
        let graph = graph(
            "taskd-core taskd-model",
            &[
                "taskd-core: governor taskd-model",
                "governor: libc",
                "taskd-model: blake3",
                "blake3: libc",
            ],
        );
        let said = complaints(check_purity, "taskd-core", &graph);
        assert_eq!(said, "taskd-core reaches libc (by way of blake3)");
    }
}
