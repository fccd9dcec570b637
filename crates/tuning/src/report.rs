//! What a job found, and how sure that is.

use crate::as_good::{self, AsGood};
use crate::books::Books;
use crate::corpus::{self, CorpusReport};
use crate::ended::{BASELINE, EndedTrial};
use crate::findings::Findings;
use crate::interval_estimate::IntervalEstimate;
use crate::nearly_as_good::{self, NearlyAsGood};
use crate::notes::{self, Note};
use crate::summary::{self, Side, Told};
use crate::verdict::{self, Compared, Holdout, Verdict};
use frugal_domain::configuration::{Region, Settings};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{JobSpec, Objective};
use frugal_domain::money::{Budget, Prices, Spend, Usage};
use frugal_domain::spend::SpendByCategory;
use frugal_domain::state::StopReason;
use frugal_domain::trial::{Evaluation, Interval, Progress, PruneReason, TrialOutcome};
use frugal_domain::warm_start::WarmStart;
use frugal_evaluation::statistics;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The report of a job, as it is stored and served.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it says to somebody who decides, in a sentence or two.
    pub summary: String,
    /// What the search was after.
    pub objective: Objective,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The configuration that the winner is compared with.
    pub baseline: Option<Scored>,
    /// The best valid configuration, if any was found.
    pub winner: Option<Scored>,
    /// Winner less baseline, paired by instance, on the instances that the search saw.
    pub difference: Option<IntervalEstimate>,
    /// Both on the instances that the search did not see.
    pub holdout: Option<Holdout>,
    /// Metrics of all instances together, which are no means over them; none where the scorer counts none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus: Option<CorpusReport>,
    /// The winner's answers beside those that they must be as good as, where the cheapest was sought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_good: Option<AsGood>,
    /// Whether the winner is better than the baseline: where the cheapest was sought that is as good,
    /// whether it is cheaper and as good.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Trials by outcome, requests, responses.
    pub trials: Progress,
    /// The budgets.
    pub budgets: Budgets,
    /// What was spent, all roles together.
    pub spend: Spend,
    /// What was spent, by role.
    pub spend_by_role: SpendByCategory,
    /// What pruning and the pool of responses saved.
    pub savings: Savings,
    /// The evaluated configurations that no other beats in both utility and inference cost,
    /// cheapest first. Where the cheapest was sought that is as good, in the quality of answers and
    /// inference cost.
    pub front: Vec<Scored>,
    /// The cheapest valid configuration that is nearly as good as the winner and costs at most half
    /// as much.
    pub nearly_as_good: Option<NearlyAsGood>,
    /// What is known of the inference budget, by model, prompt and stop texts.
    pub feasible: Vec<Feasible>,
    /// What the numbers rest on.
    pub diagnostics: Diagnostics,
    /// What the job took over from an earlier one, where it was to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStartReport>,
    /// Why something is not there that one may look for, and what would change that.
    pub notes: Vec<Note>,
}

/// What a job took over from an earlier one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WarmStartReport {
    /// What was settled when it was posted.
    #[serde(flatten)]
    pub settled: WarmStart,
    /// Responses of the earlier job that trials took over.
    pub responses: u64,
}

/// A configuration with its numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Scored {
    /// Its trial.
    pub trial: TrialNumber,
    /// What it asks of the endpoint.
    pub configuration: Map<String, Value>,
    /// The objective, the other metrics, the inference cost.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// The [95 % interval](statistics::mean_interval) of the objective, on the instances that the
    /// search saw. It reckons with the choice of instances alone: one that was chosen for its mean
    /// here is as a rule worth less on others.
    pub utility_interval: Option<Interval>,
}

impl Scored {
    const fn side(&self) -> Side<'_> {
        Side {
            trial: self.trial,
            configuration: &self.configuration,
            utility: self.evaluation.utility.mean,
            cost: &self.evaluation.inference_cost,
        }
    }
}

/// The budgets of the job.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Budgets {
    /// The most that one instance may cost.
    pub inference: Option<Budget>,
    /// The most that the job may spend.
    pub optimization: Budget,
}

