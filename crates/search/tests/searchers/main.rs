//! The searchers as a whole: what holds for every one of them on every space, whatever is told,
//! and what each promises besides.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up fails with its reason"
)]

mod family;
mod one_interface;
mod pages;
mod properties;
mod strategies;

use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use frugal_search::{Observation, Outcome, Search, SearchOptions};

fn dimension(name: String, domain: Domain) -> Dimension {
    Dimension { name, domain }
}

fn searcher(algorithm: Algorithm, dimensions: Vec<Dimension>) -> Search {
    Search::new(options_for(algorithm, dimensions)).unwrap()
}

fn options_for(algorithm: Algorithm, dimensions: Vec<Dimension>) -> SearchOptions {
    SearchOptions {
        algorithm,
        space: Space { dimensions },
        seed: 3,
        start: vec![],
        low_cost_starts: vec![],
        low_cost: vec![],
        cost_budget: None,
        cost_floor: None,
        patience: None,
    }
}

fn unit(name: &str) -> Dimension {
    dimension(
        name.into(),
        Domain::Float {
            low: 0.0,
            high: 2.0,
            scale: Scale::Linear,
            step: None,
        },
    )
}

fn configuration(value: serde_json::Value) -> Configuration {
    serde_json::from_value(value).unwrap()
}

const GOOD: Observation = Observation {
    outcome: Outcome::Evaluated { loss: 1.0 },
    cost: 1.0,
};
