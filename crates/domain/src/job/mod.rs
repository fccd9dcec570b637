//! A job: one tuning task as a client posted it, read and checked.
//!
//! [`points`] derives what the search needs from it: the settings that a configuration stands for,
//! the default configuration, the cheap starts. [`settings`] says which values settings may have,
//! [`algorithm`] has the optimisers, [`EvaluationSpec`] is what stands in the place of a search.

pub mod algorithm;
mod evaluation;
mod judge;
mod objective;
pub mod points;
mod priority;
pub mod settings;
mod terms;

pub use algorithm::Algorithm;
pub use evaluation::{EvaluationSpec, JobKind, NamedConfiguration, TrialReference};
pub use judge::JudgeSpec;
pub use objective::{Direction, NonInferiority, Objective, Reference, measures_latency};
pub use priority::{NoPriority, Priority};
pub use terms::Terms;

use crate::configuration::Configuration;
use crate::id::DatasetId;
use crate::metric::{Constraint, Metric};
use crate::money::{Budget, Prices, Unit};
use crate::names::names;
use crate::prompt::Prompt;
use crate::scoring::ScorerSpec;
use crate::seed::order;
use crate::space::Space;
use crate::warm_start::WarmStart;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One row of the data: the variables of the prompt and what a good answer is.
pub type Instance = Map<String, Value>;

/// The name of the dimension that holds the model, where there is more than one: a
/// [`crate::space::Domain::OneOf`] with a branch per model.
pub const MODEL: &str = "model";

/// The most that is kept back from the search for the held-out instances, as a part of the
/// optimization budget: one in so many.
const SMALLEST_PART_KEPT: u64 = 4;

/// What is kept back for them where it is not known what they may cost: one part in so many.
const PART_KEPT_UNKNOWN: u64 = 8;

/// The most that the baseline may cost, as a part of the optimization budget: one in so many. Where
/// others must be as good, what is not known of it is known of none, so it may cost more.
const PART_FOR_BASELINE: u64 = 10;
const PART_FOR_REFERENCE: u64 = 5;

/// Tells the draw of the order of rows from others by the same seed.
const ROW_ORDER: u64 = 0x006f_7264_6572;

/// The name of the dimension that holds the prompt's name, where there is more than one.
pub const PROMPT: &str = "prompt";

/// The name by which settings tell which demonstrations the prompt shows.
pub const DEMONSTRATIONS: &str = "demonstrations";

/// A job, read and checked, but for its instances, which are kept apart from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// A name for people.
    pub name: Option<String>,
    /// Labels for people and tools.
    pub labels: BTreeMap<String, String>,
    /// How urgent it was when it was posted. What it is now stands with the job.
    #[serde(default)]
    pub priority: Priority,
    /// When it may be begun at the earliest.
    #[serde(default)]
    pub not_before: Option<DateTime<Utc>>,
    /// The dataset that its rows were taken from, if they did not come with it. They are copied, so
    /// it may be gone by now.
    #[serde(default)]
    pub dataset: Option<DatasetReference>,
    /// The dataset that the held-out rows were taken from, where these are others.
    #[serde(default)]
    pub holdout_dataset: Option<DatasetReference>,
    /// The models to choose from, at least one.
    pub models: Vec<ModelChoice>,
    /// The prompts to choose from, at least one, with names of their own.
    pub prompts: Vec<Prompt>,
    /// The rows that prompts may show as demonstrations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<Instance>,
    /// The whole search space, model and prompt included.
    pub space: Space,
    /// How an answer is scored.
    pub scorer: ScorerSpec,
    /// The scorer that chooses which of the n responses is given, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<ScorerSpec>,
    /// The models that judge answers, where the scorer asks any, in the order of its parts.
    #[serde(
        default,
        alias = "judge",
        deserialize_with = "judge::one_or_several",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub judges: Vec<JudgeSpec>,
    /// What the search is after.
    pub objective: Objective,
    /// What a configuration must keep besides, to be valid.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// The most that one instance may cost under a configuration.
    pub inference_budget: Option<Budget>,
    /// The most that the whole job may spend.
    pub optimization_budget: Budget,
    /// Limits other than money.
    pub limits: Limits,
    /// How the search is run.
    pub search: SearchSpec,
    /// The configuration that the winner is compared with, if any.
    pub baseline: Option<Configuration>,
    /// Configurations to try first.
    pub start: Vec<Configuration>,
    /// What it takes over from an earlier job, where it does. Its configurations are among those to try first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStart>,
    /// The configurations that are evaluated in the place of a search, of a job of that kind. The space
    /// is empty then, no row is held out and there is no baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationSpec>,
}

