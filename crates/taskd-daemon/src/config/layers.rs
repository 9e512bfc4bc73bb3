//! Merging: each layer is read by itself, then stronger ones replace what weaker ones said.
//!
//! Decides what a project's file may say. Reads no files.

use std::{collections::BTreeMap, net::SocketAddr};

use taskd_model::{LandMode, LandPolicy, OnConflict};
use toml::de::{DeTable, DeValue};

use super::keys::{self, KeyDoc, LAND, MEANT, Scope, keys};
use super::value::{Raw, Value, short};
use super::{ConfigError, ConfigProblem, Owner, Sources};
use crate::problem::{Pos, nearest};

/// The value of a key and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    value: Value,
    /// As TOML.
    pub(super) shown: String,
    /// The file, the variable, the flag, or `built in`.
    pub(super) origin: String,
    at: Option<Pos>,
}

impl Setting {
    /// Its texts; none if it is of another type.
    pub(super) fn texts(&self) -> Vec<String> {
        match &self.value {
            Value::Text(it) => vec![it.clone()],
            Value::Texts(all) => all.clone(),
            Value::Count(_)
            | Value::Amount(_)
            | Value::Tokens(_)
            | Value::Flag(_)
            | Value::Conflict(_)
            | Value::Address(_) => Vec::new(),
        }
    }
}

/// Values by key: those of one layer, or all merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

/// Most syntax errors told about one file: the rest follows from the first.
const MAX_SYNTAX_ERRORS: usize = 8;

/// Where a value comes from that nobody sets.
const BUILT_IN: &str = "built in";

/// The strongest value of every key.
pub(super) fn merge(sources: &Sources) -> Result<Settings, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut person = Settings::defaults(sources.cores);
    let mut all = person.clone();
    let mut project = Vec::new();
    for layer in &sources.layers {
        let read = read_file(&layer.origin, &layer.text, &mut errors);
        match layer.owner {
            Owner::Person => person.put(&read),
            Owner::Project => project.push(read.clone()),
        }
        all.put(&read);
    }
    let spoken = read_spoken(sources, &mut errors);
    for layer in &project {
        refuse_loose(layer, &person, &spoken, &mut errors);
    }
    all.put(&spoken);
    errors.extend(too_long_at_first(&all));
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

/// The first rest is not longer than the longest.
fn too_long_at_first(all: &Settings) -> Option<ConfigError> {
    let [first, longest] = ["retry.first", "retry.longest"].map(|it| &all.0[it]);
    (all.amount("retry.longest") < all.amount("retry.first")).then(|| {
        // Whoever said the later of the two can mend it; what is built in is right.
        let at_fault = if first.origin == BUILT_IN { longest } else { first };
        ConfigError {
            origin: at_fault.origin.clone(),
            at: at_fault.at,
            problem: ConfigProblem::Above {
                key: "retry.first",
                found: first.shown.clone(),
                most: "retry.longest",
                is: longest.shown.clone(),
            },
            hint: Some("make the first shorter or the longest longer".to_owned()),
        }
    })
}

impl Settings {
    fn defaults(cores: u32) -> Self {
        let mut defaults = Self::default();
        for doc in keys() {
            let Some(text) = doc.default else { continue };
            let cores = cores.clamp(1, 256).to_string();
            let raw = doc.kind.raw(if text == "cores" { &cores } else { text });
            let value = doc.kind.read(&raw).expect("a default is a value of its key's type");
            defaults.set(doc, value, &raw, BUILT_IN, None);
        }
        defaults
    }

    fn set(&mut self, doc: &KeyDoc, value: Value, raw: &Raw, origin: &str, at: Option<Pos>) {
        let setting = Setting { value, shown: raw.shown(), origin: origin.to_owned(), at };
        self.0.insert(doc.key, setting);
    }

