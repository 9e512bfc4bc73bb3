//! One admission with 2,000 calls waiting: in this process, no disk and no other thread.

use std::{hint::black_box, time::Instant};

use taskd_model::{Digest, EffectId, Input, Limits, Outcome, Work};
use taskd_testkit::crowd;

use crate::{Sizes, stats, tell};

/// Admissions that are timed; so many more than 2,000 wait at first.
const TIMED: u32 = 200;

/// Each tick a cell of the rate is free, and one call goes.
pub(crate) fn run(sizes: &Sizes) {
    let loops = sizes.loops(2_000) + TIMED;
    let (mut core, now, _) = crowd(loops);
    let now = now.plus_ms(1);
    // A call each millisecond, and nothing is saved up.
    let limits = Limits {
        loops,
        calls: loops,
        requests_per_minute: 60_000,
        request_burst: 1,
        ..Limits::default()
    };
    core.handle(now, &Input::Limits(limits)).expect("limits are taken");
    let open: Vec<EffectId> = core
        .open_effects()
        .filter(|(_, work, _)| matches!(work, Work::Prepare { .. }))
        .map(|(id, _, _)| id)
        .collect();
    assert!(loops <= u32::try_from(open.len()).expect("few") + 1, "every loop is prepared");
    for effect in open {
        let outcome = Outcome::Prepared { salvaged: None };
        let decided = core.handle(now, &Input::Ended { effect, outcome }).expect("well-formed");
        let effect = decided.start[0];
        let request = Digest::of(b"request");
        let outcome = Outcome::Composed {
            request,
            tokens: 1,
            worst_micros: 0,
            worst_tokens: 0,
            context: None,
        };
        core.handle(now, &Input::Ended { effect, outcome }).expect("well-formed");
    }
    for _ in 0..sizes.runs {
        let (mut core, mut now) = (core.clone(), now);
        let mut times = Vec::new();
        for _ in 0..TIMED {
            now = now.plus_ms(1);
            let began = Instant::now();
            let decided = core.handle(black_box(now), black_box(&Input::Tick));
            times.push(began.elapsed());
            assert_eq!(decided.expect("a tick is taken").start.len(), 1, "one goes each time");
        }
        tell("admission.2000", stats::us(stats::median(&mut times)));
        tell("admission.2000.p99", stats::us(stats::percentile(&mut times, 99)));
    }
}
