//! Jobs: posted, listed, read, waited for, cancelled.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, JsonBody, Parameters, no_job};
use crate::idempotency::{self, Key};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{FieldError, Job, JobPost, JobState, List, path};
use crate::{data, etag, pagination, reading, wait};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_domain::fault::Fault;
use frugal_domain::id::JobId;
use frugal_domain::job::{Data, JobSpec};
use frugal_store::jobs::{self, Cancel, Remembered};
use frugal_store::retention::{self, Deletion};
use frugal_store::trials;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use utoipa::IntoParams;
use uuid::Uuid;

/// The longest that a client may wait for a change, in seconds.
const MAX_WAIT_SECONDS: u64 = 60;

/// Post a job
///
/// The job is checked as a whole: an answer of 422 lists every fault at once. Every prompt is rendered
/// for every row, held out or not. A rendered text may have 1 MiB, all messages of a prompt 4 MiB. With an
/// `Idempotency-Key` the same request can be sent again without creating a second job.
#[utoipa::path(
    post,
    path = "/jobs",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, description = "A text of at most 255 characters that no other request has, such as a UUID. The same key with the same body gives the same answer again.")),
    request_body(content = JobPost, content_type = "application/json"),
    responses(
        (status = 201, description = "The job, which now waits for a worker.", body = Job, headers(
            ("Location" = String, description = "The path of the job."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where the answer was given before.")
        )),
        Problems<{ codes(&[
            Code::InvalidJson, Code::InvalidParameter, Code::BodyTimeout,
            Code::IdempotencyKeyInFlight, Code::BodyTooLarge, Code::UnsupportedMediaType,
            Code::InvalidJob, Code::IdempotencyKeyReused,
        ]) }>
    )
)]
pub(super) async fn create_job(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, ApiError> {
    let key = Key::read(&headers, &document)?;
    if let Some(key) = &key
        && let Some((id, answer)) = key.recall(&state).await?
    {
        return Ok(created(id, answer, true));
    }
    let id = JobId(Uuid::now_v7());
    let (spec, data, warnings) = read_job(&state, id, document).await?;
    let now = Utc::now();
    let mut transaction = state.transaction().await?;
    let job = jobs::create(&mut transaction, id, &spec, &data, now).await?;
    let job = Job {
        warnings: warnings.into_iter().map(FieldError::from).collect(),
        ..Job::new(job, None)
    };
    if let Some(key) = &key {
        let answer = serde_json::to_value(&job).map_err(|error| ApiError::internal(&error))?;
        let remembered =
            jobs::remember(&mut transaction, &key.text, &key.hash, id, &answer, now).await?;
        if remembered != Remembered::New {
            // The same request overtook this one: its job stands, and this one never was.
            transaction.rollback().await?;
            return replay(&state, key).await;
        }
    }
    transaction.commit().await?;
    Ok(created(id, job, false))
}

/// The answer to a request that was overtaken by one with the same key.
async fn replay(state: &AppState, key: &Key) -> Result<Response, ApiError> {
    let (id, answer) = key.recall(state).await?.ok_or_else(|| {
        let detail = "a request with this `Idempotency-Key` is under way; try again";
        ApiError::new(Code::IdempotencyKeyInFlight, detail)
    })?;
    Ok(created(id, answer, true))
}

/// Reads and checks a posted job, with what is probably a mistake in it.
async fn read_job(
    state: &AppState,
    id: JobId,
    document: Value,
) -> Result<(JobSpec, Data, Vec<Fault>), ApiError> {
    let catalog = state.catalog().clone();
    // The seed of a job that names none: from the random part of its id, and small enough to be
    // exact in any JSON reader.
    let seed = id.0.as_u64_pair().1 & ((1 << 53) - 1);
    let (datasets, _turn) = data::datasets(state, &document).await?;
    let read = move || {
        let (spec, data) = frugal_intake::job_over(&document, datasets, &catalog, seed)?;
        let warnings = frugal_intake::warnings(&document, &spec, &data, &catalog);
        Ok((spec, data, warnings))
    };
    reading::in_turn(read).await?.map_err(ApiError::invalid_job)
}

/// The answer to a job's creation, now or before.
fn created(id: JobId, answer: impl Serialize, replayed: bool) -> Response {
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&path(id)) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        let name = HeaderName::from_static(idempotency::REPLAYED);
        headers.insert(name, HeaderValue::from_static("true"));
    }
    response
}

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListJobs {
    /// Only jobs in this state.
    state: Option<JobState>,
    /// The most rows of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// List jobs
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    params(ListJobs),
    responses(
        (status = 200, description = "A page of jobs.", body = List<Job>),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn list_jobs(
    State(state): State<AppState>,
    Parameters(parameters): Parameters<ListJobs>,
) -> Result<Json<List<Job>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let before = pagination::cursor::<JobId>(parameters.cursor.as_deref())?;
    let only = parameters.state.map(Into::into);
    let mut connection = state.connection().await?;
    let rows = jobs::list(&mut connection, before, only, limit + 1).await?;
    let ids: Vec<_> = rows.iter().map(|job| job.id).collect();
    let best = trials::best_of(&mut connection, &ids).await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |job| job.id,
        |job| {
            let best = best.get(&job.id);
            Job::new(job, best)
        },
    )))
}

