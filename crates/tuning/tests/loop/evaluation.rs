//! Given configurations side by side: every row under each, responses shared, the same report whatever
//! the order of answers and the workers, and as even as can be where the budget ends.

use crate::world::{TUNING, World, spec};
use frugal_domain::job::JobSpec;
use frugal_domain::request::{RequestKey, Scope};
use frugal_domain::state::{JobState, StopReason, TrialState};
use frugal_evaluation::RequestFailure;
use frugal_tuning::{Better, EvaluationReport};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A configuration of the small model, unless it says otherwise.
fn configuration(name: &str, n: u32, max_tokens: u32, changes: Value) -> Value {
    let mut settings =
        json!({"model": 0, "prompt": "a", "temperature": 1.0, "max_tokens": max_tokens, "n": n});
    for (key, value) in changes.as_object().unwrap() {
        settings[key] = value.clone();
    }
    json!({"name": name, "configuration": settings})
}

/// Three configurations, of which the first two share their sampling settings.
fn three() -> Value {
    json!([
        configuration("one", 1, 64, json!({})),
        configuration("many", 4, 64, json!({})),
        configuration("large", 1, 64, json!({"model": 1, "prompt": "b"})),
    ])
}

fn evaluation(configurations: Value, changes: &[(&str, Value)]) -> JobSpec {
    let mut stored = json!(spec(&[]));
    stored["space"] = json!([]);
    stored["baseline"] = Value::Null;
    stored["evaluation"] = json!({"configurations": configurations, "reference": 0});
    for (pointer, value) in changes {
        match stored.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                stored.pointer_mut(parent).unwrap()[name] = value.clone();
            }
        }
    }
    serde_json::from_value(stored).unwrap()
}

/// A world without held-out rows.
fn world(spec: JobSpec, order: u64) -> World {
    World::without_holdout(spec, order)
}

fn run(world: &mut World) -> EvaluationReport {
    world.run().evaluation.unwrap()
}

#[test]
fn every_configuration_is_seen_on_every_row_and_held_against_the_reference() {
    let mut world = world(evaluation(three(), &[]), 1);
    let ending = world.run();
    assert_eq!(
        (ending.state, ending.stop_reason),
        (JobState::Succeeded, StopReason::Completed)
    );
    assert!(ending.report.is_none());
    let report = ending.evaluation.unwrap();
    assert_eq!(report.reference, "one");
    assert_eq!(report.rows.of, TUNING);
    let names: Vec<&str> = report
        .configurations
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["one", "many", "large"]);
    for one in &report.configurations {
        let coverage = one.coverage.unwrap();
        assert!(coverage.complete, "{coverage:?}");
        assert_eq!(
            coverage.instances as usize + one.rows_without_answer,
            TUNING
        );
        assert_eq!(one.state, TrialState::Evaluated);
        // Latency tells nothing where requests wait behind others and serve several.
        assert!(!one.metrics.contains_key("latency_ms"));
        assert!(one.within_inference_budget.is_some());
        for metric in one.metrics.values() {
            assert!(metric.interval.low <= metric.estimate.mean + 1e-9);
            assert!(metric.estimate.mean <= metric.interval.high + 1e-9);
        }
    }
    let compared: Vec<&str> = report
        .comparisons
        .iter()
        .map(|one| one.configuration.as_str())
        .collect();
    assert_eq!(compared, ["many", "large"]);
    assert_eq!(report.correction.comparisons, 2);
    for comparison in &report.comparisons {
        for (metric, difference) in &comparison.metrics {
            assert!(
                difference.p_value <= difference.adjusted_p_value,
                "{metric}"
            );
            assert_eq!(difference.significant, difference.adjusted_p_value < 0.05);
            // By itself a difference is significant where its interval leaves 0 out.
            let leaves_out = difference.interval.low > 0.0 || difference.interval.high < 0.0;
            assert_eq!(
                leaves_out,
                difference.p_value < 0.05,
                "{metric}: {difference:?}"
            );
        }
        // Four responses cost more than one: certainly worse, and it is called so.
        if comparison.configuration == "many" {
            let cost = &comparison.metrics["inference_cost"];
            assert!(
                cost.significant && cost.better == Better::Reference,
                "{cost:?}"
            );
        }
    }
    let ranks: Vec<usize> = report.ranking.iter().map(|one| one.rank).collect();
    assert_eq!(ranks, [1, 2, 3]);
    assert!(report.verdict.contains("`one`"), "{}", report.verdict);
    assert_eq!(report.spend, report.spend_by_role.values().copied().sum());
    let names: Vec<&str> = world.events.iter().map(|event| event.name()).collect();
    let count = |name: &str| names.iter().filter(|other| **other == name).count();
    assert_eq!((count("trial.started"), count("trial.evaluated")), (3, 3));
    assert!(count("trial.progress") >= 3 && count("best.updated") == 0);
}

/// Responses bought for each trial, by the trial's number.
fn bought(world: &World) -> BTreeMap<u32, usize> {
    let mut bought = BTreeMap::new();
    for (key, request) in &world.past.requests {
        let receipt = request.settled.result.as_ref();
        *bought.entry(key.trial.0).or_default() += receipt.map_or(0, |it| it.responses.len());
    }
    bought
}

