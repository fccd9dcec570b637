//! What a trial drew, row by row: prompts, answers, scores and what was extracted.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::drawn::{Seen, quality};
use crate::errors::{ApiError, Code};
use crate::extract::{EvaluationTrialPath, Parameters, TrialPath, no_trial};
use crate::pagination::{self, Cursor};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{BesideRow, TrialResponses, TrialRow};
use crate::{found, reading_back};
use axum::Json;
use axum::extract::State;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{JobKind, Split};
use frugal_evaluation::Used;
use frugal_store::{PgConnection, instances, jobs, responses, trials};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::{IntoParams, ToSchema};

/// The most responses of a page, unless its first row has more.
const MOST_RESPONSES: usize = 1_000;

/// Which rows of a trial.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListResponses {
    /// Which part of the data; `tuning` by default. `holdout` has what the winner and the baseline were
    /// scored on in the end.
    #[param(inline)]
    split: Option<SplitName>,
    /// Only the row at this position.
    row: Option<u32>,
    /// Another trial to stand beside it, by its number, or `baseline`.
    #[param(min_length = 1)]
    beside: Option<String>,
    /// The order of the rows: by position (`row`); by the difference, worst first (`difference`) or best
    /// first (`-difference`). By default `difference` where a trial stands beside, and else `row`.
    #[param(inline)]
    sort: Option<Sort>,
    /// The most rows of the page; 20 by default. A page ends earlier where it has 1,000 responses.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SplitName {
    Tuning,
    Holdout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
enum Sort {
    #[serde(rename = "row")]
    Row,
    #[serde(rename = "difference")]
    Worst,
    #[serde(rename = "-difference")]
    Best,
}

/// See what a trial drew
///
/// Row by row: the prompt, and every response that the trial's numbers rest on, cut as its `max_tokens` cuts,
/// with its score, what was extracted of it, its tokens and its cost. With `beside` another trial's responses
/// to the same rows stand next to them. Scores are those that were stored; what was extracted is read again
/// from the text, as the scorer reads it.
#[utoipa::path(
    get,
    path = "/jobs/{id}/trials/{number}/responses",
    tag = "trials",
    params(
        ("id" = Uuid, Path, description = "The job."),
        ("number" = u32, Path, description = "The trial: 0 for the baseline, then 1, 2, …"),
        ListResponses
    ),
    responses(
        (status = 200, description = "A page of rows.", body = TrialResponses),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound, Code::ResponsesPruned]) }>
    )
)]
pub(super) async fn list_trial_responses(
    State(state): State<AppState>,
    TrialPath(id, number): TrialPath,
    Parameters(parameters): Parameters<ListResponses>,
) -> Result<Json<TrialResponses>, ApiError> {
    list(&state, JobKind::Tuning, id, number, &parameters).await
}

/// See what a trial of an evaluation drew
///
/// As of a job's trials. To stand beside it, name another configuration's trial by its number.
#[utoipa::path(
    get,
    path = "/evaluations/{id}/trials/{number}/responses",
    tag = "evaluations",
    params(
        ("id" = Uuid, Path, description = "The evaluation."),
        ("number" = u32, Path, description = "The trial: 1 for the first configuration, then 2, 3, …"),
        ListResponses
    ),
    responses(
        (status = 200, description = "A page of rows.", body = TrialResponses),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound, Code::ResponsesPruned]) }>
    )
)]
pub(super) async fn list_evaluation_responses(
    State(state): State<AppState>,
    EvaluationTrialPath(id, number): EvaluationTrialPath,
    Parameters(parameters): Parameters<ListResponses>,
) -> Result<Json<TrialResponses>, ApiError> {
    list(&state, JobKind::Evaluation, id, number, &parameters).await
}

/// One of the two trials of a page.
struct Side {
    seen: Seen,
    responses: BTreeMap<usize, Vec<Used>>,
    values: BTreeMap<usize, f64>,
}

