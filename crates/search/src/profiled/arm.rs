//! An arm as the search sees it: where it lies in the space, and what was drawn for it.

use super::whole::Allowed;
use frugal_domain::configuration::Configuration;
use frugal_domain::scoring::AnswerKey;
use std::collections::BTreeMap;

/// Where an arm lies.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmPlace {
    /// The point of the sampling settings' space.
    pub configuration: Configuration,
    /// Which model, by position.
    pub model: usize,
    /// Which prompt, by position.
    pub prompt: usize,
    /// How hot it samples.
    pub heat: Heat,
    /// All other sampling settings, by name.
    pub others: BTreeMap<String, Feature>,
    /// The limits of tokens that it may have.
    pub max_tokens: Allowed,
    /// The numbers of responses that it may have.
    pub n: Allowed,
}

/// How hot an arm samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Heat {
    /// At this temperature; 1 where none is set, which is what endpoints take then.
    Temperature(f64),
    /// At temperature 1 from this share of the probability mass.
    TopP(f64),
}

impl Heat {
    /// The number.
    pub(super) const fn value(self) -> f64 {
        match self {
            Self::Temperature(value) | Self::TopP(value) => value,
        }
    }

    /// Whether two are numbers of the same kind.
    pub(super) const fn same_kind(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Temperature(_), Self::Temperature(_)) | (Self::TopP(_), Self::TopP(_))
        )
    }
}

/// The value of another sampling setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Feature {
    /// A number, as its place in its range: from 0 to 1.
    Number(f64),
    /// Anything else.
    Name(String),
}

/// What a row's requests brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    /// Tokens of each response; those that were cut have as many as their limit.
    pub(super) tokens: Vec<f64>,
    /// The fewest of them that are known to score as well as all.
    pub(super) enough: Vec<f64>,
    /// How good each is, as it came.
    pub(super) scores: Vec<f64>,
    /// Which answer each gives, if any.
    pub(super) answers: Vec<Option<AnswerKey>>,
    /// How highly the selector thinks of each, if there is one.
    pub(super) preferences: Vec<Option<f64>>,
    /// How long each took, in milliseconds.
    pub(super) latencies: Vec<f64>,
    /// Whether each ended by itself.
    pub(super) ended: Vec<bool>,
}

impl Row {
    pub(super) fn responses(&self) -> usize {
        self.tokens.len()
    }

    /// How long its right answers have to be.
    pub(super) fn right_lengths(&self) -> impl Iterator<Item = f64> {
        let both = self.enough.iter().zip(&self.scores);
        both.filter(|(_, score)| **score > 0.0)
            .map(|(enough, _)| *enough)
    }

    /// The scores of responses within a limit, added up.
    pub(super) fn right_within(&self, cap: f64) -> f64 {
        let both = self.enough.iter().zip(&self.scores);
        both.filter(|(enough, _)| **enough <= cap)
            .map(|(_, score)| score)
            .sum()
    }

    /// Tokens of a response under a limit.
    pub(super) fn mean_tokens(&self, cap: f64) -> f64 {
        let capped = self.tokens.iter().map(|tokens| tokens.min(cap));
        capped.sum::<f64>() / self.responses().max(1) as f64
    }

    /// The share of responses that a limit cuts.
    pub(super) fn cut_rate(&self, cap: f64) -> f64 {
        let both = self.tokens.iter().zip(&self.ended);
        let cut = both.filter(|(tokens, ended)| **tokens > cap || !**ended);
        cut.count() as f64 / self.responses().max(1) as f64
    }

    /// The slowest of its requests, in milliseconds.
    pub(super) fn latency(&self) -> f64 {
        self.latencies.iter().copied().fold(0.0, f64::max)
    }
}

