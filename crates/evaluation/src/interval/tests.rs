use super::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn binary(right: usize, count: usize) -> Vec<f64> {
    let is_right = |i| f64::from(u8::from(i < right));
    (0..count).map(is_right).collect()
}

fn of_scores(values: &[f64]) -> Interval {
    mean_interval(Metric::Mean, values).unwrap()
}

fn paired(metric: Metric, differences: &[f64]) -> PairedDifferences {
    // Both within 0 to 1, and as far apart as is wanted.
    let left = differences.iter().map(|one| one.max(0.0)).enumerate();
    let right = differences.iter().map(|one| (-one).max(0.0)).enumerate();
    PairedDifferences::of(metric, &left.collect(), &right.collect()).unwrap()
}

fn verdict(differences: &[f64]) -> Improvement {
    paired(Metric::Success, differences).improvement(Direction::Maximize)
}

#[test]
fn right_and_wrong_have_the_interval_of_wilson() {
    // Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3;
    // 20 of 20 is the mirror of its 0 of 20.
    for (right, count, low, high) in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1.0),
    ] {
        let found = of_scores(&binary(right, count));
        assert!((found.low - low).abs() < 5e-5, "{found:?}");
        assert!((found.high - high).abs() < 5e-5, "{found:?}");
    }
}

#[test]
fn where_one_or_two_exceptions_are_expected_the_share_is_covered() {
    // Exact coverage: the probability of the numbers of exceptions whose interval has the share.
    for (count, wrong) in [(15, 0.03), (30, 0.005), (60, 0.005), (120, 0.002)] {
        let (mut probability, mut covered) = ((1.0_f64 - wrong).powf(real(count)), 0.0);
        for exceptions in 0..=count {
            let found = wilson(count - exceptions, count);
            if found.low <= 1.0 - wrong && 1.0 - wrong <= found.high {
                covered += probability;
            }
            let odds = wrong / (1.0 - wrong);
            probability *= real(count - exceptions) / real(exceptions + 1) * odds;
        }
        assert!((0.94..=1.0).contains(&covered), "{count}: {covered}");
    }
}

#[test]
fn what_is_not_seen_is_reckoned_with() {
    // All 15 alike: as many as 1 − 0.025^(1/15), about a fifth, might be otherwise. With half a
    // value at the end of the range it is less.
    let found = of_scores(&[0.7; 15]);
    assert!((0.55..0.62).contains(&found.low), "{found:?}");
    assert!((0.73..0.77).contains(&found.high), "{found:?}");
    let paired = paired(Metric::Success, &[0.0; 15]);
    let found = paired.interval();
    let most = 1.0 - 0.025_f64.powf(1.0 / 15.0);
    assert!((found.high - most).abs() < 1e-6 && (found.low + most).abs() < 1e-6);
    assert_eq!(paired.improvement(Direction::Maximize), Improvement::None);
}

#[test]
fn many_graded_values_have_the_interval_of_the_normal_distribution() {
    let values: Vec<f64> = (0..4_000).map(|i| real(i % 1_000) / 999.0).collect();
    let found = of_scores(&values);
    let half = NORMAL_975 * estimate(&values).unwrap().standard_error.unwrap();
    assert!((found.high - found.low - 2.0 * half).abs() < 0.03 * half);
}

#[test]
fn a_metric_without_a_bound_has_an_interval_of_its_own_scale() {
    let costs = [3.0, 4.0, 4.5, 5.0, 9.0];
    let found = mean_interval(Metric::LatencyMs, &costs).unwrap();
    let thousandfold = costs.map(|cost| 1_000.0 * cost);
    let scaled = mean_interval(Metric::LatencyMs, &thousandfold).unwrap();
    assert!((scaled.low - 1_000.0 * found.low).abs() < 1e-3);
    assert!((scaled.high - 1_000.0 * found.high).abs() < 1e-3);
    assert!(found.low > 0.0 && found.low < 5.1 && found.high > 5.1);
    let equal = mean_interval(Metric::InferenceCost, &[2.0; 20]).unwrap();
    assert!(equal.low < 2.0 && equal.high > 2.0, "{equal:?}");
}

#[test]
fn there_is_no_interval_of_nothing() {
    assert_eq!(mean_interval(Metric::Mean, &[]), None);
    assert_eq!(mean_interval(Metric::LatencyMs, &[]), None);
    let (left, right) = (BTreeMap::from([(0, 1.0)]), BTreeMap::from([(1, 1.0)]));
    assert_eq!(PairedDifferences::of(Metric::Mean, &left, &right), None);
}

#[test]
fn only_common_instances_are_paired() {
    let left = BTreeMap::from([(0, 1.0), (1, 0.0), (2, 1.0)]);
    let right = BTreeMap::from([(1, 1.0), (2, 1.0), (3, 0.0)]);
    let found = PairedDifferences::of(Metric::Mean, &left, &right).unwrap();
    assert_eq!(found.values(), [-1.0, 0.0]);
    assert_eq!(
        (found.differing(), found.estimate().unwrap().mean),
        (1, -0.5)
    );
}

