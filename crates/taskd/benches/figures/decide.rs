//! One input, decided: in this process, no disk and no thread.

use std::{hint::black_box, time::Instant};

use taskd_testkit::crowd;

use crate::{Sizes, stats, tell};

/// The end of an effect with 100, 1,000 and 10,000 loops in the state, each with work under way.
pub(crate) fn run(sizes: &Sizes) {
    for loops in [100, 1_000, 10_000] {
        let (core, now, input) = crowd(loops / sizes.shrink);
        for _ in 0..sizes.runs {
            let mut times = Vec::new();
            for _ in 0..sizes.samples {
                // A fresh copy each time: an effect ends once.
                let mut core = core.clone();
                let now = now.plus_ms(1);
                let began = Instant::now();
                let decided = core.handle(black_box(now), black_box(&input)).expect("well-formed");
                times.push(began.elapsed());
                black_box((decided, core));
            }
            tell(&format!("decide.{loops}"), stats::us(stats::median(&mut times)));
        }
    }
}
