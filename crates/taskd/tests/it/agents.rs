//! External agents through the real daemon: presets as files, and what follows from what a program
//! says and how it ends. The programs are scripts that print what the real ones do.

mod acp;
mod bad;
mod gateway;
mod git;
mod payer;
mod real;
mod resume;

use std::{fs, os::unix::fs::PermissionsExt as _, time::SystemTime};

use taskd_model::{Code, Event, Failure, Outcome, Status, Work};

use crate::support::World;

/// Puts a program on the world's `PATH`, before everything else.
pub(crate) fn program(world: &mut World, name: &str, script: &str) {
    let bin = world.dir.path().join("bin");
    fs::create_dir_all(&bin).expect("writable");
    let path = bin.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}")).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    let before = world.env["PATH"].clone();
    let bin = bin.to_str().expect("UTF-8");
    if !before.starts_with(bin) {
        world.env.insert("PATH".to_owned(), format!("{bin}:{before}"));
    }
}

/// The preset of Claude Code without the gateway: the program itself gets the key.
fn keeps_its_key(world: &World) {
    let preset = include_str!("../../../taskd-tools/presets/claude.toml");
    let (preset, _) = preset.split_once("[gateway]").expect("it is at the end");
    own_preset(world, "claude", preset);
}

/// Writes one of the person's own presets.
fn own_preset(world: &World, name: &str, text: &str) {
    let dir = world.dir.path().join("home/.config/taskd/agents");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join(format!("{name}.toml")), text).expect("ours");
}

fn plan(agent: &str, specs: &[&str]) -> String {
    let specs = specs.iter().map(|it| format!("## spec {it}: {it}\n\nDo it.\n\n"));
    let specs = specs.collect::<String>();
    format!("---\nplan: Agents\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n\n{specs}")
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

/// Runs of agents that were begun.
fn runs(world: &World) -> usize {
    let is_run = |it: &Event| matches!(it, Event::EffectStarted { work: Work::Agent { .. }, .. });
    world.events().iter().filter(|it| is_run(&it.event)).count()
}

/// Code and class of each failed effect.
fn failures(world: &World) -> Vec<(Code, Failure)> {
    let events = world.events().into_iter();
    let failure = |event| {
        let Event::EffectEnded { outcome: Outcome::Failed { failure, fault, .. }, .. } = event
        else {
            return None;
        };
        Some((fault.expect("every failure has its facts").code, failure))
    };
    events.filter_map(|it| failure(it.event)).collect()
}

fn iterations(world: &World) -> usize {
    world.events().iter().filter(|it| matches!(it.event, Event::IterationEnded { .. })).count()
}

/// An agent that ends with an error at once and has changed nothing costs no iteration;
/// it is begun again with a rest between, and the third time in a row a person is asked.
#[test]
fn an_agent_that_fails_at_once_costs_no_iteration() {
    let mut world = World::new();
    program(&mut world, "claude", "echo 'cannot reach the network' >&2; exit 1\n");
    world.start();
    world.submit(&plan("claude", &["a"]));
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Failed, Status::Complete]);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert_eq!(failures(&world), [(Code::AgentFailedEarly, Failure::Transient); 3]);
    assert_eq!((runs(&world), iterations(&world)), (3, 0));
    world.env.insert("COLUMNS".to_owned(), "200".to_owned());
    has(&world.taskd(&["show", "p1.a"]).ok(), &["cannot reach the network"]);
}

