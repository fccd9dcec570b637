//! Extractors whose refusals are problems in Frugal's own form.

use crate::caller::Caller;
use crate::errors::{ApiError, Code};
use crate::state::AppState;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use flate2::read::MultiGzDecoder;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_store::jobs;
use frugal_store::webhooks::{self, Webhook};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::time::Duration;

/// The content type of a JSON merge patch (RFC 7396, section 4).
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A JSON body: of at most the server's limit, declared as JSON, and JSON indeed.
#[derive(Debug)]
pub(crate) struct JsonBody(pub Value);

impl FromRequest<AppState> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        if !declares_json(request.headers()) {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "the body must be JSON; send it with `Content-Type: application/json`",
            ));
        }
        read_json(request, state).await.map(Self)
    }
}

/// A JSON merge patch (RFC 7396), declared as one or as JSON.
#[derive(Debug)]
pub(crate) struct MergePatch(pub Value);

impl FromRequest<AppState> for MergePatch {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let essence = essence(request.headers());
        if essence != MERGE_PATCH && essence != "application/json" {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                format!(
                    "the body must be a JSON merge patch (RFC 7396); send it with `Content-Type: {MERGE_PATCH}`"
                ),
            ));
        }
        read_json(request, state).await.map(Self)
    }
}

async fn read_json(request: Request, state: &AppState) -> Result<Value, ApiError> {
    let is_packed = is_packed(request.headers())?;
    let limit = state.body_limit();
    let read = read_body(request.into_body(), limit);
    let bytes = tokio::time::timeout(BODY_TIMEOUT, read)
        .await
        .map_err(|_| {
            let seconds = BODY_TIMEOUT.as_secs();
            ApiError::new(
                Code::BodyTimeout,
                format!("the body did not arrive within {seconds} seconds"),
            )
        })??;
    let bytes = match is_packed {
        true => unpacked(bytes, limit).await?,
        false => bytes,
    };
    serde_json::from_slice(&frugal_intake::keep_in_document(&bytes))
        .map_err(|error| not_json(&error))
}

/// Reads a body up to the limit. One that is larger is read on for a while and thrown away:
/// a client that is still sending would otherwise see a broken connection in the place of the
/// answer.
async fn read_body(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut seen = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|_| ApiError::new(Code::InvalidJson, "the body broke off before its end"))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= limit {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
        if seen > limit.saturating_mul(2) {
            break;
        }
    }
    match seen > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes),
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        Code::BodyTooLarge,
        format!("the body may have at most {limit} bytes; send less data"),
    )
}

/// Whether a body is declared to be packed.
fn is_packed(headers: &HeaderMap) -> Result<bool, ApiError> {
    let coding = headers.get(header::CONTENT_ENCODING);
    let coding = coding.map(|coding| coding.to_str().unwrap_or_default().trim());
    match coding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => Ok(false),
        Some("gzip" | "x-gzip") => Ok(true),
        Some(other) => Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!("the content coding `{other}` is not known; use `gzip` or none"),
        )),
    }
}

/// Unpacks a body, of which no more is made than the limit: a few packed bytes can be many.
async fn unpacked(packed: Vec<u8>, limit: usize) -> Result<Vec<u8>, ApiError> {
    let unpack = move || {
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut unpacker = MultiGzDecoder::new(packed.as_slice()).take(most);
        unpacker.read_to_end(&mut bytes).map(|_| bytes)
    };
    let unpacked = tokio::task::spawn_blocking(unpack).await;
    let unpacked = unpacked.map_err(|error| ApiError::internal(&error))?;
    let bytes = unpacked.map_err(|error| {
        let detail = format!("the body is not gzip, or is damaged: {error}");
        ApiError::new(Code::InvalidJson, detail)
    })?;
    match bytes.len() > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes),
    }
}

/// The type of a body without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> String {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.to_ascii_lowercase()
}

fn declares_json(headers: &HeaderMap) -> bool {
    let essence = essence(headers);
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn not_json(error: &serde_json::Error) -> ApiError {
    // The parser's own words end in the position, which is said apart.
    let words = error.to_string();
    let (line, column) = (error.line(), error.column());
    let words = words
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&words);
    ApiError::new(
        Code::InvalidJson,
        format!("the body is not JSON: {words} (line {line}, column {column})"),
    )
}

/// Query parameters.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Self(parameters))
            .map_err(|rejection| {
                let words = rejection.body_text();
                let words = words
                    .strip_prefix("Failed to deserialize query string: ")
                    .unwrap_or(&words);
                ApiError::new(
                    Code::InvalidParameter,
                    format!("the query makes no sense: {words}"),
                )
            })
    }
}

/// The job that a path names, if the caller reaches it. A text that can be no job's id names no job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobPath(pub JobId);

impl FromRequestParts<AppState> for JobPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let names = names(parts, state).await?;
        let text = name(&names, "id")?;
        let id = text.parse().map_err(|_| no_job(text))?;
        match is_reached(parts, state, id).await? {
            true => Ok(Self(id)),
            false => Err(no_job(id)),
        }
    }
}

/// The evaluation that a path names, if the caller reaches it. A text that can be no job's id names none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvaluationPath(pub JobId);

