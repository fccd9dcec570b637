//! Retention: what jobs that have ended leave goes when it is old enough, beside the API or by hand.

use crate::config::{RetentionConfig, kept};
use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use frugal_store::retention::{self, Batch, Before, Due};
use frugal_store::{PgPool, Result, audit, jobs, webhooks};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a server looks for what is old enough.
const EVERY: Duration = Duration::from_secs(60);

/// What `frugal prune` takes.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Say what would go, and leave it
    #[arg(long)]
    pub dry_run: bool,
    /// Keep events so long after a job has ended, or `off`, in place of what [retention] says
    #[arg(long, value_name = "TIME", value_parser = kept_or_not)]
    pub events: Option<Kept>,
    /// Keep responses and their texts so long
    #[arg(long, value_name = "TIME", value_parser = kept_or_not)]
    pub responses: Option<Kept>,
    /// Keep jobs so long
    #[arg(long, value_name = "TIME", value_parser = kept_or_not)]
    pub jobs: Option<Kept>,
}

/// How long something is kept; nothing for ever.
#[derive(Debug, Clone, Copy)]
pub struct Kept(Option<Duration>);

fn kept_or_not(text: &str) -> Result<Kept, String> {
    kept(text).map(Kept)
}

impl PruneArgs {
    /// What the command goes by.
    fn limits(&self, configured: RetentionConfig) -> RetentionConfig {
        let over = |given: Option<Kept>, otherwise| given.map_or(otherwise, |Kept(kept)| kept);
        RetentionConfig {
            events: over(self.events, configured.events),
            responses: over(self.responses, configured.responses),
            jobs: over(self.jobs, configured.jobs),
            ..configured
        }
    }
}

/// Removes what is old enough, now and again, until `shutdown`. Any number of processes may do so.
pub async fn keep(pool: &PgPool, limits: RetentionConfig, shutdown: &CancellationToken) {
    let keeping = async {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = forget(pool, limits).await {
                tracing::warn!(%error, "cannot remove what is old of keys and of the audit; trying again");
            }
            match round(pool, limits, false).await {
                Ok(Removed { jobs: 0, .. }) => {}
                Ok(Removed { jobs, rows }) => {
                    tracing::info!(jobs, rows, "removed what is older than [retention] says");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot remove what is old enough; trying again");
                }
            }
        }
    };
    shutdown.run_until_cancelled(keeping).await;
}

/// How long deliveries to webhooks are kept.
const DELIVERIES: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Removes idempotency keys, deliveries and entries of the audit that are old enough; how many.
async fn forget(pool: &PgPool, limits: RetentionConfig) -> Result<u64> {
    let now = Utc::now();
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    if let Some(before) = since(limits.idempotency_keys, now) {
        loop {
            let batch = jobs::forget(&mut connection, before, retention::BATCH).await?;
            removed += batch;
            if batch == 0 {
                break;
            }
        }
    }
    if let Some(before) = since(Some(DELIVERIES), now) {
        loop {
            let batch = webhooks::prune(&mut connection, before, retention::BATCH).await?;
            removed += batch;
            if batch == 0 {
                break;
            }
        }
    }
    if let Some(before) = since(limits.audit, now) {
        loop {
            let batch = audit::prune(&mut connection, before, retention::BATCH).await?;
            removed += batch;
            if batch == 0 {
                break;
            }
        }
    }
    Ok(removed)
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default)]
struct Removed {
    /// How often something of a job went.
    jobs: u64,
    rows: u64,
}

/// Removes all that is old enough at this moment, batch by batch.
async fn round(pool: &PgPool, limits: RetentionConfig, waits: bool) -> Result<Removed> {
    let now = Utc::now();
    let before = before(limits, now);
    let mut removed = Removed::default();
    loop {
        let mut transaction = pool.begin().await?;
        let batch = retention::prune(&mut transaction, before, waits, now).await?;
        transaction.commit().await?;
        match batch {
            Batch::Part { rows } => removed.rows += rows,
            Batch::Whole { rows } => {
                removed.jobs += 1;
                removed.rows += rows;
            }
            Batch::Nothing | Batch::Elsewhere => return Ok(removed),
        }
    }
}

/// When what is old enough now must have ended.
fn before(limits: RetentionConfig, now: DateTime<Utc>) -> Before {
    Before {
        events: since(limits.events, now),
        responses: since(limits.responses, now),
        jobs: since(limits.jobs, now),
    }
}

/// When what is kept so long began at the earliest.
fn since(kept: Option<Duration>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let kept = TimeDelta::from_std(kept?).ok()?;
    now.checked_sub_signed(kept)
}

/// Removes what is old enough, or says what that is; returns what to print.
///
/// # Errors
/// Nothing is to go, or the database is away.
pub async fn prune(
    pool: &PgPool,
    args: &PruneArgs,
    configured: RetentionConfig,
) -> anyhow::Result<String> {
    let limits = args.limits(configured);
    if limits.keeps_jobs() {
        bail!(
            "nothing is to go: say how long what is kept, in [retention] of frugal.toml or as in `frugal prune --responses 30d`"
        );
    }
    if args.dry_run {
        let mut connection = pool.acquire().await.context("the database is away")?;
        let before = before(limits, Utc::now());
        let due = retention::due(&mut connection, before)
            .await
            .context("cannot count what would go")?;
        return Ok(listing(before, due));
    }
    let forgotten = forget(pool, limits).await;
    let removed = round(pool, limits, true)
        .await
        .context("cannot remove what is old enough; what went so far is gone, so run it again")?;
    let forgotten = forgotten
        .context("what is old of idempotency keys and of the audit could not be removed")?;
    Ok(format!("{} rows went.\n", removed.rows + forgotten))
}

/// What would go, a line for each kind that something is said of.
fn listing(before: Before, due: Due) -> String {
    let mut text = String::new();
    let mut line = |before: Option<DateTime<Utc>>, what: String| {
        if let Some(before) = before {
            let before = before.format("%Y-%m-%d %H:%M:%S UTC");
            text.push_str(&format!("Ended before {before}: {what}\n"));
        }
    };
    let Due {
        jobs,
        requests,
        jobs_with_responses,
        responses,
        text_bytes,
        jobs_with_events,
        events,
    } = due;
    line(
        before.jobs,
        format!("{jobs} jobs would go, with {requests} requests and all else of them"),
    );
    line(
        before.responses,
        format!(
            "{responses} responses of {jobs_with_responses} more jobs would go, with {text_bytes} bytes of text"
        ),
    );
    line(
        before.events,
        format!("{events} events of {jobs_with_events} more jobs would go"),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_says_goes_before_the_file() {
        let day = Duration::from_secs(24 * 3_600);
        let configured = RetentionConfig {
            events: Some(day),
            responses: Some(day),
            jobs: None,
            ..RetentionConfig::default()
        };
        let args = PruneArgs {
            dry_run: false,
            events: Some(Kept(None)),
            responses: None,
            jobs: Some(Kept(Some(2 * day))),
        };
        let limits = args.limits(configured);
        assert_eq!(
            (limits.events, limits.responses, limits.jobs),
            (None, Some(day), Some(2 * day))
        );
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        let before = before(limits, now);
        assert_eq!(before.events, None);
        assert_eq!(before.jobs, Some(now - TimeDelta::days(2)));
    }
}