impl JobSpec {
    /// Whether a trial of the search is asked for by requests of its own, since configurations are told
    /// apart by how long their answers take. A profile reads them all from the same responses.
    #[must_use]
    pub fn measures_own_latency(&self) -> bool {
        let is_asked_for = self
            .evaluation
            .as_ref()
            .is_some_and(|evaluation| evaluation.measures_latency);
        self.search.extent == ExtentChoice::Searched
            && (is_asked_for || measures_latency(&self.objective, &self.constraints))
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> JobKind {
        match self.evaluation {
            Some(_) => JobKind::Evaluation,
            None => JobKind::Tuning,
        }
    }

    /// All models that are asked, by position: those to choose from, and behind them the judges.
    pub fn asked_models(&self) -> impl Iterator<Item = &ModelChoice> {
        let judges = self.judges.iter().map(|judge| &judge.model);
        self.models.iter().chain(judges)
    }

    /// Whether the objective, what must be as good, or a constraint is about a metric.
    #[must_use]
    pub fn asks_for(&self, metric: Metric) -> bool {
        let standard = self.objective.cheapest.map(|standard| standard.metric);
        self.objective.metric == metric
            || standard == Some(metric)
            || self.constraints.iter().any(|one| one.metric == metric)
    }

    /// The order in which every trial looks at the rows: drawn, since the first few stand for all.
    #[must_use]
    pub fn row_order(&self, rows: usize) -> Vec<usize> {
        order(rows, self.search.seed ^ ROW_ORDER)
    }

    /// What is kept back so that the search leaves enough for the winner and the baseline on so
    /// many held-out rows: twice what they may cost under the inference budget, and at most a
    /// quarter of the optimization budget. Where there is no inference budget, or one in another
    /// unit, an eighth if the cheapest is sought that is as good, which only these rows can show, and
    /// else nothing. A quarter where a judge has to be asked about their answers too. Nothing where there
    /// is no such row.
    #[must_use]
    pub fn kept_for_holdout(&self, rows: u64) -> Option<Budget> {
        let optimization = self.optimization_budget;
        if rows == 0 {
            return None;
        }
        if !self.judges.is_empty() {
            let kept = optimization.amount() / SMALLEST_PART_KEPT;
            return Some(optimization.unit().budget(kept));
        }
        let known = |budget: &Budget| budget.unit() == optimization.unit();
        let Some(inference) = self.inference_budget.filter(known) else {
            let kept = optimization.amount() / PART_KEPT_UNKNOWN;
            let budget = optimization.unit().budget(kept);
            return self.objective.cheapest.map(|_| budget);
        };
        let wanted = inference.amount().saturating_mul(rows).saturating_mul(2);
        let kept = wanted.min(optimization.amount() / SMALLEST_PART_KEPT);
        Some(optimization.unit().budget(kept))
    }

    /// What the baseline may cost: a tenth of the optimization budget, or a fifth where others must
    /// be as good. It stops there, and is reported on what was seen.
    #[must_use]
    pub fn baseline_allowance(&self) -> Budget {
        let parts = if self.objective.refers_to_baseline() {
            PART_FOR_REFERENCE
        } else {
            PART_FOR_BASELINE
        };
        let part = self.optimization_budget.amount() / parts;
        self.optimization_budget.unit().budget(part)
    }

    /// The unit in which inference costs are counted and compared.
    #[must_use]
    pub fn cost_unit(&self) -> Unit {
        self.inference_budget
            .unwrap_or(self.optimization_budget)
            .unit()
    }
}

/// A dataset as it was when a job took its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetReference {
    /// Its id.
    pub id: DatasetId,
    /// Its name.
    pub name: String,
    /// SHA-256 of its rows, in hexadecimal digits.
    pub sha256: String,
}

/// A model that the job may choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// The operator's name of the endpoint.
    pub endpoint: String,
    /// The model's name at that endpoint.
    pub model: String,
    /// What it charged when the job was accepted. Zero where the operator gave no price,
    /// which only jobs that budget tokens may use.
    pub prices: Prices,
}

/// Limits other than money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most trials that the searcher may propose (the baseline is not one of them).
    pub trials: u32,
    /// The most seconds from the first start, those not counted for which it is paused.
    pub seconds: Option<u64>,
    /// Trials told in a row without a better one after which the search ends.
    #[serde(default)]
    pub trials_without_improvement: Option<u32>,
}

/// How the search is run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SearchSpec {
    /// The optimiser and its options.
    #[serde(flatten)]
    pub algorithm: Algorithm,
    /// The seed of every random draw.
    pub seed: u64,
    /// How `n` and `max_tokens` are chosen. A stored search without it is one that searched them.
    #[serde(default)]
    pub extent: ExtentChoice,
    /// Whether hopeless configurations are thrown out early.
    pub pruning: Pruning,
    /// Whose responses may be used again.
    #[serde(default)]
    pub reuse: Reuse,
    /// Trials evaluated at the same time. The order of proposals depends on it.
    pub parallel_trials: u32,
    /// Requests under way at the same time, all trials together.
    pub requests_in_flight: u32,
}

names! {
    /// How `n` and `max_tokens` are chosen.
    #[derive(Default)]
    pub enum ExtentChoice: "choice of the extent" {
        /// The sampling settings are searched; the extent of each is read from what was drawn for
        /// it.
        Profiled = "profiled",
        /// They are searched like every other setting, each configuration being evaluated apart.
        #[default]
        Searched = "searched",
    }
}

names! {
    /// Whose responses may be used again.
    #[derive(Default)]
    pub enum Reuse: "reuse" {
        /// The job's own.
        #[default]
        Job = "job",
        /// Those of every job of the same owner, where endpoint, model, rendered prompt and sampling
        /// settings are the same.
        Owner = "owner",
    }
}

names! {
    /// When configurations are thrown out early.
    pub enum Pruning: "pruning" {
        /// As soon as they cannot be worth their price, with everything known put to use.
        On = "on",
        /// Never: each configuration is evaluated in full.
        Off = "off",
        /// By the reference implementation's schedule, request by request.
        Reference = "reference",
    }
}

names! {
    /// Which part of a job's data a row belongs to.
    pub enum Split: "split" {
        /// The search sees it.
        Tuning = "tuning",
        /// Only the winner and the baseline are scored on it, in the end.
        Holdout = "holdout",
    }
}

/// The rows of a job's data, split.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Data {
    /// Instances that the search sees.
    pub tuning: Vec<Instance>,
    /// Instances that only the winner and the baseline are scored on, in the end.
    pub holdout: Vec<Instance>,
}

impl Data {
    /// The rows of a split.
    #[must_use]
    pub fn rows(&self, split: Split) -> &[Instance] {
        match split {
            Split::Tuning => &self.tuning,
            Split::Holdout => &self.holdout,
        }
    }
}
