//! How much memory a job takes in its worker for each of its responses: while it is driven, and where another
//! worker takes it up and lives through all of it again.
//!
//! Jobs are made up, and so are their answers: functions of what is asked, so that nothing of them is kept
//! here. Each figure is that of a process of its own, as the system counts it: what it has grown by when
//! the job has ended, and by at most on the way. What a worker reads from the database on the way to a job's
//! past is not in it.

use crate::run;
use crate::table;
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use frugal_domain::configuration::Configuration;
use frugal_domain::endpoint::{Catalog, Endpoint, Model};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::money::{Prices, Spend, Usage};
use frugal_domain::request::RequestKey;
use frugal_domain::scoring::{AnswerKey, Observation};
use frugal_domain::seed::mix;
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{Receipt, ReceivedResponse, ScoreKey};
use frugal_intake::{Datasets, SourceJobs};
use frugal_tuning::{
    Answers, Change, Past, PastRequest, PastTrial, PromptTokenBounds, Record, RequestEnd,
    RequestToSend, ScoreBatch, Scored, ScoredBatch, SettledRequest, Tally, Tuning, drive,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The name by which jobs know the endpoint, and its model.
const ENDPOINT: &str = "made-up";
const MODEL: &str = "model";

/// Configurations of an evaluation, and trials of a search of every setting.
const CONFIGURATIONS: usize = 20;

/// Decides what is drawn.
const SEED: u64 = 1;

/// What is measured.
pub struct Measure {
    /// Responses of each job, about.
    pub responses: usize,
    /// For this kind of job alone.
    pub kind: Option<Kind>,
    /// In this process: whether the job is driven, and its course kept in this file, or lived through again
    /// from there.
    pub part: Option<(Part, PathBuf)>,
}

/// A kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Configurations that are given, with 20 responses to each row.
    Evaluation,
    /// The same with one response to each row, so that each is a request of its own.
    Single,
    /// A search of every setting, each trial in full.
    Searched,
    /// A search of the sampling settings.
    Profiled,
}

/// What is done with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// It is driven from its beginning to its end.
    Drive,
    /// It is lived through again.
    Replay,
}

/// What was seen of a process; memory in KiB.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Seen {
    requests: u64,
    responses: u64,
    scores: u64,
    kept: u64,
    most: u64,
}

