//! What each command answers with `--json`, and the published schemas of those answers.
//!
//! The schemas are the files of `docs/schemas`, JSON Schema of draft 2020-12, one for each kind of
//! object. They say what there is; a later taskd may say more. `docs/json.md` is the contract. That
//! the answers keep to them is judged by a test that runs every command.

use serde_json::{Value, json};

use super::failure::{Done, Failure};
use super::here::Here;
use crate::render::json::SCHEMA_VERSION;

/// The published schemas, by name.
macro_rules! schemas {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../../docs/schemas/", $name, ".json")))),*]
    };
}

const SCHEMAS: &[(&str, &str)] = schemas! {
    "act" "agents" "agents-test" "blame" "budget" "bundle" "checkpoints" "costs" "daemon" "diff" "doctor"
    "error" "event" "flakes" "gc" "inbox" "install" "log" "ls" "metrics" "models" "models-check" "path"
    "paths" "plan" "project"
    "prompt" "queue" "receipt" "restore" "rewind" "salvage" "schema" "settings" "show" "submit" "text" "trust" "types"
    "undo" "verify"
    "wait" "why"
};

/// Schemas of what no command prints: files that people write, and what a command of theirs is given.
const OF_FILES: &[(&str, &str)] = schemas! { "config" "loop-type" "notification" };

/// What every command may say on stderr instead of an answer.
const ERROR: &str = "error";

/// Which kinds of objects a command prints; `""` is `taskd` alone.
const ANSWERS: &[(&str, &[&str])] = &[
    ("", &["ls"]),
    ("run", &["submit", "event", "wait"]),
    ("init", &["settings"]),
    ("plan new", &["submit", "event", "wait"]),
    ("plan submit", &["submit", "event", "wait"]),
    ("plan check", &["submit"]),
    ("plan show", &["show"]),
    ("plan ls", &["plan"]),
    ("ls", &["ls"]),
    ("show", &["show"]),
    ("why", &["why", "blame"]),
    ("verify", &["verify"]),
    ("flakes", &["flakes"]),
    ("logs", &["log", "event"]),
    ("diff", &["diff"]),
    ("export", &["event", "text"]),
    ("steer", &["act"]),
    ("inbox", &["inbox"]),
    ("answer", &["act"]),
    ("approve", &["act"]),
    ("reject", &["act"]),
    ("land", &["act"]),
    ("sync", &["act"]),
    ("branch", &["act"]),
    ("pause", &["act"]),
    ("resume", &["act"]),
    ("stop", &["act"]),
    ("wait", &["wait"]),
    ("costs", &["costs", "receipt"]),
    ("budget show", &["budget"]),
    ("budget set", &["act"]),
    ("agents ls", &["agents"]),
    ("agents show", &["agents"]),
    ("agents test", &["agents-test"]),
    ("types ls", &["types"]),
    ("types show", &["types"]),
    ("types check", &["types"]),
    ("types new", &["types"]),
    ("types render", &["prompt"]),
    ("config", &["settings"]),
    ("config view", &["settings"]),
    ("config get", &["settings"]),
    ("config set", &["settings"]),
    ("config unset", &["settings"]),
    ("config check", &["settings"]),
    ("config path", &["settings"]),
    ("config reload", &["settings"]),
    ("models", &["models", "models-check"]),
    ("models reset", &["act"]),
    ("queue", &["queue"]),
    ("metrics", &["metrics"]),
    ("queue hold", &["act"]),
    ("queue release", &["act"]),
    ("queue move", &["act"]),
    ("doctor", &["doctor"]),
    ("daemon start", &["daemon"]),
    ("daemon restart", &["daemon"]),
    ("daemon install", &["install"]),
    ("daemon uninstall", &["install"]),
    ("daemon upgrade", &["install"]),
    ("daemon status", &["daemon"]),
    ("checkpoints", &["checkpoints"]),
    ("retry", &["act"]),
    ("rewind", &["rewind"]),
    ("undo", &["undo", "rewind"]),
    ("salvage ls", &["salvage"]),
    ("salvage restore", &["restore"]),
    ("path", &["path"]),
    ("paths", &["paths"]),
    ("debug bundle", &["bundle"]),
    ("gc", &["gc"]),
    ("events", &["event"]),
    ("projects ls", &["project"]),
    ("projects add", &["project"]),
    ("projects move", &["project"]),
    ("projects forget", &["project"]),
    ("projects trust", &["trust"]),
    ("help", &["schema"]),
];

/// Commands that have nothing to say in JSON, and why.
const SILENT: &[(&str, &str)] = &[
    ("tui", "it needs a terminal"),
    ("web", "it is for a browser"),
    ("demo", "it is told to people"),
    ("open", "it becomes the agent"),
    ("config edit", "it needs a terminal"),
    ("config schema", "it is JSON anyway"),
    ("prompt", "a shell shows it"),
    ("completions", "a shell reads it"),
    ("man", "man reads it"),
    ("mcp", "it speaks MCP, which is JSON anyway"),
    ("daemon run", "it is the daemon; its log goes to stderr"),
    ("daemon stop", "its exit code says it"),
    ("daemon logs", "it prints the log as it is, which may be JSON"),
];

