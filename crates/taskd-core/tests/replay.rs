//! Old logs replay for ever: one real log of every released version, kept as it was stored.

use taskd_core::Coordinator;
use taskd_model::{DecodeError, Input, Record, View};

/// Version, and one log it wrote.
const LOGS: &[(&str, &str)] = &[("0.1.0", include_str!("logs/0.1.0.jsonl"))];

/// Proves S-1.3.4.
#[test]
fn every_released_log_is_read_folded_and_settled() {
    for (name, log) in LOGS {
        let (mut core, mut view) = (Coordinator::default(), View::default());
        let mut last = None;
        for line in log.lines() {
            let record = Record::decode(line).unwrap();
            assert_eq!(record.encode(), line, "{name}: what was stored is what is written");
            core.apply(&record);
            view.apply(&record);
            last = Some((record.seq, record.at));
        }
        let (seq, at) = last.unwrap();
        assert_eq!((core.head(), view.seq), (seq, seq), "{name}");
        let started = Input::Started { version: "later".to_owned() };
        core.handle(at, &started).unwrap();
        assert!(core.indexes_are_exact(), "{name}");
    }
}

/// Proves S-1.3.4: a field of a later version is no error, a kind of a later version is named.
#[test]
fn what_a_later_version_adds_is_passed_over_or_named() {
    let lines: Vec<&str> = LOGS[0].1.lines().collect();
    for line in &lines {
        let longer = line.replacen('{', r#"{"of_a_later_version":{"a":[1]},"#, 1);
        assert_eq!(Record::decode(&longer).unwrap(), Record::decode(line).unwrap());
    }
    let other = lines[0].replacen("daemon_started", "daemon_dreamt", 1);
    let other = other.replacen("limits_set", "daemon_dreamt", 1);
    let error = Record::decode(&other).unwrap_err();
    assert!(
        matches!(&error, DecodeError::Unknown { seq: 1, kind, .. } if kind == "daemon_dreamt"),
        "{error}"
    );
}
