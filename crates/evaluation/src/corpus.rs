//! Metrics of all responses together, which are no means over rows: BLEU and F1 of a corpus.
//!
//! They are ratios of sums. What each response adds to the sums is observed with its score
//! ([`CorpusCounts`]); a row counts with the mean of its responses, or where a selector chooses with those that
//! it prefers, so that rows with more responses count no more.
//!
//! How sure such a metric is comes from the jackknife (Efron, *The Jackknife, the Bootstrap and Other
//! Resampling Plans*, 1982): with T of all m rows and Tᵢ of all but row i, the row stands for
//! mT − (m − 1)Tᵢ. Of these values, which are nearly independent and have the metric for their mean, there is
//! an interval as of any other, and of two configurations on the same rows the paired differences.

use crate::interval::{PairedDifferences, interval_within};
use crate::statistics::estimate;
use frugal_domain::metric::CorpusMetric;
use frugal_domain::scoring::{BLEU_ORDER, CorpusCounts, Observation};
use frugal_domain::trial::{Estimate, Interval};
use std::collections::BTreeMap;

/// The counts of a BLEU: n-grams in common and of the response, by order; the words of the response and of the
/// reference that it is held against.
const BLEU_COUNTS: usize = 2 * BLEU_ORDER + 2;

/// What the rows of a configuration add to the sums.
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    kind: Kind,
    /// By instance.
    rows: BTreeMap<usize, Sums>,
}

/// As many counts as either kind has.
type Sums = [f64; BLEU_COUNTS];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bleu,
    Overlap,
}

/// A metric of a corpus, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CorpusEstimate {
    /// The metric, or the difference of two; its standard error by the jackknife; the rows.
    pub estimate: Estimate,
    /// The 95 % interval.
    pub interval: Interval,
}

/// By how much a metric of a corpus is above that of another configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CorpusDifference {
    /// The difference, and how sure it is.
    pub found: CorpusEstimate,
    /// The two-sided p-value of no difference: below 0.05 where the interval leaves 0 out.
    pub p_value: f64,
}

impl Corpus {
    /// The counts of responses by instance. Nothing where no response has any, which depends on the scorer.
    #[must_use]
    pub fn of<'o, R>(responses: impl IntoIterator<Item = (usize, R)>) -> Option<Self>
    where
        R: IntoIterator<Item = &'o Observation>,
    {
        let mut kind = None;
        let mut rows = BTreeMap::new();
        for (instance, responses) in responses {
            let responses: Vec<&Observation> = responses.into_iter().collect();
            let most = responses.iter().filter_map(|one| one.preference);
            let most = most.fold(f64::NEG_INFINITY, f64::max);
            let given = responses
                .iter()
                .filter(|one| one.preference.is_none_or(|preference| preference >= most));
            let counts: Vec<CorpusCounts> = given.filter_map(|one| one.counts).collect();
            let Some(first) = counts.first() else {
                continue;
            };
            kind = kind.or(Some(kind_of(first)));
            let weight = 1.0 / crate::share::real(counts.len());
            let mut sums = Sums::default();
            for counts in counts.iter().filter(|one| Some(kind_of(one)) == kind) {
                for (sum, count) in sums.iter_mut().zip(listed(counts)) {
                    *sum += weight * count;
                }
            }
            rows.insert(instance, sums);
        }
        Some(Self { kind: kind?, rows })
    }

    /// Takes in what further rows add to the sums.
    pub fn extend(&mut self, other: Self) {
        if other.kind == self.kind {
            self.rows.extend(other.rows);
        }
    }

