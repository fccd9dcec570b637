//! What configurations are worth by any reducer, and the best of them that a budget allows, looked for with
//! the truth at hand.

use crate::endpoint::Endpoint;
use crate::truth;
use anyhow::Context;
use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::job::JobSpec;
use frugal_domain::metric::Metric;
use frugal_domain::scoring::{Observation, Reducer};
use frugal_evaluation::{expected_majority, expected_selected};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Answers that stand for all where more than the chance of a right one counts.
pub const POOL: u32 = 60;

/// A grid of configurations.
#[derive(Debug, Clone)]
pub struct Grid<'g> {
    /// Pairs of a model and a prompt.
    pub pairs: &'g [(usize, usize)],
    /// Temperatures.
    pub temperatures: &'g [f64],
    /// Limits of tokens.
    pub limits: &'g [u32],
    /// Numbers of responses.
    pub numbers: &'g [u32],
}

/// Answers to every row under some sampling settings and a limit, which stand for all that there are.
struct Pools(Vec<Vec<Observation>>);

/// The worth of the configurations of a grid that a job's inference budget allows.
#[derive(Debug, Clone)]
pub struct Worths {
    /// Each with its worth by the reducers that were asked for, in their order.
    pub all: Vec<(Settings, Vec<f64>)>,
}

impl Worths {
    /// Those of a grid.
    ///
    /// # Errors
    /// The endpoint has nothing for a configuration.
    pub fn of(
        endpoint: &dyn Endpoint,
        spec: &JobSpec,
        grid: &Grid<'_>,
        reducers: &[Reducer],
    ) -> anyhow::Result<Self> {
        let stop = spec.settings(&spec.default_configuration())?.sampling.stop;
        let mut all = Vec::new();
        for (model, prompt) in grid.pairs {
            for temperature in grid.temperatures {
                for max_tokens in grid.limits {
                    let of = |n| Settings {
                        sampling: Sampling {
                            model: *model,
                            prompt: *prompt,
                            temperature: Some(*temperature),
                            top_p: None,
                            stop: stop.clone(),
                            extra: BTreeMap::new(),
                        },
                        extent: Extent {
                            max_tokens: *max_tokens,
                            n,
                        },
                    };
                    let numbers = grid.numbers.iter().copied();
                    let allowed: Vec<u32> = numbers
                        .filter(|n| cost(endpoint, spec, &of(*n)) <= 1.0)
                        .collect();
                    if allowed.is_empty() {
                        continue;
                    }
                    let pools = Pools::of(endpoint, &of(1), reducers)?;
                    for n in allowed {
                        let settings = of(n);
                        let worth = reducers
                            .iter()
                            .map(|reducer| pools.worth(endpoint, &settings, *reducer))
                            .collect::<anyhow::Result<_>>()?;
                        all.push((settings, worth));
                    }
                }
            }
        }
        Ok(Self { all })
    }

    /// The best by a reducer, by its place; nothing where nothing is allowed.
    pub fn best(&self, reducer: usize) -> Option<&(Settings, Vec<f64>)> {
        let all = self.all.iter();
        all.max_by(|one, other| one.1[reducer].total_cmp(&other.1[reducer]))
    }
}

/// What a configuration is worth by a reducer.
///
/// # Errors
/// The endpoint has nothing for it.
pub fn worth(
    endpoint: &dyn Endpoint,
    settings: &Settings,
    reducer: Reducer,
) -> anyhow::Result<f64> {
    Pools::of(endpoint, settings, &[reducer])?.worth(endpoint, settings, reducer)
}

impl Pools {
    /// Draws as many answers as the reducers need.
    fn of(
        endpoint: &dyn Endpoint,
        settings: &Settings,
        reducers: &[Reducer],
    ) -> anyhow::Result<Self> {
        let needed = reducers
            .iter()
            .any(|reducer| matches!(reducer, Reducer::Majority | Reducer::BestOfN));
        if !needed {
            return Ok(Self(Vec::new()));
        }
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let mut pools = Vec::new();
        for row in 0..endpoint.rows() {
            let mut pool = Vec::new();
            for _ in 0..POOL {
                let draw = endpoint
                    .draw(settings, row, &mut generator)
                    .map_err(|failure| anyhow::anyhow!("nothing was drawn: {failure:?}"))?;
                let max_tokens = settings.extent.max_tokens;
                pool.push(endpoint.observation(settings, row, draw, max_tokens));
            }
            pools.push(pool);
        }
        Ok(Self(pools))
    }

    fn worth(
        &self,
        endpoint: &dyn Endpoint,
        settings: &Settings,
        reducer: Reducer,
    ) -> anyhow::Result<f64> {
        let of = match reducer {
            Reducer::Majority => expected_majority,
            Reducer::BestOfN => expected_selected,
            _ => {
                let exact = truth::utility(endpoint, settings, Metric::from(reducer));
                return exact.with_context(|| format!("{reducer} has no exact value"));
            }
        };
        let n = usize::try_from(settings.extent.n)?;
        let worths = self.0.iter().map(|pool| of(pool, n));
        Ok(worths.sum::<f64>() / self.0.len().max(1) as f64)
    }
}

/// The expected inference cost as a share of the job's inference budget; 0 where there is none.
pub fn cost(endpoint: &dyn Endpoint, spec: &JobSpec, settings: &Settings) -> f64 {
    let Some(budget) = spec.inference_budget else {
        return 0.0;
    };
    let prices = budget
        .unit()
        .prices(spec.models[settings.sampling.model].prices);
    let (mut cost, mut allowed) = (0.0, 0.0);
    for row in 0..endpoint.rows() {
        let answers = f64::from(settings.extent.n) * endpoint.expected_tokens(settings, row);
        cost += prices.request_pico as f64
            + prices.input_pico as f64 * endpoint.prompt_tokens(settings, row) as f64
            + prices.output_pico as f64 * answers;
        allowed += budget.amount() as f64;
    }
    cost / allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    #[test]
    fn the_best_is_within_the_budget_and_depends_on_the_reducer() {
        // Its scorer tells answers apart, so they can be counted.
        let set = recorded::data_set("arithmetic").unwrap();
        let grid = Grid {
            pairs: &[(0, 1), (1, 1)],
            temperatures: &[0.0, 1.0],
            limits: &[128],
            numbers: &[1, 3, 9, 100_000],
        };
        let reducers = [Reducer::Success, Reducer::Min, Reducer::Majority];
        let worths = Worths::of(&set.corpus, &set.spec, &grid, &reducers).unwrap();
        assert!(
            worths
                .all
                .iter()
                .all(|(settings, _)| settings.extent.n < 100_000)
        );
        // Of several answers that differ, one is right more often than most are, and most more often than all.
        let several = worths.all.iter().find(|(settings, _)| {
            settings.extent.n == 9 && settings.sampling.temperature == Some(1.0)
        });
        let of_several = &several.unwrap().1;
        let (any, all, most) = (of_several[0], of_several[1], of_several[2]);
        assert!(any > most && most > all, "{any} {most} {all}");
        assert!(worths.best(0).unwrap().1[0] >= any);
        // Of one answer every reducer says the same.
        let one = worths
            .all
            .iter()
            .find(|(settings, _)| settings.extent.n == 1);
        let of_one = &one.unwrap().1;
        assert!((of_one[0] - of_one[1]).abs() < 1e-9);
        assert!((of_one[0] - of_one[2]).abs() < 0.05);
    }
}
