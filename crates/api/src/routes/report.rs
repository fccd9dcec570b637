//! What a job has found.

use crate::errors::{ApiError, Code};
use crate::extract::JobPath;
use crate::found;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Report, path_of};
use axum::Json;
use axum::extract::State;
use frugal_domain::job::JobKind;
use frugal_store::PgConnection;
use frugal_store::jobs::{self, Job};
use serde_json::Value;

/// Get what a job has found
///
/// The report is there once the job has succeeded, or was cancelled while a worker drove it.
#[utoipa::path(
    get,
    path = "/jobs/{id}/report",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 200, description = "The report.", body = Report),
        Problems<{ codes(&[Code::NotFound, Code::ReportNotReady]) }>
    )
)]
pub(super) async fn get_report(
    State(state): State<AppState>,
    JobPath(id): JobPath,
) -> Result<Json<Value>, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    of(&mut connection, &job).await
}

/// The report of a job of any kind.
pub(super) async fn of(connection: &mut PgConnection, job: &Job) -> Result<Json<Value>, ApiError> {
    if let Some(report) = jobs::report(connection, job.id).await?
        && !report.is_null()
    {
        return Ok(Json(report));
    }
    let kind = job.spec.kind();
    let what = found::what(kind);
    let detail = if job.state.is_terminal() {
        format!("the {what} is {} and left no report", job.state)
    } else {
        format!(
            "the {what} is {}; its report is there once it has ended, which `{}/events` tells",
            job.state,
            path_of(kind, job.id)
        )
    };
    Err(ApiError::new(Code::ReportNotReady, detail))
}
