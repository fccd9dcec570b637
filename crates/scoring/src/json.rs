//! JSON within running text, and its equality.

use crate::fold::Folding;
use serde_json::{Deserializer, Map, Number, Value};
use std::collections::BTreeMap;

/// How many beginnings of a value are tried. A [`Value`] nests at most 128 deep, so a byte is
/// read by about as many attempts at worst; this bounds what a response of brackets costs.
const MAX_ATTEMPTS: usize = 1000;

/// The first JSON object or array of a text that begins with one of `openings` (`{`, `[`).
/// What looks like a beginning and turns out to be none is passed over.
pub(crate) fn first<'t>(text: &'t str, openings: &[char]) -> Option<&'t str> {
    text.match_indices(openings)
        .take(MAX_ATTEMPTS)
        .find_map(|(start, _)| {
            let mut values = Deserializer::from_str(&text[start..]).into_iter::<Value>();
            values.next()?.ok()?;
            Some(&text[start..start + values.byte_offset()])
        })
}

/// A value in the form in which values are compared: texts and names folded, and numbers equal
/// where they say the same (`33` and `33.0`).
pub(crate) fn canonical(value: Value, folding: Folding) -> Value {
    match value {
        Value::String(text) => Value::String(folding.fold(&text)),
        Value::Number(number) => Value::Number(canonical_number(number)),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| canonical(item, folding))
                .collect(),
        ),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, member)| (folding.fold(&name), canonical(member, folding)))
                .collect::<Map<_, _>>(),
        ),
        other => other,
    }
}

/// A value as text, the members of objects in the order of their names: what is equal reads the same.
pub(crate) fn written(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(",");
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            let member = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), written(value))
            };
            format!("{{{}}}", joined(sorted.into_iter().map(member).collect()))
        }
        Value::Array(items) => format!("[{}]", joined(items.iter().map(written).collect())),
        other => other.to_string(),
    }
}

fn canonical_number(number: Number) -> Number {
    /// Up to here every integer is a float, so the way over a float loses nothing.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < LARGEST => {
            #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
            let integer = value as i64;
            Number::from(integer)
        }
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_value_that_is_json_is_found() {
        let cases = [
            ("none", None),
            ("{", None),
            ("sure: {\"a\": 1} and {\"a\": 2}", Some("{\"a\": 1}")),
            ("{a} {{\"b\": [1]}}", Some("{\"b\": [1]}")),
            (
                "```json\n{\"a\": {\"b\": \"}\"}}\n```",
                Some("{\"a\": {\"b\": \"}\"}}"),
            ),
            ("as in [1], {\"a\": 1}", Some("{\"a\": 1}")),
        ];
        for (text, expected) in cases {
            assert_eq!(first(text, &['{']), expected, "{text}");
        }
        assert_eq!(first("as in [1], {\"a\": 1}", &['{', '[']), Some("[1]"));
        assert_eq!(first(&"[".repeat(100_000), &['{', '[']), None);
    }

    #[test]
    fn numbers_are_equal_by_value_and_texts_by_folding() {
        let folding = Folding {
            ignore_case: true,
            ignore_accents: false,
            ..Folding::default()
        };
        let same = |left: &str, right: &str| {
            let read = |text| canonical(serde_json::from_str(text).unwrap(), folding);
            read(left) == read(right)
        };
        assert!(same(
            "{\"A\": 33, \"b\": \"X\"}",
            "{\"b\": \"x\", \"a\": 33.0}"
        ));
        assert!(!same("{\"a\": 33}", "{\"a\": 33, \"b\": null}"));
        assert!(!same("[1, 2]", "[2, 1]"));
        assert!(!same("9007199254740993", "9007199254740992"));
        assert!(!same("1", "\"1\""));
    }

    proptest! {
        #[test]
        fn whatever_is_found_is_json(text in "[\\[\\]{}\":,a1 ]{0,60}") {
            if let Some(found) = first(&text, &['{', '[']) {
                prop_assert!(serde_json::from_str::<Value>(found).is_ok(), "{}", found);
            }
        }
    }
}
