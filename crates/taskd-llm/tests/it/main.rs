//! Stories of calls, told as text: what comes out of the stream, and when.

mod conformance;
mod malformed;
mod models;
mod stream;

use std::{fmt::Write as _, path::Path, sync::Arc};

use futures::StreamExt;
use taskd_llm::{Call, CallLimits, Llm, Scripted, StreamEvent};
use taskd_model::{Params, Part, Request};

const PATH: &str = "/scripts/demo.yaml";

/// The model of `script`.
fn scripted(script: &str) -> Scripted {
    match Scripted::parse(Path::new(PATH), script.as_bytes()) {
        Ok(scripted) => scripted,
        Err(error) => panic!("{error}\n{script}"),
    }
}

/// What `Scripted` says about a file that is not a script.
fn complaint(script: impl AsRef<[u8]>) -> String {
    match Scripted::parse(Path::new(PATH), script.as_ref()) {
        Ok(_) => "no complaint".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn request(loop_name: &str, iteration: u32, turn: u32) -> Request {
    Request {
        model: format!("scripted:{PATH}"),
        system: "You write shell.".to_owned(),
        messages: Vec::new(),
        tools: Vec::new(),
        max_tokens: 1000,
        params: Params::default(),
        loop_name: loop_name.to_owned(),
        iteration,
        turn,
    }
}

/// A call of `p1.parse`, iteration 1, turn 1.
fn call(attempt: u32) -> Call {
    call_of("p1.parse", 1, 1, attempt)
}

fn call_of(loop_name: &str, iteration: u32, turn: u32, attempt: u32) -> Call {
    Call {
        request: Arc::new(request(loop_name, iteration, turn)),
        attempt,
        trace: None,
        limits: CallLimits::with_cap_micros(1000),
    }
}

/// What the stream of `call` gives, one line an item, with the time since the call.
async fn story(model: &dyn Llm, call: Call) -> String {
    let start = tokio::time::Instant::now();
    let mut stream = model.stream(call);
    let mut told = String::new();
    while let Some(item) = stream.next().await {
        let ms = start.elapsed().as_millis();
        let line = match item {
            Ok(event) => tell(&event),
            Err(error) => format!("{:?}: {error}", error.class()),
        };
        writeln!(told, "{ms} {line}").expect("a string takes all");
    }
    told
}

/// What `model` says in one turn, whole.
async fn reply(model: &dyn Llm, call: Call) -> String {
    let story = story(model, call).await;
    story.lines().last().unwrap_or("nothing").split_once(' ').unwrap_or_default().1.to_owned()
}

fn tell(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Accepted => "accepted".to_owned(),
        StreamEvent::Text(text) => format!("text {text:?}"),
        StreamEvent::Thinking(text) => format!("thinking {text:?}"),
        StreamEvent::Levels(_) => "levels".to_owned(),
        StreamEvent::ToolCall { index, id, name, args } => {
            format!("tool {index} {id} {name} {args}")
        }
        StreamEvent::Usage(it) => {
            format!("usage {} in, {} out, ${}u", it.input, it.output, it.micros)
        }
        StreamEvent::Done(reply) => {
            let parts = reply.parts.iter().map(|part| match part {
                Part::Text { text } => format!("{text:?}"),
                Part::ToolUse { name, .. } => name.clone(),
                Part::ToolResult { .. } | Part::Opaque { .. } => "odd".to_owned(),
            });
            format!("done {:?}: {}", reply.stop, parts.collect::<Vec<_>>().join(", "))
        }
    }
}
