//! One call on its way: the request goes out once, the answer is read piece by piece.
//!
//! All of it happens while the stream is polled. Dropping the stream drops the connection with it;
//! there is no task that could go on.

use std::{collections::VecDeque, error::Error, future::Future, io, sync::Arc, time::Duration};

use reqwest::{Response, header};
use tokio::time::{Instant, timeout_at};

use super::{
    Link, Timeouts,
    meter::Meter,
    wait::{named_wait, now_s},
};
use crate::{
    BodyKind, Call, LlmError, Origin, ProviderFault, StreamEvent, Wait, estimate_tokens,
    sse::Sse,
    wire::{Reader, SseEvent},
};

/// What is read of an answer that is no stream, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long is waited for the rest of such an answer.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// How long is waited for the end of the body after the end of the reply, so that the connection
/// can be used again.
const LAST_BYTES_TIME: Duration = Duration::from_millis(100);

type Item = Result<StreamEvent, LlmError>;

/// One call on its way.
pub(super) struct Exchange {
    link: Arc<Link>,
    call: Call,
    clock: Clock,
    /// What is to be handed out before anything more is read.
    queue: VecDeque<Item>,
    phase: Phase,
    status: Option<u16>,
    body: BodyKind,
    pieces: usize,
}

/// When the call began, and how long what may take.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    limits: Timeouts,
}

enum Phase {
    Send,
    Read(Box<Reading>),
    Over,
}

struct Reading {
    response: Response,
    sse: Sse,
    reader: Box<dyn Reader>,
    meter: Meter,
    /// An event has come.
    begun: bool,
}

impl Exchange {
    pub(super) fn new(link: Arc<Link>, call: Call) -> Self {
        Self {
            clock: Clock { start: Instant::now(), limits: link.timeouts },
            link,
            call,
            queue: VecDeque::new(),
            phase: Phase::Send,
            status: None,
            body: BodyKind::Unseen,
            pieces: 0,
        }
    }

    /// The next item, and what comes after it.
    pub(super) async fn next(mut self) -> Option<(Item, Self)> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some((item, self));
            }
            let ended = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Send => self.send().await,
                Phase::Read(reading) => self.read(reading).await,
                Phase::Over => return None,
            };
            if let Err(error) = ended {
                let error = error.of(&self.whose(), self.pieces);
                self.queue.push_back(Err(error));
            }
        }
    }

    async fn send(&mut self) -> Result<(), LlmError> {
        let mut request = self.link.request(&self.call.request)?;
        if let Some(trace) = self.call.trace.as_ref().and_then(|it| it.parse().ok()) {
            request.headers_mut().insert("traceparent", trace);
        }
        let sent = self.clock.within(Wait::FirstEvent, self.link.client.execute(request)).await?;
        let response = sent.map_err(|it| not_sent(&it, self.clock.limits))?;
        let status = response.status().as_u16();
        self.status = Some(status);
        let header = |name: &str| -> Option<String> {
            Some(response.headers().get(name)?.to_str().ok()?.to_owned())
        };
        let now_s = now_s(&header);
        let levels = self.link.wire.levels(&header, now_s);
        let wait = named_wait(&header, now_s);
        let is_stream = status == 200 && kind_of(&response) == BodyKind::EventStream;
        if is_stream {
            self.queue.push_back(Ok(StreamEvent::Accepted));
        }
        if levels != taskd_model::RateLevels::default() {
            self.queue.push_back(Ok(StreamEvent::Levels(levels)));
        }
        if !is_stream {
            return Err(self.refused(response, wait).await);
        }
        self.body = BodyKind::EventStream;
        let input = estimate_tokens(&self.call.request);
        self.phase = Phase::Read(Box::new(Reading {
            response,
            sse: Sse::default(),
            reader: self.link.wire.reader(self.call.limits),
            meter: Meter::new(self.call.limits, input),
            begun: false,
        }));
        Ok(())
    }

    /// Reads on until there is something to say.
    async fn read(&mut self, mut reading: Box<Reading>) -> Result<(), LlmError> {
        let wait = if reading.begun { Wait::NextByte } else { Wait::FirstEvent };
        let mut out = Vec::new();
        let step = match self.clock.within(wait, reading.response.chunk()).await {
            Ok(Ok(Some(bytes))) => reading.take(&bytes, &mut out),
            Ok(Ok(None)) => reading.end(&mut out),
            Ok(Err(_)) => Err(LlmError::cut()),
            Err(late) => Err(late),
        };
        if step.is_err() {
            reading.meter.report(&mut out);
        }
        let done = out.iter().any(|it| matches!(it, StreamEvent::Done(_)));
        for event in out {
            let is_piece = matches!(event, StreamEvent::Text(_) | StreamEvent::ToolCall { .. });
            self.pieces += usize::from(is_piece);
            self.queue.push_back(Ok(event));
        }
        step?;
        if done {
            rest(&mut reading.response).await;
        } else {
            self.phase = Phase::Read(reading);
        }
        Ok(())
    }

    /// The error that an answer is which is no stream.
    async fn refused(&mut self, mut response: Response, wait: Option<u64>) -> LlmError {
        let mut body = Vec::new();
        let time = ERROR_BODY_TIME.min(self.clock.limits.idle);
        let until = (Instant::now() + time).min(self.clock.start + self.clock.limits.total);
        // What the status says is known already: a body that breaks off changes nothing.
        while let Ok(Ok(Some(bytes))) = timeout_at(until, response.chunk()).await {
            let room = MAX_ERROR_BYTES - body.len();
            body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if body.len() == MAX_ERROR_BYTES {
                break;
            }
        }
        self.body = if body.is_empty() { BodyKind::Empty } else { kind_of(&response) };
        let code = self.link.wire.error_code(&body);
        if self.status == Some(200) && code.is_none() {
            return LlmError::provider(ProviderFault::NotAStream);
        }
        LlmError::answered(self.status, code.as_deref(), wait, self.body)
    }

    fn whose(&self) -> Origin {
        Origin {
            provider: self.link.provider.clone(),
            model: self.link.model.clone(),
            attempt: self.call.attempt,
            elapsed_ms: millis(self.clock.start.elapsed()),
            status: self.status,
            code: None,
            body: self.body,
        }
    }
}

