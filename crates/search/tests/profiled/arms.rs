//! Which arms there are, and how many.

use crate::{run, spec, winner};
use frugal_search::Origin;
use frugal_search::profiled::{Feature, Over};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn settings_besides_are_proposed_and_the_good_ones_found() {
    let penalty = json!({"name": "presence_penalty", "domain": {"float": {"low": -2.0, "high": 2.0, "scale": "linear", "step": null}}});
    let mut space = json!(spec(&[]).space);
    space.as_array_mut().unwrap().push(penalty);
    let job = spec(&[("/space", space)]);
    let run = run(&job, |at| match at.others.get("presence_penalty") {
        Some(Feature::Number(place)) => 0.01 + 0.1 * place,
        _ => 0.0,
    });
    let arms = 0..run.batches.iter().map(|batch| batch.arm).max().unwrap() + 1;
    let by_searcher = |origin: Origin| !matches!(origin, Origin::Grid | Origin::Start);
    let proposed = arms.filter(|arm| run.search.origin(*arm).is_some_and(by_searcher));
    assert!(proposed.count() > 2);
    let place = run.search.place(winner(&run)).unwrap();
    let Some(Feature::Number(penalty)) = place.others.get("presence_penalty") else {
        panic!("the penalty is a setting of the arm")
    };
    // The default is in the middle.
    assert!(*penalty > 0.6, "{penalty}");
}

#[test]
fn a_limit_on_trials_is_one_on_arms() {
    let run = run(&spec(&[("/limits/trials", json!(2))]), |_| 0.5);
    let arms: BTreeSet<usize> = run.batches.iter().map(|one| one.arm).collect();
    assert_eq!(arms.len(), 2);
    assert!(matches!(run.over, Over::TrialLimit | Over::BudgetSpent));
}
