//! The rows of a job's data: found, chosen and split.

use crate::choice::{Condition, Row, Sample};
use crate::instance;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::job::{Data, DatasetReference, Instance};
use frugal_domain::seed::order;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most rows of data in one job.
const MAX_INSTANCES: usize = 100_000;

/// A dataset that a document names, with its rows.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What is told of it.
    pub reference: DatasetReference,
    /// Its rows, in order.
    pub rows: Vec<Instance>,
}

/// The datasets that a document names, by the name or id that it uses. Those that are not there are
/// faults of the document.
pub type Datasets = BTreeMap<String, Dataset>;

/// The names or ids of the datasets whose rows a document is to be read with.
#[must_use]
pub fn named_datasets(document: &Value) -> BTreeSet<String> {
    let places = ["/data/dataset", "/data/holdout/dataset"];
    let names = places.iter().filter_map(|place| document.pointer(place));
    let names = names.filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

/// The rows of a job, and which of them are held out.
#[derive(Debug, Clone)]
pub struct Rows {
    instances: Vec<Row>,
    holdout: Holdout,
    /// Where the instances come from, and the held-out rows where these are others.
    pub(crate) dataset: Option<DatasetReference>,
    pub(crate) holdout_dataset: Option<DatasetReference>,
}

#[derive(Debug, Clone)]
enum Holdout {
    None,
    /// So many of the instances, drawn by the seed.
    Count(usize),
    /// Rows that are not among the instances.
    Rows(Vec<Row>),
}

impl Rows {
    /// All rows, held out or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Instance> {
        self.numbered().map(|(_, row)| row)
    }

    /// All rows, held out or not, with their places among those that there were to choose from.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Instance)> {
        let held_out = match &self.holdout {
            Holdout::Rows(rows) => rows.as_slice(),
            _ => &[],
        };
        let rows = self.instances.iter().chain(held_out);
        rows.map(|row| (row.number, &row.instance))
    }

    /// The rows to tune on and the rows held out. Rows keep their order on both sides.
    pub(crate) fn split(self, seed: u64) -> Data {
        let rows = |part: Vec<Row>| part.into_iter().map(|row| row.instance).collect();
        let count = match self.holdout {
            Holdout::None => 0,
            Holdout::Rows(holdout) => {
                return Data {
                    tuning: rows(self.instances),
                    holdout: rows(holdout),
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
        let rows = |part: Vec<(usize, Row)>| rows(part.into_iter().map(|(_, row)| row).collect());
        Data {
            tuning: rows(tuning),
            holdout: rows(holdout),
        }
    }
}

/// Rows, and the dataset that they come from.
type Found = (Vec<Row>, Option<DatasetReference>);

pub(crate) fn rows(at: &Reader<'_>, mut datasets: Datasets) -> Option<Rows> {
    let object = at.object()?;
    // The same rows may be wanted once more.
    let again = at.value.pointer("/holdout/dataset").and_then(Value::as_str);
    let source = read_source(&object, 0, &mut datasets, again).unwrap_or_else(|| {
        let remedy = "give at least one row, or the name of a `dataset`";
        object.require("instances", remedy).and(None)
    });
    let condition = Condition::read(&object);
    let sample = Sample::read(&object);
    let holdout_at = object.get("holdout");
    object.finish();
    let place = place_of_rows(&object);
    let count = source.as_ref().map_or(0, |(rows, _)| rows.len());
    let own_holdout = holdout_at.as_ref().map(|at| {
        let holdout = read_holdout(at, count, &mut datasets)?;
        if let (HoldoutRead::Rows(rows, None), Some((instances, None))) = (&holdout, &source) {
            let rows = instances.iter().chain(rows);
            check_ids(at, rows.map(|row| &row.instance));
        }
        Some(holdout)
    });
    let (condition, sample) = (condition?, sample?);
    let (rows, dataset) = source?;
    let own_holdout = own_holdout.unwrap_or(Some(HoldoutRead::None))?;

    // What is held out by its values is no longer there to be tuned on.
    let (held_out, rows) = match &own_holdout {
        HoldoutRead::Where(condition, sample) => {
            let (held_out, rows) = condition.part(rows)?;
            if rows.is_empty() {
                return condition
                    .at()
                    .fault("leaves no row to tune on; hold fewer out");
            }
            (drawn(*sample, held_out), rows)
        }
        _ => (Vec::new(), rows),
    };
    let rows = match &condition {
        Some(condition) => condition.part(rows)?.0,
        None => rows,
    };
    let instances = drawn(sample, rows);
    within(&place, &instances)?;
    let (holdout, holdout_dataset) = match own_holdout {
        HoldoutRead::None => (Holdout::None, None),
        HoldoutRead::Share(at, share) => (held_out_count(&at, share, instances.len())?, None),
        HoldoutRead::Where(condition, _) => {
            within(condition.at(), &held_out)?;
            (Holdout::Rows(held_out), None)
        }
        HoldoutRead::Rows(rows, dataset) => (Holdout::Rows(rows), dataset),
    };
    Some(Rows {
        instances,
        holdout,
        dataset,
        holdout_dataset,
    })
}

/// The place that says where rows come from.
fn place_of_rows<'a>(object: &ObjectReader<'a>) -> Reader<'a> {
    let place = object.get("dataset").or_else(|| object.get("instances"));
    place.unwrap_or_else(|| object.at.clone())
}