impl Clock {
    /// Waits for `future` as long as `wait` may take, and no longer than the whole call may.
    async fn within<T>(self, wait: Wait, future: impl Future<Output = T>) -> Result<T, LlmError> {
        let (from, limit) = match wait {
            Wait::Connect => (self.start, self.limits.connect),
            Wait::FirstEvent => (self.start, self.limits.first_event),
            Wait::NextByte => (Instant::now(), self.limits.idle),
            Wait::Whole => (self.start, self.limits.total),
        };
        let whole = self.start + self.limits.total;
        let (until, wait, limit) = if from + limit <= whole {
            (from + limit, wait, limit)
        } else {
            (whole, Wait::Whole, self.limits.total)
        };
        timeout_at(until, future).await.map_err(|_| late(wait, limit))
    }
}

impl Reading {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let mut events = Vec::new();
        let parsed = self.sse.push(bytes, &mut events);
        for event in &events {
            self.begun = true;
            if self.event(event, out)? {
                return Ok(());
            }
        }
        parsed
    }

    /// Whether the reply is whole.
    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<bool, LlmError> {
        let mut said = Vec::new();
        let read = self.reader.event(event, &mut said);
        let done = self.meter(said, out)?;
        read?;
        if !done {
            self.meter.check(self.reader.pending(), out)?;
        }
        Ok(done)
    }

    fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), LlmError> {
        let mut said = Vec::new();
        let read = self.reader.end(&mut said);
        let done = self.meter(said, out)?;
        read?;
        if done { Ok(()) } else { Err(LlmError::cut()) }
    }

    fn meter(
        &mut self,
        said: Vec<StreamEvent>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<bool, LlmError> {
        for event in said {
            let done = matches!(event, StreamEvent::Done(_));
            self.meter.take(event, out)?;
            if done {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Reads what follows the reply: the end of the body, in most cases.
async fn rest(response: &mut Response) {
    let until = Instant::now() + LAST_BYTES_TIME;
    let mut room = MAX_ERROR_BYTES;
    while let Ok(Ok(Some(bytes))) = timeout_at(until, response.chunk()).await {
        match room.checked_sub(bytes.len()) {
            Some(left) => room = left,
            None => return,
        }
    }
}

/// Why a request got no answer.
pub(super) fn not_sent(error: &reqwest::Error, limits: Timeouts) -> LlmError {
    if error.is_timeout() {
        return late(Wait::Connect, limits.connect);
    }
    // The innermost error is the system's or the TLS library's; those around it name the URL.
    let mut inner: &(dyn Error + 'static) = error;
    while let Some(within) = within(inner) {
        inner = within;
    }
    match inner.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(it)) => LlmError::untrusted(&it.to_string()),
        Some(_) | None => LlmError::unreachable(&inner.to_string()),
    }
}

/// What an error is about. An error of the system's kind hides the one it was made from.
fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let hidden = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    hidden.map(|it| it as &(dyn Error + 'static)).or_else(|| error.source())
}

pub(super) fn kind_of(response: &Response) -> BodyKind {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence {
        "text/event-stream" => BodyKind::EventStream,
        "text/html" | "application/xhtml+xml" => BodyKind::Html,
        it if it.ends_with("json") => BodyKind::Json,
        _ => BodyKind::Other,
    }
}

pub(super) fn late(wait: Wait, limit: Duration) -> LlmError {
    LlmError::provider(ProviderFault::TimedOut { wait, limit_ms: millis(limit) })
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
