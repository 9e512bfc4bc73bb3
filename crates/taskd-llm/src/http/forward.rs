//! A call of somebody else's, passed on: the bytes as they came, with our credential.
//!
//! Nothing is asked twice and nothing is changed. What is read of the answer goes out as it is, in
//! the pieces in which it came; a [`Tap`] beside it counts what was used and keeps none of it.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{
    Method, Response,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST,
        HeaderMap, HeaderName, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use taskd_model::RateLevels;
use tokio::time::{Instant, timeout_at};

use super::{
    Link,
    exchange::{kind_of, late, millis, not_sent},
    tap::Tap,
    wait::{named_wait, now_s},
};
use crate::{BodyKind, CallLimits, LlmError, Origin, Wait};

/// What is between two neighbours only, or says who asks.
const NOT_PASSED_ON: [HeaderName; 13] = [
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONNECTION,
    COOKIE,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("x-api-key"),
];

/// A call as it came.
pub struct Forward {
    /// It has a body, which is sent by `POST`; without one it is a `GET`.
    pub body: Option<Bytes>,
    /// Path and query: `/v1/messages?beta=true`.
    pub path: String,
    /// Its headers. Those that say who asks are replaced.
    pub headers: HeaderMap,
}

/// Shows neither headers nor body.
impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward").field("path", &self.path).finish_non_exhaustive()
    }
}

/// An answer that has begun.
pub struct Forwarded {
    /// Its status.
    pub status: u16,
    /// Its headers, but for those between two neighbours.
    pub headers: HeaderMap,
    /// What the provider says is left of its limits.
    pub levels: RateLevels,
    /// When it says that we may ask again, in milliseconds.
    wait: Option<u64>,
    response: Response,
    link: Arc<Link>,
    start: Instant,
}

/// Shows neither headers nor body.
impl std::fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarded").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Sends a call and waits for the head of its answer.
pub(super) async fn forward(link: Arc<Link>, call: Forward) -> Result<Forwarded, LlmError> {
    let start = Instant::now();
    let sent = send(&link, call, start).await;
    let response = sent.map_err(|it| it.of(&origin(&link, start, None), 0))?;
    let header = |name: &str| -> Option<String> {
        Some(response.headers().get(name)?.to_str().ok()?.to_owned())
    };
    let now_s = now_s(&header);
    let (levels, wait) = (link.wire.levels(&header, now_s), named_wait(&header, now_s));
    let mut headers = response.headers().clone();
    NOT_PASSED_ON.iter().for_each(|it| _ = headers.remove(it).is_some());
    let status = response.status().as_u16();
    Ok(Forwarded { status, headers, levels, wait, response, link, start })
}

async fn send(link: &Link, call: Forward, start: Instant) -> Result<Response, LlmError> {
    let method = if call.body.is_some() { Method::POST } else { Method::GET };
    let mut request = link.to(method, &call.path, Vec::new())?;
    let ours = std::mem::replace(request.headers_mut(), call.headers);
    let headers = request.headers_mut();
    NOT_PASSED_ON.iter().chain([&CONTENT_LENGTH]).for_each(|it| _ = headers.remove(it).is_some());
    for name in [AUTHORIZATION, HeaderName::from_static("x-api-key")] {
        if let Some(credential) = ours.get(&name) {
            headers.insert(name, credential.clone());
        }
    }
    *request.body_mut() = call.body.map(Into::into);
    // Whoever asks has limits of its own, and an answer in one piece takes as long as it takes.
    let limit = link.timeouts.total;
    let sent = timeout_at(start + limit, link.client.execute(request)).await;
    let sent = sent.map_err(|_| late(Wait::FirstEvent, limit))?;
    sent.map_err(|it| not_sent(&it, link.timeouts))
}

impl Forwarded {
    /// The next piece of the body; nothing at its end.
    ///
    /// # Errors
    /// The body broke off, or nothing came of it for too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, LlmError> {
        let idle = self.link.timeouts.total;
        let read = match timeout_at(Instant::now() + idle, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(_)) => Err(LlmError::cut()),
            Err(_) => Err(late(Wait::NextByte, idle)),
        };
        read.map_err(|it| it.of(&self.origin(), 0))
    }

    /// The failure that an answer is which is none. `body` is what was read of it.
    #[must_use]
    pub fn refusal(&self, body: &[u8]) -> LlmError {
        let kind = if body.is_empty() { BodyKind::Empty } else { kind_of(&self.response) };
        let code = self.link.wire.error_code(body);
        let error = LlmError::answered(Some(self.status), code.as_deref(), self.wait, kind);
        error.of(&self.origin(), 0)
    }

    /// Counts what is used while the body is read. `input` is how many tokens were asked, about.
    #[must_use]
    pub fn tap(&self, limits: CallLimits, input: u64) -> Tap {
        let is_stream = kind_of(&self.response) == BodyKind::EventStream;
        Tap::new(Arc::clone(&self.link.wire), limits, input, is_stream)
    }

    fn origin(&self) -> Origin {
        origin(&self.link, self.start, Some(self.status))
    }
}

fn origin(link: &Link, start: Instant, status: Option<u16>) -> Origin {
    Origin {
        provider: link.provider.clone(),
        elapsed_ms: millis(start.elapsed()),
        status,
        ..Origin::default()
    }
}