/// The rows that an object holds or names, numbered from `first` on; nothing where it does neither.
fn read_source(
    object: &ObjectReader<'_>,
    first: usize,
    datasets: &mut Datasets,
    again: Option<&str>,
) -> Option<Option<Found>> {
    let numbered = |rows: Vec<Instance>| {
        let numbered = (first..).zip(rows);
        let row = |(number, instance)| Row { number, instance };
        numbered.map(row).collect::<Vec<_>>()
    };
    match (object.get("instances"), object.get("dataset")) {
        (None, None) => None,
        (Some(_), Some(at)) => Some(at.fault("give either `instances` or `dataset`, not both")),
        (Some(at), None) => Some(read_instances(&at).map(|rows| (numbered(rows), None))),
        (None, Some(at)) => Some(at.filled_string().and_then(|name| {
            let found = match again == Some(name) {
                true => datasets.get(name).cloned(),
                false => datasets.remove(name),
            };
            match found {
                Some(dataset) => Some((numbered(dataset.rows), Some(dataset.reference))),
                None => at.fault(format!(
                    "there is no dataset `{name}`; `GET /datasets` lists those that there are, and \
                     `POST /datasets` takes another"
                )),
            }
        })),
    }
}

/// Rows of which none is held out.
pub(crate) fn of_array(at: &Reader<'_>) -> Option<Rows> {
    let rows = (0..).zip(read_instances(at)?);
    let row = |(number, instance)| Row { number, instance };
    Some(Rows {
        instances: rows.map(row).collect(),
        holdout: Holdout::None,
        dataset: None,
        holdout_dataset: None,
    })
}

fn read_instances(at: &Reader<'_>) -> Option<Vec<Instance>> {
    let places = at.filled_array_within("row", MAX_INSTANCES)?;
    let rows: Vec<_> = places.iter().map(instance::read).collect();
    let rows: Vec<Instance> = rows.into_iter().collect::<Option<_>>()?;
    check_ids(at, rows.iter());
    Some(rows)
}

/// Whether a job may have so many rows. A dataset may have more.
fn within(at: &Reader<'_>, rows: &[Row]) -> Option<()> {
    if rows.len() > MAX_INSTANCES {
        return at.fault(format!(
            "must be at most {MAX_INSTANCES} rows; take some of them with `where` or `sample`"
        ));
    }
    Some(())
}

fn drawn(sample: Option<Sample>, rows: Vec<Row>) -> Vec<Row> {
    match sample {
        Some(sample) => sample.draw(rows),
        None => rows,
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

/// What a document says of the rows that are held out.
enum HoldoutRead<'a> {
    None,
    /// A share of the instances.
    Share(Reader<'a>, f64),
    /// Those of the data that have certain values.
    Where(Condition<'a>, Option<Sample>),
    /// Rows of their own.
    Rows(Vec<Row>, Option<DatasetReference>),
}

fn read_holdout<'a>(
    at: &Reader<'a>,
    first: usize,
    datasets: &mut Datasets,
) -> Option<HoldoutRead<'a>> {
    if at.value.is_number() {
        return share(at.clone()).map(|(at, share)| HoldoutRead::Share(at, share));
    }
    let object = at.object()?;
    let share = object.get("share").map(share);
    let source = read_source(&object, first, datasets, None);
    let condition = Condition::read(&object);
    let sample = Sample::read(&object);
    object.finish();
    let (condition, sample) = (condition?, sample?);
    match (share, source, condition) {
        (Some(share), None, None) if sample.is_none() => {
            let (at, share) = share?;
            Some(HoldoutRead::Share(at, share))
        }
        (None, None, Some(condition)) => Some(HoldoutRead::Where(condition, sample)),
        (None, Some(source), condition) => {
            let (rows, dataset) = source?;
            let rows = match condition {
                Some(condition) => condition.part(rows)?.0,
                None => rows,
            };
            let rows = drawn(sample, rows);
            within(&place_of_rows(&object), &rows)?;
            Some(HoldoutRead::Rows(rows, dataset))
        }
        _ => at.fault(
            "give one of `share`, `instances`, `dataset` and `where`; `where` and `sample` also go \
             with `instances` or `dataset`",
        ),
    }
}

/// A share of the rows.
fn share(at: Reader<'_>) -> Option<(Reader<'_>, f64)> {
    let share = at.number()?;
    if !(0.0..1.0).contains(&share) {
        return at.fault("must be at least 0 and below 1");
    }
    Some((at, share))
}

/// How many of the instances a share of them is.
fn held_out_count(at: &Reader<'_>, share: f64, instances: usize) -> Option<Holdout> {
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
}
