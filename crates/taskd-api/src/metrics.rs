//! Metrics as text that scrapers read: `OpenMetrics` 1.0, and Prometheus' own format 0.0.4.

use std::fmt::Write as _;

use crate::v1;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsText {
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl MetricsText {
    /// The content type over HTTP.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// All families, each with its help and type, also those without samples.
    #[must_use]
    pub fn write(self, families: &[v1::MetricFamily]) -> String {
        let mut out = String::new();
        for it in families {
            self.family(&mut out, it);
        }
        if self == Self::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }

    fn family(self, out: &mut String, it: &v1::MetricFamily) {
        // In OpenMetrics `_total` belongs to a counter's samples and not to its name.
        let name = match self {
            Self::OpenMetrics => it.name.strip_suffix("_total").unwrap_or(&it.name),
            Self::Prometheus => &it.name,
        };
        let kind = match it.kind() {
            v1::MetricKind::Counter => "counter",
            v1::MetricKind::Histogram => "histogram",
            v1::MetricKind::Summary => "summary",
            v1::MetricKind::Gauge | v1::MetricKind::Unspecified => "gauge",
        };
        let help = it.help.replace('\\', "\\\\").replace('\n', "\\n");
        _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for sample in &it.samples {
            match &sample.spread {
                Some(spread) => durations(out, it, sample, spread),
                None => {
                    _ = writeln!(out, "{}{} {}", it.name, labels(sample, None), sample.value);
                }
            }
        }
    }
}

fn durations(
    out: &mut String,
    family: &v1::MetricFamily,
    sample: &v1::MetricSample,
    spread: &v1::MetricSpread,
) {
    let (name, plain) = (&family.name, labels(sample, None));
    if family.kind() == v1::MetricKind::Histogram {
        let bounds = spread.upto.iter().map(|it| (bound(it.ms), it.count));
        for (le, count) in bounds.chain([("+Inf".to_owned(), spread.count)]) {
            _ = writeln!(out, "{name}_bucket{} {count}", labels(sample, Some(&le)));
        }
    }
    let (whole, part) = (spread.sum_ms / 1_000, spread.sum_ms % 1_000);
    _ = writeln!(out, "{name}_sum{plain} {whole}.{part:03}");
    _ = writeln!(out, "{name}_count{plain} {}", spread.count);
}

/// A bound in seconds, in the shortest way that is a fraction: `0.25`, `60.0`.
fn bound(ms: u64) -> String {
    let (whole, part) = (ms / 1_000, format!("{:03}", ms % 1_000));
    let part = part.trim_end_matches('0');
    format!("{whole}.{}", if part.is_empty() { "0" } else { part })
}

fn labels(sample: &v1::MetricSample, le: Option<&str>) -> String {
    let own = sample.labels.iter().map(|it| (it.name.as_str(), it.value.as_str()));
    let all: Vec<String> = own
        .chain(le.map(|it| ("le", it)))
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

/// A label's value as the formats want it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(label: &str, value: u64) -> v1::MetricSample {
        let labels = vec![v1::MetricLabel { name: "of".to_owned(), value: label.to_owned() }];
        v1::MetricSample { labels, value, spread: None }
    }

    fn families() -> Vec<v1::MetricFamily> {
        let family = |name: &str, kind: v1::MetricKind, samples| v1::MetricFamily {
            name: name.to_owned(),
            kind: kind.into(),
            help: "A\nhelp.".to_owned(),
            samples,
            since: v1::MetricSince::Log.into(),
        };
        let upto = [(50, 1), (60_000, 2)].map(|(ms, count)| v1::MetricBound { ms, count });
        let spread = v1::MetricSpread { count: 3, sum_ms: 61_005, upto: upto.to_vec() };
        let took = v1::MetricSample { spread: Some(spread), ..v1::MetricSample::default() };
        vec![
            family("a_total", v1::MetricKind::Counter, vec![sample("x\"\\\ny", 7)]),
            family("b_seconds", v1::MetricKind::Histogram, vec![took]),
            family("c", v1::MetricKind::Gauge, Vec::new()),
        ]
    }

    const HISTOGRAM: &str = "# HELP b_seconds A\\nhelp.\n# TYPE b_seconds histogram\n\
         b_seconds_bucket{le=\"0.05\"} 1\nb_seconds_bucket{le=\"60.0\"} 2\n\
         b_seconds_bucket{le=\"+Inf\"} 3\nb_seconds_sum 61.005\nb_seconds_count 3\n\
         # HELP c A\\nhelp.\n# TYPE c gauge\n";

    #[test]
    fn the_two_formats_differ_in_counters_and_in_the_end() {
        let row = "a_total{of=\"x\\\"\\\\\\ny\"} 7\n";
        assert_eq!(
            MetricsText::OpenMetrics.write(&families()),
            format!("# HELP a A\\nhelp.\n# TYPE a counter\n{row}{HISTOGRAM}# EOF\n")
        );
        assert_eq!(
            MetricsText::Prometheus.write(&families()),
            format!("# HELP a_total A\\nhelp.\n# TYPE a_total counter\n{row}{HISTOGRAM}")
        );
    }
}
