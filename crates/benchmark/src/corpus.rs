//! Recorded answers, ready to be drawn: scored under every limit that they may be cut at.

use crate::endpoint::{DrawNumber, Endpoint, Response};
use frugal_domain::configuration::Settings;
use frugal_domain::scoring::Observation;
use frugal_evaluation::RequestFailure;
use frugal_simulator::Bracket;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// One recorded response.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its length.
    pub tokens: u32,
    /// It ended by itself.
    pub ended: bool,
    /// What is said of it where nothing is cut off.
    pub observed: Observation,
    /// What is said of it under limits that cut it: each from the limit beside it on, a score of 0 before
    /// the first.
    pub when_cut: Vec<(u32, Observation)>,
}

impl Sample {
    fn under(&self, max_tokens: u32) -> Response {
        Response {
            tokens: self.tokens.min(max_tokens).into(),
            ended: self.ended && self.tokens <= max_tokens,
            score: self.observed_under(max_tokens).score,
        }
    }

    fn observed_under(&self, max_tokens: u32) -> Observation {
        if self.tokens <= max_tokens {
            return self.observed;
        }
        let step = self.when_cut.iter().rfind(|(from, _)| *from <= max_tokens);
        step.map_or_else(|| 0.0.into(), |(_, observed)| *observed)
    }
}

/// The recorded responses to one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Ascending in temperature; none empty, and at least one.
    pub by_temperature: Vec<(f64, Vec<Sample>)>,
}

/// The recorded responses of one model to one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelf {
    /// The recorded temperatures, ascending.
    pub temperatures: Vec<f64>,
    /// By row.
    pub cells: Vec<Cell>,
}

/// Everything that was recorded for a data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    /// By model and prompt, as the job numbers them.
    pub shelves: BTreeMap<(usize, usize), Shelf>,
    /// Upper bounds on prompt tokens, by prompt and row.
    pub prompt_token_bounds: Vec<Vec<u64>>,
}

impl Corpus {
    fn shelf(&self, settings: &Settings) -> Option<&Shelf> {
        self.shelves
            .get(&(settings.sampling.model, settings.sampling.prompt))
    }

    fn cell(&self, settings: &Settings, row: usize) -> Option<&Cell> {
        self.shelf(settings)?.cells.get(row)
    }
}

impl Shelf {
    /// The two recorded temperatures around the one asked for.
    fn around(&self, settings: &Settings) -> Option<Bracket> {
        Bracket::around(
            &self.temperatures,
            settings.sampling.temperature.unwrap_or(1.0),
        )
        .ok()
    }
}

impl Cell {
    /// The place of the recorded temperature nearest to this one; of two, the lower.
    fn nearest(&self, temperature: f64) -> usize {
        let distance = |place: &usize| (self.by_temperature[*place].0 - temperature).abs();
        (0..self.by_temperature.len())
            .min_by(|left, right| distance(left).total_cmp(&distance(right)))
            .unwrap_or_default()
    }

    /// The mean of something over the responses at a recorded temperature.
    fn mean(&self, temperature: f64, max_tokens: u32, of: impl Fn(Response) -> f64) -> f64 {
        let samples = &self.by_temperature[self.nearest(temperature)].1;
        let total: f64 = samples
            .iter()
            .map(|sample| of(sample.under(max_tokens)))
            .sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of responses are far below 2^53"
        )]
        let count = samples.len() as f64;
        total / count
    }
}

impl Corpus {
    /// The expected value of something in a response under these settings; nothing where nothing
    /// was recorded.
    fn expected(
        &self,
        settings: &Settings,
        row: usize,
        of: impl Fn(Response) -> f64,
    ) -> Option<f64> {
        let shelf = self.shelf(settings)?;
        let between = shelf.around(settings)?;
        let cell = shelf.cells.get(row)?;
        let mean = |temperature| cell.mean(temperature, settings.extent.max_tokens, &of);
        let weight = between.weight;
        Some((1.0 - weight) * mean(between.lower) + weight * mean(between.upper))
    }

    fn sample(&self, settings: &Settings, row: usize, draw: DrawNumber) -> Option<&Sample> {
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let cell = self.cell(settings, row)?;
        let (_, samples) = cell.by_temperature.get(at(draw.0 >> 32))?;
        samples.get(at(draw.0 & u64::from(u32::MAX)))
    }
}

/// Draws as the simulator does: with replacement, from one of the two recorded temperatures around
/// the one asked for, the nearer the likelier.
impl Endpoint for Corpus {
    fn rows(&self) -> usize {
        self.prompt_token_bounds.first().map_or(0, Vec::len)
    }

    fn prompt_tokens(&self, settings: &Settings, row: usize) -> u64 {
        self.cell(settings, row)
            .map_or(0, |cell| cell.prompt_tokens)
    }

    fn prompt_token_bound(&self, prompt: usize, row: usize) -> u64 {
        self.prompt_token_bounds[prompt][row]
    }

