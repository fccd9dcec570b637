//! What is known of the score of one response: what each part of its scorer says, and what has to be done
//! outside of this crate for those that say nothing yet.
//!
//! Whoever does it asks what is [`wanted`](Assessment::wanted), tells what came of it, and has the
//! [`outcome`](Assessment::outcome) once nothing more is wanted. What costs least comes first: programs, then
//! hooks, then judges. Of parts of a kind those that are required come first, one at a time, so that one of them
//! that scores 0 spares what the others would cost; the rest may be seen to side by side. The same answers lead
//! through the same questions, whenever they are told.

use crate::composite::{self, Weight};
use crate::explained::rounded;
use crate::run::Run;
use crate::verdict::{Pending, Verdict};
use frugal_domain::scoring::Observation;
use std::collections::BTreeMap;

/// What is known of the score of one response.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    parts: Vec<(Weight, Word)>,
    /// What is known of how parts came to what they say, by their numbers.
    told: BTreeMap<usize, String>,
    /// Whether it is by a composite, so that what is wrong is said of a part.
    is_composite: bool,
}

/// What a part says.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Score(Observation),
    /// It has no score, for this reason.
    None(String),
    Pending(Pending),
}

impl Assessment {
    pub(crate) fn new(
        parts: impl IntoIterator<Item = (Weight, Verdict)>,
        is_composite: bool,
    ) -> Self {
        let parts = parts.into_iter().map(|(weight, verdict)| match verdict {
            Verdict::Score(observed) => (weight, Word::Score(observed)),
            Verdict::None(reason) => (weight, Word::None(reason)),
            Verdict::Pending(pending) => (weight, Word::Pending(pending)),
        });
        Self {
            parts: parts.collect(),
            told: BTreeMap::new(),
            is_composite,
        }
    }

    /// What it comes to, or why there is no score; nothing where something is wanted first. A part that is
    /// required and scores 0 settles it, and so does one that has no score.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<Observation, String>> {
        if let ([(_, word)], false) = (self.parts.as_slice(), self.is_composite) {
            return match word {
                Word::Score(observed) => Some(Ok(*observed)),
                Word::None(reason) => Some(Err(reason.clone())),
                Word::Pending(_) => None,
            };
        }
        let scores = self.parts.iter().filter_map(|(weight, word)| match word {
            Word::Score(observed) => Some((*weight, observed.score)),
            Word::None(_) | Word::Pending(_) => None,
        });
        if scores.clone().any(|(weight, score)| weight.missed(score)) {
            return Some(Ok(0.0.into()));
        }
        let mut words = self.parts.iter().map(|(_, word)| word).enumerate();
        let lacking = words.find_map(|(number, word)| match word {
            Word::None(reason) => Some(format!("part {number}: {reason}")),
            Word::Score(_) | Word::Pending(_) => None,
        });
        if let Some(lacking) = lacking {
            return Some(Err(lacking));
        }
        let is_complete = scores.clone().count() == self.parts.len();
        is_complete.then(|| Ok(composite::combine(scores).into()))
    }

    /// The parts that are to be seen to now, by their numbers from 0; none once there is an outcome. A scorer
    /// of its own is part 0.
    #[must_use]
    pub fn wanted(&self) -> Vec<usize> {
        if self.outcome().is_some() {
            return Vec::new();
        }
        let pending = || {
            let parts = self.parts.iter().enumerate();
            parts.filter_map(|(number, (weight, word))| match word {
                Word::Pending(pending) => Some((number, weight, rank(pending))),
                Word::Score(_) | Word::None(_) => None,
            })
        };
        let first = pending().map(|(_, _, rank)| rank).min();
        let of_rank = || pending().filter(|(_, _, rank)| Some(*rank) == first);
        match of_rank().find(|(_, weight, _)| weight.is_required()) {
            Some((number, _, _)) => vec![number],
            None => of_rank().map(|(number, _, _)| number).collect(),
        }
    }

    /// What has to be done for a part that says nothing yet.
    #[must_use]
    pub fn pending(&self, part: usize) -> Option<&Pending> {
        match self.parts.get(part) {
            Some((_, Word::Pending(pending))) => Some(pending),
            _ => None,
        }
    }

    /// The programs that have to be run for a part.
    pub fn run(&mut self, part: usize) -> Option<&mut Run> {
        match self.parts.get_mut(part) {
            Some((_, Word::Pending(Pending::Run(run)))) => Some(run),
            _ => None,
        }
    }

    /// Tells what a part comes to, or why it has no score. One that has said something is not told again.
    pub fn tell(&mut self, part: usize, score: Result<f64, String>) {
        let Some((_, word)) = self.parts.get_mut(part) else {
            return;
        };
        let Word::Pending(pending) = word else {
            return;
        };
        let told = match (pending, &score) {
            (Pending::Run(run), Ok(_)) => run.told(),
            (Pending::Webhook(_), Ok(score)) => {
                format!("the webhook scores it {}", rounded(*score))
            }
            (Pending::Ask, Ok(score)) => format!("the judge scores it {}", rounded(*score)),
            (_, Err(reason)) => reason.clone(),
        };
        self.told.insert(part, told);
        *word = match score {
            Ok(score) => Word::Score(score.into()),
            Err(reason) => Word::None(reason),
        };
    }

    /// What a part comes to, if it comes to anything, and what is known of how.
    pub(crate) fn said(&self, part: usize) -> (Option<f64>, Option<&str>) {
        let score = match self.parts.get(part) {
            Some((_, Word::Score(observed))) => Some(observed.score),
            _ => None,
        };
        (score, self.told.get(&part).map(String::as_str))
    }
}

