//! Everything of a job, to take away.

use crate::errors::{ApiError, Code};
use crate::export;
use crate::extract::JobPath;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::ExportLine;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;

/// Export a job
///
/// Everything of it as lines of JSON, one for each row: the job, what was posted, its data, trials,
/// requests, responses, scores, events and report. They show one moment, that of the first line, whatever
/// happens to the job meanwhile; an export whose last line is not of the type `end` broke off. It is
/// streamed, packed with gzip where the client takes that, and ends where a client takes nothing for a
/// minute.
#[utoipa::path(
    get,
    path = "/jobs/{id}/export",
    tag = "jobs",
    params(
        ("id" = Uuid, Path, description = "The job."),
        ("Accept-Encoding" = Option<String>, Header, description = "`gzip` for a packed body.")
    ),
    responses(
        (status = 200, description = "Lines, of which each is an `ExportLine`.", body = ExportLine, content_type = "application/jsonl", headers(
            ("Content-Encoding" = Option<String>, description = "`gzip` where the body is packed.")
        )),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn export_job(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    of(&state, JobKind::Tuning, id, &headers).await
}

/// The export of a job of a kind.
pub(super) async fn of(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let is_packed = export::takes_gzip(headers);
    let body = export::body(state, kind, id, is_packed).await?;
    let mut response = body.into_response();
    let what = match kind {
        JobKind::Tuning => "job",
        JobKind::Evaluation => "evaluation",
    };
    let named = format!("attachment; filename=\"frugal-{what}-{id}.jsonl\"");
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/jsonl"),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static(header::ACCEPT_ENCODING.as_str()),
    );
    if let Ok(named) = HeaderValue::from_str(&named) {
        headers.insert(header::CONTENT_DISPOSITION, named);
    }
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
