//! What the scores say of every arm's chance on every row.
//!
//! The chance p of a right answer: logit p = μ\[arm\] + g\[arm, row\], both Gaussian
//! ([`super::kernels`]), the scores binomial. The posterior is approximated by Laplace's method:
//! Newton steps, each a Gaussian regression with the working responses and weights of a logistic
//! one. Rows are independent given μ, so a step takes one small system per row and one of the arms.

use super::arm::{Arm, Row};
use super::constants::{
    CONVERGED, ITERATIONS, MOST_REGRESSED, MOST_WRONG, SAMPLES, WARM_ITERATIONS,
};
use super::kernels::Kernels;
use nalgebra::{Cholesky, DMatrix, DVector};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What stands against a singular matrix.
const TINY: f64 = 1e-9;

/// Right answers and answers in all, by arm and row.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) right: Vec<Vec<f64>>,
    pub(super) all: Vec<Vec<f64>>,
}

impl Counts {
    pub(super) fn of(arms: &[Arm]) -> Self {
        let count = |of: &dyn Fn(&Arm, &Row) -> f64| -> Vec<Vec<f64>> {
            arms.iter()
                .map(|arm| {
                    let rows = arm.rows.iter();
                    rows.map(|row| row.as_ref().map_or(0.0, |row| of(arm, row)))
                        .collect()
                })
                .collect()
        };
        Self {
            right: count(&Arm::right_of),
            all: count(&|_, row| row.responses() as f64),
        }
    }
}

/// The posterior of the log-odds.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    /// Means and variances by arm and row.
    mean: DMatrix<f64>,
    /// Of the arms' means.
    pub(super) level: DVector<f64>,
    /// The prior variance of what a row adds, by arm.
    pub(super) spread: DVector<f64>,
    /// The same as `mean` and its variance with the row's own answers left out.
    pub(super) without: Vec<Vec<(f64, f64)>>,
    /// Joint draws by arm: a row after the other, [`SAMPLES`] each.
    pub(super) samples: Vec<Vec<f64>>,
}

/// One row in the regression.
struct RowSystem {
    /// The arms with answers, by their places among the observed.
    places: Vec<usize>,
    /// Weights (the inverse variances of the working responses).
    weights: Vec<f64>,
    /// Working responses.
    working: Vec<f64>,
    /// (K + W⁻¹)⁻¹ of these arms.
    inverse: DMatrix<f64>,
    /// (I + √W K √W)⁻¹ √W, which makes noise of white noise.
    noise: DMatrix<f64>,
}

impl Posterior {
    /// The posterior given what was counted. `unreachable` is the chance that a row has none at all,
    /// by arm and row; `before` an earlier posterior to start from, of the first so many arms. `live`
    /// arms are drawn; where there are many with answers, those that are not `hopeful` are left out of
    /// the regression.
    pub(super) fn fit(
        kernels: &Kernels,
        counts: &Counts,
        unreachable: impl Fn(usize, usize) -> f64,
        before: Option<&Self>,
        live: &[bool],
        hopeful: &[bool],
        generator: &mut ChaCha8Rng,
    ) -> Self {
        let arms = counts.all.len();
        let rows = counts.all.first().map_or(0, Vec::len);
        let observed = observed(counts, hopeful);
        let mut state = Newton::new(kernels, counts, &observed, &unreachable, before);
        state.solve();
        state.posterior(kernels, arms, rows, live, generator)
    }
}

/// The arms of the regression, in order: those with answers, or where these are many, those that may
/// still win and then those with the most. What the others have to say of rows and of their likes is
/// said by then, and a row's system takes time with the cube of its arms.
fn observed(counts: &Counts, hopeful: &[bool]) -> Vec<usize> {
    let answers: Vec<f64> = counts.all.iter().map(|rows| rows.iter().sum()).collect();
    let mut observed: Vec<usize> = (0..answers.len())
        .filter(|arm| answers[*arm] > 0.0)
        .collect();
    if observed.len() > MOST_REGRESSED {
        let hopes = |arm: usize| hopeful.get(arm).copied().unwrap_or(true);
        observed.sort_by(|one, other| {
            let by_hope = hopes(*other).cmp(&hopes(*one));
            by_hope.then(answers[*other].total_cmp(&answers[*one]))
        });
        observed.truncate(MOST_REGRESSED);
        observed.sort_unstable();
    }
    observed
}