/// What pruning and the pool of responses saved.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Savings {
    /// What the trials of the search cost.
    pub spent: Spend,
    /// What evaluating every one of them in full would have cost, as far as it is known how
    /// long responses are: those of the trial itself, else those with the same model and
    /// prompt, else `max_tokens`. Trials that the endpoint refused count nothing.
    pub full_evaluation: Spend,
    /// Trials that were pruned.
    pub pruned: Pruned,
    /// Responses that trials of the search took from the pool of responses and did not have to
    /// buy, each as often as it was taken.
    pub reused_responses: u64,
}

/// How many trials were pruned, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Known to be over the inference budget before anything was requested.
    pub known_invalid: u32,
    /// Found to be over the inference budget on the way.
    pub over_budget: u32,
    /// Significantly worse than the best.
    pub inferior: u32,
}

impl Pruned {
    const fn add(&mut self, reason: &PruneReason) {
        match reason {
            PruneReason::KnownInvalid => self.known_invalid += 1,
            PruneReason::OverBudget { .. } => self.over_budget += 1,
            PruneReason::Inferior { .. } => self.inferior += 1,
        }
    }
}

/// What is known of the inference budget for one model, prompt and stop texts.
#[derive(Debug, Clone, Serialize)]
pub struct Feasible {
    /// The endpoint's name.
    pub endpoint: String,
    /// The model's name.
    pub model: String,
    /// The prompt's name.
    pub prompt: String,
    /// The stop texts.
    pub stop: Vec<String>,
    /// By `max_tokens`, the largest n known to be within the budget.
    pub largest_valid_n: BTreeMap<u32, u32>,
    /// By `max_tokens`, the smallest n known to be over it.
    pub smallest_invalid_n: BTreeMap<u32, u32>,
}

/// What the numbers rest on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnostics {
    /// Responses cut at `max_tokens`.
    pub cut_responses: u64,
    /// Their share of all responses.
    pub cut_rate: Option<f64>,
    /// Responses without any text.
    pub empty_responses: u64,
    /// Their share of all responses.
    pub empty_rate: Option<f64>,
    /// Requests that failed for good.
    pub failed_requests: u64,
    /// Their share of all requests.
    pub failed_rate: Option<f64>,
    /// Requests whose usage is an estimate because the endpoint gave none.
    pub estimated_usage: u64,
    /// Measurements against the assumption that cost grows with n and `max_tokens` (paper,
    /// assumption 3.1): how many there are.
    pub violation_count: usize,
    /// Which trials made them, in the order in which they showed.
    pub violations: Vec<Violation>,
}

/// A measurement that contradicts what was taken as known.
#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    /// The trial that measured it.
    pub trial: TrialNumber,
    /// Its configuration.
    pub configuration: Map<String, Value>,
    /// Responses per instance at which it showed; the configuration's own number at most.
    pub n: u32,
    /// Whether it was found within the budget although known to be over it, or the reverse.
    pub measured_valid: bool,
}

/// The report of a job whose search is over.
pub(crate) fn build(
    findings: &Findings<'_>,
    stop_reason: StopReason,
    compared: Option<&Compared>,
) -> Report {
    let spec = findings.spec;
    let (winner, baseline) = (findings.winner(), findings.baseline());
    let books = findings.books.summary();
    let (today, best) = (
        baseline.and_then(|ended| scored(spec, ended)),
        winner.and_then(|ended| scored(spec, ended)),
    );
    let verdict = verdict::verdict(findings, compared);
    let notes = notes::of(findings, stop_reason);
    Report {
        summary: summary::of(&Told {
            winner: best.as_ref().map(Scored::side),
            baseline: today.as_ref().map(Scored::side),
            holdout: compared.map(|compared| &compared.holdout),
            verdict: &verdict,
            is_for_less: spec.objective.cheapest.is_some(),
            notes: &notes,
        }),
        objective: spec.objective,
        stop_reason,
        baseline: today,
        winner: best,
        difference: winner
            .zip(baseline)
            .and_then(|(winner, baseline)| IntervalEstimate::of_pair(spec, winner, baseline)),
        corpus: corpus::compared(winner, baseline).map(|tuning| CorpusReport {
            tuning,
            holdout: compared.and_then(|compared| compared.corpus.clone()),
        }),
        as_good: as_good::of(findings, compared.map(Compared::on_holdout).as_ref()),
        verdict,
        holdout: compared.map(|compared| compared.holdout.clone()),
        trials: books.progress,
        budgets: Budgets {
            inference: spec.inference_budget,
            optimization: spec.optimization_budget,
        },
        spend: books.spend.values().copied().sum(),
        spend_by_role: books.spend,
        savings: savings(findings),
        front: front(findings),
        nearly_as_good: nearly_as_good::find(findings),
        feasible: feasible(findings),
        diagnostics: diagnostics(findings),
        warm_start: spec.warm_start.map(|settled| WarmStartReport {
            settled,
            responses: findings.taken_over,
        }),
        notes,
    }
}

