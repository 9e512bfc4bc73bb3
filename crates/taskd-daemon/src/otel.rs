//! Traces for an OpenTelemetry collector, where the standard variables name one: otherwise nothing
//! here runs.
//!
//! Spans are made from events that are durable, by a follower like any client: nothing waits for it.
//! What a collector does not take is dropped, the oldest first. No span holds a task, a prompt, a
//! reply, a path or a secret.

mod send;
mod settings;
mod spans;
mod wire;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use taskd_model::{Digest, EffectId, Trace};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use self::settings::Settings;
use self::{send::Sender, spans::Spans};
use crate::runner::Context;

/// What the last spans have to reach a collector when the daemon ends.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What became of spans in this life.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Spans that a collector took, and spans that were dropped.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }

    fn sent(&self, n: usize) {
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn dropped(&self, n: usize) {
        self.dropped.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// The follower that makes and sends spans.
pub(crate) struct Exporter {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Begins, if a collector is named.
    pub(crate) fn start(ctx: &Arc<Context>) -> Option<Self> {
        let settings = ctx.otel.clone()?;
        let sender = match Sender::new(&settings) {
            Ok(sender) => sender,
            Err(why) => {
                warn!("no traces are sent: {why}");
                return None;
            }
        };
        info!(collector = settings.place(), "traces are sent");
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "it outlives the task list, and is joined")]
        let task = tokio::spawn(follow(Arc::clone(ctx), sender, stop.clone()));
        Some(Self { stop, task })
    }

    /// Everything was published: the last spans have a moment, and whoever did not answer before has
    /// none.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(LAST_WORDS, self.task).await.ok();
    }
}

async fn follow(ctx: Arc<Context>, mut sender: Sender, stop: CancellationToken) {
    let (mut spans, mut events) = ctx.hub.follow(|view| Spans::new(&ctx.tag, view));
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(record) => {
                    let done = spans.take(&ctx.hub.view(), &record);
                    sender.take(done, &ctx.life.spans);
                }
                Err(RecvError::Lagged(n)) => {
                    warn!(events = n, "too many events at once: some spans are missing");
                    spans = Spans::new(&ctx.tag, &ctx.hub.view());
                }
                Err(RecvError::Closed) => return,
            },
            () = sender.turn(&ctx.life.spans) => {}
            () = stop.cancelled() => return sender.last(&ctx.life.spans).await,
        }
    }
}

/// What whoever is called for an effect is told: `traceparent` of W3C Trace Context.
pub(crate) fn parent_of(trace: &Trace, tag: &str, effect: EffectId) -> String {
    format!("00-{}-{:016x}-01", trace.name(), u64::from_be_bytes(span_of(tag, effect)))
}

/// The span of an effect: whoever does it and whoever tells of it call it the same.
fn span_of(tag: &str, effect: EffectId) -> [u8; 8] {
    span_id(&[tag, "effect", &effect.to_string()])
}

/// A span by what it is about, the same in every life.
fn span_id(parts: &[&str]) -> [u8; 8] {
    let parts: Vec<&[u8]> = parts.iter().map(|it| it.as_bytes()).collect();
    let digest = Digest::of_parts(&parts);
    *digest.as_bytes().first_chunk().expect("a digest is longer")
}
