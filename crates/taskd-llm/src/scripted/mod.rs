//! The embedded model: replies read from a file, no network, no key, no cost unless the file says.
//!
//! What it says depends on the script, the request and the attempt, and on nothing this process
//! remembers: after a `kill -9` the same turn gets the same reply. Time passes by tokio's clock
//! only, so tests may pause it.

mod format;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use taskd_model::{Reply, StopReason, Usage};

use self::format::{Fault, FaultKind, Script, Turn};
pub use self::format::{MAX_DELAY_MS, MAX_FAULTS, MAX_SCRIPT_BYTES, MAX_SCRIPT_NODES};
use crate::{
    BodyKind, Call, Capabilities, Llm, LlmError, Origin, ScriptError, StreamEvent,
    call::estimate_reply_tokens, reply::ReplyBuilder,
};

/// What the name of a scripted model starts with; the file's absolute path follows.
pub const SCRIPTED: &str = "scripted:";

/// Text is streamed in pieces of whole words, of at least so many bytes.
const PIECE_BYTES: usize = 16;

/// A model that reads its replies from a file.
pub struct Scripted {
    path: PathBuf,
    script: Script,
}

/// Says which script it is, not what is in it.
impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Scripted {
    /// Reads and checks the script at `path`. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or is not a script.
    pub fn load(path: &Path) -> Result<Self, ScriptError> {
        Self::parse(path, &read_script(path)?)
    }

    /// Checks a script that was read before; `path` is for complaints.
    ///
    /// # Errors
    /// The bytes are not a script.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ScriptError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Err(not_utf8(path, &bytes[..error.valid_up_to()])),
        };
        Ok(Self { path: path.to_owned(), script: Script::parse(path, text)? })
    }

    fn steps(&self, call: &Call) -> Vec<Step> {
        let request = &*call.request;
        let found = self.script.turn(&request.loop_name, request.iteration, request.turn);
        let Some(turn) = found else {
            return vec![Step::Fail(LlmError::NoReply {
                script: self.path.clone(),
                loop_name: shortened(&request.loop_name),
                iteration: request.iteration,
                turn: request.turn,
            })];
        };
        let attempt = usize::try_from(call.attempt).unwrap_or(usize::MAX);
        let Some(Fault { delay_ms, kind }) = turn.fail.get(attempt) else {
            return self.reply_steps(call, turn, End::Whole);
        };
        let mut steps = vec![Step::wait(*delay_ms)];
        match *kind {
            FaultKind::Status { status, retry_after_ms } => {
                // The script was checked: every status it names is a failure.
                let error =
                    LlmError::answered(Some(status), None, retry_after_ms, BodyKind::Unseen);
                steps.push(Step::Fail(self.failed(call, error, 0)));
            }
            FaultKind::Disconnect(pieces) => {
                steps.extend(self.reply_steps(call, turn, End::Disconnect(pieces)));
            }
            FaultKind::Hang(pieces) => {
                steps.extend(self.reply_steps(call, turn, End::Hang(pieces)));
            }
        }
        steps
    }

    /// A failure of this model, as if it came over a network. How long it took is not known before
    /// it is played.
    fn failed(&self, call: &Call, error: LlmError, pieces: usize) -> LlmError {
        let whose = Origin {
            provider: SCRIPTED.trim_end_matches(':').to_owned(),
            model: shortened(&self.path.display().to_string()),
            attempt: call.attempt,
            ..Origin::default()
        };
        error.of(&whose, pieces)
    }

    fn reply_steps(&self, call: &Call, turn: &Turn, end: End) -> Vec<Step> {
        let input = turn.usage.map_or_else(|| self.count(&call.request), |it| it.input);
        let mut steps = vec![Step::Event(StreamEvent::Accepted), Step::wait(turn.delay_ms)];
        steps.push(Step::Event(StreamEvent::Usage(Usage { input, ..Usage::default() })));

        let (pieces, reply) = pieces(call, turn);
        let whole = pieces.len();
        let sent = match end {
            End::Whole => whole,
            End::Disconnect(pieces) | End::Hang(pieces) => pieces.min(whole),
        };
        for (n, piece) in pieces.into_iter().take(sent).enumerate() {
            steps.push(Step::wait(if n == 0 { 0 } else { turn.chunk_ms }));
            steps.push(Step::Event(piece));
        }
        match end {
            End::Disconnect(_) => {
                steps.push(Step::Fail(self.failed(call, LlmError::cut(), sent)));
            }
            End::Hang(_) => steps.push(Step::Hang),
            End::Whole => {
                steps.push(Step::wait(turn.tail_ms));
                steps.extend(last_steps(call, turn, input, reply));
            }
        }
        steps
    }
}

