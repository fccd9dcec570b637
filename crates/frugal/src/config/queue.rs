//! `[queue]`: how jobs are shared among workers, and how patient these are.

use super::number::Number;
use frugal_worker::Terms;
use serde::Deserialize;
use std::time::Duration;

/// How jobs are shared among workers, and how patient these are. The defaults are those of [`Terms`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// How long requests in flight may take to arrive once a process or a job is to stop.
    pub grace: Duration,
    /// How long a worker keeps its jobs while the database is out of reach.
    pub outage: Duration,
    /// How many workers in a row a job may lose before it is set aside.
    pub most_lost_attempts: u32,
    /// The most jobs of one owner that run at once.
    pub most_running_per_owner: Option<u32>,
    /// How long a job of another version waits for a worker of that version.
    pub other_version: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        let terms = Terms::default();
        Self {
            grace: terms.grace,
            outage: terms.outage,
            most_lost_attempts: terms.most_lost_attempts,
            most_running_per_owner: terms.most_running_per_owner,
            other_version: terms.other_version,
        }
    }
}

/// The table's keys in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueKeys {
    grace_seconds: Option<i64>,
    outage_seconds: Option<i64>,
    most_lost_attempts: Option<i64>,
    max_running_jobs_per_owner: Option<i64>,
    other_version_seconds: Option<i64>,
}

impl QueueKeys {
    /// Checks the values.
    ///
    /// # Errors
    /// The key, and what is wrong with its value.
    pub(super) fn resolve(self) -> Result<QueueConfig, (&'static str, String)> {
        let default = QueueConfig::default();
        let seconds = |key, given: Option<i64>, range, otherwise| {
            let given = given.map(|given| Number { key, given }.within(range));
            Ok::<_, (&'static str, String)>(match given.transpose()? {
                Some(seconds) => Duration::from_secs(seconds.into()),
                None => otherwise,
            })
        };
        let number = |key, given: Option<i64>, range| {
            let given = given.map(|given| Number { key, given }.within(range));
            given.transpose()
        };
        Ok(QueueConfig {
            grace: seconds(
                "grace_seconds",
                self.grace_seconds,
                0..=3_600,
                default.grace,
            )?,
            outage: seconds(
                "outage_seconds",
                self.outage_seconds,
                0..=86_400,
                default.outage,
            )?,
            most_lost_attempts: number("most_lost_attempts", self.most_lost_attempts, 1..=1_000)?
                .unwrap_or(default.most_lost_attempts),
            most_running_per_owner: number(
                "max_running_jobs_per_owner",
                self.max_running_jobs_per_owner,
                1..=1_000_000,
            )?,
            other_version: seconds(
                "other_version_seconds",
                self.other_version_seconds,
                0..=31 * 86_400,
                default.other_version,
            )?,
        })
    }
}
