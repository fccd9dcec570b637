//! How many calls of an endpoint one worker process gets through, and what each costs of processor
//! time: in Frugal, in PostgreSQL and in the simulator, which are processes of their own.
//!
//! The calls are those of real jobs, searched configuration by configuration at random, so that each
//! call is one request of one response. PostgreSQL is the one that `frugal serve` starts by itself, which
//! flushes to disk at each commit.

use crate::processes::{self, ProcessorTime, Serving, Simulating};
use crate::{http, table};
use anyhow::{Context, ensure};
use frugal_simulator::Recordings;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The recorded task, model and prompt.
const TASK: &str = "arithmetic";
const MODEL: &str = "gemma-3-270m";
const PROMPT: &str = "direct";

/// What the endpoint allows at once.
const ALLOWED: u32 = 1000;

/// The latencies of the endpoint, in milliseconds.
const LATENCIES: [u64; 2] = [0, 200];

/// How long jobs run before it is measured: connections and pages are new at first.
const WARM_UP: Duration = Duration::from_secs(4);

/// How often the requests in flight are looked at.
const SAMPLE: Duration = Duration::from_millis(200);

/// What is measured.
pub struct Measure {
    /// The program; by default the one beside this one.
    pub frugal: Option<PathBuf>,
    /// Jobs at once.
    pub jobs: u32,
    /// How long is measured, in seconds.
    pub seconds: u64,
}

/// What was seen of one latency.
struct Seen {
    /// Answers that left the simulator, per second.
    calls_per_second: f64,
    /// Requests that the jobs have on record, per second: fewer than calls where answers are lost.
    recorded_per_second: f64,
    /// Processor milliseconds per call.
    frugal: f64,
    postgres: f64,
    simulator: f64,
    /// Requests in flight at the simulator, in the mean and at most.
    mean_in_flight: f64,
    most_in_flight: u64,
}

/// Measures each latency and prints what was seen.
///
/// # Errors
/// A program does not start or does not do as it should, or the output cannot be written.
pub fn print(out: &mut impl Write, measure: &Measure) -> anyhow::Result<()> {
    let program = processes::frugal(measure.frugal.as_deref())?;
    let mut table = table::new([
        "latency",
        "calls/s",
        "on record/s",
        "ms in Frugal",
        "in PostgreSQL",
        "in simulator",
        "in flight, mean",
        "most",
    ]);
    for latency in LATENCIES {
        let simulating = Simulating::start(&program, latency)?;
        let endpoints = endpoints(&simulating.base_url);
        let serving = Serving::start(&program, &endpoints, measure.jobs)?;
        let seen = seen(&simulating, &serving, measure)?;
        table.add_row([
            format!("{latency} ms"),
            format!("{:.0}", seen.calls_per_second),
            format!("{:.0}", seen.recorded_per_second),
            format!("{:.2}", seen.frugal),
            format!("{:.2}", seen.postgres),
            format!("{:.2}", seen.simulator),
            format!("{:.0}", seen.mean_in_flight),
            seen.most_in_flight.to_string(),
        ]);
    }
    writeln!(
        out,
        "{} jobs in one process, {ALLOWED} requests allowed in flight, {} s; ms are processor time \
         per call\n{table}",
        measure.jobs, measure.seconds
    )?;
    Ok(())
}

/// The catalogue. Without prices, so that jobs budget tokens.
fn endpoints(base_url: &str) -> String {
    format!(
        "[endpoints.local]\nbase_url = \"{base_url}\"\napi = \"completions\"\n\
         [endpoints.local.limits]\nrequests_in_flight = {ALLOWED}\n\
         [endpoints.local.models.\"{MODEL}\"]\n"
    )
}

