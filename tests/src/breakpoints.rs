//! Every place at which a worker may break: around every write that it commits, within its transactions and
//! while its requests are in flight. A small job is driven once undisturbed; then, for each place, once more
//! by a worker that dies there, or that does not learn what became of its commit. What is stored in the end,
//! and what the endpoint counted, is held against the undisturbed run.
//!
//! Nothing is built into the worker for this: its connections go along a [`Wire`]. The places are known by
//! what is written, and the how-manieth time.
#![expect(
    clippy::expect_used,
    reason = "a world that does not start fails here, as it would at an assertion"
)]

use crate::checks::{self, Exported, Totals};
use crate::client::ApiClient;
use crate::postgres::TestDatabase;
use crate::processes::{Frugal, Setting};
use crate::wire::{Break, Fault, Moment, Wire};
use frugal_simulator::{Latency, Recordings, Simulator, SimulatorOptions, Statistics};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a job may take after whatever happened to it.
const ENOUGH: Duration = Duration::from_secs(90);

/// How long each answer of the endpoint takes, so that there is something in flight.
const LATENCY: Duration = Duration::from_millis(3);

/// How long a job waits to be begun, so that something is put into it before anything is decided.
const BEFORE: chrono::TimeDelta = chrono::TimeDelta::milliseconds(1_500);

/// Requests that a job has in flight at once.
const IN_FLIGHT: u64 = 2;

/// Of moments that the clock brings, such as heartbeats, so many are taken.
const OF_THE_CLOCK: u64 = 2;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides the jobs, and which places are taken where not all are.
    pub seed: u64,
    /// How many places are tried; all where there is no number.
    pub count: Option<usize>,
    /// How many at the same time.
    pub at_once: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Places that there are.
    pub places: usize,
    /// Places that were tried.
    pub tried: usize,
    /// By the kind of the fault, how many of them struck; a moment that the clock brings may not have come.
    pub struck: BTreeMap<&'static str, usize>,
    /// Requests that were in flight when their worker was lost.
    pub lost: u64,
    /// Answers that the endpoint gave once more.
    pub repeated: u64,
    /// Trials that were held against those of the undisturbed run.
    pub trials: usize,
    /// How long it took.
    pub took: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            places,
            tried,
            struck,
            lost,
            repeated,
            trials,
            took,
            violations,
        } = self;
        let faults: usize = struck.values().sum();
        writeln!(
            f,
            "{tried} of {places} places tried in {} s, {faults} faults struck",
            took.as_secs()
        )?;
        for (what, count) in struck {
            writeln!(f, "  {count} times {what}")?;
        }
        writeln!(
            f,
            "{lost} requests lost in flight, {repeated} answered twice by the endpoint; {trials} trials held \
             against an undisturbed run"
        )?;
        checks::write_verdict(f, violations, "nothing is wrong")
    }
}

/// What happens to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    DiesBefore,
    DiesAfter,
    CutBefore,
    CutAfter,
    DiesInFlight,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::DiesBefore => "the worker died before it",
            Self::DiesAfter => "the worker died after it",
            Self::CutBefore => "the connection broke before it",
            Self::CutAfter => "the connection broke after it, its outcome unknown",
            Self::DiesInFlight => "the worker died with a request in flight",
        }
    }

    const fn kills(self) -> bool {
        !matches!(self, Self::CutBefore | Self::CutAfter)
    }
}

/// A place at which a worker breaks.
#[derive(Debug, Clone)]
struct Place {
    /// The number of the job.
    job: usize,
    /// Of what the worker does with its database; a request that arrives at the endpoint where it is none.
    moment: Option<Moment>,
    nth: u64,
    way: Way,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            job,
            moment,
            nth,
            way,
        } = self;
        write!(f, "job {job}, {}, ", way.name())?;
        match moment {
            Some(moment) => write!(f, "{moment} no. {nth}"),
            None => write!(f, "request no. {nth}"),
        }
    }
}

/// What an undisturbed run came to.
struct Quiet {
    body: Value,
    export: Exported,
    statistics: Statistics,
    arrived: u64,
    moments: BTreeMap<Moment, u64>,
}

