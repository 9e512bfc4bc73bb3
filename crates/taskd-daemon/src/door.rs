//! Where clients come in: the socket, for this user alone, and where configuration says so an address
//! of the network, over TLS, for whoever holds the token. The same calls are served at both.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::middleware::from_fn_with_state;
use taskd_api::{ApiError, TaskdServer, codes};
use taskd_model::Digest;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::{
    StreamExt as _,
    wrappers::{TcpListenerStream, UnixListenerStream},
};
use tonic::{
    Request, Status,
    service::{InterceptorLayer, Routes},
    transport::{Identity, Server, ServerTlsConfig},
};
use tracing::{info, warn};

use crate::{config::Config, metrics, paths::Paths, private, service::Service, systemd};

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The doors, bound and not open yet.
pub(crate) struct Doors {
    socket: UnixListener,
    /// The socket is the service manager's, and stays when we are gone.
    handed: bool,
    network: Option<Network>,
}

struct Network {
    listener: TcpListener,
    tls: ServerTlsConfig,
    /// Of the token: how long it takes to compare digests tells nothing about what has them.
    token: Digest,
}

impl Doors {
    /// Binds what is configured.
    ///
    /// # Errors
    ///
    /// A place is taken, or the network is wanted without a certificate.
    pub(crate) async fn bind(paths: &Paths, config: &Config) -> anyhow::Result<Self> {
        let network = match config.api_listen {
            Some(address) => Some(Network::bind(address, paths, config).await?),
            None => None,
        };
        let (socket, handed) = match systemd::socket(&paths.socket)? {
            Some(socket) => (UnixListener::from_std(socket).context("taking the socket")?, true),
            None => (bind_socket(paths)?, false),
        };
        Ok(Self { socket, handed, network })
    }

    /// The socket was handed to us: it is not ours to remove.
    pub(crate) fn is_handed(&self) -> bool {
        self.handed
    }

    /// Where the network's is, if there is one.
    pub(crate) fn network(&self) -> Option<SocketAddr> {
        self.network.as_ref().and_then(|it| it.listener.local_addr().ok())
    }

    /// Serves until something breaks, or the future is dropped.
    pub(crate) async fn serve(self, service: Service) -> anyhow::Result<()> {
        let routes = routes(service).await?;
        let socket = Server::builder()
            .add_routes(routes.clone())
            .serve_with_incoming(ours_only(self.socket));
        let Some(Network { listener, tls, token }) = self.network else {
            return socket.await.context("serving the socket");
        };
        let holder = InterceptorLayer::new(move |request| admitted(request, &token));
        let network = Server::builder()
            .tls_config(tls)
            .context("reading api.cert and api.cert_key")?
            .layer(holder)
            .add_routes(routes)
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::try_join!(async { socket.await.context("serving the socket") }, async {
            network.await.context("serving api.listen")
        },)?;
        Ok(())
    }
}

impl Network {
    async fn bind(address: SocketAddr, paths: &Paths, config: &Config) -> anyhow::Result<Self> {
        let pem = |key: &str, file: &Option<String>| {
            let Some(file) = file else {
                let what = format!("api.listen is {address}, and {key} is not set");
                let hint = "over a network there is TLS or nothing: taskd help remote";
                return Err(ApiError::new(codes::CONFIG, what).hint(hint));
            };
            fs::read(file).map_err(|it| {
                let what = format!("{key} cannot be read: {file}: {it}");
                ApiError::new(codes::CONFIG, what).hint("taskd config get api.cert")
            })
        };
        let cert = pem("api.cert", &config.api_cert)?;
        let key = pem("api.cert_key", &config.api_cert_key)?;
        let identity = Identity::from_pem(cert, key);
        let tls = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
        // What is no certificate is told before anything runs.
        Server::builder().tls_config(tls.clone()).map_err(|it| {
            let what = format!("api.cert and api.cert_key are no certificate and its key: {it}");
            ApiError::new(codes::CONFIG, what).hint("taskd help remote")
        })?;
        let token = token(&paths.token_file())?;
        let listener = TcpListener::bind(address).await.context("binding api.listen")?;
        info!(address = ?listener.local_addr().ok(), "clients of the network are served");
        Ok(Self { listener, tls, token: Digest::of(token.as_bytes()) })
    }
}

/// What opens the network's door; made the first time. A new one is made where the file is gone.
fn token(file: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => {
            let token = private::token().context("making a token")?;
            private::write(file, &format!("{token}\n"))
                .with_context(|| format!("writing {}", file.display()))?;
            Ok(token)
        }
    }
}

/// A request of somebody who holds the token.
fn admitted(request: Request<()>, token: &Digest) -> Result<Request<()>, Status> {
    let said = request.metadata().get("authorization").and_then(|it| it.to_str().ok());
    let said = said.and_then(|it| it.strip_prefix("Bearer "));
    if said.is_some_and(|it| Digest::of(it.as_bytes()) == *token) {
        return Ok(request);
    }
    let what = if said.is_some() { "the token is not this daemon's" } else { "a token is wanted" };
    let hint = "set TASKD_TOKEN_FILE to a copy of the daemon's api-token: taskd help remote";
    Err(ApiError::new(codes::DENIED, what).hint(hint).to_status())
}

async fn routes(service: Service) -> anyhow::Result<Routes> {
    let (health_reporter, health_service) = tonic_health::server::health_reporter();
    health_reporter.set_serving::<TaskdServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(taskd_api::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("describing the API")?;
    let life = Arc::clone(&service.0.ctx.life);
    let routes = Routes::new(TaskdServer::new(service)).add_service(health_service);
    let counted = from_fn_with_state(life, metrics::count);
    Ok(routes.add_service(reflection).into_axum_router().layer(counted).into())
}

/// Connections of our own user; others are closed without a word.
fn ours_only(
    listener: UnixListener,
) -> impl tokio_stream::Stream<Item = std::io::Result<UnixStream>> {
    let uid = nix::unistd::geteuid().as_raw();
    UnixListenerStream::new(listener).filter(move |stream| match stream {
        Ok(stream) => {
            let peer = stream.peer_cred().map(|it| it.uid());
            let ours = peer.as_ref().is_ok_and(|it| *it == uid);
            if !ours {
                warn!(?peer, "refused a connection of another user");
            }
            ours
        }
        Err(_) => true,
    })
}

/// Takes the socket's place. We hold the store's lock, so whatever socket is there is a leftover;
/// anything that is no socket of ours is not touched.
fn bind_socket(paths: &Paths) -> anyhow::Result<UnixListener> {
    let path = &paths.socket;
    if let Some(dir) = path.parent().filter(|it| !it.exists()) {
        private::directory(dir)?;
    }
    if let Ok(meta) = fs::symlink_metadata(path) {
        let ours = meta.file_type().is_socket() && meta.uid() == nix::unistd::geteuid().as_raw();
        anyhow::ensure!(
            ours,
            "{} exists and is no socket of yours; move it away and start again",
            path.display()
        );
        fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("binding {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("closing {} to others", path.display()))?;
    Ok(listener)
}
