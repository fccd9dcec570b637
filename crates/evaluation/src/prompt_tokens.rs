//! What is known of the prompt tokens of each instance, for one model and prompt.

use std::sync::Arc;

/// Prompt tokens by instance: the numbers that the endpoint reported, and upper bounds for
/// the instances that it has not been asked about.
#[derive(Debug, Clone)]
pub(crate) struct PromptTokens {
    known: Vec<Option<u64>>,
    bounds: Arc<[u64]>,
}

impl PromptTokens {
    /// What is known at the start of a trial. `known` may be shorter than the bounds.
    pub(crate) fn new(mut known: Vec<Option<u64>>, bounds: Arc<[u64]>) -> Self {
        known.resize(bounds.len(), None);
        Self { known, bounds }
    }

    /// Takes note of what the endpoint reported. The first number stays; a zero tells
    /// nothing (some endpoints report it for a prompt that they had in a cache).
    pub(crate) fn learn(&mut self, instance: usize, tokens: u64) {
        if let Some(known @ None) = self.known.get_mut(instance)
            && tokens > 0
        {
            *known = Some(tokens);
        }
    }

    pub(crate) fn known(&self) -> &[Option<u64>] {
        &self.known
    }

    /// The reported number where there is one, else the bound.
    pub(crate) fn upper(&self, instance: usize) -> u64 {
        let known = self.known.get(instance).copied().flatten();
        known.unwrap_or_else(|| self.bounds.get(instance).copied().unwrap_or(u64::MAX))
    }

    /// The reported numbers, where every instance has one.
    pub(crate) fn all_known(&self) -> Option<Vec<u64>> {
        self.known.iter().copied().collect()
    }

    /// The reported numbers, and the estimated mean for the instances without one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of token counts; a cast from a float saturates"
    )]
    pub(crate) fn estimates(&self) -> Vec<u64> {
        let mean = self.estimated_mean().round() as u64;
        self.known
            .iter()
            .map(|known| known.unwrap_or(mean))
            .collect()
    }

    /// The mean over all instances, where unknown ones are taken to stand to their bounds as
    /// the known ones stand to theirs (a ratio estimate: bounds may be crude, but they tell
    /// long prompts from short ones). The bounds themselves where nothing is known.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate; exact sums are compared in whole numbers elsewhere"
    )]
    pub(crate) fn estimated_mean(&self) -> f64 {
        let (mut known_sum, mut known_bounds, mut known_count, mut unknown_bounds) =
            (0_u128, 0_u128, 0_u32, 0_u128);
        for (known, &bound) in self.known.iter().zip(self.bounds.iter()) {
            match known {
                Some(tokens) => {
                    known_sum += u128::from(*tokens);
                    known_bounds += u128::from(bound);
                    known_count += 1;
                }
                None => unknown_bounds += u128::from(bound),
            }
        }
        let count = self.known.len() as f64;
        if known_count == 0 {
            return unknown_bounds as f64 / count;
        }
        if known_bounds == 0 {
            return known_sum as f64 / f64::from(known_count);
        }
        let ratio = known_sum as f64 / known_bounds as f64;
        (known_sum as f64 + unknown_bounds as f64 * ratio) / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(bounds: &[u64]) -> PromptTokens {
        PromptTokens::new(Vec::new(), Arc::from(bounds))
    }

    #[test]
    fn unknown_prompts_scale_with_their_bounds() {
        let mut prompts = tokens(&[100, 200, 300]);
        assert_eq!(prompts.estimated_mean(), 200.0);
        prompts.learn(0, 50);
        assert_eq!(prompts.estimated_mean(), 100.0);
        assert_eq!((prompts.upper(0), prompts.upper(2)), (50, 300));
        assert_eq!(prompts.all_known(), None);
    }

    #[test]
    fn the_first_report_stays_and_zero_tells_nothing() {
        let mut prompts = tokens(&[100]);
        prompts.learn(0, 0);
        assert_eq!(prompts.upper(0), 100);
        prompts.learn(0, 60);
        prompts.learn(0, 90);
        prompts.learn(7, 90);
        assert_eq!(prompts.all_known(), Some(vec![60]));
    }
}