/// A job that goes on for longer than is measured.
fn job(recordings: &Recordings, seed: u32, jobs: u32) -> anyhow::Result<Value> {
    let prompts = recordings.prompts(TASK);
    let prompt = prompts.iter().find(|prompt| prompt.name == PROMPT);
    let prompt = prompt.context("the prompt is not recorded")?;
    Ok(json!({
        "data": {"instances": recordings.instances(TASK)},
        "model": {"endpoint": "local", "model": MODEL},
        "prompt": prompt.template,
        "search_space": {
            "temperature": {"float": [0, 1.3]},
            "max_tokens": 48,
            "n": 1,
            "stop": recordings.stop(),
        },
        "scoring": {"scorer": {
            "type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number",
        }},
        "budgets": {"optimization": {"tokens": 1_000_000_000}},
        "limits": {"trials": 100_000},
        "baseline": false,
        "search": {
            "algorithm": "random",
            "extent": "searched",
            "pruning": "off",
            "seed": seed,
            "parallel_trials": 64,
            "requests_in_flight": ALLOWED.div_ceil(jobs).max(1),
        },
    }))
}

/// Posts the jobs and looks at them under way.
fn seen(simulating: &Simulating, serving: &Serving, measure: &Measure) -> anyhow::Result<Seen> {
    let recordings = Recordings::embedded()?;
    let mut posted = Vec::new();
    for seed in 0..measure.jobs {
        let job = job(&recordings, seed, measure.jobs)?;
        let created = http::post(&serving.address, "/jobs", &job)?;
        let id = created["id"].as_str().context("a job without an id")?;
        posted.push(format!("/jobs/{id}"));
    }
    std::thread::sleep(WARM_UP);
    // Pages take a while under load, so this count has a clock of its own.
    let recorded_before = (Instant::now(), recorded(serving, &posted)?);
    let before = (
        Counts::read(simulating)?,
        ProcessorTime::read(simulating, serving)?,
    );
    let begun = Instant::now();
    let mut in_flight = Vec::new();
    while begun.elapsed() < Duration::from_secs(measure.seconds) {
        std::thread::sleep(SAMPLE);
        in_flight.push(Counts::read(simulating)?.in_flight);
    }
    let (after, elapsed) = (Counts::read(simulating)?, begun.elapsed());
    let used = ProcessorTime::read(simulating, serving)?.since(before.1);
    let recorded_elapsed = recorded_before.0.elapsed();
    let recorded = recorded(serving, &posted)?.saturating_sub(recorded_before.1);
    let calls = after.answered - before.0.answered;
    ensure!(calls > 0, "no call was answered: {}", serving.log()?);
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of seconds are far below 2^52"
    )]
    let (calls, recorded, in_flight_sum) = (
        calls as f64,
        recorded as f64,
        in_flight.iter().sum::<u64>() as f64,
    );
    #[expect(clippy::cast_precision_loss, reason = "a few samples a second")]
    let samples = in_flight.len() as f64;
    Ok(Seen {
        calls_per_second: calls / elapsed.as_secs_f64(),
        recorded_per_second: recorded / recorded_elapsed.as_secs_f64(),
        frugal: used.frugal / calls,
        postgres: used.postgres / calls,
        simulator: used.simulator / calls,
        mean_in_flight: in_flight_sum / samples,
        most_in_flight: in_flight.into_iter().max().unwrap_or(0),
    })
}

/// How many requests the jobs have on record, all of which are still under way at their first attempt.
fn recorded(serving: &Serving, jobs: &[String]) -> anyhow::Result<u64> {
    let mut recorded = 0;
    for path in jobs {
        let job = http::get(&serving.address, path)?;
        ensure!(job["state"] == "running", "a job does not go on: {job}");
        recorded += job["progress"]["requests"].as_u64().unwrap_or(0);
    }
    let log = serving.log()?;
    ensure!(
        !log.contains("\"attempt\":2"),
        "a job was broken off: {log}"
    );
    Ok(recorded)
}

/// What the simulator has counted.
struct Counts {
    answered: u64,
    in_flight: u64,
}

impl Counts {
    fn read(simulating: &Simulating) -> anyhow::Result<Self> {
        let statistics = http::get(&simulating.address, "/stats")?;
        Ok(Self {
            answered: statistics["statuses"]["200"].as_u64().unwrap_or(0),
            in_flight: statistics["in_flight"].as_u64().unwrap_or(0),
        })
    }
}