impl FromRequestParts<AppState> for EvaluationPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let names = names(parts, state).await?;
        let text = name(&names, "id")?;
        let id = text.parse().map_err(|_| no_evaluation(text))?;
        match is_reached(parts, state, id).await? {
            true => Ok(Self(id)),
            false => Err(no_evaluation(id)),
        }
    }
}

/// Whether a job is the caller's, or the caller reaches all. Whatever a path says of a job comes by here: what
/// belongs to others is not there, whatever the operation.
async fn is_reached(parts: &Parts, state: &AppState, id: JobId) -> Result<bool, ApiError> {
    let access = &Caller::of(parts)?.access;
    if access.everything {
        return Ok(true);
    }
    let mut connection = state.connection().await?;
    Ok(jobs::is_reached(&mut connection, access, id).await?)
}

/// The webhook that a path names, if the caller reaches it. A text that can be no webhook's id names none.
#[derive(Debug, Clone)]
pub(crate) struct WebhookPath(pub Webhook);

impl FromRequestParts<AppState> for WebhookPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let names = names(parts, state).await?;
        let text = name(&names, "id")?;
        let id = text.parse().map_err(|_| no_webhook(text))?;
        let access = &Caller::of(parts)?.access;
        let mut connection = state.connection().await?;
        let found = webhooks::find(&mut connection, access, id).await?;
        found.map(Self).ok_or_else(|| no_webhook(id))
    }
}

/// The name in a path.
#[derive(Debug, Clone)]
pub(crate) struct NamePath(pub String);

impl FromRequestParts<AppState> for NamePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let names = names(parts, state).await?;
        name(&names, "name").map(|name| Self(name.to_owned()))
    }
}

/// The trial that a path names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrialPath(pub JobId, pub TrialNumber);

impl FromRequestParts<AppState> for TrialPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let JobPath(job) = JobPath::from_request_parts(parts, state).await?;
        Ok(Self(job, trial_number(parts, state).await?))
    }
}

/// The trial of an evaluation that a path names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvaluationTrialPath(pub JobId, pub TrialNumber);

impl FromRequestParts<AppState> for EvaluationTrialPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let EvaluationPath(job) = EvaluationPath::from_request_parts(parts, state).await?;
        Ok(Self(job, trial_number(parts, state).await?))
    }
}

async fn trial_number(parts: &mut Parts, state: &AppState) -> Result<TrialNumber, ApiError> {
    let names = names(parts, state).await?;
    let number = name(&names, "number")?;
    // The database holds trial numbers as signed integers.
    number
        .parse::<i32>()
        .ok()
        .and_then(|number| u32::try_from(number).ok())
        .map(TrialNumber)
        .ok_or_else(|| no_trial(number))
}

async fn names(parts: &mut Parts, state: &AppState) -> Result<Vec<(String, String)>, ApiError> {
    Path::from_request_parts(parts, state)
        .await
        .map(|Path(names)| names)
        .map_err(|_| ApiError::new(Code::NotFound, "the path is not valid UTF-8"))
}

fn name<'a>(names: &'a [(String, String)], key: &str) -> Result<&'a str, ApiError> {
    names
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
        .ok_or_else(|| ApiError::new(Code::NotFound, "there is nothing here"))
}

/// The answer for a job that is not there.
pub(crate) fn no_job(id: impl std::fmt::Display) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no job `{id}`"))
}

/// The answer for an evaluation that is not there.
pub(crate) fn no_evaluation(id: impl std::fmt::Display) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no evaluation `{id}`"))
}

/// The answer for a trial that is not there.
pub(crate) fn no_trial(number: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        Code::NotFound,
        format!("the job has no trial `{number}` (yet)"),
    )
}

/// The answer for a webhook that is not there.
pub(crate) fn no_webhook(id: impl std::fmt::Display) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no webhook `{id}`"))
}

/// The answer for a dataset that is not there.
pub(crate) fn no_dataset(name: impl std::fmt::Display) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no dataset `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn json_is_recognised_by_its_essence() {
        let declares = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            declares_json(&headers)
        };
        assert!(declares("application/json"));
        assert!(declares("Application/JSON; charset=utf-8"));
        assert!(declares("application/vnd.frugal+json"));
        assert!(!declares("text/json"));
        assert!(!declares("application/x-www-form-urlencoded"));
        assert!(!declares_json(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn packed_bodies_end_at_the_limit_of_what_is_in_them() {
        let packed = |length: usize| {
            use std::io::Write;
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            packer.write_all(&vec![b' '; length]).unwrap();
            packer.finish().unwrap()
        };
        assert_eq!(unpacked(packed(1_000), 1_000).await.unwrap().len(), 1_000);
        let bomb = packed(10_000_000);
        assert!(bomb.len() < 20_000);
        let error = unpacked(bomb, 20_000).await.unwrap_err();
        assert_eq!(error.code(), Code::BodyTooLarge);
        let error = unpacked(b"no gzip".to_vec(), 1_000).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidJson);
    }

    #[tokio::test]
    async fn bodies_end_at_the_limit() {
        let body = |length: usize| Body::from(vec![b' '; length]);
        assert_eq!(read_body(body(10), 10).await.unwrap().len(), 10);
        for length in [11, 20, 21, 1000] {
            let error = read_body(body(length), 10).await.unwrap_err();
            assert_eq!(error.code(), Code::BodyTooLarge);
        }
    }
}
