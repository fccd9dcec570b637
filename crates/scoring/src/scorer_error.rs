//! What can be wrong with a scorer, and with the row that it is held against.

use crate::template::TemplateError;

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// `expected` cannot be rendered for this instance.
    #[error("expected: {0}")]
    Template(TemplateError),
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
    /// It is no JSON object or array.
    #[error(
        "expected: `{text}` is no JSON object or array, which the extraction `json` is held against"
    )]
    NotJson {
        /// What it is, cut short.
        text: String,
    },
}

/// A text for a message: its first 80 characters.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
