//! `taskd metrics`: a line for each figure, below the name of its family.

use serde_json::{Map, Value, json};
use taskd_api::v1;
use taskd_model::{Time, format_duration_ms};

use super::{
    json::{SCHEMA_VERSION, time},
    text::clean,
};

/// What every name begins with.
const OURS: &str = "taskd_";
/// Columns of names and of labels.
const NAME: usize = 34;

/// The picture; families without a figure are left out.
pub(crate) fn picture(families: &[v1::MetricFamily]) -> String {
    let mut out = String::new();
    for it in families {
        let name = it.name.strip_prefix(OURS).unwrap_or(&it.name);
        for (n, sample) in it.samples.iter().enumerate() {
            let labels: Vec<String> = sample
                .labels
                .iter()
                .map(|it| format!("{} {}", it.name, clean(&it.value)))
                .collect();
            let labels = labels.join(", ");
            let name = if n == 0 { name } else { "" };
            let figure = figure(it.kind(), sample);
            let line = if labels.is_empty() {
                format!("{name:<NAME$}  {figure}")
            } else {
                format!("{name:<NAME$}  {labels}: {figure}")
            };
            out.push_str(&format!("{line}\n"));
        }
    }
    out
}

/// `7`, or of durations `12, 1.5s each, half within 1s`.
fn figure(kind: v1::MetricKind, sample: &v1::MetricSample) -> String {
    let Some(it) = &sample.spread else { return sample.value.to_string() };
    if it.count == 0 {
        return "0".to_owned();
    }
    let each = format_duration_ms(it.sum_ms / it.count);
    let within = |percent: u64| {
        let wanted = (it.count * percent).div_ceil(100);
        let bound = it.upto.iter().find(|bound| wanted <= bound.count);
        bound.map_or_else(
            || {
                it.upto
                    .last()
                    .map_or_else(String::new, |it| format!("over {}", format_duration_ms(it.ms)))
            },
            |it| format!("within {}", format_duration_ms(it.ms)),
        )
    };
    match kind {
        v1::MetricKind::Histogram => {
            format!("{}, {each} each, half {}, 95 % {}", it.count, within(50), within(95))
        }
        v1::MetricKind::Summary
        | v1::MetricKind::Counter
        | v1::MetricKind::Gauge
        | v1::MetricKind::Unspecified => format!("{}, {each} each", it.count),
    }
}

/// One object.
pub(crate) fn json(answer: &v1::MetricsResponse, loop_type: &str) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "at": time(Time(answer.at)),
        "type": (!loop_type.is_empty()).then_some(loop_type),
        "families": answer.families.iter().map(family).collect::<Vec<_>>(),
    })
}

fn family(it: &v1::MetricFamily) -> Value {
    let kind = match it.kind() {
        v1::MetricKind::Counter => "counter",
        v1::MetricKind::Gauge | v1::MetricKind::Unspecified => "gauge",
        v1::MetricKind::Histogram => "histogram",
        v1::MetricKind::Summary => "summary",
    };
    let since = match it.since() {
        v1::MetricSince::Log => "log",
        v1::MetricSince::Start => "start",
        v1::MetricSince::Now | v1::MetricSince::Unspecified => "now",
    };
    let samples: Vec<Value> = it.samples.iter().map(sample).collect();
    json!({
        "name": it.name, "kind": kind, "since": since, "help": it.help, "samples": samples,
    })
}

fn sample(it: &v1::MetricSample) -> Value {
    let labels = it.labels.iter().map(|it| (it.name.clone(), it.value.clone().into()));
    let labels: Map<String, Value> = labels.collect();
    let Some(spread) = &it.spread else { return json!({ "labels": labels, "value": it.value }) };
    // A bound within which no more are than within the one before says nothing new.
    let before = [0].into_iter().chain(spread.upto.iter().map(|it| it.count));
    let more = spread.upto.iter().zip(before).filter(|(it, before)| *before < it.count);
    let upto: Vec<Value> = more.map(|(it, _)| json!({ "ms": it.ms, "count": it.count })).collect();
    json!({ "labels": labels, "count": spread.count, "sum_ms": spread.sum_ms, "upto": upto })
}
