//! Traces, as a collector receives them: a small one in this process, and one that never answers.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use taskd_model::{Event, Status};

use super::PATIENCE;
use crate::{
    landing::{agent, plan, until_landed},
    provider::{Answer, Provider, Step},
    support::World,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const KEY: &str = "sk-sentinel-77c1";
const WORDS: &str = "Words of a person, 5fd2.";

/// What was received.
#[derive(Default)]
struct Heard {
    bodies: Mutex<Vec<Vec<u8>>>,
    more: Condvar,
}

/// A collector that takes everything.
struct Collector {
    url: String,
    heard: Arc<Heard>,
}

impl Collector {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let heard = Arc::new(Heard::default());
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || while take(&socket, &shared).is_some() {});
            }
        });
        Self { url, heard }
    }

    /// All spans until now.
    fn spans(&self) -> Vec<Span> {
        let bodies = self.heard.bodies.lock().expect("whole").clone();
        bodies.iter().flat_map(|it| spans_of(it)).collect()
    }

    /// Waits until a span has come.
    #[track_caller]
    fn until(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Vec<Span> {
        let bodies = self.heard.bodies.lock().expect("whole");
        let missing = |bodies: &mut Vec<Vec<u8>>| {
            !bodies.iter().flat_map(|it| spans_of(it)).any(|it| wanted(&it))
        };
        let waited = self.heard.more.wait_timeout_while(bodies, PATIENCE, missing).expect("whole");
        assert!(!waited.1.timed_out(), "no span came: {what}");
        drop(waited);
        self.spans()
    }
}

/// One request of a connection.
fn take(socket: &TcpStream, heard: &Heard) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).ok().filter(|n| 0 < *n)? > 2 {
        let lower = line.to_lowercase();
        if let Some(n) = lower.strip_prefix("content-length:") {
            length = n.trim().parse().expect("a number");
        }
        assert!(!lower.starts_with("post ") || lower.starts_with("post /v1/traces "), "{line}");
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    heard.bodies.lock().expect("whole").push(body);
    heard.more.notify_all();
    let mut socket = socket;
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn spans_of(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let resources = request.resource_spans.into_iter();
    resources.flat_map(|it| it.scope_spans).flat_map(|it| it.spans).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// The attributes of a span as text.
fn attributes(it: &Span) -> BTreeMap<&str, String> {
    let pair = |it: &'_ KeyValue| {
        let value = it.value.as_ref()?.value.as_ref()?;
        if let Value::IntValue(n) = value {
            return Some(n.to_string());
        }
        let Value::StringValue(text) = value else { panic!("{value:?}") };
        Some(text.clone())
    };
    it.attributes.iter().filter_map(|it| Some((it.key.as_str(), pair(it)?))).collect()
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<&str> = spans.iter().map(|it| it.name.as_str()).collect();
    spans.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no {name} in {names:?}"))
}

/// Asserts that every span is of the one trace, and below another one or below who ran the command.
#[track_caller]
fn assert_hang_together(spans: &[Span]) {
    let ids: Vec<&[u8]> = spans.iter().map(|it| it.span_id.as_slice()).collect();
    for it in spans {
        assert_eq!(hex(&it.trace_id), TRACE, "{}", it.name);
        let parent = it.parent_span_id.as_slice();
        let outside = it.name == "plan" && hex(parent) == PARENT;
        assert!(outside || ids.contains(&parent), "{} hangs in the air", it.name);
        assert!(it.start_time_unix_nano <= it.end_time_unix_nano, "{}", it.name);
    }
}

/// Proves MC-OBS-1, MC-OBS-2: one trace goes from who runs the command over the plan, its loop, iteration and
/// turn to the call of the provider, which is told the same; it is in the log's first event of the
/// plan, and `taskd logs --trace` finds that by it. The conventions for models are kept, and what
/// people wrote, the key and paths are in no span.
#[test]
fn one_trace_from_the_command_to_the_provider() {
    let collector = Collector::new();
    let provider = Provider::new(|seen| {
        let args = serde_json::json!({"path": "b.txt", "content": WORDS}).to_string();
        let step = match seen.body.contains("tool_result") {
            false => Step::Tool("write", args),
            true => Step::Text("Done.".to_owned()),
        };
        Answer::Stream(vec![step])
    });
    let mut world = World::new();
    let set = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("TRACEPARENT", &format!("00-{TRACE}-{PARENT}-01")),
        ("ANTHROPIC_API_KEY", KEY),
        ("ANTHROPIC_BASE_URL", &provider.url()),
    ];
    world.env.extend(set.map(|(key, value)| (key.to_owned(), value.to_owned())));
    world.start();
    world.submit(&format!(
        "---\nplan: {WORDS}\nmodel: anthropic/claude-sonnet-4-5\ngate: sh test.sh\nland: on-gate\n\
         ---\n\n## spec a: A\n\n{WORDS}\n"
    ));
    until_landed(&world, "p1.a");
    let spans = collector.until("the plan", |it| it.name == "plan");

    assert_hang_together(&spans);
    let chat = named(&spans, "chat claude-sonnet-4-5");
    let above = |it: &Span| spans.iter().find(|other| other.span_id == it.parent_span_id).cloned();
    let line: Vec<String> =
        std::iter::successors(Some(chat.clone()), above).map(|it| it.name).collect();
    let whole = ["chat claude-sonnet-4-5", "turn 1", "iteration 1", "invoke_agent ralph", "plan"];
    assert_eq!(line, whole);
    assert_eq!(chat.kind(), SpanKind::Client);
    let said = attributes(chat);
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "claude-sonnet-4-5"),
        ("gen_ai.conversation.id", "p1.a"),
    ] {
        assert_eq!(said.get(key).map(String::as_str), Some(value), "{said:?}");
    }
    assert!(said["gen_ai.usage.output_tokens"].parse::<u64>().expect("a number") > 0);
    let tool = attributes(named(&spans, "execute_tool write"));
    assert_eq!(tool["gen_ai.tool.name"], "write");
    for it in ["submit", "compose", "gate", "build candidate", "publish"] {
        named(&spans, it);
    }

    // The provider was told, and so were the log and who submitted.
    let told = provider.seen()[0].header("traceparent").map(str::to_owned);
    assert_eq!(told, Some(format!("00-{TRACE}-{}-01", hex(&chat.span_id))));
    let first = world.events().into_iter().find_map(|it| {
        let Event::PlanSubmitted { head, .. } = it.event else { return None };
        head.trace
    });
    assert_eq!(first.map(|it| it.to_string()), Some(format!("{TRACE}-{PARENT}")));
    let found = world.taskd(&["logs", "--trace", TRACE, "--json"]).ok();
    assert!(found.lines().any(|it| it.contains(TRACE)), "{found}");
    assert!(found.contains("\"plan_ended\""), "{found}");
    let missing = world.taskd(&["logs", "--trace", &TRACE.replace('4', "5")]).fails(5);
    assert!(missing.contains("taskd show"), "{missing}");

    let bodies = collector.heard.bodies.lock().expect("whole").concat();
    for secret in [KEY, WORDS, world.dir.path().to_str().expect("UTF-8")] {
        let there = bodies.windows(secret.len()).any(|it| it == secret.as_bytes());
        assert!(!there, "{secret} is in a span");
    }
    world.stop();
}

