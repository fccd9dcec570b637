//! Clients that ask at random, held against a model of what a job may be. They post jobs, pause, resume,
//! change, cancel, continue, delete and read them, often several things at once, while workers and the server
//! are killed and connections to the database break at commits. What strikes and what is asked comes from a
//! seed; what comes first is up to the machine.

mod client;
mod log;
mod model;
mod world;

use crate::checks;
use client::Client;
pub(crate) use client::Pace;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
pub(crate) use world::World;

/// How long jobs may take to end once nothing more is asked.
const ENOUGH: Duration = Duration::from_secs(300);

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides what is asked and what strikes.
    pub seed: u64,
    /// How much is asked, over all clients.
    pub steps: usize,
    /// Clients at the same time.
    pub clients: usize,
    /// How often a worker or the server is killed, by turns.
    pub kills: usize,
    /// One in so many commits of the server and of the workers breaks its connection; none where there is no
    /// number.
    pub cut_one_in: Option<u32>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Things that were asked, by what and by the status of the answer; without one it was broken off.
    pub answers: BTreeMap<(&'static str, Option<u16>), usize>,
    /// Jobs that were posted.
    pub jobs: usize,
    /// Events that were read.
    pub events: usize,
    /// Workers that were killed.
    pub workers_killed: usize,
    /// How often the server was killed.
    pub servers_killed: usize,
    /// Connections that broke at a commit.
    pub cuts: u64,
    /// How long it took.
    pub took: Duration,
    /// What contradicts the model.
    pub violations: Vec<String>,
}

impl Outcome {
    /// How much was asked.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.answers.values().sum()
    }

    fn add(&mut self, other: Self) {
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        self.jobs += other.jobs;
        self.events += other.events;
        self.violations.extend(other.violations);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} steps with {} jobs in {} s, {} events read; {} workers and {} servers killed, {} connections \
             cut at a commit",
            self.steps(),
            self.jobs,
            self.took.as_secs(),
            self.events,
            self.workers_killed,
            self.servers_killed,
            self.cuts
        )?;
        let mut by_op = BTreeMap::<_, Vec<_>>::new();
        for ((op, status), count) in &self.answers {
            let status = status.map_or("broken off".to_owned(), |status| status.to_string());
            by_op
                .entry(op)
                .or_default()
                .push(format!("{count} × {status}"));
        }
        for (op, answers) in by_op {
            writeln!(f, "  {op}: {}", answers.join(", "))?;
        }
        checks::write_verdict(f, &self.violations, "no answer contradicts the model")
    }
}

/// Runs clients against real programs.
///
/// # Panics
/// Where programs do not start.
pub async fn run(plan: Plan) -> Outcome {
    let begun = Instant::now();
    let mut world = World::begin(plan.seed, plan.cut_one_in, "").await;
    let pace = Pace::default();
    let clients = start(&world, plan.seed, plan.clients, &pace);
    let mut outcome = Outcome::default();
    for kill in 1..=plan.kills {
        pace.reached(plan.steps * kill / (plan.kills + 1)).await;
        // The workers are killed twice as often as the server.
        if kill % 3 == 0 {
            world.kill_server().await;
            outcome.servers_killed += 1;
        } else {
            world.kill_worker().await;
            outcome.workers_killed += 1;
        }
    }
    pace.reached(plan.steps).await;
    finish(&world, clients, &pace, &mut outcome).await;
    world.end().await;
    outcome.took = begun.elapsed();
    outcome
}

/// Clients under way.
pub(crate) type Clients = tokio::task::JoinSet<Client>;

/// Starts clients.
pub(crate) fn start(world: &World, seed: u64, count: usize, pace: &Pace) -> Clients {
    let mut clients = Clients::new();
    for number in 0..count {
        let client = Client::new(seed, number, world.api());
        clients.spawn(client.ask(pace.clone()));
    }
    clients
}

/// Lets clients ask nothing more, and their jobs come to an end.
pub(crate) async fn finish(world: &World, clients: Clients, pace: &Pace, outcome: &mut Outcome) {
    pace.end();
    let clients = clients.join_all().await;
    world.calm_down();
    let ending = clients.into_iter().map(|client| client.end(ENOUGH));
    for ended in futures::future::join_all(ending).await {
        outcome.add(ended);
    }
    outcome.cuts = world.cuts();
    let errors = world.errors().into_iter();
    let logged = errors.map(|line| format!("a program logged {line}"));
    outcome.violations.extend(logged);
}
