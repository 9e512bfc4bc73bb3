//! Recordings of calls: made beside a real model, played instead of one.
//!
//! A recording answers exactly the request it was made of, attempt by attempt, with the same events
//! at the same distances in time. In a request it reads over what is of one machine or one moment
//! by taskd's own doing (`portable`), and over nothing else. A call that was dropped before its end is not recorded: nobody
//! knows how it would have ended. Recordings hold prompts and replies, never a credential.

mod difference;
mod portable;
mod tape;

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use taskd_model::{Code, Request};
use thiserror::Error;
use tokio::time::Instant;

use self::tape::{End, Tape};
use crate::{Call, Capabilities, Llm, LlmError, StreamEvent};

/// What is done with calls, and the directory of the recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cassette {
    /// Calls are made, and recorded.
    Record(PathBuf),
    /// No call is made: recordings answer.
    Replay(PathBuf),
}

/// Why a recording cannot be made or used.
#[derive(Debug, Error)]
pub enum CassetteError {
    /// What was asked for is neither `record:DIR` nor `replay:DIR`.
    #[error("{0:?} is neither `record:/absolute/dir` nor `replay:/absolute/dir`")]
    Mode(String),
    /// The directory cannot be made or read.
    #[error("the directory of recordings {} cannot be used", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The recording cannot be written; the call itself ended.
    #[error("the recording {} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The recording is there and cannot be read.
    #[error("the recording {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why; holds nothing of what was recorded.
        why: String,
    },
    /// Nothing was recorded for this call.
    #[error(
        "no recording of {place}{}; record again with TASKD_CASSETTE=record:{}",
        tell(nearest.as_deref()), dir.display()
    )]
    NotRecorded {
        /// The directory.
        dir: PathBuf,
        /// The call: `p1.a, iteration 1, turn 2, send 1`.
        place: String,
        /// The recording that is most like it.
        nearest: Option<Box<Nearest>>,
    },
}

/// The recording that is most like a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// Its file.
    pub file: String,
    /// What it is of.
    pub place: String,
    /// Where the two requests first differ: a JSON pointer, and the byte where texts part.
    pub difference: String,
}

impl CassetteError {
    /// The word for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Mode(_)
            | Self::Directory { .. }
            | Self::Write { .. }
            | Self::Unreadable { .. } => Code::RecordingUnusable,
            Self::NotRecorded { .. } => Code::RecordingMissing,
        }
    }
}

fn tell(nearest: Option<&Nearest>) -> String {
    nearest.map_or_else(String::new, |it| {
        format!("; the nearest is {} ({}), it differs at {}", it.file, it.place, it.difference)
    })
}

impl Cassette {
    /// Reads `record:DIR` or `replay:DIR`. The directory is made for a recording, and must be there
    /// for a replay.
    ///
    /// # Errors
    /// It says something else, or the directory cannot be used.
    pub fn parse(text: &str) -> Result<Self, CassetteError> {
        let wrong = || CassetteError::Mode(text.chars().take(200).collect());
        let (mode, dir) = text.split_once(':').ok_or_else(wrong)?;
        let dir = PathBuf::from(dir);
        if !dir.is_absolute() {
            return Err(wrong());
        }
        let unusable = |source| CassetteError::Directory { dir: dir.clone(), source };
        match mode {
            "record" => {
                let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
                made.map_err(unusable)?;
                Ok(Self::Record(dir))
            }
            "replay" => {
                drop(fs::read_dir(&dir).map_err(unusable)?);
                Ok(Self::Replay(dir))
            }
            _ => Err(wrong()),
        }
    }
}

/// A model whose calls are recorded.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<dyn Llm>,
    dir: PathBuf,
}

impl Recorder {
    /// Records the calls of `inner` in `dir`, which is there.
    #[must_use]
    pub fn new(inner: Arc<dyn Llm>, dir: PathBuf) -> Self {
        Self { inner, dir }
    }
}

impl Llm for Recorder {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn stream(&self, call: Call) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
        let tape = Tape::new(&call);
        let recording = Recording {
            inner: self.inner.stream(call),
            dir: self.dir.clone(),
            tape,
            last: Instant::now(),
        };
        stream::unfold(Some(recording), |recording| async move {
            let mut recording = recording?;
            let item = recording.next().await?;
            let goes_on = matches!(&item, Ok(event) if !matches!(event, StreamEvent::Done(_)));
            Some((item, goes_on.then_some(recording)))
        })
        .boxed()
    }

    fn count(&self, request: &Request) -> u64 {
        self.inner.count(request)
    }
}

/// A call being recorded.
struct Recording {
    inner: BoxStream<'static, Result<StreamEvent, LlmError>>,
    dir: PathBuf,
    tape: Tape,
    last: Instant,
}

impl Recording {
    /// The next item; with the last one the recording is in its file.
    async fn next(&mut self) -> Option<Result<StreamEvent, LlmError>> {
        let item = self.inner.next().await;
        let now = Instant::now();
        let after = now.duration_since(self.last);
        self.last = now;
        let end = match &item {
            Some(Ok(StreamEvent::Done(reply))) => End::Reply(reply.clone()),
            Some(Ok(event)) => {
                self.tape.push(after, event);
                return item;
            }
            Some(Err(error)) => End::Failure {
                failure: error.class(),
                message: error.to_string(),
                fault: Some(Box::new(error.fault())),
            },
            None => End::Nothing,
        };
        match self.tape.finish(after, end).write(&self.dir).await {
            Ok(()) => item,
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// A model that says what was recorded.
#[derive(Debug)]
pub struct Player {
    dir: PathBuf,
    capabilities: Capabilities,
}

impl Player {
    /// Plays the recordings in `dir` of a model that takes this much.
    #[must_use]
    pub fn new(dir: PathBuf, capabilities: Capabilities) -> Self {
        Self { dir, capabilities }
    }
}

impl Llm for Player {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn stream(&self, call: Call) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
        let dir = self.dir.clone();
        let found = async move { find(dir, call).await };
        stream::once(found)
            .flat_map(|found| match found {
                Ok(tape) => play(tape),
                Err(error) => stream::once(async { Err(error.into()) }).boxed(),
            })
            .boxed()
    }
}

/// The recording of a call, read where blocking is allowed.
async fn find(dir: PathBuf, call: Call) -> Result<Tape, CassetteError> {
    let look = tokio::task::spawn_blocking(move || Tape::find(&dir, &call));
    look.await.unwrap_or_else(|_| {
        let (path, why) = (PathBuf::new(), "the runtime is ending".to_owned());
        Err(CassetteError::Unreadable { path, why })
    })
}

#[expect(clippy::disallowed_methods, reason = "a recorded delay is the network's, not a deadline")]
fn play(tape: Tape) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
    stream::iter(tape.items())
        .then(|(after_ms, item)| async move {
            if after_ms != 0 {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
            }
            item
        })
        .boxed()
}

/// `p1.a, iteration 1, turn 2, send 1`.
fn place(request: &Request, attempt: u32) -> String {
    let Request { loop_name, iteration, turn, .. } = request;
    format!("{loop_name}, iteration {iteration}, turn {turn}, send {}", attempt.saturating_add(1))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
