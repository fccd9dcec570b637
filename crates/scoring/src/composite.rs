//! `composite`: the weighted mean of what several scorers say of one response.
//!
//! What it is made of is up to `scorer.rs`: here are its fields, and how scores are weighed.

use crate::explained::rounded;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::scoring::ScorerSpec;
use serde::{Deserialize, Serialize};

/// Its name, which `type` holds.
pub(crate) const NAME: &str = "composite";
/// The most parts.
const MAX_PARTS: usize = 16;
/// What a weight may be: no part counts for nothing beside another one by rounding.
const WEIGHTS: std::ops::RangeInclusive<f64> = 0.000_001..=1_000_000.0;

/// A part, as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    #[serde(flatten)]
    pub(crate) weight: Weight,
    pub(crate) scorer: ScorerSpec,
}

/// How much the score of a part counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Weight {
    weight: f64,
    /// Where the part scores 0, all of it does.
    required: bool,
}

impl Weight {
    /// That of a scorer by itself.
    pub(crate) const ALONE: Self = Self {
        weight: 1.0,
        required: false,
    };

    #[cfg(test)]
    pub(crate) const fn of(weight: f64, required: bool) -> Self {
        Self { weight, required }
    }

    /// Whether all of it scores 0 where the part does.
    pub(crate) const fn is_required(self) -> bool {
        self.required
    }

    /// Whether the part is required and scores 0.
    pub(crate) fn missed(self, score: f64) -> bool {
        self.required && score <= 0.0
    }
}

/// Reads the parts, noting what is wrong with them; `scorer` reads that of one.
pub(crate) fn read(
    object: &ObjectReader<'_>,
    scorer: impl Fn(&ObjectReader<'_>) -> Option<ScorerSpec>,
) -> Option<Vec<Part>> {
    let places = object.require(
        "parts",
        "list scorers, each as {\"weight\": 1, \"scorer\": {…}}",
    );
    object.finish();
    let at = places?;
    let places = at.filled_array_within("part", MAX_PARTS)?;
    let parts: Vec<Option<Part>> = places.iter().map(|at| part(at, &scorer)).collect();
    parts.into_iter().collect()
}

fn part(at: &Reader<'_>, scorer: impl Fn(&ObjectReader<'_>) -> Option<ScorerSpec>) -> Option<Part> {
    let object = at.object()?;
    let weight = object.get("weight").map_or(Some(1.0), |at| {
        let weight = at.number()?;
        let (low, high) = (WEIGHTS.start(), WEIGHTS.end());
        match WEIGHTS.contains(&weight) {
            true => Some(weight),
            false => at.fault(format!("must be from {low} to {high}, not {weight}")),
        }
    });
    let required = object
        .get("required")
        .map_or(Some(false), |at| at.boolean());
    let scorer = object
        .require(
            "scorer",
            "say how the part is scored, such as {\"type\": \"exact\", …}",
        )
        .and_then(|at| scorer(&at.object()?));
    object.finish();
    Some(Part {
        weight: Weight {
            weight: weight?,
            required: required?,
        },
        scorer: scorer?,
    })
}

/// The weighted mean of scores; 0 where one is that must not be.
pub(crate) fn combine(scores: impl Iterator<Item = (Weight, f64)>) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (weight, score) in scores {
        if weight.missed(score) {
            return 0.0;
        }
        sum += weight.weight * score;
        weights += weight.weight;
    }
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// How scores, each with the number of its part, were weighed, in a sentence.
pub(crate) fn told(scores: impl Iterator<Item = (usize, Weight, f64)>) -> String {
    let scores: Vec<(usize, Weight, f64)> = scores.collect();
    let mut missed = scores
        .iter()
        .filter(|(_, weight, score)| weight.missed(*score));
    if let Some((number, _, _)) = missed.next() {
        return format!("part {number} is required and scores 0");
    }
    let part = |(number, Weight { weight, .. }, score): &(usize, Weight, f64)| {
        let score = rounded(*score);
        format!("part {number} scores {score} (weight {weight})")
    };
    let parts: Vec<String> = scores.iter().map(part).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn weight(weight: f64, required: bool) -> Weight {
        Weight::of(weight, required)
    }

    #[test]
    fn scores_count_by_their_weights() {
        let of = |scores: &[(Weight, f64)]| combine(scores.iter().copied());
        assert_eq!(of(&[(Weight::ALONE, 0.3)]), 0.3);
        let parts = [(weight(3.0, false), 1.0), (weight(1.0, false), 0.0)];
        assert_eq!(of(&parts), 0.75);
        let parts = [(weight(3.0, false), 1.0), (weight(1.0, true), 0.0)];
        assert_eq!(of(&parts), 0.0);
        let parts = [(weight(3.0, true), 0.5), (weight(1.0, true), 1.0)];
        assert_eq!(of(&parts), 0.625);
        assert_eq!(of(&[]), 0.0);
    }

    proptest! {
        #[test]
        fn a_weighted_mean_lies_between_its_parts(
            parts in prop::collection::vec((WEIGHTS, 0.0..=1.0_f64), 1..9),
        ) {
            let scores = parts.iter().map(|(by, score)| (weight(*by, false), *score));
            let found = combine(scores);
            let low = parts.iter().map(|(_, score)| *score).fold(1.0, f64::min);
            let high = parts.iter().map(|(_, score)| *score).fold(0.0, f64::max);
            prop_assert!((low - 1e-12..=high + 1e-12).contains(&found), "{}", found);
        }
    }
}
