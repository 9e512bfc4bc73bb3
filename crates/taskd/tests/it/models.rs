//! Models as their owner meets them: who can be called, what with, and calls that were recorded.

mod answers;
mod check;
mod params;
mod reset;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use taskd_model::{Event, Outcome, Record, Status};

use crate::support::{World, files_that_say};

/// Longest a test waits for a request.
const PATIENCE: Duration = Duration::from_secs(60);

const SECRET: &str = "sk-ant-very-secret";

/// A provider of the test's own: it answers every request but the first with `done`, and tells each
/// of them.
struct Provider {
    url: String,
    requests: mpsc::Receiver<String>,
}

impl Provider {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (tell, requests) = mpsc::sync_channel(100);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.expect("a connection"));
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap_or(0) == 0 {
                        break;
                    }
                }
                let length = head.lines().find_map(|it| {
                    let (name, value) = it.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.trim().parse().ok())?
                });
                let mut body = String::new();
                let mut whole = reader.by_ref().take(length.unwrap_or(0));
                whole.read_to_string(&mut body).expect("a body");
                let first = held.is_empty();
                if !first {
                    reader.get_mut().write_all(ANSWER.as_bytes()).expect("it reads");
                }
                // The first one is kept waiting; dropping it would be an answer.
                held.extend(first.then_some(reader));
                if tell.send(head + &body).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }

    /// The next request, head and body.
    #[track_caller]
    fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\
\"role\":\"assistant\",\"model\":\"claude-haiku-4-5-20251001\",\"content\":[],\"stop_reason\":null,\
\"usage\":{\"input_tokens\":1000,\"output_tokens\":1}}}\n\n\
event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
\"delta\":{\"type\":\"text_delta\",\"text\":\"done\"}}\n\n\
event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\
\"usage\":{\"output_tokens\":200}}\n\n\
event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn plan(model: &str, task: &str) -> String {
    format!(
        "---\nplan: Models\nmodel: {model}\ngate: sh test.sh\nland: never\n\
         limits: {{iterations: 1}}\n---\n\n## spec a: A\n\n{task}\n"
    )
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

/// Writes the person's `models.toml`.
fn own_models(world: &World, text: &str) {
    let dir = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join("models.toml"), text).expect("ours");
}

/// A model that cannot be called is refused before anything is stored, with what to do.
#[test]
fn a_model_that_cannot_be_called_is_refused() {
    let mut world = World::new();
    world.start();
    let file = world.aside("plan.md", &plan("anthropic/claude-haiku-4-5", "Do it."));
    for command in [&["plan", "check"][..], &["plan", "submit"]] {
        let said = world.taskd(&[command, &[&file, "-d"]].concat()).fails(2);
        has(&said, &["no credential for provider anthropic: ANTHROPIC_API_KEY is not set"]);
        has(&said, &["export ANTHROPIC_API_KEY=..."]);
    }
    let run = ["run", "x", "--gate", "sh test.sh", "-d", "--model"];
    let said = world.taskd(&[&run[..], &["acme/x"]].concat()).fails(2);
    has(&said, &["no provider for model \"acme/x\"", "anthropic/MODEL", "openai/MODEL"]);
    assert!(world.view().plans.is_empty());
    // A check hands the key over and keeps nothing: without it the next one is refused again.
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), SECRET.to_owned());
    world.taskd(&["plan", "check", &file]).ok();
    world.env.remove("ANTHROPIC_API_KEY");
    world.taskd(&["plan", "submit", &file, "-d"]).fails(2);
    assert!(world.view().plans.is_empty());
}

