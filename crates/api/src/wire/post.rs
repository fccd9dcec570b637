//! The body of `POST /jobs`, for its description only: it is read by `frugal_intake`,
//! which finds every fault at once. A test holds the two against each other.

use super::demonstrations::DemonstrationsPost;
use super::scorer::ScorerPost;
use super::{
    Budget, ConfigurationPost, Constraint, Direction, Metric, Reducer, Reference, SearchPost,
    SearchSpacePost,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A job to be carried out: some data, how an answer is scored, the settings that may vary, what
/// one answer may cost and what the whole search may cost. Everything but the data, the models
/// (or one `model`), the prompts (or one `prompt`) and the scoring has a default. Unknown fields
/// are errors.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!(super::example::job()))]
#[serde(deny_unknown_fields)]
pub struct JobPost {
    /// A name for people.
    #[schema(nullable = true, min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Labels for people and tools, at most 64.
    pub labels: Option<BTreeMap<String, String>>,
    /// How urgent the job is among those that wait; 0 by default. Higher ones go first; among equal ones the
    /// owner with the fewest running jobs does, and then the oldest.
    #[schema(nullable = true, minimum = -9, maximum = 9)]
    pub priority: Option<i16>,
    /// When the job may be begun at the earliest (RFC 3339, with an offset); at once by default, and where
    /// that moment is over.
    #[schema(nullable = true)]
    pub not_before: Option<DateTime<Utc>>,
    /// The rows to tune on.
    pub data: DataPost,
    /// The models to choose from. Give either this or `model`.
    #[schema(min_items = 1, max_items = 64)]
    pub models: Option<Vec<ModelPost>>,
    /// The only model.
    pub model: Option<ModelPost>,
    /// The prompts to choose from. Give either this or `prompt`.
    #[schema(min_items = 1, max_items = 64)]
    pub prompts: Option<Vec<PromptPost>>,
    /// The only prompt.
    pub prompt: Option<PromptPost>,
    /// The settings that vary, by name. By default `temperature` from 0 to 2 or `top_p` from 0
    /// to 1, `max_tokens` from 50 to 1000, `n` from 1 to 100. Where it is given without
    /// `max_tokens` or `n`, those are 1000 and 1.
    pub search_space: Option<SearchSpacePost>,
    /// Rows that prompts may show as examples, in their variable `demonstrations`. Every way of showing them
    /// makes a prompt of its own of each prompt that does.
    pub demonstrations: Option<DemonstrationsPost>,
    /// How an answer is scored.
    pub scoring: ScoringPost,
    /// What the search is after. By default the most of `scoring.reduce`.
    pub objective: Option<ObjectivePost>,
    /// What a configuration must keep besides to be valid; nothing by default. One that does not
    /// is still evaluated and shown, but it never wins. What an instance may cost is given as
    /// `budgets.inference`.
    #[schema(max_items = 16)]
    pub constraints: Option<Vec<Constraint>>,
    /// What may be spent.
    pub budgets: Option<BudgetsPost>,
    /// Limits other than money.
    pub limits: Option<LimitsPost>,
    /// How the search is run.
    pub search: Option<SearchPost>,
    /// What the winner is compared with: settings by name, or `false` for no comparison. What is
    /// left out, or the whole of it, is what one gets without tuning: the first model that can be
    /// afforded, the first prompt, temperature 1, one response with as many tokens as the space
    /// allows. A model can be afforded if this is expected to cost no more than the inference
    /// budget, responses being taken to have `max_tokens` tokens and no more than 256; if none can
    /// be, it is the cheapest. The values need not be among those of the search space: a baseline is
    /// what one has today. Its model and prompt are among the job's, and its settings are Frugal's
    /// own or have a name that the search space knows.
    pub baseline: Option<BaselinePost>,
    /// An earlier job that this one takes over from, as far as both agree.
    pub warm_start: Option<WarmStartPost>,
    /// Configurations to try first: settings by name. What is left out is as in the default
    /// baseline.
    #[schema(max_items = 64)]
    pub start: Option<Vec<ConfigurationPost>>,
}

/// An earlier job whose responses are free where model, endpoint, prompt, sampling settings and row are the same,
/// whose scores stand where the scoring is, and whose configurations are tried first. It must have ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmStartPost {
    /// Its id.
    pub job: Uuid,
}

