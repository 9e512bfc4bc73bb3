//! Recordings: made, played, and missed. The clock is the test's own.

use taskd_model::{
    Digest, Failure, Level, Message, Params, Part, RateLevels, Reply, Role, StopReason, Usage,
};

use super::*;
use crate::{CallLimits, Capabilities, collect};

/// A model that says these things, each a second after the one before.
#[derive(Debug)]
struct Says(fn() -> Vec<Result<StreamEvent, LlmError>>);

impl Llm for Says {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn stream(&self, _: Call) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
        let items = stream::iter((self.0)());
        items
            .then(|it| async {
                tokio::time::advance(Duration::from_secs(1)).await;
                it
            })
            .boxed()
    }
}

fn everything() -> Vec<Result<StreamEvent, LlmError>> {
    let level = Level { limit: 50, remaining: 49, reset_ms: 1_200 };
    let levels = RateLevels { requests: Some(level), ..RateLevels::default() };
    let (id, name, args) = ("t1".to_owned(), "read".to_owned(), "{not json".to_owned());
    let reply = Reply {
        parts: vec![Part::Text { text: "ä".to_owned() }],
        stop: StopReason::Other("pause".to_owned()),
        model: Some("x-1".to_owned()),
    };
    vec![
        Ok(StreamEvent::Accepted),
        Ok(StreamEvent::Levels(levels)),
        Ok(StreamEvent::Thinking("hm".to_owned())),
        Ok(StreamEvent::Text("ä".to_owned())),
        Ok(StreamEvent::ToolCall { index: 0, id, name, args }),
        Ok(StreamEvent::Usage(Usage { input: 7, micros: 3, ..Usage::default() })),
        Ok(StreamEvent::Done(reply)),
    ]
}

fn refused() -> Vec<Result<StreamEvent, LlmError>> {
    let failure = Failure::NotBefore(1_500);
    let message = "too much was asked for".to_owned();
    vec![Ok(StreamEvent::Accepted), Err(LlmError::Replayed { failure, message, fault: None })]
}

fn call(loop_name: &str, iteration: u32, turn: u32, attempt: u32, text: &str) -> Call {
    let content = vec![Part::Text { text: text.to_owned() }];
    let request = Request {
        model: "anthropic/x".to_owned(),
        system: "S".to_owned(),
        messages: vec![Message { role: Role::User, content }],
        tools: Vec::new(),
        max_tokens: 100,
        params: Params::default(),
        loop_name: loop_name.to_owned(),
        iteration,
        turn,
    };
    Call {
        request: Arc::new(request),
        attempt,
        limits: CallLimits::with_cap_micros(1_000),
        trace: None,
    }
}

