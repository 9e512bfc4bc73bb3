//! One recorded call as a file, and finding the file of a call.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use taskd_model::{Digest, Failure, Fault, RateLevels, Reply, Request, Usage, encode_doc};

use super::{CassetteError, Nearest, difference::first_difference, file_name, place, portable};
use crate::{Call, LlmError, SCRIPTED, StreamEvent};

/// Version of the files.
const SCHEMA: u32 = 1;
/// Digits of the request's digest in a file's name; the whole of it is compared.
const NAME_DIGITS: usize = 16;
/// The most recordings looked at for the nearest one.
const MAX_LOOKED_AT: usize = 10_000;

/// Recordings this process began to write.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tape {
    schema: u32,
    model: String,
    /// What the model is called here.
    #[serde(skip)]
    called: String,
    /// Of the request's canonical JSON; with the attempt it is what the call is found by.
    digest: Digest,
    attempt: u32,
    #[serde(rename = "loop")]
    loop_name: String,
    iteration: u32,
    turn: u32,
    request: Request,
    events: Vec<Moment<Said>>,
    end: Option<Moment<End>>,
}

/// Something, so long after what was before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moment<T> {
    after_ms: u64,
    what: T,
}

/// An event that is not the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Accepted,
    Text(String),
    ToolCall { index: u16, id: String, name: String, args: String },
    Usage(Usage),
    Levels(RateLevels),
    Thinking(String),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// With a whole reply.
    Reply(Reply),
    /// With a failure, by what it means and what was said.
    Failure {
        /// What it means for asking again.
        failure: Failure,
        /// What was said.
        message: String,
        /// The facts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Box<Fault>>,
    },
    /// The stream ended without either.
    Nothing,
}

impl Tape {
    /// Nothing is recorded yet.
    pub(super) fn new(call: &Call) -> Self {
        let request = portable::request(&call.request);
        Self {
            schema: SCHEMA,
            model: request.model.clone(),
            called: call.request.model.clone(),
            digest: Digest::of(&encode_doc(&request)),
            attempt: call.attempt,
            loop_name: request.loop_name.clone(),
            iteration: request.iteration,
            turn: request.turn,
            request,
            events: Vec::new(),
            end: None,
        }
    }

    pub(super) fn push(&mut self, after: Duration, event: &StreamEvent) {
        let what = match event.clone() {
            StreamEvent::Accepted => Said::Accepted,
            StreamEvent::Text(text) => Said::Text(text),
            StreamEvent::ToolCall { index, id, name, args } => {
                Said::ToolCall { index, id, name, args }
            }
            StreamEvent::Usage(it) => Said::Usage(it),
            StreamEvent::Levels(it) => Said::Levels(it),
            StreamEvent::Thinking(text) => Said::Thinking(text),
            // Recorded as the end.
            StreamEvent::Done(_) => return,
        };
        self.events.push(Moment { after_ms: millis(after), what });
    }

    pub(super) fn finish(&mut self, after: Duration, mut end: End) -> &Self {
        if let End::Failure { message, fault, .. } = &mut end {
            *message = message.replace(&self.called, &self.model);
            let script = self.called.strip_prefix(SCRIPTED);
            if let Some(model) = fault.as_mut().and_then(|it| it.model.as_mut())
                && script == Some(model.as_str())
            {
                *model = self.model.trim_start_matches(SCRIPTED).to_owned();
            }
        }
        self.end = Some(Moment { after_ms: millis(after), what: end });
        self
    }

    /// Writes the file: whole, or not at all.
    pub(super) async fn write(&self, dir: &Path) -> Result<(), CassetteError> {
        let path = dir.join(name(&self.digest, self.attempt));
        // Two calls with one key may end at the same time.
        let n = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let aside = dir.join(format!(".{}.{}-{n}", file_name(&path), std::process::id()));
        let mut text = serde_json::to_vec_pretty(self).expect("tapes hold nothing JSON cannot say");
        text.push(b'\n');
        let written = async {
            tokio::fs::write(&aside, &text).await?;
            tokio::fs::rename(&aside, &path).await
        };
        written.await.map_err(|source| CassetteError::Write { path: path.clone(), source })
    }

