//! What the report says of configurations that are nearly as good as the winner and much cheaper.

use crate::world::{TUNING, World, spec};
use frugal_domain::id::TrialNumber;
use frugal_domain::trial::TrialOutcome;
use serde_json::{Value, json};

/// Jobs of this many seeds.
const SEEDS: u64 = 30;

/// The valid trials by what they cost as a share of the winner, and by how much they are worse on
/// the instances that both have.
fn against(world: &mut World, winner: TrialNumber, worse: f64) -> Vec<(TrialNumber, f64, f64)> {
    let outcomes = world.outcomes();
    let cost = |outcome: &TrialOutcome| match outcome {
        TrialOutcome::Evaluated(found) if found.valid => Some(found.inference_cost.estimate.mean),
        _ => None,
    };
    let cost_of_winner = cost(&outcomes[&winner].0).unwrap();
    let best = world.tuning().utilities(winner).unwrap().clone();
    let mut found = Vec::new();
    for (trial, (outcome, _)) in &outcomes {
        let Some(cost) = cost(outcome) else { continue };
        let utilities = world.tuning().utilities(*trial).unwrap();
        let pairs = utilities
            .iter()
            .filter_map(|(i, one)| Some(worse * (one - best.get(i)?)));
        let losses: Vec<f64> = pairs.collect();
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        found.push((*trial, cost / cost_of_winner, loss));
    }
    found
}

fn jobs(changes: &[(&str, Value)], worse: f64) -> usize {
    // Twelve instances: one weighs more than the most that is nearly as good.
    let margin = 0.05;
    assert!(1.0 / TUNING as f64 > margin);
    let mut named = 0;
    for seed in 0..SEEDS {
        let mut changes = changes.to_vec();
        changes.push(("/search/seed", json!(seed)));
        changes.push(("/inference_budget", json!({"usd": 0.001})));
        let mut world = World::new(spec(&changes), seed);
        let report = world.run().report.unwrap();
        let winner = report.winner.unwrap().trial;
        let near: Vec<_> = against(&mut world, winner, worse)
            .into_iter()
            .filter(|(_, cost_ratio, loss)| *cost_ratio <= 0.5 && *loss <= margin)
            .collect();
        let cheapest = near.iter().map(|(_, cost_ratio, _)| *cost_ratio);
        let cheapest = cheapest.fold(f64::INFINITY, f64::min);
        let Some(found) = report.nearly_as_good else {
            assert_eq!(near, []);
            continue;
        };
        named += 1;
        assert_eq!(found.cost_ratio, cheapest);
        assert!((found.margin - margin).abs() < 1e-12);
        let (_, _, loss) = near.iter().find(|(one, ..)| *one == found.trial).unwrap();
        let difference = found.difference;
        assert!((worse * difference.estimate.mean - loss).abs() < 1e-12);
        let interval = difference.interval;
        assert!((interval.low..=interval.high).contains(&difference.estimate.mean));
        let front = report.front.iter().find(|one| one.trial == found.trial);
        // No other beats it in both utility and cost.
        let front = front.unwrap();
        assert_eq!(front.configuration, found.configuration);
        assert_eq!(front.evaluation.utility, found.utility.estimate);
        assert_eq!(front.utility_interval, Some(found.utility.interval));
        let words = format!("trial {} is as good as the winner", found.trial.0);
        assert!(found.detail.starts_with(&words), "{}", found.detail);
    }
    named
}

#[test]
fn the_cheapest_that_is_nearly_as_good_is_named_where_there_is_one() {
    let named = jobs(&[], -1.0);
    assert!((1..30).contains(&named), "{named} of {SEEDS}");
}

#[test]
fn it_is_so_where_less_is_better() {
    let objective = json!({"metric": "cut_rate", "direction": "minimize"});
    // Cheap configurations are among those that were tried.
    let search = json!({"algorithm": "blendsearch", "low_cost_starts": true, "seed": 7,
                        "extent": "searched", "pruning": "on", "reuse": "job",
                        "parallel_trials": 4, "requests_in_flight": 16});
    let changes = [("/objective", objective), ("/search", search)];
    let named = jobs(&changes, 1.0);
    assert!(named > 0, "{named} of {SEEDS}");
}

#[test]
fn where_the_objective_is_a_cost_the_winner_alone_is_named() {
    for metric in ["inference_cost", "completion_tokens"] {
        let objective = json!({"metric": metric, "direction": "maximize"});
        let job = spec(&[("/objective", objective)]);
        let report = World::new(job, 1).run().report.unwrap();
        assert!(report.winner.is_some() && report.nearly_as_good.is_none());
    }
}
