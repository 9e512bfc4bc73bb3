//! One suite for every provider's interface: what is true of a call whoever answers it.
//!
//! An [`Adapter`] is data: where its fixtures are, what its errors look like, how it says hello.
//! Every fixture is a stream (`*.sse`) and the story it must become (`*.story`), whatever the
//! pieces it arrives in.

mod anthropic;
mod faults;
mod openai;
mod params;
mod questions;
mod server;
mod streams;
mod tls;

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use taskd_llm::{
    Api, Call, CallLimits, Http, HttpSettings, Llm, LlmError, Price, Secret, StreamEvent, Takes,
    Timeouts,
};
use taskd_model::{Message, Params, Part, Request, Role};

/// A key that must never be seen anywhere but in its header.
const KEY: &str = "sk-sentinel-7f3a";
/// A prompt that must never be seen anywhere but in the body of a request.
const PROMPT: &str = "prompt-sentinel-91c2";
const STREAM: &str = "200 OK\r\ncontent-type: text/event-stream; charset=utf-8";

/// One interface, as the suite sees it.
pub(crate) struct Adapter {
    pub(crate) api: Api,
    /// Below `tests/it/fixtures`.
    pub(crate) folder: &'static str,
    /// The path of a call.
    pub(crate) path: &'static str,
    /// Where tokens are counted, an answer after the published example, and what it says.
    pub(crate) count: Option<(&'static str, &'static str, u64)>,
    /// Where models are listed, an answer after the published example, how many models it has, and
    /// whether there are more.
    pub(crate) list: (&'static str, &'static str, usize, bool),
    /// The header that carries the key, and how.
    pub(crate) key: (&'static str, &'static str),
    /// Headers that every call has beside it.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The body of an error with this code; `prose` is its message.
    pub(crate) error: fn(code: &str, prose: &str) -> String,
    /// An event that reports an error inside a stream.
    pub(crate) error_event: fn(code: &str, prose: &str) -> String,
    /// Events that begin a reply and say this text; the reply does not end.
    pub(crate) saying: fn(text: &str) -> String,
    /// Events that end what `saying` has begun.
    pub(crate) ending: fn() -> String,
    /// Codes of this interface: overloaded, limits our rate, no money, no credential, too large.
    pub(crate) codes: [&'static str; 5],
    /// Headers of an answer that name a limit.
    pub(crate) levels: &'static str,
    /// What was used when `saying` has said hello.
    pub(crate) midway: &'static str,
    /// An event that is JSON and makes no sense.
    pub(crate) garbage: &'static str,
    /// Events at the end without which a reply is whole all the same.
    pub(crate) tail: usize,
}

const ADAPTERS: &[Adapter] = &[anthropic::ADAPTER, openai::CHAT, openai::RESPONSES];

fn timeouts() -> Timeouts {
    let long = Duration::from_secs(20);
    Timeouts { connect: long, first_event: long, idle: long, total: long }
}

fn open(adapter: &Adapter, url: &str) -> Http {
    open_with(adapter, url, timeouts())
}

fn open_with(adapter: &Adapter, url: &str, timeouts: Timeouts) -> Http {
    open_settings(HttpSettings { timeouts, ..settings(adapter, url) })
}

fn open_model(adapter: &Adapter, url: &str, model: &str) -> Http {
    open_settings(HttpSettings { model: model.to_owned(), ..settings(adapter, url) })
}

fn settings(adapter: &Adapter, url: &str) -> HttpSettings {
    HttpSettings {
        provider: "acme".to_owned(),
        model: "model-1".to_owned(),
        api: adapter.api,
        base_url: url.to_owned(),
        key: Some(Secret::new(format!("{KEY}\n"))),
        timeouts: timeouts(),
        takes: Takes::default(),
        ca_file: None,
    }
}

fn open_settings(settings: HttpSettings) -> Http {
    clean(&format!("{settings:?}"));
    let model = Http::new(settings).expect("good settings");
    clean(&format!("{model:?}"));
    model
}

fn call() -> Call {
    call_saying(PROMPT)
}

fn call_saying(text: &str) -> Call {
    let content = vec![Part::Text { text: text.to_owned() }];
    let request = Request {
        model: "acme:model-1".to_owned(),
        system: "You write shell.".to_owned(),
        messages: vec![Message { role: Role::User, content }],
        tools: Vec::new(),
        max_tokens: 1000,
        params: Params::default(),
        loop_name: "p1.parse".to_owned(),
        iteration: 1,
        turn: 1,
    };
    // A dollar for a million tokens of any class, so that tokens are micro-dollars.
    let price = Price { input: 1_000_000, output: 1_000_000, ..Price::default() };
    let price = Price { cache_read: 1_000_000, cache_write: 1_000_000, ..price };
    let limits = CallLimits { price: Some(price), ..CallLimits::with_cap_micros(1_000_000) };
    Call { request: Arc::new(request), attempt: 0, limits, trace: None }
}

/// What a stream gives, one line an item; pieces of text that follow each other are one line.
async fn story(mut stream: BoxStream<'static, Result<StreamEvent, LlmError>>) -> String {
    let mut told = String::new();
    let mut text = String::new();
    let mut thought = String::new();
    while let Some(item) = stream.next().await {
        clean(&format!("{item:?}"));
        match &item {
            Ok(StreamEvent::Text(piece)) if thought.is_empty() => {
                text.push_str(piece);
                continue;
            }
            Ok(StreamEvent::Thinking(piece)) if text.is_empty() => {
                thought.push_str(piece);
                continue;
            }
            Ok(_) | Err(_) => {}
        }
        for (what, piece) in [("text", &mut text), ("thinking", &mut thought)] {
            if !piece.is_empty() {
                writeln!(told, "{what} {piece:?}").expect("a string takes all");
                piece.clear();
            }
        }
        match item {
            Ok(StreamEvent::Text(piece)) => text = piece,
            Ok(StreamEvent::Thinking(piece)) => thought = piece,
            Ok(event) => writeln!(told, "{}", tell(&event)).expect("a string takes all"),
            Err(error) => writeln!(told, "{}", complain(&error)).expect("a string takes all"),
        }
    }
    told
}

fn tell(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Accepted => "accepted".to_owned(),
        StreamEvent::Text(text) => format!("text {text:?}"),
        StreamEvent::Thinking(text) => format!("thinking {text:?}"),
        StreamEvent::Levels(levels) => format!("levels {levels:?}"),
        StreamEvent::ToolCall { index, id, name, args } => {
            format!("tool {index} {id} {name} {args}")
        }
        StreamEvent::Usage(it) => format!(
            "usage {} in, {} out, {} cached, {} to cache, ${}u",
            it.input, it.output, it.cache_read, it.cache_write, it.micros
        ),
        StreamEvent::Done(reply) => {
            let mut told = format!("done {:?} by {:?}", reply.stop, reply.model);
            for part in &reply.parts {
                write!(told, "\n  {part:?}").expect("a string takes all");
            }
            told
        }
    }
}

