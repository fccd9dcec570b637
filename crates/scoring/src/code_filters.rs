//! Filters of templates for code: `fence`, `unfence` and `dedent`. `indent` and `tojson` are the engine's own.

use crate::code_block::first_code_block;
use minijinja::{Environment, Error, ErrorKind};

/// The longest text that these filters take, in bytes: they are no part of what the engine's fuel is spent
/// on, so that a loop over them is bounded by this.
const MOST_BYTES: usize = 64 * 1024;

/// The longest name of a language.
const MOST_LANGUAGE_BYTES: usize = 40;

/// Adds the filters.
pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("fence", fence);
    environment.add_filter("unfence", unfence);
    environment.add_filter("dedent", dedent);
}

fn wrong(detail: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

fn bounded(filter: &str, text: &str) -> Result<(), Error> {
    match text.len() {
        bytes if bytes > MOST_BYTES => Err(wrong(format!(
            "`{filter}` takes at most {MOST_BYTES} bytes, not {bytes}"
        ))),
        _ => Ok(()),
    }
}

/// A text as a fenced block of code, the fence being longer than any within it.
fn fence(text: &str, language: Option<&str>) -> Result<String, Error> {
    bounded("fence", text)?;
    let language = language.unwrap_or_default();
    let is_name = |one: char| !one.is_control() && !one.is_whitespace() && one != '`';
    if language.len() > MOST_LANGUAGE_BYTES || !language.chars().all(is_name) {
        return Err(wrong(
            "`fence` takes the name of a language, such as `python`".to_owned(),
        ));
    }
    let within = text.split(|one| one != '`').map(str::len).max();
    let marks = "`".repeat(within.unwrap_or_default().max(2) + 1);
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Ok(format!("{marks}{language}\n{text}{end}{marks}"))
}

/// What is in the first fenced block of a text, without the end of its last line; the whole text where there is
/// none.
fn unfence(text: &str) -> Result<String, Error> {
    bounded("unfence", text)?;
    let Some(code) = first_code_block(text) else {
        return Ok(text.to_owned());
    };
    let code = code.strip_suffix('\n').unwrap_or(code);
    Ok(code.strip_suffix('\r').unwrap_or(code).to_owned())
}

/// A text without the white space that all its lines begin with, but for blank ones, of which nothing
/// remains (Python's `textwrap.dedent`).
fn dedent(text: &str) -> Result<String, Error> {
    bounded("dedent", text)?;
    let mut margin: Option<&str> = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let space = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let common = match margin {
            None => space,
            Some(margin) => {
                let both = margin.bytes().zip(space.bytes());
                &margin[..both.take_while(|(one, other)| one == other).count()]
            }
        };
        margin = Some(common);
    }
    let margin = margin.unwrap_or_default();
    let lines = text.split('\n').map(|line| match line.trim().is_empty() {
        true => "",
        false => line.strip_prefix(margin).unwrap_or(line),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn code_is_fenced_and_comes_out_again() {
        let fenced = |text: &str| fence(text, Some("python")).unwrap();
        assert_eq!(fenced("x = 1"), "```python\nx = 1\n```");
        assert_eq!(fenced("x = 1\n"), "```python\nx = 1\n```");
        assert_eq!(fence("", None).unwrap(), "```\n```");
        assert_eq!(fenced("a\n````\nb"), "`````python\na\n````\nb\n`````");
        assert_eq!(unfence("so:\n```\nx\ny\n```\nthat").unwrap(), "x\ny");
        assert_eq!(unfence("x = 1\n").unwrap(), "x = 1\n");
        assert_eq!(unfence("```py\r\nx\r\n```").unwrap(), "x");
    }

    #[test]
    fn what_all_lines_begin_with_is_taken_off() {
        let cases = [
            ("  a\n    b\n", "a\n  b\n"),
            ("  a\n\tb", "  a\n\tb"),
            ("    a\n   \n  b", "  a\n\nb"),
            ("a\n  b", "a\n  b"),
            (" \n\t\n", "\n\n"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(dedent(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_or_no_language_is_refused() {
        let long = "x".repeat(MOST_BYTES + 1);
        for refused in [fence(&long, None), unfence(&long), dedent(&long)] {
            assert!(
                refused
                    .unwrap_err()
                    .to_string()
                    .contains("at most 65536 bytes")
            );
        }
        for language in ["a b", "py`", "a\nb", &"x".repeat(41)] {
            assert!(fence("x", Some(language)).is_err(), "{language}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_fenced_comes_out_again(text in "[` a\n]{0,40}") {
            let back = unfence(&fence(&text, None).unwrap()).unwrap();
            let expected = text.strip_suffix('\n').unwrap_or(&text);
            prop_assert_eq!(back, expected);
        }

        #[test]
        fn nothing_but_space_is_taken_off(text in "[ \ta\n]{0,40}") {
            let dedented = dedent(&text).unwrap();
            let words = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(words(&dedented), words(&text));
            prop_assert_eq!(dedent(&dedented).unwrap(), dedented);
        }
    }
}
