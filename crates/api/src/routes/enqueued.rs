//! Configurations that owners put into jobs while these go on.

use crate::caller::Caller;
use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, JsonBody};
use crate::found;
use crate::idempotency::{self, Key};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Configuration, EnqueuedTrial, EnqueuedTrialPost, Trial, path_of};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_domain::configuration;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_domain::state::JobState;
use frugal_store::jobs::{self, Job, Remembered};
use frugal_store::{PgConnection, changes, enqueued, trials};
use serde_json::Value;

/// The most configurations that are put into one job.
const MOST_ENQUEUED: usize = 32;

/// Put a configuration into a job
///
/// It is the next that the search begins, beside what it proposes, as soon as the worker of the job hears of it, within a
/// second; a job that waits or is paused takes it up once it goes on. It is evaluated as others are, under the same
/// budgets, the search learns from it, and it may win. It does not count in `limits.trials`. A profiled search takes
/// its sampling settings for an arm and gives that a first look, whatever it expects of it; `max_tokens` and `n` are read
/// from what is drawn. Its trial has the origin `owner`.
///
/// Where the job has such a trial already the answer is 200 with it, and nothing is evaluated again; posting
/// once more thus tells what became of a configuration. At most 32 are put into one job. One that comes when
/// the search is ending has no trial, which the report says, until the job is continued.
#[utoipa::path(
    post,
    path = "/jobs/{id}/trials",
    tag = "trials",
    params(
        ("id" = Uuid, Path, description = "The job."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, description = "A text of at most 255 characters that no other request has, such as a UUID. The same key with the same body gives the same answer again.")
    ),
    request_body(content = EnqueuedTrialPost, content_type = "application/json"),
    responses(
        (status = 202, description = "It will be tried.", body = EnqueuedTrial, headers(
            ("Idempotency-Replayed" = Option<String>, description = "`true` where the answer was given before.")
        )),
        (status = 200, description = "The job has such a trial.", body = EnqueuedTrial, headers(
            ("Location" = String, description = "The path of the trial."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where the answer was given before.")
        )),
        Problems<{ codes(&[
            Code::InvalidJson, Code::InvalidParameter, Code::NotFound, Code::BodyTimeout,
            Code::InvalidTransition, Code::IdempotencyKeyInFlight, Code::BodyTooLarge,
            Code::UnsupportedMediaType, Code::InvalidTrial, Code::IdempotencyKeyReused,
            Code::TooManyTrials,
        ]) }>
    )
)]
pub(super) async fn enqueue_trial(
    State(state): State<AppState>,
    change: Change,
    Caller { access, .. }: Caller,
    JobPath(id): JobPath,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, ApiError> {
    let path = format!("{}/trials", path_of(JobKind::Tuning, id));
    let key = Key::read(&headers, &access, &path, &document)?;
    if let Some(answer) = given_before(&state, key.as_ref()).await? {
        return Ok(answer);
    }
    let mut transaction = state.transaction().await?;
    let job = found::locked(&mut transaction, JobKind::Tuning, id).await?;
    goes_on(&job)?;
    let answer = enqueue(&mut transaction, &job, &document).await?;
    let answer = serde_json::to_value(&answer).map_err(|error| ApiError::internal(&error))?;
    change.note(&mut transaction).await?;
    if let Some(key) = &key {
        let now = Utc::now();
        let name = key.name(&state, now);
        let remembered =
            jobs::remember(&mut transaction, name, &key.hash, id, &answer, now).await?;
        if remembered != Remembered::New {
            // The same request overtook this one, which then never was.
            transaction.rollback().await?;
            return given_before(&state, Some(key)).await?.ok_or_else(|| {
                let detail = "a request with this `Idempotency-Key` is under way; try again";
                ApiError::new(Code::IdempotencyKeyInFlight, detail)
            });
        }
    }
    transaction.commit().await?;
    Ok(answered(answer, false))
}

/// Whether a job takes configurations.
fn goes_on(job: &Job) -> Result<(), ApiError> {
    if !job.state.is_terminal() && job.state != JobState::Cancelling {
        return Ok(());
    }
    let detail = format!(
        "the job is {}, and takes no configuration any more; one that has ended can go on with \
         `POST /jobs/{}/continue`, and takes it then",
        job.state, job.id
    );
    Err(ApiError::new(Code::InvalidTransition, detail))
}

/// Puts what a document names into a job whose row is locked, unless the job has it.
async fn enqueue(
    transaction: &mut PgConnection,
    job: &Job,
    document: &Value,
) -> Result<EnqueuedTrial, ApiError> {
    let spec = &job.spec;
    let configuration = frugal_intake::enqueued(document, spec).map_err(ApiError::invalid_trial)?;
    let settings_of = |configuration: &configuration::Configuration| {
        let settings = spec.settings(configuration);
        settings.map_err(|error| ApiError::internal(&error))
    };
    let settings = settings_of(&configuration)?;
    let before = changes::enqueued(&mut *transaction, job.id).await?;
    let mut same = None;
    for earlier in &before {
        if spec.are_one_trial(&settings, &settings_of(&earlier.configuration)?) {
            same = Some(earlier);
            break;
        }
    }
    let mut answer = EnqueuedTrial {
        number: same.map(|earlier| earlier.number),
        configuration: Configuration::new(spec, &settings),
        enqueued_at: same.map(|earlier| earlier.created_at),
        trial: trial_of(&mut *transaction, job, &settings).await?,
    };
    if answer.trial.is_some() || same.is_some() {
        return Ok(answer);
    }
    if before.len() >= MOST_ENQUEUED {
        let detail = format!(
            "{MOST_ENQUEUED} configurations were put into the job, which is the most; post a job that \
             has further ones under `start`, with `warm_start` for what this one knows"
        );
        return Err(ApiError::new(Code::TooManyTrials, detail));
    }
    let enqueued =
        enqueued::insert(transaction, job.id, &configuration, &settings, Utc::now()).await?;
    answer.number = Some(enqueued.number);
    answer.enqueued_at = Some(enqueued.created_at);
    Ok(answer)
}

/// The trial of a job that asks this of an endpoint, if there is one.
async fn trial_of(
    connection: &mut PgConnection,
    job: &Job,
    settings: &configuration::Settings,
) -> Result<Option<Trial>, ApiError> {
    let all = trials::settings(&mut *connection, job.id, None).await?;
    let mut all = all.into_iter();
    let same = all.find(|(number, _, asks)| job.spec.is_trial_of(settings, *number, asks));
    let Some((number, ..)) = same else {
        return Ok(None);
    };
    let trial = trials::find(connection, job.id, number).await?;
    Ok(trial.map(|trial| Trial::new(job, trial)))
}

/// The answer that was given to the key of a request before, if any.
async fn given_before(state: &AppState, key: Option<&Key>) -> Result<Option<Response>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    let given: Option<(JobId, Value)> = key.recall(state).await?;
    Ok(given.map(|(_, answer)| answered(answer, true)))
}

/// The answer, now or before.
fn answered(answer: Value, replayed: bool) -> Response {
    let trial = answer
        .pointer("/trial/links/self")
        .and_then(Value::as_str)
        .and_then(|path| HeaderValue::from_str(path).ok());
    let status = match trial {
        Some(_) => StatusCode::OK,
        None => StatusCode::ACCEPTED,
    };
    let mut response = (status, Json(answer)).into_response();
    let headers = response.headers_mut();
    if let Some(path) = trial {
        headers.insert(header::LOCATION, path);
    }
    if replayed {
        let name = HeaderName::from_static(idempotency::REPLAYED);
        headers.insert(name, HeaderValue::from_static("true"));
    }
    response
}
