//! What is proposed for which files.

use std::collections::BTreeMap;

use super::*;

/// Commands and reasons for these files with these texts.
fn proposals(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let strange = |it: &&str| !["README.md", "src"].contains(it) && !NAMES.contains(it);
    assert_eq!(files.iter().map(|it| it.0).find(strange), None, "a name missing in NAMES");
    let names: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
    let texts: BTreeMap<&str, &str> = files.iter().copied().collect();
    let read = |name: &str| texts.get(name).map(|it| (*it).to_owned());
    propose(&names, read).into_iter().map(|it| (it.command, it.reason)).collect()
}

fn commands(files: &[(&str, &str)]) -> Vec<String> {
    proposals(files).into_iter().map(|it| it.0).collect()
}

fn one(command: &str, reason: &str) -> Vec<(String, String)> {
    vec![(command.to_owned(), reason.to_owned())]
}

const NOTHING: [&str; 0] = [];

#[test]
fn nothing_known_proposes_nothing() {
    assert_eq!(commands(&[]), NOTHING);
    assert_eq!(commands(&[("README.md", "cargo test"), ("src", "")]), NOTHING);
}

#[test]
fn cargo() {
    let package = "[package]\nname = \"a\" # [workspace]\n";
    assert_eq!(proposals(&[("Cargo.toml", package)]), one("cargo test", "found Cargo.toml"));
    let workspace = "[workspace]\nmembers = []\n";
    let expected = one("cargo test --workspace", "found Cargo.toml with a workspace");
    assert_eq!(proposals(&[("Cargo.toml", workspace)]), expected);
    let inherited = "[workspace.package]\nversion = \"1\"\n";
    assert_eq!(proposals(&[("Cargo.toml", inherited)]), expected);
    assert_eq!(commands(&[("Cargo.toml", "not toml [[")]), ["cargo test"]);
}

#[test]
fn package_json() {
    let tested = r#"{"scripts": {"test": "vitest run"}}"#;
    let reason = "found package.json with a test script";
    assert_eq!(proposals(&[("package.json", tested)]), one("npm test", reason));
    for (lock, command) in
        [("pnpm-lock.yaml", "pnpm test"), ("yarn.lock", "yarn test"), ("bun.lock", "bun run test")]
    {
        let expected = one(command, &format!("{reason}, and {lock}"));
        assert_eq!(proposals(&[("package.json", tested), (lock, "")]), expected);
    }
    assert_eq!(commands(&[("package.json", tested), ("package-lock.json", "")]), ["npm test"]);
    let manager = r#"{"scripts": {"test": "x"}, "packageManager": "pnpm@9.1.0"}"#;
    assert_eq!(commands(&[("package.json", manager)]), ["pnpm test"]);
    for text in [
        "{}",
        "not json",
        "[]",
        r#"{"scripts": {"build": "x"}}"#,
        r#"{"scripts": {"test": 3}}"#,
        r#"{"scripts": {"test": " "}}"#,
        r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#,
    ] {
        assert_eq!(commands(&[("package.json", text)]), NOTHING, "{text}");
    }
}

#[test]
fn just() {
    let both = "test:\n    cargo test\nci: test lint\n";
    let expected = one("just ci", "found justfile with a recipe ci");
    assert_eq!(proposals(&[("justfile", both)]), expected);
    assert_eq!(commands(&[(".justfile", "@test *args='':\n  x")]), ["just test"]);
    assert_eq!(commands(&[("Justfile", "test filter='':\n  x")]), ["just test"]);
    for text in ["", "test := 'x'\n", "test name:\n x", "testing:\n x", "  test:\n", "# test:\n"] {
        assert_eq!(commands(&[("justfile", text)]), NOTHING, "{text}");
    }
}

#[test]
fn make() {
    let expected = one("make test", "found Makefile with a target test");
    assert_eq!(proposals(&[("Makefile", "all:\n\ntest: all\n\t./run\n")]), expected);
    assert_eq!(commands(&[("Makefile", "lint check::\n\tx\n")]), ["make check"]);
    assert_eq!(commands(&[("makefile", "check:\n"), ("Makefile", "test:\n")]), ["make check"]);
    for text in
        ["test := x\n", "test ::= x\n", ".PHONY: test\n", "\ttest:\n", "# test:\n", "tests:\n"]
    {
        assert_eq!(commands(&[("Makefile", text)]), NOTHING, "{text}");
    }
}

#[test]
fn go_and_python_and_a_script() {
    assert_eq!(proposals(&[("go.mod", "")]), one("go test ./...", "found go.mod"));
    for name in ["pytest.ini", "tox.ini", "pyproject.toml", "conftest.py"] {
        assert_eq!(proposals(&[(name, "")]), one("pytest", &format!("found {name}")));
    }
    let expected = one("uv run pytest", "found pyproject.toml and uv.lock");
    assert_eq!(proposals(&[("pyproject.toml", ""), ("uv.lock", "")]), expected);
    assert_eq!(commands(&[("tox.ini", ""), ("poetry.lock", "")]), ["poetry run pytest"]);
    assert_eq!(proposals(&[("test.sh", "set -e\n")]), one("sh test.sh", "found test.sh"));
    assert_eq!(commands(&[("test.sh", "#!/usr/bin/env bash\n")]), ["bash test.sh"]);
}

#[test]
fn several_are_proposed_in_a_fixed_order() {
    let files = [
        ("test.sh", ""),
        ("Makefile", "test:\n"),
        ("pyproject.toml", ""),
        ("justfile", "ci:\n"),
        ("go.mod", ""),
        ("package.json", r#"{"scripts": {"test": "x"}}"#),
        ("Cargo.toml", ""),
    ];
    let expected =
        ["cargo test", "npm test", "just ci", "make test", "go test ./...", "pytest", "sh test.sh"];
    assert_eq!(commands(&files), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_no_obstacle() {
    let names = ["Cargo.toml", "package.json", "justfile", "Makefile", "test.sh"];
    let names = names.map(ToOwned::to_owned);
    let found: Vec<_> = propose(&names, |_| None).into_iter().map(|it| it.command).collect();
    assert_eq!(found, ["cargo test", "sh test.sh"]);
}
