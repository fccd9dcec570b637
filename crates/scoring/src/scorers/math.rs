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
    const HAS_ANSWERS: bool = true;

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

    /// All right answers are the same one; numbers among the others are told apart by their values.
    fn answer(&self, wanted: &Reading, extractor: &Extractor, response: &str) -> Option<String> {
        match self.look(wanted, extractor, response) {
            (true, _) => Some("right".to_owned()),
            (false, reading) => Some(format!("wrong: {}", reading?.key())),
        }
    }

    fn score(&self, wanted: &Reading, extractor: &Extractor, response: &str) -> f64 {
        let (is_right, _) = self.look(wanted, extractor, response);
        right(is_right)
    }
}

impl Math {
    /// Whether a response is right, and what was read of it.
    fn look(
        &self,
        wanted: &Reading,
        extractor: &Extractor,
        response: &str,
    ) -> (bool, Option<Reading>) {
        // `June 20` is an answer as a whole, though a number is what is found in it.
        if self.searches && wanted.is_text_of(response) {
            return (true, None);
        }
        let answer = extractor.apply(response);
        let reading = answer.and_then(|answer| Reading::new(&answer).ok());
        let met = reading.as_ref();
        let is_right = met.is_some_and(|reading| wanted.is_met_by(reading, self.precision));
        (is_right, reading)
    }
}

#[cfg(test)]
mod tests {
    use crate::scorers::testing::check;
    use serde_json::json;

    #[test]
    fn math_compares_what_answers_mean() {
        let math = json!({"type": "math", "expected": "{{ answer }}"});
        check(
            math.clone(),
            json!("\\frac{1}{2}"),
            &[
                ("So it is $\\boxed{0.5}$.", true),
                ("The answer is 1/2.", true),
                ("#### 50%", true),
                ("x = \\frac{2}{4}", true),
                ("The answer is 2.", false),
                ("", false),
            ],
        );
        check(
            math.clone(),
            json!(9_007_199_254_740_993_u64),
            &[
                ("9{,}007{,}199{,}254{,}740{,}993", true),
                ("9007199254740992", false),
            ],
        );
        check(
            math,
            json!("June 20"),
            &[("June 20.", true), ("June 21", false), ("20", false)],
        );
    }

    #[test]
    fn decimals_are_rounded_where_precision_is_given() {
        check(
            json!({"type": "math", "expected": "{{ answer }}", "precision": 2}),
            json!("2.72"),
            &[("e", true), ("2.718", true), ("2.7", false)],
        );
    }

    #[test]
    fn a_place_that_is_given_is_the_only_one_that_is_looked_at() {
        check(
            json!({"type": "math", "expected": "{{ answer }}", "extract": "first_line"}),
            json!("2x + 2"),
            &[("2(x+1)\nThe answer is 5.", true), ("5\n2x + 2", false)],
        );
    }
}
