//! What a scorer says of a response, in words for whoever wrote the scorer.

use crate::extract::Extract;
use crate::scorer_error::cut;
use frugal_domain::fault::shortened;
use frugal_domain::scoring::Observation;

/// The longest text of a response that is shown, in characters.
const MOST_SHOWN: usize = 1_000;

/// What a scorer says of a response, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// What is stored of it; nothing where it has no score.
    pub observation: Option<Observation>,
    /// Why, in a sentence.
    pub why: String,
    /// What it says by itself, or each part of a composite does.
    pub parts: Vec<ExplainedPart>,
}

/// The same of a scorer of its own, or of a part of a composite. Long texts are cut.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedPart {
    /// From 0 for wrong to 1 for right; nothing where it has none, or was not looked at.
    pub score: Option<f64>,
    /// The part of the response that is looked at; nothing where there is none.
    pub extracted: Option<String>,
    /// The answer that it gives, as answers are compared; nothing where it gives none, or the scorer
    /// knows no answers.
    pub answer: Option<String>,
    /// What is expected for the row; nothing where the scorer expects nothing in particular.
    pub expected: Option<String>,
    /// Why, in a sentence.
    pub why: String,
}

/// What is known of a response.
pub(crate) struct Facts<'t> {
    pub(crate) score: Option<f64>,
    pub(crate) extract: &'t Extract,
    pub(crate) extracted: Option<&'t str>,
    pub(crate) has_answers: bool,
    pub(crate) answer: Option<String>,
    pub(crate) expected: Option<&'t str>,
    /// What the rule itself says of it.
    pub(crate) reason: Option<String>,
}

impl Facts<'_> {
    pub(crate) fn explained(self) -> ExplainedPart {
        let why = self.why();
        ExplainedPart {
            score: self.score,
            extracted: self.extracted.map(shown),
            answer: self.answer.as_deref().map(shown),
            expected: self.expected.map(shown),
            why,
        }
    }

    fn why(&self) -> String {
        let Some(extracted) = self.extracted else {
            return format!("nothing to score: {}", self.extract.lacking());
        };
        if let Some(reason) = &self.reason {
            return reason.clone();
        }
        let Some(score) = self.score else {
            return "not looked at, since another part has settled the score".to_owned();
        };
        let extracted = cut(extracted.trim());
        let wanted = match self.expected {
            Some(expected) => format!("expected `{}`", cut(expected)),
            None => "which is not what the scorer asks for".to_owned(),
        };
        if score >= 1.0 {
            return match self.expected {
                Some(expected) => {
                    format!("extracted `{extracted}`, as expected (`{}`)", cut(expected))
                }
                None => format!("extracted `{extracted}`, which is what the scorer asks for"),
            };
        }
        if score > 0.0 {
            let score = rounded(score);
            return format!("extracted `{extracted}`, {wanted}: right by {score}");
        }
        if self.has_answers && self.answer.is_none() {
            return format!("no answer in `{extracted}`, {wanted}");
        }
        format!("extracted `{extracted}`, {wanted}")
    }
}

/// A number as it is read.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// A text, cut if it is long.
fn shown(text: &str) -> String {
    shortened(text, MOST_SHOWN)
}
