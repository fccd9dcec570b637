//! The answer that most of n responses give (self-consistency, arXiv 2203.11171), and what it is worth
//! where n are taken of a pool.
//!
//! Each response has one vote, or none where it gives no answer. Where several answers have as many
//! votes, one of them is drawn: the mean of their scores counts.
//!
//! What n of a pool come to is computed and not drawn. Each answer gets a distribution of its votes as
//! if they were independent of those of others; that all votes together are n makes it the one that is
//! asked for, for a binomial distribution without replacement and for a Poisson one with it. For each
//! number of votes that may win, one pass over the answers counts the ways in which none has more.

use crate::share::{real, within_range};
use frugal_domain::scoring::{AnswerKey, Observation};
use std::collections::BTreeMap;

/// The score of the answer that most responses give; 0 where none gives any.
pub(crate) fn majority(responses: &[Observation]) -> f64 {
    let votes = Votes::of(responses);
    let most = votes.answers.iter().map(|answer| answer.votes).max();
    let first = votes.answers.iter().filter(|one| Some(one.votes) == most);
    let (scores, count) = first.fold((0.0, 0_usize), |(sum, count), answer| {
        (sum + answer.score, count + 1)
    });
    scores / real(count.max(1))
}

/// The mean of the majority's score over all n-subsets of a pool. `None` where n is 0 or above m.
#[must_use]
pub fn pooled_majority(pool: &[Observation], n: usize) -> Option<f64> {
    if n == 0 || n > pool.len() {
        return None;
    }
    // Any share will do; near that which is taken, the numbers are largest.
    let share = (real(n) / real(pool.len())).min(0.9);
    let odds = share / (1.0 - share);
    let of_votes = |votes: usize| {
        let mode = (real(votes) * share).floor();
        let step = |at: usize| odds * real(votes - at) / real(at + 1);
        around(mode, votes.min(n), step)
    };
    Some(Votes::of(pool).race(n, of_votes))
}

/// The mean of the majority's score over n draws from a pool with replacement; 0 where it is empty.
#[must_use]
pub fn expected_majority(pool: &[Observation], n: usize) -> f64 {
    if pool.is_empty() || n == 0 {
        return 0.0;
    }
    let of_votes = |votes: usize| {
        let mean = real(n) * real(votes) / real(pool.len());
        around(mean.floor(), n, |at| mean / real(at + 1))
    };
    Votes::of(pool).race(n, of_votes)
}

/// The answers of a pool.
struct Votes {
    answers: Vec<Answer>,
    /// Responses that give none.
    silent: usize,
}

/// An answer that some responses of a pool give.
struct Answer {
    votes: usize,
    /// The mean score of these.
    score: f64,
}

impl Votes {
    fn of(pool: &[Observation]) -> Self {
        let mut scores: BTreeMap<AnswerKey, Vec<f64>> = BTreeMap::new();
        let mut silent = 0;
        for observation in pool {
            let score = within_range(observation.score);
            match observation.answer {
                Some(answer) => scores.entry(answer).or_default().push(score),
                None => silent += 1,
            }
        }
        let answer = |scores: Vec<f64>| Answer {
            votes: scores.len(),
            score: scores.iter().sum::<f64>() / real(scores.len()),
        };
        Self {
            answers: scores.into_values().map(answer).collect(),
            silent,
        }
    }

    /// The mean of the majority's score, where the votes of each answer are distributed so and all
    /// together, with those that have none, are n.
    fn race(&self, n: usize, of_votes: impl Fn(usize) -> Vec<f64>) -> f64 {
        let answers = self.answers.iter();
        let answers: Vec<(Vec<f64>, f64)> = answers
            .map(|answer| (of_votes(answer.votes), answer.score))
            .collect();
        let silent = of_votes(self.silent);
        let no_answer: f64 = answers.iter().map(|(chances, _)| chances[0]).product();
        let (mut all, mut worth) = (no_answer * at(&silent, n), 0.0);
        let longest = answers.iter().map(|(chances, _)| chances.len()).max();
        for most in 1..longest.unwrap_or_default().min(n + 1) {
            let tally = Tally::count(&answers, most, n);
            for taken in 0..=n {
                let rest = at(&silent, n - taken);
                for first in 1..=n / most {
                    let (ways, scores) = tally.with(taken, first);
                    all += rest * ways;
                    worth += rest * scores / real(first);
                }
            }
        }
        // Where all is too small to be a number, nothing is known of the race.
        if all > 0.0 {
            within_range(worth / all)
        } else {
            0.0
        }
    }
}

/// How likely it is that so many votes were taken and so many answers have the most, none having more;
/// and the same times the sum of the scores of those that have.
struct Tally {
    /// The most answers that can have the most votes.
    widest: usize,
    ways: Vec<f64>,
    scores: Vec<f64>,
}

impl Tally {
    fn count(answers: &[(Vec<f64>, f64)], most: usize, n: usize) -> Self {
        let widest = n / most;
        let size = (n + 1) * (widest + 1);
        let mut tally = Self {
            widest,
            ways: vec![0.0; size],
            scores: vec![0.0; size],
        };
        tally.ways[0] = 1.0;
        // Votes that may be taken so far, and answers that may have the most.
        let (mut reached, mut tied) = (0, 0);
        for (chances, score) in answers {
            let mut next = Self {
                widest,
                ways: vec![0.0; size],
                scores: vec![0.0; size],
            };
            for taken in 0..=reached {
                for first in 0..=tied {
                    let (ways, scores) = tally.with(taken, first);
                    if ways <= 0.0 {
                        continue;
                    }
                    for (votes, chance) in chances.iter().enumerate().take(most + 1) {
                        let is_first = votes == most;
                        let place = tally.place(taken + votes, first + usize::from(is_first));
                        if taken + votes > n || place >= size {
                            break;
                        }
                        let gained = if is_first { ways * score } else { 0.0 };
                        next.ways[place] += chance * ways;
                        next.scores[place] += chance * (scores + gained);
                    }
                }
            }
            let taking = chances.len().saturating_sub(1).min(most);
            reached = (reached + taking).min(n);
            tied = (tied + usize::from(taking == most)).min(widest);
            tally = next;
        }
        tally
    }

    fn place(&self, taken: usize, first: usize) -> usize {
        taken * (self.widest + 1) + first
    }

    fn with(&self, taken: usize, first: usize) -> (f64, f64) {
        let place = self.place(taken, first);
        (self.ways[place], self.scores[place])
    }
}

/// A distribution from 0 to `largest`, each value being so many times as likely as the one before. It
/// is computed from the mode outwards, so that nothing vanishes that matters.
fn around(mode: f64, largest: usize, step: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut chances = vec![0.0; largest + 1];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of votes"
    )]
    let mode = (mode as usize).min(largest);
    chances[mode] = 1.0;
    for votes in mode..largest {
        chances[votes + 1] = chances[votes] * step(votes);
    }
    for votes in (0..mode).rev() {
        chances[votes] = chances[votes + 1] / step(votes);
    }
    let total: f64 = chances.iter().sum();
    for chance in &mut chances {
        *chance /= total;
    }
    chances
}

/// The chance of a value that may be beyond all that have any.
fn at(chances: &[f64], votes: usize) -> f64 {
    chances.get(votes).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