    fn draw(
        &self,
        settings: &Settings,
        row: usize,
        generator: &mut ChaCha8Rng,
    ) -> Result<DrawNumber, RequestFailure> {
        let nothing =
            || RequestFailure::Infeasible("nothing was recorded with these settings".to_owned());
        let shelf = self.shelf(settings).ok_or_else(nothing)?;
        let between = shelf.around(settings).ok_or_else(nothing)?;
        let cell = shelf.cells.get(row).ok_or_else(nothing)?;
        let place = cell.nearest(between.draw(generator));
        let samples = &cell.by_temperature[place].1;
        let index = generator.random_range(0..samples.len());
        Ok(DrawNumber(((place as u64) << 32) | index as u64))
    }

    fn response(
        &self,
        settings: &Settings,
        row: usize,
        draw: DrawNumber,
        max_tokens: u32,
    ) -> Response {
        self.sample(settings, row, draw).map_or(
            Response {
                tokens: 0,
                ended: true,
                score: 0.0,
            },
            |sample| sample.under(max_tokens),
        )
    }

    fn observation(
        &self,
        settings: &Settings,
        row: usize,
        draw: DrawNumber,
        max_tokens: u32,
    ) -> Observation {
        let sample = self.sample(settings, row, draw);
        sample.map_or_else(|| 0.0.into(), |sample| sample.observed_under(max_tokens))
    }

    fn chance(&self, settings: &Settings, row: usize) -> f64 {
        let right = |response: Response| response.score;
        self.expected(settings, row, right).unwrap_or(0.0)
    }

    fn expected_tokens(&self, settings: &Settings, row: usize) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "lengths of responses are far below 2^53"
        )]
        let tokens = |response: Response| response.tokens as f64;
        self.expected(settings, row, tokens).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::configuration::{Extent, Sampling};
    use rand::SeedableRng;

    fn sample(tokens: u32, score: f64) -> Sample {
        Sample {
            tokens,
            ended: true,
            observed: score.into(),
            when_cut: vec![(3, 1.0.into()), (5, 0.0.into())],
        }
    }

    fn corpus() -> Corpus {
        let cell = Cell {
            prompt_tokens: 7,
            by_temperature: vec![
                (0.0, vec![sample(8, 1.0)]),
                (1.0, vec![sample(8, 1.0), sample(4, 0.0)]),
            ],
        };
        let shelf = Shelf {
            temperatures: vec![0.0, 1.0],
            cells: vec![cell],
        };
        Corpus {
            shelves: BTreeMap::from([((0, 0), shelf)]),
            prompt_token_bounds: vec![vec![9]],
        }
    }

    fn settings(temperature: f64, max_tokens: u32) -> Settings {
        Settings {
            sampling: Sampling {
                model: 0,
                prompt: 0,
                temperature: Some(temperature),
                top_p: None,
                stop: Vec::new(),
                extra: BTreeMap::new(),
            },
            extent: Extent { max_tokens, n: 1 },
        }
    }

    #[test]
    fn a_cut_response_has_the_score_of_its_cut() {
        let sample = sample(8, 1.0);
        let scores = [2, 3, 4, 5, 7, 8, 9].map(|cap| sample.under(cap).score);
        assert_eq!(scores, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        assert!(!sample.under(7).ended);
        assert_eq!(sample.under(7).tokens, 7);
        assert_eq!(sample.under(9).tokens, 8);
    }

    #[test]
    fn chances_are_what_draws_come_to() {
        let corpus = corpus();
        for max_tokens in [2, 3, 6, 8] {
            for temperature in [0.0, 0.25, 1.0] {
                let settings = settings(temperature, max_tokens);
                let mut generator = ChaCha8Rng::seed_from_u64(1);
                let right: f64 = (0..4_000)
                    .map(|_| {
                        let draw = corpus.draw(&settings, 0, &mut generator).unwrap();
                        corpus.response(&settings, 0, draw, max_tokens).score
                    })
                    .sum();
                let chance = corpus.chance(&settings, 0);
                assert!((right / 4_000.0 - chance).abs() < 0.03, "{settings:?}");
            }
        }
        assert!((corpus.chance(&settings(0.25, 8), 0) - 0.875).abs() < 1e-12);
    }

    #[test]
    fn what_was_not_recorded_is_refused() {
        let mut other = settings(0.5, 8);
        other.sampling.prompt = 1;
        let refused = corpus().answer(&other, 0, 1, 8, 1);
        assert!(matches!(refused, Err(RequestFailure::Infeasible(_))));
    }

    #[test]
    fn equal_seeds_draw_equal_responses_and_larger_n_goes_on() {
        let corpus = corpus();
        let settings = settings(1.0, 8);
        let ask = |n, seed| corpus.answer(&settings, 0, n, 8, seed).unwrap();
        assert_eq!(ask(6, 3), ask(6, 3));
        assert_eq!(ask(6, 3).draws[..4], ask(4, 3).draws);
        assert_eq!(ask(6, 3).usage.prompt_tokens, 7);
    }
}
