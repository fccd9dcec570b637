//! A world: rows, models and prompts with a known distribution of answers for each, so that the
//! utility and the cost of every configuration can be computed exactly.
//!
//! An answer comes from a cluster with a probability at the model's own temperature; other
//! temperatures sharpen or flatten these, and above some temperature text falls apart. Or it is
//! one of some that are listed for a few temperatures, of which the two nearest are mixed.

use super::cluster::Cluster;
use super::overlay::{FreeSettings, Overlay};
use crate::endpoint::{DrawNumber, Endpoint, Response};
use anyhow::Context;
use frugal_domain::configuration::{Sampling, Settings};
use frugal_domain::money::Prices;
use frugal_domain::scoring::{AnswerKey, Observation};
use frugal_evaluation::RequestFailure;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The temperature that stands for 0.
const COLDEST: f64 = 0.02;
/// How sharply text falls apart around the temperature where it does.
const BREAKING: f64 = 0.12;
/// Where it does if the world does not say.
const USUAL_BREAK: f64 = 1.4;
/// Text that fell apart is this much longer than other text, and its length varies by this share.
const RAMBLING: f64 = 2.5;
const RAMBLING_SPREAD: f64 = 0.4;
/// The deviation of a listed answer's length.
const LISTED_SPREAD: f64 = 0.01;
/// The fewest tokens of an answer.
const SHORTEST: f64 = 4.0;

/// A world as it is written down.
#[derive(Debug, Deserialize)]
struct Written {
    name: String,
    instances: Vec<WrittenRow>,
    tune: Vec<String>,
    models: BTreeMap<String, WrittenModel>,
    templates: Vec<Template>,
    inference_budget: f64,
    /// Listed answers by model, prompt, temperature and row: tokens, and whether it is right.
    #[serde(default)]
    recorded: Option<Listed>,
}

type Listed = BTreeMap<String, BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<Answer>>>>>;

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Answer(f64, bool);

#[derive(Debug, Deserialize)]
struct WrittenRow {
    id: String,
    prompt_tokens: u64,
    #[serde(default)]
    clusters: BTreeMap<String, Vec<WrittenCluster>>,
}

/// Probability, whether it is right, mean tokens, their deviation.
#[derive(Debug, Deserialize)]
struct WrittenCluster(f64, bool, f64, f64);

#[derive(Debug, Clone, Copy, Deserialize)]
struct WrittenModel {
    /// Dollars per thousand tokens.
    price_in: f64,
    price_out: f64,
    t0: f64,
    t_break: Option<f64>,
}

/// A prompt.
#[derive(Debug, Clone, Deserialize)]
pub struct Template {
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// What stands before the row's text.
    pub prefix: String,
    /// What it adds to the log of a right answer's weight.
    pub(super) bonus: f64,
    /// What it multiplies lengths by.
    pub(super) len_mult: f64,
    /// Tokens that it adds to a prompt.
    pub(super) tokens: u64,
}

/// A model of a world.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// What it charges.
    pub prices: Prices,
    /// Dollars per million tokens of input and of output.
    pub usd_per_million: (f64, f64),
    pub(super) t0: f64,
    pub(super) breaks: f64,
    /// What it multiplies the bonus of a prompt by.
    pub(super) heeds: f64,
}

/// A world.
#[derive(Debug, Clone)]
pub struct World {
    /// Its name.
    pub name: String,
    /// The models, in the order of their names.
    pub models: Vec<Model>,
    /// The prompts.
    pub templates: Vec<Template>,
    /// The inference budget in dollars.
    pub inference_budget: f64,
    /// Tokens of each row's own part of the prompt.
    pub(super) prompt_tokens: Vec<u64>,
    /// By how much the log of an answer's length grows with the temperature, beyond that of 1; 0 where
    /// lengths do not depend on it.
    pub(super) length_by_temperature: f64,
    /// What is laid over it, if anything.
    pub overlay: Option<Overlay>,
    /// By model, prompt and row.
    pub(super) answers: Vec<Vec<Vec<Source>>>,
}

/// Where the answers of one row come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Clusters(Vec<Cluster>),
    /// By temperature, rising.
    Listed(Vec<(f64, Vec<Answer>)>),
}

