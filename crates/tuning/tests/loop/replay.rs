//! A job depends on its specification and its answers, and neither on the order in which these
//! arrive nor on the workers that it had.

use crate::world::{World, spec};
use frugal_evaluation::RequestFailure;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn a_job_finds_a_winner_and_compares_it() {
    for extent in ["profiled", "searched"] {
        let mut world = World::new(
            spec(&[
                ("/search/extent", json!(extent)),
                ("/search/seed", json!(8)),
            ]),
            1,
        );
        let ending = world.run();
        let report = ending.report.unwrap();
        assert!(report.winner.is_some() && report.baseline.is_some());
        assert!(
            report.holdout.is_some(),
            "{:?} {:?}",
            report.notes,
            report.winner
        );
        assert!(report.trials.evaluated > 3, "{:?}", report.trials);
        let names: Vec<&str> = world.events.iter().map(|event| event.name()).collect();
        assert_eq!(names.first(), Some(&"trial.started"));
        assert!(names.contains(&"best.updated") && names.contains(&"validation.completed"));
    }
}

#[test]
fn a_lucky_baseline_gives_way_to_what_the_search_prefers() {
    let found = (0..16).filter(|seed| {
        // The search has the baseline's responses: they were drawn as long as any.
        let job = spec(&[
            ("/search/extent", json!("profiled")),
            ("/search/seed", json!(seed)),
            ("/space/4/domain/int/high", json!(2)),
            ("/baseline/max_tokens", json!(128)),
            ("/baseline/n", json!(2)),
        ]);
        let report = World::without_holdout(job, 1).run().report.unwrap();
        let (winner, baseline) = (report.winner.unwrap(), report.baseline.unwrap());
        // By the mean of its few responses alone it would have won.
        winner.trial.0 != 0 && baseline.evaluation.utility.mean > winner.evaluation.utility.mean
    });
    assert!(found.count() > 0);
}

#[test]
fn a_baseline_outside_the_space_is_compared_with_and_not_searched() {
    let outside = [
        ("/baseline/temperature", json!(1.7)),
        ("/baseline/max_tokens", json!(1_000)),
    ];
    // The sampling settings are a point of the space, and the tokens are more than it allows.
    let longer = [
        ("/baseline/max_tokens", json!(80)),
        ("/space/3/domain/int/high", json!(32)),
    ];
    for (changes, extent) in [
        (&outside, "profiled"),
        (&outside, "searched"),
        (&longer, "profiled"),
        (&longer, "searched"),
    ] {
        let job = || {
            let mut changes = changes.to_vec();
            changes.push(("/search/extent", json!(extent)));
            spec(&changes)
        };
        let within = |trial: &frugal_tuning::PastTrial| job().space.contains(&trial.configuration);
        let mut world = World::new(job(), 1);
        let report = world.run().report.unwrap();
        let baseline = report.baseline.unwrap();
        for (pointer, value) in changes
            .iter()
            .filter(|(pointer, _)| pointer.contains("baseline"))
        {
            assert_eq!(
                &baseline.configuration[&pointer["/baseline/".len()..]],
                value
            );
        }
        assert_eq!(baseline.evaluation.coverage.unwrap().responses, 1);
        assert!(report.winner.is_some() && report.difference.is_some());
        let (first, searched): (Vec<_>, Vec<_>) = world
            .past
            .trials
            .iter()
            .partition(|(number, _)| number.0 == 0);
        assert!(!within(first[0].1) && searched.len() > 2);
        assert!(searched.iter().all(|(_, trial)| within(trial)));
        // Another worker takes it up from what is stored.
        let mut again = World::taken_up(job(), 2, world.past.clone(), Vec::new());
        assert_eq!(
            again.run().report.unwrap().winner.unwrap().trial,
            report.winner.unwrap().trial
        );
        assert!(again.sent.is_empty());
    }
}

