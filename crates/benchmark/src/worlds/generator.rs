//! Makes worlds, in the manner of those that come with the benchmark: rows of different difficulty, models
//! of different skill and price, prompts that help or harm, and answers in clusters.

use super::cluster::Cluster;
use super::world::{Model, Source, Template, World};
use anyhow::Context;
use frugal_domain::money::Prices;
use frugal_domain::seed::mix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, StandardNormal};

/// Seeds of generated worlds begin here, away from those of jobs.
const SEEDS: u64 = 0x776f_726c_6473;
/// The least chance of a cluster, and that of a right answer to a row that is out of a model's reach.
const LEAST: f64 = 1e-6;
const OUT_OF_REACH: f64 = 1e-5;
/// How much a model's chance on a row varies beside skill and difficulty, on the logistic scale.
const LUCK: f64 = 0.8;
/// The shares of answers' lengths that their deviation is, right and wrong.
const RIGHT_SPREAD: f64 = 0.15;
const WRONG_SPREAD: f64 = 0.3;

/// A model of a world to be made.
#[derive(Debug, Clone)]
pub struct ModelRecipe {
    /// Its name.
    pub name: String,
    /// Dollars per thousand tokens of input and of output.
    pub price: (f64, f64),
    /// The log-odds of a right answer to a row of mean difficulty.
    pub skill: f64,
    /// By how much these fall where a row is harder by one deviation.
    pub discrimination: f64,
    /// The share of rows that are out of its reach.
    pub blind: f64,
    /// What lengths are multiplied by.
    pub verbosity: f64,
    /// The temperature at which clusters have their probabilities.
    pub t0: f64,
    /// The temperature at which half of its text falls apart.
    pub breaks: f64,
    /// What it multiplies the bonus of a prompt by.
    pub heeds: f64,
}

/// A world to be made.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Fixes everything that is drawn.
    pub seed: u64,
    /// Rows.
    pub rows: usize,
    /// Models.
    pub models: Vec<ModelRecipe>,
    /// Prompts.
    pub templates: Vec<Template>,
    /// Tokens of a row's part of the prompt, around which rows vary.
    pub prompt_tokens: f64,
    /// Tokens of an answer, around which rows, models and prompts vary.
    pub length: f64,
    /// Deviation of the log of rows' lengths.
    pub length_spread: f64,
    /// The most that an instance may cost, in dollars.
    pub inference_budget: f64,
}

impl Recipe {
    /// One drawn from a seed: one to four models over two orders of magnitude of price, one to three
    /// prompts, and an inference budget that pays for some answers of some models.
    pub fn drawn(seed: u64, rows: usize) -> Self {
        let generator = &mut ChaCha8Rng::seed_from_u64(mix(SEEDS ^ mix(seed)));
        let (models, prompts) = (
            generator.random_range(1..=4_usize),
            generator.random_range(1..=3_usize),
        );
        let prices: Vec<f64> = (0..models)
            .map(|_| generator.random_range(0.0006_f64.ln()..0.06_f64.ln()).exp())
            .collect();
        let top = prices.iter().copied().fold(0.0, f64::max);
        let hard = 1.2 * normal(generator);
        let length = generator.random_range(40_f64.ln()..260_f64.ln()).exp();
        let prompt_tokens = generator.random_range(40_f64.ln()..900_f64.ln()).exp();
        let models: Vec<ModelRecipe> = prices
            .iter()
            .enumerate()
            .map(|(index, price)| ModelRecipe {
                name: format!("m{index}"),
                price: (
                    price / [1.0, 2.0, 3.0, 4.0][generator.random_range(0..4)],
                    *price,
                ),
                skill: 0.4 + hard + 0.45 * (price / top).ln() + 0.8 * normal(generator),
                discrimination: generator.random_range(0.8..2.4),
                blind: [0.0, 0.1, 0.2, 0.4][generator.random_range(0..4)],
                verbosity: (0.4 * normal(generator)).exp(),
                t0: generator.random_range(0.7..1.1),
                breaks: generator.random_range(0.9..1.6),
                heeds: 1.0,
            })
            .collect();
        let templates: Vec<Template> = (0..prompts)
            .map(|index| match index {
                0 => Template::plain("p0"),
                _ => Template {
                    bonus: 0.6 * normal(generator),
                    len_mult: (0.6 * normal(generator)).exp(),
                    tokens: generator.random_range(2..120),
                    ..Template::plain(&format!("p{index}"))
                },
            })
            .collect();
        let mut recipe = Self {
            seed,
            rows,
            models,
            templates,
            prompt_tokens,
            length,
            length_spread: generator.random_range(0.2..0.7),
            inference_budget: 0.0,
        };
        let mut costs = recipe.costs();
        costs.sort_by(f64::total_cmp);
        let middle = costs[costs.len() / 2];
        recipe.inference_budget = middle * generator.random_range(1.2_f64.ln()..12_f64.ln()).exp();
        recipe
    }

    /// What one answer costs in dollars, by model and prompt.
    fn costs(&self) -> Vec<f64> {
        let of = |model: &ModelRecipe, template: &Template| {
            let (input, output) = model.price;
            let prompt = self.prompt_tokens + template.tokens as f64;
            let answer = self.length * model.verbosity * template.len_mult;
            (prompt * input + answer * output) / 1e3
        };
        let models = self.models.iter();
        models
            .flat_map(|model| {
                self.templates
                    .iter()
                    .map(move |template| of(model, template))
            })
            .collect()
    }