    /// Lays a stronger layer over this one. Agent and model are one choice: each replaces both.
    fn put(&mut self, over: &Self) {
        let works = |it: &str| it == "work.agent" || it == "work.model";
        if over.0.keys().any(|it| works(it)) {
            self.0.retain(|key, _| !works(key));
        }
        self.0.extend(over.0.iter().map(|(key, it)| (*key, it.clone())));
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key).map(|it| &it.value)
    }

    pub(super) fn count(&self, key: &str) -> u32 {
        let Some(Value::Count(it)) = self.value(key) else { unreachable!("{key} is a count") };
        *it
    }

    pub(super) fn amount(&self, key: &str) -> u64 {
        let Some(Value::Amount(it)) = self.value(key) else { unreachable!("{key} is an amount") };
        *it
    }

    pub(super) fn tokens(&self, key: &str) -> u64 {
        let Some(Value::Tokens(it)) = self.value(key) else { unreachable!("{key} is tokens") };
        *it
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        let Some(Value::Flag(it)) = self.value(key) else { unreachable!("{key} is a flag") };
        *it
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        if let Some(Value::Text(it)) = self.value(key) { Some(it.clone()) } else { None }
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        if let Some(Value::Texts(it)) = self.value(key) { Some(it.clone()) } else { None }
    }

    pub(super) fn conflict(&self, key: &str) -> OnConflict {
        let Some(Value::Conflict(it)) = self.value(key) else {
            unreachable!("{key} has a default")
        };
        *it
    }

    pub(super) fn address(&self, key: &str) -> Option<SocketAddr> {
        if let Some(Value::Address(it)) = self.value(key) { *it } else { None }
    }

    pub(super) fn land(&self, key: &str) -> LandPolicy {
        match self.text(key).as_deref() {
            Some("never") => LandPolicy::Never,
            Some("on-gate") => LandPolicy::OnGate,
            Some("pr") => LandPolicy::Pr,
            Some(_) | None => LandPolicy::Ask,
        }
    }

    pub(super) fn land_mode(&self, key: &str) -> LandMode {
        match self.text(key).as_deref() {
            Some("merge") => LandMode::Merge,
            Some("ff") => LandMode::Ff,
            Some(_) | None => LandMode::Squash,
        }
    }

    pub(super) fn into_map(self) -> BTreeMap<&'static str, Setting> {
        self.0
    }
}

/// What one file says; what is wrong with it goes to `errors`, by line.
fn read_file(origin: &str, text: &str, errors: &mut Vec<ConfigError>) -> Settings {
    let mut reader = Reader { origin, text, settings: Settings::default(), errors: Vec::new() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let cut = reader.text.len() - text.len();
    let (table, syntax) = DeTable::parse_recoverable(text);
    for error in syntax.iter().take(MAX_SYNTAX_ERRORS) {
        let at = error.span().map_or(0, |it| it.start + cut);
        reader.error(at, ConfigProblem::Syntax(short(error.message())), None);
    }
    if syntax.is_empty() {
        reader.text = text;
        reader.document(table.get_ref());
    }
    reader.errors.sort_by_key(|it| it.at);
    errors.append(&mut reader.errors);
    reader.settings
}

struct Reader<'a> {
    origin: &'a str,
    text: &'a str,
    settings: Settings,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn document(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let known = keys::sections();
            let Some(section) = known.iter().find(|it| **it == name.get_ref()) else {
                let problem = ConfigProblem::UnknownSection(short(name.get_ref()));
                self.error(name.span().start, problem, Some(section_hint(name.get_ref())));
                continue;
            };
            let DeValue::Table(values) = value.get_ref() else {
                let hint = format!("write [{section}] and its keys below");
                self.error(name.span().start, ConfigProblem::NoSection(section), Some(hint));
                continue;
            };
            self.section(section, values);
        }
    }

    fn section(&mut self, section: &str, values: &DeTable<'_>) {
        let mut workers = 0;
        let mut last = 0;
        for (name, value) in values {
            let Some(doc) = keys::find(&format!("{section}.{}", name.get_ref())) else {
                let key = short(name.get_ref());
                let problem = ConfigProblem::UnknownKey { section: section.to_owned(), key };
                self.error(name.span().start, problem, Some(key_hint(section, name.get_ref())));
                continue;
            };
            if doc.key == "work.agent" || doc.key == "work.model" {
                workers += 1;
                last = last.max(name.span().start);
            }
            let raw = Raw::of(value.get_ref());
            let at = self.place(value.span().start);
            match doc.kind.read(&raw) {
                Some(it) => self.settings.set(doc, it, &raw, self.origin, Some(at)),
                None => self.error(value.span().start, wrong(doc, &raw), None),
            }
        }
        if workers == 2 {
            let hint = "keep exactly one of them".to_owned();
            self.error(last, ConfigProblem::TwoWorkers, Some(hint));
        }
    }

    fn error(&mut self, offset: usize, problem: ConfigProblem, hint: Option<String>) {
        let (origin, at) = (self.origin.to_owned(), Some(self.place(offset)));
        self.errors.push(ConfigError { origin, at, problem, hint });
    }

    fn place(&self, offset: usize) -> Pos {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|it| **it == b'\n').count() + 1;
        let start = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        Pos::new(line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
    }
}

/// What the environment and the flags say.
fn read_spoken(sources: &Sources, errors: &mut Vec<ConfigError>) -> Settings {
    let mut variables: Vec<_> = sources.env.iter().filter_map(variable).collect();
    variables.sort();
    let mut read = read_words(&variables, errors);
    let flag = |it: &super::Flag| (it.name.clone(), it.key.clone(), it.value.clone());
    let flags: Vec<_> = sources.flags.iter().map(flag).collect();
    read.put(&read_words(&flags, errors));
    read
}

/// The name of a variable that is meant for us, its key, and its value.
fn variable((name, value): &(String, String)) -> Option<(String, String, String)> {
    let (section, key) = name.strip_prefix("TASKD_")?.split_once("__")?;
    let key = format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase());
    Some((name.clone(), key, value.clone()))
}

