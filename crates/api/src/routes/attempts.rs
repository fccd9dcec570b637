//! The attempts at a job.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, Parameters};
use crate::found;
use crate::pagination::{self, AttemptNumber};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Attempt, List};
use axum::Json;
use axum::extract::State;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_store::attempts;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which attempts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAttempts {
    /// The most rows of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// List the attempts at a job
///
/// Newest first: which worker had the job, from when to when, and how that ended. A job is taken up
/// again where its worker was stopped or lost; what was paid for is kept.
#[utoipa::path(
    get,
    path = "/jobs/{id}/attempts",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job."), ListAttempts),
    responses(
        (status = 200, description = "A page of attempts.", body = List<Attempt>),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn list_attempts(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    Parameters(parameters): Parameters<ListAttempts>,
) -> Result<Json<List<Attempt>>, ApiError> {
    list(&state, JobKind::Tuning, id, &parameters).await
}

/// A page of the attempts at a job of a kind.
pub(super) async fn list(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    parameters: &ListAttempts,
) -> Result<Json<List<Attempt>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let before = pagination::cursor::<AttemptNumber>(parameters.cursor.as_deref())?;
    let mut connection = state.connection().await?;
    found::job(&mut connection, kind, id).await?;
    let before = before.map(|AttemptNumber(number)| number);
    let rows = attempts::list(&mut connection, id, before, limit + 1).await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |attempt| AttemptNumber(attempt.number),
        Attempt::from,
    )))
}
