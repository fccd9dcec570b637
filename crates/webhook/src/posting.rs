//! One signed message on its way, and what may become of it.

use crate::error::HookError;
use crate::signer::Signer;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use std::error::Error;
use std::time::Duration;

/// How much of an answer that refuses is told, in characters.
const MOST_TOLD: usize = 200;

/// A client that follows no redirects, with what else it is to be; `name` is what errors call it.
///
/// # Errors
/// None can be made.
pub(crate) fn client(
    name: &str,
    with: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, HookError> {
    // Whoever installs first wins; any provider will do.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("frugal/", env!("CARGO_PKG_VERSION")));
    with(client).build().map_err(|error| HookError::Client {
        hook: name.to_owned(),
        reason: error.to_string(),
    })
}

/// Posts a message, a JSON text, once. Returns the answer, whose body is still to come, and when the message
/// was sent.
///
/// # Errors
/// It is no text, or no answer came.
pub(crate) async fn post(
    http: &Client,
    url: &str,
    signer: &Signer,
    id: &str,
    body: &[u8],
) -> Result<(Response, DateTime<Utc>), Fault> {
    let now = Utc::now();
    let timestamp = now.timestamp();
    let signature = signer.sign(id, timestamp, body).ok_or_else(|| Fault {
        may_pass: false,
        ..Fault::passing("the message is no text")
    })?;
    let request = http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .body(body.to_vec());
    let answer = request.send().await.map_err(broken)?;
    Ok((answer, now))
}

/// Why an attempt brought nothing.
#[derive(Debug)]
pub(crate) struct Fault {
    /// In words.
    pub(crate) reason: String,
    /// Whether another one may bring something.
    pub(crate) may_pass: bool,
    /// How long the receiver asks to wait before it.
    pub(crate) asked_for: Option<Duration>,
}

impl Fault {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            may_pass: true,
            asked_for: None,
        }
    }
}

/// The connection broke, or none came about.
pub(crate) fn broken(error: reqwest::Error) -> Fault {
    // It may hold what lets somebody in, and what is said here comes to others than who wrote it.
    let error = error.without_url();
    if error.is_timeout() {
        return Fault::passing("it does not answer in time");
    }
    // The innermost says most.
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let what = match error.is_connect() {
        true => "cannot connect to it",
        false => "the connection to it broke",
    };
    Fault::passing(format!("{what}: {cause}"))
}

/// It answers with a status that is no success.
pub(crate) fn refused(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Fault {
    let code = status.as_u16();
    if status.is_redirection() {
        return Fault {
            may_pass: false,
            ..Fault::passing(format!(
                "it answers {code}, which redirects; that is not followed, so its operator must give the address itself"
            ))
        };
    }
    let said = String::from_utf8_lossy(body);
    let said = said.trim();
    let said = match said.char_indices().nth(MOST_TOLD) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    };
    let reason = match said.is_empty() {
        true => format!("it answers {code}"),
        false => format!("it answers {code}: {said}"),
    };
    Fault {
        reason,
        may_pass: matches!(code, 408 | 425 | 429 | 500..=599),
        asked_for: headers
            .get(RETRY_AFTER)
            .and_then(|value| asked_for(value.to_str().ok()?, now)),
    }
}

/// Seconds, or a date.
fn asked_for(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    (until.with_timezone(&Utc) - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2015-10-21T07:28:00Z").unwrap();
        let of = |value| asked_for(value, now.with_timezone(&Utc));
        assert_eq!(of(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            of("Wed, 21 Oct 2015 07:29:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(of("Wed, 21 Oct 2015 07:20:00 GMT"), None);
        assert_eq!(of("soon"), None);
    }
}
