use super::*;
use proptest::prelude::*;

/// A pool: the answer of each response by number, 0 for none. Answer 1 is right, 2 is half right.
fn pool(answers: &[u64]) -> Vec<Observation> {
    let one = |answer: &u64| Observation {
        score: match answer {
            1 => 1.0,
            2 => 0.5,
            _ => 0.0,
        },
        answer: (*answer > 0).then_some(AnswerKey(*answer)),
        preference: None,
        counts: None,
    };
    answers.iter().map(one).collect()
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[test]
fn the_answer_with_most_votes_counts() {
    let of = |answers: &[u64]| majority(&pool(answers));
    assert_eq!(of(&[1, 3, 1]), 1.0);
    assert_eq!(of(&[3, 1, 3]), 0.0);
    // Two answers with as many votes: one is drawn. What gives no answer has no vote.
    assert_eq!(of(&[1, 3]), 0.5);
    assert_eq!(of(&[1, 2, 3]), 0.5);
    assert_eq!(of(&[1, 0, 0, 0]), 1.0);
    assert_eq!((of(&[0, 0]), of(&[])), (0.0, 0.0));
}

#[test]
fn a_pool_says_nothing_without_replacement_of_more_than_it_holds() {
    assert_eq!(pooled_majority(&pool(&[1]), 0), None);
    assert_eq!(pooled_majority(&pool(&[1]), 2), None);
    assert_eq!(expected_majority(&[], 3), 0.0);
    assert_eq!(expected_majority(&pool(&[1, 1]), 7), 1.0);
    assert_eq!(expected_majority(&pool(&[0, 0]), 7), 0.0);
}

#[test]
fn many_draws_find_the_most_frequent_answer() {
    // Right answers are the mode, though most are wrong.
    let spread: Vec<u64> = (0..10).map(|at| if at < 4 { 1 } else { 10 + at }).collect();
    let values: Vec<f64> = [1, 5, 21, 81]
        .iter()
        .map(|n| expected_majority(&pool(&spread), *n))
        .collect();
    assert!(near(values[0], 0.4), "{values:?}");
    assert!(values.is_sorted() && values[3] > 0.99, "{values:?}");
    // The same share of right answers, where all wrong ones are the same.
    let alike: Vec<u64> = (0..10).map(|at| if at < 4 { 1 } else { 3 }).collect();
    let many = expected_majority(&pool(&alike), 81);
    assert!(many < 0.05, "{many}");
}

#[test]
fn large_pools_are_no_trouble() {
    let answers: Vec<u64> = (0..300)
        .map(|at| if at % 3 == 0 { 1 } else { 10 + at % 7 })
        .collect();
    for n in [299, 300] {
        assert!(
            near(pooled_majority(&pool(&answers), n).unwrap(), 1.0),
            "{n}"
        );
    }
    assert!(expected_majority(&pool(&answers), 200) > 0.99);
}

/// The mean over all subsets of `n`, one by one.
fn by_subsets(pool: &[Observation], n: u32) -> f64 {
    let values: Vec<f64> = (0_u32..1 << pool.len())
        .filter(|subset| subset.count_ones() == n)
        .map(|subset| {
            let of_subset = (0..pool.len()).filter(|index| subset & (1 << index) != 0);
            majority(&of_subset.map(|index| pool[index]).collect::<Vec<_>>())
        })
        .collect();
    values.iter().sum::<f64>() / real(values.len())
}

/// The mean over all sequences of `n` draws, one by one.
fn by_sequences(pool: &[Observation], n: u32) -> f64 {
    let count = pool.len().pow(n);
    let of_sequence = |mut sequence: usize| {
        let drawn: Vec<Observation> = (0..n)
            .map(|_| {
                let index = sequence % pool.len();
                sequence /= pool.len();
                pool[index]
            })
            .collect();
        majority(&drawn)
    };
    (0..count).map(of_sequence).sum::<f64>() / real(count)
}

proptest! {
    #[test]
    fn the_pooled_estimate_is_the_mean_over_all_subsets(
        answers in prop::collection::vec(0..5_u64, 1..11), n in 1..11_u32,
    ) {
        let pool = pool(&answers);
        prop_assume!(n as usize <= pool.len());
        let (found, expected) = (pooled_majority(&pool, n as usize).unwrap(), by_subsets(&pool, n));
        prop_assert!(near(found, expected), "{} {}", found, expected);
    }

    #[test]
    fn the_expected_one_is_the_mean_over_all_draws(
        answers in prop::collection::vec(0..5_u64, 1..6), n in 1..6_u32,
    ) {
        let pool = pool(&answers);
        let (found, expected) = (expected_majority(&pool, n as usize), by_sequences(&pool, n));
        prop_assert!(near(found, expected), "{} {}", found, expected);
    }

    /// One response is worth what it is, where it gives an answer; and all are what they are.
    #[test]
    fn at_both_ends_nothing_is_estimated(answers in prop::collection::vec(0..9_u64, 1..60)) {
        let pool = pool(&answers);
        let mean = pool.iter().map(|one| one.score).sum::<f64>() / real(pool.len());
        prop_assert!(near(pooled_majority(&pool, 1).unwrap(), mean));
        prop_assert!(near(expected_majority(&pool, 1), mean));
        prop_assert!(near(pooled_majority(&pool, pool.len()).unwrap(), majority(&pool)));
    }

    #[test]
    fn the_order_of_responses_is_of_no_account(
        answers in prop::collection::vec(0..5_u64, 1..20), n in 1..20_usize,
    ) {
        let there = pool(&answers);
        let back: Vec<Observation> = there.iter().rev().copied().collect();
        prop_assert_eq!(pooled_majority(&there, n), pooled_majority(&back, n));
        prop_assert_eq!(expected_majority(&there, n), expected_majority(&back, n));
    }
}
