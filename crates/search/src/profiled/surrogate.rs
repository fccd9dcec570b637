//! What arms that are not there yet may be worth: a Gaussian process over the sampling settings,
//! learnt from the arms that were drawn for.
//!
//! The search's own model ([`super::posterior`]) is one of chances row by row, and says what to draw
//! next for the arms that there are. This one is of whole arms, each at its best extent, so that what
//! a setting costs counts too, and quick enough to judge hundreds of points. The worth is a sum of
//! effects (Duvenaud, Nickisch, Rasmussen: "Additive Gaussian Processes", NIPS 2011): of the model,
//! the prompt, both, how hot it samples, and every other setting by itself, and of all of them
//! together. How much each setting matters is learnt by the marginal likelihood (Rasmussen and
//! Williams, *Gaussian Processes for Machine Learning*, section 5.4), under a prior that it matters a
//! little.

use super::arm::{ArmPlace, Feature, Heat};
use super::batch::expected_gain;
use super::constants::MEAN_HEAT_LENGTH;
use super::kernels::{alike, alike_in_heat};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Deviations of the effects of the model, the prompt and both on an arm's worth, of all settings
/// together, and of what no other arm tells.
const MODEL: f64 = 0.15;
const PROMPT: f64 = 0.08;
const PAIR: f64 = 0.08;
const TOGETHER: f64 = 0.03;
const OWN: f64 = 0.01;
/// The variance about the level that all arms share.
const LEVEL: f64 = 0.01;
/// The deviations that the effect of a setting may have.
const EFFECTS: [f64; 5] = [0.005, 0.015, 0.03, 0.06, 0.12];
/// Which of them it has before anything is known, and how far the log of it may lie off.
pub(super) const USUAL_EFFECT: f64 = 0.03;
const EFFECT_SPREAD: f64 = 1.0;
/// The part of a setting's effect that is the same for all models and prompts.
const SHARED: f64 = 0.6;
/// An arm counts at most so far below the best: what is worth nothing says nothing of what is.
const FLOOR: f64 = 0.3;

/// What is known of an arm.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) point: Point,
    /// The mean of its worth.
    pub(super) worth: f64,
    /// The variance of that, what all arms have in common apart.
    pub(super) variance: f64,
}

/// Where an arm lies.
#[derive(Debug, Clone)]
pub(super) struct Point {
    model: usize,
    prompt: usize,
    heat: Heat,
    /// By the position of the setting's name.
    others: Vec<Option<Feature>>,
}

impl Point {
    /// An arm's place, its settings in the order of these names.
    pub(super) fn of(place: &ArmPlace, names: &[String]) -> Self {
        Self {
            model: place.model,
            prompt: place.prompt,
            heat: place.heat,
            others: names
                .iter()
                .map(|name| place.others.get(name).cloned())
                .collect(),
        }
    }

    /// How alike two points are in all that has an effect of a fixed size, as a covariance, and
    /// setting by setting, how hot they sample first.
    fn likeness(&self, other: &Self) -> (f64, impl Iterator<Item = f64>) {
        let is = |same: bool| f64::from(u8::from(same));
        let model = is(self.model == other.model);
        let prompt = is(self.prompt == other.prompt);
        let pair = model * prompt;
        let heat = alike_in_heat(self.heat, other.heat, MEAN_HEAT_LENGTH);
        let both = self.others.iter().zip(&other.others);
        let others = both.map(|(one, other)| alike(one.as_ref(), other.as_ref()));
        let settings = std::iter::once(heat).chain(others);
        let together: f64 = settings.clone().product::<f64>() * pair;
        let fixed = MODEL * MODEL * model
            + PROMPT * PROMPT * prompt
            + PAIR * PAIR * pair
            + TOGETHER * TOGETHER * together;
        let shared = SHARED + (1.0 - SHARED) * pair;
        (fixed, settings.map(move |alike| alike * shared))
    }
}

