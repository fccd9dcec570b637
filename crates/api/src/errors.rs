//! Which error type belongs where.
//!
//! - [`ApiError`] is what a handler, an extractor or a fallback returns: a [`Code`], words for
//!   the client and, for a body that makes no sense, every fault with its JSON pointer. There is
//!   no other error type in this crate.
//! - `frugal_domain::fault::Fault` says what is wrong with a job, `frugal_intake::dataset::RowFault` with
//!   a row; each becomes a `wire::FieldError`.
//! - `frugal_store::Error` and `sqlx::Error` are of the inside. They become 503 where the
//!   database is out of reach and 500 otherwise. They are logged here, once, and never shown.
//!
//! A new kind of error is a new row in the table of codes. Clients tell errors apart by `code`;
//! `type` is `about:blank`, which makes `title` the status' own phrase (RFC 9457,
//! section 4.2.1).

use crate::wire::{FieldError, Problem};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use frugal_domain::fault::Fault;
use frugal_intake::dataset::RowFault;
use std::error::Error;

/// The content type of every error (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The most faults that one answer lists.
const MAX_FAULTS: usize = 100;

/// Seconds after which a client may try again while the database is away.
const RETRY_AFTER_SECONDS: u64 = 5;

/// How a client is to say who it is (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"frugal\"";

/// Defines [`Code`] by its table: the status, the name on the wire and the meaning of each code.
macro_rules! codes {
    ($($code:ident = $status:ident, $name:literal, $meaning:literal;)+) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = concat!($meaning, ".")] $code),+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// The status of a code, and its name on the wire.
            #[must_use]
            pub const fn status_and_name(self) -> (StatusCode, &'static str) {
                match self {
                    $(Self::$code => (StatusCode::$status, $name)),+
                }
            }

            /// What a code means to a client: a sentence without its full stop.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$code => $meaning),+
                }
            }
        }
    };
}

