//! Whether two answers are the same.

use super::exact::{Atom, Quotient, Sum, Work, integer};
use super::numeric;
use super::syntax::{Rational, Relation};
use super::value::{Formula, Related, Value};
use num_traits::{Signed, Zero};

/// The decimals that are looked at where a number that ends is held against one that does not.
const DECIMALS: u32 = 6;

/// Compares what is expected with a response.
pub(super) struct Comparison {
    work: Work,
    /// The decimals that numbers with a point are rounded to, where that is asked for.
    decimals: Option<u32>,
}

impl Comparison {
    pub(super) const fn new(decimals: Option<u32>) -> Self {
        Self {
            work: Work::new(),
            decimals,
        }
    }

    /// Whether both are the same. What cannot be found out in bounded time is not.
    pub(super) fn same(&mut self, expected: &Value, response: &Value) -> bool {
        if self.work.spend(1).is_none() {
            return false;
        }
        match (expected, response) {
            (Value::List(_), _) | (_, Value::List(_)) => self.same_lists(expected, response),
            (Value::Related(expected), Value::Related(response)) => {
                self.same_relations(expected, response)
            }
            (Value::Related(related), other) => {
                if related.is_assignment {
                    return related
                        .sides
                        .last()
                        .is_some_and(|last| self.same(last, other));
                }
                interval(related).is_some_and(|interval| self.same(&interval, other))
            }
            (other, Value::Related(related)) => {
                if related.relations == [Relation::Equal] {
                    return related
                        .sides
                        .last()
                        .is_some_and(|last| self.same(other, last));
                }
                interval(related).is_some_and(|interval| self.same(other, &interval))
            }
            (Value::Formula(expected), Value::Formula(response)) => {
                self.same_formulas(expected, response)
            }
            (Value::Text(expected), Value::Text(response)) => expected == response,
            (
                Value::Ordered(open, close, expected),
                Value::Ordered(other_open, other_close, response),
            ) => {
                // Two elements may be an interval, where the brackets say which ends belong to it.
                let is_sequence = expected.len() != 2;
                (is_sequence || (open, close) == (other_open, other_close))
                    && self.same_in_order(expected, response)
            }
            (Value::Set(expected), Value::Set(response))
            | (Value::Union(expected), Value::Union(response)) => {
                self.same_in_any_order(expected, response)
            }
            (Value::Without(expected, less), Value::Without(response, response_less)) => {
                self.same(expected, response) && self.same(less, response_less)
            }
            (Value::Matrix(expected, is_determinant), Value::Matrix(response, is_other)) => {
                is_determinant == is_other
                    && expected.len() == response.len()
                    && expected
                        .iter()
                        .zip(response)
                        .all(|(expected, response)| self.same_in_order(expected, response))
            }
            _ => false,
        }
    }

    fn same_in_order(&mut self, expected: &[Value], response: &[Value]) -> bool {
        expected.len() == response.len()
            && expected
                .iter()
                .zip(response)
                .all(|(expected, response)| self.same(expected, response))
    }

    fn same_in_any_order(&mut self, expected: &[Value], response: &[Value]) -> bool {
        if expected.len() != response.len() {
            return false;
        }
        let mut left: Vec<&Value> = response.iter().collect();
        expected.iter().all(|expected| {
            let found = left
                .iter()
                .position(|response| self.same(expected, response));
            found.map(|place| left.swap_remove(place)).is_some()
        })
    }

    /// Several answers, at one side at least.
    fn same_lists(&mut self, expected: &Value, response: &Value) -> bool {
        let is_ordered = [expected, response]
            .iter()
            .any(|side| matches!(side, Value::Ordered(..)));
        // A tuple says an order, and a list of the same answers keeps it or does not.
        if let (
            Value::Ordered(_, _, expected) | Value::List(expected),
            Value::Ordered(_, _, response) | Value::List(response),
        ) = (expected, response)
            && is_ordered
            && expected.len() == response.len()
        {
            return self.same_in_order(expected, response);
        }
        let (expected, response) = (answers(expected), answers(response));
        // Of several things with names, bare values are those of the things in their order.
        let names_them = expected.len() > 1
            && expected
                .iter()
                .all(|one| matches!(one, Value::Related(related) if related.is_assignment))
            && !same_name(expected)
            && !response.iter().any(|one| matches!(one, Value::Related(_)));
        match names_them {
            true => self.same_in_order(expected, response),
            false => self.same_in_any_order(expected, response),
        }
    }

    fn same_relations(&mut self, expected: &Related, response: &Related) -> bool {
        if expected.relations != response.relations {
            return match (interval(expected), interval(response)) {
                (Some(expected), Some(response)) => self.same(&expected, &response),
                _ => false,
            };
        }
        if self.same_in_order(&expected.sides, &response.sides) {
            return true;
        }
        let difference = |related: &Related, work: &mut Work| match related.sides.as_slice() {
            [Value::Formula(left), Value::Formula(right)] => left.value.minus(&right.value, work),
            _ => None,
        };
        let (Some(expected_difference), Some(response_difference)) = (
            difference(expected, &mut self.work),
            difference(response, &mut self.work),
        ) else {
            return false;
        };
        let sides_may_change = matches!(
            expected.relations.as_slice(),
            [Relation::Equal | Relation::NotEqual]
        );
        proportion(&expected_difference, &response_difference)
            .is_some_and(|factor| sides_may_change || factor.is_positive())
    }