/// Settings by name, or `false`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BaselinePost {
    /// `false`: no comparison.
    None(bool),
    /// The settings.
    Configuration(ConfigurationPost),
}

/// The rows of a job: its own or those of a dataset, all or some of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataPost {
    /// The rows: the variables of the prompts and of the expected answer, by name. A row may
    /// have an `id`; ids must differ. Give either this or `dataset`.
    #[schema(min_items = 1, max_items = 100_000)]
    pub instances: Option<Vec<Map<String, Value>>>,
    /// The name or the id of a dataset, whose rows are copied.
    #[schema(min_length = 1, example = "gsm8k")]
    pub dataset: Option<String>,
    /// Only rows that have these values are tuned on: fields with a value, or an array of the values
    /// that will do.
    #[schema(example = json!({"split": "train"}))]
    pub r#where: Option<Map<String, Value>>,
    /// How many of these rows are taken.
    pub sample: Option<SamplePost>,
    /// Rows that only the winner and the baseline are scored on, in the end. None by default.
    pub holdout: Option<HoldoutPost>,
}

/// A part of the rows, drawn by a seed of its own: jobs over the same rows take the same ones.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SamplePost {
    /// The most rows that are taken.
    #[schema(minimum = 1, example = 200)]
    pub rows: u32,
    /// Chooses the rows; 0 by default.
    #[schema(nullable = true, minimum = 0)]
    pub seed: Option<u64>,
}

/// Rows held out from the search: a share of the rows that are tuned on, drawn by the seed of the
/// search; those of the data that have certain values; or rows of their own.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum HoldoutPost {
    /// A share of the instances, from 0 to below 1, as its number alone.
    #[schema(example = 0.3)]
    Number(f64),
    /// A share.
    Share {
        /// The share of the instances that is held out.
        #[schema(minimum = 0, exclusive_maximum = 1, example = 0.3)]
        share: f64,
    },
    /// Rows.
    Rows(HoldoutRowsPost),
}

/// Rows held out by what they are. Without `instances` and `dataset` they are those of the data that
/// have the values of `where`, and none of these is tuned on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldoutRowsPost {
    /// Rows that are not among the data's.
    #[schema(min_items = 1, max_items = 100_000)]
    pub instances: Option<Vec<Map<String, Value>>>,
    /// The name or the id of a dataset.
    #[schema(min_length = 1)]
    pub dataset: Option<String>,
    /// Only rows that have these values.
    #[schema(example = json!({"split": "test"}))]
    pub r#where: Option<Map<String, Value>>,
    /// How many of these rows are taken.
    pub sample: Option<SamplePost>,
}

/// A model that the job may choose: its name where only one endpoint has such a model, or an object.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ModelPost {
    /// The name of a model that one endpoint has.
    #[schema(example = "gemma-3-270m")]
    Name(String),
    /// A model of a named endpoint.
    Of(ModelOfPost),
}

/// A model of a named endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelOfPost {
    /// One of the endpoints of `GET /endpoints`.
    #[schema(min_length = 1, example = "local")]
    pub endpoint: String,
    /// One of its models.
    #[schema(min_length = 1, example = "gemma-3-270m")]
    pub model: String,
    /// Settings that vary for this model only.
    pub search_space: Option<SearchSpacePost>,
}

