//! The inference cost: what one instance costs under a configuration.

use crate::prompt_tokens::PromptTokens;
use frugal_domain::money::{Budget, Prices, Spend, Usage, Usd};

/// Inference costs against the inference budget, in whole numbers of the budget's unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InferenceCost {
    prices: Prices,
    budget: u64,
    most_per_request: Option<u32>,
}

impl InferenceCost {
    /// `prices` are the model's own; a budget in tokens counts each token as one.
    pub(crate) fn new(budget: Budget, prices: Prices, most_per_request: Option<u32>) -> Self {
        Self {
            prices: budget.unit().prices(prices),
            budget: budget.amount(),
            most_per_request,
        }
    }

    /// Prices in the budget's unit.
    pub(crate) fn prices(&self) -> Prices {
        self.prices
    }

    /// What the prompt of an instance costs under `n`.
    fn prompt(&self, n: u32, prompt_tokens: u64) -> u128 {
        let once = u128::from(self.prices.request_pico)
            .saturating_add(product(self.prices.input_pico, prompt_tokens));
        once.saturating_mul(requests(n, self.most_per_request).into())
    }

    /// What an instance costs under `n`, its responses together having `completion_tokens`.
    pub(crate) fn of(&self, n: u32, prompt_tokens: u64, completion_tokens: u64) -> u128 {
        self.prompt(n, prompt_tokens)
            .saturating_add(product(self.prices.output_pico, completion_tokens))
    }

    /// Whether a total over so many instances is within the budget on average.
    pub(crate) fn covers(&self, total: u128, instances: usize) -> bool {
        total <= u128::from(self.budget).saturating_mul(instances as u128)
    }

    /// The largest number of responses, up to `n`, that fits whatever the answers will be:
    /// each prompt at its upper bound, each response at `max_tokens`. Zero if none does.
    pub(crate) fn sure_to_fit(&self, n: u32, max_tokens: u32, prompts: &PromptTokens) -> u32 {
        let instances = prompts.known().len();
        let fits = |n: u32| {
            let completion = u64::from(n).saturating_mul(max_tokens.into());
            let total = (0..instances).fold(0_u128, |total, instance| {
                total.saturating_add(self.of(n, prompts.upper(instance), completion))
            });
            self.covers(total, instances)
        };
        let (mut fitting, mut open) = (0, n);
        while fitting < open {
            let middle = open - (open - fitting) / 2;
            if fits(middle) {
                fitting = middle;
            } else {
                open = middle - 1;
            }
        }
        fitting
    }

    /// Whether `n` is over the budget for its prompts alone, all of them being known.
    pub(crate) fn prompts_exceed(&self, n: u32, prompts: &PromptTokens) -> bool {
        prompts.all_known().is_some_and(|prompts| {
            let total = prompts.iter().fold(0_u128, |total, &tokens| {
                total.saturating_add(self.of(n, tokens, 0))
            });
            !self.covers(total, prompts.len())
        })
    }

    /// What the budget leaves for output on the mean instance under `n`; negative where the
    /// prompt alone is over it.
    #[expect(
        clippy::cast_precision_loss,
        reason = "held against a band; the last word is exact"
    )]
    pub(crate) fn left_for_output(&self, n: u32, mean_prompt_tokens: f64) -> f64 {
        let prompt =
            self.prices.request_pico as f64 + self.prices.input_pico as f64 * mean_prompt_tokens;
        self.budget as f64 - prompt * f64::from(requests(n, self.most_per_request))
    }
}

/// What an instance costs under `n` in both units: its prompt once (once per request, where a
/// request yields only so many responses), and the tokens of its responses.
pub(crate) fn inference_spend(
    prices: Prices,
    most_per_request: Option<u32>,
    n: u32,
    usage: Usage,
) -> Spend {
    let again = u64::from(requests(n, most_per_request).saturating_sub(1));
    let prompt = Spend::of(
        Usage {
            completion_tokens: 0,
            ..usage
        },
        prices,
    );
    Spend::of(usage, prices)
        + Spend {
            usd: Usd::from_pico(prompt.usd.pico().saturating_mul(again)),
            tokens: prompt.tokens.saturating_mul(again),
        }
}

/// How many requests it takes to have `n` responses.
fn requests(n: u32, most_per_request: Option<u32>) -> u32 {
    most_per_request.map_or(1, |most| n.div_ceil(most.max(1)))
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    const PRICES: Prices = Prices {
        input_pico: 3,
        output_pico: 7,
        request_pico: 11,
        cached_input_pico: None,
    };

    #[test]
    fn a_request_that_yields_few_responses_pays_the_prompt_again() {
        let usage = Usage {
            prompt_tokens: 100,
            completion_tokens: 50,
        };
        let once = inference_spend(PRICES, None, 8, usage);
        assert_eq!((once.usd.pico(), once.tokens), (11 + 300 + 350, 150));
        let thrice = inference_spend(PRICES, Some(3), 8, usage);
        assert_eq!((thrice.usd.pico(), thrice.tokens), (3 * 311 + 350, 350));
    }

    proptest! {
        #[test]
        fn what_is_sure_to_fit_fits_and_one_more_does_not(
            budget in 0..20_000_u64,
            bounds in prop::collection::vec(0..200_u64, 1..6),
            max_tokens in 1..100_u32,
            n in 1..50_u32,
            most in prop::option::of(1..5_u32),
        ) {
            let cost = InferenceCost::new(Budget::Usd(Usd::from_pico(budget)), PRICES, most);
            let prompts = PromptTokens::new(Vec::new(), Arc::from(bounds.clone()));
            let fits = |n: u32| {
                let total: u128 = bounds
                    .iter()
                    .map(|&p| cost.of(n, p, u64::from(n) * u64::from(max_tokens)))
                    .sum();
                cost.covers(total, bounds.len())
            };
            let found = cost.sure_to_fit(n, max_tokens, &prompts);
            prop_assert!(found <= n && (found == 0 || fits(found)));
            prop_assert!(found == n || !fits(found + 1));
        }

        #[test]
        fn the_budget_and_the_spend_speak_of_the_same_cost(
            prompt_tokens in 0..10_000_u64,
            completion_tokens in 0..10_000_u64,
            n in 1..50_u32,
            most in prop::option::of(1..5_u32),
        ) {
            let usage = Usage { prompt_tokens, completion_tokens };
            let spend = inference_spend(PRICES, most, n, usage);
            for budget in [Budget::Usd(Usd::ZERO), Budget::Tokens(0)] {
                let cost = InferenceCost::new(budget, PRICES, most);
                prop_assert_eq!(
                    cost.of(n, prompt_tokens, completion_tokens),
                    u128::from(budget.unit().of(spend))
                );
            }
        }
    }
}
