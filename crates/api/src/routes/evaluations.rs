//! Evaluations: posted, estimated, listed, read, waited for, cancelled, and what they have found. They are jobs of a
//! kind of their own, so most of it is done where it is done for jobs.

use super::attempts::{self, ListAttempts};
use super::events::{self, ListEvents};
use super::export;
use super::jobs::{self, GetJob};
use super::report;
use super::shown;
use super::steering::{self, Steering};
use super::trials::{self, ListTrials};
use crate::caller::Caller;
use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::extract::{EvaluationPath, EvaluationTrialPath, JsonBody, Parameters};
use crate::idempotency::{self, Key};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{
    Attempt, Evaluation, EvaluationEstimate, EvaluationPost, EvaluationReport, EventPage,
    ExportLine, FieldError, List, Trial,
};
use crate::{data, found, reading, sources, standing};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::Utc;
use frugal_domain::access::Access;
use frugal_domain::fault::Fault;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_intake::estimate::{self, EvaluationEstimated};
use frugal_store::jobs::Job;
use serde_json::Value;
use uuid::Uuid;

/// Post an evaluation
///
/// Given configurations are evaluated side by side on given rows. The document is checked as a whole: an answer
/// of 422 lists every fault at once. Where the budget is not expected to pay for all rows, `warnings` say how far
/// it goes. With an `Idempotency-Key` the same request can be sent again without creating a second
/// evaluation.
#[utoipa::path(
    post,
    path = "/evaluations",
    tag = "evaluations",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, description = "A text of at most 255 characters that no other request has, such as a UUID. The same key with the same body gives the same answer again.")),
    request_body(content = EvaluationPost, content_type = "application/json"),
    responses(
        (status = 201, description = "The evaluation, which now waits for a worker.", body = Evaluation, headers(
            ("Location" = String, description = "The path of the evaluation."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where the answer was given before.")
        )),
        Problems<{ codes(&[
            Code::InvalidJson, Code::InvalidParameter, Code::BodyTimeout,
            Code::IdempotencyKeyInFlight, Code::BodyTooLarge, Code::UnsupportedMediaType,
            Code::InvalidEvaluation, Code::IdempotencyKeyReused, Code::RateLimited, Code::TooManyJobs,
        ]) }>
    )
)]
pub(super) async fn create_evaluation(
    State(state): State<AppState>,
    change: Change,
    Caller { access, .. }: Caller,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, ApiError> {
    let key = Key::read(&headers, &access, idempotency::EVALUATION, &document)?;
    if let Some(answer) = jobs::given_before(&state, key.as_ref(), JobKind::Evaluation).await? {
        return Ok(answer);
    }
    let id = JobId(Uuid::now_v7());
    let EvaluationEstimated {
        spec,
        data,
        warnings,
        ..
    } = estimated(&state, &access, jobs::seed_of(id), document).await?;
    let answer = |job: Job, warnings: Vec<Fault>| Evaluation {
        warnings: warnings.into_iter().map(FieldError::from).collect(),
        standing: Some(standing::of(&job, &[], Utc::now())),
        ..Evaluation::new(job)
    };
    let request = jobs::Creation {
        access: &access,
        change: &change,
        key: key.as_ref(),
    };
    jobs::create(&state, request, id, (&spec, &data), warnings, answer).await
}

/// An evaluation as one picture.
async fn picture(state: &AppState, job: &Job) -> Result<Evaluation, ApiError> {
    let mut connection = state.connection().await?;
    shown::evaluation(&mut connection, job).await
}

/// Reads a posted evaluation, with what it may cost.
async fn estimated(
    state: &AppState,
    access: &Access,
    seed: u64,
    document: Value,
) -> Result<EvaluationEstimated, ApiError> {
    let catalog = state.catalog().clone();
    let (datasets, _turn) = data::datasets(state, access, &document).await?;
    let jobs = sources::jobs(state, access, &document).await?;
    let read = move || estimate::of_evaluation(&document, datasets, &jobs, &catalog, seed);
    reading::in_turn(read)
        .await?
        .map_err(ApiError::invalid_evaluation)
}

/// Estimate what an evaluation may cost
///
/// Takes the body of `POST /evaluations` and refuses what that would refuse. Nothing is stored, and nothing
/// is sent to an endpoint.
#[utoipa::path(
    post,
    path = "/evaluations/estimate",
    tag = "evaluations",
    request_body(content = EvaluationPost, content_type = "application/json"),
    responses(
        (status = 200, description = "What the evaluation may cost.", body = EvaluationEstimate),
        Problems<{
            codes(&[
                Code::InvalidJson,
                Code::BodyTimeout,
                Code::BodyTooLarge,
                Code::UnsupportedMediaType,
                Code::InvalidEvaluation,
            ])
        }>
    )
)]
pub(super) async fn estimate_evaluation(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    JsonBody(document): JsonBody,
) -> Result<Json<EvaluationEstimate>, ApiError> {
    let estimated = estimated(&state, &access, 0, document).await?;
    Ok(Json(estimated.into()))
}

