//! Blobs: durable, once, and never other bytes than were stored.

use std::{path::PathBuf, sync::mpsc, thread};

use taskd_model::Digest;
use taskd_store::{StoreError, limits};

use crate::help::{dir, event, find, flip, open};

fn file(dir: &tempfile::TempDir, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    dir.path().join("blobs").join(&name[..2]).join(&name[2..])
}

#[test]
fn small_and_large_come_back_also_after_a_restart() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let sizes = [0, 1, limits::INLINE_BLOB_BYTES, limits::INLINE_BLOB_BYTES + 1, 3_000_000];
    let blobs: Vec<_> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
    let names: Vec<_> = blobs.iter().map(|it| store.put_blob(it).expect("put")).collect();
    for (name, blob) in names.iter().zip(&blobs) {
        assert_eq!(*name, Digest::of(blob));
        assert_eq!(file(&dir, name).exists(), blob.len() > limits::INLINE_BLOB_BYTES);
    }
    store.close(true).expect("closed");
    let (store, _) = open(dir.path());
    for (name, blob) in names.iter().zip(&blobs) {
        assert_eq!(store.get_blob(name).expect("got"), *blob);
    }
    let report = store.check_all().expect("a report");
    assert!(report.is_ok() && report.blobs == 5, "{report:?}");
    let missing = store.get_blob(&Digest::of(b"never stored")).expect_err("missing");
    assert!(matches!(missing, StoreError::BlobMissing { .. }), "{missing}");
    let large = store.put_blob(&vec![0; limits::MAX_BLOB_BYTES + 1]).expect_err("too large");
    assert!(matches!(large, StoreError::TooLarge { .. }), "{large}");
}

#[test]
fn the_same_bytes_are_written_once() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let large = vec![3; 50_000];
    let name = store.put_blob(&large).expect("put");
    store.put_blob(b"small").expect("put");
    let modified = || std::fs::metadata(file(&dir, &name)).and_then(|it| it.modified()).ok();
    let wal = || std::fs::metadata(dir.path().join("taskd.db-wal")).expect("a log").len();
    let before = (modified(), wal());
    store.put_blob(&large).expect("put again");
    store.put_blob(b"small").expect("put again");
    assert_eq!(before, (modified(), wal()));
}

#[test]
fn many_threads_put_the_same_and_different_blobs() {
    let dir = dir();
    let (store, _) = open(dir.path());
    thread::scope(|scope| {
        for n in 0..8_u8 {
            let store = &store;
            scope.spawn(move || {
                for size in [10, 9_000, 20_000] {
                    let shared = vec![1; size];
                    let own = vec![n + 2; size];
                    for it in [shared, own] {
                        let name = store.put_blob(&it).expect("put");
                        assert_eq!(store.get_blob(&name).expect("got"), it);
                    }
                }
            });
        }
    });
    assert_eq!(store.check_all().expect("a report").blobs, 9 * 3);
}

#[test]
fn a_queued_blob_is_there_when_the_event_after_it_is() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let (tell, told) = mpsc::sync_channel(1);
    for (seq, size) in (1..).zip([5, 50_000]) {
        let blob = vec![9; size];
        let name = store.queue_blob(blob.clone()).expect("queued");
        let tell = tell.clone();
        store.append(vec![event(seq)], move |it| tell.send(it).expect("sent"));
        told.recv().expect("told").expect("durable");
        assert_eq!(store.get_blob(&name).expect("got"), blob);
    }
    let large = store.queue_blob(vec![0; limits::MAX_BLOB_BYTES + 1]).expect_err("too large");
    assert!(matches!(large, StoreError::TooLarge { .. }), "{large}");
}

#[test]
fn changed_bytes_are_named_and_never_returned() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let large = store.put_blob(&vec![3; 50_000]).expect("put");
    let small = store.put_blob(b"a small text that will rot").expect("put");
    store.close(true).expect("closed");
    flip(&file(&dir, &large), 777);
    let db = dir.path().join("taskd.db");
    flip(&db, find(&db, "text that will rot"));
    let (store, _) = open(dir.path());
    for name in [large, small] {
        let error = store.get_blob(&name).expect_err("rotten");
        assert!(matches!(error, StoreError::BlobDamaged { digest, .. } if digest == name));
        assert!(error.to_string().contains(&name.to_string()), "{error}");
    }
    let report = store.check_all().expect("a report");
    for name in [large, small] {
        let named = report.findings.iter().any(|it| it.place.contains(&name.to_string()));
        assert!(named, "{name} in {report:?}");
    }
    assert_eq!(report.findings.len(), 2);
}

#[test]
fn what_a_killed_writer_left_half_done_is_removed() {
    let dir = dir();
    open(dir.path()).0.close(true).expect("closed");
    let left = [dir.path().join("blobs/.tmp-4"), dir.path().join("snapshots/.tmp-cache")];
    left.iter().for_each(|it| std::fs::write(it, b"half").expect("written"));
    let (_store, _) = open(dir.path());
    assert!(left.iter().all(|it| !it.exists()));
}
