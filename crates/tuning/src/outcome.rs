//! From the evaluation's ending to what is stored, shown and told.

use crate::error::TuningError;
use crate::refusals::Refusal;
use frugal_domain::job::{JobSpec, NonInferiority, Reference};
use frugal_domain::metric::{self, CorpusMetric, Metric};
use frugal_domain::request::Scope;
use frugal_domain::trial::{
    CostEstimate, Coverage, Estimate, Evaluation, QualityDifference, TrialOutcome,
};
use frugal_evaluation::{
    Corpus, Ending, EvaluatedInstance, TrialRun, metrics, quality_difference, statistics,
};
use std::collections::BTreeMap;

/// The objective on each instance, by the instance's position.
pub(crate) type Utilities = BTreeMap<usize, f64>;

/// How a trial ended, with what is kept of it besides.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) outcome: TrialOutcome,
    /// The objective on each instance, where it was evaluated.
    pub(crate) utilities: Utilities,
    /// The metric of the quality of answers on each instance, where the objective is to pay less for
    /// them.
    pub(crate) qualities: Utilities,
    /// How good its answers are beside what they must be as good as.
    pub(crate) quality_difference: Option<QualityDifference>,
    /// What its rows add to the metrics of all of them together, where its scorer counts that.
    pub(crate) corpus: Option<Corpus>,
}

impl From<TrialOutcome> for Found {
    fn from(outcome: TrialOutcome) -> Self {
        Self {
            outcome,
            utilities: Utilities::new(),
            qualities: Utilities::new(),
            quality_difference: None,
            corpus: None,
        }
    }
}

/// What a trial is held against, where answers must be as good as the baseline's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against<'a> {
    /// It is the baseline itself.
    Itself,
    /// The quality of the baseline's answers on each instance; none where it was not evaluated.
    Baseline(Option<&'a Utilities>),
}

/// How a trial ended, and what it came to where it was evaluated.
pub(crate) fn of(
    spec: &JobSpec,
    run: &TrialRun,
    ending: &Ending,
    against: Against<'_>,
) -> Result<Found, TuningError> {
    let outcome = match ending {
        Ending::Evaluated { within_budget } => {
            let instances = run.evaluation().unwrap_or_default();
            return evaluation(spec, run, &instances, *within_budget, against);
        }
        Ending::Pruned(reason) => TrialOutcome::Pruned {
            reason: reason.clone(),
        },
        Ending::Infeasible(detail) => TrialOutcome::Infeasible {
            detail: detail.clone(),
        },
        Ending::Failed(detail) => TrialOutcome::Failed {
            detail: detail.clone(),
        },
        Ending::BudgetExhausted | Ending::Drawn => TrialOutcome::Stopped,
    };
    Ok(outcome.into())
}

/// How a trial ends whose model is not asked any more.
pub(crate) fn of_refusal(refusal: Refusal) -> TrialOutcome {
    let detail = refusal.reason;
    match refusal.scope {
        Scope::Row | Scope::Configuration | Scope::Model => TrialOutcome::Infeasible { detail },
        Scope::Endpoint | Scope::Key => TrialOutcome::Failed { detail },
    }
}

/// Whether the majority's answer is a measure of these instances: some response gives an answer, or the
/// job asks for it, so that it is 0 where none does.
fn has_votes(spec: &JobSpec, instances: &[EvaluatedInstance]) -> bool {
    let mut responses = instances.iter().flat_map(|one| &one.responses);
    responses.any(|response| response.observed.answer.is_some()) || spec.asks_for(Metric::Majority)
}