/// Measures and prints what was seen.
///
/// # Errors
/// A job makes no sense, or a process does not do as it should.
pub fn print(out: &mut impl Write, measure: &Measure) -> anyhow::Result<()> {
    if let (Some(kind), Some((part, file))) = (measure.kind, &measure.part) {
        let seen = match part {
            Part::Drive => driven(kind, measure.responses, file)?,
            Part::Replay => replayed(kind, measure.responses, file)?,
        };
        writeln!(out, "{}", serde_json::to_string(&seen)?)?;
        return Ok(());
    }
    let mut table = table::new([
        "job",
        "requests",
        "responses",
        "scores",
        "bytes a response, driven",
        "at most",
        "lived through again",
        "at most",
    ]);
    let folder = tempfile::tempdir()?;
    let kinds = Kind::value_variants().iter().copied();
    for kind in kinds.filter(|kind| measure.kind.is_none_or(|only| only == *kind)) {
        let file = folder.path().join("course");
        let driven = apart(kind, Part::Drive, measure.responses, &file)?;
        let replayed = apart(kind, Part::Replay, measure.responses, &file)?;
        let each = |kib: u64| (kib * 1024 / driven.responses.max(1)).to_string();
        table.add_row([
            name(kind),
            driven.requests.to_string(),
            driven.responses.to_string(),
            driven.scores.to_string(),
            each(driven.kept),
            each(driven.most),
            each(replayed.kept),
            each(replayed.most),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn name(kind: Kind) -> String {
    let value = kind.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Measures in a process of its own, whose memory holds nothing else.
fn apart(kind: Kind, part: Part, responses: usize, file: &Path) -> anyhow::Result<Seen> {
    let part = part.to_possible_value();
    let part = part.as_ref().map_or("", |part| part.get_name());
    let done = Command::new(std::env::current_exe()?)
        .args(["memory", "--kind", &name(kind), "--part", part])
        .args(["--responses", &responses.to_string(), "--file"])
        .arg(file)
        .output()?;
    let problem = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{part} {kind:?}: {problem}");
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// What a trial used: its spend, its requests and its responses.
type Used = (Spend, u32, u32);

/// A line of the course of a job: what a database would hold of it, but for what follows from it.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Trial(TrialNumber, Configuration),
    Ended(TrialNumber, TrialOutcome, Used),
    Shown(TrialNumber, Used),
    Request(RequestKey, usize, u32, u32),
    Score(ScoreKey),
}

/// Drives a job, and keeps its course.
fn driven(kind: Kind, responses: usize, file: &Path) -> anyhow::Result<Seen> {
    let job = job(kind, responses)?;
    let before = resident("VmRSS")?;
    let mut tuning = Tuning::new(job, Past::default())?;
    let mut endpoint = MadeUp {
        course: BufWriter::new(File::create(file)?),
        written: Ok(()),
        seen: Seen::default(),
    };
    let (ending, _) = run::drive_side_by_side(&mut tuning, &mut endpoint)?;
    endpoint.seen.kept = resident("VmRSS")?.saturating_sub(before);
    endpoint.seen.most = resident("VmHWM")?.saturating_sub(before);
    ensure!(
        ending.detail.is_none(),
        "the job failed: {:?}",
        ending.detail
    );
    endpoint.written?;
    endpoint.course.flush()?;
    drop(tuning);
    Ok(endpoint.seen)
}

/// Lives through a job again.
fn replayed(kind: Kind, responses: usize, file: &Path) -> anyhow::Result<Seen> {
    let job = job(kind, responses)?;
    let before = resident("VmRSS")?;
    let mut tuning = Tuning::new(job, past(file)?)?;
    let mut lines = Vec::new();
    let mut nothing = MadeUp {
        course: BufWriter::new(&mut lines),
        written: Ok(()),
        seen: Seen::default(),
    };
    drive(&mut tuning, &mut nothing)?;
    let mut seen = nothing.seen;
    if seen.requests > 0 || seen.scores > 0 {
        bail!("something is asked for again: {seen:?}");
    }
    seen.kept = resident("VmRSS")?.saturating_sub(before);
    seen.most = resident("VmHWM")?.saturating_sub(before);
    drop(tuning);
    Ok(seen)
}

/// What a worker that takes the job up knows of it.
fn past(file: &Path) -> anyhow::Result<Past> {
    let mut past = Past::default();
    for line in BufReader::new(File::open(file)?).lines() {
        match serde_json::from_str(&line?)? {
            Line::Trial(number, configuration) => {
                let trial = PastTrial {
                    configuration,
                    shown: Tally::default(),
                    end: None,
                };
                past.trials.insert(number, trial);
            }
            Line::Ended(number, outcome, used) => {
                let trial = past.trials.get_mut(&number);
                let trial = trial.context("a trial ended that was not begun")?;
                trial.shown = tally(used);
                trial.end = Some((outcome, trial.shown));
            }
            Line::Shown(number, used) => {
                let trial = past.trials.get_mut(&number);
                trial.context("a trial is shown that was not begun")?.shown = tally(used);
            }
            Line::Request(key, instance, n, max_tokens) => {
                let request = PastRequest {
                    instance,
                    n,
                    max_tokens,
                    settled: settled(key, n, max_tokens),
                };
                past.requests.insert(key, request);
            }
            Line::Score(key) => {
                past.scores.insert(key, Ok(observation(key)));
            }
        }
    }
    Ok(past)
}

const fn used(tally: Tally) -> Used {
    (tally.spend, tally.requests, tally.responses)
}

const fn tally((spend, requests, responses): Used) -> Tally {
    Tally {
        spend,
        requests,
        responses,
    }
}

/// An endpoint and a scorer whose words follow from what they are asked.
struct MadeUp<W: Write> {
    course: BufWriter<W>,
    written: anyhow::Result<()>,
    seen: Seen,
}

impl<W: Write> MadeUp<W> {
    fn write(&mut self, line: &Line) {
        let mut write = || -> anyhow::Result<()> {
            serde_json::to_writer(&mut self.course, line)?;
            Ok(writeln!(self.course)?)
        };
        if let Err(error) = write() {
            self.written = Err(error);
        }
    }
}

impl<W: Write> Answers for MadeUp<W> {
    fn send(&mut self, request: &RequestToSend) -> RequestEnd {
        let RequestToSend {
            key,
            instance,
            n,
            max_tokens,
            ..
        } = *request;
        self.seen.requests += 1;
        self.seen.responses += u64::from(n);
        self.write(&Line::Request(key, instance, n, max_tokens));
        RequestEnd::Settled(settled(key, n, max_tokens))
    }

    fn score(&mut self, batch: &ScoreBatch) -> ScoredBatch {
        let one = |key| {
            self.seen.scores += 1;
            self.write(&Line::Score(key));
            (key, Ok(observation(key)))
        };
        let scores = batch.plans.iter().map(|plan| plan.key).map(one);
        scores.collect::<Vec<Scored>>().into()
    }

    fn record(&mut self, record: &Record) {
        match &record.change {
            Change::TrialBegun(begun) => {
                let configuration = begun.configuration.clone();
                self.write(&Line::Trial(begun.number, configuration));
            }
            Change::TrialEnded {
                trial,
                outcome,
                tally,
                ..
            } => self.write(&Line::Ended(*trial, outcome.clone(), used(*tally))),
            Change::TrialProgressed { trial, tally, .. } => {
                self.write(&Line::Shown(*trial, used(*tally)));
            }
            Change::Progressed
            | Change::Validated
            | Change::TermsChanged(_)
            | Change::TrialEnqueued(_) => {}
        }
    }
}

/// A number that follows from a request.
fn number_of(key: RequestKey) -> u64 {
    mix(u64::from(key.trial.0) << 32 | u64::from(key.ordinal))
}

fn settled(key: RequestKey, n: u32, max_tokens: u32) -> SettledRequest {
    let responses = (0..n).map(|position| {
        let length = 10 + mix(number_of(key) ^ u64::from(position)) % 60;
        ReceivedResponse {
            estimated_tokens: length.min(max_tokens.into()),
            ended: length <= max_tokens.into(),
        }
    });
    let responses: Vec<ReceivedResponse> = responses.collect();
    let usage = Usage {
        prompt_tokens: 50,
        completion_tokens: responses.iter().map(|one| one.estimated_tokens).sum(),
    };
    SettledRequest {
        cost: Spend::of(usage, prices()),
        uncertain: Spend::default(),
        usage_estimated: false,
        empty_responses: 0,
        longest_text: 300,
        result: Ok(Receipt {
            usage,
            latency_ms: 700,
            responses,
        }),
    }
}

/// Two answers in three are right, and those that are not give one of nine others.
fn observation(key: ScoreKey) -> Observation {
    let drawn = mix(number_of(key.response.request) ^ u64::from(key.response.position) << 8);
    let right = !drawn.is_multiple_of(3);
    Observation {
        answer: Some(AnswerKey(if right { 0 } else { drawn % 9 + 1 })),
        ..f64::from(u8::from(right)).into()
    }
}

/// A job of a kind, with about so many responses.
fn job(kind: Kind, responses: usize) -> anyhow::Result<frugal_tuning::Job> {
    let (rows, n) = match kind {
        Kind::Evaluation | Kind::Searched => (responses / CONFIGURATIONS / 20, 20),
        Kind::Single => (responses / CONFIGURATIONS, 1),
        Kind::Profiled => (200, 20),
    };
    let rows = rows.max(1);
    let spec = spec(kind, rows, n, responses)?;
    let bounds = |rows: usize| vec![vec![50; rows].into(); spec.prompts.len()];
    Ok(frugal_tuning::Job {
        most_per_request: vec![None; spec.models.len()],
        prompt_token_bounds: PromptTokenBounds {
            tuning: bounds(rows),
            holdout: bounds(0),
            ..PromptTokenBounds::default()
        },
        spec: Arc::new(spec),
        labels: Vec::new(),
    })
}

fn spec(kind: Kind, rows: usize, n: u32, responses: usize) -> anyhow::Result<JobSpec> {
    let instances: Vec<Value> = (0..rows)
        .map(|row| json!({"question": format!("what is {row}?"), "answer": row}))
        .collect();
    let common = json!({
        "data": {"instances": instances},
        "model": {"endpoint": ENDPOINT, "model": MODEL},
        "prompt": "{{ question }}",
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
    });
    let with = |more: Value| {
        let mut body = common.clone();
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    };
    let catalog = catalog();
    let read = match kind {
        Kind::Evaluation | Kind::Single => {
            let configurations: Vec<Value> = (0..CONFIGURATIONS)
                .map(|place| {
                    let temperature = place as f64 / CONFIGURATIONS as f64;
                    json!({"temperature": temperature, "max_tokens": 64, "n": n})
                })
                .collect();
            let body = with(json!({
                "configurations": configurations,
                "budgets": {"evaluation": {"usd": 1_000_000}},
            }));
            frugal_intake::evaluation_over(
                &body,
                Datasets::new(),
                &SourceJobs::new(),
                &catalog,
                SEED,
            )
        }
        Kind::Searched => {
            let body = with(json!({
                "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 64, "n": n},
                "budgets": {"optimization": {"usd": 1_000_000}},
                "limits": {"trials": CONFIGURATIONS},
                "search": {"algorithm": "random", "extent": "searched", "pruning": "off"},
            }));
            frugal_intake::job(&body, &catalog, SEED)
        }
        Kind::Profiled => {
            let each = prices().output_pico as f64 / 1e12 * 40.0;
            let body = with(json!({
                "search_space": {
                    "temperature": {"float": [0, 1]},
                    "max_tokens": {"int": [16, 64]},
                    "n": {"int": [1, n]}
                },
                "budgets": {"optimization": {"usd": each * responses as f64}},
                "limits": {"trials": 10_000},
            }));
            frugal_intake::job(&body, &catalog, SEED)
        }
    };
    let (spec, _) = read.map_err(|faults| anyhow::anyhow!("the job has faults: {faults:?}"))?;
    Ok(spec)
}

const fn prices() -> Prices {
    Prices {
        input_pico: 1_000_000,
        output_pico: 1_000_000,
        request_pico: 0,
        cached_input_pico: None,
    }
}

fn catalog() -> Catalog {
    let model = Model {
        prices: Some(prices()),
        ..Model::default()
    };
    let endpoint = Endpoint {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        models: BTreeMap::from([(MODEL.to_owned(), model)]),
        ..Endpoint::default()
    };
    Catalog {
        endpoints: BTreeMap::from([(ENDPOINT.to_owned(), endpoint)]),
        ..Catalog::default()
    }
}

/// A figure of this process in KiB: `VmRSS` or, for the largest that it ever was, `VmHWM`.
fn resident(figure: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let lines = status.lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kib = found.next().and_then(|line| line.split_whitespace().next());
    Ok(kib.with_context(|| format!("no {figure}"))?.parse()?)
}
