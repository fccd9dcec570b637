//! What is taken and told of all the same.

use super::{catalog, example, read};
use serde_json::{Value, json};

/// The warnings for the example with a change.
fn warnings(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
    let mut body = example();
    change(&mut body);
    let (spec, data) = read(&body).unwrap();
    let found = frugal_intake::warnings(&body, &spec, &data, &catalog());
    for warning in &found {
        assert!(body.pointer(&warning.pointer).is_some(), "{warning:?}");
    }
    found
        .into_iter()
        .map(|warning| (warning.pointer, warning.detail))
        .collect()
}

#[test]
fn a_job_without_oddities_has_none() {
    assert_eq!(warnings(|_| {}), []);
}

#[test]
fn prompts_and_expectations_that_use_no_field_are_told_with_the_notation() {
    let found = warnings(|body| {
        body["data"] = json!({"instances": [{"question": "1 + 1", "The Answer": "2"}]});
        body["prompts"] = json!([
            {"name": "dollar", "text": "Q: $question"},
            {"name": "right", "text": "Q: {{ question }}"},
            {"name": "any", "text": "What is the answer?"}
        ]);
        body["scoring"] =
            json!({"scorer": {"type": "exact", "expected": "{The Answer}"}, "reduce": "mean"});
        body["budgets"] = json!({});
    });
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/prompts/0", "/prompts/2", "/scoring/scorer/expected"]
    );
    insta::assert_snapshot!(found[0].1, @"the prompt uses no field of the rows, so every row asks the same; write `{{ question }}` for it");
    insta::assert_snapshot!(found[1].1, @r#"the prompt uses no field of the rows, so every row asks the same; fields are used as in `{{ row["The Answer"] }}`, `{{ question }}`"#);
    insta::assert_snapshot!(found[2].1, @r#"uses no field of the rows, so every row has the same right answer; write `{{ row["The Answer"] }}` for it"#);
    let by_row = warnings(|body| {
        body["data"] = json!({"instances": [{"question": "1 + 1", "The Answer": "2"}]});
        body["prompts"] = json!([{"name": "right", "text": "{{ row['question'] }}"}]);
        body["scoring"] = json!({"scorer": {"type": "exact", "expected": "{{ row['The Answer'] }}"}, "reduce": "mean"});
        body["budgets"] = json!({});
    });
    assert_eq!(by_row, []);
}

#[test]
fn settings_that_look_like_others_or_like_ranges_are_told() {
    let found = warnings(|body| {
        body["search_space"] = json!({
            "temprature": {"float": [0, 1]}, "penalty": [0, 1], "a/b": {"min": 0, "max": 1},
            "top_k": 5, "presence_penalty": {"float": [0, 1]}
        });
        body["budgets"] = json!({});
    });
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/search_space/a~1b",
            "/search_space/penalty",
            "/search_space/temprature"
        ]
    );
    assert!(found[0].1.contains("{\"float\": [0, 1]}"), "{found:?}");
    assert!(found[2].1.contains("`temperature`"), "{found:?}");
}

/// The warnings at one place.
fn at(pointer: &str, change: impl FnOnce(&mut Value)) -> Option<String> {
    let mut found = warnings(change).into_iter();
    found
        .find(|(at, _)| at == pointer)
        .map(|(_, detail)| detail)
}

