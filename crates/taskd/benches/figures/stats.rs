//! Middles and tails of samples.

use std::time::Duration;

/// The smallest sample that at least `percent` of all are not above.
pub(crate) fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    assert!(!samples.is_empty(), "nothing was measured");
    samples.sort_unstable();
    let rank = (samples.len() * percent).div_ceil(100);
    samples[rank.clamp(1, samples.len()) - 1]
}

/// The middle.
pub(crate) fn median(samples: &mut [Duration]) -> Duration {
    percentile(samples, 50)
}

/// In milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// In microseconds.
pub(crate) fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
