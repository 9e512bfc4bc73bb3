//! Rules for Rust files: they say what they are, stay short, promise nothing, do not sleep
//! and, where replay must be exact, count in integers.

use std::collections::BTreeSet;

use super::{exceptions, rust};
use crate::repo::File;

/// Spelled in two halves, so that this file does not break its own rule.
const PROMISES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const UNFINISHED: &[&str] = &[concat!("to", "do!("), concat!("unimple", "mented!(")];
const IGNORED: &str = concat!("#[", "ignore");

/// As many cases as a property needs at most.
const MANY_CASES: u64 = 10_000;
/// Spelled in two halves, as above.
const CONFIG: &str = concat!("Proptest", "Config");

/// Replay must be exact, so the crates that decide count in integers.
const WITHOUT_FLOATS: &[&str] = &["crates/taskd-core/src/", "crates/taskd-model/src/"];
const FLOATS: &[&str] = &["f32", "f64"];

pub(super) fn check(files: &[File], bad: &mut Vec<String>) {
    let test_modules = test_modules(files);
    for file in rust(files) {
        if !file.text.as_deref().is_some_and(|it| it.starts_with("//!")) {
            bad.push(format!("{}: does not start with `//!`", file.path));
        }
        check_length(file, bad);
        check_sleep(file, &test_modules, bad);
        check_floats(file, bad);
        check_cases(file, bad);
        for (n, line) in file.lines() {
            if line.trim_start().starts_with(IGNORED) {
                bad.push(format!("{}:{n}: an ignored test; fix or delete it", file.path));
            }
        }
    }
    for file in files.iter().filter(|it| !it.is("lock")) {
        for (n, line) in file.lines() {
            if promises(line) {
                bad.push(format!("{}:{n}: unfinished work without an issue: {line}", file.path));
            }
        }
    }
    check_stale(files, bad);
}

fn check_length(file: &File, bad: &mut Vec<String>) {
    let lines = file.lines().count();
    let listed = exceptions::LONG.iter().find(|(path, ..)| *path == file.path);
    let limit = listed.map_or(exceptions::MAX_LINES, |(_, lines, _)| *lines);
    if lines > limit {
        bad.push(format!("{}: {lines} lines; the limit is {limit}", file.path));
    }
    if listed.is_some() && lines <= exceptions::MAX_LINES {
        bad.push(format!("{}: short again; drop its exception", file.path));
    }
}

fn check_floats(file: &File, bad: &mut Vec<String>) {
    if !WITHOUT_FLOATS.iter().any(|it| file.path.starts_with(it)) {
        return;
    }
    let code = file.lines().filter(|(_, line)| !line.trim_start().starts_with("//"));
    for (n, line) in code.filter(|(_, line)| FLOATS.iter().any(|it| has_word(line, it))) {
        bad.push(format!("{}:{n}: a float where replay must be exact: {line}", file.path));
    }
}

/// `PROPTEST_CASES` says how many cases a property has, wherever it has fewer without it.
fn check_cases(file: &File, bad: &mut Vec<String>) {
    for (n, line) in file.lines().filter(|(_, line)| fixes_cases(line)) {
        let line = line.trim();
        bad.push(format!("{}:{n}: a number of cases that nobody can raise: {line}", file.path));
    }
}

fn fixes_cases(line: &str) -> bool {
    let few = |it: &str| {
        let digits = it.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '_');
        let number: String = digits.filter(|it| *it != '_').collect();
        number.parse().is_ok_and(|it: u64| it < MANY_CASES)
    };
    line.contains(CONFIG)
        && ["with_cases(", "cases:"].iter().any(|it| line.split(it).skip(1).any(few))
}

fn check_sleep(file: &File, test_modules: &BTreeSet<String>, bad: &mut Vec<String>) {
    let Some(first) = first_test_line(file, test_modules) else { return };
    let mut sleeping = file.lines().filter(|(n, line)| *n >= first && sleeps(line)).peekable();
    let listed = exceptions::SLEEPING.iter().any(|(path, _)| *path == file.path);
    match (listed, sleeping.peek()) {
        (true, None) => bad.push(format!("{}: no longer sleeps; drop its exception", file.path)),
        (false, Some(_)) => bad.extend(sleeping.map(|(n, line)| {
            format!("{}:{n}: a test that sleeps; wait for the thing: {}", file.path, line.trim())
        })),
        (true, Some(_)) | (false, None) => {}
    }
}

fn check_stale(files: &[File], bad: &mut Vec<String>) {
    let listed = exceptions::LONG.iter().map(|(path, ..)| path);
    let listed = listed.chain(exceptions::SLEEPING.iter().map(|(path, _)| path));
    for path in listed.filter(|path| files.iter().all(|it| it.path != **path)) {
        bad.push(format!("{path}: is gone; drop its exception"));
    }
}

