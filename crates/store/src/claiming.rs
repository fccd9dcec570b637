//! Claiming: which job a worker takes next.
//!
//! There are two ways, each by an index that has the jobs in order and none that have ended, so that a
//! claim reads a bounded number of rows whatever stands in the table. No claim waits for another: what
//! another one holds is passed over.
//!
//! - **Jobs whose lease ran out**, the longest ago first. Such a job has been paid for, and its owner has
//!   waited. They cannot keep the others waiting for ever, since a job comes back this way only as often
//!   as it loses workers, which the caller bounds by [`Claimed::lost_attempts`] where nothing came of it.
//! - **Jobs that wait.** Those that were begun go before those that were not, since they are paid for
//!   already. Then the priority counts, then which owner has the fewest jobs running, then the age. Where
//!   more owners wait than [`OWNERS`], so many of them are looked at, from a random one on.

use crate::claim::Claim;
use crate::{Result, attempts, events, requests, to_integer, to_u32};
use chrono::{DateTime, Utc};
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::job::Priority;
use frugal_domain::state::AttemptEnding;
use sqlx::PgConnection;
use sqlx::types::Uuid;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The most owners that one claim compares.
const OWNERS: i32 = 32;

/// The most running jobs of one owner that a claim counts, unless a limit lies higher: whoever has as
/// many is served after the others.
const COUNTED: i32 = 64;

/// The most jobs that are woken at once.
const WOKEN: i64 = 100;

/// How many leases are looked at for the one that may be claimed first: more than rest at once.
const NEXT_LEASES: i64 = 32;

/// The advisory lock of claims that are held to a limit: any number that nobody else uses.
const LIMITED_CLAIMS: i64 = 0x6672_7567_616c_0001;

/// Who claims jobs, and on which terms.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The worker's name.
    pub worker: &'a str,
    /// How long it may then stay silent.
    pub lease_seconds: u32,
    /// Whether it takes jobs whose lease ran out. One that could not reach the database itself leaves
    /// them alone for a while: their workers may have been cut off too, and come back now.
    pub takes_overdue: bool,
    /// The most jobs of one owner that may run at once.
    pub most_running_per_owner: Option<u32>,
    /// The version of its decisions. It takes no job that another version has decided steps of.
    pub decisions: u32,
    /// The only job that it takes; any where none is named.
    pub only: Option<JobId>,
}

impl<'a> Claimant<'a> {
    /// One that takes whatever it may, with the first version of decisions.
    #[must_use]
    pub const fn new(worker: &'a str, lease_seconds: u32) -> Self {
        Self {
            worker,
            lease_seconds,
            takes_overdue: true,
            most_running_per_owner: None,
            decisions: 1,
            only: None,
        }
    }
}

/// A job as a worker finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// What its writes name.
    pub claim: Claim,
    /// Attempts in a row before this one whose worker was lost, and that had settled no request
    /// and ended no trial. Attempts that were given back count neither way.
    pub lost_attempts: u32,
    /// The version that decided the job's first steps, where that is another one.
    pub decided_before: Option<u32>,
}

/// A job that was taken, with when its last worker was lost, where one was.
struct Taken {
    id: Uuid,
    attempt: i32,
    lost_attempts: i32,
    decided_before: Option<i32>,
    lost_at: Option<DateTime<Utc>>,
}

