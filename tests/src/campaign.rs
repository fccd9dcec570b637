//! A campaign of faults: real programs drive jobs while workers are killed, the database is stopped and
//! crashes, and the endpoint misbehaves. Afterwards everything is held against what must be so.
//!
//! What strikes when comes from the seed, and how much work goes on between two strikes too; where exactly
//! a worker is when it is killed is up to the machine. `cargo run -p frugal-tests --bin faults` runs a long
//! one, a test a short one.
#![expect(
    clippy::expect_used,
    reason = "a campaign whose programs do not start fails here, as it would at an assertion"
)]

mod jobs;

use crate::checks::{self, Exported, Witness};
use crate::client::ApiClient;
use crate::postgres;
use crate::processes::{Frugal, Setting};
use frugal::embedded_postgres::EmbeddedPostgres;
use frugal_simulator::{Latency, Simulator, SimulatorOptions, parse_faults};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// How long each answer of the endpoint takes at least, so that there is something in flight to lose.
const LATENCY: Duration = Duration::from_millis(20);

/// How much work is waited for before a strike, in requests that arrive at the endpoint.
const WORK: std::ops::RangeInclusive<u64> = 5..=60;

/// How long that is waited for: jobs whose workers were killed rest until their leases have run out.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long jobs may take to end once nothing strikes any more.
const ENOUGH: Duration = Duration::from_secs(300);

/// What is to happen.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides what strikes when, the faults of the endpoint and the jobs.
    pub seed: u64,
    /// How often a worker is killed.
    pub kills: usize,
    /// How often the database is stopped or crashes, by turns.
    pub crashes: usize,
    /// Worker processes, each with one job at a time.
    pub workers: usize,
    /// Jobs under way at the same time.
    pub jobs_at_once: usize,
    /// The share of requests that meet a fault at the endpoint, from 0 to 1.
    pub faults: f64,
    /// How long a silent worker keeps its job.
    pub lease_seconds: u32,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Jobs that were driven.
    pub jobs: usize,
    /// Workers that were killed.
    pub kills: usize,
    /// Times that the database was stopped.
    pub stops: usize,
    /// Times that it crashed.
    pub crashes: usize,
    /// Faults of the endpoint.
    pub faults: u64,
    /// Requests that have an answer on record.
    pub answered: u64,
    /// Requests that were in flight when their worker was lost.
    pub lost: u64,
    /// Answers that the endpoint gave once more.
    pub repeated: u64,
    /// Trials that were held against those of an undisturbed run.
    pub trials: usize,
    /// How long it took.
    pub took: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            jobs,
            kills,
            stops,
            crashes,
            faults,
            answered,
            lost,
            repeated,
            trials,
            took,
            violations,
        } = self;
        writeln!(
            f,
            "{jobs} jobs in {} s: {kills} workers killed, the database stopped {stops} times and crashed \
             {crashes} times, {faults} faults of the endpoint",
            took.as_secs()
        )?;
        writeln!(
            f,
            "{answered} requests answered, {lost} lost in flight, {repeated} answered twice by the endpoint; \
             {trials} trials held against an undisturbed run"
        )?;
        checks::write_verdict(f, violations, "nothing is wrong")
    }
}

/// What strikes.
#[derive(Debug, Clone, Copy)]
enum Strike {
    Kill,
    Stop,
    Crash,
}

/// A job of the campaign.
struct Driven {
    path: String,
    body: Value,
    has_ended: bool,
}

/// Runs a campaign.
///
/// # Panics
/// Where programs do not start, or jobs do not end.
pub async fn run(plan: Plan) -> Outcome {
    let begun = Instant::now();
    let directory = postgres::directory();
    let mut campaign = Campaign::begin(plan, directory.path()).await;
    campaign.strike_all().await;
    campaign.end_all().await;
    let mut outcome = campaign.judge().await;
    outcome.took = begun.elapsed();
    outcome
}

/// A campaign under way.
struct Campaign<'d> {
    plan: Plan,
    rng: ChaCha8Rng,
    directory: &'d Path,
    database: Option<EmbeddedPostgres>,
    simulator: Simulator,
    setting: Setting,
    server: Frugal,
    api: ApiClient,
    workers: Vec<Frugal>,
    jobs: Vec<Driven>,
    witness: Witness,
    outcome: Outcome,
}

