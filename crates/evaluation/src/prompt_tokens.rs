//! What is known of the prompt tokens of each instance, for one model and prompt.

use std::sync::Arc;

/// Prompt tokens by instance: the numbers that the endpoint reported, and upper bounds for
/// the instances that it has not been asked about.
#[derive(Debug, Clone)]
pub(crate) struct PromptTokens {
    known: Vec<Option<u64>>,
    bounds: Arc<[u64]>,
    overhead: Overhead,
}

/// What the endpoint adds to prompts where nobody sees it, such as a prompt of the system's own: at
/// most as many tokens as the prompt has in all that was most above its bound.
#[derive(Debug, Clone, Copy, Default)]
struct Overhead {
    most_above: u64,
    tokens: u64,
}

impl Overhead {
    fn learn(&mut self, tokens: u64, bound: u64) {
        let above = tokens.saturating_sub(bound);
        if above > self.most_above {
            self.most_above = above;
            self.tokens = tokens;
        }
    }
}

impl PromptTokens {
    /// What is known at the start of a trial. `known` may be shorter than the bounds.
    pub(crate) fn new(mut known: Vec<Option<u64>>, bounds: Arc<[u64]>) -> Self {
        known.resize(bounds.len(), None);
        let mut overhead = Overhead::default();
        for (known, bound) in known.iter().zip(bounds.iter()) {
            overhead.learn(known.unwrap_or(0), *bound);
        }
        Self {
            known,
            bounds,
            overhead,
        }
    }

    /// Takes note of what the endpoint reported. The first number stays; a zero tells
    /// nothing (some endpoints report it for a prompt that they had in a cache).
    pub(crate) fn learn(&mut self, instance: usize, tokens: u64) {
        if let Some(known @ None) = self.known.get_mut(instance)
            && tokens > 0
        {
            *known = Some(tokens);
            self.overhead.learn(tokens, self.bounds[instance]);
        }
    }

    pub(crate) fn known(&self) -> &[Option<u64>] {
        &self.known
    }

    /// The bound, whatever was reported.
    pub(crate) fn bound(&self, instance: usize) -> u64 {
        self.bounds.get(instance).copied().unwrap_or(u64::MAX)
    }

    /// The reported number where there is one, else the bound, with what the endpoint has been seen
    /// to add.
    pub(crate) fn upper(&self, instance: usize) -> u64 {
        let known = self.known.get(instance).copied().flatten();
        known.unwrap_or_else(|| self.bound(instance).saturating_add(self.overhead.tokens))
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
    fn what_an_endpoint_adds_is_expected_of_other_prompts() {
        let mut prompts = tokens(&[100, 400, 900]);
        // 2,000 tokens that nobody sees, and a quarter of the bound.
        prompts.learn(1, 2_100);
        assert_eq!((prompts.upper(0), prompts.upper(1)), (2_200, 2_100));
        // The shorter prompt tells more precisely what is added.
        prompts.learn(0, 2_025);
        assert_eq!(prompts.upper(2), 2_925);
        let later = PromptTokens::new(prompts.known().to_vec(), prompts.bounds.clone());
        assert_eq!((later.upper(2), later.bound(2)), (2_925, 900));
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
