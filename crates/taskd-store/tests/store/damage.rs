//! Rot in the database: found, named, and left alone.

use std::{fs, path::Path};

use taskd_model::Seq;
use taskd_store::StoreError;

use crate::help::{append, bytes, dir, events, find, flip, open, refused};

/// A closed store with two hundred events and a snapshot at a hundred.
fn with_snapshot(dir: &Path) {
    let (store, _) = open(dir);
    append(&store, events(1, 200)).expect("taken");
    store.snapshot(Seq(100), b"state").expect("a snapshot");
    store.close(true).expect("closed");
}

#[test]
fn a_changed_byte_in_an_event_after_the_snapshot_stops_the_opening() {
    let dir = dir();
    with_snapshot(dir.path());
    let db = dir.path().join("taskd.db");
    flip(&db, find(&db, "reason 150,"));
    let before = bytes(dir.path());
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("event 150") && text.contains("restore"), "{text}");
    assert_eq!(before, bytes(dir.path()), "nothing was changed");
}

/// Proves S-1.3.6: rot that no start reads is named by the whole check.
#[test]
fn a_changed_byte_before_the_snapshot_is_named_by_the_whole_check() {
    let dir = dir();
    with_snapshot(dir.path());
    let db = dir.path().join("taskd.db");
    flip(&db, find(&db, "reason 50,"));
    let (store, found) = open(dir.path());
    assert_eq!(found.tail, events(101, 100));
    let report = store.check_all().expect("a report");
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(report.findings[0].place.contains("event 50 "), "{report:?}");
    assert_eq!(report.events, 199);
}

#[test]
fn columns_that_differ_from_the_text_are_damage() {
    let dir = dir();
    with_snapshot(dir.path());
    let db = rusqlite::Connection::open(dir.path().join("taskd.db")).expect("a connection");
    db.execute("UPDATE event SET project = 9 WHERE seq IN (20, 120)", []).expect("changed");
    let error = refused(dir.path());
    assert!(error.to_string().contains("columns of event 120"), "{error}");
    db.execute("UPDATE event SET project = 1 WHERE seq = 120", []).expect("changed back");
    let (store, _) = open(dir.path());
    let report = store.check_all().expect("a report");
    assert!(report.findings.iter().any(|it| it.place.contains("event 20 ")), "{report:?}");
}

#[test]
fn missing_events_are_damage() {
    let dir = dir();
    with_snapshot(dir.path());
    let db = rusqlite::Connection::open(dir.path().join("taskd.db")).expect("a connection");
    db.execute("DELETE FROM event WHERE seq IN (30, 130)", []).expect("deleted");
    let error = refused(dir.path());
    assert!(error.to_string().contains("event 130 is missing"), "{error}");
    db.execute("DELETE FROM event WHERE seq > 129", []).expect("deleted");
    let (store, found) = open(dir.path());
    assert_eq!(found.tail, events(101, 29));
    let report = store.check_all().expect("a report");
    assert!(report.findings[0].problem.contains("event 30 is missing"), "{report:?}");
}

#[test]
fn a_log_that_ends_before_its_snapshot_is_damage() {
    let dir = dir();
    with_snapshot(dir.path());
    let db = rusqlite::Connection::open(dir.path().join("taskd.db")).expect("a connection");
    db.execute("DELETE FROM event WHERE seq > 90", []).expect("deleted");
    let before = bytes(dir.path());
    let error = refused(dir.path());
    assert!(error.to_string().contains("ends at event 90"), "{error}");
    assert_eq!(before, bytes(dir.path()), "nothing was changed");
}

#[test]
fn every_page_is_checked_after_an_unclean_end() {
    let dir = dir();
    with_snapshot(dir.path());
    drop(open(dir.path()));
    let db = dir.path().join("taskd.db");
    // The second page is the root of a table: its first byte says what kind of page it is.
    flip(&db, 4096);
    let before = bytes(dir.path());
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("taskd.db"), "{error}");
    assert_eq!(before, bytes(dir.path()));
}

#[test]
fn a_changed_byte_anywhere_never_changes_what_is_read() {
    let whole = dir();
    with_snapshot(whole.path());
    let db = fs::read(whole.path().join("taskd.db")).expect("bytes");
    for at in (0..db.len()).step_by(db.len() / 60).skip(1) {
        let rotten = dir();
        fs::create_dir(rotten.path().join("snapshots")).expect("made");
        let mut bytes = db.clone();
        bytes[at] ^= 0x10;
        fs::write(rotten.path().join("taskd.db"), &bytes).expect("written");
        match taskd_store::Store::open(rotten.path(), crate::help::options()) {
            // The snapshot's payload is not there, so every event was verified.
            Ok((_, found)) => assert_eq!(found.tail, events(1, 200), "byte {at}"),
            Err(StoreError::Damaged { .. } | StoreError::NotSqlite { .. }) => {}
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
}