/// The process, given some arms.
pub(super) struct Surrogate {
    points: Vec<Point>,
    /// By setting, how hot it samples first: the deviation of its effect.
    effects: Vec<f64>,
    worths: Vec<f64>,
    variances: Vec<f64>,
    level: f64,
    /// The covariance of what was seen, inverted, and its product with the worths.
    inverse: DMatrix<f64>,
    weights: DVector<f64>,
    best: f64,
}

impl Surrogate {
    /// The process given these arms. `effects` are the deviations of each setting's effect, how hot
    /// it samples first: where to begin, and what was learnt. Nothing where there are no arms.
    pub(super) fn of(arms: Vec<Judged>, effects: &mut [f64]) -> Option<Self> {
        let top = arms.iter().map(|arm| arm.worth).reduce(f64::max)?;
        let worths: Vec<f64> = arms.iter().map(|arm| arm.worth.max(top - FLOOR)).collect();
        let variances: Vec<f64> = arms.iter().map(|arm| arm.variance + OWN * OWN).collect();
        let weights = variances.iter().map(|own| 1.0 / (own + LEVEL));
        let weighted = worths.iter().zip(weights.clone());
        let weighted: f64 = weighted.map(|(worth, weight)| worth * weight).sum();
        let level = weighted / weights.sum::<f64>();
        let mut surrogate = Self {
            points: arms.into_iter().map(|arm| arm.point).collect(),
            effects: effects.to_vec(),
            worths,
            variances,
            level,
            inverse: DMatrix::zeros(0, 0),
            weights: DVector::zeros(0),
            best: 0.0,
        };
        surrogate.learn()?;
        effects.copy_from_slice(&surrogate.effects);
        let means = surrogate
            .points
            .iter()
            .map(|point| surrogate.belief(point).0);
        surrogate.best = means.fold(f64::NEG_INFINITY, f64::max);
        Some(surrogate)
    }

    /// Learns how much each setting matters, one after the other, from where it was before.
    fn learn(&mut self) -> Option<()> {
        let count = self.points.len();
        let mut total = DMatrix::zeros(count, count);
        let mut parts = vec![DMatrix::zeros(count, count); self.effects.len()];
        for i in 0..count {
            for j in 0..count {
                let (fixed, settings) = self.points[i].likeness(&self.points[j]);
                total[(i, j)] = fixed;
                for ((part, effect), alike) in parts.iter_mut().zip(&self.effects).zip(settings) {
                    part[(i, j)] = alike;
                    total[(i, j)] += alike * effect * effect;
                }
            }
            total[(i, i)] += self.variances[i];
        }
        let worths = self.centred();
        for (part, own) in parts.iter().zip(&mut self.effects) {
            let rest = &total - part * (*own * *own);
            let judge = |effect: f64| {
                let factored = Cholesky::new(&rest + part * (effect * effect))?;
                Some((effect, log_likelihood(&factored, &worths) + prior(effect)))
            };
            let tried = EFFECTS.into_iter().filter_map(judge);
            let best = tried.reduce(|best, next| if next.1 > best.1 { next } else { best });
            if let Some((effect, _)) = best {
                *own = effect;
            }
            total = rest + part * (*own * *own);
        }
        self.refit(total)
    }

    fn centred(&self) -> DVector<f64> {
        let worths = self.worths.iter().map(|worth| worth - self.level);
        DVector::from_iterator(self.worths.len(), worths)
    }

    fn refit(&mut self, total: DMatrix<f64>) -> Option<()> {
        self.inverse = Cholesky::new(total)?.inverse();
        self.weights = &self.inverse * self.centred();
        Some(())
    }

    fn covariance(&self, one: &Point, other: &Point) -> f64 {
        let (fixed, settings) = one.likeness(other);
        let effects = settings.zip(&self.effects);
        fixed
            + effects
                .map(|(alike, effect)| alike * effect * effect)
                .sum::<f64>()
    }

    /// The mean of a point's worth, and its variance.
    fn belief(&self, point: &Point) -> (f64, f64) {
        let across = self
            .points
            .iter()
            .map(|other| self.covariance(point, other));
        let across = DVector::from_iterator(self.points.len(), across);
        let explained = (&self.inverse * &across).dot(&across);
        let variance = self.covariance(point, point) - explained + OWN * OWN;
        (self.level + across.dot(&self.weights), variance.max(1e-10))
    }

