//! Singular paths into JSON (RFC 9535, section 2.3.5): names and places, one after the other.
//!
//! A value is returned as it is written, so that a number keeps its digits; a text without its quotes.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// The most steps of a path.
const MOST_STEPS: usize = 32;

/// A path, such as `$.answers[0].value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    /// From the end where it is negative.
    Place(i64),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text
            .strip_prefix('$')
            .ok_or("must begin with `$`, such as `$.answer` or `$.items[0]`")?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                if end == 0 {
                    return Err("has a `.` without a name behind it".to_owned());
                }
                (Step::Name(after[..end].to_owned()), &after[end..])
            } else {
                bracket(rest)?
            };
            steps.push(step);
            rest = after;
        }
        if steps.len() > MOST_STEPS {
            return Err(format!("must have at most {MOST_STEPS} steps"));
        }
        Ok(Self { steps })
    }

    /// What is there in a JSON value; nothing where there is nothing, or null.
    pub(crate) fn find<'t>(&self, json: &'t str) -> Option<Cow<'t, str>> {
        let mut found: &RawValue = serde_json::from_str(json).ok()?;
        for step in &self.steps {
            found = match step {
                Step::Name(name) => {
                    let members: HashMap<Cow<'_, str>, &RawValue> =
                        serde_json::from_str(found.get()).ok()?;
                    members.get(name.as_str()).copied()?
                }
                Step::Place(place) => {
                    let items: Vec<&RawValue> = serde_json::from_str(found.get()).ok()?;
                    let place = match usize::try_from(*place) {
                        Ok(place) => place,
                        Err(_) => {
                            let back = usize::try_from(place.unsigned_abs()).ok()?;
                            items.len().checked_sub(back)?
                        }
                    };
                    items.get(place).copied()?
                }
            };
        }
        let written = found.get();
        match written.as_bytes().first()? {
            b'n' => None,
            b'"' => serde_json::from_str::<String>(written).ok().map(Cow::Owned),
            _ => Some(Cow::Borrowed(written)),
        }
    }
}

/// A step in brackets, `[0]` or `['name']`, and what follows it.
fn bracket(rest: &str) -> Result<(Step, &str), String> {
    let wrong = || format!("`{rest}` is no step; write `.name`, `['a name']` or `[0]`");
    let inside = rest.strip_prefix('[').ok_or_else(wrong)?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = inside.strip_prefix(quote) {
            let (name, after) = quoted.split_once(quote).ok_or_else(wrong)?;
            let after = after.strip_prefix(']').ok_or_else(wrong)?;
            return Ok((Step::Name(name.to_owned()), after));
        }
    }
    let (place, after) = inside.split_once(']').ok_or_else(wrong)?;
    let place = place.trim().parse().map_err(|_| wrong())?;
    Ok((Step::Place(place), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(path: &str, json: &str) -> Option<String> {
        JsonPath::parse(path)
            .unwrap()
            .find(json)
            .map(Cow::into_owned)
    }

    #[test]
    fn values_are_found_as_they_are_written() {
        let json = r#"{"a": {"b c": [1, "two\n", 123456789012345678901.50, null, true]}, "é": {}}"#;
        for (path, found) in [
            ("$.a['b c'][0]", Some("1")),
            ("$.a[\"b c\"][1]", Some("two\n")),
            ("$.a['b c'][2]", Some("123456789012345678901.50")),
            ("$.a['b c'][3]", None),
            ("$.a['b c'][-1]", Some("true")),
            ("$.a['b c'][5]", None),
            ("$.a['b c'][-6]", None),
            ("$.é", Some("{}")),
            ("$.a.b", None),
            ("$.a[0]", None),
            ("$", Some(json)),
        ] {
            assert_eq!(find(path, json).as_deref(), found, "{path}");
        }
        assert_eq!(find("$[1].x", r#"[0, {"x": "y"}]"#).as_deref(), Some("y"));
        assert_eq!(find("$.a", "no json"), None);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [
            "", "a", "$a", "$.", "$..a", "$[", "$[x]", "$['a]", "$['a'", "$[*]",
        ] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
        assert!(JsonPath::parse(&format!("${}", ".a".repeat(33))).is_err());
    }

    proptest! {
        #[test]
        fn any_path_and_text_end_without_fault(path in "\\$?[.\\[\\]'a0-9\\-]{0,12}", json in "[{}\\[\\]\",:a0-9 ]{0,24}") {
            if let Ok(path) = JsonPath::parse(&path) {
                let _ = path.find(&json);
            }
        }
    }
}