    /// The world.
    ///
    /// # Errors
    /// A price is no price.
    pub fn world(&self) -> anyhow::Result<World> {
        let generator = &mut ChaCha8Rng::seed_from_u64(mix(SEEDS ^ mix(self.seed) ^ 1));
        let mut prompt_tokens = Vec::with_capacity(self.rows);
        let mut by_row: Vec<Vec<Vec<Cluster>>> = Vec::with_capacity(self.rows);
        for _ in 0..self.rows {
            let tokens = self.prompt_tokens * (0.3 * normal(generator)).exp();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number of tokens above 0"
            )]
            prompt_tokens.push(tokens.round().max(1.0) as u64);
            let difficulty = normal(generator);
            let verbosity = (self.length_spread * normal(generator)).exp();
            let models = self.models.iter();
            let of = |model: &ModelRecipe| {
                let length = self.length * model.verbosity * verbosity;
                clusters(model, difficulty, length, generator)
            };
            by_row.push(models.map(of).collect());
        }
        let models = self.models.iter().map(|model| {
            let million = |thousand: f64| (thousand * 1e9).round() / 1e6;
            let usd_per_million = (million(model.price.0), million(model.price.1));
            let (input, output) = usd_per_million;
            Ok(Model {
                name: model.name.clone(),
                prices: Prices::per_million(input, output, 0.0).context("a price")?,
                usd_per_million,
                t0: model.t0,
                breaks: model.breaks,
                heeds: model.heeds,
            })
        });
        let answers = (0..self.models.len()).map(|model| {
            let of_rows: Vec<Source> = by_row
                .iter()
                .map(|of_models| Source::Clusters(of_models[model].clone()))
                .collect();
            vec![of_rows; self.templates.len()]
        });
        Ok(World {
            name: format!("made {}", self.seed),
            models: models.collect::<anyhow::Result<_>>()?,
            templates: self.templates.clone(),
            inference_budget: self.inference_budget,
            prompt_tokens,
            length_by_temperature: 0.0,
            overlay: None,
            answers: answers.collect(),
        })
    }
}

impl Template {
    /// A prompt that adds nothing.
    pub fn plain(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            prefix: format!("{name}. "),
            bonus: 0.0,
            len_mult: 1.0,
            tokens: 0,
        }
    }

    /// The same with what it adds to the log of a right answer's weight and to the prompt's tokens.
    pub fn adding(self, bonus: f64, tokens: u64) -> Self {
        Self {
            bonus,
            tokens,
            ..self
        }
    }
}

/// The answers of a model to a row.
fn clusters(
    model: &ModelRecipe,
    difficulty: f64,
    length: f64,
    generator: &mut ChaCha8Rng,
) -> Vec<Cluster> {
    let lead = model.skill - model.discrimination * difficulty + LUCK * normal(generator);
    let right = if generator.random_bool(model.blind) {
        OUT_OF_REACH
    } else {
        1.0 / (1.0 + (-lead).exp())
    };
    let (of_right, of_wrong) = (
        generator.random_range(1..=3_usize),
        generator.random_range(3..=11_usize),
    );
    let mut clusters = Vec::with_capacity(of_right + of_wrong);
    for share in shares(of_right, 1.0, generator) {
        clusters.push(Cluster {
            probability: (share * right).max(LEAST),
            right: true,
            length: length * (RIGHT_SPREAD * normal(generator)).exp(),
            spread: length * RIGHT_SPREAD,
        });
    }
    for share in shares(of_wrong, 0.5, generator) {
        clusters.push(Cluster {
            probability: (share * (1.0 - right)).max(LEAST),
            right: false,
            length: length * (0.2 + 0.5 * normal(generator)).exp(),
            spread: length * WRONG_SPREAD,
        });
    }
    clusters
}

/// Shares that add up to 1, from a symmetric Dirichlet distribution.
fn shares(count: usize, concentration: f64, generator: &mut ChaCha8Rng) -> Vec<f64> {
    let drawn: Vec<f64> = match Gamma::new(concentration, 1.0) {
        Ok(gamma) => (0..count).map(|_| gamma.sample(generator)).collect(),
        Err(_) => vec![1.0; count],
    };
    let total: f64 = drawn.iter().sum();
    if total <= 0.0 {
        return vec![1.0 / count as f64; count];
    }
    drawn.iter().map(|one| one / total).collect()
}

fn normal(generator: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(generator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worlds::optimum;

    #[test]
    fn equal_recipes_make_equal_worlds_that_a_budget_can_search() {
        for seed in 0..12 {
            let recipe = Recipe::drawn(seed, 20);
            let world = recipe.world().unwrap();
            let best = optimum::best(&world);
            assert!((0.0..=1.0).contains(&best) && best > 0.0, "{seed}: {best}");
            assert_eq!(best, optimum::best(&recipe.world().unwrap()));
            assert_eq!(world.prompt_tokens.len(), 20);
        }
    }

    #[test]
    fn more_rows_begin_with_the_same_ones() {
        let few = Recipe::drawn(3, 10).world().unwrap();
        let many = Recipe::drawn(3, 40).world().unwrap();
        assert_eq!(few.prompt_tokens, many.prompt_tokens[..10]);
        assert_eq!(few.inference_budget, many.inference_budget);
    }

    #[test]
    fn hotter_answers_are_longer_where_they_are_to_be() {
        use crate::worlds::space;
        let world = Recipe::drawn(2, 10).world().unwrap();
        let world = world.with_length_by_temperature(1.0);
        let cost = |temperature| {
            let sampling = space::sampling(0, 0, Some(temperature), None);
            world.row_values(&sampling, 100_000).cost(1.0)
        };
        assert!(cost(0.9) > cost(0.1));
    }
}
