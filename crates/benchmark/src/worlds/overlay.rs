//! Further sampling settings laid over a world, so that searches of many settings can be judged by
//! the exact utility of what they find.
//!
//! Every setting moves the log-odds of a right answer by a smooth function that is 0 at its default
//! and has its best value elsewhere, and may make answers longer. Some have no effect, as is usual of
//! an endpoint's own parameters. Effects differ a little between models and rows, the best place of
//! one penalty depends on the other, and how much reasoning helps on the style. All of it is drawn from the
//! world's name and a seed.
//!
//! A job's prompts are rendered before they are sent, so no sampling setting makes them longer; what
//! costs here is longer answers.

use super::cluster::Cluster;
use frugal_domain::configuration::Sampling;
use frugal_domain::seed::mix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};

/// How many styles of a system prompt there are, and formats of an answer, which have no effect.
const STYLES: usize = 5;
const FORMATS: usize = 3;
/// The most steps of reasoning.
const MOST_STEPS: u32 = 8;
/// What a peak adds to the log-odds, how wide it is, and how far it lies from the default at least; the
/// range is 1.
const GAIN: (f64, f64) = (0.2, 0.7);
const WIDTH: (f64, f64) = (0.15, 0.35);
const FAR: f64 = 0.2;
/// What all steps of reasoning together add, how many of them add half of it, and by how much one
/// makes answers longer.
const REASONING_GAIN: (f64, f64) = (0.4, 1.0);
const HALF_STEPS: (f64, f64) = (1.5, 3.0);
const LONGER: (f64, f64) = (0.05, 0.14);
/// Deviations of a style's effect and of the log of its length; one style is better than the rest.
const STYLE: f64 = 0.35;
const BEST_STYLE: f64 = 0.4;
const STYLE_LENGTH: f64 = 0.2;
/// Deviations of the log of an effect between models and between rows, and of a peak's place.
const BETWEEN_MODELS: f64 = 0.35;
const BETWEEN_ROWS: f64 = 0.3;
const PLACES: f64 = 0.05;

/// Which sampling settings are free beside the model and the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FreeSettings {
    /// The temperature.
    Temperature,
    /// The temperature, `top_p` and a penalty.
    Few,
    /// These, two more penalties, steps of reasoning, a style, and two settings without effect.
    Many,
}

/// Those of the few.
const FEW: [&str; 2] = ["top_p", "presence_penalty"];

impl FreeSettings {
    /// What is to be laid over a world of this name, with so many models and rows.
    pub fn overlay(self, name: &str, models: usize, rows: usize, seed: u64) -> Option<Overlay> {
        let many = match self {
            Self::Temperature => return None,
            Self::Few => false,
            Self::Many => true,
        };
        Some(Overlay::new(name, models, rows, seed, many))
    }
}

/// The settings that are laid over a world.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Whether all of them are free, or only the [few](FEW).
    many: bool,
    presence: Peak,
    frequency: Peak,
    repetition: Peak,
    /// How far the best presence penalty moves with the frequency penalty.
    slope: f64,
    reasoning: Reasoning,
    styles: Vec<Style>,
    /// What effects are multiplied by, by model and by row.
    of_models: Vec<f64>,
    of_rows: Vec<f64>,
}

/// A number with a best value.
#[derive(Debug, Clone)]
struct Peak {
    low: f64,
    high: f64,
    default: f64,
    gain: f64,
    /// Where it is best, as a share of the range, by model.
    at: Vec<f64>,
    width: f64,
}

/// Steps of reasoning: each adds less than the one before, and all of them cost.
#[derive(Debug, Clone, Copy)]
struct Reasoning {
    gain: f64,
    half: f64,
    longer: f64,
}

/// A style of the system prompt.
#[derive(Debug, Clone, Copy)]
struct Style {
    /// What it adds to the log-odds.
    bonus: f64,
    /// What it multiplies lengths by.
    length: f64,
    /// What it multiplies the effect of reasoning by.
    reasoning: f64,
}

impl Peak {
    fn drawn(range: (f64, f64), default: f64, models: usize, generator: &mut ChaCha8Rng) -> Self {
        let (low, high) = range;
        let usual = (default - low) / (high - low);
        let mut at = usual;
        while (at - usual).abs() < FAR {
            at = generator.random_range(0.05..0.95);
        }
        Self {
            low,
            high,
            default,
            gain: generator.random_range(GAIN.0..GAIN.1),
            at: (0..models)
                .map(|_| at + PLACES * normal(generator))
                .collect(),
            width: generator.random_range(WIDTH.0..WIDTH.1),
        }
    }

    /// Its effect, the best place being moved by so much; 0 at the default, whose best place is not.
    fn effect(&self, value: f64, model: usize, moved: f64) -> f64 {
        let place = |value: f64| (value - self.low) / (self.high - self.low);
        let height = |place: f64, moved: f64| {
            self.gain * (-0.5 * ((place - self.at[model] - moved) / self.width).powi(2)).exp()
        };
        height(place(value), moved) - height(place(self.default), 0.0)
    }

    fn domain(&self) -> Value {
        json!({"float": [self.low, self.high]})
    }
}

