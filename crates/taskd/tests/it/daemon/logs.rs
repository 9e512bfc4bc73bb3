//! The log of a daemon in the background.

use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio};

use serde_json::{Value, json};
use taskd_model::{Event, Record, Status};

use crate::{
    cli::settings::own_file,
    provider::{Answer, Provider, Step},
    support::{World, files_that_say},
};

/// In the header of a request, and in the environment of nobody.
const KEY: &str = "sk-sentinel-0b71d2";

/// Proves N18: a log is added to by each daemon and moved aside when it has grown, by the daemon
/// alone; whoever follows it goes on with the new one. With everything logged no key is in it, nor
/// in the environment of a tool.
#[test]
fn a_log_is_kept_in_pieces_and_holds_no_key() {
    let provider = Provider::new(|seen| {
        let command = serde_json::json!({"command": "env >env.txt; echo b >b.txt"}).to_string();
        let step = match seen.body.contains("tool_result") {
            false => Step::Tool("run", command),
            true => Step::Text("Done.".to_owned()),
        };
        Answer::Stream(vec![step])
    });
    let mut world = World::new();
    world.env.insert("TASKD_LOG__LEVEL".to_owned(), "trace".to_owned());
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    let log = world.state().join("daemon.log");
    world.taskd(&["daemon", "start"]).ok();
    world.submit(
        "---\nplan: Log\nmodel: anthropic/claude-sonnet-4-5\ngate: sh test.sh\nland: never\n---\n\n\
         ## spec a: A\n\nWrite b.txt.\n",
    );
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let work = it.checkpoint.expect("its work");
    let env = world.git(&["show", &format!("{work}:env.txt")]);
    assert!(env.contains("TASKD_LOOP=") && !env.contains("ANTHROPIC"), "{env}");
    world.taskd(&["daemon", "stop"]).ok();
    let first = fs::read_to_string(&log).expect("the log");
    assert!(first.contains("TRACE") && first.contains("ready socket="), "everything is logged");
    assert_eq!(files_that_say(world.dir.path(), KEY), Vec::<PathBuf>::new());
    // It has grown while nobody ran.
    let old = "an old line of the log\n".repeat(500_000);
    fs::write(&log, format!("{first}{old}")).expect("ours");
    let mut command = world.command(&["daemon", "logs", "-n", "1", "--follow"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("taskd runs");
    let mut said = follower.stdout.take().expect("piped");
    let mut seen = vec![0; 23];
    said.read_exact(&mut seen).expect("its last line");
    world.taskd(&["daemon", "start"]).ok();
    let moved = fs::read_to_string(log.with_extension("log.1")).expect("it was moved aside");
    assert!(moved.starts_with(&first) && moved.ends_with(&old), "nothing of it was cut");
    let now = fs::read_to_string(&log).expect("a new one");
    assert!(now.contains("ready socket=") && !now.contains("an old line"));
    while !String::from_utf8_lossy(&seen).contains("ready socket=") {
        let mut more = [0; 4_096];
        let n = said.read(&mut more).expect("it goes on");
        assert_ne!(n, 0, "the follower ended");
        seen.extend(&more[..n]);
    }
    follower.kill().expect("ours");
    follower.wait().expect("gone");
    world.taskd(&["daemon", "stop"]).ok();
}

/// Each line as an object.
fn objects(text: &str) -> Vec<Value> {
    let object = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        let text = |name: &str| value[name].as_str().is_some_and(|it| !it.is_empty());
        let has_text = ["time", "level", "target"].iter().all(|it| text(it));
        assert!(has_text && value["message"].is_string(), "{line}");
        value
    };
    text.lines().map(object).collect()
}

/// Proves S-6.4.1: as JSON each line is an object with time, level, target and message; each event of
/// the log is in it with its number, and what belongs to a plan with the plan, its loop and its trace.
/// With everything logged and a model at work by a key, neither that key nor a word of the task, the
/// repository, the model or a tool is in it. People read the same file as text.
#[test]
fn a_log_of_objects_says_what_belongs_together_and_no_words() {
    let provider = Provider::new(|seen| {
        let step = match seen.body.contains("tool_result") {
            false => Step::Tool("run", json!({"command": "echo TOOL-WORDS >b.txt"}).to_string()),
            true => Step::Text("MODEL-WORDS".to_owned()),
        };
        Answer::Stream(vec![step])
    });
    let mut world = World::new();
    world.write("AGENTS.md", "REPOSITORY-WORDS\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "say how"]);
    for (name, value) in [
        ("TASKD_LOG__LEVEL", "trace"),
        ("TASKD_LOG__FORMAT", "json"),
        ("ANTHROPIC_API_KEY", KEY),
        ("ANTHROPIC_BASE_URL", &provider.url()),
    ] {
        world.env.insert(name.to_owned(), value.to_owned());
    }
    world.taskd(&["daemon", "start"]).ok();
    world.submit(
        "---\nplan: TITLE-WORDS\nmodel: anthropic/claude-sonnet-4-5\ngate: echo GATE-WORDS; sh test.sh\n\
         land: never\n---\n\n## spec a: SPEC-WORDS\n\nTASK-WORDS\n",
    );
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert!(provider.seen().iter().all(|it| it.body.contains("TASK-WORDS")), "it was told");
    let trace = world.view().plans.values().next().and_then(|it| it.trace).expect("one").name();
    let events = world.events();
    let shown = world.taskd(&["daemon", "logs", "-n", "100000"]).ok();
    world.taskd(&["daemon", "stop"]).ok();
    let log = fs::read_to_string(world.state().join("daemon.log")).expect("the log");
    let lines = objects(&log);
    assert!(lines.iter().any(|it| it["level"] == "trace"), "everything is logged");
    for event in events.iter().filter(|it| !matches!(it.event, Event::EffectObserved { .. })) {
        let is_it =
            |it: &&Value| it["target"] == "taskd_daemon::driver" && it["seq"] == event.seq.0;
        let line = lines.iter().find(is_it).unwrap_or_else(|| panic!("{event} is not in it"));
        if event.loop_id.is_some() {
            let belongs = (&line["plan"], &line["loop"], &line["trace"]);
            assert_eq!(belongs, (&"p1".into(), &"p1.a".into(), &trace.as_str().into()), "{line}");
        }
    }
    assert!(!log.contains(KEY) && !log.contains("-WORDS"));
    assert!(shown.contains(" INFO taskd_daemon::daemon: ready"), "text for people");
    let of_event = shown.lines().find(|it| it.contains("loop=p1.a")).expect("with its fields");
    assert!(of_event.contains(&format!("trace={trace}")), "{of_event}");
    let as_it_is = world.taskd(&["daemon", "logs", "-n", "100000", "--json"]).ok();
    assert!(as_it_is == log && lines.iter().any(|it| it["message"] == "stopped"));
}

/// Proves S-6.4.1: each part of the program has a level of its own, which counts from a reload on; what
/// is no level is refused wherever it is said.
#[test]
fn levels_of_targets_count_from_a_reload_on() {
    let world = World::new();
    let configure = |level: &str| {
        let file = own_file(&world);
        fs::create_dir_all(file.parent().expect("a folder")).expect("ours");
        fs::write(&file, format!("[log]\nlevel = \"{level}\"\n")).expect("ours");
    };
    configure("error");
    world.taskd(&["daemon", "start"]).ok();
    let log = || fs::read_to_string(world.state().join("daemon.log")).expect("the log");
    let plan = |name: &str| {
        let agent = world.aside("agent.sh", "echo b >b.txt\n");
        world.submit(&format!(
            "---\nplan: {name}\nagent: sh {agent}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
        ))
    };
    plan("Quiet");
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(log(), "");
    configure("error,taskd_daemon::driver=info");
    world.taskd(&["config", "reload"]).ok();
    plan("Told");
    world.until_status("p2.a", &[Status::Complete]);
    world.taskd(&["daemon", "stop"]).ok();
    let log = log();
    assert!(log.contains("loop=p2.a") && !log.contains("loop=p1.a"), "{log}");
    assert!(log.lines().all(|it| it.contains(" INFO taskd_daemon::driver: ")), "{log}");
    configure("error,taskd_daemon=loud");
    let said = world.taskd(&["config", "check"]).fails(78);
    assert!(said.contains("also of targets, as \"warn,taskd_git=debug\""), "{said}");
    world.taskd(&["daemon", "run", "--log-level", "loud"]).fails(2);
}

/// The files of a log, the oldest first: name, mode, text.
fn pieces(world: &World) -> Vec<(String, u32, String)> {
    let mut found: Vec<_> = fs::read_dir(world.state())
        .expect("there")
        .map(|it| it.expect("readable").path())
        .filter(|it| it.to_string_lossy().contains("/daemon.log"))
        .collect();
    let number = |it: &PathBuf| it.extension().and_then(|it| it.to_str()?.parse::<u32>().ok());
    found.sort_by_key(|it| std::cmp::Reverse(number(it).unwrap_or(0)));
    let piece = |it: &PathBuf| {
        let mode = fs::metadata(it).expect("there").permissions().mode() & 0o777;
        (it.display().to_string(), mode, fs::read_to_string(it).expect("text"))
    };
    found.iter().map(piece).collect()
}

/// Proves S-3.1.4: while eight loops work and everything is logged, a log whose files hold 100 KB is
/// moved aside again and again: every event is in it once and in order, no file is longer than its bound and a line, and all of them
/// are for their owner alone. A later life that keeps two of them keeps two.
#[test]
fn a_log_that_is_moved_aside_under_load_loses_no_line() {
    let mut world = World::new();
    world.env.insert("TASKD_LOG__SIZE".to_owned(), "0.1MB".to_owned());
    world.env.insert("TASKD_LOG__KEEP".to_owned(), "1000".to_owned());
    world.env.insert("TASKD_LOG__LEVEL".to_owned(), "trace".to_owned());
    let agent = world.aside("agent.sh", "echo b >b.txt\n");
    let plan = |name: &str| {
        let specs: String = (0..8).map(|n| format!("## spec s{n}: S\n\n")).collect();
        format!("---\nplan: {name}\nagent: sh {agent}\ngate: sh test.sh\nland: never\n---\n{specs}")
    };
    world.taskd(&["daemon", "start"]).ok();
    world.submit(&plan("First"));
    world.until("all of them", |view| {
        view.loops.values().filter(|it| it.status == Status::Complete).count() == 8
    });
    let events = world.events();
    world.taskd(&["daemon", "stop"]).ok();
    let found = pieces(&world);
    assert!(3 < found.len(), "it was moved aside: {} files", found.len());
    let whole: String = found.iter().map(|it| it.2.as_str()).collect();
    let longest = whole.lines().map(str::len).max().unwrap_or(0);
    for (name, mode, text) in &found {
        assert!(text.len() <= (1 << 20) / 10 + longest + 1, "{name} has {} bytes", text.len());
        assert_eq!(*mode, 0o600, "{name}");
    }
    let seq = |line: &str| {
        let (_, rest) = line.split_once(" taskd_daemon::driver: ")?.1.split_once(" seq=")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    let told: Vec<u64> = whole.lines().filter_map(seq).collect();
    let happened = |it: &&Record| !matches!(it.event, Event::EffectObserved { .. });
    let happened: Vec<u64> = events.iter().filter(happened).map(|it| it.seq.0).collect();
    assert_eq!(told[..happened.len()], happened);

    world.env.insert("TASKD_LOG__KEEP".to_owned(), "2".to_owned());
    world.taskd(&["daemon", "start", "--resume"]).ok();
    world.submit(&plan("Second"));
    world.until("all of them", |view| {
        view.loops.values().filter(|it| it.status == Status::Complete).count() == 16
    });
    world.taskd(&["daemon", "stop"]).ok();
    let kept = pieces(&world);
    let names: Vec<&String> = kept.iter().map(|it| &it.0).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let newest = kept.last().expect("three").2.lines().count();
    let last = world.taskd(&["daemon", "logs", "-n", &(newest + 5).to_string()]).ok();
    assert_eq!(last.lines().count(), newest + 5, "some are of the file before");
}
