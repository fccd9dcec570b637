//! Single trials, told by hand.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod offered;

use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::Pruning;
use frugal_domain::money::{Budget, Prices, Usage};
use frugal_domain::request::{Purpose, Scope};
use frugal_domain::trial::PruneReason;
use frugal_evaluation::{
    Ending, Evaluator, EvaluatorOptions, InvalidPlan, Mode, NotExpected, Receipt, ReceivedResponse,
    RequestFailure, RequestPlan, ScorePlan, Step, TrialPlan, TrialRun,
};
use std::collections::BTreeMap;

const PROMPT: u64 = 100;

/// Four instances, each prompt 100 tokens, the budget in tokens.
fn evaluator(pruning: Pruning, budget: u64) -> Evaluator {
    Evaluator::new(EvaluatorOptions::new(
        4,
        pruning,
        Some(Budget::Tokens(budget)),
    ))
}

fn plan(number: u32, n: u32, max_tokens: u32) -> TrialPlan {
    TrialPlan {
        number: TrialNumber(number),
        purpose: Purpose::Search,
        settings: Settings {
            sampling: Sampling {
                model: 0,
                prompt: 0,
                temperature: Some(0.7),
                top_p: None,
                stop: Vec::new(),
                extra: BTreeMap::new(),
            },
            extent: Extent { max_tokens, n },
        },
        most_per_request: None,
        prices: Prices {
            input_pico: 2,
            output_pico: 6,
            request_pico: 0,
            cached_input_pico: None,
        },
        prompt_token_bounds: [PROMPT + 20; 4].into(),
        mode: Mode::Scheduled,
    }
}

fn answer(count: u32, length: u64) -> Result<Receipt, RequestFailure> {
    Ok(Receipt {
        latency_ms: 0,
        usage: Usage {
            prompt_tokens: PROMPT,
            completion_tokens: u64::from(count) * length,
        },
        responses: vec![
            ReceivedResponse {
                estimated_tokens: length,
                ended: true,
            };
            count as usize
        ],
    })
}

fn failed() -> Result<Receipt, RequestFailure> {
    Err(RequestFailure::Failed("gone".to_owned()))
}

/// The next step but scoring: every response is right.
fn step(trial: &mut TrialRun) -> Step {
    loop {
        match trial.step() {
            Step::Score(plans) => {
                trial.receive_scores(plans.into_iter().map(|plan| (plan.key, Ok(1.0))));
            }
            step => return step,
        }
    }
}

fn batch(trial: &mut TrialRun) -> Vec<RequestPlan> {
    match step(trial) {
        Step::Request(batch) => batch,
        step => panic!("{step:?}"),
    }
}

fn asked(batch: &[RequestPlan]) -> Vec<(usize, u32)> {
    batch.iter().map(|r| (r.instance, r.n)).collect()
}

/// Answers every request in full with responses of one length; what was asked, by batch.
fn answer_all(trial: &mut TrialRun, length: u64) -> Vec<Vec<(usize, u32)>> {
    let mut batches = Vec::new();
    while let Step::Request(batch) = step(trial) {
        for request in &batch {
            trial
                .receive(request.key.ordinal, answer(request.n, length))
                .unwrap();
        }
        batches.push(asked(&batch));
    }
    batches
}

#[test]
fn stages_ask_only_for_what_is_not_held() {
    // 10 responses of 50 tokens fit; at 400 tokens each only one is sure to fit.
    let mut trial = evaluator(Pruning::On, 620).begin(plan(0, 7, 400)).unwrap();
    let batches = answer_all(&mut trial, 50);
    let expected = [
        vec![(0, 2)],
        vec![(0, 2)],
        vec![(0, 3)],
        vec![(1, 7)],
        vec![(2, 7), (3, 7)],
    ];
    assert_eq!(batches, expected);
    assert_eq!(
        trial.ending(),
        Some(&Ending::Evaluated {
            within_budget: true
        })
    );
    for found in trial.evaluation().unwrap() {
        assert_eq!(found.responses.len(), 7);
        // The prompt counts once, though the first instance was asked three times.
        assert_eq!(found.inference_cost.tokens, PROMPT + 350);
        assert_eq!(found.inference_cost.usd.pico(), 2 * PROMPT + 6 * 350);
    }
    assert_eq!(trial.spend().tokens, 6 * PROMPT + 28 * 50);
}

