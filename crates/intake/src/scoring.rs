//! How a job's answers are scored: the scorer, held against the rows, and the reducer.

use crate::rows::Rows;
use crate::template;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::job::Instance;
use frugal_domain::program::Availability;
use frugal_domain::scoring::{Reducer, ScorerSpec};
use frugal_scoring::{Outside, Scorer};
use serde_json::Value;

/// A scorer and the reducer over an instance's responses.
pub(crate) struct Scoring {
    pub scorer: ScorerSpec,
    pub reduce: Reducer,
}

pub(crate) fn scoring(
    at: &Reader<'_>,
    rows: Option<&Rows>,
    programs: &Availability,
) -> Option<Scoring> {
    let object = at.object()?;
    let scorer = object
        .require(
            "scorer",
            "say how one answer is scored, such as {\"type\": \"exact\", …}",
        )
        .and_then(|at| scorer(&at, rows, programs));
    let reducers: Vec<(&str, Reducer)> = Reducer::ALL
        .iter()
        .map(|reducer| (reducer.as_str(), *reducer))
        .collect();
    let reduce = object.get("reduce").map(|at| at.one_of(&reducers));
    object.finish();
    let scorer = scorer?;
    // A share of right is no chance to be right.
    let usual = match frugal_scoring::is_graded(&scorer) {
        true => Reducer::Mean,
        false => Reducer::ExpectedSuccess,
    };
    Some(Scoring {
        scorer,
        reduce: reduce.unwrap_or(Some(usual))?,
    })
}

/// The scorer, once it compiles and every row has a right answer for it: what could not be scored
/// would be paid for all the same.
fn scorer(at: &Reader<'_>, rows: Option<&Rows>, programs: &Availability) -> Option<ScorerSpec> {
    let object = at.object()?;
    let spec = frugal_scoring::read(&object);
    let name = object.get("type");
    let name = name.and_then(|at| at.value.as_str()).unwrap_or_default();
    let templates = frugal_scoring::templates(name);
    let fields: Vec<Reader<'_>> = templates
        .iter()
        .filter_map(|name| object.get(name))
        .collect();
    let checks = fields.iter().map(|at| match at.value.as_str() {
        Some(text) if !text.is_empty() => template::check(at, text, rows),
        _ => None,
    });
    // All of them, so that all faults are found.
    let checks: Vec<Option<()>> = checks.collect();
    let rendered = checks.into_iter().collect::<Option<()>>();
    let spec = spec?;
    let can_be_done = match frugal_scoring::outside(&spec) {
        Some(Outside::Programs) => has_sandbox(&object, &spec, programs),
        None => Some(()),
    };
    let scorer = match Scorer::compile(&spec) {
        // What is wrong with the template was noted.
        Err(error) if templates.contains(&error.field) => return None,
        Err(error) => {
            rendered?;
            let field = object.get(error.field);
            return field.as_ref().unwrap_or(at).fault(error.detail);
        }
        Ok(scorer) => scorer,
    };
    rendered?;
    if let Some(rows) = rows {
        fields.iter().try_for_each(|at| has_labels(at, rows))?;
    }
    for (row, instance) in rows.into_iter().flat_map(Rows::all).enumerate() {
        if let Err(error) = scorer.expectation(instance) {
            let field = object.get(error.field());
            return field
                .as_ref()
                .unwrap_or(at)
                .fault(format!("row {row} of the data: {error}"));
        }
    }
    can_be_done?;
    Some(spec)
}

/// Refuses a scorer that runs programs where the server runs none, or none for so long.
fn has_sandbox(
    object: &ObjectReader<'_>,
    spec: &ScorerSpec,
    programs: &Availability,
) -> Option<()> {
    let most = match programs {
        Availability::Ready { seconds } => *seconds,
        Availability::Absent { why } => {
            return object.at.fault_below(
                "/type",
                format!(
                    "runs programs, which this server does not: {why}; ask its operator, or use another scorer"
                ),
            );
        }
    };
    match spec.0.get("seconds").and_then(Value::as_u64) {
        Some(seconds) if seconds > u64::from(most) => object.at.fault_below(
            "/seconds",
            format!("this server gives a program at most {most}, not {seconds}"),
        ),
        _ => Some(()),
    }
}

/// Refuses rows whose right answer is null: it is missing there, and would be written as the text
/// `null`.
fn has_labels(at: &Reader<'_>, rows: &Rows) -> Option<()> {
    let text = at.value.as_str()?.trim();
    let field = text.strip_prefix("{{").and_then(|it| it.strip_suffix("}}"));
    let Some(field) = field.map(str::trim) else {
        return Some(());
    };
    let is_null = |row: &&_| Instance::get(row, field).is_some_and(Value::is_null);
    let mut lacking = rows.all().enumerate().filter(|(_, row)| is_null(row));
    let Some((first, _)) = lacking.next() else {
        return Some(());
    };
    let more = match lacking.count() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    at.fault(format!(
        "row {first}{more} of the data: `{field}` is null, which is no right answer; give one or \
         leave the row out"
    ))
}
