//! A hundred loops that say ten thousand things a second to one another, and one that never reads.

use std::time::{Duration, Instant};

use taskd_testkit::Chatter;

use crate::{Sizes, stats, tell};

const SENDERS: u32 = 100;
/// Messages in a second, as many as a hundred loops may send.
const RATE: u32 = 10_000;

/// One message after the other when it is due, and all that the coordinator does for its sender then:
/// the end of its tool, and at the end of a turn the next call. What is late counts from when it was
/// due.
pub(crate) fn run(sizes: &Sizes) {
    let senders = sizes.loops(SENDERS);
    let rate = RATE * senders / SENDERS;
    let count = rate * u32::try_from(sizes.window.as_secs()).expect("short");
    for _ in 0..sizes.runs {
        let (mut it, start) = Chatter::new(senders);
        let mut times = Vec::new();
        let began = Instant::now();
        for n in 0..count {
            let after = Duration::from_secs(1) * n / rate;
            let due = began + after;
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            let now = start.plus_ms(u64::try_from(after.as_millis()).expect("short"));
            it.say(now);
            times.push(due.elapsed());
            it.rest(now);
        }
        let took = began.elapsed();
        let deaf = it.deaf();
        let others: u64 = it.taken.iter().filter(|it| *it.0 != deaf).map(|it| it.1).sum();
        assert_eq!(it.mutes, 0, "{:?}", it.refused);
        tell("messages.rate", others as f64 / took.as_secs_f64());
        tell("messages.delivered", stats::ms(stats::median(&mut times)));
        tell("messages.delivered.p99", stats::ms(stats::percentile(&mut times, 99)));
        tell("messages.refused", it.refused.values().sum::<u64>() as f64);
    }
}