#[test]
fn rows_that_could_be_held_out_are_told_of_unless_it_is_said_that_none_are() {
    let rows = |body: &mut Value, count: usize, holdout: Option<Value>| {
        let rows = vec![json!({"question": "1 + 1?", "answer": "2"}); count];
        body["data"] = json!({"instances": rows});
        if let Some(holdout) = holdout {
            body["data"]["holdout"] = holdout;
        }
    };
    let told = at("/data", |body| rows(body, 20, None)).unwrap();
    insta::assert_snapshot!(told, @r#"no rows are held out, so the report cannot tell an improvement from luck; add `"holdout": 0.3`, or `"holdout": 0` if that is meant"#);
    assert_eq!(at("/data", |body| rows(body, 19, None)), None);
    assert_eq!(at("/data", |body| rows(body, 20, Some(json!(0)))), None);
    assert_eq!(at("/data", |body| rows(body, 20, Some(json!(0.3)))), None);
}

#[test]
fn an_objective_that_nobody_chose_is_told_of_where_n_may_grow() {
    let unsaid = |body: &mut Value| {
        body["objective"] = Value::Null;
        body["scoring"]["reduce"] = Value::Null;
        let whole = body.as_object_mut().unwrap();
        whole.remove("objective");
        whole["scoring"].as_object_mut().unwrap().remove("reduce");
    };
    let told = at("/scoring", unsaid).unwrap();
    insta::assert_snapshot!(told, @r#"a row counts as right where any of its `n` responses is (`expected_success`); that is right where each of them can be checked: say `"reduce": "expected_success"` to keep it, `"majority"` where the most frequent answer is used, `"mean"` where one is"#);
    let one = at("/scoring", |body| {
        unsaid(body);
        body["search_space"]["n"] = json!(1);
    });
    assert_eq!(one, None);
    assert_eq!(at("/scoring", |_| {}), None);
}

#[test]
fn an_inference_budget_below_the_cheapest_prompt_is_told_of() {
    let with = |amount: Value| {
        at("/budgets/inference", |body| {
            body["budgets"]["inference"] = amount;
        })
    };
    // "Question: 1 + 1?\nAnswer:" is some ten tokens, at a cent for a million.
    let told = with(json!({"usd": 0.000_000_01})).unwrap();
    insta::assert_snapshot!(told, @"no configuration can meet it: the prompt alone costs $0.00000018 on the average, of the cheapest model `smollm2-135m-instruct` and prompt `direct`; allow more, shorten the prompt, or take a cheaper model");
    assert_eq!(with(json!({"usd": 0.000_001})), None);
}

#[test]
fn an_optimization_budget_that_cannot_be_spent_is_told_of() {
    let with = |dollars: f64, trials: u32| {
        at("/budgets/optimization", |body| {
            body["budgets"]["optimization"] = json!({"usd": dollars});
            body["limits"]["trials"] = json!(trials);
        })
    };
    // Seven rows, 32 responses of 256 tokens at 0.04 dollars a million: 0.0023 dollars a trial.
    let told = with(1.0, 10).unwrap();
    insta::assert_snapshot!(told, @"most of it will not be spent: 10 trials on all rows cost $0.02505836 at most; allow more trials or settings, give more rows, or lower it");
    assert_eq!(with(0.04, 10), None);
    assert_eq!(with(1.0, 1000), None);
    // Without anything to search there is one trial, whatever the limit.
    let alone = at("/budgets/optimization", |body| {
        body["models"] = json!([{"endpoint": "local", "model": "gemma-3-270m"}]);
        body["prompts"] = json!([{"name": "direct", "text": "{{ question }}"}]);
        body["search_space"] = json!({"temperature": 1, "n": {"int": [1, 32]}, "max_tokens": 256});
        body["budgets"]["optimization"] = json!({"usd": 1});
        body["limits"]["trials"] = json!(1000);
    });
    assert!(alone.is_some());
}

#[test]
fn a_selector_that_sees_what_is_right_is_told() {
    let part = |scorer: Value| json!({"scorer": scorer});
    let valid = json!({"type": "json"});
    let nearest = json!({"type": "edit_similarity", "expected": "{{ answer }}"});
    let about = json!({"type": "rouge", "expected": "{{ question }}"});
    let chosen_by = |selector: Value| {
        at("/scoring/selector", |body| {
            body["scoring"]["selector"] = selector;
        })
    };
    assert_eq!(chosen_by(valid.clone()), None);
    assert_eq!(chosen_by(about), None);
    let detail = "chooses by `answer`, which holds what is right and is not known in use, so \
                  `best_of_n` is better here than it will be there; choose by what the response and \
                  the prompt say";
    let both = json!({"type": "composite", "parts": [part(valid), part(nearest.clone())]});
    for selector in [nearest, both] {
        assert_eq!(chosen_by(selector).as_deref(), Some(detail));
    }
}