#[test]
fn the_verdict_on_right_and_wrong_is_that_of_the_exact_test_of_mcnemar() {
    // Of k + m that differ, k better: significant where at least k heads of k + m throws have a
    // probability of at most 0.025.
    for better in 0..14_usize {
        for worse in 0..6 {
            let mut differences = vec![0.0; 20];
            differences.extend(vec![1.0; better]);
            differences.extend(vec![-1.0; worse]);
            let throws = better + worse;
            let mut ways = 1.0;
            let mut tail = 0.0;
            for heads in (better..=throws).rev() {
                tail += ways;
                ways *= real(heads) / real(throws - heads + 1);
            }
            let significant = better > worse && tail / 2.0_f64.powf(real(throws)) <= TAIL;
            assert_eq!(
                verdict(&differences) == Improvement::Significant,
                significant,
                "{better} better, {worse} worse"
            );
        }
    }
}

#[test]
fn what_is_not_better_is_no_improvement() {
    let none = |direction, differences: &[f64]| {
        let found = paired(Metric::Success, differences).improvement(direction);
        assert_eq!(found, Improvement::None, "{differences:?}");
    };
    none(Direction::Maximize, &[0.0; 30]);
    none(Direction::Maximize, &[-1.0; 30]);
    none(Direction::Minimize, &[1.0; 30]);
    none(Direction::Maximize, &[1.0, -1.0]);
}

#[test]
fn few_differing_instances_show_nothing_whatever_the_metric() {
    for metric in [Metric::Success, Metric::LatencyMs, Metric::InferenceCost] {
        for zeros in [0, 5, 95] {
            let mut differences = vec![0.0; zeros];
            differences.extend([1.0; FEWEST_DIFFERING - 1]);
            let found =
                |differences: &[f64]| paired(metric, differences).improvement(Direction::Maximize);
            assert_eq!(found(&differences), Improvement::NotSignificant);
            differences.push(1.0);
            assert_eq!(found(&differences), Improvement::Significant);
        }
    }
}

#[test]
fn a_rare_great_loss_is_not_taken_for_a_gain() {
    // Each of 15 a tenth better. So it is in a quarter of all samples where one in eleven is worse
    // by 1, and none better in truth; Student's t has an interval of width 0 there.
    assert_eq!(verdict(&[0.1; 15]), Improvement::NotSignificant);
    assert_eq!(verdict(&[0.1; 60]), Improvement::Significant);
}

#[test]
fn chance_alone_is_seldom_significant() {
    const SAMPLES: usize = 400;
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let mut score = || f64::from(u8::from(generator.random::<bool>()));
    let significant = (0..SAMPLES)
        .filter(|_| {
            // Two configurations that are alike, each right on half of the instances.
            let differences: Vec<f64> = (0..20).map(|_| score() - score()).collect();
            verdict(&differences) == Improvement::Significant
        })
        .count();
    // At most 2.5 % are due, which is 10; 18 are hardly ever exceeded.
    assert!(significant <= 18, "{significant} of {SAMPLES}");
}

#[test]
fn bounds_are_exact_where_answers_are_right_or_wrong() {
    // Clopper and Pearson's: none wrong of 59 is the fewest that shows 95 % right at 95 %.
    let all_right = |count: usize| mean_bounds(Metric::Success, &vec![1.0; count], 0.95).unwrap();
    assert!((all_right(59).low - 0.05_f64.powf(1.0 / 59.0)).abs() < 1e-6);
    assert!(all_right(58).low < 0.95 && all_right(59).low > 0.95);
    assert!((all_right(59).high - 1.0).abs() < 1e-9);
    assert_eq!(mean_bounds(Metric::LatencyMs, &[1.0], 0.95), None);
    // One difference more, as large as can be, may be hidden behind any number of equal ones.
    let even = paired(Metric::Success, &[0.0; 59]);
    assert!((even.bounds(0.95).low + 1.0 - 0.05_f64.powf(1.0 / 59.0)).abs() < 1e-6);
    let differences = [0.5, -0.25, 0.0, 1.0, 0.0, 0.25];
    let found = paired(Metric::Success, &differences);
    let (interval, bounds) = (found.interval(), found.bounds(0.975));
    assert!((interval.low - bounds.low).abs() < 1e-12);
    assert!(found.bounds(0.9).low > bounds.low && found.bounds(0.9).high < bounds.high);
}

fn scores() -> impl Strategy<Value = Vec<f64>> {
    let graded = prop::collection::vec(0.0..=1.0_f64, 1..40);
    let coarse = prop::collection::vec(prop::sample::select(&[0.0, 0.5, 1.0][..]), 1..40);
    let right = prop::collection::vec(prop::sample::select(&[0.0, 1.0][..]), 1..40);
    let alike = (0.0..=1.0_f64, 1..40_usize).prop_map(|(value, count)| vec![value; count]);
    prop_oneof![graded, coarse, right, alike]
}