/// Tries the places.
///
/// # Panics
/// Where programs do not start.
pub async fn run(plan: Plan) -> Outcome {
    let begun = Instant::now();
    let mut outcome = Outcome::default();
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    let first = Lane::open().await;
    let mut quiet = Vec::new();
    let mut places = Vec::new();
    for (number, body) in jobs(plan.seed).into_iter().enumerate() {
        let one = first.undisturbed(&body).await;
        let other = first.undisturbed(&body).await;
        places.extend(all_places(number, &one, &other));
        quiet.push(one);
    }
    outcome.places = places.len();
    places.shuffle(&mut rng);
    places.truncate(plan.count.unwrap_or(usize::MAX));
    outcome.tried = places.len();
    let ahead = Arc::new(Mutex::new(VecDeque::from(places)));
    let quiet = Arc::new(quiet);
    let mut lanes = vec![first];
    while lanes.len() < plan.at_once {
        lanes.push(Lane::open().await);
    }
    let mut trying = tokio::task::JoinSet::new();
    for lane in lanes {
        let (ahead, quiet) = (Arc::clone(&ahead), Arc::clone(&quiet));
        trying.spawn(async move {
            let mut seen = Vec::new();
            loop {
                let next = ahead
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(place) = next else {
                    break;
                };
                let tried = lane.try_at(&place, &quiet[place.job]).await;
                seen.push((place, tried));
            }
            lane.close().await;
            seen
        });
    }
    for (place, tried) in trying.join_all().await.into_iter().flatten() {
        if tried.struck {
            *outcome.struck.entry(place.way.name()).or_default() += 1;
        } else if tried.came {
            outcome
                .violations
                .push(format!("{place}: it came to that, and nothing broke"));
        }
        outcome.lost += tried.lost;
        outcome.repeated += tried.repeated;
        outcome.trials += tried.trials;
        let wrong = tried.violations.into_iter();
        outcome
            .violations
            .extend(wrong.map(|what| format!("{place}: {what}")));
    }
    outcome.took = begun.elapsed();
    outcome
}

/// Two small jobs: a search of every setting with held-out rows, and a profiled one. A configuration is put into each
/// by hand.
fn jobs(seed: u64) -> Vec<Value> {
    let recordings = Recordings::embedded().expect("there are recordings");
    let rows: Vec<_> = recordings.instances("arithmetic").iter().take(5).collect();
    let prompts = recordings.prompts("arithmetic");
    let prompt = prompts.first().expect("there is a prompt");
    let job = |search: Value, data: Value| {
        json!({
            "name": "breaks",
            "data": data,
            "model": {"endpoint": "local", "model": "gemma-3-270m"},
            "prompt": prompt.template,
            "search_space": {
                "temperature": {"float": [0, 1.3]},
                "max_tokens": {"int": [8, 64], "scale": "log"},
                "n": {"int": [1, 2], "scale": "log"},
                "stop": ["\n\n"]
            },
            "scoring": {
                "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number"}
            },
            "budgets": {"inference": {"usd": 0.00002}, "optimization": {"usd": 0.1}},
            "limits": {"trials": 2},
            "search": search
        })
    };
    let seed = seed % 1_000_000;
    vec![
        job(
            json!({
                "seed": seed, "extent": "searched", "parallel_trials": 1, "requests_in_flight": IN_FLIGHT
            }),
            json!({"instances": rows, "holdout": {"share": 0.4}}),
        ),
        job(
            json!({"seed": seed, "requests_in_flight": IN_FLIGHT}),
            json!({"instances": rows.iter().take(2).collect::<Vec<_>>()}),
        ),
    ]
}

