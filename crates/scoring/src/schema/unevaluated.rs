//! Bounds what compiling a schema with `unevaluatedProperties` or `unevaluatedItems` takes: for these the rules go
//! through all that is said of the same value, however often references lead there.

use serde_json::Value;
use std::collections::BTreeMap;

/// The most schemas that one may come to where each reference stands for what it names.
const MOST: u64 = 500;

const UNEVALUATED: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];
/// References that are not by place.
const OTHER_REFERENCES: [&str; 2] = ["$dynamicRef", "$recursiveRef"];
/// Members whose schemas speak of the same value.
const OF_THE_SAME: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];

/// Says what is amiss with a schema whose compilation would not end soon.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    if !any_object(schema, &|members| {
        UNEVALUATED.iter().any(|name| members.contains_key(*name))
    }) {
        return Ok(());
    }
    let is_followed = |members: &serde_json::Map<String, Value>| {
        let by_place = match members.get("$ref") {
            Some(Value::String(reference)) => place(schema, reference).is_some(),
            _ => true,
        };
        by_place
            && OTHER_REFERENCES
                .iter()
                .all(|name| !members.contains_key(*name))
    };
    if any_object(schema, &|members| !is_followed(members)) {
        return Err(
            "has `unevaluatedProperties` or `unevaluatedItems`, which go with references by place alone, such as \
             \"#/$defs/name\"; use these, or `additionalProperties`"
                .to_owned(),
        );
    }
    let mut known = BTreeMap::new();
    let mut largest = 0;
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        largest = largest.max(count(schema, value, &mut known));
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    if largest > MOST {
        return Err(format!(
            "comes to more than {MOST} schemas where each reference stands for what it names, which is too much for \
             `unevaluatedProperties` and `unevaluatedItems`: use `additionalProperties`, or fewer references"
        ));
    }
    Ok(())
}

fn any_object(schema: &Value, is_such: &impl Fn(&serde_json::Map<String, Value>) -> bool) -> bool {
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) if is_such(members) => return true,
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    false
}

/// What a reference by place names.
fn place<'s>(schema: &'s Value, reference: &str) -> Option<&'s Value> {
    schema.pointer(reference.strip_prefix('#')?)
}

/// How many schemas speak of the same value as this one, itself included; no more than one beyond the bound is
/// counted. `known` has those that were counted, by where they are, and of those under way that they are.
fn count<'s>(root: &'s Value, schema: &'s Value, known: &mut BTreeMap<usize, Option<u64>>) -> u64 {
    let Value::Object(members) = schema else {
        return 1;
    };
    let address = std::ptr::from_ref(schema).addr();
    match known.get(&address) {
        Some(Some(known)) => return *known,
        // It leads back to itself, which the rules see.
        Some(None) => return 1,
        None => {}
    }
    known.insert(address, None);
    let mut sum: u64 = 1;
    let mut add = |other: u64| sum = (sum + other).min(MOST + 1);
    if let Some(Value::String(reference)) = members.get("$ref")
        && let Some(named) = place(root, reference)
    {
        add(count(root, named, known));
    }
    for name in OF_THE_SAME {
        match members.get(name) {
            Some(Value::Array(schemas)) => {
                for one in schemas {
                    add(count(root, one, known));
                }
            }
            Some(one) => add(count(root, one, known)),
            None => {}
        }
    }
    if let Some(Value::Object(schemas)) = members.get("dependentSchemas") {
        for one in schemas.values() {
            add(count(root, one, known));
        }
    }
    known.insert(address, Some(sum));
    sum
}
