//! The limit of tokens that an arm's responses are drawn under.
//!
//! At first that is the largest which the space allows, since a response that was drawn under it tells what
//! any smaller one would have cut. Once right answers are known to be much shorter, nothing is lost by cutting
//! what is longer: it only costs, and a request's worst case, which has to be set aside for as long as it is under
//! way, is many times what it comes to. A limit that was lowered stays so, for what was cut is not known.

use super::arm::Arm;
use super::constants::{
    ABOVE_FEW_RIGHT, ABOVE_RIGHT, FEW_RIGHT_ROWS, LEAST_LOWERED, MANY_RIGHT_ANSWERS,
};
use frugal_domain::configuration::Extent;
use std::collections::BTreeSet;

/// Lowers the limits of arms whose right answers, and those of arms that differ in nothing but how hot they
/// sample, are much shorter. What the reference is taken at stays within its limit.
pub(super) fn lower_limits(arms: &mut [Arm], reference: Option<(usize, Extent)>) {
    let right: Vec<RightAnswers> = arms.iter().map(RightAnswers::of).collect();
    for arm in 0..arms.len() {
        let alike = arms.iter().zip(&right);
        let alike = alike.filter(|(other, _)| other.same_but_heat(&arms[arm]));
        let all = RightAnswers::together(alike.map(|(_, right)| right));
        if all.count < MANY_RIGHT_ANSWERS || all.rows.len() < FEW_RIGHT_ROWS {
            continue;
        }
        let mut least = all.longest * (ABOVE_RIGHT + ABOVE_FEW_RIGHT / all.count);
        if let Some((of_reference, extent)) = reference
            && arms[of_reference].same_but_heat(&arms[arm])
        {
            least = least.max(f64::from(extent.max_tokens));
        }
        let limit = arms[arm].place.max_tokens.at_least(least);
        if f64::from(limit) <= arms[arm].cap() * LEAST_LOWERED {
            arms[arm].limit = limit;
        }
    }
}

/// What is known of right answers.
#[derive(Debug, Default)]
struct RightAnswers {
    count: f64,
    /// Tokens of the longest.
    longest: f64,
    /// The rows that they are to.
    rows: BTreeSet<usize>,
}

impl RightAnswers {
    fn of(arm: &Arm) -> Self {
        let mut found = Self::default();
        for (place, row) in arm.data() {
            for length in row.right_lengths() {
                found.count += 1.0;
                found.longest = found.longest.max(length);
                found.rows.insert(place);
            }
        }
        found
    }

    fn together<'a>(several: impl Iterator<Item = &'a Self>) -> Self {
        let mut found = Self::default();
        for one in several {
            found.count += one.count;
            found.longest = found.longest.max(one.longest);
            found.rows.extend(&one.rows);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiled::Allowed;
    use crate::profiled::arm::tests::place;
    use crate::profiled::arm::{ArmPlace, Heat, Row};

    fn arm(prompt: usize, temperature: f64, rows: usize) -> Arm {
        let place = ArmPlace {
            prompt,
            heat: Heat::Temperature(temperature),
            max_tokens: Allowed::Range {
                low: 10,
                high: 1000,
                step: 10,
            },
            ..place()
        };
        Arm::new(place, rows)
    }

    /// Three responses to each row, of which the last is wrong and longer.
    fn draw(arm: &mut Arm, tokens: f64) {
        for row in &mut arm.rows {
            *row = Some(Row {
                tokens: vec![tokens, tokens, 900.0],
                enough: vec![tokens, tokens - 20.0, 900.0],
                scores: vec![1.0, 1.0, 0.0],
                ..Row::default()
            });
        }
    }

    fn limits(arms: &[Arm]) -> Vec<u32> {
        arms.iter().map(|arm| arm.limit).collect()
    }

    #[test]
    fn arms_that_differ_in_heat_alone_share_a_limit() {
        let mut arms = [arm(0, 0.8, 6), arm(0, 0.3, 6), arm(1, 0.8, 6)];
        draw(&mut arms[0], 200.0);
        lower_limits(&mut arms, None);
        // Of twelve right answers of 200 tokens twice as much is room enough.
        assert_eq!(limits(&arms), [400, 400, 1000]);
        // What was wrong stays so, and what is longer than the limit counts as long as it.
        let row = arms[0].rows[0].clone().unwrap();
        assert_eq!(arms[0].right_of(&row), 2.0);
        assert_eq!(row.mean_tokens(arms[0].lowered()), 800.0 / 3.0);
    }

    #[test]
    fn a_limit_that_was_lowered_is_not_raised() {
        let mut arms = [arm(0, 0.8, 6), arm(0, 0.3, 6)];
        draw(&mut arms[0], 200.0);
        lower_limits(&mut arms, None);
        // A longer answer was under way.
        draw(&mut arms[1], 500.0);
        lower_limits(&mut arms, None);
        assert_eq!(limits(&arms), [400, 400]);
        let row = arms[1].rows[0].clone().unwrap();
        assert_eq!(arms[1].right_of(&row), 0.0);
    }

    #[test]
    fn more_right_answers_take_less_room() {
        let mut arms = [arm(0, 0.8, 18)];
        draw(&mut arms[0], 200.0);
        lower_limits(&mut arms, None);
        assert_eq!(limits(&arms), [300]);
    }

    #[test]
    fn few_answers_or_few_rows_tell_too_little() {
        for rows in [3, 5] {
            let mut arms = [arm(0, 0.8, rows)];
            draw(&mut arms[0], 200.0);
            lower_limits(&mut arms, None);
            assert_eq!(limits(&arms), [1000], "{rows} rows");
        }
    }

    #[test]
    fn what_others_are_held_against_keeps_its_own_limit() {
        let mut arms = [arm(0, 0.8, 6), arm(0, 0.3, 6)];
        draw(&mut arms[0], 200.0);
        let extent = Extent {
            max_tokens: 500,
            n: 1,
        };
        lower_limits(&mut arms, Some((1, extent)));
        assert_eq!(limits(&arms), [500, 500]);
    }
}
