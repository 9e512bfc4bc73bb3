//! What is measured of this daemon's life and is in no event: it begins at nothing with each start.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use taskd_model::Spread;

use crate::{otel, runner::lock};

/// What the methods of the API begin with.
const SERVICE: &str = "/taskd.v1.Taskd/";
/// What is asked for and is no method of it.
const OTHER: &str = "other";
/// The code of gRPC for a method that does not exist.
const UNIMPLEMENTED: &str = "12";

/// Figures of this life.
#[derive(Debug, Default)]
pub(crate) struct Life {
    first_bytes: Mutex<BTreeMap<String, Spread>>,
    api: Mutex<BTreeMap<String, Calls>>,
    /// Spans for a collector.
    pub(crate) spans: otel::Counts,
}

/// Calls of one method.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls {
    pub(super) ok: u64,
    pub(super) refused: u64,
    pub(super) took: Spread,
}

impl Life {
    /// The first piece of a reply came so long after the call was sent.
    pub(crate) fn first_byte(&self, bucket: &str, after: Duration) {
        let mut known = lock(&self.first_bytes);
        if let Some(it) = known.get_mut(bucket) {
            it.note(millis(after));
        } else {
            known.entry(bucket.to_owned()).or_default().note(millis(after));
        }
    }

    pub(super) fn first_bytes(&self) -> BTreeMap<String, Spread> {
        lock(&self.first_bytes).clone()
    }

    pub(super) fn api(&self) -> BTreeMap<String, Calls> {
        lock(&self.api).clone()
    }

    fn called(&self, method: &str, ok: bool, took: Duration) {
        let mut known = lock(&self.api);
        let it = known.entry(method.to_owned()).or_default();
        if ok {
            it.ok += 1;
        } else {
            it.refused += 1;
        }
        it.took.note(millis(took));
    }
}

/// Whole milliseconds.
pub(crate) fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

/// Counts a call of the API, and how long it took until its answer began.
pub(crate) async fn count(State(life): State<Arc<Life>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.uri().path().strip_prefix(SERVICE).map(str::to_owned);
    let answer = next.run(request).await;
    // A refusal is a status in the head; what goes well says so behind the answer.
    let status = answer.headers().get("grpc-status").and_then(|it| it.to_str().ok());
    let known = method.as_deref().filter(|_| status != Some(UNIMPLEMENTED));
    life.called(known.unwrap_or(OTHER), status.is_none_or(|it| it == "0"), began.elapsed());
    answer
}
