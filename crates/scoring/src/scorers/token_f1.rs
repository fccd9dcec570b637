//! `token_f1`: how many words the extracted text has in common with the expected one, as SQuAD's
//! evaluation script reckons it: without case, punctuation and English articles.

use super::{Common, Kind, right};
use crate::extract::Extractor;
use crate::overlap::{Agreement, Ngrams, beginning, small};
use crate::references::References;
use crate::scorer_error::{ScoreError, ScorerError};
use crate::verdict::Verdict;
use frugal_domain::fault::ObjectReader;
use frugal_domain::scoring::{CorpusCounts, Observation};
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

    fn verdict(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> Verdict {
        let text = extractor.apply(response);
        let words = text.as_deref().map(|text| self.words(text));
        let found = Ngrams::of(words.as_deref().unwrap_or_default(), 1);
        let against = |reference: &Vec<String>| {
            let of_reference = Ngrams::of(reference, 1);
            let common = found.common(&of_reference);
            // What has no words is right only where there are none to find.
            let score = match (&words, found.total(), of_reference.total()) {
                (None, ..) => right(false),
                (_, 0, _) | (_, _, 0) => right(found.total() == of_reference.total()),
                (_, response, reference) => {
                    Agreement::of(common, response, reference).f_measure(1.0)
                }
            };
            let counts = CorpusCounts::Overlap {
                common: small(common),
                response: small(found.total()),
                reference: small(of_reference.total()),
            };
            Observation {
                counts: Some(counts),
                ..score.into()
            }
        };
        // The first of those that fit it best.
        let best = wanted
            .iter()
            .map(against)
            .reduce(|best, one| if one.score > best.score { one } else { best });
        Verdict::Score(best.unwrap_or_else(|| right(false).into()))
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