#[test]
fn what_shares_sampling_settings_shares_responses() {
    let spec = evaluation(three(), &[]);
    let mut together = world(spec, 1);
    let report = run(&mut together);
    let of = |name: &str| {
        report
            .configurations
            .iter()
            .find(|one| one.name == name)
            .unwrap()
    };
    // `many` asks first; `one` takes one of its four responses to each row.
    assert_eq!(of("one").spend.tokens, 0);
    assert_eq!(
        of("one").shared_responses,
        (TUNING - of("one").rows_without_answer) as u64
    );
    assert!(of("one").inference_cost.unwrap().cost.estimate.mean > 0.0);
    assert!(
        of("many").inference_cost.unwrap().cost.estimate.mean
            > 2.0 * of("one").inference_cost.unwrap().cost.estimate.mean
    );
    assert_eq!(
        (of("many").shared_responses, of("large").shared_responses),
        (0, 0)
    );
    let codes: Vec<Value> = report
        .notes
        .iter()
        .map(|note| json!(note)["code"].clone())
        .collect();
    assert!(codes.contains(&json!("responses_shared")), "{codes:?}");
    assert!(!bought(&together).contains_key(&1));

    // Where latency counts, each asks for its own.
    let measured = ("/evaluation/measures_latency", json!(true));
    let apart = evaluation(
        three(),
        &[measured, ("/search/requests_in_flight", json!(1))],
    );
    let mut apart = world(apart, 1);
    let report = run(&mut apart);
    for one in &report.configurations {
        assert_eq!(one.shared_responses, 0);
        assert!(one.spend.tokens > 0 && one.metrics.contains_key("latency_ms"));
    }
}

#[test]
fn where_the_budget_ends_all_were_seen_on_the_same_rows_but_for_the_last() {
    let apart = json!([
        configuration("cold", 1, 64, json!({"temperature": 0.0})),
        configuration("warm", 2, 64, json!({"temperature": 0.7})),
        configuration("large", 1, 64, json!({"model": 1, "prompt": "b"})),
    ]);
    let mut cut_short = 0;
    for order in 0..20 {
        let spec = evaluation(
            apart.clone(),
            &[
                ("/optimization_budget", json!({"usd": 0.000_9})),
                ("/search/requests_in_flight", json!(6)),
            ],
        );
        let limit = spec.optimization_budget;
        let mut world = world(spec, order);
        let report = run(&mut world);
        assert!(limit.covers(report.spend), "{:?}", report.spend);
        if report.stop_reason != StopReason::BudgetExhausted {
            continue;
        }
        cut_short += 1;
        let seen: Vec<usize> = report
            .configurations
            .iter()
            .map(|one| one.coverage.map_or(0, |it| it.instances as usize) + one.rows_without_answer)
            .collect();
        let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
        // Blocks of two rows, and no more than two of them in the air. In the last of them, what is cheap may
        // still be paid where what is dear cannot.
        assert!(most - least <= 4, "{seen:?}");
        assert!(*least > 0 && *least < TUNING, "{seen:?}");
        let note = report
            .notes
            .iter()
            .map(|note| json!(note))
            .find(|note| note["code"] == "rows_not_seen");
        let note = note.unwrap();
        assert_eq!(note["of"], TUNING);
        assert_eq!(note["seen"], report.rows.seen_by_all);
        assert!(
            report
                .verdict
                .contains(&format!("of {TUNING} rows, where the budget ended")),
            "{}",
            report.verdict
        );
    }
    assert!(cut_short > 10, "{cut_short}");
}

#[test]
fn one_that_is_refused_does_not_keep_the_others_from_their_rows() {
    let mut world = world(evaluation(three(), &[]), 2);
    world.refuses = |request| {
        (request.settings.sampling.model == 1)
            .then(|| RequestFailure::Infeasible("no n".to_owned()))
    };
    let ending = world.run();
    assert_eq!(ending.state, JobState::Succeeded);
    let report = ending.evaluation.unwrap();
    let states: Vec<TrialState> = report.configurations.iter().map(|one| one.state).collect();
    assert_eq!(
        states,
        [
            TrialState::Evaluated,
            TrialState::Evaluated,
            TrialState::Infeasible
        ]
    );
    assert_eq!(report.configurations[2].detail.as_deref(), Some("no n"));
    assert_eq!((report.comparisons.len(), report.ranking.len()), (1, 2));
    // It was asked for no more than what was under way.
    let asked = world.sent.iter().filter(|key| key.trial.0 == 3).count();
    assert!(asked <= TUNING, "{asked}");
}

#[test]
fn nothing_is_found_where_the_endpoint_takes_nothing() {
    let mut world = world(evaluation(three(), &[]), 3);
    world.refuses = |_| {
        Some(RequestFailure::Refused {
            scope: Scope::Key,
            reason: "no credit left".to_owned(),
        })
    };
    let ending = world.run();
    assert_eq!(
        (ending.state, ending.stop_reason),
        (JobState::Failed, StopReason::EndpointUnusable)
    );
    let report = ending.evaluation.unwrap();
    assert!(report.ranking.is_empty() && report.verdict.contains("no configuration was evaluated"));
}

