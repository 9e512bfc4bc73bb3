//! The gateway: external agents call their models through the daemon, one call at a time admitted.
//!
//! It listens on loopback and speaks what the provider speaks. Each run of an agent has a token of
//! its own, in place of the key; a call with it waits in its bucket like those of all loops, and is
//! then passed on with the real key by an effect (`runner/relay`). Here are the door, the runs that
//! may come in, and the calls that wait. It decides nothing, retries nothing but what was refused
//! for asking too much, and keeps of requests what has not been sent yet.

mod asked;
mod refusal;
mod run;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, header::AUTHORIZATION},
    response::Response,
    serve::{Listener, ListenerExt as _},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use taskd_llm::Forward;
use taskd_model::{CallWanted, EffectId, Observation};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::run::{Registered, Run, Visit, provider};
use self::{asked::Asked, refusal::Refusal, run::Waits};
use crate::runner::{Context, lock};

/// What a connection holds of a request's head, or of an answer that is not taken, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;
/// Longest request, in bytes: providers take no longer ones.
const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;

/// Who may come in, and which calls wait.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    url: OnceLock<String>,
    runs: Mutex<BTreeMap<String, Arc<Run>>>,
    waiting: Mutex<BTreeMap<(EffectId, u32), Waiting>>,
}

/// A call that waits to be admitted. Nothing of it is shown.
pub(crate) struct Waiting {
    /// The call as it came.
    pub(crate) call: Forward,
    /// Tokens it reads, about.
    pub(crate) input_tokens: u64,
    /// Where its answer goes.
    pub(crate) answer: oneshot::Sender<Told>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Told {
    /// The provider's answer.
    Answer(Answer),
    /// The provider was asked for too much: it waits again.
    AskAgain,
    /// The provider could not be reached.
    Unreachable,
}

/// The provider's answer, as it comes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Pieces of the body. An error breaks the connection off.
    pub(crate) body: mpsc::Receiver<Result<Bytes, std::io::Error>>,
}

impl Gateway {
    /// From now on agents find it there.
    ///
    /// # Errors
    /// The socket has no address.
    pub(crate) fn listens_at(&self, listener: &TcpListener) -> std::io::Result<()> {
        // It is bound once in the life of a daemon.
        self.url.set(format!("http://{}", listener.local_addr()?)).ok();
        Ok(())
    }

    /// Where agents find it; nothing before it listens.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.get().map(String::as_str)
    }

    /// Takes the call out that was admitted, if somebody still waits for it.
    pub(crate) fn take(&self, agent: EffectId, call: u32) -> Option<Waiting> {
        lock(&self.waiting).remove(&(agent, call))
    }

    /// The run whose token a call has.
    fn run_of(&self, headers: &HeaderMap) -> Option<Arc<Run>> {
        let key = headers.get(HeaderName::from_static("x-api-key"));
        let bearer = headers.get(AUTHORIZATION);
        let text = |it: &axum::http::HeaderValue| it.to_str().ok().map(str::to_owned);
        let tokens = key.and_then(text).into_iter().chain(
            bearer
                .and_then(text)
                .map(|it| it.strip_prefix("Bearer ").unwrap_or_default().trim().to_owned()),
        );
        let runs = lock(&self.runs);
        tokens.into_iter().find_map(|it| runs.get(&it).cloned())
    }
}

