//! `math`: the answer is the expected one as mathematics, however either is written.

use super::{Common, Kind, right};
use crate::extract::{Extract, Extractor};
use crate::math::{self, Reading};
use crate::scorer_error::{ScoreError, ScorerError, cut};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};

/// The most decimals that numbers may be rounded to.
const MOST_DECIMALS: u32 = 30;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Math {
    precision: Option<u32>,
    /// Whether the answer is searched for, and not at a place that is given.
    searches: bool,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    /// The decimals that numbers with a point are rounded to before they are compared. Without it they are
    /// compared exactly, but for one that is held against a number without end, which is rounded to six.
    #[serde(default)]
    precision: Option<u32>,
}

impl Kind for Math {
    type Fields = Fields;
    type Wanted = Reading;
    const NAME: &'static str = "math";
    const EXTRACT: Extract = Extract::MathAnswer;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let precision = match object.get("precision") {
            Some(at) => Some(at.integer_within(0, i64::from(MOST_DECIMALS))?),
            None => None,
        };
        Some(Fields {
            precision: precision.and_then(|decimals| u32::try_from(decimals).ok()),
        })
    }

    fn compile(Fields { precision }: Fields, common: &Common) -> Result<Self, ScorerError> {
        match precision {
            Some(decimals) if decimals > MOST_DECIMALS => Err(ScorerError {
                field: "precision",
                detail: format!("must be at most {MOST_DECIMALS}"),
            }),
            _ => Ok(Self {
                precision,
                searches: common.extract == Extract::MathAnswer,
            }),
        }
    }

    fn wanted(&self, expected: &str) -> Result<Reading, ScoreError> {
        // A worked solution is as good as its answer.
        let has_answer = expected.contains("\\boxed") || expected.contains("####");
        let answer = match has_answer {
            true => math::answer(expected).unwrap_or(expected),
            false => expected,
        };
        Reading::new(answer).map_err(|why| ScoreError::NotMathematics {
            text: cut(expected),
            why: why.to_string(),
        })
    }

    fn score(&self, wanted: &Reading, extractor: &Extractor, response: &str) -> f64 {
        // `June 20` is an answer as a whole, though a number is what is found in it.
        if self.searches && wanted.is_text_of(response) {
            return 1.0;
        }
        let answer = extractor.apply(response);
        let reading = answer.and_then(|answer| Reading::new(answer).ok());
        right(reading.is_some_and(|reading| wanted.is_met_by(&reading, self.precision)))
    }
}
