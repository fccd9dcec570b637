//! One job in memory: the tuning loop that the worker drives, driven without a database, a network
//! or a clock.

use crate::archive::Archive;
use crate::endpoint::Endpoint;
use anyhow::Context;
use frugal_domain::configuration::Settings;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{JobSpec, Reuse, Split};
use frugal_domain::money::Spend;
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{OfferedResponse, Receipt, ReceivedResponse};
use frugal_tuning::{
    Answers, Change, JobEnding, LookUp, Past, Pause, PromptTokenBounds, Record, Report, RequestEnd,
    RequestToSend, ScoreBatch, Scored, ScoredBatch, SettledRequest, Tuning, TuningError, advance,
    drive,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

/// The number of the baseline's trial.
pub const BASELINE: TrialNumber = TrialNumber(0);

/// The job before this one, whose responses are offered.
const EARLIER: JobId = JobId(Uuid::from_u128(1));

/// A job to run.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What was posted, the seed included.
    pub spec: &'a JobSpec,
    /// What answers it.
    pub endpoint: &'a dyn Endpoint,
    /// The endpoint's rows that the search sees.
    pub tuning: &'a [usize],
    /// The endpoint's rows that are held out.
    pub holdout: &'a [usize],
    /// What an earlier job of the same owner bought, if that is to be used again.
    pub earlier: Option<&'a Archive>,
}

impl<'a> Job<'a> {
    /// The endpoint's rows of a split.
    fn rows(&self, split: Split) -> &'a [usize] {
        match split {
            Split::Tuning => self.tuning,
            Split::Holdout => self.holdout,
        }
    }

    /// Upper bounds on the prompt tokens of a split's rows, by prompt.
    fn bounds(&self, split: Split) -> Vec<Arc<[u64]>> {
        let of = |prompt| {
            let rows = self.rows(split).iter();
            rows.map(|row| self.endpoint.prompt_token_bound(prompt, *row))
                .collect()
        };
        (0..self.spec.prompts.len()).map(of).collect()
    }
}

/// What a job found.
#[derive(Debug)]
pub struct Found {
    /// Every trial, by number.
    pub trials: BTreeMap<TrialNumber, Trial>,
    /// What the job's report says.
    pub report: Report,
    /// What was bought.
    pub bought: Archive,
    tuning: Tuning,
}

/// A trial that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What it asked of the endpoint.
    pub settings: Settings,
    /// How it ended.
    pub outcome: TrialOutcome,
    /// What it cost.
    pub spend: Spend,
}

impl Found {
    /// The winner's trial.
    pub fn winner(&self) -> Option<&Trial> {
        self.trials.get(&self.report.winner.as_ref()?.trial)
    }

    /// The trials that the searcher proposed.
    pub fn search(&self) -> impl Iterator<Item = &Trial> {
        let trials = self.trials.iter();
        trials
            .filter(|(number, _)| **number != BASELINE)
            .map(|(_, trial)| trial)
    }

    /// The objective of a trial on each instance that the search saw.
    pub fn utilities(&self, trial: TrialNumber) -> Option<&BTreeMap<usize, f64>> {
        self.tuning.utilities(trial)
    }
}

/// Runs a job to its end, one request after the other.
///
/// # Errors
/// The job makes no sense.
pub fn run(job: Job<'_>) -> anyhow::Result<Found> {
    run_by(job, drive)
}

/// Runs a job whose search sees every row of its endpoint, one request after the other.
///
/// # Errors
/// The job makes no sense.
pub fn over_all_rows(spec: &JobSpec, endpoint: &dyn Endpoint) -> anyhow::Result<Found> {
    let rows: Vec<usize> = (0..endpoint.rows()).collect();
    run(job_over(&rows, spec, endpoint))
}

/// The same with as many requests under way at the same time as the job permits. Says also how long that
/// takes, in calls that all last equally long.
///
/// # Errors
/// The job makes no sense.
pub fn side_by_side(spec: &JobSpec, endpoint: &dyn Endpoint) -> anyhow::Result<(Found, u64)> {
    let rows: Vec<usize> = (0..endpoint.rows()).collect();
    let mut now = 0;
    let found = run_by(job_over(&rows, spec, endpoint), |tuning, memory| {
        let ending = drive_side_by_side(tuning, memory)?;
        now = ending.1;
        Ok(ending.0)
    })?;
    Ok((found, now))
}

/// A job whose search sees these rows, none being held out.
const fn job_over<'a>(rows: &'a [usize], spec: &'a JobSpec, endpoint: &'a dyn Endpoint) -> Job<'a> {
    Job {
        spec,
        endpoint,
        tuning: rows,
        holdout: &[],
        earlier: None,
    }
}

