//! A soak: random clients ask things of jobs for a long time, while workers are killed and connections break,
//! and retention removes what is old. The memory of the processes that live on, the connections and the size of
//! the database are looked at all the while, and must not grow once things have settled.
#![expect(
    clippy::expect_used,
    reason = "a world that does not start fails here, as it would at an assertion"
)]

use crate::blackbox::{self, Outcome, Pace, World};
use crate::checks;
use crate::processes::resident_kib;
use sqlx::{Connection, PgConnection};
use std::fmt;
use std::time::{Duration, Instant};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);

/// How often a worker is killed.
const KILL: Duration = Duration::from_secs(15);

/// How long after they were posted jobs are left to themselves: none of them is old enough to be removed.
const LEAVE_AFTER: Duration = Duration::from_secs(45);

/// The shortest times that a server keeps things.
const RETENTION: &str = "[retention]\nevents = \"1m\"\nresponses = \"1m\"\njobs = \"1m\"\n";

/// One in so many commits breaks its connection.
const CUT_ONE_IN: u32 = 500;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides what is asked and what strikes.
    pub seed: u64,
    /// How long.
    pub time: Duration,
    /// Clients at the same time.
    pub clients: usize,
}

/// What was seen at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    /// Resident memory of the server and of the worker that is not killed, in KiB.
    server: u64,
    worker: u64,
    /// Connections to the database.
    connections: u64,
    /// Its size in KiB.
    database: u64,
    /// Jobs in it.
    jobs: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Soaked {
    samples: Vec<Sample>,
    /// What clients asked and were answered.
    pub outcome: Outcome,
    /// What grew, and what contradicts the model.
    pub violations: Vec<String>,
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outcome)?;
        writeln!(
            f,
            "seconds  server MiB  worker MiB  connections  database MiB  jobs in it"
        )?;
        let each_minute = 60 / EVERY.as_secs().max(1);
        let each_minute = usize::try_from(each_minute).unwrap_or(1);
        for sample in self.samples.iter().step_by(each_minute) {
            let mib = |kib: u64| format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024);
            writeln!(
                f,
                "{:>7}  {:>10}  {:>10}  {:>11}  {:>12}  {:>10}",
                sample.at.as_secs(),
                mib(sample.server),
                mib(sample.worker),
                sample.connections,
                mib(sample.database),
                sample.jobs
            )?;
        }
        checks::write_verdict(
            f,
            &self.violations,
            "all of it is flat, and no answer contradicts the model",
        )
    }
}

/// Soaks real programs.
///
/// # Panics
/// Where programs do not start, or this is no Linux.
pub async fn run(plan: Plan) -> Soaked {
    let begun = Instant::now();
    let mut world = World::begin(plan.seed, Some(CUT_ONE_IN), RETENTION).await;
    let connection = PgConnection::connect(world.database_url()).await;
    let mut connection = connection.expect("the database is there");
    let pace = Pace::leaving(LEAVE_AFTER);
    let clients = blackbox::start(&world, plan.seed, plan.clients, &pace);
    let mut outcome = Outcome::default();
    let mut samples = Vec::new();
    let mut ticks = tokio::time::interval(EVERY);
    let mut killed = Instant::now();
    while begun.elapsed() < plan.time {
        ticks.tick().await;
        samples.push(look(&world, &mut connection, begun.elapsed()).await);
        if killed.elapsed() >= KILL {
            world.kill_youngest().await;
            outcome.workers_killed += 1;
            killed = Instant::now();
        }
    }
    blackbox::finish(&world, clients, &pace, &mut outcome).await;
    let closed = connection.close().await;
    closed.expect("the database is there");
    world.end().await;
    outcome.took = begun.elapsed();
    let mut violations = outcome.violations.clone();
    violations.extend(growth(&samples));
    Soaked {
        samples,
        outcome,
        violations,
    }
}

async fn look(world: &World, connection: &mut PgConnection, at: Duration) -> Sample {
    let [server, worker] = world.elders().map(resident_kib);
    let query = "SELECT (SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND pid <> pg_backend_pid()),
                        pg_database_size(current_database()) / 1024,
                        (SELECT count(*) FROM jobs)";
    let row: (i64, i64, i64) = sqlx::query_as(query)
        .fetch_one(connection)
        .await
        .expect("the database answers");
    let [connections, database, jobs] =
        [row.0, row.1, row.2].map(|count| u64::try_from(count).unwrap_or_default());
    Sample {
        at,
        server,
        worker,
        connections,
        database,
        jobs,
    }
}

/// What is looked at, with its name and by how much it may differ besides a tenth.
type Measure = (&'static str, fn(&Sample) -> u64, u64);

/// What grew between the third and the last quarter: in the first half connections and caches are made, and
/// nothing is old enough to be removed.
fn growth(samples: &[Sample]) -> Vec<String> {
    let quarter = samples.len() / 4;
    let part = |number: usize| {
        samples
            .get(quarter * number..quarter * (number + 1))
            .unwrap_or_default()
    };
    let (third, last) = (part(2), part(3));
    let measures: [Measure; 5] = [
        (
            "the memory of the server, in KiB,",
            |it| it.server,
            4 * 1024,
        ),
        (
            "the memory of the worker, in KiB,",
            |it| it.worker,
            4 * 1024,
        ),
        ("the number of connections", |it| it.connections, 3),
        (
            "the size of the database, in KiB,",
            |it| it.database,
            2 * 1024,
        ),
        ("the number of jobs that are kept", |it| it.jobs, 10),
    ];
    let grew = measures.iter().filter_map(|(what, of, slack)| {
        let (before, after) = (median(third, of), median(last, of));
        let most = before + before / 10 + slack;
        (after > most).then(|| format!("{what} grew from {before} to {after}"))
    });
    grew.collect()
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second| Sample {
            at: Duration::from_secs(second),
            server: memory(second),
            worker: 50_000,
            connections: 20 + second % 3,
            database: 90_000,
            jobs: 60,
        };
        (0..400).map(sample).collect()
    }

    #[test]
    fn what_grows_on_is_told_from_what_has_settled() {
        let settled = samples(|second| 40_000 + second.min(150) * 200 + second % 7 * 300);
        assert_eq!(growth(&settled), Vec::<String>::new());
        let growing = samples(|second| 40_000 + second * 200);
        assert_eq!(growth(&growing).len(), 1);
    }
}
