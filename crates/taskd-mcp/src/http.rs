//! A server over streamable HTTP, on loopback, for whoever holds the token: each POST is one message,
//! each answer one JSON object. There are no sessions and no streams of the server's own.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    MAX_MESSAGE_BYTES, VERSIONS,
    server::{Next, Progress, Server, Service},
};

/// Where it is served.
pub const PATH: &str = "/mcp";

/// The shortest token that keeps anybody out, in bytes.
const MIN_TOKEN_BYTES: usize = 32;

/// Why it is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Anybody on the network could come.
    #[error("{0} is not a loopback address; MCP is served on loopback only")]
    NotLoopback(SocketAddr),
    /// Anybody on this machine could guess it.
    #[error("the token is too short")]
    WeakToken,
    /// The system says no.
    #[error("cannot be served: {0}")]
    Io(#[from] std::io::Error),
}

struct Shared<S> {
    server: Server<S>,
    token: String,
}

/// Serves a listener until the future is dropped.
///
/// # Errors
/// The address is not loopback, the token too short, or the socket fails.
pub async fn serve_http<S: Service + Send + 'static>(
    listener: TcpListener,
    server: Server<S>,
    token: String,
) -> Result<(), HttpError> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(HttpError::NotLoopback(address));
    }
    if token.len() < MIN_TOKEN_BYTES {
        return Err(HttpError::WeakToken);
    }
    let shared = Arc::new(Shared { server, token });
    let app = Router::new().route(PATH, post(message::<S>)).with_state(shared);
    Ok(axum::serve(listener, app).await?)
}

async fn message<S: Service + Send + 'static>(
    State(shared): State<Arc<Shared<S>>>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    if let Err((status, why)) = admit(&head.headers, &shared.token) {
        let error = json!({ "code": -32_600, "message": why });
        return as_json(status, &json!({ "jsonrpc": "2.0", "id": null, "error": error }));
    }
    let Ok(bytes) = to_bytes(body, MAX_MESSAGE_BYTES).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the message is too long\n").into_response();
    };
    answered(&shared, &bytes).await
}

async fn answered<S: Service>(shared: &Shared<S>, bytes: &Bytes) -> Response {
    match shared.server.next(bytes) {
        Next::Reply(message) => {
            let nobodys = message["id"].is_null();
            let status = if nobodys { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            as_json(status, &message)
        }
        // Who hangs up does not want it any more.
        Next::Call(asked) => {
            as_json(StatusCode::OK, &shared.server.done(asked, Progress::nobody()).await)
        }
        // Without sessions an id says nothing about whose call it is.
        Next::Cancel(_) | Next::Nothing => StatusCode::ACCEPTED.into_response(),
    }
}

fn as_json(status: StatusCode, message: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], message.to_string()).into_response()
}

/// Whoever comes from a page in a browser, by another name than loopback's or without the token is
/// turned away; so is another version.
fn admit(headers: &HeaderMap, token: &str) -> Result<(), (StatusCode, &'static str)> {
    let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap_or("?"));
    if !text("host").is_some_and(is_loopback) {
        return Err((StatusCode::FORBIDDEN, "`Host` is not loopback"));
    }
    let own_page = |origin: &str| origin.strip_prefix("http://").is_some_and(is_loopback);
    if !text("origin").is_none_or(own_page) {
        return Err((StatusCode::FORBIDDEN, "`Origin` is not loopback"));
    }
    let given = text("authorization").and_then(|it| it.strip_prefix("Bearer "));
    if !given.is_some_and(|it| same(it.trim().as_bytes(), token.as_bytes())) {
        return Err((StatusCode::UNAUTHORIZED, "send `Authorization: Bearer TOKEN`"));
    }
    match text("mcp-protocol-version") {
        Some(version) if !VERSIONS.contains(&version) => {
            Err((StatusCode::BAD_REQUEST, "`MCP-Protocol-Version` is not spoken here"))
        }
        Some(_) | None => Ok(()),
    }
}

/// `127.0.0.1:7`, `[::1]:7`, `localhost`.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let plain = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || plain.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// Takes the same time wherever they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for good in
            ["127.0.0.1", "127.0.0.1:80", "localhost:1", "localhost", "[::1]:9", "127.9.9.9"]
        {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org:80",
            "10.0.0.1",
            "0.0.0.0",
            "localhost:x",
            "[::2]",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
