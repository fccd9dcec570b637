//! The body of `POST /evaluations`, for its description only: it is read by `frugal_intake`.

use super::super::demonstrations::DemonstrationsPost;
use super::super::{
    Budget, Constraint, DataPost, ModelPost, ObjectivePost, PromptPost, Reuse, ScoringPost,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Configurations to be evaluated side by side on given data. Everything but the data, the models (or one
/// `model`), the prompts (or one `prompt`), the scoring and the configurations has a default. Unknown
/// fields are errors.
///
/// A configuration may be taken from a job, and then brings its model and its prompt along. What is left out of
/// `scoring`, `objective`, `constraints` and `budgets.inference` is that of the first job that is named.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!(example()))]
#[serde(deny_unknown_fields)]
pub struct EvaluationPost {
    /// A name for people.
    #[schema(nullable = true, min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Labels for people and tools, at most 64.
    pub labels: Option<BTreeMap<String, String>>,
    /// How urgent it is among the jobs that wait, as of a job; 0 by default.
    #[schema(nullable = true, minimum = -9, maximum = 9)]
    pub priority: Option<i16>,
    /// When it may be begun at the earliest (RFC 3339, with an offset); at once by default.
    #[schema(nullable = true)]
    pub not_before: Option<DateTime<Utc>>,
    /// The rows to evaluate on. None are held out.
    pub data: DataPost,
    /// The models of the configurations. Give either this or `model`.
    #[schema(min_items = 1, max_items = 64)]
    pub models: Option<Vec<ModelPost>>,
    /// The only model.
    pub model: Option<ModelPost>,
    /// The prompts of the configurations. Give either this or `prompt`.
    #[schema(min_items = 1, max_items = 64)]
    pub prompts: Option<Vec<PromptPost>>,
    /// The only prompt.
    pub prompt: Option<PromptPost>,
    /// Rows that prompts may show as examples, in their variable `demonstrations`. Every way of showing them
    /// makes a prompt of its own of each prompt that does.
    pub demonstrations: Option<DemonstrationsPost>,
    /// How an answer is scored; that of the first job that is named, where one is.
    pub scoring: Option<ScoringPost>,
    /// What the configurations are ranked by. By default the most of `scoring.reduce`. `cheapest` is for
    /// jobs alone.
    pub objective: Option<ObjectivePost>,
    /// What a configuration must keep besides to be valid; nothing by default.
    #[schema(max_items = 16)]
    pub constraints: Option<Vec<Constraint>>,
    /// The configurations. No two may ask the same of the endpoint.
    #[schema(min_items = 1, max_items = 64)]
    pub configurations: Vec<GivenConfigurationPost>,
    /// The name of the configuration that the others are compared with; the first by default.
    #[schema(nullable = true, min_length = 1, example = "today")]
    pub reference: Option<String>,
    /// What may be spent.
    pub budgets: Option<EvaluationBudgetsPost>,
    /// Limits other than money.
    pub limits: Option<EvaluationLimitsPost>,
    /// Whether latency is measured; `false` by default, and `true` where `latency_ms` is in the objective
    /// or a constraint. No configuration then uses a response that another asked for, and one request is
    /// under way at a time unless `limits` say otherwise.
    #[schema(nullable = true)]
    pub measure_latency: Option<bool>,
    /// Whose responses may be used again; `job` by default: the evaluation's own. With `owner`, those of
    /// the owner's jobs that have ended are used too. Where a configuration won a job, its responses to the rows of
    /// that job's search are those that it was chosen by, and flatter it: take other rows.
    pub reuse: Option<Reuse>,
    /// The seed of every random draw; made up by the server by default. Each request has a seed of its own
    /// from it.
    #[schema(nullable = true, minimum = 0)]
    pub seed: Option<i64>,
}

/// A configuration by its settings. `temperature`, `top_p`, `max_tokens`, `n` and `stop` are Frugal's own; any
/// other name goes to the endpoint as it is. What is not given is not sent, but for `max_tokens` (1000) and `n`
/// (1).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({"name": "today", "model": "gemma-3-270m", "prompt": "direct", "temperature": 0, "max_tokens": 128}))]
pub struct GivenConfigurationPost {
    /// A name unlike that of any other configuration; `configuration-0`, `configuration-1`, … by default.
    #[schema(nullable = true, min_length = 1)]
    pub name: Option<String>,
    /// A job that the configuration is taken from, with its model and its prompt: its winner, or a `trial`.
    /// Nothing but a `name` may stand beside it.
    #[schema(nullable = true, example = "019abf3e-5f00-7000-8000-000000000000")]
    pub job: Option<String>,
    /// Which trial of the job, in the place of its winner. It must have ended. Those of evaluations may be
    /// named too.
    #[schema(nullable = true, minimum = 0, example = 12)]
    pub trial: Option<u32>,
    /// One of the models, by its name at its endpoint. It may be left out where there is one.
    #[schema(nullable = true, min_length = 1)]
    pub model: Option<String>,
    /// The model's endpoint, where two models have the same name.
    #[schema(nullable = true, min_length = 1)]
    pub endpoint: Option<String>,
    /// One of the prompts, by its name. It may be left out where there is one.
    #[schema(nullable = true, min_length = 1)]
    pub prompt: Option<String>,
    /// Which demonstrations the prompt shows, in the form in which configurations show it: `{"count": 4, "choice":
    /// "similar"}`. It may be left out where the prompt's name says it.
    #[schema(nullable = true, value_type = Option<Object>, example = json!({"count": 4, "choice": "similar"}))]
    pub demonstrations: Option<Value>,
    /// The sampling temperature.
    #[schema(nullable = true, minimum = 0, maximum = 100)]
    pub temperature: Option<f64>,
    /// The nucleus sampling mass.
    #[schema(nullable = true, minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// The most tokens that one response may have; 1000 by default.
    #[schema(nullable = true, minimum = 1, maximum = 1_000_000)]
    pub max_tokens: Option<u32>,
    /// Responses per instance; 1 by default.
    #[schema(nullable = true, minimum = 1, maximum = 1024)]
    pub n: Option<u32>,
    /// Texts that end a response: one, or a list of at most four.
    pub stop: Option<Value>,
    /// Further parameters, sent to the endpoint as they are.
    #[serde(flatten)]
    #[schema(additional_properties)]
    pub extra: BTreeMap<String, Value>,
}

/// What an evaluation may spend. Dollars need models with known prices; tokens do not.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationBudgetsPost {
    /// The most that one instance may cost under a configuration, which the report holds each against; no
    /// limit by default. A configuration that costs more is evaluated all the same.
    pub inference: Option<Budget>,
    /// The most that the whole evaluation may spend; by default 1 dollar, or 1,000,000 tokens where a model
    /// has no price. Where it does not pay for all, the rows that it pays for are seen under all
    /// configurations alike.
    pub evaluation: Option<Budget>,
}

/// Limits other than money.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationLimitsPost {
    /// The most seconds from the first start; no limit by default.
    #[schema(nullable = true, minimum = 1, maximum = 2_678_400)]
    pub seconds: Option<u64>,
    /// Requests under way at the same time; 32 by default, and 1 where latency is measured: the load that
    /// it is measured under.
    #[schema(nullable = true, minimum = 1, maximum = 1024)]
    pub requests_in_flight: Option<u32>,
}

