//! How an answer is scored: the scorer of one response, the reducer over the n of an instance.

use crate::names::names;
use serde::{Deserialize, Serialize};

/// Scores one response: 1 for right, 0 for wrong.
///
/// `expected` is a template over the instance, such as `{{ answer }}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScorerSpec {
    /// The extracted text equals the expected one, up to white space at both ends.
    Exact {
        /// What a right answer is.
        expected: String,
        /// Which part of the response is compared.
        #[serde(default)]
        extract: Extract,
        /// Whether `A` and `a` are the same.
        #[serde(default)]
        ignore_case: bool,
        /// Whether `é` and `e` are the same.
        #[serde(default)]
        ignore_accents: bool,
    },
    /// The extracted text contains the expected one.
    Contains {
        /// What a right answer holds.
        expected: String,
        /// Which part of the response is searched.
        #[serde(default)]
        extract: Extract,
        /// Whether `A` and `a` are the same.
        #[serde(default)]
        ignore_case: bool,
        /// Whether `é` and `e` are the same.
        #[serde(default)]
        ignore_accents: bool,
    },
    /// The extracted text matches a pattern; with `expected`, the first capture group (or the
    /// whole match where there is none) must equal it.
    Regex {
        /// A regular expression in the syntax of the Rust crate `regex`.
        pattern: String,
        /// What the capture must be, where given.
        #[serde(default)]
        expected: Option<String>,
        /// Which part of the response is searched.
        #[serde(default)]
        extract: Extract,
    },
    /// The first of the choices that the extracted text names is the expected one.
    Choice {
        /// The right choice.
        expected: String,
        /// All choices, such as `["A", "B", "C", "D"]`.
        choices: Vec<String>,
        /// Which part of the response is searched.
        #[serde(default)]
        extract: Extract,
    },
    /// The extracted number equals the expected one.
    Numeric {
        /// The right number.
        expected: String,
        /// Which number of the response is compared; the last one by default.
        #[serde(default = "Extract::last_number")]
        extract: Extract,
        /// How far off it may be, as a share of the expected number or of 1, whichever is larger.
        #[serde(default)]
        tolerance: f64,
    },
}

impl ScorerSpec {
    /// The names that `type` takes.
    pub const NAMES: &'static [&'static str] = &["exact", "contains", "regex", "choice", "numeric"];
}

/// Which part of a response is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// All of it.
    #[default]
    All,
    /// Its first line that is not blank.
    FirstLine,
    /// Its last line that is not blank.
    LastLine,
    /// Its first number.
    FirstNumber,
    /// Its last number.
    LastNumber,
    /// The last number on its first line that is not blank.
    FirstLineLastNumber,
    /// Its first JSON object or array.
    Json,
    /// What a pattern captures: the first group, or the whole match where there is none.
    Regex(String),
}

impl Extract {
    const fn last_number() -> Self {
        Self::LastNumber
    }
}

names! {
    /// Makes one number of the scores of an instance's n responses (paper, section 3).
    pub enum Reducer: "reducer" {
        /// 1 − (1 − s/n)ⁿ where s of n are right: the chance that one of n draws is.
        ExpectedSuccess = "expected_success",
        /// 1 if any is right.
        Success = "success",
        /// The mean of the scores.
        Mean = "mean",
    }
}