impl Llm for Scripted {
    /// A script says what it says, however it is asked.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn stream(&self, call: Call) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
        play(self.steps(&call))
    }
}

/// The next thing a stream does.
enum Step {
    Wait(Duration),
    Event(StreamEvent),
    Fail(LlmError),
    Hang,
}

impl Step {
    fn wait(ms: u64) -> Self {
        Self::Wait(Duration::from_millis(ms))
    }
}

/// How far a reply goes.
#[derive(Clone, Copy)]
enum End {
    Whole,
    Disconnect(usize),
    Hang(usize),
}

#[expect(clippy::disallowed_methods, reason = "a scripted delay is the network's, not a deadline")]
fn play(steps: Vec<Step>) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
    stream::unfold(steps.into_iter(), |mut steps| async move {
        loop {
            match steps.next()? {
                Step::Wait(Duration::ZERO) => {}
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Event(event) => return Some((Ok(event), steps)),
                Step::Fail(error) => return Some((Err(error), steps)),
                Step::Hang => futures::future::pending().await,
            }
        }
    })
    .boxed()
}

/// The reply in pieces, and whole; or the cap it breaks after those pieces.
fn pieces(call: &Call, turn: &Turn) -> (Vec<StreamEvent>, Result<Reply, LlmError>) {
    let mut builder = ReplyBuilder::new(call.limits);
    let mut events = Vec::new();
    for piece in words(&turn.say) {
        match builder.text(piece) {
            Ok(event) => events.push(event),
            Err(error) => return (events, Err(error)),
        }
    }
    for tool in &turn.tools {
        let (iteration, turn) = (call.request.iteration, call.request.turn);
        let id = format!("call_{iteration}_{turn}_{}", builder.next_call());
        match builder.tool(id, tool.name.clone(), tool.args.clone()) {
            Ok(event) => events.push(event),
            Err(error) => return (events, Err(error)),
        }
    }
    let by_itself = if turn.tools.is_empty() { StopReason::End } else { StopReason::ToolUse };
    (events, Ok(builder.done(turn.stop.clone().unwrap_or(by_itself))))
}

/// The bill, and the reply if nothing broke a cap.
fn last_steps(call: &Call, turn: &Turn, input: u64, reply: Result<Reply, LlmError>) -> Vec<Step> {
    let output = reply.as_ref().map_or(0, estimate_reply_tokens);
    let usage = turn.usage.unwrap_or(Usage { input, output, ..Usage::default() });
    let end = match reply.and_then(|reply| call.limits.allow(&usage).map(|()| reply)) {
        Err(error) => Step::Fail(error),
        Ok(reply) => Step::Event(StreamEvent::Done(reply)),
    };
    vec![Step::Event(StreamEvent::Usage(usage)), end]
}

/// `text` in pieces that end after a word; together they are `text`.
fn words(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, letter) in text.char_indices() {
        let end = at + letter.len_utf8();
        if letter.is_whitespace() && end - start >= PIECE_BYTES {
            pieces.push(&text[start..end]);
            start = end;
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// The bytes of a script file, at most [`MAX_SCRIPT_BYTES`] of them.
pub(crate) fn read_script(path: &Path) -> Result<Vec<u8>, ScriptError> {
    let failed = |source| ScriptError::Read { path: path.to_owned(), source };
    // Looked at before it is opened: opening a pipe waits for its other end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_SCRIPT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SCRIPT_BYTES {
        return Err(ScriptError::TooLarge { path: path.to_owned(), cap_bytes: MAX_SCRIPT_BYTES });
    }
    Ok(bytes)
}

fn not_utf8(path: &Path, before: &[u8]) -> ScriptError {
    let before = String::from_utf8_lossy(before);
    let last = before.rsplit('\n').next().unwrap_or_default();
    ScriptError::Invalid {
        path: path.to_owned(),
        line: before.matches('\n').count() as u64 + 1,
        column: last.chars().count() as u64 + 1,
        message: "not UTF-8".to_owned(),
    }
}

/// Names in errors are for people: the first 200 characters.
pub(crate) fn shortened(name: &str) -> String {
    name.chars().take(200).collect()
}
