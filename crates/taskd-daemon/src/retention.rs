//! Keeps the log bounded: the events of what ended long ago are replaced by a base snapshot.
//!
//! Never further than to the first event of what has not ended, so that nothing that works loses
//! its history. What people see of a plan stays in the view: its loops, commits and evidence.

use std::{sync::Arc, time::Duration};

use taskd_model::{PlanState, Seq, Time};
use tracing::{info, warn};

use crate::{
    replay::{self, BASE_FORMAT, Replayed},
    runner::{Context, epoch_ms, lock},
};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// Cuts now and then, until the daemon stops.
pub(crate) async fn now_and_then(ctx: Arc<Context>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let ctx = Arc::clone(&ctx);
        match tokio::task::spawn_blocking(move || cut(&ctx)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some((upto, events)))) => info!(upto = upto.0, events, "old events are cut"),
            Ok(Err(why)) => warn!("old events stay: {why:#}"),
            Err(panic) => warn!("old events stay: {panic}"),
        }
    }
}

/// Replaces what is old enough; says up to which event, and how many went.
fn cut(ctx: &Context) -> anyhow::Result<Option<(Seq, u64)>> {
    let store = &ctx.store;
    let oldest = {
        let view = ctx.hub.view();
        let open = view.plans.values().filter(|it| it.state != PlanState::Ended);
        open.map(|it| it.submitted_at).min()
    };
    let keep_ms = lock(&ctx.config).gc_history_ms;
    let before = Time(epoch_ms().saturating_sub(keep_ms));
    let before = oldest.map_or(before, |it| it.min(before));
    let mut at = Replayed::base(store)?;
    let (begun, head) = (at.core.head(), store.head());
    at.go_on_while(store, |it| it.at < before && it.seq <= head)?;
    let upto = at.core.head();
    if begun < upto {
        store.base_snapshot(upto, BASE_FORMAT, &replay::payload(&at.core, &at.view, &at.tally))?;
    }
    // Also what a cut that was killed has left.
    let events = store.cut()?;
    Ok((events > 0).then_some((upto, events)))
}
