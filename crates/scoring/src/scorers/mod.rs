//! The scorers, each in a file of its own with its fields, its reader and its rule. What all share,
//! `expected` and `extract`, is read and compiled once, in `scorer.rs`.
//!
//! A new scorer is a file here, a line in the list below, and its schema in the API.

mod bleu;
mod choice;
mod chrf;
mod code;
mod contains;
mod edit_similarity;
mod exact;
mod json;
mod judge;
mod math;
mod numeric;
mod regex;
mod rouge;
mod token_f1;
mod webhook;

use crate::extract::{Extract, Extractor};
use crate::judge::Judge;
use crate::scorer_error::{ScoreError, ScorerError};
use crate::verdict::Verdict;
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
    /// Whether a response gives one answer, which those of other responses may be the same as.
    const HAS_ANSWERS: bool = false;
    /// Whether it has the field `expected`.
    const TAKES_EXPECTED: bool = true;
    /// Its fields that are templates over an instance.
    const TEMPLATES: &'static [&'static str] = &["expected"];
    /// What has to be done outside of this crate before a response has its score.
    const OUTSIDE: Option<Outside> = None;
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

    /// What a judge is asked, where one says how good a response is.
    fn judge(&self) -> Option<&Judge> {
        None
    }

    /// The reference that a judge is shown.
    fn reference(_: &Self::Wanted) -> Option<&str> {
        None
    }

    /// Why a response has its score, where more can be said than what was extracted and expected.
    fn reason(
        &self,
        _wanted: &Self::Wanted,
        _extractor: &Extractor,
        _response: &str,
    ) -> Option<String> {
        None
    }

    /// The answer that a response gives, written so that answers which are compared as the same read the
    /// same; nothing where it gives none.
    fn answer(
        &self,
        _wanted: &Self::Wanted,
        _extractor: &Extractor,
        _response: &str,
    ) -> Option<String> {
        None
    }

    /// What a right response to an instance is, where more than `expected` says it.
    fn wanted_of(
        &self,
        _instance: &Map<String, Value>,
        expected: Option<&str>,
    ) -> Result<Self::Wanted, ScoreError> {
        match (expected, Self::without_expected()) {
            (Some(expected), _) => self.wanted(expected),
            (None, Some(wanted)) => Ok(wanted),
            (None, None) => Err(ScoreError::Missing),
        }
    }

    /// Whether these stored fields make it graded.
    fn is_graded(_fields: &Map<String, Value>) -> bool {
        Self::IS_GRADED
    }

    /// Scores a response, from 0 for wrong to 1 for right. It is not asked of a scorer whose verdict is
    /// another one.
    fn score(&self, _wanted: &Self::Wanted, _extractor: &Extractor, _response: &str) -> f64 {
        0.0
    }

    /// What it says of a response: its score, or what has to be done for it.
    fn verdict(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> Verdict {
        Verdict::Score(self.score(wanted, extractor, response).into())
    }
}

/// What may have to be done outside of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Programs are run.
    Programs,
    /// A hook of the operator's is asked.
    Webhook,
    /// A model is asked.
    Judge,
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
    pub(crate) has_answers: bool,
    pub(crate) is_graded: fn(&Map<String, Value>) -> bool,
    pub(crate) takes_expected: bool,
    pub(crate) templates: &'static [&'static str],
    pub(crate) outside: Option<Outside>,
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
            has_answers: $file::$kind::HAS_ANSWERS,
            is_graded: $file::$kind::is_graded,
            takes_expected: $file::$kind::TAKES_EXPECTED,
            templates: $file::$kind::TEMPLATES,
            outside: $file::$kind::OUTSIDE,
        }),+];

        /// Reads the fields of the scorer of this name, as they are stored.
        pub(crate) fn read(name: &str, object: &ObjectReader<'_>) -> Option<Map<String, Value>> {
            match name {
                $($file::$kind::NAME => stored(&$file::$kind::read(object)?),)+
                _ => None,
            }
        }

        impl Wanted {
            /// The reference that a judge is shown.
            pub(crate) fn reference(&self) -> Option<&str> {
                match self {
                    $(Self::$kind(wanted) => $file::$kind::reference(wanted),)+
                }
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
            pub(crate) fn wanted(
                &self,
                instance: &Map<String, Value>,
                expected: Option<&str>,
            ) -> Result<Wanted, ScoreError> {
                match self {
                    $(Self::$kind(rule) => rule.wanted_of(instance, expected).map(Wanted::$kind)),+
                }
            }

            /// What a judge is asked, where one says how good a response is.
            pub(crate) fn judge(&self) -> Option<&Judge> {
                match self {
                    $(Self::$kind(rule) => rule.judge(),)+
                }
            }

            /// What it says of a response.
            pub(crate) fn verdict(
                &self,
                wanted: &Wanted,
                extractor: &Extractor,
                response: &str,
            ) -> Verdict {
                match (self, wanted) {
                    $((Self::$kind(rule), Wanted::$kind(wanted)) => {
                        rule.verdict(wanted, extractor, response)
                    })+
                    // What is wanted comes from the same rule.
                    _ => Verdict::Score(0.0.into()),
                }
            }

            /// Why a response has its score, where there is more to say.
            pub(crate) fn reason(
                &self,
                wanted: &Wanted,
                extractor: &Extractor,
                response: &str,
            ) -> Option<String> {
                match (self, wanted) {
                    $((Self::$kind(rule), Wanted::$kind(wanted)) => {
                        rule.reason(wanted, extractor, response)
                    })+
                    _ => None,
                }
            }

            /// Whether responses give answers.
            pub(crate) const fn has_answers(&self) -> bool {
                match self {
                    $(Self::$kind(_) => $file::$kind::HAS_ANSWERS),+
                }
            }

            /// The answer that a response gives, if it gives one.
            pub(crate) fn answer(
                &self,
                wanted: &Wanted,
                extractor: &Extractor,
                response: &str,
            ) -> Option<String> {
                match (self, wanted) {
                    $((Self::$kind(rule), Wanted::$kind(wanted)) => {
                        rule.answer(wanted, extractor, response)
                    })+
                    _ => None,
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
    Judged in judge,
    Code in code,
    Hooked in webhook,
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
