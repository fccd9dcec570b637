//! The rows of a job's data: read and split.

use frugal_domain::fault::Reader;
use frugal_domain::job::{Data, Instance};
use frugal_domain::seed::order;
use serde_json::{Number, Value};
use std::collections::BTreeSet;

/// The most rows of data in one job.
const MAX_INSTANCES: usize = 100_000;

/// All rows as posted, and which of them are held out.
#[derive(Debug, Clone)]
pub struct Rows {
    instances: Vec<Instance>,
    holdout: Holdout,
}

#[derive(Debug, Clone)]
enum Holdout {
    None,
    /// So many of the instances, drawn by the seed.
    Count(usize),
    /// Rows of their own.
    Rows(Vec<Instance>),
}

impl Rows {
    /// All rows, held out or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Instance> {
        let held_out = match &self.holdout {
            Holdout::Rows(rows) => rows.as_slice(),
            _ => &[],
        };
        self.instances.iter().chain(held_out)
    }

    /// The rows to tune on and the rows held out. Rows keep their order on both sides.
    pub(crate) fn split(self, seed: u64) -> Data {
        let count = match self.holdout {
            Holdout::None => 0,
            Holdout::Rows(holdout) => {
                return Data {
                    tuning: self.instances,
                    holdout,
                };
            }
            Holdout::Count(count) => count,
        };
        let drawn = order(self.instances.len(), seed);
        let held_out: BTreeSet<_> = drawn.into_iter().take(count).collect();
        let (holdout, tuning): (Vec<_>, Vec<_>) = self
            .instances
            .into_iter()
            .enumerate()
            .partition(|(index, _)| held_out.contains(index));
        let rows = |part: Vec<(usize, Instance)>| part.into_iter().map(|(_, row)| row).collect();
        Data {
            tuning: rows(tuning),
            holdout: rows(holdout),
        }
    }
}

pub(crate) fn rows(at: &Reader<'_>) -> Option<Rows> {
    let object = at.object()?;
    let instances = object
        .require("instances", "give at least one row")
        .and_then(|at| read_instances(&at));
    let holdout = object.get("holdout").map(|at| {
        let holdout = read_holdout(&at, instances.as_ref().map(Vec::len))?;
        if let (Holdout::Rows(rows), Some(instances)) = (&holdout, &instances) {
            check_ids(&at, instances.iter().chain(rows));
        }
        Some(holdout)
    });
    object.finish();
    Some(Rows {
        instances: instances?,
        holdout: holdout.unwrap_or(Some(Holdout::None))?,
    })
}

/// Rows of which none is held out.
pub(crate) fn of_array(at: &Reader<'_>) -> Option<Rows> {
    Some(Rows {
        instances: read_instances(at)?,
        holdout: Holdout::None,
    })
}

fn read_instances(at: &Reader<'_>) -> Option<Vec<Instance>> {
    let places = at.filled_array("row")?;
    if places.len() > MAX_INSTANCES {
        return at.fault(format!("must hold at most {MAX_INSTANCES} rows"));
    }
    let rows: Vec<_> = places
        .iter()
        .map(|at| match at.value {
            Value::Object(row) => Some(row.iter().map(as_stored).collect()),
            _ => at.object().and(None),
        })
        .collect();
    let rows: Vec<Instance> = rows.into_iter().collect::<Option<_>>()?;
    check_ids(at, rows.iter());
    Some(rows)
}

/// A field as the database gives it back, so that what is rendered here is what will be rendered: it
/// writes numbers out, and a large one such as 1e17 comes back as an integer.
fn as_stored((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), stored(value))
}

fn stored(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let written_out = number.as_f64().filter(|number| number.abs() >= 1e16);
            let whole = written_out.map(|number| format!("{number:.0}"));
            let whole = whole.and_then(|digits| digits.parse::<Number>().ok());
            Value::Number(whole.unwrap_or_else(|| number.clone()))
        }
        Value::Array(items) => items.iter().map(stored).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(as_stored).collect()),
        _ => value.clone(),
    }
}

/// Ids are optional, but two rows may not share one.
fn check_ids<'a>(at: &Reader<'_>, rows: impl Iterator<Item = &'a Instance>) {
    let mut ids = BTreeSet::new();
    for (index, row) in rows.enumerate() {
        if let Some(id) = row.get("id")
            && !ids.insert(id.to_string())
        {
            at.fault::<()>(format!(
                "row {index} has the id {id} of a row before it; ids must differ"
            ));
        }
    }
}

fn read_holdout(at: &Reader<'_>, instances: Option<usize>) -> Option<Holdout> {
    let object = at.object()?;
    let share = object.get("share").map(|at| {
        let share = at.number()?;
        let instances = instances?;
        if !(0.0..1.0).contains(&share) {
            return at.fault("must be at least 0 and below 1");
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "between 0 and the number of rows, which is small"
        )]
        let count = (share * instances as f64).round() as usize;
        if count >= instances {
            return at.fault("leaves no row to tune on; lower it or give more rows");
        }
        Some(Holdout::Count(count))
    });
    let rows = object
        .get("instances")
        .map(|at| Some(Holdout::Rows(read_instances(&at)?)));
    object.finish();
    match (share, rows) {
        (Some(holdout), None) | (None, Some(holdout)) => holdout,
        _ => at.fault("give exactly one of `share` and `instances`"),
    }
}