    /// What the call gives, each item so many milliseconds after the one before.
    pub(super) fn items(self) -> Vec<(u64, Result<StreamEvent, LlmError>)> {
        let said = |it: Said| match it {
            Said::Accepted => StreamEvent::Accepted,
            Said::Text(text) => StreamEvent::Text(text),
            Said::ToolCall { index, id, name, args } => {
                StreamEvent::ToolCall { index, id, name, args }
            }
            Said::Usage(it) => StreamEvent::Usage(it),
            Said::Levels(it) => StreamEvent::Levels(it),
            Said::Thinking(text) => StreamEvent::Thinking(text),
        };
        let mut items: Vec<_> =
            self.events.into_iter().map(|it| (it.after_ms, Ok(said(it.what)))).collect();
        if let Some(Moment { after_ms, what }) = self.end {
            match what {
                End::Reply(reply) => items.push((after_ms, Ok(StreamEvent::Done(reply)))),
                End::Failure { failure, message, fault } => {
                    items.push((after_ms, Err(LlmError::Replayed { failure, message, fault })));
                }
                End::Nothing => {}
            }
        }
        items
    }

    /// It ended with a whole reply, after which nobody asks the same again.
    fn is_reply(&self) -> bool {
        matches!(&self.end, Some(Moment { what: End::Reply(_), .. }))
    }

    /// The recording as it would have been made here, of this model.
    fn at_home(mut self, model: &str) -> Self {
        if let Some(Moment { what: End::Failure { message, .. }, .. }) = &mut self.end {
            *message = message.replace(&self.model, model);
        }
        self
    }

    /// The recording of this call. A send that was dropped is not recorded: what answered the same
    /// request in its place answers it. If a send is dropped now that was answered then, the next
    /// one gets that answer. Blocks.
    pub(super) fn find(dir: &Path, call: &Call) -> Result<Self, CassetteError> {
        let request = portable::request(&call.request);
        let digest = Digest::of(&encode_doc(&request));
        let recorded = |attempt: u32| {
            let path = dir.join(name(&digest, attempt));
            let found = read(&path).map_err(|why| CassetteError::Unreadable { path, why })?;
            let is_it = |it: &Self| it.digest == digest && it.attempt == attempt;
            Ok(found.filter(is_it).map(|it| it.at_home(&call.request.model)))
        };
        for attempt in call.attempt..=call.attempt.saturating_add(MAX_DROPPED) {
            if let Some(tape) = recorded(attempt)? {
                return Ok(tape);
            }
        }
        let earlier = (call.attempt.saturating_sub(MAX_DROPPED)..call.attempt).rev();
        for attempt in earlier {
            match recorded(attempt)? {
                Some(tape) if tape.is_reply() => return Ok(tape),
                Some(_) => break,
                None => {}
            }
        }
        Err(CassetteError::NotRecorded {
            dir: dir.to_owned(),
            place: place(&request, call.attempt),
            nearest: nearest(dir, &request, call.attempt).map(Box::new),
        })
    }
}

/// Sends in a row that may have been dropped.
const MAX_DROPPED: u32 = 8;

/// The file of a call.
fn name(digest: &Digest, attempt: u32) -> String {
    format!("{}-{attempt}.json", &digest.to_string()[..NAME_DIGITS])
}

fn read(path: &Path) -> Result<Option<Tape>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    // The parser's own words may hold a piece of the file.
    let tape: Tape = serde_json::from_slice(&bytes)
        .map_err(|it| format!("line {}, column {} is no recording", it.line(), it.column()))?;
    if tape.schema != SCHEMA {
        return Err(format!("it is of version {}, this is {SCHEMA}", tape.schema));
    }
    Ok(Some(tape))
}

/// The recording that is most like a call: of the same loop, then of the nearest iteration, turn and
/// attempt. What cannot be read is passed over.
fn nearest(dir: &Path, request: &Request, attempt: u32) -> Option<Nearest> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .ok()?
        .filter_map(|it| Some(it.ok()?.path()))
        .take(MAX_LOOKED_AT)
        .collect();
    paths.sort();
    let tapes = paths.into_iter().filter_map(|path| Some((read(&path).ok()??, path)));
    let (tape, path) = tapes.min_by_key(|(it, _)| {
        (
            it.loop_name != request.loop_name,
            it.iteration.abs_diff(request.iteration),
            it.turn.abs_diff(request.turn),
            it.attempt.abs_diff(attempt),
        )
    })?;
    let json = |it: &Request| serde_json::to_value(it).expect("requests are JSON");
    let difference = first_difference(&json(&tape.request), &json(request));
    Some(Nearest {
        file: file_name(&path),
        place: place(&tape.request, tape.attempt),
        difference: difference.unwrap_or_else(|| "nothing but the attempt".to_owned()),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
