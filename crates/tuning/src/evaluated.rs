//! The report of an evaluation, made from what was found.

use crate::comparison::{self, Correction, LEVEL};
use crate::evaluation_report::{
    Budgets, CostInterval, Evaluated, EvaluationReport, Ranked, Rows, Tokens,
};
use crate::findings::Findings;
use crate::interval_estimate::IntervalEstimate;
use crate::side_by_side::{SideBySide, Standing};
use crate::{notes, report, words};
use frugal_domain::job::{EvaluationSpec, JobSpec, NamedConfiguration};
use frugal_domain::metric::{CorpusMetric, Metric};
use frugal_domain::state::{StopReason, TrialState};
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::statistics;

/// The report of an evaluation that is over.
pub(crate) fn build(
    findings: &Findings<'_>,
    evaluation: &EvaluationSpec,
    side: &SideBySide,
    stop_reason: StopReason,
) -> EvaluationReport {
    let spec = findings.spec;
    let all: Vec<(&NamedConfiguration, &Standing)> = evaluation
        .configurations
        .iter()
        .zip(&side.standings)
        .collect();
    let metrics = metrics(spec);
    let evaluated = |(named, standing): &(&NamedConfiguration, &Standing)| {
        evaluated(findings, named, standing, &metrics)
    };
    let configurations: Vec<Evaluated> = all.iter().map(evaluated).collect();
    let found = all
        .iter()
        .copied()
        .filter(|(_, standing)| is_evaluated(findings, standing));
    let reference = all.get(evaluation.reference).copied();
    let comparisons = match reference.filter(|(_, standing)| is_evaluated(findings, standing)) {
        Some(reference) => {
            let others = found.filter(|(_, one)| one.number != reference.1.number);
            let others: Vec<_> = others.collect();
            comparison::compare(spec, reference, &others, &metrics)
        }
        None => Vec::new(),
    };
    let rows = Rows {
        of: findings.rows,
        seen_by_all: side.seen_by_all(),
    };
    let summary = findings.books.summary();
    let ranking = ranking(spec, &configurations);
    EvaluationReport {
        verdict: words::verdict(&words::Found {
            spec,
            stop_reason,
            reference: evaluation.reference_name(),
            rows,
            configurations: &configurations,
            comparisons: &comparisons,
            ranking: &ranking,
        }),
        objective: spec.objective,
        stop_reason,
        reference: evaluation.reference_name().to_owned(),
        rows,
        correction: Correction {
            method: "holm",
            comparisons: comparisons.len(),
            level: LEVEL,
        },
        configurations,
        comparisons,
        ranking,
        budgets: Budgets {
            inference: spec.inference_budget,
            evaluation: spec.optimization_budget,
        },
        spend: summary.spend.values().copied().sum(),
        spend_by_role: summary.spend,
        trials: summary.progress,
        diagnostics: report::diagnostics(findings),
        notes: notes::of_evaluation(findings, side, stop_reason),
    }
}

/// What is told of a configuration: everything, but for latency where requests waited behind others, or
/// served several.
fn metrics(spec: &JobSpec) -> Vec<Metric> {
    let told = |metric: &Metric| *metric != Metric::LatencyMs || spec.measures_own_latency();
    Metric::ALL.iter().copied().filter(told).collect()
}

/// How a trial has ended; nothing of one that was never begun.
fn outcome<'a>(findings: &Findings<'a>, standing: &Standing) -> Option<&'a TrialOutcome> {
    let ended = findings.ended.get(&standing.number)?;
    Some(&ended.outcome)
}

fn is_evaluated(findings: &Findings<'_>, standing: &Standing) -> bool {
    matches!(
        outcome(findings, standing),
        Some(TrialOutcome::Evaluated(_))
    )
}

