//! JSON schemas, which values are held against to the last digit of their numbers.
//!
//! The schema's rules are those of the crate `jsonschema`, over values of our own ([`Exact`]): a parsed number is
//! one of 64 bits or a float, so that 20-digit integers would be compared as what they are rounded to.

mod limits;
mod node;
mod same;
mod step;
mod unevaluated;
mod work;

use crate::exact_json::kept_as_text;
use crate::pattern;
use crate::scorer_error::{ScorerError, cut};
use jsonschema::{PatternOptions, Validator};
use limits::{LIMITS, Limit};
use node::{Exact, Node};
use same::Same;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use step::Step;

/// The largest schema, in bytes of JSON.
const MAX_BYTES: usize = 64 * 1024;

/// Before the name of a limit that is carried as a text, which the rules for schemas know nothing of.
const CARRIED: &str = "frugal:";
/// What every schema says besides, which counts that it was looked at, with whether anything keeps to it.
const STEP: &str = "frugal:step";

/// Members of a schema that are schemas, or lists of them.
const WITH_SCHEMAS: [&str; 16] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Members whose members are schemas by names of their own.
const BY_NAME: [&str; 6] = [
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
];

/// A compiled schema of draft 2020-12, or the one that it names. It refers to nothing outside of itself.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    validator: Arc<Validator<Exact>>,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// It is none, reaches outside, or is too large, in it or in its patterns.
    pub(crate) fn compile(schema: &Value) -> Result<Self, ScorerError> {
        let fault = |detail: String| ScorerError {
            field: "schema",
            detail,
        };
        if !schema.is_object() {
            return Err(fault(
                "must be an object, as {\"type\": \"object\"}".to_owned(),
            ));
        }
        let bytes = schema.to_string().len();
        if bytes > MAX_BYTES {
            return Err(fault(format!(
                "is {bytes} bytes long; at most {MAX_BYTES} are allowed"
            )));
        }
        check_patterns(schema)?;
        unevaluated::check(schema).map_err(fault)?;
        // Without backtracking, so that a search takes linear time.
        let patterns = PatternOptions::regex();
        let mut options = jsonschema::options_for::<Exact>().with_pattern_options(patterns);
        for (name, limit) in LIMITS {
            for name in [name.to_owned(), format!("{CARRIED}{name}")] {
                options = options.with_keyword(name, move |parent, value, _| {
                    Ok(Box::new(Limit::of(limit, value, parent)))
                });
            }
        }
        for name in ["const", "enum"] {
            options =
                options.with_keyword(name, move |_, value, _| Ok(Box::new(Same::of(name, value))));
        }
        options = options.with_keyword(STEP, |_, value, _| Ok(Box::new(Step::of(value))));
        // The rules for schemas are those that it is held to as it was written.
        let validator = options
            .build(&prepared(schema))
            .map_err(|error| fault(format!("is no JSON schema: {error}")))?;
        Ok(Self {
            validator: Arc::new(validator),
        })
    }

    /// Whether the value that a text is keeps to it. No where it is none.
    ///
    /// # Errors
    /// It takes too long to tell: why, in words.
    pub(crate) fn is_kept_by(&self, json: &str) -> Result<bool, String> {
        let Some(value) = Node::parse(json) else {
            return Ok(false);
        };
        let is_kept = work::bounded(work::MOST, || self.validator.is_valid(&value));
        is_kept.ok_or_else(|| too_much(work::MOST))
    }

    /// What of it the value that a text is does not keep to, and where; nothing where it does, or is none.
    pub(crate) fn violation(&self, json: &str) -> Option<String> {
        let value = Node::parse(json)?;
        match work::bounded(work::MOST, || self.validator.is_valid(&value)) {
            Some(true) => return None,
            Some(false) => {}
            None => return Some(too_much(work::MOST)),
        }
        let told = work::bounded(work::MOST_TOLD, || {
            let error = self.validator.validate(&value).err()?;
            let place = error.instance_path().to_string();
            let place = match place.is_empty() {
                true => String::new(),
                false => format!(" at `{}`", cut(&place)),
            };
            Some(format!("{place}: {}", cut(&error.to_string())))
        });
        let told = told.flatten().unwrap_or_default();
        Some(format!("the value does not keep to the schema{told}"))
    }
}

fn too_much(most: u64) -> String {
    format!(
        "it takes more than {most} steps to hold the value against the schema: give it fewer references and \
         alternatives within one another"
    )
}

/// The schema with what we add to it: a step in each schema, and the limits that are texts, as those are that have
/// more digits than a number carries, under names by which only we know them.
fn prepared(schema: &Value) -> Value {
    let members = match schema {
        Value::Object(members) => members,
        Value::Array(items) => return items.iter().map(prepared).collect(),
        Value::Bool(is_kept) => return json!({STEP: is_kept}),
        other => return other.clone(),
    };
    let member = |(name, member): (&String, &Value)| {
        let is_limit = LIMITS.iter().any(|(limit, _)| limit == name);
        let prepared = match member {
            Value::Object(schemas) if BY_NAME.contains(&name.as_str()) => {
                let schemas = schemas.iter();
                let schemas = schemas.map(|(name, schema)| (name.clone(), prepared(schema)));
                Value::Object(schemas.collect())
            }
            Value::Bool(_) | Value::Object(_) | Value::Array(_)
                if WITH_SCHEMAS.contains(&name.as_str()) =>
            {
                prepared(member)
            }
            Value::String(text) if is_limit && kept_as_text(text).is_some() => {
                return (format!("{CARRIED}{name}"), member.clone());
            }
            _ => member.clone(),
        };
        (name.clone(), prepared)
    };
    let step = (STEP.to_owned(), Value::Bool(true));
    let all = members.iter().map(member).chain([step]);
    Value::Object(all.collect::<Map<_, _>>())
}

/// Holds the patterns of a schema to the bounds of all patterns.
fn check_patterns(schema: &Value) -> Result<(), ScorerError> {
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member) {
                        ("pattern", Value::String(text)) => _ = pattern::compile("schema", text)?,
                        ("patternProperties", Value::Object(properties)) => {
                            for text in properties.keys() {
                                pattern::compile("schema", text)?;
                            }
                            open.push(member);
                        }
                        _ => open.push(member),
                    }
                }
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