/// `Transient Server 529 overloaded_error`: class, kind, status, code, and a named wait.
fn complain(error: &LlmError) -> String {
    clean(&error.to_string());
    let debug = if let LlmError::Provider { fault, .. } = error {
        format!("{fault:?}")
    } else {
        format!("{error:?}")
    };
    let kind: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut told = format!("{:?} {kind}", error.class());
    if let Some(origin) = error.origin() {
        assert_eq!((origin.provider.as_str(), origin.model.as_str()), ("acme", "model-1"));
        for word in [origin.status.map(|it| it.to_string()), origin.code.clone()] {
            word.iter().for_each(|it| write!(told, " {it}").expect("a string takes all"));
        }
    }
    told
}

/// Neither key nor prompt is in `shown`.
#[track_caller]
fn clean(shown: &str) {
    assert!(!shown.contains(KEY) && !shown.contains(PROMPT), "{shown}");
}

/// The last line of a story.
async fn end(model: &Http, call: Call) -> String {
    let story = story(model.stream(call)).await;
    story.lines().last().unwrap_or("nothing").to_owned()
}

/// The fixtures of `adapter`: name, stream, story.
fn fixtures(adapter: &Adapter) -> Vec<(String, Vec<u8>, String)> {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests/it/fixtures", adapter.folder].iter().collect();
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder of fixtures")
        .map(|it| it.expect("a file").path())
        .filter(|it| it.extension().is_some_and(|it| it == "sse"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let story = std::fs::read_to_string(path.with_extension("story"));
            let stream = std::fs::read(&path).expect("a stream");
            (name, stream, story.unwrap_or_default())
        })
        .collect();
    found.sort();
    assert!(found.len() >= 6, "{} has too few fixtures", adapter.folder);
    found
}
