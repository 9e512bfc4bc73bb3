//! The API: what clients ask for, answered from the view, the core and the store.
//!
//! Nothing here decides. Commands become inputs; questions read what is durable. Every refusal says
//! what, about what, and what to type next.

mod act;
mod answer;
mod arrange;
mod blame;
mod branch;
mod budget;
mod checks;
mod edits;
mod gc;
mod history;
mod look;
mod once;
mod past;
mod queue;
mod retry;
mod sent;
mod sync;
mod texts;
mod verify;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use taskd_api::{ApiError, TRACE_HEADER, Taskd, VERSION_HEADER, VIA_HEADER, codes, v1};
use taskd_model::{Actor, LoopId, PlanId, ResolveError, Target, Trace, Via, View};
use tokio::sync::watch as signal;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

pub(crate) use self::{once::Once, past::Past};
use crate::{projects, runner::Context, submit};

/// Items that may wait for a slow client before its own stream waits.
const STREAM_ITEMS: usize = 64;

/// Everything answers need.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) ctx: Arc<Context>,
    pub(crate) started_at: u64,
    pub(crate) http: Option<std::net::SocketAddr>,
    /// Where clients of the network come in, if they do.
    pub(crate) network: Option<std::net::SocketAddr>,
    /// Set to end the daemon; the value is the grace in milliseconds.
    pub(crate) shutdown: signal::Sender<Option<u64>>,
    pub(crate) findings: Vec<String>,
    /// Calls that must not be done twice.
    pub(crate) once: Once,
    /// What was.
    pub(crate) past: Past,
    /// Everything that runs beside the loop and the effects.
    pub(crate) tasks: TaskTracker,
}

impl Facts {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    fn spawn_blocking(&self, task: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking(task);
    }
}

/// The gRPC service.
#[derive(Debug, Clone)]
pub(crate) struct Service(pub(crate) Arc<Facts>);

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = ReceiverStream<Result<T, Status>>;

impl Service {
    fn ctx(&self) -> &Arc<Context> {
        &self.0.ctx
    }

    /// Who asks. Only the daemon's own user gets this far, or who holds that user's token.
    fn actor<T>(request: &Request<T>) -> Actor {
        let uid = nix::unistd::geteuid().as_raw();
        let said = request.metadata().get(VIA_HEADER).and_then(|it| it.to_str().ok());
        Actor::Person { uid, via: said.and_then(Via::parse) }
    }

    /// What an id means now.
    fn target(&self, id: &str) -> Result<(Target, Vec<LoopId>), ApiError> {
        let view = self.ctx().hub.view();
        let target = view.resolve(id).map_err(unresolved)?;
        let loops = view.loops_in(target);
        Ok((target, loops))
    }

    /// The one loop an id means; of a plan, the first that is not over, or the first.
    fn one_loop(&self, id: &str) -> Result<LoopId, ApiError> {
        let (_, loops) = self.target(id)?;
        let view = self.ctx().hub.view();
        let open = loops.iter().find(|it| !view.loops[it].status.is_over());
        open.or(loops.first())
            .copied()
            .ok_or_else(|| ApiError::new(codes::NOT_FOUND, format!("{id} has no loops")))
    }
}

/// A name that means nothing, or too much.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn unresolved(error: ResolveError) -> ApiError {
    let code = match &error {
        ResolveError::NotFound { .. } => codes::NOT_FOUND,
        ResolveError::Ambiguous { .. } => codes::AMBIGUOUS,
    };
    ApiError::new(code, error.to_string()).hint("taskd ls -a")
}

pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> ApiError {
    ApiError::of(codes::INTERNAL, error).hint("taskd daemon logs")
}

/// An answer, or an error with its details, either with our version.
fn answer<T>(result: Result<T, ApiError>) -> Answer<T> {
    let mut response = Response::new(result.map_err(|it| it.to_status())?);
    let version = env!("CARGO_PKG_VERSION").parse().expect("a version is ASCII");
    response.metadata_mut().insert(VERSION_HEADER, version);
    Ok(response)
}

/// Runs a blocking answer off the async threads.
async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(step).await.unwrap_or_else(|it| Err(internal(&it)))
}

/// Plans of the projects a scope names; an empty scope names all.
fn in_scope(ctx: &Context, view: &View, scope: &str) -> Result<Vec<PlanId>, ApiError> {
    if scope.is_empty() {
        return Ok(view.plans.keys().copied().collect());
    }
    let git_dir =
        taskd_git::probe(Path::new(scope)).map_err(|it| ApiError::of(it.code(), &it))?.git_dir;
    let is_known = view.projects.values().any(|it| Path::new(&it.git_dir) == git_dir);
    if !is_known && let Some((_, from)) = projects::lost_at(ctx, view, &git_dir) {
        let what = format!(
            "this repository was at {from} when taskd worked in it, and is not linked to here"
        );
        return Err(
            ApiError::new(taskd_model::Code::RepositoryGone, what).hint("taskd projects add")
        );
    }
    let git_dir = git_dir.to_string_lossy();
    let ours = |it: &&taskd_model::PlanView| {
        view.projects.get(&it.project).is_some_and(|it| it.git_dir == git_dir)
    };
    Ok(view.plans.values().filter(ours).map(|it| it.id).collect())
}

#[tonic::async_trait]
impl Taskd for Service {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Answer<v1::SubmitResponse> {
        let actor = Self::actor(&request);
        let said = request.metadata().get(TRACE_HEADER).and_then(|it| it.to_str().ok());
        let trace = said.and_then(Trace::of_parent);
        answer(submit::submit(self.ctx(), (actor, trace), request.into_inner()).await)
    }