/// Get an evaluation
///
/// The `ETag` makes polling cheap: sent back as `If-None-Match`, it brings a 304 until something
/// changes. With `?wait=` the answer itself waits for that.
#[utoipa::path(
    get,
    path = "/evaluations/{id}",
    tag = "evaluations",
    params(
        ("id" = Uuid, Path, description = "The evaluation."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer before."),
        GetJob
    ),
    responses(
        (status = 200, description = "The evaluation.", body = Evaluation, headers(("ETag" = String, description = "What the evaluation is like now."))),
        (status = 304, description = "The evaluation is as the client knows it."),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn get_evaluation(
    State(state): State<AppState>,
    EvaluationPath(id): EvaluationPath,
    headers: HeaderMap,
    Parameters(parameters): Parameters<GetJob>,
) -> Result<Response, ApiError> {
    jobs::polled(&state, JobKind::Evaluation, id, &headers, &parameters).await
}

/// Cancel an evaluation
///
/// One that waits is cancelled at once; one that runs stops as soon as its worker hears of it, and its report
/// tells what was seen. Asking again while it stops changes nothing.
#[utoipa::path(
    post,
    path = "/evaluations/{id}/cancel",
    tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation.")),
    responses(
        (status = 202, description = "It is cancelled, or will be.", body = Evaluation),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn cancel_evaluation(
    State(state): State<AppState>,
    change: Change,
    EvaluationPath(id): EvaluationPath,
) -> Result<(StatusCode, Json<Evaluation>), ApiError> {
    let job = jobs::cancel(&state, &change, JobKind::Evaluation, id).await?;
    Ok((StatusCode::ACCEPTED, Json(picture(&state, &job).await?)))
}

/// Pause an evaluation
///
/// As a job is paused: what is in flight comes home, and it goes on once it is resumed as if nothing had
/// been.
#[utoipa::path(
    post,
    path = "/evaluations/{id}/pause",
    tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation.")),
    responses(
        (status = 202, description = "It is paused, or will be.", body = Evaluation),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn pause_evaluation(
    State(state): State<AppState>,
    change: Change,
    EvaluationPath(id): EvaluationPath,
) -> Result<(StatusCode, Json<Evaluation>), ApiError> {
    let job = steering::steer(&state, &change, JobKind::Evaluation, id, Steering::Pause).await?;
    Ok((StatusCode::ACCEPTED, Json(picture(&state, &job).await?)))
}

/// Resume an evaluation
#[utoipa::path(
    post,
    path = "/evaluations/{id}/resume",
    tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation.")),
    responses(
        (status = 202, description = "It goes on, or will.", body = Evaluation),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn resume_evaluation(
    State(state): State<AppState>,
    change: Change,
    EvaluationPath(id): EvaluationPath,
) -> Result<(StatusCode, Json<Evaluation>), ApiError> {
    let job = steering::steer(&state, &change, JobKind::Evaluation, id, Steering::Resume).await?;
    Ok((StatusCode::ACCEPTED, Json(picture(&state, &job).await?)))
}

/// Delete an evaluation
///
/// All of it, for good; `GET /evaluations/{id}/export` takes it away before. Only one that has ended can be
/// deleted.
#[utoipa::path(
    delete,
    path = "/evaluations/{id}",
    tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation.")),
    responses(
        (status = 204, description = "It is gone."),
        Problems<{ codes(&[Code::NotFound, Code::InvalidTransition]) }>
    )
)]
pub(super) async fn delete_evaluation(
    State(state): State<AppState>,
    change: Change,
    EvaluationPath(id): EvaluationPath,
) -> Result<StatusCode, ApiError> {
    jobs::delete(state, change, JobKind::Evaluation, id).await
}

/// List the trials of an evaluation
///
/// One for each configuration, in the order in which they were given, last first. While the evaluation runs each tells
/// what it comes to on the rows that it was seen on so far.
#[utoipa::path(
    get,
    path = "/evaluations/{id}/trials",
    tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation."), ListTrials),
    responses(
        (status = 200, description = "A page of trials.", body = List<Trial>),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn list_evaluation_trials(
    State(state): State<AppState>,
    EvaluationPath(id): EvaluationPath,
    Parameters(parameters): Parameters<ListTrials>,
) -> Result<Json<List<Trial>>, ApiError> {
    trials::list(&state, JobKind::Evaluation, id, parameters).await
}

/// Get one trial of an evaluation
#[utoipa::path(
    get,
    path = "/evaluations/{id}/trials/{number}",
    tag = "evaluations",
    params(
        ("id" = Uuid, Path, description = "The evaluation."),
        ("number" = u32, Path, description = "The trial: 1 for the first configuration, then 2, 3, …")
    ),
    responses(
        (status = 200, description = "The trial.", body = Trial),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn get_evaluation_trial(
    State(state): State<AppState>,
    EvaluationTrialPath(id, number): EvaluationTrialPath,
) -> Result<Json<Trial>, ApiError> {
    trials::one(&state, JobKind::Evaluation, id, number).await
}

/// List the attempts at an evaluation
///
/// As those at a job, newest first.
#[utoipa::path(
    get,
    path = "/evaluations/{id}/attempts",
    tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation."), ListAttempts),
    responses(
        (status = 200, description = "A page of attempts.", body = List<Attempt>),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn list_evaluation_attempts(
    State(state): State<AppState>,
    EvaluationPath(id): EvaluationPath,
    Parameters(parameters): Parameters<ListAttempts>,
) -> Result<Json<List<Attempt>>, ApiError> {
    attempts::list(&state, JobKind::Evaluation, id, &parameters).await
}

/// Follow an evaluation's events
///
/// As those of a job: a stream for those who ask for `text/event-stream`, and pages, oldest first, for
/// others.
#[utoipa::path(
    get,
    path = "/evaluations/{id}/events",
    tag = "evaluations",
    params(
        ("id" = Uuid, Path, description = "The evaluation."),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The number of the last event that the client has."),
        ListEvents
    ),
    responses(
        (status = 200, description = "A page of events, or a stream of them.", content(
            (EventPage = "application/json"),
            (String = "text/event-stream")
        )),
        (status = 204, description = "The evaluation has ended and the client has seen every event."),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound, Code::EventsPruned, Code::RateLimited, Code::TooManyStreams]) }>
    )
)]
pub(super) async fn list_evaluation_events(
    State(state): State<AppState>,
    EvaluationPath(id): EvaluationPath,
    headers: HeaderMap,
    Parameters(parameters): Parameters<ListEvents>,
) -> Result<Response, ApiError> {
    events::follow(state, JobKind::Evaluation, id, &headers, parameters).await
}

/// Get what an evaluation has found
///
/// The report is there once the evaluation has ended, whatever it ended with, if a worker drove it.
#[utoipa::path(
    get,
    path = "/evaluations/{id}/report",
    tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation.")),
    responses(
        (status = 200, description = "The report.", body = EvaluationReport),
        Problems<{ codes(&[Code::NotFound, Code::ReportNotReady]) }>
    )
)]
pub(super) async fn get_evaluation_report(
    State(state): State<AppState>,
    EvaluationPath(id): EvaluationPath,
) -> Result<Json<Value>, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Evaluation, id).await?;
    report::of(&mut connection, &job).await
}

/// Export an evaluation
///
/// Everything of it as lines of JSON, as of a job: the responses to every row under each configuration among
/// them, with their scores.
#[utoipa::path(
    get,
    path = "/evaluations/{id}/export",
    tag = "evaluations",
    params(
        ("id" = Uuid, Path, description = "The evaluation."),
        ("Accept-Encoding" = Option<String>, Header, description = "`gzip` for a packed body.")
    ),
    responses(
        (status = 200, description = "Lines, of which each is an `ExportLine`.", body = ExportLine, content_type = "application/jsonl", headers(
            ("Content-Encoding" = Option<String>, description = "`gzip` where the body is packed.")
        )),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn export_evaluation(
    State(state): State<AppState>,
    EvaluationPath(id): EvaluationPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    export::of(&state, JobKind::Evaluation, id, &headers).await
}
