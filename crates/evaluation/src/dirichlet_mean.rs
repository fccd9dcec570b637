//! The mean of values with random weights: how likely it is below a number.
//!
//! The weights are a draw from a Dirichlet distribution, one parameter for each value. Such a draw
//! is a set of independent gamma variables `G_i` over their sum, so that the weighted mean
//! Σ `G_i` x_i / Σ `G_i` is at most μ exactly where Q = Σ `G_i` (x_i − μ) is at most 0. The moment
//! generating function of Q is a product, M(s) = Π (1 − (x_i − μ) s)^(−a_i), and the probability is
//! its inversion along a line parallel to the imaginary axis,
//!
//! ```text
//! P(Q ≤ 0) = −(1 / 2πi) ∫ M(s) / s ds   from c − i∞ to c + i∞, for any c < 0 with a finite M(c).
//! ```
//!
//! The line is laid through the saddle point of the integrand, where it oscillates least (S. O.
//! Rice, "Saddle point approximation for certain types of integrals", 1968). So nothing is drawn,
//! and the same values always give the same number.

/// Halvings in the search for the saddle point; it need not be met exactly.
const SADDLE_HALVINGS: u32 = 25;

/// The most steps in the search for a quantile; about ten are needed.
const MOST_QUANTILE_STEPS: u32 = 60;

/// How far the probability at a quantile may be off, as a share of it.
const QUANTILE_TOLERANCE: f64 = 1e-7;

/// The distance of the nodes of the trapezoid rule, on the scale of the inverse hyperbolic sine.
const STEP: f64 = 0.1;

/// The share of the first node from which on the rest of the integral is left out.
const NEGLIGIBLE: f64 = 1e-10;

/// Factors that are multiplied before the product is taken in polar form, so that it stays within
/// the range of a double.
const FACTORS: usize = 16;

/// The most nodes; the integrand is negligible long before.
const MOST_NODES: u32 = 1_000;

/// A value and the parameter of its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Atom {
    pub(crate) value: f64,
    pub(crate) parameter: f64,
}

/// The values, each with parameter 1, and equal ones taken together.
pub(crate) fn atoms(values: impl Iterator<Item = f64>) -> Vec<Atom> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut atoms: Vec<Atom> = Vec::new();
    for value in sorted {
        match atoms.last_mut() {
            #[expect(clippy::float_cmp, reason = "the very same values are put together")]
            Some(last) if last.value == value => last.parameter += 1.0,
            _ => atoms.push(Atom {
                value,
                parameter: 1.0,
            }),
        }
    }
    atoms
}

/// The number that the weighted mean is below with this probability, which is to be well below
/// one half. There must be at least one atom; where all values are equal it is that value.
pub(crate) fn lower_quantile(atoms: &[Atom], probability: f64) -> f64 {
    let parameters: f64 = atoms.iter().map(|atom| atom.parameter).sum();
    let sum: f64 = atoms.iter().map(|atom| atom.parameter * atom.value).sum();
    let values = atoms.iter().map(|atom| atom.value);
    let (mut below, mut above) = (values.fold(f64::INFINITY, f64::min), sum / parameters);
    // False position, with the excess at an end that stays halved (the Illinois method).
    let (mut at_below, mut at_above) =
        (-probability, probability_below(atoms, above) - probability);
    let mut place = above;
    let mut moved_below = None;
    for _ in 0..MOST_QUANTILE_STEPS {
        if above <= below || at_above <= 0.0 {
            break;
        }
        place = (below * at_above - above * at_below) / (at_above - at_below);
        let excess = probability_below(atoms, place) - probability;
        if excess.abs() <= QUANTILE_TOLERANCE * probability {
            break;
        }
        if excess < 0.0 {
            (below, at_below) = (place, excess);
            if moved_below == Some(true) {
                at_above *= 0.5;
            }
        } else {
            (above, at_above) = (place, excess);
            if moved_below == Some(false) {
                at_below *= 0.5;
            }
        }
        moved_below = Some(excess < 0.0);
    }
    place
}

