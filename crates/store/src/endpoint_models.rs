//! What was found of the models of endpoints, over all jobs and workers.

use crate::{Error, Result, to_u64, write_json};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::abilities::Abilities;
use frugal_domain::histogram::Buckets;
use frugal_domain::waits::{self, Waited, Waits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    /// Their distribution, by [`DURATION_BOUNDS_MS`](frugal_domain::histogram::DURATION_BOUNDS_MS).
    pub latency_buckets: Buckets,
    /// Tokens of the prompts that were answered.
    pub input_tokens: u64,
    /// Their distribution, by [`TOKEN_BOUNDS`](frugal_domain::histogram::TOKEN_BOUNDS).
    pub input_token_buckets: Buckets,
    /// Tokens of the responses.
    pub output_tokens: u64,
    /// Their distribution over requests, by the same bounds.
    pub output_token_buckets: Buckets,
    /// Those of the input tokens that the endpoint had in a cache.
    pub cached_input_tokens: u64,
    /// Those of the output tokens that are reasoning and no text.
    pub reasoning_output_tokens: u64,
    /// What answered requests cost, in pico-dollars.
    pub spend_pico_usd: u64,
    /// The worst case of attempts that brought nothing and may have been billed, in pico-dollars.
    pub uncertain_spend_pico_usd: u64,
    /// What attempts waited for before they were sent.
    pub waits: Waits,
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
        self.latency_buckets.add(&earlier.latency_buckets);
        self.input_tokens += earlier.input_tokens;
        self.input_token_buckets.add(&earlier.input_token_buckets);
        self.output_tokens += earlier.output_tokens;
        self.output_token_buckets.add(&earlier.output_token_buckets);
        self.cached_input_tokens += earlier.cached_input_tokens;
        self.reasoning_output_tokens += earlier.reasoning_output_tokens;
        self.spend_pico_usd += earlier.spend_pico_usd;
        self.uncertain_spend_pico_usd += earlier.uncertain_spend_pico_usd;
        waits::add(&mut self.waits, &earlier.waits);
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
        WITH seen AS (
            SELECT * FROM jsonb_to_recordset($1) AS seen (
                endpoint text, model text, abilities jsonb, last_success_at timestamptz,
                last_failure_at timestamptz, last_failure text, answered bigint, refused bigint,
                failed bigint, usage_estimated bigint, latency_ms_total bigint,
                last_latency_ms bigint, latency_buckets bigint[], input_tokens bigint,
                input_token_buckets bigint[], output_tokens bigint, output_token_buckets bigint[],
                cached_input_tokens bigint, reasoning_output_tokens bigint, spend_pico_usd bigint,
                uncertain_spend_pico_usd bigint, waits jsonb
            )
        ), waiting AS (
            INSERT INTO endpoint_waits AS known (endpoint, model, cause, waits, waited_ms)
            SELECT endpoint, model, cause, (waited->>'waits')::bigint,
                   (waited->>'waited_ms')::bigint
            FROM seen CROSS JOIN jsonb_each(seen.waits) AS each (cause, waited)
            ORDER BY endpoint, model, cause
            ON CONFLICT (endpoint, model, cause) DO UPDATE SET
                waits = known.waits + excluded.waits,
                waited_ms = known.waited_ms + excluded.waited_ms
        )
        INSERT INTO endpoint_models AS known (
            endpoint, model, abilities, abilities_found_at, last_success_at, last_failure_at,
            last_failure, answered, refused, failed, usage_estimated, latency_ms_total,
            last_latency_ms, latency_buckets, input_tokens, input_token_buckets, output_tokens,
            output_token_buckets, cached_input_tokens, reasoning_output_tokens, spend_pico_usd,
            uncertain_spend_pico_usd
        )
        SELECT endpoint, model, coalesce(abilities, '{}'),
               CASE WHEN abilities IS NOT NULL THEN $2::timestamptz END,
               last_success_at, last_failure_at, last_failure, answered, refused, failed,
               usage_estimated, latency_ms_total, last_latency_ms, latency_buckets, input_tokens,
               input_token_buckets, output_tokens, output_token_buckets, cached_input_tokens,
               reasoning_output_tokens, spend_pico_usd, uncertain_spend_pico_usd
        FROM seen
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
            last_latency_ms = coalesce(excluded.last_latency_ms, known.last_latency_ms),
            latency_buckets = ARRAY(
                SELECT one + other
                FROM unnest(known.latency_buckets, excluded.latency_buckets)
                    WITH ORDINALITY AS pair (one, other, at)
                ORDER BY at
            ),
            input_tokens = known.input_tokens + excluded.input_tokens,
            input_token_buckets = ARRAY(
                SELECT one + other
                FROM unnest(known.input_token_buckets, excluded.input_token_buckets)
                    WITH ORDINALITY AS pair (one, other, at)
                ORDER BY at
            ),
            output_tokens = known.output_tokens + excluded.output_tokens,
            output_token_buckets = ARRAY(
                SELECT one + other
                FROM unnest(known.output_token_buckets, excluded.output_token_buckets)
                    WITH ORDINALITY AS pair (one, other, at)
                ORDER BY at
            ),
            cached_input_tokens = known.cached_input_tokens + excluded.cached_input_tokens,
            reasoning_output_tokens =
                known.reasoning_output_tokens + excluded.reasoning_output_tokens,
            spend_pico_usd = known.spend_pico_usd + excluded.spend_pico_usd,
            uncertain_spend_pico_usd =
                known.uncertain_spend_pico_usd + excluded.uncertain_spend_pico_usd
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
               last_latency_ms, latency_buckets, input_tokens, input_token_buckets, output_tokens,
               output_token_buckets, cached_input_tokens, reasoning_output_tokens, spend_pico_usd,
               uncertain_spend_pico_usd,
               (
                   SELECT jsonb_object_agg(
                       cause, jsonb_build_object('waits', waits, 'waited_ms', waited_ms)
                   )
                   FROM endpoint_waits
                   WHERE (endpoint_waits.endpoint, endpoint_waits.model)
                       = (endpoint_models.endpoint, endpoint_models.model)
               ) AS waits
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
                    latency_buckets: to_buckets(&row.latency_buckets)?,
                    input_tokens: to_u64("input tokens", row.input_tokens)?,
                    input_token_buckets: to_buckets(&row.input_token_buckets)?,
                    output_tokens: to_u64("output tokens", row.output_tokens)?,
                    output_token_buckets: to_buckets(&row.output_token_buckets)?,
                    cached_input_tokens: to_u64("cached tokens", row.cached_input_tokens)?,
                    reasoning_output_tokens: to_u64(
                        "reasoning tokens",
                        row.reasoning_output_tokens,
                    )?,
                    spend_pico_usd: to_u64("spend", row.spend_pico_usd)?,
                    uncertain_spend_pico_usd: to_u64(
                        "uncertain spend",
                        row.uncertain_spend_pico_usd,
                    )?,
                    waits: to_waits(row.waits),
                },
                abilities_found_at: found_at,
            })
        })
        .collect()
}

fn to_buckets(counts: &[i64]) -> Result<Buckets> {
    let counts = counts.iter().map(|count| to_u64("buckets", *count));
    let counts: Vec<u64> = counts.collect::<Result<_>>()?;
    let counts = <[u64; _]>::try_from(counts.as_slice()).map_err(|error| Error::Corrupt {
        what: "buckets",
        source: Box::new(error),
    })?;
    Ok(Buckets::new(counts))
}

/// Causes that another version wrote and this one does not know are left aside.
fn to_waits(waits: Option<Value>) -> Waits {
    let Some(Value::Object(waits)) = waits else {
        return Waits::new();
    };
    let waits = waits.into_iter().filter_map(|(cause, waited)| {
        let waited: Waited = serde_json::from_value(waited).ok()?;
        Some((cause.parse().ok()?, waited))
    });
    waits.collect()
}
