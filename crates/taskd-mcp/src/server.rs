//! A server of tools: what is answered to which message. Carries no byte itself.

use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::{
    Message, RpcError, VERSIONS,
    rpc::{notification, reply},
};

/// A tool as it is listed.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it does, for a model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: Value,
    /// It changes nothing.
    pub read_only: bool,
}

/// What a tool says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// For a model.
    pub text: String,
    /// For a program.
    pub structured: Option<Value>,
    /// It did nothing, and `text` says why.
    pub is_error: bool,
}

/// The tools of a server.
pub trait Service: Sync {
    /// Those that whoever asks may use.
    fn tools(&self) -> Vec<Tool>;

    /// Does one call. What is wrong with it is an answer, also that there is no such tool. Dropped
    /// when nobody wants it any more.
    fn call(
        &self,
        name: String,
        args: Map<String, Value>,
        progress: Progress,
    ) -> BoxFuture<'_, Answer>;
}

/// Says how far a call is, to a client that asked to be told.
#[derive(Debug)]
pub struct Progress {
    said: u64,
    to: Option<(Value, mpsc::Sender<Value>)>,
}

impl Progress {
    /// Nobody wants to be told.
    pub(crate) fn nobody() -> Self {
        Self { said: 0, to: None }
    }

    pub(crate) fn new(token: Option<Value>, tell: &mpsc::Sender<Value>) -> Self {
        Self { said: 0, to: token.map(|it| (it, tell.clone())) }
    }

    /// Tells one line; lost if the client does not read.
    pub fn say(&mut self, message: &str) {
        let Some((token, tell)) = &self.to else { return };
        self.said += 1;
        let params = json!({ "progressToken": token, "progress": self.said, "message": message });
        tell.try_send(notification("notifications/progress", &params)).ok();
    }
}

/// A service with its name.
#[derive(Debug)]
pub struct Server<S> {
    /// The program's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What a client should know before it asks.
    pub instructions: String,
    /// The tools.
    pub service: S,
}

/// A call that is to be done.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: Value,
    pub(crate) name: String,
    pub(crate) args: Map<String, Value>,
    /// Under which it wants to be told of progress.
    pub(crate) token: Option<Value>,
}

/// What follows from a message.
#[derive(Debug)]
pub(crate) enum Next {
    /// This is said.
    Reply(Value),
    /// This is done, and its answer said.
    Call(Asked),
    /// The call of this id is not wanted any more.
    Cancel(Value),
    /// Nothing.
    Nothing,
}

impl<S: Service> Server<S> {
    /// What follows from the bytes of a message.
    pub(crate) fn next(&self, bytes: &[u8]) -> Next {
        match Message::read(bytes) {
            Err(error) => Next::Reply(reply(&Value::Null, Err(error))),
            Ok(Message::Request { id, method, params }) => self.request(id, &method, params),
            Ok(Message::Notification { method, mut params }) => {
                match (method.as_str(), params.remove("requestId")) {
                    ("notifications/cancelled", Some(id)) => Next::Cancel(id),
                    _ => Next::Nothing,
                }
            }
            // We ask clients for nothing.
            Ok(Message::Response { .. }) => Next::Nothing,
        }
    }

    fn request(&self, id: Value, method: &str, mut params: Map<String, Value>) -> Next {
        let result = match method {
            "initialize" => Ok(self.hello(&params)),
            "ping" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": self.listed() })),
            "tools/call" => {
                let token = params.get("_meta").and_then(|it| it.get("progressToken")).cloned();
                let args = match params.remove("arguments") {
                    Some(Value::Object(args)) => Some(args),
                    Some(Value::Null) | None => Some(Map::new()),
                    Some(_) => None,
                };
                match (params.remove("name"), args) {
                    (Some(Value::String(name)), Some(args)) => {
                        return Next::Call(Asked { id, name, args, token });
                    }
                    _ => Err(RpcError::params("`name` is a text and `arguments` an object")),
                }
            }
            _ => Err(RpcError::unknown(method)),
        };
        Next::Reply(reply(&id, result))
    }

    /// The handshake: the client's version if we speak it, or else our newest.
    fn hello(&self, params: &Map<String, Value>) -> Value {
        let theirs = params.get("protocolVersion").and_then(Value::as_str);
        let version = VERSIONS.into_iter().find(|it| Some(*it) == theirs).unwrap_or(VERSIONS[0]);
        json!({
            "protocolVersion": version,
            "capabilities": { "tools": {} },
            "serverInfo": { "name": self.name, "version": self.version },
            "instructions": self.instructions,
        })
    }

    fn listed(&self) -> Vec<Value> {
        let one = |it: Tool| {
            json!({
                "name": it.name,
                "description": it.description,
                "inputSchema": it.schema,
                "annotations": { "readOnlyHint": it.read_only, "openWorldHint": false },
            })
        };
        self.service.tools().into_iter().map(one).collect()
    }

    /// Does a call and gives its answer as it is said.
    pub(crate) async fn done(&self, asked: Asked, progress: Progress) -> Value {
        let answer = self.service.call(asked.name, asked.args, progress).await;
        let mut result = json!({
            "content": [{ "type": "text", "text": answer.text }],
            "isError": answer.is_error,
        });
        if let Some(structured) = answer.structured {
            result["structuredContent"] = structured;
        }
        reply(&asked.id, Ok(result))
    }
}
