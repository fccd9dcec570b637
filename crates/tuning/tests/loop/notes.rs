//! What the report says of what it does not show.

use crate::world::{TUNING, World, spec};
use frugal_domain::state::StopReason;
use frugal_domain::trial::UntriedReason;
use frugal_tuning::notes::{Fact, Note};
use serde_json::{Value, json};

fn notes(changes: &[(&str, Value)]) -> Vec<Note> {
    World::new(spec(changes), 1).run().report.unwrap().notes
}

fn codes(notes: &[Note]) -> Vec<String> {
    let code = |note: &Note| json!(note)["code"].as_str().unwrap().to_owned();
    notes.iter().map(code).collect()
}

fn with<'a>(changes: &[(&'a str, Value)], more: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    [changes, more].concat()
}

fn extent(name: &str) -> (&'static str, Value) {
    ("/search/extent", json!(name))
}

#[test]
fn where_there_is_nothing_to_say_nothing_is_said() {
    // Most responses end by themselves, and little is kept for the held-out rows.
    let found = |name: &str| {
        notes(&[
            extent(name),
            ("/space/3/domain/int/low", json!(80)),
            ("/baseline/max_tokens", json!(80)),
            ("/optimization_budget", json!({"usd": 0.02})),
        ])
    };
    let failed = |note: &Note| matches!(note.fact, Fact::RequestsFailed { .. });
    assert!(found("searched").iter().all(failed));
    // A profiled search may have nothing more to learn sooner, and then says so.
    let mut found = found("profiled");
    found.retain(|note| !failed(note));
    let left = |note: &Note| matches!(note.fact, Fact::BudgetLeft { .. });
    assert!(found.len() <= 1 && found.iter().all(left), "{found:?}");
}

#[test]
fn without_a_winner_each_model_has_a_reason_why() {
    for extent in ["searched", "profiled"].map(extent) {
        let changes = [extent, ("/inference_budget", json!({"usd": 0.000_002}))];
        let found = notes(&changes);
        let mut models = Vec::new();
        for note in &found {
            let Fact::NoValidConfiguration {
                model,
                inference_cost: Some(cost),
                measured,
                budget_ratio: Some(ratio),
                violated,
                ..
            } = &note.fact
            else {
                continue;
            };
            // Prompts have 20 to 31 tokens, responses at least 4 and at the smallest limit at most
            // 16; where nothing was drawn, one.
            let price = if model == "small" { 1e-7 } else { 2e-7 };
            let least = if *measured { 4.0 } else { 1.0 };
            let most = if *measured { 31.0 + 4.0 * 16.0 } else { 50.0 };
            assert!(
                (20.0 + 4.0 * least..=most).contains(&(cost / price)),
                "{note:?}"
            );
            assert!((ratio - cost / 0.000_002).abs() < 1e-9);
            assert!(violated.is_empty());
            for words in [
                model,
                "times the inference budget of $0.000002",
                "raise `budgets.inference`",
            ] {
                assert!(note.detail.contains(words), "{}", note.detail);
            }
            models.push((model.as_str(), *measured));
        }
        let named: Vec<&str> = models.iter().map(|(model, _)| *model).collect();
        assert_eq!(named, ["small", "large"]);
        // The baseline drew from the first.
        assert!(models[0].1);
    }
}

#[test]
fn a_constraint_that_nothing_keeps_is_named() {
    for extent in ["searched", "profiled"].map(extent) {
        let constraints = json!([{"metric": "latency_ms", "at_most": 7}]);
        let found = notes(&[extent, ("/constraints", constraints)]);
        let Fact::NoValidConfiguration { violated, .. } = &found[0].fact else {
            panic!("{found:?}");
        };
        assert_eq!(violated, &["latency_ms"]);
        assert_eq!(
            found[0].detail,
            "no configuration of `small` that was evaluated keeps all constraints: `latency_ms` is \
             to be at most 7, and the closest has 10; loosen `constraints` or widen the search space"
        );
    }
}

#[test]
fn what_was_not_tried_is_named_with_the_reason() {
    let limit = ("/limits/trials", json!(1));
    let found = notes(std::slice::from_ref(&limit));
    let untried: Vec<&Note> = found
        .iter()
        .filter(|note| matches!(note.fact, Fact::NeverTried { .. }))
        .collect();
    assert!(!untried.is_empty(), "{found:?}");
    for note in untried {
        let Fact::NeverTried { reason, values, .. } = &note.fact else {
            continue;
        };
        assert_eq!((*reason, values.len()), (UntriedReason::TrialLimit, 1));
        assert!(
            note.detail.contains("the limit of 1 trials"),
            "{}",
            note.detail
        );
    }

    // A prompt of 40 bytes is over the budget with such a price.
    let dear = ("/models/1/prices/input_pico", json!(100_000_000));
    let found = notes(&[extent("profiled"), dear]);
    let untried = |note: &&Note| matches!(note.fact, Fact::NeverTried { .. });
    let Some(Note { fact, detail }) = found.iter().find(untried) else {
        panic!("{found:?}");
    };
    let Fact::NeverTried {
        setting,
        values,
        model: None,
        reason,
    } = fact
    else {
        panic!("{fact:?}");
    };
    assert_eq!(
        (setting.as_str(), &values[..]),
        ("model", &[json!("large")][..])
    );
    assert_eq!(*reason, UntriedReason::OverInferenceBudget);
    assert!(
        detail.starts_with("no trial used the model `large`: "),
        "{detail}"
    );
}

