//! What was found of the models of endpoints, over all jobs and workers.

use crate::{Result, to_u64, write_json};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::abilities::Abilities;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// For how long what refusals told is taken to hold. Endpoints change; to find it out again costs a
/// refused request.
const ABILITIES_HOLD: TimeDelta = TimeDelta::days(7);

/// What one process saw of a model since it last told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sightings {
    /// The endpoint.
    pub endpoint: String,
    /// The model.
    pub model: String,
    /// What is known of its parameters, where something was found.
    pub abilities: Option<Abilities>,
    /// When it last answered.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When a request last failed.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// Why: one line, without keys.
    pub last_failure: Option<String>,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests whose configuration or prompt it does not take.
    pub refused: u64,
    /// Requests that failed otherwise.
    pub failed: u64,
    /// Of those answered, how many have an estimated usage.
    pub usage_estimated: u64,
    /// How long the answering attempts took, in milliseconds, all together.
    pub latency_ms_total: u64,
    /// How long the last of them took, in milliseconds.
    pub last_latency_ms: Option<u64>,
}

impl Sightings {
    /// Adds what was seen earlier.
    pub fn add(&mut self, earlier: Self) {
        if self.last_failure_at.is_none() {
            self.last_failure_at = earlier.last_failure_at;
            self.last_failure = earlier.last_failure;
        }
        self.last_success_at = self.last_success_at.or(earlier.last_success_at);
        self.last_latency_ms = self.last_latency_ms.or(earlier.last_latency_ms);
        self.abilities = self.abilities.take().or(earlier.abilities);
        self.answered += earlier.answered;
        self.refused += earlier.refused;
        self.failed += earlier.failed;
        self.usage_estimated += earlier.usage_estimated;
        self.latency_ms_total += earlier.latency_ms_total;
    }
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointModel {
    /// What was seen of it, by everybody. Its abilities are there as long as they are taken to hold.
    pub seen: Sightings,
    /// When its abilities were found.
    pub abilities_found_at: Option<DateTime<Utc>>,
}

/// Adds what a process saw, in one statement.
///
/// Where two processes find different things, fields that the later one says nothing of are kept.
///
/// # Errors
/// The database is away.
pub async fn add(
    connection: &mut PgConnection,
    seen: &[Sightings],
    now: DateTime<Utc>,
) -> Result<()> {
    // In the order of the key, or two processes could wait for each other.
    sqlx::query!(
        r#"
        INSERT INTO endpoint_models AS known (
            endpoint, model, abilities, abilities_found_at, last_success_at, last_failure_at,
            last_failure, answered, refused, failed, usage_estimated, latency_ms_total,
            last_latency_ms
        )
        SELECT endpoint, model, coalesce(abilities, '{}'),
               CASE WHEN abilities IS NOT NULL THEN $2::timestamptz END,
               last_success_at, last_failure_at, last_failure, answered, refused, failed,
               usage_estimated, latency_ms_total, last_latency_ms
        FROM jsonb_to_recordset($1) AS seen (
            endpoint text, model text, abilities jsonb, last_success_at timestamptz,
            last_failure_at timestamptz, last_failure text, answered bigint, refused bigint,
            failed bigint, usage_estimated bigint, latency_ms_total bigint, last_latency_ms bigint
        )
        ORDER BY endpoint, model
        ON CONFLICT (endpoint, model) DO UPDATE SET
            abilities = CASE
                WHEN excluded.abilities_found_at IS NULL THEN known.abilities
                WHEN known.abilities_found_at > $3 THEN known.abilities || excluded.abilities
                ELSE excluded.abilities
            END,
            abilities_found_at = coalesce(excluded.abilities_found_at, known.abilities_found_at),
            last_success_at = greatest(known.last_success_at, excluded.last_success_at),
            last_failure = CASE
                WHEN excluded.last_failure_at >= coalesce(known.last_failure_at, '-infinity')
                THEN excluded.last_failure ELSE known.last_failure
            END,
            last_failure_at = greatest(known.last_failure_at, excluded.last_failure_at),
            answered = known.answered + excluded.answered,
            refused = known.refused + excluded.refused,
            failed = known.failed + excluded.failed,
            usage_estimated = known.usage_estimated + excluded.usage_estimated,
            latency_ms_total = known.latency_ms_total + excluded.latency_ms_total,
            last_latency_ms = coalesce(excluded.last_latency_ms, known.last_latency_ms)
        "#,
        write_json("sightings", &seen)?,
        now,
        now - ABILITIES_HOLD
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Everything that is known, by endpoint and model.
///
/// # Errors
/// The database is away.
pub async fn load(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<EndpointModel>> {
    let rows = sqlx::query!(
        r#"
        SELECT endpoint, model, abilities, abilities_found_at, last_success_at, last_failure_at,
               last_failure, answered, refused, failed, usage_estimated, latency_ms_total,
               last_latency_ms
        FROM endpoint_models ORDER BY endpoint, model
        "#
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let found_at = row.abilities_found_at;
            let found_at = found_at.filter(|found_at| *found_at > now - ABILITIES_HOLD);
            Ok(EndpointModel {
                seen: Sightings {
                    endpoint: row.endpoint,
                    model: row.model,
                    // It is soft: what another version wrote and this one cannot read is left aside.
                    abilities: found_at.and_then(|_| serde_json::from_value(row.abilities).ok()),
                    last_success_at: row.last_success_at,
                    last_failure_at: row.last_failure_at,
                    last_failure: row.last_failure,
                    answered: to_u64("answered", row.answered)?,
                    refused: to_u64("refused", row.refused)?,
                    failed: to_u64("failed", row.failed)?,
                    usage_estimated: to_u64("usage_estimated", row.usage_estimated)?,
                    latency_ms_total: to_u64("latency", row.latency_ms_total)?,
                    last_latency_ms: row
                        .last_latency_ms
                        .map(|latency| to_u64("latency", latency))
                        .transpose()?,
                },
                abilities_found_at: found_at,
            })
        })
        .collect()
}
