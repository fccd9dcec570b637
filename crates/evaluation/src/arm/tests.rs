use super::*;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::Usd;
use frugal_domain::request::{Purpose, RequestKey, ResponseId};
use proptest::prelude::*;

/// A response to an instance: its length under a limit of 100, and its score as a whole.
fn draw(instance: usize, position: u32, tokens: u64) -> DrawnResponse {
    DrawnResponse {
        id: ResponseId {
            job: None,
            request: RequestKey {
                purpose: Purpose::Search,
                trial: TrialNumber(1),
                ordinal: u32::try_from(instance).unwrap(),
            },
            position,
        },
        instance,
        max_tokens: 100,
        tokens,
        ended: tokens < 100,
        latency_ms: 0,
    }
}

/// An arm of these lengths and scores, by instance.
fn arm(instances: &[&[(u64, f64)]]) -> Arm {
    let mut arm = Arm::default();
    for (instance, responses) in instances.iter().enumerate() {
        for (position, (tokens, score)) in (0..).zip(*responses) {
            let draw = draw(instance, position, *tokens);
            arm.add(draw);
            arm.remember([(ScoreKey::whole(draw.id, instance), (*score).into())]);
        }
    }
    arm
}

const fn extent(max_tokens: u32, n: u32) -> Extent {
    Extent { max_tokens, n }
}

fn utility(arm: &Arm, n: u32, reducer: Reducer) -> f64 {
    arm.utility(extent(100, n), reducer).unwrap().mean
}

#[test]
fn utility_is_told_at_any_n() {
    let arm = arm(&[
        &[(10, 1.0), (10, 0.0), (10, 0.0), (10, 0.0)],
        &[(10, 1.0); 4],
    ]);
    assert_eq!(
        arm.responses_by_instance(),
        BTreeMap::from([(0, 4), (1, 4)])
    );
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
    near(utility(&arm, 7, Reducer::Mean), 0.625);
    near(
        utility(&arm, 2, Reducer::ExpectedSuccess),
        (1.0 - 0.75 * 0.75 + 1.0) / 2.0,
    );
    // One right of four: half of the pairs hold it.
    near(utility(&arm, 2, Reducer::Success), 0.75);
    // All pairs of it hold a wrong one.
    near(utility(&arm, 1, Reducer::Min), 0.625);
    near(utility(&arm, 2, Reducer::Min), 0.5);
    // More than were drawn: the plug-in estimate.
    near(
        utility(&arm, 8, Reducer::Success),
        (1.0 - 0.75_f64.powi(8) + 1.0) / 2.0,
    );
    near(
        utility(&arm, 8, Reducer::Min),
        (0.25_f64.powi(8) + 1.0) / 2.0,
    );
    let sure = arm.utility(extent(100, 1), Reducer::Mean).unwrap();
    assert_eq!((sure.count, sure.standard_error), (2, Some(0.375)));
}

/// As [`reduce`] does: a score above 1 is taken for 1, one that is no number for 0.
#[test]
fn scores_outside_the_range_are_brought_within_it() {
    let arm = arm(&[&[(10, 7.0), (10, f64::NAN)]]);
    for reducer in [
        Reducer::Mean,
        Reducer::ExpectedSuccess,
        Reducer::Success,
        Reducer::Min,
    ] {
        assert_eq!(utility(&arm, 1, reducer), 0.5, "{reducer:?}");
    }
}

#[test]
fn what_is_not_scored_is_not_told() {
    let mut arm = arm(&[&[(10, 1.0), (80, 1.0)]]);
    assert_eq!(arm.utility(extent(50, 1), Reducer::Mean), None);
    let wanted = arm.unscored(50);
    let cut = Cut {
        tokens: 80,
        max_tokens: 50,
    };
    assert_eq!(
        wanted.iter().map(|plan| plan.cut).collect::<Vec<_>>(),
        [Some(cut)]
    );
    arm.remember(wanted.iter().map(|plan| (plan.key, 0.0.into())));
    assert_eq!(arm.utility(extent(50, 1), Reducer::Mean).unwrap().mean, 0.5);
    assert!(arm.unscored(50).is_empty());
}

