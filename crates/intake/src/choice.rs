//! Which rows are taken of all that there are: those with certain values, and of these a sample.

use crate::limits::MAX_CHOICES;
use frugal_domain::fault::{ObjectReader, Reader, shortened};
use frugal_domain::job::Instance;
use frugal_domain::seed::order;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};

/// Tells the draw of a sample from others by the same seed.
const SAMPLE: u64 = 0x7361_6d70_6c65;

/// The most values or fields that a fault tells of.
const MOST_TOLD: usize = 5;

/// How much of a value a fault tells.
const MOST_LETTERS: usize = 60;

/// A row, and which it was of all that there were, from 0.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub number: usize,
    pub instance: Instance,
}

/// Fields and the values that rows may have there.
pub(crate) struct Condition<'a> {
    at: Reader<'a>,
    /// The values as JSON, since values have no order and no hash, and every row is held against them.
    fields: Vec<(&'a str, HashSet<String>)>,
}

impl<'a> Condition<'a> {
    /// The condition `where` of an object: nothing where there is none, or it has faults.
    pub(crate) fn read(object: &ObjectReader<'a>) -> Option<Option<Self>> {
        let Some(at) = object.get("where") else {
            return Some(None);
        };
        let members = at.object()?.members_within(MAX_CHOICES)?;
        if members.is_empty() {
            return at.fault("must name at least one field, such as {\"split\": \"train\"}");
        }
        let fields: Vec<_> = members
            .into_iter()
            .map(|(name, at)| Some((name, values(&at)?)))
            .collect();
        let fields = fields.into_iter().collect::<Option<_>>()?;
        Some(Some(Self { at, fields }))
    }

    /// Whether a row has such values.
    fn holds(&self, row: &Instance) -> bool {
        self.fields.iter().all(|(name, values)| {
            let value = row.get(*name);
            value.is_some_and(|value| values.contains(&value.to_string()))
        })
    }

    /// The rows that have such values, and the others. There is a fault where none has them.
    pub(crate) fn part(&self, rows: Vec<Row>) -> Option<(Vec<Row>, Vec<Row>)> {
        if !rows.iter().any(|row| self.holds(&row.instance)) {
            return self.at.fault(self.why_none(&rows));
        }
        Some(rows.into_iter().partition(|row| self.holds(&row.instance)))
    }

    /// The place of the condition.
    pub(crate) const fn at(&self) -> &Reader<'a> {
        &self.at
    }

    /// Why no row has such values: the first field that none has as it is to be.
    fn why_none(&self, rows: &[Row]) -> String {
        for (name, values) in &self.fields {
            let found: BTreeSet<String> = rows
                .iter()
                .filter_map(|row| row.instance.get(*name))
                .map(Value::to_string)
                .collect();
            if found.iter().any(|value| values.contains(value)) {
                continue;
            }
            if found.is_empty() {
                let fields: BTreeSet<_> = rows.iter().flat_map(|row| row.instance.keys()).collect();
                let fields = fields.iter().map(|field| format!("`{field}`"));
                return format!("no row has the field `{name}`; there is {}", some(fields));
            }
            let found = found
                .iter()
                .map(|value| format!("`{}`", shortened(value, MOST_LETTERS)));
            return format!(
                "no row has such a value in `{name}`; there is {}",
                some(found)
            );
        }
        "no row has all of these values; name fewer fields".to_owned()
    }
}

/// A few of many names.
fn some(names: impl Iterator<Item = String>) -> String {
    let mut told: Vec<_> = names.take(MOST_TOLD + 1).collect();
    if told.len() > MOST_TOLD {
        told.truncate(MOST_TOLD);
        told.push("more".to_owned());
    }
    match told.as_slice() {
        [] => "none".to_owned(),
        _ => told.join(", "),
    }
}

/// The values that a field may have: one, or each of an array.
fn values(at: &Reader<'_>) -> Option<HashSet<String>> {
    match at.value {
        Value::Array(_) => {
            let places = at.filled_array("value")?;
            places.iter().map(value).collect()
        }
        _ => Some(HashSet::from([value(at)?])),
    }
}

fn value(at: &Reader<'_>) -> Option<String> {
    match at.value {
        Value::Array(_) | Value::Object(_) => {
            at.fault("must be a text, a number, true, false or null")
        }
        value => Some(value.to_string()),
    }
}

/// How many rows are taken at most, and by which draw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    rows: usize,
    seed: u64,
}

impl Sample {
    /// The `sample` of an object: nothing where there is none, or it has faults. Its seed is not the
    /// job's, so that jobs over the same data take the same rows.
    pub(crate) fn read(object: &ObjectReader<'_>) -> Option<Option<Self>> {
        let Some(at) = object.get("sample") else {
            return Some(None);
        };
        let object = at.object()?;
        let rows = object
            .require("rows", "say how many rows are taken")
            .and_then(|at| at.integer_within(1, i64::from(u32::MAX)));
        let seed = object.get("seed").map(|at| at.integer_within(0, i64::MAX));
        object.finish();
        Some(Some(Self {
            rows: usize::try_from(rows?).unwrap_or(usize::MAX),
            seed: seed.unwrap_or(Some(0))?.unsigned_abs(),
        }))
    }

    /// So many of the rows, in their order; all where there are no more.
    pub(crate) fn draw(self, rows: Vec<Row>) -> Vec<Row> {
        if rows.len() <= self.rows {
            return rows;
        }
        let drawn = order(rows.len(), self.seed ^ SAMPLE);
        let drawn: BTreeSet<_> = drawn.into_iter().take(self.rows).collect();
        let indexed = rows.into_iter().enumerate();
        let drawn = indexed.filter(|(index, _)| drawn.contains(index));
        drawn.map(|(_, row)| row).collect()
    }
}