/// What fails is an error in its span, with its code; a loop that went on after a `kill -9` is in the
/// same trace, below the same spans.
#[test]
fn a_trace_goes_on_after_a_kill() {
    let collector = Collector::new();
    let mut world = World::new();
    world.env.insert("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.url.clone());
    let door = crate::support::Door::new(&world, "a");
    let body = format!("if [ ! -e again ]; then touch again; {}; fi; echo x > a.txt", door.sh());
    let run = agent(&world, "a.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: never"), &[("a", "")]));
    door.reached();
    collector.until("what made the worktree", |it| it.name == "prepare worktree");
    world.kill();
    world.start();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let spans = collector.until("the plan", |it| it.name == "plan");
    let root = named(&spans, "plan");
    assert_eq!(root.parent_span_id, Vec::<u8>::new(), "nobody named a parent");
    assert!(spans.iter().all(|it| it.trace_id == root.trace_id));
    let of_loop = named(&spans, "invoke_agent ralph");
    assert_eq!(of_loop.parent_span_id, root.span_id);
    // Of the first life, and of the second.
    assert_eq!(named(&spans, "prepare worktree").parent_span_id, of_loop.span_id);
    assert_eq!(named(&spans, "iteration 1").parent_span_id, of_loop.span_id);
    let errors = spans.iter().filter_map(|it| it.status.as_ref());
    assert_eq!(errors.filter(|it| it.code() == StatusCode::Error).count(), 0);
    let metrics = world.taskd(&["metrics", "--openmetrics"]).ok();
    assert!(metrics.contains("taskd_spans_dropped_total 0\n"), "{metrics}");
    world.stop();
}

/// A collector that takes connections and never answers, although it may for ten minutes, costs the
/// daemon nothing: work goes on, and the end waits for it a quarter of a second at most.
#[test]
fn a_dead_collector_holds_up_nothing() {
    let dead = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut world = World::new();
    let url = format!("http://{}", dead.local_addr().expect("bound"));
    world.env.insert("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), url);
    world.env.insert("OTEL_EXPORTER_OTLP_TIMEOUT".to_owned(), "600000".to_owned());
    let run = agent(&world, "a.sh", "echo x > a.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("a", "")]));
    until_landed(&world, "p1.a");
    // A batch is under way to somebody who never answers.
    let socket = dead.accept().expect("it connects").0;
    let began = Instant::now();
    world.stop();
    let took = began.elapsed();
    println!("stopped in {took:?}");
    // As long as a busy machine may take, and no more than a part of what the collector may.
    assert!(took < Duration::from_secs(60), "{took:?}");
    drop(socket);
}
