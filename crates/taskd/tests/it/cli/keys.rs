//! Every key of the configuration, whatever there are: typed wrong, out of its range, and by its
//! variable.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

use serde_json::Value;

use super::settings::own_file;
use crate::support::World;

/// Every key with what it may be, as `config view` says it.
fn keys(world: &World) -> Vec<(String, String)> {
    let view = &super::json(world, &["config", "view"])[0];
    let rows = view["keys"].as_array().expect("a list").iter();
    let text = |it: &Value| it.as_str().expect("text").to_owned();
    rows.map(|it| (text(&it["key"]), text(&it["expected"]))).collect()
}

/// What is wrong with a file of this text, a line each.
fn problems(world: &World, text: &str) -> Vec<String> {
    let file = world.aside("typed.toml", text);
    let ran = world.taskd(&["config", "check", &file, "--json"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = answer["problems"].as_array().expect("a list").iter();
    rows.map(|it| it.as_str().expect("text").to_owned()).collect()
}

/// What fingers make of a word: a letter left out, twice, another, two of them the wrong way round.
fn typos(word: &str) -> BTreeSet<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut all = BTreeSet::new();
    for n in 0..letters.len() {
        let [mut less, mut more, mut other, mut turned] = [(); 4].map(|()| letters.clone());
        less.remove(n);
        more.insert(n, letters[n]);
        other[n] = 'x';
        turned.swap(n, (n + 1).min(letters.len() - 1));
        all.extend([less, more, other, turned].map(String::from_iter));
    }
    all.remove(word);
    all
}

/// Proves AY-6.1: of every typo in every key and every section, each told with its line and column,
/// the right name is the one that is suggested in 95 of a hundred and more.
#[test]
fn what_was_meant_is_named() {
    let world = World::new();
    let keys = keys(&world);
    let mut sections: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, _) in &keys {
        let (section, name) = key.split_once('.').expect("a section");
        sections.entry(section).or_default().insert(name);
    }
    let names: BTreeSet<&str> = sections.values().flatten().copied().collect();
    let mut text = String::new();
    let mut meant = Vec::new();
    let mut tried = BTreeSet::new();
    for section in sections.keys().filter(|it| 3 < it.len()) {
        for typo in typos(section).into_iter().filter(|it| !sections.contains_key(it.as_str())) {
            if tried.insert(typo.clone()) {
                _ = writeln!(text, "[{typo}]");
                meant.push((format!(":{}:2: ", text.lines().count()), format!("[{section}]?")));
            }
        }
    }
    for (section, known) in &sections {
        _ = writeln!(text, "[{section}]");
        let mut tried = BTreeSet::new();
        for name in known {
            // A key of another section is told as that.
            for typo in typos(name).into_iter().filter(|it| !names.contains(it.as_str())) {
                if tried.insert(typo.clone()) {
                    _ = writeln!(text, "{typo} = 1");
                    meant.push((format!(":{}:1: ", text.lines().count()), format!("`{name}`?")));
                }
            }
        }
    }
    let told = problems(&world, &text);
    assert!(200 < meant.len(), "{}", meant.len());
    assert_eq!(told.len(), meant.len(), "each is told, and nothing else");
    let mut missed = Vec::new();
    for (line, (place, name)) in told.iter().zip(&meant) {
        assert!(line.contains(place), "{place} of {line}");
        if !line.ends_with(&format!("did you mean {name}")) {
            missed.push(format!("{name} {line}"));
        }
    }
    assert!(missed.len() * 20 <= meant.len(), "{} of {}: {missed:#?}", missed.len(), meant.len());
}

