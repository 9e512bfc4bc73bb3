//! `/healthz`, `/readyz` and `/metrics` on loopback, for supervisors and scrapers.

mod calls;

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::runner::Context;

/// A driver with inputs waiting that has not turned for so long is not healthy, in milliseconds.
const STUCK_MS: u64 = 5_000;

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
        .route("/metrics", get(metrics))
        .with_state(ctx);
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn healthz(State(ctx): State<Arc<Context>>) -> (StatusCode, &'static str) {
    let (turned, _, waiting) = ctx.handle.health();
    if waiting == 0 || turned < STUCK_MS {
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

async fn metrics(State(ctx): State<Arc<Context>>) -> String {
    let buckets = ctx.handle.ask(|core, now| core.buckets(now)).await.unwrap_or_default();
    let (_, undurable, inputs) = ctx.handle.health();
    let view = ctx.hub.view();
    let mut out = String::new();
    let mut family = |name: &str, help: &str, rows: &[(String, u64)]| {
        _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in rows {
            _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let totals: Vec<_> =
        view.totals().map(|(status, n)| (format!("{{status=\"{status}\"}}"), n)).collect();
    family("taskd_loops", "Loops by status.", &totals);
    let plain = |n: u64| vec![(String::new(), n)];
    family("taskd_log_seq", "Last event of the log.", &plain(view.seq.0));
    family("taskd_effects_running", "Effects that run.", &plain(view.effects.len() as u64));
    family("taskd_events_undurable", "Events decided and not yet durable.", &plain(undurable));
    family("taskd_inputs_waiting", "Inputs that wait for the driver.", &plain(inputs as u64));
    family("taskd_watchers", "Clients that follow.", &plain(ctx.hub.followers() as u64));
    let spent: u64 = view.plans.values().map(|it| it.spent.micros).sum();
    family("taskd_spent_micros", "Spend of all plans in micro-dollars.", &plain(spent));
    out + &calls::text(&buckets)
}