/// Proves A-4 P-11: a usage limit that names its end, as claude prints it, parks every loop of that agent
/// until then and costs no iteration; `why` says so.
#[test]
fn a_usage_window_of_an_agent_parks_all_its_loops() {
    let mut world = World::new();
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let window = include_str!("../../../taskd-tools/tests/streams/claude-2.1.197-window.jsonl");
    let window = window.replace("1795284000", &(now + 7_200).to_string());
    let said = world.aside("window.jsonl", &window);
    program(&mut world, "claude", &format!("cat {said}; exit 1\n"));
    program(&mut world, "codex", "echo b >b.txt\n");
    world.env.insert("TASKD_LIMITS__AGENTS".to_owned(), "1".to_owned());
    world.start();
    world.submit(&plan("claude", &["a", "b", "c"]));
    world.until_event("a refusal", |it| {
        matches!(&it.event, Event::EffectEnded { outcome: Outcome::Failed { .. }, .. })
    });
    // Another agent has nothing to do with it.
    world.submit(&plan("codex", &["x"]));
    world.until_status("p2.x", &[Status::Complete]);
    let told = failures(&world);
    assert!(told.len() <= 4, "{}", world.transcript());
    for (code, failure) in told {
        let Failure::NotBefore(ms) = failure else { panic!("{code:?} {failure:?}") };
        assert_eq!(code, Code::AgentLimit);
        assert!((7_000_000..=7_200_000).contains(&ms), "{ms}");
    }
    assert_eq!(world.row("p1.c").status, Status::Running);
    let why: Vec<String> =
        ["a", "b", "c"].map(|it| world.taskd(&["why", &format!("p1.{it}")]).ok()).into();
    assert!(why.iter().any(|it| it.contains("usage window of claude")), "{why:?}");
    assert_eq!(iterations(&world), 1, "only codex's\n{}", world.transcript());
}

/// An agent that is not logged in is a question to a person at once, in its own words.
#[test]
fn an_agent_that_is_not_logged_in_asks_a_person() {
    let mut world = World::new();
    let text = include_str!("../../../taskd-tools/tests/streams/claude-2.1.197-no-login.jsonl");
    let said = world.aside("said.jsonl", text);
    program(&mut world, "claude", &format!("cat {said}; exit 1\n"));
    world.start();
    world.submit(&plan("claude", &["a"]));
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Failed, Status::Complete]);
    assert_eq!(it.status, Status::Blocked);
    assert_eq!(failures(&world), [(Code::AgentNotAccepted, Failure::Auth)]);
    world.env.insert("COLUMNS".to_owned(), "200".to_owned());
    has(&world.taskd(&["show", "p1.a"]).ok(), &["Not logged in · Please run /login"]);
}

/// Proves P-14: an agent that has said its last word and goes on living is ended, and its work counts.
#[test]
fn an_agent_that_stays_after_its_last_word_is_ended() {
    let mut world = World::new();
    let text = include_str!("../../../taskd-tools/tests/streams/claude-2.1.197.jsonl");
    let said = world.aside("said.jsonl", text);
    let script = format!("echo b >b.txt; cat {said}; exec tail -f /dev/null\n");
    program(&mut world, "claude", &script);
    world.start();
    world.submit(&plan("claude", &["a"]));
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Failed, Status::Complete]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!((runs(&world), it.spent.micros), (1, 15_300));
}

const KEY: &str = "sentinel-key-5a1d";

/// Proves A-10: a person's own preset is used by client and daemon alike: its program, its variables, its key. A
/// project's preset of the same name takes its place and gets no key; one that asks for a key, or
/// has other mistakes, is refused with file, line and column.
#[test]
fn presets_are_files_and_a_project_gets_no_key() {
    let mut world = World::new();
    let own = "name = \"mine\"\nargv = [\"sh\", \"-c\", \"echo $MY_KEY $PLACE >b.txt\"]\n\
               prompt = \"stdin\"\nformat = \"text\"\n";
    own_preset(&world, "mine", &format!("{own}credential = \"MY_KEY\"\n[set]\nPLACE = \"here\"\n"));
    world.env.insert("MY_KEY".to_owned(), KEY.to_owned());
    world.start();
    let wrote = |world: &World, name: &str| {
        let it = world.until_status(name, &[Status::Complete, Status::Blocked, Status::Failed]);
        assert_eq!(it.status, Status::Complete, "{}", world.transcript());
        world.git(&["show", &format!("{}:b.txt", it.checkpoint.expect("its work"))])
    };
    world.submit(&plan("mine", &["a"]));
    assert_eq!(wrote(&world, "p1.a"), format!("{KEY} here"));
    // The repository brings one of the same name: it gets neither.
    world.write(".taskd/agents/mine.toml", own);
    world.submit(&plan("mine", &["b"]));
    assert_eq!(wrote(&world, "p2.b"), "");
    world.write(".taskd/agents/mine.toml", &format!("{own}credential = \"MY_KEY\"\n"));
    let file = world.aside("plan.md", &plan("mine", &["c"]));
    let said = world.taskd(&["plan", "submit", &file, "-d"]).fails(2);
    has(&said, &[".taskd/agents/mine.toml:5:14: a project's preset cannot have `credential`"]);
    let file = world.aside("plan.md", &plan("claud", &["c"]));
    let said = world.taskd(&["plan", "submit", &file, "-d"]).fails(2);
    has(&said, &["no agent and no program `claud`; did you mean `claude`?"]);
}