fn evaluated(
    findings: &Findings<'_>,
    named: &NamedConfiguration,
    standing: &Standing,
    metrics: &[Metric],
) -> Evaluated {
    let spec = findings.spec;
    let outcome = outcome(findings, standing);
    let evaluation = match outcome {
        Some(TrialOutcome::Evaluated(evaluation)) => Some(evaluation),
        _ => None,
    };
    let interval = |metric: Metric| {
        let values = standing.values(spec, metric)?;
        Some(IntervalEstimate {
            estimate: statistics::estimate(&values)?,
            interval: statistics::mean_interval(metric, &values)?,
        })
    };
    let named_metrics = metrics.iter().filter(|_| evaluation.is_some());
    let named_metrics = named_metrics.filter_map(|metric| {
        let name = metric.as_str().to_owned();
        Some((name, interval(*metric)?))
    });
    let corpus = standing.corpus.iter().filter(|_| evaluation.is_some());
    let of_all_rows = corpus.flat_map(|corpus| {
        let estimate = |metric: &CorpusMetric| {
            let found = corpus.estimate(*metric)?.into();
            Some((metric.as_str().to_owned(), found))
        };
        corpus.metrics().iter().filter_map(estimate)
    });
    Evaluated {
        name: named.name.clone(),
        trial: standing.number,
        configuration: spec.describe(&standing.settings),
        source: named.source,
        state: outcome.map_or(TrialState::Stopped, TrialOutcome::state),
        detail: match outcome {
            Some(TrialOutcome::Infeasible { detail } | TrialOutcome::Failed { detail }) => {
                Some(detail.clone())
            }
            Some(TrialOutcome::Evaluated(_)) => None,
            _ => Some("the evaluation ended before any row of it was complete".to_owned()),
        },
        coverage: evaluation.and_then(|evaluation| evaluation.coverage),
        metrics: named_metrics.chain(of_all_rows).collect(),
        inference_cost: interval(Metric::InferenceCost)
            .filter(|_| evaluation.is_some())
            .map(|cost| CostInterval {
                unit: spec.cost_unit(),
                cost,
            }),
        within_inference_budget: evaluation.and_then(|_| standing.is_within_budget(spec)),
        violated: evaluation.map_or_else(Vec::new, |evaluation| evaluation.violated.clone()),
        valid: evaluation.map(|evaluation| evaluation.valid),
        tokens: Tokens {
            prompt: standing.prompt_tokens,
            completion: standing.completion_tokens,
        },
        spend: standing.tally.spend,
        requests: standing.tally.requests,
        responses: standing.tally.responses,
        shared_responses: standing.shared_responses,
        failed_requests: standing.failed_requests,
        rows_without_answer: standing.unanswered.len(),
    }
}

/// The evaluated configurations: valid ones first, then by the mean of the objective, then by cost.
fn ranking(spec: &JobSpec, configurations: &[Evaluated]) -> Vec<Ranked> {
    let objective = spec.objective;
    let ranked = configurations.iter().filter_map(|one| {
        Some(Ranked {
            rank: 0,
            configuration: one.name.clone(),
            trial: one.trial,
            utility: one.metrics.get(objective.metric.as_str())?.estimate.mean,
            inference_cost: one.inference_cost?.cost.estimate.mean,
            valid: one.valid?,
            on_front: true,
        })
    });
    let mut ranked: Vec<Ranked> = ranked.collect();
    let loss = |one: &Ranked| objective.direction.loss(one.utility);
    ranked.sort_by(|one, other| {
        other
            .valid
            .cmp(&one.valid)
            .then(loss(one).total_cmp(&loss(other)))
            .then(one.inference_cost.total_cmp(&other.inference_cost))
            .then(one.trial.cmp(&other.trial))
    });
    let points: Vec<(f64, f64)> = ranked
        .iter()
        .map(|one| (loss(one), one.inference_cost))
        .collect();
    for (rank, one) in (1..).zip(&mut ranked) {
        one.rank = rank;
        let (own_loss, own_cost) = points[rank - 1];
        one.on_front = !points.iter().any(|(loss, cost)| {
            (*loss <= own_loss && *cost < own_cost) || (*loss < own_loss && *cost <= own_cost)
        });
    }
    ranked
}