impl World {
    /// Reads a world.
    ///
    /// # Errors
    /// It is not written as a world is.
    pub fn read(text: &[u8]) -> anyhow::Result<Self> {
        let written: Written = serde_json::from_slice(text)?;
        let by_id: BTreeMap<&str, &WrittenRow> = written
            .instances
            .iter()
            .map(|row| (row.id.as_str(), row))
            .collect();
        let rows: Vec<&WrittenRow> = written
            .tune
            .iter()
            .map(|id| by_id.get(id.as_str()).copied().context("a row is missing"))
            .collect::<anyhow::Result<_>>()?;
        let mut models = Vec::new();
        let mut answers = Vec::new();
        for (name, model) in &written.models {
            let million = |thousand: f64| (thousand * 1e9).round() / 1e6;
            let usd_per_million = (million(model.price_in), million(model.price_out));
            models.push(Model {
                name: name.clone(),
                prices: Prices::per_million(usd_per_million.0, usd_per_million.1, 0.0)
                    .context("a price")?,
                usd_per_million,
                t0: model.t0,
                breaks: model.t_break.unwrap_or(USUAL_BREAK),
                heeds: 1.0,
            });
            let of_template = |template: &Template| {
                let of_row = |row: &&WrittenRow| match &written.recorded {
                    None => clusters(row, name),
                    Some(listed) => listing(listed, name, template, &row.id),
                };
                rows.iter().map(of_row).collect::<anyhow::Result<_>>()
            };
            let of_model = written.templates.iter().map(of_template);
            answers.push(of_model.collect::<anyhow::Result<_>>()?);
        }
        Ok(Self {
            models,
            answers,
            overlay: None,
            length_by_temperature: 0.0,
            prompt_tokens: rows.iter().map(|row| row.prompt_tokens).collect(),
            name: written.name,
            templates: written.templates,
            inference_budget: written.inference_budget,
        })
    }

    /// The same world with further settings laid over it.
    pub fn with(self, settings: FreeSettings, seed: u64) -> Self {
        let overlay = settings.overlay(
            &self.name,
            self.models.len(),
            self.prompt_tokens.len(),
            seed,
        );
        Self { overlay, ..self }
    }

    /// The same world with so many times its inference budget.
    pub fn with_budget_times(&self, factor: f64) -> Self {
        Self {
            inference_budget: factor * self.inference_budget,
            ..self.clone()
        }
    }

    /// The same world with lengths that [depend on the temperature](Self::length_by_temperature).
    pub fn with_length_by_temperature(self, length_by_temperature: f64) -> Self {
        Self {
            length_by_temperature,
            ..self
        }
    }

    /// The name of a prompt.
    pub fn prompt_name(&self, template: usize) -> String {
        let name = self.templates[template].name.clone();
        name.unwrap_or_else(|| format!("t{template}"))
    }

    /// Where a row's answers come from under some sampling settings.
    pub fn distribution(&self, sampling: &Sampling, row: usize) -> Vec<Cluster> {
        let template = &self.templates[sampling.prompt];
        let model = &self.models[sampling.model];
        let temperature = sampling.temperature.unwrap_or(1.0);
        let clusters = match &self.answers[sampling.model][sampling.prompt][row] {
            Source::Listed(cells) => mixed(cells, temperature),
            Source::Clusters(clusters) => {
                let heated = heated(clusters, template, model, temperature);
                match sampling.top_p {
                    Some(mass) if mass < 1.0 => nucleus(heated, mass),
                    _ => heated,
                }
            }
        };
        let mut clusters = match &self.overlay {
            Some(overlay) => overlay.applied(clusters, sampling, row),
            None => clusters,
        };
        if self.length_by_temperature != 0.0 {
            let longer = (self.length_by_temperature * (temperature - 1.0)).exp();
            for cluster in &mut clusters {
                cluster.length *= longer;
                cluster.spread *= longer;
            }
        }
        clusters
    }

    /// The exact expected success and inference cost in dollars, the mean over all rows.
    pub fn truth(&self, settings: &Settings) -> (f64, f64) {
        let n = f64::from(settings.extent.n);
        let values = self.row_values(&settings.sampling, settings.extent.max_tokens);
        (values.utility(n), values.cost(n))
    }

    /// What one response comes to on every row.
    pub fn row_values(&self, sampling: &Sampling, max_tokens: u32) -> RowValues {
        self.answers(sampling).row_values(max_tokens)
    }

    /// Where the answers to all rows come from under some sampling settings.
    pub fn answers(&self, sampling: &Sampling) -> Answers {
        let (input, output) = self.models[sampling.model].usd_per_million;
        let rows = self.prompt_tokens.len();
        let tokens = |row| self.tokens_of_prompt(sampling.prompt, row) as f64;
        Answers {
            rows: (0..rows)
                .map(|row| self.distribution(sampling, row))
                .collect(),
            prompt: input * (0..rows).map(tokens).sum::<f64>() / 1e6 / rows as f64,
            token: output / 1e6,
        }
    }

    /// Tokens of a prompt for a row.
    pub fn tokens_of_prompt(&self, template: usize, row: usize) -> u64 {
        self.prompt_tokens[row] + self.templates[template].tokens
    }
}

/// Where answers come from under some sampling settings, and what they cost.
#[derive(Debug)]
pub struct Answers {
    rows: Vec<Vec<Cluster>>,
    /// What a prompt costs in dollars, the mean over the rows, and what a token of an answer does.
    prompt: f64,
    token: f64,
}

