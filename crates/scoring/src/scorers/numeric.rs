//! `numeric`: the extracted number equals the expected one.

use super::{Common, Kind, right};
use crate::extract::{Extract, Extractor};
use crate::number::numbers;
use crate::scorer_error::{ScoreError, ScorerError, cut};
use bigdecimal::{BigDecimal, Signed, Zero};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};

/// How far apart two numbers may be that say the same but were computed differently, as a
/// share of the larger one: one part in ten to this power.
const ROUNDING_SCALE: i64 = 9;

/// The digits by which answers are told apart that are no integers: as many as rounding leaves.
const ANSWER_DIGITS: u64 = 9;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Numeric {
    tolerance: BigDecimal,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    /// How far off it may be, as a share of the expected number or of 1, whichever is larger.
    #[serde(default)]
    tolerance: f64,
}

impl Kind for Numeric {
    type Fields = Fields;
    type Wanted = BigDecimal;
    const NAME: &'static str = "numeric";
    const HAS_ANSWERS: bool = true;
    const EXTRACT: Extract = Extract::LastNumber;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let tolerance = object.get("tolerance").map_or(Some(0.0), |at| {
            let tolerance = at.number()?;
            if tolerance < 0.0 {
                return at.fault("must be 0 or above");
            }
            Some(tolerance)
        })?;
        Some(Fields { tolerance })
    }

    fn compile(Fields { tolerance }: Fields, _: &Common) -> Result<Self, ScorerError> {
        // As it was written, and not as the fraction of powers of two that is nearest to it.
        match tolerance.to_string().parse() {
            Ok(tolerance) if !BigDecimal::is_negative(&tolerance) => Ok(Self { tolerance }),
            _ => Err(ScorerError {
                field: "tolerance",
                detail: "must be 0 or above".to_owned(),
            }),
        }
    }

    fn wanted(&self, expected: &str) -> Result<BigDecimal, ScoreError> {
        let mut found: Vec<BigDecimal> = numbers(expected).map(|number| number.value).collect();
        match (found.pop(), found.len()) {
            (Some(number), 0) => Ok(number),
            (last, before) => Err(ScoreError::NotANumber {
                text: cut(expected),
                count: before + usize::from(last.is_some()),
            }),
        }
    }

    fn score(&self, wanted: &BigDecimal, extractor: &Extractor, response: &str) -> f64 {
        let number = number(extractor, response);
        right(number.is_some_and(|number| near(&number, wanted, &self.tolerance)))
    }

    /// Its value. A tolerance says what is right, and not which answers are the same.
    fn answer(&self, _: &BigDecimal, extractor: &Extractor, response: &str) -> Option<String> {
        let number = number(extractor, response)?;
        let told_apart = if number.is_integer() {
            number
        } else {
            number.with_prec(ANSWER_DIGITS)
        };
        // The digits and the power of ten, which differ for no two ways to write a number.
        let (digits, scale) = told_apart.normalized().into_bigint_and_exponent();
        Some(match scale {
            0 => digits.to_string(),
            _ => format!("{digits}e{}", -scale),
        })
    }
}

/// The number that a response is taken to say.
fn number(extractor: &Extractor, response: &str) -> Option<BigDecimal> {
    let text = extractor.apply(response)?;
    numbers(&text).last().map(|number| number.value)
}

/// Whether a number is the expected one, up to `tolerance` as a share of it or of 1, whichever
/// is larger. Without tolerance integers must be equal; otherwise rounding never decides.
fn near(value: &BigDecimal, expected: &BigDecimal, tolerance: &BigDecimal) -> bool {
    let difference = (value - expected).abs();
    let has_no_tolerance = tolerance.is_zero();
    if has_no_tolerance && value.is_integer() && expected.is_integer() {
        return difference.is_zero();
    }
    let (value, expected) = (value.abs(), expected.abs());
    let rounding = BigDecimal::new(1.into(), ROUNDING_SCALE) * value.max(expected.clone());
    difference <= tolerance * expected.max(BigDecimal::from(1)) + rounding
}

#[cfg(test)]
mod tests {
    use crate::scorers::testing::check;
    use serde_json::json;

    #[test]
    fn numeric_compares_by_value() {
        let last = json!({"type": "numeric", "expected": "{{ answer }}"});
        check(
            last.clone(),
            json!("1,234"),
            &[
                ("It costs $1234.", true),
                ("1,234.0 dollars", true),
                ("1234.00001", false),
                ("-1234", false),
                ("1234 or 1235", false),
                ("none", false),
            ],
        );
        // Integers are compared to the last digit however large they are.
        check(
            last.clone(),
            json!(12_345_678_901_i64),
            &[("12345678901", true), ("12345678902", false)],
        );
        check(
            last.clone(),
            json!("9007199254740992"),
            &[
                ("9007199254740992", true),
                ("It is 9007199254740993", false),
            ],
        );
        check(
            json!({"type": "numeric", "expected": "{{ answer / 10 }}"}),
            json!(3),
            &[
                ("0.3", true),
                ("0.30", true),
                ("0.30000000000000004", true),
                ("0.3001", false),
            ],
        );
        check(
            last,
            json!(0),
            &[("0", true), ("-0.0", true), ("1e-12", false)],
        );
        let near = json!({"type": "numeric", "expected": "{{ answer }}", "tolerance": 0.01});
        check(
            near.clone(),
            json!(200),
            &[("202", true), ("198", true), ("202.1", false)],
        );
        check(
            near,
            json!(0.5),
            &[("0.51", true), ("0.49", true), ("0.511", false)],
        );
        check(
            json!({"type": "numeric", "expected": "{{ answer }}", "extract": "first_number"}),
            json!(3),
            &[("3 of 4", true), ("4 of 3", false)],
        );
        check(
            json!({"type": "numeric", "expected": "{{ answer }}", "extract": {"regex": "answer is (.*)"}}),
            json!(19),
            &[("12\nThe answer is $19.\nIs it? 20", true), ("19", false)],
        );
    }
}
