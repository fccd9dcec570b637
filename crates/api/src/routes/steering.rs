//! Jobs: paused, taken up again, changed on the way, continued after their end.

use super::jobs::{may_open, picture};
use crate::caller::Caller;
use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::etag;
use crate::extract::{JobPath, JsonBody, MergePatch};
use crate::found;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Job, JobPatch};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_domain::id::JobId;
use frugal_domain::job::{JobKind, Terms};
use frugal_domain::state::{JobState, StopReason};
use frugal_intake::Ended;
use frugal_store::steering::{self, Steered};
use frugal_store::{jobs, terms};

/// Pause a job
///
/// A job that waits is paused at once. One that runs is `pausing` first: nothing new is sent, what is in
/// flight comes home and is kept, and then it is `paused` and holds no worker. It goes on once it is
/// resumed, as if nothing had been: the same trials, and nothing is paid for twice. From the request to
/// pause to the one to resume its limit on time does not run. Asking again changes nothing.
#[utoipa::path(
    post,
    path = "/jobs/{id}/pause",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 202, description = "It is paused, or will be.", body = Job),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn pause_job(
    State(state): State<AppState>,
    change: Change,
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let job = steer(&state, &change, JobKind::Tuning, id, Steering::Pause).await?;
    Ok((StatusCode::ACCEPTED, Json(picture(&state, job).await?)))
}

/// What may be asked of a job that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Steering {
    /// To stop until it is asked to go on.
    Pause,
    /// To go on.
    Resume,
}

/// Asks this of a job of a kind.
pub(super) async fn steer(
    state: &AppState,
    change: &Change,
    kind: JobKind,
    id: JobId,
    steering: Steering,
) -> Result<jobs::Job, ApiError> {
    let mut transaction = state.transaction().await?;
    found::job(&mut transaction, kind, id).await?;
    let now = Utc::now();
    let (steered, what) = match steering {
        Steering::Pause => (steering::pause(&mut transaction, id, now).await?, "paused"),
        Steering::Resume => (
            steering::resume(&mut transaction, id, now).await?,
            "resumed",
        ),
    };
    let job = match steered {
        Steered::NotFound => return Err(found::none(kind, id)),
        Steered::Refused(state) => {
            let detail = format!(
                "the {} is {state}; only one that has not ended and is not being cancelled can be {what}",
                found::what(kind)
            );
            return Err(ApiError::new(Code::InvalidTransition, detail));
        }
        Steered::Accepted => found::job(&mut transaction, kind, id).await?,
    };
    change.note(&mut transaction).await?;
    transaction.commit().await?;
    Ok(job)
}

/// Resume a job
///
/// A paused job waits for a worker again. One that is `pausing` goes on once its worker has stopped. A job
/// that is not paused goes on as it does, so asking again changes nothing.
#[utoipa::path(
    post,
    path = "/jobs/{id}/resume",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 202, description = "It goes on, or will.", body = Job),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn resume_job(
    State(state): State<AppState>,
    change: Change,
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let job = steer(&state, &change, JobKind::Tuning, id, Steering::Resume).await?;
    Ok((StatusCode::ACCEPTED, Json(picture(&state, job).await?)))
}

/// Change a job
///
/// A JSON merge patch (RFC 7396) of `name`, `labels`, `priority`, `budgets.optimization`, `limits` and
/// `search.requests_in_flight`; `null` takes a value back to what it is where a job names none. Nothing else
/// can be changed, since decisions rest on it. The worker of a job that runs goes by the change within a second: what is sent keeps to
/// it at once, and what is decided does from the event `job.updated` on, which has its place among the
/// decisions. The optimization budget cannot be less than what is spent or set aside for requests in flight.
/// The terms of a job that has ended cannot be changed; it can be continued under others.
#[utoipa::path(
    patch,
    path = "/jobs/{id}",
    tag = "jobs",
    params(
        ("id" = Uuid, Path, description = "The job."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the job as the client knows it: where it is another by now, nothing is changed.")
    ),
    request_body(content = JobPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The job as it is wanted now.", body = Job, headers(("ETag" = String, description = "What the job is like now."))),
        Problems<{ codes(&[
            Code::InvalidJson, Code::InvalidParameter, Code::NotFound, Code::BodyTimeout,
            Code::InvalidTransition, Code::PreconditionFailed, Code::BodyTooLarge,
            Code::UnsupportedMediaType, Code::InvalidChange,
        ]) }>
    )
)]
pub(super) async fn change_job(
    State(state): State<AppState>,
    change: Change,
    JobPath(id): JobPath,
    headers: HeaderMap,
    MergePatch(patch): MergePatch,
) -> Result<Response, ApiError> {
    let required = etag::Seen::required(&headers)?;
    let mut transaction = state.transaction().await?;
    let job = found::locked(&mut transaction, JobKind::Tuning, id).await?;
    let tag = etag::of(&job);
    if required.is_some_and(|required| !required.holds(&tag)) {
        let detail = format!(
            "the job is at {tag} by now; read it again and see whether the change still fits"
        );
        return Err(ApiError::new(Code::PreconditionFailed, detail));
    }
    let committed = terms::committed(&mut transaction, id).await?;
    let new =
        frugal_intake::changed(&patch, &job.spec, committed).map_err(ApiError::invalid_change)?;
    let ends = job.state.is_terminal() || job.state == JobState::Cancelling;
    let other = Terms::of(&new) != Terms::of(&job.spec) || new.priority != job.spec.priority;
    if ends && other {
        let detail = format!(
            "the job is {}; only its name and its labels can be changed, and one that has ended can be \
             continued under other terms with `POST /jobs/{id}/continue`",
            job.state
        );
        return Err(ApiError::new(Code::InvalidTransition, detail));
    }
    terms::change(&mut transaction, &job, &new, Utc::now()).await?;
    let job = found::job(&mut transaction, JobKind::Tuning, id).await?;
    change.note(&mut transaction).await?;
    transaction.commit().await?;
    let tag = etag::of(&job);
    let mut response = Json(picture(&state, job).await?).into_response();
    response
        .headers_mut()
        .insert(header::ETAG, etag::header(&tag));
    Ok(response)
}

