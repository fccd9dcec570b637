//! What a trial takes from another job.

use crate::{PROMPT, asked, batch, evaluator, plan};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::Pruning;
use frugal_domain::request::{Purpose, RequestKey, ResponseId};
use frugal_evaluation::{Ending, OfferedResponse, ScorePlan, Step};

/// Two responses of another job on each instance, 50 and 150 tokens long.
fn offered() -> Vec<OfferedResponse> {
    let one = |instance: usize, position: u32| OfferedResponse {
        id: ResponseId {
            job: "019abf3e-5f00-7000-8000-000000000000".parse().ok(),
            request: RequestKey {
                purpose: Purpose::Search,
                trial: TrialNumber(9),
                ordinal: u32::try_from(instance).unwrap(),
            },
            position,
        },
        instance,
        max_tokens: 200,
        prompt_tokens: PROMPT,
        tokens: 50 + 100 * u64::from(position),
        ended: true,
        latency_ms: 1,
        bytes: 0,
    };
    (0..4).flat_map(|i| [one(i, 0), one(i, 1)]).collect()
}

#[test]
fn what_is_offered_is_scored_before_anything_is_requested_and_never_again() {
    let mut evaluator = evaluator(Pruning::Off, 1_000);
    for (number, scored) in [(0, true), (1, false)] {
        let mut trial = evaluator.begin(plan(number, 2, 100)).unwrap();
        trial.offer(offered());
        if scored {
            let Step::Score(plans) = trial.step() else {
                panic!()
            };
            let cut = |plan: &ScorePlan| (plan.key.instance, plan.cut.map(|cut| cut.tokens));
            let found: Vec<_> = plans.iter().map(cut).collect();
            let expected = (0..4).flat_map(|i| [(i, None), (i, Some(150))]);
            assert_eq!(found, expected.collect::<Vec<_>>());
            trial.receive_scores(plans.iter().map(|plan| (plan.key, Ok(1.0))));
        }
        let within_budget = true;
        assert_eq!(
            trial.step(),
            Step::Ended(Ending::Evaluated { within_budget })
        );
        assert_eq!((trial.spend().tokens, trial.pooled_responses()), (0, 8));
        evaluator.commit(&trial);
        assert_eq!(evaluator.pool().responses(), 8);
    }
}

#[test]
fn what_is_offered_and_cannot_be_scored_is_bought_anew() {
    let mut trial = evaluator(Pruning::Off, 1_000)
        .begin(plan(0, 2, 100))
        .unwrap();
    trial.offer(offered());
    let Step::Score(plans) = trial.step() else {
        panic!()
    };
    let bad = |plan: &ScorePlan| plan.key.instance == 2 && plan.cut.is_some();
    let scores = plans.iter().map(|plan| {
        let refused = bad(plan).then(|| "no verdict".to_owned());
        (plan.key, refused.map_or(Ok(1.0), Err))
    });
    trial.receive_scores(scores);
    assert_eq!(asked(&batch(&mut trial)), [(2, 1)]);
}