/// The probability that the weighted mean is at most `mean`, which is to be below its expectation.
pub(crate) fn probability_below(atoms: &[Atom], mean: f64) -> f64 {
    let offsets = || atoms.iter().map(|atom| (atom.value - mean, atom.parameter));
    let least = offsets().map(|(a, _)| a).fold(f64::INFINITY, f64::min);
    if least >= 0.0 {
        return 0.0;
    }
    // M is finite from 1/least on. The logarithm of M(c)/|c| is convex, with its minimum where the
    // slope changes its sign.
    let slope = |c: f64| offsets().map(|(a, w)| w * a / (1.0 - a * c)).sum::<f64>() - 1.0 / c;
    let (mut below, mut above) = (1.0 / least, 0.0);
    for _ in 0..SADDLE_HALVINGS {
        let middle = 0.5 * (below + above);
        if slope(middle) < 0.0 {
            below = middle;
        } else {
            above = middle;
        }
    }
    let saddle = 0.5 * (below + above);
    // Along the line the integrand is M(c) · Π (1 − i·b·y)^(−w) / (c + i·y), with b = a / (1 − a·c).
    let log_at_saddle: f64 = offsets().map(|(a, w)| -w * (1.0 - a * saddle).ln()).sum();
    let slopes: Vec<(f64, f64)> = offsets()
        .map(|(a, w)| (a / (1.0 - a * saddle), w))
        .collect();
    let curvature = 1.0 / saddle.powi(2) + slopes.iter().map(|(b, w)| w * b * b).sum::<f64>();
    let width = curvature.sqrt().recip();
    #[expect(
        clippy::float_cmp,
        reason = "the parameter of a value that was observed once"
    )]
    let (simple, weighted): (Vec<(f64, f64)>, Vec<_>) =
        slopes.into_iter().partition(|(_, w)| *w == 1.0);
    let simple: Vec<f64> = simple.into_iter().map(|(b, _)| b).collect();
    let mut sum = 0.0;
    for node in 0..MOST_NODES {
        let place = STEP * f64::from(node);
        let y = width * place.sinh();
        let (mut log_modulus, mut phase) = (0.0, 0.0);
        for chunk in simple.chunks(FACTORS) {
            let (real, imaginary) = chunk.iter().fold((1.0, 0.0), |(real, imaginary), b| {
                let tangent = b * y;
                (real + tangent * imaginary, imaginary - tangent * real)
            });
            log_modulus -= real.hypot(imaginary).ln();
            phase -= imaginary.atan2(real);
        }
        for (b, w) in &weighted {
            let tangent = b * y;
            log_modulus -= 0.5 * w * (1.0 + tangent * tangent).ln();
            phase += w * tangent.atan();
        }
        phase -= y.atan2(saddle);
        let modulus = log_modulus.exp() * place.cosh() / saddle.hypot(y);
        // Both halves of the line count the same, and the first node belongs to both.
        let share = if node == 0 { 0.5 } else { 1.0 };
        sum += share * modulus * phase.cos();
        if modulus * saddle.abs() < NEGLIGIBLE {
            break;
        }
    }
    -log_at_saddle.exp() * width * STEP * sum / std::f64::consts::PI
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn atom(value: f64, parameter: f64) -> Atom {
        Atom { value, parameter }
    }

    #[test]
    fn of_two_values_it_is_the_beta_distribution() {
        // Quantiles of Beta(a, b) at 0.025, from tables: Beta(1, b) and Beta(a, 1) are closed.
        for b in [1.0, 2.0, 15.0, 120.0] {
            let closed = 1.0 - 0.975_f64.powf(1.0 / b);
            let found = lower_quantile(&[atom(1.0, 1.0), atom(0.0, b)], 0.025);
            assert!((found - closed).abs() < 1e-7, "Beta(1, {b}): {found}");
            let closed = 0.025_f64.powf(1.0 / b);
            let found = lower_quantile(&[atom(1.0, b), atom(0.0, 1.0)], 0.025);
            assert!((found - closed).abs() < 1e-7, "Beta({b}, 1): {found}");
        }
        // The arcsine distribution: sin²(π · 0.025 / 2).
        let found = lower_quantile(&[atom(1.0, 0.5), atom(0.0, 0.5)], 0.025);
        let closed = (std::f64::consts::FRAC_PI_2 * 0.025).sin().powi(2);
        assert!((found - closed).abs() < 1e-5, "{found}");
    }

    #[test]
    fn of_ones_against_minus_ones_it_is_the_sign_test() {
        // Gamma(k) < Gamma(m + 1) has the probability that of k + m throws of a coin at least k
        // are heads.
        let below = |k: f64, m: f64| {
            probability_below(&[atom(1.0, k), atom(-1.0, m + 1.0), atom(0.0, 9.0)], 0.0)
        };
        assert!((below(6.0, 0.0) - 1.0 / 64.0).abs() < 1e-8);
        assert!((below(5.0, 0.0) - 1.0 / 32.0).abs() < 1e-8);
        assert!((below(8.0, 1.0) - 10.0 / 512.0).abs() < 1e-8);
        assert!((below(7.0, 1.0) - 9.0 / 256.0).abs() < 1e-8);
    }

    #[test]
    fn equal_values_have_no_spread() {
        assert_eq!(
            lower_quantile(&[atom(0.7, 3.0), atom(0.7, 1.0)], 0.025),
            0.7
        );
    }

    #[test]
    fn thousands_of_values_are_as_normal() {
        let spread = atoms((0..5_000).map(|i| f64::from(i) / 4_999.0));
        let found = lower_quantile(&spread, 0.025);
        let normal = 0.5 - 1.959_964 / (12.0_f64 * 5_000.0).sqrt();
        assert!((found - normal).abs() < 1e-5, "{found}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_grows_from_0_and_follows_shift_and_scale(
            values in prop::collection::vec(-1.0..1.0_f64, 2..40),
            shift in -10.0..10.0_f64,
            scale in 0.01..100.0_f64,
        ) {
            let plain = atoms(values.iter().copied());
            let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap());
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let mut last = 0.0;
            for step in 0..8 {
                let place = least + (mean - least) * f64::from(step) / 8.0;
                let found = probability_below(&plain, place);
                prop_assert!(found >= last - 1e-7, "{found} after {last}");
                last = found;
            }
            prop_assert!(last < 0.75);
            let moved = atoms(values.iter().map(|value| shift + scale * value));
            let [plain, moved] = [plain, moved].map(|atoms| lower_quantile(&atoms, 0.025));
            prop_assert!((shift + scale * plain - moved).abs() < 1e-6 * (1.0 + scale));
            prop_assert!(least - 1e-9 <= plain && plain < mean);
        }
    }
}