impl<'d> Campaign<'d> {
    async fn begin(plan: Plan, directory: &'d Path) -> Self {
        let part = |share: f64| share * plan.faults;
        let faults = format!(
            "500={},503={},reset={},cut={},truncated={}",
            part(0.3),
            part(0.2),
            part(0.2),
            part(0.15),
            part(0.15)
        );
        let options = SimulatorOptions {
            seed: plan.seed,
            latency: Latency::constant(LATENCY),
            faults: parse_faults(&faults).expect("the faults are known"),
            ..SimulatorOptions::default()
        };
        let simulator = frugal_simulator::serve(options)
            .await
            .expect("the simulator starts");
        let database = start_database(directory).await;
        let mut setting = Setting::local(database.url(), &simulator.base_url());
        setting.lease_seconds = plan.lease_seconds;
        // With six attempts one request in a million would be given up.
        let limits = "[endpoints.local.limits]\nmax_attempts = 20\n";
        setting.endpoints.push_str(limits);
        let (mut server, url) = setting.serve(0).await;
        server.read_on();
        let mut campaign = Self {
            plan,
            rng: ChaCha8Rng::seed_from_u64(plan.seed),
            directory,
            database: Some(database),
            simulator,
            setting,
            server,
            api: ApiClient::new(&url),
            workers: Vec::new(),
            jobs: Vec::new(),
            witness: Witness::default(),
            outcome: Outcome::default(),
        };
        for _ in 0..plan.workers {
            campaign.add_worker().await;
        }
        campaign
    }

    async fn add_worker(&mut self) {
        let mut worker = self.setting.worker().await;
        worker.read_on();
        self.workers.push(worker);
    }

    /// Everything that is to strike, with work between.
    async fn strike_all(&mut self) {
        let kills = std::iter::repeat_n(Strike::Kill, self.plan.kills);
        let by_turns = [Strike::Crash, Strike::Stop].into_iter().cycle();
        let mut strikes: Vec<_> = kills.chain(by_turns.take(self.plan.crashes)).collect();
        strikes.shuffle(&mut self.rng);
        for strike in strikes {
            self.refill().await;
            let arrived = self.simulator.gate().progress().arrived;
            let more = self.rng.random_range(WORK);
            let working = self.simulator.gate().arrived(arrived + more);
            // Where all jobs rest, it strikes all the same.
            let _ = tokio::time::timeout(PATIENCE, working).await;
            let moment = Duration::from_micros(self.rng.random_range(0..30_000));
            tokio::time::sleep(moment).await;
            self.see().await;
            self.strike(strike).await;
        }
    }

    async fn strike(&mut self, strike: Strike) {
        match strike {
            Strike::Kill => {
                let worker = self.rng.random_range(0..self.workers.len());
                self.workers.swap_remove(worker).kill().await;
                self.outcome.kills += 1;
                self.add_worker().await;
            }
            Strike::Stop => {
                if let Some(database) = self.database.take() {
                    database.stop().await;
                }
                self.outcome.stops += 1;
                self.restart_database().await;
            }
            Strike::Crash => {
                if let Some(database) = self.database.take() {
                    let id = database.process_id().to_string();
                    let killed = Command::new("kill").args(["-KILL", &id]).status().await;
                    assert!(killed.expect("kill is there").success());
                    database.ended().await;
                    drop(database);
                }
                self.outcome.crashes += 1;
                self.restart_database().await;
            }
        }
    }

    /// Starts the database again, a moment later.
    async fn restart_database(&mut self) {
        let moment = Duration::from_millis(self.rng.random_range(0..1_500));
        tokio::time::sleep(moment).await;
        self.database = Some(start_database(self.directory).await);
    }

    /// Posts jobs in the place of those that have ended.
    async fn refill(&mut self) {
        self.look().await;
        let living = self.jobs.iter().filter(|job| !job.has_ended).count();
        for _ in living..self.plan.jobs_at_once {
            let number = self.jobs.len();
            // Requests of two jobs with different seeds are different ones.
            let seed = (self.plan.seed % 1_000_000) * 1_000 + number as u64;
            let body = jobs::job(number, seed);
            let response = self.api.post("/jobs", &body).await;
            if !response.status().is_success() {
                // The database is still on its way.
                return;
            }
            let created: Value = response.json().await.expect("the job is JSON");
            let path = created["links"]["self"].as_str();
            self.jobs.push(Driven {
                path: path.expect("a job has a path").to_owned(),
                body,
                has_ended: false,
            });
        }
    }