/// Whether to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetJob {
    /// Wait for a change, for at most so many seconds. With `If-None-Match` a change is one from
    /// what the client has, else one from what the job is when the request arrives.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
}

/// Get a job
///
/// The `ETag` makes polling cheap: sent back as `If-None-Match`, it brings a 304 until something
/// changes. With `?wait=` the answer itself waits for that.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    params(
        ("id" = Uuid, Path, description = "The job."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer before."),
        GetJob
    ),
    responses(
        (status = 200, description = "The job.", body = Job, headers(("ETag" = String, description = "What the job is like now."))),
        (status = 304, description = "The job is as the client knows it."),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn get_job(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    headers: HeaderMap,
    Parameters(parameters): Parameters<GetJob>,
) -> Result<Response, ApiError> {
    let seen = etag::Seen::read(&headers)?;
    let seconds = parameters.wait.unwrap_or(0);
    if seconds > MAX_WAIT_SECONDS {
        let detail = format!("`wait` is {seconds}; it may be at most {MAX_WAIT_SECONDS} seconds");
        return Err(ApiError::new(Code::InvalidParameter, detail));
    }
    let job = wait::for_change(&state, id, seen.as_ref(), Duration::from_secs(seconds)).await?;
    let tag = etag::of(&job);
    let mut response = if seen.is_some_and(|seen| seen.holds(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let job = with_best(&state, job).await?;
        Json(job).into_response()
    };
    response
        .headers_mut()
        .insert(header::ETAG, etag::header(&tag));
    Ok(response)
}

/// A job with its best trial.
pub(super) async fn with_best(state: &AppState, job: jobs::Job) -> Result<Job, ApiError> {
    let best = match job.best_trial {
        None => None,
        Some(number) => {
            let mut connection = state.connection().await?;
            trials::find(&mut connection, job.id, number).await?
        }
    };
    Ok(Job::new(job, best.as_ref()))
}

/// Delete a job
///
/// All of it, for good; `GET /jobs/{id}/export` takes it away before. Only one that has ended can be
/// deleted.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 204, description = "It is gone."),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn delete_job(
    State(state): State<AppState>,
    JobPath(id): JobPath,
) -> Result<StatusCode, ApiError> {
    // It is begun once and then done, whether the client waits for it or not.
    let deleting = tokio::spawn(async move {
        let mut has_begun = false;
        loop {
            let mut transaction = state.transaction().await?;
            let deletion = retention::delete(&mut transaction, id, Utc::now()).await?;
            transaction.commit().await?;
            match deletion {
                // Somebody else deleted the rest of it.
                Deletion::NotFound if has_begun => return Ok(StatusCode::NO_CONTENT),
                Deletion::NotFound => return Err(no_job(id)),
                Deletion::Lives(lives) => {
                    let detail = format!(
                        "the job is {lives}; only one that has ended can be deleted, so cancel it first"
                    );
                    return Err(ApiError::new(Code::InvalidTransition, detail));
                }
                Deletion::Part => has_begun = true,
                Deletion::Done => return Ok(StatusCode::NO_CONTENT),
            }
        }
    });
    deleting.await.map_err(|error| ApiError::internal(&error))?
}

/// Cancel a job
///
/// A job that waits is cancelled at once; one that runs stops as soon as its worker hears of
/// it, and keeps what it found. Asking again while it stops changes nothing.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 202, description = "It is cancelled, or will be.", body = Job),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn cancel_job(
    State(state): State<AppState>,
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let mut transaction = state.transaction().await?;
    match jobs::cancel(&mut transaction, id, Utc::now()).await? {
        Cancel::NotFound => return Err(no_job(id)),
        Cancel::Ended(ended) => {
            let detail =
                format!("the job is {ended}; only one that has not ended can be cancelled");
            return Err(ApiError::new(Code::InvalidTransition, detail));
        }
        Cancel::Accepted => {}
    }
    let job = jobs::find(&mut transaction, id)
        .await?
        .ok_or_else(|| no_job(id))?;
    transaction.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(with_best(&state, job).await?)))
}
