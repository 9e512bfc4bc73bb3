//! Failures as people and programs meet them: codes, facts and causes in the log, over the API and
//! on the terminal, and what must never be in them.

use std::fs;

use serde_json::{Value, json};
use taskd_model::{BodyKind, Code, Event, Fault, LoopView, Outcome, Record, Status};

use crate::{
    provider::{Answer, Provider, Step, header},
    support::{Ran, World},
};

const SONNET: &str = "anthropic/claude-sonnet-4-5";

/// In the task.
const IN_PROMPT: &str = "sentinel-prompt-1f0c";
/// In the arguments of tools.
const IN_ARGS: &str = "sentinel-args-77ab";
/// In what a provider says about an error.
const IN_BODY: &str = "sentinel-body-9e31";
/// In the header of requests.
const KEY: &str = "sentinel-key-40d2";

fn one_loop(provider: &Provider) -> World {
    let mut world = World::new();
    world.start();
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    world.submit(&format!(
        "---\nplan: Online\nmodel: {SONNET}\ngate: sh test.sh\nland: never\n---\n\n\
         ## spec a: A\n\nWrite b.txt. {IN_PROMPT}\n"
    ));
    world
}

fn over(world: &World) -> LoopView {
    world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked])
}

/// Failed effects, as they are in the log.
fn failures(world: &World) -> Vec<(Record, Fault)> {
    let events = world.events().into_iter();
    events.filter_map(|it| failure(&it).map(|fault| (it, fault))).collect()
}

/// The facts of a failed effect.
fn failure(record: &Record) -> Option<Fault> {
    let Event::EffectEnded { outcome: Outcome::Failed { fault, .. }, .. } = &record.event else {
        return None;
    };
    Some(Fault::clone(fault.as_ref().expect("every failure has its facts")))
}

fn json_of(ran: Ran) -> Value {
    serde_json::from_str(&ran.ok()).expect("JSON")
}

/// An answer of a provider that names a type and says something.
fn answer(status: u16, kind: &str) -> Answer {
    let body = json!({"type": "error", "error": {"type": kind, "message": IN_BODY}});
    Answer::Plain(status, header("content-type", "application/json"), body.to_string())
}

/// Proves AY-2.7: a failed call says in fields which provider, model, status, type and body it was,
/// which try, and how long it took; the event names loop and effect. `show` and `why` say the same.
#[test]
fn a_failed_call_leaves_its_facts() {
    let provider = Provider::new(|seen| match seen.n {
        0 => answer(529, "overloaded_error"),
        1 => Answer::Plain(429, header("retry-after", "0"), String::new()),
        _ => answer(401, "authentication_error"),
    });
    let world = one_loop(&provider);
    assert_eq!(over(&world).status, Status::Blocked, "{}", world.transcript());
    let found = failures(&world);
    let facts = |code, status, attempt, kind: Option<&str>, body| Fault {
        provider: Some("anthropic".to_owned()),
        model: Some("claude-sonnet-4-5".to_owned()),
        status: Some(status),
        kind: kind.map(str::to_owned),
        body: Some(body),
        attempt,
        ..Fault::new(code)
    };
    let told: Vec<_> = found.iter().map(|(_, it)| Fault { elapsed_ms: 0, ..it.clone() }).collect();
    assert_eq!(
        told,
        [
            facts(Code::Overloaded, 529, 1, Some("overloaded_error"), BodyKind::Json),
            facts(Code::RateLimited, 429, 2, None, BodyKind::Empty),
            facts(Code::AuthFailed, 401, 3, Some("authentication_error"), BodyKind::Json),
        ]
    );
    for (record, fault) in &found {
        assert!(record.loop_id.is_some() && fault.elapsed_ms < 60_000, "{record:?}");
        let Event::EffectEnded { effect, .. } = &record.event else { unreachable!("filtered") };
        assert!(world.events().iter().any(|it| it.seq == effect.0), "{effect} was started");
    }
    let shown = json_of(world.taskd(&["show", "p1.a", "--json"]));
    let fault = &shown["loops"][0]["trouble"]["fault"];
    assert_eq!(
        (&fault["code"], &fault["status"], &fault["attempt"], &fault["type"]),
        (&"auth_failed".into(), &401.into(), &3.into(), &"authentication_error".into())
    );
    assert_eq!(json_of(world.taskd(&["why", "p1.a", "--json"]))["chain"][0]["fault"], *fault);
    for verb in ["show", "why"] {
        let told = world.taskd(&[verb, "p1.a"]).ok();
        let words = ["auth_failed: provider anthropic", "status 401", "taskd help auth_failed"];
        for it in words {
            assert!(told.contains(it), "{it}: {told}");
        }
    }
    assert_eq!(word_of_help(&world), "auth_failed");
}

