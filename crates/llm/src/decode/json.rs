//! JSON as servers write it: with a byte order mark, with `NaN`, with bytes that are no UTF-8 and
//! with halves of surrogate pairs. What carries no meaning is put right, and noted.

use serde_json::Value;
use std::iter::Peekable;
use std::str::Chars;

/// What stands for a character that is none.
const REPLACEMENT: &str = "\\ufffd";

/// JSON that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed {
    /// The values, one after the other; never none. More than one where a server writes a stream
    /// of them, line by line.
    pub(crate) values: Vec<Value>,
    /// Whether something had to be put right.
    pub(crate) mended: bool,
}

/// The text of a body, without a byte order mark; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn text(body: &[u8]) -> String {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| -> String {
        let (pairs, _) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Reads a text, mended where that makes it JSON. Nothing where it is cut or is no JSON.
pub(crate) fn parse(text: &str) -> Option<Parsed> {
    let replaced = text.contains('\u{fffd}');
    if let Ok(value) = serde_json::from_str(text) {
        return Some(Parsed {
            values: vec![value],
            mended: replaced,
        });
    }
    let mended = mend(text);
    let values: Vec<Value> = serde_json::Deserializer::from_str(&mended)
        .into_iter::<Value>()
        .map_while(Result::ok)
        .collect();
    let first = values.first()?;
    (first.is_object() || first.is_array()).then_some(Parsed {
        values,
        mended: true,
    })
}

/// A text with all put right that has one right meaning alone.
fn mend(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                mended.push('"');
                mend_string(&mut chars, &mut mended);
            }
            ',' => {
                // A comma that nothing follows.
                let mut ahead = chars.clone();
                let next = ahead.find(|c| !c.is_whitespace());
                if !matches!(next, Some('}' | ']')) {
                    mended.push(',');
                }
            }
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.') => {
                let mut word = c.to_string();
                while let Some(next) = chars
                    .next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_'))
                {
                    word.push(next);
                }
                mended.push_str(if is_no_number(&word) { "null" } else { &word });
            }
            c => mended.push(c),
        }
    }
    mended
}

/// Whether a bare word stands for a number that JSON has no form for.
fn is_no_number(word: &str) -> bool {
    let bare = word.trim_start_matches(['-', '+']).to_ascii_lowercase();
    matches!(bare.as_str(), "nan" | "inf" | "infinity")
        || (bare.starts_with(|c: char| c.is_ascii_digit())
            && bare.parse::<f64>().is_ok_and(f64::is_infinite))
}

/// Copies a string after its opening quote, with its closing one.
fn mend_string(chars: &mut Peekable<Chars<'_>>, mended: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                mended.push('"');
                return;
            }
            '\\' => match chars.next() {
                Some('u') => mend_unicode(chars, mended),
                Some(c @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
                    mended.push('\\');
                    mended.push(c);
                }
                Some('\'') => mended.push('\''),
                Some(c) => {
                    mended.push_str("\\\\");
                    mended.push(c);
                }
                None => return,
            },
            c if c < ' ' => mended.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => mended.push(c),
        }
    }
}

/// Copies an escape after its `\u`, if it stands for a character.
fn mend_unicode(chars: &mut Peekable<Chars<'_>>, mended: &mut String) {
    let Some(unit) = unit(chars) else {
        mended.push_str(REPLACEMENT);
        return;
    };
    if !(0xd800..0xe000).contains(&unit) {
        mended.push_str(&format!("\\u{unit:04x}"));
        return;
    }
    // The other half of a pair must follow at once. If it does not, it is looked at by itself.
    let mut ahead = chars.clone();
    if unit < 0xdc00
        && (ahead.next(), ahead.next()) == (Some('\\'), Some('u'))
        && let Some(low) = self::unit(&mut ahead)
        && (0xdc00..0xe000).contains(&low)
    {
        mended.push_str(&format!("\\u{unit:04x}\\u{low:04x}"));
        *chars = ahead;
    } else {
        mended.push_str(REPLACEMENT);
    }
}

/// Four hexadecimal digits, which are only taken where all are there.
fn unit(chars: &mut Peekable<Chars<'_>>) -> Option<u16> {
    let mut ahead = chars.clone();
    let mut value = 0_u16;
    for _ in 0..4 {
        let digit = ahead.next()?.to_digit(16)?;
        value = value << 4 | u16::try_from(digit).ok()?;
    }
    *chars = ahead;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(body: &[u8]) -> (Value, bool) {
        let mut parsed = parse(&text(body)).unwrap();
        (parsed.values.remove(0), parsed.mended)
    }

    #[test]
    fn what_servers_write_is_read() {
        for (body, expected) in [
            (&b"\xef\xbb\xbf{\"a\": 1}"[..], json!({"a": 1})),
            (b"\xff\xfe{\0}\0", json!({})),
            (b"\xfe\xff\0{\0}", json!({})),
            (
                b" \r\n\n{\"a\": NaN, \"b\": -Infinity}",
                json!({"a": null, "b": null}),
            ),
            (
                b"{\"a\": 1e999, \"b\": [nan, inf]}",
                json!({"a": null, "b": [null, null]}),
            ),
            (b"{\"a\": \"caf\xe9\"}", json!({"a": "caf\u{fffd}"})),
            (br#"{"a": "x \ud83d"}"#, json!({"a": "x \u{fffd}"})),
            (
                br#"{"a": "\ude00\ud83d\ude00"}"#,
                json!({"a": "\u{fffd}\u{1f600}"}),
            ),
            (
                br#"{"a": "\ud83d\ud83d\ude00!"}"#,
                json!({"a": "\u{fffd}\u{1f600}!"}),
            ),
            (br#"{"a": "\ud83d\n"}"#, json!({"a": "\u{fffd}\n"})),
            (br#"{"a": "\ud83dx\u00e9"}"#, json!({"a": "\u{fffd}xé"})),
            (
                b"{\"a\": \"two\nlines\tand \\' and \\d\"}",
                json!({"a": "two\nlines\tand ' and \\d"}),
            ),
            (br#"{"a": [1, 2,], }"#, json!({"a": [1, 2]})),
            (
                br#"{"a": "NaN, \"Infinity\""}"#,
                json!({"a": "NaN, \"Infinity\""}),
            ),
            (b"{\"a\": 1}\n\n0", json!({"a": 1})),
        ] {
            assert_eq!(read(body).0, expected, "{}", String::from_utf8_lossy(body));
        }
        assert!(!read(b"{\"a\": 1}").1);
        assert!(read(b"{\"a\": NaN}").1 && read(b"{\"a\": \"\xff\"}").1);
        // Nothing is read into a text that is cut, or is no JSON.
        for body in [r#"{"a": "\ud83"#, "{\"a\": 1", "NaN", "hello", ""] {
            assert_eq!(parse(body), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_already_stays_as_it_is(
            texts in prop::collection::vec(".{0,20}", 0..5), number: f64, count: u64
        ) {
            let number = if number.is_finite() { number } else { 0.5 };
            let value = json!({"texts": texts, "number": number, "count": count, "none": null});
            prop_assert_eq!(serde_json::from_str::<Value>(&mend(&value.to_string())).unwrap(), value);
        }

        #[test]
        fn any_escapes_are_read_without_panic(inside in "(\\\\u[0-9a-f]{0,5}|\\\\|x|é|\"){0,8}") {
            let body = format!("{{\"a\": \"{inside}\"}}");
            parse(&body);
        }
    }
}
