//! Numbers in the tables of `frugal.toml`.

use std::ops::RangeInclusive;

/// A number under a key of a table.
pub(super) struct Number {
    pub key: &'static str,
    pub given: i64,
}

impl Number {
    /// The number, or the key and what is wrong with it.
    pub(super) fn within(&self, range: RangeInclusive<u32>) -> Result<u32, (&'static str, String)> {
        let number = u32::try_from(self.given).ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let problem = format!(
                    "`{}` will not do; give a whole number from {} to {}",
                    self.given,
                    range.start(),
                    range.end()
                );
                (self.key, problem)
            })
    }
}
