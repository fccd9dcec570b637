//! How values are distributed, as Prometheus keeps it: counts by fixed buckets, which add up over
//! processes and time.
//!
//! The bounds are those that OpenTelemetry's conventions for generative AI advise. Counts are stored
//! by position, so to change a bound takes a migration that begins the stored counts anew.

use serde::{Deserialize, Serialize};

/// Upper bounds of the buckets of durations, in milliseconds, each included in its bucket.
pub const DURATION_BOUNDS_MS: [u64; BOUNDS] = [
    10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_240, 20_480, 40_960, 81_920,
];

/// Upper bounds of the buckets of a request's tokens, each included in its bucket.
pub const TOKEN_BOUNDS: [u64; BOUNDS] = [
    1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
    67_108_864,
];

const BOUNDS: usize = 14;

/// How many values lie in each bucket, the last one being without a bound. Not cumulative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Buckets([u64; BOUNDS + 1]);

impl Buckets {
    /// Buckets with these counts.
    #[must_use]
    pub const fn new(counts: [u64; BOUNDS + 1]) -> Self {
        Self(counts)
    }

    /// Counts one value.
    pub fn record(&mut self, bounds: &[u64; BOUNDS], value: u64) {
        if let Some(count) = self
            .0
            .get_mut(bounds.partition_point(|bound| *bound < value))
        {
            *count += 1;
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, others: &Self) {
        for (count, other) in self.0.iter_mut().zip(others.0) {
            *count += other;
        }
    }

    /// The count of each bucket.
    #[must_use]
    pub const fn counts(&self) -> &[u64; BOUNDS + 1] {
        &self.0
    }

    /// All values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_nothing_is_left_out() {
        let mut buckets = Buckets::default();
        for value in [0, 10, 11, 81_920, 81_921, u64::MAX] {
            buckets.record(&DURATION_BOUNDS_MS, value);
        }
        let expected = Buckets::new([2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(buckets, expected);
        buckets.add(&expected);
        assert_eq!(buckets.count(), 12);
        assert_eq!(buckets.counts()[14], 4);
    }

    #[test]
    fn bounds_ascend() {
        assert!(DURATION_BOUNDS_MS.is_sorted_by(|one, next| one < next));
        assert!(TOKEN_BOUNDS.is_sorted_by(|one, next| one < next));
    }
}