/// All places of a job, from two undisturbed runs.
fn all_places(job: usize, one: &Quiet, other: &Quiet) -> Vec<Place> {
    let mut places = Vec::new();
    for (moment, count) in &one.moments {
        let ways: &[Way] = match moment {
            Moment::Commit(_) => &[
                Way::DiesBefore,
                Way::DiesAfter,
                Way::CutBefore,
                Way::CutAfter,
            ],
            // Within a transaction nothing is done before the end: one way to die is as another.
            Moment::Write(_) => &[Way::DiesBefore, Way::CutBefore],
        };
        // Others come as the clock has them, or by how many answers a commit takes along.
        let comes_each_time = other.moments.get(moment) == Some(count);
        let count = match comes_each_time {
            true => *count,
            false => (*count).min(OF_THE_CLOCK),
        };
        for nth in 1..=count {
            places.extend(ways.iter().map(|way| Place {
                job,
                moment: Some(moment.clone()),
                nth,
                way: *way,
            }));
        }
    }
    places.extend((1..=one.arrived).map(|nth| Place {
        job,
        moment: None,
        nth,
        way: Way::DiesInFlight,
    }));
    places
}

/// What came of a place.
#[derive(Debug, Default)]
struct Tried {
    struck: bool,
    /// Whether the run came to that moment, so that it should have been struck.
    came: bool,
    lost: u64,
    repeated: u64,
    trials: usize,
    violations: Vec<String>,
}

/// A database with a server, for one place after the other.
struct Lane {
    database: TestDatabase,
    server: Frugal,
    api: ApiClient,
}

/// An endpoint and a way to the database of its own, for one job.
struct Stage {
    simulator: Simulator,
    wire: Wire,
    setting: Setting,
}

impl Stage {
    async fn open(database: &TestDatabase) -> Self {
        let options = SimulatorOptions {
            latency: Latency::constant(LATENCY),
            ..SimulatorOptions::default()
        };
        let simulator = frugal_simulator::serve(options).await;
        let simulator = simulator.expect("the simulator starts");
        let wire = Wire::to(database.url()).await;
        let setting = setting(wire.url(), &simulator);
        Self {
            simulator,
            wire,
            setting,
        }
    }
}

fn setting(database_url: &str, simulator: &Simulator) -> Setting {
    let mut setting = Setting::local(database_url, &simulator.base_url());
    setting.lease_seconds = 2;
    setting
}

async fn start(setting: &Setting) -> Frugal {
    let mut worker = setting.worker().await;
    worker.read_on();
    worker
}

impl Lane {
    async fn open() -> Self {
        let database = TestDatabase::create().await;
        // The endpoint that the server has need not be there: it asks nothing of it.
        let setting = Setting::local(database.url(), "http://127.0.0.1:9/v1");
        let (mut server, url) = setting.serve(0).await;
        server.read_on();
        Self {
            database,
            server,
            api: ApiClient::new(&url),
        }
    }

    async fn close(self) {
        assert!(
            self.server.stop().await,
            "the server stops when it is asked to"
        );
        self.database.drop().await;
    }

    /// Posts a job, and puts a configuration into it before it is begun: its place is the same each time.
    async fn submit(&self, body: &Value) -> String {
        let mut body = body.clone();
        body["not_before"] = json!(chrono::Utc::now() + BEFORE);
        let path = self.api.submit(&body).await;
        let trial = json!({"configuration": {"temperature": 0.45, "max_tokens": 32, "n": 1}});
        let answer = self.api.post(&format!("{path}/trials"), &trial).await;
        assert_eq!(answer.status(), 202, "the job has not begun");
        path
    }

    /// Drives a job without a fault.
    async fn undisturbed(&self, body: &Value) -> Quiet {
        let stage = Stage::open(&self.database).await;
        let worker = start(&stage.setting).await;
        let path = self.submit(body).await;
        self.api.follow(&path, None).await;
        let moments = stage.wire.seen();
        worker.kill().await;
        let export = Exported::read(&self.api, &path).await;
        Quiet {
            body: body.clone(),
            export: export.expect("the database is there"),
            statistics: stage.simulator.statistics(),
            arrived: stage.simulator.gate().progress().arrived,
            moments,
        }
    }