#[test]
fn a_cancelled_evaluation_keeps_what_was_seen() {
    let mut world = world(
        evaluation(three(), &[("/search/requests_in_flight", json!(3))]),
        4,
    );
    while world.past.requests.len() < 12 {
        assert!(world.turn());
    }
    world.tuning().halt(StopReason::Cancelled);
    let ending = world.run();
    assert_eq!(ending.state, JobState::Cancelled);
    let report = ending.evaluation.unwrap();
    assert!(
        report.rows.seen_by_all > 0 && report.rows.seen_by_all < TUNING,
        "{:?}",
        report.rows
    );
    assert!(
        report.verdict.contains("where it was cancelled"),
        "{}",
        report.verdict
    );
    let open = world
        .past
        .trials
        .values()
        .filter(|trial| trial.end.is_none())
        .count();
    assert_eq!(open, 0, "every trial has ended");
}

#[test]
fn a_configuration_by_itself_is_told_by_itself() {
    let single = json!([configuration("alone", 2, 64, json!({}))]);
    let report = run(&mut world(evaluation(single, &[]), 5));
    assert!(report.comparisons.is_empty() && report.correction.comparisons == 0);
    assert!(
        report.verdict.starts_with("`alone` comes to "),
        "{}",
        report.verdict
    );
    assert!(
        report.verdict.contains("the inference budget of $0.0002"),
        "{}",
        report.verdict
    );
}

#[test]
fn another_configuration_under_a_number_is_noticed() {
    let mut first = world(evaluation(three(), &[]), 6);
    while first.past.requests.len() < 5 {
        assert!(first.turn());
    }
    let mut other = evaluation(
        three(),
        &[("/evaluation/configurations/1/configuration/n", json!(3))],
    );
    other.optimization_budget = first.spec.optimization_budget;
    let mut second = World::taken_up_without_holdout(other, 7, first.past, first.events);
    assert!(second.tuning().next_step().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_answers_and_the_workers_do_not_matter(
        seed in 0..1_000_u64,
        in_flight in 1..24_u32,
        crashes in prop::collection::vec(0..1_000_usize, 0..4),
        latency: bool,
        reuse in prop::sample::select(vec!["job", "owner"]),
    ) {
        let spec = evaluation(three(), &[
            ("/search/seed", json!(seed)),
            ("/search/requests_in_flight", json!(in_flight)),
            ("/search/reuse", json!(reuse)),
            ("/evaluation/measures_latency", json!(latency)),
        ]);
        let mut undisturbed = world(spec.clone(), 1);
        let expected = run(&mut undisturbed);
        prop_assert_eq!(expected.stop_reason, StopReason::Completed);
        let mut disturbed = world(spec, seed);
        let mut sent: Vec<RequestKey> = Vec::new();
        for (turn, permille) in (2..).zip(&crashes) {
            for _ in 0..undisturbed.steps * permille / 1_000 {
                if !disturbed.turn() {
                    break;
                }
            }
            let lost: BTreeSet<RequestKey> = disturbed.in_flight.iter().map(|one| one.key).collect();
            sent.extend(disturbed.sent.iter().filter(|key| !lost.contains(key)));
            disturbed = disturbed.crash(turn);
        }
        let found = run(&mut disturbed);
        sent.extend(&disturbed.sent);
        let comparable = |report: &EvaluationReport| {
            let mut report = json!(report);
            for spent in ["spend", "spend_by_role"] {
                report.as_object_mut().unwrap().remove(spent);
            }
            report
        };
        prop_assert_eq!(comparable(&found), comparable(&expected));
        // Nothing that was answered is asked again.
        prop_assert_eq!(sent.len(), undisturbed.sent.len());
        sent.sort();
        let mut all = undisturbed.sent.clone();
        all.sort();
        prop_assert_eq!(sent, all);
        prop_assert_eq!(disturbed.outcomes(), undisturbed.outcomes());
    }

    #[test]
    fn the_budget_is_never_passed(
        seed in 0..1_000_u64,
        budget in 0.000_2..0.004_f64,
        order: u64,
        in_flight in 1..24_u32,
    ) {
        let budget = (budget * 1e6).round() / 1e6;
        let spec = evaluation(three(), &[
            ("/search/seed", json!(seed)),
            ("/search/requests_in_flight", json!(in_flight)),
            ("/optimization_budget", json!({"usd": budget})),
        ]);
        let limit = spec.optimization_budget;
        let mut world = world(spec, order);
        let report = run(&mut world);
        prop_assert!(limit.covers(report.spend), "{:?} of {:?}", report.spend, limit);
        let paid: frugal_domain::money::Spend =
            world.past.requests.values().map(|request| request.settled.cost + request.settled.uncertain).sum();
        prop_assert_eq!(paid, report.spend);
    }
}
