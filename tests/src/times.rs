//! How long things took, over many of them.

use std::fmt;
use std::time::Duration;

/// Times in milliseconds, in rising order.
#[derive(Debug, Clone)]
pub struct Times(Vec<f64>);

impl Times {
    /// Times in any order.
    #[must_use]
    pub fn of(times: &[Duration]) -> Self {
        let milliseconds = times.iter().map(|time| time.as_secs_f64() * 1e3);
        let mut milliseconds: Vec<f64> = milliseconds.collect();
        milliseconds.sort_by(f64::total_cmp);
        Self(milliseconds)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a hundred are within.
    fn percentile(&self, percent: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below their number"
        )]
        let index = (last * percent / 100.0).round() as usize;
        self.0.get(index).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
            self.percentile(50.0),
            self.percentile(99.0),
            self.percentile(100.0)
        )
    }
}
