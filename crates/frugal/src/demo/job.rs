//! What the demo tunes: the job that it posts, and the endpoints that the job may name.

use super::DemoArgs;
use anyhow::{Context, bail};
use frugal_domain::endpoint::{Api, Catalog, Endpoint, Model};
use frugal_domain::job::Pruning;
use frugal_domain::money::Prices;
use frugal_simulator::{Latency, Recordings, SimulatorOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The recorded task: 40 word problems, each with a number for an answer.
pub const TASK: &str = "arithmetic";

/// The name by which the job knows the endpoint.
pub const ENDPOINT: &str = "demo";

/// The recorded models, the first being the default, with dollars per million tokens of input
/// and output. They run on a laptop and have no price list; these are in the range and the
/// proportion of what providers ask for their smallest models, the smaller one at half.
const MODELS: [(&str, f64, f64); 2] = [
    ("gemma-3-270m", 0.05, 0.4),
    ("smollm2-135m-instruct", 0.025, 0.2),
];

/// The prompts by their recorded names, the better one first: the default is not made worse
/// than it would be.
const PROMPTS: [&str; 2] = ["cot", "direct"];

/// Dollars that one instance may cost: five answers of the first model to the first prompt, a
/// dozen of the second model's.
const INFERENCE_USD: f64 = 0.000_1;

/// The same for a model without prices, in tokens.
const INFERENCE_TOKENS: f64 = 300.0;

/// How many instances the optimization budget pays for at the inference budget: 20 configurations
/// on the 20 instances that the search sees, and what is kept for the others.
const INSTANCES_PAID: f64 = 500.0;

/// The share of the instances that the search does not see.
const HELD_OUT: f64 = 0.5;

/// The simulator that the demo runs against. Its answers take a moment, so that there is
/// something to watch.
#[must_use]
pub fn simulator_options() -> SimulatorOptions {
    SimulatorOptions {
        latency: Latency {
            base: Duration::from_millis(5),
            per_token: Duration::from_micros(100),
        },
        ..SimulatorOptions::default()
    }
}

/// The endpoints of the demo's server: the one that `args` names, else the simulator.
///
/// # Errors
/// Neither is there, or what `args` say of it makes no sense.
pub fn catalog(args: &DemoArgs, simulator: Option<&str>) -> anyhow::Result<Catalog> {
    let (base_url, api, models) = match (&args.base_url, &args.model, simulator) {
        (Some(base_url), Some(model), _) => {
            let known = Model {
                prices: own_prices(args)?,
                ..Model::default()
            };
            let models = BTreeMap::from([(model.clone(), known)]);
            (base_url.as_str(), args.api.into(), models)
        }
        (Some(_), None, _) => bail!("--base-url needs --model"),
        (None, _, Some(simulator)) => (simulator, Api::Completions, recorded_models()?),
        (None, _, None) => bail!("there is no endpoint to run the demo against"),
    };
    let endpoint = Endpoint {
        base_url: base_url.to_owned(),
        api,
        api_key_env: args.api_key_env.clone(),
        models,
        ..Endpoint::default()
    };
    let catalog = Catalog {
        endpoints: BTreeMap::from([(ENDPOINT.to_owned(), endpoint)]),
        ..Catalog::default()
    };
    catalog.validate().context("the endpoint makes no sense")?;
    Ok(catalog)
}

fn own_prices(args: &DemoArgs) -> anyhow::Result<Option<Prices>> {
    match (args.input_price, args.output_price) {
        (Some(input), Some(output)) => Prices::per_million(input, output, 0.0)
            .map(Some)
            .context("--input-price and --output-price"),
        (None, None) => Ok(None),
        _ => bail!("--input-price and --output-price go together"),
    }
}

fn recorded_models() -> anyhow::Result<BTreeMap<String, Model>> {
    let model = |(name, input, output): (&str, f64, f64)| {
        let prices = Some(Prices::per_million(input, output, 0.0)?);
        let model = Model {
            prices,
            ..Model::default()
        };
        Ok((name.to_owned(), model))
    };
    MODELS.into_iter().map(model).collect()
}

/// The body that the demo posts: the recorded word problems and their prompts, and a space that
/// the recordings cover (temperatures up to 1.3, answers up to 128 tokens, no `top_p`).
///
/// Half of the 40 instances are held out: what the search chose by the others says nothing sure of
/// its winner.
///
/// # Errors
/// The budgets in `args` are no amounts.
pub fn job(args: &DemoArgs, way: Way) -> anyhow::Result<Value> {
    let recordings = Recordings::embedded()?;
    let recorded = recordings.prompts(TASK);
    let prompts: Vec<Value> = PROMPTS
        .iter()
        .filter_map(|name| recorded.iter().find(|prompt| prompt.name == *name))
        .map(|prompt| json!({"name": prompt.name, "text": prompt.template}))
        .collect();
    let models: Vec<Value> = match &args.model {
        Some(model) => vec![json!({"endpoint": ENDPOINT, "model": model})],
        None => MODELS
            .iter()
            .map(|(model, ..)| json!({"endpoint": ENDPOINT, "model": model}))
            .collect(),
    };
    // A model of one's own has no recorded range, and as a rule one machine to answer on.
    let (hottest, most_responses) = match args.model {
        Some(_) => (2.0, 32),
        None => (1.3, 128),
    };
    Ok(json!({
        "name": "demo: word problems",
        "labels": {"demo": way.label()},
        "data": {"instances": recordings.instances(TASK), "holdout": {"share": HELD_OUT}},
        "models": models,
        "prompts": prompts,
        "search_space": {
            "temperature": {"float": [0, hottest]},
            "max_tokens": {"int": [48, recordings.max_tokens()], "scale": "log"},
            "n": {"int": [1, most_responses]},
            "stop": recordings.stop(),
        },
        "scoring": {
            "scorer": {
                "type": "numeric",
                "expected": "{{ answer }}",
                "extract": "first_line_last_number",
            },
            "reduce": "expected_success",
        },
        "budgets": budgets(args)?,
        "limits": {"trials": 1000},
        "search": way.search(args.seed),
    }))
}

/// A way to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As a job does unless it says otherwise.
    Default,
    /// Configuration by configuration, with this pruning.
    Searched(Pruning),
}