/// An evaluation that shows most of what can be said in one.
fn example() -> Value {
    json!({
        "name": "today and two candidates",
        "data": {
            "instances": [
                {"id": "arith-0", "question": "Tom has 12 apples. Tom buys 7 more apples. How many apples does Tom have now?", "answer": "19"},
                {"id": "arith-1", "question": "Ana has 4 boxes with 5 cards in each box. How many cards are there in total?", "answer": "20"}
            ]
        },
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompts": [
            {"name": "direct", "text": "Question: {{ question }}\nAnswer:"},
            {"name": "steps", "messages": [{"role": "user", "content": "{{ question }} Think step by step."}]}
        ],
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "last_number"},
            "reduce": "majority"
        },
        "configurations": [
            {"name": "today", "model": "gemma-3-270m", "prompt": "direct", "temperature": 0, "max_tokens": 64},
            {"name": "votes", "model": "gemma-3-270m", "prompt": "steps", "temperature": 0.8, "n": 5, "max_tokens": 256},
            {"name": "small", "model": "smollm2-135m-instruct", "prompt": "steps", "temperature": 0.8, "n": 5, "max_tokens": 256}
        ],
        "reference": "today",
        "budgets": {"inference": {"usd": 0.0002}, "evaluation": {"usd": 0.5}},
        "limits": {"seconds": 3600, "requests_in_flight": 16},
        "seed": 1
    })
}
