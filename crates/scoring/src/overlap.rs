//! How much two sequences have in common: what the scorers that compare a text with a reference share.

use rapidfuzz::distance::lcs_seq;
use std::collections::HashMap;
use std::hash::Hash;

/// The most characters of a text that are compared; what follows is left aside. Longer than any answer
/// that is scored by its likeness, and short enough that the slowest comparison takes well below a second.
pub(crate) const MOST_CHARS: usize = 100_000;

/// The beginning of a text that is compared.
pub(crate) fn beginning(text: &str) -> &str {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// How often each n-gram of a sequence occurs.
#[derive(Debug)]
pub(crate) struct Ngrams<'a, T> {
    counts: HashMap<&'a [T], u64>,
    total: u64,
}

impl<'a, T: Eq + Hash> Ngrams<'a, T> {
    pub(crate) fn of(sequence: &'a [T], n: usize) -> Self {
        let mut counts = HashMap::new();
        let mut total = 0;
        for ngram in sequence.windows(n) {
            *counts.entry(ngram).or_default() += 1;
            total += 1;
        }
        Self { counts, total }
    }

    /// How many there are.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// How many are in another as well, each as often as it is in both.
    pub(crate) fn common(&self, other: &Self) -> u64 {
        let common = self.counts.iter().map(|(ngram, count)| {
            let others = other.counts.get(ngram).copied().unwrap_or_default();
            others.min(*count)
        });
        common.sum()
    }

    /// The same, where an n-gram counts as often as it is in any of the others.
    pub(crate) fn common_with_any(&self, others: &[Self]) -> u64 {
        let common = self.counts.iter().map(|(ngram, count)| {
            let in_others = others.iter().filter_map(|other| other.counts.get(ngram));
            in_others.max().copied().unwrap_or_default().min(*count)
        });
        common.sum()
    }
}

/// The length of the longest common subsequence.
pub(crate) fn common_subsequence(one: &[&str], other: &[&str]) -> u64 {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut number = |word| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry(word).or_insert(next)
    };
    let one: Vec<u32> = one.iter().map(|word| number(*word)).collect();
    let other: Vec<u32> = other.iter().map(|word| number(*word)).collect();
    u64::try_from(lcs_seq::similarity(one, other)).unwrap_or(u64::MAX)
}

/// How well a response agrees with a reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Agreement {
    /// What of the response is in the reference.
    pub(crate) precision: f64,
    /// What of the reference is in the response.
    pub(crate) recall: f64,
}

impl Agreement {
    /// Of the counts of what is in both, in the response and in the reference.
    pub(crate) fn of(common: u64, response: u64, reference: u64) -> Self {
        Self {
            precision: share(common, response),
            recall: share(common, reference),
        }
    }

    /// The harmonic mean, where recall counts `beta` times as much.
    pub(crate) fn f_measure(self, beta: f64) -> f64 {
        let Self { precision, recall } = self;
        let factor = beta * beta;
        let below = factor * precision + recall;
        if below > 0.0 {
            (1.0 + factor) * precision * recall / below
        } else {
            0.0
        }
    }
}

/// A count, to be stored.
pub(crate) fn small(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// A count as a share of another; 0 of none.
pub(crate) fn share(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { real(count) / real(of) }
}

/// A count for reckoning with.
#[expect(
    clippy::cast_precision_loss,
    reason = "parts of a text are far below 2^53"
)]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_counts_as_often_as_in_both() {
        let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
        let (one, other, third) = (words("a a b c a"), words("a b a d"), words("c a a a"));
        let [one_1, other_1, third_1] = [&one, &other, &third].map(|words| Ngrams::of(words, 1));
        assert_eq!(one_1.common(&other_1), 3);
        assert_eq!(one_1.common_with_any(&[other_1, third_1]), 5);
        let (one_2, other_2) = (Ngrams::of(&one, 2), Ngrams::of(&other, 2));
        assert_eq!((one_2.total(), one_2.common(&other_2)), (4, 1));
        assert_eq!(Ngrams::of(&one[..1], 2).total(), 0);
        assert_eq!(common_subsequence(&one, &other), 3);
    }

    #[test]
    fn agreement_without_anything_in_common_is_none() {
        assert_eq!(Agreement::of(0, 0, 5).f_measure(1.0), 0.0);
        let agreement = Agreement::of(2, 4, 8);
        assert_eq!((agreement.precision, agreement.recall), (0.5, 0.25));
        assert!((agreement.f_measure(1.0) - 1.0 / 3.0).abs() < 1e-12);
    }
}