    fn same_formulas(&mut self, expected: &Formula, response: &Formula) -> bool {
        if let (Some(expected), Some(response)) = (&expected.unit, &response.unit)
            && expected != response
        {
            return false;
        }
        if self.same_numbers(expected, response) {
            return true;
        }
        // So many percent are also so many hundredths.
        match (expected.is_percent, response.is_percent) {
            (true, false) => self.same_numbers(&hundredth(expected), response),
            (false, true) => self.same_numbers(expected, &hundredth(response)),
            _ => false,
        }
    }

    fn same_numbers(&mut self, expected: &Formula, response: &Formula) -> bool {
        let work = &mut self.work;
        let rationals = (expected.value.rational(), response.value.rational());
        if let (Some(left), Some(right)) = &rationals {
            return left == right || self.round_alike((left, expected), (right, response));
        }
        let Some(difference) = difference(&expected.value, &response.value, work) else {
            return false;
        };
        if difference.is_zero() {
            return true;
        }
        let has_symbols = expected.has_symbols || response.has_symbols;
        if !has_symbols && (expected.is_decimal || response.is_decimal) {
            let decimals = self.decimals.unwrap_or(DECIMALS);
            let rounds = |decimal: &Rational, other: &Formula| {
                let value = numeric::real(&other.value);
                value.is_some_and(|value| numeric::rounds_to(value, decimal, decimals))
            };
            return match rationals {
                (Some(decimal), None) if expected.is_decimal => rounds(&decimal, response),
                (None, Some(decimal)) if response.is_decimal => rounds(&decimal, expected),
                _ => numeric::is_nothing(&difference),
            };
        }
        !difference.is_known() && numeric::is_nothing(&difference)
    }

    /// Whether one number that is written with a point is the other but for rounding.
    fn round_alike(&self, left: (&Rational, &Formula), right: (&Rational, &Formula)) -> bool {
        let is_rounded = |(_, decimal): (&Rational, &Formula),
                          (other, _): (&Rational, &Formula)| {
            decimal.is_decimal && (self.decimals.is_some() || !has_end(other))
        };
        let decimals = self.decimals.unwrap_or(DECIMALS);
        (is_rounded(left, right) || is_rounded(right, left))
            && numeric::round_alike(left.0, right.0, decimals)
    }
}

/// The answers of a list; a set of answers is as good as one.
fn answers(value: &Value) -> &[Value] {
    match value {
        Value::List(items) | Value::Set(items) => items,
        other => std::slice::from_ref(other),
    }
}

/// Whether all of several equations are about the same thing.
fn same_name(equations: &[Value]) -> bool {
    let name = |value: &Value| match value {
        Value::Related(related) => related.sides.first().cloned(),
        _ => None,
    };
    let names: Vec<Option<Value>> = equations.iter().map(name).collect();
    names.windows(2).all(|pair| pair[0] == pair[1])
}

fn hundredth(percent: &Formula) -> Formula {
    let value = Quotient {
        above: percent
            .value
            .above
            .scaled(&Rational::new(1.into(), 100.into())),
        below: percent.value.below.clone(),
    };
    Formula {
        value,
        ..percent.clone()
    }
}

/// Whether a fraction has an end as a decimal.
fn has_end(value: &Rational) -> bool {
    let mut below = value.denom().clone();
    for prime in [2_u32, 5] {
        while (&below % prime).is_zero() {
            below /= prime;
        }
    }
    below == 1.into()
}

/// What is 0 where two quotients are the same.
fn difference(left: &Quotient, right: &Quotient, work: &mut Work) -> Option<Sum> {
    left.minus(right, work).map(|difference| difference.above)
}

/// How many times as much the first is as the second, where that is a number other than 0.
fn proportion(left: &Quotient, right: &Quotient) -> Option<Rational> {
    if !left.is_sum() || !right.is_sum() {
        return (left == right).then(|| integer(1));
    }
    let (_, first) = left.above.0.first_key_value()?;
    let (_, other) = right.above.0.first_key_value()?;
    let factor = first / other;
    (right.above.scaled(&factor) == left.above).then_some(factor)
}

/// The interval that an inequality of one symbol is, or two equations' worth of it.
fn interval(related: &Related) -> Option<Value> {
    let infinite = |sign: i64| {
        let value = Quotient::atom(Atom::Infinity);
        Value::Formula(Formula {
            value: Quotient {
                above: value.above.scaled(&integer(sign)),
                below: value.below,
            },
            is_decimal: false,
            is_percent: false,
            has_symbols: false,
            unit: None,
        })
    };
    let is_symbol = |value: &Value| match value {
        Value::Formula(formula) => {
            let single = formula.value.above.single();
            formula.value.is_sum() && single.is_some_and(|(product, coefficient)| {
                let mut atoms = product.iter();
                let is_one =
                    matches!(atoms.next(), Some((Atom::Symbol(_), power)) if *power == integer(1));
                is_one && atoms.next().is_none() && *coefficient == integer(1)
            })
        }
        _ => false,
    };
    let open = |relation: &Relation, strict: char, closed: char| match relation {
        Relation::Less => Some(strict),
        Relation::AtMost => Some(closed),
        _ => None,
    };
    match (related.sides.as_slice(), related.relations.as_slice()) {
        ([low, middle, high], [first, second]) if is_symbol(middle) => Some(Value::Ordered(
            open(first, '(', '[')?,
            open(second, ')', ']')?,
            vec![low.clone(), high.clone()],
        )),
        ([symbol, high], [relation]) if is_symbol(symbol) => Some(Value::Ordered(
            '(',
            open(relation, ')', ']')?,
            vec![infinite(-1), high.clone()],
        )),
        ([low, symbol], [relation]) if is_symbol(symbol) => Some(Value::Ordered(
            open(relation, '(', '[')?,
            ')',
            vec![low.clone(), infinite(1)],
        )),
        _ => None,
    }
}
