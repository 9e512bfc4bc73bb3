//! Runs that need nothing: no setting, no key, no network.
#![expect(clippy::disallowed_methods, reason = "tests start real programs")]
#![expect(clippy::print_stdout, reason = "what was not run is said")]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use taskd_model::{Event, Outcome};

use crate::{
    provider::{Answer, Provider},
    support::{Ran, World},
};

/// What is promised for one loop.
const PROMISED: Duration = Duration::from_secs(5);
/// Starts a program as root of a namespace of its own, in which there is no network.
const NO_NETWORK: [&str; 2] = ["unshare", "-rn"];

/// Runs `taskd` behind `wrapper`, with this environment and no other variable.
fn bare(wrapper: &[&str], args: &[&str], env: &[(&str, &str)]) -> Ran {
    let words: Vec<&str> =
        wrapper.iter().copied().chain([env!("CARGO_BIN_EXE_taskd")]).chain(args.to_vec()).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    let out = command.output().expect("it starts");
    Ran {
        code: out.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&out.stdout).into_owned(),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// Whether this machine lets us make a network namespace; says so if it does not.
fn can_leave_the_network() -> bool {
    let tried = Command::new(NO_NETWORK[0]).args(&NO_NETWORK[1..]).arg("true").output();
    let can = tried.is_ok_and(|it| it.status.success());
    if !can {
        println!("NOT RUN unshare");
    }
    can
}

/// The folder that a hermetic run names in its first line.
fn place(out: &str) -> &Path {
    let (_, dir) = out.lines().next().and_then(|it| it.split_once(" in ")).expect("it is named");
    Path::new(dir)
}

/// Proves AY-10.10: with an empty environment, in five seconds, and nothing is left of it.
#[test]
fn the_installed_binary_proves_itself_in_seconds() {
    let began = Instant::now();
    let out = bare(&[], &["doctor", "--hermetic"], &[]).ok();
    assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());
    let names: Vec<&str> = out.lines().filter_map(|it| it.split_whitespace().nth(1)).collect();
    assert_eq!(names, ["place", "daemon", "loop", "landed", "removed"], "{out}");
    assert!(out.lines().all(|it| it.starts_with("ok ")), "{out}");
    let promised = "p1.smoke red before the work, green after it: 2 scripted calls, no network";
    assert!(out.contains(promised), "{out}");
    assert!(!place(&out).exists(), "{out}");
}

/// What is missing is said, with the exit code of a failure, and nothing is left either.
#[test]
fn a_machine_without_git_is_told_so() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let here = dir.path().to_str().expect("UTF-8");
    let env = [("PATH", "/nonexistent"), ("TMPDIR", here)];
    let ran = bare(&[], &["doctor", "--hermetic", "--json"], &env);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let row: Value = serde_json::from_str(ran.out.lines().next().expect("a row")).expect("JSON");
    assert_eq!(row["state"], "failed", "{row}");
    assert!(row["detail"].as_str().expect("a text").contains("starting git"), "{row}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}

/// Proves AY-10.2: where there is no network at all, not even loopback, the doctor's loop and the
/// recorded demo go as they do everywhere.
#[test]
fn nothing_hermetic_needs_a_network() {
    if !can_leave_the_network() {
        return;
    }
    let out = bare(&NO_NETWORK, &["doctor", "--hermetic"], &[]).ok();
    assert!(out.lines().all(|it| it.starts_with("ok ")), "{out}");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/cassette");
    let out = bare(&NO_NETWORK, &["demo", "--replay", &dir.to_string_lossy()], &[("HOME", "/")]);
    let out = out.ok();
    assert!(out.contains("6 of 6 landed") && out.contains("main is GREEN."), "{out}");
}

/// The same namespace keeps what needs a network from working: a provider outside of it is never
/// reached, though it listens.
#[test]
fn what_needs_a_network_fails_without_one() {
    if !can_leave_the_network() {
        return;
    }
    let provider = Provider::new(|_| Answer::Stream(Vec::new()));
    let mut world = World::new();
    world.start_behind(&NO_NETWORK);
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), "a-key".to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    world.submit(
        "---\nplan: Outside\nmodel: anthropic/claude-sonnet-4-5\ngate: sh test.sh\nland: never\n\
         ---\n\n## spec a: A\n\nWrite b.txt.\n",
    );
    let failed = world.until_event("the call to fail", |it| {
        matches!(&it.event, Event::EffectEnded { outcome: Outcome::Failed { .. }, .. })
    });
    let said = serde_json::to_string(&failed.event).expect("JSON");
    assert!(said.contains("connect"), "{said}");
    assert_eq!(provider.seen().len(), 0);
}
