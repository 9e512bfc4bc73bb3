//! Snapshots: what need not be replayed, and what stands for what is gone.

use std::path::{Path, PathBuf};

use taskd_model::Seq;
use taskd_store::{Filter, Options, SnapshotKind, Store, StoreError};

use crate::help::{all, append, dir, events, flip, open, options, refused};

fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("snapshots"))
        .expect("a directory")
        .map(|it| it.expect("an entry").path())
        .filter(|it| it.extension().is_some_and(|it| it == kind))
        .collect();
    files.sort();
    files
}

/// Twenty events; caches at 5, 10 and 15.
fn with_caches(dir: &Path) {
    let (store, _) = open(dir);
    append(&store, events(1, 20)).expect("taken");
    for seq in [5, 10, 15_u64] {
        store.snapshot(Seq(seq), format!("state {seq}").as_bytes()).expect("a snapshot");
    }
    store.close(true).expect("closed");
}

#[test]
fn the_newest_is_found_with_the_events_after_it_and_two_are_kept() {
    let dir = dir();
    with_caches(dir.path());
    assert_eq!(files(dir.path(), "cache").len(), 2);
    let (store, found) = open(dir.path());
    let snapshot = found.snapshot.expect("a snapshot");
    assert_eq!((snapshot.seq, snapshot.payload), (Seq(15), b"state 15".to_vec()));
    assert_eq!(snapshot.kind, SnapshotKind::Cache);
    assert_eq!(found.tail, events(16, 5));
    store.snapshot(Seq(20), b"state 20").expect("at the head");
    store.close(true).expect("closed");
    let (_store, found) = open(dir.path());
    assert!(found.tail.is_empty(), "a clean end leaves nothing to replay");
}

#[test]
fn another_build_passes_over_it() {
    let dir = dir();
    with_caches(dir.path());
    let other = Options { stamp: "build-2".to_owned(), ..options() };
    let (_store, found) = Store::open(dir.path(), other).expect("it opens");
    assert!(found.snapshot.is_none() && found.findings.is_empty());
    assert_eq!(found.tail, events(1, 20));
}

#[test]
fn a_damaged_one_is_reported_and_the_one_before_is_used() {
    let dir = dir();
    with_caches(dir.path());
    let newest = files(dir.path(), "cache").pop().expect("a file");
    flip(&newest, 3);
    let (store, found) = open(dir.path());
    assert_eq!(found.snapshot.expect("the older one").seq, Seq(10));
    assert_eq!(found.tail, events(11, 10));
    let finding = found.findings[0].to_string();
    assert!(finding.contains(&newest.display().to_string()), "{finding}");
    let report = store.check_all().expect("a report");
    assert!(report.findings[0].place.contains(&newest.display().to_string()));
    store.close(true).expect("closed");
    for it in files(dir.path(), "cache") {
        std::fs::remove_file(it).expect("removed");
    }
    let (_store, found) = open(dir.path());
    assert!(found.snapshot.is_none() && found.findings.len() == 2);
    assert_eq!(found.tail, events(1, 20));
}

#[test]
fn one_that_is_not_of_this_log_is_passed_over() {
    let dir = dir();
    with_caches(dir.path());
    let db = rusqlite::Connection::open(dir.path().join("taskd.db")).expect("a connection");
    db.execute("UPDATE snapshot SET chain = zeroblob(16) WHERE seq = 15", []).expect("changed");
    db.execute("UPDATE snapshot SET seq = 9 WHERE seq = 10", []).expect("changed");
    drop(db);
    let (_store, found) = open(dir.path());
    assert_eq!((found.snapshot, found.findings.len()), (None, 2));
    assert_eq!(found.tail, events(1, 20));
}

#[test]
fn it_must_stand_at_a_durable_event() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 3)).expect("taken");
    for seq in [0, 4] {
        let error = store.snapshot(Seq(seq), b"x").expect_err("outside");
        assert!(matches!(error, StoreError::SnapshotOutside { .. }), "{error}");
    }
}

