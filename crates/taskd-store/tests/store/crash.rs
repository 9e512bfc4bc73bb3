//! Death at any point: what was acknowledged is there, and what is there is a prefix.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    time::{Duration, Instant},
};

use taskd_model::{Digest, Event, Record, Seq};
use taskd_store::{Store, limits};

use crate::help::{Dice, all, append, child, dir, event, events, files, kill, open, options, part};

/// A blob whose content, and whether it is a file, follow from the event that names it.
fn prose(seq: u64) -> Vec<u8> {
    let size = if seq.is_multiple_of(7) { limits::INLINE_BLOB_BYTES + 1 } else { 40 };
    seq.to_string().into_bytes().into_iter().cycle().take(size).collect()
}

/// An event that names a blob.
fn note(seq: u64) -> Record {
    Record { event: Event::NoteAdded { note: Digest::of(&prose(seq)), now: false }, ..event(seq) }
}

/// The child: appends batches for ever, saying which are acknowledged.
#[test]
fn part_appender() {
    let Some(dir) = part() else { return };
    let (store, found) = Store::open(&dir, options()).expect("the store opens");
    let mut next = store.head().0 + 1;
    let snapshot = found.snapshot.map_or(0, |it| it.seq.0);
    assert_eq!(found.tail.len() as u64, store.head().0 - snapshot);
    loop {
        let count = next % 4 + 1;
        for seq in next..next + count {
            // Even seqs wait for their blob; odd ones only queue it before the event.
            if seq.is_multiple_of(2) {
                store.put_blob(&prose(seq)).expect("put");
            } else {
                store.queue_blob(prose(seq)).expect("queued");
            }
        }
        let told = move |it: Result<Seq, _>| {
            let head = it.expect("taken");
            // Straight to the pipe: the test harness would keep `println!` to itself.
            writeln!(std::io::stdout().lock(), "ack {head} {}", next + count - 1).expect("told");
        };
        store.append((next..next + count).map(note).collect(), told);
        next += count;
        if next.is_multiple_of(8) && store.head().0 > 0 {
            store.snapshot(store.head(), b"state").expect("a snapshot");
        }
    }
}

/// The child: opens the store, and no more.
#[test]
fn part_opener() {
    let Some(dir) = part() else { return };
    drop(Store::open(&dir, options()).expect("the store opens"));
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// The last acknowledged event in a child's output.
fn acknowledged(line: &str) -> Option<u64> {
    line.strip_prefix("ack ")?.split(' ').nth(1)?.parse().ok()
}

/// How often the appender is killed: in every run, unless `TASKD_STORE_TEST_KILLS` says otherwise.
const KILLS: u64 = 100;

/// Proves T3.1b S-1.3.1: kills at random points of what is being written.
#[test]
fn kills_at_any_point_lose_nothing_acknowledged() {
    let kills = std::env::var("TASKD_STORE_TEST_KILLS");
    let kills = kills.map_or(KILLS, |it| it.parse().expect("a number"));
    let dir = dir();
    let mut dice = Dice(1);
    let mut acked = 0;
    let mut checked = 0;
    for _ in 0..kills {
        let mut appender = child("crash::part_appender", dir.path()).spawn().expect("a child");
        let mut lines = BufReader::new(appender.stdout.take().expect("a pipe")).lines();
        for _ in 0..dice.roll(12) {
            let line = lines.next().expect("a line").expect("text");
            acked = acknowledged(&line).unwrap_or(acked);
        }
        spin(Duration::from_micros(dice.roll(4_000)));
        kill(appender);
        // What it said before it died was said.
        acked =
            lines.map_while(Result::ok).filter_map(|it| acknowledged(&it)).last().unwrap_or(acked);

        let (store, found) = open(dir.path());
        let head = store.head().0;
        assert!(head >= acked, "event {acked} was acknowledged, the log ends at {head}");
        assert!(found.findings.is_empty(), "{:?}", found.findings);
        let first = found.snapshot.map_or(0, |it| it.seq.0) + 1;
        assert_eq!(found.tail, (first..=head).map(note).collect::<Vec<_>>());
        for seq in checked + 1..=head {
            let bytes = store.get_blob(&Digest::of(&prose(seq))).expect("named, so there");
            assert_eq!(bytes, prose(seq));
        }
        checked = head;
        drop(store);
    }
    assert!(acked > kills, "the children got to work: {acked}");
    let (store, _) = open(dir.path());
    assert_eq!(all(&store), (1..=store.head().0).map(note).collect::<Vec<_>>());
    let report = store.check_all().expect("a report");
    assert!(report.is_ok(), "{report:?}");
}

#[test]
fn a_store_is_made_whole_or_not_at_all() {
    let mut dice = Dice(2);
    for _ in 0..20 {
        let dir = dir();
        let opener = child("crash::part_opener", dir.path()).spawn().expect("a child");
        spin(Duration::from_micros(dice.roll(25_000)));
        kill(opener);
        let whole = dir.path().join("taskd.db").exists();
        let (store, found) = open(dir.path());
        assert_eq!(found.new, !whole);
        append(&store, events(1, 1)).expect("it works");
        assert!(store.check_all().expect("a report").is_ok());
    }
}

/// A store of three hundred events in single commits, `moved` of them in the database and the
/// others only in the write-ahead log, as a power cut would leave it.
fn power_cut(from: &Path, to: &Path, moved: u64) {
    let (store, _) = open(from);
    for it in events(1, moved) {
        append(&store, vec![it]).expect("taken");
    }
    store.close(false).expect("everything is in the database");
    let (store, _) = open(from);
    for it in events(moved + 1, 300 - moved) {
        append(&store, vec![it]).expect("taken");
    }
    copy(from, to);
}

/// The files as they are, without the lock and the shared memory: those do not survive.
fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files(from) {
        fs::write(to.join(path.file_name().expect("a name")), bytes).expect("written");
    }
}

