use super::*;
use crate::data_set::DataSet;
use crate::recorded;
use frugal_domain::job::{ExtentChoice, Pruning};
use frugal_domain::money::{Budget, Spend, Usd};
use frugal_domain::spend::SpendCategory;
use frugal_domain::state::StopReason;

/// A recorded job with a smaller budget, so that a test is done soon.
fn small(name: &str) -> DataSet {
    let mut set = recorded::data_set(name).unwrap();
    set.spec.optimization_budget = Budget::Usd(Usd::from_dollars(0.006).unwrap());
    set.spec.search.seed = 3;
    // What is tested here is told of trials that are evaluated apart.
    set.spec.search.extent = ExtentChoice::Searched;
    set
}

fn found(set: &DataSet, held_out: usize, earlier: Option<&Archive>) -> Found {
    let rows: Vec<usize> = (0..set.corpus.rows()).collect();
    let (holdout, tuning) = rows.split_at(held_out);
    run(Job {
        spec: &set.spec,
        endpoint: &set.corpus,
        tuning,
        holdout,
        earlier,
    })
    .unwrap()
}

#[test]
fn the_budget_is_kept_and_used() {
    let mut set = small("arithmetic");
    for pruning in [Pruning::Off, Pruning::Reference, Pruning::On] {
        set.spec.search.pruning = pruning;
        for held_out in [0, 15] {
            let found = found(&set, held_out, None);
            let spent = found.report.spend;
            assert!(set.spec.optimization_budget.covers(spent), "{pruning:?}");
            assert_eq!(found.report.stop_reason, StopReason::BudgetExhausted);
            // Trials and what their requests cost are the same money.
            let of_trials: Spend = found.trials.values().map(|ended| ended.spend).sum();
            let of_holdout = found
                .report
                .spend_by_role
                .get(&SpendCategory::Validation)
                .copied();
            assert_eq!(of_trials + of_holdout.unwrap_or_default(), spent);
            assert_eq!(of_holdout.is_some(), held_out > 0);
            assert_eq!(found.report.holdout.is_some(), held_out > 0);
        }
    }
}

#[test]
fn equal_seeds_give_equal_results_and_others_do_not() {
    let mut set = small("capitals");
    let mut once = |seed| {
        set.spec.search.seed = seed;
        let found = found(&set, 10, None);
        let winner = found.winner().cloned();
        (found.trials, winner, found.report.spend_by_role)
    };
    let first = once(1);
    assert_eq!(first, once(1));
    assert_ne!(first, once(2));
}

#[test]
fn the_winner_is_the_best_valid_trial() {
    let mut set = small("extraction");
    set.spec.search.pruning = Pruning::Off;
    let found = found(&set, 0, None);
    let evaluation = |ended: &Trial| match &ended.outcome {
        TrialOutcome::Evaluated(found) => Some((found.valid, found.utility.mean)),
        _ => None,
    };
    let valid = |ended: &&Trial| evaluation(ended).is_some_and(|(valid, _)| valid);
    let utility = |ended: &Trial| evaluation(ended).map_or(0.0, |(_, utility)| utility);
    let best = found
        .trials
        .values()
        .filter(valid)
        .map(utility)
        .fold(0.0, f64::max);
    assert_eq!(utility(found.winner().unwrap()), best);
    assert!(found.trials.values().any(|ended| !valid(&ended)));
}

#[test]
fn the_same_job_again_pays_for_nothing_that_an_earlier_one_bought() {
    let set = small("arithmetic");
    let first = found(&set, 0, None);
    let second = found(&set, 0, Some(&first.bought));
    let baseline = |found: &Found| found.trials[&BASELINE].clone();
    assert_eq!(first.utilities(BASELINE), second.utilities(BASELINE));
    assert!(baseline(&first).spend.tokens > 0);
    assert_eq!(baseline(&second).spend, Spend::default());
}

#[test]
fn side_by_side_a_job_takes_as_many_calls_as_it_has_to_wait_for() {
    let mut set = small("capitals");
    let mut calls = |in_flight| {
        set.spec.search.requests_in_flight = in_flight;
        let (found, calls) = side_by_side(&set.spec, &set.corpus).unwrap();
        (found.report.trials.requests, calls)
    };
    let (requests, alone) = calls(1);
    assert_eq!(requests, alone);
    let (requests, together) = calls(16);
    assert!(
        together >= requests / 16 && together < requests / 4,
        "{together} of {requests}"
    );
}
