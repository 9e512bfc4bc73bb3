//! `/healthz`, `/readyz` and `/metrics` on loopback, for supervisors and scrapers.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use taskd_api::MetricsText;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{metrics, runner::Context};

/// Binds to a loopback address.
///
/// # Errors
///
/// The address is not loopback, or taken.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    anyhow::ensure!(
        address.ip().is_loopback(),
        "http.listen is {address}; only loopback is served without TLS"
    );
    Ok(TcpListener::bind(address).await?)
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    ctx: Arc<Context>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(figures))
        .with_state(ctx);
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn healthz(State(ctx): State<Arc<Context>>) -> (StatusCode, &'static str) {
    if ctx.handle.is_healthy() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the driver does not turn\n")
    }
}

/// Ready is healthy and able to write: an answer from the loop proves it.
async fn readyz(State(ctx): State<Arc<Context>>) -> (StatusCode, &'static str) {
    match ctx.handle.ask(|_, _| ()).await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

/// What scrapers read, in the format they ask for.
async fn figures(State(ctx): State<Arc<Context>>, asked: HeaderMap) -> Response {
    let accepts = asked.get(ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let format = if accepts.contains("application/openmetrics-text") {
        MetricsText::OpenMetrics
    } else {
        MetricsText::Prometheus
    };
    match metrics::told(&ctx, "").await {
        Ok(told) => {
            let text = format.write(&told.families);
            ([(CONTENT_TYPE, format.content_type())], text).into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
    }
}
