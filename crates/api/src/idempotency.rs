//! `Idempotency-Key`: a request that is sent twice is carried out once.

use crate::errors::{ApiError, Code};
use crate::state::AppState;
use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::access::Access;
use frugal_domain::id::JobId;
use frugal_store::jobs::{self, Replay, RequestName};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The header that carries the key.
pub(crate) const HEADER: &str = "idempotency-key";
/// The header of an answer that was given before.
pub(crate) const REPLAYED: &str = "idempotency-replayed";

/// What [`Key::read`] is told of requests for a new job, and for a new evaluation.
pub(crate) const JOB: &str = "";
pub(crate) const EVALUATION: &str = "evaluation";

/// The most characters of a key.
const MAX_LENGTH: usize = 255;

/// A client's key, and what it stands for.
#[derive(Debug)]
pub(crate) struct Key {
    /// As the client wrote it.
    text: String,
    /// Whose it is: another owner's may have the same text.
    owner: Option<String>,
    /// The hash of the body that came with it.
    pub hash: Vec<u8>,
}

impl Key {
    /// The key of a request, if it has one. `what` says what it is for, where a body might be one for something else
    /// too.
    pub(crate) fn read(
        headers: &HeaderMap,
        access: &Access,
        what: &str,
        body: &Value,
    ) -> Result<Option<Self>, ApiError> {
        let Some(value) = headers.get(HEADER) else {
            return Ok(None);
        };
        let text = value
            .to_str()
            .ok()
            .map(str::trim)
            .filter(|text| (1..=MAX_LENGTH).contains(&text.len()))
            .ok_or_else(|| {
                ApiError::new(
                    Code::InvalidParameter,
                    format!(
                        "the header `Idempotency-Key` must have 1 to {MAX_LENGTH} ASCII characters"
                    ),
                )
            })?;
        // Keys of objects are sorted in a `Value`, so white space and order do not matter.
        let mut hash = Sha256::new();
        // The same body makes something else elsewhere.
        hash.update(what);
        hash.update(body.to_string());
        let hash = hash.finalize().to_vec();
        Ok(Some(Self {
            text: text.to_owned(),
            owner: access.owner.clone(),
            hash,
        }))
    }

    /// What the key is found by.
    pub(crate) fn name(&self, state: &AppState, now: DateTime<Utc>) -> RequestName<'_> {
        let kept = state.guard().idempotency_keys;
        let kept = kept.and_then(|kept| TimeDelta::from_std(kept).ok());
        let forgotten_before = kept.and_then(|kept| now.checked_sub_signed(kept));
        RequestName {
            owner: self.owner.as_deref(),
            key: &self.text,
            forgotten_before: forgotten_before.unwrap_or(DateTime::UNIX_EPOCH),
        }
    }

    /// The answer that was given to this key before, if any and if that is not too long ago.
    pub(crate) async fn recall(
        &self,
        state: &AppState,
    ) -> Result<Option<(JobId, Value)>, ApiError> {
        let mut connection = state.connection().await?;
        let replay = jobs::recall(&mut connection, self.name(state, Utc::now())).await?;
        replay.map(|replay| self.replay(replay)).transpose()
    }

    fn replay(&self, replay: Replay) -> Result<(JobId, Value), ApiError> {
        if replay.request_hash != self.hash {
            return Err(ApiError::new(
                Code::IdempotencyKeyReused,
                "this `Idempotency-Key` came with another body before; use a new key for a new request",
            ));
        }
        Ok((replay.job_id, replay.response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    fn key(text: &str, body: &Value) -> Result<Option<Key>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(text).unwrap());
        Key::read(&headers, &Access::OPEN, JOB, body)
    }

    #[test]
    fn the_hash_depends_on_what_the_body_says_and_not_on_how() {
        let one: Value = serde_json::from_str(r#"{"a": 1, "b": [2]}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{ "b":[2],"a":1 }"#).unwrap();
        let hash = |body: &Value| key("k", body).unwrap().unwrap().hash;
        assert_eq!(hash(&one), hash(&same));
        assert_ne!(hash(&one), hash(&json!({"a": 1, "b": [3]})));
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("k"));
        let elsewhere = Key::read(&headers, &Access::OPEN, EVALUATION, &one)
            .unwrap()
            .unwrap();
        assert_ne!(hash(&one), elsewhere.hash);
    }

    #[test]
    fn keys_are_bounded() {
        let body = json!({});
        let none = Key::read(&HeaderMap::new(), &Access::OPEN, JOB, &body);
        assert!(none.unwrap().is_none());
        assert!(key(" ", &body).is_err());
        assert!(key(&"k".repeat(256), &body).is_err());
        assert_eq!(
            key(&"k".repeat(255), &body).unwrap().unwrap().text.len(),
            255
        );
    }
}
