//! What a job has found.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, Parameters};
use crate::found;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Report, path_of};
use axum::Json;
use axum::extract::State;
use frugal_domain::job::JobKind;
use frugal_store::PgConnection;
use frugal_store::jobs::{self, Job};
use frugal_store::terms;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

/// Which report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetReport {
    /// That of which run of the job: 1 for the first, the present one by default.
    #[param(minimum = 1)]
    run: Option<u32>,
}

/// Get what a job has found
///
/// The report is there once the job has succeeded, or was cancelled while a worker drove it. Of a job that was
/// continued after that, `run` asks for what it reported before.
#[utoipa::path(
    get,
    path = "/jobs/{id}/report",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job."), GetReport),
    responses(
        (status = 200, description = "The report.", body = Report),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound, Code::ReportNotReady]) }>
    )
)]
pub(super) async fn get_report(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    Parameters(parameters): Parameters<GetReport>,
) -> Result<Json<Value>, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    if let Some(run) = parameters.run {
        if run == 0 || run > job.run {
            let detail = format!("`run` is {run}, and the job was begun {} times", job.run);
            return Err(ApiError::new(Code::InvalidParameter, detail));
        }
        if run < job.run {
            let earlier = terms::earlier_report(&mut connection, id, run).await?;
            return earlier
                .filter(|report| !report.is_null())
                .map(Json)
                .ok_or_else(|| {
                    let detail = format!("run {run} of the job left no report");
                    ApiError::new(Code::ReportNotReady, detail)
                });
        }
    }
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