impl Way {
    /// What it is called.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Default => "profiled",
            Self::Searched(pruning) => pruning.as_str(),
        }
    }

    fn search(self, seed: u64) -> Value {
        let mut search =
            json!({"algorithm": "blendsearch", "seed": seed, "requests_in_flight": 32});
        if let Self::Searched(pruning) = self {
            search["extent"] = json!("searched");
            search["pruning"] = json!(pruning.as_str());
            search["parallel_trials"] = json!(4);
        }
        search
    }
}

fn budgets(args: &DemoArgs) -> anyhow::Result<Value> {
    let in_tokens = args.model.is_some() && args.input_price.is_none();
    let inference = args.inference_budget.unwrap_or(if in_tokens {
        INFERENCE_TOKENS
    } else {
        INFERENCE_USD
    });
    let optimization = args.budget.unwrap_or(INSTANCES_PAID * inference);
    for (flag, amount) in [
        ("--inference-budget", inference),
        ("--budget", optimization),
    ] {
        if !(amount.is_finite() && amount > 0.0) {
            bail!("{flag}: {amount} is no amount; give a number above 0");
        }
        if in_tokens && (amount.fract() != 0.0 || amount > 1e15) {
            bail!("{flag}: {amount} is no number of tokens; without prices budgets are in tokens");
        }
    }
    Ok(if in_tokens {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, above 0 and below 10^15"
        )]
        let tokens = |amount: f64| amount as u64;
        json!({
            "inference": {"tokens": tokens(inference)},
            "optimization": {"tokens": tokens(optimization)},
        })
    } else {
        json!({"inference": {"usd": inference}, "optimization": {"usd": optimization}})
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::configuration::Configuration;
    use frugal_domain::money::{Budget, Usd};

    const SIMULATOR: Option<&str> = Some("http://127.0.0.1:1/v1");

    #[test]
    fn the_job_is_accepted_and_within_the_recordings() {
        let args = DemoArgs::default();
        let catalog = catalog(&args, SIMULATOR).unwrap();
        let body = job(&args, Way::Searched(Pruning::Off)).unwrap();
        let (spec, data) = frugal_intake::job(&body, &catalog, 0).unwrap();
        assert_eq!((data.tuning.len(), data.holdout.len()), (20, 20));
        assert_eq!(spec.search.seed, args.seed);
        assert_eq!(spec.search.pruning, Pruning::Off);
        let usd = |dollars| Budget::Usd(Usd::from_dollars(dollars).unwrap());
        assert_eq!(spec.inference_budget, Some(usd(0.0001)));
        assert_eq!(spec.optimization_budget, usd(0.05));
        let baseline = spec.settings(spec.baseline.as_ref().unwrap()).unwrap();
        assert_eq!((baseline.extent.n, baseline.extent.max_tokens), (1, 128));
        assert_eq!(baseline.sampling.temperature, Some(1.0));

        let recordings = Recordings::embedded().unwrap();
        for (model, ..) in MODELS {
            for prompt in PROMPTS {
                let temperatures = recordings.temperatures(TASK, model, prompt);
                assert_eq!(temperatures.first(), Some(&0.0), "{model}, {prompt}");
                assert!(temperatures.last() >= Some(&1.3), "{model}, {prompt}");
            }
        }
        let hottest = spec.default_configuration().0;
        let hottest = hottest
            .into_iter()
            .map(|(name, value)| match name.as_str() {
                "temperature" => (name, json!(1.3)),
                "n" => (name, json!(frugal_simulator::MAX_N)),
                _ => (name, value),
            });
        assert!(spec.space.contains(&Configuration(hottest.collect())));
    }

    #[test]
    fn a_model_of_ones_own_without_prices_is_budgeted_in_tokens() {
        let args = DemoArgs {
            base_url: Some("http://127.0.0.1:8080/v1".to_owned()),
            model: Some("mine".to_owned()),
            ..DemoArgs::default()
        };
        let catalog = catalog(&args, None).unwrap();
        let body = job(&args, Way::Default).unwrap();
        let (spec, _) = frugal_intake::job(&body, &catalog, 0).unwrap();
        assert_eq!(spec.inference_budget, Some(Budget::Tokens(300)));
        assert_eq!(spec.optimization_budget, Budget::Tokens(150_000));
        assert_eq!(spec.models.len(), 1);

        let priced = DemoArgs {
            input_price: Some(0.1),
            output_price: Some(0.4),
            inference_budget: Some(0.001),
            ..args.clone()
        };
        let catalog = super::catalog(&priced, None).unwrap();
        let body = job(&priced, Way::Default).unwrap();
        let (spec, _) = frugal_intake::job(&body, &catalog, 0).unwrap();
        assert_eq!(
            spec.optimization_budget,
            Budget::Usd(Usd::from_dollars(0.5).unwrap())
        );

        for wrong in [0.5, -1.0, f64::NAN] {
            let wrong = DemoArgs {
                inference_budget: Some(wrong),
                ..args.clone()
            };
            assert!(job(&wrong, Way::Default).is_err());
        }
    }

    #[test]
    fn an_endpoint_that_makes_no_sense_is_refused() {
        let args = |url: &str| DemoArgs {
            base_url: Some(url.to_owned()),
            model: Some("mine".to_owned()),
            ..DemoArgs::default()
        };
        assert!(catalog(&args("localhost:8080"), None).is_err());
        assert!(catalog(&DemoArgs::default(), None).is_err());
        assert!(catalog(&args("http://localhost:8080/v1"), None).is_ok());
    }
}
