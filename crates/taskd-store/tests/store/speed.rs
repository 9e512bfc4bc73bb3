//! How fast it is, on this machine. Numbers are printed, and only absurd ones fail.
//!
//! `TASKD_STORE_TEST_EVENTS=1000000 cargo test --release -p taskd-store speed -- --nocapture`

use std::{
    env,
    io::Write,
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use taskd_model::Seq;

use crate::help::{append, dir, event, events, open};

fn tell(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").expect("told");
}

#[test]
fn durable_events_a_second_with_sixty_four_appenders() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let each: u64 = if cfg!(debug_assertions) { 20 } else { 500 };
    let next = Mutex::new(1_u64);
    let worst = Mutex::new(Duration::ZERO);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut slowest = Duration::ZERO;
                for _ in 0..each {
                    let (tell, told) = mpsc::sync_channel(1);
                    let began = Instant::now();
                    let mut seq = next.lock().expect("a turn");
                    store.append(vec![event(*seq)], move |it| tell.send(it).expect("sent"));
                    *seq += 1;
                    drop(seq);
                    told.recv().expect("an answer").expect("taken");
                    slowest = slowest.max(began.elapsed());
                }
                let mut worst = worst.lock().expect("a turn");
                *worst = slowest.max(*worst);
            });
        }
    });
    let rate = (64 * each) as f64 / start.elapsed().as_secs_f64();
    let worst = worst.into_inner().expect("a time");
    tell(&format!("64 appenders: {rate:.0} durable events/s, slowest answer {worst:?}"));
    assert!(rate > 100.0, "{rate}");
}

#[test]
fn opening_a_long_log_with_a_snapshot_near_its_head() {
    let dir = dir();
    let count: u64 =
        env::var("TASKD_STORE_TEST_EVENTS").map_or(20_000, |it| it.parse().expect("a number"));
    let (store, _) = open(dir.path());
    let start = Instant::now();
    for from in (1..count).step_by(5_000) {
        append(&store, events(from, 5_000)).expect("taken");
    }
    tell(&format!("{} events in batches: {:?}", store.head(), start.elapsed()));
    store.snapshot(Seq(store.head().0 - 1_000), &vec![1; 1 << 20]).expect("a snapshot");
    for clean in [true, false] {
        if clean {
            store.close(true).expect("closed");
        }
        let start = Instant::now();
        let (again, found) = open(dir.path());
        tell(&format!("opened in {:?}, clean {}", start.elapsed(), found.clean));
        assert_eq!(found.tail.len(), 1_000);
        again.close(false).expect("closed");
    }
    let (store, found) = open(dir.path());
    let start = Instant::now();
    assert!(store.check_all().expect("a report").is_ok());
    tell(&format!("checked in {:?}, unchecked on open {}", start.elapsed(), found.unchecked));
}
