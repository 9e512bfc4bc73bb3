//! Where a task or an id is from, what is refused in it, and what is told while it is worked on.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::Stdio,
};

use super::json;
use crate::{
    landing::{agent, plan, until_ready},
    support::{Ran, World, files_that_say},
    tui::terminal,
};

/// How each task of these tests is worked on.
const HOW: [&str; 7] = ["--agent", "true", "--gate", "true", "--land", "never", "-d"];

#[track_caller]
fn run(world: &World, args: &[&str]) -> Ran {
    world.taskd(&[&["run"], args, &HOW[..]].concat())
}

/// The titles of all plans.
fn titles(world: &World) -> Vec<String> {
    let title = |it: serde_json::Value| it["title"].as_str().expect("text").to_owned();
    let mut all: Vec<String> = json(world, &["plan", "ls"]).into_iter().map(title).collect();
    all.sort();
    all
}

/// Proves S-5.3.1: a task or plan with what looks like a secret is refused with its line and column,
/// from the command line, stdin or a file, without repeating it, and nothing of it is kept; with
/// `--allow-secrets` it is taken.
#[test]
fn a_secret_is_refused_where_it_stands() {
    let mut world = World::new();
    world.start();
    let key = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAB1cD");
    let text = format!("Push it\n\n  with {key}\n");
    let file = world.aside("task.md", &text);
    let piped = || {
        let mut command = world.command(&[&["run", "-"], &HOW[..]].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        let out = child.wait_with_output().expect("it ends");
        assert_eq!(out.status.code(), Some(2));
        String::from_utf8(out.stderr).expect("UTF-8")
    };
    let plan =
        format!("---\nplan: T\nagent: 'true'\ngate: 'true'\n---\n\n## spec a: A\n\nUse {key}.\n");
    let plan = world.aside("plan.md", &plan);
    let submitted = |verb| world.taskd(&["plan", verb, &plan]).fails(2);
    for (place, said) in [
        ("the task:3:8: ", run(&world, &[&text]).fails(2)),
        ("task.md:3:8: ", run(&world, &[&format!("@{file}")]).fails(2)),
        ("stdin:3:8: ", piped()),
        ("plan.md:9:5: ", submitted("submit")),
        ("plan.md:9:5: ", submitted("check")),
    ] {
        let what = format!("{place}this looks like a token of GitHub; nothing was handed in\n");
        assert!(said.contains(&what) && said.contains("--allow-secrets"), "{place}: {said}");
        assert!(!said.contains(&key), "{said}");
    }
    assert!(world.view().plans.is_empty());
    assert!(files_that_say(&world.state(), &key).is_empty());
    run(&world, &[&text, "--allow-secrets"]).ok();
    assert_eq!(titles(&world), ["Push it"]);
}

/// Proves S-5.3.1: a task is read from a file behind `@`, and on a terminal without one from the person's
/// editor; what cannot be read, is empty or is missing without a terminal is refused.
#[test]
fn a_task_is_from_a_file_or_an_editor() {
    let mut world = World::new();
    world.start();
    world.write("notes.md", "Write a poem\n\nabout roses.\n");
    run(&world, &["@notes.md"]).ok();
    assert!(run(&world, &["@none.md"]).fails(2).contains("none.md: No such file"));
    let said = run(&world, &[]).fails(2);
    assert!(said.contains("there is no task") && said.contains("@FILE"), "{said}");
    let written = |editor: &str| {
        let (_keys, side) = terminal();
        let end = || Stdio::from(side.try_clone().expect("a handle"));
        let mut command = world.command(&[&["run"], &HOW[..]].concat());
        command.env("EDITOR", editor).stdin(end()).stdout(end()).stderr(end());
        command.status().expect("it runs").code()
    };
    let script = world.aside("edit.sh", "printf 'Sing a song\\n' > \"$1\"\n");
    assert_eq!(written(&format!("sh {script}")), Some(0));
    assert_eq!(written("true"), Some(2), "nothing was written");
    assert_eq!(written("false"), Some(1), "the editor did not end well");
    assert_eq!(titles(&world), ["Sing a song", "Write a poem"]);
}

/// Proves MC-CLI-5, S-5.2.1: a run is followed to its end, a line for each step with the time since it
/// began, and nothing in it controls a terminal where none reads it; with `--quiet` it prints its name
/// and nothing else.
#[test]
fn a_run_is_followed_in_lines_or_quiet() {
    let mut world = World::new();
    world.start();
    let agent =
        agent(&world, "agent.sh", "printf '\\033[31mred\\033[0m\\r\\007\\n'; echo x > b.txt");
    let args = [
        "run",
        "write \u{1b}[31mb.txt\u{7}",
        "--agent",
        &agent,
        "--gate",
        "sh test.sh",
        "--land",
        "never",
    ];
    let ran = world.taskd(&args);
    assert_eq!(ran.code, 0, "{ran:?}");
    for text in [&ran.out, &ran.err] {
        let controls = |it: char| it.is_control() && it != '\n';
        assert!(!text.contains(controls), "{text:?}");
    }
    let (_, steps) = ran.out.split_once("\n\n").expect("what is done, then how it goes");
    let is_step = |it: &&str| {
        let clock = it.split_whitespace().next().unwrap_or_default();
        let (minutes, seconds) = clock.split_once(':').unwrap_or_default();
        minutes.parse::<u32>().is_ok() && seconds.parse::<u32>().is_ok()
    };
    let lines: Vec<&str> = steps.lines().filter(is_step).collect();
    for step in ["worktree ready", "gate on untouched", "iteration 1/10", "gate GREEN"] {
        assert!(lines.iter().any(|it| it.contains(step)), "{step}\n{}", ran.out);
    }
    let quiet = world.taskd(&[&args[..], &["-q"]].concat());
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (0, "p2\n", ""));
    fs::remove_file(world.dir.path().join("agent.sh")).expect("ours");
}

