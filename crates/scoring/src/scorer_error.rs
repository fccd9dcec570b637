//! What can be wrong with a scorer, and with the row that it is held against.

use crate::template::TemplateError;
use frugal_domain::fault::shortened;

/// Why a scorer cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct ScorerError {
    /// The field of the scorer that is at fault, such as `pattern`.
    pub field: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// Why an instance has no right answer that a response could be held against. It is a fault of
/// the data, not of the response.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScoreError {
    /// `expected` cannot be rendered for this instance.
    #[error("expected: {0}")]
    Template(TemplateError),
    /// The judge's rubric cannot be rendered for this instance.
    #[error("rubric: {0}")]
    Rubric(TemplateError),
    /// What people say of an answer is no rating.
    #[error("labels: `{said}` is no rating; it must be a number from {low} to {high}")]
    NotARating {
        /// What it is, cut short.
        said: String,
        /// The worst rating.
        low: f64,
        /// The best.
        high: f64,
    },
    /// No judge is asked.
    #[error("type: this scorer asks no judge")]
    NoJudge,
    /// The scorer has none.
    #[error("expected: is missing")]
    Missing,
    /// Every response would contain it.
    #[error("expected: the text is empty for this instance, and every response contains that")]
    Empty,
    /// It is not one number.
    #[error("expected: `{text}` holds {count} numbers; it must hold one")]
    NotANumber {
        /// What it is, cut short.
        text: String,
        /// How many numbers it holds.
        count: usize,
    },
    /// It cannot be read as mathematics.
    #[error("expected: `{text}` cannot be read as mathematics: {why}")]
    NotMathematics {
        /// What it is, cut short.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is none of the choices.
    #[error("expected: `{text}` is none of the choices")]
    NotAChoice {
        /// What it is, cut short.
        text: String,
    },
    /// It is no list of texts.
    #[error("expected: `{text}` is no JSON array of texts, which `references` of `list` asks for")]
    NotTexts {
        /// What it is, cut short.
        text: String,
    },
    /// There is no text to compare with.
    #[error("expected: there is no text for this instance that a response could be compared with")]
    NoReference,
    /// There are more texts to compare with than may be.
    #[error(
        "expected: there are {count} texts for this instance that a response is compared with; at most {most} \
         are allowed"
    )]
    TooManyReferences {
        /// How many.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// That of one part of a composite.
    #[error("part {number}: {error}")]
    Part {
        /// Which one, counted from 0.
        number: usize,
        /// What is wrong.
        error: Box<Self>,
    },
    /// Another field than `expected` is of no use for this instance.
    #[error("{field}: {detail}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The score takes more than reading the response.
    #[error("the scorer needs a worker, which runs programs; it cannot be used here")]
    Outside,
    /// It is no JSON object or array.
    #[error(
        "expected: `{text}` is no JSON object or array, which the extraction `json` is held against"
    )]
    NotJson {
        /// What it is, cut short.
        text: String,
    },
}

impl ScoreError {
    /// The field of the scorer that is at fault.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Field { field, .. } => field,
            Self::Outside => "type",
            _ => "expected",
        }
    }
}

/// A text for a message: its first 80 characters.
pub(crate) fn cut(text: &str) -> String {
    shortened(text, 80)
}
