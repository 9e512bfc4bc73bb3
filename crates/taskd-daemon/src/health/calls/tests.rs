//! The text is what a scraper reads.
#![expect(clippy::disallowed_methods, reason = "promtool is a real program")]

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use taskd_core::{BucketState, CallCounts};

use super::*;

fn bucket(name: &str, scale: u64) -> BucketRow {
    let used = Usage {
        input: 1_000 * scale,
        output: 200 * scale,
        cache_read: 30 * scale,
        cache_write: 4 * scale,
        micros: 2_000 * scale,
        unpriced: 1,
        ..Usage::default()
    };
    let counts = CallCounts { admitted: 7 * scale, refused: 2, failed: 3, waited_ms: 1_005, used };
    BucketRow {
        name: name.to_owned(),
        in_flight: 2,
        limit: 10,
        waiting: 5,
        state: BucketState::Open,
        circuit: 0,
        rooms: Vec::new(),
        next: Vec::new(),
        counts,
    }
}

/// The samples of a text by name and labels, after every rule of the format was checked.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut helps, mut types) = (BTreeMap::new(), BTreeMap::new());
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(!help.is_empty() && helps.insert(name, help).is_none(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
            assert!(helps.contains_key(name) && types.insert(name, kind).is_none(), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let name = series.split('{').next().expect("a name");
            let plain = |it: char| it.is_ascii_lowercase() || it == '_';
            assert!(name.chars().all(plain), "{line}");
            let family = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count"));
            let family = family.filter(|it| types.get(it) == Some(&"summary")).unwrap_or(name);
            // All of a family stand together, below its type.
            assert_eq!(types.keys().find(|it| **it == family), Some(&family), "{line}");
            assert!(text.find(&format!("# TYPE {family} ")) < text.find(line), "{line}");
            let value = value.parse().expect(line);
            assert!(found.insert(series.to_owned(), value).is_none(), "{line} is there twice");
        }
    }
    assert_eq!(helps.len(), types.len());
    found
}

#[test]
fn every_family_is_there_in_the_format() {
    let text = text(&[bucket("fast", 1), bucket("slow", 2)]);
    let found = samples(&text);
    assert!(text.ends_with('\n'));
    for (series, value) in [
        ("taskd_calls_in_flight{bucket=\"fast\"}", 2.0),
        ("taskd_calls_waiting{bucket=\"fast\"}", 5.0),
        ("taskd_call_circuit_state{bucket=\"fast\"}", 0.0),
        ("taskd_calls_admitted_total{bucket=\"slow\"}", 14.0),
        ("taskd_calls_refused_total{bucket=\"fast\"}", 2.0),
        ("taskd_calls_failed_total{bucket=\"fast\"}", 3.0),
        ("taskd_call_wait_seconds_sum{bucket=\"fast\"}", 1.005),
        ("taskd_call_wait_seconds_count{bucket=\"fast\"}", 7.0),
        ("taskd_call_tokens_total{bucket=\"fast\",class=\"input\"}", 1_000.0),
        ("taskd_call_tokens_total{bucket=\"fast\",class=\"output\"}", 200.0),
        ("taskd_call_tokens_total{bucket=\"fast\",class=\"cache_read\"}", 30.0),
        ("taskd_call_tokens_total{bucket=\"fast\",class=\"cache_write\"}", 4.0),
        ("taskd_call_cost_microdollars_total{bucket=\"fast\"}", 2_000.0),
        ("taskd_calls_unpriced_total{bucket=\"fast\"}", 1.0),
    ] {
        assert_eq!(found.get(series), Some(&value), "{series}");
    }
    assert_eq!(found.len(), 2 * 14);
    assert_eq!(samples(&super::text(&[])).len(), 0);
}

#[test]
fn a_name_cannot_leave_its_label() {
    let text = text(&[bucket("a\"} 1\nb\\", 1)]);
    assert_eq!(samples(&text).len(), 14);
    assert!(text.contains(r#"{bucket="a\"} 1\nb\\"}"#), "{text}");
}

#[test]
fn promtool_agrees() {
    let text = text(&[bucket("fast", 1), bucket("a\"\n\\", 2)]);
    let mut tool = Command::new("promtool");
    tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = tool.stderr(Stdio::piped()).spawn() else {
        println!("NOT RUN promtool");
        return;
    };
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
