//! Every recorded case of the reference implementation's cost-based pruning, request by
//! request.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::Pruning;
use frugal_domain::money::{Budget, Prices, Usage, Usd};
use frugal_domain::request::{Purpose, ResponseId};
use frugal_domain::trial::PruneReason;
use frugal_evaluation::{
    Ending, Evaluator, EvaluatorOptions, Mode, Receipt, ReceivedResponse, ReferenceOptions,
    RegionTables, Step, TrialPlan, TrialRun,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Case {
    instances: usize,
    prompt_tokens: Vec<u64>,
    mean_prompt_tokens: Option<f64>,
    price_per_1k: BTreeMap<String, [f64; 2]>,
    inference_budget: Option<f64>,
    optimization_budget: Option<f64>,
    trials: Vec<RecordedTrial>,
}

#[derive(Deserialize)]
struct RecordedTrial {
    config: Config,
    calls: Vec<Call>,
    outcome: String,
    expected_success: Option<f64>,
    success: Option<f64>,
    inference_cost: Option<f64>,
    trial_cost: f64,
    total_cost: f64,
    max_valid_n_after: Vec<Entry>,
    min_invalid_n_after: Vec<Entry>,
}

#[derive(Deserialize)]
struct Config {
    model: String,
    prompt: u32,
    max_tokens: u32,
    n: u32,
}

#[derive(Deserialize)]
struct Call {
    instance: usize,
    n: u32,
    completion_tokens: Vec<u64>,
    correct: Vec<bool>,
    cost: f64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Entry {
    model: String,
    prompt: u32,
    max_tokens: u32,
    n: u32,
}

fn cases() -> Vec<Case> {
    let folder = std::env::var_os("FRUGAL_REFERENCE_DIR").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../tests/reference"
            ))
        },
        PathBuf::from,
    );
    let text = std::fs::read_to_string(folder.join("pruning.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1e-6)
}

fn evaluator(case: &Case) -> Evaluator {
    let dollars = |amount| Budget::Usd(Usd::from_dollars(amount).unwrap());
    let mut options = EvaluatorOptions::new(
        case.instances,
        Pruning::Reference,
        case.inference_budget.map(dollars),
    );
    options.reference = ReferenceOptions {
        mean_prompt_tokens: case.mean_prompt_tokens,
        optimization_budget: case.optimization_budget.map(dollars),
    };
    Evaluator::new(options)
}

fn plan(case: &Case, number: usize, config: &Config) -> TrialPlan {
    let [input, output] = case.price_per_1k[&config.model];
    let model = case
        .price_per_1k
        .keys()
        .position(|model| *model == config.model);
    TrialPlan {
        number: TrialNumber(u32::try_from(number).unwrap()),
        purpose: Purpose::Search,
        settings: Settings {
            sampling: Sampling {
                model: model.unwrap(),
                prompt: config.prompt as usize,
                temperature: None,
                top_p: None,
                stop: Vec::new(),
                extra: BTreeMap::new(),
            },
            extent: Extent {
                max_tokens: config.max_tokens,
                n: config.n,
            },
        },
        most_per_request: None,
        prices: Prices::per_million(input * 1000.0, output * 1000.0, 0.0).unwrap(),
        prompt_token_bounds: case.prompt_tokens.iter().copied().collect(),
        mode: Mode::Scheduled,
    }
}

fn answer(case: &Case, call: &Call) -> Receipt {
    Receipt {
        latency_ms: 0,
        usage: Usage {
            prompt_tokens: case.prompt_tokens[call.instance],
            completion_tokens: call.completion_tokens.iter().sum(),
        },
        responses: call
            .completion_tokens
            .iter()
            .map(|&tokens| ReceivedResponse {
                estimated_tokens: tokens,
                ended: true,
            })
            .collect(),
    }
}

/// Answers the trial's requests with the recorded ones, which must be the same in number,
/// order, instance and n.
fn replay(trial: &mut TrialRun, case: &Case, recorded: &[Call], at: &str) -> Ending {
    let mut calls = recorded.iter();
    loop {
        match trial.step() {
            Step::Wait => panic!("{at}: waits though everything is answered"),
            Step::Score(plans) => trial.receive_scores(plans.iter().map(|plan| {
                assert!(plan.cut.is_none(), "{at}: the reference reuses nothing");
                let ResponseId {
                    request, position, ..
                } = plan.key.response;
                let correct = recorded[request.ordinal as usize].correct[position as usize];
                (plan.key, Ok(f64::from(u8::from(correct))))
            })),
            Step::Ended(ending) => {
                assert_eq!(
                    calls.count(),
                    0,
                    "{at}: ended {ending:?} before the reference did"
                );
                return ending;
            }
            Step::Request(batch) => {
                for request in batch {
                    let call = calls
                        .next()
                        .unwrap_or_else(|| panic!("{at}: {request:?} is extra"));
                    assert_eq!(
                        (request.instance, request.n),
                        (call.instance, call.n),
                        "{at}"
                    );
                    let spent = trial.spend().usd;
                    trial
                        .receive(request.key.ordinal, Ok(answer(case, call)))
                        .unwrap();
                    let cost = trial.spend().usd.saturating_sub(spent).dollars();
                    assert!(close(cost, call.cost), "{at}: {cost} for {}", call.cost);
                }
            }
        }
    }
}

fn outcome(ending: &Ending) -> &'static str {
    match ending {
        Ending::Evaluated { .. } => "evaluated",
        Ending::Pruned(PruneReason::KnownInvalid) => "pruned_before_any_call",
        Ending::Pruned(PruneReason::OverBudget { .. }) => "pruned_over_budget",
        Ending::Pruned(PruneReason::Inferior { .. }) => "pruned_inferior",
        Ending::BudgetExhausted | Ending::Drawn => "budget_exhausted",
        Ending::Infeasible(_) | Ending::Failed(_) => "failed",
    }
}

