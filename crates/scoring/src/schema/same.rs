//! `const` and `enum`: values that are given.

use super::limits::digits;
use super::node::{Exact, Node};
use super::work::spend;
use jsonschema::{Keyword, ValidationError};
use serde_json::Value;

/// The values of which one is wanted.
#[derive(Debug)]
pub(super) struct Same {
    values: Vec<Value>,
    /// What is said where it is none.
    fault: String,
}

impl Same {
    pub(super) fn of(keyword: &str, value: &Value) -> Self {
        match value {
            Value::Array(values) if keyword == "enum" => Self {
                fault: format!("is not one of {value}"),
                values: values.clone(),
            },
            one => Self {
                fault: format!("is not {one}"),
                values: vec![one.clone()],
            },
        }
    }

    fn has(&self, value: &Node) -> bool {
        self.values.iter().any(|own| is_same(value, own))
    }
}

/// Whether a value is one of a schema. A text in the place of a number that has too many digits is that number,
/// and the text.
fn is_same(value: &Node, own: &Value) -> bool {
    spend(1);
    match (value, own) {
        (Node::Null, Value::Null) => true,
        (Node::Bool(value), Value::Bool(own)) => value == own,
        (Node::Text(value), Value::String(own)) => value == own,
        (Node::Number(value), Value::Number(_) | Value::String(_)) => {
            digits(own).is_some_and(|own| own == value.digits)
        }
        (Node::List(items), Value::Array(own)) => {
            items.len() == own.len() && items.iter().zip(own).all(|(item, own)| is_same(item, own))
        }
        (Node::Object(members), Value::Object(own)) => {
            members.len() == own.len()
                && members
                    .iter()
                    .all(|(name, value)| own.get(name).is_some_and(|own| is_same(value, own)))
        }
        _ => false,
    }
}

impl<'i> Keyword<'i, Exact> for Same {
    fn validate(&self, value: &'i Node) -> Result<(), ValidationError<'i>> {
        match self.has(value) {
            true => Ok(()),
            false => Err(ValidationError::custom(format!("the value {}", self.fault))),
        }
    }

    fn is_valid(&self, value: &'i Node) -> bool {
        self.has(value)
    }
}