/// Proves MC-PROV-12: after a restart a loop waits for its credential, says which, and goes on when a shell that has it
/// resumes it. The credential is in no file.
#[test]
fn a_resume_hands_the_credential_over() {
    let mut world = World::new();
    let provider = Provider::new();
    own_models(
        &world,
        "[[models]]\nprovider = 'anthropic'\nname = 'claude-haiku-4-5'\nmax_output = 100\n\
         since = '2025-10-15'\ninput = '1'\noutput = '5'\n",
    );
    world.start();
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), SECRET.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url.clone());
    world.submit(&plan("anthropic/claude-haiku-4-5", "Do it."));
    has(
        &provider.request(),
        &["/v1/messages", SECRET, "\"model\":\"claude-haiku-4-5\",\"max_tokens\":100,"],
    );
    world.kill();

    let ours = ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"].map(|it| world.env.remove_entry(it));
    world.start();
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Failed]);
    let reason = it.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(it.status, Status::Blocked, "{reason}");
    has(&reason, &["provider anthropic", "`export ANTHROPIC_API_KEY=...`", "taskd resume"]);
    has(&world.taskd(&["models"]).ok(), &["ANTHROPIC_API_KEY not set"]);

    world.env.extend(ours.into_iter().flatten());
    world.taskd(&["resume", "p1.a"]).ok();
    has(&provider.request(), &["/v1/messages", SECRET]);
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    // 1000 tokens read and 200 written, at $1 and $5 a million.
    assert_eq!((it.spent.input, it.spent.output, it.spent.micros), (1_000, 200, 2_000));
    world.env.remove("ANTHROPIC_API_KEY");
    has(&world.taskd(&["models"]).ok(), &["ANTHROPIC_API_KEY held"]);
    world.stop();
    assert!(files_that_say(&world.state(), SECRET).is_empty());
}

/// `models` lists what there is, in a directory that is no repository too.
#[test]
fn models_are_listed() {
    let mut world = World::new();
    own_models(
        &world,
        "[providers.acme]\napi = 'openai-chat'\nurl = 'https://acme.example/v1'\n\
         [[models]]\nprovider = 'acme'\nname = 'big'\nsince = '2020-01-01'\n\
         input = '0.5'\noutput = '2'\n",
    );
    world.start();
    world.env.insert("OPENAI_API_KEY".to_owned(), SECRET.to_owned());
    let home = world.dir.path().join("home");
    let here = ["-C", home.to_str().expect("UTF-8"), "models"];
    let out = world.taskd(&here).ok();
    assert!(out.lines().all(|it| it.chars().count() <= 80), "{out}");
    let line = |begins: &str| {
        let words = out.lines().find(|it| it.starts_with(begins)).expect("a line");
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("acme "), "acme openai-chat none needed acme.example/v1");
    has(&line("anthropic "), &["anthropic-messages ANTHROPIC_API_KEY not set api.anthropic.com"]);
    has(&line("openai "), &["openai-responses OPENAI_API_KEY set"]);
    has(&line("local "), &["TASKD_LOCAL_KEY optional"]);
    assert_eq!(
        line("anthropic/claude-sonnet-4-5"),
        "anthropic/claude-sonnet-4-5 200k 64k $3 $15 $0.30 $3.75"
    );
    assert_eq!(line("acme/big"), "acme/big - - $0.50 $2 $0.50 $0.50");
    assert_eq!(line("CAPABILITY"), "CAPABILITY OPENAI-CHAT ANTHROPIC-MESSAGES OPENAI-RESPONSES");
    assert_eq!(line("thinking carried back"), "thinking carried back n/a yes yes");
    let json = world.taskd(&[&here[..], &["--json"]].concat()).ok();
    assert!(!json.contains(SECRET) && !out.contains(SECRET));
    let value: serde_json::Value = serde_json::from_str(&json).expect("an object");
    let find = |list: &str, name: &str| {
        let all = value[list].as_array().expect("a list").iter();
        all.clone().find(|it| it["name"] == name).expect("listed").clone()
    };
    assert_eq!(find("providers", "openai")["credential"]["set"], true);
    assert_eq!(find("providers", "acme")["credential"], serde_json::Value::Null);
    let price = &find("models", "acme/big")["price"];
    assert_eq!((&price["input_micros"], &price["since"]), (&500_000.into(), &"2020-01-01".into()));
    assert_eq!(find("interfaces", "openai-chat")["capabilities"]["tools"], true);
}

