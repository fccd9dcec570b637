//! Numbers in running text.

use bigdecimal::BigDecimal;

/// A number as it stands in a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number<'t> {
    /// What is written, sign and currency in front included.
    pub text: &'t str,
    /// What it says, to the last digit.
    pub value: BigDecimal,
}

/// Longer runs of digits are no numbers: reading one takes time with the square of its length.
const LONGEST: usize = 1_000;
/// Digits of an exponent: numbers that are larger would not fit in memory once written out.
const LONGEST_EXPONENT: usize = 3;
const MINUS: char = '\u{2212}';
const CURRENCIES: [char; 6] = ['$', '€', '£', '¥', '₹', '₩'];
/// What may stand between groups of three digits: comma, apostrophes, and spaces that do not
/// break the line. A plain space separates numbers.
const SEPARATORS: [char; 6] = [',', '\'', '\u{2019}', '\u{a0}', '\u{202f}', '\u{2009}'];

/// The numbers of a text, from left to right.
///
/// A number is written in digits 0 to 9 with a decimal point, such as `19`, `-3.5`, `.5`,
/// `1,234.50`, `1e6`. Thousands may be grouped. A minus or plus directly in front belongs to
/// it, unless it stands behind a letter, a digit or a closing bracket, where it is an operator
/// or a hyphen (`10-4` is 10 and 4). A currency mark between sign and digits and a percent
/// mark behind are passed over: `-$5` is −5, `50%` is 50. A point at the end of a sentence is
/// no part of the number. More than 1,000 digits, or more than three in an exponent, are no number, nor
/// are parts of them.
pub(crate) fn numbers(text: &str) -> impl Iterator<Item = Number<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = next_start(text, at)?;
            let (end, digits) = read(text, start);
            at = end;
            let (start, negative) = sign(text, start);
            let Some(digits) = digits.filter(|digits| digits.len() <= LONGEST) else {
                continue;
            };
            let Ok(value) = digits.parse::<BigDecimal>() else {
                continue;
            };
            return Some(Number {
                text: &text[start..end],
                value: if negative { -value } else { value },
            });
        }
    })
}

/// Where the digits of the next number begin, or the point before its digits.
fn next_start(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find(|&at| match bytes[at] {
        b'0'..=b'9' => true,
        b'.' => {
            bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
                && !text[..at]
                    .chars()
                    .next_back()
                    .is_some_and(|before| before.is_alphanumeric() || before == '.')
        }
        _ => false,
    })
}

/// Reads an unsigned number: where it ends, and its digits without separators; nothing where its exponent is
/// too long.
fn read(text: &str, start: usize) -> (usize, Option<String>) {
    let run = |at: usize| digits_from(text, at);
    let mut end = run(start);
    let mut digits = text[start..end].to_owned();
    let first = end - start;
    if (1..=3).contains(&first)
        && !digits.starts_with('0')
        && let Some(separator) = text[end..].chars().next()
        && SEPARATORS.contains(&separator)
    {
        while text[end..].starts_with(separator) {
            let group = end + separator.len_utf8();
            if run(group) != group + 3 {
                break;
            }
            digits.push_str(&text[group..group + 3]);
            end = group + 3;
        }
    }
    if text[end..].starts_with('.') && run(end + 1) > end + 1 {
        let fraction = run(end + 1);
        digits.push_str(&text[end..fraction]);
        end = fraction;
    }
    let Some(behind) = exponent(text, end) else {
        return (end, Some(digits));
    };
    let exponent = &text[end..behind];
    let is_short = exponent.bytes().filter(u8::is_ascii_digit).count() <= LONGEST_EXPONENT;
    digits.push_str(exponent);
    (behind, is_short.then_some(digits))
}

/// Where the exponent that begins at `at` ends: `e`, perhaps a sign, digits, and then no letter.
fn exponent(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix(['e', 'E'])?;
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let start = text.len() - unsigned.len();
    let end = digits_from(text, start);
    let letter_follows = text[end..]
        .chars()
        .next()
        .is_some_and(char::is_alphanumeric);
    (end > start && !letter_follows).then_some(end)
}

/// The end of the run of digits that begins at `at`; `at` where there is none.
fn digits_from(text: &str, at: usize) -> usize {
    text.as_bytes()[at..]
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(text.len(), |length| at + length)
}

