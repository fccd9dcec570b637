//! How alike arms are: the covariances of their mean log-odds, and of what an instance adds.

use super::arm::{Arm, Feature, Heat};
use super::constants::{
    ACROSS_KINDS, HOT, HOT_SLOPE, LARGEST_TEMPERATURE_SCALE, LEAST_TEMPERATURE_SCALE, MEAN_ALL,
    MEAN_HEAT, MEAN_HEAT_LENGTH, MEAN_MODEL, MEAN_OTHER, MEAN_PAIR, MEAN_PROMPT, OTHER_LENGTH,
    OTHER_UNLIKE, PIVOT, PRIOR_LOG_ODDS, REFERENCE_TEMPERATURE, ROW_ALL, ROW_HEAT, ROW_HEAT_LENGTH,
    ROW_MODEL, ROW_OTHER, ROW_OWN, ROW_PAIR, ROW_PROMPT,
};
use nalgebra::{DMatrix, DVector};

/// Keeps the covariance of means from being singular.
const JITTER: f64 = 1e-4;

/// The prior of arms: `logit p = mean[arm] + instance[arm]`, the instances independent of each other.
#[derive(Debug, Clone)]
pub(super) struct Kernels {
    /// The covariance of the means.
    pub(super) mean: DMatrix<f64>,
    /// The covariance of what one instance adds.
    pub(super) row: DMatrix<f64>,
    /// The prior means.
    pub(super) prior: DVector<f64>,
}

impl Kernels {
    pub(super) fn of(arms: &[Arm]) -> Self {
        let count = arms.len();
        // Settings other than these count where any arm has some.
        let others = arms.iter().any(|arm| !arm.place.others.is_empty());
        let scales: Vec<f64> = arms.iter().map(|arm| scale(arm.place.heat)).collect();
        let mut mean = DMatrix::zeros(count, count);
        let mut row = DMatrix::zeros(count, count);
        for (i, one) in arms.iter().enumerate() {
            for (j, other) in arms.iter().enumerate().take(i + 1) {
                let same = Same::of(one, other, others);
                let both = scales[i] * scales[j];
                let (m, r) = (same.mean() * both, same.row() * both);
                mean[(i, j)] = m;
                mean[(j, i)] = m;
                row[(i, j)] = r;
                row[(j, i)] = r;
            }
            mean[(i, i)] += JITTER;
            row[(i, i)] += ROW_OWN * ROW_OWN;
        }
        let prior = arms.iter().zip(&scales).map(|(arm, scale)| {
            let hot = match arm.place.heat {
                Heat::Temperature(heat) => HOT_SLOPE * (heat - HOT).max(0.0),
                Heat::TopP(_) => 0.0,
            };
            PIVOT + scale * (PRIOR_LOG_ODDS - PIVOT) - hot
        });
        Self {
            mean,
            row,
            prior: DVector::from_iterator(count, prior),
        }
    }
}

/// Sampling cold pushes log-odds apart.
fn scale(heat: Heat) -> f64 {
    (REFERENCE_TEMPERATURE / heat.value().max(0.1))
        .sqrt()
        .clamp(LEAST_TEMPERATURE_SCALE, LARGEST_TEMPERATURE_SCALE)
}

/// What two arms have in common, each from 0 (nothing) to 1.
struct Same {
    model: f64,
    prompt: f64,
    pair: f64,
    heat_in_mean: f64,
    heat_on_rows: f64,
    /// Nothing where no arm has other settings.
    others: Option<f64>,
}

impl Same {
    fn of(one: &Arm, other: &Arm, others: bool) -> Self {
        let (one, other) = (&one.place, &other.place);
        let is = |same: bool| f64::from(u8::from(same));
        let model = is(one.model == other.model);
        let prompt = is(one.prompt == other.prompt);
        let names = one.others.keys().chain(other.others.keys());
        let alike = |name: &String| alike(one.others.get(name), other.others.get(name));
        // A name that both have comes twice.
        let alike_others = || names.map(alike).product::<f64>().sqrt();
        Self {
            model,
            prompt,
            pair: model * prompt,
            heat_in_mean: alike_in_heat(one.heat, other.heat, MEAN_HEAT_LENGTH),
            heat_on_rows: alike_in_heat(one.heat, other.heat, ROW_HEAT_LENGTH),
            others: others.then(alike_others),
        }
    }

    fn mean(&self) -> f64 {
        MEAN_ALL * MEAN_ALL
            + MEAN_MODEL * MEAN_MODEL * self.model
            + MEAN_PROMPT * MEAN_PROMPT * self.prompt
            + MEAN_PAIR * MEAN_PAIR * self.pair
            + MEAN_HEAT * MEAN_HEAT * 0.5 * (self.model + self.pair) * self.heat_in_mean
            + self.others.map_or(0.0, |others| {
                MEAN_OTHER * MEAN_OTHER * 0.5 * (1.0 + self.pair) * others
            })
    }

    fn row(&self) -> f64 {
        ROW_ALL * ROW_ALL
            + ROW_MODEL * ROW_MODEL * self.model
            + ROW_PROMPT * ROW_PROMPT * self.prompt
            + ROW_PAIR * ROW_PAIR * self.pair
            + ROW_HEAT * ROW_HEAT * self.pair * self.heat_on_rows
            + self
                .others
                .map_or(0.0, |others| ROW_OTHER * ROW_OTHER * self.pair * others)
    }
}

fn bell(apart: f64, length: f64) -> f64 {
    (-0.5 * (apart / length).powi(2)).exp()
}

/// How alike two arms are in how hot they sample, from 0 to 1.
pub(super) fn alike_in_heat(one: Heat, other: Heat, length: f64) -> f64 {
    let kind = if one.same_kind(other) {
        1.0
    } else {
        ACROSS_KINDS
    };
    bell(one.value() - other.value(), length) * kind
}

/// How alike two values of another setting are, from 0 to 1.
pub(super) fn alike(one: Option<&Feature>, other: Option<&Feature>) -> f64 {
    match (one, other) {
        (Some(Feature::Number(one)), Some(Feature::Number(other))) => {
            bell(one - other, OTHER_LENGTH)
        }
        (one, other) if one == other => 1.0,
        _ => OTHER_UNLIKE,
    }
}