/// The first word of what `taskd help` says about a code.
fn word_of_help(world: &World) -> String {
    let told = world.taskd(&["help", "auth_failed"]).ok();
    assert!(told.contains("The provider does not accept the key."), "{told}");
    assert!(world.taskd(&["help", "errors"]).ok().contains("\nauth_failed "));
    told.lines().next().unwrap_or_default().to_owned()
}

/// Proves AY-2.2: an error with two beneath it is kept whole: by the log for a failed step, by the
/// API for a refused request; the terminal shows every level on a line of its own.
#[test]
fn causes_are_kept_to_the_last() {
    let mut world = World::new();
    world.start();
    let script =
        world.aside("m.yaml", "loops: {a: [{turns: [{tools: [{read: {path: a.txt}}]}]}]}\n");
    // Long enough to be a file of its own in the store.
    let context = "context ".repeat(8_000);
    world.submit(&format!(
        "---\nplan: Causes\nmodel: scripted:{script}\ngate: sh test.sh\nland: never\n---\n\n\
         {context}\n\n## spec a: A\n\nWrite b.txt.\n"
    ));
    assert_eq!(over(&world).status, Status::Blocked, "{}", world.transcript());
    // The next life has to read it again.
    world.stop();
    fs::remove_file(&script).expect("it was there");
    world.start();
    world.taskd(&["resume", "p1.a"]).ok();
    let unread = |it: &Fault| it.code == Code::ScriptUnreadable;
    world.until_event("that it cannot be read", |it| failure(it).as_ref().is_some_and(unread));
    let it = over(&world);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    let found = failures(&world);
    let (_, fault) = found.last().expect("it failed");
    let gone = "No such file or directory (os error 2)".to_owned();
    let beneath = [format!("cannot read the script {script}"), gone];
    assert_eq!((fault.code, &fault.causes[..]), (Code::ScriptUnreadable, &beneath[..]));
    let shown = world.taskd(&["show", "p1.a"]).ok();
    assert!(shown.contains("trouble: the scripted model cannot be used"), "{shown}");
    for cause in &beneath {
        assert!(shown.contains(&format!("because: {}", &cause[..30])), "{cause}: {shown}");
    }

    // The same of a request: the document of the plan is no file any more.
    let doc = world.view().plans.values().next().expect("a plan").doc.to_string();
    world.stop();
    let blob = world.state().join("blobs").join(&doc[..2]).join(&doc[2..]);
    fs::remove_file(&blob).expect("it is a file");
    fs::create_dir(&blob).expect("ours");
    world.start();
    let lines = |said: &str| said.lines().map(str::to_owned).collect::<Vec<_>>();
    let said = lines(&world.taskd(&["show", "p1"]).fails(1));
    assert_eq!(said[0], "error: the plan's document cannot be read");
    let reading = format!("  because: reading a blob: {} failed", blob.display());
    assert!(said[1].starts_with(&reading), "{said:?}");
    assert_eq!(said[2], "  because: Is a directory (os error 21)");
    let said = world.taskd(&["show", "p1", "--json"]).fails(1);
    let error: Value = serde_json::from_str(&said).expect("JSON");
    let causes = error["error"]["causes"].as_array().map(Vec::len);
    assert_eq!((&error["error"]["code"], causes), (&"file_failed".into(), Some(2)));
}

