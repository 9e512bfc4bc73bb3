//! `taskd types`: loop types, what is wrong with them, and prompts as they are sent.

use serde_json::{Value, json as value};
use taskd_api::v1;
use taskd_daemon::types::{Flaw, Listing, Row, Source};

use super::{
    Scene,
    json::{SCHEMA_VERSION, problem},
    table::Table,
    text::{clean, clean_lines, count},
};

/// `taskd types ls`.
pub(crate) fn table(types: &[Row], scene: &Scene) -> String {
    let heading = ["TYPE", "FROM", "EXTENDS", "WORKER", "WHAT"];
    let mut table = Table::new(&heading, 4, heading.len());
    for it in types {
        let from = match it.source {
            Source::BuiltIn => "built in",
            Source::Person | Source::Project => &it.file,
        };
        let dash = |it: &Option<String>| clean(it.as_deref().unwrap_or("-"));
        let what = if it.why.is_some() { "cannot be used" } else { &it.description };
        let cells =
            [&clean(&it.name), &clean(from), &dash(&it.extends), &dash(&it.worker), &clean(what)];
        table.row(cells.map(ToOwned::to_owned).into());
    }
    table.draw(0, table.total(0).min(scene.width), scene.width).join("\n") + "\n"
}

/// What is wrong, a line each, and under it what would be right.
pub(crate) fn flaws(flaws: &[Flaw]) -> String {
    let one = |it: &Flaw| {
        let line = format!("error: {}:{}:{}: {}\n", it.file, it.line, it.column, clean(&it.what));
        let hint =
            if it.hint.is_empty() { String::new() } else { format!("hint: {}\n", clean(&it.hint)) };
        line + &hint
    };
    flaws.iter().map(one).collect()
}

/// Nothing is wrong.
pub(crate) fn well(types: &[Row]) -> String {
    format!("{}, nothing is wrong\n", count(types.len() as u64, "loop type"))
}

/// `taskd types show`: the definition, with where it comes from as a comment, so that it is a file
/// that defines the same.
pub(crate) fn definition(row: &Row, all: &[Row]) -> String {
    let mut chain = vec![format!("{} ({})", clean(&row.name), clean(&row.file))];
    let mut next = row;
    while let Some(it) = next.extends.as_ref().and_then(|name| {
        // One that extends its own name means the layer below, which is not listed.
        all.iter().find(|it| it.name == *name && it.name != next.name)
    }) {
        chain.push(format!("{} ({})", clean(&it.name), clean(&it.file)));
        next = it;
    }
    let text = row.definition.as_deref().unwrap_or_default();
    format!("# {}\n{}", chain.join(" extends "), clean_lines(text))
}

/// What a new type begins as.
pub(crate) fn beginning(name: &str, extends: &str) -> String {
    format!(
        "\
# `taskd types check {name}` says what is wrong here, `taskd types show {extends}` what it begins with,
# `taskd types render {name} \"a task\"` what it will say. What is not set comes from {extends}.
extends: {extends}
description: What {name} is for

# agent: claude                      # or  model: PROVIDER/NAME
# gate: {{quick: cargo check, run: cargo test, timeout: 15m, protect: [.github/**]}}
# limits: {{iterations: 8, time: 2h, budget: $5}}
# tools: {{remove: [run]}}
# inputs:
#   module: {{type: string, required: true}}      # given with --set module=...
# prompt: |
#   # {{{{ spec.title }}}}
#   {{{{ spec.text }}}}
"
    )
}

/// `taskd types render`: what is sent, as it is.
pub(crate) fn rendered(it: &v1::RenderPromptResponse) -> String {
    let system = match it.system.as_str() {
        "" => String::new(),
        system => format!("{}\n\n--- prompt ---\n\n", clean_lines(system)),
    };
    format!("{system}{}\n", clean_lines(&it.prompt))
}

/// How much it is, and what is not in it.
pub(crate) fn size(it: &v1::RenderPromptResponse) -> String {
    let tools = match it.tools.as_slice() {
        [] => String::new(),
        tools => format!(", with {}: {}", count(tools.len() as u64, "tool"), tools.join(", ")),
    };
    let servers = match it.servers.as_slice() {
        [] => String::new(),
        servers => format!("; what {} offers comes on top", servers.join(", ")),
    };
    clean(&format!(
        "{} of {}, for {}: about {}, {}{tools}{servers}",
        it.spec,
        it.origin,
        it.worker,
        count(it.tokens, "token"),
        count(it.bytes, "byte"),
    ))
}

/// The same for programs.
pub(crate) fn rendered_json(it: &v1::RenderPromptResponse) -> Value {
    value!({
        "schema_version": SCHEMA_VERSION,
        "spec": it.spec,
        "type": it.type_name,
        "origin": it.origin,
        "worker": it.worker,
        "system": it.system,
        "prompt": it.prompt,
        "tools": it.tools,
        "servers": it.servers,
        "bytes": it.bytes,
        "tokens": it.tokens,
        "problems": it.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

/// Types and flaws for programs.
pub(crate) fn json(listing: &Listing) -> Value {
    let one = |it: &Row| {
        let source = match it.source {
            Source::BuiltIn => "built_in",
            Source::Person => "person",
            Source::Project => "project",
        };
        value!({
            "name": it.name,
            "file": it.file,
            "source": source,
            "extends": it.extends,
            "description": it.description,
            "worker": it.worker,
            "definition": it.definition,
            "why": it.why,
        })
    };
    let flaw = |it: &Flaw| {
        value!({
            "file": it.file,
            "line": it.line,
            "column": it.column,
            "message": it.what,
            "hint": it.hint,
        })
    };
    value!({
        "schema_version": SCHEMA_VERSION,
        "types": listing.types.iter().map(one).collect::<Vec<_>>(),
        "problems": listing.flaws.iter().map(flaw).collect::<Vec<_>>(),
    })
}
