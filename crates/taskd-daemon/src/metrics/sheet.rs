//! The families while they are filled: each metric of the catalogue once, in its order.

use taskd_api::v1::{self, MetricKind};
use taskd_model::{BOUNDS_MS, Spread};

use super::catalogue::METRICS;

/// Rows of every metric.
#[derive(Debug)]
pub(super) struct Sheet(Vec<v1::MetricFamily>);

impl Default for Sheet {
    fn default() -> Self {
        let family = |it: &super::catalogue::Metric| v1::MetricFamily {
            name: it.name.to_owned(),
            kind: it.kind.into(),
            help: it.help.to_owned(),
            samples: Vec::new(),
            since: it.since.into(),
        };
        Self(METRICS.iter().map(family).collect())
    }
}

impl Sheet {
    /// The figure of a metric without labels.
    pub(super) fn one(&mut self, metric: &str, value: u64) {
        self.row(metric, &[], value);
    }

    /// A figure with its labels' values, in the order of the catalogue. An empty one is left out.
    pub(super) fn row(&mut self, metric: &str, labels: &[&str], value: u64) {
        self.put(metric, labels, |it| it.value = value);
    }

    /// Durations by how long they are.
    pub(super) fn spread(&mut self, metric: &str, labels: &[&str], spread: &Spread) {
        let (upto, count) = spread.upto();
        let upto = BOUNDS_MS.iter().zip(upto).map(|(ms, count)| v1::MetricBound { ms: *ms, count });
        let spread = v1::MetricSpread { count, sum_ms: spread.sum_ms(), upto: upto.collect() };
        self.put(metric, labels, |it| it.spread = Some(spread));
    }

    /// So many durations, and all of them together.
    pub(super) fn sum(&mut self, metric: &str, labels: &[&str], count: u64, sum_ms: u64) {
        let spread = v1::MetricSpread { count, sum_ms, upto: Vec::new() };
        self.put(metric, labels, |it| it.spread = Some(spread));
    }

    /// # Panics
    ///
    /// The catalogue has no such metric, or one with other labels.
    fn put(&mut self, metric: &str, values: &[&str], set: impl FnOnce(&mut v1::MetricSample)) {
        let at = METRICS.iter().position(|it| it.name == metric).expect(metric);
        let of = &METRICS[at];
        assert_eq!(of.labels.len(), values.len(), "labels of {metric}");
        let durations = matches!(of.kind, MetricKind::Histogram | MetricKind::Summary);
        let labels = of.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| v1::MetricLabel {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        let mut sample = v1::MetricSample { labels: labels.collect(), value: 0, spread: None };
        set(&mut sample);
        assert_eq!(durations, sample.spread.is_some(), "kind of {metric}");
        self.0[at].samples.push(sample);
    }

    /// Every family; of one loop type only those that are told by type, with its rows.
    pub(super) fn families(mut self, loop_type: &str) -> Vec<v1::MetricFamily> {
        if loop_type.is_empty() {
            return self.0;
        }
        let by_type =
            |name: &str| METRICS.iter().any(|it| it.name == name && it.labels.contains(&"type"));
        self.0.retain(|it| by_type(&it.name));
        let of_type = |it: &v1::MetricSample| {
            it.labels.iter().any(|it| it.name == "type" && it.value == loop_type)
        };
        self.0.iter_mut().for_each(|it| it.samples.retain(of_type));
        self.0
    }
}
