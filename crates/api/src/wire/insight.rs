//! What a job's trials say together.

use super::{
    Better, Configuration, CostEstimate, Difference, Direction, Estimate, Interval, Metric, Unit,
};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{self, DEMONSTRATIONS, JobSpec, Split};
use frugal_domain::metric;
use frugal_domain::trial::{Evaluation, TrialOutcome};
use frugal_evaluation::importance::{self, LEAST_EXPLAINED, Level, TriedPoint};
use frugal_evaluation::statistics::{PairedDifferences, holm};
use frugal_store::trials::StoredTrial;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// The chance of taking any trial for different from the reference in a metric in which none is.
const LEVEL: f64 = 0.05;

/// Trials by quality and cost.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pareto {
    /// The metric of quality: the objective, or what must be as good where the cheapest is sought.
    pub metric: Metric,
    /// Whether more of it is better.
    pub direction: Direction,
    /// What costs are in.
    pub unit: Unit,
    /// The trials that were evaluated, cheapest first.
    pub trials: Vec<ParetoTrial>,
}

/// A trial by quality and cost.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ParetoTrial {
    /// The trial.
    pub trial: u32,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// Its quality.
    pub quality: Estimate,
    /// The 95 % interval of that; `null` where it is not known.
    pub quality_interval: Option<Interval>,
    /// What one instance costs.
    pub inference_cost: CostEstimate,
    /// Whether the inference cost is within the inference budget and no constraint is violated.
    pub valid: bool,
    /// Whether every instance was asked for. Others are known by a part of the rows, and on no front.
    pub complete: bool,
    /// Whether no other complete one is at least as good and costs less, or is better and costs no more.
    pub on_front: bool,
}

impl Pareto {
    /// Of the trials of a job.
    #[must_use]
    pub fn of(spec: &JobSpec, trials: Vec<StoredTrial>) -> Self {
        let standard = spec.objective.cheapest;
        let (metric, direction) = match standard {
            Some(standard) => (standard.metric, job::Direction::Maximize),
            None => (spec.objective.metric, spec.objective.direction),
        };
        let quality = |evaluation: &Evaluation| match standard {
            Some(standard) => evaluation.metrics.get(standard.metric.as_str()).copied(),
            None => Some(evaluation.utility),
        };
        let trial = |trial: StoredTrial| {
            let Some(TrialOutcome::Evaluated(evaluation)) = trial.outcome else {
                return None;
            };
            Some(ParetoTrial {
                trial: trial.number.0,
                configuration: Configuration::new(spec, &trial.settings),
                quality: quality(&evaluation)?.into(),
                quality_interval: evaluation
                    .utility_interval
                    .filter(|_| standard.is_none())
                    .map(Into::into),
                inference_cost: evaluation.inference_cost.into(),
                valid: evaluation.valid,
                complete: evaluation.is_complete(),
                on_front: false,
            })
        };
        let mut trials: Vec<ParetoTrial> = trials.into_iter().filter_map(trial).collect();
        let loss = |one: &ParetoTrial| direction.loss(one.quality.mean);
        trials.sort_by(|one, other| {
            let by_cost = one
                .inference_cost
                .mean
                .total_cmp(&other.inference_cost.mean);
            by_cost
                .then(loss(one).total_cmp(&loss(other)))
                .then(one.trial.cmp(&other.trial))
        });
        let mut least = f64::INFINITY;
        for one in trials.iter_mut().filter(|one| one.complete) {
            let loss = direction.loss(one.quality.mean);
            one.on_front = loss < least;
            least = least.min(loss);
        }
        Self {
            metric: metric.into(),
            direction: direction.into(),
            unit: spec.cost_unit().into(),
            trials,
        }
    }
}