/// What is wrong with `models.toml` or with the cassette is told at the start, with the place.
#[test]
fn a_daemon_with_wrong_models_ends_with_78() {
    let mut world = World::new();
    own_models(&world, "[providers.acme]\napi = 'grpc'\nurl = 'https://acme.example'\n");
    let said = world.taskd(&["daemon", "run"]).fails(78);
    has(&said, &["models.toml:2:7: `grpc` is none of: anthropic-messages"]);
    own_models(&world, "");
    world.env.insert("TASKD_CASSETTE".to_owned(), "replay:/nonexistent/tapes".to_owned());
    let said = world.taskd(&["daemon", "run"]).fails(78);
    has(&said, &["TASKD_CASSETTE", "/nonexistent/tapes"]);
    assert!(!world.socket().exists());
}

/// What happened to a loop, by kind and with the kind of work, in order.
fn story(world: &World, name: &str) -> Vec<String> {
    let id = world.row(name).id;
    let told = |it: Record| {
        let what = if let Event::EffectStarted { work, .. } = &it.event {
            work.verb().to_owned()
        } else if let Event::StatusChanged { from, to, .. } = &it.event {
            format!("{from} -> {to}")
        } else {
            it.event.kind().to_owned()
        };
        (it.loop_id == Some(id)).then_some(what)
    };
    world.events().into_iter().filter_map(told).collect()
}

/// Proves AY-10.6: a plan that was recorded ends the same when it is replayed without its model; a task that is
/// another one is not answered, and the nearest recording is named.
#[test]
fn a_recorded_plan_is_replayed_without_its_model() {
    let shared = tempfile::tempdir().expect("a temp dir");
    let script = shared.path().join("m.yaml");
    let model = format!("scripted:{}", script.display());
    let turns = "[{fail: [{status: 503}], say: looking, tools: [{read: {path: a.txt}}]}, \
                 {tools: [{write: {path: b.txt, content: b}}, {finish: {summary: did it}}]}]";
    fs::write(&script, format!("loops: {{a: [{{turns: {turns}}}]}}\n")).expect("ours");
    let tapes = shared.path().join("tapes");
    let end = |mode: &str, task: &str| {
        let mut world = World::new();
        world.env.insert("TASKD_CASSETTE".to_owned(), format!("{mode}:{}", tapes.display()));
        world.start();
        world.submit(&plan(&model, task));
        let any = [Status::Complete, Status::Failed, Status::Blocked];
        let it = world.until_status("p1.a", &any);
        let made = it.checkpoint.map(|it| world.git(&["show", &format!("{it}:b.txt")]));
        (it, made, story(&world, "p1.a"), world)
    };
    let (live, made, told, _world) = end("record", "Write b.txt.");
    assert_eq!((live.status, made.as_deref()), (Status::Complete, Some("b")), "{:?}", live.reason);
    assert_eq!(fs::read_dir(&tapes).expect("made").count(), 3, "two turns, one sent twice");
    fs::remove_file(&script).expect("it was there");

    let (again, made, told_again, _world) = end("replay", "Write b.txt.");
    assert_eq!(
        (again.status, made.as_deref()),
        (Status::Complete, Some("b")),
        "{:?}",
        again.reason
    );
    assert_eq!(told_again, told);
    assert_eq!(again.spent, live.spent);

    let (other, _, _, _world) = end("replay", "Write c.txt.");
    let reason = other.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(other.status, Status::Blocked, "{reason}");
    has(&reason, &["no recording of p1.a, iteration 1, turn 1, send 1"]);
    has(&reason, &["the nearest is", "(p1.a, iteration 1, turn 1, send 1)"]);
    has(&reason, &["it differs at /messages/0/content/0/text from byte"]);
    assert!(!reason.contains("c.txt"), "no word of the task: {reason}");
}