async fn list(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    number: TrialNumber,
    parameters: &ListResponses,
) -> Result<Json<TrialResponses>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let after = pagination::cursor::<Place>(parameters.cursor.as_deref())?;
    let beside = parameters.beside.as_deref().map(other).transpose()?;
    let sort = parameters.sort.unwrap_or(match beside {
        Some(_) => Sort::Worst,
        None => Sort::Row,
    });
    if sort != Sort::Row && beside.is_none() {
        let detail = "rows are sorted by a difference only where a trial stands beside: give `beside`, such as `beside=baseline`";
        return Err(ApiError::new(Code::InvalidParameter, detail));
    }
    let split = match parameters.split {
        Some(SplitName::Holdout) => Split::Holdout,
        Some(SplitName::Tuning) | None => Split::Tuning,
    };
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, kind, id).await?;
    not_pruned(&job)?;
    let own = side(&mut connection, &job, number, split).await?;
    let beside_side = match beside {
        Some(number) => Some(side(&mut connection, &job, number, split).await?),
        None => None,
    };
    let places = places(&own, beside_side.as_ref(), sort);
    let (page, has_more) = page(&own, &places, after, parameters.row, limit);
    let rows: Vec<u32> = page.iter().map(|place| place.row).collect();
    let fields = instances::some(&mut connection, id, split, &rows).await?;
    let sides = || std::iter::once(&own).chain(&beside_side);
    let used = |side: &Side, row: &u32| -> Vec<Used> {
        let used = side.responses.get(&(*row as usize));
        used.cloned().unwrap_or_default()
    };
    let ids: BTreeSet<_> = sides()
        .flat_map(|side| rows.iter().flat_map(|row| used(side, row)))
        .map(|used| used.draw.id)
        .collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let texts = responses::texts(&mut connection, id, &ids).await?;
    drop(connection);
    let next = page.last().filter(|_| has_more).map(Cursor::write);
    let metric = quality(&job.spec);
    // Templates are rendered and texts are cut, so it is done beside the threads that everybody shares.
    let read = move || {
        let reader = reading_back::Reader::new(&job.spec, texts)?;
        let row = |row: &u32| {
            let index = *row as usize;
            let instance = fields.get(row).cloned().unwrap_or_default();
            let of = |side: &Side| {
                let value = side.values.get(&index).copied();
                let prompt = reader.prompt(&side.seen, &instance);
                (
                    value,
                    prompt,
                    reader.responses(&side.seen, &instance, &used(side, row)),
                )
            };
            let (value, prompt, responses) = of(&own);
            let beside = beside_side.as_ref().map(|side| {
                let (value, prompt, responses) = of(side);
                BesideRow {
                    value,
                    prompt,
                    responses,
                }
            });
            let difference = beside
                .as_ref()
                .and_then(|beside| Some(value? - beside.value?));
            TrialRow {
                split: split.as_str(),
                row: *row,
                fields: instance,
                value,
                difference,
                prompt,
                responses,
                beside,
            }
        };
        let rows: Vec<TrialRow> = rows.iter().map(row).collect();
        Ok::<_, ApiError>(rows)
    };
    let data = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| ApiError::internal(&error))??;
    Ok(Json(TrialResponses {
        object: "list",
        trial: number.0,
        beside: beside.map(|number| number.0),
        metric: metric.into(),
        data,
        has_more,
        next,
    }))
}

/// Refuses where the responses are gone.
pub(super) fn not_pruned(job: &jobs::Job) -> Result<(), ApiError> {
    match job.responses_pruned_at {
        None => Ok(()),
        Some(at) => {
            let at = at.format("%F %H:%M");
            let detail = format!(
                "the responses are gone since {at} UTC: this server keeps them for some time after a job has ended"
            );
            Err(ApiError::new(Code::ResponsesPruned, detail))
        }
    }
}

/// The trial that is to stand beside another.
fn other(text: &str) -> Result<TrialNumber, ApiError> {
    if text == "baseline" {
        return Ok(TrialNumber(0));
    }
    text.parse::<i32>()
        .ok()
        .and_then(|number| u32::try_from(number).ok())
        .map(TrialNumber)
        .ok_or_else(|| {
            let detail =
                format!("`beside` is `{text}`; it must be the number of a trial, or `baseline`");
            ApiError::new(Code::InvalidParameter, detail)
        })
}

async fn side(
    connection: &mut PgConnection,
    job: &jobs::Job,
    number: TrialNumber,
    split: Split,
) -> Result<Side, ApiError> {
    let trial = trials::find(connection, job.id, number).await?;
    let trial = trial.ok_or_else(|| no_trial(number))?;
    let seen = Seen::load(connection, job, &trial, split).await?;
    Ok(Side {
        responses: seen.responses(),
        values: seen.values(&job.spec, quality(&job.spec)),
        seen,
    })
}