fn scored(spec: &JobSpec, ended: &EndedTrial) -> Option<Scored> {
    let utilities: Vec<f64> = ended.utilities.values().copied().collect();
    Some(Scored {
        trial: ended.number,
        configuration: spec.describe(&ended.settings),
        evaluation: Evaluation {
            // It stands beside it.
            utility_interval: None,
            ..ended.evaluation()?.clone()
        },
        utility_interval: statistics::mean_interval(spec.objective.metric, &utilities),
    })
}

/// The evaluated trials that no other beats in both utility, or the quality of answers where the
/// objective is to pay less for them, and cost, cheapest first.
fn front(findings: &Findings<'_>) -> Vec<Scored> {
    let spec = findings.spec;
    let mut all: Vec<Scored> = findings
        .ended
        .values()
        .filter(|ended| ended.evaluation().is_some_and(Evaluation::is_complete))
        .filter_map(|ended| scored(spec, ended))
        .collect();
    let cost = |scored: &Scored| scored.evaluation.inference_cost.estimate.mean;
    let loss = |scored: &Scored| match spec.objective.cheapest {
        None => spec
            .objective
            .direction
            .loss(scored.evaluation.utility.mean),
        Some(standard) => {
            let quality = scored.evaluation.metrics.get(standard.metric.as_str());
            quality.map_or(f64::INFINITY, |quality| -quality.mean)
        }
    };
    all.sort_by(|a, b| {
        cost(a)
            .total_cmp(&cost(b))
            .then(loss(a).total_cmp(&loss(b)))
            .then(a.trial.cmp(&b.trial))
    });
    let mut least = f64::INFINITY;
    all.retain(|scored| {
        let better = loss(scored) < least;
        least = least.min(loss(scored));
        better
    });
    all
}

/// What the search spent, and what full evaluation would have cost.
fn savings(findings: &Findings<'_>) -> Savings {
    let spec = findings.spec;
    let search = || {
        findings
            .ended
            .values()
            .filter(|ended| ended.number != BASELINE)
    };
    let mut lengths: BTreeMap<(usize, usize), Lengths> = BTreeMap::new();
    for ended in findings.ended.values() {
        let key = (
            ended.settings.sampling.model,
            ended.settings.sampling.prompt,
        );
        lengths
            .entry(key)
            .or_default()
            .add(Lengths::of(findings, ended));
    }
    let full = |ended: &EndedTrial| {
        let key = (
            ended.settings.sampling.model,
            ended.settings.sampling.prompt,
        );
        let prices = spec.models[ended.settings.sampling.model].prices;
        let alike = lengths.get(&key).copied().unwrap_or_default();
        full_evaluation(findings, ended, alike, prices)
    };
    let mut pruned = Pruned::default();
    for ended in search() {
        if let TrialOutcome::Pruned { reason } = &ended.outcome {
            pruned.add(reason);
        }
    }
    Savings {
        pruned,
        reused_responses: search()
            .filter_map(|ended| ended.figures.as_ref())
            .map(|figures| figures.pooled_responses)
            .sum(),
        spent: search().map(|ended| ended.tally.spend).sum(),
        full_evaluation: search()
            .filter(|ended| !matches!(ended.outcome, TrialOutcome::Infeasible { .. }))
            .map(full)
            .sum(),
    }
}

