//! Endpoints that refuse: how far each refusal reaches, when a job ends with it, and that neither the
//! order of arrival nor crashes change what a job makes of it.

use crate::world::{Refuses, World, refused, spec};
use frugal_domain::request::{Purpose, Scope};
use frugal_domain::spend::SpendCategory;
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::RequestFailure;
use frugal_tuning::{JobEnding, MOST_UNANSWERED, RequestToSend};
use proptest::prelude::*;
use serde_json::{Value, json};

const EXTENTS: [&str; 2] = ["profiled", "searched"];

/// The model that a request asks.
fn model(request: &RequestToSend) -> usize {
    request.settings.sampling.model
}

fn run(refuses: Refuses, changes: &[(&str, Value)]) -> (World, JobEnding) {
    let mut world = World::new(spec(changes), 1);
    world.refuses = refuses;
    let ending = world.run();
    (world, ending)
}

fn notes(ending: &JobEnding, code: &str) -> Vec<Value> {
    let report = json!(ending.report);
    let notes = report["notes"].as_array().unwrap().iter();
    notes.filter(|note| note["code"] == code).cloned().collect()
}

#[test]
fn a_refused_key_ends_the_job_at_once_and_leaves_a_report() {
    for extent in EXTENTS {
        let (world, ending) = run(
            |_| Some(refused(Scope::Key, "the key is not valid")),
            &[("/search/extent", json!(extent))],
        );
        assert_eq!(ending.state, JobState::Failed);
        assert_eq!(ending.stop_reason, StopReason::EndpointUnusable);
        assert_eq!(ending.detail.as_deref(), Some("the key is not valid"));
        assert!(world.sent.len() <= 16, "what was in flight: {extent}");
        let report = ending.report.as_ref().unwrap();
        assert_eq!(report.trials.running, 0);
        assert!(report.winner.is_none());
        let failed = notes(&ending, "requests_failed");
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0]["scope"], "key");
    }
}

#[test]
fn what_was_found_before_the_credit_ran_out_is_reported() {
    for extent in EXTENTS {
        let (_, ending) = run(
            |request| {
                let late = request.key.trial.0 >= 4;
                late.then(|| refused(Scope::Key, "no credit left"))
            },
            &[("/search/extent", json!(extent))],
        );
        assert_eq!(ending.state, JobState::Failed);
        assert_eq!(ending.detail.as_deref(), Some("no credit left"));
        let report = ending.report.unwrap();
        assert!(report.winner.is_some(), "{extent}");
        assert!(report.spend.tokens > 0);
    }
}

#[test]
fn an_endpoint_that_never_answers_ends_the_job_early() {
    for extent in EXTENTS {
        let (world, ending) = run(
            |_| Some(RequestFailure::Failed("timed out".to_owned())),
            &[("/search/extent", json!(extent))],
        );
        assert_eq!(ending.state, JobState::Failed, "{extent}");
        let detail = ending.detail.clone().unwrap();
        assert!(detail.contains("timed out"), "{detail}");
        // Both models are found out of order, with what was in flight by then.
        assert!(
            world.sent.len() <= 2 * MOST_UNANSWERED + 32,
            "{extent}: {}",
            world.sent.len()
        );
        let report = ending.report.as_ref().unwrap();
        let uncertain = report.spend_by_role[&SpendCategory::Uncertain];
        assert_eq!(report.spend, uncertain, "nothing is known to be billed");
        let note = &notes(&ending, "uncertain_spend")[0];
        assert_eq!(note["most"], json!(uncertain));
    }
}

#[test]
fn what_is_refused_everywhere_fails_the_job_with_the_endpoints_words() {
    for extent in EXTENTS {
        let (_, ending) = run(
            |_| {
                let reason = "temperature: is not supported";
                Some(RequestFailure::Infeasible(reason.to_owned()))
            },
            &[
                ("/search/extent", json!(extent)),
                ("/limits/trials", json!(6)),
            ],
        );
        assert_eq!(ending.state, JobState::Failed, "{extent}");
        assert_eq!(ending.stop_reason, StopReason::NothingEvaluated);
        let detail = ending.detail.unwrap();
        assert!(detail.contains("temperature"), "{detail}");
        let report = ending.report.unwrap();
        assert!(report.trials.infeasible > 0 && report.trials.evaluated == 0);
    }
}

#[test]
fn a_refused_model_is_left_alone_and_the_other_wins() {
    for extent in EXTENTS {
        let (world, ending) = run(
            |request| (model(request) == 1).then(|| refused(Scope::Model, "no such model")),
            &[("/search/extent", json!(extent))],
        );
        assert_eq!(ending.state, JobState::Succeeded, "{extent}");
        let report = ending.report.as_ref().unwrap();
        let winner = report.winner.as_ref().unwrap();
        assert_eq!(winner.configuration["model"], "small");
        let refused = notes(&ending, "model_refused");
        assert_eq!(refused.len(), 1);
        assert_eq!(
            (&refused[0]["model"], &refused[0]["scope"]),
            (&json!("large"), &json!("model"))
        );
        // Only what was decided before it was known was asked.
        let of_model = world.past.requests.values().filter(|request| {
            matches!(request.settled.result, Err(RequestFailure::Refused { .. }))
        });
        let asked = of_model.count();
        assert!((1..=40).contains(&asked), "{extent}: {asked}");
        let ended = world.outcomes().into_values();
        let infeasible = ended.filter(|(end, _)| matches!(end, TrialOutcome::Infeasible { .. }));
        assert_eq!(infeasible.count(), report.trials.infeasible as usize);
        assert!(report.trials.infeasible > 0);
    }
}