/// As [`drive`], but requests end a call's time after they were sent. Also how many such times it took.
///
/// # Errors
/// The job cannot go on.
pub fn drive_side_by_side(
    tuning: &mut Tuning,
    answers: &mut (impl Answers + ?Sized),
) -> Result<(JobEnding, u64), TuningError> {
    let mut now = 0;
    let mut under_way: VecDeque<(u64, RequestToSend)> = VecDeque::new();
    loop {
        match advance(tuning, answers)? {
            Pause::Send(request) => under_way.push_back((now + 1, request)),
            Pause::Finish => return Ok((tuning.ending(), now)),
            Pause::Wait => {
                let Some((due, request)) = under_way.pop_front() else {
                    return Ok((tuning.ending(), now));
                };
                now = due;
                let end = answers.send(&request);
                tuning.request_ended(request.key, end)?;
            }
        }
    }
}

fn run_by<'a>(
    job: Job<'a>,
    driver: impl FnOnce(&mut Tuning, &mut Memory<'a>) -> Result<JobEnding, TuningError>,
) -> anyhow::Result<Found> {
    let mut spec = job.spec.clone();
    if job.earlier.is_some() {
        spec.search.reuse = Reuse::Owner;
    }
    let tuned = frugal_tuning::Job {
        most_per_request: vec![None; spec.models.len()],
        spec: Arc::new(spec),
        prompt_token_bounds: PromptTokenBounds {
            tuning: job.bounds(Split::Tuning),
            holdout: job.bounds(Split::Holdout),
            ..PromptTokenBounds::default()
        },
        labels: Vec::new(),
    };
    let mut tuning = Tuning::new(tuned, Past::default())?;
    let mut memory = Memory {
        job,
        bought: Archive::default(),
        begun: BTreeMap::new(),
        trials: BTreeMap::new(),
    };
    let ending = driver(&mut tuning, &mut memory)?;
    Ok(Found {
        report: ending.report.context("the job failed")?,
        trials: memory.trials,
        bought: memory.bought,
        tuning,
    })
}

/// Everything that a job asks for, answered from memory.
struct Memory<'a> {
    job: Job<'a>,
    bought: Archive,
    begun: BTreeMap<TrialNumber, Settings>,
    trials: BTreeMap<TrialNumber, Trial>,
}

impl Answers for Memory<'_> {
    fn send(&mut self, request: &RequestToSend) -> RequestEnd {
        let row = self.job.rows(request.split())[request.instance];
        let answered = self.job.endpoint.answer(
            &request.settings,
            row,
            request.n,
            request.max_tokens,
            request.seed.into(),
        );
        let prices = self.job.spec.models[request.settings.sampling.model].prices;
        let cost = answered.as_ref().map_or_else(
            |_| Spend::default(),
            |answered| Spend::of(answered.usage, prices),
        );
        let result = answered.map(|answered| {
            let responses = answered.responses.iter();
            let receipt = Receipt {
                usage: answered.usage,
                latency_ms: 0,
                responses: responses
                    .map(|response| ReceivedResponse {
                        estimated_tokens: response.tokens,
                        ended: response.ended,
                    })
                    .collect(),
            };
            self.bought.keep(request, row, answered);
            receipt
        });
        RequestEnd::Settled(SettledRequest {
            result,
            cost,
            uncertain: Spend::default(),
            usage_estimated: false,
            empty_responses: 0,
            longest_text: 0,
        })
    }

    fn score(&mut self, batch: &ScoreBatch) -> ScoredBatch {
        let one = |key: frugal_evaluation::ScoreKey| {
            let archive = match key.response.job {
                None => Some(&self.bought),
                Some(_) => self.job.earlier,
            };
            let said = archive.and_then(|archive| archive.observation(self.job.endpoint, key));
            (key, said.ok_or_else(|| "nobody bought it".to_owned()))
        };
        let scores = batch.plans.iter().map(|plan| one(plan.key));
        scores.collect::<Vec<Scored>>().into()
    }

    fn look_up(&mut self, wanted: &LookUp) -> Vec<OfferedResponse> {
        let sampling = &wanted.settings.sampling;
        let offer = |archive: &Archive| archive.offer(EARLIER, sampling, self.job.tuning);
        self.job.earlier.map(offer).unwrap_or_default()
    }

    fn record(&mut self, record: &Record) {
        match &record.change {
            Change::TrialBegun(begun) => {
                self.begun.insert(begun.number, begun.settings.clone());
            }
            Change::TrialEnded {
                trial,
                settings,
                outcome,
                tally,
            } => {
                if let Some(begun) = self.begun.remove(trial) {
                    let ended = Trial {
                        settings: settings.clone().unwrap_or(begun),
                        outcome: outcome.clone(),
                        spend: tally.spend,
                    };
                    self.trials.insert(*trial, ended);
                }
            }
            Change::Progressed
            | Change::TrialProgressed { .. }
            | Change::Validated
            | Change::TermsChanged(_)
            | Change::TrialEnqueued(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
