//! JSON-RPC 2.0 as MCP uses it: one object a message, no batches.

use serde_json::{Map, Value, json};

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Wants an answer.
    Request {
        /// A number or a text; the answer carries it.
        id: Value,
        /// What is asked.
        method: String,
        /// With what.
        params: Map<String, Value>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: String,
        /// With what.
        params: Map<String, Value>,
    },
    /// An answer.
    Response {
        /// The request's.
        id: Value,
        /// What came of it.
        result: Result<Value, RpcError>,
    },
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// JSON-RPC's number.
    pub code: i64,
    /// For people.
    pub message: String,
}

impl RpcError {
    pub(crate) fn parse(message: &str) -> Self {
        Self { code: -32_700, message: message.to_owned() }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self { code: -32_600, message: message.to_owned() }
    }

    pub(crate) fn unknown(method: &str) -> Self {
        let method: String = method.chars().take(64).collect();
        Self { code: -32_601, message: format!("there is no method {method:?} here") }
    }

    pub(crate) fn params(message: &str) -> Self {
        Self { code: -32_602, message: message.to_owned() }
    }

    /// As it travels.
    pub(crate) fn object(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// It is no JSON, or JSON that is no message.
    pub fn read(bytes: &[u8]) -> Result<Self, RpcError> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|_| RpcError::parse("this is not JSON"))?;
        let Value::Object(mut object) = value else {
            return Err(RpcError::invalid("a message is one JSON object; batches are not served"));
        };
        if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(RpcError::invalid("`jsonrpc` is not \"2.0\""));
        }
        let id = object.remove("id").filter(|it| !it.is_null());
        if id.as_ref().is_some_and(|it| !it.is_number() && !it.is_string()) {
            return Err(RpcError::invalid("`id` is neither a number nor a text"));
        }
        let Some(method) = object.remove("method") else { return response(id, object) };
        let Value::String(method) = method else {
            return Err(RpcError::invalid("`method` is no text"));
        };
        let params = match object.remove("params") {
            Some(Value::Object(params)) => params,
            Some(Value::Null) | None => Map::new(),
            Some(_) => return Err(RpcError::params("`params` is no object")),
        };
        Ok(match id {
            Some(id) => Self::Request { id, method, params },
            None => Self::Notification { method, params },
        })
    }
}

fn response(id: Option<Value>, mut object: Map<String, Value>) -> Result<Message, RpcError> {
    let id = id.unwrap_or_default();
    let result = match (object.remove("result"), object.remove("error")) {
        (Some(result), None) => Ok(result),
        (_, Some(error)) => Err(RpcError {
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        }),
        (None, None) => return Err(RpcError::invalid("there is no `method`")),
    };
    Ok(Message::Response { id, result })
}

/// A request as a value.
pub(crate) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A notification as a value.
pub(crate) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// An answer as a value.
pub(crate) fn reply(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error.object() }),
    }
}

/// A message as a line.
pub(crate) fn line(message: &Value) -> String {
    format!("{message}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_and_nonsense_is_named() {
        let read = |text: &str| Message::read(text.as_bytes());
        let request = read(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#).unwrap();
        assert!(matches!(request, Message::Request { id, .. } if id == 0));
        let told = read(r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"a":1}}"#);
        assert!(matches!(told, Ok(Message::Notification { params, .. }) if params["a"] == 1));
        let error = read(r#"{"jsonrpc":"2.0","id":"7","error":{"code":-32601,"message":"no"}}"#);
        let Ok(Message::Response { id, result: Err(error) }) = error else { panic!("{error:?}") };
        assert_eq!((id.as_str(), error.to_string().as_str()), (Some("7"), "no (-32601)"));
        for (bad, code) in [
            ("{", -32_700),
            ("[]", -32_600),
            (r#"{"id":1,"method":"x"}"#, -32_600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32_600),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32_600),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32_600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#, -32_602),
        ] {
            assert_eq!(read(bad).unwrap_err().code, code, "{bad}");
        }
    }
}
