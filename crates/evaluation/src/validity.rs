//! What is known of which n is within the inference budget, by region.

use frugal_domain::configuration::Region;
use frugal_domain::id::TrialNumber;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the trials of one region (model, prompt, stop) have shown: for each `max_tokens`
/// tried, the largest n seen to be valid and the smallest seen to be invalid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionTables {
    valid: BTreeMap<u32, u32>,
    invalid: BTreeMap<u32, u32>,
}

impl RegionTables {
    /// The largest n seen to be valid, by `max_tokens`.
    #[must_use]
    pub fn max_valid_n(&self) -> &BTreeMap<u32, u32> {
        &self.valid
    }

    /// The smallest n seen to be invalid, by `max_tokens`.
    #[must_use]
    pub fn min_invalid_n(&self) -> &BTreeMap<u32, u32> {
        &self.invalid
    }

    /// What this says of one `max_tokens`, costs growing in both n and `max_tokens` (the
    /// paper's assumption 3.1).
    #[must_use]
    pub fn known(&self, max_tokens: u32) -> KnownLimits {
        KnownLimits {
            max_valid_n: self.valid.range(max_tokens..).map(|(_, &n)| n).max(),
            min_invalid_n: self.invalid.range(..=max_tokens).map(|(_, &n)| n).min(),
        }
    }
}

/// What is known of n at one `max_tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KnownLimits {
    /// The largest n that was valid with at least as large a `max_tokens`.
    pub max_valid_n: Option<u32>,
    /// The smallest n that was invalid with at most as large a `max_tokens`.
    pub min_invalid_n: Option<u32>,
}

impl KnownLimits {
    pub(crate) fn valid(self, n: u32) -> bool {
        self.max_valid_n.is_some_and(|max| n <= max)
    }

    pub(crate) fn invalid(self, n: u32) -> bool {
        self.min_invalid_n.is_some_and(|min| n >= min)
    }
}

/// What a trial found out about one n at its own `max_tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) n: u32,
    pub(crate) valid: bool,
    /// False where the reference's rule says invalid though nothing was measured.
    pub(crate) measured: bool,
}

/// A measurement against assumption 3.1: an n known to be valid was measured invalid, or the
/// reverse. Typical where sampling settings other than n and `max_tokens` change the lengths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The trial that showed it.
    pub trial: TrialNumber,
    /// Model, prompt and stop.
    pub region: Region,
    /// Responses per instance.
    pub n: u32,
    /// Token limit of a response.
    pub max_tokens: u32,
    /// Whether it was measured valid (and known invalid), or the reverse.
    pub measured_valid: bool,
    /// What was known before.
    pub known: KnownLimits,
}

/// The tables of all regions, and the violations of the assumption behind them.
#[derive(Debug, Clone, Default)]
pub struct Validity {
    regions: BTreeMap<Region, RegionTables>,
    violations: Vec<Violation>,
}

impl Validity {
    /// The tables of a region, if any trial has shown anything of it.
    #[must_use]
    pub fn region(&self, region: &Region) -> Option<&RegionTables> {
        self.regions.get(region)
    }

    /// Every region with its tables, in order.
    pub fn regions(&self) -> impl Iterator<Item = (&Region, &RegionTables)> {
        self.regions.iter()
    }

    /// The violations of assumption 3.1, in the order in which they showed.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn known(&self, region: &Region, max_tokens: u32) -> KnownLimits {
        self.region(region)
            .map(|tables| tables.known(max_tokens))
            .unwrap_or_default()
    }

    pub(crate) fn record(
        &mut self,
        trial: TrialNumber,
        region: &Region,
        max_tokens: u32,
        finding: Finding,
    ) {
        let Finding { n, valid, measured } = finding;
        let tables = self.regions.entry(region.clone()).or_default();
        let known = tables.known(max_tokens);
        let contradicted = if valid {
            known.invalid(n)
        } else {
            known.valid(n)
        };
        if measured && contradicted {
            self.violations.push(Violation {
                trial,
                region: region.clone(),
                n,
                max_tokens,
                measured_valid: valid,
                known,
            });
        }
        if valid {
            let max = tables.valid.entry(max_tokens).or_default();
            *max = n.max(*max);
        } else {
            let min = tables.invalid.entry(max_tokens).or_insert(u32::MAX);
            *min = n.min(*min);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        Region {
            model: 0,
            prompt: 0,
            stop: Vec::new(),
        }
    }

    fn record(validity: &mut Validity, n: u32, max_tokens: u32, valid: bool) {
        let finding = Finding {
            n,
            valid,
            measured: true,
        };
        validity.record(TrialNumber(0), &region(), max_tokens, finding);
    }

    #[test]
    fn knowledge_spreads_along_max_tokens() {
        let mut validity = Validity::default();
        record(&mut validity, 4, 100, true);
        record(&mut validity, 2, 200, true);
        record(&mut validity, 9, 150, false);
        record(&mut validity, 7, 300, false);
        let known = |max_tokens| {
            let known = validity.known(&region(), max_tokens);
            (known.max_valid_n, known.min_invalid_n)
        };
        assert_eq!(known(50), (Some(4), None));
        assert_eq!(known(150), (Some(2), Some(9)));
        assert_eq!(known(400), (None, Some(7)));
        assert_eq!(
            validity.known(
                &Region {
                    model: 1,
                    ..region()
                },
                100
            ),
            KnownLimits::default()
        );
        assert!(validity.violations().is_empty());
    }

    #[test]
    fn contradictions_are_kept() {
        let mut validity = Validity::default();
        record(&mut validity, 4, 100, true);
        record(&mut validity, 3, 80, false);
        record(&mut validity, 5, 90, true);
        let shown: Vec<_> = validity
            .violations()
            .iter()
            .map(|v| (v.n, v.max_tokens, v.measured_valid))
            .collect();
        assert_eq!(shown, [(3, 80, false), (5, 90, true)]);
    }
}