/// One layer of names, keys and values.
fn read_words(words: &[(String, String, String)], errors: &mut Vec<ConfigError>) -> Settings {
    let mut settings = Settings::default();
    let mut fail = |origin: &str, problem, hint| {
        errors.push(ConfigError { origin: origin.to_owned(), at: None, problem, hint });
    };
    for (origin, key, value) in words {
        let Some(doc) = keys::find(key) else {
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            if keys::sections().contains(&section) {
                let (section, key) = (section.to_owned(), short(name));
                let hint = key_hint(&section, name);
                fail(origin, ConfigProblem::UnknownKey { section, key }, Some(hint));
            } else {
                let problem = ConfigProblem::UnknownSection(short(section));
                fail(origin, problem, Some(section_hint(section)));
            }
            continue;
        };
        let raw = doc.kind.raw(value);
        match doc.kind.read(&raw) {
            Some(it) => settings.set(doc, it, &raw, origin, None),
            None => fail(origin, wrong(doc, &raw), None),
        }
    }
    if let (Some(_), Some(model)) = (settings.0.get("work.agent"), settings.0.get("work.model")) {
        let hint = "keep exactly one of them".to_owned();
        fail(&model.origin.clone(), ConfigProblem::TwoWorkers, Some(hint));
    }
    settings
}

/// What a project may not say. What the person said on the command line or in the environment is
/// in effect whatever the project says, so nothing is refused because of it.
fn refuse_loose(
    layer: &Settings,
    person: &Settings,
    spoken: &Settings,
    errors: &mut Vec<ConfigError>,
) {
    let first = errors.len();
    for (key, setting) in &layer.0 {
        let Some(doc) = keys::find(key) else { continue };
        let variable = format!("TASKD_{}", doc.key.replace('.', "__").to_ascii_uppercase());
        let own = person.0.get(key).filter(|_| !spoken.0.contains_key(key));
        let (problem, hint) = match (doc.scope, own) {
            (Scope::Daemon, _) => (
                ConfigProblem::NotInProject(doc.key),
                format!("write it into your own config.toml, or set {variable}"),
            ),
            (Scope::Tighten, Some(own)) if looseness(setting) > looseness(own) => (
                ConfigProblem::Looser {
                    key: doc.key,
                    found: setting.shown.clone(),
                    own: own.shown.clone(),
                    origin: own.origin.clone(),
                },
                format!("write it into your own config.toml, or set {variable}"),
            ),
            (Scope::Any | Scope::Tighten, _) => continue,
        };
        let (origin, at) = (setting.origin.clone(), setting.at);
        errors.push(ConfigError { origin, at, problem, hint: Some(hint) });
    }
    errors[first..].sort_by_key(|it| it.at);
}

/// How much a value of a security key allows.
fn looseness(setting: &Setting) -> u64 {
    match &setting.value {
        Value::Amount(it) => *it,
        Value::Tokens(0) => u64::MAX,
        Value::Tokens(it) => *it,
        Value::Count(it) => u64::from(*it),
        Value::Flag(it) => u64::from(*it),
        Value::Text(it) => LAND.iter().zip(0..).find(|(word, _)| *word == it).map_or(0, |it| it.1),
        Value::Texts(_) | Value::Conflict(_) | Value::Address(_) => 0,
    }
}

fn wrong(doc: &KeyDoc, raw: &Raw) -> ConfigProblem {
    ConfigProblem::Value { key: doc.key, found: raw.found(), expected: doc.kind.expected() }
}

fn section_hint(word: &str) -> String {
    let known = keys::sections();
    if word == "version" {
        return "there is one form of this file, and it names none; take the line out, or run the \
                taskd the file was written for"
            .to_owned();
    }
    if let Some(near) = nearest(word, &known) {
        return format!("did you mean [{near}]?");
    }
    let homes: Vec<_> = homes(word).collect();
    if homes.is_empty() {
        return format!("known: {}", known.join(", "));
    }
    format!("`{word}` is a key of {}", homes.join(" and "))
}

fn key_hint(section: &str, word: &str) -> String {
    let whole = format!("{section}.{word}");
    if let Some((_, meant)) = MEANT.iter().find(|(it, _)| *it == whole) {
        return format!("write `{}`", meant.split_once('.').map_or(*meant, |it| it.1));
    }
    let homes: Vec<_> = homes(word).collect();
    if !homes.is_empty() {
        return format!("`{word}` is a key of {}", homes.join(" and "));
    }
    let of_section = keys().iter().map(KeyDoc::parts).filter(|it| it.0 == section);
    let known: Vec<_> = of_section.map(|it| it.1).collect();
    match nearest(word, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", known.join(", ")),
    }
}

/// Sections that have a key of this name.
fn homes(word: &str) -> impl Iterator<Item = String> {
    let named = keys().iter().map(KeyDoc::parts).filter(move |it| it.1 == word);
    named.map(|(section, _)| format!("[{section}]"))
}
