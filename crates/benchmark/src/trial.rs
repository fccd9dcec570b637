//! One trial in memory: the evaluator says what it wants, the endpoint answers, until it has its
//! ending. All that the evaluator may ask for is answered here.

use crate::archive::Archive;
use crate::books::Books;
use crate::run::{BASELINE, Job};
use anyhow::{Context, bail};
use frugal_domain::configuration::Settings;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::metric::Metric;
use frugal_domain::money::Spend;
use frugal_domain::request::Purpose;
use frugal_domain::seed::mix;
use frugal_domain::trial::{CostEstimate, Evaluation, TrialOutcome};
use frugal_evaluation::{
    Answer, Cut, CutPlan, Ending, EvaluatedInstance, Evaluator, Mode, RequestFailure, RequestPlan,
    Source, Step, Trial, TrialPlan, metrics, statistics,
};
use frugal_scoring::reduce;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The job before this one, whose responses are offered.
const EARLIER: JobId = JobId(Uuid::from_u128(1));

/// A trial that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Which one.
    pub number: TrialNumber,
    /// What it asked of the endpoint.
    pub settings: Settings,
    /// How it ended. The metrics but for the objective are left out.
    pub outcome: TrialOutcome,
    /// The objective on each instance, by position.
    pub utilities: BTreeMap<usize, f64>,
    /// What it cost.
    pub spend: Spend,
    /// Responses that it took from the pool and did not have to buy.
    pub pooled: u64,
}

impl Ended {
    /// What was found, if the trial was evaluated.
    pub const fn evaluation(&self) -> Option<&Evaluation> {
        match &self.outcome {
            TrialOutcome::Evaluated(evaluation) => Some(evaluation),
            _ => None,
        }
    }
}

/// A trial in the air.
pub struct UnderWay {
    number: TrialNumber,
    settings: Settings,
    purpose: Purpose,
    trial: Trial,
    spend: Spend,
}

impl UnderWay {
    /// Begins a trial.
    ///
    /// # Errors
    /// The plan makes no sense.
    pub fn begin(
        job: Job<'_>,
        evaluator: &Evaluator,
        number: TrialNumber,
        settings: Settings,
        purpose: Purpose,
        mode: Mode,
    ) -> anyhow::Result<Self> {
        let bounds = rows(job, purpose).iter().map(|row| {
            job.endpoint
                .prompt_token_bound(settings.sampling.prompt, *row)
        });
        let plan = TrialPlan {
            number,
            settings: settings.clone(),
            most_per_request: None,
            prices: job.spec.models[settings.sampling.model].prices,
            prompt_token_bounds: bounds.collect(),
            mode,
        };
        let mut trial = evaluator.begin(plan)?;
        if let Some(earlier) = job.earlier
            && purpose != Purpose::Validation
        {
            trial.offer(earlier.offer(EARLIER, &settings.sampling, rows(job, purpose)));
        }
        Ok(Self {
            number,
            settings,
            purpose,
            trial,
            spend: Spend::default(),
        })
    }

    /// Gives the trial what it wants next. Returns whether it has ended.
    ///
    /// # Errors
    /// The evaluator waits for what it has.
    pub fn turn(
        &mut self,
        job: Job<'_>,
        books: &mut Books,
        bought: &mut Archive,
    ) -> anyhow::Result<bool> {
        match self.trial.step() {
            Step::Ended(_) => return Ok(true),
            Step::Wait => bail!("a trial waits for nothing"),
            Step::Cut(plans) => {
                let cuts: Vec<Cut> = plans
                    .iter()
                    .filter_map(|plan| self.cut(job, bought, plan))
                    .collect();
                self.trial.receive_cuts(cuts);
            }
            Step::Request(batch) => {
                for plan in batch {
                    let reply = self.answer(job, books, bought, plan);
                    self.trial.receive(plan.ordinal, reply)?;
                }
            }
        }
        Ok(false)
    }

    /// Cuts a response that this job or the one before it bought.
    fn cut(&self, job: Job<'_>, bought: &Archive, plan: &CutPlan) -> Option<Cut> {
        match plan.id.source {
            Source::This => {
                let purpose = if plan.id.trial == BASELINE {
                    Purpose::Baseline
                } else {
                    Purpose::Search
                };
                bought.cut(job.endpoint, purpose, plan)
            }
            Source::Other { purpose, .. } => job.earlier?.cut(job.endpoint, purpose, plan),
        }
    }