#[test]
fn the_p_value_of_right_and_wrong_is_that_of_mcnemars_exact_test() {
    let of = |better: usize, worse: usize, same: usize| {
        let mut differences = vec![1.0; better];
        differences.extend(vec![-1.0; worse]);
        differences.extend(vec![0.0; same]);
        paired(Metric::Success, &differences).p_value()
    };
    // R: binom.test(18, 20)$p.value, and so on.
    for (better, worse, p) in [
        (18, 2, 422.0 / 1_048_576.0),
        (2, 18, 422.0 / 1_048_576.0),
        (6, 0, 2.0 / 64.0),
        (7, 1, 2.0 * 9.0 / 256.0),
    ] {
        let found = of(better, worse, 20);
        assert!((found - p).abs() < 1e-7, "{better} and {worse}: {found}");
    }
    assert_eq!((of(3, 3, 5), of(0, 0, 9)), (1.0, 1.0));
    // Of what has no bound and never differs nothing can be told.
    let alike: BTreeMap<usize, f64> = (0..9).map(|row| (row, 7.0)).collect();
    let none = PairedDifferences::of(Metric::CompletionTokens, &alike, &alike).unwrap();
    assert_eq!(none.p_value(), 1.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_mean_is_in_its_interval_and_that_in_the_range(values in scores()) {
        let found = of_scores(&values);
        let mean = estimate(&values).unwrap().mean;
        prop_assert!(0.0 <= found.low && found.high <= 1.0, "{:?}", found);
        prop_assert!(found.low <= mean + 1e-9 && mean <= found.high + 1e-9, "{:?}", found);
        prop_assert!(found.high - found.low > 0.01, "{:?}", found);
    }

    #[test]
    fn success_and_failure_are_measured_alike(values in scores()) {
        let found = of_scores(&values);
        let mirrored = of_scores(&values.iter().map(|value| 1.0 - value).collect::<Vec<f64>>());
        prop_assert!((found.low - (1.0 - mirrored.high)).abs() < 1e-6);
        prop_assert!((found.high - (1.0 - mirrored.low)).abs() < 1e-6);
    }

    #[test]
    fn one_more_right_never_lowers_an_end(count in 1..130_usize, share in 0.0..1.0_f64) {
        let right = (0..count).take_while(|i| real(*i) < share * real(count)).count();
        let (fewer, more) = (wilson(right.min(count - 1), count), wilson(right.min(count - 1) + 1, count));
        prop_assert!(fewer.low < more.low + 1e-12 && fewer.high < more.high + 1e-12);
    }

    #[test]
    fn a_better_value_never_lowers_an_end(
        values in prop::collection::vec(0.01..0.9_f64, 2..30),
        which in any::<prop::sample::Index>(),
        by in 0.0..0.09_f64,
    ) {
        let mut better = values.clone();
        better[which.index(values.len())] += by;
        let (before, after) = (of_scores(&values), of_scores(&better));
        prop_assert!(before.low <= after.low + 1e-7 && before.high <= after.high + 1e-7);
    }

    #[test]
    fn a_p_value_is_below_5_percent_where_the_interval_leaves_0_out(
        differences in prop::collection::vec(-0.6..1.0_f64, 1..40),
    ) {
        let mirrored: Vec<f64> = differences.iter().map(|value| -value).collect();
        let [found, reverse] = [&differences, &mirrored].map(|one| paired(Metric::Success, one));
        let p = found.p_value();
        prop_assert!((0.0..=1.0).contains(&p), "{}", p);
        prop_assert!((p - reverse.p_value()).abs() < 1e-9);
        // At the very edge the quantile's tolerance decides.
        if (p - 0.05).abs() > 1e-5 {
            let interval = found.interval();
            prop_assert_eq!(p < 0.05, interval.low > 0.0 || interval.high < 0.0, "{} {:?}", p, interval);
        }
    }

    #[test]
    fn both_directions_judge_alike(differences in prop::collection::vec(-0.5..1.0_f64, 1..40)) {
        let mirrored: Vec<f64> = differences.iter().map(|value| -value).collect();
        let [found, reverse] = [&differences, &mirrored].map(|one| paired(Metric::Success, one));
        prop_assert_eq!(
            found.improvement(Direction::Maximize),
            reverse.improvement(Direction::Minimize)
        );
        let mean = found.estimate().unwrap().mean;
        let (interval, other) = (found.interval(), reverse.interval());
        prop_assert!(-1.0 <= interval.low && interval.low < mean);
        prop_assert!(mean < interval.high && interval.high <= 1.0);
        prop_assert!((interval.low + other.high).abs() < 1e-6);
    }
}
