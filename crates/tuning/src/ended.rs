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
    /// What the report reads of its evaluation; none of an arm, of which the pool tells it.
    pub(crate) figures: Option<TrialFigures>,
    /// Its evaluation, until what it has learned is taken in; none of an arm, whose batches are taken in one
    /// by one.
    pub(crate) run: Option<TrialRun>,
}

/// What the report reads of a trial's evaluation, all of whose responses would be too much to keep.
#[derive(Debug, Clone)]
pub(crate) struct TrialFigures {
    /// The completion tokens of the responses that it bought, and how many these are.
    pub(crate) completion_tokens: (u64, u64),
    /// Responses that it took from the pool.
    pub(crate) pooled_responses: u64,
    /// The tokens of each instance's prompt, or an estimate.
    pub(crate) prompt_tokens: Box<[u64]>,
}

impl TrialFigures {
    /// Those of an evaluation that has ended.
    pub(crate) fn of(run: &TrialRun) -> Self {
        Self {
            completion_tokens: run.completion_tokens(),
            pooled_responses: run.pooled_responses(),
            prompt_tokens: run.prompt_token_estimates().into_boxed_slice(),
        }
    }
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