    async fn render_prompt(
        &self,
        request: Request<v1::RenderPromptRequest>,
    ) -> Answer<v1::RenderPromptResponse> {
        answer(submit::render(self.ctx(), request.into_inner()).await)
    }

    async fn act(&self, request: Request<v1::ActRequest>) -> Answer<v1::ActResponse> {
        let actor = Self::actor(&request);
        answer(self.0.once.make(request, async |it| self.do_act(actor, it).await).await)
    }

    async fn get_view(&self, request: Request<v1::GetViewRequest>) -> Answer<v1::View> {
        answer(self.do_view(request.into_inner()).await)
    }

    type WatchStream = Items<v1::WatchItem>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        answer(self.do_watch(&request.into_inner()))
    }

    type EventsStream = Items<v1::Event>;

    async fn events(&self, request: Request<v1::EventsRequest>) -> Answer<Self::EventsStream> {
        answer(self.do_events(request.into_inner()))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Answer<v1::ShowResponse> {
        answer(self.do_show(request.into_inner()).await)
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Answer<v1::WhyResponse> {
        answer(self.do_why(&request.into_inner().id).await)
    }

    async fn queue(&self, _: Request<v1::QueueRequest>) -> Answer<v1::QueueResponse> {
        answer(self.do_queue().await)
    }

    async fn metrics(&self, request: Request<v1::MetricsRequest>) -> Answer<v1::MetricsResponse> {
        let loop_type = request.into_inner().loop_type;
        answer(crate::metrics::told(self.ctx(), &loop_type).await)
    }

    type LogsStream = Items<v1::LogChunk>;

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Answer<Self::LogsStream> {
        answer(self.do_logs(request.into_inner()).await)
    }

    async fn diff(&self, request: Request<v1::DiffRequest>) -> Answer<v1::DiffResponse> {
        let this = self.clone();
        answer(blocking(move || this.do_diff(&request.into_inner())).await)
    }

    type VerifyStream = Items<v1::VerifyStep>;

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Answer<Self::VerifyStream> {
        answer(self.do_verify(request.into_inner()).await)
    }

    async fn blame(&self, request: Request<v1::BlameRequest>) -> Answer<v1::BlameResponse> {
        let this = self.clone();
        answer(blocking(move || this.do_blame(&request.into_inner())).await)
    }

    async fn path(&self, request: Request<v1::PathRequest>) -> Answer<v1::PathResponse> {
        let this = self.clone();
        answer(blocking(move || this.do_path(&request.into_inner().id)).await)
    }

    async fn checkpoints(
        &self,
        request: Request<v1::CheckpointsRequest>,
    ) -> Answer<v1::CheckpointsResponse> {
        let this = self.clone();
        answer(blocking(move || this.do_checkpoints(&request.into_inner().id)).await)
    }

    async fn rewind(&self, request: Request<v1::RewindRequest>) -> Answer<v1::RewindResponse> {
        let actor = Self::actor(&request);
        answer(self.0.once.make(request, async |it| self.do_rewind(actor, it).await).await)
    }

    async fn undo(&self, request: Request<v1::UndoRequest>) -> Answer<v1::UndoResponse> {
        let actor = Self::actor(&request);
        answer(self.0.once.make(request, async |it| self.do_undo(actor, it).await).await)
    }

    async fn salvage(&self, request: Request<v1::SalvageRequest>) -> Answer<v1::SalvageResponse> {
        let this = self.clone();
        answer(blocking(move || this.do_salvage(&request.into_inner().id)).await)
    }

    async fn restore(&self, request: Request<v1::RestoreRequest>) -> Answer<v1::RestoreResponse> {
        let this = self.clone();
        answer(blocking(move || this.do_restore(&request.into_inner())).await)
    }

    async fn gc(&self, request: Request<v1::GcRequest>) -> Answer<v1::GcResponse> {
        let this = self.clone();
        answer(blocking(move || this.do_gc(&request.into_inner())).await)
    }

    async fn projects(
        &self,
        request: Request<v1::ProjectsRequest>,
    ) -> Answer<v1::ProjectsResponse> {
        let actor = Self::actor(&request);
        answer(self.0.once.make(request, async |it| self.do_projects(actor, it).await).await)
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        answer(self.do_status().await)
    }

    async fn models(&self, request: Request<v1::ModelsRequest>) -> Answer<v1::ModelsResponse> {
        answer(self.do_models(request.into_inner()).await)
    }

    async fn doctor(&self, request: Request<v1::DoctorRequest>) -> Answer<v1::DoctorResponse> {
        let this = self.clone();
        let repository = PathBuf::from(request.into_inner().repository);
        answer(blocking(move || Ok(this.do_doctor(&repository))).await)
    }

    async fn reload(&self, _: Request<v1::ReloadRequest>) -> Answer<v1::ReloadResponse> {
        let found = crate::reload::reload(self.ctx()).await;
        answer(
            found.map(|it| v1::ReloadResponse {
                changed: it.changed,
                needs_restart: it.needs_restart,
            }),
        )
    }

    async fn shutdown(
        &self,
        request: Request<v1::ShutdownRequest>,
    ) -> Answer<v1::ShutdownResponse> {
        let effects = u32::try_from(self.ctx().effects_running()).unwrap_or(u32::MAX);
        self.0.shutdown.send_replace(Some(request.into_inner().grace_ms));
        answer(Ok(v1::ShutdownResponse { effects }))
    }
}
