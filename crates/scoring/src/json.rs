//! JSON within running text.

use serde_json::{Deserializer, Value};

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

    proptest! {
        #[test]
        fn whatever_is_found_is_json(text in "[\\[\\]{}\":,a1 ]{0,60}") {
            if let Some(found) = first(&text, &['{', '[']) {
                prop_assert!(serde_json::from_str::<Value>(found).is_ok(), "{}", found);
            }
        }
    }
}