/// What a job's events tell of the best that it has found. What was spent by then is not of the search: requests that
/// were lost are in it.
fn found_on_the_way(world: &World) -> Vec<String> {
    let told = world
        .events
        .iter()
        .filter(|event| event.name() == "best.updated");
    let mut told: Vec<_> = told
        .map(|event| {
            let mut event = json!(event);
            event["data"]["spend"] = json!(null);
            event.to_string()
        })
        .collect();
    told.sort_unstable();
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_order_of_arrival_does_not_matter(
        seed in 0..1_000_u64,
        order in 1..1_000_u64,
        extent in prop::sample::select(vec!["profiled", "searched"]),
    ) {
        let job = || spec(&[("/search/seed", json!(seed)), ("/search/extent", json!(extent))]);
        let (mut one, mut two) = (World::new(job(), 0), World::new(job(), order));
        let (first, second) = (one.run(), two.run());
        prop_assert_eq!(one.outcomes(), two.outcomes());
        prop_assert_eq!(json!(first.report), json!(second.report));
    }

    #[test]
    fn a_job_goes_on_after_any_crash(
        seed in 0..1_000_u64,
        crashes in prop::collection::vec(0..500_usize, 1..4),
        (extent, pruning) in prop::sample::select(vec![
            ("profiled", "on"),
            ("searched", "on"),
            ("searched", "off"),
        ]),
    ) {
        // A budget that what is lost in crashes does not reach.
        let job = || spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/search/pruning", json!(pruning)),
            ("/optimization_budget", json!({"usd": 5})),
        ]);
        let mut undisturbed = World::new(job(), 0);
        let expected = undisturbed.run();
        let mut world = World::new(job(), 1);
        let mut sent = 0;
        for (turn, permille) in (2..).zip(&crashes) {
            let moment = undisturbed.steps * permille / 1_000;
            for _ in 0..moment {
                if !world.turn() {
                    break;
                }
            }
            sent += world.sent.len() - world.in_flight.len();
            world = world.crash(turn);
        }
        let found = world.run();
        prop_assert_eq!(world.outcomes(), undisturbed.outcomes());
        // Nobody who follows it misses what was found, and nobody is told twice. Which of several trials that are
        // evaluated side by side ends first is a matter of arrival.
        if extent == "profiled" {
            prop_assert_eq!(found_on_the_way(&world), found_on_the_way(&undisturbed));
        }
        let comparable = |ending: frugal_tuning::JobEnding| {
            let mut report = json!(ending.report);
            for spent in ["spend", "spend_by_role"] {
                report.as_object_mut().unwrap().remove(spent);
            }
            // What was lost is not left.
            let notes = report["notes"].as_array_mut().unwrap();
            notes.retain(|note| note["code"] != "budget_left");
            report
        };
        prop_assert_eq!(comparable(found), comparable(expected));
        // Nothing that was answered is asked again.
        prop_assert_eq!(sent + world.sent.len(), undisturbed.sent.len());
        // No event is told twice, but for progress, which is told again where it was not stored.
        let count = |world: &World, name: &str| {
            world.events.iter().filter(|event| event.name() == name).count()
        };
        for name in ["trial.started", "trial.evaluated", "trial.pruned", "validation.completed"] {
            prop_assert_eq!(count(&world, name), count(&undisturbed, name), "{}", name);
        }
    }

    #[test]
    fn the_budget_is_never_passed(
        seed in 0..1_000_u64,
        budget in 0.000_5..0.02_f64,
        order: u64,
        extent in prop::sample::select(vec!["profiled", "searched"]),
    ) {
        let budget = (budget * 1e6).round() / 1e6;
        let job = spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/optimization_budget", json!({"usd": budget})),
        ]);
        let limit = job.optimization_budget;
        let mut world = World::new(job, order);
        // Some of what fails may have been billed.
        world.refuses = |request| {
            let times_out = request.seed.is_multiple_of(8);
            times_out.then(|| RequestFailure::Failed("timed out".to_owned()))
        };
        let ending = world.run();
        let spent = ending.report.unwrap().spend;
        prop_assert!(limit.covers(spent), "{:?} of {:?}", spent, limit);
        let paid: frugal_domain::money::Spend =
            world.past.requests.values().map(|request| request.settled.cost + request.settled.uncertain).sum();
        prop_assert_eq!(paid, spent);
    }
}