#[test]
fn a_row_that_is_refused_is_left_out_and_asked_for_no_more() {
    for extent in EXTENTS {
        let (world, ending) = run(
            |request| {
                let refuses = model(request) == 0
                    && request.key.purpose != Purpose::Validation
                    && [2, 5].contains(&request.instance);
                refuses.then(|| refused(Scope::Row, "the prompt is too long"))
            },
            &[("/search/extent", json!(extent))],
        );
        assert_eq!(ending.state, JobState::Succeeded, "{extent}");
        let report = ending.report.as_ref().unwrap();
        assert!(report.winner.is_some());
        assert_eq!(report.trials.infeasible, 0);
        for (end, _) in world.outcomes().values() {
            if let TrialOutcome::Failed { detail } = end {
                assert!(detail.contains("overloaded"), "{extent}: {detail}");
            }
        }
        let left_out = notes(&ending, "rows_left_out");
        assert!(!left_out.is_empty(), "{extent}");
        for note in &left_out {
            assert_eq!(note["model"], "small");
            assert!(note["detail"].as_str().unwrap().contains("too long"));
        }
        assert!(left_out.iter().any(|note| note["rows"] == json!([2, 5])));
        let refusals = world.past.requests.values();
        let refusals = refusals
            .filter(|request| matches!(request.settled.result, Err(RequestFailure::Refused { .. })))
            .count();
        // Two rows with each of two prompts, and those that were in the air with the first.
        assert!((2..=40).contains(&refusals), "{extent}: {refusals}");
    }
}

#[test]
fn many_rows_that_are_refused_close_a_model_and_no_other() {
    for extent in EXTENTS {
        let (_, ending) = run(
            |request| {
                let refuses = model(request) == 1 && request.instance % 2 == 0;
                refuses.then(|| refused(Scope::Row, "the prompt is too long"))
            },
            &[("/search/extent", json!(extent))],
        );
        let report = ending.report.unwrap();
        assert_eq!(ending.state, JobState::Succeeded, "{extent}");
        let winner = report.winner.unwrap();
        assert_eq!(winner.configuration["model"], "small");
    }
}

/// Endpoints of all kinds, each a function of the request.
const REFUSING: [Refuses; 5] = [
    |request| (model(request) == 1).then(|| refused(Scope::Model, "no such model")),
    |request| (model(request) == 1).then(|| RequestFailure::Failed("timed out".to_owned())),
    |request| {
        let refuses = request.instance.is_multiple_of(7);
        refuses.then(|| refused(Scope::Row, "the prompt is too long"))
    },
    |request| {
        let hot = request.settings.sampling.temperature > Some(0.7);
        hot.then(|| RequestFailure::Infeasible("temperature: too hot".to_owned()))
    },
    |request| {
        let refuses = model(request) == 0 && request.instance == 3;
        refuses.then(|| refused(Scope::Row, "filtered"))
    },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn neither_order_nor_crashes_matter_to_what_is_made_of_refusals(
        seed in 0..1_000_u64,
        order in 1..1_000_u64,
        which in 0..REFUSING.len(),
        crashes in prop::collection::vec(0..500_usize, 0..3),
        extent in prop::sample::select(EXTENTS.to_vec()),
    ) {
        // More than any of them spends: where the budget runs out, what was lost in a crash decides too.
        let job = || spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/optimization_budget", json!({"usd": 5})),
        ]);
        let start = |order: u64| {
            let mut world = World::new(job(), order);
            world.refuses = REFUSING[which];
            world
        };
        let mut undisturbed = start(0);
        let expected = undisturbed.run();
        let mut world = start(order);
        for (turn, permille) in (2..).zip(&crashes) {
            for _ in 0..undisturbed.steps * permille / 1_000 {
                if !world.turn() {
                    break;
                }
            }
            world = world.crash(turn);
        }
        let found = world.run();
        prop_assert_eq!(world.outcomes(), undisturbed.outcomes());
        let comparable = |ending: &JobEnding| {
            let mut report = json!(ending.report);
            for spent in ["spend", "spend_by_role"] {
                report.as_object_mut().unwrap().remove(spent);
            }
            let notes = report["notes"].as_array_mut().unwrap();
            notes.retain(|note| note["code"] != "budget_left");
            (ending.state, ending.stop_reason, report)
        };
        prop_assert_eq!(comparable(&found), comparable(&expected));
    }
}
