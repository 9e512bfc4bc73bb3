//! Appending and reading: order, atomicity, no gaps, one sequence for ever.

use std::{
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use rusqlite::Connection;
use taskd_model::{Event, LoopId, MAX_EVENT_BYTES, PlanId, ProjectId, Seq, SpecId, Time};
use taskd_store::{AppendError, Filter, StoreError, limits};

use crate::help::{all, append, dir, event, events, open, options};

/// Proves T3.1a.
#[test]
fn a_new_store_is_private_empty_and_uses_a_write_ahead_log() {
    let dir = dir();
    let home = dir.path().join("state/taskd");
    let (store, found) = open(&home);
    assert!(found.new && found.clean && found.tail.is_empty() && found.snapshot.is_none());
    assert_eq!(found.tag.len(), 4);
    assert!(found.tag.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit()));
    assert_eq!(store.head(), Seq(0));
    let mode = |name: &str| {
        std::fs::metadata(home.join(name)).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("taskd.db"), mode("blobs")), (0o700, 0o600, 0o700));
    let db = Connection::open(home.join("taskd.db")).expect("a connection");
    let ask = |sql: &str| -> String { db.query_row(sql, [], |row| row.get(0)).expect("a row") };
    assert_eq!(ask("PRAGMA journal_mode"), "wal");
    let id = ask("SELECT CAST(application_id AS TEXT) FROM pragma_application_id");
    assert_eq!(id, taskd_store::APPLICATION_ID.to_string());
    assert_eq!(ask("SELECT CAST(strict AS TEXT) FROM pragma_table_list('event')"), "1");
}

#[test]
fn what_was_acknowledged_is_there_after_a_clean_end() {
    let dir = dir();
    let (store, first) = open(dir.path());
    assert_eq!(append(&store, events(1, 3)).expect("taken"), Seq(3));
    assert_eq!(append(&store, events(4, 1)).expect("taken"), Seq(4));
    assert_eq!(store.head(), Seq(4));
    store.close(true).expect("a clean end");
    assert!(!dir.path().join("taskd.db-wal").exists(), "the log was cut");
    let (store, found) = open(dir.path());
    assert!(found.clean && !found.new);
    assert_eq!((&found.tag, found.seed), (&first.tag, first.seed), "the store keeps its name");
    assert_eq!(found.tail, events(1, 4));
    assert_eq!(all(&store), events(1, 4));
    assert!(store.check_all().expect("a report").is_ok());
}

#[test]
fn an_end_without_close_is_not_clean() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.append(events(1, 1), |_| ());
    drop(store);
    let (store, found) = open(dir.path());
    assert!(!found.clean && !found.unchecked);
    assert_eq!(found.tail, events(1, 1), "dropping writes what is queued");
    store.close(true).expect("a clean end");
    assert!(open(dir.path()).1.clean);
}

/// Two changes in the same millisecond: their place in the log decides, not their time.
///
/// Proves T3.1c.
#[test]
fn of_two_events_at_the_same_time_the_later_acknowledged_is_the_last() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let mut pair = events(1, 2);
    let at = pair[0].at;
    pair[1].at = at;
    let second = pair.pop().expect("two events");
    append(&store, pair.clone()).expect("taken");
    append(&store, vec![second.clone()]).expect("taken");
    drop(store);
    pair.push(second);
    let (store, _) = open(dir.path());
    assert_eq!(all(&store), pair);
}

#[test]
fn callbacks_come_in_the_order_of_the_calls_refusals_too() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let (tell, told) = mpsc::sync_channel(1_000);
    for n in 1..=500_u64 {
        // Every tenth batch repeats its position and is refused.
        let seq = if n % 10 == 0 { 1 } else { n - n / 10 };
        let tell = tell.clone();
        store.append(events(seq, 1), move |it| tell.send((n, it.is_ok())).expect("sent"));
    }
    let answers: Vec<_> = told.iter().take(500).collect();
    let expected: Vec<_> = (1..=500).map(|n| (n, n % 10 != 0)).collect();
    assert_eq!(answers, expected);
    assert_eq!(store.head(), Seq(450));
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 5)).expect("taken");
    let mut torn = events(6, 3);
    torn[2].seq = Seq(9);
    let error = append(&store, torn).expect_err("a gap inside");
    assert!(matches!(error, AppendError::Gap { expected: Seq(8), found: Seq(9) }), "{error}");
    let mut large = events(6, 2);
    large[1].event = Event::Deferred { until: Time(0), why: "x".repeat(MAX_EVENT_BYTES) };
    let error = append(&store, large).expect_err("too large");
    assert!(matches!(error, AppendError::EventTooLarge { seq: Seq(7), .. }), "{error}");
    assert!(matches!(append(&store, Vec::new()), Err(AppendError::Empty)));
    let many = events(6, limits::MAX_BATCH_EVENTS as u64 + 1);
    assert!(matches!(append(&store, many), Err(AppendError::BatchTooLarge { .. })));
    assert_eq!(all(&store), events(1, 5), "nothing of them was written");
    let whole = events(6, limits::MAX_BATCH_EVENTS as u64);
    append(&store, whole).expect("a refusal is no failure");
}

#[test]
fn events_must_follow_the_head() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 1)).expect("taken");
    for wrong in [0, 1, 3, u64::MAX] {
        let record = taskd_model::Record { seq: Seq(wrong), ..event(2) };
        let error = append(&store, vec![record]).expect_err("it does not follow");
        assert!(matches!(error, AppendError::Gap { expected: Seq(2), .. }), "{error}");
    }
    assert_eq!(store.head(), Seq(1));
}

