use super::*;
use frugal_domain::seed::mix;
use proptest::prelude::*;

fn said(score: f64, preference: Option<f64>) -> Observation {
    Observation {
        preference,
        ..score.into()
    }
}

/// Responses with few preferences, so that many are tied, some without any.
fn pools() -> impl Strategy<Value = Vec<Observation>> {
    let preference =
        prop::option::weighted(0.9, (0_u8..5).prop_map(|level| f64::from(level) / 4.0));
    let response =
        (0.0..=1.0_f64, preference).prop_map(|(score, preference)| said(score, preference));
    prop::collection::vec(response, 1..9)
}

/// By the rule itself, without levels: the mean score of those that no other is preferred to.
fn by_rule(responses: &[Observation]) -> f64 {
    let first: Vec<f64> = responses
        .iter()
        .filter(|one| {
            let beats = |other: &&Observation| other.preference > one.preference;
            !responses.iter().any(|other| beats(&other))
        })
        .map(|one| one.score)
        .collect();
    first.iter().sum::<f64>() / real(first.len())
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

#[test]
fn the_preferred_one_counts_and_of_several_the_mean() {
    let pool = [
        said(0.2, Some(0.5)),
        said(0.9, Some(0.1)),
        said(0.6, Some(0.5)),
        said(1.0, None),
    ];
    assert!(close(selected(&pool), 0.4));
    assert!(close(selected(&pool[..2]), 0.2));
    assert!(close(selected(&pool[3..]), 1.0));
    assert!(close(selected(&[]), 0.0));
    // Of six pairs the two that are tied come first in five, together or by themselves.
    let expected = (2.0 * 0.2 + 2.0 * 0.6 + 0.4 + 0.9) / 6.0;
    assert!(close(pooled_selected(&pool, 2).unwrap(), expected));
    assert_eq!(
        (pooled_selected(&pool, 5), pooled_selected(&pool, 0)),
        (None, None)
    );
    assert!(close(expected_selected(&pool, 0), 0.0) && close(expected_selected(&[], 3), 0.0));
    // However many are drawn, what is preferred of the pool is what comes first in the end.
    assert!(close(expected_selected(&pool, 10_000), 0.4));
}

#[test]
fn a_perfect_selector_is_the_best_and_a_contrary_one_the_worst() {
    let scores = [0.0, 0.0, 0.3, 0.5, 1.0];
    let chosen = scores.map(|score| said(score, Some(score)));
    let contrary = scores.map(|score| said(score, Some(1.0 - score)));
    for n in 1..=scores.len() {
        let best = crate::reducer::pooled_best(&scores, n).unwrap();
        let worst = crate::reducer::pooled_worst(&scores, n).unwrap();
        assert!(close(pooled_selected(&chosen, n).unwrap(), best));
        assert!(close(pooled_selected(&contrary, n).unwrap(), worst));
    }
}

proptest! {
    #[test]
    fn it_is_the_rule(pool in pools()) {
        prop_assert!(close(selected(&pool), by_rule(&pool)));
    }

    #[test]
    fn the_estimate_is_the_mean_over_all_subsets(pool in pools(), n in 1_u32..9) {
        prop_assume!(n as usize <= pool.len());
        let subsets = (0_u32..1 << pool.len()).filter(|subset| subset.count_ones() == n);
        let values: Vec<f64> = subsets
            .map(|subset| {
                let of_subset = (0..pool.len()).filter(|index| subset & (1 << index) != 0);
                by_rule(&of_subset.map(|index| pool[index]).collect::<Vec<_>>())
            })
            .collect();
        let mean = values.iter().sum::<f64>() / real(values.len());
        prop_assert!(close(pooled_selected(&pool, n as usize).unwrap(), mean));
    }

    #[test]
    fn beyond_the_pool_it_is_the_mean_over_all_draws(
        pool in pools().prop_filter("few", |pool| pool.len() < 5), n in 1_u32..6,
    ) {
        let m = pool.len();
        let draws = m.pow(n);
        let of_draw = |draw: usize| {
            let places = (0..n).map(|place| draw / m.pow(place) % m);
            by_rule(&places.map(|place| pool[place]).collect::<Vec<_>>())
        };
        let mean = (0..draws).map(of_draw).sum::<f64>() / real(draws);
        prop_assert!(close(expected_selected(&pool, n as usize), mean));
    }

    #[test]
    fn it_is_what_drawing_comes_to(pool in pools(), n in 1_usize..20, seed: u64) {
        const DRAWS: u64 = 4_000;
        let drawn: f64 = (0..DRAWS)
            .map(|draw| {
                let place = |at: usize| {
                    let lot = mix(seed ^ mix(draw ^ mix(at as u64)));
                    usize::try_from(lot % pool.len() as u64).unwrap()
                };
                by_rule(&(0..n).map(|at| pool[place(at)]).collect::<Vec<_>>())
            })
            .sum::<f64>() / 4_000.0;
        // Six standard errors of the mean of what lies between 0 and 1.
        prop_assert!((expected_selected(&pool, n) - drawn).abs() < 6.0 * 0.5 / 4_000_f64.sqrt());
    }

    #[test]
    fn it_stays_in_range(pool in pools(), n in 1_usize..500) {
        let value = pooled_selected(&pool, n).unwrap_or_else(|| expected_selected(&pool, n));
        prop_assert!((0.0..=1.0).contains(&value));
    }
}
