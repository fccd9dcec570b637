//! Numbers in rows, and in schemas that answers are held against, that a parser would round.
//!
//! A parsed number is one of 64 bits or a float. What has more digits, such as `12345678901234567891234`,
//! would go into prompts and be compared as another number; so it is carried as a text, digit for digit:
//! that renders the same, and scorers that compare numbers read it as one.

use std::borrow::Cow;

/// A number with no more digits than these is exact as a float, as long as it is no fraction of more places
/// than a float is read back from.
const SURELY_KEPT: usize = 15;

/// The parts of a document whose lists hold rows.
const WITH_ROWS: [&[u8]; 3] = [b"data", b"rows", b"demonstrations"];

/// The parts of a document that have scorers in them, and the name that their schemas have.
const WITH_SCORERS: [&[u8]; 2] = [b"scoring", b"scorer"];
const SCHEMA: &[u8] = b"schema";

/// A document whose rows and schemas carry as texts the numbers that would be rounded: those in lists of the parts
/// that hold rows, and those of a scorer's schema.
#[must_use]
pub fn keep_in_document(json: &[u8]) -> Cow<'_, [u8]> {
    keep(json, |place| {
        place.in_rows && place.lists > 0 || place.schema.is_some()
    })
}

/// The same of a row by itself.
#[must_use]
pub(crate) fn keep_in_row(json: &[u8]) -> Cow<'_, [u8]> {
    keep(json, |_| true)
}

/// Where a number stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Lists around it.
    lists: usize,
    /// Objects and lists around it.
    depth: usize,
    /// In a part of the document that holds rows.
    in_rows: bool,
    /// In one that has scorers.
    in_scorers: bool,
    /// In a schema, which is a member of what has so many objects and lists around it.
    schema: Option<usize>,
}

/// Puts quotes around the numbers that would be rounded. What is no JSON comes out as something that is
/// none either.
fn keep(json: &[u8], is_carried: impl Fn(Place) -> bool) -> Cow<'_, [u8]> {
    let mut place = Place::default();
    let mut open: Vec<u8> = Vec::new();
    let mut kept: Option<Vec<u8>> = None;
    // What of the document is in `kept`.
    let mut copied = 0;
    // The last text, which is a name where a colon follows.
    let mut text: &[u8] = b"";
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                at = end_of_text(json, at);
                text = json
                    .get(start + 1..at.saturating_sub(1))
                    .unwrap_or_default();
            }
            b':' => {
                if place.depth == 1 {
                    place.in_rows = WITH_ROWS.contains(&text);
                    place.in_scorers = WITH_SCORERS.contains(&text);
                }
                if place.schema.is_none_or(|depth| depth == place.depth) {
                    let begins = place.in_scorers && place.depth > 1 && text == SCHEMA;
                    place.schema = begins.then_some(place.depth);
                }
            }
            b'{' | b'[' => {
                open.push(*byte);
                place.depth += 1;
                place.lists += usize::from(*byte == b'[');
            }
            b'}' | b']' => {
                let is_list = open.pop() == Some(b'[');
                place.depth = open.len();
                place.lists -= usize::from(is_list);
                place.schema = place.schema.filter(|depth| *depth <= place.depth);
            }
            b'-' | b'0'..=b'9' => {
                while json.get(at).is_some_and(is_of_number) {
                    at += 1;
                }
                let number = &json[start..at];
                if number.len() > SURELY_KEPT && is_carried(place) && is_rounded(number) {
                    let kept = kept.get_or_insert_with(|| Vec::with_capacity(json.len() + 64));
                    kept.extend_from_slice(&json[copied..start]);
                    kept.push(b'"');
                    kept.extend_from_slice(number);
                    kept.push(b'"');
                    copied = at;
                }
            }
            _ => {}
        }
    }
    match kept {
        None => Cow::Borrowed(json),
        Some(mut kept) => {
            kept.extend_from_slice(&json[copied..]);
            Cow::Owned(kept)
        }
    }
}

/// Behind the quotes of a text that begins here.
fn end_of_text(json: &[u8], mut at: usize) -> usize {
    while let Some(byte) = json.get(at) {
        at += match byte {
            b'\\' => 2,
            b'"' => return at + 1,
            _ => 1,
        };
    }
    at
}

