//! How a job scores its answers: the wire form of scorers, extractions and reducers.

use super::read::Checks;
use super::read_data::{Rows, check_template};
use crate::fault::{ObjectReader, Reader};
use crate::scoring::{Extract, Reducer, ScorerSpec};
use serde_json::Value;

/// The reducers by their names.
const REDUCERS: &[(&str, Reducer)] = &[
    ("expected_success", Reducer::ExpectedSuccess),
    ("success", Reducer::Success),
    ("mean", Reducer::Mean),
];

/// The scorers by their names.
const SCORERS: &[(&str, Kind)] = &[
    ("exact", Kind::Exact),
    ("contains", Kind::Contains),
    ("regex", Kind::Regex),
    ("choice", Kind::Choice),
    ("numeric", Kind::Numeric),
];

/// The extractions that have a name; one more is `{"regex": …}`.
const EXTRACTS: &[(&str, MakeExtract)] = &[
    ("all", || Extract::All),
    ("first_line", || Extract::FirstLine),
    ("last_line", || Extract::LastLine),
    ("first_number", || Extract::FirstNumber),
    ("last_number", || Extract::LastNumber),
    ("first_line_last_number", || Extract::FirstLineLastNumber),
    ("json", || Extract::Json),
];

/// Makes an extraction: they are not all of one size, so the list holds makers.
type MakeExtract = fn() -> Extract;

#[derive(Clone, Copy)]
enum Kind {
    Exact,
    Contains,
    Regex,
    Choice,
    Numeric,
}

/// A scorer and the reducer over an instance's responses.
pub(super) struct Scoring {
    pub scorer: ScorerSpec,
    pub reduce: Reducer,
}

pub(super) fn scoring(
    at: &Reader<'_>,
    rows: Option<&Rows>,
    checks: &dyn Checks,
) -> Option<Scoring> {
    let object = at.object()?;
    let scorer = object
        .require(
            "scorer",
            "say how one answer is scored, such as {\"type\": \"exact\", …}",
        )
        .and_then(|at| {
            let spec = read_scorer(&at.object()?, rows, checks)?;
            match checks.scorer(&spec) {
                Ok(()) => check_expectations(&at, spec, rows, checks),
                Err((field, detail)) => {
                    let field_at = at.object()?.get(&field);
                    field_at.unwrap_or(at).fault(detail)
                }
            }
        });
    let reduce = object.get("reduce").map(|at| at.one_of(REDUCERS));
    object.finish();
    Some(Scoring {
        scorer: scorer?,
        reduce: reduce.unwrap_or(Some(Reducer::ExpectedSuccess))?,
    })
}

/// Every row needs a right answer, or its responses could not be scored once they are paid for.
fn check_expectations(
    at: &Reader<'_>,
    spec: ScorerSpec,
    rows: Option<&Rows>,
    checks: &dyn Checks,
) -> Option<ScorerSpec> {
    let Some(rows) = rows else {
        return Some(spec);
    };
    match checks.expectations(&spec, &mut rows.all()) {
        Ok(()) => Some(spec),
        Err((row, detail)) => {
            let expected = at.object()?.get("expected");
            expected
                .as_ref()
                .unwrap_or(at)
                .fault(format!("row {row} of the data: {detail}"))
        }
    }
}

fn read_scorer(
    object: &ObjectReader<'_>,
    rows: Option<&Rows>,
    checks: &dyn Checks,
) -> Option<ScorerSpec> {
    let kind = object
        .require(
            "type",
            "use `exact`, `contains`, `regex`, `choice` or `numeric`",
        )?
        .one_of(SCORERS)?;
    let expected = || read_expected(object, rows, checks);
    let extract = || match object.get("extract") {
        None => Some(None),
        Some(at) => read_extract(&at).map(Some),
    };
    let flag = |name: &str| object.get(name).map_or(Some(false), |at| at.boolean());
    let spec = match kind {
        Kind::Exact | Kind::Contains => {
            let (expected, extract) = (expected(), extract());
            let (ignore_case, ignore_accents) = (flag("ignore_case"), flag("ignore_accents"));
            let (expected, extract) = (expected?, extract?.unwrap_or_default());
            let (ignore_case, ignore_accents) = (ignore_case?, ignore_accents?);
            match kind {
                Kind::Exact => ScorerSpec::Exact {
                    expected,
                    extract,
                    ignore_case,
                    ignore_accents,
                },
                _ => ScorerSpec::Contains {
                    expected,
                    extract,
                    ignore_case,
                    ignore_accents,
                },
            }
        }
        Kind::Regex => {
            let pattern = object
                .require("pattern", "give a regular expression")
                .and_then(|at| at.filled_string().map(str::to_owned));
            let expected = if object.has("expected") {
                expected().map(Some)
            } else {
                Some(None)
            };
            let extract = extract();
            ScorerSpec::Regex {
                pattern: pattern?,
                expected: expected?,
                extract: extract?.unwrap_or_default(),
            }
        }
        Kind::Choice => {
            let expected = expected();
            let choices = object
                .require("choices", "list what may be chosen, such as [\"A\", \"B\"]")
                .and_then(|at| read_choices(&at));
            let extract = extract();
            ScorerSpec::Choice {
                expected: expected?,
                choices: choices?,
                extract: extract?.unwrap_or_default(),
            }
        }
        Kind::Numeric => {
            let expected = expected();
            let tolerance = object.get("tolerance").map_or(Some(0.0), |at| {
                let tolerance = at.number()?;
                if tolerance < 0.0 {
                    return at.fault("must be 0 or above");
                }
                Some(tolerance)
            });
            let extract = extract();
            ScorerSpec::Numeric {
                expected: expected?,
                extract: extract?.unwrap_or(Extract::LastNumber),
                tolerance: tolerance?,
            }
        }
    };
    object.finish();
    Some(spec)
}

fn read_expected(
    object: &ObjectReader<'_>,
    rows: Option<&Rows>,
    checks: &dyn Checks,
) -> Option<String> {
    let at = object.require("expected", "give a template such as \"{{ answer }}\"")?;
    let text = at.filled_string()?;
    check_template(&at, text, rows, checks)?;
    Some(text.to_owned())
}

fn read_choices(at: &Reader<'_>) -> Option<Vec<String>> {
    let places = at.filled_array("choice")?;
    let mut choices: Vec<String> = Vec::new();
    let mut complete = true;
    for place in &places {
        match place.filled_string() {
            Some(choice) if choices.iter().any(|other| other == choice) => {
                place.fault::<()>("is in the list twice; name each choice once");
                complete = false;
            }
            Some(choice) => choices.push(choice.to_owned()),
            None => complete = false,
        }
    }
    complete.then_some(choices)
}

fn read_extract(at: &Reader<'_>) -> Option<Extract> {
    if let Value::Object(_) = at.value {
        let object = at.object()?;
        let pattern = object
            .require("regex", "give a regular expression")
            .and_then(|at| at.filled_string().map(str::to_owned));
        object.finish();
        return pattern.map(Extract::Regex);
    }
    at.one_of(EXTRACTS).map(|make| make())
}
