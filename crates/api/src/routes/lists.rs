//! Jobs in lists: at a glance, by state, name, label and time.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::caller::Caller;
use crate::errors::{ApiError, Code};
use crate::extract::Parameters;
use crate::pagination;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{JobSummary, List};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use frugal_domain::access::Access;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_domain::state::JobState;
use frugal_store::summaries::{self, Filter, Order};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListJobs {
    /// Only those in this state, or in one of several that are separated by commas.
    #[param(example = "queued,running")]
    state: Option<String>,
    /// Only those with this in their name, in whatever case.
    #[param(min_length = 1)]
    name: Option<String>,
    /// Only those with this label, `key:value`, or with all of several that are separated by commas.
    #[param(example = "team:search")]
    label: Option<String>,
    /// Only those posted at this moment or later.
    created_from: Option<DateTime<Utc>>,
    /// Only those posted before this moment.
    created_before: Option<DateTime<Utc>>,
    /// The order: those posted last first (`-created_at`, the default), or those posted first (`created_at`).
    #[param(inline)]
    sort: Option<Sort>,
    /// The most rows of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
enum Sort {
    #[serde(rename = "-created_at")]
    Newest,
    #[serde(rename = "created_at")]
    Oldest,
}

/// List jobs
///
/// Newest first, each at a glance: all of a job is at its `links.self`. Evaluations are listed under
/// `/evaluations`.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    params(ListJobs),
    responses(
        (status = 200, description = "A page of jobs.", body = List<JobSummary>),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn list_jobs(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    Parameters(parameters): Parameters<ListJobs>,
) -> Result<Json<List<JobSummary>>, ApiError> {
    list(&state, &access, JobKind::Tuning, &parameters).await
}

/// List evaluations
///
/// As jobs are listed. Tuning jobs are listed under `/jobs`.
#[utoipa::path(
    get,
    path = "/evaluations",
    tag = "evaluations",
    params(ListJobs),
    responses(
        (status = 200, description = "A page of evaluations.", body = List<JobSummary>),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn list_evaluations(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    Parameters(parameters): Parameters<ListJobs>,
) -> Result<Json<List<JobSummary>>, ApiError> {
    list(&state, &access, JobKind::Evaluation, &parameters).await
}

async fn list(
    state: &AppState,
    access: &Access,
    kind: JobKind,
    parameters: &ListJobs,
) -> Result<Json<List<JobSummary>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let after = pagination::cursor::<JobId>(parameters.cursor.as_deref())?;
    let filter = filter(parameters)?;
    let order = match parameters.sort {
        Some(Sort::Oldest) => Order::OldestFirst,
        Some(Sort::Newest) | None => Order::NewestFirst,
    };
    let mut connection = state.connection().await?;
    let rows = summaries::list(
        &mut connection,
        access,
        kind,
        &filter,
        order,
        after,
        limit + 1,
    )
    .await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |job| job.id,
        |job| JobSummary::new(kind, job),
    )))
}

/// What stands between the commas of a parameter.
pub(super) fn listed(text: Option<&str>) -> Vec<String> {
    let parts = text.into_iter().flat_map(|text| text.split(','));
    parts.map(|part| part.trim().to_owned()).collect()
}

/// The labels that a parameter names, as `key:value`.
pub(super) fn labels(text: Option<&str>) -> Result<BTreeMap<String, String>, ApiError> {
    let label = |text: String| match text.split_once(':') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => {
            let detail =
                format!("`label` is `{text}`; it must be a key and a value, such as `team:search`");
            Err(ApiError::new(Code::InvalidParameter, detail))
        }
    };
    listed(text).into_iter().map(label).collect()
}

fn filter(parameters: &ListJobs) -> Result<Filter, ApiError> {
    let invalid = |detail: String| ApiError::new(Code::InvalidParameter, detail);
    let state = |name: String| {
        name.parse::<JobState>().map_err(|_| {
            let names: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
            invalid(format!(
                "`state` is `{name}`; it must be one of {}",
                names.join(", ")
            ))
        })
    };
    let states = listed(parameters.state.as_deref()).into_iter().map(state);
    Ok(Filter {
        states: states.collect::<Result<_, _>>()?,
        name: parameters.name.clone(),
        labels: labels(parameters.label.as_deref())?,
        created_from: parameters.created_from,
        created_before: parameters.created_before,
    })
}
