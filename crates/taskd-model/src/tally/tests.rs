//! Figures of a few events.

use super::*;

#[test]
fn a_duration_is_in_the_first_bucket_that_holds_it() {
    let mut spread = Spread::default();
    for ms in [0, 1, 2, 3, 7_200_000, 7_200_001] {
        spread.note(ms);
    }
    let (upto, n) = spread.upto();
    assert_eq!((upto[0], upto[1], upto[2]), (2, 3, 4));
    assert_eq!((upto[BOUNDS_MS.len() - 1], n), (5, 6));
    assert_eq!(spread.sum_ms(), 14_400_007);
}

/// An event that the view has already is counted once, however often it comes.
#[test]
fn what_arrives_twice_counts_once() {
    let record = |seq| Record {
        seq: Seq(seq),
        at: Time(1),
        shard: 0,
        project: None,
        loop_id: None,
        v: 1,
        cause: None,
        actor: crate::Actor::Daemon,
        event: Event::DaemonStarted { version: "1".to_owned() },
    };
    let (mut view, mut tally) = (View::default(), Tally::default());
    for seq in [1, 1, 2] {
        tally.apply(&view, &record(seq));
        view.apply(&record(seq));
    }
    assert_eq!(tally.starts, 2);
}
