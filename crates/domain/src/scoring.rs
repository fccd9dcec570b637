//! How an answer is scored: the scorer of one response, what it says of it, the reducer over the n of
//! an instance.

use crate::names::names;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The scorer of one response, as it was read and checked: its name as `type`, beside its fields.
/// The crate `scoring` has the scorers, each with its fields in a file of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScorerSpec(pub Map<String, Value>);

/// What a scorer says of one response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// How good it is, from 0 for wrong to 1 for right.
    pub score: f64,
    /// Which answer it gives; nothing where it gives none, or the scorer knows no answers.
    pub answer: Option<AnswerKey>,
    /// How highly the selector thinks of it, from 0 to 1; nothing where the job has no selector.
    pub preference: Option<f64>,
    /// What it adds to the sums of a metric of the whole corpus; nothing where the scorer counts nothing.
    pub counts: Option<CorpusCounts>,
}

impl From<f64> for Observation {
    fn from(score: f64) -> Self {
        Self {
            score,
            answer: None,
            preference: None,
            counts: None,
        }
    }
}

/// The longest n-grams that BLEU counts.
pub const BLEU_ORDER: usize = 4;

/// What a response adds to the sums that a metric of the whole corpus is a ratio of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorpusCounts {
    /// To BLEU's.
    Bleu {
        /// N-grams that are in a reference too, by their order from 1.
        common: [u32; BLEU_ORDER],
        /// All of them.
        all: [u32; BLEU_ORDER],
        /// Words of the response.
        length: u32,
        /// Words of the reference of the nearest length.
        reference: u32,
    },
    /// To those of precision, recall and F1: words, fields or labels, by the scorer.
    Overlap {
        /// Those that are in both.
        common: u32,
        /// Those of the response.
        response: u32,
        /// Those of the reference.
        reference: u32,
    },
}

impl CorpusCounts {
    /// The counts in a row, as they are stored.
    #[must_use]
    pub fn listed(&self) -> Vec<u32> {
        match self {
            Self::Bleu {
                common,
                all,
                length,
                reference,
            } => [&common[..], &all[..], &[*length, *reference]].concat(),
            Self::Overlap {
                common,
                response,
                reference,
            } => vec![*common, *response, *reference],
        }
    }

    /// Counts that were [listed](Self::listed); nothing where there are not as many as of either kind.
    #[must_use]
    pub fn from_listed(counts: &[u32]) -> Option<Self> {
        if let [common, response, reference] = *counts {
            return Some(Self::Overlap {
                common,
                response,
                reference,
            });
        }
        let (common, rest) = counts.split_first_chunk()?;
        let (all, rest) = rest.split_first_chunk()?;
        let [length, reference] = *rest else {
            return None;
        };
        Some(Self::Bleu {
            common: *common,
            all: *all,
            length,
            reference,
        })
    }
}

/// Stands for an answer: two responses with the same key give the same one, as the scorer compares
/// answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey(pub u64);

names! {
    /// Makes one number of the scores of an instance's n responses (paper, section 3).
    pub enum Reducer: "reducer" {
        /// 1 − (1 − s/n)ⁿ where s of n are right: the chance that one of n draws is.
        ExpectedSuccess = "expected_success",
        /// 1 if any is right.
        Success = "success",
        /// The mean of the scores.
        Mean = "mean",
        /// The worst score: 1 if all are right.
        Min = "min",
        /// The score of the answer that most responses give (self-consistency), the mean where several
        /// are given as often; a response without an answer has no vote.
        Majority = "majority",
        /// The score of the response that the selector thinks most highly of, the mean where it does of
        /// several (best of n).
        BestOfN = "best_of_n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_as_they_were_listed() {
        let bleu = CorpusCounts::Bleu {
            common: [4, 3, 2, 1],
            all: [8, 7, 6, 5],
            length: 8,
            reference: 9,
        };
        let overlap = CorpusCounts::Overlap {
            common: 1,
            response: 2,
            reference: 3,
        };
        for counts in [bleu, overlap] {
            assert_eq!(CorpusCounts::from_listed(&counts.listed()), Some(counts));
        }
        assert_eq!(CorpusCounts::from_listed(&[1, 2]), None);
        assert_eq!(CorpusCounts::from_listed(&[0; 11]), None);
    }
}
