//! How a search is run, as it is posted and as it is shown.

use super::{Algorithm, ExtentChoice, GlobalSearcher, GridOrder, Pruning, Reuse, Sequence};
use frugal_domain::job;
use serde::Serialize;
use utoipa::ToSchema;

/// How the search is run.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchPost {
    /// How configurations are proposed; `blendsearch` by default.
    pub algorithm: Option<Algorithm>,
    /// Options of the algorithm.
    pub options: Option<SearchOptionsPost>,
    /// The seed of every random draw; made up by the server by default.
    #[schema(nullable = true, minimum = 0)]
    pub seed: Option<i64>,
    /// How `n` and `max_tokens` are chosen; `profiled` by default, `searched` where `pruning` is
    /// `off` or `reference`, which do not go with `profiled`, and where `latency_ms` is in the objective
    /// or a constraint: then each configuration is asked for by requests of its own.
    pub extent: Option<ExtentChoice>,
    /// When configurations are thrown out early; `on` by default.
    pub pruning: Option<Pruning>,
    /// Whose responses may be used again; `job` by default. `owner` does not go with `latency_ms` in the
    /// objective or a constraint.
    pub reuse: Option<Reuse>,
    /// Trials evaluated at the same time; 4 by default. The order of proposals depends on it. A
    /// profiled search takes no notice of it: what it has under way follows from its budget.
    #[schema(nullable = true, minimum = 1, maximum = 64)]
    pub parallel_trials: Option<u32>,
    /// Requests under way at the same time, all trials together; 32 by default, and 1 where
    /// `latency_ms` is in the objective or a constraint: the load that latency is measured under.
    #[schema(nullable = true, minimum = 1, maximum = 1024)]
    pub requests_in_flight: Option<u32>,
}

/// Options of the algorithm. One that the job's algorithm does not take is an error.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchOptionsPost {
    /// Whether the search begins with the cheapest configurations, one for each model: the
    /// fewest tokens and responses, and the rest as in the default baseline. Local searches set
    /// out from them. For `blendsearch`, `cfo`, `tpe` and `random`; `false` by default, since the
    /// fewest tokens cut most answers, and a search that begins there learns little.
    #[schema(nullable = true)]
    pub low_cost_starts: Option<bool>,
    /// What proposes next to the local searches. For `blendsearch`; `tpe` by default.
    pub global: Option<GlobalSearcher>,
    /// Trials that must have ended before the Parzen estimator's model is used; uniform draws
    /// until then. For `blendsearch` and `tpe`; 10 by default.
    #[schema(nullable = true, minimum = 1, maximum = 1000)]
    pub startup_trials: Option<u32>,
    /// Candidates that the Parzen estimator draws for one proposal, of which it takes the most
    /// promising. For `blendsearch` and `tpe`; 24 by default.
    #[schema(nullable = true, minimum = 1, maximum = 1000)]
    pub candidates: Option<u32>,
    /// The first step of a local search: its length per square root of the number of settings,
    /// where the range of each setting is 1. For `blendsearch` and `cfo`; 0.1 by default.
    #[schema(nullable = true, minimum = 0.001, maximum = 1)]
    pub step_size: Option<f64>,
    /// Where the draws come from. For `random`; `uniform` by default.
    pub sequence: Option<Sequence>,
    /// Values of each numeric setting that has no `step`: evenly spaced on its scale, both ends
    /// included. The whole grid may have at most 10,000 configurations. For `grid`; 5 by
    /// default.
    #[schema(nullable = true, minimum = 1, maximum = 1000)]
    pub points: Option<u32>,
    /// In what order the grid is tried. For `grid`; `shuffled` by default.
    pub order: Option<GridOrder>,
}

/// How a search is run.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Search {
    /// How configurations are proposed.
    pub algorithm: Algorithm,
    /// The options of the algorithm, defaults included.
    pub options: SearchOptions,
    /// The seed of every random draw.
    pub seed: u64,
    /// How `n` and `max_tokens` are chosen.
    pub extent: ExtentChoice,
    /// When configurations are thrown out early.
    pub pruning: Pruning,
    /// Whose responses may be used again.
    pub reuse: Reuse,
    /// Trials evaluated at the same time.
    pub parallel_trials: u32,
    /// Requests under way at the same time.
    pub requests_in_flight: u32,
}

/// The options of an algorithm. Those that it does not take are absent.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct SearchOptions {
    /// Whether it begins with the cheapest configurations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub low_cost_starts: Option<bool>,
    /// What proposes next to the local searches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub global: Option<GlobalSearcher>,
    /// Trials that must have ended before the Parzen estimator's model is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub startup_trials: Option<u32>,
    /// Candidates that the Parzen estimator draws for one proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub candidates: Option<u32>,
    /// The first step of a local search.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub step_size: Option<f64>,
    /// Where the draws come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sequence: Option<Sequence>,
    /// Values of each numeric setting that has no step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub points: Option<u32>,
    /// In what order the grid is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub order: Option<GridOrder>,
}

impl From<&job::Algorithm> for SearchOptions {
    fn from(algorithm: &job::Algorithm) -> Self {
        // Taken apart field by field: an option that the domain gains is a compile error here.
        match *algorithm {
            job::Algorithm::Blendsearch(job::algorithm::BlendsearchOptions {
                low_cost_starts,
                global,
                startup_trials,
                candidates,
                step_size,
            }) => Self {
                low_cost_starts: Some(low_cost_starts),
                global: Some(global.into()),
                startup_trials: Some(startup_trials),
                candidates: Some(candidates),
                step_size: Some(step_size),
                ..Self::default()
            },
            job::Algorithm::Cfo(job::algorithm::CfoOptions {
                low_cost_starts,
                step_size,
            }) => Self {
                low_cost_starts: Some(low_cost_starts),
                step_size: Some(step_size),
                ..Self::default()
            },
            job::Algorithm::Tpe(job::algorithm::TpeOptions {
                low_cost_starts,
                startup_trials,
                candidates,
            }) => Self {
                low_cost_starts: Some(low_cost_starts),
                startup_trials: Some(startup_trials),
                candidates: Some(candidates),
                ..Self::default()
            },
            job::Algorithm::Random(job::algorithm::RandomOptions {
                low_cost_starts,
                sequence,
            }) => Self {
                low_cost_starts: Some(low_cost_starts),
                sequence: Some(sequence.into()),
                ..Self::default()
            },
            job::Algorithm::Grid(job::algorithm::GridOptions { points, order }) => Self {
                points: Some(points),
                order: Some(order.into()),
                ..Self::default()
            },
        }
    }
}

impl From<job::SearchSpec> for Search {
    fn from(search: job::SearchSpec) -> Self {
        Self {
            algorithm: Algorithm::from(&search.algorithm),
            options: SearchOptions::from(&search.algorithm),
            seed: search.seed,
            extent: search.extent.into(),
            pruning: search.pruning.into(),
            reuse: search.reuse.into(),
            parallel_trials: search.parallel_trials,
            requests_in_flight: search.requests_in_flight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// In storage the options lie beside the algorithm's name.
    #[test]
    fn the_options_shown_are_those_stored() {
        for algorithm in job::Algorithm::all() {
            let Value::Object(mut shown) = json!(SearchOptions::from(&algorithm)) else {
                panic!("options are an object");
            };
            shown.insert("algorithm".to_owned(), json!(Algorithm::from(&algorithm)));
            assert_eq!(Value::Object(shown), json!(algorithm));
        }
    }
}
