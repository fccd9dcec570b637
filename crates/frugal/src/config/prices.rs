//! A list of prices, in the form of LiteLLM's `model_prices_and_context_window.json`: by the model's
//! name, dollars per token.

use frugal_domain::endpoint::Catalog;
use frugal_domain::money::{MAX_USD, PICO_PER_USD, Prices, Usd};
use serde_json::{Map, Value};
use std::io;
use std::path::{Path, PathBuf};

/// A list of prices that has been read. Its entries are checked as they are used: a public list has
/// many that are of no concern, images and audio among them.
#[derive(Debug)]
pub(crate) struct PriceList {
    path: PathBuf,
    entries: Map<String, Value>,
}

/// What is wrong with a list of prices, or with what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum PriceListError {
    /// The file cannot be read.
    #[error("cannot read the price file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not a JSON object.
    #[error("{}: must be a JSON object of prices by the model's name: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// An entry makes no sense.
    #[error("{}: `{name}`: {problem}", .path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The model's name in it.
        name: String,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// A model names a price that is not there.
    #[error("endpoints.{endpoint}.models.{model:?}.price_name: {problem}")]
    Name {
        /// The endpoint.
        endpoint: String,
        /// The model.
        model: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl PriceList {
    pub(crate) fn read(path: &Path) -> Result<Self, PriceListError> {
        let text = std::fs::read_to_string(path).map_err(|source| PriceListError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, PriceListError> {
        let entries = serde_json::from_str(text).map_err(|source| PriceListError::Json {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            entries,
        })
    }

    /// Gives its prices to the listed models that have none of their own: those of `price_name`, which
    /// must be there, else those of the model's own name, which need not.
    pub(crate) fn price(&self, catalog: &mut Catalog) -> Result<(), PriceListError> {
        for (endpoint, entry) in &mut catalog.endpoints {
            for (model, own) in &mut entry.models {
                if own.prices.is_some() {
                    continue;
                }
                let name = own.price_name.as_ref().unwrap_or(model);
                match self.entries.get(name) {
                    Some(listed) => own.prices = Some(self.prices(name, listed)?),
                    None if own.price_name.is_some() => {
                        let path = self.path.display();
                        return Err(PriceListError::Name {
                            endpoint: endpoint.clone(),
                            model: model.clone(),
                            problem: format!("{path} has no `{name}`"),
                        });
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn prices(&self, name: &str, entry: &Value) -> Result<Prices, PriceListError> {
        let refuse = |problem: String| PriceListError::Entry {
            path: self.path.clone(),
            name: name.to_owned(),
            problem,
        };
        let fields = entry
            .as_object()
            .ok_or_else(|| refuse("must be an object".to_owned()))?;
        let amount = |field: &str, most: f64| match fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_f64()
                .filter(|dollars| (0.0..=most).contains(dollars))
                .map(Some)
                .ok_or_else(|| {
                    refuse(format!(
                        "{field} is {value}; must be a number of dollars from 0 to {most}"
                    ))
                }),
        };
        let per_token = |field: &str| amount(field, MAX_USD / 1e6).map(|it| it.map(pico));
        let required = |field: &str| {
            per_token(field)?.ok_or_else(|| {
                refuse(format!(
                    "has no {field}; give the model's prices in frugal.toml, or name another entry \
                     in price_name"
                ))
            })
        };
        let input_pico = required("input_cost_per_token")?;
        let cached = per_token("cache_read_input_token_cost")?;
        let request = amount("input_cost_per_request", MAX_USD)?.map(Usd::from_dollars);
        let request = request
            .transpose()
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Prices {
            input_pico,
            output_pico: required("output_cost_per_token")?,
            request_pico: request.map_or(0, Usd::pico),
            // A token from a cache is never dearer than another; such an entry is a mistake.
            cached_input_pico: cached.filter(|cached| *cached <= input_pico),
        })
    }
}

/// Dollars as pico-dollars. What is finer is rounded up, so that nothing costs more than is thought.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "from 0 to a dollar per token: whole numbers that a float holds exactly"
)]
fn pico(dollars: f64) -> u64 {
    let pico = dollars * PICO_PER_USD as f64;
    let nearest = pico.round();
    // 1.5e-7 dollars are no whole number of pico-dollars in floating point.
    let is_whole = (pico - nearest).abs() < 1e-3;
    (if is_whole { nearest } else { pico.ceil() }) as u64
}

/// Refuses models that name a price where there is no list.
pub(crate) fn without_list(catalog: &Catalog) -> Result<(), PriceListError> {
    for (endpoint, entry) in &catalog.endpoints {
        if let Some((model, _)) = entry
            .models
            .iter()
            .find(|(_, own)| own.price_name.is_some())
        {
            return Err(PriceListError::Name {
                endpoint: endpoint.clone(),
                model: model.clone(),
                problem: "there is no list to look in; name its file in price_file".to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Written for these tests, in the form of the public list.
    const SAMPLE: &str = include_str!("prices/sample.json");

    fn sample() -> PriceList {
        PriceList::parse(Path::new("prices.json"), SAMPLE).unwrap()
    }

    fn catalog(models: &Value) -> Catalog {
        let endpoint = json!({"base_url": "http://h/v1", "models": models});
        serde_json::from_value(json!({"endpoints": {"e": endpoint}})).unwrap()
    }

    fn refusal(models: &Value) -> String {
        let refused = sample().price(&mut catalog(models));
        refused.unwrap_err().to_string()
    }

    #[test]
    fn models_without_prices_take_those_of_the_list() {
        let mut catalog = catalog(&json!({
            "small": {},
            "deployment-7": {"price_name": "hosted/large"},
            "fee": {},
            "dear-cache": {},
            "local": {},
            "own": {"input_usd_per_million": 1, "output_usd_per_million": 2}
        }));
        sample().price(&mut catalog).unwrap();
        let prices = |model: &str| catalog.model("e", model).unwrap().prices;
        let of = |input_pico, output_pico| Prices {
            input_pico,
            output_pico,
            ..Prices::default()
        };
        let small = Prices {
            cached_input_pico: Some(75_000),
            ..of(150_000, 600_000)
        };
        assert_eq!(prices("small"), Some(small));
        assert_eq!(prices("deployment-7"), Some(of(2_500_000, 83_334)));
        let fee = Prices {
            request_pico: 5_000_000_000,
            ..of(1_000_000, 1_000_000)
        };
        assert_eq!(prices("fee"), Some(fee));
        assert_eq!(prices("dear-cache"), Some(of(1_000_000, 2_000_000)));
        assert_eq!(prices("local"), None);
        assert_eq!(prices("own"), Some(of(1_000_000, 2_000_000)));
        // With the prices filled in it is a catalogue as any other.
        catalog.validate().unwrap();
        let json = serde_json::to_value(&catalog).unwrap();
        let again: Catalog = serde_json::from_value(json).unwrap();
        assert_eq!(again.model("e", "small").unwrap().prices, Some(small));
    }

    #[test]
    fn faults_name_the_entry_and_the_remedy() {
        for (models, expected) in [
            (
                json!({"embedding": {}}),
                "prices.json: `embedding`: has no output_cost_per_token; give the model's prices in frugal.toml, or name another entry in price_name",
            ),
            (
                json!({"m": {"price_name": "negative"}}),
                "prices.json: `negative`: input_cost_per_token is -1e-7; must be a number of dollars from 0 to 1",
            ),
            (
                json!({"m": {"price_name": "words"}}),
                "prices.json: `words`: input_cost_per_token is \"0.1\"; must be a number of dollars from 0 to 1",
            ),
            (
                json!({"m": {"price_name": "hosted/lrage"}}),
                "endpoints.e.models.\"m\".price_name: prices.json has no `hosted/lrage`",
            ),
        ] {
            assert_eq!(refusal(&models), expected);
        }
        let list = PriceList::parse(Path::new("prices.json"), "[1]").unwrap_err();
        let told = "prices.json: must be a JSON object of prices by the model's name: ";
        assert!(list.to_string().starts_with(told), "{list}");
        let named = catalog(&json!({"m": {"price_name": "small"}}));
        assert_eq!(
            without_list(&named).unwrap_err().to_string(),
            "endpoints.e.models.\"m\".price_name: there is no list to look in; name its file in price_file"
        );
        assert!(without_list(&catalog(&json!({"m": {}}))).is_ok());
    }
}