#[test]
fn the_first_trial_is_pruned_already_and_others_learn_from_it() {
    let mut evaluator = evaluator(Pruning::On, 620);
    let mut trial = evaluator.begin(plan(0, 64, 400)).unwrap();
    let batches = answer_all(&mut trial, 50);
    assert_eq!(batches, [[(0, 2)], [(0, 2)], [(0, 4)], [(0, 8)]]);
    let over = PruneReason::OverBudget {
        n: 16,
        instances: 1,
    };
    assert_eq!(trial.ending(), Some(&Ending::Pruned(over)));
    assert_eq!(trial.evaluation(), None);
    evaluator.commit(&trial);

    // With n = 8 valid up to 400 tokens and n = 16 invalid from 400 tokens.
    let mut known = evaluator.begin(plan(1, 16, 500)).unwrap();
    assert_eq!(
        step(&mut known),
        Step::Ended(Ending::Pruned(PruneReason::KnownInvalid))
    );
    let mut other = plan(2, 8, 300);
    other.settings.sampling.temperature = Some(0.1);
    let mut valid = evaluator.begin(other).unwrap();
    assert_eq!(asked(&batch(&mut valid)), [(0, 8)]);
}

#[test]
fn a_prompt_over_the_budget_ends_the_trial_before_any_request() {
    let mut evaluator = evaluator(Pruning::On, PROMPT - 1);
    let mut first = evaluator.begin(plan(0, 1, 50)).unwrap();
    answer_all(&mut first, 1);
    assert!(matches!(first.ending(), Some(Ending::Pruned(_))));
    evaluator.commit(&first);
    // The prompts of the other instances are not known: it has to ask.
    let mut elsewhere = plan(1, 1, 10);
    elsewhere.settings.sampling.stop = vec!["stop".to_owned()];
    elsewhere.mode = Mode::Full;
    let mut full = evaluator.begin(elsewhere.clone()).unwrap();
    answer_all(&mut full, 1);
    assert_eq!(
        full.ending(),
        Some(&Ending::Evaluated {
            within_budget: false
        })
    );
    evaluator.commit(&full);
    // Now they are, whatever the region.
    elsewhere.settings.sampling.stop = vec!["other stop".to_owned()];
    elsewhere.mode = Mode::Scheduled;
    let mut known = evaluator.begin(elsewhere).unwrap();
    assert_eq!(
        step(&mut known),
        Step::Ended(Ending::Pruned(PruneReason::KnownInvalid))
    );
}

#[test]
fn the_pool_serves_a_configuration_again_without_a_request() {
    let mut evaluator = evaluator(Pruning::On, 1_000);
    let mut first = evaluator.begin(plan(0, 4, 100)).unwrap();
    answer_all(&mut first, 50);
    evaluator.commit(&first);
    assert_eq!(evaluator.pool().responses(), 16);

    for (number, n, max_tokens) in [(1, 4, 100), (2, 2, 50), (3, 3, 700)] {
        let mut again = evaluator.begin(plan(number, n, max_tokens)).unwrap();
        assert_eq!(
            step(&mut again),
            Step::Ended(Ending::Evaluated {
                within_budget: true
            })
        );
        let evaluation = again.evaluation().unwrap();
        assert!(
            evaluation
                .iter()
                .flat_map(|e| &e.responses)
                .all(|r| r.id.request.trial.0 == 0)
        );
        assert_eq!(again.spend().tokens, 0);
    }
    let mut more = evaluator.begin(plan(4, 6, 100)).unwrap();
    let expected = [[(0, 2), (1, 2), (2, 2), (3, 2)]];
    assert_eq!(answer_all(&mut more, 50), expected);
}

#[test]
fn a_trial_works_on_what_was_known_when_it_began() {
    let mut evaluator = evaluator(Pruning::On, 1_000);
    let mut first = evaluator.begin(plan(0, 4, 100)).unwrap();
    let mut second = evaluator.begin(plan(1, 4, 100)).unwrap();
    answer_all(&mut first, 50);
    evaluator.commit(&first);
    assert_eq!(
        answer_all(&mut second, 50).concat().len(),
        4,
        "it buys for itself"
    );
}

