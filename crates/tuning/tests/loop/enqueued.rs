//! Configurations that the job's owner puts in while it goes on.

use crate::world::{World, spec};
use frugal_domain::configuration::Configuration;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::state::StopReason;
use frugal_domain::trial::TrialOutcome;
use frugal_tuning::notes::Fact;
use serde_json::{Value, json};

fn job(extent: &str, changes: &[(&str, Value)]) -> JobSpec {
    let mut all = vec![
        ("/search/extent", json!(extent)),
        ("/limits/trials", json!(6)),
        ("/optimization_budget", json!({"usd": 5})),
    ];
    all.extend_from_slice(changes);
    spec(&all)
}

/// What no search proposes by itself.
fn wanted() -> Configuration {
    let values = json!({"model": 1, "prompt": "b", "temperature": 0.57, "max_tokens": 100, "n": 2});
    serde_json::from_value(values).unwrap()
}

fn is_wanted(configuration: &Configuration) -> bool {
    ["model", "prompt", "temperature"]
        .iter()
        .all(|name| configuration.get(name) == wanted().get(name))
}

/// A job that a configuration is put into after so many turns, with its end.
fn with_wanted(job: JobSpec, moment: usize) -> World {
    let mut world = World::new(job, 3);
    world.is_good = is_wanted;
    for _ in 0..moment {
        world.turn();
    }
    world.enqueue(wanted());
    world
}

#[test]
fn what_is_put_in_is_evaluated_and_wins_where_it_is_the_best() {
    for extent in ["profiled", "searched"] {
        // Before anything is begun, while the baseline is evaluated, and during the search.
        for moment in [0, 5, 60, 200] {
            let mut world = with_wanted(job(extent, &[]), moment);
            let report = world.run().report.unwrap();
            let trials = world.trials_of(&wanted());
            assert_eq!(trials.len(), 1, "{extent} after {moment}");
            assert_eq!(world.origins[&trials[0]], "owner");
            assert!(matches!(
                world.outcomes()[&trials[0]].0,
                TrialOutcome::Evaluated(_)
            ));
            assert_eq!(
                report.winner.unwrap().trial,
                trials[0],
                "{extent} after {moment}"
            );
            let places: Vec<_> = world.past.enqueued.iter().map(|one| one.place).collect();
            assert!(places[0].is_some());
            let own = world.origins.values().filter(|origin| *origin == "owner");
            assert_eq!(own.count(), 1);
        }
    }
}

#[test]
fn what_is_put_in_does_not_count_in_the_limit_on_trials() {
    for extent in ["profiled", "searched"] {
        let mut world = World::new(job(extent, &[("/limits/trials", json!(2))]), 3);
        while world.past.trials.len() < 3 {
            assert!(world.turn());
        }
        world.enqueue(wanted());
        let ending = world.run();
        assert_eq!(ending.stop_reason, StopReason::TrialLimit, "{extent}");
        assert_eq!(
            world.past.trials.len(),
            4,
            "the baseline, two, and one of the owner's"
        );
        assert_eq!(world.trials_of(&wanted()).len(), 1);
    }
}

#[test]
fn what_has_a_trial_is_not_evaluated_again() {
    for extent in ["profiled", "searched"] {
        let mut plain = with_wanted(job(extent, &[]), 60);
        plain.run();
        let mut world = with_wanted(job(extent, &[]), 60);
        // The same once more, what the search has tried, and the baseline.
        world.enqueue(wanted());
        world.enqueue(world.past.trials[&TrialNumber(1)].configuration.clone());
        world.enqueue(world.spec.baseline.clone().unwrap());
        let report = world.run().report.unwrap();
        assert_eq!(world.sent.len(), plain.sent.len(), "{extent}");
        assert_eq!(world.past.trials.len(), plain.past.trials.len());
        let untried = |fact: &Fact| matches!(fact, Fact::EnqueuedUntried { .. });
        assert!(!report.notes.iter().any(|note| untried(&note.fact)));
    }
}

#[test]
fn what_came_too_late_is_told_of_and_comes_first_when_the_job_goes_on() {
    for extent in ["profiled", "searched"] {
        let small = ("/optimization_budget", json!({"usd": 0.01}));
        let mut world = World::new(job(extent, &[small]), 3);
        world.is_good = is_wanted;
        // The search is over once held-out rows are asked for.
        let is_over = |world: &World| {
            let mut sent = world.sent.iter();
            sent.any(|key| key.purpose.as_str() == "validation")
        };
        while !is_over(&world) {
            assert!(world.turn(), "{extent}");
        }
        world.enqueue(wanted());
        let report = world.run().report.unwrap();
        assert!(world.trials_of(&wanted()).is_empty());
        let told = report
            .notes
            .iter()
            .find(|note| note.fact == Fact::EnqueuedUntried { configurations: 1 });
        assert!(told.unwrap().detail.contains("/continue"));
        let before = world.past.trials.len();
        let mut world = world.go_on(4, |terms| {
            terms.optimization_budget = job(extent, &[]).optimization_budget;
        });
        let report = world.run().report.unwrap();
        let trials = world.trials_of(&wanted());
        assert_eq!(
            trials,
            [TrialNumber(u32::try_from(before).unwrap())],
            "{extent}"
        );
        assert_eq!(report.winner.unwrap().trial, trials[0]);
    }
}

#[test]
fn the_cheapest_look_is_all_that_a_bad_one_costs() {
    let mut world = World::new(job("profiled", &[]), 3);
    world.is_good = |configuration| !is_wanted(configuration);
    for _ in 0..60 {
        world.turn();
    }
    world.enqueue(wanted());
    let report = world.run().report.unwrap();
    let trial = world.trials_of(&wanted())[0];
    let (outcome, tally) = &world.outcomes()[&trial];
    assert!(matches!(outcome, TrialOutcome::Evaluated(_)));
    assert_ne!(report.winner.unwrap().trial, trial);
    let most = world
        .outcomes()
        .into_values()
        .map(|(_, tally)| tally.responses);
    assert!(tally.responses < most.max().unwrap());
}
