//! Trials held against the best one, and in what order they look at the instances.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Direction, Pruning};
use frugal_domain::money::{Budget, Prices, Usage};
use frugal_domain::request::Purpose;
use frugal_domain::trial::PruneReason;
use frugal_evaluation::{
    Ending, EvaluatedInstance, Evaluator, EvaluatorOptions, Mode, Receipt, ReceivedResponse, Rival,
    Step, TrialPlan,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const INSTANCES: usize = 64;

fn plan(number: u32) -> TrialPlan {
    TrialPlan {
        number: TrialNumber(number),
        purpose: Purpose::Search,
        settings: Settings {
            sampling: Sampling {
                model: 0,
                prompt: 0,
                temperature: Some(f64::from(number)),
                top_p: None,
                stop: Vec::new(),
                extra: BTreeMap::new(),
            },
            extent: Extent {
                max_tokens: 10,
                n: 1,
            },
        },
        most_per_request: None,
        prices: Prices::default(),
        prompt_token_bounds: [5; INSTANCES].into(),
        mode: Mode::Scheduled,
    }
}

fn score(instance: &EvaluatedInstance) -> f64 {
    instance.responses[0].observed.score
}

/// The best so far is right on all instances (or, where less is better, never wrong).
fn rival(direction: Direction) -> Rival {
    let good = match direction {
        Direction::Maximize => 1.0,
        Direction::Minimize => 0.0,
    };
    Rival {
        trial: TrialNumber(0),
        utilities: (0..INSTANCES).map(|instance| (instance, good)).collect(),
        direction,
        objective: Arc::new(score),
    }
}

/// Runs a trial whose score depends on the instance; the instances in the order in which they
/// were asked for, and the ending.
fn run(evaluator: &Evaluator, score: impl Fn(usize) -> f64) -> (Vec<usize>, Ending) {
    let mut trial = evaluator.begin(plan(1)).unwrap();
    let mut asked = Vec::new();
    loop {
        match trial.step() {
            Step::Request(batch) => {
                for request in batch {
                    asked.push(request.instance);
                    let response = ReceivedResponse {
                        estimated_tokens: 3,
                        ended: true,
                    };
                    let answer = Receipt {
                        usage: Usage {
                            prompt_tokens: 5,
                            completion_tokens: 3,
                        },
                        latency_ms: 1,
                        responses: vec![response],
                    };
                    trial.receive(request.key.ordinal, Ok(answer)).unwrap();
                }
            }
            Step::Score(plans) => {
                let scores = plans
                    .iter()
                    .map(|plan| (plan.key, Ok(score(plan.key.instance))));
                trial.receive_scores(scores);
            }
            Step::Ended(ending) => return (asked, ending),
            step => panic!("{step:?}"),
        }
    }
}

fn evaluator(pruning: Pruning, budget: Option<Budget>, direction: Direction) -> Evaluator {
    let mut options = EvaluatorOptions::new(INSTANCES, pruning, budget);
    options.order = (0..INSTANCES).rev().collect();
    let mut evaluator = Evaluator::new(options);
    evaluator.set_rival(rival(direction));
    evaluator
}

#[test]
fn a_trial_that_is_always_worse_ends_after_eight_instances() {
    // With and without an inference budget, whichever way is better.
    for budget in [None, Some(Budget::Tokens(1_000))] {
        for (direction, bad) in [(Direction::Maximize, 0.0), (Direction::Minimize, 1.0)] {
            let evaluator = evaluator(Pruning::On, budget, direction);
            let (asked, ending) = run(&evaluator, |_| bad);
            // In the order that was given: from the last to the first.
            let expected: Vec<usize> = (INSTANCES - 8..INSTANCES).rev().collect();
            assert_eq!(asked, expected);
            let Ending::Pruned(PruneReason::Inferior { than, difference }) = ending else {
                panic!("{ending:?}")
            };
            assert_eq!((than, difference.count), (TrialNumber(0), 8));
            assert_eq!(difference.mean.abs(), 1.0);
            assert_eq!(direction.loss(difference.mean), 1.0);
        }
    }
}

#[test]
fn a_trial_as_good_as_the_best_is_evaluated_in_full() {
    let evaluator = evaluator(Pruning::On, None, Direction::Maximize);
    let (mut asked, ending) = run(&evaluator, |_| 1.0);
    let within_budget = true;
    assert_eq!(ending, Ending::Evaluated { within_budget });
    asked.sort_unstable();
    assert_eq!(asked, (0..INSTANCES).collect::<Vec<_>>());
}

#[test]
fn a_trial_a_little_worse_ends_once_enough_instances_say_so() {
    let evaluator = evaluator(Pruning::On, None, Direction::Maximize);
    // Wrong on a third of them.
    let (asked, ending) = run(&evaluator, |instance| f64::from(u8::from(instance % 3 > 0)));
    assert!(matches!(
        ending,
        Ending::Pruned(PruneReason::Inferior { .. })
    ));
    assert!((16..=32).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn the_reference_and_full_evaluation_take_no_notice_of_a_rival() {
    for pruning in [Pruning::Reference, Pruning::Off] {
        let evaluator = evaluator(pruning, None, Direction::Maximize);
        let (asked, ending) = run(&evaluator, |_| 0.0);
        assert_eq!(asked.len(), INSTANCES);
        assert!(matches!(ending, Ending::Evaluated { .. }));
        if pruning == Pruning::Reference {
            assert_eq!(asked, (0..INSTANCES).collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_order_that_is_none_is_not_followed() {
    for order in [vec![0; INSTANCES], vec![1, 2, 3], vec![]] {
        let mut options = EvaluatorOptions::new(INSTANCES, Pruning::On, None);
        options.order = order;
        let (asked, _) = run(&Evaluator::new(options), |_| 1.0);
        assert_eq!(asked, (0..INSTANCES).collect::<Vec<_>>());
    }
}
