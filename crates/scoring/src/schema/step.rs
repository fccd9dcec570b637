//! Counts that a schema was looked at.

use super::node::{Exact, Node};
use super::work::spend;
use jsonschema::{Keyword, ValidationError};
use serde_json::Value;

/// A step, and whether anything keeps to the schema that it is in: nothing to `false`.
#[derive(Debug)]
pub(super) struct Step {
    is_kept: bool,
}

impl Step {
    pub(super) fn of(value: &Value) -> Self {
        Self {
            is_kept: value != &Value::Bool(false),
        }
    }
}

impl<'i> Keyword<'i, Exact> for Step {
    fn validate(&self, value: &'i Node) -> Result<(), ValidationError<'i>> {
        match self.is_valid(value) {
            true => Ok(()),
            false => Err(ValidationError::custom("nothing is allowed here")),
        }
    }

    fn is_valid(&self, _: &'i Node) -> bool {
        spend(1);
        self.is_kept
    }
}
