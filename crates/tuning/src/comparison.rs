//! Configurations held against one that is the reference, metric by metric, on the rows that both were
//! seen on.

use crate::side_by_side::Standing;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Direction, JobSpec, NamedConfiguration};
use frugal_domain::metric::Metric;
use frugal_domain::trial::{Estimate, Interval};
use frugal_evaluation::statistics::{PairedDifferences, holm};
use serde::Serialize;
use std::collections::BTreeMap;

/// The chance of taking any configuration for different from the reference in a metric in which none is.
pub(crate) const LEVEL: f64 = 0.05;

/// How several comparisons were reckoned with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Correction {
    /// The procedure: `holm`.
    pub method: &'static str,
    /// The comparisons that it is over: those of one metric.
    pub comparisons: usize,
    /// What the adjusted p-value of a significant difference is below.
    pub level: f64,
}

/// A configuration held against the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The configuration's name.
    pub configuration: String,
    /// Its trial.
    pub trial: TrialNumber,
    /// The name of the one that it is compared with.
    pub reference: String,
    /// Rows that both were seen on.
    pub instances: u32,
    /// By the metric's name, its mean less the reference's.
    pub metrics: BTreeMap<String, Difference>,
}

/// The mean of a metric less that of the reference, paired by row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Mean, standard error and count.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The [95 % interval](PairedDifferences::interval), of this difference by itself.
    pub interval: Interval,
    /// Its [p-value](PairedDifferences::p_value), of this difference by itself.
    pub p_value: f64,
    /// The same with all comparisons of the metric in account.
    pub adjusted_p_value: f64,
    /// Whether the adjusted p-value is below the level.
    pub significant: bool,
    /// Which of the two is better by the mean, by the objective's direction or the usual one of the metric.
    pub better: Better,
}

/// Which of two configurations is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The configuration.
    Configuration,
    /// The reference.
    Reference,
    /// Neither.
    Neither,
}

/// Which way a metric is better in a job.
pub(crate) fn direction(spec: &JobSpec, metric: Metric) -> Direction {
    match spec.objective.metric == metric {
        true => spec.objective.direction,
        false => Direction::better_of(metric),
    }
}

/// Each configuration that something was found of, held against the reference in these metrics.
pub(crate) fn compare(
    spec: &JobSpec,
    reference: (&NamedConfiguration, &Standing),
    others: &[(&NamedConfiguration, &Standing)],
    metrics: &[Metric],
) -> Vec<Comparison> {
    let mut comparisons: Vec<Comparison> = others
        .iter()
        .map(|(named, standing)| Comparison {
            configuration: named.name.clone(),
            trial: standing.number,
            reference: reference.0.name.clone(),
            instances: 0,
            metrics: BTreeMap::new(),
        })
        .collect();
    for metric in metrics {
        let values = |standing: &Standing| standing.by_row(spec, *metric);
        let Some(of_reference) = values(reference.1) else {
            continue;
        };
        let pair = |standing: &Standing| {
            let paired = PairedDifferences::of(*metric, &values(standing)?, &of_reference)?;
            Some(Paired {
                estimate: paired.estimate()?,
                interval: paired.interval(),
                p_value: paired.p_value(),
            })
        };
        let paired = others.iter().map(|(_, standing)| pair(standing)).collect();
        let direction = direction(spec, *metric);
        take(&mut comparisons, metric.as_str(), direction, paired);
    }
    // Those of all rows together, of which more is better.
    let of_reference = reference.1.corpus.as_ref();
    for metric in of_reference.map_or(&[][..], |corpus| corpus.metrics()) {
        let pair = |standing: &Standing| {
            let difference = standing
                .corpus
                .as_ref()?
                .difference(of_reference?, *metric)?;
            Some(Paired {
                estimate: difference.found.estimate,
                interval: difference.found.interval,
                p_value: difference.p_value,
            })
        };
        let paired = others.iter().map(|(_, standing)| pair(standing)).collect();
        take(
            &mut comparisons,
            metric.as_str(),
            Direction::Maximize,
            paired,
        );
    }
    comparisons
}

/// A configuration less the reference in one metric, by itself.
struct Paired {
    estimate: Estimate,
    interval: Interval,
    p_value: f64,
}

/// Takes in how the configurations differ in a metric, in their order, corrected over all of them.
fn take(
    comparisons: &mut [Comparison],
    metric: &str,
    direction: Direction,
    paired: Vec<Option<Paired>>,
) {
    let p_values: Vec<f64> = paired.iter().flatten().map(|one| one.p_value).collect();
    let mut corrected = holm(&p_values).into_iter();
    for (comparison, paired) in comparisons.iter_mut().zip(paired) {
        let Some(paired) = paired else { continue };
        let Some(adjusted_p_value) = corrected.next() else {
            continue;
        };
        let estimate = paired.estimate;
        comparison.instances = comparison.instances.max(estimate.count);
        let difference = Difference {
            estimate,
            interval: paired.interval,
            p_value: paired.p_value,
            adjusted_p_value,
            significant: adjusted_p_value < LEVEL,
            better: better(direction, estimate.mean),
        };
        comparison.metrics.insert(metric.to_owned(), difference);
    }
}

fn better(direction: Direction, difference: f64) -> Better {
    if direction.better(difference, 0.0) {
        Better::Configuration
    } else if direction.better(0.0, difference) {
        Better::Reference
    } else {
        Better::Neither
    }
}
