//! The page: what a browser shows of a daemon, served on loopback to whoever was given the address.
//!
//! A client like the monitor: it folds the view a daemon sends, asks, and passes on what a person
//! wants done. It holds no truth, decides nothing, and starts no daemon. The browser is sent rows that
//! are ready to be shown; it folds nothing.
//!
//! `door` says who may come in, `files` is the page itself, `world` follows the daemon, `stream` tells
//! a browser what changes, `ask` and `act` are its questions and its acts.

mod act;
mod ask;
mod door;
mod files;
mod stream;
mod world;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use taskd_api::{ApiError, Client, Place, codes, v1};
use taskd_model::{Time, Via, View};
use tokio::net::TcpListener;

use crate::{door::Door, world::World};

/// Most bytes of what a browser sends.
const MAX_BODY_BYTES: usize = 64 << 10;

/// How things are written in JSON. It is what `--json` prints, so that there is one contract.
pub trait Faces: Send + Sync + 'static {
    /// Every plan, loop and item that waits, by a key of its own: `loop/p7.limiter`. What stands under
    /// `head` is about the whole.
    fn picture(&self, view: &View, now: Time) -> BTreeMap<String, Value>;

    /// An answer of the daemon, or one that is made from the view.
    fn answer(&self, view: &View, answer: &Answer, now: Time) -> Value;

    /// What became of an act.
    fn acted(&self, it: &v1::ActResult) -> Value;

    /// What this place holds of what providers are paid with, for work that goes on.
    fn credentials(&self, providers: &[v1::ProviderRow]) -> BTreeMap<String, String>;
}

/// What is to be written in JSON.
#[derive(Debug)]
pub enum Answer {
    /// A loop or a plan.
    Show(Box<v1::ShowResponse>),
    /// Why something does not go on.
    Why(v1::WhyResponse),
    /// Work, as a patch.
    Diff(v1::DiffResponse),
    /// Who waits for what.
    Queue(v1::QueueResponse),
    /// What was spent.
    Costs(By),
}

/// What a row of costs is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A plan.
    Plan,
    /// A loop.
    Loop,
    /// A model.
    Model,
    /// A class of tokens.
    Class,
    /// A day in UTC.
    Day,
}

/// Two words that nobody can guess: one opens the page, once; the other is what it opens it with.
#[derive(Debug)]
pub struct Keys {
    /// Part of the address that is given to the person.
    pub once: String,
    /// Given to the browser for it, and good for as long as the page is served.
    pub session: String,
}

/// Everything answers need.
struct Page<F> {
    place: Place,
    world: World,
    door: Door,
    faces: F,
}

/// Serves the page until the daemon says that asking again is of no use, or the future is dropped.
///
/// # Errors
///
/// The listener is not on loopback or fails, or the daemon does not speak with us.
pub async fn serve<F: Faces>(
    listener: TcpListener,
    place: Place,
    keys: Keys,
    faces: F,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("looking at the address")?;
    anyhow::ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    let page = Arc::new(Page {
        world: World::default(),
        door: Door::new(keys, tokio::time::Instant::now()),
        place: place.clone(),
        faces,
    });
    let app = Router::new()
        .route("/", get(files::index))
        .route("/{file}", get(files::file))
        .route("/enter", post(enter::<F>))
        .route("/stream", post(stream::stream::<F>))
        .route("/ask", post(ask::ask::<F>))
        .route("/log", post(ask::log::<F>))
        .route("/act", post(act::act::<F>))
        .layer(middleware::from_fn_with_state(Arc::clone(&page), admit::<F>))
        .layer(middleware::map_response(files::sealed))
        .with_state(Arc::clone(&page));
    let watch = taskd_api::Watch::new(place, Vec::new(), true);
    tokio::select! {
        served = async { axum::serve(listener, app).await } => served.context("serving the page"),
        error = page.world.follow(watch) => Err(error.into()),
    }
}

/// Nothing gets further than the door says.
async fn admit<F: Faces>(
    State(page): State<Arc<Page<F>>>,
    request: Request,
    next: middleware::Next,
) -> Response {
    match page.door.admit(request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => refused(&error),
    }
}

/// What the address holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enter {
    token: String,
}

async fn enter<F: Faces>(State(page): State<Arc<Page<F>>>, request: Request) -> Response {
    let opened = match body::<Enter>(request).await {
        Ok(it) => page.door.enter(&it.token, tokio::time::Instant::now()),
        Err(error) => Err(error),
    };
    match opened {
        Ok(key) => as_json(StatusCode::OK, &json!({ "key": key })),
        Err(error) => refused(&error),
    }
}

impl<F> Page<F> {
    /// On a connection of its own: the one before may be to a daemon that is gone.
    async fn client(&self) -> Result<Client, ApiError> {
        Ok(Client::connect(self.place.clone()).await?.via(Via::Page))
    }
}

/// What was sent, if it is that.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let wrong = |what: String| ApiError::new(codes::INVALID, what).hint("load the page again");
    let bytes = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
    let bytes = bytes
        .map_err(|_| wrong(format!("what was sent is longer than {} KB", MAX_BODY_BYTES >> 10)))?;
    serde_json::from_slice(&bytes)
        .map_err(|it| wrong(format!("what was sent is not understood: {it}")))
}

/// An error, as `--json` prints it.
fn refused(error: &ApiError) -> Response {
    let status = match error.code.as_str() {
        it if it == codes::DENIED.as_str() => StatusCode::FORBIDDEN,
        it if it == codes::NOT_FOUND.as_str() => StatusCode::NOT_FOUND,
        it if it == codes::UNREACHABLE.as_str() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let ApiError { code, message, hint, causes, .. } = error;
    let error = json!({ "code": code, "message": message, "hint": hint, "causes": causes });
    as_json(status, &json!({ "error": error }))
}

fn as_json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