/// What is known of each agent, from programs that print what the real ones do: where it is, its
/// version and whether that was tested, its login, who pays, what is counted.
#[test]
fn agents_are_listed_as_they_are_here() {
    let mut world = World::new();
    let claude =
        "case \"$1\" in --version) echo '2.1.200 (Claude Code)';; auth) [ -e ~/in ];; esac\n";
    program(&mut world, "claude", claude);
    program(&mut world, "codex", "echo codex-cli 9.0.0; [ \"$1\" = --version ]\n");
    world.env.insert("OPENAI_API_KEY".to_owned(), KEY.to_owned());
    let json = |world: &World, name: &str| -> serde_json::Value {
        let told = world.taskd(&["agents", "ls", "--json"]).ok();
        assert!(!told.contains(KEY), "{told}");
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        let rows = told["agents"].as_array().expect("rows");
        rows.iter().find(|it| it["name"] == name).expect("listed").clone()
    };
    let it = json(&world, "claude");
    assert_eq!((&it["version"], &it["tested"]), (&"2.1.200".into(), &true.into()));
    assert_eq!((&it["logged_in"], &it["billed_to"]), (&false.into(), &"nobody".into()));
    assert_eq!((&it["prompt"], &it["resume"]), (&"stdin".into(), &true.into()));
    fs::write(world.dir.path().join("home/in"), "").expect("ours");
    let it = json(&world, "claude");
    assert_eq!((&it["logged_in"], &it["billed_to"]), (&true.into(), &"its own login".into()));
    assert_eq!(it["counted"], "time, tokens and money it reports");
    let it = json(&world, "codex");
    assert_eq!((&it["version"], &it["tested"]), (&"9.0.0".into(), &false.into()));
    assert_eq!(
        (&it["billed_to"], &it["credential"]["set"]),
        (&"OPENAI_API_KEY".into(), &true.into())
    );
    assert_eq!(json(&world, "opencode")["tested"], serde_json::Value::Null);
    // The doctor looks with the same eyes.
    world.start();
    let own = "name = \"wrong\"\nargv = []\nprompt = \"stdin\"\nformat = \"text\"\n";
    own_preset(&world, "wrong", own);
    let doctor = world.taskd(&["doctor"]);
    assert_eq!(doctor.code, 1);
    has(
        &doctor.out,
        &["bin/claude, billed to its own login", "bin/codex, billed to OPENAI_API_KEY"],
    );
    has(&doctor.out, &["not installed", "wrong.toml", "`argv` is empty"]);
    fs::remove_file(world.dir.path().join("home/.config/taskd/agents/wrong.toml")).expect("ours");
    let told = world.taskd(&["agents", "show", "codex"]).ok();
    has(&told, &["tested     0.169 to 0.169; this one is not", "billed to  OPENAI_API_KEY"]);
    has(&told, &["home       ~/.codex\n", "hosts      api.openai.com, chatgpt.com\n"]);
    has(&world.taskd(&["agents", "show", "codxe"]).fails(2), &["did you mean `codex`?"]);
    // A project's preset is shown, and nothing of it is run.
    let own = "name = \"own\"\nargv = [\"sh\", \"-c\", \"touch ~/ran\"]\nprompt = \"stdin\"\nformat = \"text\"\n";
    world.write(".taskd/agents/own.toml", own);
    world.write(".taskd/agents/bad.toml", &own.replace("format", "fromat"));
    let ran = world.taskd(&["agents", "ls"]);
    has(&ran.out, &["own", "claude"]);
    has(&ran.fails(2), &[".taskd/agents/bad.toml:4:1: "]);
    assert!(!world.dir.path().join("home/ran").exists());
}