#[test]
fn nothing_is_told_where_nothing_serves() {
    // All were cut at 100, so what they would be under 200 is not known.
    let arm = arm(&[&[(100, 0.0), (100, 1.0)]]);
    assert_eq!(arm.utility(extent(200, 1), Reducer::Mean), None);
    let rates = Rates {
        prices: Prices::default(),
        most_per_request: None,
        unit: Unit::Tokens,
    };
    assert_eq!(arm.cost(extent(200, 1), rates, |_| 7), None);
    assert!(arm.cost(extent(100, 1), rates, |_| 7).is_some());
    assert_eq!(Arm::default().utility(extent(1, 1), Reducer::Success), None);
}

#[test]
fn what_serves_with_its_score_is_not_the_short_responses_alone() {
    // One of four is longer than 50, and has no score as it would be cut there.
    let mut arm = arm(&[&[(10, 1.0); 3], &[(60, 1.0)]]);
    assert_eq!(arm.serving_with_scores(100).count(), 4);
    assert_eq!(arm.serving_with_scores(50).count(), 0);
    let scored: Vec<_> = arm
        .unscored(50)
        .iter()
        .map(|plan| (plan.key, 0.0.into()))
        .collect();
    arm.remember(scored);
    let scores: Vec<f64> = arm
        .serving_with_scores(50)
        .map(|(_, observation)| observation.score)
        .collect();
    assert_eq!(scores, [1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn cost_is_told_at_any_extent() {
    let arm = arm(&[&[(10, 1.0), (30, 1.0)], &[(90, 0.0)]]);
    let rates = Rates {
        prices: Prices {
            input_pico: 2,
            output_pico: 6,
            request_pico: 0,
            cached_input_pico: None,
        },
        most_per_request: Some(2),
        unit: Unit::Tokens,
    };
    // 4 responses take two requests; they are of 20 and of 50 tokens.
    let found = arm.cost(extent(50, 4), rates, |instance| 100 * (1 + instance as u64));
    assert_eq!(found.unwrap().mean, f64::from(200 + 80 + 400 + 200) / 2.0);
    let dollars = Rates {
        unit: Unit::Usd,
        ..rates
    };
    let found = arm.cost(extent(100, 1), dollars, |_| 0).unwrap();
    let expected = Usd::from_pico(6 * (20 + 90)).dollars() / 2.0;
    assert!((found.mean - expected).abs() < 1e-18);
}

proptest! {
    /// More responses are never worth less where success counts, never more where the worst does, and
    /// never cost less.
    #[test]
    fn utility_and_cost_grow_with_n(
        instances in prop::collection::vec(
            prop::collection::vec((1..100_u64, prop::bool::ANY), 1..8), 1..6),
        n in 1..12_u32,
        reducer in prop::sample::select(
            vec![Reducer::Success, Reducer::ExpectedSuccess, Reducer::Min]),
    ) {
        let instances: Vec<Vec<(u64, f64)>> = instances
            .iter()
            .map(|one| one.iter().map(|(t, right)| (*t, f64::from(u8::from(*right)))).collect())
            .collect();
        let arm = arm(&instances.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let rates = Rates {
            prices: Prices::default(),
            most_per_request: None,
            unit: Unit::Tokens,
        };
        let cost = |n| arm.cost(extent(100, n), rates, |_| 5).unwrap().mean;
        prop_assert!(cost(n) <= cost(n + 1));
        // The step from the unbiased estimate to the plug-in one, where the pool ends, apart.
        if reducer == Reducer::ExpectedSuccess || instances.iter().all(|one| one.len() > n as usize) {
            let (few, more) = (utility(&arm, n, reducer), utility(&arm, n + 1, reducer));
            let (low, high) = if reducer == Reducer::Min { (more, few) } else { (few, more) };
            prop_assert!(low <= high + 1e-12);
        }
    }

    /// The unbiased estimate is the mean over all subsets, and so within what is possible.
    #[test]
    fn utilities_stay_within_range(
        scores in prop::collection::vec(0.0..=1.0_f64, 1..10),
        n in 1..12_u32,
        reducer in prop::sample::select(Reducer::ALL),
    ) {
        let responses: Vec<(u64, f64)> = scores.iter().map(|score| (9, *score)).collect();
        let found = utility(&arm(&[&responses]), n, reducer);
        prop_assert!((0.0..=1.0).contains(&found), "{found}");
    }
}
