//! `taskd demo` as a person runs it: the real binary, its own daemon, a real `kill -9`.
#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    path::{Path, PathBuf},
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

/// The recorded calls of a demo, as `taskd demo --record` wrote them.
fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/cassette")
}

/// Proves AY-10.6: the same story with no model at all, from the recordings in the repository.
#[test]
fn the_demo_is_told_again_from_its_recording() {
    let world = world();
    let dir = recorded();
    let (ran, took) = demo(world.path(), &["--replay", &dir.to_string_lossy()]);
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    assert!(ran.status.success(), "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
    let promises = [
        "6 of 6 landed in ",
        "\n + parse  2 iterations  gate red, then green\n",
        "\n + count  1             daemon killed during turn 2, went on from turn 2\n",
        " s for a 429, no iteration lost\n",
        "\n + json   2             after count; conflict with top, solved by iteration 2\n",
        "agent: ./write-docs.sh\n",
        " recorded calls, $0.00; no network, no key",
        "17 passed, 0 failed",
        "main is GREEN.",
    ];
    for promise in promises {
        assert!(text.contains(promise), "no {promise:?} in:\n{text}");
    }
    assert!(took < PROMISED, "it took {took:?}");
}

/// What is not recorded is not made up: the loop is blocked, and the nearest recording is named.
#[test]
fn a_recording_that_lacks_a_call_fails_and_names_the_nearest() {
    let world = world();
    let dir = world.path().join("tapes");
    std::fs::create_dir(&dir).expect("writable");
    let mut lacks = String::new();
    for entry in std::fs::read_dir(recorded()).expect("readable") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let is_second = |it: &str| it.contains("\"iteration\": 1") && it.contains("\"turn\": 2");
        let (head, _) = text.split_once("\"request\"").unwrap_or((&text, ""));
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if head.contains("\"p1.parse\"") && is_second(head) {
            lacks = name;
        } else {
            std::fs::write(dir.join(name), text).expect("writable");
        }
    }
    assert!(!lacks.is_empty());
    let (ran, _) = demo(world.path(), &["--replay", &dir.to_string_lossy()]);
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    assert_eq!(ran.status.code(), Some(1), "{text}");
    let wanted = "FAILED   p1.parse blocked: no recording of p1.parse, iteration 1, turn 2, send 1; \
                  the nearest is ";
    assert!(text.contains(wanted), "{text}");
}

/// The recordings are of no machine and no time.
#[test]
fn the_recording_names_no_place_and_no_time() {
    let mut calls = 0;
    for entry in std::fs::read_dir(recorded()).expect("readable") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        calls += usize::from(text.contains("\"digest\""));
        for place in ["/tmp", "/var", "127.0.0.1", "taskd-demo", "\"at\""] {
            assert!(!text.contains(place), "{place} in {}", path.display());
        }
    }
    assert!(20 < calls, "{calls}");
}

/// Recordings of two runs are not mixed, and a folder without any is not played.
#[test]
fn a_folder_that_does_not_fit_is_refused() {
    let world = world();
    let dir = recorded();
    for (flag, dir, wanted) in [
        ("--record", dir.as_path(), "is not empty"),
        ("--replay", world.path(), "`taskd demo --record DIR` makes such a folder"),
    ] {
        let (ran, _) = demo(world.path(), &[flag, &dir.to_string_lossy()]);
        let said = String::from_utf8(ran.stderr).expect("UTF-8");
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
    }
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