/// Proves W-33: a program is run in a throw-away repository and told of in a table that can be pasted:
/// its end, its work, its numbers, going on, how soon it is gone, what it leaves.
#[test]
fn a_conformance_run_tells_good_from_bad() {
    let mut world = World::new();
    let text = include_str!("../../../taskd-tools/tests/streams/claude-2.1.197.jsonl");
    let said = world.aside("said.jsonl", text);
    let good = format!(
        "case \"$1\" in --version) echo 2.1.197; exit;; auth) exit 0;; esac\n\
         [ -e ~/.here ] || exit 1\ncat >/dev/null; echo b >b.txt; cat {said}\n"
    );
    program(&mut world, "claude", &good);
    world.aside("home/.here", "");
    let told = world.taskd(&["agents", "test", "claude"]).ok();
    has(
        &told,
        &[
            "claude 2.1.197\n\n| check | | seen |\n",
            "| works with stdin closed | yes | exit 0 after",
            "| does what it is asked | yes | b.txt is there |",
            "| reports usage | yes | 3000 tokens read, 100 written, and money |",
            "| resumes by session id | yes | exit 0",
            "| gone 2 s after a stop | yes |",
            "| says who pays | - | ANTHROPIC_API_KEY |",
            "| survives a flood | yes | exit 0",
            "| no orphans after a stop | yes |",
            "| no login: fails | yes | exit 1",
        ],
    );
    let told = world.taskd(&["agents", "test", "claude", "--json"]).ok();
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&told["agent"], &told["version"]), (&"claude".into(), &"2.1.197".into()));
    assert_eq!(told["checks"][1]["good"], true);
    assert!(!world.repo.join("b.txt").exists(), "nothing of it happens here");
    // One that does nothing, says nothing, leaves a helper and never minds who pays.
    let codex = "setsid tail -f /dev/null & head -c 2000000 /dev/zero; exit 0\n";
    program(&mut world, "codex", codex);
    let ran = world.taskd(&["agents", "test", "codex"]);
    has(
        &ran.out,
        &[
            "| does what it is asked | no | b.txt is not there |",
            "| reports usage | no | none |",
            "| resumes by session id | - | no session id |",
            "| leaves nothing running | no | 1 processes ended |",
            "| survives a flood | no | exit 0",
            "| no login: fails | no | exit 0",
        ],
    );
    assert_eq!(ran.code, 1);
    let gone =
        "name = \"gone\"\nargv = [\"no-such-program\"]\nprompt = \"stdin\"\nformat = \"text\"\n";
    own_preset(&world, "gone", gone);
    has(&world.taskd(&["agents", "test", "gone"]).fails(1), &["gone is not installed"]);
}

/// A key that was missing is handed over by the resume that goes on with the work.
#[test]
fn a_resume_hands_over_the_key_of_an_agent() {
    let mut world = World::new();
    let own = "name = \"mine\"\nargv = [\"sh\", \"-c\", \"[ -n \\\"$MY_KEY\\\" ] && echo b >b.txt\"]\n\
               prompt = \"stdin\"\nformat = \"text\"\ncredential = \"MY_KEY\"\n";
    own_preset(&world, "mine", own);
    world.start();
    world.submit(&plan("mine", &["a"]));
    world.until_status("p1.a", &[Status::Blocked, Status::Complete]);
    assert_eq!(failures(&world).len(), 3, "{}", world.transcript());
    world.env.insert("MY_KEY".to_owned(), KEY.to_owned());
    world.taskd(&["resume", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete]);
}