/// What is asked, as a Jinja template over an instance: a text, or an object with exactly one
/// of `text` and `messages`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PromptPost {
    /// A text. Its name is `prompt-0`, `prompt-1`, … by its position.
    Plain(String),
    /// A text with a name: sent as it is to a completions model, as the user's message to a
    /// chat model.
    Text {
        /// Unlike that of any other prompt of the job; `prompt-0`, `prompt-1`, … by default.
        #[schema(nullable = true)]
        name: Option<String>,
        /// The template.
        #[schema(min_length = 1)]
        text: String,
    },
    /// Chat messages. Models that take text only cannot be asked this way.
    Messages {
        /// Unlike that of any other prompt of the job; `prompt-0`, `prompt-1`, … by default.
        #[schema(nullable = true)]
        name: Option<String>,
        /// The messages.
        #[schema(min_items = 1)]
        messages: Vec<MessagePost>,
    },
}

/// A chat message.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagePost {
    /// Whose it is.
    pub role: MessageRole,
    /// Its text, a template.
    pub content: String,
}

/// Whose a chat message is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// Instructions.
    System,
    /// Instructions, under the newer name.
    Developer,
    /// The user's.
    User,
    /// The model's.
    Assistant,
}

/// How an answer is scored.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoringPost {
    /// Scores one response: 1 for right, 0 for wrong.
    pub scorer: ScorerPost,
    /// Chooses which of an instance's n responses is given: the one that this scorer says the most of, and
    /// of several the mean of their scores. It only reads: `judge` and `code` are refused. Nothing chooses by
    /// default. In use it has to choose without knowing what is right, so it should look at the response and
    /// the fields that the prompt shows.
    pub selector: Option<ScorerPost>,
    /// What is made of the scores of an instance's n responses; `best_of_n` by default where there is a
    /// `selector`, otherwise `expected_success`, and `mean`
    /// where the scorer gives shares (`json`, `token_f1`, `rouge`, `bleu`, `chrf`, `edit_similarity`, `code` with
    /// `partial`, `composite`, `judge`).
    pub reduce: Option<Reducer>,
}

/// What the search is after.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectivePost {
    /// The metric; `scoring.reduce` by default.
    pub metric: Option<Metric>,
    /// Whether more is better; `maximize` by default.
    pub direction: Option<Direction>,
    /// In place of both: the least inference cost of answers that are as good as others.
    pub cheapest: Option<CheapestPost>,
}

/// The least inference cost of answers that are as good as the baseline's, or as some value says: those
/// of configurations whose mean of a metric is, with this confidence, no lower than the reference's less
/// the margin. `{}` is the least cost of answers as good as the baseline's.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheapestPost {
    /// What says how good answers are: one of the reducers; `scoring.reduce` by
    /// default.
    pub metric: Option<Metric>,
    /// What they must be as good as: `"baseline"` (the default), instance by instance, or a mean of the
    /// metric from 0 to 1.
    pub as_good_as: Option<Reference>,
    /// How much lower the mean may be and still be as good; 0.05 by default.
    #[schema(nullable = true, minimum = 0, exclusive_maximum = 1, example = 0.02)]
    pub margin: Option<f64>,
    /// How sure it is to be that the mean is no lower; 0.95 by default.
    #[schema(nullable = true, minimum = 0.5, maximum = 0.999, example = 0.95)]
    pub confidence: Option<f64>,
}

/// What may be spent. Dollars need models with known prices; tokens do not.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetsPost {
    /// The most that one instance may cost under a configuration; no limit by default.
    pub inference: Option<Budget>,
    /// The most that the whole job may spend; by default 1 dollar, or 1,000,000 tokens where a
    /// model has no price.
    pub optimization: Option<Budget>,
}

/// Limits other than money.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsPost {
    /// The most trials that the searcher may propose; 100 by default.
    #[schema(nullable = true, minimum = 1, maximum = 100_000)]
    pub trials: Option<u32>,
    /// The most seconds from the first start, those not counted for which the job is paused; no limit by
    /// default.
    #[schema(nullable = true, minimum = 1, maximum = 2_678_400)]
    pub seconds: Option<u64>,
    /// The search ends after so many trials in a row that are no better than the best before
    /// them; those that were pruned, refused or failed count too. Trials under way are then
    /// waited for, and the search goes on if one of them is better. No limit by default.
    #[schema(nullable = true, minimum = 1, maximum = 100_000)]
    pub trials_without_improvement: Option<u32>,
}