#[test]
fn an_endpoint_that_ignores_n_is_asked_for_one_at_a_time_from_then_on() {
    let mut trial = evaluator(Pruning::On, 1_000)
        .begin(plan(0, 3, 100))
        .unwrap();
    let mut batches = Vec::new();
    while let Step::Request(batch) = step(&mut trial) {
        for request in &batch {
            trial.receive(request.key.ordinal, answer(1, 50)).unwrap();
        }
        batches.push(asked(&batch));
    }
    // All are sure to fit, so all are asked at once, and what they gave is asked again, by one.
    let three = |instance| (instance, 3);
    let two_more = |instance| [(instance, 1), (instance, 1)];
    let expected = [
        (0..4).map(three).collect(),
        (0..4).flat_map(two_more).collect::<Vec<_>>(),
    ];
    assert_eq!(batches, expected);
    assert!(
        trial
            .evaluation()
            .unwrap()
            .iter()
            .all(|e| e.responses.len() == 3)
    );
}

#[test]
fn a_known_limit_per_request_pays_the_prompt_again_in_the_cost_too() {
    let mut limited = plan(0, 3, 100);
    limited.most_per_request = Some(2);
    let mut trial = evaluator(Pruning::On, 1_000).begin(limited).unwrap();
    let requests = batch(&mut trial);
    assert_eq!(asked(&requests)[..3], [(0, 2), (0, 1), (1, 2)]);
    for request in requests.iter().rev() {
        trial
            .receive(request.key.ordinal, answer(request.n, 50))
            .unwrap();
    }
    answer_all(&mut trial, 50);
    let evaluation = trial.evaluation().unwrap();
    assert_eq!(evaluation[0].inference_cost.tokens, 2 * PROMPT + 150);
}

#[test]
fn failed_requests_are_missing_and_too_many_fail_the_trial() {
    for (share, fails) in [(0.2, true), (0.25, false)] {
        let mut options = EvaluatorOptions::new(4, Pruning::Off, Some(Budget::Tokens(1_000)));
        options.missing_share = share;
        let mut trial = Evaluator::new(options).begin(plan(0, 2, 100)).unwrap();
        for request in batch(&mut trial) {
            let reply = if request.instance == 2 {
                failed()
            } else {
                answer(2, 50)
            };
            trial.receive(request.key.ordinal, reply).unwrap();
        }
        let Step::Ended(ending) = step(&mut trial) else {
            panic!()
        };
        if fails {
            let detail = "1 of 4 instances have no answer: gone".to_owned();
            assert_eq!(ending, Ending::Failed(detail));
        } else {
            assert_eq!(
                ending,
                Ending::Evaluated {
                    within_budget: true
                }
            );
            let present: Vec<_> = trial
                .evaluation()
                .unwrap()
                .iter()
                .map(|e| e.instance)
                .collect();
            assert_eq!(present, [0, 1, 3]);
        }
    }
}

#[test]
fn an_answer_without_responses_is_a_failure_that_was_paid() {
    let mut trial = evaluator(Pruning::Off, 1_000)
        .begin(plan(0, 2, 100))
        .unwrap();
    for request in batch(&mut trial) {
        trial.receive(request.key.ordinal, answer(0, 50)).unwrap();
    }
    assert!(matches!(step(&mut trial), Step::Ended(Ending::Failed(_))));
    assert_eq!(trial.spend().tokens, 4 * PROMPT);
}

#[test]
fn a_refusal_is_infeasible_and_what_is_not_sent_exhausts_the_budget() {
    let refusal = Err(RequestFailure::Infeasible("n > 1".to_owned()));
    for (reply, ending) in [
        (refusal, Ending::Infeasible("n > 1".to_owned())),
        (Err(RequestFailure::Unaffordable), Ending::BudgetExhausted),
    ] {
        let mut evaluator = evaluator(Pruning::Off, 1_000);
        let mut trial = evaluator.begin(plan(0, 2, 100)).unwrap();
        for request in batch(&mut trial) {
            let reply = if request.instance == 1 {
                reply.clone()
            } else {
                answer(2, 50)
            };
            trial.receive(request.key.ordinal, reply).unwrap();
        }
        assert_eq!(step(&mut trial), Step::Ended(ending));
        assert_eq!(trial.evaluation(), None);
        evaluator.commit(&trial);
        assert_eq!(evaluator.pool().responses(), 6, "what was paid for is kept");
    }
}

fn refusal(scope: Scope) -> Result<Receipt, RequestFailure> {
    Err(RequestFailure::Refused {
        scope,
        reason: "no".to_owned(),
    })
}

/// Answers a batch, row 1 with a refusal.
fn refuse_row_1(trial: &mut TrialRun, scope: Scope) {
    for request in batch(trial) {
        let reply = match request.instance {
            1 => refusal(scope),
            _ => answer(2, 50),
        };
        trial.receive(request.key.ordinal, reply).unwrap();
    }
}

