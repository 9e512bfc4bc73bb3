//! `taskd demo` as a person runs it: the real binary, its own daemon, a real `kill -9`.
#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

/// What is promised for two cores.
const PROMISED: Duration = Duration::from_secs(60);

/// Runs the demo in a world where everything of the caller's would be noticed.
fn demo(dir: &Path, args: &[&str]) -> (Output, Duration) {
    let began = Instant::now();
    let ran = Command::new(env!("CARGO_BIN_EXE_taskd"))
        .arg("demo")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("PATH is set"))
        .env("HOME", dir)
        .env("TMPDIR", dir.join("tmp"))
        // A daemon that took this for its own would fail at once.
        .env("TASKD_STATE_DIR", "/nonexistent/taskd")
        .output()
        .expect("the binary was built");
    (ran, began.elapsed())
}

fn world() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("td").tempdir().expect("a temp dir");
    std::fs::create_dir(dir.path().join("tmp")).expect("writable");
    dir
}

/// What is left in a folder.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("readable");
    entries.map(|it| it.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_demo_keeps_what_it_promises() {
    let world = world();
    let (ran, took) = demo(world.path(), &["--seed", "7"]);
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    assert!(ran.status.success(), "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
    let promises = [
        "6 of 6 landed in ",
        " + parse  2 iterations  ",
        "gate red, then green",
        " s for a 429, no iteration lost",
        "conflict with ",
        "solved by iteration 2",
        "rebased when ",
        "agent: ./write-docs.sh",
        "daemon killed during ",
        "went on from turn ",
        "kill -9  at ",
        " events; 0 repeated",
        "; lost 0 of ",
        "scripted calls, $0.00; no network, no key",
        " (main) ",
        "gate   7/7",
        "gate 17/17",
        "17 passed, 0 failed",
        "main is GREEN.",
        "yours    cd your-repo && taskd run \"...\" --agent claude",
    ];
    for promise in promises {
        assert!(text.contains(promise), "no {promise:?} in:\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line:?}");
    }
    assert!(took < PROMISED, "it took {took:?}");
    // Nothing is left, neither where it worked nor at home.
    assert_eq!(names(&world.path().join("tmp")), Vec::<String>::new());
    assert_eq!(names(world.path()), ["tmp"]);
}

#[test]
fn without_one_fix_it_fails_and_says_so() {
    let world = world();
    let (ran, _) = demo(world.path(), &["--seed", "7", "--break-fix"]);
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    assert_eq!(ran.status.code(), Some(1), "{text}");
    assert!(text.contains("FAILED   p1.parse failed: limit reached: iterations"), "{text}");
    assert!(!text.contains("main is GREEN"), "{text}");
    // What went wrong can be looked at.
    let line = text.lines().find_map(|it| it.strip_prefix("DEMO_DIR="));
    let dir = Path::new(line.expect("the folder is named"));
    assert!(dir.join("word-counter/words.sh").is_file());
    assert!(dir.join("daemon.log").is_file());
}

#[test]
fn the_log_is_printed_on_demand() {
    let world = world();
    let (ran, _) = demo(world.path(), &["--seed", "2", "--events"]);
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    assert!(ran.status.success(), "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
    let (_, log) = text.split_once("--agent claude\n").expect("the log comes last");
    let starts = log.lines().filter(|it| it.contains(" daemon ") && it.ends_with(" started"));
    assert_eq!(starts.count(), 2, "one life before the kill, one after:\n{log}");
    assert!(log.contains("p1 ended"), "{log}");
}