codes! {
    InvalidJson = BAD_REQUEST, "invalid_json", "The body is not JSON";
    InvalidParameter = BAD_REQUEST, "invalid_parameter", "A query parameter or a header cannot be read";
    Unauthorized = UNAUTHORIZED, "unauthorized", "The server needs a key: there is none, or it is not one of this server's, is revoked or has expired";
    Forbidden = FORBIDDEN, "forbidden", "The key has not the scope that the operation needs";
    NotFound = NOT_FOUND, "not_found", "There is no such path, job, evaluation, trial, dataset, webhook or endpoint";
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not know the method";
    EventsPruned = GONE, "events_pruned", "Events that come first are gone: the server keeps them for some time after a job has ended";
    ResponsesPruned = GONE, "responses_pruned", "The responses are gone: the server keeps them for some time after a job has ended";
    NotAcceptable = NOT_ACCEPTABLE, "not_acceptable", "The path has nothing of a type that `Accept` names";
    HostNotAllowed = MISDIRECTED_REQUEST, "host_not_allowed", "The request is addressed to a name that is not this server's";
    RateLimited = TOO_MANY_REQUESTS, "rate_limited", "The key makes more requests than it may; `Retry-After` says when to try again";
    TooManyJobs = TOO_MANY_REQUESTS, "too_many_jobs", "The owner has as many jobs that have not ended as one may have";
    TooManyStreams = TOO_MANY_REQUESTS, "too_many_streams", "The owner has as many event streams open as one may have";
    TooManyTrials = TOO_MANY_REQUESTS, "too_many_trials", "As many configurations were put into the job as may be";
    TooManyWebhooks = TOO_MANY_REQUESTS, "too_many_webhooks", "The owner has as many webhooks as one may have";
    BodyTimeout = REQUEST_TIMEOUT, "body_timeout", "The body did not arrive in time";
    InvalidTransition = CONFLICT, "invalid_transition", "The state of the job forbids it: one that has ended can be neither paused nor resumed nor cancelled and takes no configuration, and only one that has ended can be continued or deleted";
    PreconditionFailed = PRECONDITION_FAILED, "precondition_failed", "The job is another than the client knows: its `ETag` is none of those in `If-Match`";
    ReportNotReady = CONFLICT, "report_not_ready", "The job has not ended, or has ended without a report";
    IdempotencyKeyInFlight = CONFLICT, "idempotency_key_in_flight", "A request with the same idempotency key is under way";
    KeyNameTaken = CONFLICT, "key_name_taken", "Another key that is not revoked has the name";
    DatasetNameTaken = CONFLICT, "dataset_name_taken", "A dataset with other rows has the name";
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large";
    TooMuchData = PAYLOAD_TOO_LARGE, "too_much_data", "The owner's datasets would be larger together than they may be";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not declared as what the path takes";
    InvalidJob = UNPROCESSABLE_ENTITY, "invalid_job", "The job makes no sense; every fault is listed, with its place";
    InvalidEvaluation = UNPROCESSABLE_ENTITY, "invalid_evaluation", "The evaluation makes no sense; every fault is listed, with its place";
    InvalidChange = UNPROCESSABLE_ENTITY, "invalid_change", "The change of the job makes no sense; every fault is listed, with its place";
    InvalidTrial = UNPROCESSABLE_ENTITY, "invalid_trial", "The configuration to be tried makes no sense; every fault is listed, with its place";
    InvalidDataset = UNPROCESSABLE_ENTITY, "invalid_dataset", "The rows make no sense; every fault is listed, with its line";
    InvalidValidation = UNPROCESSABLE_ENTITY, "invalid_validation", "The scorer, the rows or the responses make no sense; every fault is listed, with its place";
    InvalidKey = UNPROCESSABLE_ENTITY, "invalid_key", "The key to be made makes no sense";
    InvalidWebhook = UNPROCESSABLE_ENTITY, "invalid_webhook", "The webhook to be made makes no sense";
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The idempotency key came with another body before";
    Internal = INTERNAL_SERVER_ERROR, "internal_error", "There is a fault inside Frugal; its cause is in the operator's log";
    Unavailable = SERVICE_UNAVAILABLE, "unavailable", "The database is away; `Retry-After` says when to try again";
    SchemaNotCurrent = SERVICE_UNAVAILABLE, "schema_not_current", "The database must be migrated: its schema is not the one that this version knows";
}

/// The answer to a request that cannot be served.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    faults: Vec<FieldError>,
    /// After how many seconds the same may succeed, where that is known.
    retry_after: Option<u64>,
}