/// From which line on a file is test code: all of a test file, or from its `#[cfg(test)] mod … {`.
pub(super) fn first_test_line(file: &File, test_modules: &BTreeSet<String>) -> Option<usize> {
    let folders = || file.path.split('/').rev().skip(1);
    let whole = folders().any(|it| it == "tests")
        || file.path.ends_with("/tests.rs")
        || test_modules
            .iter()
            .any(|it| file.path == format!("{it}.rs") || file.path.starts_with(&format!("{it}/")));
    if whole {
        return Some(1);
    }
    let mut gate = None;
    for (n, line) in file.lines().map(|(n, line)| (n, line.trim())) {
        if line == "#[cfg(test)]" {
            gate = Some(n);
        } else if !line.starts_with("#[") {
            let opens = line.ends_with('{') && module_name(line).is_some();
            match gate.take() {
                Some(at) if opens => return Some(at),
                Some(_) | None => {}
            }
        }
    }
    None
}

/// `#[cfg(test)] mod name;` anywhere: the module's path without `.rs`.
pub(super) fn test_modules(files: &[File]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in rust(files) {
        let mut lines = file.lines().map(|(_, line)| line.trim());
        while lines.any(|it| it == "#[cfg(test)]") {
            let declared = lines.find(|it| !it.starts_with("#["));
            if let Some(name) = declared.filter(|it| it.ends_with(';')).and_then(module_name) {
                found.insert(format!("{}/{name}", home_of_modules(&file.path)));
            }
        }
    }
    found
}

/// The folder in which a file's modules live.
fn home_of_modules(path: &str) -> &str {
    let stem = path.trim_end_matches(".rs");
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    if ["lib", "main", "mod"].contains(&name) { folder } else { stem }
}

fn module_name(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
    Some(line.strip_prefix("mod ")?.trim_end_matches([';', '{', ' ']))
}

fn sleeps(line: &str) -> bool {
    let code = line.trim_start();
    !code.starts_with("//")
        && (code.contains("thread::sleep")
            || code.contains("time::sleep")
            || code.starts_with("sleep(")
            || code.contains(" sleep("))
}

fn promises(line: &str) -> bool {
    let has_issue = line.split('#').skip(1).any(|it| it.starts_with(|c: char| c.is_ascii_digit()));
    let promise = PROMISES.iter().any(|it| has_word(line, it))
        || UNFINISHED.iter().any(|it| line.trim_start().starts_with(it));
    promise && !has_issue
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_a_word)
            && !line[at + word.len()..].starts_with(part_of_a_word)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{first_test_line, promises, sleeps, test_modules};
    use crate::repo::File;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: 0, text: Some(text.to_owned()) }
    }

    #[test]
    fn test_code_starts_where_the_test_module_does() {
        let none = BTreeSet::new();
        let line = |path, text| first_test_line(&file(path, text), &none);
        let module = "//! A.\n#[cfg(test)]\nuse x;\nfn a() {}\n#[cfg(test)]\nmod tests {\n}";
        assert_eq!(line("crates/a/src/b.rs", module), Some(5));
        assert_eq!(line("crates/a/src/b.rs", "//! A.\nfn a() {}"), None);
        assert_eq!(line("crates/a/tests/it/main.rs", "//! A."), Some(1));
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_found() {
        let files = [file("crates/a/src/b.rs", "//! A.\n#[cfg(test)]\nmod stories;\nmod other;")];
        let modules = test_modules(&files);
        assert!(modules.contains("crates/a/src/b/stories") && modules.len() == 1, "{modules:?}");
        let story = file("crates/a/src/b/stories.rs", "//! A.");
        assert_eq!(first_test_line(&story, &modules), Some(1));
    }

    #[test]
    fn a_shell_that_sleeps_is_not_a_test_that_sleeps() {
        assert!(sleeps(&format!("    std::thread::{}(TEN);", "sleep")));
        assert!(sleeps(&format!("    tokio::time::{}(TEN).await;", "sleep")));
        assert!(!sleeps("    let child = shell(\"sleep 1000 & sleep 1000\");"));
    }

    /// Proves AY-10.7: a test that sleeps is named with file and line, in whatever file it is.
    #[test]
    fn a_planted_sleep_is_named() {
        let text = format!("//! A.\nfn a() {{\n    std::thread::{}(TEN);\n}}\n", "sleep");
        let mut bad = Vec::new();
        super::check_sleep(&file("crates/a/tests/it/b.rs", &text), &BTreeSet::new(), &mut bad);
        assert_eq!(bad.len(), 1, "{bad:?}");
        assert!(bad[0].starts_with("crates/a/tests/it/b.rs:3: a test that sleeps"), "{bad:?}");
    }

    /// Proves AY-10.11: a property whose number of cases cannot be raised from outside is named.
    #[test]
    fn a_property_takes_as_many_cases_as_it_is_told() {
        let config = super::CONFIG;
        assert!(super::fixes_cases(&format!("#![proptest_config({config}::with_cases(200))]")));
        assert!(super::fixes_cases(&format!("{config} {{ cases: 24, ..{config}::default() }}")));
        assert!(!super::fixes_cases(&format!("{config}::with_cases(10_000)")));
        assert!(!super::fixes_cases(&format!("{config} {{ cases: cases(24), ..x }}")));
        assert!(!super::fixes_cases("let cases: 24"));
    }

    #[test]
    fn a_promise_needs_an_issue() {
        let word = super::PROMISES[0];
        assert!(promises(&format!("// {word}: later")));
        assert!(!promises(&format!("// {word}(#12): later")));
        assert!(!promises(&format!("let {word}S = 1;")));
    }
}