/// Mean expected success, success and inference cost, as the reference defines them.
fn numbers(trial: &TrialRun) -> Option<[f64; 3]> {
    let instances = trial.evaluation()?;
    let mut sums = [0.0; 3];
    for instance in &instances {
        let n = instance.responses.len() as f64;
        let right = instance
            .responses
            .iter()
            .map(|r| r.observed.score)
            .sum::<f64>();
        sums[0] += 1.0 - (1.0 - right / n).powf(n);
        sums[1] += f64::from(u8::from(right > 0.0));
        sums[2] += instance.inference_cost.usd.dollars();
    }
    Some(sums.map(|sum| sum / instances.len() as f64))
}

fn tables(
    case: &Case,
    evaluator: &Evaluator,
    of: fn(&RegionTables) -> &BTreeMap<u32, u32>,
) -> Vec<Entry> {
    let regions = evaluator.validity().regions();
    regions
        .flat_map(|(region, tables)| {
            let model = case.price_per_1k.keys().nth(region.model).unwrap();
            of(tables).iter().map(move |(&max_tokens, &n)| Entry {
                model: model.clone(),
                prompt: u32::try_from(region.prompt).unwrap(),
                max_tokens,
                n,
            })
        })
        .collect()
}

#[test]
fn every_case_of_the_reference_is_reproduced() {
    let cases = cases();
    let mut trials = 0;
    for (index, case) in cases.iter().enumerate() {
        let mut evaluator = evaluator(case);
        for (number, recorded) in case.trials.iter().enumerate() {
            let at = format!("case {index}, trial {number}");
            let mut trial = evaluator
                .begin(plan(case, number, &recorded.config))
                .unwrap();
            let ending = replay(&mut trial, case, &recorded.calls, &at);
            evaluator.commit(&trial);

            assert_eq!(outcome(&ending), recorded.outcome, "{at}");
            if let Ending::Evaluated { within_budget } = ending {
                let cost = recorded.inference_cost.unwrap();
                let within = case.inference_budget.is_none_or(|budget| cost <= budget);
                assert_eq!(within_budget, within, "{at}: {cost}");
            }
            assert!(
                close(trial.spend().usd.dollars(), recorded.trial_cost),
                "{at}: trial cost"
            );
            assert!(
                close(evaluator.spend().usd.dollars(), recorded.total_cost),
                "{at}: total"
            );
            for (mut expected, found, what) in [
                (
                    recorded.max_valid_n_after.iter().collect::<Vec<_>>(),
                    tables(case, &evaluator, RegionTables::max_valid_n),
                    "valid",
                ),
                (
                    recorded.min_invalid_n_after.iter().collect::<Vec<_>>(),
                    tables(case, &evaluator, RegionTables::min_invalid_n),
                    "invalid",
                ),
            ] {
                let mut found: Vec<&Entry> = found.iter().collect();
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{at}: {what} n");
            }
            let expected = [
                recorded.expected_success,
                recorded.success,
                recorded.inference_cost,
            ];
            for (position, expected) in expected.into_iter().enumerate() {
                let found = numbers(&trial).map(|numbers| numbers[position]);
                let same = match (found, expected) {
                    (Some(found), Some(expected)) => close(found, expected),
                    (found, expected) => found == expected,
                };
                assert!(same, "{at}: number {position}: {found:?} for {expected:?}");
            }
            trials += 1;
        }
    }
    assert!(cases.len() >= 5 && trials > cases.len(), "{trials} trials");
}
