//! `rouge`: n-grams or the longest subsequence that the extracted text has in common with the expected one
//! (Lin, 2004), as the package rouge-score reckons them without stemming.

use super::{Common, Kind};
use crate::extract::Extractor;
use crate::overlap::{Agreement, Ngrams, beginning, common_subsequence};
use crate::references::References;
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Rouge {
    fields: Fields,
}

/// What is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Variant {
    #[serde(rename = "1")]
    Words,
    #[serde(rename = "2")]
    Pairs,
    #[default]
    #[serde(rename = "L")]
    Subsequence,
}

/// What of the agreement counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    #[default]
    F1,
    Precision,
    Recall,
}

/// What a word is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Words {
    /// The letters a to z and digits, as in the reference implementation; all else parts words.
    #[default]
    English,
    /// Letters and digits of any script.
    Unicode,
}

/// Its own fields.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    variant: Variant,
    #[serde(default)]
    measure: Measure,
    #[serde(default)]
    words: Words,
    #[serde(default)]
    references: References,
}

impl Kind for Rouge {
    type Fields = Fields;
    type Wanted = Vec<Vec<String>>;
    const NAME: &'static str = "rouge";
    const IS_GRADED: bool = true;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let variant = object
            .get("variant")
            .map_or(Some(Variant::default()), |at| {
                at.one_of(&[
                    ("1", Variant::Words),
                    ("2", Variant::Pairs),
                    ("L", Variant::Subsequence),
                ])
            });
        let measure = object
            .get("measure")
            .map_or(Some(Measure::default()), |at| {
                at.one_of(&[
                    ("f1", Measure::F1),
                    ("precision", Measure::Precision),
                    ("recall", Measure::Recall),
                ])
            });
        let words = object.get("words").map_or(Some(Words::default()), |at| {
            at.one_of(&[("english", Words::English), ("unicode", Words::Unicode)])
        });
        let references = References::read(object);
        Some(Fields {
            variant: variant?,
            measure: measure?,
            words: words?,
            references: references?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self { fields })
    }

    fn wanted(&self, expected: &str) -> Result<Self::Wanted, ScoreError> {
        let references = self.fields.references.of(expected)?;
        Ok(references.iter().map(|text| self.words(text)).collect())
    }

    fn score(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> f64 {
        let Some(text) = extractor.apply(response) else {
            return 0.0;
        };
        let words = self.words(&text);
        let agreements = wanted
            .iter()
            .map(|reference| self.agreement(&words, reference));
        // As the reference implementation has it, the one with the best F1 counts, the first of equals.
        let best =
            agreements.reduce(
                |best, next| match next.f_measure(1.0) > best.f_measure(1.0) {
                    true => next,
                    false => best,
                },
            );
        best.map_or(0.0, |best| match self.fields.measure {
            Measure::F1 => best.f_measure(1.0),
            Measure::Precision => best.precision,
            Measure::Recall => best.recall,
        })
    }
}

impl Rouge {
    fn words(&self, text: &str) -> Vec<String> {
        let text = beginning(text).to_lowercase();
        let text = match self.fields.words {
            Words::English => text,
            Words::Unicode => text.nfc().collect(),
        };
        let is_part = |character: char| match self.fields.words {
            Words::English => character.is_ascii_alphanumeric(),
            Words::Unicode => character.is_alphanumeric(),
        };
        text.split(|character| !is_part(character))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn agreement(&self, response: &[String], reference: &[String]) -> Agreement {
        let n = match self.fields.variant {
            Variant::Words => 1,
            Variant::Pairs => 2,
            Variant::Subsequence => {
                let [one, other]: [Vec<&str>; 2] =
                    [response, reference].map(|words| words.iter().map(String::as_str).collect());
                let common = common_subsequence(&one, &other);
                return Agreement::of(common, one.len() as u64, other.len() as u64);
            }
        };
        let (found, wanted) = (Ngrams::of(response, n), Ngrams::of(reference, n));
        Agreement::of(found.common(&wanted), found.total(), wanted.total())
    }
}
