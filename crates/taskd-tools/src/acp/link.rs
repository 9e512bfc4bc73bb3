//! Our side of one agent program: what was asked and not answered, and what it says meanwhile.
//!
//! Synchronous where the program's output arrives: [`Link::feed`] never waits. A program that breaks
//! the protocol is done for: every question to it ends with the reason, and no more is read.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::unix::pipe,
    sync::{mpsc, oneshot, watch},
};

use super::update::{Choice, Said, question, said};
use crate::agents::one_line;

/// A longer line is a failure: no agent says so much at once.
pub const LINE_MAX_BYTES: usize = 8 << 20;
/// Lines that are not of the protocol and are forgiven: banners and warnings.
const ASIDES_MAX: u32 = 16;
/// Messages to the program that may wait to be written.
const OUTBOX: usize = 64;
/// What it says while nobody listens yet; more is lost, like all noise.
const SAID: usize = 1_024;
/// A line beside the protocol is cut after so many bytes.
const ASIDE_MAX_BYTES: usize = 400;
const SESSION_MAX_BYTES: usize = 256;

/// JSON-RPC: there is no such method.
const NO_METHOD: i64 = -32_601;
/// ACP: it is not logged in.
const AUTH_REQUIRED: i64 = -32_000;

/// Why a program does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcpError {
    /// It prints something else.
    #[error("it prints lines that are no JSON-RPC, as in: {line}")]
    Garbage {
        /// The last of them, in at most 200 characters.
        line: String,
    },
    /// A line is too long.
    #[error("it prints a line of more than {LINE_MAX_BYTES} bytes")]
    LineTooLong,
    /// It answers what was never asked.
    #[error("it answers request {id}, which was never made")]
    UnknownReply {
        /// The id, in at most 200 characters.
        id: String,
    },
    /// It reads nothing.
    #[error("it does not read what is written to it")]
    Deaf,
    /// Its reply lacks something.
    #[error("its reply to `{method}` has no `{missing}`")]
    Reply {
        /// What was asked.
        method: &'static str,
        /// What is missing.
        missing: &'static str,
    },
    /// It speaks another version.
    #[error("it speaks version {0} of the protocol; this is version 1")]
    Version(u64),
    /// It says nothing.
    #[error("it does not say hello, or begins no session")]
    Silent,
    /// It wants a login first.
    #[error("it is not logged in: {message}")]
    NotLoggedIn {
        /// Its words, in at most 200 characters.
        message: String,
    },
    /// It says no.
    #[error("it refuses `{method}` ({code}): {message}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// The code of JSON-RPC.
        code: i64,
        /// Its words, in at most 200 characters.
        message: String,
    },
    /// It does not offer what is needed.
    #[error("it cannot go on with a session")]
    CannotLoad,
    /// It is gone.
    #[error("it ended in the middle")]
    Gone,
}

impl AcpError {
    /// It breaks the protocol: what it says next cannot be trusted either.
    #[must_use]
    pub fn is_breach(&self) -> bool {
        match self {
            Self::Garbage { .. }
            | Self::LineTooLong
            | Self::UnknownReply { .. }
            | Self::Deaf
            | Self::Reply { .. }
            | Self::Silent
            | Self::Version(_) => true,
            Self::NotLoggedIn { .. } | Self::Refused { .. } | Self::CannotLoad | Self::Gone => {
                false
            }
        }
    }
}

/// What a program says it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Go on with an earlier session.
    pub loads_sessions: bool,
    /// Its own name and version, if it says them; one line.
    pub name: Option<String>,
}

/// A question of the agent that waits for our answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Permission {
    /// The id of its request, as it came.
    id: Value,
    /// What it wants to do, in one line.
    pub text: String,
    /// What may be answered, in its order.
    pub choices: Vec<Choice>,
}

