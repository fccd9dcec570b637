//! Errors as OpenAI's endpoints send them: a status and an `error` object.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error answer: `{"error": {"message", "type", "param", "code"}}` under a status.
///
/// The simulator's own refusals have this type, and so have those injected as a
/// [`Fault`](crate::Fault).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`, such as `invalid_request_error`.
    pub kind: &'static str,
    /// `error.code`, such as `unsupported_parameter`.
    pub code: Option<String>,
    /// `error.param`: the parameter at fault.
    pub param: Option<String>,
    /// `error.message`.
    pub message: String,
    /// Further headers, such as `Retry-After`.
    pub headers: Vec<(String, String)>,
}

impl Refusal {
    /// A request that can never be answered as it is: status 400, `invalid_request_error`.
    pub fn invalid(code: Option<&str>, param: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: code.map(str::to_owned),
            param: param.map(str::to_owned),
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// An error of the given status, type and code that names no parameter.
    pub fn new(
        status: u16,
        kind: &'static str,
        code: Option<&str>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind,
            ..Self::invalid(code, None, message)
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another status.
    #[must_use]
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The body: the `error` object.
    pub(crate) fn body(&self) -> Value {
        json!({"error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }})
    }

    /// What of it cannot be sent over HTTP, if anything.
    pub(crate) fn fault_in_form(&self) -> Option<String> {
        if !(400..=599).contains(&self.status) {
            return Some(format!("{} is no status of an error", self.status));
        }
        self.headers.iter().find_map(|(name, value)| {
            let sendable = HeaderName::from_bytes(name.as_bytes()).is_ok()
                && HeaderValue::from_str(value).is_ok();
            (!sendable).then(|| format!("the header {name:?}: {value:?} cannot be sent"))
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body())).into_response();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
            ) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
