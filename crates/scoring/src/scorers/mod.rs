//! The scorers, each in a file of its own with its fields, its reader and its rule. What all share,
//! `expected` and `extract`, is read and compiled once, in `scorer.rs`.
//!
//! A new scorer is a file here, a line in the list below, and its schema in the API.

mod bleu;
mod choice;
mod chrf;
mod contains;
mod edit_similarity;
mod exact;
mod json;
mod math;
mod numeric;
mod regex;
mod rouge;
mod token_f1;

use crate::extract::{Extract, Extractor};
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// One way to score a response.
pub(crate) trait Kind: Sized {
    /// Its own fields, as they are stored.
    type Fields: Serialize + DeserializeOwned;
    /// What a right response to one instance is.
    type Wanted: Clone + std::fmt::Debug;
    /// Its name, which `type` holds.
    const NAME: &'static str;
    /// The part of a response that is looked at where `extract` is not given.
    const EXTRACT: Extract = Extract::All;
    /// Whether a response may be right in part, so that a mean of scores says more than the chance
    /// that one is right.
    const IS_GRADED: bool = false;
    /// What is wanted where `expected` is not given; `expected` is required where this is nothing.
    fn without_expected() -> Option<Self::Wanted> {
        None
    }

    /// Reads its own fields, noting what is wrong with them.
    fn read(object: &ObjectReader<'_>) -> Option<Self::Fields>;

    /// Compiles it.
    fn compile(fields: Self::Fields, common: &Common) -> Result<Self, ScorerError>;

    /// What a right response is, `expected` being rendered for the instance and trimmed.
    fn wanted(&self, expected: &str) -> Result<Self::Wanted, ScoreError>;

    /// Scores a response, from 0 for wrong to 1 for right.
    fn score(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> f64;
}

/// The fields that all scorers share.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) expected: Option<String>,
    pub(crate) extract: Extract,
}

/// The score of what is either right or wrong.
pub(crate) const fn right(is_right: bool) -> f64 {
    if is_right { 1.0 } else { 0.0 }
}

/// What is known of a scorer before its fields are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    pub(crate) name: &'static str,
    pub(crate) extract: fn() -> Extract,
    pub(crate) expected_is_optional: fn() -> bool,
    pub(crate) is_graded: bool,
}

macro_rules! scorers {
    ($($kind:ident in $file:ident),+ $(,)?) => {
        /// A compiled scorer.
        #[derive(Debug, Clone)]
        pub(crate) enum Rule {
            $($kind($file::$kind)),+
        }

        /// What a right response to one instance is.
        #[derive(Debug, Clone)]
        pub(crate) enum Wanted {
            $($kind(<$file::$kind as Kind>::Wanted)),+
        }

        /// Every scorer, in the order of the list.
        pub(crate) const ALL: &[About] = &[$(About {
            name: $file::$kind::NAME,
            extract: || $file::$kind::EXTRACT,
            expected_is_optional: || $file::$kind::without_expected().is_some(),
            is_graded: $file::$kind::IS_GRADED,
        }),+];

        /// Reads the fields of the scorer of this name, as they are stored.
        pub(crate) fn read(name: &str, object: &ObjectReader<'_>) -> Option<Map<String, Value>> {
            match name {
                $($file::$kind::NAME => stored(&$file::$kind::read(object)?),)+
                _ => None,
            }
        }

        impl Rule {
            /// Compiles the scorer of this name from its stored fields.
            pub(crate) fn compile(
                name: &str,
                fields: Map<String, Value>,
                common: &Common,
            ) -> Result<Self, ScorerError> {
                match name {
                    $($file::$kind::NAME => {
                        let fields = serde_json::from_value(Value::Object(fields));
                        let fields = fields.map_err(|error| ScorerError {
                            field: "",
                            detail: error.to_string(),
                        })?;
                        $file::$kind::compile(fields, common).map(Self::$kind)
                    })+
                    _ => Err(ScorerError {
                        field: "type",
                        detail: format!("`{name}` is no scorer"),
                    }),
                }
            }

            /// What a right response is; `expected` is rendered for the instance and trimmed.
            pub(crate) fn wanted(&self, expected: Option<&str>) -> Result<Wanted, ScoreError> {
                match self {
                    $(Self::$kind(rule) => match (expected, $file::$kind::without_expected()) {
                        (Some(expected), _) => rule.wanted(expected).map(Wanted::$kind),
                        (None, Some(wanted)) => Ok(Wanted::$kind(wanted)),
                        (None, None) => Err(ScoreError::Missing),
                    }),+
                }
            }

            /// Scores a response, from 0 for wrong to 1 for right.
            pub(crate) fn score(
                &self,
                wanted: &Wanted,
                extractor: &Extractor,
                response: &str,
            ) -> f64 {
                match (self, wanted) {
                    $((Self::$kind(rule), Wanted::$kind(wanted)) => {
                        rule.score(wanted, extractor, response)
                    })+
                    // What is wanted comes from the same rule.
                    _ => 0.0,
                }
            }
        }
    };
}

scorers! {
    Exact in exact,
    Contains in contains,
    Regex in regex,
    Choice in choice,
    Numeric in numeric,
    Math in math,
    Json in json,
    TokenF1 in token_f1,
    Rouge in rouge,
    Bleu in bleu,
    Chrf in chrf,
    EditSimilarity in edit_similarity,
}

fn stored(fields: &impl Serialize) -> Option<Map<String, Value>> {
    match serde_json::to_value(fields) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use crate::scorer::Scorer;
    use frugal_domain::scoring::ScorerSpec;
    use serde_json::{Value, json};

    /// The score of each response under one scorer and one answer, which `{{ answer }}` stands for.
    pub(crate) fn check(scorer: Value, answer: Value, cases: &[(&str, bool)]) {
        let told = scorer.to_string();
        let spec: ScorerSpec = serde_json::from_value(scorer).unwrap();
        let scorer = Scorer::compile(&spec).unwrap();
        let instance = json!({"answer": answer}).as_object().cloned().unwrap();
        for (response, right) in cases {
            let score = scorer.score(&instance, response).unwrap();
            assert_eq!(score, f64::from(u8::from(*right)), "{told} {response:?}");
        }
    }
}
