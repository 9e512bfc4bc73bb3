//! What is protected, by what is said and what the base has.

use super::{Care, Protected, Said, wrong};

fn care(said: &Said<'_>, base: &[&str], path: &str) -> Care {
    Protected::of(said, |it| base.contains(&it)).care(path)
}

fn gate<'a>(command: &'a str) -> Said<'a> {
    Said { gate: vec![command], ..Said::default() }
}

/// Each gate protects exactly these of the files.
#[track_caller]
fn protects(command: &str, files: &[&str]) {
    let all = [
        "test.sh",
        "ci/gate.sh",
        "ci/Makefile",
        "Makefile",
        "GNUmakefile",
        "justfile",
        "run.py",
        "src/lib.rs",
        "a.txt",
    ];
    let found: Vec<&str> =
        all.into_iter().filter(|it| care(&gate(command), &all, it) == Care::Restored).collect();
    assert_eq!(found, files, "{command}");
}

#[test]
fn a_gate_protects_what_it_runs() {
    protects("sh test.sh", &["test.sh"]);
    protects("bash -eu -o pipefail ./test.sh --all", &["test.sh"]);
    protects("env A=b timeout 60 ./ci/gate.sh", &["ci/gate.sh"]);
    protects("cd ci && ./gate.sh; sh ../test.sh", &["test.sh", "ci/gate.sh"]);
    protects("cargo build && sh -c '. ci/gate.sh'", &["ci/gate.sh"]);
    protects("if true; then sh \"test.sh\"; fi", &["test.sh"]);
    protects("make -j4 test", &["Makefile", "GNUmakefile"]);
    protects("make -C ci test", &["ci/Makefile"]);
    protects("just ci", &["justfile"]);
    protects("just -f ci/gate.sh", &["ci/gate.sh"]);
    protects("python3 -X dev run.py", &["run.py"]);
    protects("python3 -m pytest run.py", &[]);
    // It reads these, and does not run them.
    protects("grep -q x a.txt src/lib.rs", &[]);
    protects("sh $HOME/test.sh; sh /test.sh; sh ../test.sh", &[]);
}

/// What `accept` runs is protected where it is a shell's, and not where the spec works.
#[test]
fn accept_protects_scripts_and_not_the_work() {
    let base = ["check.sh", "tool.py"];
    let accept = |command, touches: &[&'static str], path: &str| {
        let said = Said { accept: vec![command], touches: touches.to_vec(), ..Said::default() };
        care(&said, &base, path)
    };
    assert_eq!(accept("sh check.sh", &[], "check.sh"), Care::Restored);
    assert_eq!(accept("sh check.sh", &["*.sh"], "check.sh"), Care::None);
    assert_eq!(accept("python3 tool.py --version", &[], "tool.py"), Care::None);
}

#[test]
fn what_the_base_has_not_is_asked_about_or_taken_away() {
    // Nothing to judge with: the work brings its own gate.
    assert_eq!(care(&gate("sh test.sh"), &[], "test.sh"), Care::Asked);
    // It would be taken instead of the one that is there.
    assert_eq!(care(&gate("make test"), &["Makefile"], "GNUmakefile"), Care::Restored);
    assert_eq!(care(&gate("make test"), &[], "GNUmakefile"), Care::Asked);
    // A directory in the place of the script.
    assert_eq!(care(&gate("sh test.sh"), &["test.sh"], "test.sh/x"), Care::Restored);
}

#[test]
fn ci_settings_and_what_a_person_names_are_always_protected() {
    let said = Said { globs: vec!["tests/**", "golden/", "*.lock"], ..Said::default() };
    let yes = [
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".taskd/config.toml",
        ".taskd/types/x.yaml",
        "tests/a/b.rs",
        "golden/x",
        "Cargo.lock",
    ];
    for path in yes {
        assert_eq!(care(&said, &[], path), Care::Restored, "{path}");
    }
    for path in ["src/tests/a.rs", "sub/Cargo.lock", "github/x", "xtests/y"] {
        assert_eq!(care(&said, &[], path), Care::None, "{path}");
    }
    assert_eq!(care(&gate("cargo test"), &[], ".cargo/config.toml"), Care::Restored);
    assert_eq!(care(&gate("sh x"), &[], ".cargo/config.toml"), Care::None);
}

#[test]
fn scripts_of_a_package_are_known_by_who_runs_them() {
    let runs = |command| Protected::of(&gate(command), |_| true).package_scripts;
    assert!(runs("npm test") && runs("pnpm run ci") && runs("npm ci && yarn lint"));
    assert!(!runs("npm ci") && !runs("cargo test"));
}

#[test]
fn a_wrong_glob_is_named() {
    assert_eq!(wrong("a/**"), None);
    assert!(wrong("a/[").is_some());
}

#[test]
fn what_a_script_of_the_gate_calls_is_protected_too() {
    let base = ["ci/gate.sh", "ci/lib.sh", "tools/more.sh", "ci/deep.sh", "src/lib.rs", "a.sh"];
    let in_base = |it: &str| base.contains(&it);
    let text = |it: &str| {
        let text = match it {
            "ci/gate.sh" => {
                ". \"$(dirname \"$0\")/lib.sh\"\n./tools/more.sh; sh gone.sh src/lib.rs"
            }
            "ci/lib.sh" => "sh ci/deep.sh",
            _ => return None,
        };
        Some(text.as_bytes().to_vec())
    };
    let found = Protected::of(&gate("sh ci/gate.sh"), in_base).with_called(in_base, text);
    let all = base.into_iter().chain(["gone.sh"]);
    let protected: Vec<&str> = all.filter(|it| found.care(it) != Care::None).collect();
    assert_eq!(protected, ["ci/gate.sh", "ci/lib.sh", "tools/more.sh"], "one step, no further");
}