/// Types `answer` on a terminal where a command asks; its exit code and all that the terminal showed.
fn answered(world: &World, args: &[&str], answer: &str) -> (Option<i32>, String) {
    let (master, side) = terminal();
    let mut keys = fs::File::from(OwnedFd::from(master));
    let end = || Stdio::from(side.try_clone().expect("a handle"));
    let mut command = world.command(args);
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("it runs");
    drop((command, side));
    keys.write_all(answer.as_bytes()).expect("it is read");
    let (mut shown, mut bytes) = (Vec::new(), [0; 4096]);
    // The end of a terminal whose other side is gone is an error.
    while let Ok(n @ 1..) = keys.read(&mut bytes) {
        shown.extend_from_slice(&bytes[..n]);
    }
    let code = child.wait().expect("it ends").code();
    (code, String::from_utf8_lossy(&shown).into_owned())
}

/// Proves S-5.3.4: a command that lacks its id lists those it can be about on a terminal, numbered, and
/// goes on with the one that is chosen; elsewhere that list is in its error, and nothing is done.
#[test]
fn an_id_that_is_missing_is_chosen() {
    let mut world = World::new();
    world.start();
    let agent = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.submit(&plan(&format!("agent: {agent}\nland: ask"), &[("one", ""), ("two", "")]));
    until_ready(&world, "p1.one");
    until_ready(&world, "p1.two");
    let (code, shown) = answered(&world, &["show", "--no-color"], "2\n");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("  1  p1.two  Work on two: ready to land"), "{shown}");
    assert!(shown.contains("  2  p1.one  ") && shown.contains("  3  p1      "), "{shown}");
    let (_, answer) = shown.split_once("taskd show: which [1-3, or an id] ").expect("it asks");
    assert!(answer.trim_start().starts_with("p1.one  Work on one"), "{shown}");
    let (code, shown) = answered(&world, &["why"], "p1.tw\n");
    assert!(code == Some(0) && shown.contains("p1.two"), "{shown}");
    let (code, shown) = answered(&world, &["reject", "-m", "no"], "\n");
    assert!(code == Some(2) && shown.contains("nothing was chosen"), "{shown}");
    let (code, shown) = answered(&world, &["diff"], "7\n");
    assert!(code == Some(5) && shown.contains("\"7\""), "{shown}");
    assert_eq!(json(&world, &["inbox"])[0]["items"].as_array().map(Vec::len), Some(2));

    let said = world.taskd(&["land"]).fails(2);
    assert!(said.contains("`taskd land` needs an id; there are: p1.two, p1.one, p1"), "{said}");
    assert!(said.contains("hint: taskd land p1.two\n"), "{said}");
    let said = world.taskd(&["show", "--json"]).fails(2);
    let said: serde_json::Value = serde_json::from_str(&said).expect("one object");
    assert!(said["error"]["message"].as_str().is_some_and(|it| it.contains("p1.one")), "{said}");
    let (code, shown) = answered(&world, &["show", "-q"], "");
    assert!(code == Some(2) && shown.contains("needs an id"), "{shown}");
    world.stop();
    assert!(world.taskd(&["show"]).fails(2).contains("<ID>"), "where nobody answers");
}
