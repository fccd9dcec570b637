//! An endpoint whose truth is known by construction: each row has a difficulty, each configuration
//! an ability, and the two give the probability that an answer is right.

use crate::endpoint::{DrawNumber, Endpoint, Response};
use frugal_domain::configuration::Settings;
use frugal_evaluation::RequestFailure;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Rows of the population. Their difficulties are spread evenly over a logistic distribution.
pub const ROWS: u32 = 1_000;

/// How much rows differ in difficulty, on the scale of abilities.
const SPREAD: f64 = 1.2;

/// Responses have from 20 to 60 tokens, whatever the settings.
const TOKENS: std::ops::RangeInclusive<u64> = 20..=60;

/// An endpoint by the ability of its configurations, on the logistic scale: at 0 half of the
/// answers are right. A cut changes no score.
pub struct Synthetic {
    difficulties: Vec<f64>,
    ability: fn(&Settings) -> f64,
}

impl Synthetic {
    /// An endpoint on which configurations have these abilities.
    pub fn new(ability: fn(&Settings) -> f64) -> Self {
        let difficulty = |row: u32| {
            let share = (f64::from(row) + 0.5) / f64::from(ROWS);
            SPREAD * (share / (1.0 - share)).ln()
        };
        Self {
            difficulties: (0..ROWS).map(difficulty).collect(),
            ability,
        }
    }
}

impl Endpoint for Synthetic {
    fn rows(&self) -> usize {
        self.difficulties.len()
    }

    fn prompt_tokens(&self, _settings: &Settings, row: usize) -> u64 {
        100 + row as u64 % 50
    }

    fn prompt_token_bound(&self, _prompt: usize, _row: usize) -> u64 {
        400
    }

    fn draw(
        &self,
        settings: &Settings,
        row: usize,
        generator: &mut ChaCha8Rng,
    ) -> Result<DrawNumber, RequestFailure> {
        let right = generator.random::<f64>() < self.chance(settings, row);
        let tokens = generator.random_range(TOKENS);
        Ok(DrawNumber(tokens << 1 | u64::from(right)))
    }

    fn response(
        &self,
        _settings: &Settings,
        _row: usize,
        draw: DrawNumber,
        max_tokens: u32,
    ) -> Response {
        let tokens = draw.0 >> 1;
        Response {
            tokens: tokens.min(max_tokens.into()),
            ended: tokens <= max_tokens.into(),
            score: if draw.0 & 1 == 1 { 1.0 } else { 0.0 },
        }
    }

    fn expected_tokens(&self, settings: &Settings, _row: usize) -> f64 {
        let cut = |tokens: u64| tokens.min(settings.extent.max_tokens.into()) as f64;
        let total: f64 = TOKENS.map(cut).sum();
        total / (TOKENS.end() - TOKENS.start() + 1) as f64
    }

    fn chance(&self, settings: &Settings, row: usize) -> f64 {
        let lead = (self.ability)(settings) - self.difficulties[row];
        1.0 / (1.0 + (-lead).exp())
    }
}
