//! The part of a response that is looked at.

use crate::code_block::first_code_block;
use crate::json;
use crate::json_path::JsonPath;
use crate::math;
use crate::number::numbers;
use crate::pattern;
use crate::scorer_error::ScorerError;
use frugal_domain::fault::Reader;
use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// Defines the extractions that have a name: the enum, its stored form and the list for its reader.
macro_rules! extracts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// Which part of a response is looked at.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Extract {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
            /// What a pattern captures: the first group, or the whole match where there is none.
            #[serde(rename = "regex")]
            Regex(String),
            /// What comes after the last of these marks.
            #[serde(rename = "after")]
            After(String),
            /// What is at this path of its first JSON object or array.
            #[serde(rename = "json_path")]
            JsonPath(String),
        }

        const NAMED: &[(&str, fn() -> Extract)] = &[$(($name, || Extract::$variant)),+];
    };
}

extracts! {
    /// All of it.
    #[default]
    All = "all",
    /// Its first line that is not blank.
    FirstLine = "first_line",
    /// Its last line that is not blank.
    LastLine = "last_line",
    /// Its first number.
    FirstNumber = "first_number",
    /// Its last number.
    LastNumber = "last_number",
    /// The last number on its first line that is not blank.
    FirstLineLastNumber = "first_line_last_number",
    /// Its first JSON object or array.
    Json = "json",
    /// What is in its first fenced block of code, without the fences and the language's name.
    FirstCodeBlock = "first_code_block",
    /// The same, and all of it where it has no such block.
    Code = "code",
    /// What is in its last `\boxed{…}`, as mathematical answers are marked in LaTeX.
    Boxed = "boxed",
    /// Its mathematical answer: the last box, what follows the last `answer is`, `answer:` or `####`, the last
    /// `$…$`, the mathematics that its last line ends with, or its last number.
    MathAnswer = "math_answer",
}

impl Extract {
    /// What a response does not have from which nothing is extracted.
    pub(crate) fn lacking(&self) -> String {
        let told = match self {
            Self::All | Self::Code => "there is no response",
            Self::FirstLine | Self::LastLine => "the response is blank",
            Self::FirstNumber | Self::LastNumber => "the response holds no number",
            Self::FirstLineLastNumber => "the first line of the response holds no number",
            Self::Json => "the response holds no JSON object or array",
            Self::FirstCodeBlock => "the response holds no fenced block of code",
            Self::Boxed => "the response holds no closed `\\boxed{…}`",
            Self::MathAnswer => "the response holds no mathematical answer",
            Self::Regex(pattern) => return format!("the response does not match `{pattern}`"),
            Self::After(mark) => return format!("the response does not hold the mark `{mark}`"),
            Self::JsonPath(path) => return format!("the response holds no JSON with `{path}`"),
        };
        told.to_owned()
    }

    /// Reads an extraction: a name, `{"regex": …}`, `{"after": …}` or `{"json_path": …}`.
    pub(crate) fn read(at: &Reader<'_>) -> Option<Self> {
        if let Value::Object(_) = at.value {
            let object = at.object()?;
            if object.has("json_path") {
                let path = object.get("json_path")?.filled_string().map(str::to_owned);
                object.finish();
                return path.map(Self::JsonPath);
            }
            if object.has("after") {
                let mark = object.get("after")?.filled_string().map(str::to_owned);
                object.finish();
                return mark.map(Self::After);
            }
            let pattern = object
                .require(
                    "regex",
                    "give a regular expression, or `after` with a mark, or `json_path`",
                )
                .and_then(|at| at.filled_string().map(str::to_owned));
            object.finish();
            return pattern.map(Self::Regex);
        }
        at.one_of(NAMED).map(|make| make())
    }
}

/// An [`Extract`] whose pattern is compiled.
#[derive(Debug, Clone)]
pub(crate) enum Extractor {
    All,
    FirstLine,
    LastLine,
    FirstNumber,
    LastNumber,
    FirstLineLastNumber,
    Json,
    FirstCodeBlock,
    Code,
    Boxed,
    MathAnswer,
    Regex(Regex),
    After(String),
    JsonPath(JsonPath),
}

impl Extractor {
    /// Compiles an extraction.
    ///
    /// # Errors
    /// It has a regular expression or a path that is none.
    pub(crate) fn compile(extract: &Extract) -> Result<Self, ScorerError> {
        Ok(match extract {
            Extract::All => Self::All,
            Extract::FirstLine => Self::FirstLine,
            Extract::LastLine => Self::LastLine,
            Extract::FirstNumber => Self::FirstNumber,
            Extract::LastNumber => Self::LastNumber,
            Extract::FirstLineLastNumber => Self::FirstLineLastNumber,
            Extract::Json => Self::Json,
            Extract::FirstCodeBlock => Self::FirstCodeBlock,
            Extract::Code => Self::Code,
            Extract::Boxed => Self::Boxed,
            Extract::MathAnswer => Self::MathAnswer,
            Extract::Regex(text) => Self::Regex(pattern::compile("extract", text)?),
            Extract::After(mark) => Self::After(mark.clone()),
            Extract::JsonPath(path) => {
                Self::JsonPath(JsonPath::parse(path).map_err(|detail| ScorerError {
                    field: "extract",
                    detail: format!("json_path: {detail}"),
                })?)
            }
        })
    }

