//! A trial that has ended, as the search and the report need it.

use crate::outcome::Utilities;
use crate::refusals::EndedRequest;
use crate::tally::Tally;
use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::trial::{Evaluation, QualityDifference, TrialOutcome};
use frugal_evaluation::{Corpus, Rival, TrialRun};
use frugal_search::Observation;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The number of the baseline's trial. The searcher's proposals follow from 1.
pub(crate) const BASELINE: TrialNumber = TrialNumber(0);

/// The trials that have ended, by number.
pub(crate) type EndedTrials = BTreeMap<TrialNumber, EndedTrial>;

/// A trial that has ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedTrial {
    pub(crate) number: TrialNumber,
    pub(crate) settings: Arc<Settings>,
    pub(crate) outcome: TrialOutcome,
    pub(crate) utilities: Utilities,
    /// The metric of the quality of answers on each instance, where the objective is to pay less for
    /// them; none of an arm.
    pub(crate) qualities: Utilities,
    /// How good its answers are beside what they must be as good as, on the instances of the search.
    pub(crate) quality_difference: Option<QualityDifference>,
    /// What its rows add to the metrics of all of them together, where its scorer counts that.
    pub(crate) corpus: Option<Corpus>,
    pub(crate) tally: Tally,
    /// Its requests, in the order of their ordinals; none of an arm, whose batches are taken in one by
    /// one.
    pub(crate) requests: Vec<EndedRequest>,
    /// Its evaluation; none of an arm, whose batches are taken in one by one.
    pub(crate) run: Option<TrialRun>,
}

impl EndedTrial {
    /// What was found, if the trial was evaluated.
    pub(crate) const fn evaluation(&self) -> Option<&Evaluation> {
        match &self.outcome {
            TrialOutcome::Evaluated(evaluation) => Some(evaluation),
            _ => None,
        }
    }

    /// What the searcher hears of it, the others being those that ended so far.
    pub(crate) fn observation(&self, spec: &JobSpec, others: &EndedTrials) -> Option<Observation> {
        let utility_of = |number| Some(others.get(&number)?.evaluation()?.utility.mean);
        Observation::of(spec, &self.outcome, self.tally.spend, utility_of)
    }

    /// The trial as one to hold others against.
    pub(crate) fn rival(&self, spec: &JobSpec) -> Option<Rival> {
        Rival::of(spec, self.number, &self.outcome, &self.utilities)
    }
}
