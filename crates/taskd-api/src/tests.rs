//! A small server on a temporary socket, and what a client makes of it.

mod client;
mod view;
mod watch;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use tokio::{
    net::UnixListener,
    runtime::{Builder, Runtime},
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, codegen::BoxStream, transport::Server};

use crate::{ApiError, Taskd, TaskdServer, VERSION_HEADER, codes, v1};

/// What one watch call answers with before it breaks.
type Script = Vec<Result<v1::WatchItem, Status>>;

/// Answers what it is told to, and notes what it was asked.
#[derive(Clone, Default)]
struct Fake {
    version: Option<&'static str>,
    watches: Arc<Mutex<Vec<Script>>>,
    cursors: Arc<Mutex<Vec<String>>>,
}

/// A server on a runtime of its own, so that its connections end with it, and its socket.
struct Daemon {
    socket: PathBuf,
    runtime: Option<Runtime>,
    _dir: TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Fake {
    fn serve(self) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let guard = runtime.enter();
        let listener = UnixListener::bind(&socket).unwrap();
        drop(guard);
        let server = Server::builder().add_service(TaskdServer::new(self));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Daemon { socket, runtime: Some(runtime), _dir: dir }
    }

    fn answer<T>(&self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        if let Some(version) = self.version {
            response.metadata_mut().insert(VERSION_HEADER, version.parse().unwrap());
        }
        response
    }
}

/// The calls that only answer that they are not there, beside those that do.
macro_rules! service {
    ($($name:ident: $request:ident => $response:ident;)*) => {
        #[tonic::async_trait]
        impl Taskd for Fake {
            type WatchStream = BoxStream<v1::WatchItem>;
            type EventsStream = BoxStream<v1::Event>;
            type LogsStream = BoxStream<v1::LogChunk>;
            type VerifyStream = BoxStream<v1::VerifyStep>;

            async fn status(
                &self,
                _request: Request<v1::StatusRequest>,
            ) -> Result<Response<v1::StatusResponse>, Status> {
                Ok(self.answer(v1::StatusResponse { pid: 42, ..Default::default() }))
            }

            async fn show(
                &self,
                request: Request<v1::ShowRequest>,
            ) -> Result<Response<v1::ShowResponse>, Status> {
                let message = format!("there is no {:?}", request.into_inner().id);
                Err(ApiError::new(codes::NOT_FOUND, message).hint("taskd ls").into())
            }

            async fn get_view(
                &self,
                _request: Request<v1::GetViewRequest>,
            ) -> Result<Response<v1::View>, Status> {
                Ok(self.answer((&view::everything()).into()))
            }

            async fn watch(
                &self,
                request: Request<v1::WatchRequest>,
            ) -> Result<Response<Self::WatchStream>, Status> {
                self.cursors.lock().unwrap().push(request.into_inner().cursor);
                let mut scripts = self.watches.lock().unwrap();
                if scripts.is_empty() {
                    return Err(ApiError::new(codes::DENIED, "the script is over").into());
                }
                let stream: Self::WatchStream = Box::pin(tokio_stream::iter(scripts.remove(0)));
                Ok(self.answer(stream))
            }

            async fn events(
                &self,
                _request: Request<v1::EventsRequest>,
            ) -> Result<Response<Self::EventsStream>, Status> {
                let items = (1..=3).map(|seq| Ok(watch::event(seq)));
                let stream: Self::EventsStream = Box::pin(tokio_stream::iter(items));
                Ok(self.answer(stream))
            }

            async fn logs(
                &self,
                _request: Request<v1::LogsRequest>,
            ) -> Result<Response<Self::LogsStream>, Status> {
                Err(Status::unimplemented("logs"))
            }

            async fn verify(
                &self,
                _request: Request<v1::VerifyRequest>,
            ) -> Result<Response<Self::VerifyStream>, Status> {
                Err(Status::unimplemented("verify"))
            }

            $(async fn $name(
                &self,
                _request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                Err(Status::unimplemented(stringify!($name)))
            })*
        }
    };
}

service! {
    submit: SubmitRequest => SubmitResponse;
    render_prompt: RenderPromptRequest => RenderPromptResponse;
    checkpoints: CheckpointsRequest => CheckpointsResponse;
    rewind: RewindRequest => RewindResponse;
    undo: UndoRequest => UndoResponse;
    salvage: SalvageRequest => SalvageResponse;
    restore: RestoreRequest => RestoreResponse;
    act: ActRequest => ActResponse;
    why: WhyRequest => WhyResponse;
    queue: QueueRequest => QueueResponse;
    metrics: MetricsRequest => MetricsResponse;
    diff: DiffRequest => DiffResponse;
    blame: BlameRequest => BlameResponse;
    path: PathRequest => PathResponse;
    gc: GcRequest => GcResponse;
    projects: ProjectsRequest => ProjectsResponse;
    models: ModelsRequest => ModelsResponse;
    doctor: DoctorRequest => DoctorResponse;
    reload: ReloadRequest => ReloadResponse;
    shutdown: ShutdownRequest => ShutdownResponse;
}
