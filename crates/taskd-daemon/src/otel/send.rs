//! Sends spans, a batch at a time, and never holds more than a bounded number of them.

use std::{collections::VecDeque, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::{Counts, Settings, spans::Span, wire};

/// Spans that wait; of more the oldest are dropped.
const MAX_WAITING: usize = 4_096;
/// Spans of one request.
const MAX_BATCH: usize = 512;
/// How long the first one waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Rest after a failure; it doubles, up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Why a batch was not taken, and whether it may be if it is sent again.
struct Refusal {
    why: String,
    again: bool,
}

/// A batch under way.
struct Sending {
    batch: Vec<Span>,
    answer: BoxFuture<'static, Result<(), Refusal>>,
}

/// Spans on their way to one collector.
pub(super) struct Sender {
    client: Client,
    settings: Settings,
    headers: HeaderMap,
    waiting: VecDeque<Span>,
    sending: Option<Sending>,
    /// The next batch is not sent before.
    due: Instant,
    /// Batches in a row that were not taken.
    failures: u32,
}

impl Sender {
    /// # Errors
    ///
    /// A header cannot be sent, or this machine's certificates cannot be read.
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let bad = || format!("the header {name} of OTEL_EXPORTER_OTLP_HEADERS cannot be sent");
            let header = HeaderName::try_from(name).map_err(|_| bad())?;
            let mut value = HeaderValue::try_from(value).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(settings.timeout);
        let client = client.build().map_err(|_| {
            "this machine's certificates cannot be read; install ca-certificates".to_owned()
        })?;
        let (waiting, sending, due) = (VecDeque::new(), None, Instant::now());
        Ok(Self { client, settings: settings.clone(), headers, waiting, sending, due, failures: 0 })
    }

    /// These are to be sent.
    pub(super) fn take(&mut self, spans: Vec<Span>, counts: &Counts) {
        if self.waiting.is_empty() && !spans.is_empty() {
            self.due = self.due.max(Instant::now() + GATHER);
        }
        self.waiting.extend(spans);
        self.forget(counts);
    }

    /// Drops the oldest where too many wait.
    fn forget(&mut self, counts: &Counts) {
        let more = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..more);
        counts.dropped(more);
    }

    /// One step: waits for an answer, or until something is to be sent and sends it. Dropped in the
    /// middle, it goes on where it was.
    pub(super) async fn turn(&mut self, counts: &Counts) {
        if let Some(sending) = &mut self.sending {
            let answer = (&mut sending.answer).await;
            self.answered(answer, counts);
            return;
        }
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        if self.waiting.len() < MAX_BATCH || 0 < self.failures {
            sleep_until(self.due).await;
        }
        self.send();
    }

    fn send(&mut self) {
        let n = self.waiting.len().min(MAX_BATCH);
        let batch: Vec<Span> = self.waiting.drain(..n).collect();
        let body = wire::request(&self.settings.resource, &batch);
        let request = self.client.post(&self.settings.url).headers(self.headers.clone()).body(body);
        let answer = async move {
            let refusal = |why: String, again| Refusal { why, again };
            match request.send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => {
                    let status = answer.status();
                    let again = status.is_server_error()
                        || status == StatusCode::TOO_MANY_REQUESTS
                        || status == StatusCode::REQUEST_TIMEOUT;
                    Err(refusal(format!("it answers {status}"), again))
                }
                // Without the address: what stands in it may be a secret.
                Err(why) => Err(refusal(crate::runner::chain(&why.without_url()), true)),
            }
        };
        self.sending = Some(Sending { batch, answer: answer.boxed() });
    }

    fn answered(&mut self, answer: Result<(), Refusal>, counts: &Counts) {
        let Some(Sending { batch, .. }) = self.sending.take() else { return };
        let place = self.settings.place();
        match answer {
            Ok(()) => {
                counts.sent(batch.len());
                if 0 < self.failures {
                    info!(collector = place, "traces are taken again");
                }
                self.failures = 0;
            }
            Err(Refusal { why, again }) => {
                if self.failures == 0 {
                    warn!(collector = place, "traces are not taken: {why}");
                }
                self.failures = self.failures.saturating_add(1);
                let rest = FIRST_REST * 2_u32.saturating_pow(self.failures.min(5) - 1);
                self.due = Instant::now() + rest.min(LONGEST_REST);
                if again {
                    batch.into_iter().rev().for_each(|it| self.waiting.push_front(it));
                    self.forget(counts);
                } else {
                    counts.dropped(batch.len());
                }
            }
        }
    }

    /// Sends what is left, to a collector that took what came before.
    pub(super) async fn last(mut self, counts: &Counts) {
        while self.failures == 0 {
            if self.sending.is_none() {
                if self.waiting.is_empty() {
                    return;
                }
                self.send();
            }
            self.turn(counts).await;
        }
    }
}