/// The iteration.
struct Newton<'a> {
    kernels: &'a Kernels,
    observed: &'a [usize],
    /// Row by row: the observed arms' places, their right answers, and all of them.
    data: Vec<Vec<(usize, f64, f64)>>,
    /// The log-odds by row, as `data`.
    odds: Vec<Vec<f64>>,
    prior: DVector<f64>,
    /// The inverse of the observed arms' covariance.
    precision: DMatrix<f64>,
    /// Whether it starts from an earlier posterior.
    warm: bool,
    systems: Vec<RowSystem>,
    level: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl<'a> Newton<'a> {
    fn new(
        kernels: &'a Kernels,
        counts: &Counts,
        observed: &'a [usize],
        unreachable: &impl Fn(usize, usize) -> f64,
        before: Option<&Posterior>,
    ) -> Self {
        let rows = counts.all.first().map_or(0, Vec::len);
        let mut data = Vec::with_capacity(rows);
        let mut odds = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut of_row = Vec::new();
            let mut start = Vec::new();
            for (place, &arm) in observed.iter().enumerate() {
                let (right, all) = (counts.right[arm][row], counts.all[arm][row]);
                if all == 0.0 {
                    continue;
                }
                // Wrong answers of a row that may be out of reach say little of its odds.
                let all = if right == 0.0 {
                    all.min(MOST_WRONG) * (1.0 - unreachable(arm, row))
                } else {
                    all
                };
                let known = before.filter(|before| arm < before.mean.nrows());
                start.push(known.map_or(kernels.prior[arm], |known| known.mean[(arm, row)]));
                of_row.push((place, right, all));
            }
            data.push(of_row);
            odds.push(start);
        }
        let own = kernels.mean.select_rows(observed).select_columns(observed);
        let count = observed.len();
        Self {
            kernels,
            observed,
            data,
            odds,
            prior: DVector::from_iterator(count, observed.iter().map(|arm| kernels.prior[*arm])),
            precision: inverse(own),
            warm: before.is_some(),
            systems: Vec::new(),
            level: DVector::zeros(count),
            covariance: DMatrix::zeros(count, count),
        }
    }

    fn solve(&mut self) {
        let most = if self.warm {
            WARM_ITERATIONS
        } else {
            ITERATIONS
        };
        for _ in 0..most {
            if self.step() < CONVERGED {
                break;
            }
        }
    }

    /// One Newton step. Returns the largest change of a row's log-odds.
    fn step(&mut self) -> f64 {
        let mut total = self.precision.clone();
        let mut right = &self.precision * &self.prior;
        self.systems.clear();
        for (data, odds) in self.data.iter().zip(&self.odds) {
            let system = RowSystem::new(&self.kernels.row, self.observed, data, odds);
            for (i, &one) in system.places.iter().enumerate() {
                for (j, &other) in system.places.iter().enumerate() {
                    total[(one, other)] += system.inverse[(i, j)];
                    right[one] += system.inverse[(i, j)] * system.working[j];
                }
            }
            self.systems.push(system);
        }
        self.covariance = inverse(total);
        self.level = &self.covariance * right;
        let mut largest = 0.0_f64;
        for (system, odds) in self.systems.iter().zip(&mut self.odds) {
            let pulled = system.pulled(&self.level);
            for (i, &one) in system.places.iter().enumerate() {
                let mut next = self.level[one];
                for (j, &other) in system.places.iter().enumerate() {
                    next +=
                        self.kernels.row[(self.observed[one], self.observed[other])] * pulled[j];
                }
                let change = next - odds[i];
                largest = largest.max(change.abs());
                odds[i] += change.clamp(-2.0, 2.0);
            }
        }
        largest
    }

    /// Everything that is asked of the posterior, for all arms.
    fn posterior(
        self,
        kernels: &Kernels,
        arms: usize,
        rows: usize,
        live: &[bool],
        generator: &mut ChaCha8Rng,
    ) -> Posterior {
        let observed = self.observed;
        let to_observed = kernels.mean.select_columns(observed);
        let gain = &to_observed * &self.precision;
        let rest = &kernels.mean - &gain * to_observed.transpose();
        let level = &kernels.prior + &gain * (&self.level - &self.prior);
        // The variance of an arm's level: what observed arms leave open, and their own.
        let carried = &self.covariance * gain.transpose();
        let base = DVector::from_fn(arms, |arm, _| {
            rest[(arm, arm)]
                + (0..observed.len())
                    .map(|place| gain[(arm, place)] * carried[(place, arm)])
                    .sum::<f64>()
        });
        let mut mean = DMatrix::zeros(arms, rows);
        let mut without = vec![vec![(0.0, 1.0); rows]; arms];
        let across_all = kernels.row.select_columns(observed);
        let twice_carried = carried.transpose() * 2.0;
        let place_of: Vec<Option<usize>> = (0..arms)
            .map(|arm| observed.iter().position(|other| *other == arm))
            .collect();
        for (row, system) in self.systems.iter().enumerate() {
            // Arm by arm: what the row's answers say, and how much of the variance they take away.
            let across = across_all.select_columns(&system.places);
            let pulled = DVector::from_vec(system.pulled(&self.level));
            let odds = &level + &across * pulled;
            let weighted = &across * &system.inverse;
            let shared = self
                .covariance
                .select_rows(&system.places)
                .select_columns(&system.places);
            let spread = &weighted * shared;
            let carried = twice_carried.select_columns(&system.places);
            for arm in 0..arms {
                let mut variance = base[arm] + kernels.row[(arm, arm)];
                for place in 0..system.places.len() {
                    variance += weighted[(arm, place)]
                        * (spread[(arm, place)] - across[(arm, place)] - carried[(arm, place)]);
                }
                let odds = odds[arm];
                mean[(arm, row)] = odds;
                let variance = variance.max(1e-4);
                let own = place_of[arm];
                let own = own.and_then(|own| system.places.iter().position(|place| *place == own));
                let (weight, working) =
                    own.map_or((0.0, 0.0), |own| (system.weights[own], system.working[own]));
                let left = 1.0 / (1.0 / variance - weight).max(1e-3);
                without[arm][row] = (left * (odds / variance - weight * working), left);
            }
        }
        let samples = self.sample(kernels, &gain, rest, live, generator);
        Posterior {
            mean,
            level,
            spread: kernels.row.diagonal(),
            without,
            samples,
        }
    }

    /// Joint draws of every live arm's log-odds on every row, by Matheron's rule: a draw from the
    /// prior, corrected by what it would have made of the observations.
    fn sample(
        &self,
        kernels: &Kernels,
        gain: &DMatrix<f64>,
        mut rest: DMatrix<f64>,
        live: &[bool],
        generator: &mut ChaCha8Rng,
    ) -> Vec<Vec<f64>> {
        let observed = self.observed;
        let arms = live.len();
        let rows = self.systems.len();
        let mut normal = |rows: usize| {
            DMatrix::from_fn(rows, SAMPLES, |_, _| {
                let draw: f64 = StandardNormal.sample(generator);
                draw
            })
        };
        for arm in 0..arms {
            rest[(arm, arm)] += 1e-6;
        }
        let mut covariance = self.covariance.clone();
        for place in 0..observed.len() {
            covariance[(place, place)] += TINY;
        }
        let mut levels = lower(covariance) * normal(observed.len());
        for mut column in levels.column_iter_mut() {
            column += &self.level;
        }
        let mut centred = levels.clone();
        for mut column in centred.column_iter_mut() {
            column -= &self.prior;
        }
        let mut all = gain * centred + lower(rest) * normal(arms);
        for mut column in all.column_iter_mut() {
            column += &kernels.prior;
        }
        // What is not live is drawn only where it has answers on the row.
        let wanted: Vec<usize> = (0..arms)
            .filter(|arm| live[*arm] || observed.contains(arm))
            .collect();
        let own = kernels.row.select_rows(&wanted).select_columns(&wanted);
        let factor = lower(own.clone());
        let place_of = |arm: usize| wanted.binary_search(&arm).unwrap_or_default();
        let in_wanted: Vec<usize> = observed.iter().map(|arm| place_of(*arm)).collect();
        let mut samples = vec![Vec::new(); arms];
        for (arm, samples) in samples.iter_mut().enumerate() {
            if live[arm] {
                samples.reserve_exact(rows * SAMPLES);
            }
        }
        let mut drawn = DMatrix::zeros(wanted.len(), SAMPLES);
        for system in &self.systems {
            drawn.gemm(1.0, &factor, &normal(wanted.len()), 0.0);
            let count = system.places.len();
            if count > 0 {
                let mut misfit = DMatrix::zeros(count, SAMPLES);
                for (i, &place) in system.places.iter().enumerate() {
                    for sample in 0..SAMPLES {
                        misfit[(i, sample)] = system.working[i]
                            - levels[(place, sample)]
                            - drawn[(in_wanted[place], sample)];
                    }
                }
                let correction = &system.inverse * misfit - &system.noise * normal(count);
                let places: Vec<usize> = system
                    .places
                    .iter()
                    .map(|place| in_wanted[*place])
                    .collect();
                drawn.gemm(1.0, &own.select_columns(&places), &correction, 1.0);
            }
            for (place, &arm) in wanted.iter().enumerate() {
                if live[arm] {
                    let row = drawn.row(place);
                    let level = all.row(arm);
                    samples[arm].extend(row.iter().zip(level.iter()).map(|(one, own)| one + own));
                }
            }
        }
        samples
    }
}

