//! `edit_similarity`: how few characters must be put in, taken out or changed to make the extracted text
//! the expected one (Levenshtein), as a share of the longer one: 1 for equal texts, 0 for all of it.

use super::{Common, Kind};
use crate::extract::Extractor;
use crate::fold::{FoldFields, Folding};
use crate::overlap::beginning;
use crate::references::References;
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;
use rapidfuzz::distance::levenshtein;
use serde::{Deserialize, Serialize};

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct EditSimilarity {
    folding: Folding,
    references: References,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    #[serde(flatten)]
    folding: FoldFields,
    #[serde(default)]
    references: References,
}

impl Kind for EditSimilarity {
    type Fields = Fields;
    type Wanted = Vec<String>;
    const NAME: &'static str = "edit_similarity";
    const IS_GRADED: bool = true;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let (folding, references) = (FoldFields::read(object), References::read(object));
        Some(Fields {
            folding: folding?,
            references: references?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self {
            folding: fields.folding.into(),
            references: fields.references,
        })
    }

    fn wanted(&self, expected: &str) -> Result<Self::Wanted, ScoreError> {
        let references = self.references.of(expected)?;
        Ok(references.iter().map(|text| self.text(text)).collect())
    }

    fn score(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> f64 {
        let Some(text) = extractor.apply(response) else {
            return 0.0;
        };
        let text = self.text(&text);
        let similarity = |reference: &String| {
            levenshtein::normalized_similarity(text.chars(), reference.chars())
        };
        wanted.iter().map(similarity).fold(0.0, f64::max)
    }
}

impl EditSimilarity {
    fn text(&self, text: &str) -> String {
        self.folding.fold(beginning(text).trim())
    }
}