/// Claims a job, if there is one to be had. Requests that its last worker had in flight become `lost`,
/// at their worst case: they may have been billed.
///
/// Jobs that one process drove come back together when it is killed, and the one that breaks
/// workers would take the others with it each time. So a job that has lost attempts in a row rests
/// for a while once its lease has run out: each for a time of its own, of up to one lease for each
/// attempt counted.
///
/// Where owners are held to a limit, such claims go one after the other until their transactions end.
///
/// Those who follow the job are to be told of it by [`events::tell`] after the transaction, so that claims are
/// committed beside one another.
///
/// # Errors
/// The database is away.
pub async fn claim(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Claimed>> {
    let taken = match claimant.only {
        Some(job) => take_named(&mut *connection, claimant, job, now).await?,
        None => match take_overdue(&mut *connection, claimant, now).await? {
            Some(overdue) => Some(overdue),
            None => take_waiting(&mut *connection, claimant, now).await?,
        },
    };
    match taken {
        Some(taken) => Ok(Some(begin(connection, taken, now).await?)),
        None => Ok(None),
    }
}

/// Claims a job that another version has decided steps of and no worker of that version has taken up
/// again for so long. From now on it is decided by this version; which one it was before is kept, and
/// told by [`Claimed::decided_before`] and of every later claim. Those who follow it are told as with [`claim`].
///
/// # Errors
/// The database is away.
pub async fn claim_of_others(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    waited: Duration,
    now: DateTime<Utc>,
) -> Result<Option<Claimed>> {
    let taken = sqlx::query_as!(
        Taken,
        r#"
        WITH waits AS (
            SELECT jobs.id, jobs.worker IS NOT NULL AS lost, jobs.lease_expires_at
            FROM jobs LEFT JOIN attempts
                ON attempts.job_id = jobs.id AND attempts.number = jobs.attempt
            WHERE (jobs.decided_by BETWEEN 1 AND $4 - 1 OR jobs.decided_by > $4)
              AND ($6::uuid IS NULL OR jobs.id = $6)
              AND (
                  jobs.state IN ('running', 'pausing', 'cancelling')
                  AND jobs.lease_expires_at < now() - make_interval(secs => $5)
                  OR jobs.state = 'queued' AND NOT jobs.dormant
                  AND coalesce(attempts.ended_at, jobs.started_at)
                      < now() - make_interval(secs => $5)
              )
            LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
        ), claimed AS (
            UPDATE jobs SET
                state = CASE WHEN state = 'queued' THEN 'running' ELSE state END,
                attempt = attempt + 1,
                worker = $1,
                lease_expires_at = now() + make_interval(secs => $2),
                decided_before = decided_by,
                decided_by = $4
            WHERE id = (SELECT id FROM waits)
            RETURNING id, attempt, lost_attempts, decided_before
        ), begun AS (
            INSERT INTO attempts (job_id, number, worker, started_at)
            SELECT id, attempt, $1, $3 FROM claimed
        )
        SELECT id, attempt, lost_attempts, decided_before,
               (SELECT lease_expires_at FROM waits WHERE lost) AS lost_at
        FROM claimed
        "#,
        claimant.worker,
        f64::from(claimant.lease_seconds),
        now,
        to_integer("version of decisions", claimant.decisions)?,
        waited.as_secs_f64(),
        claimant.only.map(|job| job.0)
    )
    .fetch_optional(&mut *connection)
    .await?;
    match taken {
        Some(taken) => Ok(Some(begin(connection, taken, now).await?)),
        None => Ok(None),
    }
}

/// Does what is to be done when a job was taken: says what became of the last attempt, and that this one
/// has begun.
async fn begin(connection: &mut PgConnection, taken: Taken, now: DateTime<Utc>) -> Result<Claimed> {
    let claim = Claim {
        job: JobId(taken.id),
        attempt: taken.attempt,
    };
    let lost_attempts = match taken.lost_at {
        Some(lost_at) => {
            let last = Claim {
                attempt: claim.attempt - 1,
                ..claim
            };
            attempts::end(&mut *connection, last, AttemptEnding::Lost, None, lost_at).await?;
            count_lost(&mut *connection, claim).await?
        }
        None => taken.lost_attempts,
    };
    // The first worker finds no requests.
    if claim.attempt > 1 {
        requests::abandon(&mut *connection, claim.job, now).await?;
    }
    let running = EventBody::JobRunning {
        attempt: claim.attempt,
    };
    events::append_untold(connection, claim.job, &[running], now).await?;
    let decided_before = taken.decided_before;
    Ok(Claimed {
        claim,
        lost_attempts: to_u32("lost attempts", lost_attempts)?,
        decided_before: decided_before
            .map(|version| to_u32("version of decisions", version))
            .transpose()?,
    })
}

/// Takes a job where it waits or its lease ran out, before all others and whatever they are.
async fn take_named(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Option<Taken>> {
    let taken = sqlx::query_as!(
        Taken,
        r#"
        WITH named AS (
            SELECT id, state <> 'queued' AND worker IS NOT NULL AS lost, lease_expires_at FROM jobs
            WHERE id = $4 AND decided_by IN (0, $5) AND (
                state = 'queued' AND NOT dormant
                OR state IN ('running', 'pausing', 'cancelling') AND lease_expires_at < now()
            )
            FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE jobs SET
                state = CASE WHEN state = 'queued' THEN 'running' ELSE state END,
                attempt = attempt + 1,
                worker = $1,
                lease_expires_at = now() + make_interval(secs => $2),
                started_at = coalesce(started_at, $3),
                decided_by = $5
            WHERE id = (SELECT id FROM named)
            RETURNING id, attempt, lost_attempts, decided_before
        ), begun AS (
            INSERT INTO attempts (job_id, number, worker, started_at)
            SELECT id, attempt, $1, $3 FROM claimed
        )
        SELECT id, attempt, lost_attempts, decided_before,
               (SELECT lease_expires_at FROM named WHERE lost) AS lost_at
        FROM claimed
        "#,
        claimant.worker,
        f64::from(claimant.lease_seconds),
        now,
        job.0,
        to_integer("version of decisions", claimant.decisions)?
    )
    .fetch_optional(connection)
    .await?;
    Ok(taken)
}

/// Takes the job whose lease ran out first.
async fn take_overdue(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Taken>> {
    let taken = sqlx::query_as!(
        Taken,
        r#"
        WITH overdue AS (
            SELECT id, worker IS NOT NULL AS lost, lease_expires_at FROM jobs
            WHERE state IN ('running', 'pausing', 'cancelling') AND decided_by = $5
              AND lease_expires_at < now() AND ($4 OR worker IS NULL)
              AND lease_expires_at < now() - make_interval(secs =>
                  $2::float8 * lost_attempts
                  * (hashtextextended(id::text, attempt) & 1023) / 1024.0)
            ORDER BY lease_expires_at
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE jobs SET
                attempt = attempt + 1,
                worker = $1,
                lease_expires_at = now() + make_interval(secs => $2)
            WHERE id = (SELECT id FROM overdue)
            RETURNING id, attempt, lost_attempts, decided_before
        ), begun AS (
            INSERT INTO attempts (job_id, number, worker, started_at)
            SELECT id, attempt, $1, $3 FROM claimed
        )
        SELECT id, attempt, lost_attempts, decided_before,
               (SELECT lease_expires_at FROM overdue WHERE lost) AS lost_at
        FROM claimed
        "#,
        claimant.worker,
        f64::from(claimant.lease_seconds),
        now,
        claimant.takes_overdue,
        to_integer("version of decisions", claimant.decisions)?
    )
    .fetch_optional(connection)
    .await?;
    Ok(taken)
}

/// Takes a job that waits: one that was begun, or else one that was not.
async fn take_waiting(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Taken>> {
    if claimant.most_running_per_owner.is_some() {
        // Before the jobs are counted, so that what is counted stands until this claim does.
        sqlx::query!("SELECT pg_advisory_xact_lock($1)", LIMITED_CLAIMS)
            .execute(&mut *connection)
            .await?;
    }
    let own = to_integer("version of decisions", claimant.decisions)?;
    for decided_by in [own, 0] {
        let mut highest = Priority::HIGHEST.get();
        while highest >= Priority::LOWEST.get() {
            match take_of_class(&mut *connection, claimant, decided_by, highest, now).await? {
                None => break,
                Some((_, Some(taken))) => return Ok(Some(taken)),
                // All owners of such jobs have as many running as they may, or others are at them.
                Some((priority, None)) => highest = priority - 1,
            }
        }
    }
    Ok(None)
}

/// Takes a job of the highest priority that any has of those that were decided by a version, no higher
/// than `highest`; tells that priority even where no job of it may be taken.
async fn take_of_class(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    decided_by: i32,
    highest: i16,
    now: DateTime<Utc>,
) -> Result<Option<(i16, Option<Taken>)>> {
    let limit = claimant
        .most_running_per_owner
        .map(|limit| to_integer("limit on running jobs", limit))
        .transpose()?;
    // The hasher's keys are the standard library's one source of randomness.
    let from = i64::try_from(RandomState::new().hash_one(0) >> 1).unwrap_or_default();
    // `owners` goes from one owner to the next by the index, round from a random one to all of them,
    // until enough were found that may have a job more. Its first row is no owner.
    let row = sqlx::query!(
        r#"
        WITH RECURSIVE top AS (
            SELECT priority FROM jobs
            WHERE state = 'queued' AND NOT dormant AND decided_by = $5 AND priority <= $6
            ORDER BY priority DESC LIMIT 1
        ), owners (owner_key, place, wrapped, found, may_run) AS (
            SELECT $7::bigint, 0::bigint, false, 0, false
            UNION ALL
            SELECT next.owner_key, next.place, next.wrapped, owners.found + next.may_run::integer,
                   next.may_run
            FROM owners CROSS JOIN top CROSS JOIN LATERAL (
                SELECT one.*, $8::integer IS NULL OR (
                    SELECT count(*) FROM (
                        SELECT FROM jobs AS running
                        WHERE running.owner_key = one.owner_key
                          AND running.lease_expires_at IS NOT NULL
                        LIMIT $8
                    ) AS counted
                ) < $8 AS may_run
                FROM (
                    (
                        SELECT owner_key, place, false AS wrapped FROM jobs
                        WHERE state = 'queued' AND NOT dormant AND decided_by = $5
                          AND priority = top.priority AND NOT owners.wrapped
                          AND jobs.owner_key > owners.owner_key
                        ORDER BY owner_key, place LIMIT 1
                    ) UNION ALL (
                        SELECT owner_key, place, true FROM jobs
                        WHERE state = 'queued' AND NOT dormant AND decided_by = $5
                          AND priority = top.priority AND jobs.owner_key <= $7
                          AND jobs.owner_key > CASE WHEN owners.wrapped THEN owners.owner_key ELSE -1 END
                        ORDER BY owner_key, place LIMIT 1
                    )
                ) AS one
                ORDER BY one.wrapped LIMIT 1
            ) AS next
            WHERE owners.found < $9
        ), candidates AS MATERIALIZED (
            SELECT owner_key FROM (
                SELECT owner_key, place, CASE WHEN (SELECT max(found) FROM owners) > 1 THEN (
                    SELECT count(*) FROM (
                        SELECT FROM jobs AS running
                        WHERE running.owner_key = owners.owner_key
                          AND running.lease_expires_at IS NOT NULL
                        LIMIT greatest($8, $10)
                    ) AS counted
                ) ELSE 0 END AS running
                FROM owners WHERE may_run
            ) AS counted
            ORDER BY running, place
        ), chosen AS (
            SELECT job.id FROM candidates CROSS JOIN LATERAL (
                SELECT id FROM jobs
                WHERE state = 'queued' AND NOT dormant AND decided_by = $5
                  AND priority = (SELECT priority FROM top)
                  AND jobs.owner_key = candidates.owner_key
                ORDER BY place LIMIT 1
                FOR UPDATE SKIP LOCKED
            ) AS job
            LIMIT 1
        ), claimed AS (
            UPDATE jobs SET
                state = 'running',
                attempt = attempt + 1,
                worker = $1,
                lease_expires_at = now() + make_interval(secs => $2),
                started_at = coalesce(started_at, $3),
                decided_by = $4
            WHERE id = (SELECT id FROM chosen)
            RETURNING id, attempt, lost_attempts, decided_before
        ), begun AS (
            INSERT INTO attempts (job_id, number, worker, started_at)
            SELECT id, attempt, $1, $3 FROM claimed
        )
        SELECT top.priority AS "priority!", claimed.id AS "id?", claimed.attempt AS "attempt?",
               claimed.lost_attempts AS "lost_attempts?", claimed.decided_before
        FROM top LEFT JOIN claimed ON true
        "#,
        claimant.worker,
        f64::from(claimant.lease_seconds),
        now,
        to_integer("version of decisions", claimant.decisions)?,
        decided_by,
        highest,
        from,
        limit,
        OWNERS,
        COUNTED
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let taken = match (row.id, row.attempt, row.lost_attempts) {
            (Some(id), Some(attempt), Some(lost_attempts)) => Some(Taken {
                id,
                attempt,
                lost_attempts,
                decided_before: row.decided_before,
                lost_at: None,
            }),
            _ => None,
        };
        (row.priority, taken)
    }))
}

/// Counts the attempt before this one as lost, or starts to count anew where it got on: where it
/// settled a request, or told of a step or the end of a trial.
async fn count_lost(connection: &mut PgConnection, claim: Claim) -> Result<i32> {
    let lost_attempts = sqlx::query_scalar!(
        r#"
        UPDATE jobs SET lost_attempts = CASE
            WHEN EXISTS (
                SELECT FROM requests
                WHERE job_id = $1 AND attempt = $2 AND state IN ('answered', 'failed')
            ) OR EXISTS (
                SELECT FROM events
                WHERE job_id = $1 AND type LIKE 'trial.%'
                  AND type NOT IN ('trial.started', 'trial.enqueued')
                  AND seq > (
                      SELECT seq FROM events WHERE job_id = $1 AND type = 'job.running'
                      ORDER BY seq DESC LIMIT 1
                  )
            ) THEN 0
            ELSE lost_attempts + 1
        END
        WHERE id = $1
        RETURNING lost_attempts
        "#,
        claim.job.0,
        claim.attempt - 1
    )
    .fetch_one(connection)
    .await?;
    Ok(lost_attempts)
}

/// Wakes jobs that were not to be begun before a moment that has come, the first ones first, and tells
/// how many.
///
/// # Errors
/// The database is away.
pub async fn wake(connection: &mut PgConnection) -> Result<u64> {
    let woken = sqlx::query!(
        r#"
        UPDATE jobs SET dormant = false WHERE id = ANY(ARRAY(
            SELECT id FROM jobs WHERE state = 'queued' AND dormant AND not_before <= now()
            ORDER BY not_before LIMIT $1
            FOR UPDATE SKIP LOCKED
        ))
        "#,
        WOKEN
    )
    .execute(connection)
    .await?;
    Ok(woken.rows_affected())
}

/// How long it takes until a job may be claimed though nothing is told of it: until the first of the
/// leases that are held now runs out, should its worker say nothing more, or the first moment comes that
/// a job waits for. Nothing where there is neither.
///
/// # Errors
/// The database is away.
pub async fn next_due(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
) -> Result<Option<Duration>> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT extract(epoch FROM min(due) - clock_timestamp())::float8 FROM (
            (
                SELECT lease_expires_at + make_interval(secs =>
                           $1::float8 * lost_attempts
                           * (hashtextextended(id::text, attempt) & 1023) / 1024.0) AS due
                FROM jobs
                WHERE state IN ('running', 'pausing', 'cancelling') AND decided_by = $2 AND $3
                ORDER BY lease_expires_at LIMIT $4
            ) UNION ALL (
                SELECT not_before FROM jobs WHERE state = 'queued' AND dormant
                ORDER BY not_before LIMIT 1
            )
        ) AS moments
        "#,
        f64::from(claimant.lease_seconds),
        to_integer("version of decisions", claimant.decisions)?,
        claimant.takes_overdue,
        NEXT_LEASES
    )
    .fetch_one(connection)
    .await?;
    let due = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    Ok(seconds.and_then(due))
}