impl Overlay {
    fn new(name: &str, models: usize, rows: usize, seed: u64, many: bool) -> Self {
        let seed = name
            .bytes()
            .fold(mix(seed), |hash, byte| mix(hash ^ u64::from(byte)));
        let generator = &mut ChaCha8Rng::seed_from_u64(seed);
        let best_style = generator.random_range(1..STYLES);
        let styles = (0..STYLES).map(|style| match style {
            0 => Style {
                bonus: 0.0,
                length: 1.0,
                reasoning: 1.0,
            },
            style => Style {
                bonus: STYLE * normal(generator)
                    + BEST_STYLE * f64::from(u8::from(style == best_style)),
                length: (STYLE_LENGTH * normal(generator)).exp(),
                reasoning: generator.random_range(0.4..1.4),
            },
        });
        let styles = styles.collect();
        let mut factors = |count: usize, deviation: f64| -> Vec<f64> {
            (0..count)
                .map(|_| (deviation * normal(generator)).exp())
                .collect()
        };
        let (of_models, of_rows) = (factors(models, BETWEEN_MODELS), factors(rows, BETWEEN_ROWS));
        Self {
            many,
            styles,
            of_models,
            of_rows,
            presence: Peak::drawn((-2.0, 2.0), 0.0, models, generator),
            frequency: Peak::drawn((-2.0, 2.0), 0.0, models, generator),
            repetition: Peak::drawn((0.8, 1.6), 1.0, models, generator),
            slope: generator.random_range(-0.4..0.4),
            reasoning: Reasoning {
                gain: generator.random_range(REASONING_GAIN.0..REASONING_GAIN.1),
                half: generator.random_range(HALF_STEPS.0..HALF_STEPS.1),
                longer: generator.random_range(LONGER.0..LONGER.1),
            },
        }
    }

    /// The settings as a job's search space has them.
    pub fn search_space(&self) -> Value {
        self.free(json!({
            "top_p": {"float": [0.3, 1.0]},
            "presence_penalty": self.presence.domain(),
            "frequency_penalty": self.frequency.domain(),
            "repetition_penalty": self.repetition.domain(),
            "min_p": {"float": [0.0, 0.4]},
            "reasoning_steps": {"int": [0, MOST_STEPS]},
            "style": {"choice": (0..STYLES).map(style).collect::<Vec<_>>()},
            "format": {"choice": (0..FORMATS).map(format_name).collect::<Vec<_>>()},
        }))
    }

    /// The same space with every setting fixed at what it is without tuning.
    pub fn defaults(&self) -> Value {
        self.free(json!({
            "top_p": 1.0,
            "presence_penalty": self.presence.default,
            "frequency_penalty": self.frequency.default,
            "repetition_penalty": self.repetition.default,
            "min_p": 0.2,
            "reasoning_steps": 0,
            "style": style(0),
            "format": format_name(0),
        }))
    }

    /// The settings that are free, of all.
    fn free(&self, mut all: Value) -> Value {
        if let (false, Some(settings)) = (self.many, all.as_object_mut()) {
            settings.retain(|name, _| FEW.contains(&name.as_str()));
        }
        all
    }

    /// The answers of a row once the settings have had their effect.
    pub fn applied(
        &self,
        mut clusters: Vec<Cluster>,
        sampling: &Sampling,
        row: usize,
    ) -> Vec<Cluster> {
        let number = |name: &str, default: f64| {
            let value = sampling.extra.get(name);
            value.and_then(Value::as_f64).unwrap_or(default)
        };
        let chosen = sampling.extra.get("style").and_then(Value::as_str);
        let chosen = self
            .styles
            .iter()
            .enumerate()
            .find(|(index, _)| chosen == Some(style(*index).as_str()));
        let style = chosen.map_or(self.styles[0], |(_, style)| *style);
        let steps = number("reasoning_steps", 0.0);
        let frequency = number("frequency_penalty", self.frequency.default);
        let presence = number("presence_penalty", self.presence.default);
        let repetition = number("repetition_penalty", self.repetition.default);
        let moved = self.slope * (frequency - self.frequency.default)
            / (self.frequency.high - self.frequency.low);
        let effect = style.bonus
            + self.presence.effect(presence, sampling.model, moved)
            + self.frequency.effect(frequency, sampling.model, 0.0)
            + self.repetition.effect(repetition, sampling.model, 0.0)
            + style.reasoning
                * self.reasoning.gain
                * (1.0 - (-std::f64::consts::LN_2 * steps / self.reasoning.half).exp());
        let effect = effect * self.of_models[sampling.model] * self.of_rows[row];
        let longer = style.length * (self.reasoning.longer * steps).exp();
        let mut total = 0.0;
        for cluster in &mut clusters {
            if cluster.right {
                cluster.probability *= effect.exp();
            }
            cluster.length *= longer;
            cluster.spread *= longer;
            total += cluster.probability;
        }
        for cluster in &mut clusters {
            cluster.probability /= total;
        }
        clusters
    }
}

fn style(index: usize) -> String {
    format!("style {index}")
}

fn format_name(index: usize) -> String {
    format!("format {index}")
}

fn normal(generator: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(generator)
}
