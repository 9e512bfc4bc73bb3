//! `taskd metrics`: what the daemon counts and measures.

use taskd_api::{MetricsText, v1};

use super::{args::MetricsArgs, failure::Done, here::Here};
use crate::render::metrics;

/// `taskd metrics`.
pub(crate) async fn metrics(here: &Here, args: MetricsArgs) -> Done {
    let client = here.client().await?;
    let loop_type = args.loop_type.unwrap_or_default();
    let answer = client.metrics(v1::MetricsRequest { loop_type: loop_type.clone() }).await?;
    here.skew(&client);
    if args.openmetrics {
        here.out.print(&MetricsText::OpenMetrics.write(&answer.families))?;
    } else if here.out.json {
        here.out.object(&metrics::json(&answer, &loop_type))?;
    } else {
        here.out.print(&metrics::picture(&answer.families))?;
    }
    Ok(0)
}