/// What a stream gives, each with the seconds since the call.
async fn told(llm: &dyn Llm, call: Call) -> Vec<(u64, String)> {
    let start = Instant::now();
    let items = llm.stream(call).map(|it| {
        let said = match it {
            Ok(event) => format!("{event:?}"),
            Err(error) => format!("{:?} {error}", error.class()),
        };
        (start.elapsed().as_secs(), said)
    });
    items.collect().await
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

async fn record(dir: &Path, says: fn() -> Vec<Result<StreamEvent, LlmError>>, call: Call) {
    let recorder = Recorder::new(Arc::new(Says(says)), dir.to_owned());
    recorder.stream(call).collect::<Vec<_>>().await;
}

async fn missed(dir: &Path, call: Call) -> String {
    let missed =
        collect(Player::new(dir.to_owned(), Capabilities::default()).stream(call)).await.result;
    let error = missed.expect_err("not recorded");
    assert_eq!(error.class(), Failure::Permanent);
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn what_was_recorded_is_played_with_its_delays() {
    for says in [everything, refused] {
        let dir = dir();
        let recorder = Recorder::new(Arc::new(Says(says)), dir.path().to_owned());
        let live = told(&recorder, call("p1.a", 1, 1, 0, "x")).await;
        let played = told(
            &Player::new(dir.path().to_owned(), Capabilities::default()),
            call("p1.a", 1, 1, 0, "x"),
        )
        .await;
        assert_eq!(live, played);
        assert_eq!(live.len(), says().len());
        assert_eq!(live.last().map(|it| it.0), Some(says().len() as u64), "{live:?}");
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(names.len(), 1, "no file is left aside: {names:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_told_apart() {
    let dir = dir();
    record(dir.path(), refused, call("p1.a", 1, 1, 0, "x")).await;
    record(dir.path(), everything, call("p1.a", 1, 1, 1, "x")).await;
    let player = Player::new(dir.path().to_owned(), Capabilities::default());
    let first = collect(player.stream(call("p1.a", 1, 1, 0, "x"))).await.result;
    assert_eq!(first.expect_err("recorded so").class(), Failure::NotBefore(1_500));
    collect(player.stream(call("p1.a", 1, 1, 1, "x"))).await.result.expect("a reply");
    // A refusal answers its own send alone.
    record(dir.path(), refused, call("p1.b", 1, 1, 1, "x")).await;
    let said = missed(dir.path(), call("p1.b", 1, 1, 2, "x")).await;
    assert!(said.contains("(p1.b, iteration 1, turn 1, send 2)"), "{said}");
    assert!(said.contains("nothing but the attempt"), "{said}");
}

/// After a reply nobody asks again, unless it was dropped on its way.
#[tokio::test(start_paused = true)]
async fn a_send_dropped_now_is_followed_by_one_with_the_recorded_reply() {
    let dir = dir();
    record(dir.path(), everything, call("p1.a", 1, 1, 1, "x")).await;
    let player = Player::new(dir.path().to_owned(), Capabilities::default());
    collect(player.stream(call("p1.a", 1, 1, 3, "x"))).await.result.expect("the reply");
    // What was refused after it is nearer, and is no reply.
    record(dir.path(), refused, call("p1.a", 1, 1, 2, "x")).await;
    missed(dir.path(), call("p1.a", 1, 1, 3, "x")).await;
}

/// A recording is the same wherever the script lies and whatever the commits are called, and holds
/// neither; in any other word it must be the same.
#[tokio::test(start_paused = true)]
async fn a_recording_is_of_no_machine_and_no_moment() {
    fn says() -> Vec<Result<StreamEvent, LlmError>> {
        let message = "scripted:/here/model.json, send 1: no".to_owned();
        vec![Err(LlmError::Replayed { failure: Failure::Transient, message, fault: None })]
    }
    let dir = dir();
    let of = |model: &str, text: &str| {
        let mut call = call("p1.a", 1, 1, 0, text);
        Arc::make_mut(&mut call.request).model = model.to_owned();
        call
    };
    let text = |commit: &str| format!("a\n<<<<<<< taskd main {commit}\nb\n=======\nc\n");
    record(dir.path(), says, of("scripted:/here/model.json", &text("bbb5961"))).await;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("/here") && !text.contains("bbb5961"), "{text}");
    }
    let player = Player::new(dir.path().to_owned(), Capabilities::default());
    let there = of("scripted:/there/model.json", &text("0a0a0a0"));
    let said = collect(player.stream(there)).await.result.unwrap_err().to_string();
    assert_eq!(said, "scripted:/there/model.json, send 1: no");
    for (model, text) in [
        ("scripted:/there/other.json", text("bbb5961")),
        ("scripted:/there/model.json", text("bbb5961 ")),
        ("scripted:/there/model.json", text("bbb596")),
        ("scripted:/there/model.json", text("bbb5961") + "d"),
    ] {
        let said = missed(dir.path(), of(model, &text)).await;
        assert!(said.starts_with("no recording of"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_not_recorded() {
    let dir = dir();
    let recorder = Recorder::new(Arc::new(Says(everything)), dir.path().to_owned());
    let mut stream = recorder.stream(call("p1.a", 1, 1, 0, "x"));
    stream.next().await.expect("an event").expect("no failure");
    drop(stream);
    let said = missed(dir.path(), call("p1.a", 1, 1, 0, "x")).await;
    assert!(!said.contains("nearest"), "{said}");
    // What was sent in its place answers it.
    record(dir.path(), everything, call("p1.a", 1, 1, 1, "x")).await;
    let player = Player::new(dir.path().to_owned(), Capabilities::default());
    collect(player.stream(call("p1.a", 1, 1, 0, "x"))).await.result.expect("a reply");
}

#[tokio::test(start_paused = true)]
async fn the_nearest_is_of_the_same_loop_then_of_the_nearest_turn() {
    let dir = dir();
    for (name, iteration, turn) in [("p1.b", 2, 3), ("p1.a", 1, 1), ("p1.a", 2, 1), ("p1.a", 2, 9)]
    {
        record(dir.path(), everything, call(name, iteration, turn, 0, "the SECRET-WORDS task"))
            .await;
    }
    fs::write(dir.path().join("0.json"), "no recording").unwrap();
    let said = missed(dir.path(), call("p1.a", 2, 3, 0, "the OTHER-WORDS task")).await;
    assert!(said.starts_with("no recording of p1.a, iteration 2, turn 3, send 1; "), "{said}");
    assert!(said.contains("(p1.a, iteration 2, turn 1, send 1)"), "{said}");
    assert!(said.contains("differs at /messages/0/content/0/text from byte 4;"), "{said}");
    assert!(!said.contains("WORDS"), "no word of a prompt: {said}");
    let said = missed(dir.path(), call("p9.z", 2, 3, 0, "x")).await;
    assert!(said.contains("(p1.b, iteration 2, turn 3, send 1)"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_recording_is_named_and_not_shown() {
    let dir = dir();
    record(dir.path(), everything, call("p1.a", 1, 1, 0, "x")).await;
    let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&path).unwrap();
    let newer = text.replace("\"schema\": 1", "\"schema\": 2");
    for (text, wanted) in [(newer.as_str(), "version 2"), ("{\"WORDS\": 1}", "line 1, column")] {
        fs::write(&path, text).unwrap();
        let said = missed(dir.path(), call("p1.a", 1, 1, 0, "x")).await;
        assert!(said.contains(wanted) && said.contains(&file_name(&path)), "{said}");
        assert!(!said.contains("WORDS"), "{said}");
    }
    // A file that a name's digits point to, and that is of another request, is not it.
    let digest = Digest::of(b"another").to_string();
    let at = text.find("\"digest\": \"").unwrap() + "\"digest\": \"".len();
    let other = format!("{}{digest}{}", &text[..at], &text[at + digest.len()..]);
    fs::write(&path, other).unwrap();
    let said = missed(dir.path(), call("p1.a", 1, 1, 0, "x")).await;
    assert!(said.starts_with("no recording of"), "{said}");
}

#[test]
fn a_mode_is_one_of_two_with_an_absolute_directory() {
    let dir = dir();
    let new = dir.path().join("a/b");
    let said = format!("replay:{}", new.display());
    assert!(matches!(Cassette::parse(&said), Err(CassetteError::Directory { .. })), "not there");
    let made = Cassette::parse(&format!("record:{}", new.display())).expect("it is made");
    assert_eq!(made, Cassette::Record(new.clone()));
    assert_eq!(Cassette::parse(&said).expect("there"), Cassette::Replay(new));
    for odd in ["", "replay", "replay:", "record:here", "play:/tmp", "/tmp"] {
        assert!(matches!(Cassette::parse(odd), Err(CassetteError::Mode(_))), "{odd}");
    }
}

#[test]
fn differences_are_told_by_place() {
    use serde_json::json;
    let cases = [
        (json!({"a": 1}), json!({"a": 1}), None),
        (json!({"a": [1, {"b": "x"}]}), json!({"a": [1, {"b": "xy"}]}), Some("/a/1/b from byte 1")),
        (json!({"a": [1]}), json!({"a": [1, 2]}), Some("/a/1, which is new")),
        (json!({"a": 1, "b/c": 2}), json!({"a": 1}), Some("/b~1c, which is recorded only")),
        (json!({"a": 1}), json!({"a": "1"}), Some("/a")),
    ];
    for (theirs, ours, wanted) in cases {
        assert_eq!(difference::first_difference(&theirs, &ours).as_deref(), wanted);
    }
}