/// Completion tokens seen and the responses that they are of.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    tokens: u64,
    responses: u64,
}

impl Lengths {
    /// Those of a trial's own requests.
    fn of(findings: &Findings<'_>, ended: &EndedTrial) -> Self {
        let pool = findings.evaluator.pool();
        let (tokens, responses) = match &ended.figures {
            Some(figures) => figures.completion_tokens,
            None => pool
                .arm(&ended.settings.sampling)
                .map_or((0, 0), frugal_evaluation::Arm::completion_tokens),
        };
        Self { tokens, responses }
    }

    const fn add(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.responses += other.responses;
    }

    /// The tokens that so many responses have, at this mean length and none above the cap.
    fn tokens_of(self, responses: u64, max_tokens: u32) -> u64 {
        let cap = responses.saturating_mul(max_tokens.into());
        if self.responses == 0 {
            return cap;
        }
        let product = u128::from(self.tokens) * u128::from(responses);
        let tokens = product / u128::from(self.responses);
        u64::try_from(tokens).unwrap_or(u64::MAX).min(cap)
    }
}

fn full_evaluation(
    findings: &Findings<'_>,
    ended: &EndedTrial,
    alike: Lengths,
    prices: Prices,
) -> Spend {
    let settings = &ended.settings;
    let own = Lengths::of(findings, ended);
    let lengths = if own.responses == 0 { alike } else { own };
    let instances = match &ended.figures {
        Some(figures) => figures.prompt_tokens.to_vec(),
        None => {
            let (model, prompt) = (settings.sampling.model, settings.sampling.prompt);
            let bounds = findings.prompt_token_bounds.get(prompt).cloned();
            findings
                .evaluator
                .prompt_token_estimates(model, prompt, bounds.unwrap_or_default())
        }
    };
    instances
        .iter()
        .map(|prompt_tokens| {
            let usage = Usage {
                prompt_tokens: *prompt_tokens,
                completion_tokens: lengths
                    .tokens_of(settings.extent.n.into(), settings.extent.max_tokens),
            };
            Spend::of(usage, prices)
        })
        .sum()
}

fn feasible(findings: &Findings<'_>) -> Vec<Feasible> {
    let spec = findings.spec;
    let mut by_region: BTreeMap<Region, &Settings> = BTreeMap::new();
    for ended in findings.ended.values() {
        by_region
            .entry(ended.settings.sampling.region())
            .or_insert(&ended.settings);
    }
    by_region
        .into_iter()
        .filter_map(|(region, settings)| {
            let tables = findings.evaluator.validity().region(&region)?;
            Some(Feasible {
                endpoint: spec.models[settings.sampling.model].endpoint.clone(),
                model: spec.models[settings.sampling.model].model.clone(),
                prompt: spec.prompts[settings.sampling.prompt].name.clone(),
                stop: settings.sampling.stop.clone(),
                largest_valid_n: tables.max_valid_n().clone(),
                smallest_invalid_n: tables.min_invalid_n().clone(),
            })
        })
        .collect()
}

pub(crate) fn diagnostics(findings: &Findings<'_>) -> Diagnostics {
    let Books {
        counts, progress, ..
    } = findings.books;
    let violations: Vec<Violation> = findings
        .evaluator
        .validity()
        .violations()
        .iter()
        .filter_map(|violation| {
            let ended = findings.ended.get(&violation.trial)?;
            Some(Violation {
                trial: violation.trial,
                configuration: findings.spec.describe(&ended.settings),
                n: violation.n,
                measured_valid: violation.measured_valid,
            })
        })
        .collect();
    Diagnostics {
        cut_responses: counts.cut,
        cut_rate: rate(counts.cut, progress.responses),
        empty_responses: counts.empty,
        empty_rate: rate(counts.empty, progress.responses),
        failed_requests: counts.failed,
        failed_rate: rate(counts.failed, progress.requests),
        estimated_usage: counts.estimated,
        violation_count: violations.len(),
        violations,
    }
}

/// A part of a whole as a share; nothing where there is no whole.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of requests and responses are far below 2^53"
)]
fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