/// An arm with what was drawn for it.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) place: ArmPlace,
    /// What each row brought, by the row's place in the order.
    pub(super) rows: Vec<Option<Row>>,
    /// Rows with a request that failed for good. They are not asked for again.
    pub(super) failed: Vec<bool>,
    /// Those of them whose prompts the endpoint refuses, whatever the arm.
    pub(super) left_out: Vec<bool>,
    /// Whether a batch was ever decided for it.
    pub(super) asked: bool,
    /// Responses in all.
    pub(super) drawn: usize,
    /// Responses that score and were scored cut too, and those of them of which less is enough.
    pub(super) cut: usize,
    pub(super) shorter_enough: usize,
    /// Rows with responses.
    pub(super) seen: usize,
    /// It cannot be evaluated: the endpoint refuses it, or too many of its requests failed.
    pub(super) closed: bool,
    /// Money spent on it.
    pub(super) spent: f64,
    /// The limit of tokens that it is drawn under and the largest that is chosen from: the largest that it may
    /// have, until right answers are known to be much shorter.
    pub(super) limit: u32,
}

impl Arm {
    pub(super) fn new(place: ArmPlace, rows: usize) -> Self {
        Self {
            limit: place.max_tokens.largest(),
            place,
            rows: vec![None; rows],
            failed: vec![false; rows],
            left_out: vec![false; rows],
            asked: false,
            drawn: 0,
            cut: 0,
            shorter_enough: 0,
            seen: 0,
            closed: false,
            spent: 0.0,
        }
    }

    /// Whether a row has responses or will never have any.
    pub(super) fn settled(&self, row: usize) -> bool {
        self.rows[row].is_some() || self.failed[row]
    }

    /// Rows without a response whose requests failed, but for those that no arm of the model and the
    /// prompt gets one for.
    pub(super) fn missing(&self) -> usize {
        let all = 0..self.rows.len();
        all.filter(|row| self.rows[*row].is_none() && self.failed[*row] && !self.left_out[*row])
            .count()
    }

    /// Whether a row has no response for its requests failed.
    pub(super) fn has_failed(&self) -> bool {
        let mut both = self.rows.iter().zip(&self.failed);
        both.any(|(row, failed)| row.is_none() && *failed)
    }

    /// Whether all rows are settled, and some were seen.
    pub(super) fn complete(&self) -> bool {
        self.seen > 0 && (0..self.rows.len()).all(|row| self.settled(row))
    }

    /// The rows with responses, with their places in the order.
    pub(super) fn data(&self) -> impl Iterator<Item = (usize, &Row)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(place, row)| Some((place, row.as_ref()?)))
    }

    /// The limit of tokens that it is drawn under.
    pub(super) fn cap(&self) -> f64 {
        f64::from(self.limit)
    }

    /// The same where it was lowered, and else none: an endpoint's own count of tokens may be above the largest.
    pub(super) fn lowered(&self) -> f64 {
        if self.limit < self.place.max_tokens.largest() {
            self.cap()
        } else {
            f64::INFINITY
        }
    }

    /// The scores of a row's responses, added up.
    pub(super) fn right_of(&self, row: &Row) -> f64 {
        row.right_within(self.lowered())
    }

    /// Whether two arms differ in nothing but how hot they sample.
    pub(super) fn same_but_heat(&self, other: &Self) -> bool {
        self.place.model == other.place.model
            && self.place.prompt == other.place.prompt
            && self.place.others == other.place.others
    }

    /// The fewest responses of a row that has any.
    pub(super) fn fewest_responses(&self) -> usize {
        self.data()
            .map(|(_, row)| row.responses())
            .min()
            .unwrap_or_default()
    }

    /// The same of the rows that may be asked for again.
    pub(super) fn fewest_to_repeat(&self) -> usize {
        self.data()
            .filter(|(place, _)| !self.failed[*place])
            .map(|(_, row)| row.responses())
            .min()
            .unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Some place.
    pub(in crate::profiled) fn place() -> ArmPlace {
        ArmPlace {
            configuration: Configuration::default(),
            model: 0,
            prompt: 0,
            heat: Heat::Temperature(1.0),
            others: BTreeMap::new(),
            max_tokens: Allowed::List(vec![100]),
            n: Allowed::List(vec![1]),
        }
    }
}
