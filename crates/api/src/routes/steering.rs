//! Jobs: paused, taken up again.

use super::jobs::with_best;
use crate::errors::{ApiError, Code};
use crate::extract::JobPath;
use crate::found;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::Job;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_store::PgConnection;
use frugal_store::jobs;
use frugal_store::steering::{self, Steered};

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
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let job = pause(&state, JobKind::Tuning, id).await?;
    Ok((StatusCode::ACCEPTED, Json(with_best(&state, job).await?)))
}

/// Pauses a job of a kind.
pub(super) async fn pause(
    state: &AppState,
    kind: JobKind,
    id: JobId,
) -> Result<jobs::Job, ApiError> {
    let mut transaction = state.transaction().await?;
    found::job(&mut transaction, kind, id).await?;
    let steered = steering::pause(&mut transaction, id, Utc::now()).await?;
    let job = steered_job(&mut transaction, kind, id, steered, "paused").await?;
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
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let job = resume(&state, JobKind::Tuning, id).await?;
    Ok((StatusCode::ACCEPTED, Json(with_best(&state, job).await?)))
}

/// Lets a job of a kind go on.
pub(super) async fn resume(
    state: &AppState,
    kind: JobKind,
    id: JobId,
) -> Result<jobs::Job, ApiError> {
    let mut transaction = state.transaction().await?;
    found::job(&mut transaction, kind, id).await?;
    let steered = steering::resume(&mut transaction, id, Utc::now()).await?;
    let job = steered_job(&mut transaction, kind, id, steered, "resumed").await?;
    transaction.commit().await?;
    Ok(job)
}

/// The job after a request about it.
async fn steered_job(
    connection: &mut PgConnection,
    kind: JobKind,
    id: JobId,
    steered: Steered,
    what: &str,
) -> Result<jobs::Job, ApiError> {
    match steered {
        Steered::NotFound => Err(found::none(kind, id)),
        Steered::Refused(state) => {
            let detail = format!(
                "the {} is {state}; only one that has not ended and is not being cancelled can be {what}",
                found::what(kind)
            );
            Err(ApiError::new(Code::InvalidTransition, detail))
        }
        Steered::Accepted => found::job(connection, kind, id).await,
    }
}