impl ApiError {
    /// An error with words for the client: what is wrong and what to do.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            faults: Vec::new(),
            retry_after: None,
        }
    }

    /// The same, with after how many seconds it may succeed.
    #[must_use]
    pub(crate) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A job that makes no sense, with everything that is wrong with it.
    #[must_use]
    pub fn invalid_job(faults: Vec<Fault>) -> Self {
        let count = faults.len();
        Self::with_faults(Code::InvalidJob, "job", faults, count)
    }

    /// An evaluation that makes no sense, with everything that is wrong with it.
    #[must_use]
    pub fn invalid_evaluation(faults: Vec<Fault>) -> Self {
        let count = faults.len();
        Self::with_faults(Code::InvalidEvaluation, "evaluation", faults, count)
    }

    /// A change of a job that makes no sense, with everything that is wrong with it.
    #[must_use]
    pub fn invalid_change(faults: Vec<Fault>) -> Self {
        let count = faults.len();
        Self::with_faults(Code::InvalidChange, "change", faults, count)
    }

    /// A configuration that is to be tried and makes no sense, with everything that is wrong with it.
    #[must_use]
    pub fn invalid_trial(faults: Vec<Fault>) -> Self {
        let count = faults.len();
        Self::with_faults(Code::InvalidTrial, "trial", faults, count)
    }

    /// A scorer with responses that make no sense, with everything that is wrong with them.
    #[must_use]
    pub fn invalid_validation(faults: Vec<Fault>) -> Self {
        let count = faults.len();
        Self::with_faults(Code::InvalidValidation, "validation", faults, count)
    }

    /// A dataset that makes no sense, with the first of so many faults.
    #[must_use]
    pub(crate) fn invalid_dataset(first: Vec<RowFault>, count: usize) -> Self {
        Self::with_faults(Code::InvalidDataset, "dataset", first, count)
    }

    fn with_faults<F: Into<FieldError>>(
        code: Code,
        what: &str,
        faults: Vec<F>,
        count: usize,
    ) -> Self {
        let faults: Vec<_> = faults.into_iter().take(MAX_FAULTS).map(F::into).collect();
        let detail = match count {
            1 => format!("the {what} has a fault"),
            count if count > faults.len() => {
                let listed = faults.len();
                format!("the {what} has {count} faults; the first {listed} are listed")
            }
            count => format!("the {what} has {count} faults"),
        };
        Self {
            code,
            detail,
            faults,
            retry_after: None,
        }
    }

    /// A fault inside Frugal. It is logged here and not shown.
    #[must_use]
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %Chain(error), "a request failed");
        Self::new(
            Code::Internal,
            "something went wrong inside Frugal; the operator's log has the cause under this answer's x-request-id",
        )
    }

    /// A panic inside Frugal. It is logged here and not shown.
    #[must_use]
    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Self::internal(&Panicked(message.to_owned()))
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What went wrong, for programs.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }
}

/// A panic as an error, for the log.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

/// An error with everything that caused it, in one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<frugal_store::Error> for ApiError {
    fn from(error: frugal_store::Error) -> Self {
        if error.may_pass() {
            tracing::warn!(error = %Chain(&error), "the database is away");
            return Self::new(
                Code::Unavailable,
                "the database is away for the moment, or takes nothing; try again later",
            );
        }
        Self::internal(&error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        frugal_store::Error::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.code.status_and_name();
        let problem = Problem {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: code.to_owned(),
            errors: self.faults,
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        let unavailable =
            (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_SECONDS);
        if let Some(seconds) = self.retry_after.or(unavailable) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(CHALLENGE),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_have_names_of_their_own_and_are_errors() {
        let names: BTreeSet<_> = Code::ALL
            .iter()
            .map(|code| code.status_and_name().1)
            .collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let (status, name) = code.status_and_name();
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_page_of_codes_has_each_of_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        let page = std::fs::read_to_string(path).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        // Without the last column, which says what to do.
        let rows = rows.filter_map(|row| Some(row.trim_end_matches(" |").rsplit_once(" | ")?.0));
        let rows: Vec<_> = rows.collect();
        let codes = Code::ALL.iter().map(|code| {
            let (status, name) = code.status_and_name();
            format!("| `{name}` | {} | {}", status.as_u16(), code.meaning())
        });
        assert_eq!(rows, codes.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_inside_is_not_shown() {
        let cause = std::io::Error::other("password=hunter2");
        let response = ApiError::internal(&cause).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
    }

    #[tokio::test]
    async fn a_long_list_of_faults_is_cut() {
        let fault = |index: usize| Fault {
            pointer: format!("/data/instances/{index}"),
            detail: "must be an object, not null".to_owned(),
        };
        let response = ApiError::invalid_job((0..1000).map(fault).collect()).into_response();
        let body = axum::body::to_bytes(response.into_body(), 100_000)
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["errors"].as_array().unwrap().len(), MAX_FAULTS);
        assert_eq!(
            body["detail"],
            "the job has 1000 faults; the first 100 are listed"
        );
    }

    #[test]
    fn an_absent_database_is_no_internal_error() {
        let error = ApiError::from(sqlx::Error::PoolTimedOut);
        assert_eq!(error.code(), Code::Unavailable);
        let error = ApiError::from(sqlx::Error::RowNotFound);
        assert_eq!(error.code(), Code::Internal);
    }
}