/// Which settings mattered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Importance {
    /// The metric that it is about: the objective.
    pub metric: Metric,
    /// The trials that it rests on: those that were evaluated.
    pub trials: u64,
    /// The part of what trials differ in that the forest predicts for trials that it was not grown on; 0 or below
    /// where it predicts nothing. `null` where there are too few trials to say anything.
    #[schema(example = 0.71)]
    pub explained: Option<f64>,
    /// Whether that is enough for the shares to be more than chance may bring.
    pub reliable: bool,
    /// The same in words.
    #[schema(example = "71 % of what 48 trials differ in is explained by their settings")]
    pub note: String,
    /// The settings that had more than one value, those with the largest share first. What their shares leave to 1
    /// is what settings do together.
    pub settings: Vec<SettingImportance>,
}

/// How much a setting mattered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SettingImportance {
    /// The setting.
    #[schema(example = "temperature")]
    pub setting: String,
    /// The share of what trials differ in that it explains by itself, from 0 to 1.
    #[schema(example = 0.44)]
    pub share: f64,
    /// How far the share differs from tree to tree: one standard deviation.
    #[schema(example = 0.09)]
    pub deviation: f64,
    /// How many values of it were tried.
    #[schema(example = 31)]
    pub values: u64,
}

impl Importance {
    /// Of the trials of a job.
    #[must_use]
    pub fn of(spec: &JobSpec, trials: &[StoredTrial]) -> Self {
        let evaluated = trials.iter().filter_map(|trial| match &trial.outcome {
            Some(TrialOutcome::Evaluated(evaluation)) => {
                Some((settings(spec, trial), evaluation.utility.mean))
            }
            _ => None,
        });
        let evaluated: Vec<(Map<String, Value>, f64)> = evaluated.collect();
        let names: BTreeSet<&String> = evaluated.iter().flat_map(|(all, _)| all.keys()).collect();
        let values = |name: &String| -> Vec<Option<&Value>> {
            let mut values: Vec<_> = evaluated.iter().map(|(all, _)| all.get(name)).collect();
            values.sort_by_key(|value| value.map(Value::to_string));
            values.dedup();
            values
        };
        let varied: Vec<(&String, Vec<Option<&Value>>)> = names
            .into_iter()
            .map(|name| (name, values(name)))
            .filter(|(_, values)| values.len() > 1)
            .collect();
        let level = |(name, values): &(&String, Vec<Option<&Value>>), all: &Map<String, Value>| {
            let value = all.get(*name);
            match value {
                None => Level::Absent,
                Some(Value::Number(number)) => number.as_f64().map_or(Level::Absent, Level::Number),
                value => {
                    let position = values.iter().position(|one| *one == value);
                    position.map_or(Level::Absent, Level::Category)
                }
            }
        };
        let points = evaluated.iter().map(|(all, value)| TriedPoint {
            levels: varied.iter().map(|setting| level(setting, all)).collect(),
            value: *value,
        });
        let points: Vec<TriedPoint> = points.collect();
        let found = importance::importance(&points, spec.search.seed);
        let shares = found.iter().flat_map(|found| &found.shares);
        let mut settings: Vec<SettingImportance> = varied
            .iter()
            .zip(shares)
            .map(|((name, values), share)| SettingImportance {
                setting: (*name).clone(),
                share: share.mean,
                deviation: share.deviation,
                values: values.len() as u64,
            })
            .collect();
        settings.sort_by(|one, other| other.share.total_cmp(&one.share));
        let explained = found.map(|found| found.explained);
        let reliable = explained.is_some_and(|explained| explained >= LEAST_EXPLAINED);
        Self {
            metric: spec.objective.metric.into(),
            trials: points.len() as u64,
            explained,
            reliable,
            note: note(points.len(), explained, reliable),
            settings,
        }
    }
}

fn note(trials: usize, explained: Option<f64>, reliable: bool) -> String {
    match explained {
        None => format!(
            "{trials} trials were evaluated, or all came to the same; from {} that differ it can be told which settings mattered",
            importance::FEWEST_TRIALS
        ),
        Some(explained) if reliable => format!(
            "{:.0} % of what {trials} trials differ in is explained by their settings",
            100.0 * explained
        ),
        Some(_) => format!(
            "the settings of {trials} trials do not predict what others came to: which of them mattered cannot be told from these trials"
        ),
    }
}

