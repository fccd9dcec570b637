//! The trials of a job.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, Parameters, TrialPath, no_trial};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::table::Table;
use crate::wire::{List, Trial, TrialState};
use crate::{found, pagination};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::JobKind;
use frugal_store::trials;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which trials to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListTrials {
    /// Only trials in this state.
    state: Option<TrialState>,
    /// The most rows of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// List the trials of a job
///
/// Newest first. Asked for `text/csv` or `application/jsonl`, the answer has all of them, oldest first and without
/// pages: a table with a column for each setting, or a line of JSON for each trial.
#[utoipa::path(
    get,
    path = "/jobs/{id}/trials",
    tag = "trials",
    params(("id" = Uuid, Path, description = "The job."), ListTrials),
    responses(
        (status = 200, description = "A page of trials, or all of them.", content(
            (List<Trial> = "application/json"),
            (String = "text/csv"),
            (String = "application/jsonl")
        )),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn list_trials(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    headers: HeaderMap,
    Parameters(parameters): Parameters<ListTrials>,
) -> Result<Response, ApiError> {
    let Some(table) = Table::wanted(&headers) else {
        let page = list(&state, JobKind::Tuning, id, parameters).await?;
        return Ok(page.into_response());
    };
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    let mut rows = trials::load(&mut connection, id).await?;
    drop(connection);
    if let Some(state) = parameters.state {
        rows.retain(|trial| trial.state == state.into());
    }
    let text = table.write(&job, rows);
    let text = text.map_err(|error| ApiError::internal(&error))?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(table.content_type()),
        ),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    Ok((headers, text).into_response())
}

/// A page of the trials of a job of a kind.
pub(super) async fn list(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    parameters: ListTrials,
) -> Result<Json<List<Trial>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let before = pagination::cursor::<TrialNumber>(parameters.cursor.as_deref())?;
    let only = parameters.state.map(Into::into);
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, kind, id).await?;
    let rows = trials::list(&mut connection, id, before, only, limit + 1).await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |trial| trial.number,
        |trial| Trial::new(&job, trial),
    )))
}

/// Get one trial
#[utoipa::path(
    get,
    path = "/jobs/{id}/trials/{number}",
    tag = "trials",
    params(
        ("id" = Uuid, Path, description = "The job."),
        ("number" = u32, Path, description = "The trial: 0 for the baseline, then 1, 2, …")
    ),
    responses(
        (status = 200, description = "The trial.", body = Trial),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn get_trial(
    State(state): State<AppState>,
    TrialPath(id, number): TrialPath,
) -> Result<Json<Trial>, ApiError> {
    one(&state, JobKind::Tuning, id, number).await
}

/// A trial of a job of a kind.
pub(super) async fn one(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    number: TrialNumber,
) -> Result<Json<Trial>, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, kind, id).await?;
    let trial = trials::find(&mut connection, id, number)
        .await?
        .ok_or_else(|| no_trial(number))?;
    Ok(Json(Trial::new(&job, trial)))
}
