//! How durations are spread, in buckets of fixed bounds: what it takes does not grow.

use serde::{Deserialize, Serialize};

/// Upper bounds of the buckets, in milliseconds; the last bucket has none.
pub const BOUNDS_MS: [u64; 18] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
    1_800_000, 7_200_000,
];

/// Durations, by how long they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How many are within each bound and not within the one before; then those beyond all.
    counts: [u64; BOUNDS_MS.len() + 1],
    /// All of them together, in milliseconds.
    sum_ms: u64,
}

impl Spread {
    /// Takes in one duration, in milliseconds.
    pub fn note(&mut self, ms: u64) {
        let bucket = BOUNDS_MS.partition_point(|bound| *bound < ms);
        self.counts[bucket] += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    /// All of them together, in milliseconds.
    #[must_use]
    pub fn sum_ms(&self) -> u64 {
        self.sum_ms
    }

    /// How many are at most as long as each of [`BOUNDS_MS`]; and how many there are.
    #[must_use]
    pub fn upto(&self) -> ([u64; BOUNDS_MS.len()], u64) {
        let (mut upto, mut n) = ([0; BOUNDS_MS.len()], 0);
        for (sum, count) in upto.iter_mut().zip(self.counts) {
            n += count;
            *sum = n;
        }
        (upto, n + self.counts[BOUNDS_MS.len()])
    }
}
