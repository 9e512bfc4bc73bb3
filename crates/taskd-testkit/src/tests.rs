//! Many worlds.

use taskd_model::Time;

use crate::{PAST, Tally, crowd, run};

#[test]
fn past_failures_stay_past() {
    let lines = PAST.lines().filter(|it| !it.starts_with('#'));
    for seed in lines.flat_map(str::split_whitespace) {
        let _tally = run(seed.parse().unwrap());
    }
}

/// Every seed holds, and together they reach everything the tally counts.
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

#[test]
fn a_crowd_takes_an_input() {
    let (mut core, now, input) = crowd(300);
    assert_eq!(core.open_effects().count(), 300);
    let decided = core.handle(now.max(Time(1)), &input).unwrap();
    assert_eq!(decided.start.len(), 1);
    assert!(core.indexes_are_exact());
}