/// Where a row stands in the list: what it is sorted by, then its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: u64,
    row: u32,
}

impl Cursor for Place {
    fn write(&self) -> String {
        format!("p{:016x}{:08x}", self.key, self.row)
    }

    fn read(text: &str) -> Option<Self> {
        let hex = text.strip_prefix('p').filter(|hex| hex.len() == 24)?;
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (key, row) = hex.split_at_checked(16).filter(|_| is_hex)?;
        Some(Self {
            key: u64::from_str_radix(key, 16).ok()?,
            row: u32::from_str_radix(row, 16).ok()?,
        })
    }
}

impl Place {
    /// That of a row in an order. Rows without a difference come last.
    fn of(row: u32, difference: Option<f64>, sort: Sort) -> Self {
        let key = match (sort, difference) {
            (Sort::Row, _) => 0,
            (_, None) => u64::MAX,
            (Sort::Worst, Some(difference)) => ordered(difference),
            (Sort::Best, Some(difference)) => ordered(-difference),
        };
        Self { key, row }
    }
}

/// The bits of a number, such that they are ordered as numbers are.
const fn ordered(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    match bits >> 63 {
        0 => bits | 1 << 63,
        _ => !bits,
    }
}

/// All rows in their order.
fn places(own: &Side, beside: Option<&Side>, sort: Sort) -> Vec<Place> {
    let place = |index: &usize| {
        let row = u32::try_from(*index).unwrap_or(u32::MAX);
        let value = own.values.get(index);
        let other = beside.and_then(|side| side.values.get(index));
        let difference = value.zip(other).map(|(value, other)| value - other);
        Place::of(row, difference, sort)
    };
    let mut places: Vec<Place> = own.responses.keys().map(place).collect();
    places.sort_unstable();
    places
}

/// The rows of the page, and whether there are more.
fn page(
    own: &Side,
    places: &[Place],
    after: Option<Place>,
    only: Option<u32>,
    limit: u32,
) -> (Vec<Place>, bool) {
    let left = places.iter().copied();
    let left = left.filter(|place| after.is_none_or(|after| *place > after));
    let mut left = left
        .filter(|place| only.is_none_or(|row| place.row == row))
        .peekable();
    let mut page = Vec::new();
    let mut responses = 0;
    while let Some(place) = left.peek() {
        let own = own.responses.get(&(place.row as usize));
        responses += own.map_or(0, Vec::len);
        if page.len() >= limit as usize || (!page.is_empty() && responses > MOST_RESPONSES) {
            return (page, true);
        }
        page.extend(left.next());
    }
    (page, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_order_of_the_differences() {
        let differences = [-1.0, -0.25, -0.0, 0.5, 1.0];
        let of = |sort| {
            let rows = (0..).zip(differences);
            let places = rows.map(|(row, difference)| Place::of(row, Some(difference), sort));
            let mut places: Vec<Place> = places.chain([Place::of(9, None, sort)]).collect();
            places.sort_unstable();
            places.iter().map(|place| place.row).collect::<Vec<_>>()
        };
        assert_eq!(of(Sort::Worst), [0, 1, 2, 3, 4, 9]);
        assert_eq!(of(Sort::Best), [4, 3, 2, 1, 0, 9]);
        assert_eq!(of(Sort::Row), [0, 1, 2, 3, 4, 9]);
        assert_eq!(ordered(-0.0), ordered(0.0));
    }

    #[test]
    fn places_survive_the_way_to_the_client_and_back() {
        for difference in [None, Some(-0.5), Some(0.125)] {
            let place = Place::of(77, difference, Sort::Worst);
            assert_eq!(Place::read(&place.write()), Some(place));
        }
        for text in [
            "",
            "p",
            "p+000000000000000000000000",
            "pg00000000000000000000000",
        ] {
            assert!(Place::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn who_stands_beside_is_a_number_or_the_baseline() {
        assert_eq!(other("baseline").unwrap(), TrialNumber(0));
        assert_eq!(other("12").unwrap(), TrialNumber(12));
        assert!(other("-1").is_err() && other("best").is_err());
    }
}
