//! Models that bill more than what is asked of them can come to: one request tells, the others know.

use crate::world::{Beside, World, spec};
use frugal_domain::event::EventBody;
use frugal_domain::money::Spend;
use frugal_tuning::RequestToSend;
use frugal_tuning::notes::Fact;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A prompt of the system's own, and reasoning that no limit holds.
const BESIDE: Beside = Beside {
    prompt: 2_000,
    response: 900,
    failures: 0,
};

fn pair(request: &RequestToSend) -> (usize, usize) {
    let sampling = &request.settings.sampling;
    (sampling.model, sampling.prompt)
}

fn world(changes: &[(&str, Value)], order: u64, beside: Beside) -> World {
    let wide = [("/inference_budget", json!({"usd": 0.004}))];
    let mut world = World::new(spec(&[&wide, changes].concat()), order);
    world.beside = beside;
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_budget_is_passed_by_no_more_than_what_the_first_of_a_pair_has_too_much(
        seed in 0..1_000_u64,
        budget in 0.000_5..0.05_f64,
        order: u64,
        extent in prop::sample::select(vec!["profiled", "searched"]),
    ) {
        let changes = [
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/optimization_budget", json!({"usd": (budget * 1e6).round() / 1e6})),
        ];
        let mut world = world(&changes, order, BESIDE);
        let limit = spec(&changes).optimization_budget;
        let mut sent: BTreeMap<_, (RequestToSend, bool)> = BTreeMap::new();
        let mut answered = BTreeSet::new();
        let mut excess = Spend::default();
        while world.turn() {
            for request in &world.in_flight {
                let known = answered.contains(&pair(request));
                sent.entry(request.key).or_insert_with(|| (request.clone(), known));
            }
            let mut alone: BTreeMap<_, u32> = BTreeMap::new();
            for request in &world.in_flight {
                *alone.entry(pair(request)).or_default() += 1;
            }
            for (pair, count) in alone {
                prop_assert!(count == 1 || answered.contains(&pair), "{count} of {pair:?}");
            }
            for (key, past) in &world.past.requests {
                let Some((request, known)) = sent.remove(key) else {
                    continue;
                };
                if past.settled.result.is_ok() {
                    answered.insert(pair(&request));
                }
                let over = past.settled.cost.saturating_sub(request.worst_case);
                prop_assert!(!known || over == Spend::default(), "{key} of a known pair: {over:?}");
                excess += over;
            }
        }
        let spent = world.tuning().ending().report.unwrap().spend;
        let over = limit.unit().of(spent).saturating_sub(limit.amount());
        prop_assert!(over <= limit.unit().of(excess), "{over} over, {excess:?} in excess");
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_a_job_finds_still_depends_on_its_answers_alone(
        seed in 0..1_000_u64,
        order in 1..1_000_u64,
        moment in 1..400_usize,
        extent in prop::sample::select(vec!["profiled", "searched"]),
    ) {
        let changes = [
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            // A budget that what is lost does not reach.
            ("/optimization_budget", json!({"usd": 5})),
            ("/inference_budget", json!({"usd": 0.000_4})),
        ];
        let little = Beside { prompt: 60, response: 50, failures: 0 };
        let (mut one, mut two) = (world(&changes, 0, little), world(&changes, order, little));
        let first = one.run();
        for _ in 0..moment {
            two.turn();
        }
        let mut two = two.crash(order + 1);
        let second = two.run();
        prop_assert!(one.outcomes() == two.outcomes());
        let told = |ending: frugal_tuning::JobEnding| {
            let mut notes = ending.report.unwrap().notes;
            notes.retain(|note| matches!(note.fact, Fact::Overhead { .. }));
            notes
        };
        prop_assert_eq!(told(first), told(second));
    }
}

#[test]
fn what_a_model_bills_beside_is_told_once_and_noted() {
    let mut world = world(&[("/search/extent", json!("searched"))], 1, BESIDE);
    let report = world.run().report.unwrap();
    let told: Vec<&str> = world
        .events
        .iter()
        .filter_map(|event| match event {
            EventBody::EndpointOverhead {
                model,
                prompt_tokens,
                ..
            } => {
                assert!(*prompt_tokens > 1_900, "{prompt_tokens}");
                Some(model.as_str())
            }
            _ => None,
        })
        .collect();
    let once: BTreeSet<&str> = told.iter().copied().collect();
    assert_eq!(told.len(), once.len());
    let noted: BTreeSet<String> = report
        .notes
        .iter()
        .filter_map(|note| match &note.fact {
            Fact::Overhead {
                model,
                prompt_tokens,
                response_tokens,
                ..
            } => {
                // 20 tokens and one for each row before it, and a bound of 40.
                assert_eq!(*prompt_tokens, 2_000 + 20 + 11 - 40);
                assert!((450..=900).contains(response_tokens), "{response_tokens}");
                assert!(note.detail.contains("text of its own"), "{}", note.detail);
                Some(model.clone())
            }
            _ => None,
        })
        .collect();
    assert!(noted.iter().map(String::as_str).eq(once), "{noted:?}");
    assert!(noted.contains("small"));
}

#[test]
fn requests_that_do_not_tell_hold_the_others_back_for_a_while_only() {
    let most_at_once = |failures: u32, until: usize| {
        let beside = Beside {
            failures,
            ..Beside::default()
        };
        let changes = [
            ("/search/extent", json!("searched")),
            ("/search/pruning", json!("off")),
            ("/search/parallel_trials", json!(1)),
            // The first trial asks for all rows at once.
            ("/baseline", Value::Null),
        ];
        let mut world = world(&changes, 1, beside);
        let mut most = 0;
        while world.past.requests.len() < until && world.turn() {
            most = most.max(world.in_flight.len());
        }
        most
    };
    assert_eq!(most_at_once(0, 1), 1);
    assert!(most_at_once(0, 2) > 4, "one has told");
    assert_eq!(most_at_once(9, 3), 1);
    assert!(most_at_once(9, 4) > 4, "three have not told");
}
