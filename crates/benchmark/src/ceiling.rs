//! The best that a search could find: the whole space looked through, with expectations instead of
//! samples.

use crate::data_set::DataSet;
use crate::endpoint::Endpoint;
use crate::truth;
use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::space::Domain;
use std::collections::BTreeMap;

/// Limits on tokens that are looked at, evenly spaced by ratio.
const LIMITS: u32 = 40;

/// The settings with the highest true utility whose expected inference cost is within the budget,
/// and that utility. Temperatures are the recorded ones.
pub fn best(set: &DataSet) -> Option<(Settings, f64)> {
    let (fewest, most) = range(set, "max_tokens")?;
    let (_, most_n) = range(set, "n")?;
    let stop = set
        .spec
        .settings(set.spec.baseline.as_ref()?)
        .ok()?
        .sampling
        .stop;
    let hottest = hottest(set);
    let ratio = f64::from(most) / f64::from(fewest);
    let mut best: Option<(Settings, f64)> = None;
    for ((model, prompt), shelf) in &set.corpus.shelves {
        for temperature in shelf.temperatures.iter().filter(|one| **one <= hottest) {
            for step in 0..=LIMITS {
                let share = f64::from(step) / f64::from(LIMITS);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between the two limits"
                )]
                let max_tokens = (f64::from(fewest) * ratio.powf(share)).round() as u32;
                let mut settings = Settings {
                    sampling: Sampling {
                        model: *model,
                        prompt: *prompt,
                        temperature: Some(*temperature),
                        top_p: None,
                        stop: stop.clone(),
                        extra: BTreeMap::new(),
                    },
                    extent: Extent { max_tokens, n: 1 },
                };
                // More answers are never worse.
                settings.extent.n = affordable(set, &settings, most_n)?;
                if settings.extent.n == 0 {
                    continue;
                }
                let utility = truth::success(&set.corpus, &settings);
                if best.as_ref().is_none_or(|(_, found)| utility > *found) {
                    best = Some((settings, utility));
                }
            }
        }
    }
    best
}

/// The most answers whose expected cost is within the inference budget, up to `most`.
fn affordable(set: &DataSet, settings: &Settings, most: u32) -> Option<u32> {
    let budget = set.spec.inference_budget?;
    let prices = budget
        .unit()
        .prices(set.spec.models[settings.sampling.model].prices);
    let (mut fixed, mut per_answer, mut budget_of_all) = (0.0, 0.0, 0.0);
    for row in 0..set.corpus.rows() {
        fixed += real(prices.request_pico)
            + real(prices.input_pico) * real(set.corpus.prompt_tokens(settings, row));
        per_answer += real(prices.output_pico) * set.corpus.expected_tokens(settings, row);
        budget_of_all += real(budget.amount());
    }
    let affordable = ((budget_of_all - fixed) / per_answer).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "conversion saturates, which is what is wanted"
    )]
    let affordable = affordable as u32;
    Some(affordable.min(most))
}

/// The ends of a whole-numbered setting that all models share.
fn range(set: &DataSet, name: &str) -> Option<(u32, u32)> {
    let dimensions = &set.spec.space.dimensions;
    let dimension = dimensions.iter().find(|dimension| dimension.name == name)?;
    match dimension.domain {
        Domain::Int { low, high, .. } => {
            Some((u32::try_from(low).ok()?, u32::try_from(high).ok()?))
        }
        _ => None,
    }
}

/// The highest temperature of the space.
fn hottest(set: &DataSet) -> f64 {
    let dimensions = &set.spec.space.dimensions;
    let temperature = dimensions.iter().find(|one| one.name == "temperature");
    match temperature.map(|dimension| &dimension.domain) {
        Some(Domain::Float { high, .. }) => *high,
        _ => f64::INFINITY,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bound for people, not books")]
const fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    #[test]
    fn the_best_is_within_the_budget_and_better_than_the_default() {
        let set = recorded::data_set("arithmetic").unwrap();
        let (settings, utility) = best(&set).unwrap();
        assert_eq!(affordable(&set, &settings, 128), Some(settings.extent.n));
        let default = set.spec.baseline.as_ref().unwrap();
        let default = set.spec.settings(default).unwrap();
        assert!(utility > truth::success(&set.corpus, &default));
        // One more answer would be over the budget.
        assert!(settings.extent.n > 1 && settings.extent.n < 128);
    }
}
