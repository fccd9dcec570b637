//! Jobs: posted, listed, read, waited for, cancelled.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use super::shown;
use crate::caller::Caller;
use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, JsonBody, Parameters};
use crate::idempotency::{self, Key};
use crate::pictures::Picture;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{FieldError, Job, JobPost, path_of};
use crate::{data, etag, found, reading, sources, standing, wait};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_domain::access::Access;
use frugal_domain::fault::Fault;
use frugal_domain::id::JobId;
use frugal_domain::job::{Data, JobKind, JobSpec};
use frugal_intake::Posted;
use frugal_store::PgConnection;
use frugal_store::jobs::{self, Cancel, Remembered};
use frugal_store::retention::{self, Deletion};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, Instant};
use utoipa::IntoParams;
use uuid::Uuid;

/// The longest that a client may wait for a change, in seconds.
const MAX_WAIT_SECONDS: u64 = 60;

/// After how many seconds a client may try again that has too many jobs.
const TRY_AGAIN_SECONDS: u64 = 30;

/// Post a job
///
/// The job is checked as a whole: an answer of 422 lists every fault at once. Every prompt is rendered
/// for every row, held out or not. A rendered text may have 1 MiB, all messages of a prompt 4 MiB. With
/// `warm_start` the job begins with what an earlier one knows; what it takes over is in the answer, and what does not
/// agree with the earlier job among the `warnings`. With an
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
            Code::InvalidJob, Code::IdempotencyKeyReused, Code::RateLimited, Code::TooManyJobs,
        ]) }>
    )
)]
pub(super) async fn create_job(
    State(state): State<AppState>,
    change: Change,
    Caller { access, .. }: Caller,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, ApiError> {
    let key = Key::read(&headers, &access, idempotency::JOB, &document)?;
    if let Some(answer) = given_before(&state, key.as_ref(), JobKind::Tuning).await? {
        return Ok(answer);
    }
    let id = JobId(Uuid::now_v7());
    let (spec, data, warnings) = read_job(&state, &access, id, document).await?;
    let answer = |job: jobs::Job, warnings: Vec<Fault>| Job {
        warnings: warnings.into_iter().map(FieldError::from).collect(),
        standing: Some(standing::of(&job, &[], Utc::now())),
        ..Job::new(job, None)
    };
    let request = Creation {
        access: &access,
        change: &change,
        key: key.as_ref(),
    };
    create(&state, request, id, (&spec, &data), warnings, answer).await
}

/// The answer that was given to the key of a request before, if any.
pub(super) async fn given_before(
    state: &AppState,
    key: Option<&Key>,
    kind: JobKind,
) -> Result<Option<Response>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    let given = key.recall(state).await?;
    Ok(given.map(|(id, answer)| created(kind, id, answer, true)))
}

/// A request for a new job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Creation<'a> {
    /// Whose it is to be.
    pub access: &'a Access,
    /// What the audit says of it.
    pub change: &'a Change,
    /// What makes the request one with others like it.
    pub key: Option<&'a Key>,
}

/// Stores a job of any kind, and answers with it.
pub(super) async fn create<T: Serialize>(
    state: &AppState,
    Creation {
        access,
        change,
        key,
    }: Creation<'_>,
    id: JobId,
    (spec, data): (&JobSpec, &Data),
    warnings: Vec<Fault>,
    answer: impl FnOnce(jobs::Job, Vec<Fault>) -> T,
) -> Result<Response, ApiError> {
    let now = Utc::now();
    let kind = spec.kind();
    let mut transaction = state.transaction().await?;
    may_open(&mut transaction, state, access).await?;
    let owner = access.owner.as_deref();
    let job = jobs::create(&mut transaction, owner, id, spec, data, now).await?;
    if !warnings.is_empty() {
        jobs::keep_warnings(&mut transaction, id, &warnings).await?;
    }
    let answer = answer(job, warnings);
    change
        .note_made(&mut transaction, &path_of(kind, id))
        .await?;
    if let Some(key) = key {
        let answer = serde_json::to_value(&answer).map_err(|error| ApiError::internal(&error))?;
        let remembered = jobs::remember(
            &mut transaction,
            key.name(state, now),
            &key.hash,
            id,
            &answer,
            now,
        )
        .await?;
        if remembered != Remembered::New {
            // The same request overtook this one: its job stands, and this one never was.
            transaction.rollback().await?;
            return given_before(state, Some(key), kind).await?.ok_or_else(|| {
                let detail = "a request with this `Idempotency-Key` is under way; try again";
                ApiError::new(Code::IdempotencyKeyInFlight, detail)
            });
        }
    }
    transaction.commit().await?;
    Ok(created(kind, id, answer, false))
}

/// Whether an owner may have one more job that has not ended. Until the transaction ends, nobody else makes one.
///
/// # Errors
/// There are as many as one may have.
pub(super) async fn may_open(
    transaction: &mut PgConnection,
    state: &AppState,
    access: &Access,
) -> Result<(), ApiError> {
    let Some(most) = state.guard().jobs_per_owner else {
        return Ok(());
    };
    let owner = access.owner.as_deref();
    if jobs::count_open(transaction, owner, most).await? < most {
        return Ok(());
    }
    let detail = format!(
        "{most} jobs and evaluations have not ended, which is the most; wait until one has, or cancel one"
    );
    Err(ApiError::new(Code::TooManyJobs, detail).retry_after(TRY_AGAIN_SECONDS))
}

/// The seed of a job that names none: from the random part of its id, and small enough to be exact in any
/// JSON reader.
pub(super) const fn seed_of(id: JobId) -> u64 {
    id.0.as_u64_pair().1 & ((1 << 53) - 1)
}

