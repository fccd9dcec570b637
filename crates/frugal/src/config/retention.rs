//! `[retention]`: how long what jobs leave is kept once they have ended.

use frugal_api::Guard;
use serde::Deserialize;
use std::time::Duration;

/// Shorter ones are mistakes: whoever follows a job has to come by.
const SHORTEST: Duration = Duration::from_secs(60);

/// A century, far within what can be counted back.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// How long what jobs leave is kept once they have ended; nothing for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Their events.
    pub events: Option<Duration>,
    /// Their responses, with the texts.
    pub responses: Option<Duration>,
    /// All of them.
    pub jobs: Option<Duration>,
    /// Idempotency keys, from when they came; a week by default.
    pub idempotency_keys: Option<Duration>,
    /// What the audit tells, from when it was done.
    pub audit: Option<Duration>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            events: None,
            responses: None,
            jobs: None,
            idempotency_keys: Some(Guard::IDEMPOTENCY_KEYS),
            audit: None,
        }
    }
}

impl RetentionConfig {
    /// Whether all that jobs leave is kept for ever.
    #[must_use]
    pub const fn keeps_jobs(&self) -> bool {
        self.events.is_none() && self.responses.is_none() && self.jobs.is_none()
    }
}

/// The table's keys in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionKeys {
    events: Option<String>,
    responses: Option<String>,
    jobs: Option<String>,
    idempotency_keys: Option<String>,
    audit: Option<String>,
}

/// A key whose value makes no sense.
#[derive(Debug)]
pub(super) struct RetentionFault {
    pub key: &'static str,
    pub problem: String,
}

impl RetentionKeys {
    /// Checks the values.
    pub(super) fn resolve(self) -> Result<RetentionConfig, RetentionFault> {
        let default = RetentionConfig::default();
        let read = |key, given: Option<String>, otherwise| match given {
            None => Ok(otherwise),
            Some(text) => kept(&text).map_err(|problem| RetentionFault { key, problem }),
        };
        Ok(RetentionConfig {
            events: read("events", self.events, default.events)?,
            responses: read("responses", self.responses, default.responses)?,
            jobs: read("jobs", self.jobs, default.jobs)?,
            idempotency_keys: read(
                "idempotency_keys",
                self.idempotency_keys,
                default.idempotency_keys,
            )?,
            audit: read("audit", self.audit, default.audit)?,
        })
    }
}

/// How long something is kept; nothing for `off`.
///
/// # Errors
/// What is wrong and what would be right, in words.
pub fn kept(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    humantime::parse_duration(text)
        .ok()
        .filter(|kept| (SHORTEST..=LONGEST).contains(kept))
        .map(Some)
        .ok_or_else(|| {
            format!("`{text}` will not do; give a time of a minute at least, such as \"12h\" or \"30d\", or \"off\"")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(kept("off"), Ok(None));
        assert_eq!(kept("30d"), Ok(Some(30 * 24 * hour)));
        assert_eq!(kept("1h 30m"), Ok(Some(hour * 3 / 2)));
        for text in ["", "30", "1s", "0d", "-1d", "200years", "soon"] {
            assert!(kept(text).is_err(), "{text}");
        }
    }
}
