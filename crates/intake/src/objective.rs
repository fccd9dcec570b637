//! Reads what a job is after: the objective, and the constraints on what else is measured.

use crate::scoring::{Scoring, can_be_measured, is_of_rows};
use frugal_domain::fault::Reader;
use frugal_domain::job::{Direction, JobSpec, NonInferiority, Objective, Reference};
use frugal_domain::metric::{Bound, Constraint, Metric};
use frugal_domain::scoring::Reducer;

/// The most constraints of one job.
const MAX_CONSTRAINTS: usize = 16;

/// How much worse is as good, and how sure that is to be, where the job does not say: five answers in
/// a hundred, nineteen times in twenty.
const MARGIN: f64 = 0.05;
const CONFIDENCE: f64 = 0.95;
/// The confidence that may be asked for. Below one half, a configuration would pass that is expected to
/// be too bad.
const CONFIDENCES: std::ops::RangeInclusive<f64> = 0.5..=0.999;

/// Metrics by their names.
fn names(metrics: impl Iterator<Item = Metric>) -> Vec<(&'static str, Metric)> {
    metrics.map(|metric| (metric.as_str(), metric)).collect()
}

/// The objective; by default the most of what the scoring makes of an instance's responses.
pub(crate) fn objective(at: Option<Reader<'_>>, scoring: Option<&Scoring>) -> Option<Objective> {
    let reduce = scoring.map(|scoring| scoring.reduce);
    let mut objective = Objective {
        metric: reduce.unwrap_or(Reducer::ExpectedSuccess).into(),
        direction: Direction::Maximize,
        cheapest: None,
    };
    let Some(at) = at else {
        return Some(objective);
    };
    let object = at.object()?;
    if let Some(at) = object.get("cheapest") {
        let standard = cheapest(&at, objective.metric, scoring);
        let others = ["metric", "direction"].map(|name| object.get(name));
        object.finish();
        for other in others.iter().flatten() {
            other.fault::<()>(
                "does not go with `cheapest`, which is the least `inference_cost`: remove it; what \
                 must be as good is `cheapest.metric`",
            );
        }
        return standard.map(Objective::cheapest);
    }
    let metric = object.get("metric").map(|at| {
        is_of_rows(&at)?;
        at.one_of(&names(Metric::ALL.iter().copied()))
    });
    let direction = object.get("direction").map(|at| {
        at.one_of(&[
            ("maximize", Direction::Maximize),
            ("minimize", Direction::Minimize),
        ])
    });
    object.finish();
    if let Some(metric) = metric {
        objective.metric = metric?;
        let place = object.get("metric");
        measurable(place.as_ref(), objective.metric, scoring)?;
    }
    if let Some(direction) = direction {
        objective.direction = direction?;
    }
    Some(objective)
}

/// Whether a metric can be measured with the job's scorer, as far as that is known.
fn measurable(at: Option<&Reader<'_>>, metric: Metric, scoring: Option<&Scoring>) -> Option<()> {
    match (at, scoring) {
        (Some(at), Some(scoring)) => can_be_measured(at, metric, scoring),
        _ => Some(()),
    }
}

/// What the cheapest must be as good as; by default the baseline, by the scoring's metric.
fn cheapest(at: &Reader<'_>, metric: Metric, scoring: Option<&Scoring>) -> Option<NonInferiority> {
    let object = at.object()?;
    let of_answers = Reducer::ALL.iter().map(|reducer| Metric::from(*reducer));
    let of_answers = names(of_answers);
    let metric = object.get("metric").map_or(Some(metric), |at| {
        is_of_rows(&at)?;
        let metric = at.one_of(&of_answers)?;
        measurable(Some(&at), metric, scoring)?;
        Some(metric)
    });
    let as_good_as = object
        .get("as_good_as")
        .map_or(Some(Reference::Baseline), |at| reference(&at));
    let margin = object.get("margin").map_or(Some(MARGIN), |at| {
        let margin = at.number()?;
        if !(0.0..1.0).contains(&margin) {
            return at.fault(format!(
                "must be from 0 to below 1, not {margin}: how much lower the metric's mean may be"
            ));
        }
        Some(margin)
    });
    let confidence = object.get("confidence").map_or(Some(CONFIDENCE), |at| {
        let confidence = at.number()?;
        if !CONFIDENCES.contains(&confidence) {
            let (low, high) = (CONFIDENCES.start(), CONFIDENCES.end());
            return at.fault(format!(
                "must be from {low} to {high}, not {confidence}: how sure it is to be that the margin \
                 is kept, such as 0.95"
            ));
        }
        Some(confidence)
    });
    object.finish();
    Some(NonInferiority {
        metric: metric?,
        as_good_as: as_good_as?,
        margin: margin?,
        confidence: confidence?,
    })
}