/// Values a key must not have: below its range, above it, in another unit, of another type.
fn wrong(expected: &str) -> [String; 4] {
    let numbers = || {
        let words = expected.split(' ').filter_map(|it| it.parse::<i64>().ok());
        let [low, high] = words.collect::<Vec<_>>()[..] else { panic!("no range: {expected}") };
        [(low - 1).to_string(), (high + 1).to_string()]
    };
    let four = |all: [&str; 4]| all.map(str::to_owned);
    let begins = |it: &str| expected.starts_with(it);
    if begins("a whole number") {
        let [low, high] = numbers();
        return [low, high, "\"5 pieces\"".to_owned(), "1.5".to_owned()];
    }
    match () {
        () if begins("a duration") => four(["\"1us\"", "\"99999d\"", "\"90\"", "90"]),
        () if begins("an amount") => four(["\"$0\"", "\"$100001\"", "\"5 EUR\"", "5"]),
        () if begins("a number of tokens") => four(["-1", "\"2X\"", "\"2MB\"", "true"]),
        () if begins("a size") => four(["\"-1GB\"", "\"2XB\"", "\"2Mtok\"", "2"]),
        () if begins("a list of globs") => four(["[\"../x\"]", "[\"/x\"]", "[1]", "\"x\""]),
        () if begins("a command") => four(["\"\"", "\"\\u0000\"", "7", "true"]),
        () if begins("a loopback") || begins("an address") => {
            four(["\"nowhere\"", "\"127.0.0.1\"", "7", "1.5"])
        }
        () => four(["\"\\n\"", "\"a\\nb\"", "7", "1.5"]),
    }
}

/// Proves AY-6.2, S-3.2.3: below the range, above it, in another unit or of another type, every key
/// says where, what is wrong and what would be right; nothing of such a file counts, a daemon that
/// runs keeps what it had, and one that starts does not.
#[test]
fn every_key_keeps_to_its_range() {
    let mut world = World::new();
    let own = own_file(&world);
    fs::write(&own, "[limits]\ncalls = 7\n").expect("ours");
    world.start();
    let calls = || world.view().limits.expect("set").calls;
    let keys = keys(&world);
    for n in 0..4 {
        let mut text = "limits.calls = 3\n".to_owned();
        let others = || keys.iter().filter(|it| it.0 != "limits.calls");
        for (key, expected) in others() {
            _ = writeln!(text, "{key} = {}", wrong(expected)[n]);
        }
        let told = problems(&world, &text);
        for (line, (key, expected)) in (2..).zip(others()) {
            let column = key.len() + 4;
            let place = format!(":{line}:{column}: `{key}` is ");
            let right = format!("it must be {expected}");
            let found = told.iter().any(|it| it.contains(&place) && it.ends_with(&right));
            assert!(found, "{place}...; {right}\n{told:#?}");
        }
        fs::write(&own, &text).expect("ours");
        let said = world.taskd(&["config", "reload"]).fails(78);
        assert!(said.contains("config.toml:2:") && said.contains("taskd config check"), "{said}");
        assert_eq!(calls(), 7, "all or nothing");
    }
    // Each by itself is right, and both together are not.
    fs::write(&own, "[retry]\nfirst = \"2m\"\nlongest = \"30s\"\n").expect("ours");
    let said = world.taskd(&["config", "reload"]).fails(78);
    let wrong =
        "config.toml:2:9: `retry.first` is \"2m\", more than `retry.longest`, which is \"30s\"";
    assert!(said.contains(wrong), "{said}");
    world.stop();
    let said = world.taskd(&["daemon", "run"]).fails(78);
    assert!(said.contains(wrong), "{said}");
}

/// Proves AY-6.8: what a newer taskd may know and this one does not is refused by name, and nothing
/// of the file counts.
#[test]
fn a_file_of_a_newer_taskd_is_refused() {
    let world = World::new();
    let own = own_file(&world);
    let text = "version = 2\n[limits]\nloops = 3\nfuture = 1\n[of_tomorrow]\nx = 1\n";
    fs::write(&own, text).expect("ours");
    let said = world.taskd(&["config", "get", "limits.loops"]).fails(78);
    for wrong in [
        "config.toml:1:1: unknown section [version]; there is one form of this file",
        "config.toml:4:1: unknown key `future` in [limits]; known: loops, ",
        "config.toml:5:2: unknown section [of_tomorrow]; known: limits, ",
    ] {
        assert!(said.contains(wrong), "{wrong}\n{said}");
    }
    assert_eq!(fs::read_to_string(&own).expect("there"), text, "nobody rewrites it");
}