    /// Looks which jobs have ended.
    async fn look(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| !job.has_ended) {
            let response = self.api.get(&job.path).await;
            if response.status().is_success() {
                let shown: Value = response.json().await.expect("the job is JSON");
                job.has_ended = !shown["finished_at"].is_null();
            }
        }
    }

    /// Remembers what has been acknowledged so far: what a client sees is committed.
    async fn see(&mut self) {
        for (number, job) in (0..).zip(&self.jobs) {
            if !job.has_ended
                && let Some(export) = Exported::read(&self.api, &job.path).await
            {
                self.witness.saw(number, &export);
            }
        }
    }

    /// Waits until all jobs have ended.
    async fn end_all(&mut self) {
        let until = Instant::now() + ENOUGH;
        while self.jobs.iter().any(|job| !job.has_ended) {
            assert!(Instant::now() < until, "jobs do not end");
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.look().await;
        }
        for worker in self.workers.drain(..) {
            assert!(worker.stop().await, "a worker stops when it is asked to");
        }
    }

    /// Runs the same jobs undisturbed, and holds everything against what must be so.
    async fn judge(mut self) -> Outcome {
        let mut exports = Vec::new();
        for job in &self.jobs {
            let export = Exported::read(&self.api, &job.path).await;
            exports.push(export.expect("the database is there again"));
        }
        let statistics = self.simulator.statistics();
        let outcome = &mut self.outcome;
        outcome.jobs = exports.len();
        outcome.faults = statistics.faults.values().sum();
        outcome.repeated = statistics.repeated;
        let violations = &mut outcome.violations;
        for (number, export) in exports.iter().enumerate() {
            let of_job = checks::alone(export).into_iter();
            let of_job = of_job.chain(self.witness.missing(number, export));
            violations.extend(of_job.map(|what| format!("job {number}: {what}")));
        }
        let totals = checks::Totals::of(&exports);
        violations.extend(totals.against(&statistics));
        (outcome.answered, outcome.lost) = (totals.answered, totals.lost);
        let quiet = self.undisturbed().await;
        for (number, (export, quiet)) in exports.iter().zip(&quiet).enumerate() {
            let (compared, differences) = checks::against_undisturbed(export, quiet);
            self.outcome.trials += compared;
            let differences = differences.into_iter();
            let of_job = differences.map(|what| format!("job {number}: {what}"));
            self.outcome.violations.extend(of_job);
        }
        assert!(
            self.server.stop().await,
            "the server stops when it is asked to"
        );
        self.simulator
            .shutdown()
            .await
            .expect("the simulator has not broken down");
        if let Some(database) = self.database.take() {
            database.stop().await;
        }
        self.outcome
    }

    /// The same jobs, at an endpoint without faults, by workers that live.
    async fn undisturbed(&self) -> Vec<Exported> {
        let options = SimulatorOptions {
            seed: self.plan.seed,
            ..SimulatorOptions::default()
        };
        let simulator = frugal_simulator::serve(options)
            .await
            .expect("the simulator starts");
        let url = self.database.as_ref().map(EmbeddedPostgres::url);
        let setting = Setting::local(url.unwrap_or_default(), &simulator.base_url());
        let (mut server, url) = setting.serve(2).await;
        server.read_on();
        let api = ApiClient::new(&url);
        let mut paths = Vec::new();
        for job in &self.jobs {
            paths.push(api.submit(&job.body).await);
        }
        let mut exports = Vec::new();
        for path in &paths {
            api.follow(path, None).await;
            let export = Exported::read(&api, path).await;
            exports.push(export.expect("the database is there"));
        }
        assert!(server.stop().await, "the server stops when it is asked to");
        let stopped = simulator.shutdown().await;
        stopped.expect("the simulator has not broken down");
        exports
    }
}

/// Starts PostgreSQL on its data, as whoever watches over it would: processes of one that crashed may
/// take a moment to go.
async fn start_database(directory: &Path) -> EmbeddedPostgres {
    let mut tries = 0;
    loop {
        match EmbeddedPostgres::start(postgres::kept(directory)).await {
            Ok(database) => return database,
            Err(error) => {
                tries += 1;
                assert!(tries < 20, "PostgreSQL does not start: {error}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
