//! Configuration as people look at it and change it: what is in effect here and where it comes from,
//! which files there are, and a file's text with one key set otherwise.
//!
//! Reads files and never writes one. What the daemon holds is another matter: it reads again.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toml_edit::{DocumentMut, Item, TableLike};

use crate::{
    config::{self, Config, KeyDoc, PROJECT_FILE, PlacedText, Places, keys},
    problem::suggest,
};

/// What a project says on this machine alone, below its root.
pub const LOCAL_FILE: &str = config::LOCAL_FILE;

/// A key, as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name with its section: `limits.loops`.
    pub key: &'static str,
    /// Its value as TOML; nothing if it is not set.
    pub value: Option<String>,
    /// The file, the variable, or `built in`; nothing if it is not set.
    pub origin: Option<String>,
    /// What it is where nobody says anything; nothing if it is not set then.
    pub default: Option<&'static str>,
    /// What is allowed: `a whole number from 1 to 1000`.
    pub expected: String,
    /// What it means, for people.
    pub doc: &'static str,
    /// A daemon that runs goes on with the value it began with.
    pub restart: bool,
    /// Its value may hold words or places of a person's: a command, a text, a list of them.
    pub words: bool,
}

/// One of the files that configuration is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub whose: Whose,
    /// It is there.
    pub exists: bool,
}

/// Whose a file is; later ones count more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The machine's.
    System,
    /// The person's, for all projects.
    Person,
    /// The project's, which whoever wrote the repository wrote.
    Project,
    /// The project's, on this machine alone.
    Local,
}

/// The files there may be, the weakest first.
#[must_use]
pub fn files(user_dir: &Path, root: Option<&Path>) -> Vec<File> {
    let places = Places::new(user_dir, root);
    let of_project = root.map(|it| {
        [(it.join(PROJECT_FILE), Whose::Project), (it.join(config::LOCAL_FILE), Whose::Local)]
    });
    let own = [(places.system, Whose::System), (places.user_dir.join(config::FILE), Whose::Person)];
    let all = own.into_iter().chain(of_project.into_iter().flatten());
    all.map(|(path, whose)| File { exists: path.exists(), path, whose }).collect()
}

/// Every key as it is in effect at `root`, in this process's environment.
///
/// # Errors
///
/// Everything that is wrong with any of the files, one a line.
pub fn view(user_dir: &Path, root: Option<&Path>) -> Result<Vec<Setting>, Vec<String>> {
    Ok(settings(&load(&Places::new(user_dir, root))?))
}

/// The same as if `file` had this text.
///
/// # Errors
///
/// As [`view`].
pub fn view_with(
    user_dir: &Path,
    root: Option<&Path>,
    file: &Path,
    text: &str,
) -> Result<Vec<Setting>, Vec<String>> {
    let instead = Some(PlacedText { path: file.to_owned(), text: text.to_owned() });
    Ok(settings(&load(&Places { instead, ..Places::new(user_dir, root) })?))
}

fn load(places: &Places) -> Result<Config, Vec<String>> {
    config::load_here(places).map_err(|it| it.iter().map(ToString::to_string).collect())
}

fn settings(config: &Config) -> Vec<Setting> {
    let setting = |it: config::Entry<'_>| Setting {
        key: it.doc.key,
        value: it.value.map(str::to_owned),
        origin: it.origin.map(str::to_owned),
        default: it.doc.default,
        expected: it.doc.kind.expected(),
        doc: it.doc.doc,
        restart: it.doc.restart,
        words: it.doc.kind.is_words(),
    };
    config.entries().map(setting).collect()
}

/// Every key there is, with what it means.
pub fn known_keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    keys().iter().map(|it| (it.key, it.doc))
}

/// How much is logged, as `log.level` says it.
///
/// # Errors
///
/// It is none: what it must be.
pub fn log_level(text: &str) -> Result<String, String> {
    config::Kind::Levels.written(text).map(|_| text.to_owned())
}

/// What is wrong with a key's name: nothing if there is such a key.
///
/// # Errors
///
/// There is none; says which were meant.
pub fn known(key: &str) -> Result<(), String> {
    if keys().iter().any(|it| it.key == key) {
        return Ok(());
    }
    let all: Vec<&str> = keys().iter().map(|it| it.key).collect();
    let section = key.split_once('.').map_or(key, |it| it.0);
    let near: Vec<&str> = all.iter().filter(|it| it.starts_with(section)).copied().collect();
    Err(suggest(key, if near.is_empty() { &all } else { &near }))
}

