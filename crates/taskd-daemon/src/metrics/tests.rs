//! The catalogue, its documentation, and what is emitted are the same.

use std::collections::BTreeSet;

use taskd_api::v1::{MetricKind, MetricSince};

use super::{catalogue::METRICS, sheet::Sheet};

const PAGE: &str = include_str!("../../../../docs/metrics.md");

/// The table of the page, as it should be.
fn table() -> String {
    let row = |it: &super::catalogue::Metric| {
        let kind = match it.kind {
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
            MetricKind::Summary => "summary",
            MetricKind::Gauge | MetricKind::Unspecified => "gauge",
        };
        let since = match it.since {
            MetricSince::Log => "log",
            MetricSince::Start => "start",
            MetricSince::Now | MetricSince::Unspecified => "now",
        };
        let labels: Vec<String> = it.labels.iter().map(|it| format!("`{it}`")).collect();
        format!("| `{}` | {kind} | {} | {since} | {} |\n", it.name, labels.join(", "), it.help)
    };
    METRICS.iter().map(row).collect()
}

/// A metric that is not told of, or told of and not there, fails here.
#[test]
fn the_page_has_every_metric_and_no_other() {
    let told: Vec<&str> = PAGE.lines().filter(|it| it.starts_with("| `taskd_")).collect();
    assert_eq!(format!("{}\n", told.join("\n")), table());
}

#[test]
fn names_are_what_scrapers_want() {
    // As OpenMetrics names families: a counter and a gauge may not meet there.
    let family = |name: &'static str| name.strip_suffix("_total").unwrap_or(name);
    let names: BTreeSet<&str> = METRICS.iter().map(|it| family(it.name)).collect();
    assert_eq!(names.len(), METRICS.len());
    for it in METRICS {
        let plain = |it: char| it.is_ascii_lowercase() || it == '_';
        assert!(it.name.starts_with("taskd_") && it.name.chars().all(plain), "{}", it.name);
        assert_eq!(it.kind == MetricKind::Counter, it.name.ends_with("_total"), "{}", it.name);
        let durations = matches!(it.kind, MetricKind::Histogram | MetricKind::Summary);
        assert_eq!(durations, it.name.ends_with("_seconds"), "{}", it.name);
        // A gauge is how it is now.
        assert_eq!(it.kind == MetricKind::Gauge, it.since == MetricSince::Now, "{}", it.name);
        assert!(it.help.ends_with('.'), "{}", it.name);
    }
}

#[test]
fn of_one_type_only_its_rows_are_told() {
    let mut sheet = Sheet::default();
    sheet.row("taskd_loops_added_total", &["ralph"], 2);
    sheet.row("taskd_loops_added_total", &["other"], 3);
    sheet.one("taskd_plans_total", 1);
    let families = sheet.families("ralph");
    let told = families.iter().flat_map(|it| it.samples.iter().map(|row| (&*it.name, row.value)));
    assert_eq!(told.collect::<Vec<_>>(), [("taskd_loops_added_total", 2)]);
}
