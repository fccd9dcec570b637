//! What claiming a job costs: claims per second and the time of one, by processes that claim at once and by
//! what else stands in the table. Each process is this program once more.
//!
//! `.ci/bench-claims`, which starts a throwaway PostgreSQL for it; or with a server of one's own
//! `FRUGAL_TEST_DATABASE_URL=… cargo run --release -p frugal-store --example claims`. It makes a
//! database there and drops it.

use chrono::Utc;
use frugal_store::PgPool;
use frugal_store::events;
use frugal_store::queue::{self, Claimant};
use sqlx::Postgres;
use sqlx::migrate::MigrateDatabase;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Jobs that wait, and jobs that have ended before them.
const JOBS: i32 = 100_000;
/// Claims that are timed in each part.
const CLAIMS: usize = 6_000;
/// Processes that claim at once.
const PROCESSES: [usize; 3] = [1, 4, 16];
/// Claims of each process before it is timed: connections and statements are new at first.
const WARM_UP: usize = 50;
/// Claims that are timed of jobs that wait alone.
const ALONE: usize = 100;
/// No lease runs out while this lasts.
const LEASE_SECONDS: u32 = 3_600;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [url, name, count] = arguments.as_slice() {
        return claim_many(url, name, count.parse()?).await;
    }
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
    for count in PROCESSES {
        let mut claimers = Vec::new();
        for number in 0..count {
            claimers.push(Claimer::start(url, number, CLAIMS / count)?);
        }
        for claimer in &mut claimers {
            claimer.is_ready()?;
        }
        let begun = Instant::now();
        for claimer in &mut claimers {
            claimer.go()?;
        }
        let mut times = Vec::with_capacity(CLAIMS);
        for claimer in claimers {
            times.extend(claimer.times()?);
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        writeln!(
            out,
            "  {count:>2} processes at once: {rate:>6.0} claims a second, {}",
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

/// A process that claims jobs.
struct Claimer {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Claimer {
    fn start(url: &str, number: usize, count: usize) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([url, &format!("claimer-{number}"), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = process.stdout.take().ok_or("its output is piped")?;
        Ok(Self {
            process,
            said: BufReader::new(said),
        })
    }

    /// Waits until it has a connection.
    fn is_ready(&mut self) -> Result<()> {
        self.said.read_line(&mut String::new())?;
        Ok(())
    }

    fn go(&mut self) -> Result<()> {
        let mut told = self.process.stdin.take().ok_or("its input is piped")?;
        Ok(writeln!(told)?)
    }

    /// How long each of its claims took, once it has made them.
    fn times(mut self) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for line in self.said.lines() {
            times.push(Duration::from_micros(line?.parse()?));
        }
        match self.process.wait()?.success() {
            true => Ok(times),
            false => Err("a process that claims has failed".into()),
        }
    }
}

/// Claims so many jobs once it is told to, and tells how long each took, in microseconds.
async fn claim_many(url: &str, name: &str, count: usize) -> Result<()> {
    let pool = frugal_store::connect(url, 1)?;
    for _ in 0..WARM_UP {
        claim(&pool, name).await?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    std::io::stdin().read_line(&mut String::new())?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(claim(&pool, name).await?);
    }
    for time in times {
        writeln!(out, "{}", time.as_micros())?;
    }
    pool.close().await;
    Ok(())
}

/// Claims one job as a worker does, and says how long it took with the commit; then it tells those who follow.
async fn claim(pool: &PgPool, worker: &str) -> Result<Duration> {
    let begun = Instant::now();
    let mut transaction = pool.begin().await?;
    let claimant = Claimant::new(worker, LEASE_SECONDS);
    let claimed = queue::claim(&mut transaction, &claimant, Utc::now()).await?;
    transaction.commit().await?;
    let took = begun.elapsed();
    let claimed = claimed.ok_or("no job was left to claim")?;
    events::tell(&mut *pool.acquire().await?, claimed.claim.job).await?;
    Ok(took)
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