/// A file's text with this key set, or without it; everything else stays as it is, comments too.
///
/// # Errors
///
/// The text is no TOML, there is no such key, or this is no value of it: what would be right.
pub fn changed(text: &str, key: &str, value: Option<&str>) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|it: toml_edit::TomlError| format!("the file is no TOML: {it}"))?;
    let Some(doc) = keys().iter().find(|it| it.key == key) else {
        return Err(format!("there is no key `{key}`"));
    };
    let (section, name) = doc.parts();
    let Some(value) = value else {
        take_out(&mut document, section, name);
        return Ok(document.to_string());
    };
    let shown = doc.kind.written(value).map_err(|it| format!("`{key}` is {it}"))?;
    let value: toml_edit::Value =
        shown.parse().map_err(|it: toml_edit::TomlError| format!("{shown} is no TOML: {it}"))?;
    // Who works is one choice.
    match key {
        "work.agent" => take_out(&mut document, section, "model"),
        "work.model" => take_out(&mut document, section, "agent"),
        _ => {}
    }
    let table = document.entry(section).or_insert_with(toml_edit::table);
    let Some(table) = table.as_table_like_mut() else {
        return Err(format!("`{section}` is a key in that file, and must be a section"));
    };
    put(table, name, value);
    Ok(document.to_string())
}

/// Sets a key and keeps the comment beside it.
fn put(table: &mut dyn TableLike, name: &str, mut value: toml_edit::Value) {
    if let Some(Item::Value(old)) = table.get(name) {
        *value.decor_mut() = old.decor().clone();
    }
    table.insert(name, Item::Value(value));
}

fn take_out(document: &mut DocumentMut, section: &str, name: &str) {
    let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) else { return };
    table.remove(name);
    if table.is_empty() {
        document.remove(section);
    }
}

/// The JSON Schema of a configuration file, of draft 2020-12: what an editor checks with.
#[must_use]
pub fn schema() -> Value {
    let mut sections = serde_json::Map::new();
    for doc in keys() {
        let (section, name) = doc.parts();
        let of = sections.entry(section).or_insert_with(
            || json!({ "type": "object", "additionalProperties": false, "properties": {} }),
        );
        of["properties"][name] = of_key(doc);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:taskd:config:1",
        "title": "Configuration",
        "description": "config.toml of a person, of the machine, or of a project in .taskd/",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

fn of_key(doc: &KeyDoc) -> Value {
    let mut schema = doc.kind.schema();
    let default = doc.default.filter(|it| !it.is_empty());
    let default = default.map_or_else(String::new, |it| format!(" Default: {it}."));
    schema["description"] = format!("{}{default}", doc.doc).into();
    schema
}

/// A value as a script wants it: text without its quotes, the rest as TOML.
#[must_use]
pub fn plain(shown: &str) -> String {
    let value = shown.parse::<toml_edit::Value>().ok();
    value.and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_else(|| shown.to_owned())
}

/// How a file is called where something comes from it.
#[must_use]
pub fn origin(file: &File) -> String {
    match file.whose {
        Whose::System | Whose::Person => file.path.display().to_string(),
        Whose::Project => PROJECT_FILE.to_owned(),
        Whose::Local => config::LOCAL_FILE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_and_the_rest_stays() {
        let text = "# mine\n[limits]\nloops = 3 # few\n\n[work]\nmodel = \"a/b\"\n";
        let set = changed(text, "limits.loops", Some("7")).unwrap();
        assert_eq!(set, "# mine\n[limits]\nloops = 7 # few\n\n[work]\nmodel = \"a/b\"\n");
        let set = changed(text, "work.agent", Some("claude")).unwrap();
        assert_eq!(set, "# mine\n[limits]\nloops = 3 # few\n\n[work]\nagent = \"claude\"\n");
        let set = changed("", "gate.command", Some("sh \"x\"")).unwrap();
        assert_eq!(set, "[gate]\ncommand = 'sh \"x\"'\n");
        assert_eq!(changed(&set, "gate.command", None).unwrap(), "");
        assert_eq!(changed(text, "run.time", None).unwrap(), text);
    }

    #[test]
    fn what_is_no_value_of_its_key_is_refused() {
        let wrong = changed("", "limits.loops", Some("many")).unwrap_err();
        assert_eq!(wrong, "`limits.loops` is \"many\"; it must be a whole number from 1 to 1000");
        assert!(changed("[limits", "limits.loops", Some("1")).unwrap_err().contains("no TOML"));
        assert!(
            changed("limits = 1", "limits.loops", Some("1")).unwrap_err().contains("a section")
        );
        assert_eq!(known("limits.loop").unwrap_err(), "did you mean `limits.loops`?");
    }

    /// Every default keeps to the schema's own words for it.
    #[test]
    fn the_schema_knows_every_key() {
        let schema = schema();
        for doc in keys() {
            let (section, name) = doc.parts();
            let of = &schema["properties"][section]["properties"][name];
            assert!(of["description"].as_str().is_some_and(|it| it.starts_with(doc.doc)), "{of}");
        }
    }

    /// The published one is this one.
    #[test]
    fn the_schema_is_published() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/config.json");
        let published: Value =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(published, schema(), "taskd config schema > docs/schemas/config.json");
    }
}
