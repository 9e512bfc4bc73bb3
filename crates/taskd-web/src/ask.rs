//! What a browser asks. It changes nothing.
//!
//! Bounded: of a log its last megabytes, of a line its first characters, of events a page. The whole
//! of a log is passed through as it comes.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use taskd_api::{
    ApiError, Items, Output,
    v1::{self, LogKind},
};

use crate::{Answer, By, Faces, Page, as_json, body, refused};

/// Bytes of a log, its last ones.
const TAIL_BYTES: u64 = 4 << 20;

/// Characters of a line.
const LINE_CHARS: usize = 2_000;

/// Events of one answer.
const EVENTS: u32 = 1_000;

#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    Show { id: String },
    Why { id: String },
    Diff { id: String },
    Log { id: String, kind: Kind },
    Events { id: String, from: u64 },
    Costs { by: By },
    Queue {},
}

/// Which log.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Agent,
    Gate,
    Tools,
}

impl Kind {
    fn wire(self) -> LogKind {
        match self {
            Self::Agent => LogKind::Agent,
            Self::Gate => LogKind::Gate,
            Self::Tools => LogKind::Tools,
        }
    }
}

pub(crate) async fn ask<F: Faces>(State(page): State<Arc<Page<F>>>, request: Request) -> Response {
    let answer = match body::<Question>(request).await {
        Ok(it) => answered(&page, it).await,
        Err(error) => Err(error),
    };
    answer.map_or_else(|it| refused(&it), |it| as_json(StatusCode::OK, &it))
}

async fn answered<F: Faces>(page: &Page<F>, it: Question) -> Result<Value, ApiError> {
    let answer = match it {
        Question::Show { id } => {
            let request = v1::ShowRequest { id, at: None };
            Answer::Show(Box::new(page.client().await?.show(request).await?))
        }
        Question::Why { id } => Answer::Why(page.client().await?.why(v1::WhyRequest { id }).await?),
        Question::Diff { id } => {
            let request = v1::DiffRequest { id, ..v1::DiffRequest::default() };
            Answer::Diff(page.client().await?.diff(request).await?)
        }
        Question::Queue {} => Answer::Queue(page.client().await?.queue(v1::QueueRequest {}).await?),
        Question::Costs { by } => Answer::Costs(by),
        Question::Log { id, kind } => return texts(page, id, kind).await,
        Question::Events { id, from } => return events(page, id, from).await,
    };
    let known = page.world.known();
    Ok(page.faces.answer(&known.view, &answer, known.now))
}

/// Logs of one kind, each with its heading, in lines that can be shown.
async fn texts<F: Faces>(page: &Page<F>, id: String, kind: Kind) -> Result<Value, ApiError> {
    let outputs = logs(page, id.clone(), kind, TAIL_BYTES).await?.outputs().await?;
    let text = |it: Output| {
        let lines: Vec<String> = it.text.lines().map(short).collect();
        json!({ "heading": it.heading, "effect": it.effect, "lines": lines })
    };
    let texts: Vec<Value> = outputs.into_iter().map(text).collect();
    // What streams by of what runs; it is in no log yet.
    let tail = page.client().await?.show(v1::ShowRequest { id, at: None }).await?.tail;
    let tail: Vec<String> = tail.iter().map(|it| short(it)).collect();
    Ok(json!({ "texts": texts, "tail": tail, "tail_bytes": TAIL_BYTES }))
}

/// The beginning of a line, and how much of it is missing.
fn short(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS) {
        None => line.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes more)", &line[..at], line.len() - at),
    }
}

/// What the log says of a loop or a plan, from one event on, at most a page of it.
async fn events<F: Faces>(page: &Page<F>, id: String, from: u64) -> Result<Value, ApiError> {
    let request =
        v1::EventsRequest { from, max: EVENTS, ids: vec![id], ..v1::EventsRequest::default() };
    let mut items = page.client().await?.events(request).await?;
    let mut rows = Vec::new();
    while let Some(event) = items.next().await? {
        rows.push(match event.record()? {
            Some(it) => json!({
                "seq": it.seq, "at": it.at.0, "text": short(&it.event.to_string()),
            }),
            None => json!({ "seq": event.seq, "text": "of a kind only a newer taskd knows" }),
        });
    }
    let more = rows.len() >= EVENTS as usize;
    Ok(json!({ "events": rows, "more": more }))
}

/// Which log is wanted whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    id: String,
    kind: Kind,
}

/// The whole of a log as text, as it comes.
pub(crate) async fn log<F: Faces>(State(page): State<Arc<Page<F>>>, request: Request) -> Response {
    let chunks = match body::<Whole>(request).await {
        Ok(it) => logs(&page, it.id, it.kind, 0).await,
        Err(error) => Err(error),
    };
    let chunks = match chunks {
        Ok(it) => it,
        Err(error) => return refused(&error),
    };
    let bytes = futures::stream::unfold(chunks, |mut chunks| async move {
        let next = chunks.next().await.transpose()?;
        let bytes = next.map(|it| {
            let heading = match it.heading.as_str() {
                "" => String::new(),
                text => format!("=== {text} ===\n"),
            };
            Bytes::from([heading.as_bytes(), &it.data].concat())
        });
        Some((bytes, chunks))
    });
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(bytes))
        .into_response()
}

async fn logs<F: Faces>(
    page: &Page<F>,
    id: String,
    kind: Kind,
    tail_bytes: u64,
) -> Result<Items<v1::LogChunk>, ApiError> {
    let kind = kind.wire().into();
    let request = v1::LogsRequest { id, kind, tail_bytes, ..v1::LogsRequest::default() };
    page.client().await?.logs(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        assert_eq!(short("short"), "short");
        let long = "\u{e9}".repeat(LINE_CHARS + 3);
        assert!(short(&long).ends_with("\u{e9}… (6 bytes more)"), "{}", &short(&long)[..20]);
    }
}
