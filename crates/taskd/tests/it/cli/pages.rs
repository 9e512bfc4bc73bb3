//! Pages of the documentation that only repeat what the program says, and flags that every command
//! takes.

use std::{fmt::Write as _, fs, io::Write as _, process::Stdio};

use serde_json::Value;

use super::json;
use crate::{landing::agent, support::World};

/// Asserts that a page is this text; what it should be is put where it can be taken from.
#[track_caller]
fn assert_page(name: &str, page: &str, text: &str) {
    if page != text {
        let place = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        fs::write(&place, text).expect("ours");
        panic!("docs/{name} is not what the program says: cp {place} docs/{name}");
    }
}

/// Proves E14, MC-CLI-1, S-5.1.1: the page of commands has every command there is with its line of
/// help, as `taskd help all` prints them.
#[test]
fn the_page_of_commands_is_what_the_program_says() {
    let world = World::new();
    let mut text = String::from(
        "# Commands\n\nWhat `taskd help all` prints; `taskd help COMMAND` says more of each, and \
         `taskd man` makes manual pages of it.\n\n| command | what it does |\n|---|---|\n",
    );
    let all = world.taskd(&["help", "all"]).ok();
    for line in all.lines().take_while(|it| !it.is_empty()) {
        let (name, about) = line.trim_start().split_once("  ").expect("a name and a line");
        let about = about.trim().replace('|', "\\|");
        writeln!(text, "| `taskd {name}` | {about} |").expect("text");
    }
    assert_page("commands.md", include_str!("../../../../../docs/commands.md"), &text);
}

/// Proves E14, S-3.2.2: the page of configuration has every key with its default and what it does, from the
/// list that the daemon reads by.
#[test]
fn the_page_of_configuration_is_what_the_program_says() {
    let world = World::new();
    let mut text = String::from(
        "# Configuration\n\nEvery key there is, from `taskd config schema`, which an editor can check \
         a file by. `taskd config path` says which files are read, the strongest last; `taskd \
         config view --origin` says what is in effect and who says so; `TASKD_LIMITS__LOOPS=8` in \
         the environment is stronger than any file.\n",
    );
    let schema = world.taskd(&["config", "schema"]).ok();
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    for (section, of) in schema["properties"].as_object().expect("sections") {
        let Some(keys) = of["properties"].as_object() else { continue };
        write!(text, "\n## `[{section}]`\n\n| key | what it is |\n|---|---|\n").expect("text");
        for (key, of) in keys {
            let about = of["description"].as_str().expect("every key is explained");
            writeln!(text, "| `{key}` | {} |", about.replace('|', "\\|")).expect("text");
        }
    }
    assert_page("configuration.md", include_str!("../../../../../docs/configuration.md"), &text);
}

/// Proves S-5.1.4: `--json`, `--quiet`, `--no-color` and `-C` are taken before a command and after it,
/// by commands and by their parts, and mean the same.
#[test]
fn global_flags_stand_before_and_after() {
    let mut world = World::new();
    world.start();
    let run = agent(&world, "agent.sh", "echo x > x.txt");
    world.taskd(&["run", "one", "--agent", &run, "--gate", "true", "--land", "never", "-d"]).ok();
    world.until("its end", |it| it.plans.values().all(|it| it.ended_at.is_some()));
    let elsewhere = world.dir.path().join("elsewhere");
    fs::create_dir_all(&elsewhere).expect("ours");
    let here = world.dir.path().join("repo").display().to_string();
    let said = |args: &[&str]| {
        let ran = world.command(args).current_dir(&elsewhere).output().expect("it runs");
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("text")
    };
    for command in [&["ls", "-a"][..], &["plan", "ls"], &["config", "view"], &["show", "p1"]] {
        for flag in [&["--json"][..], &["--quiet"], &["-q"], &["--no-color"]] {
            let before = said(&[&["-C", &here], flag, command].concat());
            let after = said(&[command, flag, &["-C", &here]].concat());
            // Ages go on between the two.
            let plain = |it: &str| it.replace(|it: char| it.is_ascii_digit(), "");
            assert_eq!(plain(&before), plain(&after), "{command:?} {flag:?}");
        }
    }
}

/// Proves MC-CLI-2: what to do is one argument, or standard input where that is `-`; none, two, or an
/// empty one is refused, and nothing is stored.
#[test]
fn a_task_is_an_argument_or_standard_input() {
    let mut world = World::new();
    world.start();
    let run = agent(&world, "agent.sh", "echo x > x.txt");
    let rest = ["--agent", &run, "--gate", "true", "--land", "never", "-d"];
    let piped = |text: &str| {
        let mut command = world.command(&[&["run", "-"], &rest[..]].concat());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends").status.code()
    };
    assert_eq!(world.taskd(&[&["run"], &rest[..]].concat()).code, 2);
    assert_eq!(world.taskd(&[&["run", "one", "two"], &rest[..]].concat()).code, 2);
    assert_eq!(piped("  \n"), Some(2));
    assert_eq!(json(&world, &["plan", "ls"]).len(), 0);
    assert_eq!(piped("Write a poem\n\nabout roses.\n"), Some(0));
    assert_eq!(json(&world, &["plan", "ls"])[0]["title"], "Write a poem");
}