#[test]
fn a_refusal_ends_a_trial_as_far_as_it_reaches() {
    for (scope, ending) in [
        (Scope::Model, Ending::Infeasible("no".to_owned())),
        (Scope::Endpoint, Ending::Failed("no".to_owned())),
        (Scope::Key, Ending::Failed("no".to_owned())),
    ] {
        let evaluator = evaluator(Pruning::Off, 1_000);
        let mut trial = evaluator.begin(plan(0, 2, 100)).unwrap();
        refuse_row_1(&mut trial, scope);
        assert_eq!(step(&mut trial), Step::Ended(ending));
    }
}

#[test]
fn a_row_that_is_refused_is_left_out_by_trials_to_come() {
    let mut evaluator = evaluator(Pruning::Off, 1_000);
    let mut trial = evaluator.begin(plan(0, 2, 100)).unwrap();
    refuse_row_1(&mut trial, Scope::Row);
    // One of four is more than a fifth, and yet it says nothing of the configuration.
    let evaluated = Step::Ended(Ending::Evaluated {
        within_budget: true,
    });
    assert_eq!(step(&mut trial), evaluated);
    assert_eq!(trial.evaluation().unwrap().len(), 3);
    evaluator.commit(&trial);
    assert_eq!(evaluator.left_out()[&(0, 0)][&1], "no");
    let mut next = plan(1, 1, 100);
    next.settings.sampling.temperature = Some(0.1);
    let mut trial = evaluator.begin(next).unwrap();
    let batches = answer_all(&mut trial, 50);
    assert_eq!(batches, [vec![(0, 1), (2, 1), (3, 1)]]);
    assert_eq!(step(&mut trial), evaluated);
    // A second one is more than a mean over the others can bear.
    let mut again = plan(2, 1, 100);
    again.settings.sampling.temperature = Some(0.2);
    let mut trial = evaluator.begin(again).unwrap();
    for request in batch(&mut trial) {
        let reply = match request.instance {
            3 => refusal(Scope::Row),
            _ => answer(1, 50),
        };
        trial.receive(request.key.ordinal, reply).unwrap();
    }
    let failed = "2 of 4 instances have no answer: no".to_owned();
    assert_eq!(step(&mut trial), Step::Ended(Ending::Failed(failed)));
}

#[test]
fn without_pruning_a_configuration_over_the_budget_is_paid_in_full() {
    let mut evaluator = evaluator(Pruning::Off, 200);
    for number in 0..2 {
        let mut over = plan(number, 4, 100);
        over.settings.sampling.temperature = Some(f64::from(number));
        let mut trial = evaluator.begin(over).unwrap();
        assert_eq!(
            answer_all(&mut trial, 50),
            [[(0, 4), (1, 4), (2, 4), (3, 4)]]
        );
        assert_eq!(
            trial.ending(),
            Some(&Ending::Evaluated {
                within_budget: false
            })
        );
        evaluator.commit(&trial);
    }
}

#[test]
fn worst_cases_use_the_bound_until_the_prompt_is_known() {
    let mut evaluator = evaluator(Pruning::Off, 10_000);
    let mut trial = evaluator.begin(plan(0, 2, 100)).unwrap();
    assert!(
        batch(&mut trial)
            .iter()
            .all(|r| r.worst_case.tokens == PROMPT + 20 + 200)
    );
    for ordinal in 0..4 {
        trial.receive(ordinal, answer(2, 50)).unwrap();
    }
    step(&mut trial);
    evaluator.commit(&trial);
    let mut other = plan(1, 2, 100);
    other.settings.sampling.temperature = Some(1.0);
    let mut next = evaluator.begin(other).unwrap();
    for request in batch(&mut next) {
        assert_eq!(request.worst_case.tokens, PROMPT + 200);
        assert_eq!(request.worst_case.usd.pico(), 2 * PROMPT + 6 * 200);
    }
}

/// A trial whose first requests are answered, and what is to be scored of that.
fn to_be_scored() -> (TrialRun, Vec<ScorePlan>) {
    let mut trial = evaluator(Pruning::Off, 1_000)
        .begin(plan(0, 2, 100))
        .unwrap();
    for request in batch(&mut trial) {
        trial.receive(request.key.ordinal, answer(2, 50)).unwrap();
    }
    let Step::Score(plans) = trial.step() else {
        panic!("nothing is to be scored");
    };
    (trial, plans)
}