/// Binds to loopback, and to whatever port is free.
///
/// # Errors
///
/// The machine has none.
pub(crate) async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, ctx: Arc<Context>, stop: CancellationToken) {
    let app = Router::new().fallback(answer).with_state(ctx);
    let mut door = auto::Builder::new(TokioExecutor::new()).http1_only();
    door.http1().max_buf_size(BUFFER_BYTES);
    let mut listener = listener.tap_io(|socket| _ = socket.set_nodelay(true).is_ok());
    let tasks = TaskTracker::new();
    loop {
        let socket = tokio::select! {
            (socket, _) = Listener::accept(&mut listener) => socket,
            () = stop.cancelled() => return,
        };
        let (door, stop) = (door.clone(), stop.clone());
        let service = TowerToHyperService::new(app.clone());
        tasks.spawn(async move {
            tokio::select! {
                // Whoever breaks it off knows why.
                _ = door.serve_connection(TokioIo::new(socket), service) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn answer(State(ctx): State<Arc<Context>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match pass(&ctx, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.response(&path),
    }
}

/// What is done with a path.
enum Route {
    /// It is a call of a model.
    Call,
    /// It costs nothing and is passed on at once.
    Question,
}

fn route(method: &Method, path: &str) -> Option<Route> {
    match (method, path) {
        (&Method::POST, "/v1/messages" | "/v1/responses" | "/v1/chat/completions") => {
            Some(Route::Call)
        }
        (&Method::POST, "/v1/messages/count_tokens") | (&Method::GET, "/v1/models") => {
            Some(Route::Question)
        }
        _ => None,
    }
}

async fn pass(ctx: &Arc<Context>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let run = ctx.gateway.run_of(&parts.headers).ok_or(Refusal::UnknownToken)?;
    let route = route(&parts.method, parts.uri.path()).ok_or(Refusal::UnknownPath)?;
    let path = parts.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let has_body = parts.method == Method::POST;
    let body = to_bytes(body, MAX_REQUEST_BYTES).await.map_err(|_| Refusal::TooLong)?;
    let call = Forward { path, headers: parts.headers, body: has_body.then_some(body) };
    let visit = run.visit();
    match route {
        Route::Question => question(ctx, &run, call, visit).await,
        Route::Call => admitted(ctx, &run, call, visit).await,
    }
}

/// Passes on what costs nothing.
async fn question(
    ctx: &Arc<Context>,
    run: &Run,
    call: Forward,
    visit: Visit,
) -> Result<Response, Refusal> {
    let http = run.provider(ctx).await.map_err(|_| Refusal::Unreachable)?;
    let mut head = http.forward(call).await.map_err(|_| Refusal::Unreachable)?;
    let (status, headers) = (head.status, std::mem::take(&mut head.headers));
    let pieces = futures::stream::unfold((head, visit), |(mut head, visit)| async move {
        match head.chunk().await {
            Ok(Some(piece)) => Some((Ok(piece), (head, visit))),
            Ok(None) => None,
            Err(error) => Some((Err(std::io::Error::other(error)), (head, visit))),
        }
    });
    Ok(response(status, headers, Body::from_stream(pieces)))
}

/// Waits until a call is admitted, and passes its answer back. One that the provider refused because
/// too much was asked for waits again: whoever asks never hears of it.
async fn admitted(
    ctx: &Arc<Context>,
    run: &Arc<Run>,
    call: Forward,
    visit: Visit,
) -> Result<Response, Refusal> {
    let asked = Asked::read(&call)?;
    let bucket = run.bucket(&asked.model)?;
    let facts = ctx.models.facts(&bucket);
    loop {
        let number = run.next_call();
        let (answer, told) = oneshot::channel();
        let key = (run.effect, number);
        let again = Forward {
            path: call.path.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
        };
        let input_tokens = asked.input_tokens;
        let waiting = Waiting { call: again, input_tokens, answer };
        lock(&ctx.gateway.waiting).insert(key, waiting);
        let waits = Waits::new(ctx, run, number);
        let (worst_micros, worst_tokens) = asked.worst(&facts);
        let wanted = CallWanted {
            call: number,
            bucket: bucket.clone(),
            input_tokens,
            worst_micros,
            worst_tokens,
        };
        run.tell(Observation::CallWanted(wanted)).await;
        let told = tokio::select! {
            told = told => told,
            () = run.over() => return Err(Refusal::Over),
        };
        drop(waits);
        match told {
            Ok(Told::AskAgain) => {}
            Ok(Told::Answer(it)) => {
                let pieces = futures::StreamExt::map(ReceiverStream::new(it.body), move |piece| {
                    // The visit lasts as long as the answer does.
                    let _lasts = &visit;
                    piece
                });
                return Ok(response(it.status, it.headers, Body::from_stream(pieces)));
            }
            Ok(Told::Unreachable) => return Err(Refusal::Unreachable),
            // The effect was ended before it had an answer.
            Err(_) => return Err(Refusal::Over),
        }
    }
}

fn response(status: u16, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        axum::http::StatusCode::from_u16(status).expect("a status that arrived is one");
    *response.headers_mut() = headers;
    response
}
