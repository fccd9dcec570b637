//! What a job has found.

use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, no_job};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::Report;
use axum::Json;
use axum::extract::State;
use frugal_store::jobs;
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
    if let Some(report) = jobs::report(&mut connection, id).await?
        && !report.is_null()
    {
        return Ok(Json(report));
    }
    let job = jobs::find(&mut connection, id)
        .await?
        .ok_or_else(|| no_job(id))?;
    let detail = if job.state.is_terminal() {
        format!("the job is {} and left no report", job.state)
    } else {
        format!(
            "the job is {}; its report is there once it has ended, which `/jobs/{id}/events` tells",
            job.state
        )
    };
    Err(ApiError::new(Code::ReportNotReady, detail))
}