    fn answer(
        &mut self,
        job: Job<'_>,
        books: &mut Books,
        bought: &mut Archive,
        plan: RequestPlan,
    ) -> Result<Answer, RequestFailure> {
        let reservation = books
            .reserve(plan.worst_case)
            .ok_or(RequestFailure::Unaffordable)?;
        let row = rows(job, self.purpose)[plan.instance];
        let seed = seed(
            job.spec.search.seed,
            self.purpose,
            self.number,
            plan.ordinal,
        );
        let answered = job
            .endpoint
            .answer(&self.settings, row, plan.n, plan.max_tokens, seed);
        let answered = match answered {
            Ok(answered) => answered,
            Err(failure) => {
                books.release(reservation);
                return Err(failure);
            }
        };
        let prices = job.spec.models[self.settings.sampling.model].prices;
        let cost = Spend::of(answered.usage, prices);
        books.settle(reservation, cost, self.purpose);
        self.spend += cost;
        let answer = Answer {
            usage: answered.usage,
            latency_ms: 0,
            responses: answered.responses.clone(),
        };
        bought.keep(
            self.purpose,
            self.number,
            &plan,
            row,
            &self.settings,
            answered,
        );
        Ok(answer)
    }

    /// How it ended, and the trial to commit.
    ///
    /// # Errors
    /// It has not ended.
    pub fn end(self, job: Job<'_>) -> anyhow::Result<(Ended, Trial)> {
        let (outcome, utilities) = match self.trial.ending() {
            Some(Ending::Evaluated { within_budget }) => {
                let instances = self.trial.evaluation().unwrap_or_default();
                evaluation(job, &instances, *within_budget)?
            }
            Some(Ending::Pruned(reason)) => {
                let reason = reason.clone();
                (TrialOutcome::Pruned { reason }, BTreeMap::new())
            }
            Some(Ending::Infeasible(detail)) => {
                let detail = detail.clone();
                (TrialOutcome::Infeasible { detail }, BTreeMap::new())
            }
            Some(Ending::Failed(detail)) => {
                let detail = detail.clone();
                (TrialOutcome::Failed { detail }, BTreeMap::new())
            }
            Some(Ending::BudgetExhausted) => (TrialOutcome::Stopped, BTreeMap::new()),
            None => bail!("a trial has no ending"),
        };
        let ended = Ended {
            number: self.number,
            settings: self.settings,
            outcome,
            utilities,
            spend: self.spend,
            pooled: self.trial.pooled_responses(),
        };
        Ok((ended, self.trial))
    }
}

/// The endpoint's rows that a trial of this purpose is evaluated on.
fn rows<'a>(job: Job<'a>, purpose: Purpose) -> &'a [usize] {
    match purpose {
        Purpose::Validation => job.holdout,
        _ => job.tuning,
    }
}

fn evaluation(
    job: Job<'_>,
    instances: &[EvaluatedInstance],
    valid: bool,
) -> anyhow::Result<(TrialOutcome, BTreeMap<usize, f64>)> {
    let unit = job.spec.cost_unit();
    let values = |metric| metrics::values(metric, instances, unit, reduce);
    let estimate = |values: BTreeMap<usize, f64>| {
        let values: Vec<f64> = values.into_values().collect();
        statistics::estimate(&values).context("an evaluated trial has no instance")
    };
    let utilities = values(job.spec.objective.metric);
    let evaluation = Evaluation {
        utility: estimate(utilities.clone())?,
        metrics: BTreeMap::new(),
        inference_cost: CostEstimate {
            unit,
            estimate: estimate(values(Metric::InferenceCost))?,
        },
        violated: Vec::new(),
        valid,
    };
    Ok((TrialOutcome::Evaluated(evaluation), utilities))
}

/// A seed for each request of its own, from the job's seed and the request's place in the job.
fn seed(job: u64, purpose: Purpose, trial: TrialNumber, ordinal: u32) -> u64 {
    let place = (u64::from(trial.0) << 32) | u64::from(ordinal);
    mix(mix(mix(job) ^ purpose as u64) ^ place)
}
