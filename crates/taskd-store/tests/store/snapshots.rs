//! Snapshots: what need not be replayed, and what stands for what is gone.

use std::path::{Path, PathBuf};

use taskd_model::{Digest, Event, Record, Seq};
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
    store.cut().expect("deleted");
    store.cut().expect("nothing left to delete");
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
    store.cut().expect("deleted");
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
        assert_eq!(stored, Digest::of(lines.as_bytes()).as_bytes());
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
    assert!(store.cut().is_err(), "nothing is deleted for a base that cannot be read");
    assert_eq!(store.check_all().expect("a report").findings.len(), 1);
    store.base_snapshot(Seq(21), 1, b"base 21").expect("a better base");
    store.cut().expect("deleted");
    store.close(true).expect("closed");
    flip(&files(dir.path(), "base")[0], 2);
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(".base"), "{error}");
}

/// An event that names a blob.
fn naming(seq: u64, blob: Digest) -> Vec<Record> {
    let event = Event::NoteAdded { note: blob, now: false };
    vec![Record { event, ..events(seq, 1).remove(0) }]
}

#[test]
fn a_cut_deletes_the_texts_that_only_it_named() {
    let dir = dir();
    let texts: Vec<Vec<u8>> =
        [b'a', b'b', b'c'].iter().flat_map(|it| [vec![*it; 10], vec![*it; 50_000]]).collect();
    let (store, _) = open(dir.path());
    let names: Vec<Digest> = texts.iter().map(|it| store.put_blob(it).expect("put")).collect();
    for (seq, name) in (1..).zip(&names) {
        append(&store, naming(seq, *name)).expect("taken");
    }
    // The middle two are named again later, the last two by the snapshot.
    append(&store, naming(7, names[2])).expect("taken");
    append(&store, naming(8, names[3])).expect("taken");
    store.close(false).expect("closed");
    let (store, _) = open(dir.path());
    let payload = format!("{{\"a\":\"{}\",\"b\":[\"{}\"]}}", names[4], names[5]);
    store.base_snapshot(Seq(6), 1, payload.as_bytes()).expect("a base");
    assert_eq!(store.cut().expect("deleted"), 6);
    let is_there = |it: &Digest| store.get_blob(it).is_ok();
    let there: Vec<bool> = names.iter().map(is_there).collect();
    assert_eq!(there, [false, false, true, true, true, true]);
    assert!(store.check_all().expect("a report").is_ok());
    for (text, name) in texts.iter().zip(&names) {
        assert_eq!(store.put_blob(text).expect("again"), *name);
        assert_eq!(&store.get_blob(name).expect("there"), text);
    }
}

#[test]
fn a_text_that_was_put_of_late_outlives_the_next_cut() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let [small, large] = [&b"small"[..], &[7; 50_000]].map(|it| store.put_blob(it).expect("put"));
    for (seq, there) in [(2, true), (4, true), (6, false)] {
        append(&store, naming(seq - 1, small)).expect("taken");
        append(&store, naming(seq, large)).expect("taken");
        store.base_snapshot(Seq(seq), 1, b"{}").expect("a base");
        store.cut().expect("deleted");
        let found = [small, large].map(|it| store.get_blob(&it).is_ok());
        assert_eq!(found, [there; 2], "after {seq}");
    }
}

#[test]
fn a_cut_that_was_killed_is_taken_up() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let name = store.put_blob(b"a text").expect("put");
    append(&store, naming(1, name)).expect("taken");
    append(&store, events(2, 3)).expect("taken");
    store.base_snapshot(Seq(3), 1, b"{}").expect("a base");
    drop(store);
    let (store, found) = open(dir.path());
    assert_eq!((store.first(), found.tail), (Seq(4), events(4, 1)));
    assert_eq!(store.cut().expect("deleted"), 3);
    assert!(store.get_blob(&name).is_err());
    assert_eq!(store.base().expect("readable").expect("there").seq, Seq(3));
}
