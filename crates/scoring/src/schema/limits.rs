//! Limits on numbers: `minimum` and its like, and `multipleOf`.

use super::node::{Exact, Node};
use super::work::spend;
use crate::exact_json::{Digits, kept_as_text};
use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

/// What a number must keep to, by its keyword.
pub(super) const LIMITS: [(&str, Kind); 5] = [
    ("minimum", Kind::Minimum),
    ("maximum", Kind::Maximum),
    ("exclusiveMinimum", Kind::Above),
    ("exclusiveMaximum", Kind::Below),
    ("multipleOf", Kind::MultipleOf),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Minimum,
    Maximum,
    Above,
    Below,
    MultipleOf,
}

/// A limit.
#[derive(Debug)]
pub(super) struct Limit {
    kind: Kind,
    /// Nothing of what is no limit by itself: in draft 4 `exclusiveMinimum` is a word on `minimum`.
    limit: Option<Digits>,
}

impl Limit {
    pub(super) fn of(kind: Kind, value: &Value, parent: &Map<String, Value>) -> Self {
        let is_strict = |word: &str| parent.get(word) == Some(&Value::Bool(true));
        let kind = match kind {
            Kind::Minimum if is_strict("exclusiveMinimum") => Kind::Above,
            Kind::Maximum if is_strict("exclusiveMaximum") => Kind::Below,
            kind => kind,
        };
        Self {
            kind,
            limit: digits(value),
        }
    }

    /// What is amiss with a value, if anything is.
    fn fault(&self, value: &Node) -> Option<String> {
        let (Node::Number(number), Some(limit)) = (value, &self.limit) else {
            return None;
        };
        spend(value.weight());
        let found = &number.digits;
        let (is_kept, words) = match self.kind {
            Kind::Minimum => (found >= limit, "is less than the minimum of"),
            Kind::Maximum => (found <= limit, "is greater than the maximum of"),
            Kind::Above => (found > limit, "is less than or equal to the minimum of"),
            Kind::Below => (found < limit, "is greater than or equal to the maximum of"),
            Kind::MultipleOf => (found.is_multiple_of(limit), "is not a multiple of"),
        };
        (!is_kept).then(|| format!("{} {words} {}", number.text, limit.written()))
    }
}

/// A number of a schema, or a text in the place of one with too many digits.
pub(super) fn digits(value: &Value) -> Option<Digits> {
    match value {
        Value::Number(number) => Digits::of(&number.to_string()),
        Value::String(text) => kept_as_text(text),
        _ => None,
    }
}

impl<'i> Keyword<'i, Exact> for Limit {
    fn validate(&self, value: &'i Node) -> Result<(), ValidationError<'i>> {
        match self.fault(value) {
            Some(fault) => Err(ValidationError::custom(fault)),
            None => Ok(()),
        }
    }

    fn is_valid(&self, value: &'i Node) -> bool {
        self.fault(value).is_none()
    }
}
