//! One run of an agent as the gateway knows it: its token, its calls, and when it last gave a sign.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use taskd_llm::{Http, LlmError};
use taskd_model::{EffectId, Observation};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Refusal;
use crate::{
    private,
    runner::{Context, Reporter, lock},
};

/// Models one run may call: each has a bucket, and those are kept.
const MAX_MODELS: usize = 16;
/// Calls given up that may wait to be told.
const GIVEN_UP: usize = 64;

/// A run whose calls come through the gateway.
pub(crate) struct Run {
    pub(super) effect: EffectId,
    provider: String,
    reporter: Arc<Reporter>,
    calls: AtomicU32,
    models: Mutex<BTreeSet<String>>,
    given_up: mpsc::Sender<u32>,
    over: CancellationToken,
    /// Calls that wait or are being answered.
    visits: AtomicUsize,
    /// When the last of them ended.
    ended: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("effect", &self.effect).finish_non_exhaustive()
    }
}

/// A run that is registered, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    ctx: Arc<Context>,
    pub(crate) run: Arc<Run>,
    /// What its calls are known by.
    pub(crate) token: String,
    /// Numbers of calls that were given up while they waited.
    pub(crate) given_up: mpsc::Receiver<u32>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.ctx.gateway.runs).remove(&self.token);
        self.run.over.cancel();
    }
}

impl Run {
    /// Lets a run in, with a token that nobody can guess.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn register(
        ctx: &Arc<Context>,
        effect: EffectId,
        provider: &str,
        reporter: Arc<Reporter>,
    ) -> std::io::Result<Registered> {
        let token = format!("taskd-{}", private::token()?);
        let (tell, given_up) = mpsc::channel(GIVEN_UP);
        let run = Arc::new(Self {
            effect,
            provider: provider.to_owned(),
            reporter,
            calls: AtomicU32::new(0),
            models: Mutex::default(),
            given_up: tell,
            over: CancellationToken::new(),
            visits: AtomicUsize::new(0),
            ended: Mutex::default(),
        });
        lock(&ctx.gateway.runs).insert(token.clone(), Arc::clone(&run));
        Ok(Registered { ctx: Arc::clone(ctx), run, token, given_up })
    }

    /// The way to its provider, with the key.
    pub(crate) async fn provider(&self, ctx: &Arc<Context>) -> Result<Arc<Http>, LlmError> {
        provider(ctx, &self.provider).await
    }

    pub(super) fn next_call(&self) -> u32 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The bucket of a model it calls.
    pub(super) fn bucket(&self, model: &str) -> Result<String, Refusal> {
        let mut models = lock(&self.models);
        if models.len() == MAX_MODELS && !models.contains(model) {
            return Err(Refusal::ManyModels);
        }
        models.insert(model.to_owned());
        Ok(format!("{}/{model}", self.provider))
    }

    pub(super) async fn tell(&self, fact: Observation) {
        self.reporter.tell(fact).await;
    }

    /// Returns when the run is over.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    pub(super) fn visit(self: &Arc<Self>) -> Visit {
        self.visits.fetch_add(1, Ordering::SeqCst);
        Visit(Arc::clone(self))
    }

    /// How long ago its last call ended; nothing before it made one.
    pub(crate) fn quiet(&self) -> Option<Duration> {
        if 0 < self.visits.load(Ordering::SeqCst) {
            return Some(Duration::ZERO);
        }
        lock(&self.ended).map(|it| it.elapsed())
    }
}

/// A call from its beginning to the end of its answer.
#[derive(Debug)]
pub(crate) struct Visit(Arc<Run>);

impl Drop for Visit {
    fn drop(&mut self) {
        *lock(&self.0.ended) = Some(Instant::now());
        self.0.visits.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A call that waits. If it is dropped before the call was admitted, the call is given up.
pub(super) struct Waits {
    ctx: Arc<Context>,
    run: Arc<Run>,
    call: u32,
}

impl Waits {
    pub(super) fn new(ctx: &Arc<Context>, run: &Arc<Run>, call: u32) -> Self {
        Self { ctx: Arc::clone(ctx), run: Arc::clone(run), call }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if self.ctx.gateway.take(self.run.effect, self.call).is_some() {
            // If it is not heard, the call ends at once when its turn comes.
            self.run.given_up.try_send(self.call).ok();
        }
    }
}

/// The way to a provider, with the key that is held.
///
/// # Errors
/// There is no such provider, or no key for it.
pub(crate) async fn provider(ctx: &Arc<Context>, name: &str) -> Result<Arc<Http>, LlmError> {
    let credentials = lock(&ctx.credentials).clone();
    // Certificates are read the first time.
    tokio::task::block_in_place(|| ctx.models.provider(name, &credentials)).map(|it| it.0)
}