/// The settings of a trial, the model with its endpoint as one.
fn settings(spec: &JobSpec, trial: &StoredTrial) -> Map<String, Value> {
    let mut settings = spec.describe(&trial.settings);
    // The prompt's name says which demonstrations it shows.
    settings.remove(DEMONSTRATIONS);
    let endpoint = settings.remove("endpoint");
    if let (Some(Value::String(endpoint)), Some(Value::String(model))) =
        (endpoint, settings.get("model"))
    {
        let model = format!("{endpoint}/{model}");
        settings.insert("model".to_owned(), model.into());
    }
    settings
}

/// Trials held against one of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrialsCompared {
    /// The trial that the others are held against.
    pub reference: u32,
    /// The part of the data.
    #[schema(pattern = "^(tuning|holdout)$")]
    pub split: &'static str,
    /// What the corrected p-value of a significant difference is below: at most so large is the chance that any of
    /// these trials is taken for different in a metric in which none is. Metrics are not corrected for one another.
    #[schema(example = 0.05)]
    pub level: f64,
    /// The others, in the order in which they were named.
    pub trials: Vec<TrialCompared>,
}

/// A trial held against another.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrialCompared {
    /// The trial.
    pub trial: u32,
    /// By the metric's name, its mean less the reference's, paired by row. A metric is not there where no row of
    /// both has it.
    pub metrics: BTreeMap<String, Difference>,
}

/// The values of a trial on each row, by metric.
type Values = BTreeMap<metric::Metric, BTreeMap<usize, f64>>;

impl TrialsCompared {
    /// Trials held against the first of them; nothing where there is none.
    #[must_use]
    pub fn of(
        spec: &JobSpec,
        split: Split,
        metrics: &[metric::Metric],
        values: &[(TrialNumber, Values)],
    ) -> Option<Self> {
        let ((reference, of_reference), others) = values.split_first()?;
        let mut trials: Vec<TrialCompared> = others
            .iter()
            .map(|(number, _)| TrialCompared {
                trial: number.0,
                metrics: BTreeMap::new(),
            })
            .collect();
        for metric in metrics {
            let of_reference = of_reference.get(metric)?;
            let paired = others.iter().map(|(_, values)| {
                let values = values.get(metric)?;
                PairedDifferences::of(*metric, values, of_reference)
            });
            let paired: Vec<Option<PairedDifferences>> = paired.collect();
            let p_values = paired.iter().flatten().map(PairedDifferences::p_value);
            let p_values: Vec<f64> = p_values.collect();
            let mut corrected = p_values.iter().copied().zip(holm(&p_values));
            for (trial, paired) in trials.iter_mut().zip(&paired) {
                let Some(paired) = paired else { continue };
                let (Some(estimate), Some((p_value, adjusted_p_value))) =
                    (paired.estimate(), corrected.next())
                else {
                    continue;
                };
                let difference = Difference {
                    mean: estimate.mean,
                    standard_error: estimate.standard_error,
                    count: estimate.count,
                    interval: paired.interval().into(),
                    p_value,
                    adjusted_p_value,
                    significant: adjusted_p_value < LEVEL,
                    better: better(spec, *metric, estimate.mean),
                };
                trial.metrics.insert(metric.as_str().to_owned(), difference);
            }
        }
        Some(Self {
            reference: reference.0,
            split: split.as_str(),
            level: LEVEL,
            trials,
        })
    }
}

fn better(spec: &JobSpec, metric: metric::Metric, difference: f64) -> Better {
    let direction = match spec.objective.metric == metric {
        true => spec.objective.direction,
        false => job::Direction::better_of(metric),
    };
    if direction.better(difference, 0.0) {
        Better::Configuration
    } else if direction.better(0.0, difference) {
        Better::Reference
    } else {
        Better::Neither
    }
}
