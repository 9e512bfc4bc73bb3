//! `taskd debug bundle`: what is in it, and what never is.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};
use taskd_model::Status;

use super::settings::own_file;
use crate::{
    provider::{Answer, Provider, Step},
    support::World,
};

const KEY: &str = "sk-sentinel-77ab02";

/// A daemon that did work by a key, full of words that must stay where they are.
fn busy(provider: &Provider) -> World {
    let mut world = World::new();
    world.write("AGENTS.md", "REPOSITORY-WORDS\n");
    world.write("code.txt", "SOURCE-WORDS\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "say how"]);
    world.taskd(&["ls"]).fails(69);
    fs::create_dir_all(own_file(&world).parent().expect("a folder")).expect("ours");
    let own = "[limits]\nloops = 7\n[notify]\ncommand = \"true NOTIFY-WORDS\"\n";
    fs::write(own_file(&world), own).expect("ours");
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    world.taskd(&["daemon", "start"]).ok();
    world.submit(
        "---\nplan: TITLE-WORDS\nmodel: anthropic/claude-sonnet-4-5\ngate: echo GATE-WORDS; sh test.sh\n\
         land: never\n---\n\nCONTEXT-WORDS\n\n## spec a: SPEC-WORDS\n\nTASK-WORDS\n",
    );
    world.taskd(&["steer", "p1.a", "STEERING-WORDS"]).ok();
    world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    world
}

/// Proves S-6.4.2: a bundle says what is in it, then holds versions, doctor, configuration, status,
/// metrics, events and log; no key, and no word of a task, title, context, message, prompt, reply, tool,
/// gate, file or command. It is for its owner alone, is written over nothing, and is there where no
/// daemon answers too.
#[test]
fn a_bundle_holds_what_helps_and_no_words() {
    let provider = Provider::new(|seen| {
        let step = match seen.body.contains("tool_result") {
            false => Step::Tool(
                "run",
                json!({"command": "cat code.txt; echo TOOL-WORDS >b.txt"}).to_string(),
            ),
            true => Step::Text("MODEL-WORDS".to_owned()),
        };
        Answer::Stream(vec![step])
    });
    let world = busy(&provider);
    let said = world.taskd(&["debug", "bundle"]).ok();
    let path = world.repo.join("taskd-bundle.txt");
    let mode = fs::metadata(&path).expect("written").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let text = fs::read_to_string(&path).expect("text");
    for name in ["about", "doctor", "config", "status", "metrics", "events", "log"] {
        assert!(said.lines().any(|it| it.starts_with(&format!("{name} "))), "{name}: {said}");
        let (_, rest) = text.split_once(&format!("\n=== {name} ===\n\n")).expect(name);
        assert!(rest.lines().next().is_some_and(|it| !it.is_empty()), "{name} is empty");
    }
    for part in [
        "daemon  0.",
        "ok       store ",
        "limits.loops = 7",
        "notify.command = (set)",
        "taskd_loops",
        "plan_submitted",
        "work=call",
        "outcome=replied",
        "INFO taskd_daemon::daemon: ready",
    ] {
        assert!(text.contains(part), "{part:?} is not in it:\n{text}");
    }
    let told: Vec<&str> = text.lines().filter(|it| it.contains("-WORDS")).collect();
    assert!(told.is_empty() && !text.contains(KEY), "{told:#?}");
    assert!(!text.contains(&world.env["HOME"]), "where its person lives");

    let said = world.taskd(&["debug", "bundle"]).fails(1);
    assert!(said.contains("is there already; nothing was written"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("kept"), text);
    world.taskd(&["daemon", "stop"]).ok();
    let answer = world.taskd(&["debug", "bundle", "other.txt", "--json"]).ok();
    let answer: Value = serde_json::from_str(&answer).expect("an object");
    assert_eq!(answer["path"], world.repo.join("other.txt").display().to_string());
    let without = fs::read_to_string(world.repo.join("other.txt")).expect("written");
    assert!(without.contains("daemon  does not answer") && without.contains("=== log ==="));
}
