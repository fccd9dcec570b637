//! What `frugal demo` takes.

use clap::{Args, ValueEnum};
use frugal_domain::endpoint::Api;

/// The seed of the demo where none is given, so that it shows the same thing every time.
pub const SEED: u64 = 1;

/// What `frugal demo` takes. Without any of it, a job on recorded answers of two small models.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Stop once the results are printed, instead of serving them until Ctrl-C
    #[arg(long)]
    pub exit: bool,
    /// Run the job configuration by configuration too, without pruning and with it, and compare
    /// what the same budget buys
    #[arg(long)]
    pub compare_pruning: bool,
    /// Tune a model of your own: the URL of an OpenAI-compatible server, up to and with /v1
    ///
    /// The 40 word problems are the same, and the answers come from there. For example:
    /// --base-url http://127.0.0.1:8080/v1 --model qwen3-0.6b
    #[arg(long, value_name = "URL", requires = "model")]
    pub base_url: Option<String>,
    /// The model's name at that server
    #[arg(long, value_name = "NAME", requires = "base_url")]
    pub model: Option<String>,
    /// Which of the server's APIs to call: /chat/completions, or /completions for base models
    #[arg(
        long,
        value_name = "API",
        value_enum,
        default_value_t,
        requires = "base_url"
    )]
    pub api: ApiName,
    /// The environment variable that holds the server's key, if it asks for one
    #[arg(long, value_name = "VARIABLE", requires = "base_url")]
    pub api_key_env: Option<String>,
    /// What the model charges for prompts, in dollars per million tokens
    ///
    /// With prices the budgets are in dollars, without them in tokens.
    #[arg(long, value_name = "DOLLARS", requires_all = ["base_url", "output_price"])]
    pub input_price: Option<f64>,
    /// What the model charges for answers, in dollars per million tokens
    #[arg(long, value_name = "DOLLARS", requires_all = ["base_url", "input_price"])]
    pub output_price: Option<f64>,
    /// The most that one instance may cost under a configuration, in dollars or tokens
    ///
    /// Prompt and all n answers together, as a mean over the instances. [default: 0.0001
    /// dollars for the recorded models, 300 tokens for one without prices]
    #[arg(long, value_name = "AMOUNT")]
    pub inference_budget: Option<f64>,
    /// The most that the whole search may spend, in dollars or tokens
    ///
    /// [default: 500 times the inference budget]
    #[arg(long, value_name = "AMOUNT")]
    pub budget: Option<f64>,
    /// Fixes every random draw of the search and of the requests
    #[arg(long, value_name = "NUMBER", default_value_t = SEED)]
    pub seed: u64,
}

impl Default for DemoArgs {
    fn default() -> Self {
        Self {
            exit: false,
            compare_pruning: false,
            base_url: None,
            model: None,
            api: ApiName::default(),
            api_key_env: None,
            input_price: None,
            output_price: None,
            inference_budget: None,
            budget: None,
            seed: SEED,
        }
    }
}

/// The two APIs of an OpenAI-compatible server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ApiName {
    /// /chat/completions
    #[default]
    Chat,
    /// /completions
    Completions,
}

impl From<ApiName> for Api {
    fn from(name: ApiName) -> Self {
        match name {
            ApiName::Chat => Self::Chat,
            ApiName::Completions => Self::Completions,
        }
    }
}
