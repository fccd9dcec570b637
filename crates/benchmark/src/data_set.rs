//! A job with what its endpoint answers, and how it is written down.

use crate::corpus::Corpus;
use anyhow::{Context, bail};
use frugal_domain::endpoint::{Api, Catalog, Endpoint, Model};
use frugal_domain::job::JobSpec;
use frugal_domain::money::Prices;
use frugal_domain::space::Domain;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The name by which jobs know the endpoint.
pub const ENDPOINT: &str = "recorded";

/// What the optimization budget pays for at the inference budget: so many configurations on all
/// rows. As the demo has it, fewer than a search wants to try.
pub const CONFIGURATIONS_PAID: f64 = 37.5;

/// A limit on trials that jobs rarely reach, as the demo has it: budgets are to end them. Without
/// one, a job that has all the responses that it wants goes on for nothing.
const TRIALS: u32 = 1_000;

/// A model with dollars per million tokens of input and of output.
pub type Priced<'a> = (&'a str, f64, f64);

/// A job over recorded answers. Its rows are all that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    /// What it is called.
    pub name: String,
    /// The job.
    pub spec: JobSpec,
    /// What its endpoint answers.
    pub corpus: Corpus,
}

impl DataSet {
    /// The same with temperatures in steps, so that configurations share responses more often.
    #[must_use]
    pub fn with_temperature_step(mut self, size: f64) -> Self {
        for dimension in &mut self.spec.space.dimensions {
            if let ("temperature", Domain::Float { step, .. }) =
                (dimension.name.as_str(), &mut dimension.domain)
            {
                *step = Some(size);
            }
        }
        self.spec.baseline = Some(self.spec.default_configuration());
        self
    }
}

/// Reads a job as the API does. `body` names neither models nor budgets nor limits: these are
/// added, the budgets by what one instance may cost, in dollars.
///
/// # Errors
/// The job has faults.
pub fn spec(mut body: Value, models: &[Priced<'_>], inference_usd: f64) -> anyhow::Result<JobSpec> {
    let Some(rows) = body["data"]["instances"].as_array().map(Vec::len) else {
        bail!("the job has no rows");
    };
    let rows = f64::from(u32::try_from(rows)?);
    body["models"] = models
        .iter()
        .map(|(model, ..)| json!({"endpoint": ENDPOINT, "model": model}))
        .collect();
    body["budgets"] = json!({
        "inference": {"usd": inference_usd},
        "optimization": {"usd": CONFIGURATIONS_PAID * rows * inference_usd},
    });
    body["limits"] = json!({"trials": TRIALS});
    let (spec, _) = frugal_intake::job(&body, &catalog(models)?, 0)
        .map_err(|faults| anyhow::anyhow!("the job has faults: {faults:?}"))?;
    Ok(spec)
}

fn catalog(models: &[Priced<'_>]) -> anyhow::Result<Catalog> {
    let model = |(name, input, output): &Priced<'_>| {
        let prices = Prices::per_million(*input, *output, 0.0)
            .with_context(|| format!("the prices of {name}"))?;
        let model = Model {
            prices: Some(prices),
            ..Model::default()
        };
        Ok(((*name).to_owned(), model))
    };
    let endpoint = Endpoint {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        api: Api::Completions,
        models: models.iter().map(model).collect::<anyhow::Result<_>>()?,
        ..Endpoint::default()
    };
    Ok(Catalog {
        endpoints: BTreeMap::from([(ENDPOINT.to_owned(), endpoint)]),
        ..Catalog::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::recorded;

    #[test]
    fn the_baseline_keeps_to_the_steps() {
        let set = recorded::data_set("capitals").unwrap();
        for (size, temperature) in [(0.25, 1.0), (0.3, 0.9)] {
            let stepped = set.clone().with_temperature_step(size);
            let baseline = stepped.spec.baseline.unwrap();
            assert!(stepped.spec.space.contains(&baseline));
            let settings = set.spec.settings(&baseline).unwrap();
            assert!((settings.sampling.temperature.unwrap() - temperature).abs() < 1e-9);
        }
    }
}