#[test]
fn what_a_request_brought_is_scored_before_anything_follows_from_it() {
    let (mut trial, plans) = to_be_scored();
    assert_eq!(plans.len(), 8);
    assert!(plans.iter().all(|plan| plan.cut.is_none()));
    assert_eq!(trial.step(), Step::Wait);
    assert_eq!(trial.progress().seen, 0);
    // A request of which nothing can be scored has failed.
    trial.receive_scores(plans.iter().map(|plan| {
        let score = match plan.key.instance {
            3 => Err("no such row".to_owned()),
            _ => Ok(0.5),
        };
        (plan.key, score)
    }));
    let detail = "1 of 4 instances have no answer: scoring failed: no such row".to_owned();
    assert_eq!(trial.step(), Step::Ended(Ending::Failed(detail)));
}

#[test]
fn a_response_without_a_score_is_asked_for_again_and_is_no_bad_one() {
    let (mut trial, plans) = to_be_scored();
    trial.receive_scores(plans.iter().map(|plan| {
        let score = match (plan.key.instance, plan.key.response.position) {
            (3, 1) => Err("the judge says nothing".to_owned()),
            _ => Ok(1.0),
        };
        (plan.key, score)
    }));
    let again = batch(&mut trial);
    let asked: Vec<_> = again.iter().map(|plan| (plan.instance, plan.n)).collect();
    assert_eq!(asked, [(3, 1)]);
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut trial = evaluator(Pruning::Off, 1_000)
        .begin(plan(0, 2, 100))
        .unwrap();
    assert_eq!(
        trial.receive(0, answer(2, 50)),
        Err(NotExpected::Unknown(0))
    );
    batch(&mut trial);
    assert_eq!(step(&mut trial), Step::Wait);
    trial.receive(3, answer(2, 50)).unwrap();
    assert_eq!(trial.receive(3, answer(2, 50)), Err(NotExpected::Again(3)));
    assert_eq!(trial.receive(4, failed()), Err(NotExpected::Unknown(4)));
    assert_eq!(trial.unanswered().count(), 3);
    assert_eq!(trial.spend().tokens, PROMPT + 100);
    assert_eq!(trial.progress().responses, 2);
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let evaluator = evaluator(Pruning::On, 1_000);
    let fault = |plan| evaluator.begin(plan).err();
    assert_eq!(fault(plan(0, 0, 100)), Some(InvalidPlan::NoResponses));
    assert_eq!(fault(plan(0, 1, 0)), Some(InvalidPlan::NoTokens));
    let mut short = plan(0, 1, 1);
    short.prompt_token_bounds = [1].into();
    let bounds = InvalidPlan::Bounds {
        given: 1,
        instances: 4,
    };
    assert_eq!(fault(short.clone()), Some(bounds));
    let nothing = Evaluator::new(EvaluatorOptions::new(0, Pruning::On, None));
    assert_eq!(nothing.begin(short).err(), Some(InvalidPlan::NoInstances));
}

#[test]
fn a_batch_stays_within_reason() {
    let mut trial = evaluator(Pruning::Off, 1_000)
        .begin(plan(0, u32::MAX, 100))
        .unwrap();
    for request in batch(&mut trial) {
        trial.receive(request.key.ordinal, answer(1, 50)).unwrap();
    }
    assert_eq!(batch(&mut trial).len(), 10_000);
}

#[test]
fn extreme_numbers_do_not_overflow() {
    let mut extreme = plan(0, u32::MAX, u32::MAX);
    extreme.prices = Prices {
        input_pico: u64::MAX,
        output_pico: u64::MAX,
        request_pico: u64::MAX,
        cached_input_pico: None,
    };
    extreme.prompt_token_bounds = [u64::MAX; 4].into();
    for pruning in [Pruning::On, Pruning::Off, Pruning::Reference] {
        let mut options = EvaluatorOptions::new(4, pruning, Some(Budget::Tokens(u64::MAX)));
        options.reference.mean_prompt_tokens = Some(f64::MAX);
        let mut trial = Evaluator::new(options).begin(extreme.clone()).unwrap();
        for request in batch(&mut trial) {
            let mut reply = answer(1, 1).unwrap();
            reply.usage.prompt_tokens = u64::MAX;
            reply.usage.completion_tokens = u64::MAX;
            trial.receive(request.key.ordinal, Ok(reply)).unwrap();
        }
        assert_eq!(trial.spend().tokens, u64::MAX);
    }
}
