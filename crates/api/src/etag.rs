//! Entity tags: a job that a client has seen is not sent again (RFC 9110, sections 8.8 and 13).

use crate::errors::{ApiError, Code};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use frugal_store::jobs::Mark;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The tag of a job as it is now. Whatever changes a job writes an event, but for three steps: the
/// request to cancel a running job, and a worker that gives a job back, which change the state; and a change
/// of a running job's terms, which is counted at once and told of by its worker. What goes in time of one
/// that has ended leaves its marks.
pub(crate) fn of(job: impl Into<Mark>) -> String {
    let job = job.into();
    let (seq, state) = (job.last_seq, job.state.as_str());
    let gone = match (job.events_pruned_through, job.responses_pruned_at) {
        (0, None) => String::new(),
        (events, responses) => {
            let responses = responses.map_or(0, |at| at.timestamp());
            format!(".{events}.{responses}")
        }
    };
    let changed = match job.changes {
        0 => String::new(),
        changes => format!(".{changes}"),
    };
    format!("\"{seq}.{state}{changed}{gone}\"")
}

/// The tag of an answer that has no other sign of its state: a hash of what it says.
pub(crate) fn of_content(body: &impl Serialize) -> serde_json::Result<String> {
    Ok(of_bytes(&serde_json::to_vec(body)?))
}

/// The tag of a content that is given whole: a hash of it.
pub(crate) fn of_bytes(content: &[u8]) -> String {
    let start: String = Sha256::digest(content)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{start}\"")
}

/// The tags that a client has, from `If-None-Match`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    any: bool,
    tags: Vec<String>,
}

impl Seen {
    /// What the client says that it has; nothing where it says nothing.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        Self::read_from(headers, &header::IF_NONE_MATCH)
    }

    /// The tags of which the job must have one for the request to be carried out, from `If-Match`. Weak
    /// tags match nothing there (RFC 9110, section 13.1.1).
    pub(crate) fn required(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        Self::read_from(headers, &header::IF_MATCH)
    }

    fn read_from(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, ApiError> {
        let mut seen: Option<Self> = None;
        for value in headers.get_all(name) {
            let value = value.to_str().map_err(|_| {
                ApiError::new(
                    Code::InvalidParameter,
                    format!("the header `{name}` must be an entity tag, such as the answer's `ETag` before"),
                )
            })?;
            let seen = seen.get_or_insert_default();
            for tag in value.split(',').map(str::trim) {
                seen.any |= tag == "*";
                // A weak tag matches its strong self in `If-None-Match` (RFC 9110, section 13.1.2).
                let strong = tag
                    .strip_prefix("W/")
                    .filter(|_| name == header::IF_NONE_MATCH);
                seen.tags.push(strong.unwrap_or(tag).to_owned());
            }
        }
        Ok(seen)
    }

    /// Whether the client has what this tag stands for.
    pub(crate) fn holds(&self, tag: &str) -> bool {
        self.any || self.tags.iter().any(|seen| seen == tag)
    }
}

/// A tag as a header. Tags are made of digits, letters and names of states, so this always succeeds.
pub(crate) fn header(tag: &str) -> HeaderValue {
    HeaderValue::from_str(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[&'static str]) -> Option<Seen> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
        }
        Seen::read(&headers).unwrap()
    }

    #[test]
    fn tags_are_compared_weakly_and_may_be_many() {
        assert_eq!(seen(&[]), None);
        let one = seen(&["\"3.running\""]).unwrap();
        assert!(one.holds("\"3.running\""));
        assert!(!one.holds("\"4.running\""));
        let many = seen(&["W/\"1.queued\", \"2.running\"", "\"7.failed\""]).unwrap();
        for tag in ["\"1.queued\"", "\"2.running\"", "\"7.failed\""] {
            assert!(many.holds(tag));
        }
        assert!(!many.holds("\"5.running\""));
        assert!(seen(&["*"]).unwrap().holds("\"9.succeeded\""));
    }
}