impl Permission {
    /// The choice that lets it go on, or not: for this once where there is one.
    #[must_use]
    pub fn choice(&self, allow: bool) -> Option<&Choice> {
        let right = || self.choices.iter().filter(move |it| it.allows == allow);
        right().find(|it| it.once).or_else(|| right().next())
    }
}

/// Why a prompt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The protocol's word: `end_turn`, `max_tokens`, `refusal`, …
    pub reason: String,
    /// What the session has used so far, if it says.
    pub usage: Option<Used>,
}

/// Tokens of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Input tokens that came from no cache.
    pub input: u64,
    /// Output tokens, those of its thoughts among them.
    pub output: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
}

type Reply = Result<Value, (i64, String)>;

#[derive(Debug)]
struct State {
    line: Vec<u8>,
    aside: Vec<u8>,
    asides: u32,
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Reply>>,
    said: Option<mpsc::Sender<Said>>,
    told: String,
    /// No more is read and asked.
    over: Option<AcpError>,
    /// Counts signs of life.
    heard: watch::Sender<u64>,
    /// Nothing after we hang up.
    out: Option<mpsc::Sender<Vec<u8>>>,
}

/// Our side of one program. Cheap to share.
#[derive(Debug)]
pub struct Link(Mutex<State>);

/// What is still to be written to the program.
#[derive(Debug)]
pub struct Outbox(mpsc::Receiver<Vec<u8>>);

