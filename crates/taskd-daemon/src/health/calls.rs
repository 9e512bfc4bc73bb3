//! Metrics of model calls, by bucket, in Prometheus' text format 0.0.4.
//!
//! The counters are folded from the log: they survive a restart and never fall. There is a row for
//! each model that was ever called or is waited for, and no other label than its name.

use std::fmt::Write as _;

use taskd_core::BucketRow;
use taskd_model::Usage;

/// A class of tokens: its label, and how many of them were used.
type Class = (&'static str, fn(&Usage) -> u64);

/// The classes of tokens, as label values.
const CLASSES: [Class; 4] = [
    ("input", |it| it.input),
    ("output", |it| it.output),
    ("cache_read", |it| it.cache_read),
    ("cache_write", |it| it.cache_write),
];

/// The families of model calls.
pub(super) fn text(buckets: &[BucketRow]) -> String {
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, of: &dyn Fn(&BucketRow) -> u64| {
        head(&mut out, name, kind, help);
        for it in buckets {
            _ = writeln!(out, "{name}{{bucket=\"{}\"}} {}", escaped(&it.name), of(it));
        }
    };
    let gauge = "gauge";
    family("taskd_calls_in_flight", gauge, "Model calls in flight.", &|it| it.in_flight.into());
    family("taskd_calls_waiting", gauge, "Model calls that wait for admission.", &|it| {
        it.waiting as u64
    });
    let help = "0 calls go through, 1 only probes do, 2 nobody calls.";
    family("taskd_call_circuit_state", gauge, help, &|it| it.circuit.into());
    let counter = "counter";
    family("taskd_calls_admitted_total", counter, "Model calls that were sent.", &|it| {
        it.counts.admitted
    });
    let help = "Model calls the provider refused because too much was asked for.";
    family("taskd_calls_refused_total", counter, help, &|it| it.counts.refused);
    let help = "Model calls the provider failed.";
    family("taskd_calls_failed_total", counter, help, &|it| it.counts.failed);
    let help = "Cost of model calls with a known price, in micro-dollars.";
    family("taskd_call_cost_microdollars_total", counter, help, &|it| it.counts.used.micros);
    let help = "Model calls that used something for which no price is known.";
    family("taskd_calls_unpriced_total", counter, help, &|it| it.counts.used.unpriced.into());

    let name = "taskd_call_tokens_total";
    head(&mut out, name, counter, "Tokens of model calls, by class.");
    for it in buckets {
        for (class, of) in CLASSES {
            let (bucket, n) = (escaped(&it.name), of(&it.counts.used));
            _ = writeln!(out, "{name}{{bucket=\"{bucket}\",class=\"{class}\"}} {n}");
        }
    }
    let name = "taskd_call_wait_seconds";
    head(&mut out, name, "summary", "How long model calls waited before they were sent.");
    for it in buckets {
        let (bucket, ms) = (escaped(&it.name), it.counts.waited_ms);
        let (whole, part) = (ms / 1_000, ms % 1_000);
        _ = writeln!(out, "{name}_sum{{bucket=\"{bucket}\"}} {whole}.{part:03}");
        _ = writeln!(out, "{name}_count{{bucket=\"{bucket}\"}} {}", it.counts.admitted);
    }
    out
}

pub(super) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value as the format wants it.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