    /// The metrics that these counts tell.
    #[must_use]
    pub const fn metrics(&self) -> &'static [CorpusMetric] {
        match self.kind {
            Kind::Bleu => &[CorpusMetric::Bleu],
            Kind::Overlap => &[
                CorpusMetric::F1,
                CorpusMetric::Precision,
                CorpusMetric::Recall,
            ],
        }
    }

    /// A metric of all rows, with its interval.
    #[must_use]
    pub fn estimate(&self, metric: CorpusMetric) -> Option<CorpusEstimate> {
        let values: Vec<f64> = self.row_values(metric).into_values().collect();
        let range = extent(
            &values,
            Interval {
                low: 0.0,
                high: 1.0,
            },
        );
        let interval = interval_within(&values, range);
        Some(CorpusEstimate {
            estimate: Estimate {
                mean: self.value(metric),
                ..estimate(&values)?
            },
            interval: Interval {
                low: interval.low.clamp(0.0, 1.0),
                high: interval.high.clamp(0.0, 1.0),
            },
        })
    }

    /// A metric less that of another configuration, on the rows that both have. Nothing where they share none.
    #[must_use]
    pub fn difference(&self, other: &Self, metric: CorpusMetric) -> Option<CorpusDifference> {
        let (left, right) = (self.shared_with(other), other.shared_with(self));
        let values = (left.row_values(metric), right.row_values(metric));
        let differences = PairedDifferences::of_row_values(&values.0, &values.1)?;
        let found = CorpusEstimate {
            estimate: Estimate {
                mean: left.value(metric) - right.value(metric),
                ..differences.estimate()?
            },
            interval: differences.interval(),
        };
        Some(CorpusDifference {
            found,
            p_value: differences.p_value(),
        })
    }

    fn shared_with(&self, other: &Self) -> Self {
        let rows = self.rows.iter();
        let rows = rows.filter(|(instance, _)| other.rows.contains_key(instance));
        Self {
            kind: self.kind,
            rows: rows.map(|(instance, sums)| (*instance, *sums)).collect(),
        }
    }

    fn sums(&self) -> Sums {
        let mut all = Sums::default();
        for sums in self.rows.values() {
            for (sum, count) in all.iter_mut().zip(sums) {
                *sum += count;
            }
        }
        all
    }

    /// A metric of all rows.
    fn value(&self, metric: CorpusMetric) -> f64 {
        self.of_sums(metric, &self.sums())
    }

    /// What each row stands for, so that their mean is the metric.
    fn row_values(&self, metric: CorpusMetric) -> BTreeMap<usize, f64> {
        let all = self.sums();
        let value = self.of_sums(metric, &all);
        let count = crate::share::real(self.rows.len());
        let without = |sums: &Sums| {
            // What rounding leaves of counts that only this row has is none.
            let mut rest = all;
            for (rest, sum) in rest.iter_mut().zip(sums) {
                *rest = if *rest - sum > 1e-9 { *rest - sum } else { 0.0 };
            }
            rest
        };
        let of_row = |(instance, sums): (&usize, &Sums)| {
            let value = match self.rows.len() {
                1 => value,
                _ => count * value - (count - 1.0) * self.of_sums(metric, &without(sums)),
            };
            (*instance, value)
        };
        self.rows.iter().map(of_row).collect()
    }

    fn of_sums(&self, metric: CorpusMetric, sums: &Sums) -> f64 {
        let [common, response, reference, ..] = *sums;
        let ratio = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        match (self.kind, metric) {
            (Kind::Bleu, CorpusMetric::Bleu) => bleu(sums),
            (Kind::Overlap, CorpusMetric::F1) => ratio(2.0 * common, response + reference),
            (Kind::Overlap, CorpusMetric::Precision) => ratio(common, response),
            (Kind::Overlap, CorpusMetric::Recall) => ratio(common, reference),
            _ => 0.0,
        }
    }
}

/// As sacrebleu's `corpus_bleu`: the geometric mean of the precisions, with exponential smoothing of those that
/// are 0, times the brevity penalty.
fn bleu(sums: &Sums) -> f64 {
    let (common, rest) = sums.split_at(BLEU_ORDER);
    let (all, lengths) = rest.split_at(BLEU_ORDER);
    let [length, reference] = [lengths[0], lengths[1]];
    if common.iter().all(|count| *count <= 0.0) {
        return 0.0;
    }
    let (mut logs, mut smoothing) = (0.0, 1.0);
    for (common, all) in common.iter().zip(all) {
        if *all <= 0.0 {
            // There are no n-grams of this order, so nothing is known of them.
            return 0.0;
        }
        let precision = if *common > 0.0 {
            common / all
        } else {
            smoothing *= 2.0;
            1.0 / (smoothing * all)
        };
        logs += precision.ln();
    }
    let brevity = (1.0 - reference / length).min(0.0).exp();
    let orders = crate::share::real(BLEU_ORDER);
    (brevity * (logs / orders).exp()).min(1.0)
}

const fn kind_of(counts: &CorpusCounts) -> Kind {
    match counts {
        CorpusCounts::Bleu { .. } => Kind::Bleu,
        CorpusCounts::Overlap { .. } => Kind::Overlap,
    }
}

/// Counts in the order of the sums.
fn listed(counts: &CorpusCounts) -> impl Iterator<Item = f64> {
    counts.listed().into_iter().map(f64::from)
}

/// The range of values, and of what else they may be.
fn extent(values: &[f64], range: Interval) -> Interval {
    Interval {
        low: values.iter().copied().fold(range.low, f64::min),
        high: values.iter().copied().fold(range.high, f64::max),
    }
}

#[cfg(test)]
mod tests;