    /// By how much a point is expected to be better than the best arm so far (Jones, Schonlau and
    /// Welch, 1998).
    pub(super) fn expected_improvement(&self, point: &Point) -> f64 {
        let (mean, variance) = self.belief(point);
        let deviation = variance.sqrt();
        // The gain counts from a gap; beyond the best, all that is above it comes on top.
        let above = (mean - self.best).max(0.0);
        above + expected_gain(deviation, (self.best - mean).abs())
    }

    /// Takes a point for an arm that came to what is expected of it, so that the next one is sought
    /// elsewhere.
    pub(super) fn suppose(&mut self, point: Point) {
        self.worths.push(self.belief(&point).0);
        self.variances.push(OWN * OWN);
        self.points.push(point);
        let count = self.points.len();
        let mut total = DMatrix::from_fn(count, count, |i, j| {
            self.covariance(&self.points[i], &self.points[j])
        });
        for (index, variance) in self.variances.iter().enumerate() {
            total[(index, index)] += variance;
        }
        // A covariance with its own variances added cannot fail but by rounding.
        if self.refit(total).is_none() {
            self.points.pop();
            self.worths.pop();
            self.variances.pop();
        }
    }
}

/// The log of a setting's effect is normal about the usual one.
fn prior(effect: f64) -> f64 {
    -0.5 * ((effect / USUAL_EFFECT).ln() / EFFECT_SPREAD).powi(2)
}

/// The log of the likelihood of these worths, but for a constant.
fn log_likelihood(factored: &Cholesky<f64, Dyn>, worths: &DVector<f64>) -> f64 {
    let logs = factored
        .l_dirty()
        .diagonal()
        .iter()
        .map(|root| root.ln())
        .sum::<f64>();
    -0.5 * factored.solve(worths).dot(worths) - logs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(settings: [f64; 2]) -> Point {
        Point {
            model: 0,
            prompt: 0,
            heat: Heat::Temperature(0.8),
            others: settings.map(|place| Some(Feature::Number(place))).to_vec(),
        }
    }

    /// Arms on a grid, whose worth is highest where the first setting is 0.75; the second has no
    /// effect.
    fn learnt() -> (Surrogate, Vec<f64>) {
        let grid = [0.1, 0.3, 0.5, 0.95];
        let places = grid.iter().flat_map(|one| grid.map(|other| [*one, other]));
        let arms = places.map(|settings| Judged {
            point: point(settings),
            worth: 0.6 - (settings[0] - 0.75).powi(2),
            variance: 1e-4,
        });
        let mut effects = vec![USUAL_EFFECT; 3];
        let surrogate = Surrogate::of(arms.collect(), &mut effects).unwrap();
        (surrogate, effects)
    }

    #[test]
    fn a_setting_counts_as_far_as_it_matters() {
        let (surrogate, effects) = learnt();
        assert!(effects[1] > 3.0 * effects[2], "{effects:?}");
        let (mean, variance) = surrogate.belief(&point([0.75, 0.2]));
        assert!((mean - 0.6).abs() < 0.03, "{mean}");
        assert!(variance.sqrt() < 0.05, "{variance}");
    }

    #[test]
    fn the_most_is_expected_where_the_best_is_and_less_once_it_is_looked_at() {
        let (mut surrogate, _) = learnt();
        let gain =
            |surrogate: &Surrogate, at: f64| surrogate.expected_improvement(&point([at, 0.7]));
        let here = gain(&surrogate, 0.75);
        assert!(here > 5.0 * gain(&surrogate, 0.2));
        surrogate.suppose(point([0.75, 0.7]));
        assert!(gain(&surrogate, 0.75) < here);
    }

    #[test]
    fn there_is_nothing_to_learn_from_nothing() {
        assert!(Surrogate::of(Vec::new(), &mut [USUAL_EFFECT]).is_none());
    }
}