/// Continue a job
///
/// A job that has succeeded or was cancelled goes on where it ended, under a larger budget or limits: the
/// body is a merge patch as for `PATCH /jobs/{id}`, and must raise what the job ended for the want of. All
/// that was paid for is kept and nothing is asked twice. Trials that the end cut short go on, the held-out
/// rows are scored for a new winner, and the report is made anew; the one so far stays at
/// `/jobs/{id}/report?run=`. Events go on with the next number after the terminal one, and streams can be
/// opened again.
#[utoipa::path(
    post,
    path = "/jobs/{id}/continue",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    request_body(content = JobPatch, content_type = "application/json"),
    responses(
        (status = 202, description = "The job, which waits for a worker again.", body = Job),
        Problems<{ codes(&[
            Code::InvalidJson, Code::NotFound, Code::BodyTimeout, Code::InvalidTransition,
            Code::BodyTooLarge, Code::UnsupportedMediaType, Code::InvalidChange, Code::RateLimited,
            Code::TooManyJobs,
        ]) }>
    )
)]
pub(super) async fn continue_job(
    State(state): State<AppState>,
    change: Change,
    Caller { access, .. }: Caller,
    JobPath(id): JobPath,
    JsonBody(patch): JsonBody,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let mut transaction = state.transaction().await?;
    let job = found::locked(&mut transaction, JobKind::Tuning, id).await?;
    let stop_reason = may_go_on(&job)?;
    let now = Utc::now();
    let ended = Ended {
        stop_reason,
        spent: terms::committed(&mut transaction, id).await?,
        used: job.time_used(now),
    };
    let new =
        frugal_intake::continued(&patch, &job.spec, &ended).map_err(ApiError::invalid_change)?;
    may_open(&mut transaction, &state, &access).await?;
    terms::go_on(&mut transaction, &job, &new, now).await?;
    let job = found::job(&mut transaction, JobKind::Tuning, id).await?;
    change.note(&mut transaction).await?;
    transaction.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(picture(&state, job).await?)))
}

/// How often a job may be begun: the requests of each run about held-out rows have a range of numbers.
const MOST_RUNS: u32 = 100;

/// Why a job ended that can go on.
fn may_go_on(job: &jobs::Job) -> Result<StopReason, ApiError> {
    let no = |detail: String| Err(ApiError::new(Code::InvalidTransition, detail));
    if job.run >= MOST_RUNS {
        return no(format!(
            "the job was begun {} times, and none is more often; post it again",
            job.run
        ));
    }
    if job.responses_pruned_at.is_some() {
        return no(
            "the job's responses are gone, as this server keeps them for some time only or began to delete the job; post it again"
                .to_owned(),
        );
    }
    match (job.state, job.stop_reason) {
        (JobState::Succeeded, Some(StopReason::SpaceExhausted)) => no(
            "every configuration of the search space was tried; post a job with a wider one, or with more rows"
                .to_owned(),
        ),
        (JobState::Succeeded | JobState::Cancelled, Some(reason)) => Ok(reason),
        (JobState::Failed, _) => no(format!(
            "the job has failed, and what it failed at is a part of it: {}. Post it again",
            job.detail.as_deref().unwrap_or("its report may say why")
        )),
        (state, _) => no(format!(
            "the job is {state}; only one that has ended can be continued. `PATCH /jobs/{}` changes one that goes on",
            job.id
        )),
    }
}