const fn is_of_number(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

/// Whether a number is another one once it is parsed; no where it is none.
fn is_rounded(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else {
        return false;
    };
    let Ok(parsed) = serde_json::from_str::<serde_json::Number>(text) else {
        return false;
    };
    match (decimal(text), decimal(&parsed.to_string())) {
        (Some(written), Some(parsed)) => written != parsed,
        _ => false,
    }
}

/// The sign, the digits from the first to the last that is not 0, and the power of ten of the last.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (true, mantissa),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - digits.len()).ok()?;
    let places = i64::try_from(fraction.len()).ok()?;
    let digits = digits.trim_start_matches('0').to_owned();
    let power = exponent.checked_add(dropped)?.checked_sub(places)?;
    Some(match digits.is_empty() {
        true => (false, digits, 0),
        false => (is_negative, digits, power),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn document(text: &str) -> Value {
        serde_json::from_slice(&keep_in_document(text.as_bytes())).unwrap()
    }

    #[test]
    fn what_would_be_rounded_in_a_row_is_a_text() {
        let long = "12345678901234567891234";
        let fine = "0.1000000000000000055";
        let text = format!(
            "{{\"data\": {{\"instances\": [{{\"a\": {long}, \"b\": [-{fine}], \"c\": \"is {long}\", \
             \"d\": 9007199254740993, \"e\": 0.1, \"f\": 1.0e22, \"g\": 1.50000000000000000000}}], \
             \"holdout\": {{\"share\": {fine}}}}}, \"budgets\": [{long}]}}"
        );
        let read = document(&text);
        let row = &read["data"]["instances"][0];
        assert_eq!(
            (&row["a"], &row["b"][0]),
            (&json!(long), &json!(format!("-{fine}")))
        );
        assert_eq!(row["c"], json!(format!("is {long}")));
        assert_eq!(row["d"], json!(9_007_199_254_740_993_u64));
        assert_eq!(
            (&row["e"], &row["f"], &row["g"]),
            (&json!(0.1), &json!(1e22), &json!(1.5))
        );
        assert_eq!(read["data"]["holdout"]["share"], json!(0.1));
        assert!(read["budgets"][0].is_f64());
        let row = keep_in_row(b"{\"a\": 18446744073709551616, \"b\": 18446744073709551615}");
        let row: Value = serde_json::from_slice(&row).unwrap();
        assert_eq!(row["a"], json!("18446744073709551616"));
        assert_eq!(row["b"], json!(u64::MAX));
    }

    #[test]
    fn a_schema_is_carried_to_the_last_digit() {
        let long = "12345678901234567891234";
        let text = format!(
            "{{\"scoring\": {{\"scorer\": {{\"type\": \"composite\", \"parts\": [{{\"weight\": {long}, \"scorer\": {{\
             \"schema\": {{\"properties\": {{\"schema\": {{\"const\": {long}}}, \"b\": {{\"enum\": [{long}]}}}}}}, \
             \"tolerance\": {long}}}}}]}}, \"reduce\": {long}}}, \"name\": {{\"schema\": {long}}}}}"
        );
        let read = document(&text);
        let scorer = &read["scoring"]["scorer"]["parts"][0]["scorer"];
        let properties = &scorer["schema"]["properties"];
        assert_eq!(properties["schema"]["const"], json!(long));
        assert_eq!(properties["b"]["enum"][0], json!(long));
        assert!(scorer["tolerance"].is_f64() && read["scoring"]["reduce"].is_f64());
        assert!(read["scoring"]["scorer"]["parts"][0]["weight"].is_f64());
        assert!(read["name"]["schema"].is_f64());
    }

    #[test]
    fn a_name_in_a_row_begins_no_part() {
        let text =
            "{\"x\": [{\"data\": [0.1000000000000000055]}], \"rows\": [[0.1000000000000000055]]}";
        let read = document(text);
        assert_eq!(read["x"][0]["data"][0], json!(0.1));
        assert_eq!(read["rows"][0][0], json!("0.1000000000000000055"));
    }

    proptest! {
        #[test]
        fn what_is_kept_already_is_left_alone(value in any::<f64>(), whole in any::<i64>(), text: String) {
            let text = json!([{"a": value, "b": whole, "c": text}]).to_string();
            let kept = keep_in_row(text.as_bytes());
            prop_assert!(matches!(kept, Cow::Borrowed(_)));
        }

        #[test]
        fn every_digit_comes_through(number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?") {
            let row = format!("{{\"a\": {number}}}");
            let row: Value = serde_json::from_slice(&keep_in_row(row.as_bytes())).unwrap();
            let carried = row["a"].as_str().map_or_else(|| row["a"].to_string(), str::to_owned);
            prop_assert_eq!(decimal(&carried), decimal(&number));
        }

        #[test]
        fn any_bytes_are_read_without_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let kept = keep_in_document(&bytes);
            if serde_json::from_slice::<Value>(&bytes).is_err() {
                prop_assert!(serde_json::from_slice::<Value>(&kept).is_err());
            }
        }
    }
}