/// Where the number with its sign begins, and whether it is negative.
fn sign(text: &str, start: usize) -> (usize, bool) {
    let before = &text[..start];
    let before = before.strip_suffix(CURRENCIES).unwrap_or(before);
    let Some(unsigned) = before.strip_suffix(['-', '+', MINUS]) else {
        return (start, false);
    };
    let operator = unsigned
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | ']' | '}' | '%' | '-' | '+'));
    if operator {
        return (start, false);
    }
    (unsigned.len(), !before.ends_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<BigDecimal> {
        numbers(text).map(|number| number.value).collect()
    }

    fn exactly(value: f64) -> BigDecimal {
        value.to_string().parse().unwrap()
    }

    #[test]
    fn numbers_are_found_in_running_text() {
        let cases: &[(&str, &[f64])] = &[
            ("", &[]),
            ("no number", &[]),
            ("19", &[19.0]),
            ("The answer is 19.", &[19.0]),
            ("30 + 3 = 31. The answer is 31.", &[30.0, 3.0, 31.0, 31.0]),
            ("$1,234.50", &[1234.5]),
            ("1,234,567 and 1,23", &[1_234_567.0, 1.0, 23.0]),
            ("1,2345", &[1.0, 2345.0]),
            ("0,123", &[0.0, 123.0]),
            ("2,345,6", &[2345.0, 6.0]),
            ("12'000 or 12\u{202f}000", &[12000.0, 12000.0]),
            ("in 2020 300 people", &[2020.0, 300.0]),
            ("-5", &[-5.0]),
            ("\u{2212}5", &[-5.0]),
            ("+5", &[5.0]),
            ("x = -5.", &[-5.0]),
            ("-$5 and $-5", &[-5.0, -5.0]),
            ("10-4", &[10.0, 4.0]),
            ("10 - 4", &[10.0, 4.0]),
            ("GPT-4", &[4.0]),
            ("(2)-3", &[2.0, 3.0]),
            ("--5", &[5.0]),
            ("50%", &[50.0]),
            ("5kg", &[5.0]),
            (".5", &[0.5]),
            ("...5", &[5.0]),
            ("1.2.3", &[1.2, 3.0]),
            ("1e6, 2E-3, 3e, 4e5x", &[1e6, 2e-3, 3.0, 4.0, 5.0]),
            ("1e9999, 2.5E-0001 and 7", &[7.0]),
            ("1e999999999", &[]),
            ("ünd 7€", &[7.0]),
            ("**42**", &[42.0]),
            ("\\boxed{42}", &[42.0]),
            ("007", &[7.0]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().copied().map(exactly).collect();
            assert_eq!(values(text), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_beyond_floats_are_kept_to_the_last_digit() {
        for text in ["12345678901234567891", "0.1000000000000000000001", "1e999"] {
            let exact: BigDecimal = text.parse().unwrap();
            assert_eq!(values(text), [exact]);
        }
        assert!(values(&"9".repeat(LONGEST + 1)).is_empty());
    }

    #[test]
    fn a_number_keeps_its_sign_and_currency_in_its_text() {
        let texts = |text| numbers(text).map(|number| number.text).collect::<Vec<_>>();
        assert_eq!(
            texts("pay -$1,000.50 now, 10-4."),
            ["-$1,000.50", "10", "4"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_fault(text in any::<String>()) {
            prop_assert!(numbers(&text).count() <= text.len());
        }

        #[test]
        fn texts_of_numbers_like_parts_are_read_without_fault(text in "[-+$€0-9.,'eE%()\u{2212}\u{a0} x]{0,40}") {
            for number in numbers(&text) {
                let again: Vec<_> = numbers(number.text).collect();
                prop_assert_eq!(again, vec![number.clone()]);
            }
        }

        #[test]
        fn an_integer_is_read_back_however_it_is_written(value in -999_999_999_i32..=999_999_999) {
            let mut grouped = String::new();
            let plain = value.unsigned_abs().to_string();
            for (index, digit) in plain.chars().enumerate() {
                if index > 0 && (plain.len() - index).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            let sign = if value < 0 { "-" } else { "" };
            for text in [format!("{value}"), format!("it is {value}."), format!("= {sign}${grouped}, so")] {
                prop_assert_eq!(values(&text), vec![BigDecimal::from(value)], "{}", text);
            }
        }

        #[test]
        fn a_decimal_is_read_back(value in -1e9..1e9_f64) {
            prop_assert_eq!(values(&format!("about {value}!")), vec![exactly(value)]);
        }
    }
}
