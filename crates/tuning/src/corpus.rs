//! The metrics of all rows together, of the winner beside the baseline.

use crate::ended::EndedTrial;
use crate::interval_estimate::IntervalEstimate;
use frugal_domain::metric::CorpusMetric;
use frugal_evaluation::{Corpus, CorpusEstimate};
use serde::Serialize;
use std::collections::BTreeMap;

/// Metrics of all rows together, on both parts of the data.
#[derive(Debug, Clone, Serialize)]
pub struct CorpusReport {
    /// On the instances that the search saw. In a profiled search they are those of the responses as they
    /// were drawn.
    pub tuning: CorpusComparison,
    /// On those that it did not see.
    pub holdout: Option<CorpusComparison>,
}

/// Metrics by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CorpusComparison {
    /// The winner's.
    pub winner: BTreeMap<CorpusMetric, IntervalEstimate>,
    /// The baseline's.
    pub baseline: BTreeMap<CorpusMetric, IntervalEstimate>,
    /// Winner less baseline, on the instances that both have.
    pub difference: BTreeMap<CorpusMetric, IntervalEstimate>,
}

/// The metrics of a winner and a baseline; nothing where the scorer counts nothing.
pub(crate) fn compared(
    winner: Option<&EndedTrial>,
    baseline: Option<&EndedTrial>,
) -> Option<CorpusComparison> {
    let of = |ended: Option<&EndedTrial>| ended.and_then(|ended| ended.corpus.clone());
    let (winner, baseline) = (of(winner), of(baseline));
    let all = |corpus: &Option<Corpus>| {
        let estimates = corpus.iter().flat_map(|corpus| {
            let estimate =
                |metric: &CorpusMetric| Some((*metric, corpus.estimate(*metric)?.into()));
            corpus.metrics().iter().filter_map(estimate)
        });
        estimates.collect()
    };
    let found = CorpusComparison {
        winner: all(&winner),
        baseline: all(&baseline),
        difference: winner
            .iter()
            .zip(&baseline)
            .flat_map(|(winner, baseline)| {
                let difference = |metric: &CorpusMetric| {
                    Some((*metric, winner.difference(baseline, *metric)?.found.into()))
                };
                winner.metrics().iter().filter_map(difference)
            })
            .collect(),
    };
    (found != CorpusComparison::default()).then_some(found)
}

impl From<CorpusEstimate> for IntervalEstimate {
    fn from(found: CorpusEstimate) -> Self {
        Self {
            estimate: found.estimate,
            interval: found.interval,
        }
    }
}
