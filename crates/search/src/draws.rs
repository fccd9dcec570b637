//! Where random draws come from: a seeded generator, or a recording that a test plays back.
//!
//! Every draw of every optimiser passes through [`Draws`], so a run is a function of its seed,
//! and a recorded run can be followed step by step.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::VecDeque;

/// A source of random draws.
#[derive(Debug, Clone)]
pub enum Draws {
    /// A portable generator: the same seed gives the same draws on every machine.
    Seeded(Box<ChaCha8Rng>),
    /// Draws played back in the order of their recording, each kind from its own queue.
    Recorded(Recorded),
}

/// Draws written down from another run.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Unit vectors: the directions of local searches.
    pub directions: VecDeque<Vec<f64>>,
    /// Gaussian draws, standard deviation already applied.
    pub gaussians: VecDeque<f64>,
    /// Values picked from a list, or their positions in it.
    pub picks: VecDeque<Value>,
    /// Uniform draws from [0, 1).
    pub uniforms: VecDeque<f64>,
    /// How many draws were asked for that the recording did not have, or that did not fit.
    pub missing: usize,
}

impl Draws {
    /// A generator with the given seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Box::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// A number from [0, 1).
    pub fn uniform(&mut self) -> f64 {
        match self {
            Self::Seeded(generator) => {
                // 53 bits are what the mantissa of a double holds.
                (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
            }
            Self::Recorded(recorded) => take(&mut recorded.uniforms, &mut recorded.missing),
        }
    }

    /// One of 0, 1, …, `count` − 1; 0 where `count` is 0.
    pub fn index(&mut self, count: usize) -> usize {
        if count <= 1 {
            return 0;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number from 0 up to count, cut to a whole one"
        )]
        let index = (self.uniform() * count as f64) as usize;
        index.min(count - 1)
    }

    /// 32 random bits.
    pub(crate) fn bits(&mut self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number below 2 to the power of 32"
        )]
        let bits = (self.uniform() * 2_f64.powi(32)) as u32;
        bits
    }

    /// Puts items into a random order, each order as likely as another.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// One of the given values, by position; `None` where there are none.
    pub fn pick(&mut self, values: &[&Value]) -> Option<usize> {
        if values.is_empty() {
            return None;
        }
        match self {
            Self::Seeded(_) => Some(self.index(values.len())),
            Self::Recorded(recorded) => {
                let picked: Value = take(&mut recorded.picks, &mut recorded.missing);
                let position = values
                    .iter()
                    .position(|value| **value == picked)
                    .or_else(|| {
                        let index = usize::try_from(picked.as_u64()?).ok()?;
                        (index < values.len()).then_some(index)
                    });
                if position.is_none() {
                    recorded.missing += 1;
                }
                position.or(Some(0))
            }
        }
    }

    /// A draw from the normal distribution with mean 0 and the given standard deviation.
    pub fn gaussian(&mut self, standard_deviation: f64) -> f64 {
        match self {
            Self::Seeded(_) => standard_deviation * self.standard_normal(),
            Self::Recorded(recorded) => take(&mut recorded.gaussians, &mut recorded.missing),
        }
    }

    /// A direction drawn uniformly from the unit sphere with that many dimensions.
    pub fn unit_direction(&mut self, dimensions: usize) -> Vec<f64> {
        match self {
            Self::Seeded(_) => {
                let vector: Vec<f64> = (0..dimensions).map(|_| self.standard_normal()).collect();
                let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
                if length > 0.0 {
                    vector.into_iter().map(|x| x / length).collect()
                } else {
                    // All components exactly 0: next to impossible, and any direction will do.
                    (0..dimensions)
                        .map(|i| if i == 0 { 1.0 } else { 0.0 })
                        .collect()
                }
            }
            Self::Recorded(recorded) => {
                let direction = take(&mut recorded.directions, &mut recorded.missing);
                if direction.len() == dimensions {
                    direction
                } else {
                    recorded.missing += 1;
                    vec![0.0; dimensions]
                }
            }
        }
    }

    /// The Box–Muller transform of two uniform draws.
    fn standard_normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn take<T: Default>(queue: &mut VecDeque<T>, missing: &mut usize) -> T {
    queue.pop_front().unwrap_or_else(|| {
        *missing += 1;
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_draws() {
        let (mut a, mut b) = (Draws::seeded(7), Draws::seeded(7));
        for _ in 0..20 {
            assert_eq!(a.unit_direction(3), b.unit_direction(3));
            assert_eq!(a.gaussian(2.0), b.gaussian(2.0));
        }
        assert_ne!(a.uniform(), Draws::seeded(8).uniform());
    }

    #[test]
    fn directions_have_length_one() {
        let mut draws = Draws::seeded(1);
        for dimensions in 1..9 {
            let length: f64 = draws.unit_direction(dimensions).iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn normal_draws_have_the_asked_spread() {
        let mut draws = Draws::seeded(3);
        let values: Vec<f64> = (0..20_000).map(|_| draws.gaussian(2.0)).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.06 && (variance - 4.0).abs() < 0.2);
    }

    #[test]
    fn a_recording_says_when_it_ran_out() {
        let mut draws = Draws::Recorded(Recorded {
            gaussians: VecDeque::from([0.5]),
            ..Recorded::default()
        });
        assert_eq!(draws.gaussian(9.0), 0.5);
        draws.gaussian(9.0);
        draws.unit_direction(2);
        let Draws::Recorded(recorded) = draws else {
            panic!("it was a recording")
        };
        assert_eq!(recorded.missing, 3);
    }
}