impl Outbox {
    /// Writes as it comes, until [`Link::hang_up`]; then its input is at its end.
    pub async fn write_to(mut self, mut input: pipe::Sender) {
        while let Some(bytes) = self.0.recv().await {
            if input.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}

impl Link {
    /// For a program that is about to be started.
    #[must_use]
    pub fn new() -> (Arc<Self>, Outbox) {
        let (out, outbox) = mpsc::channel(OUTBOX);
        let state = State {
            line: Vec::new(),
            aside: Vec::new(),
            asides: 0,
            next: 0,
            waiting: BTreeMap::new(),
            said: None,
            told: String::new(),
            over: None,
            heard: watch::channel(0).0,
            out: Some(out),
        };
        (Arc::new(Self(Mutex::new(state))), Outbox(outbox))
    }

    /// Takes what it printed on stdout, split anywhere.
    pub fn feed(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.sign();
        let mut rest = bytes;
        while state.over.is_none() {
            let end = rest.iter().position(|it| *it == b'\n');
            let piece = &rest[..end.unwrap_or(rest.len())];
            if LINE_MAX_BYTES < state.line.len() + piece.len() {
                state.line = Vec::new();
                return state.give_up(AcpError::LineTooLong);
            }
            state.line.extend_from_slice(piece);
            let Some(end) = end else { return };
            let line = std::mem::take(&mut state.line);
            state.line(&line);
            rest = &rest[end + 1..];
        }
    }

    /// Takes what it printed on stderr: lines for people.
    pub fn aside(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.sign();
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut state.aside);
                state.say(Said::Aside(String::from_utf8_lossy(&line).into_owned()));
            } else if state.aside.len() < ASIDE_MAX_BYTES {
                state.aside.push(*byte);
            }
        }
    }

    /// The program is gone.
    pub fn gone(&self) {
        self.state().give_up(AcpError::Gone);
    }

    /// It is told nothing more: its input ends, and most programs with it.
    pub fn hang_up(&self) {
        self.state().out = None;
    }

    /// Why nothing more can be asked, if it cannot.
    #[must_use]
    pub fn over(&self) -> Option<AcpError> {
        self.state().over.clone()
    }

    /// Changes with each sign of life: what it prints, and an answer it waited for.
    #[must_use]
    pub fn heard(&self) -> watch::Receiver<u64> {
        self.state().heard.subscribe()
    }

    /// What it says from now on; whoever listened before hears no more.
    pub fn listen(&self) -> mpsc::Receiver<Said> {
        let (said, hears) = mpsc::channel(SAID);
        let mut state = self.state();
        state.said = Some(said);
        state.told.clear();
        hears
    }

    /// Says hello: which version, and what we offer, which is nothing.
    ///
    /// # Errors
    /// It does not speak the protocol, or another version of it.
    pub async fn initialize(&self) -> Result<Abilities, AcpError> {
        const METHOD: &str = "initialize";
        let files = json!({"readTextFile": false, "writeTextFile": false});
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": files, "terminal": false},
            "clientInfo": {"name": "taskd", "version": env!("CARGO_PKG_VERSION")},
        });
        let reply = self.ask(METHOD, params).await?;
        let missing = "protocolVersion";
        let version = reply[missing].as_u64();
        match version.ok_or(AcpError::Reply { method: METHOD, missing })? {
            1 => {}
            other => return Err(AcpError::Version(other)),
        }
        let loads = reply.pointer("/agentCapabilities/loadSession").and_then(Value::as_bool);
        let info = |it: &str| reply["agentInfo"][it].as_str();
        let name = info("name").map(|it| format!("{it} {}", info("version").unwrap_or_default()));
        let name = name.as_deref().and_then(one_line).map(|it| it.trim().to_owned());
        Ok(Abilities { loads_sessions: loads.unwrap_or(false), name })
    }

    /// Begins a session in a directory, with a fresh context.
    ///
    /// # Errors
    /// It refuses, or is gone, or breaks the protocol.
    pub async fn new_session(&self, cwd: &Path) -> Result<String, AcpError> {
        const METHOD: &str = "session/new";
        let reply = self.ask(METHOD, json!({"cwd": cwd, "mcpServers": []})).await?;
        let missing = "sessionId";
        let id = reply[missing].as_str();
        let id = id.filter(|it| !it.is_empty() && it.len() <= SESSION_MAX_BYTES);
        id.map(str::to_owned).ok_or(AcpError::Reply { method: METHOD, missing })
    }

    /// Goes on with an earlier session. What it says before this returns is the past.
    ///
    /// # Errors
    /// It does not know the session, or is gone, or breaks the protocol.
    pub async fn load_session(&self, cwd: &Path, session: &str) -> Result<(), AcpError> {
        let params = json!({"sessionId": session, "cwd": cwd, "mcpServers": []});
        self.ask("session/load", params).await.map(drop)
    }

    /// Hands over a prompt and waits until it has been worked on.
    ///
    /// # Errors
    /// It refuses, or is gone, or breaks the protocol.
    pub async fn prompt(&self, session: &str, text: &str) -> Result<Stop, AcpError> {
        const METHOD: &str = "session/prompt";
        let prompt = json!([{"type": "text", "text": text}]);
        let reply = self.ask(METHOD, json!({"sessionId": session, "prompt": prompt})).await?;
        let missing = "stopReason";
        let reason = reply[missing].as_str().and_then(one_line);
        let reason = reason.ok_or(AcpError::Reply { method: METHOD, missing })?;
        Ok(Stop { reason, usage: used(&reply["usage"]) })
    }

    /// Takes a prompt back; [`Link::prompt`] then returns.
    pub fn cancel(&self, session: &str) {
        let params = json!({"sessionId": session});
        let mut state = self.state();
        state.write(&json!({"jsonrpc": "2.0", "method": "session/cancel", "params": params}));
    }

    /// Answers a question; nothing is no answer, which the protocol calls cancelled.
    pub fn answer(&self, question: &Permission, choice: Option<&str>) {
        let outcome = match choice {
            Some(id) => json!({"outcome": "selected", "optionId": id}),
            None => json!({"outcome": "cancelled"}),
        };
        let mut state = self.state();
        // Whoever asked was not silent of its own.
        state.sign();
        state.reply(&question.id, &json!({"outcome": outcome}));
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Value, AcpError> {
        let (tell, told) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(over) = &state.over {
                return Err(over.clone());
            }
            let id = state.next;
            state.next += 1;
            state.waiting.insert(id, tell);
            let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            state.write(&message);
        }
        match told.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err((AUTH_REQUIRED, message))) => Err(AcpError::NotLoggedIn { message }),
            Ok(Err((code, message))) => Err(AcpError::Refused { method, code, message }),
            Err(_dropped) => Err(self.over().unwrap_or(AcpError::Gone)),
        }
    }

    /// A panic while it was held leaves data that is still whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn line(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Ok(message @ Value::Object(_)) = serde_json::from_slice::<Value>(line) else {
            self.asides += 1;
            let cut = &line[..line.len().min(ASIDE_MAX_BYTES)];
            let line = String::from_utf8_lossy(cut).into_owned();
            if ASIDES_MAX < self.asides {
                let line = one_line(&line).unwrap_or_default();
                return self.give_up(AcpError::Garbage { line });
            }
            return self.say(Said::Aside(line));
        };
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some(method), Some(id)) => self.asked(method, id, &message["params"]),
            (Some("session/update"), None) => {
                if let Some(said) = said(&message["params"]["update"]) {
                    self.say(said);
                }
            }
            // Other news is not for us.
            (Some(_), None) => {}
            (None, id) => self.answered(id.unwrap_or(&Value::Null), &message),
        }
    }

    fn asked(&mut self, method: &str, id: &Value, params: &Value) {
        if method != "session/request_permission" {
            let error = json!({"code": NO_METHOD, "message": "taskd does not offer this"});
            return self.write(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
        let (text, choices) = question(params);
        let asks = Said::Asks(Permission { id: id.clone(), text, choices });
        let heard = self.said.as_ref().is_some_and(|it| it.try_send(asks).is_ok());
        if !heard {
            self.reply(id, &json!({"outcome": {"outcome": "cancelled"}}));
        }
    }

    fn answered(&mut self, id: &Value, message: &Value) {
        let known = id.as_u64().filter(|it| *it < self.next);
        let Some(known) = known else {
            let id = one_line(&id.to_string()).unwrap_or_default();
            return self.give_up(AcpError::UnknownReply { id });
        };
        let reply = match message.get("error") {
            Some(error) => {
                let words = error["message"].as_str().and_then(one_line).unwrap_or_default();
                Err((error["code"].as_i64().unwrap_or(0), words))
            }
            None => Ok(message.get("result").cloned().unwrap_or(Value::Null)),
        };
        // Nobody waits for a second reply, or one that came too late.
        if let Some(waits) = self.waiting.remove(&known) {
            waits.send(reply).ok();
        }
    }

    fn sign(&self) {
        self.heard.send_modify(|it| *it += 1);
    }

    /// Noise: lost when nobody listens or the listener is behind. The same activity is told once.
    fn say(&mut self, said: Said) {
        if let Said::Activity(text) = &said {
            if *text == self.told {
                return;
            }
            self.told.clone_from(text);
        }
        if let Some(listener) = &self.said {
            listener.try_send(said).ok();
        }
    }

    fn reply(&mut self, id: &Value, result: &Value) {
        self.write(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn write(&mut self, message: &Value) {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(b'\n');
        if let Some(out) = &self.out
            && let Err(mpsc::error::TrySendError::Full(_)) = out.try_send(bytes)
        {
            self.give_up(AcpError::Deaf);
        }
    }

    /// The first reason stands; whoever waits for a reply learns it.
    fn give_up(&mut self, why: AcpError) {
        self.over.get_or_insert(why);
        self.waiting.clear();
        self.line = Vec::new();
    }
}

/// The numbers of a reply to a prompt.
fn used(usage: &Value) -> Option<Used> {
    let of = |name: &str| usage[name].as_u64();
    let (input, output) = (of("inputTokens")?, of("outputTokens")?);
    let cache_read = of("cachedReadTokens").unwrap_or(0);
    let cache_write = of("cachedWriteTokens").unwrap_or(0);
    Some(Used { input, output, cache_read, cache_write })
}

#[cfg(test)]
mod tests;
