//! Values on instances whose mean is known: what intervals are tried on.

use frugal_domain::metric::Metric;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Values of one configuration.
pub struct Shape {
    /// What they look like.
    pub name: &'static str,
    /// The metric that they are of.
    pub metric: Metric,
    /// Their mean.
    pub mean: f64,
    /// Draws one.
    pub draw: fn(&mut ChaCha8Rng) -> f64,
}

/// Values of two configurations on the same instance.
pub struct PairShape {
    /// How they differ.
    pub name: &'static str,
    /// The metric that they are of.
    pub metric: Metric,
    /// The mean of their difference, the first less the second.
    pub mean: f64,
    /// Draws the two.
    pub draw: fn(&mut ChaCha8Rng) -> [f64; 2],
}

/// The shapes of one configuration's values.
pub const SHAPES: [Shape; 13] = [
    score("right with 0.5", 0.5, |draws| right(draws, 0.5)),
    score("right with 0.88", 0.88, |draws| right(draws, 0.88)),
    score("right with 0.97", 0.97, |draws| right(draws, 0.97)),
    score("right with 0.995", 0.995, |draws| right(draws, 0.995)),
    // Beta(1/2, 1/2).
    score("graded, mostly near 0 and 1", 0.5, |draws| {
        (std::f64::consts::FRAC_PI_2 * uniform(draws)).sin().powi(2)
    }),
    // Beta(9, 1).
    score("graded near 1", 0.9, |draws| uniform(draws).powf(1.0 / 9.0)),
    score("0.98 to 1, one in 20 is 0", 0.95 * 0.99, |draws| {
        right(draws, 0.95) * (0.98 + 0.02 * uniform(draws))
    }),
    score("0, 0.5 or 1", 0.8, |draws| match uniform(draws) {
        share if share < 0.1 => 0.0,
        share if share < 0.3 => 0.5,
        _ => 1.0,
    }),
    // E(1 − (1 − p)⁸) with p from Beta(2, 2) is 1 − 6 / (10 · 11).
    score("success of 8 tries", 1.0 - 6.0 / 110.0, |draws| {
        1.0 - (1.0 - median_of_three(draws)).powi(8)
    }),
    score("0.7, one in 20 is 0", 0.95 * 0.7, |draws| {
        0.7 * right(draws, 0.95)
    }),
    score("always 0.7", 0.7, |_| 0.7),
    // The mean of a lognormal variable is exp(σ²/2).
    cost("costs, σ of ln 0.5", 1.133_148_453, |draws| {
        (0.5 * normal(draws)).exp()
    }),
    cost("costs, σ of ln 1", 1.648_721_271, |draws| {
        normal(draws).exp()
    }),
];

/// The shapes of two configurations' values.
pub const PAIR_SHAPES: [PairShape; 9] = [
    scores("none differ", 0.0, |draws| [right(draws, 0.9); 2]),
    scores("1 in 20 differs, either way", 0.0, |draws| {
        signed(either(draws, 0.025, 0.025))
    }),
    scores("1 in 2 differs, either way", 0.0, |draws| {
        signed(either(draws, 0.25, 0.25))
    }),
    scores("1 in 5 differs, 3 of 4 better", 0.1, |draws| {
        signed(either(draws, 0.15, 0.05))
    }),
    scores("graded, either way", 0.0, |draws| {
        [uniform(draws), uniform(draws)]
    }),
    scores("graded, 0.05 better, sd 0.2", 0.05, |draws| {
        signed(0.05 + 0.5 * (uniform(draws) + uniform(draws) - 1.0))
    }),
    scores("graded, 0.2 better, sd 0.2", 0.2, |draws| {
        signed(0.2 + 0.5 * (uniform(draws) + uniform(draws) - 1.0))
    }),
    scores("0.05 better, 1 in 20 much worse", 0.0, |draws| {
        signed(0.05 - right(draws, 0.05))
    }),
    PairShape {
        name: "costs, either way",
        metric: Metric::InferenceCost,
        mean: 0.0,
        draw: |draws| [(0.5 * normal(draws)).exp(), (0.5 * normal(draws)).exp()],
    },
];

const fn score(name: &'static str, mean: f64, draw: fn(&mut ChaCha8Rng) -> f64) -> Shape {
    Shape {
        name,
        metric: Metric::Mean,
        mean,
        draw,
    }
}

const fn cost(name: &'static str, mean: f64, draw: fn(&mut ChaCha8Rng) -> f64) -> Shape {
    Shape {
        name,
        metric: Metric::InferenceCost,
        mean,
        draw,
    }
}

const fn scores(name: &'static str, mean: f64, draw: fn(&mut ChaCha8Rng) -> [f64; 2]) -> PairShape {
    PairShape {
        name,
        metric: Metric::Mean,
        mean,
        draw,
    }
}

fn uniform(draws: &mut ChaCha8Rng) -> f64 {
    draws.random()
}

/// 1 with this probability, otherwise 0.
fn right(draws: &mut ChaCha8Rng, probability: f64) -> f64 {
    f64::from(u8::from(draws.random_bool(probability)))
}

/// 1 or −1 with these probabilities, otherwise 0.
fn either(draws: &mut ChaCha8Rng, better: f64, worse: f64) -> f64 {
    let place = uniform(draws);
    if place < better {
        1.0
    } else if place < better + worse {
        -1.0
    } else {
        0.0
    }
}

/// Two scores with this difference.
fn signed(difference: f64) -> [f64; 2] {
    [difference.max(0.0), (-difference).max(0.0)]
}

/// A draw from Beta(2, 2).
fn median_of_three(draws: &mut ChaCha8Rng) -> f64 {
    let mut three = [uniform(draws), uniform(draws), uniform(draws)];
    three.sort_unstable_by(f64::total_cmp);
    three[1]
}

/// A draw from the standard normal distribution.
fn normal(draws: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(draws)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    /// Values for a mean; it is off by far less than a twentieth of the standard deviation.
    const VALUES: u32 = 40_000;

    fn check(name: &str, mean: f64, mut draw: impl FnMut() -> f64) {
        let values: Vec<f64> = (0..VALUES).map(|_| draw()).collect();
        let found = values.iter().sum::<f64>() / f64::from(VALUES);
        let squares: f64 = values.iter().map(|value| (value - found).powi(2)).sum();
        let deviation = (squares / f64::from(VALUES)).sqrt();
        assert!(
            (found - mean).abs() <= 0.02 * deviation + 1e-12,
            "{name}: {found}"
        );
    }

    #[test]
    fn the_means_are_those_of_the_draws() {
        let mut draws = ChaCha8Rng::seed_from_u64(1);
        for shape in &SHAPES {
            check(shape.name, shape.mean, || (shape.draw)(&mut draws));
        }
        for shape in &PAIR_SHAPES {
            check(shape.name, shape.mean, || {
                let [left, right] = (shape.draw)(&mut draws);
                left - right
            });
        }
    }
}