impl RowSystem {
    fn new(
        kernel: &DMatrix<f64>,
        observed: &[usize],
        data: &[(usize, f64, f64)],
        odds: &[f64],
    ) -> Self {
        let count = data.len();
        let places: Vec<usize> = data.iter().map(|(place, ..)| *place).collect();
        let mut weights = Vec::with_capacity(count);
        let mut working = Vec::with_capacity(count);
        for ((_, right, all), odds) in data.iter().zip(odds) {
            let chance = logistic(*odds);
            let weight = (all * chance * (1.0 - chance)).max(1e-3);
            weights.push(weight);
            working.push(odds + (right - all * chance) / weight);
        }
        let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
        let inner = inverse(DMatrix::from_fn(count, count, |i, j| {
            let own = f64::from(u8::from(i == j));
            own + roots[i] * kernel[(observed[places[i]], observed[places[j]])] * roots[j]
        }));
        let noise = DMatrix::from_fn(count, count, |i, j| roots[i] * inner[(i, j)]);
        let inverse = DMatrix::from_fn(count, count, |i, j| noise[(i, j)] * roots[j]);
        Self {
            places,
            weights,
            working,
            inverse,
            noise,
        }
    }

    /// (K + W⁻¹)⁻¹ (working − level).
    fn pulled(&self, level: &DVector<f64>) -> Vec<f64> {
        let misfit: Vec<f64> = self
            .places
            .iter()
            .zip(&self.working)
            .map(|(place, working)| working - level[*place])
            .collect();
        (0..misfit.len())
            .map(|i| {
                (0..misfit.len())
                    .map(|j| self.inverse[(i, j)] * misfit[j])
                    .sum()
            })
            .collect()
    }
}

/// The chance of log-odds.
pub(super) fn logistic(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds.clamp(-30.0, 30.0)).exp())
}

/// The inverse of a covariance.
fn inverse(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let size = matrix.nrows();
    match Cholesky::new(matrix) {
        Some(factored) => factored.inverse(),
        // Only rounding can bring this about; without a correction the prior stands.
        None => DMatrix::zeros(size, size),
    }
}

/// The lower Cholesky factor of a covariance; the deviations alone where rounding spoilt it.
fn lower(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let deviations = matrix.diagonal().map(|variance| variance.max(0.0).sqrt());
    Cholesky::new(matrix).map_or_else(
        || DMatrix::from_diagonal(&deviations),
        |factored| factored.unpack(),
    )
}