/// What costs less comes first.
const fn rank(pending: &Pending) -> u8 {
    match pending {
        Pending::Run(_) => 0,
        Pending::Webhook(_) => 1,
        Pending::Ask => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(score: f64) -> Verdict {
        Verdict::Score(score.into())
    }

    fn run() -> Verdict {
        Verdict::Pending(Pending::Run(Run::outputs([], false)))
    }

    const ASK: Verdict = Verdict::Pending(Pending::Ask);

    fn of(parts: impl IntoIterator<Item = (bool, Verdict)>) -> Assessment {
        let parts = parts.into_iter();
        Assessment::new(
            parts.map(|(required, verdict)| (Weight::of(1.0, required), verdict)),
            true,
        )
    }

    #[test]
    fn what_is_cheap_and_what_is_required_comes_first() {
        let parts = [(false, ASK), (true, ASK), (false, run()), (true, run())];
        let mut assessed = of(parts.into_iter().chain([(false, read(1.0)), (false, ASK)]));
        for (wanted, score) in [(vec![3], 1.0), (vec![2], 0.0), (vec![1], 0.5)] {
            assert_eq!(assessed.outcome(), None);
            assert_eq!(assessed.wanted(), wanted);
            assessed.tell(wanted[0], Ok(score));
        }
        assert_eq!(assessed.wanted(), [0, 5]);
        assessed.tell(5, Ok(1.0));
        assessed.tell(0, Ok(1.0));
        assert_eq!(assessed.outcome(), Some(Ok(0.75.into())));
        // What was said stays.
        assessed.tell(0, Ok(0.0));
        assert_eq!(assessed.outcome(), Some(Ok(0.75.into())));
    }

    #[test]
    fn a_required_part_that_scores_0_spares_the_others() {
        let assessed = of([(false, ASK), (true, read(0.0)), (true, run())]);
        assert_eq!(assessed.outcome(), Some(Ok(0.0.into())));
        assert!(assessed.wanted().is_empty());
        let mut assessed = of([(false, ASK), (true, run())]);
        assessed.tell(1, Ok(0.0));
        assert_eq!(assessed.outcome(), Some(Ok(0.0.into())));
        assert!(assessed.wanted().is_empty());
    }

    #[test]
    fn a_part_without_a_score_makes_none() {
        let mut assessed = of([(false, read(1.0)), (false, run()), (false, ASK)]);
        assessed.tell(1, Err("it broke down".to_owned()));
        assert_eq!(
            assessed.outcome(),
            Some(Err("part 1: it broke down".to_owned()))
        );
        assert!(assessed.wanted().is_empty());
        // By itself there is no need to say which.
        let mut alone = Assessment::new([(Weight::ALONE, ASK)], false);
        assert_eq!(alone.wanted(), [0]);
        alone.tell(0, Err("it is silent".to_owned()));
        assert_eq!(alone.outcome(), Some(Err("it is silent".to_owned())));
    }

    proptest! {
        #[test]
        fn whoever_sees_to_what_is_wanted_comes_to_an_end(
            parts in prop::collection::vec((any::<bool>(), 0..3_u8, prop::option::of(0..3_u8)), 1..9)
        ) {
            let mut assessed = of(parts.iter().map(|(required, kind, score)| (*required, match kind {
                0 => read(f64::from(score.unwrap_or_default()) / 2.0),
                1 => run(),
                _ => ASK,
            })));
            let mut seen = Vec::new();
            while assessed.outcome().is_none() {
                let wanted = assessed.wanted();
                prop_assert!(!wanted.is_empty());
                for part in wanted {
                    prop_assert!(assessed.pending(part).is_some());
                    prop_assert!(!seen.contains(&part));
                    seen.push(part);
                    let score = parts[part].2.map(|score| f64::from(score) / 2.0);
                    assessed.tell(part, score.ok_or_else(String::new));
                }
            }
            prop_assert!(assessed.wanted().is_empty());
        }
    }
}
