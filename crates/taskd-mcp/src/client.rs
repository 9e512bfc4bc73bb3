//! A client of a server that somebody else runs: it writes to the program's stdin and is handed what
//! the program prints ([`Ear`]). Time limits are the caller's: every wait can be dropped.
//!
//! A server is not trusted: its lines, its pages and what waits to be read have limits, and what it
//! asks for is refused.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
};

use crate::{
    MAX_MESSAGE_BYTES, Message, RpcError, VERSIONS,
    lines::{Line, Lines},
    rpc::{line, notification, reply, request},
};

/// What may wait to be read, in bytes.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// What a line costs beside its bytes.
const LINE_BYTES: usize = 64;
/// Lines on stdout that are no message before the server is given up.
const MAX_STRAY_LINES: u32 = 100;
/// Pages of one list of tools.
const MAX_PAGES: usize = 32;
/// A text of a server's error is cut after so many characters.
const ERROR_CHARS: usize = 400;

/// Why a server could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody reads what we write.
    #[error("it does not take what is written to it")]
    Deaf,
    /// It printed more than is kept.
    #[error("it printed a message of more than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// It prints faster than anybody reads.
    #[error("it printed more than {MAX_WAITING_BYTES} bytes that nobody had asked for")]
    Flood,
    /// It prints, but not MCP.
    #[error("what it prints is not MCP")]
    Stray,
    /// It speaks no version we do.
    #[error("it speaks MCP {0}, which is not spoken here")]
    Version(String),
    /// It answers, but not what was asked.
    #[error("its answer to `{0}` is not what MCP says")]
    Answer(&'static str),
    /// It says no.
    #[error("it says: {0}")]
    Refused(RpcError),
}

/// A tool as a server lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name, at the server.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments: an object.
    pub schema: Value,
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// For the model.
    pub text: String,
    /// It says that it failed.
    pub is_error: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    fault: Option<Fault>,
}

/// Hears what the program prints on its stdout; never blocks.
#[derive(Debug)]
pub struct Ear {
    lines: Lines,
    mailbox: Arc<(Mutex<Mailbox>, Notify)>,
}

impl Ear {
    /// Takes the next bytes; nothing once nobody listens any more.
    pub fn hear(&mut self, bytes: &[u8]) {
        if Arc::strong_count(&self.mailbox) == 1 {
            return;
        }
        let (mailbox, bell) = &*self.mailbox;
        let mut mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        self.lines.push(bytes, |line| match line {
            _ if mailbox.fault.is_some() => {}
            Line::TooLong => mailbox.fault = Some(Fault::TooLong),
            Line::Whole(line) if MAX_WAITING_BYTES < mailbox.bytes + line.len() + LINE_BYTES => {
                mailbox.fault = Some(Fault::Flood);
            }
            Line::Whole(line) => {
                mailbox.bytes += line.len() + LINE_BYTES;
                mailbox.waiting.push_back(line);
            }
        });
        drop(mailbox);
        bell.notify_one();
    }
}

/// A conversation with one server.
#[derive(Debug)]
pub struct Client<W> {
    writer: W,
    mailbox: Arc<(Mutex<Mailbox>, Notify)>,
    asked: u64,
    stray: u32,
}

/// What hears a server, and what will speak with it once `writer` is there.
pub fn ear<W: AsyncWrite + Unpin>() -> (Ear, impl FnOnce(W) -> Client<W>) {
    let mailbox = Arc::new((Mutex::default(), Notify::new()));
    let ear = Ear { lines: Lines::new(MAX_MESSAGE_BYTES), mailbox: Arc::clone(&mailbox) };
    (ear, move |writer| Client { writer, mailbox, asked: 0, stray: 0 })
}

impl<W: AsyncWrite + Unpin> Client<W> {
    /// The handshake.
    ///
    /// # Errors
    /// It does not answer as it should.
    pub async fn hello(&mut self, name: &str, version: &str) -> Result<(), Fault> {
        let params = json!({
            "protocolVersion": VERSIONS[0],
            "capabilities": {},
            "clientInfo": { "name": name, "version": version },
        });
        let answer = self.ask("initialize", &params).await?;
        let theirs = answer["protocolVersion"].as_str().ok_or(Fault::Answer("initialize"))?;
        if !VERSIONS.contains(&theirs) {
            return Err(Fault::Version(cut(theirs, 40)));
        }
        self.say(&notification("notifications/initialized", &json!({}))).await
    }