/// A value that is right.
fn right(expected: &str) -> String {
    let after = |what: &str| {
        let rest = expected.strip_prefix(what)?;
        rest.split([' ', ',']).next().map(str::to_owned)
    };
    let ranged = ["a whole number from ", "a duration from ", "an amount from "];
    if let Some(it) = ranged.iter().find_map(|it| after(it)) {
        return it;
    }
    let begins = |it: &str| expected.starts_with(it);
    let quoted = expected.split('"').nth(1);
    let some = match () {
        () if begins("true or false") => "false",
        () if begins("a list of globs") => "[\"a/**\"]",
        () if begins("a name") => "ralph",
        () if begins("a loopback") || begins("an address") => "127.0.0.1:0",
        () if begins("text of one line") || begins("a command") => "true",
        () => quoted.unwrap_or_else(|| panic!("what may `{expected}` be?")),
    };
    some.to_owned()
}

/// Proves S-3.2.5: every key has a variable, which counts more than any file; one that is wrong is
/// an error for commands and for a daemon that starts.
#[test]
fn every_key_has_a_variable() {
    let mut world = World::new();
    fs::write(own_file(&world), "[run]\niterations = 7\n").expect("ours");
    let keys = keys(&world);
    let variable = |key: &str| format!("TASKD_{}", key.replace('.', "__").to_uppercase());
    let mut set: BTreeMap<String, String> =
        keys.iter().map(|(key, expected)| (variable(key), right(expected))).collect();
    // Agent and model are one choice.
    for without in ["work.agent", "work.model"] {
        let left_out = set.remove(&variable(without)).expect("a key");
        world.env.extend(set.clone());
        let view = &super::json(&world, &["config", "view"])[0];
        for row in view["keys"].as_array().expect("a list") {
            let key = row["key"].as_str().expect("text");
            let expected = (key != without).then(|| variable(key));
            assert_eq!(row["origin"].as_str(), expected.as_deref(), "{row}");
        }
        set.insert(variable(without), left_out);
        world.env.retain(|name, _| !set.contains_key(name));
    }
    world.env.insert("TASKD_RUN__ITERATIONS".to_owned(), "many".to_owned());
    for args in [&["config"][..], &["daemon", "run"]] {
        let said = world.taskd(args).fails(78);
        assert!(said.contains("TASKD_RUN__ITERATIONS: `run.iterations` is \"many\""), "{said}");
    }
}

/// Proves S-3.2.2: the schema for editors that is published is the one this program prints, and has
/// every key with what it means, its type, and its default where it has one.
#[test]
fn every_key_is_in_the_published_schema() {
    let world = World::new();
    let printed: Value =
        serde_json::from_str(&world.taskd(&["config", "schema"]).ok()).expect("JSON");
    let published = include_str!("../../../../../docs/schemas/config.json");
    let published: Value = serde_json::from_str(published).expect("JSON");
    assert_eq!(printed, published);
    let view = &super::json(&world, &["config", "view"])[0];
    for row in view["keys"].as_array().expect("a list") {
        let key = row["key"].as_str().expect("text");
        let (section, name) = key.split_once('.').expect("a section");
        let of = &published["properties"][section]["properties"][name];
        let said = of["description"].as_str().expect("a description");
        assert!(said.starts_with(row["doc"].as_str().expect("text")), "{key}: {said}");
        let default = row["default"].as_str().filter(|it| !it.is_empty());
        let default = default.map(|it| format!(" Default: {it}."));
        assert!(default.is_none_or(|it| said.ends_with(&it)), "{key}: {said}");
        let typed = ["type", "enum", "oneOf"].iter().any(|it| !of[*it].is_null());
        assert!(typed, "{key}: {of}");
    }
    let settings = published["properties"].as_object().expect("sections").values();
    let count: usize = settings.map(|it| it["properties"].as_object().expect("keys").len()).sum();
    assert_eq!(count, keys(&world).len(), "no key that is not one");
}