impl Answers {
    /// What one response comes to on every row.
    pub fn row_values(&self, max_tokens: u32) -> RowValues {
        let cap = f64::from(max_tokens);
        let mut values = RowValues {
            chances: Vec::with_capacity(self.rows.len()),
            prompt: self.prompt,
            response: 0.0,
        };
        for clusters in &self.rows {
            let (mut chance, mut tokens) = (0.0, 0.0);
            for cluster in clusters {
                let (fits, length) = under(cluster, cap);
                chance += cluster.probability * f64::from(u8::from(cluster.right)) * fits;
                tokens += cluster.probability * length;
            }
            values.chances.push(chance);
            values.response += tokens * self.token;
        }
        values.response /= self.rows.len() as f64;
        values
    }
}

/// What one response comes to: its chance of being right by row, and what the prompt and a response
/// cost in dollars, the mean over the rows.
#[derive(Debug, Clone)]
pub struct RowValues {
    chances: Vec<f64>,
    prompt: f64,
    response: f64,
}

impl RowValues {
    /// The expected success of n responses, the mean over the rows.
    pub fn utility(&self, n: f64) -> f64 {
        let right = self
            .chances
            .iter()
            .map(|chance| 1.0 - (1.0 - chance).powf(n));
        right.sum::<f64>() / self.chances.len() as f64
    }

    /// What n responses cost.
    pub fn cost(&self, n: f64) -> f64 {
        self.prompt + n * self.response
    }
}

impl Endpoint for World {
    fn rows(&self) -> usize {
        self.prompt_tokens.len()
    }

    fn prompt_tokens(&self, settings: &Settings, row: usize) -> u64 {
        self.tokens_of_prompt(settings.sampling.prompt, row)
    }

    fn prompt_token_bound(&self, prompt: usize, row: usize) -> u64 {
        // Rows are as long in bytes as they have tokens.
        self.prompt_tokens[row] + self.templates[prompt].tokens.max(1) + 16
    }

    fn draw(
        &self,
        settings: &Settings,
        row: usize,
        generator: &mut ChaCha8Rng,
    ) -> Result<DrawNumber, RequestFailure> {
        let clusters = self.distribution(&settings.sampling, row);
        let mut left: f64 = generator.random();
        let picked = (0_u64..).zip(&clusters).find(|(_, cluster)| {
            left -= cluster.probability;
            left < 0.0
        });
        let Some((place, cluster)) = picked.or((0..).zip(&clusters).last()) else {
            return Err(RequestFailure::Failed("no answer is known".to_owned()));
        };
        let length: f64 = StandardNormal.sample(generator);
        let length = (cluster.length + cluster.spread * length).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of tokens above 0"
        )]
        let length = length.max(SHORTEST) as u64;
        Ok(DrawNumber(
            place << CLUSTER_SHIFT | length << 1 | u64::from(cluster.right),
        ))
    }

    fn response(
        &self,
        _settings: &Settings,
        _row: usize,
        draw: DrawNumber,
        max_tokens: u32,
    ) -> Response {
        let (_, tokens, right) = read(draw);
        let ended = tokens <= u64::from(max_tokens);
        Response {
            tokens: tokens.min(max_tokens.into()),
            ended,
            // What an answer comes to is said at its end.
            score: f64::from(u8::from(right && ended)),
        }
    }

    /// All right answers are the same, and each cluster of wrong ones is one of its own. A cut answer says
    /// nothing.
    fn observation(
        &self,
        settings: &Settings,
        row: usize,
        draw: DrawNumber,
        max_tokens: u32,
    ) -> Observation {
        let response = self.response(settings, row, draw, max_tokens);
        let (place, _, right) = read(draw);
        Observation {
            answer: response
                .ended
                .then_some(AnswerKey(if right { 0 } else { place + 1 })),
            ..response.score.into()
        }
    }

    fn chance(&self, settings: &Settings, row: usize) -> f64 {
        let cap = f64::from(settings.extent.max_tokens);
        let clusters = self.distribution(&settings.sampling, row).into_iter();
        let right = clusters.filter(|cluster| cluster.right);
        right
            .map(|cluster| cluster.probability * under(&cluster, cap).0)
            .sum()
    }

    fn expected_tokens(&self, settings: &Settings, row: usize) -> f64 {
        let cap = f64::from(settings.extent.max_tokens);
        let clusters = self.distribution(&settings.sampling, row).into_iter();
        clusters
            .map(|cluster| cluster.probability * under(&cluster, cap).1)
            .sum()
    }
}