/// Thirty events, a base at 20, the events before it deleted.
fn with_base(dir: &Path) {
    let (store, _) = open(dir);
    append(&store, events(1, 30)).expect("taken");
    store.base_snapshot(Seq(10), 1, b"base 10").expect("a base");
    store.snapshot(Seq(15), b"state 15").expect("a snapshot");
    store.base_snapshot(Seq(20), 2, b"base 20").expect("a later base");
    store.prune().expect("deleted");
    store.prune().expect("nothing left to delete");
    assert_eq!(store.first(), Seq(21));
    assert_eq!(all(&store), events(21, 10));
    let error = store.read(Seq(20), 1, Filter::default()).expect_err("gone");
    assert!(matches!(error, StoreError::Pruned { first: Seq(21), .. }), "{error}");
    assert!(store.check_all().expect("a report").is_ok());
    store.close(true).expect("closed");
    assert_eq!(files(dir, "base").len(), 1);
}

#[test]
fn a_base_stands_for_the_events_it_replaced() {
    let dir = dir();
    with_base(dir.path());
    let (store, found) = open(dir.path());
    let snapshot = found.snapshot.expect("the base");
    assert_eq!((snapshot.seq, snapshot.payload), (Seq(20), b"base 20".to_vec()));
    assert_eq!(snapshot.kind, SnapshotKind::Base { format: 2 });
    assert_eq!(found.tail, events(21, 10));
    append(&store, events(31, 2)).expect("the sequence goes on");
    store.snapshot(Seq(25), b"state 25").expect("a cache after a base");
    store.close(true).expect("closed");
    let (store, found) = open(dir.path());
    assert_eq!((found.snapshot.expect("the cache").seq, found.tail), (Seq(25), events(26, 7)));
    let report = store.check_all().expect("a report");
    assert!(report.is_ok() && report.events == 12, "{report:?}");
}

#[test]
fn the_head_survives_when_every_event_was_replaced() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 3_000)).expect("taken");
    store.base_snapshot(Seq(3_000), 1, b"all").expect("a base");
    store.prune().expect("deleted");
    store.close(true).expect("closed");
    let (store, found) = open(dir.path());
    assert_eq!((store.head(), found.tail.len()), (Seq(3_000), 0));
    append(&store, events(3_001, 1)).expect("the sequence goes on");
}

#[test]
fn a_base_digests_what_it_replaces_as_lines() {
    let dir = dir();
    with_base(dir.path());
    let db = rusqlite::Connection::open(dir.path().join("taskd.db")).expect("a connection");
    let sql = "SELECT replaced FROM base WHERE seq = ?1";
    for (seq, from) in [(10, 1), (20, 11)] {
        let stored: Vec<u8> = db.query_row(sql, [seq], |row| row.get(0)).expect("a digest");
        let lines: String = events(from, 10).iter().map(|it| it.encode() + "\n").collect();
        assert_eq!(stored, taskd_model::Digest::of(lines.as_bytes()).as_bytes());
    }
}

#[test]
fn a_damaged_base_is_fatal_only_when_its_events_are_gone() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 30)).expect("taken");
    store.base_snapshot(Seq(20), 1, b"base 20").expect("a base");
    store.close(true).expect("closed");
    flip(&files(dir.path(), "base")[0], 2);
    let (store, found) = open(dir.path());
    assert_eq!((found.snapshot, found.tail), (None, events(1, 30)));
    assert_eq!(found.findings.len(), 1);
    assert!(store.prune().is_err(), "nothing is deleted for a base that cannot be read");
    assert_eq!(store.check_all().expect("a report").findings.len(), 1);
    store.base_snapshot(Seq(21), 1, b"base 21").expect("a better base");
    store.prune().expect("deleted");
    store.close(true).expect("closed");
    flip(&files(dir.path(), "base")[0], 2);
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(".base"), "{error}");
}