/// What the instances came to: every metric, and whether the configuration may win.
fn evaluation(
    spec: &JobSpec,
    run: &TrialRun,
    instances: &[EvaluatedInstance],
    within_budget: bool,
    against: Against<'_>,
) -> Result<Found, TuningError> {
    let unit = spec.cost_unit();
    let values = |metric: Metric| metrics::values(metric, instances, unit);
    let estimate = |metric: Metric| -> Result<Estimate, TuningError> {
        let values: Vec<f64> = values(metric).into_values().collect();
        statistics::estimate(&values).ok_or(TuningError::NoInstance(run.plan().number))
    };
    let mut metrics = BTreeMap::new();
    for metric in Metric::ALL {
        let is_measured = match metric {
            Metric::Majority => has_votes(spec, instances),
            Metric::BestOfN => spec.selector.is_some(),
            _ => true,
        };
        if !is_measured {
            continue;
        }
        metrics.insert(metric.as_str().to_owned(), estimate(*metric)?);
    }
    let corpus = corpus_of(instances);
    add_corpus(&mut metrics, corpus.as_ref());
    let qualities = match spec.objective.cheapest {
        Some(standard) => values(standard.metric),
        None => Utilities::new(),
    };
    let quality_difference = spec
        .objective
        .cheapest
        .and_then(|standard| difference(&standard, &qualities, against));
    let violated = violated(spec, &metrics, quality_difference.as_ref());
    let evaluation = Evaluation {
        utility: estimate(spec.objective.metric)?,
        inference_cost: CostEstimate {
            unit,
            estimate: estimate(Metric::InferenceCost)?,
        },
        metrics,
        valid: within_budget && violated.is_empty(),
        violated,
        coverage: Some(coverage(run, instances)),
        utility_interval: {
            let utilities: Vec<f64> = values(spec.objective.metric).into_values().collect();
            statistics::mean_interval(spec.objective.metric, &utilities)
        },
    };
    Ok(Found {
        outcome: TrialOutcome::Evaluated(evaluation),
        utilities: values(spec.objective.metric),
        qualities,
        quality_difference,
        corpus,
    })
}

/// What rows add to the metrics of all of them together; nothing where the scorer counts nothing.
pub(crate) fn corpus_of(instances: &[EvaluatedInstance]) -> Option<Corpus> {
    Corpus::of(instances.iter().map(|one| {
        let responses = one.responses.iter();
        (one.instance, responses.map(|response| &response.observed))
    }))
}

/// Adds the metrics of all rows together.
pub(crate) fn add_corpus(metrics: &mut BTreeMap<String, Estimate>, corpus: Option<&Corpus>) {
    let all = corpus.iter().flat_map(|corpus| {
        let estimate = |metric: &CorpusMetric| {
            let found = corpus.estimate(*metric)?;
            Some((metric.as_str().to_owned(), found.estimate))
        };
        corpus.metrics().iter().filter_map(estimate)
    });
    metrics.extend(all);
}

/// How good answers are beside what they must be as good as.
fn difference(
    standard: &NonInferiority,
    qualities: &Utilities,
    against: Against<'_>,
) -> Option<QualityDifference> {
    let baseline = match (standard.as_good_as, against) {
        (Reference::Baseline, Against::Itself) => {
            return Some(QualityDifference {
                mean: 0.0,
                standard_error: None,
                lower_bound: 0.0,
            });
        }
        (_, Against::Itself) => None,
        (_, Against::Baseline(baseline)) => baseline,
    };
    quality_difference(standard, qualities, baseline)
}

/// The names of the metrics that keep a configuration from being valid: whose means violate a
/// constraint, and what is not shown to be as good as it must be.
pub(crate) fn violated(
    spec: &JobSpec,
    metrics: &BTreeMap<String, Estimate>,
    difference: Option<&QualityDifference>,
) -> Vec<String> {
    let mut violated = metric::violated(&spec.constraints, metrics);
    if let Some(standard) = spec.objective.cheapest
        && !difference.is_some_and(|difference| standard.holds(difference))
    {
        let name = standard.metric.as_str();
        if violated.iter().all(|other| other != name) {
            violated.push(name.to_owned());
        }
    }
    violated
}

/// How far a trial looked.
fn coverage(run: &TrialRun, instances: &[EvaluatedInstance]) -> Coverage {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let responses = instances.iter().map(|one| one.responses.len());
    let progress = run.progress();
    Coverage {
        instances: count(instances.len()),
        of: count(progress.instances),
        responses: count(responses.min().unwrap_or_default()),
        complete: instances.len() + progress.missing >= progress.instances,
    }
}