    /// Its tools, at most so many.
    ///
    /// # Errors
    /// It does not answer as it should.
    pub async fn tools(&mut self, most: usize) -> Result<Vec<Listed>, Fault> {
        const METHOD: &str = "tools/list";
        let mut tools = Vec::new();
        let mut params = json!({});
        for _ in 0..MAX_PAGES {
            let mut page = self.ask(METHOD, &params).await?;
            let Value::Array(listed) = page["tools"].take() else {
                return Err(Fault::Answer(METHOD));
            };
            tools.extend(listed.into_iter().filter_map(listed_tool));
            match page["nextCursor"].as_str() {
                Some(cursor) if tools.len() < most => params = json!({ "cursor": cursor }),
                Some(_) | None => break,
            }
        }
        tools.truncate(most);
        Ok(tools)
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// It does not answer as it should; a tool that failed is an answer.
    pub async fn call(&mut self, tool: &str, args: Map<String, Value>) -> Result<Called, Fault> {
        const METHOD: &str = "tools/call";
        let answer = self.ask(METHOD, &json!({ "name": tool, "arguments": args })).await?;
        if !answer.is_object() {
            return Err(Fault::Answer(METHOD));
        }
        let is_error = answer["isError"].as_bool().unwrap_or(false);
        let parts = answer["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut text = parts.iter().map(shown).collect::<Vec<_>>().join("\n");
        if let Some(structured) = answer.get("structuredContent")
            && text.is_empty()
        {
            text = structured.to_string();
        }
        Ok(Called { text, is_error })
    }

    /// Asks, and waits for the answer of that request; what else comes is passed over.
    async fn ask(&mut self, method: &'static str, params: &Value) -> Result<Value, Fault> {
        self.asked += 1;
        let id = self.asked;
        self.say(&request(id, method, params)).await?;
        loop {
            let bytes = self.heard().await?;
            match Message::read(&bytes) {
                Ok(Message::Response { id: of, result }) if of == id => {
                    return result.map_err(|it| {
                        Fault::Refused(RpcError { message: cut(&it.message, ERROR_CHARS), ..it })
                    });
                }
                // Of a request that was given up, or a remark.
                Ok(Message::Response { .. } | Message::Notification { .. }) => {}
                Ok(Message::Request { id, method, .. }) => {
                    let result = match method.as_str() {
                        "ping" => Ok(json!({})),
                        _ => Err(RpcError::unknown(&method)),
                    };
                    self.say(&reply(&id, result)).await?;
                }
                Err(_) if self.stray < MAX_STRAY_LINES => self.stray += 1,
                Err(_) => return Err(Fault::Stray),
            }
        }
    }

    async fn heard(&self) -> Result<Vec<u8>, Fault> {
        let (mailbox, bell) = &*self.mailbox;
        loop {
            {
                let mut mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = mailbox.waiting.pop_front() {
                    mailbox.bytes -= line.len() + LINE_BYTES;
                    return Ok(line);
                }
                if let Some(fault) = &mailbox.fault {
                    return Err(fault.clone());
                }
            }
            bell.notified().await;
        }
    }

    async fn say(&mut self, message: &Value) -> Result<(), Fault> {
        let said = self.writer.write_all(line(message).as_bytes()).await;
        said.map_err(|_| Fault::Deaf)
    }
}

fn listed_tool(mut it: Value) -> Option<Listed> {
    let Value::String(name) = it["name"].take() else { return None };
    let description = it["description"].as_str().unwrap_or_default().to_owned();
    let schema = it["inputSchema"].take();
    schema.is_object().then_some(Listed { name, description, schema })
}

/// A part of an answer as text; what is none is named.
fn shown(part: &Value) -> String {
    let bytes = |it: &Value| it.as_str().map_or(0, str::len);
    match part["type"].as_str().unwrap_or_default() {
        "text" => part["text"].as_str().unwrap_or_default().to_owned(),
        "resource" => match part["resource"]["text"].as_str() {
            Some(text) => text.to_owned(),
            None => {
                format!("[a resource, {} bytes, is not shown]", bytes(&part["resource"]["blob"]))
            }
        },
        "resource_link" => {
            format!("[a resource: {}]", cut(part["uri"].as_str().unwrap_or_default(), ERROR_CHARS))
        }
        other => format!("[{}, {} bytes, is not shown]", cut(other, 40), bytes(&part["data"])),
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().filter(|it| !it.is_control()).take(chars).collect()
}

#[cfg(test)]
mod tests;
