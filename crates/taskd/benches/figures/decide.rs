//! One input, decided: in this process, no disk and no other thread.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use taskd_model::{Digest, EffectId, Input, Limits, Outcome, Work};
use taskd_testkit::crowd;

use crate::{Sizes, stats, tell};

/// Loops whose next two steps are timed.
const TIMED: usize = 100;

/// Ends of effects with 100, 1,000 and 10,000 loops in the state, each with work under way.
pub(crate) fn run(sizes: &Sizes) {
    for loops in [100, 1_000, 10_000] {
        let wanted = loops / sizes.shrink;
        let (mut core, mut now, _) = crowd(wanted);
        // Nobody waits for a model: each end starts what is next.
        let limits = Limits {
            loops: wanted,
            calls: wanted,
            requests_per_minute: 100_000,
            request_burst: 100_000,
            ..Limits::default()
        };
        now = now.plus_ms(1);
        core.handle(now, &Input::Limits(limits)).expect("limits are taken");
        let waiting: Vec<EffectId> = core
            .open_effects()
            .filter(|(_, work, _)| matches!(work, Work::Prepare { .. }))
            .map(|(id, _, _)| id)
            .collect();
        let apart = (waiting.len() / TIMED).max(1);
        for _ in 0..sizes.runs {
            let (mut core, mut now) = (core.clone(), now);
            let mut times = Vec::new();
            for effect in waiting.iter().step_by(apart).take(TIMED) {
                let mut effect = *effect;
                let prepared = Outcome::Prepared { salvaged: None };
                let request = Digest::of(b"request");
                let composed = Outcome::Composed {
                    request,
                    tokens: 1,
                    worst_micros: 0,
                    worst_tokens: 0,
                    context: None,
                };
                for outcome in [prepared, composed] {
                    now = now.plus_ms(1);
                    let input = Input::Ended { effect, outcome };
                    let began = Instant::now();
                    let decided = core.handle(black_box(now), black_box(&input));
                    times.push(began.elapsed());
                    let decided = decided.expect("well-formed");
                    effect = decided.start.first().copied().expect("something comes next");
                }
            }
            tell(&format!("decide.{loops}"), stats::us(middle(&mut times)));
        }
    }
}

/// The first few find everything in another processor's cache, or in none.
fn middle(times: &mut [Duration]) -> Duration {
    let from = times.len() / 10;
    stats::median(&mut times[from..])
}
