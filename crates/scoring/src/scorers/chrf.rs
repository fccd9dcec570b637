//! `chrf`: the character n-grams, and with `word_order` the words, that the extracted text has in common
//! with the expected one (Popović, 2015 and 2017), as sacrebleu reckons them for one sentence.

use super::{Common, Kind};
use crate::extract::Extractor;
use crate::overlap::{Agreement, Ngrams, beginning};
use crate::references::References;
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};

/// The longest n-grams of characters.
const CHAR_ORDER: usize = 6;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Chrf {
    fields: Fields,
}

/// Its own fields.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Fields {
    /// The longest n-grams of words: 0 is chrF, 2 is chrF++.
    #[serde(default)]
    word_order: usize,
    /// How many times as much recall counts as precision.
    #[serde(default = "usual_beta")]
    beta: f64,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    references: References,
}

const fn usual_beta() -> f64 {
    2.0
}

/// A text as it is compared.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    characters: Vec<char>,
    words: Vec<String>,
}

impl Kind for Chrf {
    type Fields = Fields;
    type Wanted = Vec<Text>;
    const NAME: &'static str = "chrf";
    const IS_GRADED: bool = true;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let word_order = object
            .get("word_order")
            .map_or(Some(0), |at| at.integer_within(0, 4));
        let beta = object.get("beta").map_or(Some(usual_beta()), |at| {
            let beta = at.number()?;
            if beta <= 0.0 || beta > 100.0 {
                return at.fault("must be above 0 and at most 100");
            }
            Some(beta)
        });
        let ignore_case = object
            .get("ignore_case")
            .map_or(Some(false), |at| at.boolean());
        let references = References::read(object);
        Some(Fields {
            word_order: usize::try_from(word_order?).ok()?,
            beta: beta?,
            ignore_case: ignore_case?,
            references: references?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self { fields })
    }

    fn wanted(&self, expected: &str) -> Result<Self::Wanted, ScoreError> {
        let references = self.fields.references.of(expected)?;
        Ok(references.iter().map(|text| self.text(text)).collect())
    }

    fn score(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> f64 {
        let Some(text) = extractor.apply(response) else {
            return 0.0;
        };
        let text = self.text(&text);
        let scores = wanted
            .iter()
            .map(|reference| self.agreement(&text, reference));
        scores.fold(0.0, f64::max)
    }
}

impl Chrf {
    fn text(&self, text: &str) -> Text {
        let text = beginning(text);
        let text = match self.fields.ignore_case {
            true => text.to_lowercase(),
            false => text.to_owned(),
        };
        Text {
            characters: text.split_whitespace().flat_map(str::chars).collect(),
            words: match self.fields.word_order {
                0 => Vec::new(),
                _ => text.split_whitespace().flat_map(parts).collect(),
            },
        }
    }

    /// The mean precision and recall over all orders that both texts have n-grams of.
    fn agreement(&self, response: &Text, reference: &Text) -> f64 {
        let mut all = Vec::new();
        for n in 1..=CHAR_ORDER {
            all.extend(agreement(&response.characters, &reference.characters, n));
        }
        for n in 1..=self.fields.word_order {
            all.extend(agreement(&response.words, &reference.words, n));
        }
        let orders = all.len().max(1) as f64;
        let mean = |of: fn(&Agreement) -> f64| all.iter().map(of).sum::<f64>() / orders;
        let agreement = Agreement {
            precision: mean(|one| one.precision),
            recall: mean(|one| one.recall),
        };
        agreement.f_measure(self.fields.beta)
    }
}

/// The agreement of one order; none where one of the texts is shorter.
fn agreement<T: Eq + std::hash::Hash>(
    response: &[T],
    reference: &[T],
    n: usize,
) -> Option<Agreement> {
    let (found, wanted) = (Ngrams::of(response, n), Ngrams::of(reference, n));
    let is_in_both = found.total() > 0 && wanted.total() > 0;
    is_in_both.then(|| Agreement::of(found.common(&wanted), found.total(), wanted.total()))
}

/// A word with one mark of punctuation at its end, or else at its beginning, set apart.
fn parts(word: &str) -> Vec<String> {
    let is_mark = |character: char| character.is_ascii_punctuation();
    let mut characters = word.chars();
    let (first, last) = (characters.next(), characters.next_back());
    match (first, last) {
        (Some(_), Some(last)) if is_mark(last) => {
            let rest = &word[..word.len() - last.len_utf8()];
            vec![rest.to_owned(), last.to_string()]
        }
        (Some(first), Some(_)) if is_mark(first) => {
            let rest = &word[first.len_utf8()..];
            vec![first.to_string(), rest.to_owned()]
        }
        _ => vec![word.to_owned()],
    }
}
