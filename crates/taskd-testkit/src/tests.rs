//! Many worlds.

use taskd_model::Time;

use crate::{PAST, Tally, crowd, fleet, log_of, run};

#[test]
fn past_failures_stay_past() {
    let lines = PAST.lines().filter(|it| !it.starts_with('#'));
    for seed in lines.flat_map(str::split_whitespace) {
        let _tally = run(seed.parse().unwrap());
    }
}

/// Proves S-1.2.5: every seed holds, and together they reach everything the tally counts.
#[test]
fn five_hundred_worlds() {
    let from = std::env::var("SEED").map_or(0, |it| it.parse().unwrap());
    let worlds: u64 = std::env::var("WORLDS").map_or(500, |it| it.parse().unwrap());
    let mut total = Tally::default();
    for seed in from..from + worlds {
        total.add(&run(seed));
    }
    println!("{worlds} worlds\n{total}");
    for (name, count) in total.rows() {
        assert!(worlds < 500 || 0 < count, "{name} never happens");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    assert_eq!(run(7), run(7));
}

/// Proves AY-10.3: a hundred times over, alone and beside seven others, a seed leaves the same log,
/// byte for byte.
#[test]
fn the_same_seed_is_the_same_log_alone_and_beside_others() {
    let first = log_of(7);
    for _ in 0..100 {
        assert_eq!(log_of(7), first);
    }
    let threads: Vec<_> = (0..8)
        .map(|n| std::thread::spawn(move || (0..5).map(|it| log_of(7 + (n + it) % 5)).collect()))
        .collect();
    let alone: Vec<_> = (7..12).map(log_of).collect();
    assert_eq!(alone.iter().collect::<std::collections::BTreeSet<_>>().len(), 5, "seeds differ");
    for (n, thread) in threads.into_iter().enumerate() {
        let beside: Vec<_> = thread.join().expect("no world broke");
        for (it, log) in beside.into_iter().enumerate() {
            assert_eq!(log, alone[(n + it) % 5]);
        }
    }
}

/// Proves AY-10.8: fleets of more than fifty loops of three plans, with main moving, one effect in
/// twenty failing and deaths of the daemon; what must hold is checked after every input.
#[test]
fn a_few_fleets() {
    let mut total = Tally::default();
    for seed in 0..4 {
        let tally = fleet(seed);
        assert!(50 < tally.loops, "{tally}");
        total.add(&tally);
    }
    for count in [total.main_moved, total.failures, total.rate_limits, total.crashes, total.landed]
    {
        assert!(0 < count, "{total}");
    }
}

#[test]
fn a_crowd_takes_an_input() {
    let (mut core, now, input) = crowd(300);
    assert_eq!(core.open_effects().count(), 300);
    let decided = core.handle(now.max(Time(1)), &input).unwrap();
    assert_eq!(decided.start.len(), 1);
    assert!(core.indexes_are_exact());
}