    /// Drives a job whose worker breaks at a place.
    async fn try_at(&self, place: &Place, quiet: &Quiet) -> Tried {
        let stage = Stage::open(&self.database).await;
        let gate = stage.simulator.gate();
        let mut worker = start(&stage.setting).await;
        match &place.moment {
            None => gate.hold_after(place.nth - 1),
            Some(moment) => stage.wire.break_at(Break {
                at: moment.clone(),
                nth: place.nth,
                fault: match place.way {
                    Way::CutBefore => Fault::CutBefore,
                    Way::CutAfter => Fault::CutAfter,
                    Way::DiesAfter => Fault::KillAfter(worker.id()),
                    Way::DiesBefore | Way::DiesInFlight => Fault::KillBefore(worker.id()),
                },
            }),
        }
        let seen = || match &place.moment {
            None => gate.progress().arrived,
            Some(moment) => stage.wire.seen().get(moment).copied().unwrap_or(0),
        };
        let seen_before = seen();
        let came = || (seen_before + 1..=seen()).contains(&place.nth);
        let path = self.submit(&quiet.body).await;
        let strikes = async {
            match place.moment {
                None => gate.arrived(place.nth).await,
                Some(_) => stage.wire.struck().await,
            }
        };
        let struck = tokio::select! {
            () = strikes => true,
            _ = tokio::time::timeout(ENOUGH, self.api.follow(&path, None)) => {
                // A job that ends with the commit that is struck at may be heard of before the blow.
                place.moment.is_some() && came()
                    && tokio::time::timeout(ENOUGH, stage.wire.struck()).await.is_ok()
            }
        };
        if struck && place.way.kills() {
            worker.kill().await;
            gate.open();
            worker = start(&setting(self.database.url(), &stage.simulator)).await;
        }
        let ended = tokio::time::timeout(ENOUGH, self.api.follow(&path, None)).await;
        let mut tried = Tried {
            struck,
            came: came(),
            ..Tried::default()
        };
        if ended.is_err() {
            let job = self.api.json(&path).await;
            tried
                .violations
                .push(format!("the job does not end: {job}"));
        }
        worker.kill().await;
        if let Some(export) = Exported::read(&self.api, &path).await
            && ended.is_ok()
        {
            judge(&mut tried, place, &stage, &export, quiet);
        }
        tried
    }
}

/// Holds a job against what must be so, and against its undisturbed run.
fn judge(tried: &mut Tried, place: &Place, stage: &Stage, export: &Exported, quiet: &Quiet) {
    let statistics = stage.simulator.statistics();
    let exports = std::slice::from_ref(export);
    let totals = Totals::of(exports);
    let wrong = &mut tried.violations;
    wrong.extend(checks::alone(export));
    wrong.extend(totals.against(&statistics));
    let (trials, differences) = checks::against_undisturbed(export, &quiet.export);
    wrong.extend(differences);
    let calm = Totals::of(std::slice::from_ref(&quiet.export));
    if totals.answers() != calm.answers() {
        wrong.push(format!(
            "its answers are {:?}, and undisturbed {:?}",
            totals.answers(),
            calm.answers()
        ));
    }
    if totals.lost > IN_FLIGHT {
        wrong.push(format!(
            "{} requests were lost of {IN_FLIGHT} in flight",
            totals.lost
        ));
    }
    let arrived = stage.simulator.gate().progress().arrived;
    if !(quiet.arrived..=quiet.arrived + totals.lost).contains(&arrived) {
        wrong.push(format!(
            "{arrived} requests arrived, undisturbed {}, and {} were lost",
            quiet.arrived, totals.lost
        ));
    }
    let billed = quiet.statistics.billed();
    if statistics.billed().completion_tokens < billed.completion_tokens {
        wrong.push("the endpoint billed less than undisturbed".to_owned());
    }
    let (told, expected) = (
        checks::told_of_trials(export),
        checks::told_of_trials(&quiet.export),
    );
    if told != expected {
        let differ: BTreeSet<_> = told.symmetric_difference(&expected).collect();
        wrong.push(format!("other events tell of its trials: {differ:?}"));
    }
    // A cut is heard of at once, or as soon as the lease has run out where the worker died.
    let most = if place.way.kills() { 2 } else { 3 };
    if checks::attempts(export) > most {
        wrong.push(format!("it took {} attempts", checks::attempts(export)));
    }
    tried.lost = totals.lost;
    tried.repeated = statistics.repeated;
    tried.trials = trials;
}