/// Proves S-1.3.2 AY-1.6.
#[test]
fn a_torn_tail_opens_to_a_prefix_with_everything_that_was_moved() {
    let (whole, source) = (dir(), dir());
    power_cut(source.path(), whole.path(), 100);
    let wal = fs::read(whole.path().join("taskd.db-wal")).expect("frames");
    let mut dice = Dice(3);
    for _ in 0..25 {
        let torn = dir();
        copy(whole.path(), torn.path());
        let cut = dice.roll(wal.len() as u64) as usize;
        fs::write(torn.path().join("taskd.db-wal"), &wal[..cut]).expect("cut");
        let (store, found) = open(torn.path());
        let head = store.head().0;
        assert!((100..=300).contains(&head) && !found.clean);
        assert_eq!(found.tail, events(1, head));
        append(&store, events(head + 1, 3)).expect("it goes on");
        assert!(store.check_all().expect("a report").is_ok());
    }
}

#[test]
fn only_the_last_commit_is_lost_with_the_unsynced_tail() {
    let (whole, source) = (dir(), dir());
    power_cut(source.path(), whole.path(), 10);
    let wal = whole.path().join("taskd.db-wal");
    let size = fs::metadata(&wal).expect("a log").len();
    fs::OpenOptions::new().write(true).open(&wal).expect("open").set_len(size - 1).expect("cut");
    let (_store, found) = open(whole.path());
    assert_eq!(found.tail, events(1, 299), "every commit before the torn one is there");
    assert!(found.findings.is_empty(), "a torn last commit is no damage: {:?}", found.findings);
}

#[test]
fn rot_in_the_write_ahead_log_opens_to_a_prefix_and_is_reported() {
    let (whole, source) = (dir(), dir());
    power_cut(source.path(), whole.path(), 100);
    let wal = fs::read(whole.path().join("taskd.db-wal")).expect("frames");
    let mut dice = Dice(4);
    for _ in 0..25 {
        let rotten = dir();
        copy(whole.path(), rotten.path());
        let mut bytes = wal.clone();
        let at = 32 + dice.roll(wal.len() as u64 * 9 / 10) as usize;
        bytes[at] ^= 1 << dice.roll(8);
        fs::write(rotten.path().join("taskd.db-wal"), &bytes).expect("written");
        let (store, found) = open(rotten.path());
        let head = store.head().0;
        assert!((100..300).contains(&head));
        assert_eq!(found.tail, events(1, head));
        let finding = found.findings.first().expect("a finding").to_string();
        assert!(finding.contains("taskd.db-wal at byte"), "{finding}");
        let kept = rotten.path().join(format!("taskd.db-wal.damaged-{head}"));
        assert_eq!(fs::read(kept).expect("a copy"), bytes, "nothing is thrown away");
    }
}
