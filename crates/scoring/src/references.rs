//! The texts that a response is held against: one, or several of which any will do.

use crate::scorer_error::{ScoreError, cut};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};

/// The most texts of one instance: a long response is held against each of them.
const MOST: usize = 500;

/// What `expected` holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum References {
    /// A text.
    #[default]
    One,
    /// A JSON array of texts. The response is held against each, and the best counts.
    List,
}

impl References {
    /// Reads the field `references`.
    pub(crate) fn read(object: &ObjectReader<'_>) -> Option<Self> {
        object.get("references").map_or(Some(Self::One), |at| {
            at.one_of(&[("one", Self::One), ("list", Self::List)])
        })
    }

    /// The texts of a rendered `expected`.
    ///
    /// # Errors
    /// It is no JSON array of texts where it should be, or there is nothing in it.
    pub(crate) fn of(self, expected: &str) -> Result<Vec<String>, ScoreError> {
        let texts = match self {
            Self::One => vec![expected.to_owned()],
            Self::List => {
                let not_texts = |_| ScoreError::NotTexts {
                    text: cut(expected),
                };
                serde_json::from_str(expected).map_err(not_texts)?
            }
        };
        if texts.len() > MOST {
            return Err(ScoreError::TooManyReferences {
                count: texts.len(),
                most: MOST,
            });
        }
        let is_empty = |text: &String| text.trim().is_empty();
        match texts.is_empty() || texts.iter().any(is_empty) {
            true => Err(ScoreError::NoReference),
            false => Ok(texts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_json_and_holds_texts() {
        assert_eq!(References::One.of("[a]"), Ok(vec!["[a]".to_owned()]));
        assert_eq!(
            References::List.of("[\"a\", \"b\"]"),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
        for wrong in ["a", "{}", "[1]", "[null]"] {
            let error = References::List.of(wrong).unwrap_err();
            assert!(matches!(error, ScoreError::NotTexts { .. }), "{wrong}");
        }
        for nothing in ["[]", "[\"a\", \" \"]"] {
            assert_eq!(References::List.of(nothing), Err(ScoreError::NoReference));
        }
        assert_eq!(References::One.of(" "), Err(ScoreError::NoReference));
        let many = serde_json::json!(vec!["a"; 501]).to_string();
        let error = References::List.of(&many).unwrap_err().to_string();
        assert!(error.contains("there are 501 texts"), "{error}");
    }
}