    /// The part of a text; `None` where it has no such part.
    pub(crate) fn apply<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if let Self::JsonPath(path) = self {
            return path.find(json::first(text, &['{', '['])?);
        }
        self.slice(text).map(Cow::Borrowed)
    }

    /// The part of a text that is written there as it is.
    fn slice<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::JsonPath(_) => None,
            Self::All => Some(text),
            Self::FirstLine => first_line(text),
            Self::LastLine => lines(text).last(),
            Self::FirstNumber => numbers(text).next().map(|number| number.text),
            Self::LastNumber => last_number(text),
            Self::FirstLineLastNumber => first_line(text).and_then(last_number),
            Self::Json => json::first(text, &['{', '[']),
            Self::FirstCodeBlock => first_code_block(text),
            Self::Code => Some(first_code_block(text).unwrap_or(text)),
            Self::Boxed => math::boxed(text),
            Self::MathAnswer => math::answer(text),
            Self::After(mark) => text.rsplit_once(mark.as_str()).map(|(_, after)| after),
            Self::Regex(regex) => regex
                .captures(text)
                .and_then(|captures| captured(&captures)),
        }
    }
}

/// What a match captured: the first group that took part in it, or the whole match where the
/// pattern has no group.
pub(crate) fn captured<'t>(captures: &Captures<'t>) -> Option<&'t str> {
    if captures.len() == 1 {
        return captures.get(0).map(|whole| whole.as_str());
    }
    captures
        .iter()
        .skip(1)
        .flatten()
        .next()
        .map(|group| group.as_str())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn first_line(text: &str) -> Option<&str> {
    lines(text).next()
}

fn last_number(text: &str) -> Option<&str> {
    numbers(text).last().map(|number| number.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_extraction_takes_its_part() {
        let text = "\n It is 3 of 4. \r\n\nSo {\"a\": [1]} is $5\n \n";
        let cases = [
            (Extract::All, Some(text)),
            (Extract::FirstLine, Some("It is 3 of 4.")),
            (Extract::LastLine, Some("So {\"a\": [1]} is $5")),
            (Extract::FirstNumber, Some("3")),
            (Extract::LastNumber, Some("5")),
            (Extract::FirstLineLastNumber, Some("4")),
            (Extract::Json, Some("{\"a\": [1]}")),
            (Extract::JsonPath("$.a[0]".to_owned()), Some("1")),
            (Extract::JsonPath("$.b".to_owned()), None),
            (Extract::Regex(r"is \$?\d".to_owned()), Some("is 3")),
            (Extract::Regex(r"is \$(\d)".to_owned()), Some("5")),
            (Extract::Regex(r"x(\d)|of (\d)".to_owned()), Some("4")),
            (Extract::Regex(r"(x)?of".to_owned()), None),
            (Extract::Regex("absent".to_owned()), None),
        ];
        for (extract, expected) in cases {
            let extractor = Extractor::compile(&extract).unwrap();
            assert_eq!(extractor.apply(text).as_deref(), expected, "{extract:?}");
        }
    }

    #[test]
    fn code_boxes_and_marks_are_found() {
        let check = |extract: Extract, text: &str, expected: Option<&str>| {
            let extractor = Extractor::compile(&extract).unwrap();
            assert_eq!(
                extractor.apply(text).as_deref(),
                expected,
                "{extract:?} {text:?}"
            );
        };
        let code = |text: &str, expected| check(Extract::FirstCodeBlock, text, expected);
        code(
            "So:\n```python\nx = `1`\n```\n```\ny\n```",
            Some("x = `1`\n"),
        );
        code("````\n```\na\n```\n````", Some("```\na\n```\n"));
        code("```json\n{\"a\": 1", Some("{\"a\": 1"));
        code("use ``` or ```x``` here", None);
        code("", None);
        let boxed = |text: &str, expected| check(Extract::Boxed, text, expected);
        boxed(
            r"so \boxed{1} or \boxed{\frac{1}{2}}.",
            Some(r"\frac{1}{2}"),
        );
        boxed(r"\boxed {a\}b}", Some(r"a\}b"));
        boxed(r"\boxed{\frac{1}{2}", None);
        boxed(r"\boxed 5", None);
        let after = |text: &str, expected| check(Extract::After("####".to_owned()), text, expected);
        after("a #### 1\n#### 2", Some(" 2"));
        after("none", None);
    }

    #[test]
    fn a_blank_text_has_no_line_number_or_json() {
        for extract in [
            Extract::FirstLine,
            Extract::LastLine,
            Extract::FirstNumber,
            Extract::LastNumber,
            Extract::FirstLineLastNumber,
            Extract::Json,
            Extract::FirstCodeBlock,
            Extract::Boxed,
            Extract::MathAnswer,
        ] {
            let extractor = Extractor::compile(&extract).unwrap();
            assert_eq!(extractor.apply(" \n\t\n"), None, "{extract:?}");
        }
    }
}
