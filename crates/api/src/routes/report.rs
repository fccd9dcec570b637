//! What a job has found.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, Parameters};
use crate::found;
use crate::report_page::{self, Lead};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Report, Trial, path_of};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use frugal_domain::event::EventBody;
use frugal_domain::job::JobKind;
use frugal_store::jobs::{self, Job};
use frugal_store::{PgConnection, events, terms, trials};
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

/// Get what a job has found, as a page
///
/// One file of HTML to read, to print or to send, which loads nothing and runs nothing: what to set, what that gains
/// and how sure it is, what it costs, how good and how dear every trial was, what the search cost, and what was not tried. It
/// is there whenever the report is.
#[utoipa::path(
    get,
    path = "/jobs/{id}/report.html",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 200, description = "The page.", content_type = "text/html", body = String),
        Problems<{ codes(&[Code::NotFound, Code::ReportNotReady]) }>
    )
)]
pub(super) async fn get_report_page(
    State(state): State<AppState>,
    JobPath(id): JobPath,
) -> Result<Response, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    let Json(report) = of(&mut connection, &job).await?;
    let stored = trials::load(&mut connection, id).await?;
    let bests = events::of_type(&mut connection, id, "best.updated").await?;
    let warnings = jobs::warnings(&mut connection, id).await?;
    drop(connection);
    let trials: Vec<Trial> = stored
        .into_iter()
        .map(|trial| Trial::new(&job, trial))
        .collect();
    let leads = bests.into_iter().filter_map(|(_, event)| match event {
        EventBody::BestUpdated { utility, spend, .. } => Some(Lead {
            spend: spend?,
            utility: utility.mean,
        }),
        _ => None,
    });
    let warnings = warnings
        .into_iter()
        .map(|fault| format!("{}: {}", fault.pointer, fault.detail));
    let page = report_page::render(
        &job,
        &report,
        &trials,
        &leads.collect::<Vec<_>>(),
        &warnings.collect::<Vec<_>>(),
    );
    let page = page.map_err(|error| ApiError::internal(&*error))?;
    let policy = format!("{}; frame-ancestors 'none'", *report_page::POLICY);
    let policy = HeaderValue::try_from(policy).map_err(|error| ApiError::internal(&error))?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, policy),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    Ok((headers, page).into_response())
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