/// `taskd help schema`: which command answers with what.
pub(super) fn list(here: &Here) -> Done {
    if here.out.json {
        let commands = |name: &str| {
            let all = ANSWERS.iter().filter(|(_, kinds)| kinds.contains(&name));
            all.map(|(command, _)| *command).collect::<Vec<_>>()
        };
        let rows = SCHEMAS.iter().map(|(it, _)| json!({ "name": it, "commands": commands(it) }));
        let rows: Vec<Value> = rows.collect();
        here.out.object(&json!({ "schema_version": SCHEMA_VERSION, "schemas": rows }))?;
        return Ok(0);
    }
    let mut text = String::from("`taskd help schema NAME` prints one. With --json answer:\n\n");
    let line = |name: &str, what: &str| format!("{name:<16}  {what}\n");
    for (command, kinds) in ANSWERS {
        text.push_str(&line(if command.is_empty() { "taskd" } else { command }, &kinds.join(", ")));
    }
    text.push_str(&line("any that fails", &format!("{ERROR}, on stderr")));
    text.push_str("\nOf files, and of what your commands are given:\n\n");
    OF_FILES.iter().for_each(|(name, _)| text.push_str(&line(name, where_it_is(name))));
    text.push_str("\nWithout an answer in JSON:\n\n");
    SILENT.iter().for_each(|(command, why)| text.push_str(&line(command, why)));
    here.out.print(&text)?;
    Ok(0)
}

/// Where what a schema of files is about can be found.
fn where_it_is(name: &str) -> &'static str {
    match name {
        "config" => "config.toml",
        "loop-type" => ".taskd/types/NAME.yaml",
        _ => "what notify.command is given",
    }
}

/// `taskd help schema NAME`.
pub(super) fn print(here: &Here, name: &str) -> Done {
    let all = || SCHEMAS.iter().chain(OF_FILES);
    let Some((_, text)) = all().find(|(it, _)| *it == name) else {
        let near = all().map(|(it, _)| *it);
        let near = near.min_by_key(|it| strsim::osa_distance(it, name));
        let near = near.filter(|it| strsim::osa_distance(it, name) <= 2);
        let hint = near.map_or_else(String::new, |it| format!(" {it}"));
        let what = format!("there is no schema {name:?}");
        return Err(Failure::usage(what, format!("taskd help schema{hint}")));
    };
    here.out.print(text)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Cli;

    fn schemas() -> BTreeMap<&'static str, Value> {
        let read = |(name, text): &(&'static str, &str)| {
            (*name, serde_json::from_str(text).unwrap_or_else(|why| panic!("{name}: {why}")))
        };
        SCHEMAS.iter().map(read).collect()
    }

    /// A command that nobody says about what it answers fails here.
    #[test]
    fn every_command_is_told_of_once() {
        let mut commands = BTreeSet::from([String::new()]);
        for it in Cli::command().get_subcommands() {
            let name = it.get_name().to_owned();
            let below = it.get_subcommands().map(|below| format!("{name} {}", below.get_name()));
            commands.extend(below);
            // One that only holds others cannot be run by itself.
            if !it.is_subcommand_required_set() {
                commands.insert(name);
            }
        }
        let told = ANSWERS.iter().map(|it| it.0).chain(SILENT.iter().map(|it| it.0));
        let told: Vec<String> = told.map(str::to_owned).collect();
        assert_eq!(told.len(), told.iter().collect::<BTreeSet<_>>().len(), "told twice");
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), commands);
    }

    #[test]
    fn every_schema_is_a_file_and_some_answer() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas");
        let files = std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name());
        let files: BTreeSet<String> =
            files.map(|it| it.to_str().unwrap().trim_end_matches(".json").to_owned()).collect();
        let names: BTreeSet<String> = SCHEMAS.iter().map(|it| it.0.to_owned()).collect();
        let of_files = OF_FILES.iter().map(|it| it.0.to_owned());
        assert_eq!(files, names.iter().cloned().chain(of_files).collect());
        let kinds = ANSWERS.iter().flat_map(|it| it.1).chain([&ERROR]);
        assert_eq!(kinds.map(|it| (*it).to_owned()).collect::<BTreeSet<_>>(), names);
    }

    /// One part has one shape wherever it occurs; each schema says its name and version.
    #[test]
    fn the_schemas_agree_with_each_other() {
        let mut parts: BTreeMap<String, Value> = BTreeMap::new();
        for (name, schema) in schemas() {
            assert_eq!(schema["$id"], format!("urn:taskd:{name}:{SCHEMA_VERSION}"));
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
            // An event is as old as the log, an error has its own place.
            if ![ERROR, "event"].contains(&name) {
                let version = &schema["properties"]["schema_version"]["const"];
                assert_eq!(version, SCHEMA_VERSION, "{name}");
                assert_eq!(schema["required"][0], "schema_version", "{name}");
            }
            for (part, shape) in schema["$defs"].as_object().into_iter().flatten() {
                let first = parts.entry(part.clone()).or_insert_with(|| shape.clone());
                assert_eq!(first, shape, "{part} of {name}");
            }
        }
    }

    /// The words of the schemas are those of the program.
    #[test]
    fn kinds_and_statuses_are_those_there_are() {
        let schemas = schemas();
        assert_eq!(schemas["event"]["properties"]["kind"]["enum"], json!(taskd_model::KINDS));
        let statuses = json!(taskd_model::Status::ALL);
        let of_loop = &schemas["ls"]["$defs"]["loop"]["properties"]["status"]["enum"];
        assert_eq!(*of_loop, statuses);
        let counted = schemas["daemon"]["properties"]["loops"]["properties"].as_object().unwrap();
        let counted: BTreeSet<&str> = counted.keys().map(String::as_str).collect();
        let all = statuses.as_array().unwrap().iter().filter_map(Value::as_str);
        assert_eq!(counted, all.collect());
    }
}