/// Proves X10 S-1.3.2.
#[test]
fn the_sequence_goes_on_after_a_hundred_empty_restarts() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 7)).expect("taken");
    store.close(true).expect("closed");
    for n in 0..100 {
        let (store, found) = open(dir.path());
        assert_eq!((store.head(), found.tail.len()), (Seq(7), 7));
        store.close(n % 3 != 0).expect("closed");
    }
    let (store, _) = open(dir.path());
    assert!(matches!(append(&store, events(1, 1)), Err(AppendError::Gap { .. })));
    assert_eq!(append(&store, events(8, 1)).expect("taken"), Seq(8));
}

/// Events each of the 64 threads appends.
const EACH: u64 = 1_000;

/// Proves AY-1.1 P-19: 64 threads, 1,000 events each.
#[test]
fn sixty_four_threads_leave_no_gap() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let next = Mutex::new(1_u64);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let (tell, told) = mpsc::sync_channel(1_000);
                    let mut seq = next.lock().expect("a turn");
                    let mine = *seq;
                    store.append(vec![event(mine)], move |it| tell.send(it).expect("sent"));
                    *seq += 1;
                    drop(seq);
                    let head = told.recv().expect("an answer").expect("taken");
                    assert!(head >= Seq(mine) && store.head() >= Seq(mine));
                }
            });
        }
    });
    assert_eq!(all(&store), events(1, 64 * EACH));
}

#[test]
fn readers_select_by_project_and_loop_and_are_bounded() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 3_000)).expect("taken");
    let read = |from, max, project, loop_id| {
        let filter = Filter { project, loop_id };
        store.read(Seq(from), max, filter).expect("events")
    };
    assert_eq!(read(0, usize::MAX, None, None).len(), limits::MAX_READ_EVENTS);
    assert_eq!(read(2_999, 9, None, None).len(), 2);
    assert!(read(3_001, 9, None, None).is_empty());
    let project = Some(ProjectId(3));
    let loop_id = Some(LoopId { spec: SpecId { plan: PlanId(1), index: 2 }, run: 1 });
    for (project, loop_id) in [(project, None), (None, loop_id), (project, loop_id)] {
        let found = read(100, 50, project, loop_id);
        let expected: Vec<_> = (100..)
            .map(event)
            .filter(|it| project.is_none() || it.project == project)
            .filter(|it| loop_id.is_none() || it.loop_id == loop_id)
            .take(50)
            .collect();
        let records: Vec<_> = expected.iter().map(|it| it.encode()).collect();
        assert_eq!(found.iter().map(|it| it.json.clone()).collect::<Vec<_>>(), records);
        for (found, record) in found.iter().zip(&expected) {
            assert_eq!((found.seq, found.at), (record.seq, record.at));
            assert_eq!((found.project, found.loop_id), (record.project, record.loop_id));
            assert_eq!(found.kind, record.event.kind());
        }
    }
}

#[test]
fn readers_never_wait_for_a_writer_in_the_middle_of_a_transaction() {
    let dir = dir();
    let (store, _) = open(dir.path());
    append(&store, events(1, 10)).expect("taken");
    let other = Connection::open(dir.path().join("taskd.db")).expect("a connection");
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM event;").expect("the write lock is held");
    assert_eq!(all(&store), events(1, 10));
    other.execute_batch("ROLLBACK").expect("undone");
}

#[test]
fn a_callback_may_append_but_not_wait() {
    let dir = dir();
    let store = Arc::new(open(dir.path()).0);
    let (tell, told) = mpsc::sync_channel(1_000);
    let (inner, second) = (Arc::clone(&store), tell.clone());
    store.append(events(1, 1), move |_| {
        assert!(matches!(inner.put_blob(b"x"), Err(StoreError::FromWriter)));
        assert!(matches!(inner.close(true), Err(StoreError::FromWriter)));
        inner.append(events(2, 1), move |it| second.send(it).expect("sent"));
    });
    drop(tell);
    assert_eq!(told.recv().expect("an answer").expect("taken"), Seq(2));
}

#[test]
fn a_closed_store_says_so() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.append(events(1, 1), |_| ());
    store.close(true).expect("closed");
    store.close(true).expect("closed already");
    assert!(matches!(append(&store, events(2, 1)), Err(AppendError::Closed)));
    let error = store.put_blob(b"x").expect_err("closed");
    assert!(matches!(error, StoreError::Write(AppendError::Closed)), "{error}");
    assert!(store.read(Seq(1), 1, Filter::default()).is_err());
    assert_eq!(open(dir.path()).1.tail, events(1, 1), "what was queued was written");
}

#[test]
fn a_backup_is_a_store_with_everything_in_it() {
    let (dir, target) = (dir(), dir());
    let copy = target.path().join("copy");
    let (store, first) = open(dir.path());
    append(&store, events(1, 200)).expect("taken");
    let (small, large) = (b"small".to_vec(), vec![7; 100_000]);
    let names = [store.put_blob(&small).expect("put"), store.put_blob(&large).expect("put")];
    store.snapshot(Seq(150), b"state").expect("a snapshot");
    store.backup_to(&copy).expect("a backup");
    assert!(matches!(store.backup_to(&copy), Err(StoreError::Exists { .. })));
    append(&store, events(201, 1)).expect("the store goes on");
    let (copied, found) = taskd_store::Store::open(&copy, options()).expect("it opens");
    assert_eq!((found.tag, copied.head()), (first.tag, Seq(200)));
    assert_eq!(found.snapshot.expect("the snapshot").payload, b"state");
    assert_eq!(found.tail, events(151, 50));
    assert_eq!(copied.get_blob(&names[0]).expect("small"), small);
    assert_eq!(copied.get_blob(&names[1]).expect("large"), large);
    assert!(copied.check_all().expect("a report").is_ok());
}