/// The chance that an answer of a cluster is no longer than a limit, and its expected length under it.
fn under(cluster: &Cluster, cap: f64) -> (f64, f64) {
    let spread = cluster.spread.max(1e-6);
    let z = (cap - cluster.length) / spread;
    let fits = 0.5 * (1.0 + libm::erf(z / std::f64::consts::SQRT_2));
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (
        fits,
        cluster.length * fits - spread * density + cap * (1.0 - fits),
    )
}

/// Where a drawn answer's cluster stands among those of its row; its length in tokens and whether it is
/// right lie below.
const CLUSTER_SHIFT: u32 = 40;

/// Its cluster, its length in tokens, and whether it is right.
const fn read(draw: DrawNumber) -> (u64, u64, bool) {
    let below = draw.0 & ((1 << CLUSTER_SHIFT) - 1);
    (draw.0 >> CLUSTER_SHIFT, below >> 1, below & 1 == 1)
}

fn clusters(row: &WrittenRow, model: &str) -> anyhow::Result<Source> {
    let of_model = row.clusters.get(model).context("a model has no answers")?;
    let cluster = |WrittenCluster(probability, right, length, spread): &WrittenCluster| Cluster {
        probability: *probability,
        right: *right,
        length: *length,
        spread: *spread,
    };
    Ok(Source::Clusters(of_model.iter().map(cluster).collect()))
}

fn listing(listed: &Listed, model: &str, template: &Template, row: &str) -> anyhow::Result<Source> {
    let name = template.name.as_deref().unwrap_or_default();
    let of_model = listed.get(model).context("a model has no answers")?;
    let cells = of_model.get(name).context("a prompt has no answers")?;
    let mut found = Vec::new();
    for (temperature, rows) in cells {
        if let Some(answers) = rows.get(row) {
            found.push((temperature.parse()?, answers.clone()));
        }
    }
    found.sort_by(|one: &(f64, _), other| one.0.total_cmp(&other.0));
    anyhow::ensure!(!found.is_empty(), "a row has no answers");
    Ok(Source::Listed(found))
}

/// The answers of the two temperatures around one, mixed.
fn mixed(cells: &[(f64, Vec<Answer>)], temperature: f64) -> Vec<Cluster> {
    let last = cells.len() - 1;
    let temperature = temperature.clamp(cells[0].0, cells[last].0);
    let above = cells
        .iter()
        .position(|cell| cell.0 >= temperature - 1e-9)
        .unwrap_or(last);
    let below = cells
        .iter()
        .rposition(|cell| cell.0 <= temperature + 1e-9)
        .unwrap_or(0);
    let (low, high) = (&cells[below], &cells[above]);
    let share = if above == below {
        0.0
    } else {
        (temperature - low.0) / (high.0 - low.0)
    };
    let mut clusters = Vec::new();
    for (cell, share) in [(low, 1.0 - share), (high, share)] {
        if share <= 0.0 {
            continue;
        }
        let each = share / cell.1.len() as f64;
        clusters.extend(cell.1.iter().map(|Answer(length, right)| Cluster {
            probability: each,
            right: *right,
            length: *length,
            spread: LISTED_SPREAD,
        }));
    }
    clusters
}

fn heated(
    clusters: &[Cluster],
    template: &Template,
    model: &Model,
    temperature: f64,
) -> Vec<Cluster> {
    let temperature = temperature.max(COLDEST);
    let log = |cluster: &Cluster| {
        let bonus = if cluster.right {
            template.bonus * model.heeds
        } else {
            0.0
        };
        (cluster.probability.ln() + bonus) * (model.t0 / temperature)
    };
    let logs: Vec<f64> = clusters.iter().map(log).collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    let apart = 1.0 / (1.0 + (-(temperature - model.breaks) / BREAKING).exp());
    let mut heated: Vec<Cluster> = clusters
        .iter()
        .zip(&weights)
        .map(|(cluster, weight)| Cluster {
            probability: weight / total * (1.0 - apart),
            length: cluster.length * template.len_mult,
            ..*cluster
        })
        .collect();
    let length: f64 = heated
        .iter()
        .map(|cluster| cluster.probability * cluster.length)
        .sum();
    let length = RAMBLING * length / (1.0 - apart).max(1e-9) + 1.0;
    heated.push(Cluster {
        probability: apart,
        right: false,
        length,
        spread: length * RAMBLING_SPREAD,
    });
    heated
}

/// The likeliest answers that together have this share of the mass.
fn nucleus(clusters: Vec<Cluster>, mass: f64) -> Vec<Cluster> {
    let mut sorted = clusters;
    sorted.sort_by(|one, other| other.probability.total_cmp(&one.probability));
    let mut total = 0.0;
    let mut kept = Vec::new();
    for cluster in sorted {
        if !kept.is_empty() && total >= mass.max(1e-9) {
            break;
        }
        total += cluster.probability;
        kept.push(cluster);
    }
    for cluster in &mut kept {
        cluster.probability /= total;
    }
    kept
}
