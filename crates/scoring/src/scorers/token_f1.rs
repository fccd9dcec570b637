//! `token_f1`: how many words the extracted text has in common with the expected one, as SQuAD's
//! evaluation script reckons it: without case, punctuation and English articles.

use super::{Common, Kind, right};
use crate::extract::Extractor;
use crate::overlap::{Agreement, Ngrams, beginning};
use crate::references::References;
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct TokenF1 {
    references: References,
    articles: Regex,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    references: References,
}

impl Kind for TokenF1 {
    type Fields = Fields;
    type Wanted = Vec<Vec<String>>;
    const NAME: &'static str = "token_f1";
    const IS_GRADED: bool = true;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        Some(Fields {
            references: References::read(object)?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self {
            references: fields.references,
            articles: crate::pattern::compile("references", r"\b(a|an|the)\b")?,
        })
    }

    fn wanted(&self, expected: &str) -> Result<Self::Wanted, ScoreError> {
        let references = self.references.of(expected)?;
        Ok(references.iter().map(|text| self.words(text)).collect())
    }

    fn score(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> f64 {
        let Some(text) = extractor.apply(response) else {
            return 0.0;
        };
        let words = self.words(&text);
        let found = Ngrams::of(&words, 1);
        let agreement = |reference: &Vec<String>| {
            // What has no words is right only where there are none to find.
            if words.is_empty() || reference.is_empty() {
                return right(words.is_empty() && reference.is_empty());
            }
            let of_reference = Ngrams::of(reference, 1);
            let common = found.common(&of_reference);
            Agreement::of(common, found.total(), of_reference.total()).f_measure(1.0)
        };
        wanted.iter().map(agreement).fold(0.0, f64::max)
    }
}

impl TokenF1 {
    fn words(&self, text: &str) -> Vec<String> {
        let mut text = beginning(text).to_lowercase();
        text.retain(|character| !character.is_ascii_punctuation());
        let text = self.articles.replace_all(&text, " ");
        text.split_whitespace().map(str::to_owned).collect()
    }
}
