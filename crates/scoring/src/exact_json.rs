//! JSON values as they are compared: numbers to the last digit, texts and names folded.
//!
//! A parsed number is one of 64 bits or a float, so that of `12345678901234567891234` and of
//! `0.1000000000000000055` digits are lost. Here they are read as they are written.

use crate::fold::Folding;
use crate::json_reader::{self, Builder};
use num_bigint::BigUint;
use num_traits::Zero;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A value to be compared. Numbers are the same where they say the same, such as `33`, `33.0` and `3.3e1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exact {
    Null,
    Bool(bool),
    Number(Digits),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// A decimal number: its digits from the first that is not 0 to the last that is not 0, times a power of ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digits {
    is_negative: bool,
    /// None of zero.
    digits: String,
    exponent: i64,
}

/// Beyond so many places a number is written with its exponent.
const MOST_PLACES: i64 = 400;

impl Exact {
    /// Reads JSON text; nothing where it is none. Values may nest as deep as a parser lets them.
    pub(crate) fn parse(text: &str, folding: Folding) -> Option<Self> {
        json_reader::read(text, &Folded(folding))
    }

    /// Whether it is an object or a list.
    pub(crate) const fn is_nested(&self) -> bool {
        matches!(self, Self::Object(_) | Self::List(_))
    }

    /// What an object or a list begins with.
    pub(crate) const fn opening(&self) -> char {
        match self {
            Self::Object(_) => '{',
            _ => '[',
        }
    }

    /// The value as JSON text: what is equal reads the same.
    pub(crate) fn written(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(digits) => digits.written(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::written).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(members) => {
                let member = |(name, value): (&String, &Self)| {
                    format!("{}:{}", quoted(name), value.written())
                };
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

/// Makes values whose texts and names are folded.
struct Folded(Folding);

impl Builder for Folded {
    type Value = Exact;

    fn null(&self) -> Exact {
        Exact::Null
    }

    fn bool(&self, value: bool) -> Exact {
        Exact::Bool(value)
    }

    fn number(&self, text: &str) -> Option<Exact> {
        Digits::of(text).map(Exact::Number)
    }

    fn text(&self, text: String) -> Exact {
        match kept_as_text(&text) {
            Some(digits) => Exact::Number(digits),
            None => Exact::Text(self.0.fold(&text)),
        }
    }

    fn list(&self, items: Vec<Exact>) -> Exact {
        Exact::List(items)
    }

    fn object(&self, members: Vec<(String, Exact)>) -> Exact {
        let members = members.into_iter();
        Exact::Object(
            members
                .map(|(name, value)| (self.0.fold(&name), value))
                .collect(),
        )
    }
}

/// A text that stands for a number of more digits than 64 bits or a float keep: rows and schemas carry such
/// numbers so, since they cannot carry them as numbers.
pub(crate) fn kept_as_text(text: &str) -> Option<Digits> {
    let begins = text.strip_prefix('-').unwrap_or(text);
    if !begins.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    let digits = Digits::of(text)?;
    (Digits::of(&number.to_string())? != digits).then_some(digits)
}

impl Digits {
    /// Reads a number of JSON.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, power(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().any(|byte| !byte.is_ascii_digit()) {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let behind = digits.trim_end_matches('0');
        let dropped = digits.len() - behind.len();
        let places = i64::try_from(dropped).ok()? - i64::try_from(fraction.len()).ok()?;
        let digits = behind.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self {
                is_negative: false,
                digits,
                exponent: 0,
            });
        }
        Some(Self {
            is_negative,
            digits,
            exponent: exponent.saturating_add(places),
        })
    }

    /// Whether it is whole.
    pub(crate) const fn is_integer(&self) -> bool {
        self.digits.is_empty() || self.exponent >= 0
    }

    /// Whether it is a whole number of times another one, which is not 0.
    pub(crate) fn is_multiple_of(&self, unit: &Self) -> bool {
        if self.digits.is_empty() {
            return true;
        }
        // The last digit is not 0, so no power of ten that is left over divides the others.
        let Some(places) = self.exponent.checked_sub(unit.exponent) else {
            return false;
        };
        let (Ok(places), Ok(unit)) = (u64::try_from(places), unit.digits.parse::<BigUint>()) else {
            return false;
        };
        if unit.is_zero() {
            return false;
        }
        // So many digits at once fit 64 bits.
        const AT_ONCE: usize = 18;
        let parts = self.digits.as_bytes().chunks(AT_ONCE);
        let rest = parts.fold(BigUint::zero(), |rest, part| {
            let number = part
                .iter()
                .fold(0_u64, |sum, digit| 10 * sum + u64::from(digit - b'0'));
            let shifted = rest * 10_u64.pow(u32::try_from(part.len()).unwrap_or_default());
            (shifted + number) % &unit
        });
        let power = BigUint::from(10_u8).modpow(&places.into(), &unit);
        ((rest * power) % unit).is_zero()
    }

    /// Where the point stands, counted from before the first digit.
    fn point(&self) -> i64 {
        let count = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        self.exponent.saturating_add(count)
    }

    /// How far from 0 it is beside another one.
    fn size(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Neither ends in 0, so the longer one of two that begin alike is the larger one.
            (false, false) => {
                (self.point().cmp(&other.point())).then_with(|| self.digits.cmp(&other.digits))
            }
        }
    }

    /// The number as JSON text.
    pub(crate) fn written(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let point = self.point();
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        if !(-MOST_PLACES..=MOST_PLACES).contains(&point) || self.exponent < -MOST_PLACES {
            return format!("{sign}{}e{}", self.digits, self.exponent);
        }
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
        if self.exponent >= 0 {
            return format!("{sign}{}{}", self.digits, zeros(self.exponent));
        }
        match usize::try_from(point) {
            Ok(point) if point > 0 => {
                let (whole, fraction) = self.digits.split_at(point);
                format!("{sign}{whole}.{fraction}")
            }
            _ => format!("{sign}0.{}{}", zeros(-point), self.digits),
        }
    }
}

impl Ord for Digits {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.size(other),
            (true, true) => other.size(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Digits {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An exponent; the largest there is where it is larger.
fn power(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    Some(if is_negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Exact> {
        Exact::parse(text, Folding::default())
    }

    fn same(left: &str, right: &str) -> bool {
        read(left).unwrap() == read(right).unwrap()
    }

    #[test]
    fn numbers_are_compared_to_the_last_digit() {
        for (left, right) in [
            ("33", "33.0"),
            ("33", "3.3e1"),
            ("0.1", "1E-1"),
            ("-0", "0.000"),
            ("12345678901234567891234", "12345678901234567891234.0"),
            ("1e22", "10000000000000000000000"),
            ("[1, {\"b\": 2, \"a\": 3.0}]", "[1.0, {\"a\": 3, \"b\": 2}]"),
            // As rows carry it.
            ("\"12345678901234567891234\"", "12345678901234567891234"),
        ] {
            assert!(same(left, right), "{left} {right}");
        }
        for (left, right) in [
            ("9007199254740993", "9007199254740992"),
            ("9007199254740993", "9007199254740992.0"),
            ("12345678901234567891234", "12345678901234567891235"),
            ("18446744073709551616", "18446744073709551615"),
            ("0.1000000000000000055", "0.1"),
            ("1e-999999999999999999999", "0"),
            ("-1", "1"),
            ("1", "\"1\""),
            ("[1, 2]", "[2, 1]"),
        ] {
            assert!(!same(left, right), "{left} {right}");
        }
        assert_eq!(read("[1,"), None);
        assert_eq!(read(&"[".repeat(100_000)), None);
    }

    #[test]
    fn a_value_is_written_one_way() {
        for (text, written) in [
            (
                "{\"b\": [1.50, null], \"a\": true}",
                "{\"a\":true,\"b\":[1.5,null]}",
            ),
            ("-1e3", "-1000"),
            ("1e-7", "0.0000001"),
            ("12.500", "12.5"),
            ("0.0", "0"),
            ("1e-500", "1e-500"),
            ("\"a\\n\"", "\"a\\n\""),
        ] {
            assert_eq!(read(text).unwrap().written(), written);
        }
    }

    #[test]
    fn texts_and_names_are_folded() {
        let folding = Folding {
            ignore_case: true,
            ..Folding::default()
        };
        let read = |text| Exact::parse(text, folding).unwrap();
        let (one, other) = ("{\"A\": 33, \"b\": \"X\"}", "{\"b\": \"x\", \"a\": 33.0}");
        assert_eq!(read(one), read(other));
        assert_ne!(read("{\"a\": 33}"), read("{\"a\": 33, \"b\": null}"));
    }

    proptest! {
        #[test]
        fn a_multiple_is_one_to_the_last_digit(
            times in "-?(0|[1-9][0-9]{0,40})",
            unit in "(0|[1-9][0-9]{0,25})(\\.[0-9]{1,10})?(e-?[0-9]{1,2})?",
            off in "[1-9][0-9]{0,3}e-[0-9]{1,2}",
        ) {
            let exact = |text: &str| text.parse::<BigDecimal>().unwrap();
            let is_multiple = |number: &BigDecimal| {
                let digits = Digits::of(&number.to_plain_string()).unwrap();
                digits.is_multiple_of(&Digits::of(&unit).unwrap())
            };
            prop_assume!(!exact(&unit).is_zero());
            let product = exact(&times) * exact(&unit);
            prop_assert!(is_multiple(&product));
            let beside = product + exact(&off);
            let is_whole = (&beside % exact(&unit)).is_zero();
            prop_assert_eq!(is_multiple(&beside), is_whole);
        }

        #[test]
        fn equality_is_that_of_the_numbers(
            one in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?(e-?[0-9]{1,2})?",
            other in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?(e-?[0-9]{1,2})?",
            zeros in 0_usize..5,
        ) {
            let exact = |text: &str| text.parse::<BigDecimal>().unwrap();
            prop_assert_eq!(same(&one, &other), exact(&one) == exact(&other));
            let digits = |text: &str| Digits::of(text).unwrap();
            prop_assert_eq!(digits(&one).cmp(&digits(&other)), exact(&one).cmp(&exact(&other)));
            prop_assert_eq!(digits(&one).is_integer(), exact(&one).is_integer());
            let (mantissa, exponent) = one.split_once('e').unwrap_or((&one, "0"));
            let point = if mantissa.contains('.') { "" } else { "." };
            let longer = format!("{mantissa}{point}{}0e{exponent}", "0".repeat(zeros));
            prop_assert!(same(&one, &longer), "{} {}", one, longer);
            let written = read(&one).unwrap().written();
            prop_assert_eq!(exact(&written), exact(&one));
            prop_assert_eq!(read(&written), read(&one));
        }
    }
}
