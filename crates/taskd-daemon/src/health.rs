//! `/healthz`, `/readyz` and `/metrics` on loopback, for supervisors and scrapers.

mod calls;
mod letters;

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use taskd_model::{BudgetView, Purse, Time, Unit, View};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    runner::Context,
    watcher::{Target, remote::Health},
};

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

async fn metrics(State(ctx): State<Arc<Context>>) -> String {
    let asked =
        ctx.handle.ask(|core, now| (core.buckets(now), letters::Figures::of(core, now), now)).await;
    let (buckets, letters, now) = asked.unwrap_or_default();
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
    days(&view, now, &mut family);
    remotes(&ctx, &mut family);
    let spent: u64 = view.plans.values().map(|it| it.spent.micros).sum();
    family("taskd_spent_micros", "Spend of all plans in micro-dollars.", &plain(spent));
    out + &calls::text(&buckets) + &letters.text()
}

/// Writes one family: its name, its help, its labels and values.
type Family<'a> = dyn FnMut(&str, &str, &[(String, u64)]) + 'a;

/// Targets that follow a remote.
fn remotes(ctx: &Context, family: &mut Family<'_>) {
    let rows = ctx.remotes.all();
    let of = |value: fn(&Health) -> u64| -> Vec<(String, u64)> {
        let labels = |it: &Target| {
            format!("{{project=\"{}\",target=\"{}\"}}", it.0.0, calls::escaped(&it.1))
        };
        rows.iter().map(|(target, it)| (labels(target), value(it))).collect()
    };
    let failures = of(|it| u64::from(it.failures));
    family("taskd_fetch_failures", "Fetches of a target's remote in a row that failed.", &failures);
    let apart = of(|it| u64::from(it.failures == 0 && it.trouble.is_some()));
    family("taskd_target_apart", "1 while a target cannot follow its remote.", &apart);
}

/// Budgets of a day: everybody's, and each project's.
fn days(view: &View, now: Time, family: &mut Family<'_>) {
    let rows: Vec<BudgetView> = view.days().filter_map(|(of, _)| view.budget(of, now)).collect();
    let labels = |it: &BudgetView| match it.of {
        Purse::Project(id) => format!("{{of=\"project\",project=\"{}\"}}", id.0),
        Purse::All | Purse::Plan(_) | Purse::Loop(_) => "{of=\"all\"}".to_owned(),
    };
    for (unit, word) in [(Unit::Micros, "micros"), (Unit::Tokens, "tokens")] {
        let limited = || rows.iter().filter_map(|it| Some((it, it.limit(unit)?)));
        let limits: Vec<_> = limited().map(|(it, limit)| (labels(it), limit)).collect();
        let spent: Vec<_> = limited().map(|(it, _)| (labels(it), it.spent.get(unit))).collect();
        family(&format!("taskd_day_budget_{word}"), "What may be spent each day.", &limits);
        family(&format!("taskd_day_spent_{word}"), "What of that is spent today.", &spent);
    }
    let closed = |it: &BudgetView| (labels(it), u64::from(it.closed_until.is_some()));
    let closed: Vec<_> = rows.iter().map(closed).collect();
    family("taskd_day_budget_closed", "1 while it did not pay for a call.", &closed);
}