/// Reads and checks a posted job, with what is probably a mistake in it.
async fn read_job(
    state: &AppState,
    access: &Access,
    id: JobId,
    document: Value,
) -> Result<(JobSpec, Data, Vec<Fault>), ApiError> {
    let catalog = state.catalog().clone();
    let seed = seed_of(id);
    let (datasets, _turn) = data::datasets(state, access, &document).await?;
    let earlier = sources::earlier(state, access, &document).await?;
    let read = move || {
        let posted = Posted::open(&document).behind(earlier.clone());
        let rows = posted.rows(datasets);
        let (spec, data) = posted.read(rows, &catalog, seed)?;
        let mut warnings = frugal_intake::warnings(&document, &spec, &data, &catalog);
        if let Some(earlier) = &earlier {
            warnings.extend(frugal_intake::left_out(earlier, &spec, &data));
        }
        Ok((spec, data, warnings))
    };
    reading::in_turn(read).await?.map_err(ApiError::invalid_job)
}

/// The answer to a job's creation, now or before.
fn created(kind: JobKind, id: JobId, answer: impl Serialize, replayed: bool) -> Response {
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&path_of(kind, id)) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        let name = HeaderName::from_static(idempotency::REPLAYED);
        headers.insert(name, HeaderValue::from_static("true"));
    }
    response
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
    polled(&state, JobKind::Tuning, id, &headers, &parameters).await
}

/// The answer about a job of a kind, once it has changed or it was waited for long enough: nothing where it is
/// as the client knows it, else its picture, which is drawn where nobody was given it a moment ago.
pub(super) async fn polled(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    headers: &HeaderMap,
    parameters: &GetJob,
) -> Result<Response, ApiError> {
    let seen = etag::Seen::read(headers)?;
    let seconds = parameters.wait.unwrap_or(0);
    if seconds > MAX_WAIT_SECONDS {
        let detail = format!("`wait` is {seconds}; it may be at most {MAX_WAIT_SECONDS} seconds");
        return Err(ApiError::new(Code::InvalidParameter, detail));
    }
    let patience = Duration::from_secs(seconds);
    let mark = wait::for_change(state, kind, id, seen.as_ref(), patience).await?;
    let tag = etag::of(mark);
    let (tag, mut response) = if seen.is_some_and(|seen| seen.holds(&tag)) {
        (tag, StatusCode::NOT_MODIFIED.into_response())
    } else {
        let picture = match state.pictures().find(id, &tag, Instant::now()) {
            Some(picture) => picture,
            None => drawn(state, kind, id).await?,
        };
        let json = HeaderValue::from_static("application/json");
        let response = ([(header::CONTENT_TYPE, json)], picture.body).into_response();
        (picture.tag, response)
    };
    response
        .headers_mut()
        .insert(header::ETAG, etag::header(&tag));
    Ok(response)
}

/// A job as it is now, for this client and those of the next moment.
async fn drawn(state: &AppState, kind: JobKind, id: JobId) -> Result<Picture, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, kind, id).await?;
    let picture = Picture {
        // It may have gone on since it was waited for.
        tag: etag::of(&job),
        body: shown::json(&mut connection, &job).await?.into(),
    };
    state.pictures().keep(id, picture.clone(), Instant::now());
    Ok(picture)
}

/// A job as one picture.
pub(super) async fn picture(state: &AppState, job: jobs::Job) -> Result<Job, ApiError> {
    let mut connection = state.connection().await?;
    shown::job(&mut connection, &job).await
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
    change: Change,
    JobPath(id): JobPath,
) -> Result<StatusCode, ApiError> {
    delete(state, change, JobKind::Tuning, id).await
}

/// Deletes a job of a kind, for good.
pub(super) async fn delete(
    state: AppState,
    change: Change,
    kind: JobKind,
    id: JobId,
) -> Result<StatusCode, ApiError> {
    let mut connection = state.connection().await?;
    found::job(&mut connection, kind, id).await?;
    drop(connection);
    // It is begun once and then done, whether the client waits for it or not.
    let deleting = tokio::spawn(async move {
        let mut has_begun = false;
        loop {
            let mut transaction = state.transaction().await?;
            let deletion = retention::delete(&mut transaction, id, Utc::now()).await?;
            if !has_begun && matches!(deletion, Deletion::Part | Deletion::Done) {
                change.note(&mut transaction).await?;
            }
            transaction.commit().await?;
            match deletion {
                // Somebody else deleted the rest of it.
                Deletion::NotFound if has_begun => return Ok(StatusCode::NO_CONTENT),
                Deletion::NotFound => return Err(found::none(kind, id)),
                Deletion::Lives(lives) => {
                    let detail = format!(
                        "the {} is {lives}; only one that has ended can be deleted, so cancel it first",
                        found::what(kind)
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
    change: Change,
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let job = cancel(&state, &change, JobKind::Tuning, id).await?;
    Ok((StatusCode::ACCEPTED, Json(picture(&state, job).await?)))
}

/// Asks a job of a kind to stop for good.
pub(super) async fn cancel(
    state: &AppState,
    change: &Change,
    kind: JobKind,
    id: JobId,
) -> Result<jobs::Job, ApiError> {
    let mut transaction = state.transaction().await?;
    found::job(&mut transaction, kind, id).await?;
    if let Cancel::Ended(ended) = jobs::cancel(&mut transaction, id, Utc::now()).await? {
        let what = found::what(kind);
        let detail = format!("the {what} is {ended}; only one that has not ended can be cancelled");
        return Err(ApiError::new(Code::InvalidTransition, detail));
    }
    let job = found::job(&mut transaction, kind, id).await?;
    change.note(&mut transaction).await?;
    transaction.commit().await?;
    Ok(job)
}
