//! Old logs replay for ever: one real log of every released version, kept as it was stored.

use std::{fs, path::Path};

use taskd_core::Coordinator;
use taskd_model::{DecodeError, Input, Record, View};

/// Every log there is, by file name.
fn logs() -> Vec<(String, Vec<String>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let mut logs = Vec::new();
    for entry in fs::read_dir(dir).expect("the logs") {
        let path = entry.expect("a log").path();
        let text = fs::read_to_string(&path).expect("text");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        logs.push((name, text.lines().map(str::to_owned).collect()));
    }
    assert!(!logs.is_empty());
    logs
}

/// Proves S-1.3.4.
#[test]
fn every_released_log_is_read_folded_and_settled() {
    for (name, lines) in logs() {
        let (mut core, mut view) = (Coordinator::default(), View::default());
        let mut last = None;
        for line in &lines {
            let record = Record::decode(line).unwrap();
            assert_eq!(record.encode(), *line, "{name}: what was stored is what is written");
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
    let (_, lines) = logs().remove(0);
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
