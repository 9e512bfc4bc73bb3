//! The contract with programs: every answer of `--json` keeps to its published schema.
//!
//! Each command is run; what it prints must pass the schema that `taskd help schema` prints. It must
//! also pass the same schema closed, where nothing may be that it does not name: what is not
//! published is not printed. And what is broken on purpose must not pass.

mod commands;

use std::collections::{BTreeMap, BTreeSet};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::support::{Ran, World};

/// Answers of one kind that are broken on purpose.
const BROKEN: usize = 4;

/// Fields that are always null: a verb is done to all that is named or refused as a whole, so no part
/// of its answer has an error of its own yet.
const NEVER: [(&str, &str); 1] = [("act", "error")];

/// A schema as it is published, and closed.
struct Pair {
    text: Value,
    open: SchemaIndex,
    closed: SchemaIndex,
}

/// What is published, and what was seen of it.
struct Judge {
    schemas: Schemas,
    pairs: BTreeMap<String, Pair>,
    /// Which kinds each command prints.
    commands: BTreeMap<String, Vec<String>>,
    seen: BTreeMap<String, Vec<Value>>,
    ran: BTreeSet<String>,
}

impl Judge {
    /// Reads what the program publishes.
    fn new(world: &World) -> Self {
        let list = world.taskd(&["help", "schema", "--json"]).ok();
        let list: Value = serde_json::from_str(&list).expect("one object");
        let mut judge = Self {
            schemas: Schemas::new(),
            pairs: BTreeMap::new(),
            commands: BTreeMap::new(),
            seen: BTreeMap::new(),
            ran: BTreeSet::new(),
        };
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        for row in list["schemas"].as_array().expect("a list") {
            let name = row["name"].as_str().expect("text");
            for command in row["commands"].as_array().expect("a list") {
                let command = command.as_str().expect("text").to_owned();
                judge.commands.entry(command).or_default().push(name.to_owned());
            }
            let text = world.taskd(&["help", "schema", name]).ok();
            let text: Value = serde_json::from_str(&text).expect("one object");
            let mut add = |id: &str, schema: Value| {
                compiler.add_resource(id, schema).expect("a new one");
                let made = compiler.compile(id, &mut judge.schemas);
                made.unwrap_or_else(|why| panic!("{name} is no schema: {why:#}"))
            };
            let id = text["$id"].as_str().expect("text").to_owned();
            let open = add(&id, text.clone());
            let id = format!("{id}:closed");
            let mut closed = text.clone();
            close(&mut closed);
            closed["$id"] = id.as_str().into();
            let closed = add(&id, closed);
            judge.pairs.insert(name.to_owned(), Pair { text, open, closed });
        }
        judge
    }

    fn passes(&self, value: &Value, schema: SchemaIndex) -> bool {
        self.schemas.validate(value, schema).is_ok()
    }

    /// What a command printed, each object of the one kind that it is.
    #[track_caller]
    fn judge(&mut self, command: &str, ran: &Ran) {
        let kinds = self.commands.get(command).unwrap_or_else(|| panic!("no answer of {command}"));
        for line in ran.out.lines() {
            let value: Value = serde_json::from_str(line)
                .unwrap_or_else(|why| panic!("{command}: {why}: {line}\n{}", ran.err));
            let is = |it: &&String| self.passes(&value, self.pairs[*it].open);
            let found: Vec<&String> = kinds.iter().filter(is).collect();
            if found.len() != 1 {
                let why = |it: &String| {
                    let said = self.schemas.validate(&value, self.pairs[it].open).err();
                    said.map_or_else(|| format!("{it}: passes"), |why| format!("{it}: {why:#}"))
                };
                let why: Vec<String> = kinds.iter().map(why).collect();
                panic!("{command} printed what is not of one kind\n{value}\n{}", why.join("\n"));
            }
            let closed = self.schemas.validate(&value, self.pairs[found[0]].closed);
            if let Err(why) = closed {
                panic!("{command}: {} does not publish all of this\n{value}\n{why:#}", found[0]);
            }
            self.seen.entry(found[0].clone()).or_default().push(value);
        }
        self.ran.insert(command.to_owned());
    }

    /// Runs a command that must end with `code`; its name is its first words.
    #[track_caller]
    fn ends(&mut self, world: &World, code: i32, args: &[&str]) {
        let ran = world.taskd(&[args, &["--json"]].concat());
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        let two = args.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let one = args.first().copied().unwrap_or_default();
        let command = if self.commands.contains_key(&two) { two.as_str() } else { one };
        self.judge(command, &ran);
        if ran.out.is_empty() {
            let said: Value = serde_json::from_str(&ran.err).expect("one object on stderr");
            assert!(self.passes(&said, self.pairs["error"].closed), "{said}");
            self.seen.entry("error".to_owned()).or_default().push(said);
        }
    }

    /// The same, well.
    #[track_caller]
    fn well(&mut self, world: &World, args: &[&str]) {
        self.ends(world, 0, args);
    }

    /// Every command was run and every kind was seen, with each of its fields; broken, no answer
    /// passes.
    fn finish(&self) {
        let all: BTreeSet<String> = self.commands.keys().cloned().collect();
        assert_eq!(self.ran, all, "not every command was run");
        // What failed is told with its facts, and those were judged too.
        for (name, place) in [("show", "/loops/0/trouble/fault"), ("why", "/chain/0/fault")] {
            let is_there = |it: &Value| it.pointer(place).is_some_and(Value::is_object);
            assert!(self.seen[name].iter().any(is_there), "no {place} in any {name}");
        }
        for (name, pair) in &self.pairs {
            let seen = self.seen.get(name).unwrap_or_else(|| panic!("no {name} was seen"));
            let has = |field: &String| seen.iter().any(|it| !it[field.as_str()].is_null());
            let fields = pair.text["properties"].as_object().expect("fields").keys();
            let never: Vec<&str> = fields.filter(|it| !has(it)).map(String::as_str).collect();
            let known = NEVER.iter().filter(|it| it.0 == name).map(|it| it.1);
            assert_eq!(never, known.collect::<Vec<_>>(), "{name}: nobody saw these");
            for value in seen.iter().take(BROKEN) {
                self.breaks(name, pair, value);
            }
        }
    }

    fn breaks(&self, name: &str, pair: &Pair, value: &Value) {
        let required = pair.text["required"].as_array().expect("required fields");
        for field in required.iter().filter_map(Value::as_str) {
            let mut less = value.clone();
            less.as_object_mut().expect("an object").remove(field);
            assert!(!self.passes(&less, pair.open), "{name} passes without {field}");
        }
        let mut places = Vec::new();
        leaves(value, String::new(), &mut places);
        // What stands in `data` depends on the kind; `docs/json.md` says so.
        for place in places.iter().filter(|it| !(name == "event" && it.starts_with("/data"))) {
            let mut other = value.clone();
            *other.pointer_mut(place).expect("a place of it") = json!({ "wrong": [true] });
            assert!(!self.passes(&other, pair.open), "{name} passes with anything at {place}");
        }
    }
}

/// Where nothing is said of other fields, there are none.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let open = object.contains_key("properties") && object.contains_key("type");
            if open && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Places of everything that is no object.
fn leaves(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, it) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(it, format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, it)| leaves(it, format!("{at}/{n}"), places));
            places.push(at);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => places.push(at),
    }
}
