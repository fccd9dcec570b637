//! One hook, and how a message comes to it.

use crate::error::{HookError, Undelivered};
use crate::signer::Signer;
use chrono::{DateTime, Utc};
use frugal_domain::backoff::Backoff;
use frugal_domain::endpoint::Webhook;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, redirect};
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer that refuses is told, in characters.
const MOST_TOLD: usize = 200;

/// A hook. A clone is the same one, and has the same messages under way.
#[derive(Debug, Clone)]
pub struct Hook {
    name: String,
    entry: Webhook,
    signer: Signer,
    http: reqwest::Client,
    backoff: Backoff,
    turns: Arc<Semaphore>,
}

/// Why an attempt brought nothing.
pub(crate) struct Fault {
    pub(crate) reason: String,
    /// Whether another one may bring something.
    may_pass: bool,
    /// How long the hook asks to wait before it.
    pub(crate) asked_for: Option<Duration>,
}

impl Fault {
    fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            may_pass: true,
            asked_for: None,
        }
    }
}

impl Hook {
    /// A hook of this name.
    ///
    /// # Errors
    /// No client of HTTP can be made for it.
    pub fn new(name: &str, entry: &Webhook, signer: Signer) -> Result<Self, HookError> {
        // Whoever installs first wins; any provider will do.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_secs(entry.timeout_seconds.into()))
            .user_agent(concat!("frugal/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HookError::Client {
                hook: name.to_owned(),
                reason: error.to_string(),
            })?;
        let at_once = usize::try_from(entry.concurrency).unwrap_or(1);
        Ok(Self {
            name: name.to_owned(),
            entry: entry.clone(),
            signer,
            http,
            backoff: Backoff::default(),
            turns: Arc::new(Semaphore::new(at_once.max(1))),
        })
    }

    /// The same hook with other waits between attempts.
    #[must_use]
    pub fn with_backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// The most items of one message.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        usize::try_from(self.entry.batch_size).unwrap_or(1).max(1)
    }

    /// Delivers a message, a JSON text, and has its answer read. The same message has the same `id`, however
    /// often it is sent; a hook may go by it. Attempts go on until one brings an answer that `read` takes.
    ///
    /// # Errors
    /// The hook refuses it, or no attempt brought an answer; the last fault.
    pub async fn deliver<T>(
        &self,
        id: &str,
        body: &[u8],
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Undelivered> {
        let undelivered = |reason: String, attempts| Undelivered {
            hook: self.name.clone(),
            reason,
            attempts,
        };
        let mut seed = DefaultHasher::new();
        id.hash(&mut seed);
        let mut made = 0;
        loop {
            made += 1;
            let fault = match self.attempt(id, body).await {
                Ok(answer) => match read(&answer) {
                    Ok(read) => return Ok(read),
                    Err(reason) => Fault::passing(reason),
                },
                Err(fault) => fault,
            };
            if !fault.may_pass || made >= self.entry.attempts {
                return Err(undelivered(fault.reason, made));
            }
            tracing::debug!(
                hook = self.name,
                id,
                made,
                reason = fault.reason,
                "a message is sent again"
            );
            // By the message and the attempt, so that those which wait at the same time come back apart.
            let seed = seed.finish().wrapping_add(u64::from(made));
            let lot = ChaCha8Rng::seed_from_u64(seed).random();
            tokio::time::sleep(self.backoff.wait(made, fault.asked_for, lot)).await;
        }
    }

    /// Sends it once, when it is its turn.
    async fn attempt(&self, id: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
        let _turn = self.turns.acquire().await;
        let now = Utc::now();
        let timestamp = now.timestamp();
        let signature = self.signer.sign(id, timestamp, body).ok_or_else(|| Fault {
            may_pass: false,
            ..Fault::passing("the message is no text")
        })?;
        let request = self
            .http
            .post(&self.entry.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature)
            .body(body.to_vec());
        let mut answer = request.send().await.map_err(|error| broken(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut read = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| broken(&error))? {
            if read.len() + chunk.len() > MOST_BYTES {
                let reason = format!("its answer is larger than {} MiB", MOST_BYTES >> 20);
                return Err(Fault::passing(reason));
            }
            read.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(read);
        }
        Err(refused(status, &headers, &read, now))
    }
}

/// The connection broke, or none came about.
pub(crate) fn broken(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        return Fault::passing("it does not answer in time");
    }
    // The innermost says most, and none of them has the URL in it.
    let mut cause: &dyn Error = error;
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