/// `"baseline"`, or a mean that the metric can have.
fn reference(at: &Reader<'_>) -> Option<Reference> {
    if at.value.is_string() {
        return at.one_of(&[("baseline", Reference::Baseline)]);
    }
    match at.value.as_f64() {
        Some(value) if (0.0..=1.0).contains(&value) => Some(Reference::Value(value)),
        _ => at.fault(format!(
            "must be \"baseline\" or a number from 0 to 1, not {}",
            at.value
        )),
    }
}

/// Notes a fault where the cheapest is to be as good as a baseline that there is none of.
pub(crate) fn has_its_baseline(at: Option<&Reader<'_>>, spec: &JobSpec) -> Option<()> {
    if spec.baseline.is_some() || !spec.objective.refers_to_baseline() {
        return Some(());
    }
    let cheapest = at?.object()?.get("cheapest")?;
    let place = cheapest.object()?.get("as_good_as").unwrap_or(cheapest);
    place.fault(
        "there is no baseline to be as good as, for `baseline` is false: give one, or a number in its \
         place, such as {\"as_good_as\": 0.8}",
    )
}

/// The constraints; none by default.
pub(crate) fn constraints(
    at: Option<Reader<'_>>,
    scoring: Option<&Scoring>,
) -> Option<Vec<Constraint>> {
    let Some(at) = at else {
        return Some(Vec::new());
    };
    let places = at.array_within(MAX_CONSTRAINTS)?;
    let read: Vec<_> = places.iter().map(|at| constraint(at, scoring)).collect();
    let read = read.into_iter().collect::<Option<Vec<_>>>()?;
    can_be_kept(&places, &read)?;
    Some(read)
}

fn constraint(at: &Reader<'_>, scoring: Option<&Scoring>) -> Option<Constraint> {
    let object = at.object()?;
    let metric = object
        .require("metric", "name what is bounded, such as `latency_ms`")
        .and_then(|at| {
            let metric = constrained(&at)?;
            measurable(Some(&at), metric, scoring)?;
            Some(metric)
        });
    let at_most = object.get("at_most");
    let at_least = object.get("at_least");
    object.finish();
    let bound = match (at_most, at_least) {
        (Some(at), None) => value(&at, metric).map(Bound::AtMost),
        (None, Some(at)) => value(&at, metric).map(Bound::AtLeast),
        _ => at.fault("give exactly one of `at_most` and `at_least`"),
    };
    Some(Constraint {
        metric: metric?,
        bound: bound?,
    })
}

/// A metric that may be constrained: all but the inference cost, which has a budget.
fn constrained(at: &Reader<'_>) -> Option<Metric> {
    if at.value == Metric::InferenceCost.as_str() {
        return at.fault(
            "is bounded by `budgets.inference`; give that in its place, such as {\"usd\": 0.0002}",
        );
    }
    is_of_rows(at)?;
    let others = Metric::ALL.iter().copied();
    at.one_of(&names(
        others.filter(|metric| *metric != Metric::InferenceCost),
    ))
}

/// The value of a bound, which the metric must be able to take.
fn value(at: &Reader<'_>, metric: Option<Metric>) -> Option<f64> {
    let value = at.number()?;
    match metric.and_then(Metric::largest) {
        Some(largest) if !(0.0..=largest).contains(&value) => {
            at.fault(format!("must be from 0 to {largest}, not {value}"))
        }
        None if value < 0.0 => at.fault("must be 0 or above"),
        _ => Some(value),
    }
}

/// Notes a fault for each constraint that no configuration can keep along with one before it.
fn can_be_kept(places: &[Reader<'_>], constraints: &[Constraint]) -> Option<()> {
    let mut kept = Some(());
    for (index, (place, constraint)) in places.iter().zip(constraints).enumerate() {
        let other = constraints[..index].iter().find(|other| {
            let apart = match (other.bound, constraint.bound) {
                (Bound::AtLeast(least), Bound::AtMost(most))
                | (Bound::AtMost(most), Bound::AtLeast(least)) => least > most,
                _ => false,
            };
            apart && other.metric == constraint.metric
        });
        if let Some(Constraint { bound, .. }) = other {
            let other = match bound {
                Bound::AtMost(bound) => format!("at most {bound}"),
                Bound::AtLeast(bound) => format!("at least {bound}"),
            };
            let metric = constraint.metric.as_str();
            kept = place.fault(format!(
                "cannot be kept: another constraint asks for a `{metric}` of {other}"
            ));
        }
    }
    kept
}
