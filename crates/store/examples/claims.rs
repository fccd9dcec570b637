//! What claiming a job costs: claims per second and the time of one, by claimers at once and by
//! what else stands in the table.
//!
//! `.ci/bench-claims`, which starts a throwaway PostgreSQL for it; or with a server of one's own
//! `FRUGAL_TEST_DATABASE_URL=… cargo run --release -p frugal-store --example claims`. It makes a
//! database there and drops it.

use chrono::Utc;
use frugal_store::PgPool;
use frugal_store::queue::{self, Claimant};
use sqlx::Postgres;
use sqlx::migrate::MigrateDatabase;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Jobs that wait, and jobs that have ended before them.
const JOBS: i32 = 100_000;
/// Claims that are timed in each part.
const CLAIMS: usize = 3_000;
/// Claims that are timed of jobs that wait alone.
const ALONE: usize = 100;
/// No lease runs out while this lasts.
const LEASE_SECONDS: u32 = 3_600;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let server = std::env::var("FRUGAL_TEST_DATABASE_URL")
        .map_err(|_| "name a server in FRUGAL_TEST_DATABASE_URL, or run .ci/bench-claims")?;
    let (address, parameters) = server.split_once('?').unwrap_or((&server, ""));
    let (authority, _) = address
        .rsplit_once('/')
        .ok_or("FRUGAL_TEST_DATABASE_URL names no database")?;
    let name = Uuid::now_v7().simple();
    let url = format!("{authority}/frugal_claims_{name}?{parameters}");
    Postgres::create_database(&url).await?;
    let measured = measure(&url).await;
    Postgres::force_drop_database(&url).await?;
    measured
}

async fn measure(url: &str) -> Result<()> {
    let pool = frugal_store::connect(url, 20)?;
    frugal_store::migrate(&pool).await?;
    let mut out = std::io::stdout().lock();
    insert(&pool, "succeeded", JOBS).await?;
    vacuum(&pool).await?;
    writeln!(out, "a job that waits alone, {JOBS} ended before it")?;
    let mut times = Vec::with_capacity(ALONE);
    for _ in 0..ALONE {
        insert(&pool, "queued", 1).await?;
        times.push(claim(&pool, "alone").await?);
    }
    writeln!(out, "  {}", Times::of(times))?;

    insert(&pool, "queued", JOBS).await?;
    vacuum(&pool).await?;
    writeln!(out, "{JOBS} jobs wait, {JOBS} ended before them")?;
    for claimers in [1, 4, 16] {
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for claimer in 0..claimers {
            let (pool, name) = (pool.clone(), format!("claimer-{claimer}"));
            running.spawn(async move {
                let mut times = Vec::new();
                for _ in 0..CLAIMS / claimers {
                    times.push(claim(&pool, &name).await?);
                }
                Ok(times)
            });
        }
        let mut times = Vec::with_capacity(CLAIMS);
        for one in running.join_all().await {
            times.extend(one.map_err(|error: Box<dyn Error + Send + Sync>| error)?);
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        writeln!(
            out,
            "  {claimers:>2} at once: {rate:>6.0} claims a second, {}",
            Times::of(times)
        )?;
    }
    let begun = Instant::now();
    let depth = queue::depth(&mut *pool.acquire().await?).await?;
    writeln!(
        out,
        "counting what is not done: {:?}, {depth:?}",
        begun.elapsed()
    )?;
    pool.close().await;
    Ok(())
}

/// Claims one job as a worker does, and says how long it took with the commit.
async fn claim(pool: &PgPool, worker: &str) -> Result<Duration> {
    let begun = Instant::now();
    let mut transaction = pool.begin().await?;
    let claimant = Claimant::new(worker, LEASE_SECONDS);
    let claimed = queue::claim(&mut transaction, &claimant, Utc::now()).await?;
    transaction.commit().await?;
    claimed.ok_or("no job was left to claim")?;
    Ok(begun.elapsed())
}

/// Stores jobs in a state, newer than those that are there, of a size as jobs have.
async fn insert(pool: &PgPool, state: &str, count: i32) -> Result<()> {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "INSERT INTO jobs (id, labels, state, spec, progress, spend, created_at, finished_at)
         SELECT id, '{}', $2, jsonb_build_object('prompt', repeat(md5(id::text), 30)), '{}', '{}',
                now(), CASE WHEN $2 = 'succeeded' THEN now() END
         FROM unnest($1::uuid[]) AS id",
    )
    .bind(&ids)
    .bind(state)
    .execute(pool)
    .await?;
    Ok(())
}

/// What PostgreSQL does by itself from time to time.
async fn vacuum(pool: &PgPool) -> Result<()> {
    sqlx::query("VACUUM ANALYZE jobs").execute(pool).await?;
    Ok(())
}

/// How long claims took.
struct Times {
    median: Duration,
    slow: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100);
        Self {
            median: at(50).copied().unwrap_or_default(),
            slow: at(99).copied().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "one takes {:.2} ms (median), {:.2} ms (99th percentile)",
            milliseconds(self.median),
            milliseconds(self.slow)
        )
    }
}
