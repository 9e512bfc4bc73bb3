//! Whatever is done in whatever order, the log is what a list would be.

use proptest::prelude::*;
use taskd_model::{Record, Seq};
use taskd_store::SnapshotKind;

use crate::help::{all, append, dir, events, open};

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Wrong(u64),
    Blob(usize),
    Snapshot(u64),
    Base(u64),
    Reopen { clean: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..40_u64).prop_map(Step::Append),
        1 => (0..100_u64).prop_map(Step::Wrong),
        1 => (0..20_000_usize).prop_map(Step::Blob),
        1 => (0..100_u64).prop_map(Step::Snapshot),
        1 => (0..100_u64).prop_map(Step::Base),
        2 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
    ]
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list(steps in prop::collection::vec(step(), 1..25)) {
        let dir = dir();
        let (mut store, _) = open(dir.path());
        let (mut log, mut blobs) = (Vec::<Record>::new(), Vec::new());
        let (mut base, mut snapshot) = (0, None);
        for it in steps {
            let head = log.len() as u64;
            match it {
                Step::Append(count) => {
                    let batch = events(head + 1, count);
                    prop_assert_eq!(append(&store, batch.clone()).expect("taken"), Seq(head + count));
                    log.extend(batch);
                }
                Step::Wrong(at) => {
                    let at = if at == head + 1 { 0 } else { at };
                    prop_assert!(append(&store, events(at, 2)).is_err());
                }
                Step::Blob(size) => {
                    let bytes = vec![b'b'; size];
                    blobs.push((store.put_blob(&bytes).expect("put"), bytes));
                }
                Step::Snapshot(part) if head > base => {
                    let seq = base + 1 + part % (head - base);
                    let payload = vec![b's'; seq as usize];
                    store.snapshot(Seq(seq), &payload).expect("a snapshot");
                    snapshot = snapshot.max(Some(seq));
                }
                Step::Base(part) if head > base => {
                    base += 1 + part % (head - base);
                    store.base_snapshot(Seq(base), 1, &vec![b'b'; base as usize]).expect("a base");
                    store.cut().expect("deleted");
                }
                Step::Snapshot(_) | Step::Base(_) => {}
                Step::Reopen { clean } => {
                    store.close(clean).expect("closed");
                    let (again, found) = open(dir.path());
                    store = again;
                    prop_assert_eq!(found.clean, clean);
                    let (from, kind) = found.snapshot.map_or((0, None), |it| (it.seq.0, Some(it.kind)));
                    prop_assert_eq!(from, snapshot.unwrap_or(0).max(base));
                    prop_assert!(kind.is_none() || kind == Some(SnapshotKind::Cache) || from == base);
                    prop_assert_eq!(&found.tail[..], &log[from as usize..]);
                }
            }
            prop_assert_eq!(store.head(), Seq(log.len() as u64));
        }
        prop_assert_eq!(&all(&store)[..], &log[base as usize..]);
        for (name, bytes) in blobs {
            prop_assert_eq!(store.get_blob(&name).expect("got"), bytes);
        }
        let report = store.check_all().expect("a report");
        prop_assert!(report.is_ok(), "{:?}", report);
    }
}