#[test]
fn values_of_a_listed_setting_are_told_apart() {
    let listed = json!({"choice": {"values": [0.0, 0.5, 1.0], "ordered": true}});
    let changes = [("/space/2/domain", listed), ("/limits/trials", json!(1))];
    let found = notes(&changes);
    let of_temperature = found.iter().find_map(|note| match &note.fact {
        Fact::NeverTried {
            setting, values, ..
        } if setting == "temperature" => Some(values.clone()),
        _ => None,
    });
    // The baseline has the last of them, and the one trial has at most one other.
    let values = of_temperature.unwrap();
    assert!(
        values.len() == 1 || values == [json!(0.0), json!(0.5)],
        "{values:?}"
    );
    // A profiled search reads n from what it drew.
    let listed = json!({"choice": {"values": [1, 2, 4, 8], "ordered": true}});
    let changes = [extent("profiled"), ("/space/4/domain", listed)];
    let found = notes(&changes);
    assert!(
        found.iter().all(|note| !note.detail.contains("used the n")),
        "{found:?}"
    );
}

#[test]
fn responses_that_are_cut_are_told_of() {
    let changes = [
        ("/space/3/domain/int/low", json!(2)),
        ("/space/3/domain/int/high", json!(3)),
        ("/baseline/max_tokens", json!(3)),
    ];
    let found = notes(&changes);
    let cut = found.iter().find_map(|note| match note.fact {
        Fact::ResponsesCut {
            cut_responses,
            responses,
        } => Some((cut_responses, responses)),
        _ => None,
    });
    let (cut, all) = cut.unwrap();
    assert!(cut == all && all > 0);
}

#[test]
fn what_was_left_of_the_budget_comes_with_what_would_use_it() {
    let changes = [
        ("/limits/trials", json!(2)),
        ("/optimization_budget", json!({"usd": 1})),
    ];
    let found = notes(&changes);
    let last = found.last().unwrap();
    let Fact::BudgetLeft { left, share } = &last.fact else {
        panic!("{found:?}");
    };
    assert!(*share > 0.9 && left.amount() > 900_000_000_000);
    assert!(
        last.detail.contains("raise `limits.trials`"),
        "{}",
        last.detail
    );

    let mut world = World::new(spec(&changes), 1);
    world.tuning().halt(StopReason::Cancelled);
    let cancelled = world.run().report.unwrap().notes;
    assert!(
        !codes(&cancelled).contains(&"budget_left".to_owned()),
        "{cancelled:?}"
    );
    assert!(codes(&cancelled).contains(&"no_valid_configuration".to_owned()));

    let mut world = World::new(spec(&changes), 1);
    world.tuning().halt(StopReason::Deadline);
    let late = world.run().report.unwrap().notes;
    assert!(
        late.last()
            .unwrap()
            .detail
            .contains("raise `limits.seconds`")
    );
}

#[test]
fn a_baseline_that_was_seen_in_part_says_why() {
    let large = [
        ("/baseline/max_tokens", json!(128)),
        ("/baseline/n", json!(8)),
    ];
    let part = |changes: &[(&str, Value)]| {
        let found = notes(changes);
        let partial = found.into_iter().find_map(|note| match note.fact {
            Fact::BaselinePartial { instances, of } => Some((instances, of, note.detail)),
            _ => None,
        });
        let (instances, of, detail) = partial.unwrap();
        assert!(instances < of, "{detail}");
        assert_eq!(usize::try_from(of), Ok(TUNING));
        detail
    };
    let poor = [
        ("/optimization_budget", json!({"usd": 0.003})),
        ("/inference_budget", json!({"usd": 0.001})),
    ];
    let detail = part(&with(&large, &poor));
    assert!(
        detail.contains("its share of the optimization budget paid for ($0.0003)"),
        "{detail}"
    );
    let tight = [("/inference_budget", json!({"usd": 0.000_02}))];
    let detail = part(&with(&large, &tight));
    assert!(
        detail.contains("over the inference budget: it costs $0.000"),
        "{detail}"
    );
}