/// Proves AY-2.6: what a task says, what tools are asked with and what a provider says about an
/// error are in no event, in no line of the daemon's log, and in no error of the API; what names
/// the failure is bounded.
#[test]
fn errors_hold_no_secret_and_no_end() {
    let long = "x".repeat(10_000);
    let kind = long.clone();
    let provider = Provider::new(move |seen| match seen.n {
        0 => Answer::Stream(vec![
            Step::Tool("write", format!("{{\"path\": \"c.txt\", \"content\": \"{IN_ARGS}")),
            Step::Tool("read", json!({"path": format!("../{IN_ARGS}/{long}")}).to_string()),
            Step::Tool("run", json!({"command": format!("exit 3 # {IN_ARGS}")}).to_string()),
            Step::Tool("teleport", json!({"to": IN_ARGS}).to_string()),
        ]),
        1 => answer(529, IN_BODY.split('-').next().unwrap_or_default()),
        2 => answer(500, &kind),
        _ => answer(400, &format!("{IN_BODY} is prose")),
    });
    let world = one_loop(&provider);
    assert_eq!(over(&world).status, Status::Blocked, "{}", world.transcript());
    let events = world.events();
    let codes: Vec<_> = events
        .iter()
        .filter_map(|it| {
            let Event::EffectEnded { outcome: Outcome::ToolDone { code, .. }, .. } = &it.event
            else {
                return None;
            };
            *code
        })
        .collect();
    for code in [Code::BadArguments, Code::PathRefused, Code::CommandFailed, Code::UnknownTool] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
    let found = failures(&world);
    let told: Vec<_> = found.iter().map(|(_, it)| it.code).collect();
    assert_eq!(told, [Code::Overloaded, Code::ServerError, Code::InvalidRequest]);
    // A type is kept as far as it is one: bounded, and nothing with a space in it.
    assert_eq!(found[1].1.kind.as_ref().map(String::len), Some(64));
    assert_eq!(found[2].1.kind, None);
    let log = fs::read_to_string(world.dir.path().join("daemon.log")).expect("it is written");
    let mut places: Vec<(String, String)> = vec![
        ("the log of the daemon".to_owned(), log + &world.said),
        ("what is in trouble".to_owned(), format!("{:?}", world.row("p1.a").trouble)),
    ];
    for record in &events {
        let text = record.encode();
        let limit = if failure(record).is_some() { 2_048 } else { 4_096 };
        assert!(text.len() <= limit, "{} bytes: {text}", text.len());
        places.push((format!("event {}", record.seq), text));
    }
    for args in [
        &["why", "p1.a"][..],
        &["why", "p1.a", "--json"],
        &["resume", "p1.nothing", "--json"],
        &["land", "p1.a", "--json"],
        &["reject", "p1.a", "-m", "no", "--json"],
    ] {
        let ran = world.taskd(args);
        places.push((args.join(" "), ran.out + &ran.err));
    }
    for (place, text) in places {
        for secret in [IN_PROMPT, IN_ARGS, IN_BODY, KEY] {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
}

/// Proves AY-2.1, MC-CLI-6: of each code `taskd help` says what the documentation says: what happened, what
/// taskd does, what you do, kind, status and exit code.
#[test]
fn help_and_documentation_say_the_same_of_each_code() {
    let page = include_str!("../../../../docs/errors.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|it| it.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|it| it.split(" | ").collect())
        .collect();
    assert!(rows.len() >= 40, "{}", rows.len());
    let world = World::new();
    let listed = world.taskd(&["help", "errors"]).ok();
    let listed: Vec<&str> = listed.lines().skip(2).filter_map(|it| it.split(' ').next()).collect();
    let words: Vec<&str> = rows.iter().map(|it| it[0].trim_end_matches('`')).collect();
    assert_eq!(listed, words);
    for (word, row) in words.iter().zip(&rows) {
        let [_, what, taskd, you, kind, status, exit] = row[..] else { panic!("{row:?}") };
        let told = world.taskd(&["help", word]).ok();
        let expected = format!(
            "{word}\n\n{what}.\n\ntaskd  {taskd}\nyou    {you}\n\n\
             kind {kind}, gRPC status {status}, exit code {exit}\n"
        );
        match *word {
            // It is a command, too.
            "config" => assert!(told.ends_with(&format!("As an error: {expected}")), "{told}"),
            _ => assert_eq!(told, expected),
        }
    }
}
